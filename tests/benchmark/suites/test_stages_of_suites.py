"""Suites whose trainings are stages of a model, which start from one another."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from ehps.benchmark import models as networks
from ehps.benchmark import results
from ehps.benchmark.models.cards import Stage, Start, Variant
from ehps.benchmark.models.outputs import Prediction
from ehps.benchmark.models.tiny import TinyViT
from ehps.benchmark.suites.matrix import run_suite
from ehps.benchmark.suites.plan import plan
from ehps.benchmark.suites.runs import Run
from ehps.benchmark.suites.suite import Suite
from ehps.benchmark.suites.suite_file import load_suite, read_suite
from ehps.benchmark.training import checkpoints
from ehps.benchmark.training.specs import SetSpec
from ehps.body.models import BodyModels
from ehps.errors import SettingsError, UsageError
from tests.drawn_people import Style, people, write_set

SETS = """
train: {mix: [a.h5, b.h5], other: c.h5, pw3d: d.h5}
test: {pw3d: {data: test.h5, protocol: pw3d-h36m14}}
models: [smpler]
"""
CHAIN = """
recipes:
  backbone: {stage: backbone, train: mix}
  full: {stage: full, train: mix, start: backbone, epochs: 3}
  last: {stage: 3dpw, train: pw3d, start: full}
"""


def read(tmp_path: Path, more: str, sets: str = SETS) -> Suite:
    (tmp_path / "suite.yaml").write_text(sets + more)
    return load_suite(tmp_path / "suite.yaml")


def faults(tmp_path: Path, more: str, sets: str = SETS) -> list[str]:
    with pytest.raises(SettingsError) as error:
        read(tmp_path, more, sets)
    return [line.partition(": ")[2] for line in error.value.lines]


def test_a_suite_takes_the_settings_of_a_stage_where_it_gives_none(tmp_path: Path) -> None:
    found = read(tmp_path, "stage: 3dpw\nlr: 2e-4\n").config
    assert (found.lr, found.lr_min, found.epochs, found.batch_size, found.box_ratio) == (2e-4, 1e-4, 2, 32, 1.0)


def test_stages_start_from_one_another_across_training_sets(tmp_path: Path) -> None:
    suite = read(tmp_path, CHAIN)
    assert [(t.recipe, t.train_set) for t in suite.trainings] == [
        ("backbone", "mix"),
        ("full", "mix"),
        ("last", "pw3d"),
    ]
    first, full, last = (suite.settings(training) for training in suite.trainings)
    assert (first.epochs, first.batch_size, first.lr, first.init) == (50, 200, 2e-4, None)
    assert (full.epochs, last.epochs, last.batch_size, last.lr) == (3, 2, 32, 1e-4)
    assert [config.model_args for config in (first, full, last)] == [{"blocks": 0}, {}, {}]
    assert list(suite.labels().values()) == ["smpler[blocks=0]", "smpler", "smpler"]
    out = tmp_path / "runs"
    for training, config, before in ((1, full, "backbone/mix"), (2, last, "full/mix")):
        folder = suite.folder(out, suite.trainings[training])
        assert (folder / str(config.init)).resolve() == out / before / "smpler/checkpoints/final.pt"
    assert read_suite(json.loads(json.dumps(suite.to_dict()))) == replace(suite, **_absolute(suite))
    assert {one.config.epochs for one in suite.with_budget(64).recipes.values()} == {None}
    assert [one.config.steps for one in suite.with_budget(64).recipes.values()] == [1, 1, 2]


def test_arguments_of_the_suite_go_before_those_of_a_stage_and_a_recipe_has_none_of_its_own(tmp_path: Path) -> None:
    whole = read(tmp_path, "model_args: {blocks: 3}" + CHAIN)
    assert [one.config.model_args for one in whole.recipes.values()] == [{"blocks": 3}] * 3
    assert [one.config.model_args for one in read_suite(whole.to_dict()).recipes.values()] == [{"blocks": 3}] * 3
    assert read(tmp_path, "stage: backbone\n").config.model_args == {"blocks": 0}
    own = CHAIN.replace("start: backbone", "start: backbone, model_args: {blocks: 3}")
    (said,) = faults(tmp_path, own)[:1]
    assert said.startswith(
        "recipes.full.model_args is given; all recipes of a suite have the same model_args, but for "
    )


def test_models_that_cannot_be_built_are_named_before_anything_is_run(tmp_path: Path) -> None:
    assert faults(tmp_path, "stage: backbone\nmodel_args: {blocks: 2}\n") == [
        "model_args: model 'smpler' cannot be built: blocks is 2, not 3, or 0 (the stage backbone)"
    ]
    (said,) = faults(tmp_path, "model_args: {block: 3}" + CHAIN)[:1]
    assert said.startswith("model_args: model 'smpler' has no argument 'block'")


def _absolute(suite: Suite) -> dict[str, object]:
    """Sets with the paths that a stored suite has."""

    def one(spec: SetSpec) -> SetSpec:
        return replace(spec, data=spec.data.resolve(), images=spec.images.resolve())

    train = {name: tuple(map(one, specs)) for name, specs in suite.train.items()}
    return {"train": train, "test": {name: one(spec) for name, spec in suite.test.items()}}


def test_a_part_brings_what_it_starts_from(tmp_path: Path) -> None:
    suite = read(tmp_path, CHAIN)
    named = {
        tuple(t.recipe for t in suite.only([pattern]).trainings) for pattern in ("last", "train.pw3d", "recipes.*")
    }
    assert named == {("backbone", "full", "last")}
    assert [t.recipe for t in suite.only(["full"]).trainings] == ["backbone", "full"]
    with pytest.raises(UsageError, match="no recipe of the suite is for other"):
        suite.only(["train.other"])


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("stage: last\n", "stage: smpler has no stage 'last'; there are: backbone, full, 3dpw"),
        ("stage: 3\n", "stage is 3, not the name of a stage"),
        ("recipes: {a: {stage: ful}}\n", "recipes.a.stage: smpler has no stage 'ful'; there are: backbone, full, 3dpw"),
        ("recipes: {a: {start: b}, b: {}}\n", "recipes.a.start is 'b', which is no recipe before it; there is none"),
        ("recipes: {a: {}, b: {start: [a]}}\n", "recipes.b.start is a list, not the name of a recipe"),
        ("recipes: {a: {train: mx}}\n", "recipes.a.train: the suite has no 'mx'; did you mean mix?"),
        ("recipes: {a: {train: {mix: 1}}}\n", "recipes.a.train is a mapping, not names of training sets of the suite"),
        (
            "recipes: {a: {train: [mix, other]}, b: {train: pw3d, start: a}}\n",
            "recipes.b.start: pw3d is trained from a, which is for mix and other; train a on pw3d",
        ),
        ("stage: full\nrecipes: {a: {stage: 3dpw}}\n", "recipes.a.stage and stage are both given; give one of them"),
    ],
)
def test_stages_and_starts_that_cannot_be_are_refused(tmp_path: Path, more: str, said: str) -> None:
    assert faults(tmp_path, more)[0].startswith(said)


def test_a_stage_is_of_one_model_that_has_some(tmp_path: Path) -> None:
    two = SETS.replace("[smpler]", "[smpler, pymaf]")
    assert faults(tmp_path, "stage: full\n", two) == [
        "stage is of one model, the suite has smpler, pymaf; put each into a suite of its own"
    ]
    none = SETS.replace("[smpler]", "[tiny]").replace("pw3d-h36m14", "pw3d-smplerx")
    assert faults(tmp_path, "stage: full\n", none)[0].startswith("stage: tiny has no stage 'full'; none is declared")


class Grown(TinyViT):
    """A network whose first stage has one part less."""

    def __init__(self, more: bool = True) -> None:
        super().__init__(32, 1, 2)
        if more:
            self.more = torch.nn.Linear(10, 10)

    def forward(self, image: Tensor) -> Prediction:
        out = super().forward(image)
        return replace(out, betas=out.betas + self.more(out.betas)) if hasattr(self, "more") else out


@pytest.fixture
def grown() -> Iterator[str]:
    """A model of three stages, as SMPLer is one: the first without a part, which the second begins with new."""
    parts = {f"{name}.": f"{name}." for name in ("patches", "blocks", "norm", "squeeze", "place", "heads")}
    bare = Variant({"more": False}, "bare", "the bare network")
    networks._all()["grown"] = replace(
        networks.card("tiny"),
        name="grown",
        network=Grown,
        variants=(bare,),
        starts=(Start(bare.origin, bare.title, parts=parts | {"position": "position", "tokens": "tokens"}),),
        stages={
            "bare": Stage({"lr": 1e-3, "model_args": {"more": False}}, "nothing"),
            "full": Stage({"lr": 1e-9, "lr_min": 0}, "the stage bare"),
            "last": Stage({"lr": 1e-9, "lr_min": 0}, "the stage full"),
        },
    )
    yield "grown"
    del networks._all()["grown"]


def test_stages_begin_with_the_weights_of_one_another_and_fail_without_them(
    grown: str, models: BodyModels, tmp_path: Path
) -> None:
    folder = tmp_path / "sets"
    folder.mkdir()
    data = write_set(folder, people(5, np.random.default_rng(0), Style()), models, name="one")
    text = f"""
models: [{grown}]
train: {{one: {{data: {data}}}}}
test: {{ego: {{data: {data}, protocol: egobody-ego}}}}
steps: 1
batch_size: 4
workers: 0
"""
    text += "recipes: {bare: {stage: bare}, full: {stage: full, start: bare}, last: {stage: last, start: full}}\n"
    suite, out = read(tmp_path, text, ""), tmp_path / "runs"
    told = plan(suite, out, models.folder).cells
    assert [cell["model"] for cell in told] == ["grown[more=false]", "grown", "grown"]
    run_suite(suite, out, part=suite.only(["bare"]), body_models=models, progress=False)
    again = suite.only(["bare"]).with_seeds([1])
    assert (plan(again, out, models.folder).seconds or 0) > 0
    assert plan(suite, out, models.folder).seconds is None  # another network was timed
    made = run_suite(suite, out, body_models=models, progress=False)
    assert (made["state"].tolist(), made["model"].tolist()) == (["done"] * 3, [cell["model"] for cell in told])
    numbers = results.load(out).drop_duplicates("run")
    assert dict(zip(numbers["run"], numbers["model"], strict=True)) == {
        f"{recipe}/one/grown": cell["model"] for recipe, cell in zip(suite.recipes, told, strict=True)
    }
    bare, full, last = (checkpoints.load(out / name / "one/grown/checkpoints/final.pt") for name in suite.recipes)
    assert [one["model"]["args"] for one in (bare, full, last)] == [{"more": False}, {}, {}]
    assert all(torch.allclose(full["state"][key], value, atol=1e-6) for key, value in bare["state"].items())
    assert all(torch.allclose(last["state"][key], value, atol=1e-6) for key, value in full["state"].items())
    torch.manual_seed(suite.config.seed)
    fresh = Grown().state_dict()
    assert full["state"].keys() - bare["state"].keys() == {"more.weight", "more.bias"}
    assert torch.allclose(full["state"]["more.weight"], fresh["more.weight"], atol=1e-6)
    assert not torch.allclose(full["state"]["heads.body.weight"], fresh["heads.body.weight"], atol=1e-6)

    moved = out.rename(tmp_path / "elsewhere")
    assert [cell["training"] for cell in plan(suite, moved, models.folder).cells] == ["done"] * 3
    (moved / "bare/one/grown/checkpoints/final.pt").unlink()
    assert [cell["training"] for cell in plan(suite, moved, models.folder).cells] == ["1 of 1 steps"] * 2 + ["done"]
    broken = read(tmp_path, text.replace("{stage: bare}", "{stage: bare, lr: 2e-3}"), "")
    state = run_suite(broken, moved, body_models=models, progress=False)
    assert state["state"].tolist() == ["failed", "failed", "done"]
    failed = Run(moved / "full/one/grown").failures["training"]["reason"]
    assert failed == f"there are no weights to start from: the training in {moved / 'bare/one/grown'} failed"
