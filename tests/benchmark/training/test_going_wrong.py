"""What goes wrong in a training is named, tolerated as far as was asked for, and never stored."""

import errno
import json
import multiprocessing
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from ehps.benchmark.suites.evaluation import train_cell
from ehps.benchmark.training import checkpoints, objectives, run_lock, skipped, training_sets
from ehps.benchmark.training import trainer as training
from ehps.benchmark.training.specs import SetSpec, TrainConfig
from ehps.body.models import BodyModels
from ehps.errors import DataError, InUseError
from ehps.humandata.core import HumanData

SMALL = {"width": 32, "depth": 1, "heads": 2}
CONFIG = TrainConfig(
    model_args=SMALL, steps=3, batch_size=4, lr=1e-3, workers=0, log_every=100, checkpoint_every=1, augment=False
)


def spoil(patch: pytest.MonkeyPatch, term: str, *steps: int) -> None:
    """Make a term of the loss nan in some steps, from 1."""
    made: list[int] = []
    whole = objectives.losses

    def losses(*values: Any) -> dict[str, torch.Tensor]:
        made.append(1)
        terms = whole(*values)
        if len(made) in steps:
            terms[term] = terms[term] * torch.nan
        return terms

    patch.setattr(objectives, "losses", losses)


def test_a_bad_step_is_named_at_once_and_changes_no_weight(
    few: SetSpec, models_: BodyModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch, "joints", 2, 3)
    with pytest.raises(DataError) as caught:
        training.train(CONFIG, [few], tmp_path, models_, progress=False)
    assert "the loss is nan: its first term that is no number is joints, nan, at step 2 (rows " in caught.value.what
    assert len(caught.value.what.partition("(rows ")[2].partition(" of ")[0].split(", ")) == CONFIG.batch_size
    assert f"of {few.data})" in caught.value.what
    last = checkpoints.load(tmp_path / "checkpoints/last.pt")
    assert last["step"] == 1
    assert all(torch.isfinite(value).all() for value in last["state"].values())


def test_bad_steps_that_are_tolerated_are_listed_and_left_out(
    few: SetSpec, models_: BodyModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(CONFIG, skip_bad_batches=1, ema=0.9)
    with pytest.MonkeyPatch.context() as patch:
        spoil(patch, "shape", 2)
        training.train(config, [few], tmp_path, models_, progress=False)
    (line,) = [json.loads(text) for text in (tmp_path / skipped.SKIPPED).read_text().splitlines()]
    assert (line["step"], line["kind"]) == (2, "batch")
    assert "shape, nan" in line["reason"]
    last, before = (checkpoints.load(tmp_path / "checkpoints" / name) for name in ("last.pt", "previous.pt"))
    assert (last["step"], before["step"]) == (3, 2)
    assert {int(state["step"]) for state in last["optimizer"]["state"].values()} == {2}
    assert {int(state["step"]) for state in before["optimizer"]["state"].values()} == {1}
    shutil.copy(tmp_path / "checkpoints/previous.pt", tmp_path / "checkpoints/last.pt")
    spoil(monkeypatch, "shape", 1)  # of the third step, which is made again
    with pytest.raises(DataError, match=r"at step 3 .*; 1 before it were left out"):
        training.train(config, [few], tmp_path, models_, progress=False)


def test_weights_that_are_no_numbers_are_not_stored(
    few: SetSpec, models_: BodyModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    update = training._update

    def broken(run: Any, terms: torch.Tensor) -> torch.Tensor:
        finite = update(run, terms)
        with torch.no_grad():
            if run.saved.step == 1:
                next(run.net.parameters()).fill_(torch.inf)
        return finite

    monkeypatch.setattr(training, "_update", broken)
    with pytest.raises(DataError, match=r"after step 2 are not all numbers .*; the checkpoint of step 1 is whole"):
        training.train(CONFIG, [few], tmp_path, models_, progress=False)
    assert checkpoints.load(tmp_path / "checkpoints/last.pt")["step"] == 1


def test_a_full_disk_leaves_the_last_checkpoint_whole_and_says_so(
    few: SetSpec, models_: BodyModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saves: list[int] = []
    save = torch.save

    def full(*values: Any, **more: Any) -> None:
        saves.append(1)
        if len(saves) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        save(*values, **more)

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(DataError, match="the disk is full; the checkpoint of step 1 is whole"):
        training.train(CONFIG, [few], tmp_path, models_, progress=False)
    assert checkpoints.load(tmp_path / "checkpoints/last.pt")["step"] == 1
    training.train(CONFIG, [few], tmp_path, models_, progress=False)
    (tmp_path / "checkpoints/last.pt").write_bytes(b"cut")
    with pytest.raises(DataError, match=r"previous\.pt in its place"):
        training.train(replace(CONFIG, steps=4), [few], tmp_path, models_, progress=False)


@pytest.fixture
def damaged(few: SetSpec, tmp_path: Path) -> tuple[SetSpec, list[Path]]:
    """A copy of the set; its images, by row."""
    folder = tmp_path / "copy"
    shutil.copytree(few.images, folder)
    spec = SetSpec(folder / few.data.name, folder)
    return spec, [folder / name for name in HumanData.open(spec.data)["image_path"]]


def test_unusable_images_are_tolerated_counted_and_listed(
    damaged: tuple[SetSpec, list[Path]], models_: BodyModels, tmp_path: Path
) -> None:
    spec, images = damaged
    images[3].unlink()
    whole = images[7].read_bytes()
    images[7].write_bytes(whole[: len(whole) // 2] + b"\xff\xd9")  # its header and its end are sound
    out = tmp_path / "run"
    with pytest.raises(DataError, match="1 no such image"):
        training.train(CONFIG, [spec], out, models_, progress=False)
    with pytest.raises(DataError, match=rf"{images[7].name}.*\(row 7\).*; 1 before it were left out"):
        training.train(replace(CONFIG, skip_bad_images=1), [spec], out, models_, progress=False)
    path = training.train(replace(CONFIG, skip_bad_images=2), [spec], tmp_path / "two", models_, progress=False)
    lines = [json.loads(text) for text in (tmp_path / "two" / skipped.SKIPPED).read_text().splitlines()]
    assert [(line["kind"], line["row"], line["data"]) for line in lines] == [
        ("image", 3, str(spec.data)),
        ("image", 7, str(spec.data)),
    ]
    assert checkpoints.load(path)["trained_on"][0]["instances"] == len(images) - 1


def test_the_next_row_that_can_be_read_stands_for_one_that_cannot(
    damaged: tuple[SetSpec, list[Path]], models_: BodyModels
) -> None:
    spec, images = damaged
    for row in (8, 9):
        images[row].unlink()
    (dataset,) = training_sets.open_sets(CONFIG, [spec], models_, training.models.build("tiny", **SMALL))
    joined = training_sets.JoinedSets([dataset], ["few"], replace=2)
    item = joined[8, 0]
    assert (item["row"], int(item["replaces"]), int(item["set"])) == (0, 8, 0)
    assert int(joined[1, 0]["replaces"]) == -1
    assert "(row 9)" in joined.unreadable(9)
    assert "error" in training_sets.JoinedSets([dataset], ["few"], replace=1)[8, 0]


def _hold(folder: Path, ready: Callable[[], Any], end: Callable[[], Any]) -> None:
    with run_lock.locked(folder):
        ready()
        end()


def test_two_processes_do_not_train_in_one_folder(few: SetSpec, models_: BodyModels, tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    ready, end = fork.Event(), fork.Event()
    holder = fork.Process(target=_hold, args=(tmp_path, ready.set, end.wait))
    holder.start()
    try:
        assert ready.wait(30)
        with pytest.raises(DataError, match=rf"process {holder.pid} on .* is training in this folder"):
            training.train(CONFIG, [few], tmp_path, models_, progress=False)
    finally:
        end.set()
        holder.join(30)
    with run_lock.locked(tmp_path), run_lock.locked(tmp_path):  # a process does not wait for itself
        pass


def test_a_training_that_is_refused_changes_nothing_in_the_folder(
    few: SetSpec, models_: BodyModels, tmp_path: Path
) -> None:
    run = train_cell(tmp_path, "few", few, CONFIG, models_, progress=False)
    before = {path: path.read_bytes() for path in tmp_path.glob("*.*") if path.suffix != ".lock"}
    train_cell(tmp_path, "few", few, replace(CONFIG, workers=1, log_every=7), models_, progress=False)
    fork = multiprocessing.get_context("fork")
    ready, end = fork.Event(), fork.Event()
    holder = fork.Process(target=_hold, args=(tmp_path, ready.set, end.wait))
    holder.start()
    try:
        assert ready.wait(30)
        with pytest.raises(InUseError, match="is training in this folder"):
            train_cell(tmp_path, "few", few, replace(CONFIG, steps=9), models_, progress=False)
    finally:
        end.set()
        holder.join(30)
    assert {path: path.read_bytes() for path in before} == before
    assert not run.unfinished
