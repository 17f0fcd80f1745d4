"""The same numbers by any number of processes, and in parts of a batch."""

import json
import multiprocessing
import os
import signal
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from ehps.benchmark import models
from ehps.benchmark.models.outputs import Prediction
from ehps.benchmark.training import checkpoints, processes
from ehps.benchmark.training import trainer as training
from ehps.benchmark.training.specs import SetSpec, TrainConfig
from ehps.body.models import BodyModels
from ehps.errors import DataError, UsageError
from ehps.interrupts import Interrupted

SMALL = {"width": 32, "depth": 1, "heads": 2}
CONFIG = TrainConfig(model_args=SMALL, steps=2, batch_size=4, workers=0, lr=1e-3, log_every=1)


class Dropping(nn.Module):
    """The small model behind dropout and, ``normed``, batch normalisation."""

    def __init__(self, *, normed: bool = False) -> None:
        super().__init__()
        self.net = models.build("tiny", **SMALL)
        self.input_size, self.drop = self.net.input_size, nn.Dropout(0.3)
        self.norm = nn.BatchNorm2d(3) if normed else nn.Identity()

    def forward(self, image: torch.Tensor) -> Prediction:
        out: Prediction = self.net(self.drop(self.norm(image)))
        return out


@pytest.fixture
def dropping() -> Iterator[None]:
    models.register("dropping", Dropping)
    yield
    models._all().pop("dropping")


def logged(folder: Path, name: str = "loss") -> list[float]:
    return [json.loads(line)[name] for line in (folder / "train.jsonl").read_text().splitlines()]


def one_of_two(
    rank: int, port: int, few: SetSpec, models: BodyModels, out: Path, stopped: int | None, parts: int | None
) -> None:
    """Train as a process that torchrun has started; process ``stopped`` is asked to end in its first step."""
    from accelerate.state import AcceleratorState

    group = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    os.environ.update(group, RANK=str(rank), LOCAL_RANK=str(rank))
    AcceleratorState._reset_state(reset_partial_state=True)  # the parent's, which trains alone
    if rank == stopped:
        rate = training.learning_rate
        training.learning_rate = lambda *values: (os.kill(os.getpid(), signal.SIGTERM), rate(*values))[1]
    try:
        training.train(
            replace(CONFIG, model="dropping", model_args={}, parts=parts), [few], out, models, progress=False
        )
    except Interrupted as error:
        os._exit(error.exit_code)


def two_processes(
    few: SetSpec, models: BodyModels, out: Path, stopped: int | None = None, parts: int | None = None
) -> list[int | None]:
    """Exit codes of two processes that train together."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    fork = multiprocessing.get_context("fork")  # a new interpreter would import torch again
    started = [
        fork.Process(target=one_of_two, args=(rank, port, few, models, out, stopped, parts)) for rank in range(2)
    ]
    for process in started:
        process.start()
    for process in started:
        process.join(120)
        process.kill()
    return [process.exitcode for process in started]


def test_two_processes_and_two_parts_have_the_losses_of_one_and_stop_together(
    few: SetSpec, models_: BodyModels, tmp_path: Path, dropping: None
) -> None:
    config = replace(CONFIG, model="dropping", model_args={})
    alone = training.train(config, [few], tmp_path / "one", models_, progress=False)
    training.train(replace(config, accumulate=2), [few], tmp_path / "parts", models_, progress=False)
    assert two_processes(few, models_, tmp_path / "two", stopped=1) == [143, 143]
    assert checkpoints.load(tmp_path / "two/checkpoints/last.pt")["step"] == 1
    assert two_processes(few, models_, tmp_path / "two") == [0, 0]
    for other in ("parts", "two"):
        for term in ("loss", "pose", "joints", "projection"):
            assert logged(tmp_path / other, term) == pytest.approx(logged(tmp_path / "one", term), abs=1e-5), other
    a, b = checkpoints.load(alone), checkpoints.load(tmp_path / "two/checkpoints/final.pt")
    torch.manual_seed(config.seed)
    start = models.build("dropping").state_dict()
    moved = sum(float((a["state"][name] - start[name]).abs().sum()) for name in start)
    apart = sum(float((a["state"][name] - b["state"][name]).abs().sum()) for name in start)
    assert 0 < apart < 0.02 * moved  # Adam turns rounding into steps where gradients are zero
    assert [(part["from_step"], part["processes"]) for part in b["world"]] == [(0, 2)]
    assert a["world"][0]["device"].startswith("cpu")


def test_a_fixed_number_of_parts_gives_the_same_weights_by_any_number_of_processes(
    few: SetSpec, models_: BodyModels, tmp_path: Path, dropping: None
) -> None:
    config = replace(CONFIG, model="dropping", model_args={}, parts=2)
    alone = training.train(config, [few], tmp_path / "one", models_, progress=False)
    assert two_processes(few, models_, tmp_path / "two", parts=2) == [0, 0]
    two = checkpoints.load(tmp_path / "two/checkpoints/final.pt")
    assert checkpoints.load(alone)["weights_sha256"] == two["weights_sha256"]
    for wrong, what in (
        ({"parts": 2, "accumulate": 2}, "both given"),
        ({"parts": 3}, "batch_size is 4, which parts, 3"),
    ):
        with pytest.raises(UsageError, match=what):
            replace(CONFIG, **wrong)
    with pytest.raises(UsageError, match="parts is 2, which 3 processes do not divide"):
        processes.parts_of_process(config, 3)


def test_a_batch_that_cannot_be_cut_into_equal_parts_is_refused(few: SetSpec, models_: BodyModels) -> None:
    assert processes.part_size(TrainConfig(batch_size=32, accumulate=2), 4) == 4
    with pytest.raises(UsageError, match=r"batch_size is 32, which 3 processes x accumulate 2 do not divide.*of 6"):
        processes.part_size(TrainConfig(batch_size=32, accumulate=2), 3)
    with pytest.raises(UsageError, match="batch_size is 32, which accumulate, 3, does not divide"):
        TrainConfig(batch_size=32, accumulate=3)


def test_the_key_of_a_run_names_no_device_and_is_that_of_earlier_versions(dropping: None) -> None:
    plain = TrainConfig().decisive()
    assert set(plain) == {
        *("model", "model_args", "steps", "epochs", "batch_size", "lr", "lr_min", "warmup", "seed", "strategy"),
        *("augment", "box_ratio", "loss", "precision", "init"),
    }
    assert TrainConfig(accumulate=4, compile=True, skip_bad_batches=3, tensorboard=True).decisive() == plain
    changed = TrainConfig(clip=1, ema=0.99, freeze=["norm"]).decisive()
    assert {**plain, "clip": 1.0, "ema": 0.99, "freeze": ["norm"]} == changed
    assert TrainConfig.from_dict(TrainConfig(freeze="blocks.0,norm").to_dict()).freeze == ("blocks.0", "norm")
    # batch normalisation sees the part only
    normed = TrainConfig(model="dropping", model_args={"normed": True}, accumulate=2)
    assert normed.decisive()["accumulate"] == 2
    assert "accumulate" not in TrainConfig(model="dropping", accumulate=2).decisive()
    with pytest.raises(UsageError, match=r"normalises over the batch.*one process, or on GPUs"):
        processes.norms_over_processes(Dropping(normed=True), 2, torch.device("cpu"), "dropping")


def test_dropout_depends_on_the_place_in_the_whole_batch() -> None:
    part = processes.Part()
    net = nn.Sequential(nn.Dropout(0.5), nn.Identity())
    processes.drop_by_row(net, part)
    x = torch.ones(8, 50)

    def drawn(rows: slice) -> torch.Tensor:
        torch.manual_seed(3)
        return net(x[rows])

    whole = drawn(slice(None))
    assert 0.4 < float((whole == 0).float().mean()) < 0.6
    assert set(whole.unique().tolist()) == {0.0, 2.0}
    part.count = 4
    for index in range(4):
        part.index = index
        torch.testing.assert_close(drawn(slice(2 * index, 2 * index + 2)), whole[2 * index : 2 * index + 2])
    assert torch.equal(net.eval()(x), x)
    path = processes.RowDropout(0.5, processes.Part(), whole_rows=True)
    assert all(len(row.unique()) == 1 for row in path(x))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_float16_without_a_gpu_is_refused_as_it_would_be_float32() -> None:
    with pytest.raises(UsageError, match="precision fp16 needs a GPU"):
        processes.accelerator_for(TrainConfig(precision="fp16"))


def test_what_goes_wrong_in_one_process_of_a_group_is_raised_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second of three processes, as the others see it."""
    bad = DataError("the disk is full")

    def gather(told: list[object], own: object, group: object = None) -> None:
        told[:] = [None, bad, own]

    with processes.raised_in_all():  # alone, where nobody is asked
        pass
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda group=None: 3)
    monkeypatch.setattr(torch.distributed, "all_gather_object", gather)
    with pytest.raises(DataError, match="the disk is full"), processes.raised_in_all():
        pass
    with pytest.raises(DataError, match="the disk is full") as caught, processes.raised_in_all():
        raise ValueError("of the third")
    assert str(caught.value.__cause__) == "of the third"
    bad = None  # type: ignore[assignment]
    with processes.raised_in_all():
        pass
