"""The vertices of the stand-in's trunk, arms, legs and feet: rings around the bones, slid onto the surface."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ehps.arrays import Array
from ehps.body.standin.trunk import Trunk, ramp, settle

HALF = 20  # trunk columns from the front to the back middle; 40 all round
CROTCH = 5  # vertices of the seam between the legs
TRUNK_ROWS = np.array(
    [
        *(-0.085, -0.045, 0.0, 0.05, 0.10, 0.155, 0.215, 0.275, 0.335, 0.395, 0.455, 0.515, 0.575, 0.63),
        *(0.685, 0.74, 0.79, 0.84, 0.885, 0.925, 0.96, 0.99, 1.02),
    ]
)
ARM_ROWS = np.array(
    [
        *(0.10, 0.22, 0.34, 0.46, 0.58, 0.70, 0.80, 0.88, 0.95, 1.01, 1.07, 1.14, 1.23, 1.33, 1.44, 1.55),
        *(1.66, 1.76, 1.85, 1.93),
    ]
)
LEG_ROWS = np.array(
    [
        *(0.20, 0.26, 0.33, 0.41, 0.49, 0.57, 0.65, 0.73, 0.81, 0.88, 0.94, 1.00, 1.06, 1.13, 1.22, 1.32),
        *(1.42, 1.52, 1.62, 1.72, 1.81, 1.89),
    ]
)
FOOT_ROWS = np.array(
    [0.02, 0.055, 0.10, 0.16, 0.23, 0.31, 0.39, 0.47, 0.55, 0.63, 0.71, 0.78, 0.84, 0.89, 0.93, 0.965, 0.99]
)
ARM_COLUMNS, FOOT_COLUMNS = 24, 20


@dataclass(frozen=True, eq=False)
class LeftBody:
    """Vertices of the left half, (rows, columns, 3) each: trunk from the front to the back middle and upwards,
    limbs outwards; ``crotch`` (5, 3) from back to front; ``ends`` (2, 3) heel and toe."""

    trunk: Array
    crotch: Array
    arm: Array
    leg: Array
    foot: Array
    ends: Array


def left_body(field: Trunk) -> LeftBody:
    """The left half on rings, before it is settled."""
    a, s = field.a, field.a.stature
    phi = np.linspace(0, np.pi, HALF + 1)
    rows = TRUNK_ROWS[:, None] + 0.10 * np.sin(phi) ** 2 * ramp(TRUNK_ROWS, 0.15, -0.085)[:, None]
    rows = rows + 0.03 * (0.5 - 0.5 * np.cos(phi)) * ramp(TRUNK_ROWS, 0.85, 1.0)[:, None]
    y = np.where(
        rows < 1,
        field.hip + rows * (field.neck - field.hip),
        field.neck + (rows - 1) * 0.57 * a.head_scale(),
    )
    width, front, back = field.trunk_section(y)
    middle, depth = 0.5 * (front + back), 0.5 * (front - back)
    trunk = np.stack([width * np.sin(phi), y, middle + depth * np.cos(phi)], -1)

    share = np.linspace(0, 1, CROTCH + 2)[1:-1]
    low = y[0, 0] - 0.020 * s
    crotch = np.stack([0 * share, low + 0 * share, -0.075 * s + 0.105 * s * share], -1)

    shoulder, elbow, wrist = field.joints[[16, 18, 20], 0]
    x = np.interp(ARM_ROWS, [0, 1, 2], [shoulder, elbow, wrist])
    _, axis, (high, deep) = field.arm_section(x)
    turn = np.linspace(0, 2 * np.pi, ARM_COLUMNS, endpoint=False)
    arm = axis[:, None] + np.stack(
        [0 * np.outer(high, turn), high[:, None] * np.cos(turn), deep[:, None] * np.sin(turn)], -1
    )

    around = np.radians(np.append(np.linspace(-50, 230, HALF + 1), 230 + 80 * share))
    level = np.interp(LEG_ROWS, [0, 1, 2], field.joints[[1, 4, 7], 1])
    _, axis, (wide, deep) = field.leg_section(level)
    tilt = 0.035 * s * ramp(LEG_ROWS, 0.60, 0.15)
    leg = axis[:, None] + np.stack(
        [np.outer(wide, np.sin(around)), np.outer(tilt, np.sin(around)), np.outer(deep, np.cos(around))], -1
    )

    heel, toe, _ = field.foot_line()
    z = heel + FOOT_ROWS * (toe - heel)
    _, x, wide, top = field.foot_section(z)
    turn = np.linspace(0, 2 * np.pi, FOOT_COLUMNS, endpoint=False)
    foot = np.stack(
        [
            x[:, None] - wide[:, None] * np.sin(turn),
            0.5 * top[:, None] * (1 + np.cos(turn)),
            np.broadcast_to(z[:, None], (len(z), FOOT_COLUMNS)),
        ],
        -1,
    )
    ends = np.array([[x[0], 0.5 * top[0], heel], [x[-1] - 0.012 * s, 0.5 * top[-1], toe]])
    return LeftBody(trunk, crotch, arm, leg, foot, ends)


def settled(field: Trunk, rough: LeftBody) -> LeftBody:
    """The same with every vertex on the body's surface."""
    parts = vars(rough)
    points = settle(field, np.concatenate([p.reshape(-1, 3) for p in parts.values()]))
    out, start = {}, 0
    for name, part in parts.items():
        stop = start + part.size // 3
        out[name] = points[start:stop].reshape(part.shape)
        start = stop
    out["trunk"][:, (0, -1), 0] = 0
    out["crotch"][:, 0] = 0
    return LeftBody(**out)
