"""Values of a json file that is never in memory as a whole are those that json itself reads."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from ehps.converters import json_stream
from ehps.converters.json_stream import objects, parse, values, walk
from ehps.errors import DataError

LEAVES = (0, -3e-7, 2.5, 12345678901234, True, None, "", 'a"{[\\', "ü日本", "x" * 300)


def random_value(rng: Random, depth: int) -> Any:
    if depth == 0 or rng.random() < 0.3:
        return rng.choice(LEAVES)
    if rng.random() < 0.5:
        return [random_value(rng, depth - 1) for _ in range(rng.randrange(5))]
    return {f"k{i}é": random_value(rng, depth - 1) for i in range(rng.randrange(5))}


def below(value: Any, depth: int, keys: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    if depth == 0 or not isinstance(value, dict | list):
        yield keys, value
        return
    for key, child in value.items() if isinstance(value, dict) else enumerate(value):
        yield from below(child, depth - 1, (*keys, key))


@pytest.mark.parametrize("block", [1, 7, 50, 1 << 22])
@pytest.mark.parametrize("ascii_only", [True, False])
def test_values_keys_and_places_are_those_of_json(
    tmp_path: Path, block: int, ascii_only: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_stream, "BLOCK", block)
    rng = Random(block)
    for number in range(60):
        value = random_value(rng, 5)
        data = json.dumps(value, ensure_ascii=ascii_only, indent=rng.choice([None, 1])).encode()
        data = (b"\xef\xbb\xbf" if number % 5 == 0 else b"") + data + b"\n" * (number % 3)
        (tmp_path / "a.json").write_bytes(data)
        for depth in range(4):
            found = list(walk(tmp_path / "a.json", depth))
            assert [(keys, child) for keys, _, _, child in found] == list(below(value, depth))
            assert [json.loads(data[start:stop]) for _, start, stop, _ in found] == [child for *_, child in found]


@pytest.mark.parametrize("block", [3, 1 << 22])
def test_a_file_that_ends_anywhere_is_not_complete(tmp_path: Path, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "BLOCK", block)
    data = json.dumps({"images": [{"id": 1, "name": "ä"}], "annotations": [{"id": 2.5e-3}, [3]]}).encode()
    for end in range(len(data)):
        (tmp_path / "a.json").write_bytes(data[:end])
        with pytest.raises(DataError, match=r"a\.json: is not complete JSON"):
            list(walk(tmp_path / "a.json", 2))


@pytest.mark.parametrize("text", ['{"a": [1 2]}' + " " * 99, '{"a" 1}' + " " * 99, '{"a": nul}' + " " * 99, "{} {}"])
def test_what_is_not_json_is_named_with_its_place(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DataError, match=r"a\.json: is not JSON at byte \d"):
        list(walk(tmp_path / "a.json", 2))


def test_a_fault_at_the_start_is_told_without_reading_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "BLOCK", 1000)
    (tmp_path / "a.json").write_text('{"a": [1, 2 3' + ", 4" * 100_000)
    read: list[int] = []
    more = json_stream._Window._more
    monkeypatch.setattr(json_stream._Window, "_more", lambda self: read.append(1) or more(self))
    with pytest.raises(DataError, match="is not JSON at byte 12"):
        list(walk(tmp_path / "a.json", 2))
    assert len(read) < 5


def test_nesting_that_only_an_attacker_writes_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"a": ' + "[" * 200_000)
    with pytest.raises(DataError, match="is not JSON"):
        list(walk(tmp_path / "a.json", 1))


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

    for number in range(200):
        lists = {key: [record(2) for _ in range(rng.randrange(4))] for key in ("images", "annotations")}
        others = {"info": record(2), "year": 2014, "names": [text(), 3, [record(0)]]}
        content = dict(rng.sample([*lists.items(), *others.items()], 5))
        data = json.dumps(content, ensure_ascii=number % 2 == 0, indent=rng.choice([None, 1])).encode()
        path.write_bytes((b"\xef\xbb\xbf" if number % 5 == 0 else b"") + data)
        data = path.read_bytes()
        found = {key: [json.loads(data[a:b]) for a, b in spans.tolist()] for key, spans in objects(path).items()}
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


def test_a_stretch_of_values_is_read_from_its_place(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"images": [{"id": 1} , {"id": "ß"},\n{"id": 3}], "other": 4}')
    places = [(start, stop) for keys, start, stop, _ in walk(path, 2) if keys[0] == "images"]
    found = list(values(path, places[0][0], places[-1][1]))
    assert [value["id"] for *_, value in found] == [1, "ß", 3]
    assert [(start, stop) for start, stop, _ in found] == places
    assert [value["id"] for *_, value in values(path, *places[1])] == ["ß"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"b\.json: cannot be read"):
        list(walk(tmp_path / "b.json", 1))


def test_numbers_that_are_none_are_read_and_others_are_those_of_json() -> None:
    rng = Random(3)
    numbers = [rng.uniform(-1, 1) * 10.0 ** rng.randrange(-300, 300) for _ in range(2000)]
    assert parse(json.dumps(numbers).encode()) == numbers
    assert str(parse(b'{"a": [NaN, -Infinity], "b": 1}')) == "{'a': [nan, -inf], 'b': 1}"
    with pytest.raises(ValueError, match="delimiter"):
        parse(b"[1 2]")
