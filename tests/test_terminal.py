"""Names in files are shown as they are, not obeyed."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

import ehps.cli
from ehps.cli import main
from ehps.terminal import escaped, printable, show
from tests.humandata.conftest import build

NASTY = "a\x1b]0;owned\x07\x9b2J\r\nerror: \u202egpj.x\0[red]\udcff"


def test_whatever_a_terminal_obeys_is_written_out() -> None:
    assert printable(NASTY) == r"a\x1b]0;owned\x07\x9b2J\r\nerror: \u202egpj.x\x00[red]\udcff"
    assert printable("Größe 数 – ok") == "Größe 数 – ok"


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
