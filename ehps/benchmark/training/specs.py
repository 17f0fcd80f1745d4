"""Plain descriptions of what is trained and tested: JSON-able, so that they can be stored with results."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ehps.arrays import Mask
from ehps.benchmark.training.loss_weights import LossWeights
from ehps.errors import UsageError
from ehps.humandata.core import HumanData
from ehps.humandata.exclusions import listed_rows
from ehps.json_files import misfit

TRAINED_ON = {"dataset": str, "split": str, "interval": int, "instances": int}
"""What a checkpoint and a run folder say of each set that was trained on."""


@dataclass(frozen=True)
class SetSpec:
    """One HumanData file and its images.

    Attributes
    ----------
    data : the ``.h5`` (or ``.npz``) file.
    images : folder that ``image_path`` is relative to.
    interval : every N-th row is used for training.
    protocol : test sets: name of the protocol, changes in brackets (``ubody-intra[step=1]``).
    exclude : an exclusion list, whose rows are left out.
    """

    data: Path
    images: Path
    interval: int = 1
    protocol: str = ""
    exclude: Path | None = None

    def __post_init__(self) -> None:
        if self.interval < 1:
            raise UsageError(f"interval is {self.interval}, not 1 or more")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any] | str | Path, base: Path = Path()) -> SetSpec:
        """From ``{"data": ..., "images": ...}`` or a bare file name; relative paths are taken from ``base``.

        Without ``images`` they are beside the file.
        """
        if not isinstance(values, Mapping):
            values = {"data": str(values)}
        known = {f.name for f in dataclasses.fields(cls)}
        _only(values, known, "a set")
        if "data" not in values:
            raise UsageError("a set needs `data`: its HumanData file")
        form = {"data": str, "images?": str, "interval?": int, "protocol?": str, "exclude?": (str, None)}
        if wrong := misfit(dict(values), form, "a set"):
            raise UsageError(wrong)
        data = base / Path(values["data"])
        images = base / Path(values["images"]) if "images" in values else data.parent
        exclude = base / Path(values["exclude"]) if values.get("exclude") else None
        return cls(data, images, int(values.get("interval", 1)), str(values.get("protocol", "")), exclude)

    def excluded(self, hd: HumanData) -> Mask | None:
        """(N,) rows of the opened file that the exclusion list names, None without a list.

        Raises
        ------
        DataError : the list cannot be read, or names no row of the file.
        """
        return None if self.exclude is None else listed_rows(hd, self.exclude)


@dataclass(frozen=True)
class TrainConfig:
    """What determines a training run, apart from the data.

    ``checkpoint_every``, ``log_every``, ``keep_mb`` and ``workers`` have no influence on the result.

    Attributes
    ----------
    model : name for :func:`ehps.benchmark.models.build`.
    model_args : its arguments.
    steps : optimiser steps.
    epochs : replaces ``steps`` when given (1 epoch = as many images as the sets have rows).
    batch_size : images a step and process.
    lr : Adam's rate.
    lr_min : what it falls to along a cosine over all steps.
    warmup : steps over which it rises linearly at first.
    seed : of the first weights, the order of the rows and the augmentation.
    strategy : ``concat`` or ``balance``, for several sets.
    augment : whether crops are augmented, see :mod:`ehps.benchmark.training.crops`.
    box_ratio : scale of the stored boxes, which have their 20 % margin already.
    loss : weights of the loss terms.
    precision : ``no`` (float32), ``bf16`` or ``fp16``.
    init : checkpoint whose weights to start from.
    checkpoint_every : steps between checkpoints.
    log_every : steps between lines of the log.
    keep_mb : decoded images kept in memory by each loader process: for small sets, which are read many times.
    workers : loader processes.
    """

    model: str = "tiny"
    model_args: Mapping[str, Any] = field(default_factory=dict)
    steps: int = 1000
    epochs: float | None = None
    batch_size: int = 32
    lr: float = 5e-4
    lr_min: float = 1e-6
    warmup: int = 0
    seed: int = 2023
    strategy: str = "concat"
    augment: bool = True
    box_ratio: float = 1.2 * 0.833
    loss: LossWeights = field(default_factory=LossWeights)
    precision: str = "no"
    init: str | None = None
    checkpoint_every: int = 1000
    log_every: int = 20
    keep_mb: float = 0
    workers: int = 2

    def __post_init__(self) -> None:
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if value is not None and not (low <= value <= high and math.isfinite(value)):
                bounds = f"{low:g} or more" if math.isinf(high) else f"{low:g} to {high:g}"
                raise UsageError(f"{name} is {value}, not {bounds}")
        for name, words in _WORDS.items():
            if getattr(self, name) not in words:
                raise UsageError(f"{name} is {getattr(self, name)!r}", fix=f"one of: {', '.join(words)}")

    def to_dict(self) -> dict[str, Any]:
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainConfig:
        """Inverse of :meth:`to_dict`.

        Raises
        ------
        UsageError : an unknown name, or a value of another kind or out of range.
        """
        _only(values, {f.name for f in dataclasses.fields(cls)}, "training")
        if wrong := misfit(dict(values), _FORM, "training"):
            raise UsageError(wrong)
        values = dict(values)
        if "loss" in values:
            _only(values["loss"], {f.name for f in dataclasses.fields(LossWeights)}, "loss")
            weights = {f"{f.name}?": _KINDS[str(f.type)] for f in dataclasses.fields(LossWeights)}
            if wrong := misfit(values["loss"], weights, "loss"):
                raise UsageError(wrong)
            values["loss"] = LossWeights(**values["loss"])
        return cls(**values)

    def decisive(self) -> dict[str, Any]:
        """What changes the result: everything but loader processes and how often is logged or saved."""
        skip = {"checkpoint_every", "log_every", "keep_mb", "workers"}
        return {key: value for key, value in self.to_dict().items() if key not in skip}


_ABOVE_0 = 1e-9
_ANY = math.inf
_RANGES = {
    "steps": (1, _ANY),
    "epochs": (_ABOVE_0, 1e6),
    "batch_size": (1, 1e6),
    "lr": (0, _ANY),
    "lr_min": (0, _ANY),
    "warmup": (0, _ANY),
    "seed": (0, 2**32),
    "box_ratio": (_ABOVE_0, 100),
    "checkpoint_every": (1, _ANY),
    "log_every": (1, _ANY),
    "keep_mb": (0, 1e9),
    "workers": (0, 1e4),
}
_WORDS = {"strategy": ("concat", "balance"), "precision": ("no", "bf16", "fp16")}
_KINDS = {
    "int": int,
    "float": float,
    "str": str,
    "bool": bool,
    "float | None": (float, None),
    "str | None": (str, None),
}
_FORM = {
    f"{f.name}?": _KINDS[str(f.type)] for f in dataclasses.fields(TrainConfig) if f.name not in ("model_args", "loss")
}
_FORM |= {"model_args?": {str: object}, "loss?": {str: object}}


def _only(values: Mapping[str, Any], known: set[str], what: str) -> None:
    odd = sorted(set(values) - known, key=str)
    if odd:
        raise UsageError(f"{what} has no setting {odd[0]!r}", fix=f"there are: {', '.join(sorted(known))}")


def key(*parts: Any) -> str:
    """Short hash of JSON-able values: equal keys mean that a result need not be computed again."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
