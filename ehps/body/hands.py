"""Hand poses: from the few PCA coefficients some datasets store to fifteen rotations."""

from __future__ import annotations

import numpy as np

from ehps.arrays import Array


def expand(coefficients: Array, components: Array) -> Array:
    """Finger rotations from PCA coefficients.

    Parameters
    ----------
    coefficients : (N, K), K <= 45, in the order of the components.
    components : (45, 45), one component a row, ``hands_components_left`` or ``_right`` of the body model.

    Returns
    -------
    (N, 15, 3) axis-angle, radians, relative to the mean hand: the model's mean is not added here.
    """
    coefficients = np.asarray(coefficients)
    n, k = coefficients.shape
    if k > len(components):
        raise ValueError(f"{k} coefficients, but the model has {len(components)} hand components")
    return (coefficients @ components[:k].astype(coefficients.dtype, copy=False)).reshape(n, 15, 3)
