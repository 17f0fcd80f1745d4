"""Which part may import which, and that nothing can run code from a data file: read from the sources."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import ehps

PACKAGE = Path(ehps.__file__).parent
ABOVE = {"cli": 5, "demo": 4, "doctor": 4, "analysis": 3, "benchmark": 3, "converters": 3, "body": 2, "humandata": 1}
"""Height of each part; parts import downwards. ``errors``, ``tables`` and the package itself are below all."""

APART = {
    ("analysis", "benchmark"), ("analysis", "converters"), ("converters", "benchmark"), ("converters", "analysis"),
    ("benchmark", "converters"), ("benchmark", "analysis"), ("doctor", "demo"), ("demo", "doctor"),
}  # fmt: skip
"""Parts of the same height do not know each other: files and plain tables pass between them."""

SOURCES = sorted(PACKAGE.rglob("*.py"))
PICKLES = "humandata/pickles/unpickler.py"
"""The one module that may touch the pickle machinery, through its allow-list."""


def name(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def imports(path: Path) -> Iterator[str]:
    """Absolute names of all modules that a file imports anywhere, with what is taken ``from`` them."""
    package = ["ehps", *path.relative_to(PACKAGE).parent.parts]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*start, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


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


PICKLE_MODULES = ("pickle", "_pickle", "cPickle", "dill", "cloudpickle", "marshal")
LOADERS = {"Unpickler", "load", "loads"}
EVALUATORS = {"eval", "exec", "compile", "__import__"}


def faults(source: str) -> list[str]:
    """Calls and imports that could run code from a data file."""
    tree = ast.parse(source)
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in ("pickle", "_pickle"):
            found += [f"from {node.module} import {a.name}" for a in node.names if a.name in LOADERS]
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id in PICKLE_MODULES and node.attr in LOADERS:
                found.append(f"{node.value.id}.{node.attr}")
            if (node.value.id, node.attr) in (("pd", "read_pickle"), ("pandas", "read_pickle"), ("joblib", "load")):
                found.append(f"{node.value.id}.{node.attr}")
            if (node.value.id, node.attr) in (("yaml", "load"), ("yaml", "unsafe_load")):
                found.append(f"yaml.{node.attr}")
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name) and node.func.id in EVALUATORS:
                found.append(node.func.id)
            for keyword in node.keywords:
                value = keyword.value.value if isinstance(keyword.value, ast.Constant) else None
                if (keyword.arg, value) in (("allow_pickle", True), ("weights_only", False)):
                    found.append(f"{keyword.arg}={value}")
            if ast.unparse(node.func) == "torch.load" and not any(k.arg == "weights_only" for k in node.keywords):
                found.append("torch.load without weights_only")
    return found


def test_no_file_can_run_code_from_data() -> None:
    found = {name(path): found for path in SOURCES if (found := faults(path.read_text(encoding="utf-8")))}
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
