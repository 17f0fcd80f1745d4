"""Variables of CDF files (NASA's Common Data Format), read with cdflib, which is installed with ``ehps[cdf]``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ehps.arrays import Array
from ehps.converters.readers import opened
from ehps.errors import DataError
from ehps.extras import need


def load_cdf(path: Path, name: str, numbers: int) -> Array:
    """(F, numbers) values of a variable, of which each record or row is one frame.

    Parameters
    ----------
    name : of the variable.
    numbers : of a frame.

    Raises
    ------
    DataError : cdflib is not installed, the file is missing or broken, or the variable is absent or of another size.
    """
    need("reading CDF files", "cdflib")
    import cdflib

    if not opened.is_file(path):
        raise DataError("no such file", path=path, fix="unpack all archives of the subject")
    try:
        file = cdflib.CDF(path)
        info = file.cdf_info()
        names = [*info.zVariables, *info.rVariables]
        values = np.asarray(file.varget(name), float) if name in names else None
    except Exception:  # cdflib has no errors of its own: a broken file ends in whatever it meets
        raise DataError("is no CDF file, or only part of one", path=path, fix="download or unpack it again") from None
    if values is None:
        raise DataError(f"has no variable {name} (it has {', '.join(names) or 'none'})", path=path)
    if values.ndim < 2 or values.shape[-1] != numbers:
        raise DataError(f"{name} is {values.shape}, not (F, {numbers})", path=path)
    return values.reshape(-1, numbers)
