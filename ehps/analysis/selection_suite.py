"""A selection as a suite file that ``ehps benchmark run`` takes: the chosen mix, and each chosen set alone."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ehps.analysis.benchmarks import MPE_BENCHMARKS
from ehps.atomic import write_text
from ehps.errors import UsageError
from ehps.extras import need
from ehps.humandata import HumanData
from ehps.humandata.passport import UNKNOWN

MIX = "mix"
"""Name of the training on all chosen sets."""


def write_suite(
    chosen: pd.DataFrame,
    files: Mapping[str, Path],
    out: Path,
    *,
    tests: Sequence[tuple[Path, str]],
    images: Mapping[Path, Path],
    model: str = "tiny",
) -> Path:
    """Write the suite; the same selection gives the same bytes. Paths in it are relative to it.

    Parameters
    ----------
    chosen : of ``selection.select``.
    files : dataset -> its file.
    tests : files and their protocols; an empty one for that of the dataset's benchmark.
    images : file -> folder of its images; that which the file names where it is absent.

    Raises
    ------
    UsageError : no tests, two of one name, or one that needs a protocol.
    """
    intervals = zip(chosen["dataset"].astype(str), chosen["interval"], strict=True)
    sets = {name: suite_entry(files[name], out, images, interval=_plain(interval)) for name, interval in intervals}
    content = {
        "train": ({MIX: [dict(one) for one in sets.values()]} if len(sets) > 1 else {}) | sets,
        "test": suite_tests(tests, out, images),
        "models": [model],
        "budget": int(chosen["instances"].sum()),
    }
    head = "# Made by `ehps analysis select`. Each training sees as many instances as the mix has (budget).\n"
    return save_suite(content, out, head)


def suite_entry(file: Path, out: Path, images: Mapping[Path, Path], **more: Any) -> dict[str, Any]:
    """A set of the suite ``out``, whose paths are relative to it."""
    base = Path(os.path.abspath(out)).parent
    folder = images.get(file)
    return {
        "data": _relative(file, base),
        **({} if folder is None else {"images": _relative(folder, base)}),
        **more,
    }


def suite_tests(tests: Sequence[tuple[Path, str]], out: Path, images: Mapping[Path, Path]) -> dict[str, Any]:
    """The test sets of a suite, each with its protocol.

    Raises
    ------
    UsageError : none, two of one name, or one that needs a protocol.
    """
    if not tests:
        raise UsageError("a suite needs test sets", fix="name them with --test FILE or --test FILE=PROTOCOL")
    found: dict[str, Any] = {}
    for file, protocol in tests:
        name, usual = named_test(file)
        if name in found:
            raise UsageError(f"is a second test file of {name}", path=file, fix="name one")
        if not (protocol or usual):
            raise UsageError(
                "belongs to no benchmark", path=file, fix=f"say by what it is tested: --test {file}=PROTOCOL"
            )
        found[name] = suite_entry(file, out, images, protocol=protocol or usual)
    return found


def save_suite(content: Mapping[str, Any], out: Path, head: str) -> Path:
    """Write a suite below a comment; the same content gives the same bytes."""
    need("writing a suite", "yaml")
    import yaml

    return write_text(out, head + yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True, width=120))


def named_test(file: Path) -> tuple[str, str]:
    """Name of a test set, and the protocol of the benchmark that it belongs to, else empty."""
    passport = HumanData.open(file).passport
    if passport.dataset == UNKNOWN:
        return f"{file.stem}_test", ""
    split = "test" if passport.split == UNKNOWN else passport.split
    usual = next((b.protocols[0] for b in MPE_BENCHMARKS if b.id == passport.dataset), "")
    return f"{passport.dataset}_{split}", usual


def _plain(interval: Any) -> int | float:
    """A value of a column, a whole one as int."""
    return int(interval) if float(interval).is_integer() else float(interval)


def _relative(path: Path, base: Path) -> str:
    return Path(os.path.relpath(path, base)).as_posix()
