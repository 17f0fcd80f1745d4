"""Keypoint conventions: named point lists, conversion by name, flip pairs, parts, limbs.

A convention is a list of point names (``keypoints.json``, exported from the tables of mmhuman3d, SMPLer-X,
SMPLest-X and smplx). The hub is ``human_data`` (190 points), whose slots 0..143 are the joints of SMPL-X with
face contour. Conversion copies points by identical name and computes nothing: no mid-hip, no neck between
shoulders.

The conversion gives what mmhuman3d's ``convert_kps`` gives, but for three of its quirks: ours keeps the float
type (there: always float64), its masks are always uint8, and its cache is keyed by the point names, not by
the name of the convention.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, lru_cache
from importlib.resources import files
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ehps.arrays import Array
from ehps.errors import DataError, UsageError, did_you_mean

Indices: TypeAlias = npt.NDArray[np.intp]
Convention: TypeAlias = str | Sequence[str]


class _Conventions(Mapping[str, tuple[str, ...]]):
    """Convention -> point names in order; the file is read on first use."""

    @staticmethod
    @cache
    def _table() -> dict[str, tuple[str, ...]]:
        text = files("ehps.humandata").joinpath("keypoints.json").read_text(encoding="utf-8")
        return {name: tuple(points) for name, points in json.loads(text).items()}

    def __getitem__(self, name: str) -> tuple[str, ...]:
        return self._table()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._table())

    def __len__(self) -> int:
        return len(self._table())


CONVENTIONS: Mapping[str, tuple[str, ...]] = _Conventions()

_OPENPOSE_TWINS = [
    f"{side}_{joint}"
    for side in ("left", "right")
    for joint in ("shoulder", "elbow", "wrist", "knee", "ankle", "eye", "ear", "bigtoe", "smalltoe", "heel")
]

APPROXIMATE: tuple[tuple[str, ...], ...] = (
    ("pelvis", "pelvis_openpose", "pelvis_extra"),
    ("left_hip", "left_hip_openpose", "left_hip_extra"),
    ("right_hip", "right_hip_openpose", "right_hip_extra"),
    ("neck", "neck_openpose", "neck_extra"),
    ("jaw", "jaw_extra"),
    ("head_extra", "head_h36m"),
    ("headtop", "headtop_h36m"),
    ("left_hand", "left_hand_3dhp"),
    ("right_hand", "right_hand_3dhp"),
    ("nose", "nose_openpose"),
    *((name, f"{name}_openpose") for name in _OPENPOSE_TWINS),
)
"""Points that may stand in for each other in an approximate conversion, tried in this order."""

_ALTERNATIVES = {name: tuple(other for other in group if other != name) for group in APPROXIMATE for name in group}

_PART_SLOTS: dict[str, tuple[int, ...]] = {
    "head": (
        15, *range(22, 25), *range(55, 60), *range(76, 144), 147, *range(151, 154), *range(168, 172),
        *range(185, 188),
    ),
    "left_hand": (*range(25, 40), *range(66, 71), 181, 188),
    "right_hand": (*range(40, 55), *range(71, 76), 182, 189),
    "shoulder": (16, 17, 155, 158),
    "hip": (1, 2, 144, 145, 162, 165),
    "body": (
        *range(15), *range(16, 22), *range(60, 66), *range(144, 147), *range(148, 151), *range(154, 168),
        *range(172, 181), 183, 184,
    ),
}  # fmt: skip

PARTS = tuple(_PART_SLOTS)


def point_names(convention: Convention, *, fixed: bool = False) -> tuple[str, ...]:
    """Point names of a convention, in order; a sequence of names is returned as a tuple.

    Parameters
    ----------
    convention : name (upper or lower case) or names.
    fixed : correct spellings that keep points from being found by name. Only ``openpose_137`` has such:
        its ten ``left_eye_brow_n`` / ``right_eye_brow_n`` reach no slot of ``human_data`` as they are, and
        become ``*_eyebrow_n`` (slots 76..85). Off by default, as files made by others lack these points.

    Raises
    ------
    UsageError : no such convention.
    """
    if not isinstance(convention, str):
        points = tuple(convention)
    elif convention.lower() in CONVENTIONS:
        points = CONVENTIONS[convention.lower()]
    else:
        fix = did_you_mean(convention, sorted(CONVENTIONS))
        raise UsageError(f"unknown keypoint convention {convention!r}", fix=fix)
    return tuple(p.replace("_eye_brow_", "_eyebrow_") for p in points) if fixed else points


def mapping(source: Convention, destination: Convention, approximate: bool = False) -> tuple[Indices, Indices]:
    """Which destination points are filled, and from which source points.

    Returns
    -------
    destination_indices : (M,) ascending. Read-only, shared between calls.
    source_indices : (M,), likewise.

    Raises
    ------
    UsageError : no such convention.
    """
    return _mapping(point_names(source), point_names(destination), approximate)


@lru_cache(maxsize=256)
def _mapping(source: tuple[str, ...], destination: tuple[str, ...], approximate: bool) -> tuple[Indices, Indices]:
    first = {name: index for index, name in reversed(list(enumerate(source)))}
    pairs = []
    for index, name in enumerate(destination):
        wanted = (name, *_ALTERNATIVES.get(name, ())) if approximate else (name,)
        found = next((first[w] for w in wanted if w in first), None)
        if found is not None:
            pairs.append((index, found))
    indices = np.array(pairs, dtype=np.intp).reshape(-1, 2).T.copy()
    indices.flags.writeable = False
    return indices[0], indices[1]


def convert(
    points: Array,
    source: Convention,
    destination: Convention,
    *,
    approximate: bool = False,
    mask: npt.ArrayLike | None = None,
) -> tuple[Array, npt.NDArray[np.uint8]]:
    """Points in another convention, by name.

    Parameters
    ----------
    points : (..., J, C), any leading axes; all C channels (coordinates, confidence) are copied alike.
    source : name of a convention, or a sequence of point names.
    destination : likewise.
    approximate : let the members of :data:`APPROXIMATE` stand in for each other where the exact
        point is missing.
    mask : (J,) which points the source really has; all of them by default.

    Returns
    -------
    points : (..., K, C), zeros where the source has no such point. The float type of the input is kept,
        integers become float64. When source and destination are equal this is the input itself, not a copy.
    mask : (K,) uint8, 1 where filled. A fractional source mask counts as 0.

    Raises
    ------
    UsageError : no such convention.
    DataError : the number of points is not that of the source convention.
    """
    points = np.asarray(points)
    from_names, to_names = point_names(source), point_names(destination)
    if points.ndim < 2 or points.shape[-2] != len(from_names):
        called = source if isinstance(source, str) else "the source convention"
        raise DataError(f"points of shape {points.shape}, but {called} has {len(from_names)} points")
    held = np.ones(len(from_names), np.uint8) if mask is None else np.asarray(mask).astype(np.uint8)
    if held.shape != (len(from_names),):
        raise DataError(f"mask of shape {held.shape} for {len(from_names)} points")
    if from_names == to_names:
        return points, held
    into, taken = _mapping(from_names, to_names, approximate)
    dtype = points.dtype if points.dtype.kind == "f" else np.dtype(np.float64)
    out = np.zeros((*points.shape[:-2], len(to_names), points.shape[-1]), dtype)
    out[..., _as_slice(into), :] = points[..., _as_slice(taken), :]
    out_mask = np.zeros(len(to_names), np.uint8)
    out_mask[into] = held[taken]
    return out, out_mask


def _as_slice(indices: Indices) -> slice | Indices:
    """A run of consecutive indices as a slice, which copies several times faster."""
    if len(indices) and indices[-1] - indices[0] == len(indices) - 1 and (np.diff(indices) == 1).all():
        return slice(int(indices[0]), int(indices[-1]) + 1)
    return indices


@lru_cache(maxsize=128)
def _flip_pairs(points: tuple[str, ...]) -> Indices:
    where: dict[str, list[int]] = {}
    for index, name in enumerate(points):
        where.setdefault(name, []).append(index)
    pairs = [
        sorted(pair)
        for name, left in where.items()
        if "left_" in name
        for pair in zip(left, where.get(name.replace("left_", "right_"), []), strict=False)
    ]
    out = np.array(sorted(pairs), dtype=np.intp).reshape(-1, 2)
    out.flags.writeable = False
    return out


def flip_pairs(convention: Convention) -> Indices:
    """(P, 2) indices of points that swap when the image is mirrored, lower index first, ascending."""
    return _flip_pairs(point_names(convention))


def flip_order(convention: Convention) -> Indices:
    """(J,) permutation: ``points[..., flip_order(c), :]`` are the points of the mirrored person.

    Coordinates are mirrored by the caller: x to ``width - 1 - x`` in pixels, x to ``-x`` in the camera frame.
    """
    order = np.arange(len(point_names(convention)))
    pairs = flip_pairs(convention)
    order[pairs] = pairs[:, ::-1]
    return order


def part_indices(convention: Convention, part: str) -> Indices:
    """Indices of the points that belong to a part, ascending.

    Parameters
    ----------
    part : head, left_hand, right_hand, body, shoulder or hip. Face boxes are made from ``head``; wrists
        belong to the body.

    Raises
    ------
    UsageError : no such convention or part.
    """
    if part not in _PART_SLOTS:
        raise UsageError(f"unknown part {part!r}", fix=f"parts are {', '.join(PARTS)}")
    hub = CONVENTIONS["human_data"]
    members = {hub[slot] for slot in _PART_SLOTS[part]}
    return np.array([i for i, name in enumerate(point_names(convention)) if name in members], dtype=np.intp)
