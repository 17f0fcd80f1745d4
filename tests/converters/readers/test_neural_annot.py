from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ehps.converters.readers import coco_wholebody, neural_annot
from tests.raw.trees import Raw, completed, read


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
    counts = {name: neural_annot.unfitted(records).get(said) for name, said in neural_annot.UNFITTED.items()}
    assert counts == {"lhand_pose": 3, "rhand_pose": 4, "jaw_pose": 4, "expr": 4}


FITS = {
    "mscoco": "annotations/MSCOCO_train_SMPLX_all_NeuralAnnot.json",
    "mpii": "annotations/*SMPLX*NeuralAnnot.json",
    "ubody": "annotations/*/smplx_annotation.json",
}


@pytest.mark.parametrize("dataset", list(FITS))
def test_parts_that_were_not_fitted_are_counted(dataset: str, raw_trees: Callable[[str], Raw], tmp_path: Path) -> None:
    root = raw_trees(dataset).linked(tmp_path)
    rows = sum(map(len, read(dataset, root)))
    for path in root.glob(FITS[dataset]):
        fits = json.loads(path.read_text())
        for record in fits.values():
            record["smplx_param"] |= {"lhand_pose": None, "rhand_pose": [0.1] * 45, "jaw_pose": [], "expr": [0.1] * 10}
        path.unlink()
        path.write_text(json.dumps(fits))
    counts = Counter[str]()
    for unit in completed(dataset, root, read(dataset, root)):
        counts.update(unit.account.counts)
    assert rows
    assert counts == {neural_annot.UNFITTED["lhand_pose"]: rows, neural_annot.UNFITTED["jaw_pose"]: rows}
