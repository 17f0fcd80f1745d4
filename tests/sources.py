"""What the sources of the package import and call, each parsed once for all tests."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import ehps

PACKAGE = Path(ehps.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))
PICKLE_MODULES = ("pickle", "_pickle", "cPickle", "dill", "cloudpickle", "marshal")
LOADERS = {"Unpickler", "load", "loads"}
EVALUATORS = {"eval", "exec", "compile", "__import__"}


def name(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def imports(path: Path) -> tuple[str, ...]:
    """Absolute names of all modules that a file imports anywhere, with what is taken ``from`` them."""
    return _read(path)[0]


@cache
def _read(path: Path) -> tuple[tuple[str, ...], list[str]]:
    """What a file imports, and its :func:`faults`; parsed once for all tests."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return tuple(_imports(path, tree)), _faults(tree)


def _imports(path: Path, tree: ast.AST) -> Iterator[str]:
    package = ["ehps", *path.relative_to(PACKAGE).parent.parts]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*start, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def faults_of(path: Path) -> list[str]:
    """As :func:`faults`, of a file."""
    return _read(path)[1]


def faults(source: str) -> list[str]:
    """Calls and imports that could run code from a data file."""
    return _faults(ast.parse(source))


def _faults(tree: ast.AST) -> list[str]:
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
            called = node.func
            if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name):
                words = called.value.id, called.attr
                if words == ("torch", "load") and not any(k.arg == "weights_only" for k in node.keywords):
                    found.append("torch.load without weights_only")
    return found
