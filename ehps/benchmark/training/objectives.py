"""What a network is trained for: the terms of its loss, and its joints in the crop.

A model's card names one (``ModelCard.objective``), which is made with the settings of the training and the body models.
"""

from __future__ import annotations

import importlib
from typing import Any
from typing import Protocol as Interface

import torch
from torch import Tensor, nn

from ehps.benchmark import models
from ehps.benchmark.models.outputs import CAMERA, Prediction
from ehps.benchmark.training import targets
from ehps.benchmark.training.loss_terms import losses, parameters
from ehps.benchmark.training.smplx_joints import Skeleton
from ehps.benchmark.training.specs import TrainConfig
from ehps.body.models import BodyModels


class Objective(Interface):
    """An ``nn.Module`` with buffers only, on the device of the network.

    What is to be said before the training may be in its ``note``.
    """

    def terms(self, out: Any, packed: Tensor) -> dict[str, Tensor]:
        """Weighted terms of the loss by name.

        Parameters
        ----------
        out : what the network returned, in float32.
        packed : (N, WIDTH) of the samples, see :mod:`ehps.benchmark.training.targets`.
        """
        ...

    def points(self, out: Any) -> Tensor:
        """(N, J, 2) predicted joints, x and y as shares of the crop's width and height."""
        ...


class WholeBody(nn.Module):
    """Parameters, joints and projected joints of SMPL-X."""

    def __init__(self, config: TrainConfig, body_models: BodyModels) -> None:
        super().__init__()
        self.weights = config.loss
        self.skeleton = Skeleton(body_models)

    def terms(self, out: Prediction, packed: Tensor) -> dict[str, Tensor]:
        return losses(out, targets.make(packed, self.skeleton), self.skeleton, self.weights)

    def points(self, out: Prediction) -> Tensor:
        height, width = CAMERA.size
        pixels = CAMERA.project(self.skeleton(parameters(out)) + out.cam_trans[:, None])  # (N, 144, 2)
        return pixels / torch.tensor((width, height), dtype=pixels.dtype, device=pixels.device)


def objective(config: TrainConfig, body_models: BodyModels) -> Any:
    """The objective of the model that ``config`` names: an :class:`Objective`."""
    module, _, name = models.card(config.model).objective.partition(":")
    return getattr(importlib.import_module(module), name)(config, body_models)
