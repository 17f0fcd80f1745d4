"""Several conversions, of which one that fails stops no other: what becomes of each, and plans of them in a file."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ehps.converters import registry
from ehps.converters.pipeline.conversion import convert
from ehps.errors import EhpsError, UsageError
from ehps.yaml_files import read_yaml

PAGE = "docs/converting.md"
PATHS = ("raw", "out", "frames", "body_models")
FLAGS = ("skip_bad", "strict", "strict_images")
KEYS = ("dataset", "raw", "split", "out", "frames", "body_models", "limit", "options", *FLAGS)


@dataclass(frozen=True)
class Result:
    """What became of one conversion.

    Attributes
    ----------
    state : ``converted``, ``current`` (was there already), ``failed``, or ``left out`` for the want of images or body
        models.
    rows : in the output.
    note : why, or what is to be known of it.
    """

    dataset: str
    split: str
    file: str
    state: str
    rows: int | None = None
    seconds: float = 0.0
    note: str = ""

    def to_json(self) -> dict[str, object]:
        return asdict(self)


def converted(**arguments: Any) -> Result:
    """Convert, and say what became of it instead of raising.

    Parameters
    ----------
    arguments : of :func:`ehps.converters.pipeline.convert`, its first ones by name too.
    """
    started = time.perf_counter()
    result = Result(str(arguments["dataset"]), str(arguments["split"]), Path(arguments["out"]).name, "failed")
    try:
        report = convert(**arguments)
        state = "converted" if report.earlier is None else "current"
        result = replace(result, state=state, rows=report.written, note="; ".join(report.problems))
    except EhpsError as error:
        result = replace(result, note=str(error))
    except Exception as error:  # of one dataset's files, that nobody has thought of
        result = replace(result, note=f"{type(error).__name__}: {error}")
    return replace(result, seconds=round(time.perf_counter() - started, 3))


def converted_in_turn(conversions: Sequence[Mapping[str, Any]], **options: Any) -> Iterator[Result]:
    """What becomes of each conversion, one after the other.

    Parameters
    ----------
    conversions : arguments of :func:`ehps.converters.pipeline.convert` that differ.
    options : those that are the same for all.
    """
    for conversion in conversions:
        yield converted(**conversion, **options)


def read_plan(path: Path, out: Path, body_models: Path | None) -> list[dict[str, Any]]:
    """Arguments of the conversions that a plan names.

    Parameters
    ----------
    path : a yaml file with a list ``conversions``; paths in it are relative to its folder.
    out : folder of outputs, where the plan gives no other place.
    body_models : folder, where the plan gives no other.

    Raises
    ------
    UsageError : the file is no plan; a dataset, split, option or key in it does not exist, or an output stands twice.
    """
    content = read_yaml(path, "plan", PAGE)
    listed = content.get("conversions") if isinstance(content, dict) else None
    if not isinstance(listed, list) or not listed or set(content) - {"conversions"}:
        raise UsageError("is no plan: it has to be a list `conversions`", path=path, fix=f"see {PAGE}")
    planned = [_planned(number, entry, path, out, body_models) for number, entry in enumerate(listed, 1)]
    outputs = [entry["out"] for entry in planned]
    if twice := sorted({str(name) for name in outputs if outputs.count(name) > 1}):
        raise UsageError(f"{twice[0]} is the output of two conversions", path=path, fix="give one another `out`")
    return planned


def _planned(number: int, entry: Any, path: Path, out: Path, body_models: Path | None) -> dict[str, Any]:
    where = f"conversion {number}"
    if not isinstance(entry, dict) or not {"dataset", "raw"} <= set(entry):
        raise UsageError(f"{where} has no dataset or no raw", path=path, fix=f"see {PAGE}")
    if odd := sorted(map(str, set(entry) - set(KEYS))):
        raise UsageError(f"{where}: there is no {odd[0]}", path=path, fix=f"one of: {', '.join(KEYS)}")
    for name in (*PATHS, "dataset", "split"):
        if not isinstance(entry.get(name, ""), str):
            raise UsageError(f"{where}: {name} is {entry[name]!r}, not a text", path=path)
    for name in FLAGS:
        if not isinstance(entry.get(name, False), bool):
            raise UsageError(f"{where}: {name} is {entry[name]!r}, not true or false", path=path)
    limit, options = entry.get("limit"), entry.get("options", {})
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 1):
        raise UsageError(f"{where}: limit is {limit!r}, not a count", path=path)
    if not isinstance(options, dict):
        raise UsageError(f"{where}: options are {options!r}, not name: value", path=path)
    cls = registry.converter(entry["dataset"])
    split = entry.get("split", cls.card.default_split)
    if split not in cls.card.splits:
        fix = f"it has {', '.join(cls.card.splits)}"
        raise UsageError(f"{where}: {cls.card.name} has no split {split!r}", path=path, fix=fix)
    chosen = {name: str(value) for name, value in options.items()}
    cls(path.parent / entry["raw"], split, dict(chosen)).check_options()
    places = {name: path.parent / entry[name] for name in PATHS if name in entry}
    usual = {"out": out / f"{cls.card.id}_{split}.h5", "body_models": body_models}
    flags = {name: entry[name] for name in FLAGS if name in entry}
    facts = {"dataset": cls.card.id, "split": split, "limit": limit, "options": chosen}
    return {**usual, **places, **flags, **facts}
