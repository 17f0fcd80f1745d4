"""The sets of a training: opened, joined, and what of them cannot be used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import ConcatDataset

from ehps.arrays import Array
from ehps.benchmark import models
from ehps.benchmark.training.samples import CropView, HumanDataset
from ehps.benchmark.training.specs import SetSpec, TrainConfig
from ehps.body.models import BodyModels
from ehps.body.topology import NAMES
from ehps.body.variants import stated_version
from ehps.errors import DataError, PassportError, SettingsError, UsageError
from ehps.humandata.core import HumanData
from ehps.humandata.image_checks import check_images

FIX = "check the image folder that was given, or list such images with `ehps humandata verify FILE --images DIR "
FIX += "--exclude-to LIST` and leave them out with --exclude LIST, or tolerate some with --skip-bad N"


class JoinedSets(ConcatDataset[dict[str, Any]]):
    """Concatenation whose keys are (row, draw): the draw goes on to the set that holds the row.

    Items have the number of their set, ``set``, and ``replaces``: the place of the row whose image could not be read
    and which this one, the next that could be, stands for, else -1.

    Parameters
    ----------
    files : of the sets, as messages name them.
    replace : how many rows after one another may be replaced; with 0 the error is passed on.
    """

    def __init__(self, datasets: Sequence[HumanDataset], files: Sequence[str], replace: int = 0) -> None:
        super().__init__(datasets)
        self.files, self.replace = tuple(files), replace

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Any]:
        index, number = key
        item: dict[str, Any] = {}
        for tried in range(self.replace + 1):
            which, at = self.place((index + tried) % len(self))
            item = self.datasets[which][at, number]
            if "error" not in item:
                item["set"] = torch.tensor(which)
                item["replaces"] = torch.tensor(index if tried else -1)
                break
        return item

    def place(self, index: int) -> tuple[int, int]:
        """Number of the set that holds a row, and the row's place in it."""
        which = next(i for i, end in enumerate(self.cumulative_sizes) if index < end)
        return which, index - (self.cumulative_sizes[which - 1] if which else 0)

    def unreadable(self, index: int) -> str:
        """Why the image of a row cannot be read."""
        which, at = self.place(index)
        return str(self.datasets[which][at].get("error", "its image can be read now"))


def open_sets(
    config: TrainConfig, sets: Sequence[SetSpec], body_models: BodyModels, net: nn.Module
) -> list[HumanDataset]:
    """The training sets, cropped as ``net`` wants.

    Raises
    ------
    PassportError : bodies of two sets belong to different releases of the model, or to another than the one trained.
    """
    if not sets:
        raise UsageError("nothing to train on")
    if faults := [*config.weight_faults(sets), *config.loss.faults(config.model)]:
        raise SettingsError(faults)
    card = models.card(config.model)
    view = CropView.of(net, card, ratio=config.box_ratio, training=True, augment=config.augment)
    opened = [
        HumanDataset(
            s.data,
            s.images,
            view,
            models=body_models,
            rows=_kept(s),
            interval=s.interval,
            seed=config.seed,
            keep_mb=config.keep_mb / len(sets),
            folders=s.folders,
            body=card.body,
        )
        for s in sets
    ]
    for spec, dataset in zip(sets, opened, strict=True):
        _require_rows(spec, dataset)
    learned = [dataset.hd for dataset in opened if dataset.hd.body_model == card.body]  # of others no betas are
    _require_one_release(learned, card.body, body_models)
    return opened


def _require_one_release(files: Sequence[HumanData], body: str, body_models: BodyModels) -> None:
    """Refuse bodies of several releases, whose betas mean different shapes; what is not stated passes."""
    stated: dict[str, HumanData] = {}
    for hd in files:
        if version := stated_version(hd):
            stated.setdefault(version, hd)
    if len(stated) > 1:
        (one, first), (other, second) = list(stated.items())[:2]
        raise PassportError(
            f"its bodies are of {NAMES[body]} {other}, those of {first.source} of {one}: their betas mean different "
            "shapes",
            path=second.source,
            fix="convert both with the same body models, or train on one of them",
        )
    for version, hd in stated.items():
        body_models.require_version(version, body, "neutral", source=hd.source)


def without_bad_images(
    datasets: Sequence[HumanDataset], sets: Sequence[SetSpec], tolerated: int, show: bool
) -> list[dict[str, Any]]:
    """Leave out the rows whose image is not there, has no sound header, or another size than they say.

    Returns
    -------
    One entry an image: ``data, image, row, reason``.

    Raises
    ------
    DataError : more images than ``tolerated``, or no row is left.
    """
    found: list[dict[str, Any]] = []
    for spec, dataset in zip(sets, datasets, strict=True):
        if dataset.pack is not None:  # its crops were looked at when they were packed
            continue
        check = check_images(dataset.hd, dataset.folder, rows=dataset.rows, show=show)
        found += [
            {"data": str(spec.data), "image": fault.image_path, "row": fault.row, "reason": fault.reason}
            for fault in check.faults
        ]
        if len(found) > tolerated:
            what = f"{check.summary()}; {tolerated:,} of all sets are tolerated"
            raise DataError(what, path=dataset.folder.root, fix=FIX)
        sound = check.wrong[dataset.rows] == 0
        dataset.rows, dataset.boxes = dataset.rows[sound], dataset.boxes[sound]
        _require_rows(spec, dataset)
    return found


def _require_rows(spec: SetSpec, dataset: HumanDataset) -> None:
    if not len(dataset):
        raise DataError("has no row with a box inside its image", path=spec.data)


def _kept(spec: SetSpec) -> Array | None:
    """Rows that the exclusion list leaves, None for all."""
    excluded = None if spec.exclude is None else spec.excluded(HumanData.open(spec.data))
    return None if excluded is None else np.flatnonzero(~excluded)


def trained(spec: SetSpec, data: HumanDataset, drawn: int) -> dict[str, Any]:
    """What a set is, how many rows there are for training, and how many of them are drawn: see :data:`TRAINED_ON`."""
    passport = data.hd.passport
    return {
        "dataset": passport.dataset,
        "split": passport.split,
        "interval": spec.interval,
        "instances": len(data),
        "drawn": drawn,
    }
