"""Arrays of MATLAB files of any version; their axes are the reverse of MATLAB's, as HDF5 readers show them.

Files from version 7.3 on are HDF5, older ones have a format of their own. Neither can hold code that reading runs.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ehps.converters.readers import AGAIN, OTHER, opened, raw_files
from ehps.errors import EhpsError
from ehps.foreign_files import check_unfolded, regular, unreadable
from ehps.humandata import hdf5_files

FORMATS = ("a MATLAB file", "a MATLAB 7.3 file", "an HDF5 file")


def load_mat(path: Path, names: str, optional: str = "") -> dict[str, npt.NDArray[Any]]:
    """The arrays called ``names``, and those of ``optional`` that are there (names separated by blanks).

    Raises
    ------
    DataError : the file is missing, cut short or another kind of file, which is named, or lacks one of ``names``.
    """

    opened.note(path)
    try:
        data = _members(path, [*names.split(), *optional.split()])
    except EhpsError:
        raise
    except Exception:  # a damaged file can make scipy raise nearly anything
        raise unreadable(path, "a MATLAB file", AGAIN, OTHER, FORMATS) from None
    raw_files.require(data, names, path)
    return data


def _members(path: Path, wanted: list[str]) -> dict[str, npt.NDArray[Any]]:
    import h5py
    from scipy.io import loadmat, whosmat

    regular(path)
    if h5py.is_hdf5(path):
        with hdf5_files.opened(path) as file:
            return {name: file[name][()] for name in wanted if isinstance(file.get(name), h5py.Dataset)}
    shapes = [shape for name, shape, _ in whosmat(path) if name in wanted]
    check_unfolded(8 * sum(math.prod(shape) for shape in shapes), path.stat().st_size, path)
    stored = loadmat(path, variable_names=wanted)
    return {name: np.asarray(stored[name]).T for name in wanted if name in stored}
