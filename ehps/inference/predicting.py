"""From frames and boxes to parameters: the crops that evaluation makes, through the network, batch after batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import nn

from ehps.arrays import Array, Mask
from ehps.benchmark import crop_boxes, models
from ehps.benchmark.models.labels import labels
from ehps.benchmark.suites.foreign import check_device
from ehps.benchmark.training import checkpoints, crops, truncated_crops
from ehps.benchmark.training.samples import CropView
from ehps.body.models import BodyModels
from ehps.humandata import image_files
from ehps.inference.frames import Frame


@dataclass(frozen=True, eq=False)
class Network:
    """A network that is ready to be run.

    Attributes
    ----------
    net : in evaluation mode, on ``device``.
    view : how it sees a person.
    body : smplx or smpl.
    facts : what it is, JSON-able.
    batch_size : people at a time.
    """

    net: nn.Module
    device: torch.device
    view: CropView
    body: str
    facts: dict[str, Any]
    batch_size: int

    def widened(self, boxes: Array, size: tuple[int, int]) -> tuple[Array, Mask]:
        """Boxes (P, 4) as they are cropped, and (P,) those that have an area in an image of ``size``."""
        if self.view.aspect == crop_boxes.ASPECT:
            return crop_boxes.widen(boxes, np.tile(size, (len(boxes), 1)), self.view.ratio)
        return crop_boxes.square(boxes, self.view.ratio), crop_boxes.with_area(boxes)

    def run(self, images: Sequence[Array]) -> dict[str, Array]:
        """Parameters, float32, of crops (h, w, 3) uint8 RGB; rotations as axis-angle, ``cam_trans`` in metres."""
        parts: dict[str, list[Array]] = {}
        with torch.inference_mode():
            for start in range(0, len(images), self.batch_size):
                batch = np.stack([np.stack(cv2.split(image)) for image in images[start : start + self.batch_size]])
                seen = torch.from_numpy(batch).to(self.device).float() / 255
                out = self.net(seen).float()
                for name, value in (out.axis_angle() | {"cam_trans": out.cam_trans}).items():
                    parts.setdefault(name, []).append(value.cpu().numpy())
        return {name: np.concatenate(values) for name, values in parts.items()}


def load_network(
    checkpoint: Path,
    body_models: BodyModels,
    *,
    model: str | None = None,
    device: str | None = None,
    batch_size: int = 32,
    box_ratio: float | None = None,
) -> Network:
    """The network of a checkpoint, ours or a released one.

    Parameters
    ----------
    model : that the file must be of; what the file itself tells by default.
    device : a GPU where there is one by default.
    box_ratio : scale of the boxes; the checkpoint's own by default.

    Raises
    ------
    DataError : as :func:`ehps.benchmark.training.checkpoints.load_model`.
    UsageError : there is no such device.
    """
    chosen = device or ("cuda" if torch.cuda.is_available() else "cpu")
    check_device(chosen)
    where = torch.device(chosen)
    net, content = checkpoints.load_model(checkpoint, body_models, model=model)
    card = models.card(content["model"]["name"])
    ratio = content["box_ratio"] if box_ratio is None else box_ratio
    view = CropView.of(net, card, ratio=ratio)
    body_models.require(card.body)
    net = net.to(where).eval()
    facts = {
        "model": labels([(card.name, content["model"]["args"])])[0],
        "checkpoint": checkpoint.name,
        "checkpoint_sha256": content["weights_sha256"],
        "box_ratio": ratio,
        "crop": "exact",
    }
    return Network(net, where, view, card.body, facts, batch_size)


class Cropper:
    """Crops of the people of some frames; images that are averaged down while they are decoded are kept."""

    def __init__(self, view: CropView) -> None:
        self.view = view
        self._kept: dict[tuple[Path, int], tuple[Array, int]] = {}

    def crop(self, frame: Frame, box: Array) -> Array:
        """(h, w, 3) uint8 RGB of ``box`` (4,), widened already: the pixels that evaluation takes from the file."""
        view = self.view
        if view.resize is not None:
            return truncated_crops.truncated_crop(frame.pixels, box, view.resize, view.size[0])
        shrink = crops.shrinking(float(box[2]) / view.size[1]) if view.antialias else 1
        pixels, factor = frame.pixels, 1
        if shrink > 1 and frame.path is not None:
            pixels, factor = self._shrunk(frame.path, shrink)
        matrix = crops.affine(box, view.size, frame.size[1])
        return crops.sampled(pixels, factor, matrix, view.size, shrink)

    def _shrunk(self, path: Path, shrink: int) -> tuple[Array, int]:
        if (path, shrink) not in self._kept:
            self._kept[path, shrink] = image_files.decode(image_files.read(path), path, shrink)[:2]
        return self._kept[path, shrink]
