from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ehps.converters.datasets import up3d
from ehps.converters.datasets.up3d import UP3D
from ehps.converters.pipeline.report import Report
from ehps.demo.raw.pw3d import save
from ehps.humandata import HumanData
from ehps.humandata.keypoints import point_names
from tests.raw import faults
from tests.raw.checks import assert_boxes_hold_the_visible_joints, assert_joints_are_the_truth
from tests.raw.trees import Raw, runner
from tests.raw.up3d import PHOTOS, Tree

IDS = ("00003", "00000", "00001")

Pair = tuple[HumanData, Report]

DATASET = "up3d"
UNREADABLE = "files of the person cannot be read"
run = runner(DATASET)


# -- people and cameras ---------------------------------------------------------------------------------------


def test_joints_are_those_of_the_raw_fits_in_the_order_of_the_list(
    tree: Tree, converted: Pair, body_models: Path
) -> None:
    hd, report = converted
    assert_joints_are_the_truth(hd, tree.rows(*IDS), body_models)
    assert hd["meta/image_id"].tolist() == list(IDS)
    assert hd["smpl/body_pose"].shape == (3, 23, 3)
    assert report.problems == []
    assert hd.validate() == []


def test_the_camera_of_the_fit_becomes_that_of_the_image(converted: Pair) -> None:
    hd, _ = converted
    expected = np.array([[5000 * 300 / 429, 3500], [5000, 5000], [5000, 5000]])  # worked out by hand for 00003
    np.testing.assert_allclose(hd["meta/focal_length"], expected, rtol=1e-6)
    np.testing.assert_allclose(hd["meta/principal_point"], np.array([[250, 230], [92, 93.5], [130, 150]]))
    assert np.stack([hd["meta/height"], hd["meta/width"]], axis=1).tolist() == [[460, 520], [187, 184], [300, 260]]
    assert hd.passport.focal == "virtual"


def test_a_fit_with_rt_and_trans_is_turned_about_its_rest_pelvis(tree: Tree, tmp_path: Path, body_models: Path) -> None:
    report = run(tree.root, tmp_path / "x.h5", body_models, split="test")
    hd = HumanData.open(tmp_path / "x.h5")
    assert_joints_are_the_truth(hd, tree.rows("00002"), body_models)
    np.testing.assert_allclose(hd["meta/focal_length"], [[2500, 2500]])
    assert report.quality["world_to_camera_m"]["max"] < 1e-4
    assert report.problems == []


def test_a_fit_with_rt_among_others_changes_none_of_them(
    own: Path, tree: Tree, tmp_path: Path, body_models: Path
) -> None:
    (own / "val.txt").write_text("00003_image.png\n00002_image.png\n00001_image.png")
    run(own, tmp_path / "x.h5", body_models, split="val")
    assert_joints_are_the_truth(HumanData.open(tmp_path / "x.h5"), tree.rows("00003", "00002", "00001"), body_models)


# -- points, boxes, facts ---------------------------------------------------------------------------------------


def test_the_14_joints_lie_on_the_projected_ones(tree: Tree, converted: Pair) -> None:
    hd, report = converted
    own, ours = hd["keypoints2d_original"], hd.keypoints("keypoints2d_smpl", point_names("lsp"))
    assert hd.keypoint_names["keypoints2d_original"] == point_names("lsp")
    np.testing.assert_allclose(own, np.stack([tree.joints[i].T for i in IDS]), rtol=1e-5)
    assert own[0, 6].tolist() == [0, 0, 0]
    assert own[..., 2].sum() == 3 * 14 - 1  # those without a third row count
    seen = (own[..., 2] > 0) & (ours[..., 2] > 0)
    assert seen.sum() == 3 * 10 - 1
    assert np.linalg.norm(own[..., :2] - ours[..., :2], axis=2)[seen].max() < 0.1
    assert report.quality["reprojection_px"]["max"] < 0.1


def test_joints_without_a_third_row_are_unseen_where_they_are_zero(own: Path, tree: Tree, tmp_path: Path) -> None:
    joints = tree.joints["00001"][:2].copy()
    joints[:, 4] = 0
    np.save(own / "00001_joints.npy", joints)
    run(own, tmp_path / "x.h5", None, split="val")
    expected = [1, 1, 1, 1, 0, *[1] * 9]
    assert HumanData.open(tmp_path / "x.h5")["keypoints2d_original"][0, :, 2].tolist() == expected


def test_boxes_hold_the_joints(converted: Pair) -> None:
    assert_boxes_hold_the_visible_joints(converted[0])
    assert converted[0].misc["bbox_source"] == "keypoints2d_smpl"


@pytest.mark.parametrize("with_models", [True, False])
def test_boxes_of_the_drawn_fit_are_enlarged(own: Path, tmp_path: Path, body_models: Path, with_models: bool) -> None:
    (own / "00000_render_light.png").unlink()
    drawing = np.full((300, 260, 4), 255, np.uint8)
    drawing[100:150, 80:90, 1] = 254
    assert cv2.imwrite(str(own / "00001_render_light.png"), drawing)
    models = body_models if with_models else None
    report = run(own, tmp_path / "x.h5", models, options={"box": "render"})
    hd = HumanData.open(tmp_path / "x.h5")
    assert report.dropped["no render_light.png"] == ["00000"]
    np.testing.assert_allclose(hd["bbox_xywh"][1], [79, 95, 12, 60, 1], atol=1e-4)
    assert hd.misc["bbox_source"] == "render_light"
    y, x = np.nonzero(cv2.imread(str(own / "00003_render_light.png"))[..., 2] < 255)  # type: ignore[index]
    x0, y0, w, h, _ = hd["bbox_xywh"][0]
    np.testing.assert_allclose([x0 + w / 2, y0 + h / 2], [(x.min() + x.max() + 1) / 2, (y.min() + y.max() + 1) / 2])
    np.testing.assert_allclose([w, h], [1.2 * np.ptp(x) + 1.2, 1.2 * np.ptp(y) + 1.2], rtol=1e-5)


def test_an_empty_drawing_is_no_box(own: Path, tmp_path: Path) -> None:
    assert cv2.imwrite(str(own / "00001_render_light.png"), np.full((300, 260), 255, np.uint8))
    report = run(own, tmp_path / "x.h5", None, options={"box": "render"})
    assert report.dropped["body box empty or outside the image"] == ["00001_image.png"]


def test_facts_of_the_rows_and_of_the_file(converted: Pair) -> None:
    hd, report = converted
    assert hd["meta/gender"].tolist() == ["neutral"] * 3
    assert hd["meta/source_dataset"].tolist() == ["lsp", "lsp", "unknown"]
    assert hd["meta/source_index"].tolist() == ["1000", "1001", "unknown"]
    assert hd["meta/quality"].tolist() == ["medium", "high", "unknown"]
    expected = {
        "smpl_source": "original",
        "cam_param_type": "perspective",
        "cam_param_source": "estimated",
        "kps3d_root_aligned": False,
        "bbox_body_scale": 1.2,
    }
    assert {key: hd.misc[key] for key in expected} == expected
    assert report.dropped == {"no body.pkl": ["00007"], "image missing": ["00005_image.png"]}
    assert (report.found, report.written, report.published, report.notes) == (5, 3, 7126, [])


# -- lists --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("split", "ids"), [("train", IDS[:2]), ("val", IDS[2:]), ("test", ("00002",))])
def test_lists_are_the_splits(tree: Tree, tmp_path: Path, body_models: Path, split: str, ids: tuple[str, ...]) -> None:
    run(tree.root, tmp_path / "x.h5", body_models, split=split)
    hd = HumanData.open(tmp_path / "x.h5")
    assert hd["meta/image_id"].tolist() == list(ids)
    assert hd.passport.split == split


def test_units_of_any_size_give_the_same_rows(
    tree: Tree, converted: Pair, tmp_path: Path, body_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(up3d, "UNIT", 2)
    report = run(tree.root, tmp_path / "x.h5", body_models)
    hd = HumanData.open(tmp_path / "x.h5")
    assert report.units == 3
    assert hd["image_path"].tolist() == converted[0]["image_path"].tolist()
    np.testing.assert_allclose(hd["smpl/transl"], converted[0]["smpl/transl"], rtol=1e-5)
    assert report.dropped == converted[1].dropped


# -- without everything, and bad input ------------------------------------------------------------------------


def test_without_body_models_parameters_are_kept_and_boxes_come_from_the_annotation(
    tree: Tree, converted: Pair, raw: Raw
) -> None:
    hd, report = raw.without_models()
    for name in ("transl", "global_orient", "body_pose", "betas"):
        np.testing.assert_array_equal(hd[f"smpl/{name}"], converted[0][f"smpl/{name}"])
    assert "body models" in report.absent["keypoints3d_smpl"]
    assert hd.misc["bbox_source"] == "keypoints2d_original"
    assert report.problems == []


@pytest.mark.parametrize("text", ["600 429 20 440 100", "a b c d e f", ""])
def test_a_crop_that_is_not_six_numbers_is_refused(own: Path, tmp_path: Path, text: str) -> None:
    (own / "00003_fit_crop_info.txt").write_text(text)
    (name,) = run(own, tmp_path / "x.h5", None).dropped[UNREADABLE]
    assert name.startswith("00003_fit_crop_info.txt: ")


def test_numbers_of_the_crop_may_stand_one_below_the_other(own: Path, tmp_path: Path) -> None:
    (own / "00001_fit_crop_info.txt").write_text("280\n200\n10\n290\n30\n230\n")
    run(own, tmp_path / "x.h5", None, split="val")
    assert HumanData.open(tmp_path / "x.h5")["meta/principal_point"].tolist() == [[130, 150]]


def test_joints_of_another_shape_are_refused(own: Path, tmp_path: Path) -> None:
    np.save(own / "00001_joints.npy", np.ones((14, 3)))
    (name,) = run(own, tmp_path / "x.h5", None).dropped[UNREADABLE]
    assert "00001_joints.npy: " in name
    assert "14 x 3 numbers, expected rows x 14" in name


def test_a_fit_that_is_no_number_is_dropped(own: Path, tmp_path: Path, body_models: Path) -> None:
    names = {"pose": 72, "betas": 10, "trans": 3, "rt": 3, "t": 3}
    save(own / "00001_body.pkl", {name: np.full(size, np.nan if name == "t" else 0.0) for name, size in names.items()})
    report = run(own, tmp_path / "x.h5", body_models)
    assert report.dropped["body parameters not finite"] == ["00001_image.png"]
    assert report.written == 2


# -- planted faults ---------------------------------------------------------------------------------------------


def crop_ignored(rows: faults.Instances) -> None:
    assert rows.camera is not None
    rows.camera.focal = np.full((len(rows), 2), 5000.0)
    rows.camera.principal_point = np.array([[photo.size[1] / 2, photo.size[0] / 2] for photo in PHOTOS[:1]])


@pytest.mark.parametrize(
    ("fault", "words"),
    [(crop_ignored, "2D points")],
)
def test_quality_exposes(own: Path, tmp_path: Path, body_models: Path, fault: faults.Fault, words: str) -> None:
    several = fault is faults.neighbours
    (own / "val.txt").write_text("00003_image.png\n" + "00001_image.png\n" * several)
    report = run(own, tmp_path / "x.h5", body_models, dataset=faults.faulty(UP3D, fault), split="val")
    assert words in " ".join(report.problems)


def test_quality_exposes_a_fit_with_rt_that_turns_about_the_origin(
    tree: Tree, tmp_path: Path, body_models: Path
) -> None:
    wrong = faults.faulty(UP3D, faults.pelvis_forgotten)
    report = run(tree.root, tmp_path / "x.h5", body_models, dataset=wrong, split="test")
    assert "2D points" in " ".join(report.problems)


def test_a_half_turn_is_the_same_either_way_round(own: Path, tmp_path: Path, body_models: Path) -> None:
    """Roots lie near a half turn about x, where rotation vectors of either sign are one rotation."""
    found = []
    for sign, name in ((1, "a.h5"), (-1, "b.h5")):
        fit: dict[str, object] = {
            "betas": np.zeros(10),
            "trans": np.zeros(3),
            "rt": np.zeros(3),
            "t": np.array([0, 0, 40.0]),
        }
        save(own / "00001_body.pkl", fit | {"pose": np.r_[sign * np.pi, np.zeros(71)]})
        run(own, tmp_path / name, body_models, split="val")
        found.append(HumanData.open(tmp_path / name))
    np.testing.assert_allclose(found[0]["keypoints2d_smpl"], found[1]["keypoints2d_smpl"], atol=1e-3)
    turns = Rotation.from_rotvec(np.stack([hd["smpl/global_orient"][0] for hd in found]))
    assert (turns[0].inv() * turns[1]).magnitude() < 1e-6
