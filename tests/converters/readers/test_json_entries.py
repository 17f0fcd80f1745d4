"""Entries of large json files are those that json itself reads, whatever the spacing and wherever a block ends."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ehps.converters.readers import json_entries as module
from ehps.converters.readers.json_entries import KeyedJson, keyed_json
from ehps.errors import DataError
from tests.raw.checks import peak_memory

WRITTEN: list[dict[str, Any]] = [{}, {"indent": 2}, {"separators": (",", ":")}]


def entry(k: int) -> dict[str, Any]:
    return {"smpl_param": {"pose": [k / 3] * 4, "text": 'quoted "7": {'}, "cam_param": {"focal": [k, 1e-30]}}


def written(path: Path, content: Any, **options: Any) -> Path:
    path.write_text(json.dumps(content, **options))
    return path


@pytest.mark.parametrize("options", WRITTEN)
@pytest.mark.parametrize("block", [70, 1000, 1 << 22])
def test_entries_are_those_of_json(
    tmp_path: Path, options: dict[str, Any], block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BLOCK", block)
    keys = np.random.default_rng(0).permutation(300)[:100].tolist()
    content = {str(k): entry(k) for k in keys}
    found = KeyedJson(written(tmp_path / "fits.json", content, **options))
    assert dict(found) == content
    assert len(found) == 100
    assert found.take(keys[::-1]) == [entry(k) for k in keys[::-1]]
    assert found.has(np.arange(300)).tolist() == [k in set(keys) for k in range(300)]
    absent = next(k for k in range(300) if k not in keys)
    assert str(keys[0]) in found
    assert str(absent) not in found
    assert "x" not in found
    with pytest.raises(KeyError):
        found[str(absent)]


def test_numbers_that_are_none_are_read_as_json_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "fits.json"
    path.write_text('\ufeff{ "0": {"a": NaN},\n "-5" : {"a": Infinity} }\n\n', encoding="utf-8")
    assert np.isnan(KeyedJson(path)["0"]["a"])
    assert KeyedJson(path)[-5] == {"a": float("inf")}


def test_of_equal_keys_the_last_counts_as_in_json(tmp_path: Path) -> None:
    path = tmp_path / "fits.json"
    path.write_text('{"1": {"a": 1}, "2": {"a": 2}, "1": {"a": 3}}')
    found = KeyedJson(path)
    assert dict(found) == json.loads(path.read_text())
    assert len(found) == 2


def test_an_empty_object_has_no_entries(tmp_path: Path) -> None:
    found = KeyedJson(written(tmp_path / "fits.json", {}))
    assert dict(found) == {}
    assert "1" not in found
    assert not found.has(np.arange(3)).any()


@pytest.mark.parametrize("content", [[1, 2], {"a": {"1": {"b": 2}}}, 5, [{"1": {}}]])
def test_other_json_is_refused(tmp_path: Path, content: Any) -> None:
    with pytest.raises(DataError, match=r"keyed by numbers|not JSON"):
        KeyedJson(written(tmp_path / "fits.json", content))


def test_a_file_cut_anywhere_is_refused_when_opened(tmp_path: Path) -> None:
    path = written(tmp_path / "fits.json", {str(k): entry(k) for k in range(3)})
    data = path.read_bytes()
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(DataError, match=r"fits\.json"):
            KeyedJson(path)
    path.unlink()
    with pytest.raises(DataError, match="cannot be read"):
        keyed_json(path)


def test_a_damaged_entry_is_named(tmp_path: Path) -> None:
    path = written(tmp_path / "fits.json", {str(k): entry(k) for k in range(3)})
    path.write_text(path.read_text().replace('"focal": [1,', '"focal": [1;'))
    found = KeyedJson(path)
    assert found["0"] == entry(0)
    with pytest.raises(DataError, match="entry 1 is not JSON"):
        found["1"]


def test_a_changed_file_is_searched_again(tmp_path: Path) -> None:
    path = written(tmp_path / "fits.json", {"1": {"a": 1}})
    first = keyed_json(path)
    assert keyed_json(path) is first
    written(path, {"1": {"a": 1}, "2": {"a": 2}})
    os.utime(path, ns=(1, 1))
    assert keyed_json(path)["2"] == {"a": 2}


MEASURE = """
import sys
from ehps.converters.readers.json_entries import KeyedJson
before = peak()
found = KeyedJson(sys.argv[1])
for start in range(0, len(found), 1000):
    assert len(found.take(range(start, start + 1000))) == 1000
print(peak() - before)
"""


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    record = json.dumps({"pose": rng.normal(size=72).tolist()})
    for n in (2000, 16_000):
        path = tmp_path / f"{n}.json"
        path.write_text("{" + ", ".join(f'"{k}": {record}' for k in range(n)) + "}")
    assert (tmp_path / "16000.json").stat().st_size > 20_000_000
    small, large = (peak_memory(MEASURE, tmp_path / f"{n}.json") for n in (2000, 16_000))
    assert large < small + 15
