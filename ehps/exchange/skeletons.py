"""People as animation programs have them: one shape a person, bones, and rotations of the bones over time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ehps.arrays import Array
from ehps.body.joints import full_pose
from ehps.body.model_file import BodyModel
from ehps.body.models import BodyModels
from ehps.body.params import BodyParams
from ehps.body.rotations import to_matrix
from ehps.body.topology import TOPOLOGY
from ehps.body.variants import params_of
from ehps.errors import DataError, UsageError
from ehps.exchange.tracks import Track
from ehps.humandata import keypoints
from ehps.humandata.core import HumanData

CAMERA_TO_Y_UP = np.diag([1.0, -1.0, -1.0])
"""(3, 3) from the OpenCV camera frame to y up, looking along -z, which glTF, Blender's importers and BVH have."""

DEPTHS = "depths: each row has a camera of its own, so that distances between people mean nothing"
"""What is lost of people in virtual cameras."""

CHECKED = 16  # rows of a person on which the loss of a form is measured
EXPRESSIONS = 10


@dataclass(frozen=True, eq=False)
class Animated:
    """A person over T times, with J bones and V vertices; camera frame, metres.

    Attributes
    ----------
    model : its body model.
    bones : (J,) names of the chain joints.
    parents : (J,) -1 for the pelvis.
    joints : (J, 3) of the unposed body, in the mean shape of the person.
    vertices : (V, 3) likewise, without expression.
    expressions : (E, V, 3) what a unit of each expression coefficient adds; E is 0 where there are none.
    weights : (T, E) coefficients of these.
    rotations : (T, J, 3, 3) of each bone against its parent, the pelvis against the camera.
    pelvis : (T, 3) where the pelvis is.
    shape_range : largest change of any vertex of the unposed body between a row's own shape and the mean one, metres.
    """

    model: BodyModel
    bones: tuple[str, ...]
    parents: Array
    joints: Array
    vertices: Array
    expressions: Array
    weights: Array
    rotations: Array
    pelvis: Array
    shape_range: float


def animated(hd: HumanData, track: Track, models: BodyModels) -> Animated:
    """A person of a file in the form of animation programs.

    Raises
    ------
    DataError : it has bodies of several genders, or numbers that are not finite.
    """
    params = params_of(hd[track.rows])
    genders = np.unique(params.gender)
    if len(genders) > 1:
        raise DataError(f"person {track.name} of {track.sequence} is {' and '.join(map(str, genders))}", path=hd.source)
    if not all(np.isfinite(value).all() for value in params.arrays().values()):
        raise DataError(f"person {track.name} of {track.sequence} has parameters that are not finite", path=hd.source)
    params = models.with_full_hands(params)
    model = models.of(params).get(params.model_type, str(genders[0]))
    betas = params.betas[:, : model.shapedirs.shape[2]]
    shape = betas.mean(axis=0)
    vertices = model.v_template + model.shapedirs[:, :, : len(shape)] @ shape
    if params.betas_extra is not None and params.betas_extra.any():
        kid = models.kid_template(params.model_type) - model.v_template
        vertices = vertices + kid * float(params.betas_extra.mean())
    joints = model.J_regressor @ vertices
    directions = np.zeros((*vertices.shape, 0)) if model.exprdirs is None else model.exprdirs
    coefficients = np.zeros((len(params), 0)) if params.expression is None else params.expression
    used = _used(coefficients, directions)
    return Animated(
        model=model,
        bones=keypoints.point_names(TOPOLOGY[params.model_type].convention)[: len(joints)],
        parents=np.asarray(model.parents),
        joints=joints,
        vertices=vertices,
        expressions=directions[:, :, :used].transpose(2, 0, 1),
        weights=coefficients[:, :used],
        rotations=to_matrix(full_pose(model, params)),
        pelvis=models.rest_pelvis(params) + params.transl,
        shape_range=_shape_range(model, betas - shape),
    )


def skinned(person: Animated, rows: Array) -> Array:
    """(R, V, 3) what bones alone make of the surface at ``rows`` (R,), without corrections that depend on the pose."""
    out = np.empty((len(rows), *person.vertices.shape))
    for at, row in enumerate(rows):
        turned = np.empty_like(person.rotations[row])
        place = np.empty_like(person.joints)
        for bone, parent in enumerate(person.parents):
            own = person.rotations[row, bone]
            turned[bone] = own if parent < 0 else turned[parent] @ own
            offset = person.joints[bone] - person.joints[parent]
            place[bone] = person.pelvis[row] if parent < 0 else place[parent] + turned[parent] @ offset
        rest = person.vertices + np.tensordot(person.weights[row], person.expressions, axes=1)
        moved = place - np.einsum("jab,jb->ja", turned, person.joints)  # J x 3
        blended = np.tensordot(person.model.weights, turned, axes=1)  # V x 3 x 3
        out[at] = np.einsum("vab,vb->va", blended, rest) + person.model.weights @ moved
    return out


def loss(person: Animated, params: BodyParams, models: BodyModels) -> float:
    """Largest distance, metres, of a vertex of the animated surface from the body model's own, on some of the rows.

    Parameters
    ----------
    params : (T,) of the person.
    """
    rows = np.unique(np.linspace(0, len(params) - 1, CHECKED).round().astype(int))
    return float(np.linalg.norm(skinned(person, rows) - models.mesh(params[rows]), axis=-1).max())


def need_models(models: BodyModels | None, what: str) -> BodyModels:
    """``models``, without which ``what`` cannot be.

    Raises
    ------
    UsageError : there are none.
    """
    if models is None:
        raise UsageError(f"{what} needs the body models", fix="pass --body-models DIR or set EHPS_BODY_MODELS")
    return models


def _used(expression: Array, directions: Array) -> int:
    """How many coefficients of (T, E) are of use."""
    some = np.flatnonzero(np.asarray(expression).any(axis=0))
    return min(int(some[-1]) + 1 if len(some) else 0, directions.shape[2], EXPRESSIONS)


def _shape_range(model: BodyModel, deviations: Array) -> float:
    farthest = deviations[np.argmax(np.linalg.norm(deviations, axis=1))]
    return float(np.linalg.norm(model.shapedirs[:, :, : len(farthest)] @ farthest, axis=-1).max())
