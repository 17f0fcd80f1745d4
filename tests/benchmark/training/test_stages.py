"""``--stage``: declared settings under those that are given."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from ehps.benchmark.training.given_settings import read_given
from ehps.benchmark.training.specs import SetSpec, TrainConfig
from ehps.benchmark.training.stages import lines, under
from ehps.cli import main
from ehps.errors import UsageError


def test_a_stage_gives_what_nobody_gave() -> None:
    config = TrainConfig.from_dict(under("single", {"model": "smpler_x_b"}))
    assert (config.lr, config.lr_min, config.epochs, config.batch_size) == (1e-5, 1e-6, 10, 32)
    assert (config.strategy, config.total_length, config.loss.rotation_form) == ("balance", 150_000, "axis-angle")
    given = {"model": "smpler_x_h", "lr": 2e-5, "loss": {"shape": 2}, "model_args": {"drop_path": 0.2}}
    config = TrainConfig.from_dict(under("finetune", given))
    assert (config.lr, config.lr_min, config.epochs, config.batch_size) == (2e-5, 5e-7, 5, 16)
    assert (config.loss.shape, config.loss.rotation_form) == (2, "axis-angle")
    assert config.model_args == {"drop_path": 0.2}


def test_a_stage_gives_arguments_of_the_model() -> None:
    declared = TrainConfig.from_dict(under("backbone", {"model": "smpler"}))
    assert declared.model_args == {"blocks": 0}
    given = read_given({"model": "smpler"}, ["model_args.blocks=3"], None)
    assert TrainConfig.from_dict(under("backbone", given)).model_args == {"blocks": 3}
    taken, instead, _ = lines("backbone", given)
    assert "blocks" not in taken
    assert "model_args.blocks=3, not 0" in instead
    assert "model_args.blocks=0" in lines("backbone", {"model": "smpler"})[0]
    whole = TrainConfig.from_dict(under("full", {"model": "smpler", "epochs": 50}))
    assert whole.decisive() == {**declared.decisive(), "model_args": {}}


def test_what_is_given_leaves_no_setting_without_a_meaning() -> None:
    config = TrainConfig.from_dict(under("single", {"model": "smpler_x_s", "steps": 20, "strategy": "concat"}))
    assert (config.steps, config.epochs, config.total_length) == (20, None, None)


def test_it_is_said_what_the_stage_gave_and_what_not() -> None:
    given = read_given({"model": "smpler_x_s", "steps": "20", "batch_size": "2"}, ["loss.shape=2"], None)
    taken, instead, start = lines("single", given)
    assert taken.startswith("stage single of smpler_x_s: lr=1e-05, lr_min=1e-06, strategy=balance")
    assert "loss.rotation_form=axis-angle" in taken
    assert "epochs" not in taken
    assert instead == "as given: batch_size=2, not 32; no epochs; steps=20; loss.shape=2.0"
    assert start == "the authors start from ViTPose-S; without init all weights start afresh"
    assert lines("single", {"model": "smpler_x_s", "init": "a.pth"})[-1].endswith("here from a.pth")


def test_a_stage_that_the_model_does_not_have_is_refused(few: SetSpec, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="tiny has no stage 'single'; none is declared"):
        under("single", {})
    words = ["benchmark", "train", str(few.data), "--out", str(tmp_path / "run"), "--model", "smplest_x_h"]
    refused = CliRunner().invoke(main, [*words, "--stage", "finetune"])
    assert refused.exit_code == 2
    assert "smplest_x_h has no stage 'finetune'; there are: foundation" in refused.stderr
    assert not (tmp_path / "run").exists()
