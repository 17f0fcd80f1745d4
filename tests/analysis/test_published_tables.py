"""Published tables: sources, and arithmetic."""

from __future__ import annotations

import csv
from importlib.resources import files

import pandas as pd
import pytest

from ehps.analysis import published_tables
from ehps.errors import UsageError


def test_every_row_of_every_table_has_a_source_and_nothing_is_remembered() -> None:
    shipped = {p.name.removesuffix(".csv") for p in (files("ehps.analysis") / "published").iterdir()}
    assert shipped == {*published_tables.TABLES, "datasets"}
    for name in published_tables.TABLES:
        text = (files("ehps.analysis") / "published" / f"{name}.csv").read_text(encoding="utf-8")
        rows = list(csv.DictReader(text.splitlines()))
        assert rows, name
        assert all(row["source"] for row in rows), name
        assert "remember" not in text
        assert "unconfirmed" not in text


def test_the_arithmetic_of_the_agora_table_names_the_one_cell_that_disagrees() -> None:
    found = published_tables.checks("agora_test")
    (wrong,) = found[~found["agrees"]].to_dict("records")
    assert (wrong["row"], wrong["cell"], wrong["printed"]) == ("SMPLer-X-L20", "mpjpe_fb", 119.9)
    assert wrong["computed"] == pytest.approx(78.7 + (39.5 + 41.4 + 44.8) / 3)
    quotients = found["cell"].str.startswith(("nmve", "nmje"))
    assert (quotients.sum(), (~quotients).sum()) == (52, 32)


def test_a_mean_of_five_is_checked_where_all_five_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    sets = [("AGORA val", "PVE all"), ("UBody", "PVE all"), ("EgoBody-EgoSet", "PVE all"), ("3DPW", "MPJPE")]
    sets += [("EHF", "PVE all")]
    rows = [("SMPLer-X-S32", *pair, 80.0 + i, "made up") for i, pair in enumerate(sets)]
    five = pd.DataFrame(rows, columns=["model", "benchmark", "metric", "value_mm", "source"])
    (row,) = published_tables._means(five)
    assert row[1:4] == ("mpe_mm", 82.6, 82.0)
    assert published_tables._means(five.iloc[:4]) == []


def test_ranks_are_of_one_dataset_each() -> None:
    found = published_tables.checks("single_dataset_ranks")
    assert len(found) == 93
    assert found["agrees"].all()


def test_the_summary_has_all_tables_and_an_unknown_one_is_refused() -> None:
    found = published_tables.summary().set_index("table")
    assert set(found.index) == set(published_tables.TABLES)
    assert found.loc["agora_test", "disagree"] == 1
    with pytest.raises(UsageError, match="agora_test"):
        published_tables.read("agora_tests")
