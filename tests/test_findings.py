"""Where results, files and cards meet."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ehps import findings
from ehps.humandata import HumanData, Passport


def saved(path: Path, rows: int = 4, **facts: str) -> Path:
    """A file of neutral bodies that differ a little."""
    rng = np.random.default_rng(len(path.name))
    columns = {
        "image_path": [f"{i}.jpg" for i in range(rows)],
        "bbox_xywh": np.tile([10.0, 10, 50, 100, 1], (rows, 1)),
        "smplx/body_pose": rng.normal(0, 0.2, (rows, 21, 3)),
        "smplx/global_orient": np.zeros((rows, 3)),
        "smplx/betas": np.zeros((rows, 10)),
    }
    passport = Passport(body_model="smplx", body_model_version="1.1", num_betas=10, **facts)
    return HumanData(columns, passport=passport).save(path)


def test_images_that_are_not_there_cost_an_example_and_are_said(tmp_path: Path) -> None:
    file = saved(tmp_path / "x.h5", dataset="agora")
    drawn, faults = findings._examples([file], {file: tmp_path})
    assert len(drawn) + len(faults) == 1
