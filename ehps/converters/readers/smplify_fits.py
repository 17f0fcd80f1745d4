"""SMPL-X fits of single frames as SMPLify-X and its descendants store them (PROX, RICH, EgoBody): a pickle a person.

Arrays have a leading 1; hands are PCA coefficients relative to the mean hand. EgoBody's name the gender of their model.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ehps.arrays import Array
from ehps.body.params import BodyParams, smplx_params
from ehps.converters.readers import fields, raw_files
from ehps.converters.readers.fields import numbers, texts
from ehps.genders import BY_WORD

FIT = {
    "global_orient": numbers(3),
    "transl": numbers(3),
    "body_pose": numbers(63),
    "jaw_pose": numbers(3),
    "leye_pose": numbers(3),
    "reye_pose": numbers(3),
    "betas": numbers("betas"),
    "expression": numbers("expressions"),
    "left_hand_pose": numbers("hand components"),
    "right_hand_pose": numbers("hand components"),
    "gender": texts(optional=True, words=BY_WORD),
}


def read_fits(paths: Sequence[Path], gender: str | Sequence[str]) -> BodyParams:
    """SMPL-X of N files, hands still as PCA coefficients; ``gender``, of all or of each, where a file names none.

    Raises
    ------
    DataError : a file is missing or broken, or lacks a parameter, or has one of another size than the first.
    """
    lengths: dict[str, int] = {}
    fits = [_read(path, lengths) for path in paths]
    values: dict[str, Any] = {name: np.stack([fit[name] for fit in fits]) for name in FIT if name != "gender"}
    others = [gender] * len(fits) if isinstance(gender, str) else gender
    own = [str(fit.get("gender", other)) for fit, other in zip(fits, others, strict=True)]
    return smplx_params(gender=np.array(own, object), **values)


def _read(path: Path, lengths: dict[str, int]) -> dict[str, Array]:
    content = raw_files.load_pkl(path)
    if isinstance(content, dict) and "beta" in content:  # so in some files of PROX
        content = {"betas": content["beta"]} | content
    return fields.values(content, FIT, path, lengths=lengths, finite=False)
