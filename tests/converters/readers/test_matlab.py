"""MATLAB files before version 7.3: arrays are scipy's where the file is sound, and a sentence where it is damaged.

Damage is done element by element, so that each kind is there again at every run. Those marked so end the process, or
never end, in scipy's reader.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from struct import pack
from typing import Any

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from ehps.converters.readers.matlab import load_mat
from ehps.errors import DataError

DOUBLES, INTEGERS, NAME, ARRAY, COMPRESSED = 9, 5, 1, 14, 15
CELL, STRUCT, OBJECT, TEXT, SPARSE, DOUBLE = 1, 2, 3, 4, 5, 6


def element(kind: int, data: bytes, order: str = "<", size: int | None = None) -> bytes:
    return pack(f"{order}II", kind, len(data) if size is None else size) + data + b"\0" * (-len(data) % 8)


def array(kind: int, shape: tuple[int, ...], *content: bytes, name: bytes = b"", order: str = "<") -> bytes:
    flags = element(6, pack(f"{order}II", kind, 0), order)
    axes = element(INTEGERS, pack(f"{order}{len(shape)}i", *shape), order)
    return element(ARRAY, flags + axes + element(NAME, name, order) + b"".join(content), order)


def doubles(*values: float, order: str = "<") -> bytes:
    return element(DOUBLES, pack(f"{order}{len(values)}d", *values), order)


def numbers(*values: float) -> bytes:
    return array(DOUBLE, (1, len(values)), doubles(*values))


def joints(kind: int, shape: tuple[int, ...], *content: bytes) -> bytes:
    return array(kind, shape, *content, name=b"joints")


def compressed(variable: bytes) -> bytes:
    data = zlib.compress(variable)
    return pack("<II", COMPRESSED, len(data)) + data


def write(path: Path, *variables: bytes, order: str = "<") -> Path:
    end = {"<": b"IM", ">": b"MI"}[order]
    path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(124) + pack(f"{order}H", 0x100) + end + b"".join(variables))
    return path


def names(length: int, stored: bytes) -> bytes:
    return element(INTEGERS, pack("<i", length)) + element(NAME, stored)


def same(a: Any, b: Any) -> bool:
    a, b = np.asarray(a), np.asarray(b)
    if (a.dtype, a.shape) != (b.dtype, b.shape):
        return False
    if a.dtype.names:
        return all(same(a[name], b[name]) for name in a.dtype.names)
    return all(map(same, a.ravel(), b.ravel())) if a.dtype == object and a.ndim else bool(np.all(a == b))


def cells(*values: Any) -> np.ndarray:
    made = np.empty((1, len(values)), object)
    made[0] = values
    return made


CONTENT: dict[str, Any] = {
    "numbers": np.arange(24.0).reshape(2, 3, 4),
    "integers": np.arange(-3, 5, dtype="i2"),
    "single": np.ones((3, 1), "f4"),
    "few": np.array([[1, 2]], "u1"),
    "logical": np.array([[True, False]]),
    "complex": np.array([[1 + 2j, 3]]),
    "nothing": np.zeros((0, 5)),
    "text": np.array(["left knee", "nose"]),
    "empty": "",
    "cells": cells(np.ones((4, 56)), "a", cells(2.5, np.zeros((2, 0)))),
    "struct": {"name": "s1", "pose": np.eye(3), "inner": {"x": cells(1.0)}},
    "structs": np.array([(1.5, "p"), (2.5, "q")], dtype=[("id", object), ("tag", object)]),
}


@pytest.mark.parametrize("is_compressed", [False, True])
def test_arrays_are_those_of_scipy(tmp_path: Path, is_compressed: bool) -> None:
    path = tmp_path / "a.mat"
    savemat(path, CONTENT, do_compression=is_compressed)
    expected = loadmat(path)
    for name in CONTENT:
        found = load_mat(path, name)[name]
        assert same(found, expected[name].T), name
        assert found.flags.writeable


def test_so_are_those_of_version_4(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    savemat(path, {name: CONTENT[name] for name in ("integers", "single", "complex", "text")}, format="4")
    expected = loadmat(path)
    assert all(same(load_mat(path, name)[name], expected[name].T) for name in ("integers", "single", "complex", "text"))
    assert load_mat(path, "text", "other")["text"].tolist() == ["left knee", "nose     "]


def test_those_of_a_big_endian_machine_and_of_compression_without_an_end(tmp_path: Path) -> None:
    variable = array(DOUBLE, (1, 3), doubles(1, 2, 1e9, order=">"), name=b"joints", order=">")
    path = write(tmp_path / "a.mat", variable, order=">")
    assert load_mat(path, "joints")["joints"].tolist() == loadmat(path)["joints"].T.tolist() == [[1], [2], [1e9]]
    stream = zlib.compressobj()
    data = stream.compress(joints(DOUBLE, (1, 2), doubles(3, 4))) + stream.flush(zlib.Z_SYNC_FLUSH)
    path = write(tmp_path / "b.mat", pack("<II", COMPRESSED, len(data)) + data)
    assert load_mat(path, "joints")["joints"].tolist() == [[3], [4]]


def test_letters_beyond_ascii_are_kept(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mat", joints(TEXT, (1, 4), element(4, "Köln".encode("utf-16-le"))))
    assert load_mat(path, "joints")["joints"].tolist() == ["Köln"]


def test_of_the_variables_that_are_not_wanted_only_headers_are_read(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.mat",
        array(SPARSE, (9, 9), element(99, b"?"), name=b"other"),
        joints(DOUBLE, (1, 1), doubles(7)),
        compressed(array(CELL, (9, 9), name=b"more")),
    )
    assert load_mat(path, "joints")["joints"].tolist() == [[7]]


def deep(levels: int) -> bytes:
    inner, body, heads = numbers(1), array(CELL, (1, 1))[8:], []
    for level in range(levels):
        size = len(inner) + level * (8 + len(body))
        heads.append(pack("<II", ARRAY, len(body) + size) + body)
    return joints(CELL, (1, 1), b"".join(reversed(heads)) + inner)


DEEP = deep(20_000)
KILLED = {  # by scipy 1.17
    "type of no number": (joints(DOUBLE, (1, 1), element(19, b"\0" * 8)), "numbers are of type 19"),
    "type beyond all": (joints(DOUBLE, (1, 1), element(0xFFFF, b"\0" * 8)), "numbers are of type 65535"),
    "one in a cell": (joints(CELL, (1, 1), array(DOUBLE, (1, 1), element(8, b"\0" * 8))), "numbers are of type 8"),
    "type of no text": (joints(TEXT, (1, 8), element(1000, b"abcdefgh")), "a text is of type 1000"),
    "cells in cells": (DEEP, "nested more than 64 deep"),
    "the same, compressed": (compressed(DEEP), "nested more than 64 deep"),
}
REFUSED = {
    "fields without length": (joints(STRUCT, (1, 1), names(0, b"x\0\0\0"), numbers(1)), "names of fields are 4 bytes"),
    "fields of negative length": (joints(STRUCT, (1, 1), names(-4, b"x\0\0\0"), numbers(1)), "names of fields are 4"),
    "names without an end": (joints(STRUCT, (1, 1), names(2, b"xyxz"), numbers(1), numbers(2)), "a field 'xy'"),
    "fields with no name": (joints(STRUCT, (1, 1), names(2, b"\0\0"), numbers(1)), "a field ''"),
    "fewer numbers than dimensions": (joints(DOUBLE, (2, 2), doubles(1, 2, 3)), "(2, 2) numbers of 8 bytes are in 24"),
    "fewer cells than dimensions": (joints(CELL, (1, 3), numbers(1), numbers(2)), "an element is missing"),
    "more cells than dimensions": (joints(CELL, (1, 1), numbers(1), numbers(2)), "are left behind the last element"),
    "fewer letters": (joints(TEXT, (1, 9), element(16, b"abc")), "has 3"),
    "negative dimensions": (joints(DOUBLE, (-1, -1), doubles(1)), "dimensions (-1, -1)"),
    "endless dimensions": (joints(CELL, (2**31 - 1,) * 4), "dimensions (2147483647, "),
    "terabytes of cells": (joints(CELL, (10**6, 10**6), numbers(1)), "cells or structs of 1 fields are in 64 bytes"),
    "terabytes without fields": (joints(STRUCT, (10**6, 10**6), names(4, b"")), "asks for"),
    "terabytes of blanks": (joints(TEXT, (10**6, 10**6), element(1, b"")), "asks for"),
    "a size of gigabytes": (compressed(element(ARRAY, joints(DOUBLE, (1, 1))[8:], size=2**32 - 8)), "asks for 4.0 GiB"),
    "an element longer than its array": (joints(DOUBLE, (1, 1), element(DOUBLES, b"", size=8)), "8 of 8 bytes of an"),
    "less than compressed": (compressed(element(ARRAY, joints(DOUBLE, (1, 1))[8:], size=96)), "104 bytes unfold to"),
    "more than compressed": (compressed(joints(DOUBLE, (1, 1), doubles(1)) + b"more"), "unfold to more"),
    "compression within another": (compressed(compressed(joints(DOUBLE, (1, 1)))), "unfolds to something else"),
    "compression of nothing": (
        pack("<II", COMPRESSED, 4) + b"nope",
        "compression of the variable at byte 128 is broken",
    ),
    "no array": (element(DOUBLES, b"\0" * 8), "at byte 128 begins no variable, but an element of type 9"),
    "a variable cut short": (joints(DOUBLE, (1, 1), doubles(1))[:-3], "the last 3 of "),
    "a tag cut short": (numbers(1) + b"\0\0", "it ends within the first 8 bytes of the variable"),
    "small data that is large": (joints(DOUBLE, (1, 1), pack("<HHI", 5, 9, 0)), "9 bytes of data are said to be in 4"),
    "no class": (joints(99, (1, 1), doubles(1)), "of class 99"),
    "another element in a cell": (joints(CELL, (1, 1), doubles(1)), "in a cell or field is an element of type 9"),
    "a sparse array": (joints(SPARSE, (9, 9)), "holds a sparse array; what is read are numbers"),
    "an object in a cell": (joints(CELL, (1, 1), array(OBJECT, (1, 1))), "holds an object; what is read are numbers"),
}


@pytest.mark.parametrize("kind", [*KILLED, *REFUSED])
def test_a_damaged_file_is_refused_in_words(tmp_path: Path, kind: str) -> None:
    variable, words = {**KILLED, **REFUSED}[kind]
    path = write(tmp_path / "a.mat", variable)
    with pytest.raises(DataError) as error:
        load_mat(path, "joints")
    assert error.value.path == path
    assert words in error.value.what


@pytest.mark.parametrize(
    ("numbers", "name"),
    [
        ((50, -1, 21, 0, 1), b"j"),
        ((0, 2**31 - 1, 2**31 - 1, 0, 1), b"j"),
        ((0, 1, 1, 0, 999), b"j"),
        ((70, 1, 1, 0, 1), b"j"),
    ],
    ids=["goes back without end", "more than there is", "long name", "type"],
)
def test_so_is_one_of_version_4(tmp_path: Path, numbers: tuple[int, ...], name: bytes) -> None:
    path = tmp_path / "a.mat"
    path.write_bytes(pack("<5i", *numbers) + name + b"\0" * 8)
    with pytest.raises(DataError, match=r"a\.mat: "):
        load_mat(path, "j")


def test_any_damage_ends_in_arrays_or_in_words(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    path = tmp_path / "a.mat"
    sound, said = [], []
    for form in ({}, {"do_compression": True}, {"format": "4"}):
        savemat(path, CONTENT if not form.get("format") else {"numbers": np.eye(3), "text": "ab"}, **form)
        sound.append(path.read_bytes())
    for case in range(120):
        data = bytearray(sound[case % 3])
        for at in rng.integers(len(data), size=3):
            data[at : at + 4] = pack("<I", rng.choice([0, 1, 5, 14, 15, 99, 2**31 - 1, 2**32 - 8]))
        path.write_bytes(data)
        try:
            load_mat(path, "numbers text", " ".join(CONTENT))
        except DataError as error:
            said.append(str(error))
    assert len(said) > 40
    assert all(words.startswith(f"{path}: ") for words in said)
