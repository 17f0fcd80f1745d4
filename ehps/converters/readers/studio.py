"""Parsed studio releases (Human3.6M, MPI-INF-3DHP): COCO-style rows, and by frame joints and fits in the world.

Joints (17, millimetres) and NeuralAnnot's fits (neutral SMPL-X, body only, metres) are shared by all cameras and lie in
files of three levels of keys; cameras are pinholes with ``x = R X + t``, t in millimetres.
Source: the releases that the loaders of Hand4Whole, OSX and NeuralAnnot read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ehps.arrays import Array
from ehps.body.params import BodyParams
from ehps.converters import ranges
from ehps.converters.base import ODD_ROWS, Rigid, Unit, filter_records
from ehps.converters.readers import OTHER, coco, fields, json_stream, neural_annot, opened, raw_files
from ehps.converters.readers.fields import Field, Record, numbers
from ehps.errors import DataError

Keys = tuple[str, str, str]

JOINTS = {"": 51}
FITS = {
    "neuralannot": {"root_pose": 3, "body_pose": 63, "shape": 10, "trans": 3},
    neural_annot.SMPL: {"pose": 72, "shape": 10, "trans": 3},
}
"""Numbers of a fit by name, of each choice of fits."""


@dataclass
class Captured:
    """Rows of a unit that have joints and, where fits are wanted, a fit.

    Attributes
    ----------
    rows : what the images say, with ``bbox`` and ``annotation_id``.
    joints : (N, 17, 3) in the world, metres.
    body : SMPL-X or SMPL in the world, None without fits.
    dropped : reason -> image paths.
    """

    rows: list[Record]
    image_path: list[str]
    joints: Array
    body: BodyParams | None = None
    dropped: dict[str, list[str]] = field(default_factory=dict)

    def column(self, key: str) -> Array:
        return raw_files.column(self.rows, key)

    @property
    def size(self) -> Array:
        """(N, 2) height and width."""
        return np.stack([self.column("height"), self.column("width")], axis=1)


def captured(
    unit: Unit,
    joints: Path,
    fits: Path | None,
    choice: str,
    wanted: Callable[[Record], bool],
    frame_of: Callable[[Record], Keys],
    path_of: Callable[[Record], str],
    numbered: Mapping[str, Field],
) -> Captured:
    """Rows of a unit of :func:`units`.

    Parameters
    ----------
    joints : file of the joints by frame.
    fits : file of the fits by frame, None where none are wanted.
    choice : the value of the option ``fits``, which says what bodies they are.
    wanted : whether a row was asked for.
    frame_of : keys of a row in the files by frame.
    path_of : image of a row.
    numbered : what ``wanted`` and ``frame_of`` look at.

    Raises
    ------
    DataError : a file is missing, truncated or of another kind.
    """
    left_out: dict[str, list[str]] = {}
    annotations, images = coco.read(unit, left_out, {"bbox": numbers(4)}, coco.SIZE | dict(numbered))
    found = [
        images[a["image_id"]] | {"bbox": a["bbox"], "annotation_id": a["id"], "id": path_of(images[a["image_id"]])}
        for a in annotations
        if wanted(images[a["image_id"]])
    ]
    world, bodies = by_frame(joints, JOINTS), None if fits is None else by_frame(fits, FITS[choice])
    model_type = "SMPL" if choice == neural_annot.SMPL else "SMPL-X"
    body_of = neural_annot.world_smpl if choice == neural_annot.SMPL else neural_annot.world_smplx

    def unusable(row: Record) -> str:
        key = frame_of(row)
        if key not in world.places:
            return world.odd.get(key, "no 3D joints")
        return "" if bodies is None or key in bodies.places else bodies.odd.get(key, f"no {model_type} fit")

    rows, dropped = filter_records(found, unusable)
    dropped |= left_out
    keys = [frame_of(row) for row in rows]
    return Captured(
        rows,
        [row["id"] for row in rows],
        ranges.within(world.of(keys)[""].reshape(-1, 17, 3) / 1000, ranges.METRES),
        None if bodies is None else body_of(bodies.of(keys)),
        dropped,
    )


@dataclass(frozen=True)
class ByFrame:
    """What a file has by three keys.

    Attributes
    ----------
    places : where each entry is.
    values : (F, k) by name, '' where entries are lists.
    odd : what is wrong with entries that are of another form.
    """

    places: Mapping[Keys, int]
    values: Mapping[str, Array]
    odd: Mapping[Keys, str]

    def of(self, keys: Sequence[Keys]) -> dict[str, Array]:
        """(N, k) values of keys that are there."""
        rows = np.array([self.places[key] for key in keys], int)
        return {name: value[rows] for name, value in self.values.items()}


def by_frame(path: Path, sizes: Mapping[str, int]) -> ByFrame:
    """Entries of a file of three levels of keys; the last few files stay in memory as arrays.

    Parameters
    ----------
    sizes : name -> numbers in an entry, however nested; '' when entries are lists.

    Raises
    ------
    DataError : the file is missing or truncated, or most of its entries are of another form.
    """
    return _by_frame(path, tuple(sizes.items()))


@opened.remembered(2)
def _by_frame(path: Path, sizes: tuple[tuple[str, int], ...]) -> ByFrame:
    places: dict[Keys, int] = {}
    odd: dict[Keys, str] = {}
    said: list[str] = []
    values: dict[str, list[Array]] = {name: [] for name, _ in sizes}
    known = {name or "joints": numbers(size) for name, size in sizes}
    for first, second, frames in json_stream.entries(path):
        for frame, entry in fields.items(frames, path, f"{first}/{second}").items():
            if not entry:
                continue
            found = entry if "joints" not in known else {"joints": entry}
            wrong = fields.odd_ones([found], known, "frames")
            if wrong:
                odd[first, second, frame] = f"{path.name}: {wrong[0][0]}"
                said.append(f"{first}/{second}/{frame} {wrong[0][1]}")
                continue
            for name, size in sizes:
                values[name].append(np.asarray(found[name or "joints"], float).reshape(size))
            places[first, second, frame] = len(places)
    if len(odd) > ODD_ROWS * (len(odd) + len(places)):
        raise DataError(f"{len(odd)} entries are of another form, the first: {said[0]}", path=path, fix=OTHER)
    return ByFrame(places, {name: np.reshape(values[name], (-1, size)) for name, size in sizes}, odd)


def cameras(path: Path, keys: Sequence[tuple[str, ...]], focal: str, centre: str) -> tuple[Array, Array, Rigid]:
    """(N, 2) focal lengths and principal points of the cameras of N rows, and world to camera, metres.

    Parameters
    ----------
    keys : of each row's camera in the file.
    focal : what the file calls the focal length.
    centre : what the file calls the principal point.

    Raises
    ------
    DataError : the camera of a row is not in the file.
    """
    content = raw_files.read_json(path)
    places = {key: n for n, key in enumerate(dict.fromkeys(keys))}
    known = {focal: numbers(2), centre: numbers(2), "R": numbers(3, 3), "t": numbers(3)}
    found = []
    for key in places:
        node = content
        for depth, word in enumerate(key):
            node = fields.items(node, path, "/".join(key[:depth])).get(word)
            if not node:
                raise DataError(f"has no camera {'/'.join(key)}", path=path, fix=OTHER)
        found.append(fields.values(node, known, path, f"camera {'/'.join(key)}"))
    row = np.array([places[key] for key in keys])
    f, c, rotation, translation = (np.array([camera[name] for camera in found], float)[row] for name in known)
    return f, c, Rigid(rotation, translation / 1000)
