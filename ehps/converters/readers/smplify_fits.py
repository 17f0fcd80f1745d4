"""SMPL-X fits of single frames as SMPLify-X and its descendants store them (PROX, RICH, EgoBody): a pickle a person.

Arrays have a leading 1; hands are PCA coefficients relative to the mean hand. EgoBody's name the gender of their model.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ehps.arrays import Array, Mask
from ehps.body.params import BodyParams, smplx_params
from ehps.converters.readers import fields, raw_files
from ehps.converters.readers.fields import numbers, texts
from ehps.converters.readers.frame_files import read_each
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

PARAMETERS = tuple(name for name in FIT if name != "gender")
NO_FIT = "SMPL-X fit cannot be read"


def read_fits(
    paths: Sequence[Path],
    gender: str | Sequence[str],
    dropped: dict[str, list[str]],
    root: Path,
    rows: int | Sequence[int] = 1,
) -> tuple[BodyParams, Mask]:
    """SMPL-X of those of N files that can be used, hands still as PCA coefficients, and (N,) which these are.

    Parameters
    ----------
    gender : of all or of each, where a file names none.
    root : folder of the dataset; files are named relative to it where they are counted as left out.
    rows : how many come from a fit, or from each: the cameras that see the person.

    Raises
    ------
    DataError : more than half are missing or broken, or lack a parameter, or have one of another size than most.
    """
    fits, keep = read_each(paths, _read, NO_FIT, dropped, root, PARAMETERS, rows)
    values: dict[str, Any] = {name: np.stack([fit[name] for fit in fits]) for name in PARAMETERS}
    others = np.full(len(paths), gender) if isinstance(gender, str) else np.array(gender)
    own = [str(fit.get("gender", other)) for fit, other in zip(fits, others[keep].tolist(), strict=True)]
    return smplx_params(gender=np.array(own, object), **values), keep


def _read(path: Path) -> dict[str, Array]:
    content = raw_files.load_pkl(path)
    if isinstance(content, dict) and "beta" in content:  # so in some files of PROX
        content = {"betas": content["beta"]} | content
    return fields.values(content, FIT, path, finite=False)
