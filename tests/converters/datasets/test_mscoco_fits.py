"""MSCOCO with the SMPL fits of EFT and CLIFF, or none, instead of NeuralAnnot's SMPL-X."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ehps.converters.datasets.mscoco import MSCOCO
from ehps.converters.pipeline.report import Report
from ehps.converters.readers import images
from ehps.errors import BodyModelError, DataError, UsageError
from ehps.humandata import HumanData
from ehps.humandata.image_headers import Header, read_header
from ehps.humandata.keypoints import point_names
from tests.raw import faults, trees
from tests.raw.checks import (
    assert_boxes_hold_the_visible_joints,
    assert_joints_are_the_truth,
    nearest,
    truncate,
)
from tests.raw.coco2014 import IDS, MISSING, ROWS, SIZES, Tree, name, write_fixture

Pair = tuple[HumanData, Report]

CLIFF = "cliffGT_v1/coco2014part_cliffGT.npz"


def run(root: Path, out: Path, models: Path | None, fits: str, dataset: Any = "mscoco", **options: Any) -> Report:
    return trees.run(dataset, root, out, models, options={"fits": fits}, **options)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory, body_models: Path) -> Tree:
    """Read-only."""
    return write_fixture(tmp_path_factory.mktemp("raw") / "coco", body_models, np.random.default_rng(14))


@pytest.fixture(scope="module")
def eft(tree: Tree, tmp_path_factory: pytest.TempPathFactory, body_models: Path) -> Pair:
    out = tmp_path_factory.mktemp("out") / "eft.h5"
    report = run(tree.root, out, body_models, "eft")
    return HumanData.open(out), report


@pytest.fixture(scope="module")
def cliff(tree: Tree, tmp_path_factory: pytest.TempPathFactory, body_models: Path) -> Pair:
    out = tmp_path_factory.mktemp("out") / "cliff.h5"
    report = run(tree.root, out, body_models, "cliff")
    return HumanData.open(out), report


@pytest.fixture
def own(tree: Tree, tmp_path: Path) -> Path:
    """A copy of the tree that a test may damage."""
    return Path(shutil.copytree(tree.root, tmp_path / "coco"))


def sizes(hd: HumanData) -> list[tuple[int, int]]:
    return list(zip(hd["meta/height"].tolist(), hd["meta/width"].tolist(), strict=True))


# -- EFT ------------------------------------------------------------------------------------------------------


def test_joints_of_eft_are_those_of_the_raw_fits(tree: Tree, eft: Pair, body_models: Path) -> None:
    hd, report = eft
    assert_joints_are_the_truth(hd, tree.eft, body_models)
    assert nearest(hd, tree.eft) == [0, 1, 2, 3]
    assert np.linalg.norm(hd["keypoints2d_smpl"][..., :2] - tree.fits.weak_points(), axis=2).max() < 4
    assert_boxes_hold_the_visible_joints(hd)
    assert (report.found, report.written, report.published) == (5, 4, None)
    assert report.dropped == {"image missing": [f"train2014/{name('train', MISSING)}"]}
    assert (report.problems, report.notes, hd.validate()) == ([], [], [])


def test_facts_of_eft(tree: Tree, eft: Pair) -> None:
    hd, _ = eft
    assert hd["meta/annotation_id"].tolist() == list(IDS)
    assert hd["meta/image_id"].tolist() == list(ROWS)
    assert sizes(hd) == [SIZES[image] for image in ROWS]
    np.testing.assert_allclose(hd["meta/pred_cam"], [r["parm_cam"] for r in tree.fits.records], rtol=1e-6)
    raw = np.array([record["gt_keypoint_2d"] for record in tree.fits.records])
    np.testing.assert_allclose(hd["keypoints2d_original"], raw[:, 25:], rtol=1e-6)
    expected = {
        "smpl_source": "eft",
        "cam_param_type": "eft_camera",
        "bbox_source": "keypoints2d_smpl",
        "bbox_body_scale": 1.2,
    }
    assert {key: hd.misc[key] for key in expected} == expected
    passport = hd.passport
    assert (passport.dataset, passport.body_model, passport.focal) == ("mscoco", "smpl", "virtual")


def test_the_part_with_all_limbs(tree: Tree, tmp_path: Path, body_models: Path) -> None:
    run(tree.root, tmp_path / "x.h5", body_models, "eft-part")
    assert_joints_are_the_truth(HumanData.open(tmp_path / "x.h5"), tree.eft[[2, 3]], body_models)


def test_val_has_fits_of_eft(tree: Tree, tmp_path: Path, body_models: Path) -> None:
    run(tree.root, tmp_path / "x.h5", body_models, "eft", split="val")
    hd = HumanData.open(tmp_path / "x.h5")
    assert hd["image_path"].tolist() == [f"val2014/{name('val', 139)}"]
    np.testing.assert_allclose(hd["keypoints3d_smpl"][0, :, :3], tree.eft.joints[0], atol=1e-3)


def test_images_beside_those_of_2017_are_found(own: Path, tmp_path: Path) -> None:
    (own / "images").mkdir()
    (own / "train2014").rename(own / "images/train2014")
    for fits in ("eft", "cliff"):
        run(own, tmp_path / "x.h5", None, fits)
        assert HumanData.open(tmp_path / "x.h5")["image_path"][0] == f"images/train2014/{name('train', ROWS[0])}"


# -- CLIFF ----------------------------------------------------------------------------------------------------


def test_joints_of_cliff_are_those_of_the_raw_fits(tree: Tree, cliff: Pair, body_models: Path) -> None:
    hd, report = cliff
    assert_joints_are_the_truth(hd, tree.cliff, body_models)
    assert nearest(hd, tree.cliff) == [0, 1, 2, 3]
    assert (report.found, report.written, report.published) == (4, 4, None)
    assert (report.dropped, report.problems, report.notes, hd.validate()) == ({}, [], [], [])


def test_projected_joints_of_cliff_land_on_the_annotated_points(tree: Tree, cliff: Pair) -> None:
    hd, report = cliff
    assert hd.keypoint_names["keypoints2d_original"] == point_names("smpl_24")
    np.testing.assert_allclose(hd["keypoints2d_original"], tree.arrays["part"], rtol=1e-6)
    limbs = hd.keypoints("keypoints2d_smpl", point_names("smpl_24"))
    both = (limbs[..., 2] > 0) & (hd["keypoints2d_original"][..., 2] > 0)
    assert (both.sum(axis=1) >= 10).all()
    away = np.linalg.norm(limbs[..., :2] - hd["keypoints2d_original"][..., :2], axis=2)
    assert away[both].max() < 0.1
    assert report.quality["reprojection_px"]["max"] < 0.1


def test_parameters_and_facts_of_cliff(tree: Tree, cliff: Pair) -> None:
    hd, _ = cliff
    arrays = tree.arrays
    np.testing.assert_allclose(hd["smpl/transl"], arrays["global_t"], rtol=1e-5)
    np.testing.assert_allclose(hd["smpl/global_orient"], arrays["pose"][:, :3], rtol=1e-5)
    np.testing.assert_allclose(hd["smpl/body_pose"].reshape(4, 69), arrays["pose"][:, 3:], rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(hd["smpl/betas"], arrays["shape"], rtol=1e-5)
    np.testing.assert_allclose(hd["meta/focal_length"], np.column_stack([arrays["focal_l"]] * 2), rtol=1e-6)
    assert hd["meta/principal_point"].tolist() == [[SIZES[i][1] / 2, SIZES[i][0] / 2] for i in ROWS]
    assert hd["meta/annotation_id"].tolist() == list(IDS)
    assert hd["meta/image_id"].tolist() == list(ROWS)
    assert (hd.misc["smpl_source"], hd.misc["bbox_source"]) == ("cliff_annot", "provided_by_dataset")


def test_labels_are_scaled_to_images_at_half_size_where_a_size_can_be_known(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CLIFF's focal length is the diagonal of the image; of EFT's the annotation knows the size."""
    before = [trees.completed("mscoco", own, trees.read("mscoco", own, fits=fits)) for fits in ("cliff", "eft")]
    monkeypatch.setattr(images, "read_header", halved)
    with pytest.raises(DataError, match="images are smaller than those that were labelled"):
        trees.completed("mscoco", own, trees.read("mscoco", own, fits="eft"))
    known = [{"id": k, "file_name": f"{k:012d}.jpg", "height": h, "width": w} for k, (h, w) in SIZES.items()]
    (own / "annotations").mkdir(exist_ok=True)
    (own / "annotations/person_keypoints_train2017.json").write_text(json.dumps({"images": known, "annotations": []}))
    after = [trees.completed("mscoco", own, trees.read("mscoco", own, fits=fits)) for fits in ("cliff", "eft")]
    for (old,), (new,) in zip(before, after, strict=True):
        assert old.data is not None
        assert new.data is not None
        for column in ("meta/focal_length", "meta/principal_point", "keypoints2d_original"):
            np.testing.assert_allclose(new.data[column][..., :2] * 2, old.data[column][..., :2], atol=1)


def halved(path: Path) -> Header:
    header = read_header(path)
    return replace(header, height=header.height // 2, width=header.width // 2)


def test_boxes_of_cliff_are_its_squares_cut_at_the_border(tree: Tree, cliff: Pair) -> None:
    hd, _ = cliff
    half = 100 * tree.arrays["scale"]
    size = np.array([SIZES[image] for image in ROWS], float)[:, ::-1]
    low = np.clip(tree.arrays["center"] - half[:, None], 0, size)
    high = np.clip(tree.arrays["center"] + half[:, None], 0, size)
    np.testing.assert_allclose(hd["bbox_xywh"], np.column_stack([low, high - low, np.ones(4)]), atol=1e-3)


def test_a_fit_of_cliff_that_is_no_number_is_counted(own: Path, tree: Tree, tmp_path: Path) -> None:
    pose = tree.arrays["pose"].copy()
    pose[1, 5] = np.nan
    np.savez(own / CLIFF, **(tree.arrays | {"pose": pose, "imgname": tree.arrays["imgname"].astype("S")}))
    report = run(own, tmp_path / "x.h5", None, "cliff")
    assert report.dropped == {"body parameters not finite": [tree.cliff.image_path[1]]}
    assert report.written == 3


# -- none, and bad input ----------------------------------------------------------------------------------------


def test_choices_that_are_not_there_are_named(tree: Tree, tmp_path: Path) -> None:
    choices = "neuralannot, neuralannot-smpl, eft, eft-part, cliff, none"
    with pytest.raises(UsageError, match=rf"fits=spin: MSCOCO \(train\) has {choices}"):
        run(tree.root, tmp_path / "x.h5", None, "spin")
    with pytest.raises(UsageError, match=r"fits=cliff: MSCOCO \(val\)"):
        run(tree.root, tmp_path / "x.h5", None, "cliff", split="val")
    with pytest.raises(DataError, match=r"coco_wholebody_train"):
        run(tree.root, tmp_path / "x.h5", None, "none")


def test_smpl_is_the_only_model_that_these_fits_need(tree: Tree, tmp_path: Path, body_models: Path) -> None:
    models = tmp_path / "models"
    models.mkdir()
    (models / "smpl").symlink_to(body_models / "smpl")
    run(tree.root, tmp_path / "x.h5", models, "cliff")
    assert_joints_are_the_truth(HumanData.open(tmp_path / "x.h5"), tree.cliff, body_models)
    (models / "smpl").unlink()
    (models / "smplx").symlink_to(body_models / "smplx")
    with pytest.raises(BodyModelError, match="SMPL"):
        run(tree.root, tmp_path / "x.h5", models, "cliff")


@pytest.mark.parametrize(("fits", "path"), [("eft", "eft_fit/COCO2014-All-ver01.json"), ("cliff", CLIFF)])
def test_a_file_that_is_broken_or_missing_is_named(own: Path, tmp_path: Path, fits: str, path: str) -> None:
    truncate(own / path)
    with pytest.raises(DataError, match=Path(path).name):
        run(own, tmp_path / "x.h5", None, fits)
    (own / path).unlink()
    with pytest.raises(DataError, match=Path(path).name):
        run(own, tmp_path / "x.h5", None, fits)


def pelvis_as_origin(rows: Any) -> None:
    """CLIFF's README read literally: ``global_t`` the place of the pelvis."""
    rows.body.transl[:, 1] += 0.35


@pytest.mark.parametrize("fits", ["eft", "cliff"])
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (faults.sides_swapped, "2D points"),
        (faults.neighbours, "2D points"),
        (faults.y_up, "heads"),
        (pelvis_as_origin, "2D points"),
    ],
)
def test_quality_exposes(tree: Tree, tmp_path: Path, body_models: Path, fits: str, fault: Any, words: str) -> None:
    report = run(tree.root, tmp_path / "x.h5", body_models, fits, dataset=faults.faulty(MSCOCO, fault))
    assert words in " ".join(report.problems)
