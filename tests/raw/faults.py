"""Mistakes that converters have made, to plant in one: its quality must expose them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from ehps.body import rigid_motion
from ehps.body.models import BodyModels
from ehps.body.params import BodyParams
from ehps.converters.base import Converter, Instances, Unit
from ehps.humandata.keypoints import flip_order

Fault = Callable[[Instances], None]


def faulty(converter: type[Converter], fault: Fault) -> type[Converter]:
    """The converter, its rows changed in place by ``fault`` (units without rows are left alone)."""

    class Faulty(converter):  # type: ignore[misc, valid-type]
        def read(self, unit: Unit) -> Instances:
            rows: Instances = super().read(unit)
            if len(rows):
                fault(rows)
            return rows

    return Faulty


def body_of(rows: Instances) -> BodyParams:
    """The parameters of rows that have some."""
    assert rows.body is not None
    return rows.body


def sides_swapped(rows: Instances) -> None:
    """The pose of the left limbs on the right ones."""
    body = body_of(rows)
    order = flip_order("smplx" if body.model_type != "smpl" else "smpl")[1 : 1 + body.body_pose.shape[1]] - 1
    rows.body = body.with_(
        body_pose=body.body_pose[:, order], left_hand_pose=body.right_hand_pose, right_hand_pose=body.left_hand_pose
    )


def pelvis_forgotten(rows: Instances) -> None:
    """Parameters moved to the camera as if bodies turned about the origin."""
    body, move = body_of(rows), rows.world_to_camera
    assert move is not None
    n = len(rows)
    rotation = np.broadcast_to(move.rotation, (n, 3, 3))
    rows.body = rigid_motion.to_camera(body, rotation, move.translation, np.zeros((n, 3)))
    rows.world_to_camera = None


def pelvis_of_the_neutral_model(models: Path) -> Fault:
    """Parameters moved to the camera with the rest pelvis of the neutral model."""

    def fault(rows: Instances) -> None:
        body, move = body_of(rows), rows.world_to_camera
        assert move is not None
        neutral = body.with_(gender=np.full(len(rows), "neutral", object))
        pelvis = BodyModels(models).rest_pelvis(neutral)
        rows.body = rigid_motion.to_camera(body, move.rotation, move.translation, pelvis)
        rows.world_to_camera = None

    return fault


def left_in_the_world(rows: Instances) -> None:
    """Parameters in the raw frame taken for the camera's."""
    assert rows.world_to_camera is not None
    rows.world_to_camera = None


def other_gender(rows: Instances) -> None:
    """Men as women and women as men."""
    body = body_of(rows)
    rows.body = body.with_(gender=np.where(body.gender == "male", "female", "male"))


def hands_absolute(rows: Instances) -> None:
    """Hand poses relative to the mean hand taken as absolute ones."""
    rows.body = body_of(rows).with_(flat_hand_mean=True)


def hands_relative(rows: Instances) -> None:
    """Absolute hand poses taken as relative to the mean hand."""
    rows.body = body_of(rows).with_(flat_hand_mean=False)


def millimetres(rows: Instances) -> None:
    """Translations, of bodies and of cameras, in thousandths of what they should be in."""
    body = body_of(rows)
    rows.body = body.with_(transl=body.transl * 1000)
    if rows.world_to_camera is not None:
        move = rows.world_to_camera
        rows.world_to_camera = replace(move, translation=np.asarray(move.translation) * 1000)


def neighbours(rows: Instances) -> None:
    """Everybody with the body of the row before."""
    rows.body = body_of(rows)[np.roll(np.arange(len(rows)), 1)]


def y_up(rows: Instances) -> None:
    """Parameters of a camera that looks along -z with y up taken for one that looks along z with y down."""
    body = body_of(rows)
    turn = Rotation.from_euler("x", 180, degrees=True)
    rows.body = body.with_(global_orient=(turn * Rotation.from_rotvec(body.global_orient)).as_rotvec())
