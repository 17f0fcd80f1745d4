"""The stand-in's vertices part by part for any build, and how the parts join up."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from ehps.arrays import Array
from ehps.body.standin import left_hand
from ehps.body.standin.anatomy import NEUTRAL, Anatomy
from ehps.body.standin.face import left_ear, left_eye, left_eyeball, mouth
from ehps.body.standin.head import EAR, EYE, MOUTH_HEIGHT, Skull
from ehps.body.standin.rings import HALF, left_body, settled
from ehps.body.standin.surfaces import Surface
from ehps.body.standin.trunk import Trunk

MIRROR = np.array([-1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Detail:
    """How finely a head is drawn: columns (even) and rows of the head, vertices of a ring of eye, mouth, ear."""

    columns: int
    rows: int
    eye: int
    mouth: int
    ear: int
    eyeballs: bool


DETAIL = {"smplx": Detail(64, 50, 28, 36, 22, True), "smpl": Detail(36, 26, 14, 18, 12, False)}


def detail_azimuth(detail: Detail) -> Array:
    """(columns,) azimuths, front to left to back to right; two thirds look at the face."""
    half = detail.columns // 2
    left = np.radians(np.interp(np.arange(half + 1) / half, [0, 0.63, 0.82, 1], [0, 52, 92, 180]))
    return np.append(left, 2 * np.pi - left[-2:0:-1])


def detail_rows(detail: Detail) -> Array:
    """(rows,) places along the profile, dense from chin to brow."""
    return np.interp(np.linspace(0, 1, detail.rows), [0, 0.09, 0.80, 1], [0.008, 0.155, 0.745, 0.982])


@lru_cache(maxsize=64)
def left_limbs(a: Anatomy) -> dict[str, Array]:
    """Vertices of trunk, limbs and hands by name, floor frame, left half; the same in every model type."""
    trunk = Trunk(a)
    body = settled(trunk, left_body(trunk))
    wrist = trunk.joints[20]
    _, _, (high, deep) = trunk.arm_section(wrist[:1])
    size = a.hand_scale()
    fat = float(np.sqrt(0.5 + 0.5 * a.girth * a.muscle))
    hand = left_hand.left_hand(wrist, size, (float(high[0]), float(deep[0])), fat)
    return {**vars(body), **vars(hand)}


@lru_cache(maxsize=8)
def left_parts(model_type: str, a: Anatomy) -> dict[str, Array]:
    """Vertices of every part by name, floor frame: the left ones of pairs, all of ``head`` and ``mouth``."""
    detail = DETAIL[model_type]
    skull = Skull(a, Trunk(a))
    azimuth, rows = detail_azimuth(detail), detail_rows(detail)
    grid = np.broadcast_arrays(azimuth[None], rows[:, None])
    eye, eye_end = left_eye(skull, detail.eye, ball=detail.eyeballs)
    lips, lips_end = mouth(skull, detail.mouth)
    ear, ear_end = left_ear(skull, detail.ear)
    crown = skull.loft(np.zeros(1), np.ones(1)) * (0, 1, 1)
    out = {
        **left_limbs(a),
        **{"head": skull.world(skull.loft(*grid)), "crown": skull.world(crown)},
        **{"eye": skull.world(eye), "eye_end": skull.world(eye_end)[None]},
        **{"mouth": skull.world(lips), "mouth_end": skull.world(lips_end)[None]},
        **{"ear": skull.world(ear), "ear_end": skull.world(ear_end)[None]},
    }
    if detail.eyeballs:
        ball, front = left_eyeball()
        out["ball"] = skull.world(EYE + ball)
        out["ball_end"] = skull.world(EYE + front)[None]
    return out


@dataclass(eq=False)
class Assembly:
    """All parts numbered and joined, on the neutral build.

    Attributes
    ----------
    surface : the vertices (some unused, in holes) and triangles.
    left, right : part -> its vertex numbers; ``right`` lacks parts that are not pairs.
    """

    model_type: str
    surface: Surface = field(default_factory=Surface)
    left: dict[str, Array] = field(default_factory=dict)
    right: dict[str, Array] = field(default_factory=dict)


def assemble(model_type: str) -> Assembly:
    """Build the mesh of a model type on the neutral person."""
    parts = left_parts(model_type, NEUTRAL)
    out = Assembly(model_type)
    surface, left, right = out.surface, out.left, out.right
    trunk = surface.add(np.concatenate([parts["trunk"], parts["trunk"][:, -2:0:-1] * MIRROR], axis=1))
    surface.strips(trunk, drop=_shoulder_holes(surface.points[trunk]))
    columns = trunk.shape[1]
    left["trunk"] = trunk[:, : HALF + 1]
    right["trunk"] = trunk[:, -np.arange(HALF + 1) % columns]
    left["crotch"] = surface.add(parts["crotch"])
    for side, numbers in ((1, left), (-1, right)):
        _limbs(surface, parts, numbers, left["crotch"], side)
        _hand(surface, parts, numbers, side)
        if "ball" in parts:
            numbers["ball"] = surface.grid(parts["ball"] * (side, 1, 1), flip=side < 0)
            top = surface.cap(numbers["ball"][-1, 0], parts["ball_end"][0] * (side, 1, 1))
            numbers["ball_end"] = np.array([top])
    _head(out, parts, trunk[-1, 0])
    return out


def _shoulder_holes(points: Array) -> Array:
    """(rows, columns) bool: vertices of the trunk that the arms replace."""
    shoulder = NEUTRAL.joints()[16]
    up = (points[..., 1] - shoulder[1] + 0.028) / 0.068
    ahead = (points[..., 2] + 0.020) / 0.064
    return np.asarray((up**2 + ahead**2 < 1) & (np.abs(points[..., 0]) > 0.09))


def _limbs(surface: Surface, parts: dict[str, Array], numbers: dict[str, Array], crotch: Array, side: int) -> None:
    """Arm, leg and foot of one side, joined to the trunk and to each other."""
    flip, mirror = side < 0, (side, 1, 1)
    top = np.append(numbers["trunk"][0], crotch)
    leg = surface.add(parts["leg"] * mirror)
    surface.strips(np.concatenate([top[None], leg]), flip=not flip)
    foot = parts["foot"] * mirror
    heel_height = parts["leg"][-1, :, 1].mean()
    above = (foot[..., 1] > 0.42 * foot[..., 1].max(1, keepdims=True)) & (foot[..., 1] > 0.036)
    ankle = parts["leg"][-1].mean(0)
    above &= np.abs(foot[..., 2] - ankle[2] - 0.004) < 0.040
    above &= np.abs(np.abs(foot[..., 0]) - ankle[0]) < 0.027
    above &= foot[..., 1] > 0.30 * heel_height
    ids = surface.grid(foot, flip=flip, drop=above)
    heel = surface.cap(ids[0, 0], parts["ends"][0] * mirror)
    toe = surface.cap(ids[-1, 0], parts["ends"][1] * mirror)
    surface.seam(leg[-1, 0], _below(ids, above))
    arm = surface.grid(parts["arm"] * mirror, flip=flip)
    hole = _rim_of_hole(numbers["trunk"], surface)
    surface.seam(hole, arm[0, 0])
    numbers |= {"arm": arm, "leg": leg, "foot": ids, "ends": np.array([heel, toe])}


def _rim_of_hole(grid: Array, surface: Surface) -> int:
    """A vertex on the rim of the hole inside a grid: the one just below the hole."""
    used = np.isin(grid, np.unique(surface.triangles()))
    gone = np.argwhere(~used)
    row, column = gone[0]
    return int(grid[row - 1, column])


def _hand(surface: Surface, parts: dict[str, Array], numbers: dict[str, Array], side: int) -> None:
    """Palm, fingers and thumb of one side, joined to the arm."""
    flip, mirror = side < 0, (side, 1, 1)
    palm = surface.grid(parts["palm"] * mirror, flip=flip, drop=left_hand.thumb_hole())
    fingers, tips = [], []
    for f in range(4):
        ids = surface.add(parts["fingers"][f] * mirror)
        surface.strips(np.concatenate([palm[-1][left_hand.finger_base(f)][None], ids]), flip=flip)
        tips.append(surface.cap(ids[-1, 0], parts["tips"][f] * mirror))
        fingers.append(ids)
    thumb = surface.grid(parts["thumb"] * mirror, flip=flip)
    tips.append(surface.cap(thumb[-1, 0], parts["tips"][4] * mirror))
    surface.seam(thumb[0, 0], palm[1, 4 * left_hand.LANES])
    surface.seam(numbers["arm"][-1, 0], palm[0, 0])
    numbers |= {"palm": palm, "fingers": np.array(fingers), "thumb": thumb, "tips": np.array(tips)}


def _head(out: Assembly, parts: dict[str, Array], neck: int) -> None:
    """Head with eyes, mouth and ears, joined to the neck's last row."""
    surface, grid = out.surface, parts["head"]
    skull = Skull(NEUTRAL, Trunk(NEUTRAL))
    local = (grid - skull.world(np.zeros(3))) / NEUTRAL.head_scale()
    x, y, z = np.abs(local[..., 0]), local[..., 1], local[..., 2]
    eye = (((x - EYE[0]) / 0.0215) ** 2 + ((y - EYE[1]) / 0.0137) ** 2 < 1) & (z > 0)
    mouth_hole = ((x / 0.0362) ** 2 + ((y - MOUTH_HEIGHT + 0.0012) / 0.0200) ** 2 < 1) & (z > 0)
    ear = (((z - EAR[1]) / 0.0150) ** 2 + ((y - EAR[0]) / 0.0270) ** 2 < 1) & (x > 0.03)
    ids = surface.grid(grid, drop=eye | mouth_hole | ear)
    out.left["head"] = ids
    out.left["crown"] = np.array([surface.cap(ids[-1, 0], parts["crown"][0])])
    surface.seam(neck, ids[0, 0])
    left_half = local[..., 0] > 0
    for side, numbers in ((1, out.left), (-1, out.right)):
        own = left_half if side > 0 else ~left_half
        for name, hole in (("eye", eye), ("ear", ear)):
            _patch(surface, numbers, parts, name, side, _below(ids, hole & own))
    _patch(surface, out.left, parts, "mouth", 1, _below(ids, mouth_hole))


def _below(ids: Array, hole: Array) -> int:
    row, column = np.argwhere(hole)[0]
    return int(ids[row - 1, column])


def _patch(
    surface: Surface, numbers: dict[str, Array], parts: dict[str, Array], name: str, side: int, rim: int
) -> None:
    """Set rings of vertices into the hole whose rim passes through ``rim``."""
    ids = surface.grid(parts[name] * (side, 1, 1), flip=side < 0)
    surface.seam(rim, ids[0, 0])
    end = surface.cap(ids[-1, 0], parts[name + "_end"][0] * (side, 1, 1))
    numbers |= {name: ids, name + "_end": np.array([end])}
