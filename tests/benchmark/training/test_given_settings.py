"""What ``benchmark train`` is told: a file, options, ``--set``; several sets at once."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from ehps.benchmark.training.given_settings import folders_of_each, joint_name, read_given
from ehps.benchmark.training.loss_weights import LossWeights
from ehps.benchmark.training.settings import LOSS, SETTINGS
from ehps.benchmark.training.specs import SetSpec, TrainConfig
from ehps.body.models import BodyModels
from ehps.cli import main
from ehps.errors import SettingsError, UsageError


def test_the_later_goes_before_and_groups_are_joined(tmp_path: Path) -> None:
    content = {"steps": 5, "lr": "1e-3", "loss": {"pose": 2}, "init": "w.pt", "train_set": "x"}
    assigned = ["lr=2e-3", "loss.shape=3", "model_args.width=64", "freeze=blocks.0,norm", "compile=true", "clip=null"]
    values = read_given({"steps": "7", "seed": None}, assigned, (tmp_path / "config.json", content))
    assert values == {
        "steps": 7,
        "lr": 2e-3,
        "loss": {"pose": 2.0, "shape": 3.0},
        "init": str(tmp_path / "w.pt"),
        "model_args": {"width": 64},
        "freeze": ("blocks.0", "norm"),
        "compile": True,
        "clip": None,
    }
    assert TrainConfig.from_dict(values).loss.pose == 2


def test_every_setting_can_be_set() -> None:
    default = TrainConfig().to_dict()
    for name in SETTINGS:
        if name not in ("loss", "model_args"):
            value = default[name] if default[name] not in (None, []) else "0.5" if name == "ema" else "1"
            text = value if isinstance(value, str) else json.dumps(value)
            assert name in read_given({}, [f"{name}={text}"], None), name
    for name in LOSS:
        assert name in read_given({}, [f"loss.{name}={getattr(LossWeights(), name)}"], None)["loss"], name
    run = TrainConfig(freeze=("norm",), parts=2).to_dict()
    assert TrainConfig.from_dict(json.loads(json.dumps(run))).to_dict() == run


def test_all_faults_are_said_with_their_place(tmp_path: Path) -> None:
    config, content = tmp_path / "c.json", {"stepz": 1, "loss": {"pose": -1}}
    with pytest.raises(SettingsError) as caught:
        read_given({"lr": "fast"}, ["steps", "sed=1", "loss.x=1", "a.b=1", "precision=fp8"], (config, content))
    starts = (f"{config}: stepz is", f"{config}: loss.pose is -1", "--lr is 'fast'", "--set steps is not KEY=VALUE")
    starts += ("--set sed is no setting; did you mean seed?", "--set loss.x is no setting", "--set a.b: only loss")
    starts += ("--set precision is 'fp8', not one of: no, bf16, fp16",)
    assert all(said.startswith(start) for said, start in zip(caught.value.faults, starts, strict=True))


def test_steps_that_are_given_stand_in_place_of_the_epochs_of_a_file(tmp_path: Path) -> None:
    config = (tmp_path / "config.json", {"steps": 1000, "epochs": 3, "warmup": 2})
    assert TrainConfig.from_dict(read_given({"steps": "7"}, [], config)).epochs is None
    assert read_given({}, ["steps=7"], config)["steps"] == 7
    assert TrainConfig.from_dict(read_given({"epochs": "2"}, [], config)).epochs == 2
    with pytest.raises(SettingsError, match="steps and epochs are both given"):
        read_given({"steps": "7"}, ["epochs=2"], None)
    with pytest.raises(SettingsError, match="warmup is 8, more than steps, 7"):
        TrainConfig(steps=7, warmup=8)
    assert TrainConfig(steps=7, epochs=1, warmup=8).warmup == 8  # it is not known yet how many steps these are


def test_a_file_that_is_no_mapping_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"c\.json: it is a list, not a mapping"):
        read_given({}, [], (tmp_path / "c.json", [1]))


def test_folders_and_names_of_several_files() -> None:
    assert folders_of_each(["A", "l=B"], 1) == [["A", "l=B"]]
    assert folders_of_each([], 2) == [[], []]
    assert folders_of_each(["A"], 2) == [["A"], ["A"]]
    assert folders_of_each(["A", "B"], 2) == [["A"], ["B"]]
    for wrong, what in ((["A", "B"], "2 times for 3 files"), (["x=A"], "LABEL=DIR is of one merged file")):
        with pytest.raises(UsageError, match=what):
            folders_of_each(wrong, 3)
    assert joint_name([Path("a/x.h5"), Path("y.h5")]) == "x+y"
    with pytest.raises(UsageError, match="needs a name"):
        joint_name([Path(f"dataset_{i}.h5") for i in range(20)])


def test_two_files_are_mixed_and_the_outlook_goes_to_stderr(few: SetSpec, models_: BodyModels, tmp_path: Path) -> None:
    words = [str(few.data), str(few.data), "--images", str(few.images), "--strategy", "balance", "--epochs", "0.2"]
    words += ["--batch-size", "2", "--workers", "0", "--set", "model_args.width=32", "--set", "log_every=1"]
    more = ["--out", str(tmp_path / "run"), "--name", "mix", "--body-models", str(models_.folder), "--json"]
    result = CliRunner().invoke(main, ["benchmark", "train", *words, *more])
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert (said["train_set"], [part["instances"] for part in said["trained_on"]]) == ("mix", [10, 10])
    assert said["world"][0]["processes"] == 1
    assert f"{few.data}: 10 instances" in result.stderr
    assert "2 steps of 2 images, 0.20 epochs" in result.stderr
    assert "M weights" in result.stderr
    (tmp_path / "x.txt").touch()
    again = CliRunner().invoke(main, ["benchmark", "train", *words, "--exclude", str(tmp_path / "x.txt"), *more])
    assert "--exclude is of one file" in again.stderr
