"""Arrays of MATLAB files of any version; their axes are the reverse of MATLAB's, as HDF5 readers show them.

Files from version 7.3 on are HDF5, older ones have formats of their own. None can hold code that reading runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ehps.converters.readers import AGAIN, OTHER, matlab4, matlab5, opened, raw_files
from ehps.errors import EhpsError
from ehps.foreign_files import regular, unreadable
from ehps.humandata import hdf5_files

FORMATS = ("a MATLAB file", "a MATLAB 7.3 file", "an HDF5 file")


def load_mat(path: Path, names: str, optional: str = "") -> dict[str, npt.NDArray[Any]]:
    """The arrays called ``names``, and those of ``optional`` that are there (names separated by blanks).

    Raises
    ------
    DataError : the file is missing, cut short, damaged or another kind of file, which is named, or lacks one of
        ``names``.
    """

    opened.note(path)
    try:
        data = _members(path, [*names.split(), *optional.split()])
    except EhpsError:
        raise
    except matlab5.DamagedError as error:
        raise unreadable(path, "a MATLAB file", AGAIN, OTHER, FORMATS, str(error)) from None
    except Exception:  # a damaged file can make h5py raise nearly anything
        raise unreadable(path, "a MATLAB file", AGAIN, OTHER, FORMATS) from None
    raw_files.require(data, names, path)
    return data


def _members(path: Path, wanted: list[str]) -> dict[str, npt.NDArray[Any]]:
    import h5py

    regular(path)
    if h5py.is_hdf5(path):
        with hdf5_files.opened(path) as file:
            return {name: file[name][()] for name in wanted if isinstance(file.get(name), h5py.Dataset)}
    with open(path, "rb") as stored:
        version = matlab4 if 0 in stored.read(4) else matlab5
        stored.seek(0)
        return {name: np.asarray(array).T for name, array in version.read(stored, path, wanted).items()}
