"""Without an extra, every command that needs it says so at once; what is in the table is what the package imports."""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ehps.cli import main
from ehps.errors import UsageError
from ehps.extras import EXTRAS, need
from tests.sources import SOURCES, imports, name

ROOT = Path(__file__).parent.parent


class Absent:
    """Stands first in the import system and knows nothing of some packages."""

    def __init__(self, *modules: str) -> None:
        self.modules = modules

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if fullname.split(".")[0] in self.modules:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        return None


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation without any extra."""
    monkeypatch.setattr(sys, "meta_path", [Absent(*EXTRAS), *sys.meta_path])
    for module in list(sys.modules):
        if module.split(".")[0] in EXTRAS:
            monkeypatch.delitem(sys.modules, module)


def setup() -> configparser.ConfigParser:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    return config


def packages(text: str) -> set[str]:
    return {re.split(r"[ <>=]", line)[0].lower() for line in text.split("\n") if line.strip()}


def test_the_table_is_what_setup_cfg_installs() -> None:
    extras = setup()["options.extras_require"]
    for module, (package, extra) in EXTRAS.items():
        assert package in packages(extras[extra]), module


def test_the_table_has_every_package_that_is_imported_and_not_always_installed() -> None:
    always = packages(setup()["options"]["install_requires"])
    always |= {"cv2", "pil", "ehps"}  # of packages with other names
    always |= {"dask", "markupsafe"}  # come with distributed and jinja2
    for path in SOURCES:
        found = {module.split(".")[0] for module in imports(path)} - set(sys.stdlib_module_names)
        other = {module for module in found if module.lower() not in always}
        assert other <= set(EXTRAS), name(path)


def test_all_that_is_missing_is_named_with_its_extras(bare: None) -> None:
    with pytest.raises(UsageError, match=r"a task needs umap-learn and av, which are not .*'ehps\[analysis,video\]'"):
        need("a task", "umap", "av")
    need("a task")


@pytest.mark.parametrize(
    ("words", "package", "extra"),
    [
        ("demo --out demo", "accelerate and pyarrow and umap-learn and jinja2", "train,analysis"),
        ("convert h36m raw --out x.h5 --frames frames", "av", "video"),
        ("convert pw3d raw --out x.h5 --backend dask", "dask[distributed]", "dask"),
        ("convert pw3d raw --out x.h5 --backend ray", "ray", "ray"),
        ("benchmark train x.h5 --out run", "accelerate", "train"),
        ("benchmark evaluate run x.h5 --protocol ehf", "pyarrow", "train"),
        ("benchmark run suite.yaml --out runs", "pyyaml and accelerate and pyarrow", "train"),
        ("benchmark run suite.yaml --out runs --dry-run", "pyyaml", "train"),
        ("analysis rank --results runs", "pyarrow", "train"),
        ("analysis factors --results runs", "pyarrow", "train"),
        ("analysis select x.h5 --budget 3 --results runs", "pyarrow", "train"),
        ("analysis attributes x.h5 --figure x.png", "scikit-learn and umap-learn", "analysis"),
        ("analysis report --results runs --out x.html", "jinja2 and pyarrow", "analysis,train"),
    ],
)
def test_commands_say_which_extra_they_need(
    bare: None, words: str, package: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = ("raw", "x.h5", "run", "suite.yaml") + (("runs",) if "--results runs" in words else ())
    for path in given:
        Path(path).touch() if "." in path else Path(path).mkdir()
    result = CliRunner().invoke(main, words.split())
    assert (result.exit_code, result.stdout) == (2, "")
    verb = "are" if " and " in package else "is"
    assert result.stderr.strip().endswith(
        f"needs {package}, which {verb} not installed. Run pip install 'ehps[{extra}]'"
    )
    assert len(result.stderr.splitlines()) == 1
    assert {path.name for path in tmp_path.iterdir()} == set(given)


def test_other_commands_need_none() -> None:
    code = """
import sys
from click.testing import CliRunner
from ehps.extras import EXTRAS
from tests.test_extras import Absent
sys.meta_path.insert(0, Absent(*EXTRAS))
from ehps.cli import main
for words in ("datasets", "analysis rank", "humandata keypoints", "--help"):
    result = CliRunner().invoke(main, words.split())
    print(words, result.exit_code, result.exception)
"""
    # in a new process: pandas looks for pyarrow when it is imported
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert [line for line in done.stdout.splitlines() if not line.endswith(" 0 None")] == []
