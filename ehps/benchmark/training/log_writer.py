"""Writing the log of a training: ``train.jsonl``, and the same, with images, as events for TensorBoard."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from ehps.arrays import Array
from ehps.atomic import write_error, write_text
from ehps.benchmark.training.train_log import LOG, read_log

EVENTS = "tensorboard"
SHEET = 16  # images


class TrainLog:
    """The log of one training; lines of steps that a resumed run will make again are dropped.

    Parameters
    ----------
    folder : of the run.
    start : the step that it goes on from.
    write : whether this process writes.
    events : write ``tensorboard/`` too.
    """

    def __init__(self, folder: Path, start: int, *, write: bool, events: bool = False) -> None:
        self.path, self.on = folder / LOG, write
        self.images, self.waited, self.spent = 0, 0.0, 0.0
        self.events: Any = None
        if write:
            lines = read_log(self.path) if self.path.exists() else []
            write_text(self.path, "".join(f"{json.dumps(line)}\n" for line in lines if line["step"] <= start))
        if write and events:
            from torch.utils.tensorboard import SummaryWriter

            self.events = SummaryWriter(str(folder / EVENTS), purge_step=start + 1)

    def add(self, images: int, waited: float, spent: float) -> None:
        """Count the images of a step, and its seconds, those of waiting for images among them."""
        self.images += images
        self.waited += waited
        self.spent += spent

    def write(self, step: int, loss: float, terms: dict[str, float], rate: float) -> None:
        """A line about a step, with the speed since the last one."""
        line = {"step": step, "loss": loss, **terms, "lr": rate}
        line["images_per_second"] = round(self.images / max(self.spent, 1e-9), 1)
        line["waiting_for_images"] = round(self.waited / max(self.spent, 1e-9), 3)
        self.images, self.waited, self.spent = 0, 0.0, 0.0
        if not self.on:
            return
        try:
            with self.path.open("a") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise write_error(error, self.path) from error
        if self.events is not None:
            for name, value in line.items():
                if name != "step":
                    self.events.add_scalar(f"loss/{name}" if name in terms else name, value, step)
            if torch.cuda.is_available():
                self.events.add_scalar("gpu_memory_mb", torch.cuda.max_memory_allocated() / 1e6, step)

    def sheet(self, step: int, image: Tensor, points: Tensor) -> None:
        """Images with joints, as an event.

        Parameters
        ----------
        image : (N, 3, h, w) in [0, 1].
        points : (N, J, 2) joints, x and y as shares of width and height.
        """
        if self.events is not None:
            pixels = sheet(image[:SHEET].detach().cpu(), points[:SHEET].detach().float().cpu())
            self.events.add_image("predicted joints", pixels, step, dataformats="HWC")

    def close(self) -> None:
        if self.events is not None:
            self.events.close()


def sheet(image: Tensor, points: Tensor) -> Array:
    """Images in rows of four, with a dot at each point.

    Parameters
    ----------
    image : (N, 3, h, w) in [0, 1].
    points : (N, J, 2), x and y as shares of width and height.

    Returns
    -------
    (H, W, 3) uint8 RGB.
    """
    n, _, height, width = image.shape
    columns = min(4, n)
    out = np.zeros((-(-n // columns) * height, columns * width, 3), np.uint8)
    for number in range(n):
        one = np.ascontiguousarray((image[number].numpy().transpose(1, 2, 0) * 255).round().astype(np.uint8))
        for x, y in np.nan_to_num(points[number].numpy() * (width, height), nan=-1e3):
            if 0 <= x < width and 0 <= y < height:
                cv2.circle(one, (int(x), int(y)), max(1, height // 128), (0, 255, 0), -1)
        row, column = divmod(number, columns)
        out[row * height : (row + 1) * height, column * width : (column + 1) * width] = one
    return out
