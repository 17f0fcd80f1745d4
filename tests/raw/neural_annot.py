"""People of trees whose fits have NeuralAnnot's form, each with a virtual camera of its own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ehps.converters.base import Rigid
from ehps.demo.people import random_people
from ehps.demo.raw import stage
from ehps.demo.raw.stage import PaintedView, Truth
from ehps.demo.raw.wholebody import xywh
from ehps.humandata.keypoints import convert

Array = npt.NDArray[Any]

JOINTS = {"smplx": "smplx", "smpl": "smpl_45"}
ABSENT = ("left_hand_pose", "right_hand_pose", "jaw_pose", "leye_pose", "reye_pose", "expression")


@dataclass
class People:
    """N people and what their own cameras see.

    Attributes
    ----------
    views : the camera of each.
    points : (N, J, 2) joints in the image.
    """

    cast: stage.Cast
    views: list[PaintedView]
    points: Array

    def __len__(self) -> int:
        return len(self.cast)

    @property
    def model_type(self) -> str:
        return self.cast.params.model_type

    def fit(self, k: int) -> dict[str, Any]:
        """The record of person ``k``: SMPL whole, SMPL-X without hands and face."""
        p, view = self.cast.params[[k]], self.views[k]
        camera = {"focal": [view.focal, view.focal], "princpt": view.principal_point.tolist()}
        common = {"shape": p.betas[0].tolist(), "trans": p.transl[0].tolist()}
        if self.model_type == "smpl":
            pose = np.concatenate([p.global_orient.ravel(), p.body_pose.ravel()]).tolist()
            return {"smpl_param": {"pose": pose, **common}, "cam_param": camera}
        body = {"root_pose": p.global_orient[0].tolist(), "body_pose": p.body_pose.ravel().tolist()}
        return {"smplx_param": {**body, **common}, "cam_param": camera}

    def labelled(self, k: int, convention: str, *, visible: float = 1) -> Array:
        """(K, 3) joints of person ``k`` in the image as points of a convention; zeros where it is not in it."""
        view, points = self.views[k], self.points[k]
        inside = (points >= 0).all(1) & (points[:, 0] < view.width) & (points[:, 1] < view.height)
        flagged = np.column_stack([points, visible * inside])
        found, _ = convert(flagged, JOINTS[self.model_type], convention, approximate=True)
        return np.where(found[:, 2:] > 0, found, 0)

    def box(self, k: int) -> list[float]:
        """Of the joints in the image."""
        view, points = self.views[k], self.points[k]
        inside = (points >= 0).all(1) & (points[:, 0] < view.width) & (points[:, 1] < view.height)
        return xywh(points[inside])

    def truth(self, paths: Sequence[str]) -> Truth:
        """``paths``: of the image of each person."""
        return Truth(list(paths), self.cast.joints, self.points, self.cast.params.gender)


@dataclass
class Tree:
    """A raw tree and what a conversion must make of it.

    Attributes
    ----------
    truth : the people to be found, in the order of the rows.
    annotations, fits : the raw records of these people.
    dropped : reason -> how many people are left out for it.
    """

    root: Path
    truth: Truth
    annotations: list[dict[str, Any]]
    fits: list[dict[str, Any]]
    dropped: dict[str, int] = field(default_factory=dict)

    def parameter(self, key: str) -> Array:
        """(N, k) of ``smpl_param`` or ``smplx_param``."""
        model_type = "smpl_param" if "smpl_param" in self.fits[0] else "smplx_param"
        return np.array([np.ravel(fit[model_type][key]) for fit in self.fits])

    def camera(self, key: str) -> Array:
        """(N, 2) of ``cam_param``."""
        return np.array([np.ravel(fit["cam_param"][key]) for fit in self.fits])

    def values(self, key: str) -> list[Any]:
        """One key of the annotations."""
        return [a[key] for a in self.annotations]


def people(
    models: Path,
    rng: np.random.Generator,
    model_type: str,
    view: PaintedView,
    crowd: Sequence[int],
    share: tuple[float, float] = (0.6, 0.8),
    style: str = "gesturing",
) -> People:
    """Neutral people, ``crowd[i]`` of them in image i of the size of ``view``."""
    image, pelvis = stage.places(rng, crowd, view, share=share)
    n = len(image)
    params = random_people(n, rng, style=style, model_type=model_type, gender="neutral")
    if model_type == "smplx":
        params = params.with_(**{name: np.zeros_like(getattr(params, name)) for name in ABSENT})
    facing = stage.orientations(rng, n, spread=30, tilt=5)
    stretch = rng.uniform(4, 8, n)
    centre = stage.project(pelvis, view)
    far = np.column_stack([np.zeros((n, 2)), pelvis[:, 2] * stretch])
    cast = stage.cast(models, params, Rigid(np.eye(3), np.zeros(3)), image, far, facing)
    views = [
        PaintedView(view.height, view.width, view.focal * s, (c[0], c[1]))
        for s, c in zip(stretch.tolist(), centre.tolist(), strict=True)
    ]
    points = np.stack([stage.project(cast.joints[k], own) for k, own in enumerate(views)])
    return People(cast, views, points)


def joined(parts: Sequence[Truth], order: Sequence[int]) -> Truth:
    """People of several stagings in another order."""
    return Truth.concat(parts)[order]


def dump(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
