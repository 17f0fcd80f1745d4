"""Objects of a json file that is never in memory as a whole are those that json itself reads."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from ehps.converters.readers import json_stream
from ehps.converters.readers.json_stream import entries, objects, parse
from ehps.errors import DataError


@pytest.mark.parametrize("block", [1, 3, 20, 1 << 22])
def test_objects_of_lists_are_found_whatever_their_texts_hold(
    tmp_path: Path, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_stream, "BLOCK", block)
    rng = Random(block)
    path = tmp_path / "a.json"

    def text() -> str:
        return "".join(rng.choice(["\\", '"', "{", "[", "]", "}", ",", "a", "ü"]) for _ in range(rng.randrange(5)))

    def record(depth: int) -> dict[str, Any]:
        inner = [text, lambda: 1.5, lambda: [text(), text()], *([lambda: record(depth - 1)] if depth else [])]
        return {text(): rng.choice(inner)() for _ in range(rng.randrange(4))}

    for number in range(60):
        lists = {key: [record(2) for _ in range(rng.randrange(4))] for key in ("images", "annotations")}
        others = {"info": record(2), "year": 2014, "names": [text(), 3, [record(0)]]}
        content = dict(rng.sample([*lists.items(), *others.items()], 5))
        data = json.dumps(content, ensure_ascii=number % 2 == 0, indent=rng.choice([None, 1])).encode()
        path.write_bytes((b"\xef\xbb\xbf" if number % 5 == 0 else b"") + data)
        data = path.read_bytes()
        found = {
            key: [json.loads(data[a:b]) for a, b in listed.objects.tolist()] for key, listed in objects(path).items()
        }
        assert found == lists | {"names": []}


def test_objects_of_a_file_that_is_cut_short_or_of_another_kind_are_not_found(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    data = b'{"annotations": [{"id": 1}, {"id": "b"}]}'
    for end in range(1, len(data)):
        path.write_bytes(data[:end])
        with pytest.raises(DataError, match=r"a\.json: is not complete JSON"):
            objects(path)
    for other in (b"", b"[]", b"<html>"):
        path.write_bytes(other)
        with pytest.raises(DataError, match=r"a\.json: is no JSON object"):
            objects(path)


@pytest.mark.parametrize("block", [1, 7, 1 << 22])
@pytest.mark.parametrize("options", [{}, {"indent": 2}, {"ensure_ascii": False}])
def test_entries_are_those_of_two_levels_of_keys(
    tmp_path: Path, block: int, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_stream, "BLOCK", block)
    content = {"1": {"2": {"0": [[1.5, -2e-9]], "ü": None}, "1": [{"a": "]}"}]}, "7": {}, "11": {"3": {}}}
    (tmp_path / "a.json").write_text(json.dumps(content, **options), encoding="utf-8")
    found = [(first, second, value) for first, second, value in entries(tmp_path / "a.json")]
    assert found == [("1", "2", content["1"]["2"]), ("1", "1", content["1"]["1"]), ("11", "3", {})]


def test_an_entry_that_is_no_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"1": {"2": {"0": 1}, "3": {"0" 1}}}')
    found = entries(tmp_path / "a.json")
    assert next(found) == ("1", "2", {"0": 1})
    with pytest.raises(DataError, match=r"a\.json: 1/3 is not JSON"):
        next(found)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    for read in (objects, lambda path: list(entries(path))):
        with pytest.raises(DataError, match=r"b\.json: cannot be read"):
            read(tmp_path / "b.json")


def test_numbers_that_are_none_are_read_and_others_are_those_of_json() -> None:
    rng = Random(3)
    numbers = [rng.uniform(-1, 1) * 10.0 ** rng.randrange(-300, 300) for _ in range(2000)]
    assert parse(json.dumps(numbers).encode()) == numbers
    assert str(parse(b'{"a": [NaN, -Infinity], "b": 1}')) == "{'a': [nan, -inf], 'b': 1}"
    with pytest.raises(ValueError, match="delimiter"):
        parse(b"[1 2]")
