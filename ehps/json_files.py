"""JSON that an earlier run, or somebody else, has written: read, and compared with the form it must have.

A form is written as an example: ``str``, ``int``, ``float`` (any number) and ``bool`` stand for such a value, a tuple
for one of several, ``None`` for null, ``object`` for anything; ``[form]`` for a list, ``{str: form}`` for an object of
any names, and ``{"name": form, "other?": form}`` for one of these names, of which other may be missing (and more may be
there).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ehps.errors import DataError
from ehps.foreign_files import regular

_TYPES: dict[Any, Any] = {str: str, int: int, float: (int, float), bool: bool, None: type(None)}  # True is an int too
_WORDS = {str: "a text", int: "a whole number", float: "a number", bool: "true or false", None: "null"}


def read_json(path: str | Path, form: Any = object, *, fix: str | None = None) -> Any:
    """The content of a JSON file.

    Raises
    ------
    DataError : there is no such file, it is no JSON, or its content has another form; the message names the place.
    """
    text = _text(path, fix)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"is no JSON {fault(error)}", path=path, fix=fix) from None
    if wrong := misfit(content, form):
        raise DataError(wrong, path=path, fix=fix)
    return content


def read_json_lines(path: str | Path, form: Any = object, *, fix: str | None = None) -> list[Any]:
    """The content of a file with one JSON value a line; the last line is left out where its writer was killed at it.

    Raises
    ------
    DataError : as :func:`read_json`, with the number of the line.
    """
    text = _text(path, fix)
    lines = text.split("\n")
    out: list[Any] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            if number == len(lines):
                break
            raise DataError(f"line {number} is no JSON {fault(error)}", path=path, fix=fix) from None
        if wrong := misfit(value, form):
            raise DataError(f"line {number}: {wrong}", path=path, fix=fix)
        out.append(value)
    return out


def fault(error: ValueError | RecursionError) -> str:
    """Where text stops being JSON, as a part of a sentence."""
    if isinstance(error, json.JSONDecodeError):
        return f"from line {error.lineno}, column {error.colno} on"
    return "that can be read: it is nested too deeply" if isinstance(error, RecursionError) else "that can be read"


def misfit(value: Any, form: Any, where: str = "its content") -> str:
    """What about ``value`` is not as ``form`` has it; empty when nothing is."""
    if form is object:
        return ""
    if isinstance(form, tuple):
        found = [misfit(value, one, where) for one in form]
        return "" if "" in found else found[-1]
    if isinstance(form, list):
        if not isinstance(value, list):
            return f"{where} is {_word(value)}, not a list"
        if form[0] is str and all(isinstance(item, str) for item in value):
            return ""
        return next(filter(None, (misfit(item, form[0], f"{where}[{i}]") for i, item in enumerate(value))), "")
    if isinstance(form, dict):
        return _misfit_of_object(value, form, where)
    fits = isinstance(value, _TYPES[form]) and (form is bool or not isinstance(value, bool))
    return "" if fits else f"{where} is {_word(value)}, not {_WORDS[form]}"


def _misfit_of_object(value: Any, form: dict[Any, Any], where: str) -> str:
    if not isinstance(value, dict):
        return f"{where} is {_word(value)}, not an object"
    place = "" if where == "its content" else f"{where}."
    if str in form:
        if odd := [name for name in value if not isinstance(name, str)]:
            return f"{where} has the name {odd[0]!r}, which is no text"
        return next(filter(None, (misfit(item, form[str], f"{place}{name}") for name, item in value.items())), "")
    for name, inner in form.items():
        key = name.removesuffix("?")
        if key in value:
            if wrong := misfit(value[key], inner, f"{place}{key}"):
                return wrong
        elif key == name:
            return f"{where} has no {key!r}"
    return ""


def _word(value: Any) -> str:
    if isinstance(value, list):
        return "a list"
    return "an object" if isinstance(value, dict) else json.dumps(value)[:60]


def _text(path: str | Path, fix: str | None) -> str:
    try:
        return regular(path).read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}", path=path, fix=fix) from None
    except UnicodeDecodeError as error:
        raise DataError(f"is no text in UTF-8 ({error.reason} at byte {error.start})", path=path, fix=fix) from None
