"""Which part may import which, and that nothing can run code from a data file: read from the sources."""

from __future__ import annotations

from pathlib import Path

import pytest

from ehps.converters.datasets import NAMES
from tests.sources import PACKAGE, SOURCES, faults, faults_of, imports, name

ABOVE = {
    "__main__": 7,
    "cli": 6,
    "demo": 5,
    "doctor": 5,
    "findings": 4,
    "selections": 4,
    "exchange": 4,
    "inference": 4,
    "analysis": 3,
    "benchmark": 3,
    "converters": 3,
    "body": 2,
    "humandata": 1,
}
"""Height of each part; parts import downwards. Other modules of the package itself are below all."""

APART = {
    ("analysis", "benchmark"),
    ("analysis", "converters"),
    ("benchmark", "analysis"),
    ("benchmark", "converters"),
    ("converters", "analysis"),
    ("converters", "benchmark"),
    ("demo", "doctor"),
    ("doctor", "demo"),
}
"""Parts of the same height do not know each other: files and plain tables pass between them."""

ROOMS = {
    "humandata/pickles": ("humandata/audit", "humandata/drawing", "humandata/storage", "humandata/core.py", "body"),
    "humandata/storage": ("humandata/audit", "humandata/drawing", "humandata/core.py", "humandata/operations.py"),
    "humandata/drawing": ("humandata/audit", "humandata/storage", "humandata/operations.py"),
    "humandata/audit": ("humandata/storage", "humandata/operations.py"),
    "body/": ("body/standin",),
    "converters/": ("converters/datasets", "converters/pipeline", "converters/readers"),
    "converters/readers": ("converters/datasets", "converters/pipeline", "converters/registry.py"),
    "converters/datasets": ("converters/pipeline", "converters/registry.py"),
    "converters/pipeline": ("converters/datasets",),
    "benchmark/models": ("benchmark/suites", "benchmark/protocols"),
    "benchmark/protocols": ("benchmark/suites", "benchmark/training", "benchmark/models"),
    "benchmark/training": ("benchmark/suites",),
}
"""What the files of a room (with ``/`` at its end: of that folder, not of those below) must not import. The registry
finds datasets by their folder."""

PICKLES = "humandata/pickles/unpickler.py"
"""The one module that may touch the pickle machinery, through its allow-list."""


def part(module: str) -> str:
    """Which part of ehps a module is of, empty for other packages and for what is below all parts."""
    words = module.split(".")
    return words[1] if words[0] == "ehps" and len(words) > 1 and words[1] in ABOVE else ""


def allowed(own: str, other: str) -> bool:
    return not other or own == other or (ABOVE[own] >= ABOVE[other] and (own, other) not in APART)


def upward(path: Path) -> list[str]:
    """Parts that a file imports and must not know."""
    own = name(path).split("/")[0].removesuffix(".py")
    found = sorted({part(module) for module in imports(path)} - {""})
    return [other for other in found if own not in ABOVE or not allowed(own, other)]


def test_parts_import_downwards_only() -> None:
    assert {name(path): found for path in SOURCES if (found := upward(path))} == {}


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    found = {}
    for path in SOURCES:
        words = ["ehps", *path.relative_to(PACKAGE).with_suffix("").parts]
        found[".".join(words[:-1] if words[-1] == "__init__" else words)] = path
    return found


def imported(path: Path, known: dict[str, Path]) -> set[Path]:
    """Files of the package that a file imports, anywhere in it and for types too; package faces only where meant."""
    return {known[name] for name in imports(path) if name in known} - {path}


def circles(graph: dict[Path, set[Path]]) -> list[Path]:
    """Files that lie on a circle or lead to one: what is left when files that import nothing left are taken away."""
    left = dict(graph)
    while ends := [path for path, needed in left.items() if not needed & left.keys()]:
        for path in ends:
            del left[path]
    return sorted(left)


def test_no_circle_of_imports() -> None:
    known = modules()
    faces = {path for path in SOURCES if path.name == "__init__.py"}
    graph = {path: imported(path, known) - faces for path in SOURCES if path not in faces}
    assert circles(graph) == []


def test_the_search_for_circles_finds_one() -> None:
    a, b, c, d = (Path(letter) for letter in "abcd")
    assert circles({a: {b}, b: {c}, c: {b}, d: set()}) == [a, b, c]
    assert circles({a: {b}, b: {c}, c: set()}) == []


def in_room(path: Path, room: str) -> bool:
    return name(path.parent) + "/" == room if room.endswith("/") else name(path).startswith(f"{room}/")


def test_rooms_do_not_import_what_is_above_them() -> None:
    known = modules()
    for room, forbidden in ROOMS.items():
        files = [path for path in SOURCES if in_room(path, room)]
        assert files, room
        for path in files:
            seen = {name(other) for other in imported(path, known)}
            if path.name == "__init__.py":
                continue
            wrong = [other for other in sorted(seen) if other.startswith(forbidden) and "__init__" not in other]
            assert (name(path), wrong) == (name(path), [])


def test_datasets_import_no_other_dataset_but_helpers_of_their_family() -> None:
    known = modules()
    folder = PACKAGE / "converters/datasets"
    datasets = {path for path in folder.glob("*.py") if "\nCARD = " in path.read_text(encoding="utf-8")}
    assert {path.stem for path in datasets} == set(NAMES)
    for path in folder.glob("*.py"):
        assert not imported(path, known) & datasets, f"{path.name} imports a dataset"


def test_nothing_imports_the_command_line() -> None:
    outside = [path for path in SOURCES if not name(path).startswith(("cli/", "__main__"))]
    assert [name(path) for path in outside if any(part(module) == "cli" for module in imports(path))] == []


def test_the_rule_refuses_what_it_should() -> None:
    assert allowed("cli", "benchmark")
    assert allowed("demo", "converters")
    assert allowed("converters", "humandata")
    assert not allowed("humandata", "body")
    assert not allowed("body", "converters")
    assert not allowed("analysis", "benchmark")
    assert not allowed("benchmark", "converters")
    assert not allowed("converters", "cli")


def test_the_rule_sees_the_files() -> None:
    assert len(SOURCES) > 100
    assert "ehps.humandata.core" in set(imports(PACKAGE / "body/variants.py"))


def test_nothing_imports_torchvision() -> None:
    unwanted = {"torchvision", "mmcv", "mmengine", "pytorch3d"}
    assert [name(path) for path in SOURCES if unwanted & {module.split(".")[0] for module in imports(path)}] == []


def test_no_file_can_run_code_from_data() -> None:
    found = {name(path): found for path in SOURCES if (found := faults_of(path))}
    assert list(found) == [PICKLES]


@pytest.mark.parametrize(
    "line",
    [
        "pickle.load(f)",
        "pickle.loads(b)",
        "from pickle import Unpickler",
        "np.load(p, allow_pickle=True)",
        "torch.load(p, weights_only=False)",
        "torch.load(p)",
        "pd.read_pickle(p)",
        "yaml.load(text)",
        "eval(text)",
    ],
)
def test_the_check_sees(line: str) -> None:
    assert len(faults(line)) == 1


def test_the_check_is_not_needlessly_strict() -> None:
    assert (
        faults("torch.load(p, weights_only=True); np.load(p, allow_pickle=False); re.compile(x); pickle.dumps(d)") == []
    )
