from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from ehps.converters.base import Instances
from ehps.converters.datasets.ubody import UBody
from ehps.converters.pipeline.report import Report
from ehps.converters.readers import coco
from ehps.errors import DataError
from ehps.humandata import HumanData
from ehps.humandata.keypoints import flip_order, point_names
from tests.raw import faults
from tests.raw.checks import (
    assert_boxes_hold_the_visible_joints,
    assert_joints_are_the_truth,
    edited,
    nearest,
)
from tests.raw.trees import Raw, runner
from tests.raw.ubody import VIEW, number_at, write_video
from tests.raw.wholebody import PARAMETERS, Tree

Pair = tuple[HumanData, Report]
Trees = dict[str, Tree]

SPEECH = slice(2, 6)  # rows of the train split, after the two of Interview
POINTS, FITS = "keypoint_annotation.json", "smplx_annotation.json"

DATASET = "ubody"
run = runner(DATASET)


@pytest.fixture(scope="module")
def trees(raw: Raw) -> Trees:
    """Read-only."""
    return raw.tree


@pytest.fixture(scope="module")
def tree(trees: Trees) -> Tree:
    return trees["train"]


# -- people -------------------------------------------------------------------------------------------------


def test_joints_are_those_of_the_raw_fits(tree: Tree, converted: Pair, body_models: Path) -> None:
    hd, _ = converted
    assert_joints_are_the_truth(hd, tree.truth, body_models)


def test_every_row_is_its_own_person_by_scene_and_in_the_order_of_the_annotations(tree: Tree, converted: Pair) -> None:
    hd, _ = converted
    assert hd["meta/scene"].tolist() == ["Interview"] * 2 + ["Speech"] * 4
    assert hd["meta/annotation_id"].tolist() == [a["id"] for a in tree.annotations]
    assert hd["meta/image_id"].tolist() == [a["image_id"] for a in tree.annotations]
    assert nearest(hd, tree.truth) == list(range(6))
    assert hd["image_path"][2] == "images/Speech/Speech_S1_Trim1/Speech_S1_Trim1/000001.png"
    assert hd["meta/sequence_name"].tolist() == ["Interview_S4"] * 2 + ["Speech_S1"] * 4


@pytest.mark.parametrize("rows", [3, 10_000])
def test_annotations_are_numbered_within_their_scene_before_any_is_left_out(
    tree: Tree, converted: Pair, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coco, "ROWS", rows)
    converter = UBody(tree.root, "train")
    found: list[tuple[str, int, int]] = []
    for unit in converter.units():
        meta = converter.read(unit).meta
        names = ("scene", "annotation_id", "annotation_index")
        found += zip(*(np.asarray(meta[name]).tolist() for name in names if name in meta), strict=True)
    for scene, annotation, number in found:
        raw = json.loads((tree.root / f"annotations/{scene}/{POINTS}").read_text())["annotations"]
        assert raw[number - 1]["id"] == annotation
    hd, _ = converted
    assert {(s, i) for s, _, i in found} >= set(
        zip(hd["meta/scene"].tolist(), hd["meta/annotation_index"].tolist(), strict=True)
    )
    assert hd["meta/annotation_index"].tolist()[:2] == [1, 2]
    assert hd["meta/annotation_index"].tolist()[2:] != [1, 2, 3, 4]


def test_projected_joints_land_on_the_annotated_points(converted: Pair) -> None:
    hd, report = converted
    own = hd["keypoints2d_original"]
    ours = hd.keypoints("keypoints2d_smplx", point_names("coco_wholebody"))
    seen = (own[..., 2] > 0) & (ours[..., 2] > 0)
    assert (seen.sum(axis=1) > 50).all()
    assert np.linalg.norm(own[..., :2] - ours[..., :2], axis=2)[seen].max() < 1
    assert report.quality["reprojection_px"]["max"] < 0.1


def test_annotated_points_keep_their_place_and_their_visibility(tree: Tree, converted: Pair) -> None:
    hd, _ = converted
    own, start = hd["keypoints2d_original"], 0
    assert hd.keypoint_names["keypoints2d_original"] == point_names("coco_wholebody")
    for key in ("keypoints", "foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts"):
        raw = tree.points(key)
        mine = own[:, start : start + raw.shape[1]]
        np.testing.assert_allclose(mine[..., :2], raw[..., :2], rtol=1e-6)
        assert (mine[..., 2] == (raw[..., 2] > 0)).all()
        start += raw.shape[1]
    assert tree.flags("lefthand_valid")[3] == hd["meta/lefthand_valid"][3] == False  # noqa: E712
    assert own[3, 91:112, 2].any()


def test_parameters_are_the_raw_ones_hands_included(tree: Tree, converted: Pair) -> None:
    hd, _ = converted
    hands = {"lhand_pose": ("left_hand_pose", 45), "rhand_pose": ("right_hand_pose", 45)}
    for key, (column, size) in (PARAMETERS | hands).items():
        np.testing.assert_allclose(hd[f"smplx/{column}"].reshape(6, -1), tree.parameter(key, size), rtol=1e-5)
    assert hd["smplx/left_hand_pose"].any(axis=(1, 2)).all()  # that of row 3 too, which is unseen
    for column in ("leye_pose", "reye_pose"):
        assert hd[f"smplx/{column}"].shape == (6, 3)
        assert not hd[f"smplx/{column}"].any()
    assert hd["meta/lefthand_valid"][SPEECH].tolist() == [True, False, True, True]
    assert hd["meta/righthand_valid"][SPEECH].tolist()[2] is False  # the fit's own flag
    assert hd["meta/face_valid"].dtype == bool


def test_two_people_of_one_image_have_cameras_of_their_own(tree: Tree, converted: Pair) -> None:
    hd, _ = converted
    np.testing.assert_allclose(hd["meta/focal_length"], tree.camera("focal"), rtol=1e-6)
    np.testing.assert_allclose(hd["meta/principal_point"], tree.camera("princpt"), rtol=1e-6)
    assert hd["image_path"][2] == hd["image_path"][3]
    assert hd["meta/focal_length"][2, 0] != hd["meta/focal_length"][3, 0]
    assert hd.passport.focal == "virtual"


def test_boxes_are_the_datasets_own_within_the_image(tree: Tree, converted: Pair) -> None:
    hd, _ = converted
    assert_boxes_hold_the_visible_joints(hd)
    for row, annotation in enumerate(tree.annotations):
        x, y, w, h = annotation["bbox"]
        expected = [x, y, w, min(h, VIEW.height - y), 1]
        np.testing.assert_allclose(hd["bbox_xywh"][row], expected, atol=1e-3)
    assert tree.annotations[5]["bbox"][1] + tree.annotations[5]["bbox"][3] > VIEW.height


def test_part_boxes_count_when_the_part_is_valid(tree: Tree, converted: Pair) -> None:
    hd, _ = converted
    for column, part in (("face_bbox_xywh", "face"), ("lhand_bbox_xywh", "lefthand"), ("rhand_bbox_xywh", "righthand")):
        valid = tree.flags(f"{part}_valid")
        assert (hd[column][:, 4] == valid).all()
        raw = np.array([a[f"{part}_box"] for a in tree.annotations])
        np.testing.assert_allclose(hd[column][valid, :4], raw[valid], atol=1e-3)
    assert tree.annotations[3]["lefthand_box"][2] > 0  # there is a box, of a hand that is not
    assert hd["lhand_bbox_xywh"][3, 4] == 0


def test_facts_of_the_file(tree: Tree, converted: Pair) -> None:
    hd, report = converted
    assert set(zip(hd["meta/height"].tolist(), hd["meta/width"].tolist(), strict=True)) == {(360, 640)}
    assert hd["meta/gender"].tolist() == ["neutral"] * 6
    assert hd["meta/iscrowd"].tolist() == [0] * 6
    assert hd["meta/valid_label"].tolist() == [2] * 6
    assert hd["meta/num_keypoints"].tolist() == [a["num_keypoints"] for a in tree.annotations]
    expected = {
        "smplx_source": "original",
        "bbox_source": "provided_by_dataset",
        "bbox_body_scale": 1.0,
        "flat_hand_mean": False,
        "kps3d_root_aligned": False,
    }
    assert {key: hd.misc[key] for key in expected} == expected
    passport = hd.passport
    assert (passport.dataset, passport.split, passport.body_model) == ("ubody", "train", "smplx")
    assert (passport.gender, passport.flat_hand_mean, passport.num_betas) == ("neutral", False, 10)
    assert hd.validate() == []
    assert report.published == 683_270


def test_what_is_left_out_is_counted_by_reason(tree: Tree, converted: Pair) -> None:
    _, report = converted
    assert {reason: len(found) for reason, found in report.dropped.items()} == tree.dropped
    assert (report.found, report.written, report.units) == (14, 6, 3)
    assert report.problems == []
    assert report.notes == []


@pytest.mark.parametrize("split", ["test", "inter_train", "inter_test"])
def test_splits_go_by_the_name_of_the_video(trees: Trees, tmp_path: Path, body_models: Path, split: str) -> None:
    report = run(trees[split].root, tmp_path / "x.h5", body_models, split=split)
    assert_joints_are_the_truth(HumanData.open(tmp_path / "x.h5"), trees[split].truth, body_models)
    assert {reason: len(found) for reason, found in report.dropped.items()} == trees[split].dropped


def test_files_of_other_tools_beside_the_annotations_are_ignored(own: Path, tmp_path: Path) -> None:
    for name in ("train_annotations.json", "train_3dkeypoint_annotation.json"):
        (own / "annotations/Speech" / name).write_text("[]")
    (own / "annotations/README").mkdir()
    assert run(own, tmp_path / "x.h5", None).written == 6


# -- frames out of videos -----------------------------------------------------------------------------------


@pytest.fixture
def filmed(own: Path) -> Path:
    """The tree with videos in the place of images."""
    shutil.rmtree(own / "images")
    for scene, clip in (("Speech", "Speech_S1_Trim1"), ("Interview", "Interview_S4_Trim1")):
        write_video(own / f"videos/{scene}/{clip}/{clip}.mp4", 20, 30, size=(VIEW.height, VIEW.width))
    return own


def cut_frames(folder: Path) -> dict[str, int]:
    found = sorted(folder.glob("images/**/*.*"))
    return {f"{p.relative_to(folder).parts[1]}/{p.stem}": number_at(p) for p in found if p.is_file()}


def test_only_the_frames_that_rows_name_are_cut(filmed: Path, tree: Tree, tmp_path: Path, body_models: Path) -> None:
    report = run(filmed, tmp_path / "x.h5", body_models, frames=tmp_path / "frames")
    assert cut_frames(tmp_path / "frames") == {"Interview/000001": 0, "Speech/000001": 0, "Speech/000002": 1}
    assert {reason: len(found) for reason, found in report.dropped.items()} == tree.dropped  # frame 99 is past the end
    assert_joints_are_the_truth(HumanData.open(tmp_path / "x.h5"), tree.truth, body_models)
    assert not (filmed / "images").exists()


def test_an_interrupted_extraction_goes_on(filmed: Path, tmp_path: Path) -> None:
    frames = tmp_path / "frames"
    clip = frames / "images/Speech/Speech_S1_Trim1/Speech_S1_Trim1"
    clip.mkdir(parents=True)
    cv2.imwrite(str(clip / "000001.png"), np.full((VIEW.height, VIEW.width, 3), 7, np.uint8))
    kept = (clip / "000001.png").read_bytes()
    assert run(filmed, tmp_path / "x.h5", None, frames=frames).written == 6
    assert (clip / "000001.png").read_bytes() == kept
    assert number_at(clip / "000002.png") == 1


def test_a_video_that_is_not_there_is_named(filmed: Path, tmp_path: Path) -> None:
    shutil.rmtree(filmed / "videos/Speech")
    with pytest.raises(DataError, match=r"Speech: no such video.*videos/Speech/Speech_S1_Trim1/Speech_S1_Trim1\.mp4"):
        run(filmed, tmp_path / "x.h5", None, frames=tmp_path / "frames")
    report = run(filmed, tmp_path / "x.h5", None, frames=tmp_path / "frames", skip_bad=True)
    assert (report.written, [unit.unit for unit in report.bad]) == (2, ["Speech"])


def test_rows_are_kept_with_a_note_when_nothing_is_extracted(filmed: Path, tmp_path: Path, body_models: Path) -> None:
    report = run(filmed, tmp_path / "x.h5", body_models)
    assert report.written == 7  # with the frame that nobody can know to be past the end
    assert "image missing" not in report.dropped
    (note,) = report.notes
    assert "--frames DIR" in note
    assert report.problems == []
    with pytest.raises(DataError, match="images are missing"):
        run(filmed, tmp_path / "x.h5", body_models, strict_images=True)


def test_rows_are_dropped_and_counted_when_other_images_are_there(own: Path, tmp_path: Path) -> None:
    shutil.rmtree(own / "images/Interview")
    report = run(own, tmp_path / "x.h5", None)
    assert report.written == 4
    assert len(report.dropped["image missing"]) == 3


# -- without everything, and bad input ------------------------------------------------------------------------


def test_without_body_models_parameters_are_kept_and_joints_are_absent(tree: Tree, raw: Raw) -> None:
    hd, report = raw.without_models()
    np.testing.assert_allclose(hd["smplx/transl"], tree.parameter("trans", 3), rtol=1e-5)
    assert set(report.absent) == {"keypoints2d_smplx", "keypoints3d_smplx"}
    assert "body models" in report.absent["keypoints3d_smplx"]
    assert report.written == 6
    assert report.problems == []


def test_only_the_list_of_the_split_is_needed(own: Path, tmp_path: Path) -> None:
    (own / "splits/inter_scene_test_list.npy").unlink()
    run(own, tmp_path / "x.h5", None)
    with pytest.raises(DataError, match=r"missing: splits/inter_scene_test_list\.npy"):
        run(own, tmp_path / "x.h5", None, split="inter_test")


@pytest.mark.parametrize("name", [POINTS, FITS])
def test_a_scene_without_one_of_its_files_is_named(own: Path, tmp_path: Path, name: str) -> None:
    (own / "annotations/Interview" / name).unlink()
    with pytest.raises(DataError, match=f"Interview: .*{name}"):
        run(own, tmp_path / "x.h5", None)


def test_flags_may_be_numbers_or_words_of_truth(own: Path, tmp_path: Path) -> None:
    for scene in ("Speech", "Interview"):
        with edited(own / "annotations" / scene / POINTS) as coco:
            for person in coco["annotations"]:
                person["iscrowd"], person["valid_label"] = bool(person["iscrowd"]), bool(person["valid_label"])
                person["lefthand_valid"] = int(person["lefthand_valid"])
    assert run(own, tmp_path / "x.h5", None).written == 6
    hd = HumanData.open(tmp_path / "x.h5")
    assert hd["meta/valid_label"].tolist() == [1] * 6
    assert hd["meta/lefthand_valid"].dtype == bool


# -- planted faults -------------------------------------------------------------------------------------------


def points_mirrored(rows: Instances) -> None:
    assert rows.keypoints2d is not None
    rows.keypoints2d.points = rows.keypoints2d.points[:, flip_order("coco_wholebody")]


def middle_of_the_image_as_principal_point(rows: Instances) -> None:
    assert rows.camera is not None
    rows.camera.principal_point = np.array([320.0, 180.0])


@pytest.mark.parametrize(
    ("fault", "words"),
    [(points_mirrored, "left and right exchanged"), (middle_of_the_image_as_principal_point, "2D points")],
)
def test_quality_exposes(
    tree: Tree, tmp_path: Path, body_models: Path, fault: Callable[[Instances], None], words: str
) -> None:
    report = run(tree.root, tmp_path / "x.h5", body_models, dataset=faults.faulty(UBody, fault))
    assert words in " ".join(report.problems)
