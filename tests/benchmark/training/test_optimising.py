"""Averages of the weights, frozen parts, clipped gradients, events."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from ehps.benchmark import models
from ehps.benchmark.training import averages, checkpoints, freezing, log_writer
from ehps.benchmark.training import trainer as training
from ehps.benchmark.training.specs import SetSpec, TrainConfig
from ehps.body.models import BodyModels
from ehps.errors import UsageError

SMALL = {"width": 32, "depth": 1, "heads": 2}
CONFIG = TrainConfig(model_args=SMALL, steps=2, batch_size=4, lr=1e-3, workers=0, augment=False)


def test_the_average_follows_the_weights_and_survives_a_resume(
    few: SetSpec, models_: BodyModels, tmp_path: Path
) -> None:
    config = replace(CONFIG, ema=0.9, lr_min=1e-3)
    whole = checkpoints.load(training.train(config, [few], tmp_path / "whole", models_, progress=False))
    last = checkpoints.load(tmp_path / "whole/checkpoints/last.pt")
    torch.manual_seed(config.seed)
    start = models.build("tiny", **SMALL).state_dict()
    training.train(replace(config, steps=1), [few], tmp_path / "parts", models_, progress=False)
    first = checkpoints.load(tmp_path / "parts/checkpoints/last.pt")["state"]
    for name in ("norm.bias", "tokens"):
        one = start[name] + (1 - 1 / 10) * (first[name] - start[name])
        two = one + (1 - 2 / 11) * (last["state"][name] - one)
        torch.testing.assert_close(whole["state"][name], two)
    parts = checkpoints.load(training.train(config, [few], tmp_path / "parts", models_, progress=False))
    assert parts["weights_sha256"] == whole["weights_sha256"] != last["weights_sha256"]


def test_a_step_that_was_not_made_leaves_the_average() -> None:
    net = nn.Linear(2, 2)
    average = averages.Average(net, 0.5)
    before = {name: value.clone() for name, value in average.values.items()}
    with torch.no_grad():
        net.weight += 1
    average.update(net, 100, torch.tensor(False))
    assert all(torch.equal(average.values[name], before[name]) for name in before)
    average.update(net, 100, torch.tensor(True))
    torch.testing.assert_close(average.values["weight"], before["weight"] + 0.5)
    with pytest.raises(ValueError, match="other weights"):
        average.load({"weight": torch.zeros(3)})


def test_frozen_parts_stay_and_unknown_ones_are_refused(few: SetSpec, models_: BodyModels, tmp_path: Path) -> None:
    config = replace(CONFIG, freeze=("blocks.0", "position"))
    state = checkpoints.load(training.train(config, [few], tmp_path, models_, progress=False))["state"]
    torch.manual_seed(config.seed)
    start = models.build("tiny", **SMALL).state_dict()
    same = {name for name in start if torch.equal(start[name], state[name])}
    assert same == {name for name in start if name.startswith("blocks.0.") or name == "position"}
    net = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 2))
    with pytest.raises(UsageError, match=r"'block', which the model does not have.*'x', which"):
        freezing.freeze(net, ("block", "0", "x"))
    freezing.freeze(net, ("0",))
    freezing.trained_mode(net)
    assert (net[0].training, net[1].training) == (False, True)
    with pytest.raises(UsageError, match="leaves nothing to train"):
        freezing.freeze(net, ("1",))


def test_the_gradient_is_scaled_down_to_its_greatest_norm(
    few: SetSpec, models_: BodyModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    norms = []
    clip = nn.utils.clip_grad_norm_

    def clipped(weights: list[torch.Tensor], most: float) -> torch.Tensor:
        before = clip(weights, most)
        norms.append((float(before), float(torch.cat([w.grad.reshape(-1) for w in weights]).norm())))
        return before

    monkeypatch.setattr(nn.utils, "clip_grad_norm_", clipped)
    training.train(replace(CONFIG, clip=0.5), [few], tmp_path, models_, progress=False)
    assert all(before > 1 and after == pytest.approx(0.5, rel=1e-4) for before, after in norms)


def test_events_for_tensorboard_hold_scalars_and_sheets(few: SetSpec, models_: BodyModels, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    config = replace(CONFIG, tensorboard=True, sheet_every=2, log_every=1)
    training.train(config, [few], tmp_path, models_, progress=False)
    events: Any = EventAccumulator(str(tmp_path / log_writer.EVENTS))
    events.Reload()
    assert {"loss", "loss/pose", "lr", "images_per_second"} <= set(events.Tags()["scalars"])
    assert [event.step for event in events.Scalars("loss")] == [1, 2]
    assert [event.step for event in events.Images("predicted joints")] == [2]


def test_a_sheet_has_a_dot_at_each_point() -> None:
    points = torch.tensor([[[0.5, 0.5]], [[-0.03, 0.01]], [[0.0, 0.0]], [[0.0, 0.0]], [[0.98, 0.98]]])
    pixels = log_writer.sheet(torch.zeros(5, 3, 64, 48), points)
    assert pixels.shape == (128, 192, 3)
    green = np.argwhere(pixels[..., 1] == 255)
    assert [32, 24] in green.tolist()  # the middle of the first
    assert [64 + 62, 47] in green.tolist()  # the corner of the fifth
    assert not any(48 <= x < 96 for _, x in green)  # outside of the second
