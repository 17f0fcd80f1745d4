"""``humandata view`` of surfaces and predictions, and the page of keypoint conventions."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from ehps.cli import main
from ehps.humandata import HumanData
from ehps.humandata.drawing.pages import write_png
from ehps.humandata.keypoints import CONVENTIONS
from ehps.humandata.passport import Passport

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def predictions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people of one image as ``evaluate`` writes them: parameters and cameras of their boxes, no 2D points."""
    folder = tmp_path_factory.mktemp("predictions")
    write_png(folder / "a.png", np.full((240, 320, 3), 60, np.uint8))
    hd = HumanData(
        {
            "image_path": ["a.png", "a.png"],
            "bbox_xywh": np.array([[60, 40, 90, 120, 1], [160, 40, 90, 120, 1]], np.float32),
            "smplx/betas": np.zeros((2, 10), np.float32),
            "smplx/global_orient": np.tile([np.pi, 0, 0], (2, 1)).astype(np.float32),
            "smplx/body_pose": np.zeros((2, 21, 3), np.float32),
            "smplx/transl": np.array([[0, 0, 40], [0, 0, 45]], np.float32),
            "meta/focal_length": np.full((2, 2), 2400, np.float32),
            "meta/principal_point": np.array([[105, 100], [205, 100]], np.float32),
        },
        passport=Passport(body_model="smplx", gender="neutral", num_betas=10, flat_hand_mean=False, focal="virtual"),
        misc={"checkpoint_sha256": "00ff"},
    )
    return hd.save(folder / "predictions.h5")


def view(file: Path, out: Path, *options: object, code: int = 0) -> str:
    arguments = ["humandata", "view", file, "--images", file.parent, "--out", out, *options]
    result = CliRunner().invoke(main, [str(word) for word in arguments])
    assert result.exit_code == code, result.output
    return result.output


def test_predictions_are_drawn_as_joints_and_as_surfaces(predictions: Path, body_models: Path, tmp_path: Path) -> None:
    models = ("--body-models", body_models)
    (joints,) = view(predictions, tmp_path / "joints", *models).split()
    (mesh,) = view(predictions, tmp_path / "mesh", "--mesh", *models).split()
    blue = np.array([50, 140, 255])[::-1]  # the right side of a person
    assert ((cv2.imread(joints) == blue).all(-1)).sum() > 500
    assert not (cv2.imread(mesh) == blue).all(-1).any()
    assert cv2.imread(mesh).shape[1] > cv2.imread(joints).shape[1]


def test_bodies_without_body_models_are_refused_before_anything_is_written(predictions: Path, tmp_path: Path) -> None:
    assert "drawing predictions, which have no 2D points, needs the body models" in view(
        predictions, tmp_path / "out", code=2
    )
    assert "--body-models DIR" in view(predictions, tmp_path / "out", "--mesh", code=2)
    assert "is not a folder" in view(predictions, tmp_path / "out", "--body-models", tmp_path / "gone", code=1)
    (tmp_path / "empty").mkdir()
    assert "SMPL-X" in view(predictions, tmp_path / "out", "--body-models", tmp_path / "empty", code=1)
    assert not (tmp_path / "out").exists()
    assert view(predictions, tmp_path / "out", "--columns", "bbox_xywh").split()


def test_files_without_2d_points_are_drawn_without_body_models_too(predictions: Path, tmp_path: Path) -> None:
    hd = HumanData.open(predictions)
    plain = HumanData({name: hd[name] for name in hd.columns}, passport=hd.passport).save(
        predictions.parent / "fits.h5"
    )
    assert "with --body-models" in view(plain, tmp_path / "out")
    assert (tmp_path / "out/view_001.png").is_file()


def test_the_page_of_conventions_has_all_of_them_and_their_figures() -> None:
    page = (DOCS / "keypoints.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \|", page, re.MULTILINE)
    assert rows == [(name, str(len(points))) for name, points in sorted(CONVENTIONS.items())]
    figures = re.findall(r"images/keypoints_(\w+)\.png", page)
    wanted = re.search(r"^CONVENTIONS := (.*)$", (DOCS.parent / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert wanted is not None
    assert figures == wanted[1].split()
    assert max((DOCS / f"images/keypoints_{name}.png").stat().st_size for name in figures) < 150_000
