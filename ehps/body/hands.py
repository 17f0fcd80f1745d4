"""Hand poses: from the few PCA coefficients some datasets store to fifteen rotations."""

from __future__ import annotations

import numpy as np

from ehps.arrays import Array
from ehps.body.model_file import BodyModel, without_hands

RELATIVE = "the mean hand, to which hand poses are relative here"
COEFFICIENTS = "the hand components, whose coefficients hand poses are here"


def mean_hands(model: BodyModel) -> Array:
    """(30, 3) mean pose of left then right fingers.

    Raises
    ------
    BodyModelError : the model's file has none.
    """
    if model.hands_mean_left is None or model.hands_mean_right is None:
        raise without_hands(model.model_type, RELATIVE, model.path)
    return np.concatenate([model.hands_mean_left, model.hands_mean_right]).astype(np.float64)


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
