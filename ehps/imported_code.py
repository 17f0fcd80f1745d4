"""The code that numbers depend on: some modules, such as a converter and the pipeline, and all that they import.

Imports are read from the sources, wherever in a file they stand, and followed inside ehps and inside the modules'
own packages. Docstrings and comments are no code: mending one does not change a hash. Modules that are imported by
computed names are not seen, so that the registry, which loads every dataset, brings no other dataset in.
"""

from __future__ import annotations

import ast
import hashlib
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

FILE_NAME = re.compile(r"[\w-]{1,80}\.\w{1,10}")


def code_of(*modules: str) -> dict[str, str]:
    """Module -> hash of its code, of the named modules and of every one that they depend on."""
    packages = {"ehps", *(module.partition(".")[0] for module in modules)}
    found: dict[str, str] = {}
    pending = list(modules)
    while pending:
        module = pending.pop()
        path = None if module in found else _source(module)
        if path is None:
            continue
        source = _read(module, path, path.stat().st_mtime_ns)
        digest = hashlib.sha256(source.code)
        for table in source.tables:
            digest.update(table.read_bytes())
        found[module] = digest.hexdigest()[:16]
        for names in source.imports:
            if names[0].partition(".")[0] in packages:
                pending.append(next((name for name in names if _source(name) is not None), names[-1]))
    return dict(sorted(found.items()))


@lru_cache(maxsize=10_000)
def _source(module: str) -> Path | None:
    """The file of a module of a package that is loaded already; the module itself need not be."""
    top, *below = module.split(".")
    package = sys.modules.get(top)
    folders = getattr(package, "__path__", None)
    if folders is None:
        file = Path(getattr(package, "__file__", None) or "")
        return None if below or not file.is_file() else file
    for folder in folders:
        path = Path(folder, *below)
        for candidate in (path / "__init__.py", path.with_suffix(".py")):
            if candidate.is_file():
                return candidate
    return None


@dataclass(frozen=True)
class _Source:
    """A module: hash of its code, the data files beside it that it names, and the names of each of its imports."""

    code: bytes
    tables: list[Path]
    imports: list[tuple[str, ...]]


@lru_cache(maxsize=1000)
def _read(module: str, path: Path, changed: int) -> _Source:
    """What a module's file holds.

    Parameters
    ----------
    changed : modification time of the file; the file is read again when it is another.
    """
    code, nodes = _walked(ast.parse(path.read_bytes()))
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    beside = [path.parent / name for name in sorted(_file_names(nodes))] if package else []
    return _Source(code, [table for table in beside if table.is_file()], list(_imported(nodes, package)))


def _walked(tree: ast.AST) -> tuple[bytes, list[ast.AST]]:
    """Hash of a tree without the strings that stand as a statement of their own, and its constants and imports.

    A converter depends on a hundred modules: that they are gone through once is half of the time it takes to begin.
    """
    words: list[str] = []
    kept: list[ast.AST] = []
    pending: list[Any] = [tree]
    while pending:
        value = pending.pop()
        if isinstance(value, ast.AST):
            kind = type(value)
            words.append(kind.__name__)
            pending.extend([getattr(value, name, None) for name in kind._fields])
            if kind in (ast.Constant, ast.Import, ast.ImportFrom):
                kept.append(value)
        elif isinstance(value, list):
            inner = [node for node in value if not _is_docstring(node)]
            words.append(f"[{len(inner)}")
            pending.extend(inner)
        else:
            words.append(repr(value))
    return hashlib.sha256("\n".join(words).encode()).digest(), kept


def _is_docstring(node: Any) -> bool:
    value = node.value if type(node) is ast.Expr else None
    return isinstance(value, ast.Constant) and isinstance(value.value, str)


def _file_names(nodes: Sequence[ast.AST]) -> set[str]:
    """Texts in the code that look like a file's name, such as that of a table beside it."""
    texts = (node.value for node in nodes if isinstance(node, ast.Constant))
    return {text for text in texts if isinstance(text, str) and FILE_NAME.fullmatch(text)}


def _imported(nodes: Sequence[ast.AST], package: str) -> Iterator[tuple[str, ...]]:
    """Absolute names of each import: of the module, or, for ``from A import B``, ``A.B`` and ``A``: what is there."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from ((alias.name,) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((f"{module}.{alias.name}", module) for alias in node.names)
