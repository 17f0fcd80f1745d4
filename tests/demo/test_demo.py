"""The demo's own path, on two small training sets and two test sets."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from ehps.demo import run as demo
from ehps.demo.sets import TEST, TRAIN


def small(entry: object, pictures: int) -> object:
    return dataclasses.replace(entry, pictures=pictures, calls=entry.calls[:1])  # type: ignore[attr-defined, type-var]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, body_models: Path) -> Path:
    out = tmp_path_factory.mktemp("demo")
    train = tuple(small(e, 4) for e in TRAIN if e.dataset in ("egobody_ego", "mscoco"))
    test = tuple(small(e, 3) for e in TEST if e.dataset in ("egobody_ego", "ehf"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "TRAIN", train)
        patch.setattr(demo, "TEST", test)
        patch.setattr(demo, "_write_models", lambda folder: folder.symlink_to(body_models))
        demo.run(out, steps=3)
    return out


def test_it_ends_with_a_report_of_what_was_trained(finished: Path) -> None:
    page = (finished / "report.html").read_text()
    assert "EgoBody-EgoSet" in page
    assert "MSCOCO" in page
    assert "Generated data" in page


def test_every_set_is_converted_whole_with_a_good_certificate(finished: Path) -> None:
    reports = [json.loads(path.read_text()) for path in (finished / "humandata").glob("*.report.json")]
    assert {r["dataset"] for r in reports} == {"egobody_ego", "mscoco", "ehf"}
    assert all(r["found"] == r["written"] > 0 and not r["problems"] for r in reports)


def test_tables_and_figures_lie_in_the_analysis_folder(finished: Path) -> None:
    names = {path.name for path in (finished / "analysis").iterdir()}
    assert {"ranking.md", "ranking.csv", "ranking.tex", "attributes.png", "coverage.csv", "selection.csv"} <= names
