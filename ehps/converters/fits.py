"""Per-frame SMPL-X fits as SMPLify-X and its descendants store them (PROX, RICH): one pickle a frame and person.

Arrays have a leading 1; hands are PCA coefficients relative to the mean hand; the gender of the model is not inside.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ehps.body.params import BodyParams, smplx_params
from ehps.converters import raw
from ehps.errors import DataError

Array = npt.NDArray[Any]

SIZES = {"global_orient": 3, "transl": 3, "body_pose": 63, "jaw_pose": 3, "leye_pose": 3, "reye_pose": 3}
OTHERS = ("betas", "expression", "left_hand_pose", "right_hand_pose")


def read_fits(paths: Sequence[Path], gender: str | Array) -> BodyParams:
    """SMPL-X of N files, hands still as PCA coefficients; ``gender`` for all or (N,).

    Raises
    ------
    DataError : a file is missing or broken, or lacks a parameter, or has one of another size than the first.
    """
    fits = [_read(path) for path in paths]
    for fit, path in zip(fits, paths, strict=True):
        for name, value in fit.items():
            expected = SIZES.get(name, fits[0][name].size)
            if value.size != expected:
                raise DataError(f"{name} has {value.size} numbers, expected {expected}", path=path, fix=raw.AGAIN)
    values: dict[str, Any] = {name: np.stack([fit[name] for fit in fits]) for name in fits[0]}
    return smplx_params(gender=gender, **values)


def _read(path: Path) -> dict[str, Array]:
    content = raw.load_pkl(path)
    if not isinstance(content, dict):
        raise DataError("holds no parameters by name", path=path, fix=raw.AGAIN)
    if "beta" in content:  # so in some files of PROX
        content = {"betas": content["beta"]} | content
    raw.require(content, " ".join((*SIZES, *OTHERS)), path)
    return {name: np.ravel(content[name]) for name in (*SIZES, *OTHERS)}
