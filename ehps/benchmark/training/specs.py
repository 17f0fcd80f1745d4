"""Plain descriptions of what is trained and tested: JSON-able, so that they can be stored with results."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ehps.arrays import Mask
from ehps.benchmark import models
from ehps.benchmark.training.loss_weights import LossWeights
from ehps.benchmark.training.settings import LOSS, SET, SETTINGS, read_settings
from ehps.errors import SettingsError, UsageError
from ehps.humandata.core import HumanData
from ehps.humandata.exclusions import listed_rows
from ehps.humandata.merged_images import default_folder

TRAINED_ON = {"dataset": str, "split": str, "interval": float, "instances": int, "drawn?": int}
"""What a checkpoint and a run folder say of each set that was trained on: rows that there are for it, and how many of
them its steps draw (versions before did not say)."""
SCHEDULE = {"from_step": int, "steps": int}
"""What they say of the learning rate: over how many steps it was to fall, from a step (the first is 0) on."""

WORLD = {"from_step": int, "processes": int, "accumulate": int, "device": str, "driver": str}
"""What they say of who made the steps, from a step on."""


@dataclass(frozen=True)
class SetSpec:
    """One HumanData file and its images.

    Attributes
    ----------
    data : the ``.h5`` (or ``.npz``) file.
    images : folder that ``image_path`` is relative to, or a file of packed crops.
    interval : every N-th row is used for training; a fraction takes rows floor(k * interval), k = 0, 1, ...
    weight : of a training set: its share of a balanced epoch, or its probability in a mixture, compared with the other
        sets'.
    protocol : test sets: name of the protocol, changes in brackets (``ubody-intra[step=1]``).
    exclude : an exclusion list, whose rows are left out.
    folders : image folders of a merged file by their labels, where they are not those that it names.
    """

    data: Path
    images: Path
    interval: float = 1
    protocol: str = ""
    exclude: Path | None = None
    folders: Mapping[str, Path] = field(default_factory=dict)
    weight: float = 1

    def __post_init__(self) -> None:
        read = {}
        for name in ("interval", "weight"):
            try:
                read[name] = SET[name].read(getattr(self, name))
            except ValueError as error:
                raise UsageError(f"{name} {error}") from None
        object.__setattr__(self, "interval", read["interval"])

    @classmethod
    def from_dict(cls, values: Mapping[str, Any] | str | Path, base: Path = Path()) -> SetSpec:
        """From ``{"data": ..., "images": ...}`` or a bare file name; relative paths are taken from ``base``.

        Without ``images`` they are where the file or its conversion's report says, else beside the file.

        Raises
        ------
        SettingsError : names that do not exist, no ``data``, or values of another kind.
        """
        faults: list[str] = []
        spec = cls.read(values, base, faults)
        if spec is None:
            raise SettingsError(faults)
        return spec

    @classmethod
    def read(cls, values: Any, base: Path, faults: list[str], place: str = "") -> SetSpec | None:
        """As :meth:`from_dict`; what is wrong is appended to ``faults``, as being at ``place``."""
        before = len(faults)
        if isinstance(values, str | Path):
            values = {"data": str(values)}
        elif isinstance(values, Mapping) and values.get("protocol") == "":  # as it is stored for training sets
            values = {name: value for name, value in values.items() if name != "protocol"}
        given = values.get("images") if isinstance(values, Mapping) else None
        if isinstance(given, Mapping):  # of a merged file
            odd = [label for label, folder in given.items() if not isinstance(folder, str)]
            faults += [f"{place}images.{label} is no folder's name" for label in odd]
            values = {name: value for name, value in values.items() if name != "images"}
        read = read_settings(values, SET, faults, place=place)
        if isinstance(values, Mapping) and "data" not in values:
            faults.append(f"{place.rstrip('.') or 'a set'} has no data, which is its HumanData file")
        if len(faults) > before:
            return None
        data = base / read["data"]
        images, folders = image_folders(given, data, base)
        exclude = base / read["exclude"] if read.get("exclude") else None
        others = (read.get("interval", 1), read.get("protocol", ""), exclude, folders, read.get("weight", 1))
        return cls(data, images, *others)

    def excluded(self, hd: HumanData) -> Mask | None:
        """(N,) rows of the opened file that the exclusion list names, None without a list.

        Raises
        ------
        DataError : the list cannot be read, or names no row of the file.
        """
        return None if self.exclude is None else listed_rows(hd, self.exclude)


def image_folders(
    given: str | Path | Sequence[str] | Mapping[str, str] | None, data: Path, base: Path = Path()
) -> tuple[Path, dict[str, Path]]:
    """The folder that image paths of a file are relative to, and those of the labels of a merged one.

    Parameters
    ----------
    given : a folder, several of ``DIR`` and ``LABEL=DIR``, or label -> folder; when None the folder that the file
        or its conversion's report names, else the file's own.
    data : the file.
    base : what relative folders are relative to.

    Raises
    ------
    UsageError : two folders without a label.
    """
    if isinstance(given, Mapping):
        return default_folder(data), {label: base / folder for label, folder in given.items()}
    words = [str(given)] if isinstance(given, str | Path) else list(given or ())
    labelled = [word.partition("=") for word in words if "=" in word and not (base / word).is_dir()]
    plain = [word for word in words if "=" not in word or (base / word).is_dir()]
    if len(plain) > 1:
        raise UsageError(f"two image folders for {data}", fix="of a merged file, give LABEL=DIR for each")
    return base / plain[0] if plain else default_folder(data), {label: base / folder for label, _, folder in labelled}


@dataclass(frozen=True)
class TrainConfig:
    """What determines a training run, apart from the data.

    What is after ``init`` has no influence on the result, nor have ``accumulate`` (but see
    :mod:`ehps.benchmark.training.processes`), ``compile`` and the number of processes, beyond rounding.

    Attributes
    ----------
    model : name for :func:`ehps.benchmark.models.build`.
    model_args : its arguments.
    steps : optimiser steps.
    epochs : replaces ``steps`` when given (1 epoch = ``total_length`` images, or what that is by default).
    batch_size : images a step, of all processes together.
    accumulate : in how many parts a process takes its images of a step, one after another, to save memory.
    parts : into how many parts a batch is cut, whatever the number of processes: any that divides it gives the same
        weights to the last digit on one kind of device. In place of ``accumulate``.
    lr : Adam's rate.
    lr_min : what it falls to along a cosine over all steps.
    warmup : steps over which it rises linearly at first.
    seed : of the first weights, the order of the rows and the augmentation.
    strategy : ``concat``, ``balance`` or ``mixture``, see :mod:`ehps.benchmark.training.sampling`.
    total_length : rows of an epoch that is no ``concat``; by default as many as the sets have, of a mixture as many as
        its longest.
    augment : whether crops are augmented, see :mod:`ehps.benchmark.training.crops`.
    box_ratio : scale of the stored boxes, which have their 20 % margin already.
    loss : weights of the loss terms.
    precision : ``no`` (float32), ``bf16`` or ``fp16``.
    clip : greatest norm of the gradient, to which larger ones are scaled down.
    ema : share of the average of the weights that a step keeps; the average is tested in place of the weights.
    freeze : names of parts of the model, or of weights, that are left as they are.
    compile : translate the model with ``torch.compile`` before training.
    init : file of weights to start from: of this model, or of what its card says that it starts from, as ViTPose.
    checkpoint_every : steps between checkpoints.
    log_every : steps between lines of the log.
    keep_mb : decoded images kept in memory by each loader process: for small sets, which are read many times.
    workers : loader processes.
    skip_bad_batches : steps whose loss or gradient is no number that are left out before the training gives up.
    skip_bad_images : images that cannot be used that are left out before the training gives up.
    tensorboard : write events for TensorBoard too.
    sheet_every : steps between sheets of images with predicted joints in these.
    """

    model: str = "tiny"
    model_args: Mapping[str, Any] = field(default_factory=dict)
    steps: int = 1000
    epochs: float | None = None
    batch_size: int = 32
    accumulate: int = 1
    parts: int | None = None
    lr: float = 5e-4
    lr_min: float = 1e-6
    warmup: int = 0
    seed: int = 2023
    strategy: str = "concat"
    total_length: int | None = None
    augment: bool = True
    box_ratio: float = 1.2 * 0.833
    loss: LossWeights = field(default_factory=LossWeights)
    precision: str = "no"
    clip: float | None = None
    ema: float | None = None
    freeze: tuple[str, ...] = ()
    compile: bool = False
    init: str | None = None
    checkpoint_every: int = 1000
    log_every: int = 20
    keep_mb: float = 0
    workers: int = 2
    skip_bad_batches: int = 0
    skip_bad_images: int = 0
    tensorboard: bool = False
    sheet_every: int = 1000

    def __post_init__(self) -> None:
        faults: list[str] = []
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "loss"}
        for name, value in read_settings(values, SETTINGS, faults).items():
            object.__setattr__(self, name, value)
        read_settings(dataclasses.asdict(self.loss), LOSS, faults, place="loss.")
        if not faults and self.lr_min > self.lr:
            faults.append(f"lr_min is {self.lr_min:g}, more than lr, which is {self.lr:g}")
        if not faults and self.epochs is None and self.warmup > self.steps:
            faults.append(f"warmup is {self.warmup:,}, more than steps, {self.steps:,}: lr would not be reached")
        if not faults and self.total_length is not None and self.strategy == "concat":
            faults.append(f"total_length is {self.total_length:,}, which only strategies balance and mixture have")
        if not faults and self.parts and self.accumulate > 1:
            faults.append("parts and accumulate are both given; parts says how often each process takes images")
        if not faults and self.parts and self.batch_size % self.parts:
            faults.append(f"batch_size is {self.batch_size}, which parts, {self.parts}, does not divide")
        if not faults and self.batch_size % self.accumulate:
            faults.append(f"batch_size is {self.batch_size}, which accumulate, {self.accumulate}, does not divide")
        if faults:
            raise SettingsError(faults)

    def to_dict(self) -> dict[str, Any]:
        """All settings, of ``loss`` those that the model reads."""
        return json.loads(json.dumps({**dataclasses.asdict(self), "loss": self.loss.of(self.model)}))

    def _model_faults(self) -> list[str]:
        try:
            models.check(self.model)
            if self.model_args:
                models.check_arguments(self.model, self.model_args)
        except UsageError as error:
            place = "model_args" if self.model in models.names() else "model"
            return [f"{place}: {error.what}; {error.fix}" if error.fix else f"{place}: {error.what}"]
        return []

    def weight_faults(self, sets: Iterable[SetSpec]) -> list[str]:
        """What is wrong with the weights of sets that are trained on together."""
        weighted = [spec for spec in sets if spec.weight != 1]
        if not weighted or self.strategy != "concat":
            return []
        what = f"weight of {weighted[0].data} is {weighted[0].weight:g}"
        return [f"{what}, which only strategies balance and mixture look at"]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainConfig:
        """Inverse of :meth:`to_dict`.

        Raises
        ------
        SettingsError : unknown names, and values of another kind or out of range, also of the model's own; all of them.
        """
        faults: list[str] = []
        config = cls.read(values, faults)
        if config is not None:
            faults += config.loss.faults(config.model, values.get("loss", {}))
            faults += config._model_faults()
        if config is None or faults:
            raise SettingsError(faults)
        return config

    @classmethod
    def read(cls, values: Mapping[str, Any], faults: list[str], *, others: Iterable[str] = ()) -> TrainConfig | None:
        """As :meth:`from_dict`; what is wrong is appended to ``faults``. ``others`` are names that the caller reads."""
        before = len(faults)
        read = read_settings(values, SETTINGS, faults, others=others)
        loss = read_settings(read.pop("loss", {}), LOSS, faults, place="loss.")
        if len(faults) > before:
            return None
        try:
            return cls(**read, loss=LossWeights(**loss))
        except SettingsError as error:
            faults += error.faults
            return None

    def decisive(self) -> dict[str, Any]:
        """What changes the result; settings that earlier versions did not have only where they change it."""
        without = self._harmless()
        default = TrainConfig.__dataclass_fields__
        absent = {name for name in _LATER if getattr(self, name) == default[name].default}
        return {key: value for key, value in self.to_dict().items() if key not in without | absent}

    def _harmless(self) -> set[str]:
        """Settings that change nothing, or the last digit."""
        one_by_one = self.accumulate > 1 and models.sees_batch(self.model, self.model_args)
        return _WORKINGS - {"accumulate"} if one_by_one else _WORKINGS


_WORKINGS = {"checkpoint_every", "log_every", "keep_mb", "workers", "compile", "skip_bad_batches", "skip_bad_images"}
_WORKINGS |= {"tensorboard", "sheet_every", "accumulate"}
_LATER = ("parts", "clip", "ema", "freeze", "total_length")


def settings_markdown() -> str:
    """The settings of a training as a Markdown table: what each takes, and its default."""
    default, lines = TrainConfig().to_dict(), ["| setting | takes | default |", "| --- " * 3 + "|"]
    for name, setting in SETTINGS.items():
        plain = default[name] not in (None, {}, []) and name != "loss"
        lines.append(f"| `{name}` | {setting.expected} | {f'`{json.dumps(default[name])}`' if plain else ''} |")
    weights = dataclasses.asdict(LossWeights())
    lines += [f"| `loss: {name}` | {LOSS[name].expected} | `{json.dumps(weights[name])}` |" for name in LOSS]
    return "\n".join(lines) + "\n"


def key(*parts: Any) -> str:
    """Short hash of JSON-able values: equal keys mean that a result need not be computed again."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
