from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from ehps.converters.pipeline.report import Report
from ehps.errors import DataError, UsageError
from ehps.humandata import HumanData
from ehps.humandata.keypoints import point_names
from tests.raw import eft
from tests.raw.checks import (
    assert_boxes_hold_the_visible_joints,
    assert_joints_are_the_truth,
    blank,
    nearest,
    truncate,
)
from tests.raw.lspet import SIZES, Tree, own_joints
from tests.raw.trees import Raw, runner
from tests.samples import samples

LIST = "eft_fit/LSPet_train_ver10.json"

Pair = tuple[HumanData, Report]

DATASET = "lspet"
run = runner(DATASET)


def test_joints_are_those_of_the_raw_fits(tree: Tree, converted: Pair, body_models: Path) -> None:
    hd, report = converted
    assert_joints_are_the_truth(hd, tree.truth, body_models)
    assert nearest(hd, tree.truth) == [0, 1, 2, 3]
    away = np.linalg.norm(hd["keypoints2d_smpl"][..., :2] - tree.fits.weak_points(), axis=2)
    assert away.max() < 4
    assert (report.found, report.written, report.published) == (4, 4, 2_946)
    assert (report.dropped, report.problems, report.notes) == ({}, [], [])


def test_points_that_nobody_annotated_do_not_count(tree: Tree, converted: Pair) -> None:
    hd, _ = converted
    own = hd["keypoints2d_original"]
    raw = np.array([record["gt_keypoint_2d"] for record in tree.fits.records])[:, 25:]
    assert hd.keypoint_names["keypoints2d_original"] == point_names("smpl_24")
    width, height = hd["meta/width"][:, None], hd["meta/height"][:, None]
    x, y, flag = np.moveaxis(raw, 2, 0)
    inside = (x > 0) & (y > 0) & (x < width) & (y < height)
    assert (own[..., 2] == flag * inside).all()
    assert own[1, [0, 6, 11], 2].tolist() == [0, 0, 0]  # marked as seen in the file
    assert own[1, :14, 2].sum() == 11
    np.testing.assert_allclose(own[..., :2], raw[..., :2], rtol=1e-6)


def test_boxes_are_made_from_the_joints(converted: Pair) -> None:
    hd, _ = converted
    assert_boxes_hold_the_visible_joints(hd)
    assert hd.misc["bbox_source"] == "keypoints2d_smpl"
    assert hd["bbox_xywh"][2, 3] < 333 + 1e-3 < 520


def test_facts_of_the_file(tree: Tree, converted: Pair) -> None:
    hd, _ = converted
    for column, key in (("pred_cam", "parm_cam"), ("bbox_center", "bbox_center"), ("bbox_scale", "bbox_scale")):
        np.testing.assert_allclose(hd[f"meta/{column}"], [record[key] for record in tree.fits.records], rtol=1e-6)
    assert np.stack([hd["meta/height"], hd["meta/width"]], 1).tolist() == [
        [400, 300],
        [600, 800],
        [333, 500],
        [600, 800],
    ]
    assert (hd.misc["smpl_source"], hd.misc["cam_param_type"]) == ("eft", "eft_camera")
    assert (hd.passport.body_model, hd.passport.focal, hd.passport.gender) == ("smpl", "virtual", "neutral")
    assert hd["meta/gender"].tolist() == ["neutral"] * 4
    assert hd.validate() == []


# -- splits and releases --------------------------------------------------------------------------------------


def test_the_test_half(tree: Tree, tmp_path: Path, body_models: Path) -> None:
    report = run(tree.root, tmp_path / "x.h5", body_models, split="test")
    assert_joints_are_the_truth(HumanData.open(tmp_path / "x.h5"), tree.truth[[0]], body_models)
    assert report.published == 2_433


@pytest.mark.parametrize("folder", ["hr-lspet", "images"])
def test_images_one_level_down_are_found(own: Path, tmp_path: Path, folder: str) -> None:
    (own / folder).mkdir()
    for image in own.glob("im*.png"):
        image.rename(own / folder / image.name)
    run(own, tmp_path / "x.h5", None)
    assert HumanData.open(tmp_path / "x.h5")["image_path"][0] == f"{folder}/im00492.png"


@pytest.mark.parametrize("place", ["LSPet_fit/LSPet_ver01.json", "LSPet_ver01.json"])
def test_the_older_list_does_for_train_and_is_said_to_be_old(own: Path, tmp_path: Path, place: str) -> None:
    (own / "LSPet_fit").mkdir()
    (own / LIST).rename(own / place)
    report = run(own, tmp_path / "x.h5", None)
    assert any("older, unfiltered" in note for note in report.notes)
    (own / "eft_fit/LSPet_test_ver10.json").unlink()
    with pytest.raises(DataError, match=r"LSPet_test_ver10\.json"):
        run(own, tmp_path / "x.h5", None, split="test")


def original(root: Path, count: int) -> np.ndarray:
    """The original release with images 1 and ``count``; its joints (14, 3, count)."""
    joints = np.stack([own_joints(np.random.default_rng(n), 60, 80) for n in range(count)], axis=2)
    blank(root, ["im00001.jpg", f"im{count:05d}.jpg"], 60, 80)
    savemat(root / "joints.mat", {"joints": joints})
    return joints


def test_fits_do_not_go_with_the_original_images(own: Path, tmp_path: Path) -> None:
    for image in own.glob("im*.png"):
        image.unlink()
    original(own, 3)
    with pytest.raises(DataError, match=r"hr-lspet\.zip") as caught:
        run(own, tmp_path / "x.h5", None)
    assert "high-resolution" in str(caught.value)
    assert run(own, tmp_path / "x.h5", None, options={"fits": "none"}).written == 2


# -- without fits -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [3, 2])
@pytest.mark.parametrize("hdf5", [False, True])
def test_entries_of_the_high_resolution_release_are_matched_in_the_order_of_names(
    tree: Tree, own: Path, tmp_path: Path, columns: int, hdf5: bool
) -> None:
    if hdf5:  # MATLAB 7.3 stores the axes the other way round
        with h5py.File(own / "joints.mat", "w") as file:
            file["joints"] = tree.joints[:, :columns].T
    else:
        savemat(own / "joints.mat", {"joints": tree.joints[:, :columns]})
    report = run(own, tmp_path / "x.h5", None, options={"fits": "none"})
    hd = HumanData.open(tmp_path / "x.h5")
    assert hd["image_path"].tolist() == sorted(SIZES)
    assert hd["meta/index"].tolist() == [0, 1, 2]
    assert hd.keypoint_names["keypoints2d_original"] == point_names("lsp")
    own2d = hd["keypoints2d_original"]
    np.testing.assert_allclose(own2d[..., :2], tree.joints[:, :2].transpose(2, 0, 1), rtol=1e-6)
    assert own2d[..., 2].tolist() == [[0, 1, 1, 1, 1, 1, 0, *[1] * 7]] * 3
    seen = own2d[:, [1, 2, 3, 4, 5, *range(7, 14)], :2]
    box = hd["bbox_xywh"]
    assert (seen.min(axis=1) >= box[:, :2]).all()
    assert (seen.max(axis=1) <= box[:, :2] + box[:, 2:4]).all()
    assert hd.body_model is None
    assert report.published is None
    assert "keypoints and boxes only, of the high-resolution release" in " ".join(report.notes)


def test_the_original_release_converts_to_points_by_the_numbers_of_its_images(tmp_path: Path) -> None:
    for root, folder in ((tmp_path / "flat", ""), (tmp_path / "zip", "images/")):
        joints = original(root / folder, 5)
        if folder:
            (root / folder / "joints.mat").rename(root / "joints.mat")
        report = run(root, tmp_path / "x.h5", None)
        hd = HumanData.open(tmp_path / "x.h5")
        assert hd["image_path"].tolist() == [f"{folder}im00001.jpg", f"{folder}im00005.jpg"]
        np.testing.assert_allclose(
            hd["keypoints2d_original"][..., :2], joints[:, :2].transpose(2, 0, 1)[[0, 4]], rtol=1e-6
        )
        assert report.dropped == {"image missing": [f"{folder}im{n:05d}.jpg" for n in (2, 3, 4)]}
        assert "eft_fit/LSPet_train_ver10.json is absent" in report.notes[0]
        assert "original low-resolution release" in report.notes[0]


def test_people_without_an_annotated_joint_are_counted(tree: Tree, own: Path, tmp_path: Path) -> None:
    joints = tree.joints.copy()
    joints[:, 2, 1] = 0
    savemat(own / "joints.mat", {"joints": joints})
    report = run(own, tmp_path / "x.h5", None, options={"fits": "none"})
    assert report.dropped == {"no labelled joint": ["im00492.png"]}
    assert HumanData.open(tmp_path / "x.h5")["meta/index"].tolist() == [0, 2]


def test_points_that_cannot_be_matched_are_refused(tree: Tree, own: Path, tmp_path: Path) -> None:
    def refused(words: str) -> None:
        with pytest.raises(DataError, match=words):
            run(own, tmp_path / "x.h5", None, options={"fits": "none"})

    savemat(own / "joints.mat", {"joints": tree.joints.swapaxes(0, 1)})
    refused("3 x 14 x 3, expected 14 x 3 x people .take that of LSPET, not LSP")
    savemat(own / "joints.mat", {"joints": tree.joints[..., :2]})
    refused("has 2 entries, but there are 3 png files")
    truncate(own / "joints.mat")
    refused("begins as a MATLAB file, and is cut short or damaged")
    savemat(own / "joints.mat", {"joints": tree.joints})
    (own / "hr-lspet").mkdir()
    for image in own.glob("im*.png"):
        image.rename(own / "hr-lspet" / image.name)
    refused("no images beside it")
    with pytest.raises(UsageError, match="fits=none"):
        run(own, tmp_path / "x.h5", None, split="test", options={"fits": "none"})


def test_the_real_original_release(tmp_path: Path) -> None:
    report = run(samples("lspet"), tmp_path / "x.h5", None)
    assert (report.found, report.written) == (400, 10)
    hd = HumanData.open(tmp_path / "x.h5")
    assert hd["image_path"][-1] == "im00016.jpg"
    assert hd["meta/index"][-1] == 15
    assert hd["keypoints2d_original"][0, 0, 2] == 0  # right ankle of the first, not annotated
    assert hd["keypoints2d_original"][..., 2].mean() > 0.8


def test_the_real_image_beside_the_original_release(tmp_path: Path, body_models: Path) -> None:
    root = Path(shutil.copytree(samples("lspet"), tmp_path / "lspet"))
    fits = eft.make(body_models, np.random.default_rng(1), [eft.Seat(250, 180, 150, (250, 170), 400)])
    eft.dump(root / "LSPet_train_ver10.json", [fits.records[0] | {"imageName": "im00492.png"}])
    run(root, tmp_path / "x.h5", body_models)
    hd = HumanData.open(tmp_path / "x.h5")
    assert_joints_are_the_truth(hd, fits.truth(["hr-lspet/im00492.png"]), body_models)
    assert (hd["meta/height"].tolist(), hd["meta/width"].tolist()) == ([333], [500])


# -- bad input --------------------------------------------------------------------------------------------------


def test_an_image_that_cannot_be_read_is_counted(own: Path, tmp_path: Path) -> None:
    (own / "im00003.png").write_bytes(b"no image")
    assert run(own, tmp_path / "x.h5", None).dropped == {"image cannot be read": ["im00003.png"]}


def test_without_body_models_parameters_are_kept(tree: Tree, raw: Raw) -> None:
    hd, report = raw.without_models()
    np.testing.assert_allclose(hd["smpl/body_pose"], tree.fits.params.body_pose, atol=1e-6)
    assert "keypoints2d_smpl" in report.absent
    assert hd.misc["bbox_source"] == "keypoints2d_original"
