"""The pages say what the code does: tables are the code's, commands and options exist, links lead somewhere."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from ehps.benchmark.protocols import catalogue
from ehps.benchmark.suites.matrix import Suite
from ehps.benchmark.training.specs import settings_markdown
from ehps.cli import main
from ehps.humandata import schema
from ehps.humandata.passport import Passport

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINE = re.compile(r"^(?:\$ )?(ehps .*)$")


def text(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def blocks(page: str, language: str = "") -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)


def commands() -> Iterator[tuple[str, str]]:
    for path in PAGES:
        for block in blocks(path.read_text(encoding="utf-8")):
            for line in block.splitlines():
                if found := LINE.match(line):
                    yield path.relative_to(ROOT).as_posix(), found[1]


def test_the_table_of_columns_is_that_of_the_schema() -> None:
    assert schema.table_markdown() in text("humandata.md"), "paste what schema.table_markdown() returns"


def test_the_table_of_protocols_is_that_of_the_code() -> None:
    assert catalogue.table_markdown() in text("benchmark.md"), "paste what protocols.table_markdown() returns"


def test_the_table_of_settings_is_that_of_the_code() -> None:
    assert settings_markdown() in text("benchmark.md"), "paste what specs.settings_markdown() returns"


def test_the_table_of_the_passport_has_every_field() -> None:
    table = text("humandata.md").partition("## Passport")[2].partition("## ")[0]
    assert all(f"`{name}`" in table for name in Passport().to_dict() if name != "format")


def test_the_suite_of_the_page_is_one(tmp_path: Path) -> None:
    import yaml

    (example,) = blocks(text("benchmark.md"), "yaml")
    suite = Suite.from_dict(yaml.safe_load(example), tmp_path)
    assert suite.train["bedlam_few"][0].interval == 4
    assert [spec.data.name for spec in suite.train["mix"]] == ["bedlam.h5", "agora.h5"]
    assert suite.config.strategy == "balance"
    assert suite.test["ehf"].protocol == "ehf"


@pytest.mark.parametrize("page", [path.relative_to(ROOT).as_posix() for path in PAGES])
def test_python_of_the_pages_can_be_read(page: str) -> None:
    for block in blocks((ROOT / page).read_text(encoding="utf-8"), "python"):
        compile(block, page, "exec")


def unknown(line: str) -> list[str]:
    """Words of a command line that the command does not know."""
    words = shlex.split(line, comments=True)[1:]
    command: click.Command = main
    odd = []
    for word in words:
        if word in ("...", "--debug"):
            return odd
        if isinstance(command, click.Group):
            if word not in command.commands:
                return [word]
            command = command.commands[word]
        elif word.startswith("--"):
            options = {option for parameter in command.params for option in parameter.opts}
            odd += [] if word in {*options, "--help"} else [word]
    return odd


def test_all_commands_and_options_of_the_pages_exist() -> None:
    lines = list(commands())
    assert len(lines) > 30
    assert [(page, line) for page, line in lines if unknown(line)] == []


def test_the_check_of_commands_sees() -> None:
    assert unknown("ehps convert bedlam RAW --out x.h5 --jobs 8") == []
    assert unknown("ehps convert bedlam RAW --colour red") == ["--colour"]
    assert unknown("ehps humandata draw x.h5") == ["draw"]


def test_links_lead_somewhere() -> None:
    dead = []
    for path in PAGES:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
            if "://" not in target and not (path.parent / target).exists():
                dead.append((path.name, target))
    # written when the numbers are measured
    assert [link for link in dead if link != ("README.md", "docs/performance.md")] == []
