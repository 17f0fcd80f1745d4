"""What EgoBody's two sets share: recordings of a split, calibrations, and where the per-frame SMPL-X fits lie.

The fits are in the frame of the master Kinect's colour camera (OpenCV axes), hands as 12 PCA coefficients
relative to the mean hand, gendered models.
Source: Zhang et al., "EgoBody", ECCV 2022, and the read-me of the release.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ehps.converters.readers import OTHER, fields, raw_files
from ehps.converters.readers.csv_files import Row, read_csv
from ehps.errors import DataError
from ehps.genders import BY_WORD

SINGULAR = 1e-6
INFO = "recording_name scene_name start_frame end_frame body_idx_0 body_idx_1 body_idx_fpv"


@dataclass(frozen=True)
class Recording:
    """One row of ``data_info_release.csv``: usable frames are ``start`` to ``end``, both included."""

    name: str
    scene: str
    start: int
    end: int
    genders: tuple[str, str]  # of body 0 and body 1
    interactee: int  # index of the body that the camera wearer looks at

    def body(self, role: str) -> int:
        return self.interactee if role == "interactee" else 1 - self.interactee


def recordings(root: Path, split: str) -> list[Recording]:
    """Recordings of a split, in the order of ``data_splits.csv``.

    Raises
    ------
    DataError : a recording of the split is not described in ``data_info_release.csv``.
    """
    described = root / "data_info_release.csv"
    info: dict[str, Row] = {}
    for row in read_csv(described, INFO):
        name = row.text("recording_name")
        if name in info:
            raise DataError(f"describes recording {name} in lines {info[name].line} and {row.line}", path=described)
        info[name] = row
    found = [_recording(info, name, described) for name in _names(root / "data_splits.csv", split)]
    return list(dict.fromkeys(found))


def _names(path: Path, split: str) -> list[str]:
    """The column of a split, which may be shorter than others.

    Raises
    ------
    DataError : a cell in between is empty.
    """
    rows = read_csv(path, split)
    while rows and not rows[-1].cells[split]:
        rows.pop()
    return [row.text(split) for row in rows]


def _recording(info: Mapping[str, Row], name: str, path: Path) -> Recording:
    if name not in info:
        raise DataError(
            f"recording {name} is not described",
            path=path,
            fix="take data_info_release.csv and data_splits.csv from one release",
        )
    row = info[name]
    genders = [_words(row, f"body_idx_{i}", str(i))[1] for i in (0, 1)]
    return Recording(
        name,
        row.text("scene_name"),
        row.integer("start_frame"),
        row.integer("end_frame"),
        (genders[0], genders[1]),
        int(_words(row, "body_idx_fpv", "01")[0]),
    )


def _words(row: Row, column: str, numbers: str) -> tuple[str, str]:
    """Number of a body, one of ``numbers``, and its gender, of a cell such as ``0 female``.

    Raises
    ------
    DataError : it is another cell.
    """
    words = row.text(column).split()
    if len(words) != 2 or words[0] not in numbers or words[1] not in BY_WORD:
        what = f"line {row.line}: {column} is {row.cells[column]!r}, expected {' or '.join(numbers)} and a gender"
        raise DataError(what, path=row.path, fix=OTHER)
    return words[0], words[1]


def fit_path(root: Path, split: str, recording: Recording, role: str, frame: int) -> Path:
    """Where the fit of ``role`` (``interactee`` or ``camera_wearer``) in a frame lies."""
    folder = root / f"smplx_{role}_{split}" / recording.name / f"body_idx_{recording.body(role)}"
    return folder / "results" / f"frame_{frame:05d}" / "000.pkl"


def inverse(path: Path) -> np.ndarray:
    """(4, 4) inverse of the motion in a calibration file (``{"trans": ...}``).

    Raises
    ------
    DataError : it has none.
    """
    content = fields.values(raw_files.read_json(path), {"trans": fields.numbers(4, 4)}, path, finite=False)
    motion = content["trans"].astype(float)
    if abs(np.linalg.det(motion)) < SINGULAR:
        raise DataError(f"trans is no motion: its determinant is {np.linalg.det(motion):.3g}", path=path, fix=OTHER)
    return np.asarray(np.linalg.inv(motion))
