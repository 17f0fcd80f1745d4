"""What numbers can be, by what they mean: bounds that the values of real data are a hundred times within."""

from __future__ import annotations

from typing import Any

import numpy as np

from ehps.arrays import Array

FOCAL = 1, 1e6  # pixels
PIXELS = 1e6  # principal points, 2D points and boxes
METRES = 1e5  # places of people, cameras and 3D points
RADIANS = 1e3  # rotations as axis-angle, and coefficients of hand poses
DEGREES = 36_000  # turns of cameras and people
SHAPES = 1e3  # betas and expressions
CONFIDENCE = 100  # of points, and what stands for it: flags, scores
DISTORTION = 1e6
ANYTHING = 1e12  # of what else is told of a row


def labelled(confidence: Any) -> Array:
    """Of confidences, 1 where there is any and it is plausible, else 0."""
    array = np.asarray(confidence, float)
    return np.asarray((array > 0) & (array <= CONFIDENCE), float)


def within(values: Any, limit: float) -> Array:
    """The values as floats, NaN where they are beyond the limit: what follows from them is then NaN as well."""
    array = np.array(values, float)
    array[~(np.abs(array) <= limit)] = np.nan
    return array
