"""A SynBody tree with everything that its sequences hold against a reader."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ehps.body.params import BodyParams
from ehps.converters.base import Rigid
from ehps.demo.people import random_people
from ehps.demo.raw import stage
from ehps.demo.raw.stage import PaintedView, Truth
from tests.raw.checks import blank

Array = npt.NDArray[Any]

TOP = "synbody_v1_0"
PAIR = "20230113/Downtown/LS_0114_004551_088_CAM002"
OLD = "20230113/Downtown/LS_0114_004551_088_CAM003"
LOST = "20230204/Subway/LS_0203_001122_019"
EMPTY = "20230204/Subway/LS_0203_001122_020"
VIEW = PaintedView(720, 1280, 640.0)
ACTORS = {PAIR: ("anna", "bert"), OLD: ("cleo",), LOST: ("dave", "emma", "fred")}
GENDER = {"anna": "female", "bert": "male", "cleo": "female", "dave": "male", "emma": "female", "fred": "neutral"}
IMAGES = {PAIR: 3, OLD: 2, LOST: 3}
ROWS = (
    [(PAIR, actor, n) for actor in ACTORS[PAIR] for n in (1, 2, 3)]
    + [(OLD, "cleo", 1), (OLD, "cleo", 2)]
    + [(LOST, "dave", 1), (LOST, "dave", 3), (LOST, "emma", 1), (LOST, "fred", 3)]
)
"""Sequence, actor, number of the image."""


@dataclass
class Tree:
    """``bodies`` and ``joints`` (J, 3), ``points`` (J, 2) by sequence, actor, image."""

    root: Path
    truth: Truth
    bodies: dict[tuple[str, str, int], BodyParams]
    dropped: dict[str, int]


def write_fixture(root: Path, models: Path, rng: np.random.Generator) -> Tree:
    """Four sequences below ``root/synbody_v1_0``.

    ``PAIR``: a woman and a man, her betas once, his with every image. ``OLD``: of the first archives, the T-pose
    before all and its image 0000. ``LOST``: image 2 is missing; of three people emma leaves the image in 3, and
    fred is behind the camera in 1. ``EMPTY``: no parameters.
    """
    joints, bodies = {}, {}
    for name, actors in ACTORS.items():
        for index, actor in enumerate(actors):
            count = IMAGES[name]
            params = random_people(count, rng, style="sports", gender=GENDER[actor])
            params = params.with_(betas=np.repeat(params.betas[:1], count, axis=0))
            pelvis = np.column_stack(
                [np.full(count, 1.2 * index - 1), rng.uniform(-0.2, 0.2, count), rng.uniform(3, 4, count)]
            )
            if actor == "emma":
                pelvis[2, 0] = 30
            if actor == "fred":
                pelvis[0, 2] = -3
            facing = stage.orientations(rng, count, yaw=40 * index)
            cast = stage.cast(models, params, Rigid(np.eye(3), np.zeros(3)), np.arange(count), pelvis, facing)
            for k in range(count):
                bodies[name, actor, k + 1], joints[name, actor, k + 1] = cast.params[k : k + 1], cast.joints[k]
            _write(
                root / TOP / name / "smplx" / f"{actor}.npz",
                cast.params,
                t_pose=name == OLD,
                single=actor in ("anna", "cleo"),
            )
        numbers = [n for n in range(1, IMAGES[name] + 1) if (name, n) != (LOST, 2)]
        blank(root, [image_path(name, n) for n in numbers], VIEW.height, VIEW.width)
    blank(root, [image_path(OLD, 0), image_path(EMPTY, 1), image_path(EMPTY, 2)], VIEW.height, VIEW.width)
    (root / TOP / PAIR / "rgb/Thumbs.db").write_bytes(b"stray")
    there = np.stack([joints[row] for row in ROWS])
    truth = Truth(
        [image_path(name, n) for name, _, n in ROWS],
        there,
        stage.project(there, VIEW),
        np.array([GENDER[actor] for _, actor, _ in ROWS]),
    )
    dropped = {
        "T-pose before the sequence": 1,
        "image missing": 3,
        "behind the camera": 1,
        "no SMPL-X fit": 2,
        "fewer than 1 body joints in the image": 1,
    }
    return Tree(root, truth, bodies, dropped)


def image_path(name: str, n: int) -> str:
    return f"{TOP}/{name}/rgb/{n:04d}.jpeg"


def fit_path(root: Path, name: str, actor: str) -> Path:
    return root / TOP / name / "smplx" / f"{actor}.npz"


def _write(path: Path, params: BodyParams, *, t_pose: bool, single: bool) -> None:
    """Dictionaries in 0-d arrays, and left-overs of HumanData."""
    count = len(params)
    values: dict[str, Array] = {k: value.reshape(count, -1).astype("f4") for k, value in params.arrays().items()}
    if t_pose:
        first = {key: np.zeros_like(value[:1]) for key, value in values.items()} | {"transl": values["transl"][:1] + 5}
        values = {key: np.concatenate([first[key], value]) for key, value in values.items()}
    values["betas"] = (params.betas[:1] if single else params.betas).astype("f4")
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = {"gender": str(params.gender[0])}
    np.savez(path, smplx=np.array(values, object), meta=np.array(meta, object), __data_len__=np.array(count))


def edit_fit(root: Path, name: str, actor: str, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the members of an npz, which this module has written."""
    path = fit_path(root, name, actor)
    with np.load(path, allow_pickle=True) as file:
        content = {key: file[key].item() if file[key].dtype == object else file[key] for key in file}
    change(content)
    arrays: dict[str, Any] = {key: np.array(v, object) if isinstance(v, dict) else v for key, v in content.items()}
    np.savez(path, **arrays)
