from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from ehps.converters.base import Instances
from ehps.converters.datasets.prox import PROX
from ehps.converters.pipeline.report import Report
from ehps.demo.raw.stage import hand_components
from ehps.errors import DataError, UsageError
from ehps.humandata import HumanData
from ehps.humandata.keypoints import point_names
from tests.raw import faults
from tests.raw.checks import (
    assert_boxes_hold_the_visible_joints,
    assert_joints_are_the_truth,
    edited,
    nearest,
    truncate,
)
from tests.raw.prox import (
    CENTRE,
    FOCAL,
    FRAMES,
    GENDER,
    HEIGHT,
    MAN,
    ROWS,
    SMPLX,
    WIDTH,
    WOMAN,
    WRISTS,
    YOUNG,
    Tree,
    edit_fit,
    frame,
    image_file,
    points_path,
    write_points,
)
from tests.raw.trees import Raw, runner

Array = npt.NDArray[Any]
Pair = tuple[HumanData, Report]

DATASET = "prox"
run = runner(DATASET)


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the mirrored copies that ``converted`` writes."""
    return tmp_path_factory.mktemp("copies")


@pytest.fixture(scope="module")
def converted(tree: Tree, copies: Path, tmp_path_factory: pytest.TempPathFactory, body_models: Path) -> Pair:
    out = tmp_path_factory.mktemp("out") / "train.h5"
    report = run(tree.root, out, body_models, frames=copies)
    return HumanData.open(out), report


# -- people --------------------------------------------------------------------------------------------------


def test_joints_are_those_of_the_fits_in_the_kinects_frame(tree: Tree, converted: Pair, body_models: Path) -> None:
    hd, _ = converted
    assert_joints_are_the_truth(hd, tree.truth, body_models)


def test_rows_are_recordings_and_frames_in_order(tree: Tree, converted: Pair) -> None:
    hd, _ = converted
    found = zip(hd["meta/sequence_name"].tolist(), hd["meta/frame_id"].tolist(), strict=True)
    assert list(found) == [(name, frame(k)) for name, k in ROWS]
    assert nearest(hd, tree.truth) == list(range(6))
    assert hd["image_path"][1] == f"mirrored/recordings/{WOMAN}/Color/s001_frame_00001__00.00.00.033.jpg"
    assert hd["meta/scene"].tolist() == ["N0SittingBooth"] + ["N0Sofa"] * 2 + ["N3OpenArea"] * 3
    assert hd["meta/subject"].tolist() == ["00159"] + ["03403"] * 2 + ["00157"] * 3


def test_the_gender_is_that_of_the_subject(converted: Pair) -> None:
    hd, _ = converted
    assert hd["meta/gender"].tolist() == [GENDER[name] for name, _ in ROWS]


WOMEN = ("00159", "00162", "03403", "03452")


@pytest.mark.parametrize(
    ("subject", "gender"), [*((subject, "female") for subject in WOMEN), ("00169", "male"), ("03301", "male")]
)
def test_four_subjects_are_women(own: Path, subject: str, gender: str) -> None:
    name = f"MPH112_{subject}_01"
    for folder in ("recordings", "PROXD"):
        (own / folder / MAN).rename(own / folder / name)
    converter = PROX(own, "train")
    (unit,) = (unit for unit in converter.units() if unit.name == name)
    body = converter.read(unit).body
    assert body is not None
    assert set(body.gender) == {gender}


def test_parameters_are_the_raw_ones_unchanged(tree: Tree, converted: Pair, body_models: Path) -> None:
    hd, _ = converted
    for row, (name, k) in enumerate(ROWS):
        params = tree.people[name][k : k + 1].arrays()
        for key in (
            "betas",
            "transl",
            "global_orient",
            "body_pose",
            "jaw_pose",
            "leye_pose",
            "reye_pose",
            "expression",
        ):
            np.testing.assert_allclose(hd[f"smplx/{key}"][row].ravel(), params[key].ravel(), rtol=1e-5, atol=1e-6)
        for side, components in hand_components(body_models, GENDER[name]).items():
            wanted = tree.coefficients[name][side][k] @ components[:12]
            np.testing.assert_allclose(hd[f"smplx/{side}_hand_pose"][row].ravel(), wanted, atol=1e-5)
            assert np.abs(wanted).max() > 0.05
    assert hd.passport.flat_hand_mean is False


# -- the mirror ------------------------------------------------------------------------------------------------


def pixels(path: Path) -> Array:
    """(H, W, 3) int."""
    image = cv2.imread(str(path))
    assert image is not None
    return image.astype(int)


def colour_at(image: Array, point: Array) -> str:
    """Which wrist's disc is at a pixel."""
    x, y = np.rint(point[:2]).astype(int)
    distance = {name: np.abs(image[y, x] - colour).max() for name, colour in WRISTS.items()}
    best = min(distance, key=lambda name: distance[name])
    return best if distance[best] < 60 else "nothing"


def test_projected_wrists_are_where_the_copy_shows_them(tree: Tree, converted: Pair, copies: Path) -> None:
    hd, _ = converted
    for row, (name, k) in enumerate(ROWS):
        copy = pixels(copies / hd["image_path"][row])
        released = pixels(image_file(tree.root, name, k))
        for wrist in WRISTS:
            point = hd["keypoints2d_smplx"][row, SMPLX.index(wrist), :2]
            assert colour_at(copy, point) == wrist
            assert colour_at(released, point) == "nothing"
            assert colour_at(released, np.array([WIDTH - 1 - point[0], point[1]])) == wrist


def test_copies_have_column_w_minus_1_minus_x(tree: Tree, converted: Pair, copies: Path) -> None:
    hd, _ = converted
    copy = pixels(copies / hd["image_path"][3])[:64]
    released = pixels(image_file(tree.root, MAN, 0))[:64]
    misses = {shift: np.abs(copy - np.roll(released[:, ::-1], shift, axis=1)).mean() for shift in (-1, 0, 1)}
    assert misses[0] < 1.5
    assert min(misses[-1], misses[1]) > 3


def test_copies_are_made_once_and_never_of_copies(
    own: Path, tmp_path: Path, converted: Pair, copies: Path, body_models: Path
) -> None:
    hd, _ = converted
    before = {path: path.read_bytes() for path in copies.rglob("*.jpg")}
    assert len(before) == 7  # of the fit that is no number too
    run(own, tmp_path / "x.h5", body_models, frames=copies)
    assert {path: path.read_bytes() for path in copies.rglob("*.jpg")} == before
    again = shutil.copytree(copies / "mirrored", tmp_path / "again")
    for name in ("PROXD", "calibration"):
        (again / name).symlink_to(own / name)
    with pytest.raises(DataError, match="mirrored already"):
        run(again, tmp_path / "y.h5", body_models, frames=tmp_path / "twice")
    run(again, tmp_path / "y.h5", body_models, options={"images": "mirrored"})
    found = HumanData.open(tmp_path / "y.h5")
    assert found["image_path"].tolist() == [p.removeprefix("mirrored/") for p in hd["image_path"].tolist()]
    np.testing.assert_allclose(found["keypoints2d_smplx"], hd["keypoints2d_smplx"])


def test_without_frames_rows_lead_to_copies_that_are_yet_to_be_made(
    tree: Tree, converted: Pair, tmp_path: Path, body_models: Path
) -> None:
    report = run(tree.root, tmp_path / "x.h5", body_models)
    hd = HumanData.open(tmp_path / "x.h5")
    assert hd["image_path"].tolist() == converted[0]["image_path"].tolist()
    assert any("--frames" in note for note in report.notes)
    assert {reason: len(v) for reason, v in report.dropped.items()} == tree.dropped


def test_an_image_that_cannot_be_read_has_no_copy(own: Path, tmp_path: Path, body_models: Path) -> None:
    image_file(own, MAN, 2).write_bytes(b"no jpg")
    report = run(own, tmp_path / "x.h5", body_models, frames=tmp_path / "copies")
    assert report.written == 5
    assert len(report.dropped["image missing"]) == 2


# -- points, boxes, facts ---------------------------------------------------------------------------------------


def test_detections_lie_on_the_joints_whichever_image_they_are_of(tree: Tree, converted: Pair) -> None:
    hd, report = converted
    own = hd["keypoints2d_original"]
    names = hd.keypoint_names["keypoints2d_original"]
    assert names[:25] == point_names("openpose_25")
    assert names[8] == "pelvis_openpose"  # the middle of the hips, not SMPL's pelvis
    wanted = np.stack([tree.detections[name][k] for name, k in ROWS])
    np.testing.assert_allclose(own, np.delete(wanted, [25, 46], axis=1), atol=1e-3)
    for point in ("right_elbow", "left_knee", "nose", "left_bigtoe"):
        ours = hd["keypoints2d_smplx"][:, SMPLX.index(point), :2]
        theirs = own[:, names.index(f"{point}_openpose")]
        assert (theirs[:, 2] > 0.5).all()
        assert np.linalg.norm(theirs[:, :2] - ours, axis=1).max() < 1
    assert [note for note in report.notes if "mirrored back" in note] == [
        f"{WOMAN}: 2D points are those of mirrored images, and were mirrored back"
    ]
    assert report.quality["share_better_swapped"] == 0


def test_frames_without_detections_are_kept(own: Path, tmp_path: Path, body_models: Path) -> None:
    write_points(own, MAN, 2, [])
    points_path(own, MAN, 3).unlink()
    report = run(own, tmp_path / "x.h5", body_models)
    hd = HumanData.open(tmp_path / "x.h5")
    assert report.written == 6
    assert hd["keypoints2d_original"].any(axis=(1, 2)).tolist() == [True] * 4 + [False] * 2
    assert np.isnan(hd["quality/reprojection_px"][4:]).all()


def test_without_the_keypoints_there_are_no_original_points(
    own: Path, tree: Tree, tmp_path: Path, body_models: Path
) -> None:
    shutil.rmtree(own / "keypoints")
    report = run(own, tmp_path / "x.h5", body_models)
    hd = HumanData.open(tmp_path / "x.h5")
    assert "keypoints2d_original" not in hd.columns
    assert report.problems == []
    assert_joints_are_the_truth(hd, tree.truth, body_models)


def test_boxes_hold_the_people(converted: Pair) -> None:
    assert_boxes_hold_the_visible_joints(converted[0])


def test_facts_of_the_rows_and_of_the_file(converted: Pair) -> None:
    hd, report = converted
    assert set(hd["meta/height"]) == {HEIGHT}
    assert set(hd["meta/width"]) == {WIDTH}
    np.testing.assert_allclose(hd["meta/focal_length"], np.tile(FOCAL, (6, 1)), rtol=1e-6)
    np.testing.assert_allclose(hd["meta/principal_point"], np.tile(CENTRE, (6, 1)), rtol=1e-6)
    expected = {
        "smplx_source": "original",
        "bbox_source": "keypoints2d_smplx",
        "cam_param_type": "perspective",
        "flat_hand_mean": False,
        "kps3d_root_aligned": False,
        "image_shape": [1080, 1920],
        "image_flip": "horizontal",
        "keypoints2d_source": "OpenPose: body as openpose_25, hands and face as openpose_137",
    }
    assert {key: hd.misc[key] for key in expected} == expected
    passport = hd.passport
    assert (passport.dataset, passport.split, passport.body_model) == ("prox", "train", "smplx")
    assert (passport.gender, passport.num_betas) == ("per-instance", 10)
    assert hd.validate() == []
    assert report.published == 88_484
    assert report.problems == []


def test_what_is_left_out_is_counted_by_reason(tree: Tree, converted: Pair) -> None:
    _, report = converted
    assert {reason: len(names) for reason, names in report.dropped.items()} == tree.dropped
    assert report.dropped["no SMPL-X fit"] == [f"recordings/{MAN}/Color/{frame(1)}.jpg"]
    assert report.dropped["image missing"] == [f"recordings/{YOUNG}/Color/{frame(1)}.jpg"]
    assert (report.found, report.written) == (sum(FRAMES.values()), 6)


# -- options ------------------------------------------------------------------------------------------------------


def test_lemos_refits_are_an_option(tree: Tree, tmp_path: Path, body_models: Path) -> None:
    report = run(tree.root, tmp_path / "x.h5", body_models, options={"fits": "lemo"})
    hd = HumanData.open(tmp_path / "x.h5")
    assert hd["meta/sequence_name"].tolist() == [MAN] * 3
    np.testing.assert_allclose(hd["smplx/betas"], tree.people[MAN].betas[[0, 2, 3]] * 0.5, rtol=1e-5)
    assert hd.misc["smplx_source"] == "LEMO"
    assert report.published is None


def test_recordings_can_be_left_out(tree: Tree, tmp_path: Path, body_models: Path) -> None:
    run(tree.root, tmp_path / "x.h5", body_models, options={"exclude": f"{MAN}, {YOUNG}"})
    assert set(HumanData.open(tmp_path / "x.h5")["meta/sequence_name"].tolist()) == {WOMAN}
    with pytest.raises(UsageError, match="fits=mosh"):
        run(tree.root, tmp_path / "x.h5", body_models, options={"fits": "mosh"})


# -- without everything, and bad input ------------------------------------------------------------------------


def test_without_body_models_there_are_no_joints(tree: Tree, raw: Raw) -> None:
    hd, report = raw.without_models()
    assert {"keypoints2d_smplx", "keypoints3d_smplx", "smplx/left_hand_pose"} <= set(report.absent)
    assert {"smplx/body_pose", "smplx/transl", "keypoints2d_original"} <= set(hd.columns)
    assert hd.misc["bbox_source"] == "keypoints2d_original"
    assert hd.validate() == []


@pytest.mark.parametrize("name", ["left_hand_pose", "transl"])
def test_a_fit_that_lacks_a_parameter_is_named(own: Path, tmp_path: Path, name: str) -> None:
    edit_fit(own, WOMAN, 2, lambda values: values.pop(name))
    (lost,) = run(own, tmp_path / "x.h5", None).dropped["SMPL-X fit cannot be read"]
    assert f"/000.pkl: has no {name}" in lost
    edit_fit(own, WOMAN, 2, lambda values: values.update({name: np.zeros((1, 6))}))
    (lost,) = run(own, tmp_path / "x.h5", None).dropped["SMPL-X fit cannot be read"]
    assert "/000.pkl: " in lost
    assert "6 numbers" in lost


def test_a_calibration_without_its_numbers_is_named(own: Path, tmp_path: Path) -> None:
    with edited(own / "calibration/Color.json") as content:
        del content["f"]
    with pytest.raises(DataError, match="has no f"):
        run(own, tmp_path / "x.h5", None)
    truncate(own / "calibration/Color.json")
    with pytest.raises(DataError, match=r"Color\.json"):
        run(own, tmp_path / "x.h5", None)


def test_the_camera_of_the_file_is_used(own: Path, tmp_path: Path, body_models: Path) -> None:
    with edited(own / "calibration/Color.json") as content:
        content["c"] = [900.0, 500.0]
    run(own, tmp_path / "x.h5", body_models)
    hd = HumanData.open(tmp_path / "x.h5")
    np.testing.assert_allclose(hd["meta/principal_point"][0], [900, 500])


# -- planted faults ---------------------------------------------------------------------------------------------


def mirrored_places(rows: Instances) -> None:
    """Everybody where the released image shows them."""
    assert rows.body is not None
    rows.body = rows.body.with_(transl=rows.body.transl * [-1, 1, 1])


@pytest.mark.parametrize(
    ("fault", "words"),
    [(mirrored_places, "2D points")],
)
def test_quality_exposes(tree: Tree, tmp_path: Path, body_models: Path, fault: faults.Fault, words: str) -> None:
    report = run(tree.root, tmp_path / "x.h5", body_models, dataset=faults.faulty(PROX, fault))
    assert words in " ".join(report.problems)


@pytest.mark.parametrize("fault", [faults.hands_absolute, faults.other_gender])
def test_wrong_hands_and_the_other_gender_are_away_from_the_truth(
    tree: Tree, tmp_path: Path, body_models: Path, fault: faults.Fault
) -> None:
    run(tree.root, tmp_path / "x.h5", body_models, dataset=faults.faulty(PROX, fault))
    hd = HumanData.open(tmp_path / "x.h5")
    assert np.linalg.norm(hd["keypoints3d_smplx"][:, :55, :3] - tree.truth.joints[:, :55], axis=2).max() > 0.01
