from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from ehps.converters.base import Instances
from ehps.converters.datasets.muco import JOINTS, MuCo
from ehps.converters.pipeline.report import Report
from ehps.errors import DataError
from ehps.humandata import HumanData
from ehps.humandata.keypoints import convert as convert_points
from ehps.humandata.keypoints import flip_order, mapping, point_names
from tests.raw import faults
from tests.raw.checks import (
    assert_boxes_hold_the_visible_joints,
    assert_joints_are_the_truth,
    blank,
    edited,
    nearest,
)
from tests.raw.muco import IMAGES, Tree
from tests.raw.trees import Raw, runner

Pair = tuple[HumanData, Report]

DATASET = "muco"
run = runner(DATASET)


def values(tree: Tree, key: str) -> np.ndarray:
    return np.array([a[key] for a in tree.annotations], float)


# -- people -------------------------------------------------------------------------------------------------


def test_joints_are_those_of_the_raw_fits(tree: Tree, converted: Pair, body_models: Path) -> None:
    hd, report = converted
    assert_joints_are_the_truth(hd, tree.truth, body_models)
    assert report.problems == []
    assert hd.validate() == []


def test_every_row_is_its_own_person_in_the_order_of_the_annotations(tree: Tree, converted: Pair) -> None:
    hd, _ = converted
    assert nearest(hd, tree.truth) == [0, 1, 2, 3, 4, 5]
    assert hd["meta/annotation_id"].tolist() == [a["id"] for a in tree.annotations]
    assert hd["meta/image_id"].tolist() == [1, 0, 7, 0, 1, 0]
    assert hd["image_path"].tolist() == [f"data/{IMAGES[i][0]}" for i in (1, 0, 7, 0, 1, 0)]


def test_parameters_are_the_raw_ones_and_stay_where_they_are(tree: Tree, converted: Pair) -> None:
    hd, _ = converted
    fits = [tree.fits[str(a["id"])] for a in tree.annotations]
    poses = np.concatenate([hd["smpl/global_orient"], hd["smpl/body_pose"].reshape(6, 69)], axis=1)
    np.testing.assert_allclose(poses, [fit["pose"] for fit in fits], rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(hd["smpl/betas"], [fit["shape"] for fit in fits], rtol=1e-5)
    np.testing.assert_allclose(hd["smpl/transl"], [fit["trans"] for fit in fits], rtol=1e-5)


# -- points, boxes, facts ---------------------------------------------------------------------------------------


def test_own_joints_are_metres_and_pixels_with_the_flags_as_confidence(tree: Tree, converted: Pair) -> None:
    hd, _ = converted
    points, joints = hd["keypoints2d_original"], hd["keypoints3d_original"]
    assert hd.keypoint_names["keypoints2d_original"] == hd.keypoint_names["keypoints3d_original"] == JOINTS
    np.testing.assert_allclose(points[..., :2], values(tree, "keypoints_img"), rtol=1e-5)
    np.testing.assert_allclose(points[..., 2], values(tree, "keypoints_vis"))
    np.testing.assert_allclose(joints[..., :3], values(tree, "keypoints_cam") / 1000, rtol=1e-5)
    assert (joints[..., 3] == 1).all()


def test_own_joints_are_where_the_bodys_are(converted: Pair) -> None:
    hd, report = converted
    into, taken = mapping(JOINTS, point_names("smpl_45"), approximate=True)
    assert len(into) == 16
    extremes = [JOINTS.index(f"{side}_{what}_3dhp") for side in ("right", "left") for what in ("hand", "toe")]
    model = [
        point_names("smpl_45").index(f"{side}_{what}") for side in ("right", "left") for what in ("hand", "bigtoe")
    ]
    into, taken = (
        np.array([*into, *model]),
        np.array([*taken, *extremes]),
    )  # toes have no place of this name in the model
    own, ours = hd["keypoints3d_original"][:, taken, :3], hd["keypoints3d_smpl"][:, into, :3]
    np.testing.assert_allclose(own, ours, atol=1e-4)
    own, ours = hd["keypoints2d_original"][:, taken], hd["keypoints2d_smpl"][:, into]
    np.testing.assert_allclose(own[..., :2], ours[..., :2], atol=0.1)
    assert report.quality["points3d_m"]["max"] < 1e-4
    assert report.quality["reprojection_px"]["max"] < 0.1
    assert report.quality["reprojection_px"]["n"] == 6


def test_every_own_joint_has_a_place_in_the_format() -> None:
    points = np.arange(21 * 3.0).reshape(1, 21, 3) + 1
    _, found = convert_points(points, JOINTS, "human_data")
    assert found.sum() == 21
    order = flip_order(JOINTS)
    middle = [JOINTS[i] for i in range(21) if order[i] == i]
    assert middle == ["headtop", "neck_extra", "pelvis_extra", "spine_extra", "head_extra"]


def test_boxes_have_the_margin_of_the_format_and_stay_in_the_image(tree: Tree, converted: Pair) -> None:
    hd, _ = converted
    assert_boxes_hold_the_visible_joints(hd)
    x, y, w, h = values(tree, "bbox").T
    width, height = hd["meta/width"], hd["meta/height"]
    low = np.clip([x - 0.1 * w, y - 0.1 * h], 0, None)
    high = np.minimum([x + 1.1 * w, y + 1.1 * h], [width, height])
    np.testing.assert_allclose(hd["bbox_xywh"][:, :4], np.concatenate([low, high - low]).T, atol=1e-3)
    assert (y + h)[2] > 512
    assert hd.misc["bbox_source"] == "provided_by_dataset"


def test_the_nearest_of_all_annotated_people_is_marked(tree: Tree, converted: Pair) -> None:
    hd, _ = converted
    depth = hd["keypoints3d_smpl"][:, 0, 2]
    expected = [
        image != 0 and depth[row] == depth[hd["meta/image_id"] == image].min()  # in 0 it is the person without fit
        for row, image in enumerate(hd["meta/image_id"].tolist())
    ]
    assert sum(expected) == 2
    assert hd["meta/closest"].tolist() == expected


def test_facts_of_the_rows_and_of_the_file(tree: Tree, converted: Pair) -> None:
    hd, report = converted
    views = [IMAGES[i][1] for i in hd["meta/image_id"].tolist()]
    assert hd["meta/height"].tolist() == [view.height for view in views]
    assert hd["meta/width"].tolist() == [view.width for view in views]
    np.testing.assert_allclose(hd["meta/focal_length"], [[view.focal] * 2 for view in views])
    np.testing.assert_allclose(hd["meta/principal_point"], [view.principal_point for view in views])
    assert hd["meta/gender"].tolist() == ["neutral"] * 6
    expected = {
        "smpl_source": "smplify-x",
        "cam_param_type": "perspective",
        "bbox_body_scale": 1.2,
        "kps3d_root_aligned": False,
    }
    assert {key: hd.misc[key] for key in expected} == expected
    assert (hd.passport.focal, hd.passport.body_model, hd.passport.gender) == ("image", "smpl", "neutral")
    assert not [name for name in hd.columns if name.startswith("smplx/")]
    assert {reason: len(ids) for reason, ids in report.dropped.items()} == tree.dropped
    assert (report.found, report.written, report.published, report.notes) == (10, 6, 465_273, [])


# -- places and sizes ---------------------------------------------------------------------------------------------


def test_everything_may_lie_in_the_root(own: Path, converted: Pair, tmp_path: Path, body_models: Path) -> None:
    run(own / "data", tmp_path / "x.h5", body_models)
    hd = HumanData.open(tmp_path / "x.h5")
    assert [f"data/{path}" for path in hd["image_path"]] == converted[0]["image_path"].tolist()
    np.testing.assert_array_equal(hd["smpl/transl"], converted[0]["smpl/transl"])


def test_half_of_the_download_converts_to_the_half_of_its_people(own: Path, tmp_path: Path, body_models: Path) -> None:
    shutil.rmtree(own / "data/unaugmented_set")
    report = run(own, tmp_path / "x.h5", body_models)
    assert len(report.dropped["image missing"]) == 3
    assert set(HumanData.open(tmp_path / "x.h5")["meta/image_id"].tolist()) == {0, 7}


def test_labels_are_scaled_to_images_of_another_size_than_the_annotation_says(own: Path, tmp_path: Path) -> None:
    for name, view, _ in IMAGES.values():
        blank(own, [f"data/{name}"], view.height // 2, view.width // 2)
    report = run(own, tmp_path / "x.h5", None)
    assert "6 rows are of images at another size than the labelled ones" in " ".join(report.notes)
    assert "labels are for 640 x 480 pixels, images have 320 x 240" in report.notes
    assert HumanData.open(tmp_path / "x.h5")["meta/width"].tolist() == [320, 256, 256, 256, 320, 256]


def test_a_camera_of_another_image_size_is_noted(own: Path, tmp_path: Path, body_models: Path) -> None:
    with edited(own / "data/MuCo-3DHP.json") as coco:
        for image in coco["images"]:
            image["f"], image["c"] = (2 * np.array([image["f"], image["c"]])).tolist()
    report = run(own, tmp_path / "x.h5", body_models)
    assert "do not project onto keypoints_img for 8 of 8 people" in report.notes[0]
    assert "2D points" in " ".join(report.problems)


# -- without everything, and bad input ------------------------------------------------------------------------


def test_without_body_models_parameters_are_kept_and_joints_are_absent(tree: Tree, converted: Pair, raw: Raw) -> None:
    hd, report = raw.without_models()
    for name in ("smpl/transl", "smpl/body_pose", "bbox_xywh", "keypoints3d_original"):
        np.testing.assert_array_equal(hd[name], converted[0][name])
    assert "body models" in report.absent["keypoints3d_smpl"]
    assert report.problems == []


def test_a_file_without_a_usable_person_is_refused(own: Path, tmp_path: Path) -> None:
    (own / "data/smpl_param.json").write_text("{}")
    with pytest.raises(DataError, match="10 no SMPL fit"):
        run(own, tmp_path / "x.h5", None)


# -- planted faults ---------------------------------------------------------------------------------------------


def left_side_first(rows: Instances) -> None:
    for own in (rows.keypoints2d, rows.keypoints3d):
        assert own is not None
        own.convention = [JOINTS[i] for i in flip_order(JOINTS)]


def joints_in_millimetres(rows: Instances) -> None:
    assert rows.keypoints3d is not None
    rows.keypoints3d.points[..., :3] *= 1000


@pytest.mark.parametrize(
    ("fault", "words"),
    [(left_side_first, "left and right exchanged")],
)
def test_quality_exposes(tree: Tree, tmp_path: Path, body_models: Path, fault: faults.Fault, words: str) -> None:
    report = run(tree.root, tmp_path / "x.h5", body_models, dataset=faults.faulty(MuCo, fault))
    assert words in " ".join(report.problems)


def test_quality_exposes_extrinsics_applied_to_the_camera_frame(tree: Tree, tmp_path: Path, body_models: Path) -> None:
    def moved(rows: Instances) -> None:
        body = faults.body_of(rows)
        rows.body = body.with_(transl=body.transl + np.array([0.1, 0.9, 3.0]))

    report = run(tree.root, tmp_path / "x.h5", body_models, dataset=faults.faulty(MuCo, moved))
    assert "3D points" in " ".join(report.problems)


@pytest.mark.parametrize("fault", [faults.millimetres, joints_in_millimetres])
def test_millimetres_are_refused(tree: Tree, tmp_path: Path, body_models: Path, fault: faults.Fault) -> None:
    with pytest.raises(DataError, match="not metres"):
        run(tree.root, tmp_path / "x.h5", body_models, dataset=faults.faulty(MuCo, fault))
