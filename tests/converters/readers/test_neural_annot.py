from __future__ import annotations

import numpy as np

from ehps.converters.readers import coco_wholebody, neural_annot


def fit(**parts: object) -> dict[str, object]:
    camera = {"focal": [500.0, 500.0], "princpt": [100.0, 100.0]}
    needed = {"root_pose": [0.1] * 3, "body_pose": [0.0] * 63, "shape": [0.0] * 10, "trans": [0.0, 0.0, 5.0]}
    return {"smplx_param": needed | parts, "cam_param": camera}


def test_a_part_that_is_null_or_an_empty_list_was_not_fitted() -> None:
    records = [fit(lhand_pose=[0.2] * 45), fit(lhand_pose=None), fit(lhand_pose=[]), fit()]
    body, _ = neural_annot.smplx(records)
    assert body.left_hand_pose is not None
    assert np.abs(np.reshape(body.left_hand_pose, (4, -1))).max(axis=1).tolist() == [0.2, 0, 0, 0]
    flags = coco_wholebody.validity([{"lefthand_valid": True}] * 4, records)
    assert flags["lefthand_valid"].tolist() == [True, False, False, False]
