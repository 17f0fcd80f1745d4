"""Public weights tested beside their published numbers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ehps.benchmark.models import pages
from ehps.benchmark.protocols import catalogue
from ehps.benchmark.protocols.measures import measures
from ehps.benchmark.suites import reproduction
from ehps.benchmark.suites.evaluation import evaluate
from ehps.benchmark.suites.reproduction import MEAN, MEASURES, reproduce
from ehps.benchmark.suites.runs import Run
from ehps.benchmark.training.specs import SetSpec
from ehps.body.models import BodyModels
from ehps.cli import main
from ehps.converters import registry
from ehps.errors import DataError, UsageError
from ehps.humandata.core import HumanData
from tests.drawn_people import write_set
from tests.upright import NAME, registered, standing, write_weights

N = 4
PROTOCOL = "pw3d-h36m14[box_ratio=1]"
ROWS = [
    ("Upright", "3DPW", PROTOCOL, "MPJPE", "{exact}", "mm"),
    ("Upright", "3DPW", PROTOCOL, "PVE", "1.0", "mm"),
    ("Upright", "3DPW", PROTOCOL, "PA-MPJPE", "1.0", "mm"),
    ("Upright", "two", "pw3d-h36m14[box_ratio=1] + pw3d-h36m14-midhip[box_ratio=1]", "MPE", "1.0", "mm"),
    ("Upright", "both", "pw3d-smplerx + h36m-p2[box_ratio=1]", "MPE", "1.0", "mm"),
    ("Upright", "Human3.6M", "h36m-p2[box_ratio=1]", "MPJPE", "57.7", "mm"),
    ("Upright", "3DOH50K", "", "MPJPE", "96.2", "mm"),
    ("Upright, finetuned", "3DPW", PROTOCOL, "MPJPE", "1.0", "mm"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, models: BodyModels) -> Path:
    """With a converted 3DPW under a name that tells nothing, and predictions of it."""
    folder = tmp_path_factory.mktemp("data")
    path = write_set(folder, standing(N), models)
    hd = HumanData.open(path)[:]
    hd.passport = replace(hd.passport, dataset="pw3d", split="test")
    hd.save(path)
    hd.with_columns({"meta/truth_row": range(N)}).save(folder / "pw3d_test.h5")
    return folder


@pytest.fixture
def weights(tmp_path: Path) -> Iterator[Path]:
    with registered():
        yield write_weights(tmp_path / "upright_checkpoint.pt")


@pytest.fixture
def published(
    monkeypatch: pytest.MonkeyPatch, weights: Path, folder: Path, tmp_path: Path, models: BodyModels
) -> float:
    """Some numbers, of which the first is what the weights have."""
    spec = SetSpec(folder / "set.h5", folder)
    score = evaluate(tmp_path / "other", "set", spec, models, protocol=PROTOCOL, checkpoint=weights)
    exact = score.value("body", "MPJPE")
    names = ("weights", "test", "protocol", "metric", "value", "unit")
    rows = [{"model": NAME, **dict(zip(names, row, strict=True)), "source": "a paper"} for row in ROWS]
    rows[0]["value"] = str(exact + 0.4)
    monkeypatch.setattr(pages, "_published", lambda: tuple(rows))
    return exact


def test_numbers_stand_beside_the_published_ones(
    published: float, weights: Path, folder: Path, tmp_path: Path, models: BodyModels
) -> None:
    found = reproduce(NAME, weights, folder, tmp_path / "out", models)
    assert found.weights == ["Upright"]
    assert found.other_weights == ["Upright, finetuned"]
    assert found.elsewhere == ["3DOH50K"]
    mpjpe, pve, fitted, mean, part, h36m = found.lines
    assert (mpjpe.ours, mpjpe.n) == (pytest.approx(published), N)
    assert mpjpe.difference == pytest.approx(-0.4)
    assert not mpjpe.in_question
    assert pve.difference > 0.5
    assert any(said.startswith("mesh_alignment: PyMAF does not align") for said in pve.in_question)
    assert not any(said.startswith("joint_alignment") for said in pve.in_question)
    assert [said.partition(":")[0] for said in fitted.in_question] == ["box_ratio", "valid"]
    assert fitted.in_question[-1] == "valid: ours is of 4 people, the published test has 35,515"
    spec = SetSpec(folder / "set.h5", folder)
    other = evaluate(
        tmp_path / "out", "set", spec, models, protocol="pw3d-h36m14-midhip[box_ratio=1]", checkpoint=weights
    ).primary
    assert mean.ours == pytest.approx((published + other) / 2)
    assert h36m.ours is None
    assert not [cell for cell in Run(tmp_path / "out").cells if cell["protocol"] == "pw3d-smplerx"]
    assert part.why == h36m.why
    assert h36m.why == f"no file of h36m test in {folder}"


def test_the_command_says_what_differs_and_what_is_missing(
    published: float, weights: Path, folder: Path, tmp_path: Path, models: BodyModels
) -> None:
    words = [NAME, "--checkpoint", weights, "--data", folder, "--out", tmp_path / "out", "--workers", 0]
    said = called(*words, "--body-models", models.folder)
    assert said.exit_code == 0, said.output
    assert "3DPW, PVE differs by +" in said.stdout
    assert "mesh_alignment: PyMAF does not align" in said.stdout
    assert f"no file of h36m test in {folder}" in " ".join(said.stderr.split())
    told = json.loads(called(*words, "--body-models", models.folder, "--json").stdout)
    assert told["lines"][0]["ours"] == pytest.approx(published)
    assert told["missing"] == {"h36m-p2[box_ratio=1.0]": f"no file of h36m test in {folder}"}
    fine = called(*words, "--body-models", models.folder, "--weights", "none such")
    assert fine.exit_code == 2
    assert "There are: Upright; Upright, finetuned" in fine.stderr


def test_nothing_to_compare_is_told_by_the_exit_code(
    published: float, weights: Path, tmp_path: Path, models: BodyModels
) -> None:
    (tmp_path / "empty").mkdir()
    words = ["--checkpoint", weights, "--data", tmp_path / "empty", "--out", tmp_path / "out"]
    assert called(NAME, *words, "--body-models", models.folder).exit_code == 1
    with pytest.raises(UsageError, match="no number of tiny is published"):
        reproduce("tiny", weights, tmp_path / "empty", tmp_path / "out", models)


def test_published_numbers_have_protocols_that_make_them() -> None:
    known = {(card.id, split) for card in registry.cards() for split in card.splits} | {("lsp", "test")}
    for row in pages._published():
        for protocol in reproduction._protocols(row) if row["protocol"] else ():
            part, metric = protocol.primary if row["metric"] == MEAN else MEASURES[row["metric"]]
            assert metric in protocol.metrics, row
            made = {measure.key for measure in measures(protocol)}
            assert (part, metric) in made or (part == "hand" and ("left_hand", metric) in made), row
            test = reproduction.test_of(protocol)
            assert {(test.dataset, split) for split in test.splits} <= known, row


def test_fields_in_question_are_those_that_change_numbers() -> None:
    for name, test in reproduction.TESTS.items():
        protocol = catalogue.get(name)
        for field, _, _ in (question.partition(": ") for question in test.questions):
            assert field in protocol.settable, (name, field)


def test_weights_are_told_by_the_name_of_the_file() -> None:
    def told(model: str, file: str) -> list[Any]:
        return sorted({row["weights"] for row in reproduction._chosen(model, Path(file), None)[0]})

    assert told("smpler_x_h", "smpler_x_h32.pth.tar") == ["SMPLer-X-H32"]
    assert told("smpler_x_h", "smpler_x_h32_correct.pth.tar") == ["SMPLer-X-H32 correct"]
    assert told("pymaf", "PyMAF_model_checkpoint.pt") == ["PyMAF"]
    assert told("smpler_l", "SMPLer-L_3dpw.pt") == ["SMPLer-L 3dpw"]
    assert len(told("smpler_x_s", "mine.pt")) == 4


def called(*words: object) -> Any:
    return CliRunner().invoke(main, ["benchmark", "reproduce", *map(str, words)])


def test_a_stage_that_no_number_is_published_of_is_refused(
    models: BodyModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = {"model": {"name": "smpler", "args": {"blocks": 0}}}
    monkeypatch.setattr(reproduction.checkpoints, "load_any", lambda path, model: content)
    with pytest.raises(DataError, match="is a file of the backbone stage of SMPLer with HRNet-W32, of which no number"):
        reproduce("smpler", tmp_path / "SMPLer_h36m.pt", tmp_path, tmp_path / "run", models)
