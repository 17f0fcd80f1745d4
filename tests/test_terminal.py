"""Names in files are shown as they are, not obeyed."""

from __future__ import annotations

import ast
import json
import re
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner

import ehps.cli
from ehps.cli import main
from ehps.terminal import escaped, hanging, line, printable, show
from tests.humandata.conftest import build

NASTY = "a\x1b]0;owned\x07\x9b2J\r\nerror: \u202egpj.x\0[red]\udcff"


def test_whatever_a_terminal_obeys_is_written_out() -> None:
    assert printable(NASTY) == r"a\x1b]0;owned\x07\x9b2J\r\nerror: \u202egpj.x\x00[red]\udcff"
    assert printable("Größe 数 – ok") == "Größe 数 – ok"


def test_rows_can_have_digits_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    show(pd.DataFrame({"metric": ["F1", "MVE"], "value": [0.684, 143.46]}), digits=[2, 1])
    assert re.findall(r"[\d.]+$", capsys.readouterr().out, re.MULTILINE) == ["0.68", "143.5"]


def test_markup_in_a_table_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    name = NASTY.removesuffix("\udcff")
    show(pd.DataFrame({"[bold]name": [name, None], "n": [1, 2]}), title="[red]t[/red]")
    out = capsys.readouterr().out
    assert "[red]t[/red]" in out
    assert "[bold]name" in out
    assert printable(name) in out
    show(pd.DataFrame({"name": [name]}), json=True)
    out = capsys.readouterr().out
    assert json.loads(out) == [{"name": name}]
    assert printable(out.replace("\n", "")) == out.replace("\n", "")
    assert escaped("[red]") == r"\[red]"


BRACKETS = "runs[step=1]/[old] pip install 'ehps[train]' [/x]"


def test_brackets_are_text_everywhere(capsys: pytest.CaptureFixture[str]) -> None:
    line(BRACKETS, label="[note]", colour="yellow")
    hanging("12  ", BRACKETS)
    show(pd.DataFrame({"what": ["a", "b"], "to do": [BRACKETS, ""]}))
    out = capsys.readouterr().out
    assert out.count(BRACKETS) == 3
    assert "[note]" in out


FRAME = pd.DataFrame(
    {
        "train_set": ["agora", "bedlam"],
        "model": ["tiny", "tiny"],
        "mean error": [149.83, 1228.5],
        "state": ["done", "failed"],
        "reason": ["", "the loss is nan at step 20, lower the learning rate or audit the data"],
        "note": ["", ""],
    }
)


def printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int, **settings: Any
) -> list[str]:
    monkeypatch.setenv("COLUMNS", str(width))
    show(FRAME, **settings)
    return [text.rstrip() for text in capsys.readouterr().out.splitlines()]


def test_what_never_varies_is_said_once(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    lines = printed(capsys, monkeypatch, 150)
    assert lines[0] == "model: tiny"
    assert lines[1].split() == ["train_set", "mean", "error", "state", "reason"]
    assert lines[2].split() == ["agora", "149.8", "done"]
    assert len(lines) == 4
    assert "model: tiny" not in printed(capsys, monkeypatch, 150, keep=["model"])[0]


def test_a_wide_text_goes_below_its_row(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    lines = printed(capsys, monkeypatch, 60, below=["reason"])
    assert lines[3].split() == ["bedlam", "1,228.5", "failed"]
    assert lines[4:] == ["    reason: the loss is nan at step 20, lower the learning", "    rate or audit the data"]


def test_the_least_important_column_is_left_out_and_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    show(FRAME, least=["reason"])
    captured = capsys.readouterr()
    assert "loss" not in captured.out
    assert captured.err.startswith("not shown: reason (")


@pytest.mark.parametrize("width", [20, 40, 60, 80, 150])
def test_no_word_is_broken_at_any_width(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    lines = printed(capsys, monkeypatch, width)
    words = {word for text in lines for word in text.split()}
    assert {"149.8", "1,228.5", "failed", "learning", "audit"} <= words
    assert width < 50 or max(map(len, lines)) <= width


def test_states_have_colours_in_a_terminal_unless_no_color_is_set(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "\x1b" not in "".join(printed(capsys, monkeypatch, 80))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[32mdone" in "".join(printed(capsys, monkeypatch, 80))
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[3" not in "".join(printed(capsys, monkeypatch, 80))


def test_rich_is_used_by_the_modules_that_escape() -> None:
    package = Path(ehps.cli.__file__).parents[1]
    users = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if re.search(r"^\s*(from|import) rich\b", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert users == {"terminal.py", "progress.py"}


@pytest.mark.parametrize("command", ["info", "validate", "verify"])
def test_nothing_of_a_file_reaches_the_terminal_raw(tmp_path: Path, command: str) -> None:
    name = NASTY.removesuffix("\udcff").replace("\0", "")
    hd = build(3)
    hd.passport = hd.passport.with_(dataset=name, converter=name)
    odd = hd.with_columns({f"meta/{name}": [name] * 3})
    file = odd.save(tmp_path / "a\x1b[31m.h5")
    result = CliRunner().invoke(main, ["humandata", command, str(file)])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    shown = result.output.replace("\n", "")
    assert printable(shown) == shown


def test_commands_print_by_the_functions_that_escape() -> None:
    for path in Path(ehps.cli.__file__).parent.glob("*.py"):
        if path.name == "common.py":
            continue
        called = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
        assert not called & {"echo", "secho"}, f"{path.name}: use say or say_json of ehps.cli.common"
