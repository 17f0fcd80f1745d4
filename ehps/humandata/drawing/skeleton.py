"""Which points of a list are joined by a line when persons are drawn: spine, limbs, fingers, face contours.

Conventions differ in what they have: SMPL-X has spine joints and collars, COCO no neck at all, H36M a thorax.
Lines are therefore kept as chains of points; points that a list does not have are skipped, and what stands
before and after them is joined directly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TypeAlias

Find: TypeAlias = Callable[[str], str | None]

SIDES = ("left", "right")
FINGERS = ("thumb", "index", "middle", "ring", "pinky")

SPINE = ("pelvis", "spine_1", "spine_2", "spine_extra", "spine_3", "spine_4_3dhp", "thorax_extra")

_OUTER_MOUTH = (
    "right_mouth_1 right_mouth_2 right_mouth_3 mouth_top left_mouth_3 left_mouth_2 left_mouth_1 "
    "left_mouth_5 left_mouth_4 mouth_bottom right_mouth_4 right_mouth_5"
)
_LIPS = "right_lip_1 right_lip_2 lip_top left_lip_2 left_lip_1 left_lip_3 lip_bottom right_lip_3"

FACE_LINES: tuple[tuple[str, ...], ...] = (
    (
        *(f"right_contour_{i}" for i in range(1, 9)),
        "contour_middle",
        *(f"left_contour_{i}" for i in range(8, 0, -1)),
    ),
    *(tuple(f"{side}_{brow}_{i}" for i in range(1, 6)) for side in SIDES for brow in ("eyebrow", "eye_brow")),
    tuple(f"nosebridge_{i}" for i in range(1, 5)),
    ("right_nose_2", "right_nose_1", "nose_middle", "left_nose_1", "left_nose_2"),
)
FACE_LOOPS: tuple[tuple[str, ...], ...] = (
    *(tuple(f"{side}_eye_{i}" for i in range(1, 7)) for side in SIDES),
    tuple(_OUTER_MOUTH.split()),
    tuple(_LIPS.split()),
)

# OpenPose-style points carry suffixes; a plain name stands for whichever of these a list has.
_VARIANTS = ("{}", "{}_extra", "{}_h36m", "{}_3dhp", "{}_openpose")


def limbs(names: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs of indices into ``names`` to be joined by a line, without duplicates.

    A list that holds two skeletons (``smpl_49``: 25 OpenPose points and 24 others) gets both, not joined.
    """
    have = set(names)
    families: list[tuple[str, ...]] = [_VARIANTS]
    if "left_knee" in have and "left_knee_openpose" in have:
        families = [_VARIANTS[:-1], ("{}_openpose",)]
    index = {name: i for i, name in reversed(list(enumerate(names)))}
    edges: dict[tuple[int, int], None] = {}
    for family in families:

        def find(name: str, family: tuple[str, ...] = family) -> str | None:
            return next((v.format(name) for v in family if v.format(name) in have), None)

        for chain in _chains(find):
            found = [point for point in map(find, chain) if point is not None]
            edges.update({(index[a], index[b]): None for a, b in pairwise(found) if a != b})
    for line in (*FACE_LINES, *(_closed(loop, have) for loop in FACE_LOOPS)):
        found = [point for point in line if point in have]
        edges.update({(index[a], index[b]): None for a, b in pairwise(found) if a != b})
    return list(edges)


def is_face(name: str) -> bool:
    """Whether a point is one of the dense face landmarks, drawn finer than the body."""
    return name in _FACE_POINTS


def is_hand(name: str) -> bool:
    """Whether a point belongs to a finger."""
    return name in _HAND_POINTS


def side(name: str) -> str:
    """``left``, ``right`` or ``middle``: the person's own side."""
    return next((word for word in SIDES if f"{word}_" in name), "middle")


def _closed(loop: tuple[str, ...], have: set[str]) -> tuple[str, ...]:
    found = tuple(point for point in loop if point in have)
    return (*found, found[0]) if len(found) > 2 else found


def _chains(find: Find) -> list[tuple[str, ...]]:
    """Body and hand chains that suit what the list has."""
    has_pelvis = find("pelvis") is not None
    throat = next((name for name in ("neck", "head_bottom_pt") if find(name)), None)
    top = "head" if find("head") or find("headtop") else "nose"
    chains: list[tuple[str, ...]] = [(*SPINE, throat or "", top, "headtop" if top == "head" else "")]
    if not has_pelvis:
        chains.append(("left_hip", "right_hip"))
    for s in SIDES:
        collar = any(find(f"{s}_{bone}") for bone in ("collar", "clavicle"))
        anchors = ("spine_3", "neck") if collar else ("thorax_extra", "neck", "head_bottom_pt")
        anchor = next((name for name in anchors if find(name)), None)
        arm = (f"{s}_collar", f"{s}_clavicle", f"{s}_shoulder", f"{s}_elbow", f"{s}_wrist")
        chains.append((anchor or "right_shoulder", *arm))
        if throat is None:
            chains.append((f"{s}_ear", f"{s}_shoulder"))
        trunk = "pelvis" if has_pelvis else throat or f"{s}_shoulder"
        chains.append((trunk, f"{s}_hip", f"{s}_knee", f"{s}_ankle"))
        chains += [(f"{s}_ankle", f"{s}_foot", f"{s}_{toe}") for toe in ("bigtoe", "smalltoe", "toe")]
        chains += [(f"{s}_ankle", f"{s}_heel"), ("nose", f"{s}_eye", f"{s}_ear")]
        chains += [(f"{s}_wrist", f"{s}_{tip}") for tip in ("hand", "finger")]
        chains += [
            (f"{s}_wrist", f"{s}_hand_root", *(f"{s}_{finger}_{i}" for i in (1, 2, 3)), f"{s}_{finger}")
            for finger in FINGERS
        ]
    return chains


_FACE_POINTS = frozenset(p for line in (*FACE_LINES, *FACE_LOOPS) for p in line)
_HAND_POINTS = frozenset(
    name for s in SIDES for f in FINGERS for name in (f"{s}_{f}", *(f"{s}_{f}_{i}" for i in range(1, 4)))
)
