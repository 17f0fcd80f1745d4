from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_dataset import CARD, Hall

from ehps.body.params import BodyParams, smpl_params
from ehps.converters.base import Instances, Keypoints
from ehps.converters.pipeline import convert, quality_measures
from ehps.converters.pipeline.camera_frame import Posed
from ehps.converters.pipeline.report import Report
from ehps.humandata import HumanData, Passport, quality
from ehps.humandata.keypoints import point_names
from ehps.humandata.quality_table import COLUMNS


def converted(hall: Path, tmp_path: Path, models: Path, fault: str = "") -> Report:
    return convert(Hall, hall, out=tmp_path / "out.h5", body_models=models, options={"fault": fault}, progress=False)


def test_a_right_conversion_has_nothing_to_complain_about(hall: Path, tmp_path: Path, body_models: Path) -> None:
    report = converted(hall, tmp_path, body_models)
    assert report.problems == []
    measured = report.quality
    assert measured["reprojection_px"]["max"] < 0.01
    assert measured["world_to_camera_m"]["max"] < 1e-5
    assert measured["points3d_m"]["max"] < 1e-4
    assert measured["rows"] == 12
    assert measured["share_better_swapped"] == 0


@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        ("swapped", "left and right exchanged"),
        ("pelvis", "body joints are"),
        ("gender", "model joints are"),
        ("hand", "finger joints are"),
    ],
)
def test_a_planted_fault_is_exposed(hall: Path, tmp_path: Path, body_models: Path, fault: str, complaint: str) -> None:
    report = converted(hall, tmp_path, body_models, fault)
    assert any(complaint in problem for problem in report.problems), report.problems


def test_the_hand_fault_is_not_blamed_on_the_body(hall: Path, tmp_path: Path, body_models: Path) -> None:
    report = converted(hall, tmp_path, body_models, "hand")
    assert not any("body joints" in problem for problem in report.problems)


def posed(n: int, *, own2d: Keypoints | None = None, own3d: Keypoints | None = None, **values: Any) -> Posed:
    rows = Instances([f"{i}.jpg" for i in range(n)], np.tile([720, 1280], (n, 1)), keypoints2d=own2d, keypoints3d=own3d)
    return Posed(rows, model_type="smplx", **values)


def standing(n: int, *, betas: float = 0, orient: tuple[float, float, float] = (np.pi, 0, 0)) -> BodyParams:
    return smpl_params(
        gender="neutral",
        betas=np.full((n, 10), betas),
        pose=np.tile([*orient, *[0.0] * 69], (n, 1)),
        transl=np.zeros((n, 3)),
    )


def rows(n: int, **values: Any) -> dict[str, np.ndarray]:
    return quality_measures.measure(posed(n, **values)) | {"meta/width": np.full(n, 1280)}


def told(columns: dict[str, np.ndarray], virtual: bool = False) -> str:
    return " ".join(quality_measures.problems(quality.summary(columns, CARD.reprojection), CARD, virtual=virtual))


def pelvis_at(depth: float, n: int = 5) -> np.ndarray:
    return np.tile(np.array([0, 0, depth, 1.0]), (n, 144, 1))


def test_units_and_frames_show_without_any_2d_points() -> None:
    assert "units and frame" in told(rows(5, points3d=pelvis_at(4000)))
    assert "units and frame" in told(rows(5, points3d=pelvis_at(100)))
    assert "units and frame" not in told(rows(5, points3d=pelvis_at(100)), virtual=True)
    assert "behind the camera" in told(rows(5, points3d=pelvis_at(-4)))
    assert "on their heads" in told(rows(5, body=standing(5, orient=(0, 0, 0))))
    assert "on their heads" not in told(rows(5, body=standing(5)))
    assert "on their heads" not in told(rows(5, body=standing(5, orient=(0, 0, np.radians(80)))))  # on the side


def test_points_that_nobody_knows_are_neither_near_nor_behind_the_camera() -> None:
    unknown = pelvis_at(0)
    unknown[..., 3] = 0
    columns = rows(5, points3d=unknown)
    assert np.isnan(columns["quality/depth_m"]).all()
    assert told(columns) == ""


def test_implausible_bodies_show() -> None:
    assert "smaller" in told(rows(5, heights=np.full(5, 0.017)))
    assert "taller" in told(rows(5, heights=np.full(5, 1700.0)))
    assert "shapes" in told(rows(5, body=standing(5, betas=30.0)))
    assert "pelvis correction" in told(rows(5, world_to_camera_gap=np.array([0, 0, 0, 0, 0.2])))


def test_own_3d_points_must_be_as_near_as_the_card_says() -> None:
    columns = rows(5, points3d=pelvis_at(4), own3d=Keypoints(pelvis_at(4.05), point_names("smplx")))
    found = quality.summary(columns, CARD.reprojection)
    assert not any("3D points" in problem for problem in quality_measures.problems(found, CARD))
    strict = replace(CARD, points3d=0.02)
    assert any("0.050 m from the dataset's own 3D points" in p for p in quality_measures.problems(found, strict))


def test_distances_are_those_of_the_shared_points() -> None:
    points = np.zeros((2, 144, 3))
    points[..., 2] = 1
    own = np.zeros((2, 17, 3))
    own[0, :, :2], own[0, :, 2] = [3, 4], 1
    own[1, 0, :2], own[1, 0, 2] = [0, 10], 1  # the nose alone
    out = quality_measures.measure(posed(2, points2d=points, own2d=Keypoints(own, point_names("coco"))))
    assert out["quality/reprojection_px"].tolist() == [5, 10]
    assert out["quality/reprojection_face_px"].tolist() == [5, 10]
    assert out["quality/reprojection_body_px"][0] == 5
    assert np.isnan(out["quality/reprojection_body_px"][1])
    assert np.isnan(out["quality/reprojection_hands_px"]).all()


def test_openpose_points_are_compared_where_only_their_like_exists() -> None:
    points = np.ones((1, 144, 3))
    own = np.ones((1, 25, 3)) * [2, 1, 1]
    keypoints = Keypoints(own, point_names("openpose_25"))
    compared = posed(1, points2d=points, own2d=keypoints)
    strict = quality_measures.measure(compared)
    loose = quality_measures.measure(compared, approximate=True)
    assert np.isnan(strict["quality/reprojection_px"][0])
    assert loose["quality/reprojection_px"][0] == 1


def test_joints_in_the_box_count_only_what_the_image_shows() -> None:
    points = np.zeros((1, 144, 3))
    points[0, :4] = [[10, 10, 1], [30, 10, 1], [1900, 10, 1], [12, 12, 0]]
    out = quality_measures.measure(posed(1, points2d=points), np.array([[0, 0, 20, 20, 1.0]]))
    assert out["quality/joints_in_box"][0] == 0.5


def test_the_file_carries_its_quality(hall: Path, tmp_path: Path, body_models: Path) -> None:
    converted(hall, tmp_path, body_models)
    hd = HumanData.open(tmp_path / "out.h5")
    assert set(COLUMNS) <= set(hd.columns)
    assert hd.quality["reprojection"] == "exact"
    assert hd["quality/finite"].all()
    tall = hd["quality/height_m"]
    assert ((tall > 1.3) & (tall < 2.2)).all()


# -- rows without bodies -----------------------------------------------------------------------------------


def bodiless(shift: float = 0.0, box: float = 200.0) -> HumanData:
    """Three people, own 3D points seen ``shift`` pixels right of own 2D points, in boxes of that size."""
    points = np.zeros((3, 4, 4), np.float32)
    points[..., :3] = np.random.default_rng(0).uniform([-0.4, -0.4, 3], [0.4, 0.4, 4], (3, 4, 3))
    points[..., 3] = 1
    flat = points.copy()[..., :3]
    flat[..., :2] = 500 * points[..., :2] / points[..., 2:3] + 320
    flat[..., 0] -= shift
    flat[..., 2] = 1
    names = ("nose", "neck", "left_knee", "right_knee")
    columns = {
        "image_path": ["a.jpg"] * 3,
        "meta/height": np.full(3, 640, np.int32),
        "meta/width": np.full(3, 640, np.int32),
        "meta/focal_length": np.full((3, 2), 500, np.float32),
        "meta/principal_point": np.full((3, 2), 320, np.float32),
        "bbox_xywh": np.tile([320 - box / 2, 320 - box / 2, box, box, 1], (3, 1)).astype(np.float32),
        "keypoints2d_original": flat.astype(np.float32),
        "keypoints3d_original": points,
    }
    named = {"keypoints2d_original": names, "keypoints3d_original": names}
    return HumanData(columns, keypoint_names=named, passport=Passport(focal="image"))


def problems_of(hd: HumanData) -> list[str]:
    columns = {name: np.full(3, np.nan, np.float32) for name in COLUMNS}
    columns |= {"quality/finite": np.ones(3, bool), "bbox_xywh": hd["bbox_xywh"], **quality_measures.without_bodies(hd)}
    return quality_measures.problems(quality.summary(columns, "none"), replace(CARD, reprojection="none"))


def test_own_points_are_measured_where_there_is_no_body() -> None:
    made = quality_measures.without_bodies(bodiless(shift=7))
    np.testing.assert_allclose(made["quality/own_points_px"], 7, atol=1e-3)
    assert (made["quality/points_in_box"] == 1).all()
    assert problems_of(bodiless()) == []
    assert quality_measures.without_bodies(bodiless().without(["meta/focal_length"])) == {}


def test_own_points_that_do_not_belong_together_are_exposed() -> None:
    (said,) = problems_of(bodiless(shift=30))
    assert "own 3D points are seen 30.0 px (15.0 % of the box) from its own 2D points" in said
    (said,) = problems_of(bodiless(box=20))
    assert said.startswith("only ")
    assert "of the dataset's own 2D points lie in their boxes" in said


def test_own_points_behind_the_camera_are_exposed() -> None:
    hd = bodiless()
    points = np.array(hd["keypoints3d_original"])
    points[..., 2] *= -1
    (said,) = problems_of(hd.with_columns({"keypoints3d_original": points}))
    assert said == "3 of 3 people have joints behind the camera"


def test_own_points_of_nobody_are_no_fault() -> None:
    hd = bodiless()
    none = np.zeros_like(hd["keypoints3d_original"])
    assert problems_of(hd.with_columns({"keypoints3d_original": none})) == []
