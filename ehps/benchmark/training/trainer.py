"""Training one model on one or several HumanData files, one process per device through ``accelerate``.

Facts: the public SMPLer-X training code (Adam, cosine per iteration, no warm-up, fp32). What a step sees
depends on seed and step alone, so a run that was killed continues with exactly the steps it would have made, and any
number of processes makes the same ones (:mod:`ehps.benchmark.training.processes`). The rate
falls along a cosine over all steps: a run that goes on beyond the number it was begun with has made its first steps at
other rates than a run of the larger number. Its checkpoints say so, in ``schedule``.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ehps.benchmark import models
from ehps.benchmark.training import checkpoints
from ehps.benchmark.training.averages import Average
from ehps.benchmark.training.continuation import FINAL, LAST, Saved, followed, resumed, worlds
from ehps.benchmark.training.freezing import freeze, trained_mode
from ehps.benchmark.training.log_writer import TrainLog
from ehps.benchmark.training.objectives import objective
from ehps.benchmark.training.outlook import Outlook
from ehps.benchmark.training.processes import (
    Agreement,
    ExactSum,
    Part,
    accelerator_for,
    drop_by_row,
    norms_over_processes,
    part_size,
    parts_of_process,
    raised_in_all,
    world,
)
from ehps.benchmark.training.run_lock import locked
from ehps.benchmark.training.samples import collate, to_device
from ehps.benchmark.training.sampling import StepSampler, distinct_rows, epoch_length
from ehps.benchmark.training.skipped import Skipped
from ehps.benchmark.training.specs import SetSpec, TrainConfig
from ehps.benchmark.training.training_sets import JoinedSets, open_sets, trained, without_bad_images
from ehps.body.models import BodyModels
from ehps.errors import UsageError
from ehps.extras import need
from ehps.interrupts import Interrupted, Signals, caught, ignore_in_worker
from ehps.progress import begun, counting
from ehps.worker_processes import sharing_context


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
    images a second and the share of time spent waiting for images; what had to be left out to ``skipped.jsonl``.

    Raises
    ------
    Interrupted : a signal came; during the steps, the checkpoint of the last one was written.
    UsageError : the batch cannot be cut into equal parts for the processes; ``freeze`` names nothing.
    DataError : a file cannot be read, an image is missing, damaged or of another size than its rows say, the loss is
        no longer a number, or another process trains in the folder.
    """
    if config.tensorboard:
        need("writing events", "tensorboard")
    with caught() as signals, ExitStack() as stack:
        accelerator = accelerator_for(config)
        with raised_in_all():
            if accelerator.is_main_process:
                stack.enter_context(locked(Path(folder)))
        return _train(config, sets, Path(folder), body_models, signals, accelerator, progress)


@dataclass
class _Training:
    """What the steps work with."""

    config: TrainConfig
    steps: int
    accelerator: Any
    net: nn.Module
    optimizer: Any
    objective: Any
    part: Part
    accumulate: int
    exact: ExactSum | None
    average: Average | None
    log: TrainLog
    saved: Saved
    skipped: Skipped
    stop: Agreement
    outlook: Outlook


def _train(
    config: TrainConfig,
    sets: Sequence[SetSpec],
    folder: Path,
    body_models: BodyModels,
    signals: Signals,
    accelerator: Any,
    progress: bool,
) -> Path:
    accumulate, images = (
        parts_of_process(config, accelerator.num_processes),
        part_size(config, accelerator.num_processes),
    )
    main, visible = accelerator.is_main_process, progress and accelerator.is_main_process
    device = accelerator.device
    with raised_in_all():
        (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
        torch.manual_seed(config.seed)
        net = models.build(config.model, **checkpoints.with_body(config.model, config.model_args, body_models))
        goal = objective(config, body_models)
        if config.init:
            checkpoints.begin(net, config.model, config.model_args, Path(config.init))
        freeze(net, (*models.card(config.model).untrained_with(config.model_args), *config.freeze))
        datasets = open_sets(config, sets, body_models, net)
        unusable = []
        if config.skip_bad_images:  # every process, as it must know which rows are left
            unusable = without_bad_images(datasets, sets, config.skip_bad_images, show=visible)
        elif main:
            for dataset in datasets:
                dataset.require_images(show=progress)
        lengths = [len(d) for d in datasets]
        steps = total_steps(config, lengths)
        part = Part()
        drop_by_row(net, part)
        net = norms_over_processes(net, accelerator.num_processes, device, config.model).to(device)
        optimizer = _optimizer(config, net, accelerator)
        average = Average(net, config.ema) if config.ema else None
        start, before = resumed(folder / "checkpoints" / LAST, net, optimizer, accelerator.scaler, average)
        if start > steps:
            raise UsageError(f"{start:,} steps have been made already, more than {steps:,}", path=folder)
        weights = [spec.weight for spec in sets]
        drawn = distinct_rows(
            lengths,
            steps * config.batch_size,
            config.strategy,
            config.seed,
            total_length=config.total_length,
            weights=weights,
        )
        facts = {
            "trained_on": [trained(*each) for each in zip(sets, datasets, drawn, strict=True)],
            "schedule": followed(before["schedule"], start, steps),
            "world": worlds(before["world"], world(accelerator, accumulate, start)),
        }
    if config.compile:
        net.compile()
    net, optimizer = accelerator.prepare(net, optimizer)
    joined = JoinedSets(datasets, [str(spec.data) for spec in sets], config.skip_bad_images)
    sampler = StepSampler(  # the parts of a step follow each other
        lengths,
        images,
        steps * accumulate,
        seed=config.seed,
        start=start * accumulate,
        strategy=config.strategy,
        total_length=config.total_length,
        weights=weights,
        process=accelerator.process_index,
        processes=accelerator.num_processes,
    )
    loader = DataLoader(
        joined,
        batch_sampler=sampler,
        num_workers=config.workers,
        multiprocessing_context=sharing_context(JoinedSets.__module__) if config.workers else None,
        collate_fn=collate,
        pin_memory=accelerator.device.type == "cuda",
        worker_init_fn=ignore_in_worker,
    )
    with raised_in_all():
        skipped = Skipped(folder, config, joined, start, main)
        skipped.left_out(unusable)
        log = TrainLog(folder, start, write=main, events=config.tensorboard)
    training = _Training(
        config=config,
        steps=steps,
        accelerator=accelerator,
        net=net,
        optimizer=optimizer,
        objective=goal.to(accelerator.device),
        part=part,
        accumulate=accumulate,
        exact=ExactSum(net, config.parts) if config.parts else None,
        average=average,
        log=log,
        saved=Saved(folder / "checkpoints", config, facts, accelerator, start),
        skipped=skipped,
        stop=Agreement(signals),
        outlook=Outlook(start, steps, accelerator.device, visible),
    )
    if visible and start < steps:
        for line in training.outlook.plan(config, lengths, joined.files, net, (accelerator.num_processes, accumulate)):
            begun(line)
        if note := getattr(goal, "note", ""):
            begun(note)
    with counting("training", steps, done=start, show=visible) as advance, signals.deferred():
        _loop(training, loader, start, advance)
        training.saved.last(net, optimizer, average, steps)
        training.saved.final(net, average, steps)
        training.log.close()
        number, _ = training.stop.reached()
    if number:
        raise Interrupted(number)
    if visible and skipped.summary:
        begun(skipped.summary)
    return folder / "checkpoints" / FINAL


def _loop(training: _Training, loader: DataLoader[Any], start: int, advance: Any) -> None:
    config, steps, log, skipped = training.config, training.steps, training.log, training.skipped
    trained_mode(training.net)
    batches, shown = iter(loader), start
    for step in range(start, steps):
        began = time.perf_counter()
        for group in training.optimizer.param_groups:
            group["lr"] = learning_rate(config, step, steps)
        terms, names, waited = _step(training, batches, step)
        done = step + 1
        logged = done % config.log_every == 0 or done == steps
        saving = done < steps and done % config.checkpoint_every == 0
        log.add(config.batch_size, waited, time.perf_counter() - began)
        number, odd = training.stop.reached(skipped.anything(names, wait=logged or saving or done == steps))
        if odd:
            told = training.stop.told(skipped.told)
            with raised_in_all():
                skipped.settle(told, done)
        if logged:
            values = dict(zip(names, training.stop.mean(terms.mean(0)).tolist(), strict=True))
            loss = sum(values.values())
            if math.isfinite(loss):
                with raised_in_all():
                    log.write(done, loss, values, learning_rate(config, step, steps))
            advance(done - shown, note=f"loss {loss:.3f}")
            shown = done
        if estimate := training.outlook.timed(done):
            begun(estimate)
        if saving or (number and done < steps):
            training.saved.last(training.net, training.optimizer, training.average, done)
        if number and done < steps:
            what = f"interrupted after step {done:,} of {steps:,}, which is saved; the same command goes on from here"
            raise Interrupted(number, what)


def _step(training: _Training, batches: Any, step: int) -> tuple[Tensor, list[str], float]:
    """One step of the optimiser: (parts, terms) of the loss, their names, and how long it waited for images."""
    config, accelerator, net = training.config, training.accelerator, training.net
    waited, parts, names, places = 0.0, list[Tensor](), list[str](), list[tuple[int, int]]()
    accumulate, exact = training.accumulate, training.exact
    training.part.count = accumulate * accelerator.num_processes
    for number in range(accumulate):
        asked = time.perf_counter()
        batch = next(batches)
        waited += time.perf_counter() - asked
        training.stop.received(batch)
        if "error" not in batch:
            places += zip(batch.pop("set").tolist(), batch["row"].tolist(), strict=True)
            training.skipped.replaced(batch)
        batch = to_device(batch, accelerator.device)
        training.part.index = number * accelerator.num_processes + accelerator.process_index
        torch.manual_seed(config.seed * 1_000_003 + step)  # dropout and drop-path repeat after a resume
        alone = exact is not None or number + 1 < accumulate
        together = accelerator.no_sync(net) if alone else nullcontext()
        with together:
            with accelerator.autocast():
                out = net(batch["image"])
            out = out.float()
            terms = training.objective.terms(out, batch["target"])
            total = torch.stack(list(terms.values())).sum()
            if exact is None:
                total = total / accumulate
            # A loss that is no number makes the gradient none, in all processes: no weight is changed by it.
            sound = torch.where(torch.isfinite(total), 1.0, math.nan).to(total.dtype)
            accelerator.backward(total, gradient=sound)
        if exact is not None:
            exact.add()
        parts.append(torch.stack([value.detach() for value in terms.values()]))
        names = list(terms)
    if config.tensorboard and (step + 1) % config.sheet_every == 0 and training.log.events is not None:
        with torch.no_grad():
            training.log.sheet(step + 1, batch["image"], training.objective.points(out))
    if exact is not None:
        exact.put()
    stacked = torch.stack(parts)
    finite = _update(training, stacked)
    if training.average is not None:
        training.average.update(accelerator.unwrap_model(net), step, finite)
    training.skipped.watch(step + 1, stacked, places, finite)
    return stacked, names, waited


def _update(training: _Training, terms: Tensor) -> Tensor:
    """Step the optimiser, unless loss or gradient are no numbers; whether it was stepped, on the device."""
    config, accelerator, optimizer = training.config, training.accelerator, training.optimizer
    weights = [weight for weight in training.net.parameters() if weight.grad is not None]
    finite = torch.isfinite(terms).all()
    if accelerator.scaler is not None:  # it does not step where the gradient overflows, and tries a smaller scale
        if config.clip:
            accelerator.clip_grad_norm_(weights, config.clip)
        optimizer.step()
    else:
        norm = nn.utils.clip_grad_norm_(weights, config.clip or math.inf)
        finite = finite & torch.isfinite(norm)
        if finite.is_cuda:
            optimizer.optimizer.found_inf = (~finite).float()  # a fused Adam does nothing then, and nothing waits
            optimizer.step()
        elif finite:
            optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return finite


def _optimizer(config: TrainConfig, net: nn.Module, accelerator: Any) -> torch.optim.Optimizer:
    weights = [weight for weight in net.parameters() if weight.requires_grad]
    # Only the fused one can be told on the device to leave a step out.
    fused = accelerator.device.type == "cuda" and accelerator.scaler is None
    return torch.optim.Adam(weights, lr=config.lr, fused=fused or None)


def total_steps(config: TrainConfig, lengths: Sequence[int]) -> int:
    """Optimiser steps of the run."""
    if config.epochs is None:
        return config.steps
    epoch = epoch_length(config.strategy, lengths, config.total_length)
    return max(1, math.ceil(config.epochs * epoch / config.batch_size))


def learning_rate(config: TrainConfig, step: int, steps: int) -> float:
    """Rate of the step (from 0): linear up over ``warmup``, then a cosine from ``lr`` to ``lr_min``."""
    if step < config.warmup:
        return config.lr * (step + 1) / config.warmup
    done = (step - config.warmup) / max(1, steps - config.warmup)
    return config.lr_min + (config.lr - config.lr_min) * (1 + math.cos(math.pi * done)) / 2
