"""The exchange storage, as written by us and read by others, and as written by others and read by us."""

from __future__ import annotations

import errno
import io
import json
import os
import pickle
import pickletools
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ehps.errors import DataError, UnsafeFileError
from ehps.humandata import HumanData, Passport
from ehps.humandata.keypoints import CONVENTIONS, point_names
from ehps.humandata.storage import npz as storage
from ehps.humandata.storage import npz_pickle
from ehps.humandata.storage.npz_read import from_members

HD = CONVENTIONS["human_data"]


def example(n: int = 5) -> HumanData:
    rng = np.random.default_rng(1)

    def some(*shape: int) -> np.ndarray:
        return rng.normal(size=(n, *shape)).astype(np.float32)

    def points(*shape: int) -> np.ndarray:
        made = some(*shape)
        made[..., -1] = abs(made[..., -1])
        return made

    return HumanData(
        {
            "image_path": [f"images/{'x' * i}{i}.jpg" for i in range(n)],
            "bbox_xywh": abs(some(5)),
            "lhand_bbox_xywh": abs(some(5)),
            "keypoints2d_smplx": points(144, 3),
            "keypoints3d_smplx": points(144, 4).astype(np.float64),
            "keypoints2d_original": points(17, 3),
            "smplx/global_orient": some(3),
            "smplx/body_pose": some(21, 3),
            "smplx/betas": some(10).astype(np.float64),
            "smplx/betas_neutral": some(10),
            "meta/gender": ["male", "female", "neutral", "male", "female"][:n],
            "meta/height": np.full(n, 720),
            "meta/width": np.full(n, 1280),
            "meta/focal_length": some(2),
            "meta/annot_valid": np.arange(n) % 2 == 0,
            "vertices3d_path": [f"v/{i}.npy" for i in range(n)],
            "quality/reprojection_px": some(),
            "cam_param/deep/R": some(3, 3),
        },
        keypoint_names={
            "keypoints2d_smplx": point_names("smplx"),
            "keypoints3d_smplx": point_names("smplx"),
            "keypoints2d_original": point_names("coco"),
        },
        passport=Passport(body_model="smplx", num_betas=10, flat_hand_mean=False, dataset="demo", split="train"),
        misc={"bbox_source": "keypoints2d_smplx", "config": "demo_train", "fps": 30},
        quality={"reprojection_px": {"median": 0.5}},
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return example().save(tmp_path / "demo.npz")


def opened(path: Path) -> dict[str, Any]:
    """As the other programs open it (our own file only)."""
    with np.load(path, allow_pickle=True) as content:
        return {key: content[key] for key in content.files}


# -- what others find in our files ------------------------------------------------------------------------


def test_members_have_the_types_that_mmhuman3d_writes(file: Path) -> None:
    content = opened(file)
    assert list(content)[:3] == ["__key_strict__", "__data_len__", "__keypoints_compressed__"]
    types = {name: (value.dtype.str, value.shape) for name, value in content.items()}
    object_ = ("|O", ())
    convention = ("<U10", ())
    mask = ("|u1", (190,))
    assert types == {
        "__key_strict__": ("|b1", ()),
        "__data_len__": ("<i8", ()),
        "__keypoints_compressed__": ("|b1", ()),
        "image_path": ("<U16", (5,)),
        "bbox_xywh": ("<f4", (5, 5)),
        "lhand_bbox_xywh": ("<f4", (5, 5)),
        "config": ("<U10", ()),
        "vertices3d_path": ("<U7", (5,)),
        "cam_param": object_,
        "keypoints2d_smplx": ("<f4", (5, 144, 3)),
        "keypoints2d_smplx_mask": mask,
        "keypoints2d_smplx_convention": convention,
        "keypoints3d_smplx": ("<f4", (5, 144, 4)),
        "keypoints3d_smplx_mask": mask,
        "keypoints3d_smplx_convention": convention,
        "keypoints2d_original": ("<f4", (5, 17, 3)),
        "keypoints2d_original_mask": mask,
        "keypoints2d_original_convention": convention,
        "smplx": object_,
        "certificate": object_,  # the name that these files have had from the first version on
        "meta": object_,
        "misc": object_,
    }
    assert not content["__key_strict__"]
    assert content["__data_len__"] == 5
    assert content["__keypoints_compressed__"]
    assert content["keypoints2d_smplx_convention"] == "human_data"


def test_dicts_hold_arrays_for_the_body_and_lists_for_meta(file: Path) -> None:
    content = opened(file)
    hd = example()
    smplx = content["smplx"].item()
    assert list(smplx) == ["global_orient", "body_pose", "betas", "betas_neutral"]
    for name, value in smplx.items():
        assert (type(value), value.dtype.str) == (np.ndarray, "<f4")
        assert value.flags.writeable
        np.testing.assert_array_equal(value, hd[f"smplx/{name}"].astype(np.float32))
    meta = content["meta"].item()
    assert {name: type(value) for name, value in meta.items() if name != "focal_length"} == dict.fromkeys(
        ("gender", "height", "width", "annot_valid"), list
    )
    assert [type(meta[name][0]) for name in ("gender", "height", "annot_valid")] == [str, int, bool]
    assert meta["gender"] == ["male", "female", "neutral", "male", "female"]
    assert meta["annot_valid"] == [True, False, True, False, True]
    np.testing.assert_array_equal(meta["focal_length"], hd["meta/focal_length"])
    np.testing.assert_array_equal(content["cam_param"].item()["deep"]["R"], hd["cam_param/deep/R"])


def test_misc_says_what_the_numbers_mean(file: Path) -> None:
    misc = opened(file)["misc"].item()
    assert misc["flat_hand_mean"] is False
    assert misc["kps3d_root_aligned"] is False
    assert misc["bbox_source"] == "keypoints2d_smplx"
    assert misc["fps"] == 30
    assert misc["ehps_format"] == 1
    assert "config" not in misc
    assert json.loads(misc["ehps_passport"])["dataset"] == "demo"
    assert json.loads(misc["ehps_certificate"]) == {"reprojection_px": {"median": 0.5}}


def test_image_paths_can_be_read_without_pickles(file: Path) -> None:
    assert np.load(file)["image_path"][2] == "images/xx2.jpg"


def smpler_x_view(content: dict[str, Any], mapping: np.ndarray) -> dict[str, Any]:
    """What SMPLer-X makes of a file, step by step."""
    n = len(content["image_path"])
    body = next(content[kind].item() for kind in ("smplx", "smpl", "smplh") if kind in content)
    if "betas_neutral" in body:
        body["betas"] = body.pop("betas_neutral")
    full = {}
    if content["__keypoints_compressed__"]:
        for key in [k for k in content if "keypoints" in k and f"{k}_mask" in content]:
            mask = content[f"{key}_mask"]
            assert mask.sum() == content[key].shape[1]
            padded = np.zeros((n, len(mask), content[key].shape[2]), content[key].dtype)
            padded[:, mask == 1] = content[key]
            full[key] = padded
    else:
        full = {k: v for k, v in content.items() if f"{k}_mask" in content}
    key2d = next(k for k in ("keypoints2d", "keypoints2d_smplx", "keypoints2d_original") if k in content)
    key3d = next(k for k in ("keypoints3d_cam", "keypoints3d", "keypoints3d_smplx") if k in content)
    meta = content["meta"].item()
    return {
        "image_shape": np.stack([np.array(meta["height"]), np.array(meta["width"])], axis=-1),
        "joint_img": full[key2d][:, mapping, :2],
        "joint_cam": full[key3d][:, mapping, :3],
        "joint_valid": content[f"{key3d}_mask"][mapping],
        "rows": [{k: v[i] for k, v in body.items()} for i in range(n)],
    }


@pytest.mark.parametrize("compressed", [True, False])
def test_smpler_x_gets_the_same_numbers(tmp_path: Path, compressed: bool) -> None:
    hd = example()
    storage.write(hd, tmp_path / "x.npz", compressed_keypoints=compressed)
    mapping = np.array([HD.index(name) for name in CONVENTIONS["smplx_137"]])
    seen = smpler_x_view(opened(tmp_path / "x.npz"), mapping)
    at = [point_names("smplx").index(HD[slot]) for slot in mapping]
    np.testing.assert_array_equal(seen["image_shape"], [[720, 1280]] * 5)
    np.testing.assert_array_equal(seen["joint_img"], hd["keypoints2d_smplx"][:, at, :2])
    np.testing.assert_array_equal(seen["joint_cam"], hd["keypoints3d_smplx"][:, at, :3].astype(np.float32))
    assert seen["joint_valid"].tolist() == [1] * 137
    assert seen["rows"][3]["body_pose"].shape == (21, 3)
    np.testing.assert_array_equal(seen["rows"][3]["betas"], hd["smplx/betas_neutral"][3])


def mmhuman3d_load(path: Path) -> dict[str, Any]:
    """mmhuman3d's class, reading: types cast as declared, keypoints padded to 190 slots."""
    out: dict[str, Any] = {}
    for key, value in opened(path).items():
        out[key] = value.item() if value.ndim == 0 else value
    out["image_path"] = list(out["image_path"])
    for key in [k for k in out if "keypoints" in k and "_mask" not in k and isinstance(out[k], np.ndarray)]:
        mask = out[f"{key}_mask"]  # KeyError when missing, as there
        if out["__keypoints_compressed__"]:
            assert mask.sum() == out[key].shape[1]
            padded = np.zeros((*out[key].shape[:1], len(mask), out[key].shape[2]), out[key].dtype)
            padded[:, mask == 1] = out[key]
            out[key] = padded
        assert out[f"{key}_convention"] == "human_data"
    return out


def test_mmhuman3d_finds_each_point_in_its_slot(file: Path) -> None:
    seen = mmhuman3d_load(file)
    hd = example()
    coco = point_names("coco")
    assert [type(seen[k]) for k in ("__key_strict__", "__data_len__", "config", "smplx")] == [bool, int, str, dict]
    assert seen["keypoints2d_original"].shape == (5, 190, 3)
    for slot, name in enumerate(HD):
        there = name in coco
        assert seen["keypoints2d_original_mask"][slot] == there
        wanted = hd["keypoints2d_original"][:, coco.index(name)] if there else np.zeros((5, 3))
        np.testing.assert_array_equal(seen["keypoints2d_original"][:, slot], wanted)


def test_pickles_use_names_and_opcodes_of_old_numpy(file: Path) -> None:
    with zipfile.ZipFile(file) as archive:
        for member in ("smplx", "meta", "misc", "cam_param", "certificate"):
            data = archive.read(f"{member}.npy")
            stream = data[data.index(b"\n") + 1 :]
            opcodes = [(op, arg) for op, arg, _ in pickletools.genops(stream)]
            globals_ = {arg for op, arg in opcodes if op.name == "GLOBAL"}
            assert globals_ == {"numpy.core.multiarray _reconstruct", "numpy ndarray", "numpy dtype"}
            assert b"numpy._core" not in stream
            assert max(op.proto for op, _ in opcodes) <= 4


def test_big_columns_are_written_in_blocks_and_come_back_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(npz_pickle, "BLOCK", 1 << 15)
    n = 7000
    rng = np.random.default_rng(0)
    hd = HumanData(
        {
            "image_path": [f"{i}.jpg" for i in range(n)],
            "keypoints2d_original": rng.normal(size=(n, 17, 3)).astype(np.float32),
            "smplx/body_pose": rng.normal(size=(n, 21, 3)).astype(np.float32),
            "meta/track_id": rng.integers(-5, 2**40, n),
            "meta/frame_id": np.arange(n) + 2**16 - 100,
            "meta/gender": ["male" if i % 3 else "female" for i in range(n)],
            "meta/score": rng.normal(size=n),
        },
        keypoint_names={"keypoints2d_original": point_names("coco")},
    )
    hd.save(tmp_path / "big.npz")
    read = HumanData.open(tmp_path / "big.npz")
    assert list(read["image_path"]) == list(hd["image_path"])
    assert list(read["meta/gender"]) == list(hd["meta/gender"])
    np.testing.assert_array_equal(read["smplx/body_pose"], hd["smplx/body_pose"])
    for name in ("meta/track_id", "meta/frame_id", "meta/score"):
        np.testing.assert_array_equal(read[name], hd[name])
    np.testing.assert_array_equal(read.keypoints("keypoints2d_original", "coco"), hd["keypoints2d_original"])
    meta = opened(tmp_path / "big.npz")["meta"].item()
    assert meta["gender"][1] is meta["gender"][2]  # one object for a word that occurs a million times


@pytest.mark.parametrize("compressed", [True, False])
def test_rows_of_a_large_file_are_those_of_the_whole(tmp_path: Path, compressed: bool) -> None:
    hd = example()
    storage.write(hd, tmp_path / "x.npz", compressed_keypoints=compressed)
    assert storage.count(tmp_path / "x.npz") == 5
    points = next(name for name in hd.keypoint_names if name.startswith("keypoints2d"))
    whole = storage.read(tmp_path / "x.npz")
    names = ("image_path", points, "smplx", "meta")
    found = []
    for first in (0, 2, 4):
        values, others = storage.member_rows(tmp_path / "x.npz", names, first, first + 2)
        assert "bbox_xywh" in others
        assert not set(names) & set(others)
        found.append(from_members(values, "x"))
    assert [len(table) for table in found] == [2, 2, 1]
    for name in (points, "smplx/betas", "smplx/body_pose"):
        np.testing.assert_array_equal(np.concatenate([table[name] for table in found]), whole[name])
    assert [path for table in found for path in table["image_path"].tolist()] == whole["image_path"].tolist()
    assert found[0].keypoint_names[points] == whole.keypoint_names[points]


def test_same_content_gives_same_bytes(tmp_path: Path) -> None:
    a, b = example().save(tmp_path / "a.npz"), example().save(tmp_path / "b.npz")
    assert a.read_bytes() == b.read_bytes()
    assert {info.date_time for info in zipfile.ZipFile(a).infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_a_file_without_rows_is_written_and_read(tmp_path: Path) -> None:
    empty = example()[np.zeros(5, bool)]
    read = HumanData.open(empty.save(tmp_path / "empty.npz"))
    assert len(read) == 0
    assert read["smplx/body_pose"].shape == (0, 21, 3)
    assert opened(tmp_path / "empty.npz")["meta"].item()["gender"] == []


def test_points_without_a_slot_are_listed(tmp_path: Path) -> None:
    points = np.ones((2, 3, 3), np.float32)
    hd = HumanData(
        {"keypoints2d_original": points}, keypoint_names={"keypoints2d_original": ("nose", "tail", "pelvis")}
    )
    read = HumanData.open(hd.save(tmp_path / "x.npz"))
    assert read.keypoint_names["keypoints2d_original"] == ("pelvis", "nose")
    assert read.misc["ehps_points_left_out"] == {"keypoints2d_original": ["tail"]}


def labelled(*rows: list[float], names: tuple[str, ...] = ("pelvis", "tail", "nose", "left_hip")) -> HumanData:
    """Points of rows with these confidences."""
    points = np.ones((len(rows), len(names), 3), np.float32)
    points[..., 2] = rows
    return HumanData(
        {"image_path": [f"{i}.jpg" for i in range(len(rows))], "keypoints2d_original": points},
        keypoint_names={"keypoints2d_original": names},
    )


@pytest.mark.parametrize("compressed", [True, False])
def test_the_mask_says_which_points_some_row_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compressed: bool
) -> None:
    monkeypatch.setattr("ehps.humandata.storage.npz_pickle.BLOCK", 1)  # a row at a time
    hd = labelled([0, 1, 0, 0], [1, 1, 0, np.nan], [0, 1, 0, -1])
    storage.write(hd, tmp_path / "x.npz", compressed_keypoints=compressed)
    content = opened(tmp_path / "x.npz")
    assert np.flatnonzero(content["keypoints2d_original_mask"]).tolist() == [HD.index("pelvis")]
    assert content["keypoints2d_original"].shape == (3, 1 if compressed else 190, 3)
    read = HumanData.open(tmp_path / "x.npz")
    assert read.keypoint_names["keypoints2d_original"] == ("pelvis",)
    assert read["keypoints2d_original"][:, 0, 2].tolist() == [0, 1, 0]


def test_points_of_a_layout_of_their_own_are_masked_too(tmp_path: Path) -> None:
    labelled([0, 1], [0, 0], names=("tail", "fin")).save(tmp_path / "x.npz")
    content = opened(tmp_path / "x.npz")
    assert content["keypoints2d_original_mask"].tolist() == [0, 1]
    assert content["keypoints2d_original"].shape == (2, 1, 3)


def test_points_that_no_row_has_leave_an_empty_column(tmp_path: Path) -> None:
    labelled([0, 0, 0, 0]).save(tmp_path / "x.npz")
    assert not opened(tmp_path / "x.npz")["keypoints2d_original_mask"].any()
    read = HumanData.open(tmp_path / "x.npz")
    assert (len(read), read.keypoint_names["keypoints2d_original"]) == (1, ())
    again = HumanData.open(read.save(tmp_path / "y.npz"))
    assert opened(tmp_path / "y.npz")["keypoints2d_original_mask"].shape == (190,)
    assert len(again) == 1


def test_joints_of_smplh_stand_under_the_name_that_readers_know_too(tmp_path: Path) -> None:
    names = point_names("smplh_73")
    points = np.random.default_rng(0).uniform(1, 2, (2, 73, 4)).astype(np.float32)
    hd = HumanData(
        {"image_path": ["a", "b"], "keypoints2d_smplh": points[..., 1:], "keypoints3d_smplh": points},
        keypoint_names={"keypoints2d_smplh": names, "keypoints3d_smplh": names},
    )
    hd.save(tmp_path / "x.npz")
    content = opened(tmp_path / "x.npz")
    for stem in ("keypoints2d", "keypoints3d"):
        for ending in ("", "_mask", "_convention"):
            np.testing.assert_array_equal(content[f"{stem}_smpl{ending}"], content[f"{stem}_smplh{ending}"])
    read = HumanData.open(tmp_path / "x.npz")
    assert read.columns == hd.columns
    assert read.save(tmp_path / "y.npz").read_bytes() == (tmp_path / "x.npz").read_bytes()
    own = hd.with_columns({"keypoints2d_smpl": points[:, :1, 1:]}, keypoint_names={"keypoints2d_smpl": ("pelvis",)})
    read = HumanData.open(own.save(tmp_path / "z.npz"))
    assert (read["keypoints2d_smpl"].shape, "keypoints3d_smpl" in read) == ((2, 1, 3), False)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, file: Path) -> None:
    before = file.read_bytes()
    bad = example().with_columns({"smplx/body_pose": np.array([f"{i}" for i in range(5)], object)})
    hd = HumanData({"image_path": ["a"], "cam_param/x": np.array([b"1"], "V1")})
    with pytest.raises(DataError, match="cannot be stored"):
        hd.save(file)
    assert file.read_bytes() == before
    assert os.listdir(tmp_path) == [file.name]
    bad.save(file)  # texts in a body dict go to meta, where loaders do not look for arrays
    assert opened(file)["meta"].item()["smplx_body_pose"] == ["0", "1", "2", "3", "4"]


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Any, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("zipfile._ZipWriteFile.write", full)
    with pytest.raises(DataError, match=r"demo\.npz.*disk is full"):
        example().save(file)
    assert os.listdir(tmp_path) == [file.name]


# -- and back ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compressed", [True, False])
def test_everything_comes_back(tmp_path: Path, compressed: bool) -> None:
    hd = example()
    storage.write(hd, tmp_path / "x.npz", compressed_keypoints=compressed)
    read = HumanData.open(tmp_path / "x.npz")
    assert set(read.columns) == set(hd.columns)
    for name in hd.columns:
        if name in hd.keypoint_names:
            assert set(read.keypoint_names[name]) == set(hd.keypoint_names[name])
            np.testing.assert_array_equal(read.keypoints(name, hd.keypoint_names[name]), hd[name].astype(np.float32))
        elif isinstance(hd[name], np.ndarray):
            np.testing.assert_array_equal(read[name], np.asarray(hd[name], read[name].dtype))
        else:
            assert list(read[name]) == list(hd[name])
    assert read.passport == hd.passport
    assert read.quality == hd.quality
    assert read.misc == {**hd.misc, "kps3d_root_aligned": False}
    assert read.source == tmp_path / "x.npz"


def test_what_was_read_is_written_back_to_the_byte(tmp_path: Path, file: Path) -> None:
    again = HumanData.open(file).save(tmp_path / "again.npz")
    third = HumanData.open(again).save(tmp_path / "third.npz")
    assert again.read_bytes() == third.read_bytes()


# -- other writers' files ---------------------------------------------------------------------------------


def as_object(value: Any) -> np.ndarray:
    out = np.empty((), object)
    out[()] = value
    return out


def written(path: Path, **members: Any) -> Path:
    np.savez_compressed(path, **{k: as_object(v) if isinstance(v, dict) else v for k, v in members.items()})
    return path


def main_branch(n: int = 3, **more: Any) -> dict[str, Any]:
    rng = np.random.default_rng(2)
    mask = np.zeros(190, np.uint8)
    mask[[0, 5, 120]] = 1
    full = np.zeros((n, 190, 3))
    full[:, mask == 1] = rng.normal(size=(n, 3, 3))
    return {
        "image_path": np.array([f"{i}.jpg" for i in range(n)]),
        "bbox_xywh": rng.random((n, 4)),
        "keypoints2d": full,
        "keypoints2d_mask": mask,
        "smpl": {"betas": rng.normal(size=(n, 10)), "body_pose": rng.normal(size=(n, 69))},
        "meta": {"gender": ["m", "f", "m"][:n], "height": [480] * n},
        **more,
    }


def test_files_of_the_main_branch(tmp_path: Path) -> None:
    members = main_branch()
    hd = HumanData.open(written(tmp_path / "x.npz", **members))
    assert hd.keypoint_names["keypoints2d"] == (HD[0], HD[5], HD[120])
    np.testing.assert_array_equal(hd["keypoints2d"], members["keypoints2d"][:, [0, 5, 120]])
    np.testing.assert_array_equal(hd["bbox_xywh"], np.c_[members["bbox_xywh"], np.ones(3)])
    assert hd["smpl/body_pose"].shape == (3, 23, 3)
    np.testing.assert_array_equal(hd["smpl/body_pose"].reshape(3, 69), members["smpl"]["body_pose"])
    assert list(hd["meta/gender"]) == ["male", "female", "male"]
    assert hd["meta/height"].tolist() == [480] * 3
    assert (hd.passport.body_model, hd.passport.num_betas, hd.passport.flat_hand_mean) == ("smpl", 10, None)


def test_compressed_files_and_masks_of_other_types(tmp_path: Path) -> None:
    members = main_branch(__keypoints_compressed__=np.array(True))
    members["keypoints2d"] = members["keypoints2d"][:, [0, 5, 120]]
    for dtype in (bool, float, np.uint8):
        members["keypoints2d_mask"] = members["keypoints2d_mask"].astype(dtype)
        hd = HumanData.open(written(tmp_path / "x.npz", **members))
        np.testing.assert_array_equal(hd["keypoints2d"], members["keypoints2d"])
        assert hd.keypoint_names["keypoints2d"] == (HD[0], HD[5], HD[120])
    members["keypoints2d_mask"] = np.ones(190)
    with pytest.raises(DataError, match="keypoints2d has 3 points, its mask 190"):
        HumanData.open(written(tmp_path / "x.npz", **members))


def test_only_ones_in_a_mask_count(tmp_path: Path) -> None:
    members = main_branch()
    members["keypoints2d_mask"][5] = 2
    hd = HumanData.open(written(tmp_path / "x.npz", **members))
    assert hd.keypoint_names["keypoints2d"] == (HD[0], HD[120])


def test_missing_masks_come_from_the_confidences(tmp_path: Path) -> None:
    members = main_branch()
    del members["keypoints2d_mask"]
    members["keypoints2d"][..., 2] = 0
    members["keypoints2d"][1, 7, 2] = 0.5
    hd = HumanData.open(written(tmp_path / "x.npz", **members))
    assert hd.keypoint_names["keypoints2d"] == (HD[7],)


def test_points_of_another_convention_keep_its_names(tmp_path: Path) -> None:
    members = main_branch(keypoints2d_gta=np.ones((3, 100, 3)), keypoints2d_gta_convention=np.array("gta"))
    hd = HumanData.open(written(tmp_path / "x.npz", **members))
    assert hd.keypoint_names["keypoints2d_gta"] == CONVENTIONS["gta"]


def test_files_of_2021_with_one_mask_and_objects_for_numbers(tmp_path: Path) -> None:
    mask = np.zeros(144, np.uint8)
    mask[[1, 2]] = 1
    path = written(
        tmp_path / "x.npz",
        image_path=np.array(["a.jpg"]),
        bbox_xywh=np.array([[1.0, 2, 3, 4]]),
        keypoints2d=np.ones((1, 144, 3)),
        keypoints3d=np.ones((1, 144, 4)),
        mask=mask,
        config=as_object("3dpw"),
        smpl={"betas": np.full((1, 10), 0.5, object), "body_pose": np.full((1, 23, 3), 0.25, object)},
        meta={"gender": np.array(["f"], object)},
        __temporal_len__=np.array(1),
    )
    hd = HumanData.open(path)
    assert hd.keypoint_names == {"keypoints2d": HD[1:3], "keypoints3d": HD[1:3]}
    assert hd["smpl/betas"].dtype == np.float64
    np.testing.assert_array_equal(hd["smpl/body_pose"], np.full((1, 23, 3), 0.25))
    assert hd["meta/gender"][0] == "female"
    assert hd.misc["config"] == "3dpw"


def test_several_persons_an_image(tmp_path: Path) -> None:
    paths = np.array(["a.jpg", "a.jpg", "b.jpg"])
    plain = main_branch(image_path=paths, frame_range=np.array([[0, 2], [2, 3]]), __data_len__=np.array(2))
    assert len(HumanData.open(written(tmp_path / "x.npz", **plain))) == 3
    # the reference class does not renumber when it slices, and older ones keep it a level down
    sliced = main_branch(image_path=paths, optional={"frame_range": np.array([[4, 5], [5, 7]])})
    hd = HumanData.open(written(tmp_path / "y.npz", **sliced))
    assert hd["meta/image_index"].tolist() == [0, 1, 1]
    wrong = main_branch(frame_range=np.array([[0, 2], [2, 9]]))
    with pytest.raises(DataError, match="frame_range"):
        HumanData.open(written(tmp_path / "z.npz", **wrong))


def test_images_of_several_persons_are_written_as_ranges(tmp_path: Path) -> None:
    storage.write(example(), tmp_path / "x.npz", frame_range=np.array([[0, 2], [2, 5]]))
    content = opened(tmp_path / "x.npz")
    assert content["__data_len__"] == 2
    assert content["__instance_num__"] == 5
    assert content["frame_range"].tolist() == [[0, 2], [2, 5]]
    assert len(HumanData.open(tmp_path / "x.npz")) == 5


MULTI: dict[str, dict[str, Any]] = {
    "top": {"frame_range": np.array([[0, 2], [2, 3]]), "__data_len__": 2, "__instance_num__": 3},
    "optional": {"optional": {"frame_range": np.array([[0, 2], [2, 3]])}, "__data_len__": 2},
    "an image twice": {"frame_range": np.array([[4, 5], [5, 6], [6, 7]]), "__data_len__": 3},
}


@pytest.mark.parametrize("form", MULTI)
def test_files_by_image_stay_so(tmp_path: Path, form: str) -> None:
    paths = np.array(["a.jpg", "a.jpg", "b.jpg"])
    hd = HumanData.open(written(tmp_path / "x.npz", **main_branch(image_path=paths, **MULTI[form])))
    ranges = [[0, 1], [1, 2], [2, 3]] if form == "an image twice" else [[0, 2], [2, 3]]
    for name, source in {"a": hd, "b": HumanData.open(hd.save(tmp_path / "x.h5"))}.items():
        content = opened(source.save(tmp_path / f"{name}.npz"))
        assert content["frame_range"].tolist() == ranges
        assert (content["__data_len__"], content["__instance_num__"]) == (len(ranges), 3)
        assert ("optional" in content) == (form == "optional")
        if form == "optional":
            assert content["optional"].item()["frame_range"].tolist() == ranges
        again = HumanData.open(tmp_path / f"{name}.npz")
        assert again.save(tmp_path / "again.npz").read_bytes() == (tmp_path / f"{name}.npz").read_bytes()


def test_fewer_rows_of_a_file_by_image_have_new_ranges(tmp_path: Path) -> None:
    paths = np.array(["a.jpg", "a.jpg", "b.jpg"])
    hd = HumanData.open(written(tmp_path / "x.npz", **main_branch(image_path=paths, **MULTI["top"])))
    assert opened(hd[[1, 2]].save(tmp_path / "y.npz"))["frame_range"].tolist() == [[0, 1], [1, 2]]
    empty = hd[[]].save(tmp_path / "z.npz")
    assert opened(empty)["frame_range"].shape == (0, 2)
    assert len(HumanData.open(empty)) == 0
    assert "frame_range" not in opened(example().save(tmp_path / "plain.npz"))


def rows_of_dicts(n: int = 3, **more: Any) -> list[dict[str, Any]]:
    rng = np.random.default_rng(2)
    return [
        {"betas": rng.normal(size=(1, 10)), "body_pose": rng.normal(size=69), "global_orient": rng.normal(size=(1, 3))}
        | more
        for _ in range(n)
    ]


@pytest.mark.parametrize("as_array", [True, False])
def test_one_dict_a_row_is_read_as_columns(tmp_path: Path, as_array: bool) -> None:
    rows = rows_of_dicts()
    meta = [{"gender": "m", "height": 10}, {"gender": "f", "height": 20}, {"gender": "f"}]
    values = {"smpl": rows, "meta": meta, "image_path": np.array(["a.jpg", "b.jpg", "c.jpg"])}
    if as_array:
        hd = HumanData.open(written(tmp_path / "x.npz", **values))
    else:
        (tmp_path / "x.pkl").write_bytes(pickle.dumps(values))
        hd = HumanData.open(tmp_path / "x.pkl")
    assert {name: hd[name].shape for name in hd.columns if name.startswith("smpl/")} == {
        "smpl/betas": (3, 10),
        "smpl/body_pose": (3, 23, 3),
        "smpl/global_orient": (3, 3),
    }
    np.testing.assert_array_equal(hd["smpl/betas"][1], rows[1]["betas"][0])
    np.testing.assert_array_equal(hd["smpl/body_pose"][2].ravel(), rows[2]["body_pose"])
    assert list(hd["meta/gender"]) == ["male", "female", "female"]
    assert hd.body_model == hd.passport.body_model == "smpl"
    smpl = opened(hd.save(tmp_path / "y.npz"))["smpl"].item()
    assert smpl["betas"].shape == (3, 10)


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        ([*rows_of_dicts(2), {"betas": np.zeros(10)}], "that of row 2 has no body_pose"),
        (rows_of_dicts(2) + rows_of_dicts(1, betas=np.zeros(16)), "smpl/betas is not an array of numbers of one shape"),
        (rows_of_dicts(2), "smpl/betas has 2 rows, the file 3"),
        ([*rows_of_dicts(1), None, *rows_of_dicts(1)], "row 1 has none"),
        (np.zeros((3, 10)), "neither a dict of arrays nor one dict a row"),
    ],
)
def test_dicts_that_differ_between_rows_are_named(tmp_path: Path, rows: Any, what: str) -> None:
    path = written(tmp_path / "x.npz", bbox_xywh=np.ones((3, 5)), smpl=np.asarray(rows))
    with pytest.raises(DataError, match=what):
        HumanData.open(path)


@pytest.mark.parametrize(
    ("members", "what"),
    [
        ({"misc": np.array(["a", "b", "c"])}, "misc holds a ndarray, not a dict of facts"),
        ({"misc": {"flat_hand_mean": "False"}}, "flat_hand_mean is 'False', neither True nor False"),
        ({"frame_range": as_object([[1], [2, 3], []])}, "holds values in frame_range that no HumanData file has there"),
    ],
)
def test_members_of_another_kind_are_named(tmp_path: Path, members: dict[str, Any], what: str) -> None:
    with pytest.raises(DataError, match=what):
        HumanData.open(written(tmp_path / "x.npz", **main_branch(**members)))


def test_constants_and_unknown_keys_are_kept_and_given_back(tmp_path: Path) -> None:
    members = main_branch(
        depth_factor=np.array(4000.0),
        root_cam=np.ones((3, 3)),
        template=np.arange(7.0),
        cam_param={"K": np.eye(3)[:2], "name": "kinect"},
        misc={"smplx_source": "nerual_annot", "camera_param_type": "prespective", "flat_hand_mean": True},
        config=np.array("tag"),
    )
    hd = HumanData.open(written(tmp_path / "x.npz", **members))
    assert hd["root_cam"].shape == (3, 3)
    assert hd.misc["depth_factor"] == 4000.0
    assert hd.misc["smplx_source"] == "neural_annot"
    assert hd.misc["cam_param_type"] == "perspective"
    assert hd.passport.flat_hand_mean is True
    content = opened(hd.save(tmp_path / "y.npz"))
    assert content["depth_factor"] == 4000.0
    np.testing.assert_array_equal(content["template"], members["template"])
    assert content["cam_param"].item()["name"] == "kinect"
    np.testing.assert_array_equal(content["cam_param"].item()["K"], members["cam_param"]["K"])
    assert content["config"] == "tag"
    assert content["misc"].item()["flat_hand_mean"] is True


def test_paths_that_were_written_under_windows_have_slashes(tmp_path: Path) -> None:
    paths = np.array(["images\\a\\1.jpg", "images/a\\2.jpg", "images/a/3.jpg"])
    hd = HumanData.open(written(tmp_path / "x.npz", image_path=paths))
    assert hd["image_path"].tolist() == [f"images/a/{k}.jpg" for k in (1, 2, 3)]


def test_rows_are_counted_without_dunder_members(tmp_path: Path) -> None:
    hd = HumanData.open(written(tmp_path / "x.npz", image_path=np.array(["a", "b"]), __data_len__=np.array(-1)))
    assert len(hd) == 2
    with pytest.raises(DataError, match="holds no bbox_xywh"):
        HumanData.open(written(tmp_path / "y.npz", foo=np.ones(3)))


def test_body_parameters_of_another_length_are_named(tmp_path: Path) -> None:
    members = main_branch()
    members["smpl"]["betas"] = np.zeros((1, 10))
    with pytest.raises(DataError, match="smpl/betas has 1 rows, the file 3"):
        HumanData.open(written(tmp_path / "x.npz", **members))


def test_sliced_cache_files_are_put_together(tmp_path: Path) -> None:
    n, size = 23, 2
    rng = np.random.default_rng(3)
    points, betas = rng.normal(size=(n, 3, 3)), rng.normal(size=(n, 10))
    mask = np.zeros(190, np.uint8)
    mask[[4, 5, 6]] = 1
    members: dict[str, Any] = {
        "slice_size": np.array(size),
        "data_len": np.array(n),
        "key_strict": np.array(False),
        "keypoints_info": {"keypoints2d_mask": mask, "keypoints2d_convention": "human_data"},
        "non_sliced_data": {"config": "tag", "meta": {"note": "x"}, "misc": {"flat_hand_mean": False}},
    }
    for i in range(0, n, size):
        rows = slice(i, i + size)
        members[str(i // size)] = {
            "image_path": [f"{j}.jpg" for j in range(n)][rows],
            "keypoints2d": points[rows],
            "smpl": {"betas": betas[rows]},
            "meta": {"gender": ["male"] * len(betas[rows])},
        }
    hd = HumanData.open(written(tmp_path / "cache.npz", **members))
    assert list(hd["image_path"]) == [f"{j}.jpg" for j in range(n)]  # slice 10 comes after 9, not after 1
    np.testing.assert_array_equal(hd["keypoints2d"], points)
    np.testing.assert_array_equal(hd["smpl/betas"], betas)
    assert hd.keypoint_names["keypoints2d"] == HD[4:7]
    assert hd.misc["config"] == "tag"
    assert len(hd["meta/gender"]) == n
    del members["5"]
    with pytest.raises(DataError, match="lacks 1 of its 12 slices"):
        HumanData.open(written(tmp_path / "cache.npz", **members))


def test_training_caches_are_told_apart(tmp_path: Path) -> None:
    path = written(tmp_path / "c.npz", **{"0": {"img_path": "a"}}, data_len=np.array(1), data_strategy=as_object(None))
    with pytest.raises(DataError, match="training samples"):
        HumanData.open(path)


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_pickle_dumps_of_the_class(tmp_path: Path, protocol: int) -> None:
    members = main_branch()
    members["image_path"] = list(members["image_path"])
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps({**members, "__keypoints_compressed__": False, "__data_len__": 3}, protocol))
    hd = HumanData.open(path)
    assert list(hd["image_path"]) == ["0.jpg", "1.jpg", "2.jpg"]
    assert hd.keypoint_names["keypoints2d"] == (HD[0], HD[5], HD[120])


@pytest.mark.parametrize("name", ["sample_coco_2014_train", "sample_mpii_train"])
def test_real_early_files(name: str) -> None:
    folder = os.environ.get("EHPS_SAMPLES")
    path = Path(folder or ".") / "humandata" / f"{name}.npz"
    if not path.is_file():
        pytest.skip("set EHPS_SAMPLES to a folder with humandata/sample_*.npz of mmhuman3d's history")
    hd = HumanData.open(path)
    assert len(hd) == 1
    assert hd["bbox_xywh"].shape == (1, 5)
    wanted = point_names("coco") if "coco" in name else point_names("mpii")
    shared = set(hd.keypoint_names["keypoints2d"]) & set(wanted)
    assert len(shared) >= 10
    assert (hd["keypoints2d"][..., 2] > 0).any()


# -- damaged and dangerous files --------------------------------------------------------------------------


class Evil:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return (os.mkdir, (str(self.marker),))


def test_code_in_a_member_is_refused_with_file_and_member(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    path = written(tmp_path / "x.npz", **main_branch(misc={"note": [Evil(marker)]}))
    with pytest.raises(UnsafeFileError, match=r"x\.npz\[misc\].*mkdir"):
        HumanData.open(path)
    assert not marker.exists()


@pytest.mark.parametrize("name", ["../evil.npy", "/etc/evil.npy", "a\\b.npy", "program.py"])
def test_members_that_are_no_arrays_are_refused(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr(name, b"x")
    with pytest.raises(UnsafeFileError, match="member"):
        HumanData.open(tmp_path / "x.npz")


def test_truncated_files_are_data_errors(tmp_path: Path, file: Path) -> None:
    whole = file.read_bytes()
    for size in (0, 10, len(whole) // 2, len(whole) - 1):
        half = tmp_path / "half.npz"
        half.write_bytes(whole[:size])
        with pytest.raises(DataError, match=r"half\.npz.*only part of one"):
            HumanData.open(half)
    with pytest.raises(DataError, match="no such file"):
        HumanData.open(tmp_path / "none.npz")


def test_flipped_bytes_are_noticed(tmp_path: Path, file: Path) -> None:
    data = bytearray(file.read_bytes())
    at = data.index(b"keypoints2d_smplx.npy") + 2000
    data[at] ^= 0xFF
    file.write_bytes(data)
    with pytest.raises(DataError, match=r"keypoints2d_smplx\]: is damaged"):
        HumanData.open(file)


def test_a_member_larger_than_memory_is_not_inflated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "bomb.npz", image_path=np.array(["a"]), zeros=np.zeros(1 << 20))
    monkeypatch.setenv("EHPS_MEMORY_GB", "0.001")
    with pytest.raises(DataError, match=r"bomb\.npz: asks for 8\.0 MiB.*more than the 1\.0 MiB.*EHPS_MEMORY_GB"):
        HumanData.open(path)


def test_a_header_that_promises_more_than_the_member_holds(tmp_path: Path) -> None:
    out = io.BytesIO()
    header = {"descr": "<f8", "fortran_order": False, "shape": (1 << 50,)}
    np.lib.format.write_array_header_1_0(out, header)
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("bbox_xywh.npy", out.getvalue() + b"\0" * 80)
    with pytest.raises(DataError, match="size"):
        HumanData.open(tmp_path / "x.npz")


def test_measured_quality_has_the_names_of_the_first_version(tmp_path: Path) -> None:
    hd = example().with_columns({"quality/world_to_camera_m": np.linspace(0, 1, 5)})
    hd.quality = {"rows": 5, "world_to_camera_m": {"p50": 0.5}}
    content = opened(hd.save(tmp_path / "a.npz"))
    assert set(content["certificate"].item()) == {"reprojection_px", "two_routes_m"}
    assert "two_routes_m" in content["misc"].item()["ehps_certificate"]
    read = HumanData.open(tmp_path / "a.npz")
    np.testing.assert_allclose(read["quality/world_to_camera_m"], hd["quality/world_to_camera_m"])
    assert read.quality == hd.quality
    assert not [name for name in read.columns if "certificate" in name]
