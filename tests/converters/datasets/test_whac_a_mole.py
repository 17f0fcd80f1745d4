"""WHAC-A-Mole: HumanData files of others that are read, checked and completed as raw data are."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ehps.converters.datasets import whac_a_mole as converter
from ehps.converters.pipeline.repeated_rows import REPEATED
from ehps.converters.pipeline.report import Report
from ehps.errors import DataError, PassportError
from ehps.humandata import HumanData
from tests.raw.checks import (
    STILL,
    assert_boxes_hold_the_visible_joints,
    assert_joints_are_the_truth,
    nearest,
    package_joints,
)
from tests.raw.trees import Raw, runner
from tests.raw.whac_a_mole import MODE, TEST, TRAIN, Tree, edit

Pair = tuple[HumanData, Report]

DATASET = "whac_a_mole"
run = runner(DATASET)
FIRST = f"annotations/{TRAIN[0]}.npz"


def converted_of(root: Path, out: Path, models: Path | None, **options: Any) -> Pair:
    report = run(root, out, models, **options)
    return HumanData.open(out), report


# -- people ---------------------------------------------------------------------------------------------------


def test_joints_are_those_of_the_dancers_before_their_cameras(tree: Tree, converted: Pair, body_models: Path) -> None:
    hd, report = converted
    assert_joints_are_the_truth(hd, tree.truth, body_models)
    assert_boxes_hold_the_visible_joints(hd)
    assert nearest(hd, tree.truth) == list(range(26))
    assert set(hd["meta/gender"].tolist()) == {"male", "female"}
    assert report.problems == []


def test_the_extrinsics_take_them_back_to_the_world(tree: Tree, converted: Pair, body_models: Path) -> None:
    hd, _ = converted
    extrinsic = hd["meta/RT"].astype(float)
    there = package_joints(hd, body_models)[:, STILL] - extrinsic[:, None, :3, 3]
    world = np.einsum("nji,nkj->nki", extrinsic[:, :3, :3], there)
    np.testing.assert_allclose(world, tree.world[:, STILL], atol=1e-3)
    assert np.linalg.norm(world - there, axis=2).max() > 1  # the world is another frame


def test_projected_joints_land_on_the_points_of_the_file(converted: Pair) -> None:
    hd, report = converted
    assert len(hd.keypoint_names["keypoints2d_original"]) == 144
    assert report.quality["reprojection_body_px"]["max"] < 0.1
    assert report.quality["reprojection_hands_px"]["max"] < 0.1


def test_facts_of_the_rows(tree: Tree, converted: Pair) -> None:
    hd, _ = converted
    assert hd["meta/sequence_name"].tolist() == tree.sequences
    assert hd["meta/frame_id"].tolist() == [int(path[-9:-5]) for path in tree.truth.image_path]
    tracks = hd["meta/track_id"].tolist()
    assert [track.rpartition("/")[0] for track in tracks] == tree.sequences
    assert len({track.rpartition("/")[2] for track in tracks}) == 6  # two people in each of three dances
    assert (hd["meta/focal_length"] == 960).all()
    assert (hd["meta/principal_point"] == [960, 540]).all()
    assert (hd["meta/height"][0], hd["meta/width"][0]) == (1080, 1920)
    assert (hd.misc["config"], hd.passport.flat_hand_mean) == ("synbody_whac", True)


def test_what_is_left_out_is_counted_and_what_is_not_understood_is_listed(tree: Tree, converted: Pair) -> None:
    _, report = converted
    assert {reason: len(names) for reason, names in report.dropped.items()} == tree.dropped
    assert report.notes == [f"{name}.npz also has contact: of unknown meaning, and not converted" for name in TRAIN]


def test_further_members_are_listed_by_name(own: Path, tmp_path: Path) -> None:
    def more(members: dict[str, Any]) -> None:
        members["depth_path"] = members["image_path"]
        members["smplx"]["phi"] = np.zeros((18, 2))
        members["meta"]["mood"] = ["glad"] * 18

    edit(own / f"annotations/{TRAIN[1]}.npz", lambda members: members["meta"].pop("RT"))
    edit(own / f"annotations/{TRAIN[1]}.npz", lambda members: members.pop("contact"))
    edit(own / FIRST, more)
    hd, report = converted_of(own, tmp_path / "x.h5", None)
    assert any("also has contact, depth_path, smplx/phi, meta/mood: of unknown" in note for note in report.notes)
    assert not any(TRAIN[1] in note for note in report.notes)
    assert "meta/mood" not in hd.columns


def test_the_test_split_is_a_file_of_its_own(tree: Tree, tmp_path: Path, body_models: Path) -> None:
    hd, report = converted_of(tree.root, tmp_path / "x.h5", body_models, split="test")
    assert len(hd) == 6
    assert TEST in report.notes[0]
    assert all("Duet_004" in path for path in hd["image_path"].tolist())


def test_the_half_of_train_that_is_not_there_is_named(own: Path, tmp_path: Path) -> None:
    (own / "annotations" / f"{TRAIN[1]}.npz").unlink()
    report = run(own, tmp_path / "x.h5", None)
    assert report.left_out == {"annotation file not there": [TRAIN[1]]}
    with pytest.raises(DataError, match=f"annotation file not there.*{TRAIN[1]}"):
        run(own, tmp_path / "y.h5", None, strict=True)


def test_a_renamed_copy_gives_nobody_twice(own: Path, tmp_path: Path) -> None:
    copy = f"{TRAIN[0]} (1)"
    shutil.copy(own / "annotations" / f"{TRAIN[0]}.npz", own / "annotations" / f"{copy}.npz")
    report = run(own, tmp_path / "x.h5", None)
    assert report.left_out == {"annotation file of another name than the release's": [copy]}
    (own / "annotations" / f"{copy}.npz").unlink()
    assert report.written == run(own, tmp_path / "y.h5", None).written


def test_large_files_are_read_some_rows_at_a_time(
    tree: Tree, converted: Pair, tmp_path: Path, body_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(converter, "ROWS", 5)
    hd, report = converted_of(tree.root, tmp_path / "x.h5", body_models)
    assert report.units == 5 + 2
    assert hd["image_path"].tolist() == tree.truth.image_path
    np.testing.assert_allclose(hd["keypoints3d_smplx"], converted[0]["keypoints3d_smplx"], atol=1e-5)
    np.testing.assert_allclose(hd["keypoints2d_original"], converted[0]["keypoints2d_original"], atol=1e-5)


# -- images ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "folder",
    ["images/Synbody_whac", f"images/{MODE}-000/Synbody_whac", f"images/{MODE}-001", "Synbody_whac"],
)
def test_images_are_found_wherever_the_archives_were_unpacked(own: Path, tmp_path: Path, folder: str) -> None:
    (own / "images" / MODE).rename(own / "aside")
    (own / folder).mkdir(parents=True)
    (own / "aside").rename(own / folder / MODE)
    hd, report = converted_of(own, tmp_path / "x.h5", None)
    assert len(hd) == 27
    assert all(path.startswith(f"{folder}/{MODE}/") for path in hd["image_path"].tolist())
    assert len(report.dropped["image missing"]) == 2


def test_archives_that_hold_the_dances_alone_will_do(own: Path, tmp_path: Path) -> None:
    (own / "images" / MODE / "20240219").rename(own / "images/20240219")
    hd, _ = converted_of(own, tmp_path / "x.h5", None)
    assert len(hd) == 27


def test_images_that_are_nowhere_are_counted(own: Path, tmp_path: Path) -> None:
    (own / "images" / MODE).rename(own / "elsewhere")
    with pytest.raises(DataError, match="30 image missing"):
        run(own, tmp_path / "x.h5", None)


# -- files of another kind ------------------------------------------------------------------------------------


def upside_down(members: dict[str, Any]) -> None:
    """The camera frame of PyTorch3D: x to the left, y up."""
    smplx, turn = members["smplx"], Rotation.from_euler("z", 180, degrees=True)
    rest = np.array([0, -0.35, 0])
    smplx["transl"] = turn.apply(smplx["transl"] + rest) - rest
    smplx["global_orient"] = (turn * Rotation.from_rotvec(smplx["global_orient"])).as_rotvec()


def in_the_world(members: dict[str, Any]) -> None:
    pose = np.stack(members["meta"]["RT"])
    back = Rotation.from_matrix(pose[:, :3, :3]).inv()
    members["smplx"]["transl"] = back.apply(members["smplx"]["transl"] - pose[:, :3, 3])
    members["smplx"]["global_orient"] = (back * Rotation.from_rotvec(members["smplx"]["global_orient"])).as_rotvec()


def behind(members: dict[str, Any]) -> None:
    members["smplx"]["transl"][:, 2] *= -1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (upside_down, "not in the camera frame"),
        (in_the_world, "not in the camera frame"),
        (behind, "behind the camera, and not at their 2D points"),
        (lambda members: members["misc"].pop("flat_hand_mean"), "has no flat_hand_mean"),
        (lambda members: members["meta"].pop("gender"), "has no gender"),
        (lambda members: members["meta"].pop("focal_length"), "has no focal_length"),
        (lambda members: members["smplx"].update(betas=np.zeros((24, 16))), "betas is 24 x 16"),
        (lambda members: members.pop("keypoints2d_smplx"), "has no keypoints2d_smplx"),
        (lambda members: members.pop("smplx"), "has no smplx"),
        (lambda members: members.pop("image_path"), "image_path"),
    ],
)
def test_a_file_that_is_not_what_it_is_taken_for_is_refused(own: Path, tmp_path: Path, change: Any, words: str) -> None:
    edit(own / FIRST, change)
    with pytest.raises(DataError, match=words) as error:
        run(own, tmp_path / "x.h5", None)
    assert TRAIN[0] in str(error.value)


def test_rows_whose_extrinsics_are_no_pose_are_left_out(own: Path, tmp_path: Path) -> None:
    def scaled(members: dict[str, Any]) -> None:
        members["meta"]["RT"][3] = members["meta"]["RT"][3] * 2

    edit(own / FIRST, scaled)
    _, report = converted_of(own, tmp_path / "x.h5", None)
    assert len(report.dropped["meta/RT is no pose of a camera"]) == 1


def test_hands_are_what_the_file_says(raw: Raw, own: Path, tmp_path: Path, body_models: Path) -> None:
    edit(own / FIRST, lambda members: members["misc"].update(flat_hand_mean=False))
    edit(own / f"annotations/{TRAIN[1]}.npz", lambda members: members["misc"].update(flat_hand_mean=False))
    hd, report = converted_of(own, tmp_path / "x.h5", body_models)
    assert hd.passport.flat_hand_mean is False
    assert "finger joints are" in " ".join(report.problems)


def test_halves_whose_hands_mean_different_things_are_named(own: Path, tmp_path: Path) -> None:
    edit(own / FIRST, lambda members: members["misc"].update(flat_hand_mean=False))
    with pytest.raises(PassportError, match=f"{TRAIN[0]}.npz and .*{TRAIN[1]}.npz differ in flat_hand_mean: False and"):
        run(own, tmp_path / "x.h5", None)


def test_one_half_under_the_name_of_the_other_gives_nobody_twice(own: Path, tmp_path: Path) -> None:
    folder = own / "annotations"
    once = run(own, tmp_path / "x.h5", None)
    shutil.copy(folder / f"{TRAIN[0]}.npz", folder / f"{TRAIN[1]}.npz")
    report = run(own, tmp_path / "y.h5", None)
    names = report.dropped[REPEATED]
    assert len(names) == report.written < once.written
    assert all(name.startswith(f"annotations/{TRAIN[1]}.npz images/") and TRAIN[0] in name for name in names)


def test_paths_that_were_written_under_windows_are_found(tree: Tree, own: Path, tmp_path: Path) -> None:
    wanted = run(own, tmp_path / "x.h5", None)

    def under_windows(members: dict[str, Any]) -> None:
        members["image_path"] = np.array([path.replace("/", "\\") for path in members["image_path"].tolist()])

    for name in TRAIN:
        edit(own / f"annotations/{name}.npz", under_windows)
    report = run(own, tmp_path / "y.h5", None)
    assert (report.written, report.dropped) == (wanted.written, wanted.dropped)
    assert HumanData.open(tmp_path / "y.h5")["image_path"].tolist() == (
        HumanData.open(tmp_path / "x.h5")["image_path"].tolist()
    )
