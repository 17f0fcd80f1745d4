"""What EgoBody's two sets share: recordings of a split, calibrations, and where the per-frame SMPL-X fits lie.

The fits are in the frame of the master Kinect's colour camera (OpenCV axes), hands as 12 PCA coefficients
relative to the mean hand, gendered models.
Source: Zhang et al., "EgoBody", ECCV 2022, and the read-me of the release.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ehps.converters.readers import raw_files
from ehps.errors import DataError


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
    splits = raw_files.read_csv(root / "data_splits.csv")
    info = raw_files.read_csv(root / "data_info_release.csv").set_index("recording_name")
    out = []
    for name in (str(cell).strip() for cell in splits[split].dropna()):
        if not name:
            continue
        if name not in info.index:
            raise DataError(
                f"recording {name} is not described",
                path=root / "data_info_release.csv",
                fix="take data_info_release.csv and data_splits.csv from one release",
            )
        row: Any = info.loc[name]
        genders = tuple(str(row[f"body_idx_{i}"]).split()[1] for i in (0, 1))
        out.append(
            Recording(
                name,
                str(row["scene_name"]),
                int(row["start_frame"]),
                int(row["end_frame"]),
                (genders[0], genders[1]),
                int(str(row["body_idx_fpv"]).split()[0]),
            )
        )
    return out


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
    try:
        return np.linalg.inv(np.array(raw_files.read_json(path)["trans"], float).reshape(4, 4))
    except (np.linalg.LinAlgError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"holds no motion of a camera ({error})", path=path, fix=raw_files.AGAIN) from None
