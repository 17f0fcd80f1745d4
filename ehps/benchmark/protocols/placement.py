"""Bodies of a truth and of predictions placed where their tracks are compared.

Predictions come in one of two forms: before the camera of each image, with the predicted world to camera of each row as
``meta/RT``; or in one world a video, with a passport that gives their frame a name of its own (``world``).
"""

from __future__ import annotations

import numpy as np

from ehps.arrays import Array
from ehps.benchmark.protocols import true_bodies
from ehps.benchmark.protocols.protocol import Protocol
from ehps.body import rigid_motion, rotations
from ehps.body.models import BodyModels
from ehps.body.params import BodyParams
from ehps.errors import DataError, PassportError
from ehps.humandata import frames
from ehps.humandata.core import HumanData
from ehps.humandata.passport import CAMERA, PER_INSTANCE, UNKNOWN

EXTRINSICS = frames.REFERENCE
SAME = 1e-5  # metres, and of rotation matrices: what storing as float32 changes


class Placement:
    """In the world; or before the camera, predictions at the origin of the body model, where that is compared.

    Parameters
    ----------
    rows : (N,) of the truth.
    at : (N,) of the predictions of these.
    model_type : of the predicted bodies.

    Raises
    ------
    PassportError : predictions do not say in which frame they are.
    DataError : extrinsics are missing or are none; predictions have no place in the world, or not one of their own.
    """

    def __init__(
        self, predictions: HumanData, truth: HumanData, rows: Array, at: Array, protocol: Protocol, model_type: str
    ) -> None:
        self.truth, self.rows = truth, rows
        self._predictions, self._at = predictions, at
        self.protocol, self.model_type = protocol, model_type
        self._world = protocol.frame == "world"
        self._true: Array | None = None
        self._made: Array | None = None
        if self._world:
            self._true = extrinsics(truth, rows)
            self._made = self._of_predictions(self._true)

    def true(self, which: Array, models: BodyModels) -> BodyParams:
        """True bodies of some of the rows."""
        params, _ = true_bodies.true_parameters(self.protocol, self.truth, self.rows[which], models)
        return params if self._true is None else in_world(params, self._true[which], models)

    def made(self, which: Array, models: BodyModels) -> BodyParams:
        """Predicted bodies of some of the rows."""
        params = true_bodies.parameters(self._predictions, self._at[which], model_type=self.model_type)
        if not self._world:
            return params.with_(transl=np.zeros_like(params.transl))
        return params if self._made is None else in_world(params, self._made[which], models)

    def _of_predictions(self, true: Array) -> Array | None:
        """(N, 4, 4) world to camera of the predictions; None where they are in a world."""
        hd, given = self._predictions, self.protocol.extrinsics == "true"
        name, frame = self.protocol.name, hd.passport.frame
        if frame == UNKNOWN:
            what = f"does not say in which frame its bodies are, and {self.protocol.id} compares them in the world"
            raise PassportError(what, path=hd.source, fix=frames.way_out(hd))
        if frame != CAMERA:
            if given:
                what = f"has bodies in the frame {frame!r}, which the truth's extrinsics do not start from"
                raise DataError(what, path=hd.source, fix=f"take {name}[extrinsics=predicted]")
            self._predictions = hd[:]
            self._predictions.passport = hd.passport.with_(frame=CAMERA)  # their own, which stays where it is
            return None
        if hd.passport.focal in ("virtual", PER_INSTANCE):
            what = f"has bodies before virtual cameras, whose depths are no places in the world of {self.protocol.id}"
            raise DataError(what, path=hd.source, fix="predict with `ehps infer --metric-camera FOCAL`")
        if given:
            return true
        if EXTRINSICS not in hd:
            raise DataError(
                f"has bodies before the camera and no {EXTRINSICS}: where they are in the world is not predicted",
                path=hd.source,
                fix=f"write the predicted world to camera of each row, (N, 4, 4), as {EXTRINSICS}, or take "
                f"{name}[extrinsics=true], which gives the truth's",
            )
        own = extrinsics(hd, self._at)
        if np.allclose(own, true, atol=SAME) and not np.allclose(own, own[:1], atol=SAME):
            what = f"has the {EXTRINSICS} of {self.truth.source}: the motion of its camera is not predicted"
            raise DataError(what, path=hd.source, fix=f"take {name}[extrinsics=true], which says so")
        return own


def extrinsics(hd: HumanData, rows: Array) -> Array:
    """(N, 4, 4) world to camera of some rows, with exact rotations.

    Raises
    ------
    DataError : there are none, or what there is is none.
    """
    if EXTRINSICS not in hd:
        raise DataError(f"has no {EXTRINSICS} (world to camera)", path=hd.source, fix="convert the dataset again")
    found = np.array(frames.per_row(hd, EXTRINSICS, (4, 4))[rows])
    try:
        found[:, :3, :3] = rotations.proper(found[:, :3, :3])
    except ValueError as error:
        raise DataError(f"{EXTRINSICS} does not hold rotations: {error}", path=hd.source) from None
    return found


def in_world(params: BodyParams, world_to_camera: Array, models: BodyModels) -> BodyParams:
    """Bodies before cameras moved to the world by (N, 4, 4) extrinsics."""
    turn, shift = rigid_motion.split(world_to_camera)
    back = turn.transpose(0, 2, 1)
    return rigid_motion.to_camera(params, back, rigid_motion.from_center(back, shift), models.rest_pelvis(params))
