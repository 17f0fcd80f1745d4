from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from ehps.converters.base import Instances
from ehps.converters.datasets.mpii import MPII
from ehps.converters.pipeline.report import Report
from ehps.converters.readers import neural_annot
from ehps.errors import BodyModelError, DataError, UsageError
from ehps.humandata import HumanData
from ehps.humandata.drawing.overlays import view
from ehps.humandata.keypoints import point_names
from tests.raw import faults
from tests.raw.checks import (
    assert_boxes_hold_the_visible_joints,
    assert_joints_are_the_truth,
    edited,
    nearest,
    truncate,
)
from tests.raw.eft import LIMBS
from tests.raw.mpii import CLIFF, EFT, FITS, NAMES, Trees, hrnet, people_list
from tests.raw.trees import Raw, runner
from tests.samples import samples

Pair = tuple[HumanData, Report]

DATASET = "mpii"
run = runner(DATASET)


# -- people -------------------------------------------------------------------------------------------------


def test_joints_are_those_of_the_raw_fits(tree: Trees, converted: Pair, body_models: Path) -> None:
    hd, _ = converted
    assert_joints_are_the_truth(hd, tree.truth, body_models)


def test_there_is_a_row_an_annotation_in_the_order_of_the_file(tree: Trees, converted: Pair) -> None:
    hd, _ = converted
    assert hd["meta/annotation_id"].tolist() == [2, 0, 1]
    assert hd["meta/image_id"].tolist() == [0, 0, 1]
    assert nearest(hd, tree.truth) == [0, 1, 2]
    assert hd["image_path"].tolist() == [f"images/{NAMES[0]}"] * 2 + [f"images/{NAMES[1]}"]


def test_parameters_are_the_raw_ones_and_hands_and_face_neutral(tree: Trees, converted: Pair) -> None:
    hd, _ = converted
    for key, column in (
        ("root_pose", "global_orient"),
        ("body_pose", "body_pose"),
        ("shape", "betas"),
        ("trans", "transl"),
    ):
        np.testing.assert_allclose(hd[f"smplx/{column}"].reshape(3, -1), tree.parameter(key), rtol=1e-5, atol=1e-7)
    for column in ("left_hand_pose", "right_hand_pose", "jaw_pose", "leye_pose", "reye_pose", "expression"):
        assert not hd[f"smplx/{column}"].any()
    assert hd["smplx/left_hand_pose"].shape == (3, 15, 3)


def test_annotated_points_are_kept_where_they_are_and_joints_land_on_them(tree: Trees, converted: Pair) -> None:
    hd, report = converted
    own = hd["keypoints2d_original"]
    assert hd.keypoint_names["keypoints2d_original"] == point_names("mpii")
    raw = np.reshape(tree.values("keypoints"), (3, 16, 3))
    np.testing.assert_allclose(own, raw, rtol=1e-6)
    np.testing.assert_allclose(own[0, 10], [-12.5, 300, 1])  # outside the image
    assert own[1, 11, 2] == 0  # not labelled
    ours = hd.keypoints("keypoints2d_smplx", point_names("mpii"))
    both = (own[..., 2] > 0) & (ours[..., 2] > 0)
    both[0, 10] = False
    assert both.sum() == 3 * 10 - 2
    assert np.linalg.norm(own[..., :2] - ours[..., :2], axis=2)[both].max() < 0.1
    assert report.quality["reprojection_body_px"]["n"] == 3


def test_every_person_keeps_the_virtual_camera_of_its_own(tree: Trees, converted: Pair) -> None:
    hd, _ = converted
    np.testing.assert_allclose(hd["meta/focal_length"], tree.camera("focal"), rtol=1e-6)
    np.testing.assert_allclose(hd["meta/principal_point"], tree.camera("princpt"), rtol=1e-6)
    assert len(np.unique(hd["meta/focal_length"][:, 0])) == 3
    assert hd.passport.focal == "virtual"


def test_boxes_have_the_margin_of_the_format_and_parts_have_none(tree: Trees, converted: Pair) -> None:
    hd, _ = converted
    assert_boxes_hold_the_visible_joints(hd)
    for row, (x, y, w, h) in enumerate(tree.values("bbox")):
        width, height = hd["meta/width"][row], hd["meta/height"][row]
        x0, x1 = np.clip([x - 0.1 * w, x + 1.1 * w], 0, width)
        y0, y1 = np.clip([y - 0.1 * h, y + 1.1 * h], 0, height)
        np.testing.assert_allclose(hd["bbox_xywh"][row], [x0, y0, x1 - x0, y1 - y0, 1], atol=1e-3)
    for column in ("face_bbox_xywh", "lhand_bbox_xywh", "rhand_bbox_xywh"):
        assert not hd[column].any()


def test_facts_of_the_file(converted: Pair) -> None:
    hd, report = converted
    assert np.stack([hd["meta/height"], hd["meta/width"]], axis=1).tolist() == [[720, 1280], [720, 1280], [480, 854]]
    assert hd["meta/gender"].tolist() == ["neutral"] * 3
    expected = {
        "smplx_source": "neural_annot",
        "bbox_source": "provided_by_dataset",
        "bbox_body_scale": 1.2,
        "cam_param_type": "perspective",
        "flat_hand_mean": False,
    }
    assert {key: hd.misc[key] for key in expected} == expected
    assert (hd.passport.dataset, hd.passport.split, hd.passport.body_model) == ("mpii", "train", "smplx")
    assert hd.validate() == []
    assert report.published == 28_881


def test_what_is_left_out_is_counted_by_reason(tree: Trees, converted: Pair) -> None:
    _, report = converted
    assert {reason: len(found) for reason, found in report.dropped.items()} == tree.dropped
    assert report.dropped["no SMPL-X fit"] == ["3"]
    assert (report.found, report.written) == (7, 3)
    assert report.problems == []
    assert report.notes == [f"6 {part}" for part in neural_annot.UNFITTED.values()]


# -- splits and releases --------------------------------------------------------------------------------------


def test_a_tree_with_a_data_folder_is_the_same(own: Path, tree: Trees, tmp_path: Path) -> None:
    (own / "data").mkdir()
    for name in ("images", "annotations"):
        (own / name).rename(own / "data" / name)
    run(own, tmp_path / "x.h5", None)
    hd = HumanData.open(tmp_path / "x.h5")
    assert hd["image_path"].tolist() == [f"data/{path}" for path in tree.truth.image_path]
    np.testing.assert_allclose(hd["smplx/transl"], tree.parameter("trans"), rtol=1e-5)


def test_the_test_set_whose_joints_are_withheld_gives_boxes(tree: Trees, tmp_path: Path, body_models: Path) -> None:
    report = run(tree.root, tmp_path / "x.h5", body_models, split="test")
    hd = HumanData.open(tmp_path / "x.h5")
    assert hd["meta/annotation_id"].tolist() == [0, 1]
    assert {"keypoints2d_original", "smplx/betas"}.isdisjoint(hd.columns)
    assert (hd["bbox_xywh"][:, 4] == 1).all()
    assert report.notes == ["no fits (none exist for this split): keypoints and boxes only"]
    assert report.problems == []


HRNET = [
    *((split, f"annotations/mpii_{split}.json") for split in ("train", "val", "trainval", "test")),
    *(
        (split, f"annot/{name}.json")
        for split, name in (("train", "train"), ("val", "valid"), ("trainval", "trainval"))
    ),
    ("test", "annot/test.json"),
    ("train", "annotations/train.json"),
    ("val", "annotations/valid.json"),
]


@pytest.mark.parametrize(("split", "path"), HRNET)
def test_the_hrnet_style_file_gives_points_and_boxes(own: Path, tmp_path: Path, split: str, path: str) -> None:
    for name in ("train", "test"):
        (own / f"annotations/{name}.json").unlink()
    (person,) = hrnet(own, path)
    report = run(own, tmp_path / "x.h5", None, split=split)
    hd = HumanData.open(tmp_path / "x.h5")
    points = hd["keypoints2d_original"][0]
    assert points[:, 2].tolist() == person["joints_vis"]
    labelled = points[:, 2] > 0
    np.testing.assert_allclose(points[labelled, :2], np.array(person["joints"])[labelled] - 1, rtol=1e-6)
    assert not points[3].any()
    np.testing.assert_allclose(hd["bbox_xywh"][0], [350 - 228, 340 - 228, 456, 456, 1], rtol=1e-6)
    assert hd["meta/height"].tolist() == [720]
    (note,) = report.notes
    assert note.startswith(f"{Path(path).name} is the HRNet-style file, to which no fits belong")
    assert report.problems == []


def test_train_json_is_preferred_to_the_hrnet_style_file(own: Path, tmp_path: Path) -> None:
    hrnet(own, "annotations/mpii_train.json")
    assert run(own, tmp_path / "x.h5", None).written == 3


@pytest.mark.parametrize(("split", "rows"), [("train", [0, 2]), ("val", [1]), ("trainval", [0, 1, 2])])
def test_the_list_of_train_and_val_gives_the_people_of_the_split(
    own: Path, tmp_path: Path, split: str, rows: list[int]
) -> None:
    shutil.rmtree(own / "annotations")
    people = people_list(own, "mpii_annotations.json")
    report = run(own, tmp_path / "x.h5", None, split=split)
    hd = HumanData.open(tmp_path / "x.h5")
    assert hd["image_path"].tolist() == [f"images/{people[k]['img_paths']}" for k in rows]
    for points, box, k in zip(hd["keypoints2d_original"], hd["bbox_xywh"], rows, strict=True):
        labelled = [j for j in range(16) if j not in (2, 3)]
        np.testing.assert_allclose(points[labelled, :2], np.array(people[k]["joint_self"])[labelled, :2] - 1, rtol=1e-6)
        assert np.flatnonzero(points[:, 2] == 0).tolist() == [2, 3]
        np.testing.assert_allclose(box[1], max(299 + k - 180, 0), atol=1e-3)
    assert report.notes == [
        "mpii_annotations.json is the list of train and val, to which no fits belong: keypoints and boxes only"
    ]


def test_people_of_a_list_that_are_none_are_counted(own: Path, tmp_path: Path) -> None:
    (person,) = hrnet(own, "annotations/train.json")
    odd = [person | {"joints": [[1, 2]]}, person | {"scale": None}, {"image": "a.jpg"}, "text"]
    path = own / "annotations/train.json"
    path.write_text(json.dumps([*odd, *[person] * 5]))
    report = run(own, tmp_path / "x.h5", None)
    assert (report.found, report.written) == (9, 5)
    path.write_text(json.dumps([*odd, person]))
    with pytest.raises(DataError, match=r"4 of 5 people have no image.*train\.json"):
        run(own, tmp_path / "y.h5", None)


def test_fits_do_not_belong_to_a_list_without_ids(own: Path, tmp_path: Path) -> None:
    hrnet(own, "annotations/train.json")
    with pytest.raises(DataError, match="without ids, to which no fits belong"):
        run(own, tmp_path / "x.h5", None, options={"fits": "neuralannot-smpl"})


def test_without_fits_all_annotations_are_points_and_boxes(own: Path, tmp_path: Path) -> None:
    asked = run(own, tmp_path / "x.h5", None, options={"fits": "none"})
    (own / FITS).unlink()
    absent = run(own, tmp_path / "y.h5", None)
    assert asked.written == absent.written == 5  # the one with a bad fit too
    assert asked.notes == ["fits=none was asked for: keypoints and boxes only"]
    assert absent.notes == ["no fits (MPII_train_SMPLX_NeuralAnnot.json is absent): keypoints and boxes only"]
    np.testing.assert_array_equal(
        HumanData.open(tmp_path / "x.h5")["meta/annotation_id"], HumanData.open(tmp_path / "y.h5")["meta/annotation_id"]
    )


def test_eft_fits_are_people_under_the_long_lens(own: Path, tree: Trees, tmp_path: Path, body_models: Path) -> None:
    assert tree.eft is not None
    shutil.rmtree(own / "annotations")
    report = run(own, tmp_path / "x.h5", body_models, options={"fits": "eft"})
    hd = HumanData.open(tmp_path / "x.h5")
    assert_joints_are_the_truth(hd, tree.eft, body_models)
    assert hd["meta/annotation_id"].tolist() == [0, 0]
    assert (hd.misc["smpl_source"], hd.body_model) == ("eft", "smpl")
    assert report.problems == []
    assert report.published is None


def test_cliff_fits_are_people_under_the_camera_of_the_image(
    own: Path, tree: Trees, tmp_path: Path, body_models: Path
) -> None:
    assert tree.cliff is not None
    shutil.rmtree(own / "annotations")
    report = run(own, tmp_path / "x.h5", body_models, options={"fits": "cliff"})
    hd = HumanData.open(tmp_path / "x.h5")
    assert_joints_are_the_truth(hd, tree.cliff, body_models)
    assert_boxes_hold_the_visible_joints(hd)
    own_points, ours = (
        hd["keypoints2d_original"][:, LIMBS, :2],
        hd.keypoints("keypoints2d_smpl", point_names("smpl_24")),
    )
    assert np.linalg.norm(own_points - ours[:, LIMBS, :2], axis=2).max() < 0.1
    np.testing.assert_allclose(hd["meta/principal_point"], [[427, 240]] * 2)
    assert hd["meta/annotation_id"].tolist() == [5, 3]
    assert report.problems == []


def test_the_real_sample_has_its_people_where_they_are(tmp_path: Path) -> None:
    root = samples("mpii")
    report = run(root, tmp_path / "x.h5", None, split="trainval")
    hd = HumanData.open(tmp_path / "x.h5")
    assert (report.found, report.written, report.problems) == (5, 5, [])
    assert hd.validate() == []
    assert hd["image_path"][0] == "images/005808361.jpg"
    np.testing.assert_allclose(hd["keypoints2d_original"][0, :2], [[803, 710, 1], [815, 509, 1]])
    sizes = set(zip(hd["meta/height"].tolist(), hd["meta/width"].tolist(), strict=True))
    assert sizes == {(720, 1280), (480, 854)}
    x, y = np.moveaxis(hd["keypoints2d_original"][..., :2], 2, 0)
    x0, y0, w, h, _ = hd["bbox_xywh"].T[:, :, None]
    held = (x >= x0) & (x <= x0 + w) & (y >= y0) & (y <= y0 + h)
    assert held[hd["keypoints2d_original"][..., 2] > 0].mean() > 0.95
    pages = view(hd, root, tmp_path / "pages")
    assert (pages.images, pages.missing) == (5, [])


# -- without everything, and bad input ------------------------------------------------------------------------


def test_without_body_models_parameters_are_kept_and_joints_are_absent(tree: Trees, raw: Raw) -> None:
    hd, report = raw.without_models()
    np.testing.assert_allclose(hd["smplx/transl"], tree.parameter("trans"), rtol=1e-5)
    assert "body models" in report.absent["keypoints3d_smplx"]
    assert "keypoints3d_smplx" not in hd
    assert report.problems == []


def test_a_folder_without_the_neutral_model_is_an_error_that_names_it(
    tree: Trees, tmp_path: Path, body_models: Path
) -> None:
    (tmp_path / "smplx").mkdir()
    (tmp_path / "smplx/SMPLX_FEMALE.npz").symlink_to(body_models / "smplx/SMPLX_FEMALE.npz")
    with pytest.raises(BodyModelError, match=r"(?i)neutral"):
        run(tree.root, tmp_path / "x.h5", tmp_path)
    with pytest.raises(BodyModelError, match=r"(?i)smpl\b"):
        run(tree.root, tmp_path / "x.h5", tmp_path, options={"fits": "eft"})


def test_fits_that_a_split_has_not_are_told(tree: Trees, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="neuralannot, none"):
        run(tree.root, tmp_path / "x.h5", None, split="test", options={"fits": "eft"})


@pytest.mark.parametrize(
    ("name", "fits"),
    [(EFT, "eft"), (CLIFF, "cliff")],
)
def test_a_truncated_file_is_named(own: Path, tmp_path: Path, name: str, fits: str) -> None:
    truncate(own / name)
    with pytest.raises(DataError, match=Path(name).name.replace(".", r"\.")):
        run(own, tmp_path / "x.h5", None, options={"fits": fits})
    assert not (tmp_path / "x.h5").exists()


def test_a_missing_file_of_fits_that_were_asked_for_is_named(own: Path, tmp_path: Path) -> None:
    (own / CLIFF).unlink()
    with pytest.raises(DataError, match=r"mpii_cliffGT\.npz"):
        run(own, tmp_path / "x.h5", None, options={"fits": "cliff"})


def test_a_file_without_a_usable_person_is_refused(own: Path, tmp_path: Path) -> None:
    with edited(own / "annotations/train.json") as coco:
        coco["annotations"] = [a for a in coco["annotations"] if a["id"] == 3]
    with pytest.raises(DataError, match="1 no SMPL-X fit"):
        run(own, tmp_path / "x.h5", None)


# -- planted faults ---------------------------------------------------------------------------------------------


def one_camera_for_all(rows: Instances) -> None:
    assert rows.camera is not None
    rows.camera.focal = rows.camera.focal[[0] * len(rows)]
    rows.camera.principal_point = rows.camera.principal_point[[0] * len(rows)]


@pytest.mark.parametrize("fault", [one_camera_for_all])
def test_quality_exposes(tree: Trees, tmp_path: Path, body_models: Path, fault: faults.Fault) -> None:
    report = run(tree.root, tmp_path / "x.h5", body_models, dataset=faults.faulty(MPII, fault))
    assert "2D points" in " ".join(report.problems)
