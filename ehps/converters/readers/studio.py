"""Parsed studio releases (Human3.6M, MPI-INF-3DHP): COCO-style rows, and by frame joints and fits in the world.

Joints (17, millimetres) and NeuralAnnot's fits (neutral SMPL-X, body only, metres) are shared by all cameras and lie in
files of three levels of keys; cameras are pinholes with ``x = R X + t``, t in millimetres.
Source: the releases that the loaders of Hand4Whole, OSX and NeuralAnnot read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ehps.arrays import Array
from ehps.body.params import BodyParams
from ehps.converters.base import Rigid, Unit, filter_records
from ehps.converters.readers import coco, json_stream, neural_annot, opened, raw_files
from ehps.errors import DataError

Record = dict[str, Any]
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


def units(path: Path, name: str, beside: Sequence[Path]) -> list[Unit]:
    """Units of the rows in ``path``; what was made of other files ``beside`` it is not taken up again."""
    return coco.units(path, name, [neural_annot.stamp(file.parent, [file.name]) for file in beside])


def captured(
    unit: Unit,
    joints: Path,
    fits: Path | None,
    choice: str,
    wanted: Callable[[Record], bool],
    frame_of: Callable[[Record], Keys],
    path_of: Callable[[Record], str],
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

    Raises
    ------
    DataError : a file is missing, truncated or of another kind.
    """
    annotations, images = coco.read(unit)
    found = [
        images[a["image_id"]] | {"bbox": a["bbox"], "annotation_id": a["id"], "id": path_of(images[a["image_id"]])}
        for a in annotations
        if wanted(images[a["image_id"]])
    ]
    world, bodies = by_frame(joints, JOINTS), None if fits is None else by_frame(fits, FITS[choice])
    model_type = "SMPL" if choice == neural_annot.SMPL else "SMPL-X"
    body_of = neural_annot.world_smpl if choice == neural_annot.SMPL else neural_annot.world_smplx

    def unusable(row: Record) -> str:
        if frame_of(row) not in world.places:
            return "no 3D joints"
        return f"no {model_type} fit" if bodies is not None and frame_of(row) not in bodies.places else ""

    rows, dropped = filter_records(found, unusable)
    keys = [frame_of(row) for row in rows]
    return Captured(
        rows,
        [row["id"] for row in rows],
        world.of(keys)[""].reshape(-1, 17, 3) / 1000,
        None if bodies is None else body_of(bodies.of(keys)),
        dropped,
    )


@dataclass(frozen=True)
class ByFrame:
    """What a file has by three keys: where each entry is, and (F, k) values by name, '' where entries are lists."""

    places: Mapping[Keys, int]
    values: Mapping[str, Array]

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
    DataError : the file is missing or truncated, or an entry lacks a value or has one of another size.
    """
    return _by_frame(path, tuple(sizes.items()))


@opened.remembered(2)
def _by_frame(path: Path, sizes: tuple[tuple[str, int], ...]) -> ByFrame:
    places: dict[Keys, int] = {}
    values: dict[str, list[Array]] = {name: [] for name, _ in sizes}
    for first, second, frames in json_stream.entries(path):
        if not isinstance(frames, dict):
            raise DataError(f"{first}/{second} has no frames by number", path=path, fix=raw_files.AGAIN)
        for frame, entry in frames.items():
            if not entry:
                continue
            place = f"{first}/{second}/{frame}"
            if lacking := [name for name, _ in sizes if name and name not in entry]:
                raise DataError(f"{place} has no {', '.join(lacking)}", path=path, fix=raw_files.AGAIN)
            for name, size in sizes:
                try:
                    values[name].append(np.asarray(entry[name] if name else entry, float).reshape(size))
                except (TypeError, ValueError):
                    what = f"{place} has not {size} numbers {name}".rstrip()
                    raise DataError(what, path=path, fix=raw_files.AGAIN) from None
            places[first, second, frame] = len(places)
    return ByFrame(places, {name: np.reshape(values[name], (-1, size)) for name, size in sizes})


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
    found = []
    for key in places:
        node = content
        for word in key:
            node = node.get(word, {})
        if not node:
            raise DataError(f"has no camera {'/'.join(key)}", path=path, fix=raw_files.AGAIN)
        found.append(node)
    row = np.array([places[key] for key in keys])
    f, c, rotation, translation = (
        np.array([np.ravel(camera[name]) for camera in found], float)[row] for name in (focal, centre, "R", "t")
    )
    return f, c, Rigid(rotation.reshape(-1, 3, 3), translation / 1000)
