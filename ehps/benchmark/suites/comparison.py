"""Two results beside each other: which fields of the protocols make numbers differ, and by how much instances do."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ehps.benchmark.protocols import catalogue
from ehps.benchmark.protocols.protocol import Protocol, choices, differences
from ehps.benchmark.suites.foreign import ERRORS_SUFFIX
from ehps.benchmark.suites.runs import ERRORS, METRICS, read_cells, read_errors
from ehps.errors import DataError, UsageError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Result:
    """One side of a comparison: a protocol, and where there are some its numbers and errors of instances."""

    name: str
    protocol: Protocol
    content: str = ""
    metrics: list[dict[str, Any]] = field(default_factory=list)
    errors: pd.DataFrame | None = None


@dataclass(frozen=True)
class Comparison:
    """What differs.

    Attributes
    ----------
    fields : a row a field of the protocols that differs: ``field``, ``a``, ``b``, ``meaning_a``, ``meaning_b``.
    numbers : a row a part and metric that both have: ``part``, ``metric``, ``a``, ``b``, ``difference`` (b - a).
    instances : a row a part and metric with errors of instances in both: how many are in both, the mean and the
        standard deviation of their differences, and the share that is smaller in b.
    worst : the instances of the primary measure that differ most, largest first.
    remarks : what is to be known of the comparison, a sentence each.
    """

    fields: pd.DataFrame
    numbers: pd.DataFrame
    instances: pd.DataFrame
    worst: pd.DataFrame
    remarks: list[str]


def read_result(spec: str, *, test_set: str | None = None) -> Result:
    """A result by what is typed: a run folder, a file of metrics, or a protocol.

    Parameters
    ----------
    test_set : which test of a run folder, where it has several.

    Raises
    ------
    UsageError : it is none of these, or the folder has several tests and none was chosen.
    """
    path = Path(spec)
    if (path / METRICS).is_file():
        path = path / METRICS
    if path.is_file():
        cells = read_cells(path)
        chosen = [cell for cell in cells if test_set in (None, cell["test_set"], cell["protocol"])]
        if len(chosen) != 1:
            there = ", ".join(f"{cell['test_set']} ({cell['protocol']})" for cell in cells) or "nothing"
            raise UsageError(f"{spec}: which test? There is {there}", fix="choose one with --test NAME, or a protocol")
        cell = chosen[0]
        beside = path.with_name(ERRORS if path.name == METRICS else path.stem + ERRORS_SUFFIX)
        errors = read_errors(beside) if beside.is_file() else None
        if errors is not None:
            mine = (errors["test_set"] == cell["test_set"]) & (errors["protocol"] == cell["protocol"])
            errors = errors[mine]
        protocol = catalogue.from_dict(cell["definition"])
        return Result(spec, protocol, str(cell.get("content", "")), cell["metrics"], errors)
    if path.is_dir():
        raise DataError("holds no evaluated run", path=path, fix="evaluate it first (`ehps benchmark evaluate`)")
    try:
        return Result(spec, catalogue.get(spec))
    except UsageError as error:
        if path.suffix or "/" in spec:
            raise DataError("no such run folder or file of metrics", path=path) from None
        raise UsageError(f"{spec!r} is no run folder, file of metrics or protocol", fix=error.fix) from None


def compare(a: Result, b: Result) -> Comparison:
    """What differs between two results, ``b`` minus ``a``."""
    import pandas as pd

    fields = [
        {
            "field": name,
            "a": _text(one),
            "b": _text(other),
            "meaning_a": choices(name).get(str(one), ""),
            "meaning_b": choices(name).get(str(other), ""),
        }
        for name, (one, other) in differences(a.protocol, b.protocol).items()
    ]
    numbers = []
    others = {(line["part"], line["metric"]): line for line in b.metrics}
    for line in a.metrics:
        if other := others.get((line["part"], line["metric"])):
            kept = {name: line[name] for name in ("part", "metric")}
            difference = other["value"] - line["value"]
            numbers.append({**kept, "a": line["value"], "b": other["value"], "difference": difference})
    instances, worst = _instances(a, b)
    return Comparison(
        pd.DataFrame(fields, columns=["field", "a", "b", "meaning_a", "meaning_b"]),
        pd.DataFrame(numbers, columns=["part", "metric", "a", "b", "difference"]),
        instances,
        worst,
        _remarks(a, b),
    )


def _instances(a: Result, b: Result, shown: int = 10) -> tuple[pd.DataFrame, pd.DataFrame]:
    import pandas as pd

    columns = ["part", "metric", "n", "mean_difference", "spread", "smaller_in_b"]
    worst = pd.DataFrame(columns=["truth_row", "image_path", "a", "b", "difference"])
    if a.errors is None or b.errors is None or (a.content and b.content and a.content != b.content):
        return pd.DataFrame(columns=columns), worst
    keys = ["truth_row", "part", "metric"]
    joined = a.errors.merge(b.errors[[*keys, "value"]], on=keys, suffixes=("_a", "_b"))
    joined = joined.rename(columns={"value_a": "a", "value_b": "b"}).assign(difference=lambda f: f["b"] - f["a"])
    rows = [
        {
            "part": part,
            "metric": metric,
            "n": len(group),
            "mean_difference": float(group["difference"].mean()),
            "spread": float(group["difference"].std(ddof=0)),
            "smaller_in_b": float((group["difference"] < 0).mean()),
        }
        for (part, metric), group in joined.groupby(["part", "metric"], sort=False)
    ]
    primary = joined[(joined["part"] == a.protocol.primary[0]) & (joined["metric"] == a.protocol.primary[1])]
    order = np.argsort(-primary["difference"].abs().to_numpy(), kind="stable")[:shown]
    return pd.DataFrame(rows, columns=columns), primary.iloc[order][worst.columns].reset_index(drop=True)


def _remarks(a: Result, b: Result) -> list[str]:
    said = []
    if a.content and b.content and a.content != b.content:
        said.append("the two are of different test files: instances are not compared")
    elif bool(a.metrics) != bool(b.metrics):
        said.append(f"{(b if a.metrics else a).name} is a protocol without numbers: only fields are compared")
    elif a.metrics and (a.errors is None or b.errors is None):
        said.append("errors of instances are not there for both: only means are compared")
    if a.metrics and b.metrics and a.protocol == b.protocol:
        said.append("both are under the same protocol: the predictions or the truth make the difference")
    return said


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
