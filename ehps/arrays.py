"""Names of array types that every module shares, and which of N rows an interval takes."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
Mask: TypeAlias = npt.NDArray[np.bool_]


def strided(count: int, interval: float) -> Array:
    """(n,) the numbers floor(k * interval), k = 0, 1, ..., that are below ``count``; ``interval`` is at least 1.

    They are exact for intervals of up to seven decimals, and those of ``[::interval]`` for whole ones.

    Examples
    --------
    >>> strided(10, 2.5).tolist()
    [0, 2, 5, 7]
    """
    step = Fraction(str(interval)).limit_denominator(10_000_000)
    top, bottom = step.numerator, step.denominator
    taken: Array = np.arange(math.ceil(Fraction(count) / step), dtype=np.int64)
    taken *= top
    taken //= bottom
    return taken
