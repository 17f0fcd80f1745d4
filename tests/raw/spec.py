"""A SPEC tree with everything that its annotations hold against a reader; where people stand is not stored in it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from ehps.body.params import BodyParams
from ehps.demo.people import random_people
from ehps.demo.raw import stage
from ehps.demo.raw.stage import PaintedView, Truth
from ehps.humandata.keypoints import convert, point_names
from tests.raw.checks import blank

Array = npt.NDArray[Any]

HEIGHT, WIDTH = 1080, 1920
# SPIN's 24 joints that are joints or vertices of the model; the others come from a regressor of their own.
EXACT = {0: 8, 1: 5, 4: 4, 5: 7, 6: 21, 7: 19, 8: 17, 9: 16, 10: 18, 11: 20, 19: 24, 20: 26, 21: 25, 22: 28, 23: 27}
REGRESSED = {2: 2, 3: 1, 12: 12, 13: 15, 14: 0, 15: 9, 16: 6, 17: 15, 18: 15}  # near these joints


@dataclass
class Set:
    """Rows of one npz: what is stored, who is really there, and the images' cameras."""

    data: dict[str, Array]
    truth: Truth
    angles: Array  # (N, 2) pitch, roll


def people(
    models: Path, rng: np.random.Generator, paths: list[str], prefix: str, *, size: tuple[int, int] = (HEIGHT, WIDTH)
) -> Set:
    """One row for each path, those of one image side by side; cameras pitched about 15, rolled about 5 degrees."""
    n = len(paths)
    images = list(dict.fromkeys(paths))
    image = np.array([images.index(path) for path in paths])
    assert (np.diff(image) >= 0).all()
    angles = np.radians(np.column_stack([rng.normal(15, 2, n), rng.normal(5, 1, n)]))[image]
    rotation = Rotation.from_euler("xz", angles).as_matrix()
    focal = np.linspace(1100, 2000, len(images))[image]
    centre = np.array([size[1] / 2, size[0] / 2]) + rng.uniform(-30, 30, (len(images), 2))[image]
    view = PaintedView(*size, 1500.0)
    _, pelvis = stage.places(rng, np.bincount(image), view, share=(0.4, 0.6))
    pelvis[:, 2] *= focal / 1500
    params = random_people(n, rng, model_type="smpl", style="gesturing")
    own = Rotation.from_rotvec(params.global_orient).as_matrix()
    facing = stage.orientations(rng, n, tilt=10)
    turned = Rotation.from_matrix(rotation.transpose(0, 2, 1) @ facing @ own).as_rotvec()
    params = params.with_(global_orient=turned, transl=np.zeros((n, 3)))
    raw, _ = stage.package(models, params)
    joints = stage.moved(raw - raw[:, :1], rotation, pelvis)
    points = joints[..., :2] / joints[..., 2:] * focal[:, None, None] + centre[:, None]
    truth = Truth([prefix + path for path in paths], joints, points, params.gender)
    k = np.tile(np.eye(3), (n, 1, 1))
    k[:, 0, 0], k[:, 1, 1], k[:, :2, 2] = focal, focal, centre
    return Set(annotation(paths, params, raw, truth, k, rotation, angles), truth, angles)


def annotation(
    paths: list[str], params: BodyParams, raw: Array, truth: Truth, k: Array, rotation: Array, angles: Array
) -> dict[str, Array]:
    n = len(paths)
    ones = np.ones((n, 45, 1))
    shift = np.array([0.02, -0.03, 0.01])  # of points that a regressor of their own finds
    spin3d, spin2d = np.zeros((n, 24, 4)), np.zeros((n, 24, 3))
    for place, joint in {**EXACT, **REGRESSED}.items():
        off = shift if place in REGRESSED else 0
        spin3d[:, place, :3], spin3d[:, place, 3] = raw[:, joint] + off - [5.0, 0, 3.0], 1
        moved = truth.joints[:, joint] + rotation @ (shift if place in REGRESSED else np.zeros(3))
        pixels = np.einsum("nij,nj->ni", k, moved / moved[:, 2:])
        spin2d[:, place] = np.column_stack([pixels[:, :2], np.ones(n)])
    openpose, _ = convert(
        np.concatenate([truth.points, ones], 2), "smpl_45", point_names("openpose_25"), approximate=True
    )
    low, high = truth.points.min(1), truth.points.max(1)
    return {
        "imgname": np.array(paths),
        "center": (low + high) / 2,
        "scale": (high - low).max(1) * 1.2 / 200,
        "pose": np.concatenate([params.global_orient, params.body_pose.reshape(n, -1)], axis=1),
        "shape": params.betas,
        "S": spin3d,
        "part": spin2d,
        "openpose_gt": openpose,
        "openpose": np.zeros((n, 25, 3)),
        "focal_length": k[:, [0, 1], [0, 1]],
        "cam_int": k,
        "cam_rotmat": rotation,
        "cam_trans": np.tile([0.0, 1.5, 0.0], (n, 1)),
        "cam_pitch": angles[:, 0],
        "cam_roll": angles[:, 1],
        "camcalib_pitch": angles[:, 0] + 0.2,
        "camcalib_roll": angles[:, 1] - 0.1,
        "camcalib_f_pix": np.full(n, 999.0),
    }


def write_fixture(root: Path, models: Path, rng: np.random.Generator) -> dict[str, Set]:
    """Splits train, test, mtp_test; the people to be found are in the order of the rows.

    train: five usable rows in three images, two people in the second and the third; then one without image and
    one without pose. test: two rows, names as bytes, between them one marked as not fitted. mtp_test: one row with
    neither 2D nor 3D joints, nor a principal point.
    """
    train = people(
        models, rng, [f"images/train/{p}.png" for p in ("a", "b", "b", "c", "c", "gone", "nan")], "spec-syn/"
    )
    train.data["pose"][6, 20] = np.nan
    blank(root / "spec-syn", [f"images/train/{p}.png" for p in ("a", "b", "c", "nan")], HEIGHT, WIDTH)
    save(root / "spec-syn/annotations/train.npz", train.data)

    test = people(models, rng, [f"images/test/{p}.png" for p in "def"], "spec-syn/")
    test.data["imgname"] = test.data["imgname"].astype(bytes)
    test.data["has_smpl"] = np.array([1, 0, 1])
    blank(root / "spec-syn", [f"images/test/{p}.png" for p in "def"], HEIGHT, WIDTH)
    save(root / "spec-syn/annotations/test.npz", test.data)

    mtp = people(models, rng, ["images/x.jpg"], "spec-mtp/", size=(640, 480))
    used = ("imgname", "center", "scale", "pose", "shape", "focal_length", "cam_rotmat")
    mtp.data = {name: mtp.data[name] for name in used}
    blank(root / "spec-mtp", ["images/x.jpg"], 640, 480)
    save(root / "spec-mtp/annotations/test.npz", mtp.data)
    return {
        "train": replace(train, truth=train.truth[range(5)], angles=train.angles[:5]),
        "test": replace(test, truth=test.truth[[0, 2]], angles=test.angles[[0, 2]]),
        "mtp_test": mtp,
    }


def save(path: Path, data: dict[str, Array]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, allow_pickle=False, **data)


def load(path: Path) -> dict[str, Array]:
    with np.load(path) as stored:
        return dict(stored)
