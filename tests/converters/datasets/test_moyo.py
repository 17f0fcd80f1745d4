"""MOYO: a subject's template in place of betas, cameras of the day at twice the size, bodies at twice the rate."""

from __future__ import annotations

import pickle
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ehps.converters.datasets.moyo import MOYO
from ehps.converters.datasets.moyo_files import paired
from ehps.converters.pipeline.report import Report
from ehps.demo.raw.stage import Truth
from ehps.errors import DataError
from ehps.humandata import HumanData
from ehps.humandata.image_checks import check_images
from ehps.humandata.keypoints import part_indices
from tests.raw import faults, moyo
from tests.raw.checks import STILL, assert_boxes_hold_the_visible_joints, blank, edited, nearest, package_joints
from tests.raw.moyo import BABY, BABY_MOCAP, BOAT, COW, CROW, NUMBERS, TREE, Tree
from tests.raw.trees import runner

Pair = tuple[HumanData, Report]
DATASET = "moyo"
run = runner(DATASET)
TRAIN = (BOAT, BABY, CROW)


def assert_scans_are_the_truth(hd: HumanData, truth: Truth) -> None:
    assert hd["image_path"].tolist() == truth.image_path
    np.testing.assert_allclose(hd["keypoints3d_smplx"][:, STILL, :3], truth.joints[:, STILL], atol=1e-3)
    points, seen = hd["keypoints2d_smplx"][:, STILL, :2], hd["keypoints2d_smplx"][:, STILL, 2] > 0
    np.testing.assert_allclose(points[seen], truth.points[:, STILL][seen], atol=0.1)
    assert seen[:, :22].all()


# -- where she is ------------------------------------------------------------------------------------------------


def test_joints_are_those_of_the_template_moved_by_the_cameras_of_the_day(converted: Pair, tree: Tree) -> None:
    hd, report = converted
    truth = tree.truth(*TRAIN)
    assert_scans_are_the_truth(hd, truth)
    assert nearest(hd, truth) == list(range(24))
    assert_boxes_hold_the_visible_joints(hd, range(16))  # those with hands
    assert report.problems == []
    assert report.quality["world_to_camera_m"]["max"] < 1e-5
    for k, (sequence, number) in enumerate((sequence, number) for sequence in TRAIN for number in moyo.CAMERAS):
        eye, rows = tree.eyes[f"20{sequence[:6]}", number], slice(4 * k, 4 * k + 4)
        np.testing.assert_allclose(hd["meta/focal_length"][rows], eye.focal / 2, rtol=1e-6)
        np.testing.assert_allclose(hd["meta/principal_point"][rows], np.tile(np.array(eye.centre) / 2, (4, 1)), 1e-5)
    assert set(hd["meta/gender"].tolist()) == {"female"}
    assert hd.passport.flat_hand_mean is True


def test_stored_parameters_are_her_nearest_body(converted: Pair, tree: Tree, body_models: Path) -> None:
    hd, _ = converted
    np.testing.assert_allclose(
        package_joints(hd, body_models)[:, STILL], tree.truth(*TRAIN).joints[:, STILL], atol=1e-3
    )
    np.testing.assert_allclose(hd["smplx/betas"], np.tile(tree.betas, (24, 1)), atol=1e-3)
    assert hd["meta/template_residual_m"].max() < 1e-5


def test_a_shape_that_no_betas_make_is_in_the_joints_and_its_distance_is_told(
    own: Path, tree: Tree, tmp_path: Path, body_models: Path
) -> None:
    odd = tree.template + 0.02 * np.sin(9 * tree.template[:, [1, 2, 0]])
    moyo.write_ply(moyo.template_file(own), odd, np.zeros((0, 3), int))
    run(own, tmp_path / "x.h5", body_models, split="val")
    hd = HumanData.open(tmp_path / "x.h5")
    eye = tree.eyes["20220923", 1]
    joints = moyo.own_joints(body_models, tree.bodies[TREE][[2, 4, 6, 8]], odd) @ eye.rotation.T + eye.translation
    np.testing.assert_allclose(hd["keypoints3d_smplx"][:4, STILL, :3], joints[:, STILL], atol=1e-3)
    assert 0.002 < hd["meta/template_residual_m"].max() < 0.03
    off = np.linalg.norm(package_joints(hd, body_models)[:4, STILL] - joints[:, STILL], axis=2)
    assert off[:, 0].max() < 1e-3  # the pelvis


@pytest.mark.parametrize("offset", ["0", "1"])
def test_the_pairing_of_images_and_bodies_is_chosen_and_written(
    tree: Tree, tmp_path: Path, body_models: Path, offset: str
) -> None:
    run(tree.root, tmp_path / "x.h5", body_models, split="val", options={"frame_offset": offset})
    hd = HumanData.open(tmp_path / "x.h5")
    assert_scans_are_the_truth(hd, tree.truth(TREE, offset=int(offset)))
    assert hd["meta/body_frame"].tolist() == [2 * (n - int(offset)) for n in NUMBERS] * 2
    assert hd["meta/frame_id"].tolist() == [*NUMBERS] * 2
    assert hd.misc["frame_rule"] == f"body frame 2 * (image number - {offset})"


@pytest.mark.parametrize(
    "fault",
    [
        faults.pelvis_forgotten,
        faults.other_gender,
        faults.sides_swapped,
        faults.neighbours,
        faults.hands_relative,
        faults.left_in_the_world,
    ],
)
def test_mistakes_are_away_from_the_truth(tree: Tree, tmp_path: Path, body_models: Path, fault: faults.Fault) -> None:
    run(tree.root, tmp_path / "x.h5", body_models, faults.faulty(MOYO, fault), split="val")
    found = HumanData.open(tmp_path / "x.h5")["keypoints3d_smplx"]
    assert np.linalg.norm(found[:, :55, :3] - tree.truth(TREE).joints[:, :55], axis=2).max() > 0.002


# -- what is left out ----------------------------------------------------------------------------------------------


def test_images_without_a_body_are_counted_by_their_reason(converted: Pair) -> None:
    _, report = converted
    assert {reason: len(names) for reason, names in report.dropped.items()} == {
        "no SMPL-X parameters": 8,
        "no pose for the image": 2,
    }
    assert all(COW in name for name in report.dropped["no SMPL-X parameters"])
    assert any(COW in note for note in report.notes)


def test_hands_without_markers_have_no_confidence(converted: Pair) -> None:
    hd, _ = converted
    names = hd.keypoint_names["keypoints3d_smplx"]
    hands = [j for side in ("left", "right") for j in part_indices(names, f"{side}_hand")]
    others = [j for j in range(len(names)) if j not in hands]
    for column in ("keypoints2d_smplx", "keypoints3d_smplx"):
        confidence = hd[column][..., -1]
        assert (confidence[:16] > 0).all()
        assert (confidence[16:, hands] == 0).all()
        assert (confidence[16:, others] > 0).all()
    for side in ("left", "right"):
        assert hd[f"meta/{side}hand_valid"].tolist() == [True] * 16 + [False] * 8
        assert (hd[f"{side[0]}hand_bbox_xywh"][16:, 4] == 0).all()
        assert (hd[f"{side[0]}hand_bbox_xywh"][:16, 4] == 1).all()


def test_the_ends_can_be_left_out_as_posepile_does(own: Path, tree: Tree, tmp_path: Path, body_models: Path) -> None:
    moyo.write_bodies(Tree(own, tree.template, tree.betas), body_models, np.random.default_rng(1), TREE, frames=206)
    moyo.write_zip(own, TREE, (48, 49, 50, 51, 52, 53, 54))
    report = run(own, tmp_path / "x.h5", None, split="val", options={"ends": "skip"})
    assert HumanData.open(tmp_path / "x.h5")["meta/frame_id"].tolist() == [50, 51, 52] * 2  # 206 > 2 (52 + 50)
    assert {reason: len(names) for reason, names in report.dropped.items()} == {"among the first or last 50 images": 8}


def test_an_image_that_one_camera_lacks_is_missing(own: Path, tmp_path: Path, body_models: Path) -> None:
    moyo.write_zip(own, TREE)
    path = own / f"{moyo.image_folder(TREE)}.zip"
    gone = moyo.image_file(TREE, 2, 3)
    with zipfile.ZipFile(path) as archive:
        kept = {name: archive.read(name) for name in archive.namelist() if not gone.endswith(Path(name).name)}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in kept.items():
            archive.writestr(name, data)
    report = run(own, tmp_path / "x.h5", body_models, split="val")
    assert report.dropped == {"image missing": [gone]}


def test_sequences_without_images_are_left_out(own: Path, tmp_path: Path, body_models: Path) -> None:
    (own / f"{moyo.image_folder(CROW)}.zip").unlink()
    report = run(own, tmp_path / "x.h5", body_models)
    assert report.written == 16
    with pytest.raises(DataError, match="no images"):
        run(own, tmp_path / "y.h5", body_models, strict=True)


# -- where things lie ----------------------------------------------------------------------------------------------


def test_images_in_zips_and_unpacked_ones_give_the_same(own: Path, converted: Pair, tmp_path: Path) -> None:
    hd, _ = converted
    for sequence in (BABY, COW, CROW):
        path = own / f"{moyo.image_folder(sequence)}.zip"
        with zipfile.ZipFile(path) as archive:
            archive.extractall(path.parent)
        path.unlink()
    run(own, tmp_path / "x.h5", None)
    unpacked = HumanData.open(tmp_path / "x.h5")
    assert unpacked["image_path"].tolist() == hd["image_path"].tolist()
    for name in ("meta/height", "meta/width", "meta/focal_length", "meta/frame_id"):
        np.testing.assert_array_equal(unpacked[name], hd[name])


def test_images_of_the_converted_file_are_found(converted: Pair, tree: Tree) -> None:
    hd, _ = converted
    check = check_images(hd, tree.root, decode=True)
    assert (check.images, check.faults) == (24, [])


def test_another_spelling_and_place_of_folders_is_found(
    own: Path, tree: Tree, tmp_path: Path, body_models: Path
) -> None:
    (own / "MOYO").rename(own / "moyo")
    (own / "moyo_toolkit/data/v_templates").rename(own / "v_templates")
    shutil.rmtree(own / "moyo_toolkit")
    run(own, tmp_path / "x.h5", body_models)
    hd = HumanData.open(tmp_path / "x.h5")
    truth = tree.truth(*TRAIN)
    assert hd["image_path"].tolist() == [path.replace("MOYO", "moyo", 1) for path in truth.image_path]
    np.testing.assert_allclose(hd["keypoints3d_smplx"][:, STILL, :3], truth.joints[:, STILL], atol=1e-3)


def test_an_output_is_made_again_when_an_archive_has_changed(own: Path, tmp_path: Path, body_models: Path) -> None:
    first = run(own, tmp_path / "x.h5", body_models, split="val", overwrite=False)
    again = run(own, tmp_path / "x.h5", body_models, split="val", overwrite=False)
    assert (first.written, again.written) == (8, 8)
    assert first.earlier is None
    assert again.earlier is not None
    moyo.write_zip(own, TREE, NUMBERS[:3])
    changed = run(own, tmp_path / "x.h5", body_models, split="val", overwrite=False)
    assert changed.earlier is None
    assert changed.written == 6


def test_bodies_that_were_renamed_during_the_capture_are_paired(converted: Pair) -> None:
    _, report = converted
    assert any(BABY in note and BABY_MOCAP in note for note in report.notes)


@pytest.mark.parametrize(
    ("images", "bodies", "pairs"),
    [
        (["1_Baby_Pose_or_X_-a"], ["1_Baby_Pose-a"], {"1_Baby_Pose_or_X_-a": "1_Baby_Pose-a"}),
        (["1_Baby_Pose_or_X_-a"], ["1_Baby_Pose_-a"], {"1_Baby_Pose_or_X_-a": "1_Baby_Pose_-a"}),
        (["1_Baby_Pose_or_X_-a"], ["1_Baby_Pose-b"], {}),
        (["1_Warrior_II-a"], ["1_Warrior_I-a"], {}),
        (["1_Baby_Pose_or_X_-a"], ["1_Baby-a", "1_Baby_Pose-a"], {}),  # nobody knows which
        (["1_Baby_X-a", "1_Baby_Y-a"], ["1_Baby-a"], {}),
        (["1_Baby_X-a", "1_Baby-a"], ["1_Baby-a"], {"1_Baby-a": "1_Baby-a"}),
    ],
)
def test_names_are_paired_by_what_they_begin_with(images: list[str], bodies: list[str], pairs: dict[str, str]) -> None:
    assert paired(images, bodies) == pairs


# -- what is refused -----------------------------------------------------------------------------------------------


def refused(root: Path, out: Path, words: str) -> None:
    with pytest.raises(DataError, match=words):
        run(root, out, None, split="val")


def test_without_the_template_nothing_is_converted(own: Path, tmp_path: Path) -> None:
    path = moyo.template_file(own)
    path.rename(path.with_name("other.ply"))
    refused(own, tmp_path / "x.h5", r"missing: .*mesh\.ply")
    path.with_name("other.ply").rename(path)
    path.parent.rename(path.parent.with_name("221004_yogi_03596_minimal_simple_female"))
    refused(own, tmp_path / "x.h5", r"220923_yogi.*mesh\.ply: no such template")


def change(path: Path, **values: Any) -> None:
    path.write_bytes(pickle.dumps(pickle.loads(path.read_bytes()) | values))


def test_bodies_on_another_template_are_refused_unless_it_is_there(own: Path, tree: Tree, tmp_path: Path) -> None:
    other = "221004_yogi_03596_minimal_simple_female"
    change(moyo.bodies_file(own, TREE), v_template_fname=f"/ps/{other}/mesh.ply")
    refused(own, tmp_path / "x.h5", rf"no such template.*{other}/mesh\.ply")
    moyo.write_ply(own / "v_templates" / other / "mesh.ply", tree.template, np.zeros((0, 3), int))
    assert run(own, tmp_path / "x.h5", None, split="val").written == 8


def test_a_template_in_millimetres_is_refused(own: Path, tree: Tree, tmp_path: Path) -> None:
    moyo.write_ply(moyo.template_file(own), 1000 * tree.template, np.zeros((0, 3), int))
    refused(own, tmp_path / "x.h5", r"mesh\.ply: is 1\d\d\d high: not in metres")


def test_bodies_with_betas_are_refused(own: Path, tmp_path: Path) -> None:
    change(moyo.bodies_file(own, TREE), betas=np.full(400, 0.5))
    refused(own, tmp_path / "x.h5", "betas besides the template")


def test_a_day_without_cameras_is_named_and_takes_none_of_another_day(own: Path, tmp_path: Path) -> None:
    path = moyo.calibration_file(own, "20220923")
    path.unlink()
    refused(own, tmp_path / "x.h5", r"has 0 files 20220923/\*/cameras_param\.json .*it holds 20220923, 20220926")


def test_a_camera_without_calibration_costs_its_images(own: Path, tmp_path: Path) -> None:
    with edited(moyo.calibration_file(own, "20220923")) as cameras:
        del cameras["cam_2"]
    report = run(own, tmp_path / "x.h5", None, split="val")
    assert {reason: len(names) for reason, names in report.dropped.items()} == {"camera without calibration": 4}
    assert report.written == 4


@pytest.mark.parametrize(
    ("scale", "words"), [(2, "at the published half size; those in .* have 640 x 480"), (0.5, "are smaller")]
)
def test_images_of_another_size_are_refused(own: Path, tmp_path: Path, scale: float, words: str) -> None:
    path = own / f"{moyo.image_folder(TREE)}.zip"
    path.unlink()
    height, width = (int(scale * side) for side in moyo.SIZE)
    blank(own, [moyo.image_file(TREE, camera, n) for camera in moyo.CAMERAS for n in NUMBERS], height, width)
    refused(own, tmp_path / "x.h5", words)


@pytest.mark.parametrize("odd", [0, 2])
def test_one_image_of_another_size_has_its_labels_scaled_to_it(own: Path, tmp_path: Path, odd: int) -> None:
    (own / f"{moyo.image_folder(TREE)}.zip").unlink()
    height, width = moyo.SIZE
    paths = [moyo.image_file(TREE, camera, n) for camera in moyo.CAMERAS for n in NUMBERS]
    blank(own, paths, height, width)
    (own / paths[odd]).unlink()
    blank(own, paths[odd : odd + 1], 2 * height, 2 * width)
    run(own, tmp_path / "x.h5", None, split="val")
    hd = HumanData.open(tmp_path / "x.h5")
    assert hd["meta/image_scale"].tolist() == [2 if path == paths[odd] else 1 for path in hd["image_path"].tolist()]
    centre = hd["meta/principal_point"]
    np.testing.assert_allclose(centre[odd], 2 * centre[1])


def test_a_calibrated_camera_without_images_is_told(own: Path, tmp_path: Path) -> None:
    archive = own / f"{moyo.image_folder(TREE)}.zip"
    archive.unlink()
    blank(own, [moyo.image_file(TREE, 1, n) for n in NUMBERS], *moyo.SIZE)
    assert "4 frames of sequences without images of camera 2" in run(own, tmp_path / "x.h5", None, split="val").notes
    alone = run(own, tmp_path / "x.h5", None, split="val", options={"cameras": "1"}, overwrite=True)
    assert not any("without images" in note for note in alone.notes)


def test_an_archive_in_parts_is_named(own: Path, tmp_path: Path) -> None:
    path = own / f"{moyo.image_folder(TREE)}.zip"
    path.rename(path.with_name(f"{path.name}.001"))
    refused(own, tmp_path / "x.h5", r"is a part of a split archive.*\.zip\.001")
