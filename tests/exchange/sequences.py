"""People who move, for the forms that hold sequences."""

from __future__ import annotations

import numpy as np

from ehps.body.models import BodyModels
from ehps.humandata import HumanData
from ehps.humandata.passport import Passport

SIZE = (240, 320)


def moving(models: BodyModels, *, frames: int = 5, people: int = 2, seed: int = 0) -> HumanData:
    """``people`` through ``frames`` images of one sequence at 25 a second; the last comes one image later."""
    rng = np.random.default_rng(seed)
    rows = [
        (frame, person)
        for frame in range(frames)
        for person in range(people)
        if frame or person < people - 1 or people == 1
    ]
    n, person = len(rows), np.array([p for _, p in rows])
    number = np.array([f for f, _ in rows])
    columns = {
        "image_path": [f"clip/{frame:06d}.jpg" for frame in number],
        "bbox_xywh": np.tile(np.array([40, 20, 100, 200, 1], np.float32), (n, 1)),
        "smplx/betas": rng.normal(0, 1, (people, 10))[person].astype(np.float32),
        "smplx/global_orient": (rng.normal(0, 0.2, (n, 3)) + np.array([np.pi, 0, 0])).astype(np.float32),
        "smplx/body_pose": rng.normal(0, 0.3, (n, 21, 3)).astype(np.float32),
        "smplx/left_hand_pose": rng.normal(0, 0.2, (n, 15, 3)).astype(np.float32),
        "smplx/right_hand_pose": rng.normal(0, 0.2, (n, 15, 3)).astype(np.float32),
        "smplx/jaw_pose": rng.normal(0, 0.1, (n, 3)).astype(np.float32),
        "smplx/expression": rng.normal(0, 1, (n, 10)).astype(np.float32),
        "smplx/transl": (np.stack([person - 0.5, 0.1 * number, 4 + 0 * number], 1)).astype(np.float32),
        "meta/track_id": person + 1,
        "meta/frame_id": number,
        "meta/time": number / 25,
        "meta/focal_length": np.full((n, 2), 300, np.float32),
        "meta/principal_point": np.tile(np.array([160, 120], np.float32), (n, 1)),
        "meta/height": np.full(n, SIZE[0], np.int32),
        "meta/width": np.full(n, SIZE[1], np.int32),
    }
    passport = Passport(
        body_model="smplx",
        body_model_version=models.version("smplx", "neutral"),
        num_betas=10,
        gender="neutral",
        flat_hand_mean=False,
        focal="image",
        dataset="moving",
        split="test",
    )
    return HumanData(columns, passport=passport)
