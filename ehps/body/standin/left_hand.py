"""The stand-in's left hand: a palm tube that splits into four fingers, and a thumb on its side.

The hand has 778 vertices in every model type, as MANO has. Palm down, fingers along +x, thumb towards +z.
Lengths in metres for a hand of size 1, relative to the wrist; numbers invented.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ehps.arrays import Array
from ehps.body.standin.anatomy import FINGER_JOINTS
from ehps.body.standin.trunk import bump, ramp

HAND_VERTICES = 778
LANES = 4  # quads across a finger, above and below
RING = 2 * (LANES + 1)
PALM_COLUMNS = 2 * (4 * LANES + 1)
PALM_ROWS = np.array([0.0, 0.16, 0.33, 0.50, 0.68, 0.86, 1.0])
ACROSS = ("pinky", "ring", "middle", "index")
RADIUS = {"index": 0.0086, "middle": 0.0088, "ring": 0.0082, "pinky": 0.0072, "thumb": 0.0108}
WEB = {"index": 0.50, "middle": 0.42, "ring": 0.46, "pinky": 0.56}
# Rows along a finger: segment (0: web to second joint, 1: to third joint, 2: to the tip) + share, thickness.
FINGER_ROWS = np.array(
    [
        (0.35, 1.00),
        (0.72, 0.98),
        (1.00, 1.03),
        (1.25, 0.97),
        (1.60, 0.92),
        (1.92, 0.94),
        (2.10, 0.93),
        (2.40, 0.88),
        (2.68, 0.82),
        (2.87, 0.66),
        (2.965, 0.38),
    ]
)
THUMB_ROWS = np.array(
    [
        (0.48, 1.28),
        (0.72, 1.15),
        (0.92, 1.08),
        (1.08, 1.06),
        (1.45, 0.95),
        (1.90, 0.96),
        (2.12, 0.97),
        (2.50, 0.90),
        (2.80, 0.68),
        (2.95, 0.40),
    ]
)


@dataclass(frozen=True, eq=False)
class LeftHand:
    """Vertices (rows, columns, 3): palm from the wrist on, fingers (4, ...) pinky to index without their bases,
    which are the palm's last row; ``tips`` (5, 3) of pinky to index and thumb."""

    palm: Array
    fingers: Array
    thumb: Array
    tips: Array


def left_hand(wrist: Array, size: float, sleeve: tuple[float, float], fat: float) -> LeftHand:
    """The left hand at ``wrist`` (3,), floor frame.

    Parameters
    ----------
    size : factor on all lengths.
    sleeve : half height and half depth of the forearm's end.
    fat : factor on thickness.
    """
    bases, fingers, tips = [], [], []
    for finger in ACROSS:
        path = np.array(FINGER_JOINTS[finger])
        path[0] += WEB[finger] * (path[1] - path[0])
        rows = np.concatenate([[(0.0, 1.04)], FINGER_ROWS])
        rings = finger_rings(path, RADIUS[finger] * fat, rows, up=np.array([0, 1.0, 0]))
        bases.append(rings[0])
        fingers.append(rings[1:])
        tips.append(path[3])
    thumb_path = np.array(FINGER_JOINTS["thumb"])
    thumb = finger_rings(thumb_path, RADIUS["thumb"] * fat, THUMB_ROWS, up=np.array([0.35, 0.75, -0.55]))
    tips.append(thumb_path[3])
    place = wrist + 0.0
    return LeftHand(
        place + size * palm_rows(np.array(bases), np.array(sleeve) / size, fat),
        place + size * np.array(fingers),
        place + size * thumb,
        place + size * np.array(tips),
    )


def finger_rings(path: Array, radius: float, rows: Array, up: Array) -> Array:
    """(rows, 10, 3) rings around a path of four points; the first five vertices are its upper side."""
    segment = np.minimum(rows[:, 0].astype(int), 2)
    share = (rows[:, 0] - segment)[:, None]
    centre = path[segment] * (1 - share) + path[segment + 1] * share
    direction = path[segment + 1] - path[segment]
    direction = direction / np.linalg.norm(direction, axis=1, keepdims=True)
    # Rings at the joints stand halfway between the bones they join.
    previous = direction[np.maximum(np.arange(len(rows)) - 1, 0)]
    direction = direction + previous * np.clip(1 - 4 * share, 0, 1)
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    across = np.cross(direction, up)
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    top = np.cross(across, direction)
    angle = np.radians(np.append(np.linspace(162, 18, LANES + 1), np.linspace(-18, -162, LANES + 1)))
    size = radius * rows[:, 1]
    flat = 1 - 0.12 * ramp(rows[:, 0], 2.2, 2.9)
    # The pad of the last bone hangs below, the nail is flat.
    pad = 0.0012 * bump((rows[:, 0] - 2.45) / 0.28)
    out = centre[:, None] + (size[:, None] * np.cos(angle))[..., None] * across[:, None]
    out = out + ((size * flat)[:, None] * np.sin(angle))[..., None] * top[:, None]
    return np.asarray(out - (pad[:, None] * np.clip(-np.sin(angle), 0, 1))[..., None] * top[:, None])


def palm_rows(bases: Array, sleeve: Array, fat: float) -> Array:
    """(rows, 34, 3) rings from the wrist to the fingers' bases (4, 10, 3); 17 upper vertices pinky to index."""
    n = 4 * LANES + 1
    end = np.zeros((PALM_COLUMNS, 3))
    count = np.zeros((PALM_COLUMNS, 1))
    for f in range(4):
        upper = np.arange(LANES * f, LANES * f + LANES + 1)
        ids = np.append(upper, PALM_COLUMNS - 1 - upper[::-1])
        end[ids] += bases[f]
        count[ids] += 1
    end /= count
    web = np.flatnonzero(count[:, 0] > 1)
    end[web, 0] -= 0.004
    lane = np.append(np.linspace(0, 1, n), np.linspace(1, 0, n))
    upper_side = np.append(np.ones(n), -np.ones(n))
    angle = np.radians(np.append(np.linspace(176, 4, n), np.linspace(-4, -176, n)))
    start = np.stack([0 * angle, sleeve[0] * np.sin(angle), sleeve[1] * np.cos(angle)], 1)
    # Between wrist and knuckles: a flat box with rounded sides, not a straight blend of the two ends.
    half = 0.0145 * fat
    side = np.abs(2 * lane - 1)
    box = end.copy()
    box[:, 1] = upper_side * half * np.sqrt(np.clip(1 - side**3.0 * 0.96, 0, 1)) + 0.001
    box[:, 2] = (lane - 0.5) * 0.084 - 0.004
    out = []
    for t in PALM_ROWS:
        early, late = ramp(np.array(t), 0.0, 0.50), ramp(np.array(t), 0.60, 1.0)
        row = (1 - late) * ((1 - early) * start + early * box) + late * end
        row[:, 0] = t * end[:, 0]
        below = (upper_side < 0) * 1.0
        thenar = bump((lane - 0.82) / 0.22, (t - 0.30) / 0.22)
        row[:, 1] -= below * (0.0085 * thenar + 0.0055 * bump((lane - 0.10) / 0.20, (t - 0.32) / 0.25))
        row[:, 1] += below * 0.0035 * bump((lane - 0.5) / 0.2, (t - 0.6) / 0.22)
        row[:, 2] += 0.0075 * ramp(lane, 0.70, 1.0) * bump((t - 0.33) / 0.17)
        knuckle = (0.5 + 0.5 * np.cos(2 * np.pi * (lane * 4 - 0.5))) * (1 - below)
        row[:, 1] += 0.0022 * knuckle * bump((t - 0.80) / 0.07)
        out.append(row)
    return np.array(out)


def thumb_hole() -> Array:
    """(rows, 34) bool: the palm's vertices that the thumb replaces."""
    drop = np.zeros((len(PALM_ROWS), PALM_COLUMNS), bool)
    drop[2:4, 4 * LANES - 1 : 4 * LANES + 3] = True
    return drop


def finger_base(finger: int) -> Array:
    """(10,) columns of the palm's last row that are the base of a finger, 0 pinky to 3 index."""
    upper = np.arange(LANES * finger, LANES * finger + LANES + 1)
    return np.append(upper, PALM_COLUMNS - 1 - upper[::-1])
