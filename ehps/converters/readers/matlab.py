"""Arrays of MATLAB files of datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy.typing as npt

from ehps.converters.readers import AGAIN, OTHER, opened, raw_files
from ehps.humandata import matlab


def load_mat(path: Path, names: str, optional: str = "") -> dict[str, npt.NDArray[Any]]:
    """The arrays called ``names``, and those of ``optional`` that are there (names separated by blanks).

    Raises
    ------
    DataError : as :func:`ehps.humandata.matlab.read`, or the file lacks one of ``names``.
    """
    opened.note(path)
    data = matlab.read(path, [*names.split(), *optional.split()], again=AGAIN, other=OTHER)
    raw_files.require(data, names, path)
    return data
