"""The pages say what the code does: tables are the code's, commands and options exist, links lead somewhere."""

from __future__ import annotations

import doctest
import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import pytest

from ehps.benchmark.protocols import catalogue
from ehps.benchmark.suites.suite_file import read_suite
from ehps.benchmark.training.specs import settings_markdown
from ehps.cli import main
from ehps.errors import DataError
from ehps.humandata import schema
from ehps.humandata.passport import Passport
from tests.docs_blocks import PAGES, ROOT, blocks_of, commands_of, lines_of
from tests.test_packaging import declared, declared_extras


def text(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    return [block.text for block in blocks_of(ROOT / page) if block.language == language]


def commands() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for block in blocks_of(ROOT / page):
            for line in commands_of(block):
                yield page, line


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

    (example,) = blocks("docs/benchmark.md", "yaml")
    suite = read_suite(yaml.safe_load(example), tmp_path)
    assert suite.train["bedlam_few"][0].interval == 4
    assert [spec.data.name for spec in suite.train["mix"]] == ["bedlam.h5", "agora.h5"]
    assert suite.config.strategy == "balance"
    assert suite.test["ehf"].protocol == "ehf"


@pytest.mark.parametrize("page", PAGES)
def test_python_of_the_pages_can_be_read(page: str) -> None:
    for block in blocks(page, "python"):
        compile(block, page, "exec")


def unknown(line: str) -> str:
    """What a command line has that its command does not know; empty where all is well."""
    words = shlex.split(line, comments=True)[1:]
    if "..." in words:  # whatever follows
        words = words[: words.index("...")]
    words = [word for word in words if word not in ("--help", "--debug")]
    command: click.Command = main
    while isinstance(command, click.Group) and words:
        if words[0] not in command.commands:
            return words[0]
        command = command.commands[words.pop(0)]
    try:
        command.make_context("ehps", words)
    except (click.MissingParameter, DataError):  # options are known before paths are looked for
        return ""
    except click.ClickException as error:
        return error.format_message()
    return ""


def test_all_commands_and_options_of_the_pages_exist() -> None:
    lines = list(commands())
    assert len(lines) > 80
    assert [(page, line, fault) for page, line in lines if (fault := unknown(line))] == []


def test_the_check_of_commands_sees() -> None:
    assert unknown("ehps convert bedlam RAW --out x.h5 --jobs 8") == ""
    assert "--colour" in unknown("ehps convert bedlam RAW --colour red")
    assert "--jobs" in unknown("ehps convert bedlam RAW --jobs many")
    assert unknown("ehps humandata draw x.h5") == "draw"


OTHER_PROGRAMS = {"git", "cd", "source", "export", "eval", "mkdir", "ln", "srun", "torchrun", "python"}


@pytest.mark.parametrize("page", PAGES)
def test_other_lines_to_type_are_of_known_programs_targets_and_extras(page: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for block in blocks_of(ROOT / page):
        if block.language != "sh" and not any(line.startswith(("make ", "pip ", "git ")) for line in lines_of(block)):
            continue
        for line in lines_of(block):
            words = shlex.split(line, comments=True)
            if words[0] == "make":
                assert set(words[1:]) <= targets, line
            elif words[0] == "pip":
                extras = ",".join(re.findall(r"\[(.*)\]", line)).split(",")
                assert set(extras) <= {"", *declared_extras()}, line
            elif not (words[0].startswith(("_EHPS", "head=")) or words[0] in OTHER_PROGRAMS or words[0] == "ehps"):
                raise AssertionError(f"{page}: {line}: what is {words[0]}?")


def test_links_lead_somewhere() -> None:
    dead = []
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", (ROOT / page).read_text(encoding="utf-8")):
            if "://" not in target and not (ROOT / page).parent.joinpath(target).exists():
                dead.append((page, target))
    # pages that the build of the site writes
    assert [link for link in dead if "generated" not in link[1]] == []


def test_every_page_is_on_the_site() -> None:
    listed = set(re.findall(r"^(?:[\w /]+ <)?((?:\.\./)?[\w/]+)>?$", contents(), re.MULTILINE))
    for path in [*(ROOT / "docs").rglob("*.md"), *(ROOT / "docs").rglob("*.ipynb")]:
        name = path.relative_to(ROOT / "docs").with_suffix("").as_posix()
        if name in ("index", "summary", "get_started") or name.startswith(("datasets/", "reference/generated/")):
            continue
        assert name in listed or name.removeprefix("reference/") in listed, name


def contents() -> str:
    return text("index.md") + text("reference/python.md")


# -- what package indexes show ----------------------------------------------------------------------------------


def test_the_summary_is_that_of_the_readme() -> None:
    assert text("summary.md").strip() in (ROOT / "README.md").read_text(encoding="utf-8")


def test_what_an_index_shows_links_only_to_where_a_link_leads_from_there() -> None:
    shown = "".join(text(Path(name.strip()).name) for name in declared("metadata", "long_description")[5:].split(","))
    links = re.findall(r"\]\(([^)]+)\)", shown)
    assert links
    assert all(link.startswith("https://") for link in links)
    assert "pip install 'ehps[all]'" in shown


@pytest.mark.parametrize("path", sorted((ROOT / "docs/images").iterdir()), ids=lambda path: path.name)
def test_images_are_small(path: Path) -> None:
    assert path.stat().st_size < 200_000


# -- examples in docstrings -------------------------------------------------------------------------------------

WITH_EXAMPLES = [path for path in sorted((ROOT / "ehps").rglob("*.py")) if ">>>" in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_examples_in_docstrings_give_what_they_say(path: Path) -> None:
    module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    found = doctest.testmod(module, extraglobs={"np": np}, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert found.attempted > 0
    assert found.failed == 0
