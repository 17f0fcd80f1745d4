"""What there is to paint on the stand-in: a region name for every vertex."""

from __future__ import annotations

import numpy as np

from ehps.arrays import Array
from ehps.body.standin.anatomy import NEUTRAL
from ehps.body.standin.face import LIDS
from ehps.body.standin.head import EYE, Skull, hairline
from ehps.body.standin.parts import Assembly
from ehps.body.standin.rings import ARM_ROWS
from ehps.body.standin.trunk import Trunk, ramp

REGIONS = (
    *("face", "hair", "lips", "mouth", "ear", "eye_socket", "eyeball", "iris", "pupil", "neck"),
    *("trunk", "sleeve", "arm", "forearm", "hand", "thigh", "shin", "foot"),
)


def regions(assembly: Assembly, points: Array) -> Array:
    """(n,) str of :data:`REGIONS` for all numbered vertices on the neutral build."""
    out = np.full(len(points), "trunk", dtype="<U10")
    joints = NEUTRAL.joints()
    skull = Skull(NEUTRAL, Trunk(NEUTRAL))
    for numbers in (assembly.left, assembly.right):
        for name, ids in numbers.items():
            p = points[ids]
            local = (p - skull.world(np.zeros(3))) / NEUTRAL.head_scale()
            out[ids] = _part(name, ids, p, local, joints)
    return out


def _part(name: str, ids: Array, p: Array, local: Array, joints: Array) -> Array:
    plain = {
        **{"crotch": "thigh", "ends": "foot", "foot": "foot", "crown": "hair", "mouth_end": "mouth"},
        **{"ear": "ear", "ear_end": "ear", "palm": "hand", "tips": "hand"},
        **{"fingers": "hand", "thumb": "hand"},
    }
    if name == "eye_end":
        return np.full(ids.shape, "eye_socket" if local[..., 2].max() < EYE[2] else "pupil", dtype="<U10")
    if name in plain:
        return np.full(ids.shape, plain[name], dtype="<U10")
    if name == "trunk":
        neck = p[..., 1] - joints[12, 1] > 0.010 - 0.45 * (p[..., 2] + 0.02) + 0.35 * np.abs(p[..., 0])
        return np.where(neck, "neck", np.where(p[..., 1] < joints[0, 1] + 0.060, "thigh", "trunk"))
    if name == "arm":
        place = np.broadcast_to(ARM_ROWS[:, None], ids.shape)
        return np.select([place < 0.62, place < 1.0], ["sleeve", "arm"], "forearm")
    if name == "leg":
        return np.where(p[..., 1] > joints[4, 1] - 0.02, "thigh", "shin")
    return _head_part(name, local)


def _head_part(name: str, p: Array) -> Array:
    x, y, z = np.abs(p[..., 0]), p[..., 1], p[..., 2]
    if name in ("ball", "ball_end"):
        away = np.hypot(x - EYE[0], y - EYE[1])
        front = z > EYE[2]
        return np.select([front & (away < 0.0026), front & (away < 0.0062)], ["pupil", "iris"], "eyeball")
    if name == "eye":
        ring = np.broadcast_to(np.arange(len(p))[:, None], p.shape[:-1])
        beyond = ["face", "eye_socket"] if len(p) == len(LIDS) + 1 else ["face", "eyeball", "iris"]
        return np.array(beyond)[np.maximum(ring - len(LIDS) + 1, 0)]
    if name == "mouth":
        ring = np.broadcast_to(np.arange(len(p))[:, None], p.shape[:-1])
        return np.select([ring >= 7, ring >= 3], ["mouth", "lips"], "face")
    neck = (y < -0.050) | ((y < -0.030) & (z < 0.03))
    return np.select([hairline(p) > 0.002, neck], ["hair", "neck"], "face")


def hair_shares(assembly: Assembly, points: Array) -> tuple[Array, Array]:
    """(n,), (n,) how much of the colour of each vertex is the hair's and the eyebrow's, with soft edges."""
    hair, brow = np.zeros(len(points)), np.zeros(len(points))
    ids = np.append(assembly.left["head"], assembly.left["crown"])
    skull = Skull(NEUTRAL, Trunk(NEUTRAL))
    p = (points[ids] - skull.world(np.zeros(3))) / NEUTRAL.head_scale()
    x, y = np.abs(p[:, 0]), p[:, 1]
    hair[ids] = ramp(hairline(p), -0.004, 0.006)
    thick = 0.0042 - 0.0016 * ramp(x, 0.030, 0.050)
    across = np.exp(-(((y - Skull.brow(x) - 0.0004) / thick) ** 4))
    brow[ids] = across * ramp(x, 0.009, 0.014) * ramp(x, 0.053, 0.047) * (p[:, 2] > 0.03)
    return hair, brow
