"""People of MSCOCO and UBody trees, found from the raw fits with the smplx package alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ehps.body.params import smplx_params
from ehps.demo.raw import stage
from ehps.demo.raw.stage import Truth

Array = npt.NDArray[Any]

PARAMETERS = {
    "root_pose": ("global_orient", 3),
    "body_pose": ("body_pose", 63),
    "trans": ("transl", 3),
    "jaw_pose": ("jaw_pose", 3),
    "shape": ("betas", 10),
    "expr": ("expression", 10),
}
"""Raw name -> column and size of what every fit has; hands apart, since not every fit has them."""


@dataclass
class Tree:
    """A raw tree and what a conversion must make of it.

    Attributes
    ----------
    truth : the people to be found, in the order of the rows.
    annotations, fits : the raw records of these people, as stored.
    dropped : reason -> how many people are left out for it.
    """

    root: Path
    truth: Truth
    annotations: list[dict[str, Any]]
    fits: list[dict[str, Any]]
    dropped: dict[str, int] = field(default_factory=dict)

    def flags(self, name: str) -> Array:
        """(N,) bool of one key of the annotations."""
        return np.array([bool(a[name]) for a in self.annotations])

    def points(self, key: str) -> Array:
        """(N, K, 3) one group of keypoints as annotated."""
        return np.array([a[key] for a in self.annotations], float).reshape(len(self.annotations), -1, 3)

    def camera(self, key: str) -> Array:
        """(N, 2) of ``cam_param``."""
        return np.array([fit["cam_param"][key] for fit in self.fits], float).reshape(-1, 2)

    def parameter(self, key: str, size: int) -> Array:
        """(N, size) of ``smplx_param``, zeros where it is absent."""
        return np.array([np.ravel(fit["smplx_param"].get(key, np.zeros(size))) for fit in self.fits], float)


def truth_of(
    paths: Sequence[str],
    fits: Sequence[dict[str, Any]],
    models: Path,
    *,
    unseen_left: Sequence[int] = (),
    unseen_right: Sequence[int] = (),
) -> Truth:
    """Joints of raw fits and where their own cameras see them; unseen hands are mean hands."""
    tree = Tree(Path(), Truth([], np.zeros(0), np.zeros(0), np.zeros(0)), [], list(fits))
    left, right = tree.parameter("lhand_pose", 45), tree.parameter("rhand_pose", 45)
    left[list(unseen_left)] = right[list(unseen_right)] = 0
    body: dict[str, Any] = {column: tree.parameter(key, size) for key, (column, size) in PARAMETERS.items()}
    params = smplx_params(gender="neutral", left_hand_pose=left, right_hand_pose=right, **body)
    joints, _ = stage.package(models, params)
    focal, centre = tree.camera("focal"), tree.camera("princpt")
    points = joints[..., :2] / joints[..., 2:] * focal[:, None] + centre[:, None]
    return Truth(list(paths), joints, points, params.gender)
