from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_dataset import CARD, CENTRE, FOCAL, HEIGHT, WIDTH, Hall
from scipy.spatial.transform import Rotation

from ehps.body.models import BodyModels
from ehps.body.params import BodyParams, smpl_params, smplx_params
from ehps.converters.base import Camera, Instances, Keypoints, Rigid, Unit
from ehps.converters.pipeline import completion
from ehps.converters.pipeline.completion import Completed, Context, complete
from ehps.converters.readers import images
from ehps.converters.readers.images import ImageIndex
from ehps.errors import BodyModelError, DataError
from ehps.humandata import HumanData
from ehps.humandata.image_headers import Header
from ehps.humandata.keypoints import point_names


def read(hall: Path, **options: str) -> Instances:
    return Hall(hall, "train", options).read(Unit("walk_0", hall / "sequences/walk_0.npz"))


def done(rows: Instances, hall: Path, models: BodyModels | None, **context: Any) -> Completed:
    return complete(rows, Context(CARD, "train", models, **context), ImageIndex(hall))


def data_of(completed: Completed) -> HumanData:
    assert completed.data is not None
    return completed.data


# -- geometry ---------------------------------------------------------------------------------------------


def test_joints_of_the_stored_parameters_are_the_world_joints_moved(hall: Path, models: BodyModels) -> None:
    hd = data_of(done(read(hall), hall, models))
    stored = smplx_params(
        gender=hd["meta/gender"].tolist(),
        **{name.split("/")[1]: hd[name] for name in hd.columns if name.startswith("smplx/")},
    )
    again = models.joints(stored)
    raw = np.load(hall / "sequences/walk_0.npz")
    np.testing.assert_allclose(again[:, :127], raw["points3d"][..., :3], atol=2e-5)
    np.testing.assert_allclose(hd["keypoints3d_smplx"][..., :3], again, atol=2e-5)
    np.testing.assert_allclose(hd["keypoints2d_smplx"][:, :127, :2], raw["points2d"][..., :2], atol=0.01)
    assert hd.keypoint_names["keypoints2d_smplx"] == point_names("smplx")
    assert hd.keypoint_names["keypoints2d_original"] == point_names("smplx_127")


def test_two_routes_to_the_camera_agree(hall: Path, models: BodyModels) -> None:
    hd = data_of(done(read(hall), hall, models))
    assert hd["quality/world_to_camera_m"].max() < 1e-5


def test_distorted_images_get_distorted_points(hall: Path, models: BodyModels) -> None:
    import cv2

    lens = np.array([0.1, -0.05, 0.002, -0.001, 0.01])
    rows = read(hall)
    rows.camera = Camera(FOCAL, CENTRE, lens)
    hd = data_of(done(rows, hall, models))
    k = np.array([[FOCAL[0], 0, CENTRE[0]], [0, FOCAL[1], CENTRE[1]], [0, 0, 1]])
    for person in range(len(hd)):
        points = hd["keypoints3d_smplx"][person, :, :3].astype(float)
        expected = cv2.projectPoints(points, np.zeros(3), np.zeros(3), k, lens)[0][:, 0]
        np.testing.assert_allclose(hd["keypoints2d_smplx"][person, :, :2], expected, atol=0.01)
    np.testing.assert_allclose(hd["meta/dist_coeffs"], np.tile(lens, (len(hd), 1)), rtol=1e-6)


def test_images_of_a_fisheye_get_its_points(hall: Path, models: BodyModels) -> None:
    import cv2

    lens = np.array([0.1, -0.05, 0.02, -0.01])
    rows = read(hall)
    rows.camera = Camera(FOCAL, CENTRE, lens, lens="fisheye")
    hd = data_of(done(rows, hall, models))
    k = np.array([[FOCAL[0], 0, CENTRE[0]], [0, FOCAL[1], CENTRE[1]], [0, 0, 1]])
    points = hd["keypoints3d_smplx"][..., :3].astype(float)
    expected = cv2.fisheye.projectPoints(points.reshape(1, -1, 3), np.zeros(3), np.zeros(3), k, lens)[0]
    np.testing.assert_allclose(hd["keypoints2d_smplx"][..., :2], expected.reshape(*points.shape[:2], 2), atol=0.01)
    np.testing.assert_allclose(hd["meta/fisheye_dist_coeffs"], np.tile(lens, (len(hd), 1)), rtol=1e-6)
    assert "meta/dist_coeffs" not in hd
    assert hd.validate() == []


def test_places_are_not_solved_from_distorted_images(hall: Path, models: BodyModels) -> None:
    camera = Camera(FOCAL, CENTRE, np.zeros(4), lens="fisheye")
    with pytest.raises(DataError, match="undistorted images only, and these have a fisheye lens"):
        done(in_camera(hall, camera=camera, solve_translation=True), hall, models)


def test_points_behind_the_camera_have_no_confidence(hall: Path, models: BodyModels) -> None:
    rows = in_camera(hall, depth=0.3, bbox=np.tile([10.0, 10, 100, 100], (2, 1)))
    hd = data_of(done(rows, hall, models))
    behind = hd["keypoints3d_smplx"][..., 2] <= 0
    assert behind.any()
    assert not behind.all()
    assert (hd["keypoints2d_smplx"][..., 2] == ~behind).all()
    assert (hd["quality/behind_camera"] == behind.sum(1)).all()


def in_camera(hall: Path, depth: float = 4.0, n: int = 2, **changes: Any) -> Instances:
    """Lying bodies whose axis is the optical one, parameters in the camera frame."""
    body = smplx_params(
        gender="male",
        betas=np.zeros((n, 10)),
        global_orient=np.tile([np.pi / 2, 0, 0], (n, 1)),
        body_pose=np.zeros((n, 63)),
        transl=np.tile([0.0, 0.0, depth], (n, 1)),
    )
    paths = [f"images/walk_0/{i:03d}.jpg" for i in range(n)]
    return replace(Instances(paths, (HEIGHT, WIDTH), Camera(FOCAL, CENTRE), body), **changes)


def test_hand_coefficients_are_expanded_with_the_model_of_the_rows_gender(hall: Path, models: BodyModels) -> None:
    rng = np.random.default_rng(3)
    coefficients = rng.normal(size=(2, 12))
    rows = in_camera(hall)
    assert rows.body is not None
    rows.body = replace(rows.body, gender=np.array(["male", "female"]), left_hand_pose=coefficients)
    hd = data_of(done(rows, hall, models))
    for row, gender in enumerate(("MALE", "FEMALE")):
        with np.load(models.folder / "smplx" / f"SMPLX_{gender}.npz", allow_pickle=False) as model:
            expected = sum(
                c * component for c, component in zip(coefficients[row], model["hands_componentsl"], strict=False)
            )
        np.testing.assert_allclose(hd["smplx/left_hand_pose"][row].ravel(), expected, atol=1e-5)


def test_a_child_is_placed_by_its_pelvis(hall: Path, models: BodyModels) -> None:
    rows = read(hall)
    assert rows.body is not None
    child = rows.body.with_(betas_extra=np.array([[0.8], [0], [0.5], [0]]))
    world = models.joints(child, np.float64)[:, 0]
    assert rows.world_to_camera is not None
    pelvis = world @ rows.world_to_camera.rotation.T + rows.world_to_camera.translation
    rows = replace(rows, body=child, keypoints3d=None, keypoints2d=None)
    hd = data_of(done(rows, hall, models))
    plain = child.with_(
        betas_extra=None,
        transl=hd["smplx/transl"].astype(float),
        global_orient=hd["smplx/global_orient"].astype(float),
    )
    np.testing.assert_allclose(models.joints(plain)[:, 0], pelvis, atol=1e-5)
    np.testing.assert_allclose(hd["keypoints3d_smplx"][:, 0, :3], pelvis, atol=1e-5)
    np.testing.assert_allclose(hd["smplx/betas_extra"].ravel(), [0.8, 0, 0.5, 0])
    assert hd["quality/world_to_camera_m"].max() < 1e-5


# -- boxes ------------------------------------------------------------------------------------------------


def test_boxes_around_joints_have_the_margins_of_the_format(
    hall: Path, models: BodyModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "read_header", lambda path: Header(1000, 1000))
    rows = read(hall)
    rows.camera = Camera(FOCAL, np.array([500.0, 500.0]))
    hd = data_of(done(rows, hall, models))
    points = hd["keypoints2d_smplx"][..., :2]
    low, high = points.min(1), points.max(1)
    np.testing.assert_allclose(hd["bbox_xywh"][:, 2:4], 1.2 * (high - low), rtol=1e-4)
    np.testing.assert_allclose(hd["bbox_xywh"][:, :2] + hd["bbox_xywh"][:, 2:4] / 2, (low + high) / 2, rtol=1e-4)
    hand = points[:, [*range(25, 40), *range(66, 71)]]
    np.testing.assert_allclose(hd["lhand_bbox_xywh"][:, 2:4], hand.max(1) - hand.min(1), rtol=1e-4)
    assert hd.misc["bbox_source"] == "keypoints2d_smplx"


def test_the_datasets_own_boxes_get_the_margin_only_once(hall: Path, models: BodyModels) -> None:
    own = np.tile([100.0, 50, 40, 60], (4, 1))
    plain = data_of(done(replace(read(hall), bbox=own), hall, models))
    padded = data_of(done(replace(read(hall), bbox=own, bbox_padded=True), hall, models))
    np.testing.assert_allclose(plain["bbox_xywh"], np.tile([96, 44, 48, 72, 1], (4, 1)), rtol=1e-6)
    np.testing.assert_allclose(padded["bbox_xywh"], np.tile([100, 50, 40, 60, 1], (4, 1)))
    assert plain.misc["bbox_source"] == "provided_by_dataset"


def test_rows_whose_box_is_outside_the_image_are_dropped_and_named(hall: Path, models: BodyModels) -> None:
    own = np.tile([100.0, 50, 40, 60], (4, 1))
    own[2] = [WIDTH + 5, 0, 10, 10]
    completed = done(replace(read(hall), bbox=own), hall, models)
    assert len(data_of(completed)) == 3
    assert completed.account.dropped["body box empty or outside the image"] == ["images/walk_0/002.jpg"]


def test_invalid_part_boxes_have_no_confidence(hall: Path, models: BodyModels) -> None:
    own = np.tile([100.0, 50, 40, 60, 1], (4, 1))
    own[1, 4] = 0
    own[2, :4] = np.nan
    hd = data_of(done(replace(read(hall), lhand_bbox=own), hall, models))
    assert hd["lhand_bbox_xywh"][:, 4].tolist() == [1, 0, 0, 1]
    assert not hd["lhand_bbox_xywh"][1:3].any()


# -- rows that cannot be used -------------------------------------------------------------------------------


def test_rows_that_are_not_numbers_are_dropped_by_reason(hall: Path, models: BodyModels) -> None:
    rows = read(hall)
    assert rows.body is not None
    pose = rows.body.body_pose.copy()
    pose[1, 3, 0] = np.nan
    rows.body = rows.body.with_(body_pose=pose)
    rotation = np.tile(rows.world_to_camera.rotation, (4, 1, 1))  # type: ignore[union-attr]
    rotation[2] = np.diag([1, 1, -1]) @ rotation[2]
    rows.world_to_camera = Rigid(rotation, rows.world_to_camera.translation)  # type: ignore[union-attr]
    completed = done(rows, hall, models)
    assert len(data_of(completed)) == 2
    assert completed.account.dropped["body parameters not finite"] == ["images/walk_0/001.jpg"]
    assert completed.account.dropped["camera pose is no rotation (scaled or mirrored)"] == ["images/walk_0/002.jpg"]
    assert completed.found == 5


def test_rows_with_numbers_beyond_what_they_mean_are_dropped_by_reason(hall: Path, models: BodyModels) -> None:
    rows = read(hall)
    assert rows.body is not None
    assert rows.camera is not None
    transl = rows.body.transl.copy()
    transl[0, 2] = 1e30
    focal = np.tile(rows.camera.focal, (4, 1))
    focal[1, 0] = 1e30
    rows.body, rows.camera = rows.body.with_(transl=transl), replace(rows.camera, focal=focal)
    rows.meta |= {"height_m": np.array([1.7, 1.7, np.inf, 1.7]), "mass_kg": np.array([3, 4, 5, np.nan])}
    kept = done(replace(rows, unknown=("mass_kg",)), hall, models)
    assert data_of(kept)["image_path"].tolist() == ["images/walk_0/003.jpg"]
    assert {reason: len(kept.account.dropped[reason]) for reason in kept.account.dropped if "beyond" in reason} == {
        "body parameters beyond any body": 1,
        "camera beyond any camera": 1,
        "meta/height_m beyond any value": 1,
    }
    assert done(rows, hall, models).account.dropped["meta/mass_kg not finite"] == ["images/walk_0/003.jpg"]


def test_points_beyond_any_image_lose_their_confidence(hall: Path, models: BodyModels) -> None:
    rows = read(hall)
    assert rows.keypoints2d is not None
    rows.keypoints2d.points[0, 5, 0], rows.keypoints2d.points[1, 6, 2] = 1e30, 1e30
    hd = data_of(done(rows, hall, models))
    assert not hd["keypoints2d_original"][0, 5].any()
    assert not hd["keypoints2d_original"][1, 6].any()


def test_points_that_are_not_numbers_lose_their_confidence(hall: Path, models: BodyModels) -> None:
    rows = read(hall)
    assert rows.keypoints2d is not None
    rows.keypoints2d.points[0, 5] = np.nan
    hd = data_of(done(rows, hall, models))
    assert not hd["keypoints2d_original"][0, 5].any()
    assert np.isfinite(hd["quality/reprojection_px"]).all()


def test_without_joints_rows_without_own_points_have_no_box(hall: Path) -> None:
    rows = read(hall)
    assert rows.keypoints2d is not None
    rows.keypoints2d.points[1, :, 2] = 0
    completed = done(rows, hall, None)
    assert data_of(completed)["bbox_xywh"][:, 4].tolist() == [1, 0, 1, 1]
    assert list(completed.account.dropped) == ["crowd"]
    assert [note for note in completed.account.notes if "rows without 2D points have no box" in note]


def test_rows_of_nothing_but_unseen_points_are_dropped(hall: Path) -> None:
    rows = replace(read(hall), body=None, keypoints3d=None, world_to_camera=None)
    assert rows.keypoints2d is not None
    rows.keypoints2d.points[1, :, 2] = 0
    completed = done(rows, hall, None)
    reason = "no joints of a body model and no 2D points to make a body box of"
    assert completed.account.dropped[reason] == [rows.image_path[1]]


def test_missing_images_are_dropped_or_with_strict_images_an_error(own_hall: Path, models: BodyModels) -> None:
    (own_hall / "images/walk_0/001.jpg").unlink()
    completed = done(read(own_hall), own_hall, models)
    assert completed.account.dropped["image missing"] == ["images/walk_0/001.jpg"]
    assert data_of(completed)["image_path"].tolist() == [f"images/walk_0/00{i}.jpg" for i in (0, 2, 3)]
    with pytest.raises(DataError, match=r"images are missing, the first is images/walk_0/001\.jpg"):
        done(read(own_hall), own_hall, models, strict_images=True)


def test_image_sizes_come_from_the_headers_and_damaged_images_are_dropped(own_hall: Path, models: BodyModels) -> None:
    (own_hall / "images/walk_0/003.jpg").write_bytes(b"not an image")
    completed = done(read(own_hall), own_hall, models)
    hd = data_of(completed)
    assert hd["meta/height"].tolist() == [HEIGHT] * 3
    assert hd["meta/width"].tolist() == [WIDTH] * 3
    assert completed.account.dropped["image cannot be read"] == ["images/walk_0/003.jpg"]


def test_rows_with_too_few_joints_in_the_image_are_dropped(hall: Path, models: BodyModels) -> None:
    rows = replace(read(hall), min_joints_inside=8)
    assert len(data_of(done(rows, hall, models))) == 4
    rows.camera = Camera(FOCAL, np.array([[161.0, 119], [161, 119], [161, 370], [161, 119]]))
    completed = done(rows, hall, models)
    reason = "fewer than 8 body joints in the image"
    assert completed.account.dropped[reason] == ["images/walk_0/002.jpg"]


def test_lengths_that_disagree_are_an_error(hall: Path, models: BodyModels) -> None:
    rows = read(hall)
    rows.meta["track_id"] = ["a"]
    with pytest.raises(DataError, match="4 rows, but meta/track_id has 1"):
        done(rows, hall, models)
    with pytest.raises(DataError, match="keypoints2d has shape"):
        done(replace(read(hall), keypoints2d=Keypoints(np.zeros((4, 17, 3)), "smplx")), hall, models)


# -- less than everything -----------------------------------------------------------------------------------


def test_without_body_models_camera_frame_parameters_are_kept(hall: Path) -> None:
    completed = done(in_camera(hall, bbox=np.tile([10.0, 10, 100, 100], (2, 1))), hall, None)
    hd = data_of(completed)
    assert "smplx/transl" in hd
    assert "keypoints3d_smplx" not in hd
    assert set(completed.account.absent) >= {"keypoints2d_smplx", "keypoints3d_smplx", "face_bbox_xywh"}
    assert hd.passport.body_model == "smplx"


def test_without_body_models_world_frame_parameters_are_not(hall: Path) -> None:
    completed = done(read(hall), hall, None)
    hd = data_of(completed)
    assert not any(name.startswith("smplx/") for name in hd.columns)
    assert "rest pelvis" in completed.account.absent["smplx/*"]
    assert hd.misc["bbox_source"] == "keypoints2d_original"
    assert hd.passport.body_model is None


def test_a_missing_gender_is_an_error_that_says_where_to_get_it(hall: Path, models: BodyModels, tmp_path: Path) -> None:
    (tmp_path / "smplx").mkdir()
    (tmp_path / "smplx/SMPLX_NEUTRAL.npz").symlink_to(models.folder / "smplx/SMPLX_NEUTRAL.npz")
    with pytest.raises(BodyModelError, match="smpl-x"):
        done(read(hall), hall, BodyModels(tmp_path))


def test_smpl_bodies_get_smpl_columns(hall: Path, models: BodyModels) -> None:
    body = smpl_params(
        gender="female",
        betas=np.ones((2, 10)),
        pose=np.tile([np.pi, 0, 0] + [0.1] * 69, (2, 1)),
        transl=np.tile([0, 0, 4], (2, 1)),
    )
    hd = data_of(done(in_camera(hall, body=body), hall, models))
    assert hd["smpl/body_pose"].shape == (2, 23, 3)
    np.testing.assert_allclose(hd["keypoints3d_smpl"][..., :3], models.joints(body), atol=1e-5)
    assert "flat_hand_mean" not in hd.misc
    assert hd.body_model == "smpl"


def test_meshes_without_parameters_give_joints_and_boxes(hall: Path, models: BodyModels) -> None:
    rows = in_camera(hall)
    body = rows.body
    assert isinstance(body, BodyParams)
    body = body.with_(global_orient=np.tile([np.pi, 0, 0], (2, 1)), gender=np.array(["neutral"] * 2))
    meshes = models.mesh(body)
    expected = models.joints(body)
    for given, known in ((models, range(127)), (None, range(55, 76))):
        hd = data_of(done(replace(rows, body=None, vertices=meshes), hall, given))
        seen = hd["keypoints2d_smplx"][..., 2] > 0
        assert seen.all(0).nonzero()[0].tolist() == list(known)
        exact = [j for j in known if j >= 55]
        np.testing.assert_allclose(hd["keypoints3d_smplx"][:, exact, :3], expected[:, exact], atol=1e-4)
        assert "smplx/betas" not in hd
        assert not hd["quality/behind_camera"].any()
        assert (hd["bbox_xywh"][:, 4] == 1).all()


def test_a_large_unit_gives_the_same_rows_in_blocks(
    hall: Path, models: BodyModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = data_of(done(read(hall), hall, models))
    monkeypatch.setattr(completion, "BLOCK", 3)
    cut = data_of(done(read(hall), hall, models))
    assert cut.columns == whole.columns
    np.testing.assert_allclose(cut["keypoints3d_smplx"], whole["keypoints3d_smplx"], atol=1e-5)
    assert cut["image_path"].tolist() == whole["image_path"].tolist()


def test_what_the_numbers_mean_is_written_down(hall: Path, models: BodyModels) -> None:
    hd = data_of(done(read(hall), hall, models))
    passport = hd.passport
    assert (passport.body_model, passport.body_model_version, passport.num_betas) == ("smplx", "stand-in", 10)
    assert (passport.gender, passport.flat_hand_mean, passport.focal) == ("per-instance", False, "image")
    assert (passport.dataset, passport.split) == ("hall", "train")
    assert hd.misc["flat_hand_mean"] is False
    assert hd.misc["fps"] == 30
    assert all(hd[name].dtype == np.float32 for name in hd.columns if name.startswith(("smplx/", "keypoints")))
    np.testing.assert_allclose(hd["meta/focal_length"], np.tile(FOCAL, (4, 1)))


def test_upright_people_are_upright(hall: Path, models: BodyModels) -> None:
    hd = data_of(done(read(hall), hall, models))
    up = Rotation.from_rotvec(hd["smplx/global_orient"]).apply([0, 1, 0])[:, 1]
    np.testing.assert_allclose(hd["quality/up_y"], up, atol=1e-5)
    assert (up < -0.9).all()


def test_odd_rows_that_contradict_the_format_are_dropped(hall: Path, models: BodyModels) -> None:
    rows = in_camera(hall, n=4, bbox=np.tile([10.0, 10, 100, 100], (4, 1)))
    assert rows.body is not None
    transl = np.array(rows.body.transl)
    transl[2] = 5000
    completed = done(replace(rows, body=rows.body.with_(transl=transl)), hall, models)
    assert len(data_of(completed)) == 3
    (reason,) = completed.account.dropped
    assert "not metres" in reason
    assert completed.account.dropped[reason] == ["images/walk_0/002.jpg"]


def test_units_that_contradict_the_format_are_refused(hall: Path, models: BodyModels) -> None:
    rows = in_camera(hall, n=4, bbox=np.tile([10.0, 10, 100, 100], (4, 1)))
    assert rows.body is not None
    degrees = rows.body.with_(body_pose=rows.body.body_pose + 90)
    with pytest.raises(DataError, match=r"contradicts the format: .*degrees"):
        done(replace(rows, body=degrees), hall, models)
