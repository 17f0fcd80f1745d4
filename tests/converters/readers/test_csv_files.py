"""Tables of text: what separates cells is told from the header, and odd cells are named by line."""

from __future__ import annotations

from pathlib import Path

import pytest

from ehps.converters.readers.csv_files import read_csv
from ehps.errors import DataError

TABLE = "name,start,place\na,1,2.5\n\nb,2,-3e1\nc,3\n"


@pytest.mark.parametrize(
    "text",
    [
        TABLE,
        TABLE.replace(",", ";"),
        TABLE.replace(",", "\t"),
        TABLE.replace("\n", "\r\n"),
        "\ufeff" + TABLE,
        TABLE.replace("a,1", "a , 1"),
        TABLE.replace("2.5", "2.5,,"),
    ],
)
def test_a_table_is_read_however_it_was_saved(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.csv").write_bytes(text.encode())
    rows = read_csv(tmp_path / "a.csv", "place name")
    assert [(row.text("name"), row.integer("start")) for row in rows] == [("a", 1), ("b", 2), ("c", 3)]
    assert [row.number("place") for row in rows[:2]] == [2.5, -30]
    with pytest.raises(DataError, match=r"a\.csv: line 4: place is '', expected a number"):
        rows[2].number("place")


@pytest.mark.parametrize("cell", ["", "abc", "nan", "inf", "1e999"])
def test_a_cell_that_is_no_number_is_named(tmp_path: Path, cell: str) -> None:
    (tmp_path / "a.csv").write_text(TABLE.replace("2.5", cell))
    with pytest.raises(DataError, match=rf"a\.csv: line 2: place is '{cell}', expected a number"):
        read_csv(tmp_path / "a.csv", "place")[0].number("place")


def test_other_tables_are_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(TABLE)
    with pytest.raises(DataError, match=r"has no column end \(it has name, start, place\)"):
        read_csv(path, "name end")
    with pytest.raises(DataError, match=r"line 2: place is '2\.5', expected an integer"):
        read_csv(path, "place")[0].integer("place")
    path.write_text(TABLE.replace("2.5", "2,5"))
    with pytest.raises(DataError, match="line 2 has 4 cells, the header 3"):
        read_csv(path, "name")
    path.write_text("")
    with pytest.raises(DataError, match=r"a\.csv: is empty"):
        read_csv(path, "name")
