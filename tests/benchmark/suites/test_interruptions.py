"""Trainings that are asked to end save what they have, and go on: through the command line."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from ehps.benchmark.suites import evaluation
from ehps.benchmark.suites.runs import Run
from ehps.benchmark.training import checkpoints
from ehps.benchmark.training import trainer as training
from ehps.body.models import BodyModels
from ehps.cli import main
from ehps.interrupts import ECHO, Signals
from tests.drawn_people import Style, people, write_set

GOES_ON = "the same command goes on from here"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, models: BodyModels) -> Path:
    """Two training sets and a test set."""
    folder = tmp_path_factory.mktemp("sets")
    for seed, name in enumerate(("one", "two", "test")):
        write_set(folder, people(4, np.random.default_rng(seed), Style()), models, seed=seed, name=name)
    return folder


def call(*words: str | Path, code: int = 0) -> Result:
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == code, f"{result.output}\n{result.exception!r}"
    assert "Traceback" not in result.output
    return result


def train(folder: Path, out: Path, models: BodyModels, *words: str, code: int = 0) -> Result:
    line = ("benchmark", "train", folder / "one.h5", "--out", out, "--body-models", models.folder)
    return call(*line, "--batch-size", "2", "--workers", "0", *words, code=code)


def signal_in_step(patch: pytest.MonkeyPatch, number: int, *steps: int) -> None:
    """Send a signal to this process in the middle of some steps, of all trainings together, from 1."""
    made = []
    rate = training.learning_rate

    def learning_rate(*arguments: object) -> float:
        made.append(arguments)
        if len(made) in steps:
            os.kill(os.getpid(), number)
        return rate(*arguments)

    patch.setattr(training, "learning_rate", learning_rate)


def weights(run: Path, name: str = "final.pt") -> dict:
    return checkpoints.load(run / "checkpoints" / name)


@pytest.fixture(scope="module")
def whole(folder: Path, models: BodyModels, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of four steps that nobody interrupted."""
    out = tmp_path_factory.mktemp("whole") / "run"
    train(folder, out, models, "--steps", "4")
    return out


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGUSR1", 138)])
def test_a_signal_saves_a_checkpoint_and_the_same_command_goes_on(
    name: str, code: int, folder: Path, whole: Path, models: BodyModels, tmp_path: Path
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        signal_in_step(patch, getattr(signal, name), 2)
        stopped = train(folder, tmp_path / "run", models, "--steps", "4", code=code)
    assert stopped.stderr.splitlines()[-1] == f"interrupted after step 2 of 4, which is saved; {GOES_ON}"
    assert weights(tmp_path / "run", "last.pt")["step"] == 2
    train(folder, tmp_path / "run", models, "--steps", "4")
    assert weights(tmp_path / "run")["weights_sha256"] == weights(whole)["weights_sha256"]


def test_a_signal_in_the_last_step_does_not_lose_it(
    folder: Path, whole: Path, models: BodyModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signal_in_step(monkeypatch, signal.SIGTERM, 4)
    assert GOES_ON in train(folder, tmp_path / "run", models, "--steps", "4", code=143).stderr
    assert weights(tmp_path / "run")["weights_sha256"] == weights(whole)["weights_sha256"]
    train(folder, tmp_path / "run", models, "--steps", "4")


def test_the_handlers_of_the_process_are_put_back(folder: Path, whole: Path, models: BodyModels) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    train(folder, whole, models, "--steps", "4")
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_second_signal_ends_at_once_but_an_echo_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []
    monkeypatch.setattr(os, "kill", lambda _, number: sent.append(number))
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    signals = Signals()
    with signals.deferred():
        signals._handle(signal.SIGTERM, None)
        signals._handle(signal.SIGTERM, None)  # torchrun passes on what the cluster has sent to all
        assert (signals.received, sent) == (signal.SIGTERM, [])
        now[0] = 2 * ECHO
        signals._handle(signal.SIGINT, None)
        assert sent == [signal.SIGINT]


def suite(folder: Path, steps: int = 2) -> Path:
    lines = (
        "train: {one: {data: one.h5}, two: {data: two.h5}}",
        "test: {test: {data: test.h5, protocol: egobody-ego}}",
        f"steps: {steps}",
        "batch_size: 2",
        "workers: 0",
        "model_args: {width: 32, depth: 1, heads: 2}",
    )
    (folder / "suite.yaml").write_text("\n".join(lines))
    return folder / "suite.yaml"


def run(folder: Path, out: Path, models: BodyModels, *words: str, code: int = 0) -> Result:
    line = ("benchmark", "run", suite(folder), "--out", out, "--body-models", models.folder, *words)
    return call(*line, code=code)


def states(out: Path) -> dict[str, str]:
    return {row["train_set"]: row["state"] for row in json.loads(call("benchmark", "status", out, "--json").stdout)}


def test_a_suite_keeps_finished_cells_and_the_interrupted_one_is_unfinished(
    folder: Path, models: BodyModels, tmp_path: Path
) -> None:
    out = tmp_path / "runs"
    with pytest.MonkeyPatch.context() as patch:
        signal_in_step(patch, signal.SIGTERM, 4)  # two of the first, its line of the log, the first of the second
        stopped = run(folder, out, models, code=143)
    assert "interrupted after step 1 of 2" in stopped.stderr
    assert states(out) == {"one": "done", "two": "missing"}
    assert Run(out / "two/tiny").failures == {}
    plan = json.loads(run(folder, out, models, "--dry-run", "--json").stdout)
    assert [cell["training"] for cell in plan["cells"]] == ["done", "2 steps"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "predict", lambda *_, **__: os.kill(os.getpid(), signal.SIGINT))
        assert GOES_ON in run(folder, out, models, code=130).stderr
    assert states(out) == {"one": "done", "two": "missing"}
    run(folder, out, models)
    assert states(out) == {"one": "done", "two": "done"}


CONSTANT = ("--lr", "1e-3", "--lr-min", "1e-3")


def test_more_steps_go_on_to_the_same_weights_where_the_rate_does_not_fall(
    folder: Path, models: BodyModels, tmp_path: Path
) -> None:
    train(folder, tmp_path / "at_once", models, "--steps", "3", *CONSTANT)
    train(folder, tmp_path / "parts", models, "--steps", "2", *CONSTANT)
    words = ("--images", folder, "--protocol", "egobody-ego", "--body-models", models.folder)
    call("benchmark", "evaluate", tmp_path / "parts", folder / "test.h5", *words)
    assert len(Run(tmp_path / "parts").cells) == 1
    went_on = train(folder, tmp_path / "parts", models, "--steps", "3", *CONSTANT)
    assert "learning rate" not in went_on.stderr
    assert weights(tmp_path / "parts")["weights_sha256"] == weights(tmp_path / "at_once")["weights_sha256"]
    parts = Run(tmp_path / "parts")
    assert parts.manifest["schedule"] == [{"from_step": 0, "steps": 2}, {"from_step": 2, "steps": 3}]
    assert parts.cells == []  # numbers of weights that are no longer there
    assert not parts.predictions("test").exists()
    fewer = train(folder, tmp_path / "parts", models, "--steps", "2", *CONSTANT, code=2)
    assert "holds another run: steps is 3, not 2" in fewer.stderr


def test_more_steps_after_a_rate_that_fell_are_said_and_recorded(
    folder: Path, whole: Path, models: BodyModels, tmp_path: Path
) -> None:
    train(folder, tmp_path / "run", models, "--steps", "2")
    went_on = train(folder, tmp_path / "run", models, "--steps", "4")
    assert (
        "the learning rate fell over 2 from step 0, over 4 from step 2: these are not the weights of 4 steps at once"
        in went_on.stderr
    )
    content = weights(tmp_path / "run")
    assert content["schedule"] == [{"from_step": 0, "steps": 2}, {"from_step": 2, "steps": 4}]
    assert content["weights_sha256"] != weights(whole)["weights_sha256"]
    (tmp_path / "run/checkpoints/last.pt").unlink()
    assert "It cannot go on" in train(folder, tmp_path / "run", models, "--steps", "5", code=2).stderr


def test_folders_of_another_kind_are_refused(folder: Path, whole: Path, models: BodyModels, tmp_path: Path) -> None:
    (tmp_path / "suite.json").write_text("{}")
    assert "is the folder of a suite" in train(folder, tmp_path, models, "--steps", "4", code=2).stderr
    assert "is the run folder of one training" in run(folder, whole, models, code=2).stderr
    line = ("benchmark", "evaluate", tmp_path / "empty", folder / "test.h5", "--protocol", "egobody-ego")
    assert "holds no trained model" in call(*line, "--body-models", models.folder, code=2).stderr
