"""A GTA-Human II tree with everything that its files hold against a reader."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ehps.converters.base import Rigid
from ehps.demo.people import random_people
from ehps.demo.raw import stage
from ehps.demo.raw.stage import Cast, PaintedView, Truth
from ehps.humandata import keypoints
from tests.raw.checks import blank

Array = npt.NDArray[Any]

VIEW = PaintedView(1080, 1920, 540 / np.tan(np.radians(25)))
A, B, C = "seq_00000012", "seq_00087011", "seq_00087200"
HANDS = 24
FACE = slice(76, 127)  # landmarks of SMPL-X


@dataclass
class Scenes:
    """``truth``, ``coefficients`` (of hands) and ``betas`` are of the people to be found, in the order of the rows."""

    root: Path
    truth: Truth
    coefficients: dict[str, Array]
    betas: Array
    dropped: dict[str, int]


def write_fixture(root: Path, models: Path, rng: np.random.Generator) -> Scenes:
    """Three scenes.

    A: three frames; 100001 (its box leaves the image on the left, its left hand is hidden), 100002, and 100003
    without a valid fit. B: one person in two frames, 69 numbers of body pose, the second image is not there, a
    image more than the person has frames. C: one person whose fit is no number in one of its two frames.
    """
    scenes = {A: {"100001": 3, "100002": 3, "100003": 3}, B: {"154131": 2}, C: {"200000": 2}}
    frames = {name: max(people.values()) for name, people in scenes.items()}
    truth, hands, betas = [], [], []
    for name, people in scenes.items():
        n, k = frames[name], len(people)
        cast, coefficients = _people(models, rng, n, k)
        paths = [f"images/{name}/{i:08d}.jpeg" for i in range(n)]
        blank(root, paths, VIEW.height, VIEW.width)
        for p, person in enumerate(people):
            rows = np.arange(n) * k + p
            own = {side: values[rows] for side, values in coefficients.items()}
            content = members(cast, rows, own, rng)
            path = root / "annotations" / name / f"{person}.npz"
            path.parent.mkdir(parents=True, exist_ok=True)
            _spoil(person, content)
            np.savez(path, **content)
            truth.append(cast.truth(paths, VIEW)[rows.tolist()])
            hands.append(own)
            betas.append(cast.params.betas[rows])
    (root / f"images/{B}/00000001.jpeg").unlink()
    blank(root, [f"images/{B}/00000002.jpeg"], VIEW.height, VIEW.width)
    found = [0, 1, 2, 3, 4, 5, 9]
    return Scenes(
        root,
        Truth.concat(truth)[found],
        {side: np.concatenate([own[side] for own in hands])[found] for side in ("left", "right")},
        np.concatenate(betas)[found],
        {"no valid SMPL-X": 3, "image missing": 1, "person whose fit is not finite": 2},
    )


def _people(models: Path, rng: np.random.Generator, n: int, k: int) -> tuple[Cast, dict[str, Array]]:
    """``k`` people in each of ``n`` images, in a frame that is the camera's; jaw, eyes and expression rest."""
    image, pelvis = stage.places(rng, [k] * n, VIEW)
    total = n * k
    coefficients = {side: rng.normal(0, 0.6, (total, HANDS)) for side in ("left", "right")}
    components = stage.hand_components(models, "neutral")
    zero = np.zeros((total, 3))
    params = random_people(total, rng, style="walking", flat_hand_mean=True).with_(
        jaw_pose=zero,
        leye_pose=zero,
        reye_pose=zero,
        expression=np.zeros((total, 10)),
        left_hand_pose=np.tensordot(coefficients["left"], components["left"][:HANDS], 1).reshape(-1, 15, 3),
        right_hand_pose=np.tensordot(coefficients["right"], components["right"][:HANDS], 1).reshape(-1, 15, 3),
    )
    facing = stage.orientations(rng, total, tilt=5)
    still = Rigid(np.eye(3), np.zeros(3))
    return stage.cast(models, params, still, image, pelvis, facing), coefficients


def members(cast: Cast, rows: Array, hands: dict[str, Array], rng: np.random.Generator) -> dict[str, Any]:
    """What the file of a person holds: points of the game are those of the fit, where they have the same name."""
    n, values = len(rows), cast.params.arrays()
    points = keypoints.convert(cast.points(VIEW)[rows], "smplx", "gta")[0]
    names = np.array(keypoints.point_names("gta"))
    extra = np.flatnonzero((points == 0).all(axis=(0, 2)))
    points[:, extra] = cast.points(VIEW)[rows][:, rng.integers(FACE.start, FACE.stop, len(extra))]
    low, high = points.min(1), points.max(1)
    assert len(names) == 100
    return {
        "is_valid_smplx": np.bool_(True),
        "is_male": np.bool_(True),
        "num_frames": n,
        "fov": 50.0,
        "keypoints_2d": np.concatenate([points, np.ones((n, 100, 1))], 2),
        "keypoints_3d": rng.normal(0, 100, (n, 100, 4)),
        "occ": np.zeros((n, 100), int),
        "self_occ": np.zeros((n, 100), int),
        "bbox_xywh": np.column_stack([low, high - low]),
        "weather": "CLEAR",
        "daytime": np.array([12, 30, 5]),
        "location_tag": "street",
        "ped_action": "walk",
        **{key: values[key][rows].reshape(n, -1) for key in ("betas", "body_pose", "global_orient", "transl")},
        **{f"{side}_hand_pose": value.astype(np.float32) for side, value in hands.items()},
    }


def _spoil(person: str, content: dict[str, Any]) -> None:
    names = keypoints.point_names("gta")
    if person == "100001":
        reach = content["bbox_xywh"][:, 0] + 50
        content["bbox_xywh"] += np.column_stack([-reach, 0 * reach, reach, 0 * reach])
        content["occ"][:, keypoints.part_indices(names, "left_hand")[:4]] = 1
        content["self_occ"][:, keypoints.part_indices(names, "left_hand")[4:7]] = 1
    if person == "100003":
        content["is_valid_smplx"] = np.bool_(False)
        for key in ("betas", "body_pose", "global_orient", "transl", "left_hand_pose", "right_hand_pose"):
            del content[key]
    if person == "154131":
        content["is_male"] = np.bool_(False)
        content["body_pose"] = np.pad(content["body_pose"], ((0, 0), (0, 6)), constant_values=0.3)
    if person == "200000":
        content["transl"][1, 2] = np.nan


def person_path(root: Path, scene: str, person: str) -> Path:
    return root / "annotations" / scene / f"{person}.npz"


def rewrite(path: Path, **changes: Any) -> None:
    """Other members in a person's file; None takes one out."""
    with np.load(path) as file:
        content = dict(file) | changes
    np.savez(path, **{key: value for key, value in content.items() if value is not None})


def as_authors_have_it(root: Path) -> None:
    """The same tree in the layout of the authors."""
    for path in sorted((root / "annotations").glob("*/*.npz")):
        new = root / "annotations_multiple_smplx" / f"{path.parent.name}_{path.name}"
        new.parent.mkdir(exist_ok=True)
        path.rename(new)
        if not list(path.parent.iterdir()):
            path.parent.rmdir()
    (root / "annotations").rmdir()
    (root / "images").rename(root / "images_multiple")
