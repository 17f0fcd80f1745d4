"""A small model that predicts SMPL, for tests of everything around a network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ehps.benchmark import models as networks
from ehps.benchmark.models.cards import View
from ehps.benchmark.models.outputs import SmplPrediction
from ehps.benchmark.training import checkpoints
from ehps.body.params import BodyParams, smpl_params

NAME = "upright"


class Upright(nn.Module):
    """A standing person, nearer where the crop is brighter."""

    input_size = (224, 224)
    antialias = True

    def __init__(self, smpl: object = None) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(0.8))

    def forward(self, image: Tensor) -> SmplPrediction:
        n = len(image)
        turned = torch.diag(torch.tensor((1.0, -1.0, -1.0))).expand(n, 3, 3)
        camera = torch.stack((self.scale + image.mean((1, 2, 3)), torch.full((n,), 0.1), torch.full((n,), -0.2)), dim=1)
        return SmplPrediction(turned, torch.eye(3).expand(n, 23, 3, 3), torch.zeros(n, 10), camera)


@contextmanager
def registered() -> Iterator[networks.ModelCard]:
    view = View((224, 224), "square", 1.0, "averaged", "whole pixels")
    networks.register(NAME, Upright, body="smpl", view=view)
    yield networks.card(NAME)
    networks._all().pop(NAME)


def write_weights(
    path: Path, name: str = NAME, state: Mapping[str, Tensor] | None = None, arguments: Mapping[str, Any] | None = None
) -> Path:
    """A checkpoint of ehps; of fresh weights of :class:`Upright` by default."""
    state = dict(Upright().state_dict() if state is None else state)
    content = {
        "format": checkpoints.FORMAT,
        "model": {"name": name, "args": dict(arguments or {})},
        "state": state,
        "box_ratio": 1.0,
        "weights_sha256": checkpoints.weights_hash(state),
    }
    return checkpoints.save(path, content)


def standing(n: int) -> BodyParams:
    """People as SMPL has them, before a camera."""
    rng = np.random.default_rng(4)
    pose = rng.normal(0, 0.2, (n, 24, 3))
    pose[:, 0] = (np.pi, 0, 0)
    transl = np.stack((rng.normal(0, 0.3, n), rng.normal(0, 0.2, n), rng.uniform(3, 5, n)), axis=1)
    return smpl_params(gender="neutral", betas=rng.normal(0, 1, (n, 10)), pose=pose, transl=transl)
