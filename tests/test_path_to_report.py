"""From raw datasets to the report through the command line, with the file names that `ehps doctor` prints."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from ehps import findings
from ehps.analysis import embedding
from ehps.analysis.benchmarks import MPE_BENCHMARKS
from ehps.benchmark.training.trainer import TrainConfig
from ehps.cli import main
from ehps.demo.raw import stage
from ehps.demo.sets import TEST, TRAIN, DemoSet
from ehps.humandata import HumanData
from tests.raw.checks import blank

IMAGES = {"agora": 1, "mscoco": 3}
TRAINED = tuple(replace(e, images=IMAGES[e.dataset], calls=e.calls[:1]) for e in TRAIN if e.dataset in IMAGES)
TESTED = tuple(replace(e, images=2, calls=e.calls[:1]) for e in TEST)
RENAMED = {"agora_train": "images of spring"}
"""Run folders called otherwise than the set that was trained on."""


def call(*words: str | Path, code: int = 0) -> Result:
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == code, f"{result.output}\n{result.exception!r}"
    return result


def data(*words: str | Path) -> Any:
    return json.loads(call(*words, "--json").stdout)


def blank_images(root: Path, paths: Sequence[str], people: object, view: Any, *_: object, **__: object) -> None:
    blank(root, paths, view.height, view.width)


@pytest.fixture(scope="module", autouse=True)
def cheap() -> Iterator[None]:
    """One-colour images, a network of two blocks, and two features in place of UMAP."""
    made = TrainConfig.__init__

    def narrow(self: TrainConfig, **settings: Any) -> None:
        made(self, **({"model_args": {"width": 32, "depth": 1, "heads": 2}} | settings))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage, "paint", blank_images)
        patch.setattr(TrainConfig, "__init__", narrow)
        patch.setattr(embedding, "_umap", lambda pooled, *_: pooled[:, :2])
        yield


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory, body_models: Path) -> Path:
    """Raw trees of all sets, side by side."""
    root = tmp_path_factory.mktemp("disk")
    for entry in (*TRAINED, *TESTED):
        rng = np.random.default_rng([0, *entry.name.encode()])
        for options in entry.calls:
            entry.write(root / entry.dataset, body_models, rng, look=entry.look, images=entry.images, **options)
    return root


@pytest.fixture(scope="module")
def converted(disk: Path, tmp_path_factory: pytest.TempPathFactory, body_models: Path) -> Path:
    """Every set under the name that doctor gives to its dataset and split."""
    folder = tmp_path_factory.mktemp("humandata")
    for entry in (*TRAINED, *TESTED):
        out = folder / f"{entry.name}.h5"
        line = ("convert", entry.dataset, disk / entry.dataset, "--split", entry.split, "--out", out)
        call(*line, "--body-models", body_models)
    return folder


@pytest.fixture(scope="module")
def runs(disk: Path, converted: Path, tmp_path_factory: pytest.TempPathFactory, body_models: Path) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    for trained in TRAINED:
        run = folder / RENAMED.get(trained.name, trained.name)
        words = ("--images", disk / trained.dataset, "--body-models", body_models)
        small = ("--steps", "1", "--batch-size", "12", "--workers", "0")
        call("benchmark", "train", converted / f"{trained.name}.h5", "--out", run, *words, *small)
        for test in TESTED:
            words = ("--images", disk / test.dataset, "--protocol", test.protocol, "--body-models", body_models)
            call("benchmark", "evaluate", run, converted / f"{test.name}.h5", *words)
    return folder


def files_of(converted: Path, sets: Sequence[DemoSet]) -> list[Path]:
    return [converted / f"{entry.name}.h5" for entry in sets]


def test_files_are_called_as_doctor_calls_them(disk: Path) -> None:
    rows = {row["dataset"]: row for row in data("doctor", disk)}
    ours = {entry.name for entry in (*TRAINED, *TESTED)}
    named = set()
    for command in (command for row in rows.values() for command in row["commands"]):
        words = shlex.split(command)
        named.add(words[words.index("--out") + 1].removesuffix(".h5"))
    assert {"agora_train", "mscoco_train", "ehf_val"} <= named & ours


def test_the_ranking_has_every_set_under_its_name_with_what_it_was_trained_on(runs: Path, converted: Path) -> None:
    ranked = data("analysis", "rank", "--results", runs)
    assert {row["train_set"] for row in ranked} == {"agora", "mscoco"}
    for row in ranked:
        assert row["missing"] == ""
        assert row["instances"] == len(HumanData.open(converted / f"{row['train_set']}_train.h5"))
        assert row["mpe"] == pytest.approx(np.mean([row[b.id] for b in MPE_BENCHMARKS]))
        assert row["mpe_low"] is None  # the few images of these test sets make fewer than three clusters
    assert sorted(row["rank"] for row in ranked) == [1, 2]
    printed = call("analysis", "rank", "--results", runs)
    assert "AGORA" in printed.stdout
    assert "missing" not in printed.stderr
    assert "No interval: it takes 3 clusters of test data" in printed.stderr
    assert "Each set was trained once (one seed)" in printed.stdout


def test_hands_and_face_have_rankings_of_their_own(runs: Path) -> None:
    for part in ("hands", "face"):
        ranked = data("analysis", "rank", "--results", runs, "--by", part)
        assert sorted(row["rank"] for row in ranked) == [1, 2]
        assert "pw3d" not in ranked[0]
    call("analysis", "rank", "--by", "hands", code=2)


def test_factors_know_the_sets(runs: Path) -> None:
    result = call("analysis", "factors", "--results", runs, "--json")
    assert {"instances", "appearance"} <= {row["factor"] for row in json.loads(result.stdout)["factors"]}
    assert "left out" not in result.stderr


def test_selection_considers_every_trained_set_and_names_the_others(runs: Path, converted: Path) -> None:
    files = files_of(converted, TRAINED)
    result = call("analysis", "select", *files, converted / "ehf_val.h5", "--results", runs, "--budget", "4", "--json")
    assert {row["dataset"] for row in json.loads(result.stdout)["chosen"]} == {"agora", "mscoco"}
    assert "ehf_val.h5, it has no body parameters" in result.stderr


def test_the_report_is_the_demos_page(runs: Path, converted: Path, disk: Path, tmp_path: Path) -> None:
    words: list[str | Path] = ["analysis", "report", "--results", runs, "--out", tmp_path / "report.html"]
    for entry in TRAINED:
        words += ["--data", converted / f"{entry.name}.h5"]
    for entry in TESTED:
        words += ["--test", converted / f"{entry.name}.h5"]
    for entry in (*TRAINED, *TESTED):
        words += ["--images", f"{converted / f'{entry.name}.h5'}={disk / entry.dataset}"]
    result = call(*words)
    assert [line for line in result.stderr.splitlines() if "embedding of image" in line]
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    for section in ("ranking", "factors", "coverage", "selection", "conversions", "training", "overlays", "protocols"):
        assert f'id="{section}"' in page
    assert "Generated data: the bodies of agora_train.h5" in page
    assert "shared with the published ranking" in page
    assert "Without a rank" not in page
    assert "images of spring" not in page.split('id="training"')[0]


def test_the_notice_about_stand_ins_needs_no_data_files(runs: Path) -> None:
    (notice,) = findings.report_inputs(runs).notes
    assert notice.startswith("Generated data: the bodies of agora_validation, ")
