"""SMPL-X fits of single frames as SMPLify-X and its descendants store them (PROX, RICH, EgoBody): a pickle a person.

Arrays have a leading 1; hands are PCA coefficients relative to the mean hand. EgoBody's name the gender of their model.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ehps.body.params import BodyParams, smplx_params
from ehps.converters.readers import raw_files
from ehps.errors import DataError

SIZES = {"global_orient": 3, "transl": 3, "body_pose": 63, "jaw_pose": 3, "leye_pose": 3, "reye_pose": 3}
NAMES = (*SIZES, "betas", "expression", "left_hand_pose", "right_hand_pose")


def read_fits(paths: Sequence[Path], gender: str | Sequence[str]) -> BodyParams:
    """SMPL-X of N files, hands still as PCA coefficients; ``gender``, of all or of each, where a file names none.

    Raises
    ------
    DataError : a file is missing or broken, or lacks a parameter, or has one of another size than the first.
    """
    fits = [_read(path) for path in paths]
    for fit, path in zip(fits, paths, strict=True):
        for name in NAMES:
            expected = SIZES.get(name, np.size(fits[0][name]))
            if np.size(fit[name]) != expected:
                raise DataError(
                    f"{name} has {np.size(fit[name])} numbers, expected {expected}", path=path, fix=raw_files.AGAIN
                )
    values: dict[str, Any] = {name: np.stack([np.ravel(fit[name]) for fit in fits]) for name in NAMES}
    others = [gender] * len(fits) if isinstance(gender, str) else gender
    own = [fit.get("gender", other) for fit, other in zip(fits, others, strict=True)]
    return smplx_params(gender=np.array(own, object), **values)


def _read(path: Path) -> dict[str, Any]:
    content = raw_files.load_pkl(path)
    if not isinstance(content, dict):
        raise DataError("holds no parameters by name", path=path, fix=raw_files.AGAIN)
    if "beta" in content:  # so in some files of PROX
        content = {"betas": content["beta"]} | content
    raw_files.require(content, " ".join(NAMES), path)
    return content
