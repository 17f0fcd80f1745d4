"""Colours for bodies: skin, hair, eyes, shirt, trousers and shoes by the joint that moves each vertex."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

SKIN, SHIRT, TROUSERS, SHOES, HAIR, EYES = range(6)
TONES = ((241, 206, 180), (224, 172, 138), (198, 134, 96), (141, 85, 56), (92, 56, 38))
HAIRS = ((35, 28, 24), (80, 52, 32), (150, 105, 60), (205, 175, 115), (120, 120, 120))


def regions(weights: Array, template: Array) -> Array:
    """(V,) region of each vertex from skinning weights (V, J) and rest vertices (V, 3), y up, facing +z."""
    joint = weights.argmax(axis=1)
    region = np.full(len(joint), SKIN)
    region[np.isin(joint, (3, 6, 9, 13, 14, 16, 17))] = SHIRT
    region[np.isin(joint, (0, 1, 2, 4, 5))] = TROUSERS
    region[np.isin(joint, (7, 8, 10, 11))] = SHOES
    head = joint == 15
    top, bottom = template[head, 1].max(), template[head, 1].min()
    middle = template[head, 2].mean()
    height = (template[:, 1] - bottom) / (top - bottom)
    depth = template[:, 2] - middle
    region[head & ((height > 0.82) | ((height > 0.35) & (depth < -0.02)))] = HAIR
    if weights.shape[1] == 55:
        region[np.isin(joint, (23, 24))] = EYES
    return region


def dress(rng: np.random.Generator, region: Array) -> Array:
    """(V, 3) uint8 RGB colours of one person; short or long sleeves are the body model's business, colours are not."""
    palette = np.zeros((6, 3))
    palette[SKIN] = TONES[rng.integers(len(TONES))]
    palette[HAIR] = HAIRS[rng.integers(len(HAIRS))]
    palette[SHIRT] = rng.uniform(40, 235, 3)
    palette[TROUSERS] = rng.uniform(25, 130, 3) * [0.9, 0.95, 1.1]
    palette[SHOES] = rng.choice([[40, 40, 42], [225, 225, 225], [120, 70, 45]])
    palette[EYES] = (245, 245, 245)
    return np.clip(palette[region], 0, 255).astype(np.uint8)
