"""The suites that come with ehps: the published single-set benchmark, foundation models, fine-tuned specialists, the
demo. Their files are named as ``ehps doctor DISK`` names what it converts; here they are found in a folder."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ehps.benchmark.suites.places import by_name
from ehps.benchmark.suites.suite import Suite
from ehps.benchmark.suites.suite_file import load_suite
from ehps.benchmark.training.settings import nearest
from ehps.benchmark.training.specs import SetSpec
from ehps.errors import UsageError
from ehps.humandata.merged_images import default_folder

FOLDER = Path(__file__).parent / "shipped"
_DATA = re.compile(r"(\{data: )([\w.-]+)")


def names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def path_of(name: str) -> Path:
    """The file of a suite.

    Raises
    ------
    UsageError : there is none of this name.
    """
    if name not in names():
        raise UsageError(f"there is no suite {name!r}", fix=nearest(name, names()))
    return FOLDER / f"{name}.yaml"


def overview(data: Path | None) -> list[dict[str, object]]:
    """One a suite: ``suite, trainings, tests, instances`` (that a training sees), ``missing`` (files that are not in
    ``data``; of all where none is given), ``about``."""
    there = {} if data is None else by_name(data)
    rows: list[dict[str, object]] = []
    for name in names():
        suite = load_suite(path_of(name))
        rows.append(
            {
                "suite": name,
                "trainings": len(suite.trainings),
                "tests": len(suite.test),
                "instances": suite.config.steps * suite.config.batch_size,
                "missing": len([file for file in files(suite) if file not in there]),
                "about": path_of(name).read_text(encoding="utf-8").partition("\n")[0].lstrip("# "),
            }
        )
    return rows


def files(suite: Suite) -> list[str]:
    """Names of the files that a suite wants, each once."""
    specs = [spec for specs in suite.train.values() for spec in specs] + list(suite.test.values())
    return list(dict.fromkeys(spec.data.name for spec in specs))


def filled(name: str, data: Path) -> tuple[str, list[str]]:
    """The text of a suite with the files that a folder has, and the names of those that it has not; their lines
    are comments.
    """
    there, missing = by_name(data), list[str]()
    lines: list[str] = []
    for line in path_of(name).read_text(encoding="utf-8").splitlines():
        if (named := _DATA.search(line)) is None:
            lines.append(line)
        elif named[2] in there:
            place = json.dumps(str(there[named[2]].resolve()), ensure_ascii=False)
            lines.append(line[: named.start(2)] + place + line[named.end(2) :])
        else:
            missing.append(named[2])
            lines.append(f"  # not found: {line.strip()}")
    return "\n".join(lines) + "\n", list(dict.fromkeys(missing))


def found_in(suite: Suite, data: Path) -> Suite:
    """The suite with each file that is not where it should be taken from a folder, by its name.

    Raises
    ------
    DataError : no such folder.
    """
    there = by_name(data)
    return replace(
        suite,
        train={name: tuple(_found(spec, there) for spec in specs) for name, specs in suite.train.items()},
        test={name: _found(spec, there) for name, spec in suite.test.items()},
    )


def _found(spec: SetSpec, there: Mapping[str, Path]) -> SetSpec:
    file = there.get(spec.data.name)
    if spec.data.is_file() or file is None:
        return spec
    named = spec.images != spec.data.parent and spec.images.is_dir()
    return replace(spec, data=file, images=spec.images if named else default_folder(file))
