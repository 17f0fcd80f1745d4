"""What files must hold: values of the declared form pass as they are, others are told in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ehps.converters.readers import fields
from ehps.converters.readers.fields import FLAG, IDENTIFIER, PATH, Field, integers, numbers, texts
from ehps.errors import DataError

PATH_OF_FILE = Path("somewhere/fits.npz")


@pytest.mark.parametrize(
    ("value", "field", "shape"),
    [
        ([1, 2.5, 3], numbers(3), (3,)),
        ([[1, 2, 3]], numbers(3), (3,)),
        (np.zeros((1, 9)), numbers(3, 3), (3, 3)),
        (np.zeros((4, 72)), numbers("N", 24, 3), (4, 24, 3)),
        (np.zeros(72), numbers("N", 72), (1, 72)),
        ([3.0, 4.0], integers(2), (2,)),
        (np.array([b"a", b"b"]), texts("N"), (2,)),
        ("Male", texts(words=("male", "female")), ()),
        (True, FLAG, ()),
        ("a/b.jpg", PATH, ()),
        (7, IDENTIFIER, ()),
    ],
)
def test_values_of_the_declared_form_pass(value: Any, field: Field, shape: tuple[int, ...]) -> None:
    assert fields.value(value, field, PATH_OF_FILE, "x").shape == shape


@pytest.mark.parametrize(
    ("value", "field", "words"),
    [
        (None, numbers(3), "x is null, expected 3 numbers"),
        ("12", numbers(), "x is the text '12', expected a number"),
        ([1, "2", 3], numbers(3), "x is 3 values that are not all numbers, .* expected 3 numbers"),
        ([1, None, 3], numbers(3), "x is 3 values that are not all numbers, .* expected 3 numbers"),
        ([[1, 2], [3]], numbers(2, 2), "x is 2 values that are not all numbers, or not in rows of one length"),
        ([1, 2], numbers(3), "x is 2 numbers, expected 3 numbers"),
        (np.zeros((3, 24)), numbers(24, 3), "x is 3 x 24 numbers, expected 24 x 3 numbers"),
        ([1, float("nan")], numbers(2), "x is 2 numbers, among them nan, expected 2 numbers"),
        (1.5, integers(), "x is 1.5, expected an integer"),
        (float("nan"), integers(), "x is nan, expected an integer"),
        (1e30, integers(), r"x is 1e\+30, expected an integer"),
        (5, integers(among=(1, 2)), "x is 5, expected 1 or 2"),
        ("neuter", texts(words=("male", "female")), "x is the text 'neuter', expected male or female"),
        ({"a": 1}, texts(), "x is an object with a, expected a text"),
        (2, FLAG, "x is 2, expected 0 or 1"),
        ("../a.jpg", PATH, r"x is the text '\.\./a\.jpg', expected a path below its folder"),
        (1.5, IDENTIFIER, "x is 1.5, expected an integer or a text"),
        (2**70, IDENTIFIER, "expected an integer or a text"),
    ],
)
def test_others_are_told_in_words(value: Any, field: Field, words: str) -> None:
    with pytest.raises(DataError, match=rf"fits\.npz: {words}" if words.startswith("x") else words):
        fields.value(value, field, PATH_OF_FILE, "x")


def test_arrays_of_rows_have_one_length() -> None:
    known = {"pose": numbers("N", 3), "betas": numbers("N", 10)}
    with pytest.raises(DataError, match="betas is 3 x 10 numbers, expected 4 x 10 numbers"):
        fields.values({"pose": np.zeros((4, 3)), "betas": np.zeros((3, 10))}, known, PATH_OF_FILE)
    with pytest.raises(DataError, match=r"has no betas \(it has pose\)"):
        fields.values({"pose": np.zeros((4, 3))}, known, PATH_OF_FILE)
    with pytest.raises(DataError, match="holds 5, expected pose, betas by name"):
        fields.values(5, known, PATH_OF_FILE)


def test_odd_records_are_counted_by_reason_unless_most_are() -> None:
    people = [{"id": k, "bbox": [0, 0, 1, 1]} for k in range(4)]
    odd = [None, {"id": 4}, {"id": 5, "bbox": [0, 0, 1]}]
    dropped: dict[str, list[str]] = {}
    assert fields.records([*people, *odd], {"bbox": numbers(4)}, PATH_OF_FILE, dropped, "people") == people
    assert dropped == {
        "entry of people is no record": ["fits.npz people #4 is null"],
        "no bbox": ["fits.npz people 4 has no bbox"],
        "bbox is not 4 numbers": ["fits.npz people 5 bbox is 3 numbers, expected 4 numbers"],
    }
    with pytest.raises(DataError, match="3 of 4 records are of another form, the first: people #1 is null"):
        fields.records([people[0], *odd], {"bbox": numbers(4)}, PATH_OF_FILE, {}, "people")
    with pytest.raises(DataError, match="people is null, expected a list of records"):
        fields.records(None, {"bbox": numbers(4)}, PATH_OF_FILE, {}, "people")


def test_ids_of_another_kind_than_most_are_odd() -> None:
    def odd_of(*ids: Any) -> dict[int, str]:
        people: list[Any] = [{"id": key, "image_id": 5} for key in ids]
        found = fields.odd_ones(people, {"id": IDENTIFIER, "image_id": IDENTIFIER}, "annotations")
        return {row: said for row, (reason, said) in found.items() if reason == "id is not of the kind of most others"}

    assert odd_of(1, 2, "3", 4) == {2: "id is the text '3', an integer in most others"}
    assert odd_of("a", "b", 3) == {2: "id is 3, a text in most others"}
    assert odd_of(1, "2") == {1: "id is the text '2', an integer in most others"}
    assert odd_of(1, 2) == odd_of("1", "2") == {}
