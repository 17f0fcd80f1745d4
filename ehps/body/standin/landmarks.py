"""Face landmark tables of the stand-in: 51 fixed points in iBUG order and the 17-point contour per viewing angle."""

from __future__ import annotations

import numpy as np

from ehps.arrays import Array
from ehps.body.standin.anatomy import NEUTRAL
from ehps.body.standin.head import Skull
from ehps.body.standin.mesh_layout import Mesh
from ehps.body.standin.model_tables import first_hits, nearest_on_mesh
from ehps.body.standin.trunk import Trunk

CONTOUR_ROWS = 79
CONTOUR_POINTS = 17
LID_RING, LIP_EDGE, LIP_MIDDLE = 4, 2, 5
# Degrees on a ring, anticlockwise from the subject's left as seen from the front.
LEFT_EYE = (180, 122, 61, 0, -61, -122)  # inner corner, upper inner, upper outer, outer corner, lower outer, inner
MOUTH = (180, 142, 110, 90, 70, 38, 0, -34, -62, -90, -118, -146)
LIPS = (180, 125, 90, 55, 0, -55, -90, -125)


def static_landmarks(mesh: Mesh) -> tuple[Array, Array]:
    """Face numbers (51,) and barycentric coordinates (51, 3)."""
    vertices = mesh.positions(NEUTRAL)
    allowed = np.flatnonzero(np.isin(mesh.faces, mesh.face_skin).all(1))
    return nearest_on_mesh(landmark_targets(mesh, vertices), vertices, mesh.faces, allowed)


def landmark_targets(mesh: Mesh, vertices: Array) -> Array:
    """(51, 3) where the landmarks should lie on the neutral build, floor frame."""
    skull = Skull(NEUTRAL, Trunk(NEUTRAL))
    brow = np.array([0.0470, 0.0395, 0.0310, 0.0220, 0.0130])
    x = np.concatenate([-brow, brow[::-1], np.zeros(4), [-0.0150, -0.0078, 0.0, 0.0078, 0.0150]])
    y = np.append(
        np.tile(Skull.brow(brow), 2), [0.0780, 0.0650, 0.0520, 0.0390, 0.0265, 0.0240, 0.0232, 0.0240, 0.0265]
    )
    y[5:10] = Skull.brow(brow)[::-1]
    plain = skull.world(skull.meet(x, y, (0, 1)))
    left = vertices[on_ring(mesh.rings["left_eye"][LID_RING], LEFT_EYE)]
    right = (left * (-1, 1, 1))[[3, 2, 1, 0, 5, 4]]
    edge = vertices[on_ring(mesh.rings["mouth"][LIP_EDGE], MOUTH)]
    middle = vertices[on_ring(mesh.rings["mouth"][LIP_MIDDLE], LIPS)]
    return np.concatenate([plain, right, left, edge, middle])


def on_ring(ring: Array, degrees: tuple[int, ...]) -> Array:
    """The ring's vertices nearest to these angles."""
    share = np.mod(np.array(degrees), 360) / 360
    return np.asarray(ring[np.round(share * len(ring)).astype(int) % len(ring)])


def contour_landmarks(mesh: Mesh) -> tuple[Array, Array]:
    """Face numbers (79, 17) and barycentric coordinates (79, 17, 3)."""
    vertices = mesh.positions(NEUTRAL)
    allowed = np.flatnonzero(np.isin(mesh.faces, mesh.face_skin).all(1))
    distinct, back = np.unique(contour_directions().reshape(-1, 3).round(9), axis=0, return_inverse=True)
    centre = NEUTRAL.joints()[15] + (0, 0.045, 0.012)
    index, bary = first_hits(centre, distinct, vertices, mesh.faces, allowed)
    shape = (CONTOUR_ROWS, CONTOUR_POINTS)
    return index[back.ravel()].reshape(shape), bary[back.ravel()].reshape(*shape, 3)


def contour_directions() -> Array:
    """(79, 17, 3) unit directions from inside the head to the face contour, per row of the dynamic tables.

    Row 0 is seen from the front; rows 1..39 from up to 39 degrees on the subject's left (the head turned to its
    right), rows 40..78 from the right. Point 0 is at the subject's right ear, 8 the chin, 16 at the left ear. On
    the side turned away from the viewer the silhouette moves to the front, over the cheek.
    """
    step = np.linspace(-1, 1, CONTOUR_POINTS)
    azimuth = np.radians(84 * np.sign(step) * np.abs(step) ** 0.80)
    elevation = np.radians(-49 + 60 * np.abs(step) ** 1.35)
    rows = []
    for row in range(CONTOUR_ROWS):
        view = row if row < 40 else 39 - row
        far = np.sign(step) == -np.sign(view)
        turn = np.where(far, azimuth * (1 - 0.75 * abs(view) / 90), azimuth)
        flat = np.cos(elevation)
        rows.append(np.stack([flat * np.sin(turn), np.sin(elevation), flat * np.cos(turn)], -1))
    return np.array(rows)
