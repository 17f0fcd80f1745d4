"""Steps and images that a training leaves out: those whose loss or gradient is no number, those that cannot be read.

Each is named in ``skipped.jsonl`` beside ``train.jsonl``; more than are tolerated end the training. On a GPU the answer
whether a step was sound is read one step later, so that nothing waits for it; the step itself changes no weight.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ehps.atomic import write_error, write_text
from ehps.benchmark.training.specs import TrainConfig
from ehps.benchmark.training.training_sets import FIX, JoinedSets
from ehps.errors import DataError
from ehps.json_files import read_json_lines

SKIPPED = "skipped.jsonl"
MOST_ROWS = 64  # that a message names
BATCH, IMAGE = "batch", "image"


@dataclass(frozen=True)
class _Watched:
    step: int
    terms: Tensor  # (parts, terms)
    places: list[tuple[int, int]]  # set and row of every image
    finite: Tensor
    event: Any


class Skipped:
    """What was left out so far, and what the last steps have to say.

    Parameters
    ----------
    start : what steps after this one have left out, which will be made again, is forgotten.
    write : whether this process writes the file.
    """

    def __init__(self, folder: Path, config: TrainConfig, joined: JoinedSets, start: int, write: bool) -> None:
        self.path, self.config, self.joined, self.write = folder / SKIPPED, config, joined, write
        lines = read_json_lines(self.path, {"step": int, "kind": str}) if self.path.exists() else []
        lines = [line for line in lines if 0 < line["step"] <= start]
        if write and self.path.exists():
            write_text(self.path, "".join(f"{json.dumps(line)}\n" for line in lines))
        self.batches = sum(line["kind"] == BATCH for line in lines)
        self.images = {(line["data"], line["row"]) for line in lines if line["kind"] == IMAGE}
        self.told: dict[tuple[Any, ...], str] = {}
        self.watched: list[_Watched] = []

    def left_out(self, found: Sequence[Mapping[str, Any]]) -> None:
        """Note images that were left out before the first step."""
        for line in found:
            self.images.add((line["data"], line["row"]))
            self._note({"step": 0, "kind": IMAGE, **line})

    def replaced(self, batch: dict[str, Any]) -> None:
        """See which rows of a batch stand for others."""
        for index in batch["replaces"].tolist():
            if index >= 0:
                which, at = self.joined.place(index)
                dataset = self.joined.datasets[which]
                place = (self.joined.files[which], int(dataset.rows[at]))  # type: ignore[attr-defined]
                if place not in self.images:
                    self.told[IMAGE, *place] = self.joined.unreadable(index)

    def watch(self, step: int, terms: Tensor, places: list[tuple[int, int]], finite: Tensor) -> None:
        """Look at a step (from 1) of which nobody waits to know whether it was sound.

        Parameters
        ----------
        terms : (parts, terms) of the loss.
        places : set and row of its images.
        finite : whether the step could be made.
        """
        event = None
        if finite.is_cuda:
            there = torch.empty((), dtype=torch.bool, pin_memory=True)
            there.copy_(finite, non_blocking=True)
            finite, event = there, torch.cuda.Event()
            event.record()
        self.watched.append(_Watched(step, terms, places, finite, event))

    def anything(self, names: Sequence[str], *, wait: bool) -> bool:
        """Whether this process has something to tell; of the newest step too where that is known, or to ``wait``."""
        while self.watched and (wait or len(self.watched) > 1 or self.watched[0].event is None):
            seen = self.watched.pop(0)
            if seen.event is not None:
                seen.event.synchronize()
            if not seen.finite:
                by_term, what = _first(seen.terms, names)
                where = f" ({self._rows(seen.places)})"
                self.told[BATCH, seen.step, 0 if by_term else 1] = f"{what} at step {seen.step}{where}"
        return bool(self.told)

    def settle(self, told: Mapping[tuple[Any, ...], str], now: int) -> None:
        """Count what all processes had to tell after step ``now``.

        Raises
        ------
        DataError : it is more than is tolerated.
        """
        self.told = {}
        steps: dict[int, str] = {}
        for key in sorted(key for key in told if key[0] == BATCH):
            steps.setdefault(key[1], told[key])
        for step, what in steps.items():
            self.batches += 1
            if self.batches > self.config.skip_bad_batches:
                fix = "lower the learning rate, audit the data, or tolerate some with --skip-bad-batches N"
                more = f"; {self.batches - 1:,} before it were left out" if self.batches > 1 else ""
                raise DataError(f"{what}{more}", path=self.path.parent, fix=fix)
            self._note({"step": step, "kind": BATCH, "reason": what})
        for _, data, row in sorted(key for key in told if key[0] == IMAGE):
            self.images.add((data, row))
            if len(self.images) > self.config.skip_bad_images:
                what = f"{told[IMAGE, data, row]}; {len(self.images) - 1:,} before it were left out"
                raise DataError(what, path=data, fix=FIX)
            self._note({"step": now, "kind": IMAGE, "data": data, "row": row, "reason": told[IMAGE, data, row]})

    @property
    def summary(self) -> str:
        """What was left out, in words; empty when nothing was."""
        parts = [f"{self.batches:,} steps whose loss was no number"] * bool(self.batches)
        parts += [f"{len(self.images):,} images that cannot be used"] * bool(self.images)
        return f"left out: {' and '.join(parts)}; they are listed in {self.path}" if parts else ""

    def _rows(self, places: Sequence[tuple[int, int]]) -> str:
        words = []
        for which in sorted({one for one, _ in places}):
            rows = [row for one, row in places if one == which]
            more = f" and {len(rows) - MOST_ROWS} more" if len(rows) > MOST_ROWS else ""
            words.append(f"rows {', '.join(map(str, rows[:MOST_ROWS]))}{more} of {self.joined.files[which]}")
        return "; ".join(words)

    def _note(self, line: Mapping[str, Any]) -> None:
        if self.write:
            try:
                with self.path.open("a") as file:
                    file.write(json.dumps(line) + "\n")
            except OSError as error:
                raise write_error(error, self.path) from error


def _first(terms: Tensor, names: Sequence[str]) -> tuple[bool, str]:
    """Whether a term of the loss was no number, and which was the first."""
    for part in terms.tolist():
        for name, value in zip(names, part, strict=True):
            if not math.isfinite(value):
                return True, f"the loss is {sum(part)}: its first term that is no number is {name}, {value},"
    return False, "the gradient is no number, though the loss is one,"
