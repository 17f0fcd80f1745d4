"""Skinning weights of the stand-in: which joints move each vertex, blended smoothly across the joints.

Everything is decided on the neutral build, for the left side; the right side is its mirror image.
"""

from __future__ import annotations

import numpy as np

from ehps.arrays import Array
from ehps.body.standin import left_hand
from ehps.body.standin.anatomy import FINGERS, NEUTRAL
from ehps.body.standin.head import MOUTH_HEIGHT
from ehps.body.standin.parts import MIRROR, Assembly
from ehps.body.standin.surfaces import neighbour_mean
from ehps.body.standin.trunk import ramp

# The joint that takes a joint's place on the other side of the body.
SWAP = np.array(
    [
        *(0, 2, 1, 3, 5, 4, 6, 8, 7, 9, 11, 10, 12, 14, 13, 15, 17, 16, 19, 18, 21, 20, 22, 24, 23),
        *(*range(40, 55), *range(25, 40)),
    ]
)
FIRST = {finger: 25 + 3 * k for k, finger in enumerate(FINGERS)}


def skinning(assembly: Assembly) -> Array:
    """(n, 55) weights of all numbered vertices, rows sum to 1."""
    points = assembly.surface.points
    out = np.zeros((len(points), 55))
    parts = {name: _part_weights(name, points[ids]) for name, ids in assembly.left.items()}
    for name, ids in assembly.left.items():
        out[ids] = parts[name]
    for name, ids in assembly.right.items():
        mirrored = parts[name][..., SWAP]
        if name == "trunk":  # its first and last columns belong to both sides
            mirrored[:, (0, -1)] = 0.5 * (mirrored[:, (0, -1)] + parts[name][:, (0, -1)])
        out[ids] = mirrored
    for name in ("head", "crown", "mouth", "mouth_end", "crotch"):  # both sides in one
        ids = assembly.left[name]
        other = _part_weights(name, points[ids] * MIRROR)[..., SWAP]
        right = points[ids][..., :1] < -1e-6
        middle = np.abs(points[ids][..., :1]) <= 1e-6
        out[ids] = np.where(right, other, np.where(middle, 0.5 * (parts[name] + other), parts[name]))
    blend = neighbour_mean(assembly.surface.triangles(), len(points))
    fixed = np.concatenate([assembly.left[n].ravel() for n in ("mouth", "mouth_end")])
    fixed = np.append(fixed, [d[n].ravel()[0] for d in (assembly.left, assembly.right) for n in ("eye_end",)])
    moving = np.ones((len(points), 1))
    moving[fixed] = 0
    for _ in range(3):
        out = out + 0.5 * moving * (blend @ out - out)
    for numbers, joint in ((assembly.left, 23), (assembly.right, 24)):
        if "ball" in numbers:
            eye = np.append(numbers["ball"].ravel(), numbers["ball_end"])
            out[eye] = np.eye(55)[joint]
    out[out < 0.002] = 0
    return np.asarray(out / np.maximum(out.sum(1, keepdims=True), 1e-12))


def _part_weights(name: str, p: Array) -> Array:
    """(..., 55) weights of the vertices of one left part."""
    if name == "palm":
        return palm_weights(p)
    if name in ("fingers", "thumb", "tips"):
        return finger_weights(name, p)
    flat = body_weights(p.reshape(-1, 3)).reshape(*p.shape[:-1], 55)
    if name in ("mouth", "mouth_end"):
        flat = mouth_weights(name, p, flat)
    return flat


def body_weights(p: Array) -> Array:
    """(n, 55) weights by place alone: trunk, limbs, neck and head."""
    joints = NEUTRAL.joints()
    x, y, z = p.T
    out = np.zeros((len(p), 55))
    chin_up = y + 0.9 * np.maximum(z - 0.035, 0)
    above = [
        np.ones(len(p)),
        ramp(y, joints[3, 1] - 0.060, joints[3, 1] + 0.050),
        ramp(y, joints[6, 1] - 0.055, joints[6, 1] + 0.020),
        ramp(y, joints[9, 1] - 0.020, joints[9, 1] + 0.055),
        ramp(y + 0.3 * (z + 0.03), joints[12, 1] - 0.025, joints[12, 1] + 0.035),
        ramp(chin_up, joints[15, 1] - 0.075, joints[15, 1] - 0.010),
        np.zeros(len(p)),
    ]
    for k, joint in enumerate((0, 3, 6, 9, 12, 15)):
        out[:, joint] = above[k] * (1 - above[k + 1])
    on_head = above[5].copy()

    collar = ramp(x, 0.025, 0.105) * ramp(y, 1.255, 1.36) * (1 - above[4])
    shoulder, elbow, wrist = joints[[16, 18, 20]]
    reach = x + 0.45 * (y - shoulder[1])
    arm = ramp(reach, shoulder[0] - 0.060, shoulder[0] + 0.040)
    arm = arm * (1 - above[4] * ramp(x, shoulder[0] + 0.03, shoulder[0] - 0.04))
    arm = arm * np.maximum(ramp(y, 1.27, 1.335), ramp(x, shoulder[0] - 0.01, shoulder[0] + 0.05))
    forearm = ramp(x, elbow[0] - 0.045, elbow[0] + 0.045)
    hand = ramp(x, wrist[0] - 0.030, wrist[0] + 0.018)
    out *= (1 - np.maximum(collar, arm))[:, None]
    out[:, 13] = collar * (1 - arm)
    for joint, share in ((16, arm * (1 - forearm)), (18, forearm * (1 - hand)), (20, hand * forearm)):
        out[:, joint] = share

    hip, knee, ankle, ball = joints[[1, 4, 7, 10]]
    down = hip[1] - 0.018 - y + 0.50 * (x - hip[0]) - 0.25 * np.maximum(-z - 0.03, 0)
    leg = ramp(down, -0.065, 0.055) * ramp(x, -0.035, 0.030)
    other = ramp(down - (x > 0) * x, -0.065, 0.055) * ramp(-x, -0.035, 0.030) * (y < 0.9)
    shin = ramp(y, knee[1] + 0.055, knee[1] - 0.050)
    foot = ramp(ankle[1] - y + 0.40 * (z - ankle[2]), -0.040, 0.030)
    toes = ramp(z, ball[2] - 0.025, ball[2] + 0.035) * foot
    out *= (1 - np.clip(leg + other, 0, 1))[:, None]
    out[:, 1] += leg * (1 - shin)
    out[:, 2] += other
    out[:, 4] += leg * shin * (1 - foot)
    out[:, 7] += leg * shin * foot * (1 - toes)
    out[:, 10] += leg * shin * toes

    local = (p - joints[15]) / NEUTRAL.head_scale()
    jaw = jaw_share(local) * on_head
    out[:, 22] += jaw
    out[:, 15] -= jaw
    out = np.maximum(out, 0)
    return np.asarray(out / out.sum(1, keepdims=True))


def jaw_share(p: Array) -> Array:
    """How far a point of the head (head coordinates) moves with the jaw rather than with the skull."""
    x, y, z = np.abs(p[..., 0]), p[..., 1], p[..., 2] + 0.004
    line = np.interp(z, [0.0, 0.03, 0.085], [0.022, 0.014, MOUTH_HEIGHT])
    soft = 0.0015 + 0.016 * ramp(x, 0.018, 0.050)
    return np.asarray(ramp(line - y, -soft, soft) * ramp(z, -0.005, 0.045))


def mouth_weights(name: str, p: Array, out: Array) -> Array:
    """Lips and the inside of the mouth: above the line of the lips with the skull, below with the jaw."""
    if name == "mouth_end":
        lower = np.full(p.shape[:-1], 0.5)
    else:
        sine = np.sin(np.linspace(0, 2 * np.pi, p.shape[1], endpoint=False))
        # Towards the corners both lips follow the jaw half way: the open mouth is round.
        sharp = 0.5 - 0.5 * np.sign(sine) * np.minimum(np.abs(sine) / 0.75, 1)
        lower = np.broadcast_to(sharp, p.shape[:-1]).copy()
        local = (p - NEUTRAL.joints()[15]) / NEUTRAL.head_scale()
        outer = ramp(np.arange(len(p)), 4.0, 1.0)[:, None]
        lower = outer * jaw_share(local) + (1 - outer) * lower
    out = out.copy()
    out[..., 22], out[..., 15] = lower, 1 - lower
    out[..., :15] = 0
    return out


def palm_weights(p: Array) -> Array:
    """(rows, 34, 55): wrist, and the fingers' and the thumb's first joints where they lie under the skin."""
    joints = NEUTRAL.joints()
    size = NEUTRAL.hand_scale()
    n = left_hand.PALM_COLUMNS // 2
    lane = np.append(np.linspace(0, 1, n), np.linspace(1, 0, n))
    place = left_hand.PALM_ROWS[:, None]
    toward = ramp(place, 0.66, 1.0)
    out = np.zeros((*p.shape[:-1], 55))
    for f, finger in enumerate(left_hand.ACROSS):
        near = np.clip(1 - np.maximum(np.abs(lane * 4 - f - 0.5) - 0.25, 0) / 0.5, 0, 1)
        near = np.where((f == 0) & (lane < 0.1) | (f == 3) & (lane > 0.9), 1, near)
        out[..., FIRST[finger]] = toward * near
    out /= np.maximum(out.sum(-1, keepdims=True), 1)
    root, middle = joints[37], joints[38]
    along = np.clip(((p - root) @ (middle - root)) / ((middle - root) ** 2).sum(), 0, 1.2)
    away = np.linalg.norm(p - root - along[..., None] * (middle - root), axis=-1) / size
    thumb = 0.95 * ramp(away, 0.027, 0.012) * ramp(along, 0.02, 0.60)
    out *= (1 - thumb)[..., None]
    out[..., 37] = thumb
    rest = 1 - out.sum(-1)
    hand = ramp(p[..., 0], joints[20, 0] - 0.030, joints[20, 0] + 0.018)
    out[..., 20], out[..., 18] = rest * hand, rest * (1 - hand)
    return out


def finger_weights(name: str, p: Array) -> Array:
    """(..., 55) of ``fingers`` (4, rows, 10), ``thumb`` (rows, 10) or ``tips`` (5,)."""
    out = np.zeros((*p.shape[:-1], 55))
    if name == "tips":
        for k, finger in enumerate((*left_hand.ACROSS, "thumb")):
            out[k, FIRST[finger] + 2] = 1
        return out
    rows = left_hand.FINGER_ROWS if name == "fingers" else left_hand.THUMB_ROWS
    second, third = ramp(rows[:, 0], 0.78, 1.22), ramp(rows[:, 0], 1.75, 2.25)
    for k, finger in enumerate(left_hand.ACROSS if name == "fingers" else ("thumb",)):
        target = out[k] if name == "fingers" else out
        first = FIRST[finger]
        target[..., first] = (1 - second)[:, None]
        target[..., first + 1] = (second * (1 - third))[:, None]
        target[..., first + 2] = third[:, None]
    return out
