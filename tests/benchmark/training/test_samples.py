"""Samples: what is read from a row, and that targets match the augmented image."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from ehps.benchmark.training import crops, samples
from ehps.benchmark.training.samples import CropView, HumanDataset, collate, to_device
from ehps.benchmark.training.smplx_joints import Skeleton
from ehps.benchmark.training.targets import SLICES, make, unpack
from ehps.body.models import BodyModels
from ehps.body.params import smpl_params
from ehps.errors import DataError
from ehps.humandata.core import HumanData
from ehps.humandata.keypoints import point_names
from tests.drawn_people import FOCAL, SIZE, Style, people, write_set

VIEW = CropView(size=(128, 96), antialias=True)


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory, models: BodyModels) -> Path:
    params = people(6, np.random.default_rng(5), Style(0.4, 0.3))
    return write_set(tmp_path_factory.mktemp("few"), params, models, name="few")


def rewritten(path: Path, name: str, drop: tuple[str, ...] = (), passport: dict | None = None, **columns) -> Path:
    hd = HumanData.open(path).without(drop).with_columns(columns)
    hd.passport = hd.passport.with_(**(passport or {}))
    return hd.save(path.parent / f"{name}.h5")


def test_projected_targets_fall_on_the_drawn_person(few: Path, models: BodyModels) -> None:
    """Joints of the file, through the full-image camera and the crop's map, computed another way."""
    data = HumanDataset(few, few.parent, VIEW, models=models)
    batch = collate([data[i] for i in range(len(data))])
    truth = make(batch["target"], Skeleton(models))
    params = people(6, np.random.default_rng(5), Style(0.4, 0.3))
    joints = models.joints(params, "float64")
    pixels = joints[..., :2] / joints[..., 2:] * FOCAL + (SIZE[1] / 2, SIZE[0] / 2)
    for i in range(len(data)):
        expected = crops.transform(pixels[i], crops.affine(data.boxes[i], (256, 192), SIZE[1]))
        np.testing.assert_allclose(truth.points[i], expected, atol=0.05)
    np.testing.assert_allclose(truth.joints, joints - joints[:, :1], atol=1e-4)


@pytest.mark.parametrize("flip", [False, True])
def test_augmented_targets_agree_with_the_augmented_body(few: Path, models: BodyModels, flip: bool) -> None:
    """Turned (and mirrored) parameters give the turned (and mirrored) joints."""
    data = HumanDataset(few, few.parent, VIEW, models=models)
    drawn = crops.Augmentation(scale=1.1, rotation=0.35, flip=flip)
    plain = make(
        torch.tensor(data._target(2, crops.affine(data.boxes[2], (256, 192), SIZE[1]), crops.NONE))[None],
        Skeleton(models),
    )
    matrix = crops.affine(data.boxes[2], (256, 192), SIZE[1], drawn)
    made = make(torch.tensor(data._target(2, matrix, drawn))[None], Skeleton(models))
    joints = Skeleton(models)(
        {
            "global_orient": made.rotations[:, 0],
            "body_pose": made.rotations[:, 1:22],
            "left_hand_pose": made.rotations[:, 22:37],
            "right_hand_pose": made.rotations[:, 37:52],
            "jaw_pose": made.rotations[:, 52],
            "betas": made.betas,
            "expression": made.expression,
        }
    )
    joints = joints - joints[:, :1]
    # the stand-in is nearly symmetric; without a flip the two routes agree exactly
    np.testing.assert_allclose(joints[:, :55], made.joints[:, :55], atol=0.03 if flip else 1e-5)
    if not flip:
        c, s = np.cos(-0.35), np.sin(-0.35)
        turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
        np.testing.assert_allclose(made.joints[0, :127], plain.joints[0, :127].numpy() @ turn.T, atol=1e-5)


def test_the_crop_shows_the_pixels_that_the_map_promises(few: Path, models: BodyModels) -> None:
    data = HumanDataset(few, few.parent, CropView(size=(128, 96), augment=True), models=models, seed=3)
    item = data[1, 4]
    again = data[1, 4]
    other = data[1, 5]
    assert torch.equal(item["image"], again["image"])
    assert torch.equal(item["target"], again["target"])
    assert not torch.equal(item["target"], other["target"])
    assert item["image"].shape == (3, 128, 96)
    assert item["image"].dtype == torch.uint8


def test_absolute_hands_become_relative_to_the_mean_hand(few: Path, models: BodyModels) -> None:
    model = models.get("smplx", "neutral")
    assert model.hands_mean_left is not None
    hd = HumanData.open(few)
    left = hd["smplx/left_hand_pose"].reshape(6, 45) + model.hands_mean_left.reshape(45)
    path = rewritten(
        few, "flat", passport={"flat_hand_mean": True}, **{"smplx/left_hand_pose": left.astype(np.float32)}
    )
    item = HumanDataset(path, few.parent, VIEW, models=models)[3]
    stored = hd["smplx/left_hand_pose"][3].reshape(45)
    np.testing.assert_allclose(item["target"][SLICES["left_hand_pose"]], stored, atol=1e-6)


def test_what_a_row_lacks_is_masked(few: Path, models: BodyModels) -> None:
    hd = HumanData.open(few)
    betas = hd["smplx/betas"].copy()
    betas[0, 3] = 4.0
    path = rewritten(
        few,
        "masked",
        drop=("smplx/expression", "meta/focal_length"),
        **{
            "smplx/betas": betas,
            "smplx/left_hand_pose": np.zeros((6, 15, 3), np.float32),
            "meta/righthand_valid": np.array([True, False] * 3),
        },
    )
    data = HumanDataset(path, few.parent, VIEW, models=models)
    t = unpack(collate([data[i] for i in range(6)])["target"])
    assert t["has_shape"][:, 0].tolist() == [0, 1, 1, 1, 1, 1]
    assert not t["betas"][0].any()
    assert not t["has_left_hand"].any()
    assert t["has_right_hand"][:, 0].tolist() == [1, 0] * 3
    assert not t["has_face"].any()
    assert not t["has_camera"].any()
    truth = make(torch.cat(list(t.values()), dim=1), Skeleton(models))
    assert not truth.joints_mask[:, 25:40].any()
    assert not truth.joints_mask[:, 76:].any()
    assert truth.rotations_mask[1].tolist() == [1.0] * 22 + [0.0] * 31


@pytest.mark.parametrize("lens", ["meta/fisheye_dist_coeffs", "meta/dist_coeffs"])
def test_rows_of_distorted_images_are_not_projected_by_a_pinhole(few: Path, models: BodyModels, lens: str) -> None:
    bent = np.random.default_rng(0).uniform(20, 60, (6, 144, 3)).astype(np.float32)
    path = rewritten(few, "bent", **{lens: np.full((6, 4), 0.1, np.float32)})
    hd = HumanData.open(path).with_columns(
        {"keypoints2d_smplx": bent}, keypoint_names={"keypoints2d_smplx": point_names("smplx")}
    )
    data = HumanDataset(hd.save(path.parent / "own.h5"), few.parent, VIEW, models=models)
    t = unpack(collate([data[i] for i in range(6)])["target"])
    assert not t["has_camera"].any()
    np.testing.assert_array_equal(t["points2d"].reshape(6, 144, 3), bent)


def test_betas_beyond_ten_are_cut_and_neutral_ones_preferred(few: Path, models: BodyModels) -> None:
    wide = np.random.default_rng(0).normal(0, 0.5, (6, 16)).astype(np.float32)
    path = rewritten(few, "wide", **{"smplx/betas": wide})
    item = HumanDataset(path, few.parent, VIEW, models=models)[1]
    np.testing.assert_array_equal(item["target"][SLICES["betas"]], wide[1, :10])
    path = rewritten(few, "refit", **{"smplx/betas": wide, "smplx/betas_neutral": -wide[:, :10]})
    item = HumanDataset(path, few.parent, VIEW, models=models)[1]
    np.testing.assert_array_equal(item["target"][SLICES["betas"]], -wide[1, :10])


def test_smpl_rows_give_their_first_21_joints_and_their_own_points(tmp_path: Path, models: BodyModels) -> None:
    rng = np.random.default_rng(0)
    pose = rng.normal(0, 0.2, (3, 24, 3))
    pose[:, 0] = (np.pi, 0, 0)
    params = smpl_params(
        gender="male", betas=rng.normal(size=(3, 10)), pose=pose, transl=np.tile([0, 0.2, 5.0], (3, 1))
    )
    joints = models.joints(params, "float64")
    points = joints[..., :2] / joints[..., 2:] * FOCAL + (60, 80)
    ones = np.ones((3, 45, 1))
    folder = tmp_path / "smpl"
    low, high = points.min(1), points.max(1)
    names = models.fast_joints("smpl", "male").names
    path = _smpl_file(folder, params, low, high)
    hd = HumanData.open(path)
    both = {
        "keypoints2d_smpl": np.concatenate([points, ones], axis=2).astype(np.float32),
        "keypoints3d_smpl": np.concatenate([joints, ones], axis=2).astype(np.float32),
    }
    hd.with_columns(both, keypoint_names=dict.fromkeys(both, names)).save(folder / "points.h5")
    item = HumanDataset(folder / "points.h5", folder, VIEW, models=models)[1]
    t = unpack(item["target"][None])
    np.testing.assert_allclose(t["body_pose"][0], pose[1, 1:22].reshape(-1), rtol=1e-6)
    for name in ("has_left_hand", "has_face", "has_shape", "has_model"):
        assert not t[name].any()
    truth = make(item["target"][None], Skeleton(models))
    np.testing.assert_allclose(truth.joints[0, :22], joints[1, :22] - joints[1, 0], atol=1e-5)
    assert not truth.joints_mask[0, 76:].any()


def _smpl_file(folder: Path, params, low: np.ndarray, high: np.ndarray) -> Path:
    import cv2

    folder.mkdir()
    cv2.imwrite(str(folder / "a.jpg"), np.full((160, 120, 3), 90, np.uint8))
    n = len(params)
    boxes = np.concatenate([low, high - low, np.ones((n, 1))], axis=1).astype(np.float32)
    fields = {f"smpl/{key}": value.astype(np.float32) for key, value in params.arrays().items()}
    size = {"meta/height": np.full(n, 160), "meta/width": np.full(n, 120)}
    return HumanData({"image_path": ["a.jpg"] * n, "bbox_xywh": boxes, **fields, **size}).save(folder / "smpl.h5")


def test_rows_with_broken_numbers_teach_nothing(few: Path, models: BodyModels) -> None:
    pose = HumanData.open(few)["smplx/body_pose"].copy()
    pose[2, 4] = np.nan
    path = rewritten(few, "nan", **{"smplx/body_pose": pose})
    item = HumanDataset(path, few.parent, VIEW, models=models)[2]
    assert torch.isfinite(item["target"]).all()
    truth = make(item["target"][None], Skeleton(models))
    assert not truth.rotations_mask.any()
    assert not truth.joints_mask.any()
    assert not truth.points_mask.any()


def test_a_dataset_travels_to_workers_as_its_path(few: Path, models: BodyModels) -> None:
    data = HumanDataset(few, few.parent, VIEW, models=models)
    assert len(pickle.dumps(data)) < 5000
    assert torch.equal(pickle.loads(pickle.dumps(data))[1]["target"], data[1]["target"])
    loader = DataLoader(data, batch_size=3, num_workers=1, collate_fn=collate, multiprocessing_context="fork")
    assert torch.equal(next(iter(loader))["target"][1], data[1]["target"])


def test_a_missing_image_is_named_even_from_a_worker(few: Path, models: BodyModels) -> None:
    hd = HumanData.open(few)
    path = rewritten(few, "lost", image_path=[*hd["image_path"][:5].tolist(), "few/gone.jpg"])
    data = HumanDataset(path, few.parent, VIEW, models=models)
    loader = DataLoader(data, batch_size=6, num_workers=1, collate_fn=collate, multiprocessing_context="fork")
    with pytest.raises(DataError, match=r"gone\.jpg: no such image"):
        to_device(next(iter(loader)), "cpu")


def test_rows_without_a_box_in_the_image_are_left_out(few: Path, models: BodyModels) -> None:
    boxes = HumanData.open(few)["bbox_xywh"].copy()
    boxes[1, 0] = 500
    data = HumanDataset(rewritten(few, "out", bbox_xywh=boxes), few.parent, VIEW, models=models)
    assert data.rows.tolist() == [0, 2, 3, 4, 5]
    assert data.left_out == 1
    assert data[1]["row"] == 2


def test_boxes_are_those_of_their_rows_however_many_are_made_at_a_time(
    few: Path, models: BodyModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = HumanDataset(few, few.parent, VIEW, models=models)
    monkeypatch.setattr(samples, "AT_ONCE", 4)
    parts = HumanDataset(few, few.parent, VIEW, models=models)
    np.testing.assert_array_equal(parts.boxes, data.boxes)
    one = HumanDataset(few, few.parent, VIEW, models=models, rows=np.array([5]))
    np.testing.assert_array_equal(one.boxes, data.boxes[5:])
