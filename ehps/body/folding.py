"""What the fast joints need of a body model, folded once: linear maps to joints and landmark vertices.

The chain joints of the rest pose are linear in shape and expression, so ``J_regressor`` is applied to the
template and the shape directions once. Beyond them the joints need 21 picked vertices, the corners of 51 face
landmarks and, per instance, the corners of 17 contour landmarks whose triangles depend on the head's yaw.
Only those rows of the template, shape, expression and pose directions and skinning weights are kept.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ehps.arrays import Array
from ehps.body.hands import mean_hands
from ehps.body.model_file import BodyModel
from ehps.body.topology import TOPOLOGY
from ehps.errors import BodyModelError

YAW_LIMIT = 39  # degrees; row 39 + k of the contour tables is a yaw of -k


@dataclass(frozen=True, eq=False)
class Folded:
    """The folded model. J chain joints, S shape columns, E expression columns, U vertices, R contour rows.

    Attributes
    ----------
    joints_template (J, 3), joints_shape (J, 3, S), joints_expression (J, 3, E).
    template (U, 3), shape (U, 3, S), expression (U, 3, E), weights (U, J): the needed vertices, first the
        ``static`` ones that every instance needs, then those that only contours need.
    pose (U, 3, J, 9) : pose directions by joint; the root's are zero.
    static : number of vertices that every instance needs.
    point_vertices, point_weights (P, 3) : picked vertices and face landmarks as weighted static vertices.
    contour_vertices (R, 51) : numbers among the U vertices of the corners of 17 contour points; None without.
    contour_weights (R, 17, 3) : barycentric weights of those corners.
    """

    model_type: str
    parents: Array
    joints_template: Array
    joints_shape: Array
    joints_expression: Array
    template: Array
    shape: Array
    expression: Array
    pose: Array
    weights: Array
    static: int
    point_vertices: Array
    point_weights: Array
    contour_vertices: Array | None
    contour_weights: Array | None
    hands_mean: Array | None

    def with_kid(self, joints: Array, vertices: Array) -> Folded:
        """The same with one more shape column: the child template less the adult one."""
        return replace(
            self,
            joints_shape=np.concatenate([self.joints_shape, joints[:, :, None]], axis=2),
            shape=np.concatenate([self.shape, vertices[:, :, None]], axis=2),
        )


class Maps:
    """The folded maps for one number of coefficients in one precision, as matrices over the inputs:
    9 rotation entries a joint, the coefficients, one."""

    def __init__(self, folded: Folded, directions: Any, real: np.dtype[Any]) -> None:
        chain, u = len(folded.joints_template), len(folded.template)
        # The blend shapes act on R - 1; the identity's share goes into the constant.
        constant = folded.template - folded.pose @ np.eye(3).ravel() @ np.ones(chain)
        vertices = np.concatenate(
            [
                folded.pose.reshape(3 * u, 9 * chain),
                directions(folded, "vertices").reshape(3 * u, -1),
                constant.reshape(3 * u, 1),
            ],
            axis=1,
        )
        joints = np.concatenate(
            [
                directions(folded, "joints").reshape(3 * chain, -1),
                folded.joints_template.reshape(3 * chain, 1),
            ],
            axis=1,
        )
        self.vertices = vertices.astype(real)
        self.joints = joints.astype(real)
        self.weights = folded.weights.astype(real)
        points = np.zeros((len(folded.point_vertices), folded.static))
        rows = np.arange(len(points))[:, None]
        np.add.at(points, (rows, folded.point_vertices), folded.point_weights)
        self.points = points.astype(real)
        self.static = folded.static
        self.contour_vertices = folded.contour_vertices
        self._bary = None if folded.contour_weights is None else folded.contour_weights.astype(real)

    def contour(self, row: int) -> tuple[Array, Array, Array]:
        """(153, inputs) vertex map, (51, J) skinning weights, (17, 3) corner weights of a contour row."""
        assert self.contour_vertices is not None
        assert self._bary is not None
        chosen = self.contour_vertices[row]
        lines = (3 * chosen[:, None] + np.arange(3)).ravel()
        return self.vertices[lines], self.weights[chosen], self._bary[row]


def needed_vertices(model: BodyModel) -> tuple[Array, int]:
    """(U,) vertex numbers, static ones first, and how many are static."""
    picked = np.array(TOPOLOGY[model.model_type].picked)
    if model.lmk_faces_idx is None or model.dynamic_lmk_faces_idx is None:
        return np.unique(picked), len(np.unique(picked))
    static = np.unique(np.concatenate([picked, model.faces[model.lmk_faces_idx].ravel()]))
    moving = np.setdiff1d(model.faces[model.dynamic_lmk_faces_idx].ravel(), static)
    return np.concatenate([static, moving]), len(static)


def fold(model: BodyModel) -> Folded:
    """Fold a model, in float64."""
    chosen, static = needed_vertices(model)
    vertices, joints = model.weights.shape
    place = np.full(vertices, -1)
    place[chosen] = np.arange(len(chosen))
    regressor = _rows(model.J_regressor)
    pose = np.zeros((len(chosen), 3, joints, 9))
    pose[:, :, 1:] = model.posedirs[chosen].reshape(len(chosen), 3, joints - 1, 9)
    corners, weights = _points(model, place)
    contour_vertices = contour_weights = None
    if model.dynamic_lmk_faces_idx is not None and model.dynamic_lmk_bary_coords is not None:
        rows = len(model.dynamic_lmk_faces_idx)
        contour_vertices = place[model.faces[model.dynamic_lmk_faces_idx]].reshape(rows, -1)
        contour_weights = model.dynamic_lmk_bary_coords.astype(np.float64)
    expression = model.exprdirs if model.exprdirs is not None else np.zeros((vertices, 3, 0))
    return Folded(
        model_type=model.model_type,
        parents=model.parents,
        joints_template=regressor @ model.v_template.astype(np.float64),
        joints_shape=_regress(regressor, model.shapedirs),
        joints_expression=_regress(regressor, expression),
        template=model.v_template[chosen].astype(np.float64),
        shape=model.shapedirs[chosen].astype(np.float64),
        expression=expression[chosen].astype(np.float64),
        pose=pose,
        weights=model.weights[chosen].astype(np.float64),
        static=static,
        point_vertices=corners,
        point_weights=weights,
        contour_vertices=contour_vertices,
        contour_weights=contour_weights,
        hands_mean=hands_mean(model),
    )


def hands_mean(model: BodyModel) -> Array | None:
    """(30, 3) mean pose of left then right fingers, None where the model has none."""
    return None if model.hands_mean_left is None or model.hands_mean_right is None else mean_hands(model)


def fitting_columns(coefficients: Array, available: int, what: str) -> Array:
    """Coefficients (N, B) without the columns that the model lacks, which must be zero.

    Raises
    ------
    BodyModelError : a column beyond the model's has a value.
    """
    beyond = coefficients[:, available:]
    if beyond.size and np.any(beyond):
        raise BodyModelError(
            f"parameters have {coefficients.shape[1]} {what}, the model has {available}",
            fix=f"use the model release they belong to, or cut the {what}: `ehps humandata convert FILE --num-betas N` "
            "does that for betas",
        )
    return coefficients[:, :available]


def _points(model: BodyModel, place: Array) -> tuple[Array, Array]:
    """(P, 3) corners and weights: picked vertices as triangles of one point, then the face landmarks."""
    picked = place[np.array(TOPOLOGY[model.model_type].picked)]
    corners = np.repeat(picked[:, None], 3, axis=1)
    weights = np.tile([1.0, 0.0, 0.0], (len(picked), 1))
    if model.lmk_faces_idx is not None and model.lmk_bary_coords is not None:
        corners = np.concatenate([corners, place[model.faces[model.lmk_faces_idx]]])
        weights = np.concatenate([weights, model.lmk_bary_coords])
    return corners, weights


def _rows(regressor: Array) -> Any:
    from scipy.sparse import csr_array

    return csr_array(regressor.astype(np.float64))


def _regress(regressor: Any, directions: Array) -> Array:
    """(J, 3, K) from a sparse (J, V) regressor and (V, 3, K) directions."""
    k = directions.shape[2]
    used = np.unique(regressor.indices)
    flat = directions[used].astype(np.float64).reshape(len(used), 3 * k)
    return np.asarray(regressor[:, used] @ flat).reshape(regressor.shape[0], 3, k)
