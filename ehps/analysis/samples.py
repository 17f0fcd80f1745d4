"""Samples of datasets, described by numbers: what embeddings, coverage and distances are made of.

Works on any HumanData files: as many instances of each are drawn (:mod:`ehps.analysis.features`,
:mod:`ehps.analysis.body_features`), and only these are read. What could not be described is named, with the reason,
never filled in.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from ehps.analysis import body_features, features
from ehps.analysis.body_features import AbsentError
from ehps.analysis.features import ImageFeatures
from ehps.arrays import Array
from ehps.body.models import BodyModels
from ehps.errors import DataError, UsageError
from ehps.humandata.core import HumanData
from ehps.humandata.image_files import ImageFolder
from ehps.humandata.validation import require_columns
from ehps.progress import over


@dataclass(frozen=True)
class Attribute:
    """What is compared: in words, and what a distance of two samples means, with its unit."""

    title: str
    unit: str
    meaning: str


CHORD = "rad"
ATTRIBUTES: Mapping[str, Attribute] = {
    "image": Attribute("image", "", "1 is the standard deviation of all samples from their mean"),
    "global_orient": Attribute("global orientation", CHORD, "twice the sine of half the angle between two"),
    "body_pose": Attribute("body pose", "m", "root mean square over 21 joints, as the pelvis stands"),
    "body_rotations": Attribute("body rotations", CHORD, "the same of 21 joints, root mean square"),
    "hands": Attribute("hand pose", "m", "root mean square over 30 joints, as the palms lie"),
    "betas": Attribute("body shape", "", "coefficients, each of which has standard deviation 1 among people"),
    "camera": Attribute("camera", "", "1 is twice the focal length, twice the distance, or a turn of one radian"),
    "framing": Attribute("size, truncation, people", "", "1 is twice the height, twice the people, or all joints cut"),
}
"""What samples are described by."""

USUAL = ("image", "global_orient", "body_pose", "betas")
"""Without being asked for others: those of the paper, and shape."""
TITLES = {name: attribute.title for name, attribute in ATTRIBUTES.items()}
IMAGE_FEATURES = ".image_features.npy"
"""After a file's name: (N, D) features of its rows, that somebody has computed."""


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
    labels : what is known of the datasets beside: ``scene``, ``real``, ``annotation`` -> dataset label -> word.
    """

    roles: Mapping[str, str]
    values: Mapping[str, Mapping[str, Array]]
    left_out: pd.DataFrame
    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def comparable(self, attribute: str) -> dict[str, Array]:
        """Features of each dataset: image features in units of their overall standard deviation, others as they are.

        Raises
        ------
        UsageError : no dataset has that attribute.
        """
        middle, scale = self.scaling(attribute)
        return {name: (rows - middle) / scale for name, rows in self.values[attribute].items()}

    def scaling(self, attribute: str) -> tuple[Array, float]:
        """(D,) what is taken from features, and by what they are divided, to be compared.

        Raises
        ------
        UsageError : no dataset has that attribute.
        """
        values = self.values.get(attribute, {})
        if not values:
            raise UsageError(f"no dataset has {attribute!r}", fix=f"there are: {', '.join(self.values) or 'none'}")
        rows = list(values.values())
        if attribute != "image":
            return np.zeros(rows[0].shape[1]), 1.0
        middle = sum(part.sum(axis=0) for part in rows) / sum(map(len, rows))
        # One factor for all: single directions of an image feature may hold nothing but noise, and stay small.
        spread = sum(((part - middle) ** 2).sum() for part in rows) / sum(map(len, rows))
        return np.asarray(middle), float(np.sqrt(spread)) or 1.0


def collect(
    sources: Sequence[Source | HumanData | Path],
    limit: int = 500,
    seed: int = 0,
    *,
    attributes: Sequence[str] = USUAL,
    image_features: ImageFeatures | None = None,
    stored_images: bool = False,
    body_models: BodyModels | None = None,
) -> Samples:
    """Draw instances of each dataset and describe them.

    Parameters
    ----------
    limit : most instances of a dataset, drawn at random.
    image_features : (M, 256, 192, 3) uint8 RGB person crops -> (M, D), e.g. a trained backbone; by default
        a descriptor of colours and gradients.
    stored_images : take image features from the file beside each, see :data:`IMAGE_FEATURES`, instead.
    body_models : make the joints of files that store none.

    Raises
    ------
    UsageError : unknown attribute or role, or two sources of one name and role.
    OutsideError : an image path leads out of its folder.
    DataError : a column that is described does not hold what the format says, or stored image features do not fit.
    """
    unknown = set(attributes) - set(ATTRIBUTES)
    if unknown:
        raise UsageError(f"unknown attribute {sorted(unknown)[0]!r}", fix=f"choose from {', '.join(ATTRIBUTES)}")
    roles: dict[str, str] = {}
    values: dict[str, dict[str, Array]] = {name: {} for name in attributes}
    left_out: list[tuple[str, str, str]] = []
    spaces: dict[str, str] = {}
    for source in over([s if isinstance(s, Source) else Source(s) for s in sources], "describing datasets"):
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
        drawn = Drawn(hd, np.sort(rng.choice(len(hd), min(limit, len(hd)), replace=False)), source.images)
        for attribute in attributes:
            try:
                found = _describe(drawn, attribute, image_features, stored_images, body_models)
            except AbsentError as absent:
                left_out.append((label, attribute, str(absent)))
                continue
            finite = np.isfinite(found).all(axis=1)
            if absent_rows := len(drawn.rows) - int(finite.sum()):
                left_out.append((label, attribute, f"{absent_rows} of {len(drawn.rows)} samples without"))
            if finite.any():
                values[attribute][label] = found[finite]
                if attribute == "betas":
                    spaces[label] = features.shape_space(drawn.part)
    left_out += _drop_other_shape_spaces(values, spaces)
    _same_width(values)
    frame = pd.DataFrame(left_out, columns=["dataset", "attribute", "reason"])
    return Samples(roles, {name: found for name, found in values.items() if found}, frame)


class Drawn:
    """Rows of a file: ``hd`` whole, ``rows`` their numbers, ``part`` the table of them, ``images`` their folder."""

    def __init__(self, hd: HumanData, rows: Array, images: Path | None) -> None:
        self.hd, self.rows, self.images = hd, rows, images
        self.part = hd[rows]


def _describe(
    drawn: Drawn,
    attribute: str,
    image_features: ImageFeatures | None,
    stored_images: bool,
    body_models: BodyModels | None,
) -> Array:
    """(N, D) features of the rows, NaN in rows that have none."""
    part = drawn.part
    if attribute == "image":
        return _stored(drawn) if stored_images else _images(drawn, image_features)
    if attribute == "body_pose":
        return body_features.body_joints(part, body_models)
    if attribute == "hands":
        return body_features.hand_joints(part, body_models)
    if attribute == "camera":
        return body_features.camera(part, body_models)
    if attribute == "framing":
        return body_features.framing(part, body_features.people_in_images(drawn.hd, drawn.rows))
    if part.body_model is None:
        raise AbsentError("no body parameters")
    parameters = {
        "global_orient": features.global_orient,
        "body_rotations": features.body_rotations,
        "betas": features.betas,
    }
    return parameters[attribute](part)


def _images(drawn: Drawn, image_features: ImageFeatures | None) -> Array:
    if drawn.images is None:
        raise AbsentError("no image folder given")
    folder = ImageFolder(drawn.images)
    for row, name in zip(drawn.rows.tolist(), drawn.part["image_path"], strict=True):
        folder.below(name, row)
    values, found = features.image(drawn.part, drawn.images, image_features)
    if not found.any():
        raise AbsentError(f"no image could be read in {drawn.images}")
    out = np.full((len(drawn.rows), values.shape[1]), np.nan)
    out[found] = values
    return out


def stored_features(file: Path) -> Path:
    """Where image features of a file's rows lie when somebody has computed them."""
    return file.with_name(file.name + IMAGE_FEATURES)


def _stored(drawn: Drawn) -> Array:
    if drawn.hd.source is None or not (path := stored_features(drawn.hd.source)).exists():
        raise AbsentError(f"no file ...{IMAGE_FEATURES} beside it")
    try:
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError("cannot be read as an array of numbers", path=path) from error
    if values.ndim != 2 or len(values) != len(drawn.hd) or values.dtype.kind not in "fiu":
        raise DataError(
            f"has shape {values.shape} of {values.dtype}, its HumanData file {len(drawn.hd)} rows",
            path=path,
            fix="store one row of numbers for each row of the file",
        )
    return np.asarray(values[drawn.rows], float)


def _same_width(values: Mapping[str, Mapping[str, Array]]) -> None:
    for attribute, found in values.items():
        widths = {name: rows.shape[1] for name, rows in found.items()}
        if len(set(widths.values())) > 1:
            said = ", ".join(f"{name} has {width}" for name, width in widths.items())
            raise DataError(f"features of {attribute} differ in number: {said}", fix="make all with one network")


def _label(source: Source, hd: HumanData) -> str:
    if source.role not in ("train", "test"):
        raise UsageError(f"a dataset is for train or test, not {source.role!r}")
    stem = hd.source.stem if hd.source is not None else "unknown"
    name = source.name or (hd.passport.dataset if hd.passport.dataset != "unknown" else stem)
    return f"{name} (test)" if source.role == "test" else name


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
