"""Suites of small trainings on mixtures: drawn, run, and read again as what was drawn."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from ehps.analysis.mixture_suite import MixtureSuite
from ehps.benchmark.suites import shipped_suites
from ehps.benchmark.suites.suite_file import load_suite
from ehps.body.models import BodyModels
from ehps.cli import main
from ehps.errors import UsageError
from ehps.humandata import HumanData
from ehps.selections.small_runs import small_trainings_of
from tests.drawn_people import Style, people, write_set


def call(*words: str | Path, code: int = 0) -> str:
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == code, result.output
    return result.stdout


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, models: BodyModels) -> list[Path]:
    """Two training sets and a test set, whose images lie beside them."""
    folder, rng, out = tmp_path_factory.mktemp("sets"), np.random.default_rng(0), []
    for seed, name in enumerate(("one", "two", "test")):
        path = write_set(folder, people(30 if name == "two" else 12, rng, Style()), models, seed=seed, name=name)
        hd = HumanData.open(path)
        hd.passport = hd.passport.with_(dataset=name, split="train")
        out.append(hd.save(folder / f"{name}.h5"))
    return out


def test_the_runs_of_a_suite_have_seen_what_was_drawn(files: list[Path], models: BodyModels, tmp_path: Path) -> None:
    suite = tmp_path / "mixtures.yaml"
    words = ["analysis", "mixtures", *files[:2], "--test", f"{files[2]}=egobody-ego", "--size", "24", "--out", suite]
    said = json.loads(call(*words, "--json"))
    assert (said["trainings"], said["size"], said["instances"]) == (64, 24, 64 * 24)
    assert said["repeated"]["one"] > 12
    first = suite.read_bytes()
    call(*words)
    assert suite.read_bytes() == first
    call(*words, "--seed", "1")
    assert suite.read_bytes() != first
    suite.write_bytes(first + b"workers: 0\nmodel_args: {width: 32, depth: 1, heads: 2}\n")
    runs = tmp_path / "runs"
    only = ["--only", "mix_00", "--only", "mix_01", "--body-models", models.folder]
    call("benchmark", "run", suite, "--out", runs, *only)
    found, _ = small_trainings_of(runs, "present")
    drawn = MixtureSuite.draw(["one", "two"], 24).mixtures
    for run, row in found.weights.iterrows():
        counts = drawn[str(run).partition("/")[0]]
        np.testing.assert_allclose(row, [counts.get(name, 0) / 24 for name in ("one", "two")])
    assert (len(found.weights), found.size) == (2, 24)
    assert found.seconds is not None
    assert found.seconds > 0


def test_a_drawn_mixture_has_whole_instances_of_whole_batches() -> None:
    drawn = MixtureSuite.draw(list("abcde"), 1000, 20, seed=3)
    assert (drawn.size, drawn.batch, len(drawn.mixtures)) == (992, 32, 20)
    assert {sum(mix.values()) for mix in drawn.mixtures.values()} == {992}
    assert min(min(mix.values()) for mix in drawn.mixtures.values()) > 0
    assert drawn == MixtureSuite.draw(list("edcba"), 1000, 20, seed=3)
    assert len(MixtureSuite.draw([f"set_{k}" for k in range(32)], 1000).mixtures) == 128
    with pytest.raises(UsageError, match="ten a set"):
        MixtureSuite.draw(list("abc"), 20)
    with pytest.raises(UsageError, match="cannot be mixed"):
        MixtureSuite.draw(["a"], 20)


def test_the_shipped_suite_is_one_draw_of_the_sets_of_foundation_5() -> None:
    suite = load_suite(shipped_suites.path_of("mixtures"))
    (five,) = load_suite(shipped_suites.path_of("foundation_5")).train.values()
    sets = {spec.data.stem.rpartition("_")[0]: (spec.data.name, spec.interval) for spec in five}
    drawn = MixtureSuite.draw(list(sets), 24_000)
    assert list(suite.train) == list(drawn.mixtures)
    for name, counts in drawn.mixtures.items():
        found = [(spec.data.name, spec.interval, spec.weight) for spec in suite.train[name]]
        assert found == [(*sets[one], count) for one, count in counts.items()]
    seen = suite.config.steps * suite.config.batch_size
    assert (seen, suite.config.total_length, suite.config.strategy) == (24_000, 24_000, "balance")
