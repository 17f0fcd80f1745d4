"""The scripts of ``benchmarks/`` are run by hand; what they import must be there all the same."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from pathlib import Path

import pytest

SCRIPTS = sorted((Path(__file__).parents[1] / "benchmarks").glob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_what_a_script_imports_is_there(script: Path) -> None:
    found = 0
    for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in ("ehps", "tests"):
            module = importlib.import_module(node.module)
            inside = [info.name for info in pkgutil.iter_modules(getattr(module, "__path__", []))]
            lacking = [one.name for one in node.names if not hasattr(module, one.name) and one.name not in inside]
            assert lacking == [], node.module
            found += 1
    assert found or "ehps" not in script.read_text(encoding="utf-8")
