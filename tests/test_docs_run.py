"""What the pages tell the reader to type is run, in the order of each page, in a folder with small generated data.

Commands are run as they stand, but for the number of steps, which is 1, and the names that stand for the reader's own
folders (``DIR``, ``/data``). What cannot be run here is in ``NOT_RUN`` with the reason; its commands and options are
looked up all the same (``test_docs.py``).
"""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from ehps.analysis import embedding
from ehps.benchmark.suites.evaluation import evaluate, train_cell
from ehps.benchmark.training.specs import SetSpec, TrainConfig
from ehps.body.models import BodyModels
from ehps.cli import main
from ehps.converters.pipeline import convert
from ehps.demo.raw import agora, bedlam, ehf, pw3d
from ehps.demo.raw.stage import Look
from ehps.humandata import HumanData
from tests.docs_blocks import PAGES, ROOT, Block, blocks_of, commands_of
from tests.raw.checks import blank

EXAMPLES = [page for page in PAGES if "datasets/" not in page]
NOT_RUN = (
    # page, what the line has, why
    ("", r"^ehps demo", "takes minutes; tests/demo runs its path on less"),
    ("", r"^ehps infer", "takes a video and boxes of its people; tests/inference runs it"),
    ("docs/own_data.md", r"labels\.json --images DIR", "a pattern: the page's example is run"),
    ("docs/converting.md", r"^ehps convert bedlam .* models$", "the page shows what a damaged file does"),
    ("docs/humandata.md", r"humandata convert (bedlam_train|humman)\.npz", "files of other programs"),
    ("docs/humandata.md", r"info x\.npz", "a hostile file; it is to be refused"),
    ("docs/benchmark.md", r"benchmark train bedlam", "the suite of the page has filled this folder already"),
    ("docs/benchmark.md", r"--devices|--launcher|--jobs", "starts processes on devices or jobs of a cluster"),
    ("docs/benchmark.md", r"benchmark (rescore|suites|pack|train|evaluate)", "names files of the reader's own"),
    ("docs/benchmark.md", r"run single_dataset", "takes 37 converted files"),
    ("docs/analysis.md", r"seed\d\.yaml|runs/seed", "takes one training a seed"),
    ("docs/converting.md", r"--launcher slurm", "submits jobs to a cluster"),
    (
        "docs/models.md",
        r"benchmark (train|checkpoint|evaluate|reproduce)",
        "takes files of weights, which are not here",
    ),
    ("docs/terminal.md", r"benchmark status", "takes a folder of a suite"),
    (
        "docs/analysis.md",
        r"analysis (select|reliability|scaling)|--reliability|run (chosen|mixtures|reliability)",
        "takes ranks, and so results on all five benchmarks, or many trainings",
    ),
    ("docs/howto/slurm.md", r"", "takes Slurm, GPUs or several processes"),
    ("docs/howto/ranking_table.md", r"", "takes all datasets, and days"),
)
CODES = ((r"humandata verify .*--exclude-to", 1),)  # an image of that page is broken
PYTHON_NOT_RUN = {"docs/adding_a_dataset.md": "describes a dataset that there is not"}
SUITE = """\
train:
  few: {data: bedlam.h5, images: BEDLAM, interval: 9}
test:
  ehf: {data: ehf.h5, images: EHF, protocol: ehf}
models: [tiny]
steps: 1
batch_size: 2
workers: 0
"""


@dataclass(frozen=True)
class Sets:
    """Folder of raw trees, converted files and one run, to be linked to; read-only."""

    folder: Path
    models: Path


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory, body_models: Path) -> Sets:
    folder = tmp_path_factory.mktemp("sets")
    for name, writer, split, height, width in (
        ("bedlam", bedlam, "train", 720, 1280),
        ("agora", agora, "train", 720, 1280),
        ("pw3d", pw3d, "train", 960, 540),
        ("ehf", ehf, "val", 1200, 1600),
    ):
        raw = folder / name.upper()
        truth = writer.write(raw, body_models, np.random.default_rng(1), look=Look(), images=2, painted=False)
        blank(raw, truth.image_path, height, width)
        convert(name, raw, split, folder / f"{name}.h5", body_models=body_models, progress=False)
    hd = HumanData.open(folder / "bedlam.h5")
    hd[np.resize(np.arange(len(hd)), 45)].save(folder / "bedlam.h5")
    (folder / "suite.yaml").write_text(SUITE)
    models = BodyModels(body_models)
    spec = SetSpec(folder / "bedlam.h5", folder / "BEDLAM")
    config = TrainConfig(steps=1, batch_size=2, workers=0)
    run = train_cell(folder / "trained/bedlam/tiny", "bedlam", spec, config, models, progress=False)
    evaluate(run.folder, "ehf", SetSpec(folder / "ehf.h5", folder / "EHF", protocol="ehf"), models)
    shutil.copy(run.checkpoint, folder / "final.pt")
    return Sets(folder, body_models)


@pytest.fixture
def workplace(sets: Sets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with links to everything that pages name, and the working directory."""
    for path in sets.folder.iterdir():
        if path.name != "trained":
            (tmp_path / path.name).symlink_to(path)
    (tmp_path / "models").symlink_to(sets.models)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(embedding, "_umap", lambda pooled, *_: pooled[:, :2])  # which takes long to compile
    return tmp_path


def prepare(page: str, folder: Path, sets: Sets) -> None:
    """What a page takes for granted."""
    if page == "docs/analysis.md":
        shutil.copytree(sets.folder / "trained", folder / "runs")
    if page == "docs/humandata.md":
        (folder / "BEDLAM").unlink()
        shutil.copytree(sets.folder / "BEDLAM", folder / "BEDLAM")
        next((folder / "BEDLAM").rglob("*.png")).write_bytes(b"")


def reason_not_to_run(page: str, line: str) -> str | None:
    return next((why for where, what, why in NOT_RUN if where in ("", page) and re.search(what, line)), None)


def runnable(line: str) -> list[str]:
    """The words after ``ehps``, with the reader's own folders and the number of steps replaced."""
    words = shlex.split(line, comments=True)[1:]
    words = [re.sub(r"^(DIR|MODELS)$", "models", word) for word in words]
    words = [re.sub(r"^/data(?:/|$)", "./", word) for word in words]
    if words[:2] == ["benchmark", "train"]:
        kept = iter(words)
        words = [word for word in kept if word not in ("--steps", "--batch-size", "--workers") or not next(kept)]
        words += ["--steps", "1", "--batch-size", "2", "--workers", "0"]
    if "--jobs" in words:
        words[words.index("--jobs") + 1] = "1"
    return words


def run_shell(page: str, block: Block) -> Iterator[str]:
    """Run the commands of a block; yields what goes wrong."""
    for line in commands_of(block):
        if reason_not_to_run(page, line) is not None:
            continue
        wanted = next((code for what, code in CODES if re.search(what, line)), 0)
        result = CliRunner().invoke(main, runnable(line))
        if result.exit_code != wanted:
            yield f"{page}: {line}\nexit code {result.exit_code}, not {wanted}: {result.output}{result.exception!r}"


def runs(page: str, block: Block) -> bool:
    if block.language == "python":
        return page not in PYTHON_NOT_RUN
    return block.is_shell and any(reason_not_to_run(page, line) is None for line in commands_of(block))


RUN = [page for page in EXAMPLES if any(runs(page, block) for block in blocks_of(ROOT / page))]


@pytest.mark.parametrize("page", RUN)
def test_a_page_does_what_it_says(page: str, sets: Sets, workplace: Path) -> None:
    prepare(page, workplace, sets)
    names: dict[str, Any] = {"__name__": "page", "weights": np.ones(45, np.float32)}
    for block in blocks_of(ROOT / page):
        if block.language == "python" and page not in PYTHON_NOT_RUN:
            exec(compile(block.text, f"{page}, line {block.line}", "exec"), names)
        elif block.language == "yaml" and "suite.yaml" in block.text:
            (workplace / "suite.yaml").unlink()
            small = re.sub(r"^(steps|batch_size): \d+", r"\1: 1", block.text, flags=re.MULTILINE)
            (workplace / "suite.yaml").write_text(f"{small}workers: 0\n")
        elif block.is_shell:
            assert list(run_shell(page, block)) == []


def test_every_reason_not_to_run_is_still_needed() -> None:
    lines = [(page, line) for page in EXAMPLES for block in blocks_of(ROOT / page) for line in commands_of(block)]
    for where, what, _ in NOT_RUN:
        assert any(where in ("", page) and re.search(what, line) for page, line in lines), (where, what)


def test_pages_are_run() -> None:
    assert len(RUN) > 9
