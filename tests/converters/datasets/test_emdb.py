from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ehps.body import rigid_motion
from ehps.converters.base import Instances
from ehps.converters.datasets.emdb import EMDB
from ehps.converters.pipeline.report import Report
from ehps.errors import DataError
from ehps.humandata import HumanData
from ehps.humandata.keypoints import point_names
from tests.raw import faults
from tests.raw.checks import assert_joints_are_the_truth, package_joints
from tests.raw.emdb import (
    BOXLESS,
    CLIMB,
    GENDER,
    HIDDEN,
    LOST,
    PART,
    ROWS,
    SETUP,
    STAIRS,
    WALK,
    Tree,
    file,
    image_path,
    read,
    sequence,
)
from tests.raw.trees import runner

Pair = tuple[HumanData, Report]

DATASET = "emdb"
run = runner(DATASET)


# -- people --------------------------------------------------------------------------------------------------


def test_joints_are_those_of_the_raw_world_moved_by_the_raw_camera(
    tree: Tree, converted: Pair, body_models: Path
) -> None:
    hd, _ = converted
    assert_joints_are_the_truth(hd, tree.truth("emdb1"), body_models)


def test_rows_go_frame_by_frame_through_the_good_frames_of_a_sequence(converted: Pair) -> None:
    hd, _ = converted
    columns = hd["meta/sequence_name"].tolist(), hd["meta/frame_id"].tolist()
    assert list(zip(*columns, strict=True)) == ROWS["emdb1"]
    assert hd["image_path"].tolist() == [image_path(name, frame) for name, frame in ROWS["emdb1"]]
    assert hd["meta/gender"].tolist() == ["female"] * 4 + ["neutral"] * 4
    assert hd["meta/subject"].tolist() == ["P1"] * 4 + ["P6"] * 4
    assert hd["meta/track_id"].tolist() == hd["meta/sequence_name"].tolist()


def test_parameters_are_the_raw_ones_with_root_and_place_in_the_camera(
    tree: Tree, converted: Pair, body_models: Path
) -> None:
    hd, _ = converted
    joints = package_joints(hd, body_models)
    for row, (name, frame) in enumerate(ROWS["emdb1"]):
        raw = read(tree.root, name)
        turn = raw["camera"]["extrinsics"][frame, :3, :3]
        stored = Rotation.from_rotvec(hd["smpl/global_orient"][row]).as_matrix()
        wanted = turn @ Rotation.from_rotvec(raw["smpl"]["poses_root"][frame]).as_matrix()
        np.testing.assert_allclose(stored, wanted, atol=1e-5)
        np.testing.assert_allclose(hd["smpl/body_pose"][row].ravel(), raw["smpl"]["poses_body"][frame], rtol=1e-5)
        np.testing.assert_allclose(hd["smpl/betas"][row], raw["smpl"]["betas"], rtol=1e-5)
        ray = raw["camera"]["intrinsics"] @ joints[row, 0]
        np.testing.assert_allclose(ray[:2] / ray[2], raw["kp2d"][frame, 0], atol=0.1)
    assert hd["smpl/body_pose"].shape == (8, 23, 3)


def test_the_extrinsics_of_every_frame_take_the_camera_back_to_the_world(
    tree: Tree, converted: Pair, body_models: Path
) -> None:
    hd, _ = converted
    joints = package_joints(hd, body_models)[:, :24]
    pelvis = []
    for row, (name, frame) in enumerate(ROWS["emdb1"]):
        raw = read(tree.root, name)
        np.testing.assert_allclose(hd["meta/RT"][row], raw["camera"]["extrinsics"][frame], atol=1e-6)
        world = (joints[row] - hd["meta/RT"][row, :3, 3]) @ hd["meta/RT"][row, :3, :3]
        pelvis.append(world[0] - raw["smpl"]["trans"][frame])
    # The pelvis of a body is its translation and what its shape alone decides.
    np.testing.assert_allclose(pelvis[:4], np.tile(pelvis[0], (4, 1)), atol=1e-4)
    np.testing.assert_allclose(pelvis[4:], np.tile(pelvis[4], (4, 1)), atol=1e-4)
    assert np.linalg.norm(pelvis[0]) > 0.1


def test_the_own_points_are_smpls_24_joints_in_smpls_order(tree: Tree, converted: Pair) -> None:
    hd, report = converted
    own = hd["keypoints2d_original"]
    assert hd.keypoint_names["keypoints2d_original"] == point_names("smpl")
    for row, (name, frame) in enumerate(ROWS["emdb1"]):
        np.testing.assert_allclose(own[row, :, :2], read(tree.root, name)["kp2d"][frame], rtol=1e-6)
    assert (own[..., 2] == 1).all()
    np.testing.assert_allclose(own[..., :2], hd.keypoints("keypoints2d_smpl", point_names("smpl"))[..., :2], atol=0.1)
    assert report.quality["reprojection_px"]["max"] < 0.1


def test_boxes_are_the_datasets_own_without_a_further_margin(tree: Tree, converted: Pair) -> None:
    hd, _ = converted
    for row, (name, frame) in enumerate(ROWS["emdb1"]):
        x0, y0, x1, y1 = read(tree.root, name)["bboxes"]["bboxes"][frame]
        np.testing.assert_allclose(hd["bbox_xywh"][row], [x0, y0, x1 - x0, y1 - y0, 1], atol=0.01)
    assert (hd.misc["bbox_source"], hd.misc["bbox_body_scale"]) == ("provided_by_dataset", 1)


def test_facts_of_the_rows_and_of_the_file(converted: Pair) -> None:
    hd, report = converted
    assert set(zip(hd["meta/height"].tolist(), hd["meta/width"].tolist(), strict=True)) == {(960, 720)}
    np.testing.assert_allclose(hd["meta/focal_length"], np.full((8, 2), 910.0))
    np.testing.assert_allclose(hd["meta/principal_point"], np.tile([357.5, 483.0], (8, 1)))
    assert hd["meta/emdb1"].tolist() == [True] * 8
    assert hd["meta/emdb2"].tolist() == [False] * 4 + [True] * 4
    # Public viewers apply extrinsics under these names to bodies that are in the camera frame already.
    assert not {"meta/R", "meta/T"} & set(hd.columns)
    assert {key: hd.misc[key] for key in ("smpl_source", "kps3d_root_aligned", "fps")} == {
        "smpl_source": "original",
        "kps3d_root_aligned": False,
        "fps": 30,
    }
    passport = hd.passport
    assert (passport.dataset, passport.split, passport.body_model) == ("emdb", "emdb1", "smpl")
    assert (passport.gender, passport.num_betas, passport.focal) == ("per-instance", 10, "image")
    assert (hd.validate(), report.problems, report.published) == ([], [], None)


def test_what_is_left_out_is_counted_by_reason(tree: Tree, converted: Pair) -> None:
    _, report = converted
    assert {reason: len(names) for reason, names in report.dropped.items()} == tree.dropped
    assert list(report.dropped.values()) == [[image_path(CLIMB, n)] for n in (HIDDEN, LOST, BOXLESS)]


# -- splits --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", ["emdb2", "rest", "all"])
def test_splits_are_those_that_the_flags_of_the_files_say(
    tree: Tree, tmp_path: Path, body_models: Path, split: str
) -> None:
    report = run(tree.root, tmp_path / "x.h5", body_models, split=split)
    hd = HumanData.open(tmp_path / "x.h5")
    assert_joints_are_the_truth(hd, tree.truth(split), body_models)
    names = hd["meta/sequence_name"].tolist()
    flags = zip(hd["meta/emdb1"].tolist(), hd["meta/emdb2"].tolist(), strict=True)
    assert list(flags) == [PART[name] for name in names]
    assert hd["meta/gender"].tolist() == [GENDER[name] for name in names]
    assert sum(map(len, report.dropped.values())) == (3 if split == "all" else 0)


def test_a_flag_that_is_changed_changes_the_split(own: Path, tmp_path: Path, body_models: Path) -> None:
    with sequence(own, STAIRS) as data:
        data["emdb1"] = np.False_
    run(own, tmp_path / "x.h5", body_models)
    assert set(HumanData.open(tmp_path / "x.h5")["meta/sequence_name"].tolist()) == {CLIMB}


def test_a_split_without_a_sequence_on_this_disk_writes_nothing(own: Path, tmp_path: Path, body_models: Path) -> None:
    with sequence(own, SETUP) as data:
        data["emdb2"] = True
    with pytest.raises(DataError, match="no instance"):
        run(own, tmp_path / "x.h5", body_models, split="rest")
    assert not (tmp_path / "x.h5").exists()


# -- bad input -----------------------------------------------------------------------------------------------


def test_a_sequence_without_a_good_frame_is_left_out_and_counted(own: Path, tmp_path: Path, body_models: Path) -> None:
    with sequence(own, STAIRS) as data:
        data["good_frames_mask"][:] = False
    report = run(own, tmp_path / "x.h5", body_models)
    assert (report.found, report.written) == (11, 4)
    assert len(report.dropped["no good frame: out of view or hidden"]) == 1 + 4


def test_participants_who_are_not_there_are_named(
    converted: Pair, own: Path, tmp_path: Path, body_models: Path
) -> None:
    there = {name.split("_")[0] for name in PART}
    absent = [f"P{k}" for k in range(10) if f"P{k}" not in there]
    assert 0 < len(absent) < 10
    assert converted[1].left_out == {"participant not there": absent}
    with pytest.raises(DataError, match=absent[0]):
        run(own, tmp_path / "x.h5", body_models, strict=True)


def test_a_sequence_without_its_file_is_named(own: Path, tmp_path: Path, body_models: Path) -> None:
    file(own, STAIRS).rename(file(own, STAIRS).with_name("data.pkl"))
    report = run(own, tmp_path / "x.h5", body_models)
    assert report.left_out["no *_data.pkl beside the images"] == [STAIRS]
    assert set(HumanData.open(tmp_path / "x.h5")["meta/sequence_name"].tolist()) == {CLIMB}
    with pytest.raises(DataError, match=STAIRS):
        run(own, tmp_path / "y.h5", body_models, strict=True)


def test_numbers_of_hidden_frames_may_be_none(own: Path, tmp_path: Path, body_models: Path) -> None:
    with sequence(own, CLIMB) as data:
        for values in (data["kp2d"], data["smpl"]["trans"], data["camera"]["extrinsics"], data["bboxes"]["bboxes"]):
            values[HIDDEN] = np.nan
    report = run(own, tmp_path / "x.h5", body_models)
    assert (report.found, report.written, report.problems) == (11, 8, [])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: data.update(name=WALK), f"is of the sequence {WALK}, in the folder of {STAIRS}"),
        (
            lambda data: data.update(gender="diverse"),
            "gender is the text 'diverse', expected neutral or male or female",
        ),
        (lambda data: data.update(n_frames=5), "good_frames_mask is 4 numbers, expected 5"),
        (lambda data: data["camera"].pop("extrinsics"), "camera: has no extrinsics"),
        (lambda data: data["bboxes"].update(invalid_idxs=np.array([1, 4])), "invalid_idxs names frame 4 of 4"),
        (lambda data: data["smpl"].update(betas=np.zeros(16)), "smpl: betas is 16 numbers, expected 10"),
    ],
)
def test_files_of_another_form_are_named(
    own: Path, tmp_path: Path, body_models: Path, change: Callable[[dict[str, Any]], object], words: str
) -> None:
    with sequence(own, STAIRS) as data:
        change(data)
    with pytest.raises(DataError, match="1 of 10 units") as error:
        run(own, tmp_path / "x.h5", body_models)
    assert words in str(error.value)
    assert file(own, STAIRS).name in str(error.value)


# -- planted faults ------------------------------------------------------------------------------------------


def test_the_pelvis_of_another_model_is_exposed(tree: Tree, tmp_path: Path, body_models: Path) -> None:
    fault = faults.pelvis_of_the_neutral_model(body_models)
    report = run(tree.root, tmp_path / "x.h5", body_models, dataset=faults.faulty(EMDB, fault))
    assert "2D points" in " ".join(report.problems)


def test_the_inverse_of_the_extrinsics_is_exposed(tree: Tree, tmp_path: Path, body_models: Path) -> None:
    def inverted(rows: Instances) -> None:
        move = rows.world_to_camera
        assert move is not None
        back = move.rotation.transpose(0, 2, 1)
        move.rotation, move.translation = back, rigid_motion.from_center(back, move.translation)

    report = run(tree.root, tmp_path / "x.h5", body_models, dataset=faults.faulty(EMDB, inverted))
    assert "2D points" in " ".join(report.problems)
