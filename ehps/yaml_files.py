"""YAML that people write: the line of a fault is named, a name that stands twice is one, and nothing in it is run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ehps.errors import UsageError
from ehps.extras import need
from ehps.foreign_files import regular

MOST_BYTES = 4 << 20
MOST_VALUES = 100_000


def read_yaml(path: Path, kind: str = "suite", page: str = "docs/benchmark.md") -> Any:
    """The content of a YAML (or JSON) file in UTF-8.

    Parameters
    ----------
    kind : what the file is, in messages.
    page : that has an example.

    Raises
    ------
    UsageError : absent, empty, too large, no UTF-8, no YAML, a name that stands twice, aliases that repeat themselves
        without end, or tags that ask for more than plain values.
    """
    need(f"reading a {kind}", "yaml")
    import yaml

    if not path.exists():
        raise UsageError(f"there is no such {kind} file", path=path, fix="check the path")
    size = regular(path).stat().st_size
    if size > MOST_BYTES:
        raise UsageError(f"has {size / 2**20:.0f} MiB, which is no file of settings", path=path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise UsageError(f"is no text in UTF-8 (line {line})", path=path, fix="save it as UTF-8") from None
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if node is None:
            raise UsageError("is empty", path=path, fix=f"an example is in {page}")
        _check(node, path)
        return yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        raise UsageError(_fault(error, text), path=path) from None
    except (yaml.YAMLError, ValueError, TypeError, OverflowError, RecursionError) as error:
        what = "it is nested too deeply" if isinstance(error, RecursionError) else " ".join(str(error).split())
        raise UsageError(f"is not YAML ({what})", path=path) from None


def _check(root: Any, path: Path) -> None:
    """Names that stand twice, and values without end, which a few aliases make."""
    todo, seen = [root], 0
    while todo:
        node = todo.pop()
        seen += 1
        if seen > MOST_VALUES:
            raise UsageError(f"is not YAML of settings (it holds more than {MOST_VALUES:,} values)", path=path)
        if node.id == "sequence":
            todo += node.value
        elif node.id == "mapping":
            todo += [value for pair in node.value for value in pair]
            lines: dict[str, int] = {}
            for key, _ in node.value:
                name, line = str(key.value), key.start_mark.line + 1
                if key.id == "scalar" and key.tag != "tag:yaml.org,2002:merge" and name in lines:
                    what = f"line {line}: {name} stands here again, after line {lines[name]}"
                    raise UsageError(what, path=path, fix="give each its own name, or remove one")
                lines.setdefault(name, line)


def _fault(error: Any, text: str) -> str:
    """The line, and what is wrong there."""
    mark = error.problem_mark or error.context_mark
    where = "" if mark is None else f"line {mark.line + 1}: "
    lines = text.splitlines()
    if mark is not None and mark.line < len(lines) and "\t" in lines[mark.line][: mark.column + 1]:
        return f"{where}is indented with a tab, where YAML has spaces"
    problem = " ".join(str(error.problem or error.context).split())
    if "could not determine a constructor" in problem:
        return f"{where}{problem.rpartition('tag ')[2]} asks for more than plain values"
    return f"{where}is not YAML ({problem})"
