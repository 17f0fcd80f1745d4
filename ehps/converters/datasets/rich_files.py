"""Readers of RICH's files: calibrations of its scenes, the toolkit's lists of views, contact labels."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from ehps.arrays import Array
from ehps.converters.readers import AGAIN, OTHER, fields, raw_files
from ehps.converters.readers.views import CalibratedView, lens_of
from ehps.errors import DataError

Listed = dict[str, dict[str, tuple[int, ...]]]
"""Sequence -> subject -> numbers of cameras."""

LONG, SHORT, UPRIGHT_BELOW = 4112, 3008, 1750  # px of full-size images; principal points of portrait ones are below
COEFFICIENTS = 14  # the most that OpenCV has
VERTICES = 6890
CALIBRATION = {
    "CameraMatrix": fields.numbers(3, 4),
    "Intrinsics": fields.numbers(3, 3),
    "Distortion": fields.numbers("coefficients", optional=True),
}


def read_view(path: Path, folder: str) -> CalibratedView:
    """The camera whose images are in a folder, for images of full size.

    ``distortion`` are 14 coefficients, zeros behind those that are given.

    Raises
    ------
    DataError : the file is no calibration.
    """
    try:
        raw_files.note(path)
        tree = ElementTree.parse(path).getroot()
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        line = f" (line {error.position[0]})" if isinstance(error, ElementTree.ParseError) else ""
        raise DataError(f"is no complete XML{line}", path=path, fix=AGAIN) from None
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=path, fix=AGAIN) from None
    found = {name: _matrix(tree, name, path) for name in CALIBRATION if tree.find(f".//{name}/data") is not None}
    values = fields.values(found, CALIBRATION, path, finite=False)
    pose, k, lens = values["CameraMatrix"], values["Intrinsics"], values.get("Distortion", np.zeros(0))
    if len(lens) > COEFFICIENTS:
        raise DataError(f"Distortion has {len(lens)} numbers, expected {COEFFICIENTS} at most", path=path, fix=OTHER)
    focal, centre = lens_of(k, path, "Intrinsics")
    full = (SHORT, LONG) if k[0, 2] > UPRIGHT_BELOW else (LONG, SHORT)
    return CalibratedView(
        name=folder,
        size=full,
        focal=focal,
        principal_point=centre,
        rotation=pose[:, :3],
        translation=pose[:, 3],
        distortion=np.pad(lens, (0, COEFFICIENTS - len(lens))),
    )


def _matrix(tree: ElementTree.Element, name: str, path: Path) -> Array:
    """The numbers of a matrix, as many as its ``rows`` and ``cols`` say where it has these."""
    texts = [(tree.findtext(f".//{name}/{part}") or "").strip() for part in ("data", "rows", "cols")]
    try:
        values = np.array(texts[0].split(), float)
    except ValueError:
        raise DataError(f"{name} holds {texts[0][:60]!r}, expected numbers", path=path, fix=OTHER) from None
    rows, columns = texts[1:]
    if (rows or columns) and not (rows.isdecimal() and columns.isdecimal() and int(rows) * int(columns) == len(values)):
        what = f"{name} has {len(values)} numbers, but its rows and cols are {rows!r} and {columns!r}"
        raise DataError(what, path=path, fix=OTHER)
    return values


def read_listed(path: Path) -> Listed:
    """The cameras that a list of the toolkit names for each person of each sequence.

    Raises
    ------
    DataError : a line is of another kind.
    """
    listed: Listed = {}
    for line in raw_files.read_lines(path)[1:]:
        words = line.split()
        if len(words) < 5 or not all(view.isdecimal() for view in words[-1].split(",")):
            raise DataError(f"has a line of another kind: {line!r}", path=path, fix=OTHER)
        listed.setdefault(words[0], {})[words[3]] = tuple(int(view) for view in words[-1].split(","))
    return listed


def read_contact(path: Path) -> tuple[Array, bool]:
    """Labels (6890,) of SMPL's vertices of a person, and whether there are any; zeros where there are not."""
    if not raw_files.is_file(path):
        return np.zeros(VERTICES, np.uint8), False
    content = fields.values(raw_files.load_pkl(path), {"contact": fields.numbers(VERTICES)}, path)
    return (content["contact"] > 0).astype(np.uint8), True
