"""Tables of BEDLAM's family: read back as they were, and as their own programs take them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ehps.errors import DataError, EhpsError, PassportError, UsageError
from ehps.exchange import flat_npz
from ehps.exchange.forms import Sources, Stated
from ehps.exchange.hmr_rows import POINTS, SMPLX_POINTS
from ehps.humandata.core import HumanData
from tests.exchange.people import same, smpl_people, smplx_people

N = 6
SMPLX = [f"smplx/{name}" for name in ("betas", "transl", "global_orient", "body_pose", "left_hand_pose", "jaw_pose")]
SMPL = [f"smpl/{name}" for name in ("betas", "global_orient", "body_pose")]
CAMERA = ["meta/focal_length", "meta/principal_point"]
CASES = {
    "bedlam": (smplx_people(N, points=SMPLX_POINTS), [*SMPLX, *CAMERA, "keypoints2d_smplx"], Stated(gender="neutral")),
    "bedlam2": (smplx_people(N, betas=16, points=SMPLX_POINTS), [*SMPLX, *CAMERA, "keypoints2d_smplx"], Stated()),
    "camerahmr": (smpl_people(N), [*SMPL, "smpl/transl", *CAMERA, "keypoints2d_original"], Stated()),
    "hmr2": (smpl_people(N), [*SMPL, "keypoints2d_original", "keypoints3d_original"], Stated(gender="neutral")),
    "tokenhmr": (smpl_people(N), [*SMPL, "keypoints2d_original", "keypoints3d_original"], Stated(gender="neutral")),
    "prompthmr": (smpl_people(N), [*SMPL, "smpl/transl", *CAMERA], Stated()),
}


@pytest.mark.parametrize("name", CASES)
def test_what_a_table_holds_comes_back_without_error(name: str, tmp_path: Path) -> None:
    hd, held, stated = CASES[name]
    written = flat_npz.write(flat_npz.BY_NAME[name], hd, tmp_path / "labels.npz", Sources())
    told = [other for other in CASES if flat_npz.recognise(written.files[0], other)]
    assert told == [name]
    back = flat_npz.read(written.files[0], stated, None)
    assert flat_npz.dialect_of(np.load(written.files[0]), tmp_path).name == name
    assert list(back["image_path"]) == list(hd["image_path"])
    for column in held:
        same(back[column], hd[column])
    assert back.passport.frame == "opencv-camera"
    assert back.passport.body_model == hd.passport.body_model
    same(back["bbox_xywh"], hd["bbox_xywh"])  # the boxes of these people are square
    assert any("quality" not in sentence and "smplx_valid" in sentence for sentence in written.left_out)


def test_bedlams_loader_gets_what_it_looks_for(tmp_path: Path) -> None:
    """The keys and shapes that ``DatasetHMR`` takes for training, and where its points fall."""
    hd = CASES["bedlam"][0]
    data = np.load(flat_npz.write_bedlam(hd, tmp_path / "labels.npz", Sources()).files[0])
    assert data["pose_cam"][:, : 22 * 3].shape == (N, 66)
    assert data["shape"].shape[1] in (10, 11)
    assert data["gtkps"][:, :24].shape == (N, 24, 3)
    assert data["proj_verts"].shape == (N, 437, 3) if "proj_verts" in data else True
    translation = data["cam_ext"][:, :, 3].copy()
    translation[:, :3] += data["trans_cam"]
    assert np.array_equal(translation[:, :3], hd["smplx/transl"])
    assert (translation[:, 3] == 1).all()
    box = np.asarray(hd["bbox_xywh"], float)
    assert np.allclose(data["center"], box[:, :2] + box[:, 2:4] / 2)
    assert np.allclose(data["scale"] * 200, box[:, 2])
    assert np.array_equal(data["cam_int"][:, 0, 0], hd["meta/focal_length"][:, 0])


def test_the_translation_of_bedlams_own_files_is_the_sum_of_two(tmp_path: Path) -> None:
    hd = CASES["bedlam"][0]
    path = flat_npz.write_bedlam(hd, tmp_path / "labels.npz", Sources()).files[0]
    arrays = dict(np.load(path))
    arrays["cam_ext"][:, :3, 3] = [1, 2, 3]
    np.savez(path, **arrays)
    assert np.array_equal(
        flat_npz.read(path, Stated(gender="neutral"), None)["smplx/transl"], hd["smplx/transl"] + np.float32([1, 2, 3])
    )


def test_the_scale_of_4d_humans_is_in_pixels_and_that_of_tokenhmr_is_not(tmp_path: Path) -> None:
    hd = CASES["hmr2"][0]
    one = np.load(flat_npz.write_hmr2(hd, tmp_path / "a.npz", Sources()).files[0])
    other = np.load(flat_npz.write_tokenhmr(hd, tmp_path / "b.npz", Sources()).files[0])
    assert np.allclose(one["scale"], np.asarray(hd["bbox_xywh"])[:, 2:4])
    assert np.allclose(other["scale"] * 200, np.asarray(hd["bbox_xywh"])[:, 2:4])
    assert one["body_keypoints_2d"].shape == (N, 25, 3)
    assert one["extra_keypoints_2d"].shape == (N, 19, 3)
    assert other["keypoints_2d"].shape == (N, 44, 3)


def test_what_a_dialect_leaves_open_must_be_stated(tmp_path: Path) -> None:
    path = flat_npz.write_hmr2(CASES["hmr2"][0], tmp_path / "a.npz", Sources()).files[0]
    with pytest.raises(UsageError, match="--gender"):
        flat_npz.read(path, Stated(), None)
    path = flat_npz.write_bedlam2(CASES["bedlam2"][0], tmp_path / "b.npz", Sources()).files[0]
    with pytest.raises(UsageError, match="contradicts"):
        flat_npz.read(path, Stated(flat_hand_mean=False), None)


def _changed(hd: HumanData, **facts: Any) -> HumanData:
    out = hd[:]
    out.passport = hd.passport.with_(**facts)
    return out


@pytest.mark.parametrize(
    ("name", "hd", "kind", "said"),
    [
        ("bedlam", CASES["hmr2"][0], UsageError, "smplx"),
        ("hmr2", CASES["bedlam"][0], UsageError, "smpl"),
        ("bedlam", _changed(CASES["bedlam"][0], flat_hand_mean=False), PassportError, "--flat-hand-mean yes"),
        ("bedlam", CASES["bedlam"][0].with_columns({"meta/gender": ["male"] * N}), PassportError, "--gender neutral"),
        ("camerahmr", _changed(CASES["camerahmr"][0], frame="world"), PassportError, "camera frame"),
        ("bedlam2", CASES["bedlam"][0], DataError, "betas"),
        ("bedlam", CASES["bedlam"][0].without(["meta/focal_length"]), DataError, "meta/focal_length"),
        ("camerahmr", CASES["camerahmr"][0].without(["smpl/transl"]), DataError, "smpl/transl"),
    ],
)
def test_what_a_program_would_take_for_something_else_is_refused(
    name: str, hd: HumanData, kind: type[EhpsError], said: str, tmp_path: Path
) -> None:
    with pytest.raises(kind, match=said):
        flat_npz.write(flat_npz.BY_NAME[name], hd, tmp_path / "a.npz", Sources())
    assert not list(tmp_path.iterdir())


def test_labels_of_turned_images_are_not_taken_for_those_of_the_stored_ones(tmp_path: Path) -> None:
    import cv2

    hd = CASES["bedlam"][0].with_columns({"meta/principal_point": np.tile(np.float32([15, 20]), (N, 1))})
    path = flat_npz.write_bedlam(hd, tmp_path / "labels.npz", Sources()).files[0]
    with pytest.raises(DataError, match="--images"):
        flat_npz.read(path, Stated(gender="neutral"), None)
    for lying in (True, False):
        for name in set(hd["image_path"]):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            cv2.imwrite(str(tmp_path / name), np.zeros((30, 40, 3) if lying else (40, 30, 3), np.uint8))
        if lying:
            with pytest.raises(DataError, match="lie on their side"):
                flat_npz.read(path, Stated(gender="neutral"), tmp_path)
    back = flat_npz.read(path, Stated(gender="neutral"), tmp_path)
    assert back["meta/height"].tolist() == [40] * N


def test_files_of_no_dialect_are_told_what_is_known(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", imgname=["a.jpg"], pose=np.zeros((1, 72)))
    assert not flat_npz.recognise(tmp_path / "a.npz")
    with pytest.raises(DataError, match="no known dialect"):
        flat_npz.read(tmp_path / "a.npz", Stated(), None)
    np.savez(tmp_path / "b.npz", data_len=1, **{"0": np.zeros(1)})
    with pytest.raises(DataError, match="EMDB"):
        flat_npz.read(tmp_path / "b.npz", Stated(), None)


def test_rows_without_a_body_are_not_given_one(tmp_path: Path) -> None:
    path = flat_npz.write_hmr2(CASES["hmr2"][0], tmp_path / "a.npz", Sources()).files[0]
    arrays = dict(np.load(path))
    arrays["has_body_pose"][0] = 0
    np.savez(path, **arrays)
    with pytest.raises(DataError, match="1 of 6 rows have no body"):
        flat_npz.read(path, Stated(gender="neutral"), None)
    arrays["has_body_pose"][:] = 0
    np.savez(path, **arrays)
    back = flat_npz.read(path, Stated(), None)
    assert back.body_model is None
    assert back.keypoint_names["keypoints2d_original"] == POINTS


def test_points_that_a_table_cannot_hold_are_named(tmp_path: Path) -> None:
    hd = smplx_people(N, points=(*SMPLX_POINTS, "head_top"))
    hd = hd.with_columns({"keypoints3d_smplx": np.ones((N, 2, 4), np.float32)}, keypoint_names={})
    told = flat_npz.write_bedlam(hd, tmp_path / "a.npz", Sources()).left_out
    assert "keypoints2d_smplx: 1 points that the form does not have" in told
    assert "keypoints3d_smplx: the form has no such points" in told


def test_a_folder_without_any_of_the_images_is_refused(tmp_path: Path) -> None:
    path = flat_npz.write_hmr2(smpl_people(N), tmp_path / "a.npz", Sources()).files[0]
    with pytest.raises(DataError, match=r"none of its images can be read .*image 0\.jpg"):
        flat_npz.read(path, Stated(gender="neutral"), tmp_path)
