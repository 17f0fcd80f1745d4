"""ARCTIC: personal templates in place of betas, images numbered apart from poses, eight fixed cameras."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ehps.converters.base import Unit, concat
from ehps.converters.datasets import arctic as module
from ehps.converters.datasets.arctic import ARCTIC
from ehps.converters.pipeline.report import Report
from ehps.demo.raw.stage import Truth
from ehps.errors import DataError, UsageError
from ehps.humandata import HumanData
from tests.raw import arctic, faults
from tests.raw.arctic import FIRST, OFFSET, OTHER, SECOND, USED, Room
from tests.raw.checks import STILL, assert_boxes_hold_the_visible_joints, edited, nearest, package_joints
from tests.raw.trees import runner

Pair = tuple[HumanData, Report]
GONE = 12 + 6  # of the rows of train: SECOND comes first, then FIRST's view 1, then view 4 without its third image

DATASET = "arctic"
run = runner(DATASET)


@pytest.fixture(scope="module")
def train(tree: Room) -> Truth:
    rows = Truth.concat([tree.truth(SECOND), tree.truth(FIRST)])
    return rows[[k for k in range(24) if k != GONE]]


def assert_scans_are_the_truth(hd: HumanData, truth: Truth) -> None:
    assert hd["image_path"].tolist() == truth.image_path
    np.testing.assert_allclose(hd["keypoints3d_smplx"][:, STILL, :3], truth.joints[:, STILL], atol=1e-3)
    np.testing.assert_allclose(hd["keypoints2d_smplx"][:, STILL, :2], truth.points[:, STILL], atol=0.1)


def test_joints_are_those_of_the_scan_moved_by_every_camera(converted: Pair, train: Truth) -> None:
    hd, report = converted
    assert_scans_are_the_truth(hd, train)
    assert nearest(hd, train) == list(range(23))
    assert_boxes_hold_the_visible_joints(hd)
    assert hd.validate() == []
    assert report.problems == []
    assert report.quality["world_to_camera_m"]["max"] < 1e-5


def test_stored_parameters_are_the_body_of_an_ordinary_subject(
    converted: Pair, tree: Room, train: Truth, body_models: Path
) -> None:
    hd, _ = converted
    joints = package_joints(hd, body_models)
    np.testing.assert_allclose(joints[12:, STILL], train.joints[12:, STILL], atol=1e-3)
    np.testing.assert_allclose(hd["smplx/betas"][12:], np.tile(tree.betas["s01"], (11, 1)), atol=1e-3)
    assert hd["meta/template_residual_m"][12:].max() < 1e-5


def test_a_scan_that_no_betas_make_keeps_its_pelvis_and_its_joints(
    converted: Pair, tree: Room, train: Truth, body_models: Path
) -> None:
    hd, report = converted
    off = np.linalg.norm(package_joints(hd, body_models)[:12, STILL] - train.joints[:12, STILL], axis=2)
    assert off[:, 0].max() < 1e-3
    assert 0.005 < off.max() < 0.1
    with np.load(body_models / "smplx/SMPLX_MALE.npz") as model:
        template, directions = model["v_template"].astype(float), model["shapedirs"][:, :, :10].astype(float)
    shift = np.broadcast_to(np.eye(3), (len(template), 3, 3))
    system = np.concatenate([directions, shift], axis=2).reshape(-1, 13)
    gap = tree.templates["s02"] - template
    betas, *_ = np.linalg.lstsq(system, gap.ravel(), rcond=None)
    np.testing.assert_allclose(hd["smplx/betas"][:12], np.tile(betas[:10], (12, 1)), atol=1e-3)
    left = np.linalg.norm(gap - (system @ betas).reshape(-1, 3), axis=1).mean()
    np.testing.assert_allclose(hd["meta/template_residual_m"][:12], left, atol=1e-5)
    assert report.quality["template_residual_m"]["max"] == pytest.approx(left, abs=1e-5)


def test_every_row_says_where_it_is_from(converted: Pair, tree: Room) -> None:
    hd, report = converted
    rows = [(s, s[:3], int(v), n) for s in (SECOND, FIRST) for v in arctic.IMAGED for n in USED]
    rows.pop(GONE)
    columns = [hd[f"meta/{name}"].tolist() for name in ("sequence_name", "subject", "camera", "frame_id")]
    assert list(zip(*columns, strict=True)) == rows
    assert hd["meta/gender"].tolist() == ["male"] * 12 + ["female"] * 11
    k = np.stack([tree.cameras[subject][0][view - 1] for _, subject, view, _ in rows])
    np.testing.assert_allclose(hd["meta/focal_length"], k[:, [0, 1], [0, 1]], rtol=1e-6)
    np.testing.assert_allclose(hd["meta/principal_point"], k[:, :2, 2], rtol=1e-6)
    assert {(h, w) for h, w in zip(hd["meta/height"], hd["meta/width"], strict=True)} == {arctic.SIZE}
    assert (hd.passport.flat_hand_mean, hd.passport.gender, hd.passport.num_betas) == (True, "per-instance", 10)
    assert (hd.misc["fps"], hd.misc["cam_param_type"], hd.misc["betas_source"]) == (30, "perspective", "fitted")
    raw_hand = np.load(arctic.bodies(tree.root, SECOND), allow_pickle=True).item()["left_hand_pose"]
    expected = raw_hand[USED[1] - OFFSET["s02"]].reshape(15, 3)
    np.testing.assert_allclose(hd["smplx/left_hand_pose"][1], expected, atol=1e-6)
    assert report.published == 1_539_100


def test_what_is_left_out_is_counted_by_reason(converted: Pair) -> None:
    _, report = converted
    ends = [arctic.image_file(FIRST, "1", n) for n in (2, 9, 14)]
    assert set(report.dropped) == {"among the first or last 10 images", "image missing"}
    assert report.dropped["among the first or last 10 images"] == ends
    assert len(report.dropped["image missing"]) == 2 * 5 * 4 + 1
    assert arctic.image_file(FIRST, "4", 12) in report.dropped["image missing"]
    assert report.written == 23


def test_validation_is_its_own_subject(tree: Room, tmp_path: Path, body_models: Path) -> None:
    run(tree.root, tmp_path / "x.h5", body_models, split="val")
    assert_scans_are_the_truth(HumanData.open(tmp_path / "x.h5"), tree.truth(OTHER))


def test_the_test_split_is_refused_with_the_reason(tree: Room, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="hidden"):
        run(tree.root, tmp_path / "x.h5", None, split="test")


def test_training_leaves_out_what_other_splits_list(own: Path, tree: Room, tmp_path: Path, body_models: Path) -> None:
    with edited(own / "splits_json/protocol_p1.json") as lists:
        lists["train"] = [OTHER, FIRST]
    run(own, tmp_path / "x.h5", body_models)
    assert set(HumanData.open(tmp_path / "x.h5")["meta/sequence_name"].tolist()) == {FIRST}


def test_cameras_and_frames_can_be_chosen(tree: Room, tmp_path: Path, body_models: Path) -> None:
    report = run(tree.root, tmp_path / "x.h5", body_models, options={"cameras": "8,1", "interval": "2"})
    chosen = Truth.concat([tree.truth(s, ("1", "8"), (10, 12)) for s in (SECOND, FIRST)])
    assert_scans_are_the_truth(HumanData.open(tmp_path / "x.h5"), chosen)
    assert "image missing" not in report.dropped
    for options in ({"cameras": "0"}, {"interval": "0"}):
        with pytest.raises(UsageError):
            run(tree.root, tmp_path / "y.h5", body_models, options=options)


def test_images_before_the_first_pose_do_not_wrap_around(
    own: Path, tree: Room, tmp_path: Path, body_models: Path
) -> None:
    with edited(own / "meta/misc.json") as facts:
        facts["s05"]["ioi_offset"] = 12
    report = run(own, tmp_path / "x.h5", body_models, split="val")
    hd = HumanData.open(tmp_path / "x.h5")
    assert hd["meta/frame_id"].tolist() == [12, 13] * 3
    assert len(report.dropped["no pose for the image"]) == 6
    pose, first = tree.cameras["s05"][1][0], tree.joints[OTHER][0]
    np.testing.assert_allclose(
        hd["keypoints3d_smplx"][0, STILL, :3], (first @ pose[:3, :3].T + pose[:3, 3])[STILL], atol=1e-3
    )


def test_corrupt_images_are_left_out(
    tree: Room, tmp_path: Path, body_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = arctic.image_file(OTHER, "4", 11)
    monkeypatch.setattr(module, "CORRUPT", (path,))
    report = run(tree.root, tmp_path / "x.h5", body_models, split="val")
    assert report.dropped["image is corrupt in the release"] == [path]
    assert_scans_are_the_truth(HumanData.open(tmp_path / "x.h5"), tree.truth(OTHER)[[k for k in range(12) if k != 5]])


def test_a_sequence_without_bodies_does_not_fail_the_run(own: Path, tmp_path: Path, body_models: Path) -> None:
    arctic.bodies(own, SECOND).unlink()
    report = run(own, tmp_path / "x.h5", body_models)
    assert len(report.dropped["no SMPL-X parameters"]) == 12
    assert report.written == 11
    assert any(SECOND in note for note in report.notes)


def test_without_body_models_nobody_can_be_placed(tree: Room, tmp_path: Path) -> None:
    report = run(tree.root, tmp_path / "x.h5", None)
    assert "rest pelvis" in report.absent["smplx/*"]
    assert "meta/focal_length" in HumanData.open(tmp_path / "x.h5").columns


def edit(path: Path, **changes: Any) -> None:
    values = np.load(path, allow_pickle=True).item() | changes
    np.save(path, np.array({k: v for k, v in values.items() if v is not None}, object), allow_pickle=True)


def test_parameters_of_another_shape_or_without_numbers(own: Path, tmp_path: Path, body_models: Path) -> None:
    path = arctic.bodies(own, OTHER)
    transl = np.load(path, allow_pickle=True).item()["transl"]
    transl[USED[0] - OFFSET["s05"]] = np.nan
    edit(path, transl=transl)
    report = run(own, tmp_path / "x.h5", body_models, split="val")
    assert len(report.dropped["body parameters not finite"]) == 3
    assert report.written == 9
    edit(path, jaw_pose=np.zeros((arctic.FRAMES - 1, 3)))
    with pytest.raises(DataError, match="jaw_pose"):
        run(own, tmp_path / "y.h5", body_models, split="val")
    edit(path, jaw_pose=None)
    with pytest.raises(DataError, match="has no jaw_pose"):
        run(own, tmp_path / "y.h5", body_models, split="val")


@pytest.mark.parametrize(
    "fault",
    [faults.pelvis_forgotten, faults.other_gender, faults.sides_swapped, faults.neighbours, faults.hands_relative],
)
def test_mistakes_are_away_from_the_truth(tree: Room, tmp_path: Path, body_models: Path, fault: faults.Fault) -> None:
    run(tree.root, tmp_path / "x.h5", body_models, faults.faulty(ARCTIC, fault), split="val")
    found = HumanData.open(tmp_path / "x.h5")["keypoints3d_smplx"]
    assert np.linalg.norm(found[:, :55, :3] - tree.truth(OTHER).joints[:, :55], axis=2).max() > 0.002


def test_people_on_templates_of_their_own_are_not_joined(tree: Room) -> None:
    parts = [ARCTIC(tree.root, "train").read(Unit(name, arctic.bodies(tree.root, name))) for name in (FIRST, OTHER)]
    with pytest.raises(ValueError, match="templates of their own"):
        concat(parts)


def test_the_gender_of_the_file_decides(own: Path, tmp_path: Path, body_models: Path) -> None:
    facts = json.loads((own / "meta/misc.json").read_text())
    assert facts["s05"]["gender"] == "female"
    facts["s05"]["gender"] = "male"
    (own / "meta/misc.json").write_text(json.dumps(facts))
    run(own, tmp_path / "x.h5", body_models, split="val")
    assert set(HumanData.open(tmp_path / "x.h5")["meta/gender"].tolist()) == {"male"}
