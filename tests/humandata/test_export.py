"""Files for other programs are found by them and hold what they assume."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ehps.errors import DataError, UsageError
from ehps.humandata import HumanData, Passport
from ehps.humandata.export import by_image, export_for, recipe_for
from ehps.humandata.keypoints import CONVENTIONS, point_names


def people(dataset: str, split: str = "train", n: int = 7, *, flat: bool | None = False, **more: Any) -> HumanData:
    rng = np.random.default_rng(4)

    def some(*shape: int) -> np.ndarray:
        return rng.normal(size=(n, *shape)).astype(np.float32)

    columns = {
        "image_path": [f"images/{i}.jpg" for i in range(n)],
        "bbox_xywh": abs(some(5)),
        "keypoints2d_smplx": some(144, 3),
        "keypoints2d_original": some(17, 3),
        "smplx/betas": some(11),
        "smplx/betas_neutral": some(10),
        "smplx/body_pose": some(21, 3),
        "smplx/left_hand_pose": some(15, 3),
        "smplx/right_hand_pose": some(15, 3),
        "meta/height": np.full(n, 900),
        "meta/width": np.full(n, 900),
        "quality/height_m": some(),
    }
    return HumanData(
        columns | more,
        keypoint_names={
            "keypoints2d_smplx": point_names("smplx"),
            "keypoints2d_original": point_names("coco_wholebody")[:17],
        },
        passport=Passport(body_model="smplx", num_betas=11, flat_hand_mean=flat, dataset=dataset, split=split),
    )


def opened(path: Path) -> dict[str, Any]:
    """As the programs open it (our own file only)."""
    with np.load(path, allow_pickle=True) as content:
        return {k: v.item() if v.ndim == 0 else v for k, v in ((k, content[k]) for k in content.files)}


def test_smpler_x_finds_its_parts_and_images(tmp_path: Path) -> None:
    hd = people("chi3d")
    files = export_for(hd, "smpler-x", tmp_path)
    assert [str(file.relative_to(tmp_path)) for file in files] == [
        "preprocessed_datasets/CHI3D_train_230511_1492_0.npz",
        "preprocessed_datasets/CHI3D_train_230511_1492_1.npz",
    ]
    parts = [opened(file) for file in files]
    assert [part["__data_len__"] for part in parts] == [4, 3]
    # joined to the data folder itself
    assert list(np.concatenate([part["image_path"] for part in parts])) == [f"CHI3D/images/{i}.jpg" for i in range(7)]
    betas = np.concatenate([part["smplx"]["betas"] for part in parts])
    np.testing.assert_array_equal(betas, hd["smplx/betas"][:, :10])
    assert "quality" not in parts[0]
    assert parts[0]["misc"]["flat_hand_mean"] is False


def test_hands_must_be_what_the_program_assumes(tmp_path: Path) -> None:
    assert recipe_for(people("bedlam"), "smpler-x").flat_hand_mean
    assert not recipe_for(people("bedlam"), "smplest-x").flat_hand_mean
    assert recipe_for(people("arctic"), "smplest-x").flat_hand_mean
    with pytest.raises(UsageError, match=r"absolute .*with_hand_mean\(hd, True"):
        export_for(people("bedlam", flat=False), "smpler-x", tmp_path)
    with pytest.raises(UsageError, match="does not say"):
        export_for(people("rich", flat=None), "smpler-x", tmp_path)
    (file,) = export_for(people("bedlam", flat=True), "smpler-x", tmp_path)
    assert file.name == "bedlam_train.npz"
    assert opened(file)["misc"]["flat_hand_mean"] is True


def test_what_the_program_cannot_do_without_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="lacks bbox_xywh, meta/height and meta/width"):
        export_for(people("rich").without(["bbox_xywh", "meta/height"]), "smpler-x", tmp_path)
    with pytest.raises(DataError, match="7 of 7 images are not 512x512"):
        export_for(people("ssp3d"), "smpler-x", tmp_path)
    with pytest.raises(DataError, match="body parameters"):
        export_for(people("rich").without(["smplx/betas"]), "smpler-x", tmp_path)
    with pytest.raises(DataError, match="meta/face_valid"):
        export_for(people("ubody"), "aios", tmp_path)
    with pytest.raises(DataError, match="3 rows for the 6 files"):
        export_for(people("fit3d", n=3), "smpler-x", tmp_path)
    assert not list(tmp_path.rglob("*.npz"))


def test_datasets_and_splits_without_a_reader_are_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="own annotation files"):
        export_for(people("agora"), "smpler-x", tmp_path)
    with pytest.raises(UsageError, match="splits train, test of spec"):
        export_for(people("spec", "mtp_test"), "smpler-x", tmp_path)
    with pytest.raises(UsageError, match="unknown target"):
        export_for(people("spec"), "osx", tmp_path)


def test_talkshow_is_divided_by_speaker(tmp_path: Path) -> None:
    speakers = ["oliver", "conan", "oliver", "seth", "chemistry", "conan", "oliver"]
    paths = [f"release/{name}/video/{i}.png" for i, name in enumerate(speakers)]
    files = export_for(people("talkshow", image_path=paths), "smpler-x", tmp_path)
    assert [file.stem for file in files] == [
        f"talkshow_smplx_{name}" for name in ("chemistry", "conan", "oliver", "seth")
    ]
    assert list(opened(files[2])["image_path"]) == [paths[0], paths[2], paths[6]]


def test_smplest_x_gets_the_columns_it_takes_for_granted(tmp_path: Path) -> None:
    crowd = np.array([0, 1, 0, 0, 0, 0, 0])
    hd = people("mscoco", **{"meta/iscrowd": crowd})
    (file,) = export_for(hd, "smplest-x", tmp_path)
    assert str(file.relative_to(tmp_path)) == "annot/mscoco_train.npz"
    content = opened(file)
    wanted = (hd["keypoints2d_smplx"][..., 2] > 0).sum(1)
    assert content["meta"]["num_keypoints"] == wanted.tolist()
    (file,) = export_for(people("ubody"), "smplest-x", tmp_path)
    assert {"leye_pose", "reye_pose"} <= set(opened(file)["smplx"])
    (file,) = export_for(people("mpi_inf_3dhp"), "smplest-x", tmp_path)
    assert opened(file)["image_path"][0][1:] == "images/0.jpg"  # the first character is removed while loading


def test_aios_gets_ranges_of_rows_for_each_image(tmp_path: Path) -> None:
    paths = ["b.jpg", "a.jpg", "b.jpg", "c.jpg", "a.jpg", "b.jpg", "c.jpg"]
    hd = people("mscoco", image_path=paths)
    (file,) = export_for(hd, "aios", tmp_path)
    assert file == tmp_path / "data/preprocessed_npz/multihuman_data/coco_wholebody_new_train_multi.npz"
    content = opened(file)
    order = [0, 2, 5, 1, 4, 3, 6]
    assert content["frame_range"].tolist() == [[0, 3], [3, 5], [5, 7]]
    assert (content["__data_len__"], content["__instance_num__"]) == (3, 7)
    assert list(content["image_path"]) == [paths[i] for i in order]
    np.testing.assert_array_equal(content["smplx"]["body_pose"], hd["smplx/body_pose"][order])
    # not compressed, because its loader does not decompress this column
    assert content["__keypoints_compressed__"] is False
    assert content["keypoints2d_ori"].shape == (7, 190, 3)
    slot = CONVENTIONS["human_data"].index("left_knee")
    at = hd.keypoint_names["keypoints2d_original"].index("left_knee")
    np.testing.assert_array_equal(content["keypoints2d_ori"][:, slot], hd["keypoints2d_original"][order, at])


def test_rows_already_in_order_of_images_stay_where_they_are() -> None:
    hd = people("rich", image_path=["a", "a", "b", "c", "c", "c", "d"])
    same, ranges = by_image(hd)
    assert same is hd
    assert ranges.tolist() == [[0, 2], [2, 3], [3, 6], [6, 7]]
    assert by_image(hd[[]])[1].shape == (0, 2)


def test_short_betas_are_filled_with_zeros(tmp_path: Path) -> None:
    hd = people("rich", **{"smplx/betas": np.ones((7, 4), np.float32)})
    (file,) = export_for(hd, "smpler-x", tmp_path)
    assert opened(file)["smplx"]["betas"][0].tolist() == [1] * 4 + [0] * 6
