"""What datasets contain, next to each other: embeddings of samples, coverage of test sets, distances.

Works on any HumanData files: a few hundred instances of each are drawn, described (:mod:`ehps.analysis.features`) and
compared (:mod:`ehps.analysis.distances`). What could not be described is named, with the reason, never filled in.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ehps.analysis import distances, features, figures
from ehps.analysis.distances import coverage
from ehps.analysis.features import ATTRIBUTES, ImageFeatures
from ehps.analysis.published import dataset_name
from ehps.arrays import Array
from ehps.errors import EhpsError, UsageError
from ehps.humandata.core import HumanData
from ehps.humandata.image_files import ImageFolder
from ehps.humandata.validation import require_columns

__all__ = [
    "ATTRIBUTES",
    "Samples",
    "Source",
    "collect",
    "coverage",
    "coverage_table",
    "distance_matrix",
    "embed",
    "figure",
]

TITLES = {"image": "image", "global_orient": "global orientation", "body_pose": "body pose", "betas": "body shape"}
_BODY: dict[str, Callable[[HumanData], Array]] = {
    "global_orient": features.global_orient,
    "body_pose": features.body_pose,
    "betas": features.betas,
}


@dataclass(frozen=True)
class Source:
    """A dataset to look at.

    ``data``: HumanData or the path of its file; ``role``: ``train`` or ``test``; ``name``: by default the dataset in
    the file's passport; ``images``: their folder, without which there are no image features.
    """

    data: HumanData | Path
    role: str = "train"
    name: str | None = None
    images: Path | None = None


@dataclass(frozen=True)
class Samples:
    """Features of samples of several datasets.

    Attributes
    ----------
    roles : dataset label -> ``train`` or ``test``. A test set has `` (test)`` after its name.
    values : attribute -> dataset label -> (n, D).
    left_out : ``dataset, attribute, reason``: what is not there.
    """

    roles: Mapping[str, str]
    values: Mapping[str, Mapping[str, Array]]
    left_out: pd.DataFrame

    def comparable(self, attribute: str) -> dict[str, Array]:
        """Features of each dataset: image features in units of their overall standard deviation, others as they are.

        Raises
        ------
        UsageError : no dataset has that attribute.
        """
        values = dict(self.values.get(attribute, {}))
        if not values:
            raise UsageError(f"no dataset has {attribute!r}", fix=f"there are: {', '.join(self.values) or 'none'}")
        if attribute != "image":
            return values
        pooled = np.concatenate(list(values.values()))
        # One factor for all: single directions of an image feature may hold nothing but noise, and stay small.
        scale = float(np.sqrt(pooled.var(axis=0).sum())) or 1.0
        return {name: (rows - pooled.mean(axis=0)) / scale for name, rows in values.items()}


def collect(
    sources: Sequence[Source | HumanData | Path],
    limit: int = 500,
    seed: int = 0,
    *,
    attributes: Sequence[str] = ATTRIBUTES,
    image_features: ImageFeatures | None = None,
) -> Samples:
    """Draw instances of each dataset and describe them.

    Parameters
    ----------
    limit : most instances of a dataset, drawn at random.
    image_features : (M, 256, 192, 3) uint8 RGB person crops -> (M, D), e.g. a trained backbone; by default
        a descriptor of colours and gradients.

    Raises
    ------
    UsageError : unknown attribute or role, or two sources of one name and role.
    OutsideError : an image path leads out of its folder.
    DataError : a column that is described does not hold what the format says.
    """
    unknown = set(attributes) - set(ATTRIBUTES)
    if unknown:
        raise UsageError(f"unknown attribute {sorted(unknown)[0]!r}", fix=f"choose from {', '.join(ATTRIBUTES)}")
    roles: dict[str, str] = {}
    values: dict[str, dict[str, Array]] = {name: {} for name in attributes}
    left_out: list[tuple[str, str, str]] = []
    spaces: dict[str, str] = {}
    for source in (s if isinstance(s, Source) else Source(s) for s in sources):
        hd = source.data if isinstance(source.data, HumanData) else HumanData.open(source.data)
        require_columns(hd, ("image_path", "bbox_xywh"))
        bodies = [name for name in hd.columns if name.startswith(("smplx/", "smplh/", "smpl/"))]
        require_columns(hd, bodies, shapes=False)
        label = _label(source, hd)
        if label in roles:
            raise UsageError(f"two sources are called {label!r}", fix="give each a name of its own")
        roles[label] = source.role
        # Each dataset has its own stream: a further dataset does not change the samples of the others.
        rng = np.random.default_rng([seed, zlib.crc32(label.encode())])
        rows = np.sort(rng.choice(len(hd), min(limit, len(hd)), replace=False))
        part = hd[rows]
        if source.images is not None and "image" in attributes:
            folder = ImageFolder(source.images)
            for row, name in zip(rows.tolist(), part["image_path"], strict=True):
                folder.locate(name, row)
        for attribute in attributes:
            found, reason = _describe(part, attribute, source.images, image_features)
            if reason:
                left_out.append((label, attribute, reason))
            if len(found):
                values[attribute][label] = found
                if attribute == "betas":
                    spaces[label] = features.shape_space(part)
    left_out += _drop_other_shape_spaces(values, spaces)
    frame = pd.DataFrame(left_out, columns=["dataset", "attribute", "reason"])
    return Samples(roles, {name: found for name, found in values.items() if found}, frame)


def embed(
    samples: Samples,
    attribute: str,
    method: str = "umap",
    seed: int = 0,
    *,
    neighbours: int = 15,
    min_dist: float = 0.1,
) -> pd.DataFrame:
    """Two dimensions for each sample: ``dataset, role, x, y``; the same seed gives the same image.

    ``method`` is ``umap``, or ``pca`` for the two directions of largest variance.

    Raises
    ------
    UsageError : too few samples, unknown method, or umap-learn is not installed.
    """
    values = samples.comparable(attribute)
    pooled = np.concatenate(list(values.values()))
    if len(pooled) < 4:
        raise UsageError(f"{len(pooled)} samples are too few to embed")
    if method == "umap":
        flat = _umap(pooled, seed, neighbours, min_dist)
    elif method == "pca":
        u, s, _ = np.linalg.svd(pooled - pooled.mean(axis=0), full_matrices=False)
        flat = np.pad(u * s, ((0, 0), (0, max(0, 2 - u.shape[1]))))[:, :2]
    else:
        raise UsageError(f"unknown method {method!r}", fix="choose umap or pca")
    names = np.repeat(list(values), [len(rows) for rows in values.values()])
    frame = pd.DataFrame({"dataset": names, "x": flat[:, 0], "y": flat[:, 1]})
    frame.insert(1, "role", frame["dataset"].map(dict(samples.roles)))
    frame.attrs = {"attribute": attribute, "method": method, "seed": seed}
    return frame


def figure(embeddings: Mapping[str, pd.DataFrame]) -> Figure:
    """One panel an attribute: training samples in their dataset's colour, test samples outlined in front of them."""
    with figures.styled():
        columns = 3 if len(embeddings) == 3 else min(2, max(1, len(embeddings)))
        drawing, axes = figures.panels(len(embeddings), width=10, height=10 / columns * 0.75, columns=columns)
        for panel, (attribute, frame) in zip(axes, embeddings.items(), strict=True):
            for role in ("train", "test"):
                for name, part in frame[frame["role"] == role].groupby("dataset", sort=False):
                    look = figures.style(str(name))
                    edge = {"edgecolors": figures.INK, "linewidths": 0.6} if role == "test" else {"linewidths": 0}
                    size, alpha = (11, 0.9) if role == "test" else (7, 0.55)
                    panel.scatter(
                        part["x"],
                        part["y"],
                        s=size,
                        c=look.colour,
                        marker=look.marker,
                        alpha=alpha,
                        rasterized=True,
                        label=_shown(str(name)),
                        **edge,
                    )
            panel.set_title(f"{TITLES.get(attribute, attribute)} ({frame.attrs.get('method', 'embedding').upper()})")
            panel.set_xticks([])
            panel.set_yticks([])
            panel.spines[:].set_visible(False)
        figures.legend(drawing, axes, markers=1.8)
    return drawing


def coverage_table(samples: Samples, k: int = 5) -> pd.DataFrame:
    """Each training set against each test set, by attribute.

    Returns
    -------
    frame ``attribute, train_set, test_set, coverage, energy, mmd, nearest, n_train, n_test``: how much of the test set
    the training set covers, and how far apart the two are (in the unit of the features).
    """
    rows = []
    for attribute in samples.values:
        values = samples.comparable(attribute)
        for test in (name for name in values if samples.roles[name] == "test" and len(values[name]) > 1):
            for train in (name for name in values if samples.roles[name] == "train"):
                a, b = values[train], values[test]
                measured = {name: measure(a, b) for name, measure in distances.MEASURES.items()}
                row = {"attribute": attribute, "train_set": train, "test_set": test.removesuffix(" (test)")}
                rows.append(row | {"coverage": coverage(a, b, k), **measured, "n_train": len(a), "n_test": len(b)})
    columns = ["attribute", "train_set", "test_set", "coverage", *distances.MEASURES, "n_train", "n_test"]
    return pd.DataFrame(rows, columns=columns)


def distance_matrix(samples: Samples, attribute: str, measure: str = "energy") -> pd.DataFrame:
    """Distances between all training sets, a symmetric frame with dataset ids as index and columns.

    ``measure``: ``energy``, ``mmd`` or ``nearest``.
    """
    if measure not in distances.MEASURES:
        raise UsageError(f"unknown distance {measure!r}", fix=f"choose from {', '.join(distances.MEASURES)}")
    values = {name: rows for name, rows in samples.comparable(attribute).items() if samples.roles[name] == "train"}
    out = pd.DataFrame(0.0, index=list(values), columns=list(values))
    for i, a in enumerate(values):
        for b in list(values)[:i]:
            out.loc[a, b] = out.loc[b, a] = distances.MEASURES[measure](values[a], values[b])
    return out


def _label(source: Source, hd: HumanData) -> str:
    if source.role not in ("train", "test"):
        raise UsageError(f"a dataset is for train or test, not {source.role!r}")
    stem = hd.source.stem if hd.source is not None else "unknown"
    name = source.name or (hd.passport.dataset if hd.passport.dataset != "unknown" else stem)
    return f"{name} (test)" if source.role == "test" else name


def _shown(label: str) -> str:
    name = label.removesuffix(" (test)")
    return dataset_name(name) + label[len(name) :]


def _describe(
    part: HumanData, attribute: str, images: Path | None, image_features: ImageFeatures | None
) -> tuple[Array, str | None]:
    """Features of the rows that have them, and what to say about the others."""
    nothing = np.zeros((0, 0))
    if attribute == "image":
        if images is None:
            return nothing, "no image folder given"
        values, found = features.image(part, images, image_features)
        if not found.any():
            return nothing, f"no image could be read in {images}"
    else:
        if part.body_model is None:
            return nothing, "no body parameters"
        values, found = _BODY[attribute](part), np.ones(len(part), bool)
    finite = np.isfinite(values).all(axis=1)
    absent = len(part) - int(finite.sum())
    return values[finite], f"{absent} of {len(part)} samples without" if absent else None


def _drop_other_shape_spaces(
    values: dict[str, dict[str, Array]], spaces: Mapping[str, str]
) -> list[tuple[str, str, str]]:
    """Keep the betas of the most frequent shape space; coefficients of others mean something else."""
    if len(set(spaces.values())) < 2:
        return []
    usual = max(dict.fromkeys(spaces.values()), key=list(spaces.values()).count)
    others = {name: space for name, space in spaces.items() if space != usual}
    for name in others:
        del values["betas"][name]
    return [(name, "betas", f"shape space {space}; the others are {usual}") for name, space in others.items()]


def _umap(pooled: Array, seed: int, neighbours: int, min_dist: float) -> Array:
    try:
        import umap
    except ImportError as error:
        raise EhpsError("umap-learn is not installed", fix="pip install 'ehps[analysis]', or choose pca") from error
    near = min(neighbours, len(pooled) - 1)
    # Spectral starts need more points than dimensions; a handful of points starts at random.
    start = "spectral" if len(pooled) > 10 else "random"
    model = umap.UMAP(n_neighbors=near, min_dist=min_dist, random_state=seed, n_jobs=1, init=start)
    return np.asarray(model.fit_transform(pooled))
