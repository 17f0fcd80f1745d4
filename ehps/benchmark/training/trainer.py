"""Training one model on one or several HumanData files, one process per device through ``accelerate``.

Facts: the public SMPLer-X training code (Adam, cosine per iteration, no warm-up, fp32). What a step sees
depends on seed and step alone, so a run that was killed continues with exactly the steps it would have made. The rate
falls along a cosine over all steps: a run that goes on beyond the number it was begun with has made its first steps at
other rates than a run of the larger number. Its checkpoints say so, in ``schedule``.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import ConcatDataset, DataLoader

from ehps.arrays import Array
from ehps.atomic import write_error, write_text
from ehps.benchmark import models
from ehps.benchmark.training import checkpoints
from ehps.benchmark.training.continuation import FINAL, LAST, PATIENCE, Agreement, Saved, followed, resumed
from ehps.benchmark.training.loss_terms import losses
from ehps.benchmark.training.samples import CropView, HumanDataset, collate, to_device
from ehps.benchmark.training.sampling import StepSampler
from ehps.benchmark.training.smplx_joints import Skeleton
from ehps.benchmark.training.specs import SetSpec, TrainConfig
from ehps.benchmark.training.targets import make
from ehps.benchmark.training.train_log import LOG, read_log
from ehps.body.models import BodyModels
from ehps.errors import DataError, SettingsError, UsageError
from ehps.extras import need
from ehps.humandata.core import HumanData
from ehps.interrupts import Interrupted, Signals, caught, ignore_in_worker
from ehps.progress import counting


def train(
    config: TrainConfig,
    sets: Sequence[SetSpec],
    folder: Path,
    body_models: BodyModels,
    *,
    progress: bool = True,
) -> Path:
    """Train and return the final checkpoint, ``folder/checkpoints/final.pt``.

    Continues from ``checkpoints/last.pt`` where there is one, which stays beside the final one: with more steps, the
    training goes on from it. Losses are appended to ``train.jsonl``, one line every ``log_every`` steps, with the rate,
    images a second and the share of time spent waiting for images.

    Raises
    ------
    Interrupted : a signal came; during the steps, the checkpoint of the last one was written.
    DataError : a file cannot be read, an image is missing, damaged or of another size than its rows say, or the loss is
        no longer a number.
    """
    with caught() as signals:
        return _train(config, sets, Path(folder), body_models, signals, progress)


def _train(
    config: TrainConfig,
    sets: Sequence[SetSpec],
    folder: Path,
    body_models: BodyModels,
    signals: Signals,
    progress: bool,
) -> Path:
    accelerator = _accelerator(config)
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.seed)
    net = models.build(config.model, **config.model_args)
    if config.init:
        checkpoints.put(net, checkpoints.load(Path(config.init)), Path(config.init))
    datasets = open_sets(config, sets, body_models, net)
    if accelerator.is_main_process:
        for dataset in datasets:
            dataset.require_images(show=progress)
    lengths = [len(d) for d in datasets]
    steps = total_steps(config, lengths, accelerator.num_processes)
    optimizer = torch.optim.Adam(net.parameters(), lr=config.lr)
    start, schedule = resumed(folder / "checkpoints" / LAST, net, optimizer, accelerator.scaler)
    if start > steps:
        raise UsageError(f"{start:,} steps have been made already, more than {steps:,}", path=folder)
    facts = {
        "trained_on": [trained(spec, data) for spec, data in zip(sets, datasets, strict=True)],
        "schedule": followed(schedule, start, steps),
    }
    net, optimizer = accelerator.prepare(net, optimizer)
    skeleton = Skeleton(body_models).to(accelerator.device)
    sampler = StepSampler(
        lengths,
        config.batch_size,
        steps,
        seed=config.seed,
        start=start,
        strategy=config.strategy,
        total_length=config.total_length,
        weights=[spec.weight for spec in sets],
        process=accelerator.process_index,
        processes=accelerator.num_processes,
    )
    loader = DataLoader(
        ConcatNumbered(datasets),
        batch_sampler=sampler,
        num_workers=config.workers,
        collate_fn=collate,
        pin_memory=accelerator.device.type == "cuda",
        worker_init_fn=ignore_in_worker,
    )
    log = _Log(folder / LOG, start, accelerator.is_main_process)
    saved = Saved(folder / "checkpoints", config, facts, accelerator)
    visible = progress and accelerator.is_main_process
    with counting("training", steps, done=start, show=visible) as advance, signals.deferred():
        stop = Agreement(signals)
        _loop(config, accelerator, net, optimizer, skeleton, loader, start, steps, log, saved, stop, advance)
        saved.write(LAST, net, optimizer, steps)
        saved.write(FINAL, net, None, steps)
        number = stop.reached()
    if number:
        raise Interrupted(number)
    return folder / "checkpoints" / FINAL


def _loop(
    config: TrainConfig,
    accelerator: Any,
    net: nn.Module,
    optimizer: Any,
    skeleton: Skeleton,
    loader: DataLoader[Any],
    start: int,
    steps: int,
    log: _Log,
    saved: Saved,
    stop: Agreement,
    advance: Any,
) -> None:
    net.train()
    ready, shown = time.perf_counter(), start
    for step, batch in enumerate(loader, start):
        waited = time.perf_counter() - ready
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(config, step, steps)
        torch.manual_seed(config.seed * 1_000_003 + step)  # dropout and drop-path repeat after a resume
        batch = to_device(batch, accelerator.device)
        with accelerator.autocast():
            out = net(batch["image"])
        terms = losses(out.float(), make(batch["target"], skeleton), skeleton, config.loss)
        total = torch.stack(list(terms.values())).sum()
        accelerator.backward(total)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        done = step + 1
        log.add(len(batch["image"]) * accelerator.num_processes, waited, time.perf_counter() - ready)
        if done % config.log_every == 0 or done == steps:
            values = {name: float(value.detach()) for name, value in terms.items()}
            loss = sum(values.values())
            if not math.isfinite(loss):
                raise DataError(
                    f"the loss is {loss} at step {done}",
                    path=log.path.parent,
                    fix="lower the learning rate, or audit the data",
                )
            log.write(done, loss, values, learning_rate(config, step, steps))
            advance(done - shown, note=f"loss {loss:.3f}")
            shown = done
        number = stop.reached()
        if done < steps and (number or done % config.checkpoint_every == 0):
            saved.write(LAST, net, optimizer, done)
        if number and done < steps:
            what = f"interrupted after step {done:,} of {steps:,}, which is saved; the same command goes on from here"
            raise Interrupted(number, what)
        ready = time.perf_counter()


class ConcatNumbered(ConcatDataset[dict[str, Any]]):
    """Concatenation whose keys are (row, draw): the draw goes on to the set that holds the row."""

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Any]:
        index, number = key
        which = next(i for i, end in enumerate(self.cumulative_sizes) if index < end)
        first = self.cumulative_sizes[which - 1] if which else 0
        return self.datasets[which][index - first, number]


def open_sets(
    config: TrainConfig, sets: Sequence[SetSpec], body_models: BodyModels, net: nn.Module
) -> list[HumanDataset]:
    """The training sets, cropped as ``net`` wants."""
    if not sets:
        raise UsageError("nothing to train on")
    if faults := config.weight_faults(sets):
        raise SettingsError(faults)
    view = CropView(
        size=net.input_size,  # type: ignore[arg-type]
        ratio=config.box_ratio,
        antialias=bool(getattr(net, "antialias", False)),
        augment=config.augment,
    )
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
        )
        for s in sets
    ]
    for spec, dataset in zip(sets, opened, strict=True):
        if not len(dataset):
            raise DataError("has no row with a box inside its image", path=spec.data)
    return opened


def _kept(spec: SetSpec) -> Array | None:
    """Rows that the exclusion list leaves, None for all."""
    excluded = None if spec.exclude is None else spec.excluded(HumanData.open(spec.data))
    return None if excluded is None else np.flatnonzero(~excluded)


def trained(spec: SetSpec, data: HumanDataset) -> dict[str, Any]:
    """What a set is, and how many of its rows are trained on: ``dataset``, ``split``, ``interval``, ``instances``."""
    passport = data.hd.passport
    return {
        "dataset": passport.dataset,
        "split": passport.split,
        "interval": spec.interval,
        "instances": len(data),
    }


def total_steps(config: TrainConfig, lengths: Sequence[int], processes: int = 1) -> int:
    """Optimiser steps of the run."""
    if config.epochs is None:
        return config.steps
    epoch = config.total_length or sum(lengths)
    return max(1, math.ceil(config.epochs * epoch / (config.batch_size * processes)))


def learning_rate(config: TrainConfig, step: int, steps: int) -> float:
    """Rate of the step (from 0): linear up over ``warmup``, then a cosine from ``lr`` to ``lr_min``."""
    if step < config.warmup:
        return config.lr * (step + 1) / config.warmup
    done = (step - config.warmup) / max(1, steps - config.warmup)
    return config.lr_min + (config.lr - config.lr_min) * (1 + math.cos(math.pi * done)) / 2


def _accelerator(config: TrainConfig) -> Any:
    need("training", "accelerate")
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState
    from accelerate.utils import InitProcessGroupKwargs

    AcceleratorState._reset_state()  # the precision of an earlier training in this process does not bind this one
    patience = InitProcessGroupKwargs(timeout=PATIENCE)
    several_cpus = int(os.environ.get("WORLD_SIZE", "1")) > 1 and not torch.cuda.is_available()
    return Accelerator(cpu=several_cpus or None, mixed_precision=config.precision, kwargs_handlers=[patience])


class _Log:
    """``train.jsonl``; lines of steps that a resumed run will make again are dropped."""

    def __init__(self, path: Path, start: int, write: bool) -> None:
        self.path, self.on = path, write
        self.images, self.waited, self.spent = 0, 0.0, 0.0
        if write:
            lines = read_log(path) if path.exists() else []
            write_text(path, "".join(f"{json.dumps(line)}\n" for line in lines if line["step"] <= start))

    def add(self, images: int, waited: float, spent: float) -> None:
        self.images += images
        self.waited += waited
        self.spent += spent

    def write(self, step: int, loss: float, terms: dict[str, float], rate: float) -> None:
        line = {"step": step, "loss": loss, **terms, "lr": rate}
        line["images_per_second"] = round(self.images / max(self.spent, 1e-9), 1)
        line["waiting_for_images"] = round(self.waited / max(self.spent, 1e-9), 3)
        self.images, self.waited, self.spent = 0, 0.0, 0.0
        if self.on:
            try:
                with self.path.open("a") as file:
                    file.write(json.dumps(line) + "\n")
            except OSError as error:
                raise write_error(error, self.path) from error
