from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_dataset import Hall

from ehps import imported_code
from ehps.converters import registry
from ehps.converters.pipeline.conversion_request import code_of

FILES = {
    "__init__.py": "",
    "mine.py": '''
        """Mine."""
        from ehps.converters.base import Converter
        from . import tables
        from .deep.lens import focal

        class Mine(Converter):
            """Reads."""

            def read(self, unit):
                from mypackage import lazy  # late

                return focal(1.0)
        ''',
    "tables.py": "NAMES = 'names.csv'\n",
    "names.csv": "a,b\n",
    "lazy.py": "X = 1\n",
    "unused.py": "X = 1\n",
    "deep/__init__.py": "",
    "deep/lens.py": "from ..tables import NAMES\n\ndef focal(x):\n    return 2 * x\n",
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package with a converter, as others install it."""
    folder = tmp_path / "mypackage"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        indent = " " * 8 if text.startswith("\n") else ""
        (folder / name).write_text(text.replace(f"\n{indent}", "\n"))
    monkeypatch.syspath_prepend(tmp_path)
    imported_code._source.cache_clear()  # the package of the test before lay elsewhere
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == "mypackage"]:
        del sys.modules[name]


def code(package: Path) -> dict[str, str]:
    return code_of(importlib.import_module(f"{package.name}.mine").Mine)


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_modules_of_the_converters_own_package_are_followed(package: Path) -> None:
    own = [name for name in code(package) if name.startswith("mypackage")]
    assert own == ["mypackage.deep.lens", "mypackage.lazy", "mypackage.mine", "mypackage.tables"]


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [("mine.py", "Mine.", "Ours."), ("mine.py", "Reads.", "Reads all."), ("mine.py", "# late", "# later")],
)
def test_docstrings_and_comments_are_no_code(package: Path, file: str, old: str, new: str) -> None:
    before = code(package)
    change(package / file, old, new)
    assert code(package) == before


@pytest.mark.parametrize(
    ("file", "module", "old", "new"),
    [
        ("mine.py", "mine", "1.0", "1.5"),
        ("deep/lens.py", "deep.lens", "2 *", "3 *"),
        ("lazy.py", "lazy", "1", "2"),
        ("names.csv", "tables", "a,b", "b,a"),
    ],
)
def test_a_changed_number_or_table_is_seen(package: Path, file: str, module: str, old: str, new: str) -> None:
    before = code(package)
    change(package / file, old, new)
    after = code(package)
    assert [name for name in before if before[name] != after[name]] == [f"mypackage.{module}"]


def test_a_module_that_nothing_imports_does_not_matter(package: Path) -> None:
    before = code(package)
    change(package / "unused.py", "1", "2")
    assert code(package) == before


def test_a_dataset_depends_on_no_other_dataset() -> None:
    start = "ehps.converters.datasets."
    datasets = {
        dataset: {name.removeprefix(start) for name in code_of(registry.converter(dataset)) if name.startswith(start)}
        for dataset in ("ssp3d", "bedlam", "chi3d")
    }
    assert datasets == {
        "ssp3d": {"ssp3d"},
        "bedlam": {"bedlam", "bedlam_labels", "bedlam_scenes"},
        "chi3d": {"chi3d", "imar"},
    }


def test_what_computes_numbers_is_in_and_what_prints_is_out() -> None:
    found = set(code_of(Hall))
    computing = {f"ehps.converters.pipeline.{name}" for name in ("workers", "completion", "rows")}
    computing.add("ehps.converters.translation")
    assert {"fake_dataset", "ehps.body.joints", "ehps.humandata.boxes", "ehps.humandata.keypoints"} | computing <= found
    printing = {"ehps.converters.registry", "ehps.converters.cards", "ehps.converters.pipeline.report"}
    assert not found & printing
    assert not [name for name in found if name.startswith(("ehps.cli", "ehps.converters.datasets", "ehps.analysis"))]
