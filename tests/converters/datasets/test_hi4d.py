from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ehps.converters.pipeline.report import Report
from ehps.errors import DataError
from ehps.humandata import HumanData
from ehps.humandata.keypoints import point_names
from tests.raw.checks import assert_boxes_hold_the_visible_joints, assert_joints_are_the_truth, blank
from tests.raw.hi4d import (
    CAMERAS,
    CONTACT,
    DANCE,
    END,
    GENDERS,
    HEIGHT,
    HUG,
    LENS,
    MONO,
    START,
    WIDTH,
    Row,
    Scans,
    edit,
    index,
)
from tests.raw.trees import read, runner

Pair = tuple[HumanData, Report]

DATASET = "hi4d"
LENS_MATRIX = np.array([[1100.0, 0, WIDTH / 2], [0, 1100, HEIGHT / 2], [0, 0, 1]])
run = runner(DATASET)


def rows_of(hd: HumanData) -> list[Row]:
    columns = (hd[f"meta/{name}"].tolist() for name in ("sequence_name", "camera", "frame_id", "person_id"))
    return list(zip(*columns, strict=True))


# -- people and cameras ----------------------------------------------------------------------------------------


def test_joints_are_those_of_the_world_bent_by_the_lens_of_every_camera(
    tree: Scans, converted: Pair, body_models: Path
) -> None:
    hd, _ = converted
    assert hd.body_model == "smpl"
    assert_joints_are_the_truth(hd, tree.truth(tree.rows), body_models)


def test_rows_go_camera_by_camera_frame_by_frame_person_by_person(tree: Scans, converted: Pair) -> None:
    hd, _ = converted
    assert rows_of(hd) == tree.rows
    assert hd["image_path"].tolist() == [f"{n}/images/{camera}/{frame:06d}.jpg" for n, camera, frame, _ in tree.rows]
    assert hd["meta/gender"].tolist() == [GENDERS[name][person] for name, _, _, person in tree.rows]
    assert hd["meta/track_id"].tolist() == [f"{name}_{person}" for name, _, _, person in tree.rows]
    assert {frame for _, _, frame, _ in rows_of(hd)} == {11, 12, 13, 14}  # start and end included


def test_parameters_are_the_raw_ones_with_the_root_turned(tree: Scans, converted: Pair) -> None:
    hd, _ = converted
    for row, (name, camera, frame, person) in enumerate(tree.rows):
        raw = tree.params[name][[index(frame, person)]]
        turn = tree.shots[name, camera].pose[:3, :3].T
        stored = Rotation.from_rotvec(hd["smpl/global_orient"][row]).as_matrix()
        np.testing.assert_allclose(stored, turn @ Rotation.from_rotvec(raw.global_orient[0]).as_matrix(), atol=1e-5)
        np.testing.assert_allclose(hd["smpl/body_pose"][row], raw.body_pose[0], atol=1e-6)
        np.testing.assert_allclose(hd["smpl/betas"][row], raw.betas[0], rtol=1e-5)


def test_points_are_bent_by_the_five_coefficients_of_the_camera(tree: Scans, converted: Pair) -> None:
    hd, _ = converted
    camera = np.array([CAMERAS.index(name) for name in hd["meta/camera"].tolist()])
    np.testing.assert_allclose(hd["meta/dist_coeffs"], LENS * (1 + 0.2 * camera[:, None]), rtol=1e-6)
    joints = hd["keypoints3d_smpl"][..., :3]
    straight = joints[..., :2] / joints[..., 2:] * hd["meta/focal_length"][:, None]
    straight += hd["meta/principal_point"][:, None]
    assert np.linalg.norm(straight - hd["keypoints2d_smpl"][..., :2], axis=2).max() > 3
    assert hd.misc["distortion"] == "applied"


def test_joints_of_the_release_are_the_joints_of_the_parameters(converted: Pair) -> None:
    hd, report = converted
    assert hd.keypoint_names["keypoints3d_original"] == point_names("smpl_45")[:24]
    gap = hd["keypoints3d_original"][..., :3] - hd["keypoints3d_smpl"][:, :24, :3]
    assert np.abs(gap).max() < 1e-4
    assert report.quality["points3d_m"]["max"] < 1e-4


# -- boxes, contact, facts -------------------------------------------------------------------------------------


def test_boxes_hold_the_people_and_overlap_is_theirs(converted: Pair) -> None:
    hd, _ = converted
    assert_boxes_hold_the_visible_joints(hd)
    x, y, w, h = hd["bbox_xywh"][:, :4].astype(float).T
    rows = rows_of(hd)
    for k, row in enumerate(rows):
        other = (*row[:3], 1 - row[3])
        if other not in rows:
            assert hd["meta/overlap"][k] == 0
            continue
        i = rows.index(other)
        across = max(0.0, min(x[k] + w[k], x[i] + w[i]) - max(x[k], x[i]))
        down = max(0.0, min(y[k] + h[k], y[i] + h[i]) - max(y[k], y[i]))
        share = across * down / (w[k] * h[k] + w[i] * h[i] - across * down)
        assert hd["meta/overlap"][k] == pytest.approx(share, abs=1e-5)
    assert hd["meta/overlap"].max() > 0.3


def test_contact_is_that_of_the_frame(converted: Pair) -> None:
    hd, _ = converted
    assert hd["meta/contact"].tolist() == [frame in CONTACT[name] for name, _, frame, _ in rows_of(hd)]
    assert hd["meta/contact"].sum() == 4
    assert "meta/contact_vertices" not in hd


def test_contact_of_vertices_can_be_had(tree: Scans, tmp_path: Path) -> None:
    run(tree.root, tmp_path / "x.h5", None, options={"contact": "vertices", "box": "masks"})
    hd = HumanData.open(tmp_path / "x.h5")
    labels = hd["meta/contact_vertices"]
    assert (labels.dtype, labels.shape) == (np.int16, (len(hd), 6890))
    for row, (name, _, frame, person) in enumerate(rows_of(hd)):
        np.testing.assert_array_equal(labels[row], tree.contact[name][frame - START, person])


def test_boxes_of_masks_follow_the_person(tree: Scans, own: Path, tmp_path: Path, body_models: Path) -> None:
    lost = own / DANCE / "seg/img_seg_mask/4/1/000011.png"
    lost.unlink()
    report = run(own, tmp_path / "x.h5", body_models, options={"box": "masks"})
    assert report.dropped["no instance mask"] == [f"{DANCE}/images/4/000011.jpg person 1"]
    hd = HumanData.open(tmp_path / "x.h5")
    assert rows_of(hd) == [row for row in tree.rows if row != (DANCE, "4", 11, 1)]
    assert hd.misc["bbox_source"] == "provided_by_dataset"
    for row, (name, camera, frame, person) in enumerate(rows_of(hd)):
        mask = cv2.imread(str(own / name / f"seg/img_seg_mask/{camera}/{person}/{frame:06d}.png"), 0)
        x, y, w, h = cv2.boundingRect(cv2.findNonZero(mask))
        low = np.maximum([x - 0.1 * w, y - 0.1 * h], 0)
        high = np.minimum([x + 1.1 * w, y + 1.1 * h], [WIDTH, HEIGHT])
        np.testing.assert_allclose(hd["bbox_xywh"][row, :4], [*low, *(high - low)], atol=0.01)


def test_a_mask_of_another_size_than_its_image_is_not_used(own: Path, tmp_path: Path) -> None:
    path = own / DANCE / "seg/img_seg_mask/4/1/000011.png"
    cv2.imwrite(str(path), cv2.imread(str(path))[::2, ::2])
    report = run(own, tmp_path / "x.h5", None, options={"box": "masks"})
    (said,) = report.dropped["instance mask cannot be read"]
    assert said == f"{path.relative_to(own)}: has 470 x 640 pixels, expected 940 x 1280"
    assert (DANCE, "4", 11, 1) not in rows_of(HumanData.open(tmp_path / "x.h5"))


def test_facts_of_the_file(converted: Pair) -> None:
    hd, report = converted
    expected = {"config": "hi4d", "smpl_source": "original", "bbox_source": "keypoints2d_smpl", "bbox_body_scale": 1.2}
    assert {key: hd.misc[key] for key in expected} == expected
    assert {(h, w) for h, w in zip(hd["meta/height"], hd["meta/width"], strict=True)} == {(HEIGHT, WIDTH)}
    assert (hd.passport.gender, hd.passport.num_betas, hd.passport.split) == ("per-instance", 10, "all")
    assert (report.published, report.problems) == (None, [])


def test_what_is_left_out_is_counted_by_reason(tree: Scans, converted: Pair) -> None:
    _, report = converted
    assert {reason: len(names) for reason, names in report.dropped.items()} == tree.dropped
    assert report.dropped["no SMPL fit"] == [
        f"{DANCE}/images/{camera}/000013.jpg person {person}" for camera in CAMERAS for person in (0, 1)
    ]
    assert report.dropped["image missing"] == [f"{HUG}/images/16/000011.jpg"] * 2
    outside = report.dropped["body box empty or outside the image"]
    assert outside == [f"{HUG}/images/{camera}/000014.jpg" for camera in CAMERAS]


def test_a_fit_that_cannot_be_read_costs_both_people_in_every_view(own: Path, converted: Pair, tmp_path: Path) -> None:
    edit(own / HUG / "smpl/000012.npz", lambda content: content.pop("transl"))
    report = run(own, tmp_path / "x.h5", None)
    assert len(report.dropped["SMPL fit cannot be read"]) == 2 * len(CAMERAS)
    assert report.found == converted[1].found


def test_what_is_of_frames_beyond_those_of_the_recording_is_told(own: Path) -> None:
    edit(own / DANCE / "meta.npz", lambda content: content.update(end=np.array(END - 1), contact_ids=np.array([1, 12])))
    dance, hug = read(DATASET, own)
    assert dance.notes == [
        f"{DANCE}: 1 SMPL fits are of other frames (000014, ...), meta.npz has 11 to 13",
        f"{DANCE}: 1 contact_ids are no frames (1, ...), meta.npz has 11 to 13",
    ]
    assert hug.notes == []


# -- splits and options ----------------------------------------------------------------------------------------


def test_mono_has_the_camera_that_each_recording_names(tree: Scans, tmp_path: Path, body_models: Path) -> None:
    run(tree.root, tmp_path / "x.h5", body_models, split="mono")
    hd = HumanData.open(tmp_path / "x.h5")
    rows = [row for row in tree.rows if row[1] == MONO[row[0]]]
    assert rows_of(hd) == rows
    assert_joints_are_the_truth(hd, tree.truth(rows), body_models)


def test_cameras_and_strides_can_be_chosen(tree: Scans, tmp_path: Path, body_models: Path) -> None:
    run(tree.root, tmp_path / "x.h5", body_models, options={"cameras": "16", "interval": "3"})
    hd = HumanData.open(tmp_path / "x.h5")
    assert rows_of(hd) == [row for row in tree.rows if row[1] == "16" and row[2] in (START, END)]


# -- bad input ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "member", "value", "words"),
    [
        ("meta.npz", "end", np.array(3), "start is 11 and end is 3, which are no frames"),
        ("meta.npz", "end", np.array(10**9), "no frames"),
        ("meta.npz", "num_persons", np.array(3), "num_persons is 3, expected 2"),
        ("meta.npz", "genders", np.array(["male", "?"]), "genders is"),
        ("meta.npz", "contact_ids", np.array([1.5]), "contact_ids is"),
        ("cameras/rgb_cameras.npz", "ids", np.array([4, 4]), "has camera 4 twice"),
        ("cameras/rgb_cameras.npz", "ids", np.array([4, 5]), "has camera 5, expected 4, 16, 28"),
        ("cameras/rgb_cameras.npz", "dist_coeffs", np.zeros((2, 8)), "dist_coeffs is 2 x 8 numbers"),
        ("cameras/rgb_cameras.npz", "extrinsics", np.zeros((2, 4, 4)), "extrinsics is"),
        ("cameras/rgb_cameras.npz", "intrinsics", np.tile(LENS_MATRIX.T, (2, 1, 1)), "intrinsics is no camera matrix"),
        (
            "cameras/rgb_cameras.npz",
            "intrinsics",
            np.tile(LENS_MATRIX * [[1, 1, 0], [1, 1, 0], [1, 1, 1]], (2, 1, 1)),
            "the principal point of camera 4 lies in no image",
        ),
    ],
)
def test_what_is_of_another_form_is_named(own: Path, file: str, member: str, value: Any, words: str) -> None:
    edit(own / DANCE / file, lambda content: content.update({member: value}))
    with pytest.raises(DataError, match=words) as error:
        read(DATASET, own)
    assert str(own / DANCE / file) in str(error.value)


def test_a_camera_of_the_monocular_evaluation_that_is_not_there_is_named(own: Path, tmp_path: Path) -> None:
    edit(own / HUG / "meta.npz", lambda content: content.update(mono_cam=np.array(88)))
    with pytest.raises(DataError, match="mono_cam is 88, which is none of its cameras"):
        run(own, tmp_path / "x.h5", None, split="mono")
    assert len(read(DATASET, own)) == 2  # of all cameras it does not matter


def shrink(root: Path, factor: float) -> None:
    for path in root.glob("pair*/*/images/*/*.jpg"):
        path.unlink()
        blank(root, [path.relative_to(root).as_posix()], round(HEIGHT * factor), round(WIDTH * factor))


def test_a_camera_of_another_size_has_that_of_its_images(
    own: Path, converted: Pair, tmp_path: Path, body_models: Path
) -> None:
    shrink(own, 0.5)
    half = np.diag([0.5, 0.5, 1])
    for name in (DANCE, HUG):
        edit(
            own / name / "cameras/rgb_cameras.npz",
            lambda content: content.update(intrinsics=half @ content["intrinsics"]),
        )
    run(own, tmp_path / "x.h5", body_models)
    hd = HumanData.open(tmp_path / "x.h5")
    assert "meta/image_scale" not in hd
    assert set(hd["meta/height"].tolist()) == {HEIGHT // 2}
    np.testing.assert_allclose(
        hd["keypoints2d_smpl"][..., :2], converted[0]["keypoints2d_smpl"][..., :2] / 2, rtol=1e-5
    )
    shrink(own, 1)
    with pytest.raises(DataError, match=r"camera 4, \(234, 321\), is not in the middle of its images"):
        run(own, tmp_path / "x.h5", body_models)
    shrink(own, 0.2)
    with pytest.raises(DataError, match="images are smaller than those that were labelled"):
        run(own, tmp_path / "x.h5", body_models)


def test_a_recording_without_meta_is_left_out(own: Path) -> None:
    (own / DANCE / "meta.npz").unlink()
    first, second = read(DATASET, own)
    assert (first.left_out, len(first)) == ("no meta.npz", 0)
    assert len(second) == 16
