import csv
import io
import json

import numpy as np
import pandas as pd
import pytest

from ehps.analysis import tables
from ehps.errors import UsageError

FRAME = pd.DataFrame(
    {
        "set": ["a_b", "c|d", "e & f"],
        "rank": pd.array([1, 2, None], dtype="Int64"),
        "mpe": [80.04, 79.96, np.nan],
        "instances": [311, 3_992_000, 5],
        "real": [True, False, True],
    }
)


def test_markdown_has_every_value_aligned():
    lines = tables.to_markdown(FRAME, best={"mpe": "min"}).splitlines()
    assert len({len(line) for line in lines}) == 1
    cells = [[c.strip() for c in line.strip("|").split(" | ")] for line in lines]
    assert cells[0] == ["set", "rank", "mpe", "instances", "real"]
    assert cells[2] == ["a_b", "1", "**80.0**", "311", "yes"]
    assert cells[3] == [r"c\|d", "2", "**80.0**", "3,992,000", "no"]
    assert cells[4][1:3] == ["–", "–"]
    assert lines[1].split("|")[2].strip().endswith(":")


def test_csv_round_trips_at_full_precision():
    text = tables.to_csv(FRAME)
    back = pd.read_csv(io.StringIO(text))
    np.testing.assert_array_equal(back["mpe"], FRAME["mpe"])
    assert back["set"].tolist() == FRAME["set"].tolist()
    assert list(csv.reader(io.StringIO(text)))[3] == ["e & f", "", "", "5", "True"]


def test_latex_escapes_and_marks():
    text = tables.to_latex(FRAME, digits={"mpe": 2}, best={"mpe": "min"}, caption="50 % of it", label="tab:rank")
    assert r"a\_b & 1 & 80.04 & 311 & yes \\" in text
    assert r"\textbf{79.96}" in text
    assert r"e \& f & -- & -- & 5 & yes \\" in text
    assert r"\caption{50 \% of it}" in text
    assert r"\begin{tabular}{lrrrl}" in text
    assert text.count(r"\begin") == text.count(r"\end") == 2


def test_json_is_plain_and_null_where_absent():
    rows = json.loads(tables.to_json(FRAME, headers={"mpe": "MPE"}))
    assert rows[0] == {"set": "a_b", "rank": 1, "MPE": 80.04, "instances": 311, "real": True}
    assert rows[2]["MPE"] is None
    assert rows[2]["rank"] is None


def test_best_is_checked_and_maximum_works():
    marked = tables.cells(FRAME, best={"instances": "max"})
    assert [row[3].best for row in marked] == [False, True, False]
    with pytest.raises(UsageError):
        tables.to_markdown(FRAME, best={"nothing": "min"})


def test_the_suffix_chooses_the_format(tmp_path):
    for suffix in (".md", ".csv", ".tex", ".json"):
        assert (
            "79.96"
            in tables.write(
                FRAME, tmp_path / f"t{suffix}", **({"digits": 2} if suffix in (".md", ".tex") else {})
            ).read_text()
        )
    with pytest.raises(UsageError):
        tables.write(FRAME, tmp_path / "t.xlsx")
