"""The stand-in's mesh in the licensed models' vertex order: faces, weights, regions, and positions of any build."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ehps.arrays import Array
from ehps.body.standin import left_hand
from ehps.body.standin.anatomy import NEUTRAL, Anatomy
from ehps.body.standin.face import expression_shift
from ehps.body.standin.painted_regions import hair_shares, regions
from ehps.body.standin.parts import MIRROR, Assembly, assemble, left_parts
from ehps.body.standin.surfaces import neighbour_mean
from ehps.body.standin.trunk import Trunk, bump, settle
from ehps.body.standin.weights import skinning
from ehps.body.topology import TOPOLOGY

BODY_PARTS = ("trunk", "crotch", "arm", "leg", "foot", "ends")
HAND_PARTS = ("palm", "fingers", "thumb", "tips")
HEAD_PARTS = ("head", "crown", "eye", "eye_end", "mouth", "mouth_end", "ear", "ear_end")
BALL_PARTS = ("ball", "ball_end")
HEAD_VERTICES = {"smplx": 3931, "smpl": 1438}

# Vertex numbers given to the parts before any others, as spans.
SPANS = {
    "smplx": {
        "left_hand": [(4610, 5388)],
        "right_hand": [(7332, 8110)],
        "left_ball": [(9383, 9929)],
        "right_ball": [(9929, 10475)],
        "head": [(8729, 9383), (0, 3300)],
    },
    "smpl": {
        "left_hand": [(1981, 2759)],
        "right_hand": [(5426, 6204)],
        "head": [(0, 680), (2790, 2812), (4000, 4700), (6250, 6300)],
    },
}


@dataclass(frozen=True, eq=False)
class Mesh:
    """The mesh of one model type; vertices are numbered as in the model files.

    Attributes
    ----------
    model_type : smplx, or smpl for SMPL and SMPL-H.
    faces : (F, 3) int64, counter-clockwise seen from outside.
    weights : (V, 55) skinning weights over the SMPL-X joints.
    left_hand, right_hand : (778,) vertex numbers. head : of the head with its eyeballs, (5023,) in SMPL-X.
    face_skin : vertices of the head without eyeballs, ears and the inside of the mouth.
    region : (V,) str, what there is to paint: see :mod:`ehps.body.standin.painted_regions`.
    hair, brow : (V,) in [0, 1], how much of the colour there is the hair's and the eyebrow's: soft edges.
    rings : vertices (rings, n) around the ``left_eye``, ``right_eye`` and ``mouth``, anticlockwise from the
        subject's left as seen from the front for the left eye and the mouth, mirrored for the right eye.
    """

    model_type: str
    faces: Array
    weights: Array
    left_hand: Array
    right_hand: Array
    head: Array
    face_skin: Array
    region: Array
    hair: Array
    brow: Array
    rings: dict[str, Array]
    _assembly: Assembly
    _order: Array
    _fillers: Array
    _smoother: Any

    def positions(self, a: Anatomy) -> Array:
        """(V, 3) the mesh of a build, floor frame, metres."""
        raw = raw_positions(self._assembly, a, self._smoother)
        return np.concatenate([raw, raw[self._fillers].mean(1)])[self._order]

    def expression(self, a: Anatomy, index: int) -> Array:
        """(V, 3) how one unit of an expression coefficient moves the mesh of a build."""
        numbers, surface = self._assembly, self._assembly.surface
        parts = left_parts(self.model_type, a)
        base, scale = Trunk(a).joints[15], a.head_scale()
        raw = np.zeros_like(surface.points)
        for name in HEAD_PARTS:
            for ids, mirror in ((numbers.left[name], 1.0), (numbers.right.get(name), MIRROR)):
                if ids is not None:
                    local = (parts[name] * mirror - base - (0, 0, 0.004)) / scale
                    raw[ids] = scale * expression_shift(index, name, local)
        return np.concatenate([raw, raw[self._fillers].mean(1)])[self._order]


def raw_positions(assembly: Assembly, a: Anatomy, smoother: Any) -> Array:
    """(n, 3) all numbered vertices of a build, seams smoothed."""
    parts = left_parts(assembly.model_type, a)
    raw = np.zeros_like(assembly.surface.points)

    def place() -> None:
        for name, ids in assembly.right.items():
            raw[ids] = (raw[assembly.left[name]] if name in BODY_PARTS + HAND_PARTS else parts[name]) * MIRROR
        for name in ("trunk", "crotch"):
            middle = assembly.left[name][:, (0, -1)] if name == "trunk" else assembly.left[name]
            raw[middle, 0] = 0

    for name, ids in assembly.left.items():
        raw[ids] = parts[name]
    place()
    body, neck, hand, ease = smoothed(assembly)
    field = Trunk(a)
    for _ in range(3):
        for _ in range(2):
            mean = smoother @ raw
            raw[body] += 0.5 * (mean[body] - raw[body])
            raw[neck] += 0.5 * (mean[neck] - raw[neck])
            raw[hand] += ease * (mean[hand] - raw[hand])
            place()
        raw[body] = settle(field, raw[body], steps=2)
        place()
    return raw


@lru_cache(maxsize=2)
def smoothed(assembly: Assembly) -> tuple[Array, Array, Array, Array]:
    """Vertices of the left body, of the neck, and of the hand's :func:`thumb_seam` with its strengths."""
    body = np.unique(np.concatenate([assembly.left[n].ravel() for n in BODY_PARTS]))
    return body, assembly.left["head"][:2].ravel(), *thumb_seam(assembly)


def thumb_seam(assembly: Assembly) -> tuple[Array, Array]:
    """Vertices of the left hand around the thumb's root, and how strongly each is smoothed (n, 1)."""
    palm, thumb = assembly.left["palm"], assembly.left["thumb"]
    lane = np.append(np.linspace(0, 1, 17), np.linspace(1, 0, 17))
    near = bump((lane - 1.0) / 0.16, (left_hand.PALM_ROWS[:, None] - 0.42) / 0.20)
    near[0] = 0
    first = np.repeat([0.7, 0.45, 0.1], thumb.shape[1])
    ids = np.append(palm.ravel(), thumb[:3].ravel())
    ease = np.append(0.7 * near.ravel(), first)
    return ids[ease > 0.02], ease[ease > 0.02][:, None]


def make_mesh(model_type: str) -> Mesh:
    """The mesh of ``smplx``, ``smplh`` or ``smpl`` (these two are the same); made once, in a second or so."""
    return _make_mesh("smplx" if model_type == "smplx" else "smpl")


@lru_cache(maxsize=2)
def _make_mesh(model_type: str) -> Mesh:
    assembly = assemble(model_type)
    faces = assembly.surface.triangles()
    count = len(assembly.surface.points)
    smoother = neighbour_mean(faces, count)
    used = np.unique(faces)
    group = part_groups(assembly)
    points = raw_positions(assembly, NEUTRAL, smoother)
    faces, fillers = fill(faces, points, group, used, model_type)
    weights = skinning(assembly)
    region = regions(assembly, points)
    hair, brow = hair_shares(assembly, points)
    if len(fillers):
        group = np.append(group, group[fillers[:, 0]])
        weights = np.concatenate([weights, weights[fillers].mean(1)])
        region = np.append(region, region[fillers[:, 0]])
        hair, brow = (np.append(share, share[fillers].mean(1)) for share in (hair, brow))
    order = vertex_order(model_type, assembly, group, np.append(used, np.arange(count, count + len(fillers))))
    new = np.full(count + len(fillers), -1)
    new[order] = np.arange(len(order))
    group, region = group[order], region[order]
    head = np.isin(group, ("head", "left_ball", "right_ball"))
    skin = (group == "head") & ~np.isin(region, ("mouth", "ear", "eye_socket"))
    return Mesh(
        model_type,
        new[faces],
        weights[order],
        np.flatnonzero(group == "left_hand"),
        np.flatnonzero(group == "right_hand"),
        np.flatnonzero(head),
        np.flatnonzero(skin),
        region,
        hair[order],
        brow[order],
        {
            "left_eye": new[assembly.left["eye"]],
            "right_eye": new[assembly.right["eye"]],
            "mouth": new[assembly.left["mouth"]],
        },
        assembly,
        order,
        fillers,
        smoother,
    )


def part_groups(assembly: Assembly) -> Array:
    """(n,) str: body, head, left_hand, right_hand, left_ball or right_ball."""
    out = np.full(len(assembly.surface.points), "body", dtype="<U10")
    for side, numbers in (("left", assembly.left), ("right", assembly.right)):
        for name, ids in numbers.items():
            if name in HEAD_PARTS:
                out[ids] = "head"
            elif name in HAND_PARTS or name in BALL_PARTS:
                out[ids] = f"{side}_{'ball' if name in BALL_PARTS else 'hand'}"
    return out


def fill(faces: Array, points: Array, group: Array, used: Array, model_type: str) -> tuple[Array, Array]:
    """Split the largest faces of each group in three until its vertex count is right.

    Returns
    -------
    The faces, and (k, 3) the corners about whose middle each of the k new vertices lies.
    """
    topology = TOPOLOGY[model_type]
    ball = 546 if model_type == "smplx" else 0
    wanted = {
        "left_hand": left_hand.HAND_VERTICES,
        "right_hand": left_hand.HAND_VERTICES,
        "head": HEAD_VERTICES[model_type],
    }
    wanted |= {"left_ball": ball, "right_ball": ball}
    wanted["body"] = topology.vertices - sum(wanted.values())
    corners = points[faces]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    split: list[int] = []
    for name, target in wanted.items():
        lacking = target - int((group[used] == name).sum())
        if lacking < 0:
            raise ValueError(f"{model_type}: {-lacking} vertices too many in {name}")
        own = np.flatnonzero((group[faces] == name).all(1))
        split += own[np.argsort(-area[own], kind="stable")[:lacking]].tolist()
    chosen = np.array(split, int)
    fillers = faces[chosen]
    middle = np.arange(len(points), len(points) + len(chosen))
    a, b, c = fillers.T
    parts = [np.delete(faces, chosen, axis=0)]
    parts += [np.stack([p, q, middle], 1) for p, q in ((a, b), (b, c), (c, a))]
    return np.concatenate(parts), fillers


def vertex_order(model_type: str, assembly: Assembly, group: Array, used: Array) -> Array:
    """(V,) the raw vertex that gets each number of the model file."""
    topology = TOPOLOGY[model_type]
    order = np.full(topology.vertices, -1)
    named = dict(zip(topology.picked, named_vertices(assembly), strict=True))
    for number, vertex in named.items():
        order[number] = vertex
    left = np.setdiff1d(used, list(named.values()))
    for name, spans in SPANS[model_type].items():
        own = left[group[left] == name]
        free = np.concatenate([np.arange(*span) for span in spans])
        free = free[order[free] < 0][: len(own)]
        order[free] = own[: len(free)]
        left = np.setdiff1d(left, own[: len(free)])
    order[order < 0] = left
    return order


def named_vertices(assembly: Assembly) -> list[int]:
    """The 21 vertices that the models' joint lists pick, in their order."""
    points, left, right = assembly.surface.points, assembly.left, assembly.right
    head = left["head"][np.isin(left["head"], np.unique(assembly.surface.triangles()))]
    nose = int(head[np.argmax(points[head, 2] - 20 * np.abs(points[head, 0]))])
    pupil = "ball_end" if "ball_end" in left else "eye_end"
    out = [nose, int(right[pupil][0]), int(left[pupil][0])]
    for numbers in (right, left):
        rim = numbers["ear"][3]
        out.append(int(rim[np.argmax(np.abs(points[rim, 0]))]))
    for numbers in (left, right):
        foot = numbers["foot"]
        toes = foot[-3:].ravel()
        inner, outer = np.abs(points[toes, 0]), points[toes, 2]
        heel = int(numbers["ends"][0])
        middle = np.abs(points[foot[-3], 0]).mean()
        big = toes[np.argmax(outer - 2.0 * np.maximum(inner - middle + 0.018, 0))]
        small = foot[-5][np.argmax(np.abs(points[foot[-5], 0]))]
        out += [int(big), int(small), heel]
    for numbers in (left, right):
        tips = numbers["tips"]
        out += [int(tips[k]) for k in (4, 3, 2, 1, 0)]
    return out
