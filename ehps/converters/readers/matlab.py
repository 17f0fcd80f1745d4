"""Arrays of MATLAB files of any version; their axes are the reverse of MATLAB's, as HDF5 readers show them.

Files from version 7.3 on are HDF5, older ones have a format of their own. Neither can hold code that reading runs.
"""

from __future__ import annotations

import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ehps.converters.readers import opened, raw_files
from ehps.errors import DataError
from ehps.foreign_files import check_unfolded, regular
from ehps.humandata import hdf5_files

BROKEN = (OSError, ValueError, TypeError, KeyError, EOFError, NotImplementedError, zlib.error)


def load_mat(path: Path, names: str, optional: str = "") -> dict[str, npt.NDArray[Any]]:
    """The arrays called ``names``, and those of ``optional`` that are there (names separated by blanks).

    Raises
    ------
    DataError : the file is missing or broken, or lacks one of ``names``.
    """
    from scipy.io.matlab import MatReadError

    opened.note(path)
    try:
        data = _members(path, [*names.split(), *optional.split()])
    except (*BROKEN, MatReadError):
        raise DataError("is no readable MATLAB file", path=path, fix=raw_files.AGAIN) from None
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
