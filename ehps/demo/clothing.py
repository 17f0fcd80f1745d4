"""Colours for bodies: skin, hair, eyes, lips, and clothes of several cuts.

Where each colour goes is a table of shares, vertices by regions. The stand-in body brings its own, with soft
hairlines; for other body models they are guessed from the joint that moves each vertex.
"""

from __future__ import annotations

import numpy as np

from ehps.arrays import Array
from ehps.body.standin.painted_regions import REGIONS

SURFACES = (*REGIONS, "brow")
TONES = ((241, 206, 180), (224, 172, 138), (198, 134, 96), (141, 85, 56), (92, 56, 38))
HAIRS = ((35, 28, 24), (80, 52, 32), (150, 105, 60), (205, 175, 115), (120, 120, 120))
EYES = ((92, 64, 40), (70, 110, 150), (80, 120, 80), (60, 42, 30))
BARE = ("face", "ear", "neck", "arm", "forearm", "hand")
GUESSES = {
    "trunk": (3, 6, 9, 13, 14),
    "sleeve": (16, 17),
    "forearm": (18, 19),
    "thigh": (0, 1, 2),
    "shin": (4, 5),
    "foot": (7, 8, 10, 11),
}


def regions(weights: Array, template: Array) -> Array:
    """(V, S) share of each of ``SURFACES`` in the colour of each vertex.

    Parameters
    ----------
    weights : (V, J) skinning weights of SMPL, SMPL-H or SMPL-X. template : (V, 3) at rest, y up, facing +z.
    """
    own = standin_regions(weights)
    if own is not None:
        return own
    joint = weights.argmax(axis=1)
    name = np.full(len(joint), "hand", dtype="<U10")
    for region, joints in GUESSES.items():
        name[np.isin(joint, joints)] = region
    name[joint == 12] = "neck"
    head = joint == 15
    name[head | (joint == 22) & (weights.shape[1] == 55)] = "face"
    top, bottom = template[head, 1].max(), template[head, 1].min()
    height = (template[:, 1] - bottom) / (top - bottom)
    depth = template[:, 2] - template[head, 2].mean()
    name[head & ((height > 0.82) | ((height > 0.35) & (depth < -0.02)))] = "hair"
    if weights.shape[1] == 55:
        name[np.isin(joint, (23, 24))] = "eyeball"
    return shares(name)


def standin_regions(weights: Array) -> Array | None:
    """The stand-in's own table, None when these are not the stand-in's skinning weights."""
    from ehps.body.standin.mesh_layout import make_mesh
    from ehps.body.standin.model_files import model_weights

    model_type = {55: "smplx", 52: "smplh", 24: "smpl"}[weights.shape[1]]
    mesh = make_mesh(model_type)
    expected = model_weights(model_type, mesh.weights)
    if expected.shape != weights.shape or not np.allclose(expected, weights, atol=1e-4):
        return None
    out = shares(mesh.region)
    for name, part in (("hair", mesh.hair), ("brow", mesh.brow)):
        on_head = np.isin(mesh.region, ("face", "hair", "neck")) & ((part > 0) | (mesh.region == "hair"))
        under = shares(np.where(mesh.region == "hair", "face", mesh.region)) if name == "hair" else out
        mixed = (1 - part[:, None]) * under
        mixed[:, SURFACES.index(name)] += part
        out[on_head] = mixed[on_head]
    return out


def shares(names: Array) -> Array:
    """(V, S) with a single 1 per row, from the name of each vertex's region."""
    return (np.asarray(names)[:, None] == np.array(SURFACES)).astype(float)


def dress(rng: np.random.Generator, table: Array) -> Array:
    """(V, 3) uint8 RGB colours of one person: a skin, hair, and clothes with long or short sleeves and legs.

    Parameters
    ----------
    table : (V, S) shares as :func:`regions` gives them.
    """
    skin = np.array(TONES[rng.integers(len(TONES))], float)
    hair = np.array(HAIRS[rng.integers(len(HAIRS))], float)
    shirt = rng.uniform(40, 235, 3)
    trousers = rng.uniform(25, 130, 3) * [0.9, 0.95, 1.1]
    palette = dict.fromkeys(BARE, skin)
    palette |= {"hair": hair, "brow": 0.35 * skin + 0.65 * np.minimum(hair, skin * 0.7)}
    palette |= {"lips": skin * [0.86, 0.58, 0.60], "mouth": np.array([95, 35, 35.0]), "eye_socket": skin * 0.6}
    palette |= {"eyeball": np.array([244, 243, 240.0]), "pupil": np.array([14, 12, 12.0])}
    palette |= {"iris": np.array(EYES[rng.integers(len(EYES))], float), "trunk": shirt, "thigh": trousers}
    palette["foot"] = np.array([[40, 40, 42], [225, 225, 225], [120, 70, 45]][rng.integers(3)], float)
    sleeves, legs = rng.integers(4), rng.integers(3)
    palette["sleeve"] = skin if sleeves == 0 else shirt
    if sleeves == 3:
        palette |= {"arm": shirt, "forearm": shirt}
    palette["shin"] = skin if legs == 0 else trousers
    colours = table @ np.stack([palette[name] for name in SURFACES])
    return np.clip(colours, 0, 255).astype(np.uint8)
