"""The demo's own path, on two small training sets and two test sets, and the notebooks on what it leaves."""

from __future__ import annotations

import dataclasses
import importlib
import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from ehps.analysis import embedding
from ehps.cli import main
from ehps.demo import commands, crossing
from ehps.demo import end_to_end as demo
from ehps.demo.sets import TEST, TRAIN, DemoSet
from ehps.errors import DataError
from ehps.humandata import HumanData

NOTEBOOKS = Path(__file__).parents[2] / "docs" / "tutorials"
Commands = Callable[..., dict[str, list[str]]]
NAMES = ("attributes", "conversion", "ranking", "selection")


def small(entry: object, images: int) -> object:
    return dataclasses.replace(entry, images=images, calls=entry.calls[:1])  # type: ignore[attr-defined, type-var]


@pytest.fixture(scope="module", autouse=True)
def no_umap() -> Iterator[None]:
    """Compiling UMAP takes longer than all else here; its own test has it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embedding, "_umap", lambda pooled, *_: pooled[:, :2])
        yield


def few_commands(out: Path, *sets: tuple[DemoSet, ...], of: Commands = commands.of) -> dict[str, list[str]]:
    """The ranking, the choice, and one of its trainings."""
    every = of(out, *sets)
    return {name: every[name] for name in ("rank", "select", "train_on_the_choice")}


def run_here(words: list[str], run: Callable[..., CompletedProcess[str]] = commands._run) -> CompletedProcess[str]:
    """The ranking in a process of its own, as all commands; the others in this one, which has torch already."""
    if words[:2] == ["analysis", "rank"]:
        return run(words)
    result = CliRunner().invoke(main, ["--quiet", *words])
    return CompletedProcess(words, result.exit_code, result.stdout, result.stderr)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, body_models: Path) -> Path:
    importlib.import_module("torch")  # here, not in two threads at once
    out = tmp_path_factory.mktemp("demo")
    train = tuple(small(e, 3) for e in TRAIN if e.dataset in ("egobody_ego", "mscoco"))
    test = tuple(small(e, 2) for e in TEST if e.dataset in ("egobody_ego", "ehf"))
    with pytest.MonkeyPatch.context() as patch, joblib.parallel_config(backend="threading"):
        patch.setattr(demo, "TRAIN", train)
        patch.setattr(demo, "TEST", test)
        patch.setattr(demo, "_write_models", lambda folder: folder.symlink_to(body_models))
        patch.setattr(demo, "BATCH", 2)
        patch.setattr(crossing, "FRAMES", 6)
        patch.setattr(commands, "of", few_commands)
        patch.setattr(commands, "_run", run_here)
        demo.run(out, steps=2, jobs=1)
    return out


def test_what_its_commands_print_is_kept_and_the_choice_is_trained_on(finished: Path) -> None:
    texts = {path.stem: path.read_text() for path in (finished / "analysis").glob("*.txt")}
    assert set(texts) == {"rank", "select", "train_on_the_choice"}
    assert all(text.startswith("$ ehps ") for text in texts.values())
    assert "MSCOCO" in texts["rank"]
    made = [json.loads(path.read_text()) for path in (finished / "analysis/chosen").rglob("metrics.json")]
    assert len(made) == 2


def test_a_command_that_refuses_is_said_and_one_that_breaks_ends_the_demo(tmp_path: Path) -> None:
    words = ["analysis", "published", "nothing"]
    refused: dict[str, str] = {}
    (tmp_path / "analysis").mkdir()
    commands._keep(tmp_path, "published", words, commands._run(words), refused)
    assert "nothing" in refused["published"]
    assert (tmp_path / "analysis/published.txt").read_text().startswith("$ ehps analysis published nothing\nerror: ")
    broken = CompletedProcess(words, 1, "", "Traceback ...\nKeyError: 'x'")
    with pytest.raises(DataError, match=r"published nothing.*ended with 1: KeyError"):
        commands._keep(tmp_path, "published", words, broken, refused)


def test_it_ends_with_a_report_of_what_was_trained(finished: Path) -> None:
    page = (finished / "report.html").read_text()
    assert "EgoBody-EgoSet" in page
    assert "MSCOCO" in page
    assert "Generated data: the bodies of egobody_ego_test.h5, egobody_ego_train.h5, mscoco_train.h5 are" in page


def test_its_model_is_run_on_a_video_which_the_page_shows(finished: Path) -> None:
    page = (finished / "report.html").read_text()
    assert "12 bodies in 6 frames" in page
    assert "no detector is shipped" in page
    assert 'href="video/people/overlay.mp4"' in page
    hd = HumanData.open(finished / "video/people/predictions.h5")
    assert len(hd) == 12
    assert "overlay.mp4" in {path.name for path in (finished / "video/people").iterdir()}


def test_it_says_who_kept_which_track() -> None:
    people = np.array([0, 1, 0, 1, 1, 0])
    assert crossing.who_is_who(people, 7 + people).startswith("Each of them keeps one track")
    assert crossing.who_is_who(people, np.array([1, 2, 1, 2, 1, 2])).endswith("they have #1, #2 and #1, #2.")
    assert crossing.who_is_who(people, np.ones(6, int)).endswith("they have #1 and #1.")


def test_every_set_is_converted_whole_with_good_quality(finished: Path) -> None:
    reports = [json.loads(path.read_text()) for path in (finished / "humandata").glob("*.report.json")]
    assert {r["dataset"] for r in reports} == {"egobody_ego", "mscoco", "ehf"}
    assert all(r["found"] == r["written"] > 0 and not r["problems"] for r in reports)


def test_tables_and_figures_lie_in_the_analysis_folder(finished: Path) -> None:
    names = {path.name for path in (finished / "analysis").iterdir()}
    assert {"ranking.md", "ranking.csv", "ranking.tex", "attributes.png", "coverage.csv", "selection.csv"} <= names


def code_cells(name: str) -> list[dict[str, Any]]:
    notebook = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def executed(name: str, finished: Path, folder: Path) -> dict[str, Any]:
    """What a notebook leaves in its namespace, run from top to bottom on the small demo."""
    namespace: dict[str, Any] = {"display": lambda *values: None}
    with pytest.MonkeyPatch.context() as patch, pd.option_context("display.max_colwidth", 50):  # notebooks set it
        patch.setenv("EHPS_DEMO", str(finished))
        patch.setattr(tempfile, "tempdir", str(folder))
        for number, cell in enumerate(code_cells(name), 1):
            exec(compile("".join(cell["source"]), f"{name}.ipynb cell {number}", "exec"), namespace)
    return namespace


@dataclass(frozen=True)
class Notebooks:
    """All notebooks after they ran on the demo's folder, whose files are listed as they were before and after."""

    left: dict[str, dict[str, Any]]
    folder: Path
    before: dict[Path, tuple[int, int]]
    after: dict[Path, tuple[int, int]]


@pytest.fixture(scope="module")
def notebooks(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Notebooks:
    folder = tmp_path_factory.mktemp("notebooks")
    before = facts_of(finished)
    left = {name: executed(name, finished, folder) for name in NAMES}
    return Notebooks(left, folder, before, facts_of(finished))


def facts_of(folder: Path) -> dict[Path, tuple[int, int]]:
    return {p: (p.stat().st_size, p.stat().st_mtime_ns) for p in folder.rglob("*") if p.is_file()}


def test_all_notebooks_are_tested() -> None:
    assert sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb")) == list(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_notebooks_are_kept_without_what_they_printed(name: str) -> None:
    notebook = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code_cells(name))


def test_notebooks_run_and_leave_the_demo_as_it_was(notebooks: Notebooks) -> None:
    for namespace in notebooks.left.values():
        assert namespace["OUT"].parent == notebooks.folder
        assert any(namespace["OUT"].iterdir())
    assert notebooks.after == notebooks.before


def test_the_notebook_of_conversion_makes_what_the_demo_made(finished: Path, notebooks: Notebooks) -> None:
    made = notebooks.left["conversion"]["hd"]
    theirs = HumanData.open(finished / "humandata/egobody_ego_train.h5")
    assert len(made) == len(theirs) == 3
    assert (made["smplx/body_pose"] == theirs["smplx/body_pose"]).all()


def test_the_notebook_of_selection_merges_what_was_chosen(notebooks: Notebooks) -> None:
    namespace = notebooks.left["selection"]
    assert len(namespace["hd"]) == namespace["chosen"]["instances"].sum()
    assert set(namespace["hd"]["meta/dataset"]) == set(namespace["chosen"]["dataset"])
