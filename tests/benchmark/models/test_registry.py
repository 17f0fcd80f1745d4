"""Models by name: what is declared of them, and those of other packages."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner
from state_dicts import NAMES
from torch import nn

from ehps.benchmark import models
from ehps.benchmark.models import pages
from ehps.benchmark.models.cards import ModelCard
from ehps.benchmark.models.unfilled import without_weights
from ehps.benchmark.training.specs import TrainConfig
from ehps.cli import main
from ehps.errors import SettingsError, UsageError


@pytest.fixture(autouse=True)
def registry() -> Iterator[None]:
    """The models as they are, after each test too."""
    models._all.cache_clear()
    yield
    models._all.cache_clear()


def plugin(monkeypatch: pytest.MonkeyPatch, **points: str) -> None:
    """Let the entry points ``name=module:attribute`` be those of other packages."""
    found = [importlib.metadata.EntryPoint(name, value, models.GROUP) for name, value in points.items()]
    monkeypatch.setattr(models, "entry_points", lambda group: found if group == models.GROUP else [])


def test_all_public_models_are_declared() -> None:
    assert set(models.names()) == {"tiny", *NAMES}
    assert {models.card(name).body for name in ("pymaf", "smpler", "smpler_l")} == {"smpl"}
    assert {models.card(name).body for name in NAMES if name.startswith("smpl") and "x" in name} == {"smplx"}


def test_names_need_no_torch() -> None:
    code = "import sys; from ehps.benchmark import models; models.names(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", ["tiny", *NAMES])
def test_parameters_are_those_of_the_network(name: str) -> None:
    module = str(models.card(name).network).partition(":")[0]
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not there")
    with without_weights():
        net = models.build(name)
    assert sum(parameter.numel() for parameter in net.parameters()) == models.card(name).parameters


@pytest.mark.parametrize("name", NAMES)
def test_stages_are_settings_that_a_training_takes(name: str) -> None:
    assert models.card(name).stages
    for stage in models.card(name).stages:
        assert TrainConfig.from_dict(pages.stage_settings(name, stage)).model == name
    with pytest.raises(UsageError, match="has no stage 'fundation'; there are"):
        pages.stage_settings(name, "fundation")


def test_declared_values_are_those_of_the_papers() -> None:
    foundation = pages.stage_settings("smpler_x_h", "foundation")
    assert (foundation["epochs"], foundation["batch_size"], foundation["total_length"]) == (10, 16, 4_500_000)
    assert pages.stage_settings("smplest_x_h", "foundation")["total_length"] == 7_500_000
    pymaf = pages.stage_settings("pymaf", "mixture")
    assert pymaf["lr"] == pymaf["lr_min"] == 5e-5
    (row,) = [row for row in pages.published("smpler_x_s") if row["weights"] == "SMPLer-X-S32" and row["unit"] == "mm"]
    assert row["value"] == 82.6
    assert row["source"] == "SMPLer-X repository, README"


def test_published_numbers_are_of_declared_models() -> None:
    assert {row["model"] for row in pages._published()} == set(NAMES)
    assert all(row["source"] and float(row["value"]) > 0 for row in pages._published())


class Linear(nn.Module):
    def __init__(self, width: int = 2) -> None:
        super().__init__()
        self.layer = nn.Linear(width, 1)


def test_models_of_other_packages_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = ModuleType("their_models")
    theirs.CARD = ModelCard(name="theirs", network=Linear, body="smpl")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "their_models", theirs)
    plugin(monkeypatch, theirs="their_models:CARD")
    assert "theirs" in models.names()
    assert models.build("theirs", width=3).layer.weight.shape == (1, 3)
    assert pages.as_dict("theirs")["body"] == "smpl"


def test_a_broken_model_of_another_package_takes_no_other_down(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = ModuleType("their_models")
    theirs.CARD, theirs.NET = ModelCard(name="tiny", network=Linear), Linear  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "their_models", theirs)
    plugin(monkeypatch, gone="no_such_package:CARD", odd="their_models:NET", second="their_models:CARD")
    with pytest.warns(UserWarning, match="model") as said:
        assert set(models.names()) == {"tiny", *NAMES}
    texts = [str(one.message) for one in said]
    assert ["gone" in texts[0], "is no ModelCard" in texts[1], "a second time" in texts[2]] == [True] * 3
    assert not isinstance(models.build("tiny", width=8, depth=1, heads=1), Linear)


def test_unknown_names_and_arguments_are_told() -> None:
    with pytest.raises(UsageError, match="no model 'pimaf'"):
        models.card("pimaf")
    models.register("mine", Linear)
    with pytest.raises(UsageError, match=r"no argument .depth.\. It has: width"):
        models.build("mine", depth=1)


@pytest.mark.parametrize(
    ("model", "arguments", "said"),
    [
        ("tiny", {"depht": 2}, "'tiny' has no argument 'depht'; it has: width, depth, heads, patch, input_size"),
        ("tiny", {"width": 33}, "'tiny' cannot be built: width 33 is no multiple of its 4 heads"),
        ("smpler_x_s", {"size": "b"}, "'smpler_x_s' has no argument 'size'; it has: drop_path"),
        ("pymaf", {"smpl": "x"}, "'pymaf' has no argument 'smpl'; it has: auxiliary, feedback, pyramid, start"),
        ("theirs", {"depth": 2}, "'theirs' has no argument 'depth'; it has: width"),
        ("bare", {}, "'bare' needs the argument 'inputs'; it has: inputs"),
        ("none", {"depth": 2}, "'none' has no argument 'depth'; it has: none"),
    ],
)
def test_arguments_are_checked_when_settings_are_read(model: str, arguments: dict[str, object], said: str) -> None:
    models.register("theirs", Linear)
    models.register("bare", lambda inputs: Linear(inputs))
    models.register("none", lambda: Linear())
    values = {"model": model, "model_args": arguments}
    if arguments:
        with pytest.raises(SettingsError) as raised:
            TrainConfig.from_dict(values)
        assert raised.value.faults == (f"model_args: model {said}",)
    with pytest.raises(UsageError, match=re.escape(f"model {said.split(';')[0]}")):
        models.check_arguments(model, arguments)


def test_a_network_that_takes_any_argument_is_asked_itself() -> None:
    models.register("open", lambda **given: Linear(given["width"]))
    models.check_arguments("open", {"width": 3, "more": 1})


def test_a_model_that_does_not_exist_is_told_when_settings_are_read() -> None:
    with pytest.raises(SettingsError, match=r"model: there is no model .tinny.; did you mean tiny\?"):
        TrainConfig.from_dict({"model": "tinny"})


def test_the_command_shows_all_and_one() -> None:
    run = CliRunner().invoke
    table = json.loads(run(main, ["benchmark", "models", "--json"]).stdout)
    assert [row["name"] for row in table] == list(models.names())
    whole = json.loads(run(main, ["benchmark", "models", "smpler_l", "--json"]).stdout)
    assert (whole["parameters"], whole["stages"]["3dpw"]["settings"]["epochs"]) == (73_615_150, 2)
    text = run(main, ["benchmark", "models", "pymaf"]).stdout
    assert all(words in text for words in ("45,168,512", "224 x 224", "PyMAF_model_checkpoint.pt", "57.7"))
    assert run(main, ["benchmark", "models", "--stage", "single"]).exit_code == 2


def test_the_settings_of_a_stage_are_a_configuration(tmp_path: Path) -> None:
    from ehps.yaml_files import read_yaml

    out = CliRunner().invoke(main, ["benchmark", "models", "smpler_x_s", "--stage", "single"])
    (tmp_path / "stage.yaml").write_text(out.stdout)
    assert TrainConfig.from_dict(read_yaml(tmp_path / "stage.yaml")).lr == 1e-5
    out = CliRunner().invoke(main, ["benchmark", "models", "smpler", "--stage", "backbone"])
    (tmp_path / "stage.yaml").write_text(out.stdout)
    assert read_yaml(tmp_path / "stage.yaml")["model_args"] == {"blocks": 0}
    page = CliRunner().invoke(main, ["benchmark", "models", "smpler"]).stdout
    assert "- `model_args.blocks=0`: the backbone stage of SMPLer with HRNet-W32, 30,939,997 parameters" in page
