"""The fenced blocks of README and docs, and the commands in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = [
    path.relative_to(ROOT).as_posix()
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    if "generated" not in path.parts
]
FENCE = re.compile(r"^(?P<indent> *)```(?P<language>[^\n`]*)\n(?P<text>.*?)^(?P=indent)```$", re.DOTALL | re.MULTILINE)
EHPS = re.compile(r"^(?:.*python -m |.*torchrun .*-m )?(ehps (?:[a-z-]+|\.\.\.).*)$")


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, first line in the file, and text without the fence's indent."""

    language: str
    line: int
    text: str

    @property
    def is_shell(self) -> bool:
        return self.language in ("", "sh", "console")


def blocks_of(path: Path) -> list[Block]:
    """All fenced blocks of a page, in order."""
    page = path.read_text(encoding="utf-8")
    return [
        Block(
            found["language"].strip(),
            page.count("\n", 0, found.start()) + 2,
            re.sub(rf"^{found['indent']}", "", found["text"], flags=re.MULTILINE),
        )
        for found in FENCE.finditer(page)
    ]


def lines_of(block: Block) -> list[str]:
    """What the reader types: the lines after ``$``, all of them where no line has one; continued lines are joined."""
    lines = re.sub(r" *\\\n *", " ", block.text).splitlines()
    typed = [line[2:] for line in lines if line.startswith("$ ")]
    return typed or [line for line in lines if line.strip() and not line.lstrip().startswith("#")]


def commands_of(block: Block) -> list[str]:
    """The calls of ehps in a block, as ``ehps ...``."""
    return [found[1] for line in lines_of(block) if block.is_shell and (found := EHPS.match(line))]
