"""The stand-in's mesh: which vertices there are, and where they are for any build."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import ConvexHull

from ehps.body.standin_anatomy import FINGERS, NEUTRAL, Anatomy
from ehps.body.topology import SMPL_VERTICES, SMPLX_VERTICES

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Mesh:
    faces: Array
    weights: Array
    left_hand: Array
    right_hand: Array
    head: Array
    skin: Array
    order: Array
    parts: tuple[tuple[str, int, int], ...]

    def positions(self, a: Anatomy, expression: int = -1) -> Array:
        return _positions(self.parts, a, expression)[self.order]


def _sphere(n: int) -> Array:
    i = np.arange(n) + 0.5
    phi = np.arccos(1 - 2 * i / n)
    theta = np.pi * (1 + 5**0.5) * i
    return np.stack([np.cos(theta) * np.sin(phi), np.cos(phi), np.sin(theta) * np.sin(phi)], -1)


def _frames(a: Anatomy) -> dict[str, tuple[Array, Array, Array, float, float]]:
    J = a.joints()
    out = {}
    h = a.head_scale()
    mid = 0.5 * (J[0] + J[12])
    out["torso"] = (mid, J[12] - J[0], np.array([1.0, 0, 0]), 0.165 * a.girth + a.shoulders, 0.11 * a.girth)
    out["head"] = (J[15] + [0, 0.08 * h, 0.01], np.array([0, 0.24 * h, 0]), np.array([1.0, 0, 0]), 0.075 * h, 0.10 * h)
    for s, side in ((0, "l"), (1, "r")):
        for name, p, q, r in (
            ("thigh", 1, 4, 0.075),
            ("shin", 4, 7, 0.052),
            ("arm", 16, 18, 0.045),
            ("forearm", 18, 20, 0.038),
        ):
            out[side + name] = (
                0.5 * (J[p + s] + J[q + s]),
                (J[q + s] - J[p + s]) * 1.2,
                np.array([0, 0.3, 1.0]),
                r * a.girth,
                r * a.girth,
            )
        heel = J[7 + s] + [0, -0.06, -0.04]
        toe = J[10 + s] + [0, 0, 0.07]
        out[side + "foot"] = (0.5 * (heel + toe), toe - heel, np.array([1.0, 0, 0]), 0.045, 0.035)
        flip = np.array([1 - 2 * s, 1, 1])
        palm = J[20 + s] + np.array([0.045, 0, 0]) * flip * a.hand_scale()
        out[side + "palm"] = (palm, np.array([0.11, 0, 0]) * flip * a.hand_scale(), np.array([0, 0, 1.0]), 0.042, 0.015)
        for f, finger in enumerate(FINGERS):
            base = J[25 + 15 * s + 3 * f]
            tip = a.finger_tip(finger) * flip
            out[side + finger] = (0.5 * (base + tip), (tip - base) * 1.1, np.array([0, 0.2, 1.0]), 0.009, 0.008)
        out[side + "eye"] = (J[23 + s], np.array([0, 0.024, 0]), np.array([1.0, 0, 0]), 0.012, 0.012)
    return out


def _positions(parts: Any, a: Anatomy, expression: int) -> Array:
    frames = _frames(a)
    out = []
    for name, n, _ in parts:
        centre, axis, across, ru, rv = frames[name]
        p = _sphere(n)
        length = np.linalg.norm(axis)
        d = axis / length
        u = across - d * (across @ d)
        u /= np.linalg.norm(u)
        v = np.cross(u, d)
        x = centre + 0.5 * axis * p[:, 1:2] + u * ru * p[:, :1] + v * rv * p[:, 2:]
        if name == "head" and expression >= 0:
            x = x + 0.004 * np.sin((expression + 1) * 20 * x[:, 1:2]) * (x[:, 2:] > 0.02) * np.array([0, 1.0, 0.3])
        out.append(x)
    return np.concatenate(out)


@lru_cache(maxsize=3)
def make_mesh(kind: str) -> Mesh:
    x = kind == "smplx"
    total = 10475 if x else 6890
    hand, head = 778, (3931 if x else 1800)
    sides = "lr"
    counts: list[tuple[str, int, int]] = [("head", head, 15)]
    for s, side in enumerate(sides):
        counts.append((side + "palm", hand - 5 * 100, 20 + s))
        counts += [(side + f, 100, 25 + 15 * s + 3 * k) for k, f in enumerate(FINGERS)]
        counts += [
            (side + n, 300, j + s) for n, j in (("thigh", 1), ("shin", 4), ("arm", 16), ("forearm", 18), ("foot", 7))
        ]
        if x:
            counts.append((side + "eye", 546, 23 + s))
    left = total - sum(c[1] for c in counts)
    counts.append(("torso", left, 0))
    start = np.cumsum([0, *(c[1] for c in counts)])
    faces = []
    label = np.concatenate([np.full(c[1], i) for i, c in enumerate(counts)])
    for (_, n, _j), s0 in zip(counts, start, strict=False):
        hull = ConvexHull(_sphere(n))
        tri = hull.simplices
        p = _sphere(n)
        out = (
            np.einsum("ij,ij->i", np.cross(p[tri[:, 1]] - p[tri[:, 0]], p[tri[:, 2]] - p[tri[:, 0]]), p[tri].mean(1))
            < 0
        )
        tri[out] = tri[out][:, ::-1]
        faces.append(tri + s0)
    f = np.concatenate(faces)
    # flipped frames
    need = 2 * total - (42 if x else 4)
    f = np.concatenate([f, f[: need - len(f)]])
    parts = tuple(counts)
    base = _positions(parts, NEUTRAL, -1)
    J = NEUTRAL.joints()
    w = _weights(base, label, parts, J)
    name_of = {c[0]: i for i, c in enumerate(counts)}
    wanted = SMPLX_VERTICES if x else SMPL_VERTICES
    order = np.full(total, -1)
    taken = np.zeros(total, bool)
    for vid, (part, target) in zip(wanted, _targets(J, x), strict=True):
        d = np.linalg.norm(base - target, axis=1) + 10.0 * ((label != name_of[part]) | taken)
        k = int(d.argmin())
        order[vid] = k
        taken[k] = True
    order[order < 0] = np.flatnonzero(~taken)
    new = np.empty(total, int)
    new[order] = np.arange(total)
    lab = label[order]

    def group(test: Any) -> Array:
        return np.flatnonzero(np.isin(lab, [i for i, c in enumerate(counts) if test(c[0])]))

    def is_hand(s: str) -> Any:
        return lambda n: n[0] == s and n[1:] in ("palm", *FINGERS)

    return Mesh(
        new[f],
        w[order],
        group(is_hand("l")),
        group(is_hand("r")),
        group(lambda n: n == "head" or n[1:] == "eye"),
        group(lambda n: n == "head"),
        order,
        parts,
    )


def _targets(J: Array, x: bool) -> list[tuple[str, Array]]:
    e = [("reye" if x else "head", J[24] + [0, 0, 0.03]), ("leye" if x else "head", J[23] + [0, 0, 0.03])]
    out = [("head", J[15] + [0, 0.04, 0.2]), *e]
    out += [("head", J[15] + [-0.2, 0.07, 0]), ("head", J[15] + [0.2, 0.07, 0])]
    for s, side in enumerate("lr"):
        f = np.array([1 - 2 * s, 1, 1])
        out += [(side + "foot", J[10 + s] + np.array(o) * f) for o in ((-0.03, 0, 0.2), (0.05, 0, 0.1), (0, 0, -0.4))]
    for s, side in enumerate("lr"):
        f = np.array([1 - 2 * s, 1, 1])
        for finger in ("thumb", "index", "middle", "ring", "pinky"):
            out.append((side + finger, NEUTRAL.finger_tip(finger) * f))
    return out


def _weights(base: Array, label: Array, parts: Any, J: Array) -> Array:
    w = np.zeros((len(base), 55))
    chains = {"torso": [0, 3, 6, 9, 12], "head": [15, 22]}
    for i, (name, _, j) in enumerate(parts):
        m = label == i
        if name in chains:
            c = chains[name]
        elif name[1:] in FINGERS:
            c = [j, j + 1, j + 2]
        elif name[1:] in ("thigh", "shin", "arm", "forearm"):
            c = [j, {"thigh": 4, "shin": 7, "arm": 18, "forearm": 20}[name[1:]] + (name[0] == "r")]
        else:
            c = [j]
        d = np.stack([np.linalg.norm(base[m] - J[k], axis=1) for k in c], 1)
        e = np.exp(-(d**2) / (2 * 0.06**2)) + 1e-9
        w[np.ix_(m, c)] = e / e.sum(1, keepdims=True)
    return w
