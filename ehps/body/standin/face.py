"""Eyes, mouth and ears of the stand-in: rings of vertices set into holes of the head, and the eyeballs.

Head coordinates as in :mod:`ehps.body.standin.head`; left side, the right one is its mirror image.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ehps.arrays import Array
from ehps.body.standin.head import EAR, EYE, EYEBALL, MOUTH_HEIGHT, Skull
from ehps.body.standin.trunk import bump, ramp

# Half width, height above and below the eye's middle, share of the lid's ball against the face, its thickness.
LIDS = np.array(
    [
        (0.0205, 0.0130, 0.0120, 0.00, 0.0000),
        (0.0176, 0.0102, 0.0092, 0.55, 0.0030),
        (0.0153, 0.0077, 0.0067, 0.90, 0.0026),
        (0.0138, 0.0060, 0.0050, 1.00, 0.0021),
        (0.0131, 0.0051, 0.0041, 1.00, 0.0013),
        (0.0128, 0.0048, 0.0038, 1.00, 0.0002),
    ]
)
# Half width, height above and below the line of the lips, how far it stands out.
LIPS = np.array(
    [
        (0.0350, 0.0172, 0.0200, 0.0000),
        (0.0305, 0.0130, 0.0150, 0.0003),
        (0.0272, 0.0098, 0.0112, 0.0010),
        (0.0257, 0.0074, 0.0085, 0.0024),
        (0.0248, 0.0044, 0.0052, 0.0042),
        (0.0240, 0.0018, 0.0022, 0.0030),
        (0.0236, 0.0003, 0.0003, -0.0005),
        (0.0222, 0.0014, 0.0014, -0.0060),
        (0.0185, 0.0060, 0.0070, -0.0140),
        (0.0110, 0.0050, 0.0060, -0.0250),
    ]
)
# Half height, half width, shift to the back, how far it stands off the head, share of that at the front edge.
EAR_RINGS = np.array(
    [
        (0.0250, 0.0125, 0.0000, 0.0000, 1.00),
        (0.0260, 0.0140, -0.0015, 0.0050, 0.30),
        (0.0295, 0.0178, -0.0045, 0.0105, 0.22),
        (0.0305, 0.0187, -0.0050, 0.0140, 0.22),
        (0.0275, 0.0160, -0.0045, 0.0142, 0.24),
        (0.0245, 0.0130, -0.0035, 0.0085, 0.30),
        (0.0190, 0.0095, -0.0020, 0.0075, 0.40),
        (0.0100, 0.0055, -0.0005, 0.0025, 0.60),
    ]
)
BALL_COLUMNS, BALL_ROWS = 17, 32


def left_eye(skull: Skull, count: int, *, ball: bool) -> tuple[Array, Array]:
    """Rings (rings, count, 3) from the cheek to the lid's edge and on, and the last point (3,).

    With a separate eyeball (``ball``) they go on behind it; without, over its front to the pupil.
    """
    turn = np.linspace(0, 2 * np.pi, count, endpoint=False)
    cosine, sine = np.cos(turn), np.sin(turn)
    wide, up, down, share, thick = LIDS.T[:, :, None]
    # The inner corner is a little lower than the outer one.
    x = wide * cosine * (1 - 0.04 * (cosine < 0))
    y = np.where(sine > 0, up, down) * np.sign(sine) * np.abs(sine) ** 1.15 + 0.0010 * cosine * ramp(share, 0, 1)
    face = skull.meet(EYE[0] + x, EYE[1] + y, (0, 1))
    z = (1 - share) * face[..., 2] + share * (EYE[2] + ball_front(x, y, EYEBALL + thick))
    rings = [*np.stack([EYE[0] + x, EYE[1] + y, z], -1)]
    margin = rings[-1] - EYE
    if ball:
        rings.append(EYE + np.stack([margin[:, 0] * 0.88, margin[:, 1] * 1.25, 0 * margin[:, 0] + 0.0015], 1))
        return np.array(rings), EYE - (0, 0, 0.004)
    for shrink in (0.66, 0.33):
        x, y = margin[:, 0] * shrink, margin[:, 1] * shrink
        rings.append(EYE + np.stack([x, y, ball_front(x, y, EYEBALL)], 1))
    return np.array(rings), EYE + np.array([0, 0, EYEBALL])


def ball_front(x: Array, y: Array, radius: Array | float) -> Array:
    """Height of a ball of ``radius`` over (x, y), falling off straight near its rim."""
    away = np.hypot(x, y) / radius
    inside = np.minimum(away, 0.80)
    slope = 0.80 / np.sqrt(1 - 0.80**2)
    return np.asarray(radius * (np.sqrt(1 - inside**2) - slope * np.maximum(away - 0.80, 0)))


def mouth(skull: Skull, count: int) -> tuple[Array, Array]:
    """Rings (rings, count, 3) from the skin over the lips into the mouth, and the deepest point (3,)."""
    turn = np.linspace(0, 2 * np.pi, count, endpoint=False)
    cosine, sine = np.cos(turn), np.sin(turn)
    wide = 0.5 + 0.5 * skull.a.face
    half, up, down, out = LIPS.T[:, :, None]
    k = np.arange(len(LIPS))[:, None]
    x = half * wide * np.sign(cosine) * np.abs(cosine) ** 0.95
    y = np.where(sine > 0, up, down) * np.sign(sine) * np.abs(sine) ** 0.9
    bow = ramp(k, 0.5, 2.5) * ramp(k, 5.5, 3.5) * (sine > 0)
    y = y + bow * (0.0009 * bump((np.abs(x) - 0.0060) / 0.0035) - 0.0014 * bump(x / 0.0030))
    corner = np.abs(x / (half * wide)) ** 3
    face = skull.meet(x, MOUTH_HEIGHT + y, (0, 1))
    depth = out * (1 - 0.75 * corner * (out > 0)) - 0.0016 * corner * ramp(k, 1, 4)
    rings = np.stack([x, MOUTH_HEIGHT + y - 0.0008 * corner * ramp(k, 1, 4), face[..., 2] + depth], -1)
    return rings, np.array([0, MOUTH_HEIGHT, face[0, count // 4, 2] - 0.030])


def left_ear(skull: Skull, count: int) -> tuple[Array, Array]:
    """Rings (rings, count, 3) from the head over the ear's rim into its hollow, and the deepest point (3,)."""
    turn = np.linspace(0, 2 * np.pi, count, endpoint=False)
    tilt = np.radians(-10.0)
    high, wide, back, off, front = EAR_RINGS.T[:, :, None]
    # Clockwise from the front as seen from the left: the surface faces +x.
    sine, cosine = np.sin(-turn), np.cos(turn)
    up = high * np.sign(sine) * np.abs(sine) ** 0.85
    ahead = wide * np.sign(cosine) * np.abs(cosine) ** 0.85
    ahead = ahead * (1 - 0.30 * ramp(-up / high, 0.0, 1.0)) + 0.20 * wide * ramp(-up / high, 0.1, 1.0)
    y = EAR[0] + up * np.cos(tilt) - ahead * np.sin(tilt)
    z = EAR[1] + back + up * np.sin(tilt) + ahead * np.cos(tilt)
    behind = 0.5 - 0.5 * np.cos(turn)
    head = skull.meet(np.clip(z, -0.035, 0.01), np.clip(y, 0.035, 0.09), (2, 1))
    lift = off * (front + (1 - front) * behind) * np.sqrt(1 - 0.80 * (up / high) ** 2)
    rings = np.stack([head[..., 0] + lift, y, z], -1)
    return rings, rings[-1].mean(0) - (0.0015, 0, 0)


def left_eyeball() -> tuple[Array, Array]:
    """(32, 17, 3) from the open back to the pupil, and the pupil's middle (3,), relative to the eye's centre."""
    # Rows crowd around the edges of pupil and iris.
    polar = np.interp(np.arange(BALL_ROWS), [0, 14, 22, 31], np.radians([155, 52, 24, 3.0]))
    turn = np.linspace(0, 2 * np.pi, BALL_COLUMNS, endpoint=False)
    bulge = 1 + 0.035 * bump(polar / np.radians(20))
    radius = EYEBALL * bulge
    rows = np.stack(
        [
            np.outer(radius * np.sin(polar), np.cos(turn)),
            np.outer(radius * np.sin(polar), np.sin(turn)),
            np.outer(radius * np.cos(polar), np.ones(BALL_COLUMNS)),
        ],
        -1,
    )
    return rows, np.array([0, 0, EYEBALL * 1.036])


def expression_shift(index: int, part: str, p: Array) -> Array:
    """(..., 3) how one unit of expression ``index`` moves vertices ``p`` of a head part, head coordinates.

    0 jaw drops a little, 1 smile, 2 brows up, 3 frown, 4 eyes close, 5 lips forward, 6 cheeks puff, 7 nose
    wrinkles, 8 mouth to the left, 9 upper lip up.
    """
    x, y, z = p[..., 0], p[..., 1], p[..., 2]
    side, across = np.sign(x), np.abs(x)
    face = ramp(z, 0.02, 0.06)
    ring = np.broadcast_to(np.arange(p.shape[0]).reshape(-1, *[1] * (p.ndim - 2)), p.shape[:-1]) if p.ndim > 2 else 0
    level = y - MOUTH_HEIGHT
    lower = ramp(-level, -0.0008, 0.0008) if part in ("mouth", "mouth_end") else ramp(-level, -0.004, 0.004)
    mouth_area = bump(across / 0.026, level / 0.018) * face
    corner = bump((across - 0.026) / 0.013, level / 0.014) * face
    zero = 0 * x
    if index == 0:
        shift = [zero, -0.0045 * lower * bump(across / 0.030, (level + 0.012) / 0.028), zero]
    elif index == 1:
        cheek = bump((across - 0.040) / 0.014, (y - 0.035) / 0.014) * face
        shift = [side * 0.0034 * corner, 0.0034 * corner + 0.0016 * cheek, -0.0012 * corner + 0.0016 * cheek]
    elif index in (2, 3):
        brow = bump((across - 0.028) / 0.020, (y - 0.094) / 0.011) * face * (part != "eye")
        inner = bump((across - 0.012) / 0.010, (y - 0.090) / 0.010) * face * (part != "eye")
        shift = [zero, 0.0036 * brow, zero] if index == 2 else [-side * 0.0018 * inner, -0.0026 * inner, 0.001 * inner]
    elif index == 4:
        shift = _closing_lids(part, p, ring)
    elif index == 5:
        shift = [-0.10 * x * mouth_area, zero, 0.0032 * mouth_area]
    elif index == 6:
        puff = bump((across - 0.044) / 0.013, (y - 0.012) / 0.015) * ramp(z, 0.0, 0.04)
        shift = [side * 0.0036 * puff, zero, 0.0018 * puff]
    elif index == 7:
        wing = bump((across - 0.013) / 0.008, (y - 0.036) / 0.010) * face
        shift = [side * 0.0006 * wing, 0.0020 * wing, 0.0008 * wing]
    elif index == 8:
        shift = [0.0035 * bump(across / 0.030, level / 0.022) * face, zero, zero]
    else:
        shift = [zero, 0.0026 * (1 - lower) * bump(across / 0.020, (level - 0.004) / 0.012) * face, zero]
    return np.stack(np.broadcast_arrays(*shift), -1)


def _closing_lids(part: str, p: Array, ring: Any) -> list[Array]:
    """The upper lid comes down and the lower one up a little, along the eyeball."""
    zero = 0 * p[..., 0]
    if part != "eye":
        return [zero, zero, zero]
    dy = p[..., 1] - EYE[1]
    share = ramp(ring, 1.5, 4.0) * ramp(ring, 6.5, 5.5)
    down = -0.40 * share * np.maximum(dy, 0) - 0.10 * share * np.minimum(dy, 0)
    return [zero, down, 0.15 * share * np.abs(dy)]
