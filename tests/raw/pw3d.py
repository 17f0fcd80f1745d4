"""A 3DPW tree with everything that its sequences hold against a reader."""

from __future__ import annotations

import io
import pickle
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from ehps.demo.raw import pw3d
from ehps.demo.raw.stage import Look, PaintedView, Truth
from ehps.humandata import keypoints
from tests.raw.checks import blank

LOOK = Look(style="walking")
LANDSCAPE = PaintedView(540, 960, 900.0)
PORTRAIT = PaintedView(960, 540, 980.0, (268.0, 484.5))
FY = 1.004  # fy over fx
SPLITS = {"train": ("courtyard_hug_00", "downtown_bar_00"), "validation": ("outdoors_climbing_00",)}


@dataclass
class Sequences:
    """A raw tree, and for each split the people that must be found, in the order of the rows."""

    root: Path
    truth: dict[str, Truth]
    person: list[int]  # of the rows of train
    frame: list[int]
    dropped: dict[str, int]  # of train


def write_fixture(root: Path, models: Path, rng: np.random.Generator) -> Sequences:
    """Three sequences.

    ``courtyard_hug_00``: a man and a woman in landscape, five frames; camera aligned for him in 0 2 3 4, for her in
    0 1 4; nothing of her detected in 4; the image of 3 is missing. ``downtown_bar_00``: a woman in portrait with
    300 betas; in frame 1 the image's edge cuts her, in 2 she is outside. ``outdoors_climbing_00``: validation.
    """
    hug, bar, climbing = (
        pw3d.write(
            root,
            models,
            rng,
            look=LOOK,
            images=images,
            split=split,
            sequence=name,
            genders=genders,
            view=view,
            painted=False,
        )
        for split, name, images, genders, view in (
            ("train", "courtyard_hug_00", 5, "mf", LANDSCAPE),
            ("train", "downtown_bar_00", 4, "f", PORTRAIT),
            ("validation", "outdoors_climbing_00", 2, "m", LANDSCAPE),
        )
    )
    with sequence(root, "courtyard_hug_00") as data:
        data["campose_valid"] = [np.array([1, 0, 1, 1, 1]), np.array([1, 1, 0, 0, 1])]
        data["poses2d"][1][4] = 0
    with sequence(root, "downtown_bar_00") as data:
        bar = _awkward_bar(data, bar)
    for name, view, frames in (
        ("courtyard_hug_00", LANDSCAPE, (0, 1, 2, 4)),
        ("downtown_bar_00", PORTRAIT, range(4)),
        ("outdoors_climbing_00", LANDSCAPE, range(2)),
    ):
        blank(root, [f"imageFiles/{name}/image_{n:05d}.jpg" for n in frames], view.height, view.width)
    for stray in ("sequenceFiles/train/._courtyard_hug_00.pkl", "__MACOSX/sequenceFiles/train/._downtown_bar_00.pkl"):
        (root / stray).parent.mkdir(parents=True, exist_ok=True)
        (root / stray).write_bytes(b"Mac OS X")
    # The writer's people are image by image, rows are person by person.
    train = Truth.concat([hug[[0, 4, 8, 1, 3, 9]], bar[[0, 1, 3]]])
    return Sequences(
        root,
        {"train": train, "validation": climbing},
        [0, 0, 0, 1, 1, 1, 0, 0, 0],
        [0, 2, 4, 0, 1, 4, 0, 1, 3],
        {"camera not aligned": 3, "image missing": 1, "body box empty or outside the image": 1},
    )


def _awkward_bar(data: dict[str, Any], truth: Truth) -> Truth:
    """Betas of the longer kind, a lens that magnifies more vertically, and a camera that walks past the woman."""
    data["betas"] = [np.concatenate([data["betas"][0], np.zeros(290)])]
    data["cam_intrinsics"][1, 1] *= FY
    shift = np.zeros((4, 1, 3))
    depth = truth.joints[:, 0, 2]
    shift[1, 0, 0] = PORTRAIT.width / 2 / PORTRAIT.focal * depth[1]
    shift[2, 0, 0] = 3 * PORTRAIT.width / PORTRAIT.focal * depth[2]
    data["cam_poses"][:, :3, 3] += shift[:, 0]
    joints = truth.joints + shift
    points = joints[..., :2] / joints[..., 2:] * PORTRAIT.focal * [1, FY] + PORTRAIT.principal_point
    data["poses2d"] = [detections(points, PORTRAIT).transpose(0, 2, 1)]
    return replace(truth, joints=joints, points=points)


def detections(points: npt.NDArray[Any], view: PaintedView) -> npt.NDArray[Any]:
    """(N, 18, 3) as OpenPose finds SMPL joints (N, 45, 2): none outside the image."""
    smpl = np.concatenate([points, np.full((*points.shape[:2], 1), 0.7)], -1)
    found, known = keypoints.convert(smpl, "smpl_45", "pw3d", approximate=True)
    inside = (found[..., :2] >= 0).all(-1) & (found[..., :2] <= [view.width, view.height]).all(-1)
    return np.asarray(found * (inside & known.astype(bool))[..., None])


def turned_root(data: dict[str, Any], person: int, frame: int) -> npt.NDArray[Any]:
    """(3, 3) orientation of a person in the camera, from the raw numbers."""
    rotation = data["cam_poses"][frame, :3, :3]
    return np.asarray(rotation @ Rotation.from_rotvec(data["poses"][person][frame, :3]).as_matrix())


def read(root: Path, name: str) -> dict[str, Any]:
    """The content of a sequence's file, which this module has written."""
    (path,) = root.glob(f"sequenceFiles/*/{name}.pkl")
    content: dict[str, Any] = pickle.loads(path.read_bytes())
    return content


@contextmanager
def sequence(root: Path, name: str) -> Iterator[dict[str, Any]]:
    """The content of a sequence's file, written back afterwards."""
    (path,) = root.glob(f"sequenceFiles/*/{name}.pkl")
    data = read(root, name)
    yield data
    pw3d.save(path, data)


def save_as_python2(path: Path, data: dict[str, Any]) -> None:
    """Pickle as Python 2 did: texts and the bytes of arrays alike as strings, modules of the numpy of its time."""
    buffer = io.BytesIO()
    Python2Pickler(buffer, 2).dump(data)
    path.write_bytes(buffer.getvalue().replace(b"cnumpy._core.", b"cnumpy.core."))


class Python2Pickler(pickle._Pickler):
    """Writes texts and bytes as BINSTRING, which only Python 2 has written."""

    dispatch: ClassVar[dict[Any, Any]] = dict(pickle._Pickler.dispatch)

    def save_string(self, value: str | bytes) -> None:
        content = value.encode("latin1") if isinstance(value, str) else value
        self.write(pickle.BINSTRING + struct.pack("<i", len(content)) + content)  # type: ignore[attr-defined]
        self.memoize(value)  # type: ignore[attr-defined]

    dispatch[str] = dispatch[bytes] = save_string
