"""Arrays of MATLAB files of any version; their axes are the reverse of MATLAB's, as HDF5 readers show them.

Files from version 7.3 on are HDF5, older ones have formats of their own. None can hold code that reading runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ehps.errors import EhpsError
from ehps.foreign_files import regular, unreadable
from ehps.humandata import hdf5_files
from ehps.humandata.matlab import version4, version5

FORMATS = ("a MATLAB file", "a MATLAB 7.3 file", "an HDF5 file")


def read(path: Path, wanted: list[str], *, again: str, other: str) -> dict[str, npt.NDArray[Any]]:
    """Those of the variables ``wanted`` that are there.

    Parameters
    ----------
    again : what to do about a file that is cut short or damaged.
    other : what to do about a whole file of another kind.

    Raises
    ------
    DataError : the file is missing, cut short, damaged or another kind of file, which is named.
    """
    try:
        return _members(path, wanted)
    except EhpsError:
        raise
    except version5.DamagedError as error:
        raise unreadable(path, "a MATLAB file", again, other, FORMATS, str(error)) from None
    except Exception:  # a damaged file can make h5py raise nearly anything
        raise unreadable(path, "a MATLAB file", again, other, FORMATS) from None


def _members(path: Path, wanted: list[str]) -> dict[str, npt.NDArray[Any]]:
    import h5py

    regular(path)
    if h5py.is_hdf5(path):
        with hdf5_files.opened(path) as file:
            return {name: file[name][()] for name in wanted if isinstance(file.get(name), h5py.Dataset)}
    with open(path, "rb") as stored:
        version = version4 if 0 in stored.read(4) else version5
        stored.seek(0)
        return {name: np.asarray(array).T for name, array in version.read(stored, path, wanted).items()}
