"""What files must hold, declared: names of values, their kind and shape; checked before anything is computed of them.

Values of one object (a calibration, the arrays of an npz, the parameters in a pickle) are wanted all: :func:`values`
raises an error that says what is there instead. Of lists of records those that are of another form are left out and
counted: :func:`records`. Numbers of rows may be NaN: the pipeline leaves out rows whose numbers are not finite, or not
plausible for what they mean. Numbers that all rows share must be finite.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ehps.arrays import Array, Mask
from ehps.converters.base import ODD_ROWS, drop
from ehps.converters.readers import OTHER
from ehps.errors import DataError
from ehps.humandata.strings import with_slashes

Record = dict[str, Any]
Kind = Literal["number", "integer", "flag", "text", "path", "identifier", "object"]

LARGEST = 2**53  # up to which a float counts in steps of 1
SHOWN = 40
SHOWN_NAMES = 20
NUMERIC = "biuf"
NOUNS = {
    "number": ("a number", "numbers"),
    "integer": ("an integer", "integers"),
    "text": ("a text", "texts"),
    "path": ("a path below its folder", "paths below their folder"),
}


@dataclass(frozen=True)
class Field:
    """What a value must be.

    Attributes
    ----------
    kind : ``path`` is a text that stays below its folder, given with ``/`` between its parts, ``identifier`` an integer
        or a text, ``flag`` true or false or 1 or 0, ``object`` has values by name.
    shape : lengths of the axes, in any nesting of the same order; a name stands for a length that fields share, ``N``
        for that of rows.
    optional : it may be absent or null; an array may also be an empty list.
    words : all that a text may be, whatever its case, or an integer.
    """

    kind: Kind
    shape: tuple[int | str, ...] = ()
    optional: bool = False
    words: tuple[str, ...] = ()


Fields = Mapping[str, Field]


def numbers(*shape: int | str, optional: bool = False) -> Field:
    """A number, or an array of them."""
    return Field("number", shape, optional)


def integers(*shape: int | str, optional: bool = False, among: Iterable[int] = ()) -> Field:
    """An integer, or an array of them; of those ``among`` which it must be."""
    return Field("integer", shape, optional, tuple(map(str, among)))


def texts(*shape: int | str, optional: bool = False, words: Iterable[str] = ()) -> Field:
    """A text, or an array of them."""
    return Field("text", shape, optional, tuple(words))


IDENTIFIER = Field("identifier")
PATH = Field("path")
FLAG = Field("flag")
OBJECT = Field("object")


def optional(fields: Fields) -> dict[str, Field]:
    """The same, which may be absent."""
    return {name: replace(field, optional=True) for name, field in fields.items()}


def values(
    data: Any,
    fields: Fields,
    path: Path,
    place: str = "",
    *,
    lengths: dict[str, int] | None = None,
    finite: bool = True,
) -> dict[str, Array]:
    """Arrays of the shapes that ``fields`` say, by name; optional ones that are absent are not in it.

    Parameters
    ----------
    data : a mapping, as read from ``path``.
    place : where in the file it is, for messages.
    lengths : of named axes, as far as they are known; those that are found are added.
    finite : numbers that are not of rows must be finite.

    Raises
    ------
    DataError : a value is absent or of another form.
    """
    inside = f"{place}: " if place else ""
    if not isinstance(data, Mapping):
        raise DataError(f"{inside}holds {described(data)}, expected {_listed(fields)} by name", path=path, fix=OTHER)
    if missing := [name for name, field in fields.items() if not field.optional and name not in data]:
        has = _listed(map(str, data)) or "nothing"
        raise DataError(f"{inside}has no {_listed(missing)} (it has {has})", path=path, fix=OTHER)
    lengths = {} if lengths is None else lengths
    found: dict[str, Array] = {}
    for name, field in fields.items():
        if name not in data or (field.optional and is_absent(data[name], field)):
            continue
        array = converted(data[name], field, lengths)
        if array is None or (finite and "N" not in field.shape and not is_finite(array)):
            what = f"{inside}{name} is {described(data[name])}, expected {expected(field, lengths)}"
            raise DataError(what, path=path, fix=OTHER)
        found[name] = array
    return found


def value(data: Any, field: Field, path: Path, name: str) -> Array:
    """The array that ``data`` is, called ``name`` in messages.

    Raises
    ------
    DataError : it is of another form.
    """
    return values({name: data}, {name: field}, path)[name]


def items(data: Any, path: Path, place: str = "") -> Mapping[str, Any]:
    """What ``data`` holds by name.

    Raises
    ------
    DataError : it is no mapping.
    """
    if not isinstance(data, Mapping):
        where = f"{place} is" if place else "holds"
        raise DataError(f"{where} {described(data)}, expected values by name", path=path, fix=OTHER)
    return data


def records(
    found: Any,
    fields: Fields,
    path: Path,
    dropped: dict[str, list[str]],
    place: str,
    first: int = 0,
) -> list[Record]:
    """Those of a list of records whose values are of the form that ``fields`` say; the others are counted by reason.

    Parameters
    ----------
    place : what the file calls the list.
    first : number of its first record in the file.

    Raises
    ------
    DataError : there is no list, or more than half of its records are of another form.
    """
    if not isinstance(found, list):
        raise DataError(f"{place} is {described(found)}, expected a list of records", path=path, fix=OTHER)
    labels = [f"{place} {label_of(record, first + i)}" for i, record in enumerate(found)]
    keep = drop_odd(odd_ones(found, fields, place), labels, path, dropped)
    return [found[i] for i in np.flatnonzero(keep).tolist()]


def odd_ones(found: Sequence[Any], fields: Fields, place: str) -> dict[int, tuple[str, str]]:
    """Number -> what is wrong, as a reason for all such, and in the words of this one, of records of another form.

    Values of the others that are right but for their nesting are replaced by flat ones.
    """
    odd: dict[int, tuple[str, str]] = {
        i: (f"entry of {place} is no record", f"is {described(record)}")
        for i, record in enumerate(found)
        if not isinstance(record, dict)
    }
    for name, field in fields.items():
        asked = [
            i
            for i, record in enumerate(found)
            if i not in odd and not (field.optional and is_absent(record.get(name), field))
        ]
        if _fit([found[i].get(name) for i in asked], field):
            continue
        for i in asked:
            if name not in found[i]:
                missing = _listed(n for n, f in fields.items() if not f.optional and n not in found[i])
                odd[i] = (f"no {name}", f"has no {missing}")
            elif (array := converted(found[i][name], field, {})) is not None:
                found[i][name] = array.tolist()  # as flat as it should be
            else:
                said = f"{name} is {described(found[i][name])}, expected {expected(field)}"
                odd[i] = (f"{name} is not {expected(field)}", said)
    for name in (name for name, field in fields.items() if field.kind == "identifier"):
        words = {
            i: isinstance(found[i][name], str)
            for i in range(len(found))
            if i not in odd and found[i].get(name) is not None
        }
        usual = 2 * sum(words.values()) > len(words)
        for i in (i for i, word in words.items() if word != usual):
            said = f"{name} is {described(found[i][name])}, {'a text' if usual else 'an integer'} in most others"
            odd[i] = (f"{name} is not of the kind of most others", said)
    return odd


def drop_odd(
    odd: Mapping[int, tuple[str, str]], labels: Sequence[str], path: Path, dropped: dict[str, list[str]]
) -> Mask:
    """Count the records that are odd; (N,) mask of the others.

    Parameters
    ----------
    labels : what the records are called in messages.

    Raises
    ------
    DataError : more than half are odd.
    """
    keep = np.ones(len(labels), bool)
    keep[list(odd)] = False
    if len(odd) > ODD_ROWS * len(labels):
        first = min(odd)
        what = f"{len(odd)} of {len(labels)} records are of another form, the first: {labels[first]} {odd[first][1]}"
        raise DataError(what, path=path, fix=OTHER)
    for i in sorted(odd):
        drop(dropped, odd[i][0], [f"{path.name} {labels[i]} {odd[i][1]}"])
    return keep


def once(
    people: Sequence[Record], key: str, dropped: dict[str, list[str]], path: Path, earlier: Iterable[Any] = ()
) -> list[Record]:
    """Records of which none has the ``key`` of an earlier one, or one of ``earlier``; the others are counted."""
    seen = set(earlier)
    kept = []
    for record in people:
        if record[key] in seen:
            drop(dropped, f"{key} of an earlier record", [f"{path.name} {record[key]}"])
        else:
            seen.add(record[key])
            kept.append(record)
    return kept


def label_of(record: Any, number: int) -> str:
    """What a record is called in messages: its id, else its number in the file."""
    name = record.get("id") if isinstance(record, dict) else None
    return str(name) if isinstance(name, int | str) else f"#{number}"


def converted(value: Any, field: Field, lengths: dict[str, int]) -> Array | None:
    """The value as an array of the field's kind and shape; None where it is of another."""
    if field.kind == "identifier":
        return np.array(value) if is_identifier(value) else None
    if field.kind == "object":
        return np.array(value, object) if isinstance(value, dict) else None
    if field.kind == "flag":
        array = as_numbers(value)
        known = array is not None and array.size == 1 and array.item() in (0, 1)
        return np.array(array.item(), bool) if known and array is not None else None
    array = _texts(value) if field.kind in ("text", "path") else as_numbers(value)
    if array is None:
        return None
    if field.kind == "integer":
        whole = _whole(array)
        if whole is None:
            return None
        array = whole
    if field.kind == "path":
        if any(".." in _parts(text) or not _parts(text) for text in array.ravel().tolist()):
            return None
        array = np.array([with_slashes(text) for text in array.ravel().tolist()], array.dtype).reshape(array.shape)
    if field.words and not {str(item).strip().lower() for item in array.ravel().tolist()} <= set(field.words):
        return None
    return _shaped(array, field.shape, lengths)


def is_finite(array: Array) -> bool:
    """Whether none of the numbers, if there are any, is NaN or infinite."""
    return array.dtype.kind != "f" or bool(np.isfinite(array).all())


def is_absent(value: Any, field: Field) -> bool:
    """Whether a value says that there is none: null, or for an array a list without items."""
    return value is None or (bool(field.shape) and isinstance(value, list) and not value)


def is_identifier(value: Any) -> bool:
    """Whether a value can be an id: an integer of 64 bits, or a text."""
    if isinstance(value, bool):
        return False
    return isinstance(value, str | np.integer) or (isinstance(value, int) and abs(value) < 2**63)


def as_numbers(value: Any) -> Array | None:
    """A numeric array of any shape from numbers however nested; None where there is anything else."""
    if isinstance(value, str | bytes | dict | None.__class__):
        return None
    try:
        array = np.asarray(value)
        if array.dtype == object:
            array = np.asarray([np.asarray(item).tolist() for item in array.ravel()]).reshape(*array.shape, -1)
            array = array[..., 0] if array.shape[-1] == 1 else array
    except (ValueError, TypeError, OverflowError, RuntimeError):
        return None
    return array if array.dtype.kind in NUMERIC else None


def described(value: Any) -> str:
    """A value in words, short."""
    if value is None:
        return "null"
    if isinstance(value, str | bytes):
        text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
        return f"the text {text[:SHOWN]!r}"
    if isinstance(value, bool | int | float | np.number):
        return f"{value:g}" if isinstance(value, float | np.floating) else str(value)
    if isinstance(value, dict):
        return f"an object with {_listed(map(str, value)) or 'nothing in it'}"
    array = as_numbers(value)
    if array is not None:
        if array.ndim == 0:
            return described(array.item())
        if not array.size:
            return "empty"
        shape = " x ".join(map(str, array.shape))
        bad = array.ravel()[~np.isfinite(array.ravel())] if array.dtype.kind == "f" else array[:0]
        return f"{shape} numbers" + (f", among them {bad[0]:g}" if bad.size else "")
    if (words := _texts(value)) is not None:
        return f"{words.size} texts, among them {', '.join(repr(w[:SHOWN]) for w in sorted(set(words.ravel()))[:3])}"
    size = np.size(value) if isinstance(value, np.ndarray) else len(value) if hasattr(value, "__len__") else 1
    return f"{size} values that are not all numbers, or not in rows of one length"


def expected(field: Field, lengths: Mapping[str, int] | None = None) -> str:
    """What a field must be, in words."""
    simple = {"identifier": "an integer or a text", "flag": "0 or 1", "object": "an object"}
    if field.kind in simple:
        return simple[field.kind]
    one, many = NOUNS[field.kind]
    if field.words:
        one, many = (" or ".join(field.words),) * 2
    if not field.shape:
        return one
    known = lengths or {}
    if len(field.shape) == 1 and isinstance(field.shape[0], str) and field.shape[0] not in known:
        return f"a row of {many}"
    sizes = [str(known.get(n, n) if isinstance(n, str) else n) for n in field.shape]
    return f"{' x '.join(sizes)} {f'times {many}' if field.words else many}"


def _fit(found: Sequence[Any], field: Field) -> bool:
    """Whether all values are of the field's kind and shape as they are."""
    if not found:
        return True
    if (
        field.kind in ("number", "integer")
        and not field.words
        and not any(isinstance(value, str | dict | bool) for value in found)
    ):
        array = as_numbers(list(found))
        if array is not None and array.shape == (len(found), *field.shape):
            return field.kind == "number" or _whole(array) is not None
        return False
    return all(not isinstance(value, list) and converted(value, field, {}) is not None for value in found)


def _whole(array: Array) -> Array | None:
    if array.dtype.kind in "iu":
        return array
    if array.dtype.kind == "b":
        return np.asarray(array.astype(np.int64))
    if not np.isfinite(array).all() or (np.abs(array) >= LARGEST).any() or (array != np.rint(array)).any():
        return None
    return np.asarray(array.astype(np.int64))


def _texts(value: Any) -> Array | None:
    array = np.asarray(value, object) if isinstance(value, str | bytes) else _object_array(value)
    if array is None:
        return None
    found = []
    for item in array.ravel().tolist():
        if isinstance(item, np.ndarray | list) and np.size(item) == 1:
            item = np.ravel(np.asarray(item, object))[0]
        if isinstance(item, bytes):
            try:
                item = item.decode()
            except UnicodeDecodeError:
                return None
        if not isinstance(item, str):
            return None
        found.append(item)
    return np.array(found, object).reshape(array.shape)


def _object_array(value: Any) -> Array | None:
    try:
        return np.asarray(value, object) if isinstance(value, list | tuple | np.ndarray) else None
    except ValueError:
        return None


def _shaped(array: Array, shape: tuple[int | str, ...], lengths: dict[str, int]) -> Array | None:
    """The array in that shape; None where its own, axes of length 1 apart, is another."""
    new = [n for n in shape if isinstance(n, str) and n not in lengths]
    sizes = dict(lengths)
    if new and not array.ndim:
        return None
    if len(new) > 1:
        sizes[new.pop(0)] = len(array)
    known = int(np.prod([sizes[n] if isinstance(n, str) else n for n in shape if n not in new], dtype=np.int64))
    for name in new[:1]:
        if not known or array.size % known or (not array.size and name != shape[0]):
            return None
        sizes[name] = array.size // known
    wanted = tuple(sizes[n] if isinstance(n, str) else n for n in shape)
    if array.size != int(np.prod(wanted, dtype=np.int64)):
        return None
    own, target = ([n for n in axes if n != 1] for axes in (array.shape, wanted))
    flat = len(own) < 2 or len(target) < 2
    if own != target and not flat and (len(own) == len(target) or own[0] != target[0]):
        return None
    lengths.update(sizes)
    return array.reshape(wanted)


def _parts(text: str) -> list[str]:
    return [part for part in with_slashes(text).split("/") if part not in ("", ".")]


def _listed(names: Iterable[str]) -> str:
    names = [str(name)[:SHOWN] for name in names]
    return ", ".join(names[:SHOWN_NAMES]) + (", ..." if len(names) > SHOWN_NAMES else "")
