from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from ehps.body.ply import read_vertices
from ehps.converters.base import Instances
from ehps.converters.datasets.ehf import EHF, scanner_to_camera
from ehps.converters.pipeline.report import Report
from ehps.demo.raw.ehf import write_ply
from ehps.demo.raw.stage import Truth
from ehps.errors import BodyModelError, DataError
from ehps.humandata import HumanData
from ehps.humandata.keypoints import point_names
from tests.raw import faults
from tests.raw.checks import (
    assert_boxes_hold_the_visible_joints,
    assert_joints_are_the_truth,
    truncate,
)
from tests.raw.ehf import FRAMES, UNSEEN, detections, write_boxes, write_fixture
from tests.raw.trees import runner

PICKED = slice(55, 127)  # joints that are points of the mesh: exact without parameters
CHAIN = slice(0, 55)  # regressed from the posed mesh: near
ROTATION = [  # printed with the set, apart from the rotation vector that the converter has
    [0.99924470, -0.00488005, 0.03855169],
    [-0.01071995, -0.98820424, 0.15276562],
    [0.03735144, -0.15306349, -0.98751020],
]

Made = tuple[Path, Truth]
Pair = tuple[HumanData, Report]

DATASET = "ehf"
run = runner(DATASET)


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory, body_models: Path) -> Made:
    """The zip alone. Read-only."""
    root = tmp_path_factory.mktemp("raw") / "EHF"
    return root, write_fixture(root, body_models, np.random.default_rng(1))


@pytest.fixture(scope="module")
def with_fits(tmp_path_factory: pytest.TempPathFactory, body_models: Path) -> Made:
    """The same with parameters fitted to the meshes. Read-only."""
    root = tmp_path_factory.mktemp("raw") / "EHF"
    return root, write_fixture(root, body_models, np.random.default_rng(1), fitted=True)


@pytest.fixture(scope="module")
def meshes(release: Made, tmp_path_factory: pytest.TempPathFactory, body_models: Path) -> Pair:
    out = tmp_path_factory.mktemp("out") / "val.h5"
    report = run(release[0], out, body_models)
    return HumanData.open(out), report


@pytest.fixture(scope="module")
def fits(with_fits: Made, tmp_path_factory: pytest.TempPathFactory, body_models: Path) -> Pair:
    out = tmp_path_factory.mktemp("out") / "val.h5"
    report = run(with_fits[0], out, body_models)
    return HumanData.open(out), report


@pytest.fixture
def own(release: Made, tmp_path: Path) -> Path:
    """A copy for one test alone."""
    return Path(shutil.copytree(release[0], tmp_path / "EHF"))


@pytest.fixture
def own_fits(with_fits: Made, tmp_path: Path) -> Path:
    return Path(shutil.copytree(with_fits[0], tmp_path / "EHF"))


# -- people --------------------------------------------------------------------------------------------------


def test_joints_are_those_of_the_fitted_parameters(fits: Pair, with_fits: Made, body_models: Path) -> None:
    hd, report = fits
    assert_joints_are_the_truth(hd, with_fits[1], body_models)
    assert hd["smplx/body_pose"].shape == (3, 21, 3)
    assert hd["smplx/jaw_pose"].any(axis=1).all()
    assert hd["smplx/expression"].any(axis=1).all()
    assert not hd["smplx/leye_pose"].any()
    assert report.notes == []
    assert hd.misc["smplx_source"] == "fitted to the meshes"
    assert (hd.passport.body_model, hd.passport.gender, hd.passport.flat_hand_mean) == ("smplx", "neutral", False)


def test_joints_are_those_of_the_meshes_where_there_are_no_parameters(meshes: Pair, release: Made) -> None:
    hd, report = meshes
    truth = release[1]
    points = hd["keypoints3d_smplx"]
    np.testing.assert_allclose(points[:, PICKED, :3], truth.joints[:, PICKED], atol=1e-5)
    assert np.linalg.norm(points[:, CHAIN, :3] - truth.joints[:, CHAIN], axis=2).max() < 0.03
    np.testing.assert_allclose(hd["keypoints2d_smplx"][:, PICKED, :2], truth.points[:, PICKED], atol=0.1)
    known = np.arange(144) < 127  # the contour of the face is chosen by the pose, which nobody knows
    assert ((points[..., 3] > 0) == known).all()
    assert ((hd["keypoints2d_smplx"][..., 2] > 0) == known).all()
    assert not [name for name in hd.columns if name.startswith("smplx/")]
    assert report.notes == ["the release holds meshes, no parameters: smplx/* columns are absent"]
    assert hd.misc["smplx_source"] == "none"
    assert hd.passport.body_model is None


def test_the_mesh_of_every_row_is_named(meshes: Pair, release: Made) -> None:
    hd, _ = meshes
    assert hd["vertices3d_path"].tolist() == [f"{frame}_align.ply" for frame in FRAMES]
    for row, name in enumerate(hd["vertices3d_path"]):
        moved = read_vertices(release[0] / name, 10475) @ np.array(ROTATION).T + scanner_to_camera().translation
        np.testing.assert_allclose(hd["keypoints3d_smplx"][row, 55, :3], moved[9120], atol=1e-5)  # nose


@pytest.mark.parametrize("pair", ["meshes", "fits"])
def test_rows_are_the_frames_in_the_order_of_their_numbers(pair: str, request: pytest.FixtureRequest) -> None:
    hd, report = request.getfixturevalue(pair)
    assert hd["image_path"].tolist() == ["01_img.jpg", "02_img.jpg", "100_img.jpg"]  # jpg and png are one image
    assert hd["meta/frame_id"].tolist() == [1, 2, 100]
    assert report.dropped == {"no registered mesh": ["03"]}
    assert (report.found, report.written, report.published) == (4, 3, 100)
    assert report.problems == []
    assert report.quality["rows_with_joints_behind_camera"] == 0
    assert hd.validate() == []


# -- points, boxes, facts ---------------------------------------------------------------------------------------


def test_detections_keep_their_confidence(meshes: Pair, release: Made) -> None:
    hd, _ = meshes
    own = hd["keypoints2d_original"]
    for row, frame in enumerate(FRAMES[:2]):
        np.testing.assert_allclose(own[row], detections(release[0], frame), rtol=1e-6)
    assert not own[0, 46:67].any()  # the right hand
    assert (own[0, 25:46, 2] > 0).all()
    assert not own[1, UNSEEN].any()
    assert np.count_nonzero(own[1, :25, 2]) == 23
    assert not own[2].any()  # no json


def test_detections_lie_on_the_projected_joints(fits: Pair) -> None:
    hd, _ = fits
    own, order = hd["keypoints2d_original"], hd.keypoint_names["keypoints2d_original"]
    ours = hd.keypoints("keypoints2d_smplx", order)
    seen = (own[..., 2] > 0) & (ours[..., 2] > 0)
    assert seen.sum(axis=1)[:2].min() > 90
    seen[:, 67:84] = False  # the contour of the face, which was detected before the body was moved to the scanner
    assert np.linalg.norm(own[..., :2] - ours[..., :2], axis=2)[seen].max() < 1


def test_eyebrows_are_found_by_name(meshes: Pair, release: Made) -> None:
    hd, _ = meshes
    brows = hd.keypoints("keypoints2d_original", "human_data")[:2, 76:86]
    assert (brows[..., 2] > 0.5).all()
    raw = detections(release[0], "01")[84:94]  # right eyebrow from its outer end, then the left from its inner
    order = point_names("human_data")[76:86]
    expected = [f"right_eyebrow_{k}" for k in range(1, 6)] + [f"left_eyebrow_{k}" for k in range(5, 0, -1)]
    np.testing.assert_allclose(brows[0], raw[[expected.index(name) for name in order]], rtol=1e-6)


@pytest.mark.parametrize("pair", ["meshes", "fits"])
def test_boxes_hold_the_person_and_the_parts(pair: str, request: pytest.FixtureRequest) -> None:
    hd, _ = request.getfixturevalue(pair)
    assert_boxes_hold_the_visible_joints(hd)
    tips = {"lhand_bbox_xywh": slice(66, 71), "rhand_bbox_xywh": slice(71, 76), "face_bbox_xywh": slice(76, 127)}
    for column, joints in tips.items():
        x0, y0, w, h, confidence = hd[column].astype(float).T[:, :, None]
        x, y = np.moveaxis(hd["keypoints2d_smplx"][:, joints, :2].astype(float), 2, 0)
        assert (confidence == 1).all()
        assert ((x >= x0 - 0.1) & (x <= x0 + w + 0.1) & (y >= y0 - 0.1) & (y <= y0 + h + 0.1)).all()
        assert (np.maximum(w, h) < 0.5 * hd["bbox_xywh"][:, 3:4]).all()
    assert hd.misc["bbox_source"] == "keypoints2d_smplx"


def test_boxes_of_the_published_evaluations_are_taken_when_there(own: Path, tmp_path: Path) -> None:
    boxes = write_boxes(own)
    run(own, tmp_path / "x.h5", None)
    hd = HumanData.open(tmp_path / "x.h5")
    for row, frame in enumerate((1, 2, 100)):
        np.testing.assert_allclose(hd["bbox_xywh"][row], [500 + frame - 40, 10, 480, 1080, 1])
        for column, key in (("face", "face_bbox"), ("lhand", "lefthand_bbox"), ("rhand", "righthand_bbox")):
            np.testing.assert_allclose(hd[f"{column}_bbox_xywh"][row], [*boxes[key], 1])
    assert hd.misc["bbox_source"] == "provided_by_dataset"
    write_boxes(own, without="02")
    with pytest.raises(DataError, match=r"no boxes of frame 02.*EHF\.json"):
        run(own, tmp_path / "y.h5", None)


def test_facts_of_the_rows_and_of_the_file(fits: Pair) -> None:
    hd, _ = fits
    assert np.stack([hd["meta/height"], hd["meta/width"]], axis=1).tolist() == [[1200, 1600]] * 3
    np.testing.assert_allclose(hd["meta/focal_length"], [[1498.22426237] * 2] * 3)
    np.testing.assert_allclose(hd["meta/principal_point"], [[790.263706, 578.90334]] * 3)
    assert hd["meta/gender"].tolist() == ["neutral"] * 3
    expected = {
        "flat_hand_mean": False,
        "cam_param_type": "perspective",
        "cam_param_source": "original",
        "kps3d_root_aligned": False,
        "image_shape": [1200, 1600],
        "bbox_facehand_scale": 1.0,
    }
    assert {key: hd.misc[key] for key in expected} == expected
    np.testing.assert_allclose(hd.misc["focal_length"], [1498.22426237] * 2)
    np.testing.assert_allclose(scanner_to_camera().rotation, ROTATION, atol=1e-6)


# -- releases -----------------------------------------------------------------------------------------------------


def test_val_and_test_are_names_of_the_one_set(release: Made, meshes: Pair, tmp_path: Path, body_models: Path) -> None:
    run(release[0], tmp_path / "test.h5", body_models, split="test")
    hd = HumanData.open(tmp_path / "test.h5")
    assert hd["image_path"].tolist() == meshes[0]["image_path"].tolist()
    assert (hd.passport.split, meshes[0].passport.split) == ("test", "val")


def test_png_is_taken_where_there_is_no_jpg(own: Path, tmp_path: Path) -> None:
    for path in own.glob("[0-9]*_img.jpg"):
        path.unlink()
    run(own, tmp_path / "x.h5", None)
    assert HumanData.open(tmp_path / "x.h5")["image_path"].tolist() == [f"{frame}_img.png" for frame in FRAMES]


def test_a_frame_without_its_image_or_mesh_is_left_out_and_counted(own: Path, tmp_path: Path) -> None:
    (own / "01_img.jpg").unlink()
    (own / "02_align.ply").unlink()
    report = run(own, tmp_path / "x.h5", None)
    assert report.dropped == {"no registered mesh": ["02", "03"], "image missing": ["01_img.jpg"]}
    with pytest.raises(DataError, match="01_img"):
        run(own, tmp_path / "y.h5", None, strict_images=True)


# -- without everything, and bad input ------------------------------------------------------------------------


def test_without_body_models_points_of_the_mesh_are_still_known(release: Made, meshes: Pair, tmp_path: Path) -> None:
    report = run(release[0], tmp_path / "x.h5", None)
    hd = HumanData.open(tmp_path / "x.h5")
    known = np.isin(np.arange(144), np.arange(55, 76))
    assert ((hd["keypoints3d_smplx"][..., 3] > 0) == known).all()
    np.testing.assert_allclose(hd["keypoints3d_smplx"][:, known, :3], release[1].joints[:, known], atol=1e-5)
    assert report.problems == []
    assert report.quality["rows_with_joints_behind_camera"] == 0


def test_without_body_models_fits_cannot_be_moved(with_fits: Made, tmp_path: Path) -> None:
    report = run(with_fits[0], tmp_path / "x.h5", None)
    hd = HumanData.open(tmp_path / "x.h5")
    assert "rest pelvis" in report.absent["smplx/*"]
    assert not [name for name in hd.columns if name.startswith("smplx/")]
    assert hd.misc["bbox_source"] == "keypoints2d_original"


def test_a_folder_without_the_neutral_model_is_an_error_that_names_it(
    with_fits: Made, tmp_path: Path, body_models: Path
) -> None:
    (tmp_path / "smplx").mkdir()
    (tmp_path / "smplx/SMPLX_MALE.npz").symlink_to(body_models / "smplx/SMPLX_MALE.npz")
    with pytest.raises(BodyModelError, match=r"(?i)neutral"):
        run(with_fits[0], tmp_path / "x.h5", tmp_path)


def test_a_scan_in_place_of_the_mesh_is_refused(own: Path, tmp_path: Path) -> None:
    vertices = np.random.default_rng(0).normal(size=(40, 3))
    write_ply(own / "02_align.ply", vertices, np.array([[0, 1, 2]]))
    with pytest.raises(DataError, match=r"40 vertices where 10475 are expected .*not the raw scan.*02_align\.ply"):
        run(own, tmp_path / "x.h5", None)


@pytest.mark.parametrize("name", ["02_align.ply", "02_2Djnt.json", "fitted_params/02_align.npz"])
def test_a_truncated_file_is_named(own_fits: Path, tmp_path: Path, body_models: Path, name: str) -> None:
    truncate(own_fits / name)
    with pytest.raises(DataError, match=name.replace(".", r"\.")):
        run(own_fits, tmp_path / "x.h5", body_models)


def test_a_frame_without_its_fit_is_named(own_fits: Path, tmp_path: Path, body_models: Path) -> None:
    (own_fits / "fitted_params/02_align.npz").unlink()
    with pytest.raises(DataError, match=r"fitted_params/02_align\.npz"):
        run(own_fits, tmp_path / "x.h5", body_models)


def test_a_fit_that_is_no_number_is_dropped(own_fits: Path, tmp_path: Path, body_models: Path) -> None:
    path = own_fits / "fitted_params/02_align.npz"
    with np.load(path) as fit:
        content = dict(fit)
    content["transl"][0, 1] = np.nan
    np.savez(path, **content)
    report = run(own_fits, tmp_path / "x.h5", body_models)
    assert report.dropped["body parameters not finite"] == ["02_img.jpg"]
    assert report.written == 2


def test_a_mesh_that_is_no_number_is_dropped(own: Path, tmp_path: Path, body_models: Path) -> None:
    vertices = read_vertices(own / "02_align.ply")
    vertices[:] = np.nan
    write_ply(own / "02_align.ply", vertices, np.array([[0, 1, 2]]))
    report = run(own, tmp_path / "x.h5", body_models)
    assert report.written == 2
    assert ["02_img.jpg"] in report.dropped.values()
    assert report.problems == []


# -- planted faults ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (faults.sides_swapped, "2D points"),
        (faults.pelvis_forgotten, "2D points"),
        (faults.other_gender, "3D points"),
        (faults.hands_absolute, "3D points"),
        (faults.neighbours, "3D points"),
    ],
)
def test_quality_exposes_in_fits(
    with_fits: Made, tmp_path: Path, body_models: Path, fault: faults.Fault, words: str
) -> None:
    report = run(with_fits[0], tmp_path / "x.h5", body_models, dataset=faults.faulty(EHF, fault))
    assert words in " ".join(report.problems)


def meshes_of_the_neighbours(rows: Instances) -> None:
    assert rows.vertices is not None
    rows.vertices = np.roll(rows.vertices, 1, axis=0)


def meshes_mirrored(rows: Instances) -> None:
    assert rows.vertices is not None
    rows.vertices = rows.vertices * [-1, 1, 1]


def meshes_only_rotated(rows: Instances) -> None:
    assert rows.vertices is not None
    rows.vertices = rows.vertices - scanner_to_camera().translation + [0, 0, 2.371]


@pytest.mark.parametrize("fault", [meshes_of_the_neighbours, meshes_mirrored, meshes_only_rotated])
def test_quality_exposes_in_meshes(release: Made, tmp_path: Path, body_models: Path, fault: faults.Fault) -> None:
    report = run(release[0], tmp_path / "x.h5", body_models, dataset=faults.faulty(EHF, fault))
    assert "2D points" in " ".join(report.problems)


def test_millimetres_are_refused(release: Made, with_fits: Made, tmp_path: Path, body_models: Path) -> None:
    def millimetres(rows: Instances) -> None:
        assert rows.vertices is not None
        rows.vertices = rows.vertices * 1000

    for root, fault in ((release[0], millimetres), (with_fits[0], faults.millimetres)):
        with pytest.raises(DataError, match="not metres"):
            run(root, tmp_path / "x.h5", body_models, dataset=faults.faulty(EHF, fault))
