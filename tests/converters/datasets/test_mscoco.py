from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ehps.benchmark.protocols import catalogue
from ehps.benchmark.protocols.fitting import require_fit
from ehps.converters.base import Instances
from ehps.converters.datasets.mscoco import MSCOCO
from ehps.converters.pipeline import convert
from ehps.converters.pipeline.report import Report
from ehps.converters.readers import neural_annot
from ehps.errors import DataError
from ehps.humandata import HumanData
from ehps.humandata.drawing.overlays import view
from ehps.humandata.keypoints import flip_order, point_names
from tests.raw import faults
from tests.raw.checks import (
    assert_boxes_hold_the_visible_joints,
    assert_joints_are_the_truth,
    edited,
    nearest,
)
from tests.raw.mscoco import FITS
from tests.raw.trees import Raw, runner
from tests.raw.wholebody import PARAMETERS, Tree
from tests.samples import samples

WHOLE = "coco_wholebody_train_v1.0.json"

Pair = tuple[HumanData, Report]

DATASET = "mscoco"
run = runner(DATASET)


# -- people -------------------------------------------------------------------------------------------------


def test_joints_are_those_of_the_raw_fits(tree: Tree, converted: Pair, body_models: Path) -> None:
    hd, _ = converted
    assert_joints_are_the_truth(hd, tree.truth, body_models)


def test_every_row_is_its_own_person_in_the_order_of_the_annotations(tree: Tree, converted: Pair) -> None:
    hd, _ = converted
    assert hd["meta/annotation_id"].tolist() == [a["id"] for a in tree.annotations]
    assert hd["meta/image_id"].tolist() == [a["image_id"] for a in tree.annotations]
    assert nearest(hd, tree.truth) == [0, 1, 2, 3, 4]
    assert len(set(hd["image_path"].tolist())) == 2


def test_projected_joints_land_on_the_annotated_points(tree: Tree, converted: Pair) -> None:
    hd, report = converted
    order = point_names("coco_wholebody")
    own = hd["keypoints2d_original"]
    ours = hd.keypoints("keypoints2d_smplx", order)
    seen = (own[..., 2] > 0) & (ours[..., 2] > 0)
    left = np.array([name.startswith("left") and i >= 91 for i, name in enumerate(order)])
    seen[2:4, left] = False  # hands that the fits leave out, though annotated
    assert (seen.sum(axis=1) > [130, 100, 40, 100, 100]).all()
    assert np.linalg.norm(own[..., :2] - ours[..., :2], axis=2)[seen].max() < 1
    assert report.quality["reprojection_face_px"]["max"] < 0.1


def test_annotated_points_keep_their_place_and_count_when_labelled_at_all(tree: Tree, converted: Pair) -> None:
    hd, _ = converted
    own = hd["keypoints2d_original"]
    assert hd.keypoint_names["keypoints2d_original"] == point_names("coco_wholebody")
    start = 0
    for key, flag in (
        ("keypoints", None),
        ("foot_kpts", None),
        ("face_kpts", "face_valid"),
        ("lefthand_kpts", "lefthand_valid"),
        ("righthand_kpts", "righthand_valid"),
    ):
        raw = tree.points(key)
        valid = np.ones(5, bool) if flag is None else tree.flags(flag)
        mine = own[:, start : start + raw.shape[1]]
        np.testing.assert_allclose(mine[..., :2], raw[..., :2], rtol=1e-6)
        assert (mine[..., 2] == (raw[..., 2] > 0) * valid[:, None]).all()
        start += raw.shape[1]
    assert own[0, 5, 2] == 1  # hidden
    assert (own[1, 91:112, 2] == 1).all()  # fractional flags
    assert not own[2, 23:91, 2].any()  # unseen face with flags


def test_parameters_are_the_raw_ones_and_unseen_hands_the_mean_hand(tree: Tree, converted: Pair) -> None:
    hd, _ = converted
    for key, (column, size) in PARAMETERS.items():
        np.testing.assert_allclose(hd[f"smplx/{column}"].reshape(5, -1), tree.parameter(key, size), rtol=1e-5)
    assert hd["smplx/left_hand_pose"].any(axis=(1, 2)).tolist() == [True, True, False, False, True]
    assert hd["smplx/right_hand_pose"].any(axis=(1, 2)).tolist() == [True, False, True, True, True]
    seen = hd["smplx/left_hand_pose"][:2].reshape(2, -1)
    np.testing.assert_allclose(seen, tree.parameter("lhand_pose", 45)[:2], rtol=1e-5)
    assert hd["smplx/body_pose"].shape == (5, 21, 3)
    assert not hd["smplx/leye_pose"].any()
    assert not hd["smplx/reye_pose"].any()
    assert hd["meta/lefthand_valid"].tolist() == [True, True, False, False, True]
    assert hd["meta/righthand_valid"].tolist() == [True, False, True, True, True]
    assert hd["meta/face_valid"].tolist() == [True, True, False, True, True]


def test_every_person_keeps_the_virtual_camera_of_its_own(tree: Tree, converted: Pair) -> None:
    hd, _ = converted
    np.testing.assert_allclose(hd["meta/focal_length"], tree.camera("focal"), rtol=1e-6)
    np.testing.assert_allclose(hd["meta/principal_point"], tree.camera("princpt"), rtol=1e-6)
    assert len(np.unique(hd["meta/focal_length"][:, 0])) == 5
    assert hd.passport.focal == "virtual"


def test_boxes_have_the_margin_of_the_format_and_hold_the_people(tree: Tree, converted: Pair) -> None:
    hd, _ = converted
    assert_boxes_hold_the_visible_joints(hd)
    for row, annotation in enumerate(tree.annotations):
        x, y, w, h = annotation["bbox"]
        width, height = hd["meta/width"][row], hd["meta/height"][row]
        x0, x1 = np.clip([x - 0.1 * w, x + 1.1 * w], 0, width)
        y0, y1 = np.clip([y - 0.1 * h, y + 1.1 * h], 0, height)
        np.testing.assert_allclose(hd["bbox_xywh"][row], [x0, y0, x1 - x0, y1 - y0, 1], atol=1e-3)


def test_part_boxes_are_the_datasets_own_and_count_when_the_part_is_valid(tree: Tree, converted: Pair) -> None:
    hd, _ = converted
    for column, part, invalid in (("face_bbox_xywh", "face", 2), ("rhand_bbox_xywh", "righthand", 1)):
        boxes = hd[column]
        assert boxes[:, 4].tolist() == [float(row != invalid) for row in range(5)]
        for row in set(range(5)) - {invalid}:
            np.testing.assert_allclose(boxes[row, :4], tree.annotations[row][f"{part}_box"], atol=1e-3)
    assert (hd["lhand_bbox_xywh"][:, 4] == 1).all()


def test_facts_of_the_file(converted: Pair) -> None:
    hd, report = converted
    sizes = np.stack([hd["meta/height"], hd["meta/width"]], axis=1).tolist()
    assert sizes == [[480, 640], [480, 640], [640, 426], [480, 640], [640, 426]]
    assert hd["meta/gender"].tolist() == ["neutral"] * 5
    assert hd["meta/iscrowd"].tolist() == [0] * 5
    assert (hd["meta/num_keypoints"] > 0).all()
    expected = {
        "smplx_source": "neural_annot",
        "bbox_source": "provided_by_dataset",
        "bbox_body_scale": 1.2,
        "cam_param_type": "perspective",
        "flat_hand_mean": False,
        "kps3d_root_aligned": False,
    }
    assert {key: hd.misc[key] for key in expected} == expected
    passport = hd.passport
    assert (passport.dataset, passport.split, passport.body_model) == ("mscoco", "train", "smplx")
    assert (passport.gender, passport.flat_hand_mean, passport.num_betas) == ("neutral", False, 10)
    assert hd.validate() == []
    assert report.published == 149_813


def test_what_is_left_out_is_counted_by_reason(tree: Tree, converted: Pair) -> None:
    _, report = converted
    assert {reason: len(names) for reason, names in report.dropped.items()} == tree.dropped
    assert (report.found, report.written) == (12, 5)
    assert report.problems == []
    assert report.notes == [f"1 {neural_annot.UNFITTED['lhand_pose']}"]


# -- splits and releases --------------------------------------------------------------------------------------


def test_val_has_points_and_boxes_but_no_bodies(tree: Tree, tmp_path: Path, body_models: Path) -> None:
    report = run(tree.root, tmp_path / "val.h5", body_models, split="val")
    hd = HumanData.open(tmp_path / "val.h5")
    assert len(hd) == 6
    assert hd["image_path"][0].startswith("images/val2017/")
    assert not [name for name in hd.columns if name.startswith("smplx/") or name.endswith("_smplx")]
    assert {"bbox_xywh", "lhand_bbox_xywh", "keypoints2d_original", "meta/annotation_id"} <= set(hd.columns)
    assert report.notes == ["no fits (none exist for this split): keypoints and boxes only"]
    assert report.problems == []


def test_the_older_name_of_the_fits_gives_the_same(own: Path, tree: Tree, tmp_path: Path, body_models: Path) -> None:
    (own / "annotations" / FITS).rename(own / "annotations/MSCOCO_train_SMPLX.json")
    run(own, tmp_path / "x.h5", body_models)
    assert_joints_are_the_truth(HumanData.open(tmp_path / "x.h5"), tree.truth, body_models)


def test_without_fits_the_report_says_so(own: Path, tmp_path: Path, body_models: Path) -> None:
    (own / "annotations" / FITS).unlink()
    report = run(own, tmp_path / "x.h5", body_models)
    assert report.written == 7
    assert "no SMPL-X fit" not in report.dropped
    (note,) = report.notes
    assert note.startswith(f"no fits ({FITS} is absent")
    assert "smplx/betas" not in HumanData.open(tmp_path / "x.h5")


def test_fits_are_left_out_when_asked(tree: Tree, tmp_path: Path, body_models: Path) -> None:
    report = run(tree.root, tmp_path / "x.h5", body_models, options={"fits": "none"})
    assert report.written == 7
    assert report.notes == ["fits=none was asked for: keypoints and boxes only"]
    assert "smplx/betas" not in HumanData.open(tmp_path / "x.h5")
    report = run(tree.root, tmp_path / "x.h5", body_models, options={"fits": "neuralannot"})
    assert report.written == 5


def test_images_in_the_root_are_found(own: Path, tmp_path: Path) -> None:
    (own / "images/train2017").rename(own / "train2017")
    run(own, tmp_path / "x.h5", None)
    assert HumanData.open(tmp_path / "x.h5")["image_path"][0].startswith("train2017/0")


def test_the_official_keypoints_do_when_the_wholebody_file_is_absent(
    own: Path, tree: Tree, tmp_path: Path, body_models: Path
) -> None:
    (own / "annotations" / WHOLE).unlink()
    report = run(own, tmp_path / "x.h5", body_models)
    hd = HumanData.open(tmp_path / "x.h5")
    assert hd.keypoint_names["keypoints2d_original"] == point_names("coco")
    np.testing.assert_allclose(hd["keypoints2d_original"][..., :2], tree.points("keypoints")[..., :2], rtol=1e-6)
    np.testing.assert_allclose(hd["smplx/body_pose"].reshape(5, -1), tree.parameter("body_pose", 63), rtol=1e-5)
    assert hd["meta/righthand_valid"].tolist() == [False, False, True, False, False]  # the fit's own flag
    assert "17 points only" in report.notes[1]
    assert report.problems == []


def test_the_real_sample_has_its_people_where_they_are(tmp_path: Path) -> None:
    root = samples("mscoco")
    report = convert("mscoco", root, split="val", out=tmp_path / "val.h5", progress=False)
    hd = HumanData.open(tmp_path / "val.h5")
    assert (report.found, report.written) == (14, 12)
    assert report.dropped == {"no labelled body joint": ["1202706", "508900"]}
    assert report.notes == ["no fits (none exist for this split): keypoints and boxes only"]
    assert report.problems == []
    assert hd.validate() == []
    skier = hd["meta/annotation_id"].tolist().index(442619)
    assert hd["image_path"][skier] == "images/val2017/000000000785.jpg"
    np.testing.assert_allclose(hd["keypoints2d_original"][skier, :2], [[367, 81, 1], [374, 73, 1]])
    x, y = np.moveaxis(hd["keypoints2d_original"][..., :2], 2, 0)
    x0, y0, w, h, _ = hd["bbox_xywh"].T[:, :, None]
    held = (x >= x0) & (x <= x0 + w) & (y >= y0) & (y <= y0 + h)
    assert held[hd["keypoints2d_original"][..., 2] > 0].all()
    pages = view(hd, root, tmp_path / "pages")
    assert pages.images == 4
    assert pages.missing == []


# -- without everything, and bad input ------------------------------------------------------------------------


def test_without_body_models_parameters_are_kept_and_joints_are_absent(tree: Tree, raw: Raw) -> None:
    hd, report = raw.without_models()
    np.testing.assert_allclose(hd["smplx/transl"], tree.parameter("trans", 3), rtol=1e-5)
    assert "body models" in report.absent["keypoints3d_smplx"]
    assert "keypoints2d_smplx" in report.absent
    assert "keypoints3d_smplx" not in hd
    assert report.written == 5
    assert report.problems == []


def test_a_file_without_a_usable_person_is_refused(own: Path, tmp_path: Path) -> None:
    with edited(own / "annotations" / WHOLE) as coco:
        coco["annotations"] = [a for a in coco["annotations"] if a["iscrowd"]]
    with pytest.raises(DataError, match="1 crowd region"):
        run(own, tmp_path / "x.h5", None)


# -- planted faults ---------------------------------------------------------------------------------------------


def points_mirrored(rows: Instances) -> None:
    assert rows.keypoints2d is not None
    rows.keypoints2d.points = rows.keypoints2d.points[:, flip_order("coco_wholebody")]


def hands_before_face(rows: Instances) -> None:
    assert rows.keypoints2d is not None
    rows.keypoints2d.points = rows.keypoints2d.points[:, [*range(23), *range(91, 133), *range(23, 91)]]


def one_camera_for_all(rows: Instances) -> None:
    assert rows.camera is not None
    rows.camera.focal = rows.camera.focal[[0] * len(rows)]
    rows.camera.principal_point = rows.camera.principal_point[[0] * len(rows)]


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (points_mirrored, "left and right exchanged"),
        (hands_before_face, "2D points"),
        (one_camera_for_all, "2D points"),
    ],
)
def test_quality_exposes(
    tree: Tree, tmp_path: Path, body_models: Path, fault: Callable[[Instances], None], words: str
) -> None:
    report = run(tree.root, tmp_path / "x.h5", body_models, dataset=faults.faulty(MSCOCO, fault))
    assert words in " ".join(report.problems)


def test_hands_taken_as_absolute_show_in_the_fingers_alone(
    tree: Tree, converted: Pair, tmp_path: Path, body_models: Path
) -> None:
    wrong = run(tree.root, tmp_path / "x.h5", body_models, dataset=faults.faulty(MSCOCO, faults.hands_absolute)).quality
    assert wrong["reprojection_hands_px"]["p50"] > 1
    assert wrong["reprojection_body_px"]["max"] < 0.1


def test_images_of_2014_have_the_areas_that_cocos_evaluation_asks_for(tree: Tree, tmp_path: Path) -> None:
    root = tmp_path / "mscoco"
    (root / "annotations").mkdir(parents=True)
    (root / "val2014").mkdir()
    whole = json.loads((tree.root / "annotations" / WHOLE).read_text())
    for image in whole["images"]:
        old = tree.root / "images/train2017" / image["file_name"]
        image["file_name"] = f"COCO_val2014_{image['file_name']}"
        if old.is_file():
            (root / "val2014" / image["file_name"]).symlink_to(old.resolve())
    shown = {image["id"]: image["file_name"] for image in whole["images"]}
    keys = ("id", "image_id", "bbox", "keypoints", "num_keypoints", "iscrowd", "area", "segmentation")
    whole["annotations"] = [{k: a[k] for k in keys if k in a} for a in whole["annotations"]]
    (root / "annotations/person_keypoints_val2014.json").write_text(json.dumps(whole))
    chosen = {"images": "2014"}
    report = convert(DATASET, root, split="val", out=tmp_path / "x.h5", options=chosen, progress=False)
    hd = HumanData.open(tmp_path / "x.h5")
    own = {a["id"]: a for a in whole["annotations"]}
    ids = hd["meta/annotation_id"].tolist()
    assert len(ids) >= 5
    assert report.dropped["crowd region"] == ["3000000"]
    np.testing.assert_allclose(hd["meta/area"], [own[i]["area"] for i in ids], rtol=1e-6)
    assert hd["image_path"].tolist() == [f"val2014/{shown[own[i]['image_id']]}" for i in ids]
    assert hd["keypoints2d_original"].shape[1] == 17
    require_fit(catalogue.get("coco-projection"), hd)
