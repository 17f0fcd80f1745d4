"""Samples in two dimensions, and new samples placed among them.

A stored embedding holds the features that it was made of, so that samples of later files can be placed into it without
moving what is there: each at the mean position of its nearest stored samples, weighted by the inverse of their
distance. It is an ``.npz`` of plain arrays; nothing in it is run.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import pandas as pd

from ehps.analysis.nearest import squared_distances
from ehps.analysis.samples import Samples
from ehps.arrays import Array
from ehps.atomic import replacing
from ehps.errors import DataError, UsageError
from ehps.extras import need
from ehps.progress import counting

MOST_POINTS = 10_000
"""Of all datasets together; as many are drawn of each."""
NEIGHBOURS, MIN_DIST = 15, 0.1
NEW = "new"
"""Role of samples that were placed into a stored embedding."""
_FORMAT = 1


def embed(
    samples: Samples,
    attribute: str,
    method: str = "umap",
    seed: int = 0,
    *,
    neighbours: int = NEIGHBOURS,
    min_dist: float = MIN_DIST,
    most: int = MOST_POINTS,
) -> pd.DataFrame:
    """Two dimensions for each sample: ``dataset, role, x, y``; the same seed gives the same image.

    ``method`` is ``umap``, or ``pca`` for the two directions of largest variance. Of every dataset the same number is
    drawn, all of those that have fewer, and at most ``most`` in all. ``attrs`` has the parameters, the numbers of
    samples, and ``picked``: dataset -> rows of the samples.

    Raises
    ------
    UsageError : too few samples, unknown method, or umap-learn is not installed.
    """
    values = samples.comparable(attribute)
    each = max(2, most // len(values))
    rng = np.random.default_rng(seed)
    picked = {
        name: np.arange(len(rows)) if len(rows) <= each else np.sort(rng.choice(len(rows), each, replace=False))
        for name, rows in values.items()
    }
    pooled = np.concatenate([values[name][rows] for name, rows in picked.items()])
    if len(pooled) < 4:
        raise UsageError(f"{len(pooled)} samples are too few to embed")
    parameters: dict[str, float] = {}
    if method == "umap":
        parameters = {"neighbours": min(neighbours, len(pooled) - 1), "min_dist": min_dist}
        with counting(f"UMAP of {attribute}", None):
            flat = _umap(pooled, seed, neighbours, min_dist)
    elif method == "pca":
        u, s, _ = np.linalg.svd(pooled - pooled.mean(axis=0), full_matrices=False)
        flat = np.pad(u * s, ((0, 0), (0, max(0, 2 - u.shape[1]))))[:, :2]
    else:
        raise UsageError(f"unknown method {method!r}", fix="choose umap or pca")
    names = np.repeat(list(picked), [len(rows) for rows in picked.values()])
    frame = pd.DataFrame({"dataset": names, "x": flat[:, 0], "y": flat[:, 1]})
    frame.insert(1, "role", frame["dataset"].map(dict(samples.roles)))
    frame.attrs = {"attribute": attribute, "method": method, "seed": seed, "parameters": parameters}
    frame.attrs["picked"] = {name: rows.tolist() for name, rows in picked.items()}
    return frame


def _umap(pooled: Array, seed: int, neighbours: int, min_dist: float) -> Array:
    need("UMAP", "umap")
    import umap

    near = min(neighbours, len(pooled) - 1)
    # Spectral starts need more points than dimensions; a handful of points starts at random.
    start = "spectral" if len(pooled) > 10 else "random"
    # One thread: with several, the same seed gives other images.
    model = umap.UMAP(n_neighbors=near, min_dist=min_dist, random_state=seed, n_jobs=1, init=start)
    return np.asarray(model.fit_transform(pooled))


@dataclass(frozen=True)
class Stored:
    """An embedding with what it was made of: ``frame`` of :func:`embed`, ``features`` (N, D) of its rows as they were
    compared, and the ``middle`` (D,) and ``scale`` that make other features comparable."""

    frame: pd.DataFrame
    features: Array
    middle: Array
    scale: float

    @property
    def attribute(self) -> str:
        return str(self.frame.attrs["attribute"])

    @classmethod
    def of(cls, samples: Samples, frame: pd.DataFrame) -> Stored:
        """What belongs to an embedding of ``samples``."""
        attribute = str(frame.attrs["attribute"])
        values = samples.comparable(attribute)
        rows = [values[name][picked] for name, picked in frame.attrs["picked"].items()]
        return cls(frame, np.concatenate(rows).astype(np.float32), *samples.scaling(attribute))

    def save(self, path: Path) -> Path:
        """Write as ``.npz``; the same embedding gives the same bytes."""
        facts = {name: self.frame.attrs[name] for name in ("attribute", "method", "seed", "parameters")}
        names = list(dict.fromkeys(self.frame["dataset"]))
        roles = self.frame.drop_duplicates("dataset").set_index("dataset")["role"]
        facts |= {"format": _FORMAT, "datasets": names, "roles": [roles[name] for name in names]}
        with replacing(path) as temporary, open(temporary, "wb") as file:
            np.savez(
                file,
                facts=np.array(json.dumps(facts)),
                dataset=self.frame["dataset"].map(names.index).to_numpy(np.int32),
                position=self.frame[["x", "y"]].to_numpy(np.float64),
                features=self.features.astype(np.float32),
                middle=np.asarray(self.middle, np.float64),
                scale=np.float64(self.scale),
            )
        return path

    @classmethod
    def load(cls, path: Path) -> Stored:
        """Read what :meth:`save` wrote.

        Raises
        ------
        DataError : it is no such file.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                facts = json.loads(str(file["facts"]))
                names = np.array(facts["datasets"], object)
                dataset, position, features = file["dataset"], file["position"], file["features"]
                middle, scale = file["middle"], float(file["scale"])
                frame = pd.DataFrame({"dataset": names[dataset], "x": position[:, 0], "y": position[:, 1]})
                frame.insert(1, "role", np.array(facts["roles"], object)[dataset])
                frame.attrs = {name: facts[name] for name in ("attribute", "method", "seed", "parameters")}
        except (OSError, ValueError, KeyError, IndexError, TypeError, EOFError, BadZipFile, zlib.error) as error:
            raise DataError("is no embedding that ehps wrote", path=path) from error
        if features.ndim != 2 or len(features) != len(frame) or middle.shape != (features.shape[1],):
            raise DataError(
                f"has {features.shape} features for {len(frame)} positions and a middle of {middle.shape}", path=path
            )
        return cls(frame, features, middle, scale)

    def place(self, features: Array, neighbours: int = NEIGHBOURS) -> Array:
        """(N, 2) positions of (N, D) features that were not there: means of their nearest stored samples.

        Weighted by the inverse distance; a stored sample comes to lie where it is.

        Raises
        ------
        UsageError : they have another number of features.
        """
        if features.shape[1] != self.features.shape[1]:
            raise UsageError(
                f"{features.shape[1]} features cannot be placed among samples of {self.features.shape[1]}",
                fix="describe the new samples as the stored ones",
            )
        own = self.features.astype(float)
        new = ((features - self.middle) / self.scale).astype(np.float32).astype(float)
        position = self.frame[["x", "y"]].to_numpy(float)
        near = min(neighbours, len(own))
        out = np.empty((len(new), 2))
        for start in range(0, len(new), 100):
            squared = squared_distances(new[start : start + 100], own)
            which = np.argpartition(squared, near - 1, axis=1)[:, :near]
            gaps = np.sqrt(np.take_along_axis(squared, which, axis=1))
            weights = 1 / np.maximum(gaps, 1e-6 * gaps.max(axis=1, keepdims=True) + 1e-12)
            out[start : start + 100] = (weights[..., None] * position[which]).sum(axis=1) / weights.sum(
                axis=1, keepdims=True
            )
        return out

    def with_placed(self, samples: Samples) -> pd.DataFrame:
        """The stored frame with all ``samples`` of its attribute added, their role :data:`NEW`.

        Raises
        ------
        UsageError : no dataset has the attribute.
        """
        samples.scaling(self.attribute)
        parts = [self.frame]
        for name, rows in samples.values[self.attribute].items():
            x, y = self.place(rows).T
            parts.append(pd.DataFrame({"dataset": f"{name} ({NEW})", "role": NEW, "x": x, "y": y}))
        out = pd.concat(parts, ignore_index=True)
        out.attrs = dict(self.frame.attrs)
        return out
