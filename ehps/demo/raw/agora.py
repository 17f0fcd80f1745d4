"""A small AGORA tree: pickled tables of images, one fit a person in the scan's own frame, images at 1280 x 720."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ehps.body.params import BodyParams
from ehps.converters.base import Rigid
from ehps.converters.datasets import agora_tables
from ehps.demo.people import random_people
from ehps.demo.raw import stage
from ehps.demo.raw.stage import Look, PaintedView, Truth

SIZE = (720, 1280)
CHILDREN = {"boy": "male", "girl": "female"}


def write(
    root: Path,
    models: Path,
    rng: np.random.Generator,
    *,
    look: Look,
    images: int,
    split: str = "train",
    table: int = 0,
    camera: str = "hdri",
    who: Sequence[str] | None = None,
    painted: bool = True,
) -> Truth:
    """Write one table of ``images`` images, all with the camera named by ``camera``.

    ``camera`` is a marker of the image names (``hdri``, ``cam02``, ``ag2``) or empty: the camera's place and yaw
    then come from the table. ``who`` are the people of each image: male, female, boy, girl; by default adults as
    many as ``look`` says. Children need the child template among ``models``.
    """
    import pandas as pd

    marker = f"_{camera}" if camera else ""
    names = [f"ag_{split}set_3dpeople_{split}{table}{marker}_5_{i:05d}.png" for i in range(images)]
    rows: list[dict[str, Any]] = [
        {
            "imgPath": name,
            "camX": rng.uniform(-300, 300),
            "camY": rng.uniform(-300, 300),
            "camZ": 170.0,
            "camYaw": rng.uniform(-180, 180),
        }
        for name in names
    ]
    view = PaintedView(*SIZE, agora_tables.camera(rows[0])[3] / 36 * SIZE[1])
    crowd = look.crowd(rng, images) if who is None else [len(who)] * images
    image, pelvis = stage.places(rng, crowd, view, share=look.share)
    n = len(image)
    members = rng.choice(["male", "female"], n).tolist() if who is None else [*who] * images
    params = cast_members(rng, members, look.style)
    yaw = rng.uniform(-180, 180, n)
    people = [place_person(rows[i], yaw[k], pelvis[k]) for k, i in enumerate(image)]
    moves = [agora_motion(rows[i], person) for i, person in zip(image, people, strict=True)]
    facing = stage.orientations(rng, n, yaw=look.yaw, spread=look.spread, tilt=look.tilt)
    move = Rigid(np.stack([r for r, _ in moves]), np.stack([t for _, t in moves]))
    cast = stage.cast(models, params, move, image, pelvis, facing)
    for k, person in enumerate(people):
        kid = members[k] in CHILDREN
        path = f"smplx_gt/{split}set_3dpeople_{'kids_body' if kid else 'adults_bfh'}/{split}{table}_{k:04d}.obj"
        save_fit(root / path, cast.params[k : k + 1])
        person |= {
            "gender": CHILDREN.get(members[k], members[k]),
            "kid": kid,
            "age": "3-12" if kid else "31-50",
            "ethnicity": "not stated",
            "occlusion": float(rng.uniform(0, 60)),
            "isValid": True,
            "gt_path_smplx": path,
        }
    fill(rows, people, cast, view)
    frame = pd.DataFrame(rows)
    target = root / "SMPLX" / f"{split}_{table}_withjv.pkl"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(pickle.dumps(frame))
    folder = f"train_{table}" if split == "train" else split
    paths = [f"{folder}/{name.removesuffix('.png')}_1280x720.png" for name in names]
    if painted:
        stage.paint(root, paths, cast, view, models, rng, scene=look.scene)
    return cast.truth(paths, view)


def place_person(row: dict[str, Any], yaw: float, pelvis: np.ndarray) -> dict[str, Any]:
    """Unreal place (cm) and yaw (degrees) of a scan whose middle is about at ``pelvis`` in the camera."""
    at_origin = {"X": 0.0, "Y": 0.0, "Z": 0.0, "Yaw": yaw}
    rotation, translation = agora_motion(row, at_origin)
    # u(X, Y, Z) = (Y, -Z, X) / 100 enters turned like the world: turn = R (Ry(yaw - 90) diag(1,-1,-1))^-1.
    turn = rotation @ np.linalg.inv(rotation_about_y(yaw - 90) @ stage.FRONT)
    world = turn.T @ (pelvis - translation)
    return {"X": 100 * world[2], "Y": 100 * world[0], "Z": -100 * (world[1] + 0.3), "Yaw": yaw}


def agora_motion(row: dict[str, Any], person: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Scan to camera, written out from the published projection: flip, turn by the scan's yaw, move to its place, then
    into the camera."""
    place, cam_yaw, pitch, _ = agora_tables.camera(row)
    known = any(marker in row["imgPath"] for marker in agora_tables.CAMERAS)
    world_to_camera = rotation_about_x(pitch) @ rotation_about_y(-cam_yaw)
    x, y, z = (float(v) / 100 for v in place)
    eye = np.array([y, -z, x]) + (0 if known else np.array([0, -1.7, 0]))
    origin = np.array([person["Y"], -person["Z"], person["X"]]) / 100
    rotation = world_to_camera @ rotation_about_y(person["Yaw"] - 90) @ stage.FRONT
    return rotation, world_to_camera @ (origin - eye)


def rotation_about_x(degrees: float) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def rotation_about_y(degrees: float) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def cast_members(rng: np.random.Generator, members: Sequence[str], style: str) -> BodyParams:
    """Random people; boys have the male model and girls the neutral one, both with a weight of the child template."""
    models = ["neutral" if member == "girl" else CHILDREN.get(member, member) for member in members]
    params = random_people(len(members), rng, style=style, gender=models)
    kid = np.array([member in CHILDREN for member in members])
    if not kid.any():
        return params
    return params.with_(betas_extra=np.where(kid, rng.uniform(0.5, 1, len(members)), 0)[:, None])


def save_fit(path: Path, params: BodyParams) -> None:
    """The parameters beside an ``.obj``: float32 arrays with a leading 1; children have 11 ``betas``."""
    values = {name: value.reshape(1, -1).astype(np.float32) for name, value in params.arrays().items()}
    extra = values.pop("betas_extra", np.zeros((1, 1)))
    if extra.any():
        values["betas"] = np.concatenate([values["betas"], extra], axis=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".pkl").write_bytes(pickle.dumps(values))


def fill(rows: list[dict[str, Any]], people: Sequence[dict[str, Any]], cast: stage.Cast, view: PaintedView) -> None:
    """Add the lists over people, and their joints and vertices, to the rows of a table."""
    points = cast.points(view)[:, :127] * (2160 / view.height)
    names = list(people[0])
    for i, row in enumerate(rows):
        inside = cast.rows(i)
        row |= {name: [people[k][name] for k in inside] for name in names}
        row["gt_joints_2d"] = [points[k].astype(np.float32) for k in inside]
        row["gt_joints_3d"] = [cast.joints[k, :127].astype(np.float32) for k in inside]
        row["gt_verts"] = [cast.vertices[k].astype(np.float32) for k in inside]
