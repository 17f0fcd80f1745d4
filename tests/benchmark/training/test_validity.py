"""What of a row is compared: the rules of the SMPLer-X loaders one by one, each row by itself."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ehps.benchmark.training import crops
from ehps.benchmark.training.samples import CropView, HumanDataset, collate
from ehps.benchmark.training.smplx_joints import Skeleton
from ehps.benchmark.training.targets import FACE, LEFT_HAND, RIGHT_HAND, SLICES, Targets, make
from ehps.body.models import BodyModels
from ehps.body.params import BodyParams, smpl_params
from ehps.humandata.core import HumanData
from tests.drawn_people import Style, people, write_set

N, ROW = 3, 1
VIEW = CropView((128, 96), 1.25)
EVERYTHING = {"left", "right", "face", "shape", "body", "camera"}


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory, models: BodyModels) -> Path:
    return write_set(tmp_path_factory.mktemp("few"), persons(), models, name="few")


def persons() -> BodyParams:
    """People so far away that all of them is in the image."""
    params = people(N, np.random.default_rng(5), Style())
    return replace(params, transl=np.add(params.transl, (0, 0, 4)))


def changed(few: Path, out: Path, drop: tuple[str, ...] = (), **rows: object) -> Path:
    """The set without columns, and with other values of one row."""
    hd = HumanData.open(few).without(drop)
    columns = {}
    for name, value in rows.items():
        column = name.replace("__", "/")
        old = np.array(hd[column]) if column in hd else np.ones(N, bool)
        old[ROW] = value
        columns[column] = old
    return hd.with_columns(columns).save(out)


def targets(path: Path, folder: Path, models: BodyModels) -> tuple[Targets, torch.Tensor]:
    data = HumanDataset(path, folder, VIEW, models=models)
    packed = collate([data[i] for i in range(len(data))])["target"]
    return make(packed, Skeleton(models)), packed


def compared(t: Targets, row: int) -> set[str]:
    """Parts of which anything is compared; each must be compared alike wherever it appears."""
    parts = {
        "left": (
            t.rotations_mask[row, 22:37],
            t.joints_mask[row, list(LEFT_HAND)],
            t.points_mask[row, list(LEFT_HAND)],
        ),
        "right": (
            t.rotations_mask[row, 37:52],
            t.joints_mask[row, list(RIGHT_HAND)],
            t.points_mask[row, list(RIGHT_HAND)],
        ),
        "face": (
            t.rotations_mask[row, 52:],
            t.face_mask[row],
            t.joints_mask[row, list(FACE)],
            t.points_mask[row, list(FACE)],
        ),
        "shape": (t.shape_mask[row],),
        "body": (t.rotations_mask[row, :22], t.joints_mask[row, :22]),
        "camera": (t.points_mask[row, :22],),
    }
    found = set()
    for name, masks in parts.items():
        values = torch.cat([mask.reshape(-1) for mask in masks])
        assert values.unique().numel() == 1, name
        found |= {name} if values[0] else set()
    return found


FAR = np.zeros(10, np.float32)
FAR[4] = -3.01
NEAR = np.zeros(10, np.float32)
NEAR[4] = 3.0
NAN = float("nan")

ROWS: dict[str, tuple[dict[str, object], set[str]]] = {
    "as it is": ({}, set()),
    "left hand flagged": ({"meta__lefthand_valid": False}, {"left"}),
    "left hand zero": ({"smplx__left_hand_pose": 0}, {"left"}),
    "left hand no number": ({"smplx__left_hand_pose": NAN}, {"left"}),
    "right hand flagged": ({"meta__righthand_valid": False}, {"right"}),
    "right hand zero": ({"smplx__right_hand_pose": 0}, {"right"}),
    "right hand no number": ({"smplx__right_hand_pose": NAN}, {"right"}),
    "face flagged": ({"meta__face_valid": False}, {"face"}),
    "face zero": ({"smplx__expression": 0, "smplx__jaw_pose": 0}, set()),  # a face at rest
    "face no number": ({"smplx__expression": NAN}, {"face"}),
    "jaw no number": ({"smplx__jaw_pose": NAN}, {"face"}),
    "shape zero": ({"smplx__betas": 0}, {"shape"}),
    "shape out of range": ({"smplx__betas": FAR}, {"shape"}),
    "shape at the limit": ({"smplx__betas": NEAR}, set()),
    "shape no number": ({"smplx__betas": NAN}, {"shape"}),
    "behind the camera": ({"smplx__transl": (0, 0, -5)}, {"left", "right", "face", "camera"}),
    "body no number": ({"smplx__body_pose": NAN}, EVERYTHING),
}


@pytest.mark.parametrize("case", [name for name in ROWS if name != "behind the camera"])
def test_what_a_row_lacks_is_not_compared_and_other_rows_are(
    few: Path, models: BodyModels, tmp_path: Path, case: str
) -> None:
    rows, lacking = ROWS[case]
    truth, packed = targets(changed(few, tmp_path / "a.h5", **rows), few.parent, models)
    assert compared(truth, ROW) == EVERYTHING - lacking
    assert compared(truth, 0) == compared(truth, 2) == EVERYTHING
    assert torch.isfinite(packed).all()
    for part, name in (("left", "left_hand_pose"), ("right", "right_hand_pose"), ("shape", "betas")):
        assert part not in lacking or "body" in lacking or not packed[ROW, SLICES[name]].any()


def test_without_a_camera_only_the_points_are_not_compared(few: Path, models: BodyModels, tmp_path: Path) -> None:
    path = changed(few, tmp_path / "a.h5", **ROWS["behind the camera"][0])
    truth, _ = targets(path, few.parent, models)
    assert not truth.points_mask[ROW].any()
    assert truth.joints_mask[ROW].all()
    assert truth.rotations_mask[ROW].all()


ABSENT = {
    ("smplx/left_hand_pose",): {"left"},
    ("smplx/right_hand_pose",): {"right"},
    ("smplx/expression",): {"face"},
    ("smplx/jaw_pose",): set(),
}


@pytest.mark.parametrize("drop", ABSENT)
def test_a_column_that_is_absent_is_not_compared(
    few: Path, models: BodyModels, tmp_path: Path, drop: tuple[str, ...]
) -> None:
    truth, _ = targets(changed(few, tmp_path / "a.h5", drop), few.parent, models)
    assert [compared(truth, row) for row in range(N)] == [EVERYTHING - ABSENT[drop]] * N


def test_smpl_teaches_the_body_alone(few: Path, models: BodyModels, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    params = smpl_params(
        gender="neutral",
        betas=rng.normal(size=(N, 10)),
        pose=rng.normal(0, 0.1, (N, 24, 3)),
        transl=np.tile((0, 0, 5.0), (N, 1)),
    )
    hd = HumanData.open(few)
    names = ("image_path", "bbox_xywh", "meta/height", "meta/width")
    fields = {f"smpl/{name}": value.astype(np.float32) for name, value in params.arrays().items()}
    path = HumanData({**{name: hd[name] for name in names}, **fields}).save(tmp_path / "smpl.h5")
    truth, _ = targets(path, few.parent, models)
    assert truth.rotations_mask[0].tolist() == [1.0] * 22 + [0.0] * 31
    assert not truth.shape_mask.any()
    assert not truth.face_mask.any()


@pytest.mark.parametrize("flip", [False, True])
def test_points_left_of_or_above_the_image_are_unseen_though_the_crop_shows_their_place(
    few: Path, models: BodyModels, flip: bool
) -> None:
    """The camera is moved so that the body leaves the image, over each of its sides; the box follows it."""
    data = HumanDataset(few, few.parent, VIEW, models=models)
    for moved, cut in (((-70.0, 0.0), True), ((0.0, -90.0), True), ((70.0, 0.0), False), ((0.0, 90.0), False)):
        box = data.boxes[ROW].copy()
        box[:2] += moved
        drawn = crops.Augmentation(flip=flip)
        packed = torch.tensor(data._target(ROW, crops.affine(box, (256, 192), 120, drawn), drawn))[None]
        packed[:, SLICES["principal_point"]] += torch.tensor(moved)
        truth, inside = make(packed, Skeleton(models)), data.hd[ROW : ROW + 1]
        joints = models.joints(persons(), "float64")[ROW]
        points = joints[:, :2] / joints[:, 2:] * 400 + inside["meta/principal_point"][0] + moved
        seen = (points > 0).all(axis=1)
        assert (seen.any() and not seen.all()) == cut
        shown = int(truth.points_mask[0].sum())
        assert shown == seen.sum()
