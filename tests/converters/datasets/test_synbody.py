from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ehps.converters.datasets.synbody import SynBody
from ehps.converters.pipeline.report import Report
from ehps.demo.raw import stage
from ehps.errors import DataError, UsageError
from ehps.humandata import HumanData
from tests.raw import faults
from tests.raw.checks import (
    assert_boxes_hold_the_visible_joints,
    assert_joints_are_the_truth,
    blank,
    nearest,
    package_joints,
    truncate,
)
from tests.raw.synbody import (
    ACTORS,
    EMPTY,
    GENDER,
    LOST,
    OLD,
    PAIR,
    ROWS,
    TOP,
    VIEW,
    Tree,
    edit_fit,
    fit_path,
    image_path,
)
from tests.raw.trees import Raw, runner

Pair = tuple[HumanData, Report]

DATASET = "synbody"
run = runner(DATASET)


def adding(members: dict[str, Any]) -> Callable[[dict[str, Any]], object]:
    return lambda content: content.update(members)


# -- people --------------------------------------------------------------------------------------------------


def test_joints_are_those_of_the_raw_parameters(tree: Tree, converted: Pair, body_models: Path) -> None:
    hd, _ = converted
    assert_joints_are_the_truth(hd, tree.truth, body_models)
    projected = stage.project(package_joints(hd, body_models), VIEW)
    np.testing.assert_allclose(hd["keypoints2d_smplx"][:, :127, :2], projected[:, :127], atol=0.1)


def test_rows_go_by_sequence_actor_and_image(tree: Tree, converted: Pair) -> None:
    hd, _ = converted
    assert hd["meta/sequence_name"].tolist() == [f"{TOP}/{name}" for name, *_ in ROWS]
    assert hd["meta/track_id"].tolist() == [f"{TOP}/{name}/{actor}" for name, actor, _ in ROWS]
    assert hd["meta/person_id"].tolist() == [ACTORS[name].index(actor) for name, actor, _ in ROWS]
    assert hd["meta/frame_id"].tolist() == [n for *_, n in ROWS]
    assert nearest(hd, tree.truth) == list(range(len(ROWS)))


def test_parameters_and_genders_are_the_raw_ones(tree: Tree, converted: Pair) -> None:
    hd, _ = converted
    assert hd["meta/gender"].tolist() == [GENDER[actor] for _, actor, _ in ROWS]
    for row, key in enumerate(ROWS):
        for name, value in tree.bodies[key].arrays().items():
            np.testing.assert_allclose(hd[f"smplx/{name}"][row].ravel(), value.ravel(), rtol=1e-5, atol=1e-6)
    assert np.abs(hd["smplx/left_hand_pose"]).max() > 0.05
    assert hd.passport.flat_hand_mean is False


def test_the_t_pose_of_old_archives_is_no_image(tree: Tree, converted: Pair) -> None:
    hd, report = converted
    rows = [k for k, (name, *_) in enumerate(ROWS) if name == OLD]
    assert hd["image_path"][rows].tolist() == [image_path(OLD, 1), image_path(OLD, 2)]
    assert np.abs(hd["smplx/body_pose"][rows]).max(axis=(1, 2)).min() > 0.1
    assert report.dropped["T-pose before the sequence"] == [image_path(OLD, 0)]
    assert not any("entries" in note for note in report.notes)


def test_an_entry_more_without_a_t_pose_is_an_image_less(
    own: Path, tmp_path: Path, body_models: Path, tree: Tree
) -> None:
    (own / image_path(PAIR, 3)).unlink()
    report = run(own, tmp_path / "x.h5", body_models)
    hd = HumanData.open(tmp_path / "x.h5")
    kept = [k for k, row in enumerate(ROWS) if row[0] != PAIR or row[2] != 3]
    assert_joints_are_the_truth(hd, tree.truth[kept], body_models)
    assert any("3 entries for 2 images" in note for note in report.notes)


# -- boxes, facts ------------------------------------------------------------------------------------------------


def test_boxes_hold_the_people(converted: Pair) -> None:
    assert_boxes_hold_the_visible_joints(converted[0])


def test_facts_of_the_rows_and_of_the_file(converted: Pair) -> None:
    hd, report = converted
    np.testing.assert_array_equal(hd["meta/focal_length"], np.full((len(ROWS), 2), 640))
    np.testing.assert_array_equal(hd["meta/principal_point"], np.tile([640, 360], (len(ROWS), 1)))
    assert set(zip(hd["meta/height"].tolist(), hd["meta/width"].tolist(), strict=True)) == {(720, 1280)}
    expected = {
        "smplx_source": "original",
        "bbox_source": "keypoints2d_smplx",
        "cam_param_type": "perspective",
        "flat_hand_mean": False,
        "kps3d_root_aligned": False,
        "image_shape": [720, 1280],
    }
    assert {key: hd.misc[key] for key in expected} == expected
    assert "smplx/betas_neutral" not in hd.columns
    assert (hd.passport.dataset, hd.passport.split, hd.passport.gender) == ("synbody", "train", "per-instance")
    assert hd.validate() == []
    assert report.published == 633_496
    assert report.problems == []


def test_what_is_left_out_is_counted_by_reason(tree: Tree, converted: Pair) -> None:
    _, report = converted
    assert {reason: len(names) for reason, names in report.dropped.items()} == tree.dropped
    assert report.dropped["behind the camera"] == [f"{image_path(LOST, 1)} fred"]
    assert report.dropped["fewer than 1 body joints in the image"] == [image_path(LOST, 3)]
    assert report.dropped["no SMPL-X fit"] == [image_path(EMPTY, 1), image_path(EMPTY, 2)]
    assert report.dropped["image missing"] == [f"{image_path(LOST, 2)} {actor}" for actor in ACTORS[LOST]]


# -- releases and options -----------------------------------------------------------------------------------------


def test_the_inner_folder_may_be_given(tree: Tree, converted: Pair, tmp_path: Path, body_models: Path) -> None:
    run(tree.root / TOP, tmp_path / "x.h5", body_models)
    found, hd = HumanData.open(tmp_path / "x.h5"), converted[0]
    assert found["image_path"].tolist() == [path.removeprefix(f"{TOP}/") for path in hd["image_path"].tolist()]
    np.testing.assert_array_equal(found["smplx/transl"], hd["smplx/transl"])


def test_own_joints_of_the_internal_layout_are_kept_and_compared(
    own: Path, tree: Tree, tmp_path: Path, body_models: Path
) -> None:
    for name in (OLD, LOST, EMPTY):
        shutil.rmtree(own / TOP / name)
    folder = own / TOP / PAIR
    for actor in ACTORS[PAIR]:
        rows = [k for k, row in enumerate(ROWS) if row[:2] == (PAIR, actor)]
        points = {"keypoints3d": tree.truth.joints[rows], "keypoints2d": tree.truth.points[rows]}
        edit_fit(own, PAIR, actor, adding(points))
    (folder / "smplx").rename(folder / "smplx_withJoints_inCamSpace_noBUG")
    shutil.copytree(folder / "smplx_withJoints_inCamSpace_noBUG", folder / "smplx_withJoints_inCamSpace")
    truncate(folder / "smplx_withJoints_inCamSpace/anna.npz")  # the other folder comes first
    (folder / "seq_data.json").write_text("{}")
    report = run(own, tmp_path / "x.h5", body_models)
    hd = HumanData.open(tmp_path / "x.h5")
    np.testing.assert_allclose(hd["keypoints2d_original"][..., :2], tree.truth.points[:6], atol=1e-3)
    assert report.quality["reprojection_px"]["max"] < 0.1
    assert report.problems == []
    swapped = run(own, tmp_path / "y.h5", body_models, dataset=faults.faulty(SynBody, faults.sides_swapped))
    assert "2D points" in " ".join(swapped.problems)


def test_the_first_release_in_actor_space_is_refused(own: Path, tmp_path: Path) -> None:
    (own / TOP / OLD / "seq_data.json").write_text("{}")
    with pytest.raises(DataError, match="actor space"):
        run(own, tmp_path / "x.h5", None)


def test_shapes_and_hands_come_in_several_forms(own: Path, tree: Tree, tmp_path: Path, body_models: Path) -> None:
    def change(content: dict[str, Any]) -> None:
        fit = content["smplx"]
        fit["betas"] = fit["betas"][0]
        fit["left_hand_pose"] = fit["left_hand_pose"].reshape(-1, 15, 3)

    edit_fit(own, PAIR, "bert", change)
    run(own, tmp_path / "x.h5", body_models)
    assert_joints_are_the_truth(HumanData.open(tmp_path / "x.h5"), tree.truth, body_models)


def test_a_file_without_gender_is_taken_for_neutral_and_said(own: Path, tmp_path: Path, body_models: Path) -> None:
    edit_fit(own, PAIR, "bert", lambda content: content.pop("meta"))
    report = run(own, tmp_path / "x.h5", body_models)
    assert HumanData.open(tmp_path / "x.h5")["meta/gender"].tolist()[3:6] == ["neutral"] * 3
    assert any("bert.npz does not say its gender" in note for note in report.notes)


def test_some_cameras_and_images_can_be_chosen(tree: Tree, tmp_path: Path, body_models: Path) -> None:
    run(tree.root, tmp_path / "x.h5", body_models, options={"cameras": "CAM002", "interval": "2"})
    hd = HumanData.open(tmp_path / "x.h5")
    kept = [k for k, row in enumerate(ROWS) if row[0] == PAIR and row[2] in (1, 3)]
    assert_joints_are_the_truth(hd, tree.truth[kept], body_models)
    with pytest.raises(UsageError, match="interval"):
        run(tree.root, tmp_path / "y.h5", body_models, options={"interval": "-1"})


# -- without everything, and bad input ------------------------------------------------------------------------


def test_without_body_models_parameters_are_kept(tree: Tree, raw: Raw) -> None:
    hd, report = raw.without_models()
    assert {"keypoints2d_smplx", "keypoints3d_smplx", "bbox_xywh"} <= set(report.absent)
    assert {"smplx/body_pose", "smplx/left_hand_pose"} <= set(hd.columns)
    assert len(hd) == len(ROWS) + 1  # emma, too: where she is cannot be told


def test_broken_files_are_named_and_their_sequences_can_be_left_out(
    own: Path, tmp_path: Path, body_models: Path
) -> None:
    truncate(fit_path(own, PAIR, "anna"))
    edit_fit(own, OLD, "cleo", lambda content: content["smplx"].pop("jaw_pose"))
    with pytest.raises(DataError, match=r"anna\.npz.*has no jaw_pose"):
        run(own, tmp_path / "x.h5", body_models)
    report = run(own, tmp_path / "x.h5", body_models, skip_bad=True)
    assert [unit.unit for unit in report.bad] == [f"{TOP}/{PAIR}", f"{TOP}/{OLD}"]
    assert report.written == 4
    edit_fit(own, OLD, "cleo", lambda content: content.update(smplx=np.zeros(3)))
    with pytest.raises(DataError, match="smplx is 3 numbers, expected values by name"):
        run(own, tmp_path / "y.h5", body_models)


def test_fits_that_are_no_numbers_are_dropped(own: Path, tmp_path: Path, body_models: Path) -> None:
    edit_fit(own, PAIR, "bert", lambda content: content["smplx"]["body_pose"].__setitem__((1, 7), np.nan))
    report = run(own, tmp_path / "x.h5", body_models)
    assert report.dropped["body parameters not finite"] == [image_path(PAIR, 2)]
    assert report.written == len(ROWS) - 1


def test_images_of_another_size_are_told(own: Path, tmp_path: Path, body_models: Path) -> None:
    blank(own, [image_path(PAIR, n) for n in (1, 2, 3)], 72, 128)
    report = run(own, tmp_path / "x.h5", body_models)
    assert any("128 x 72" in note for note in report.notes)


# -- planted faults ---------------------------------------------------------------------------------------------

MISTAKES = (faults.other_gender, faults.sides_swapped, faults.neighbours, faults.hands_absolute)


@pytest.mark.parametrize("fault", MISTAKES)
def test_mistakes_are_away_from_the_truth(tree: Tree, tmp_path: Path, body_models: Path, fault: faults.Fault) -> None:
    run(tree.root, tmp_path / "x.h5", body_models, dataset=faults.faulty(SynBody, fault))
    found = HumanData.open(tmp_path / "x.h5")["keypoints3d_smplx"][:6, :55, :3]
    assert np.linalg.norm(found - tree.truth.joints[:6, :55], axis=2).max() > 0.01
