"""The package declares what it imports, and nothing else; its data files are in the wheel."""

from __future__ import annotations

import configparser
import re
import sys
from functools import cache
from pathlib import Path

import ehps
from tests.sources import SOURCES, imports

ROOT = Path(__file__).parents[1]
IMPORTED_AS = {
    "opencv-python-headless": "cv2",
    "pillow": "PIL",
    "pyyaml": "yaml",
    "rerun-sdk": "rerun",
    "scikit-learn": "sklearn",
    "umap-learn": "umap",
}
# of other people, with which tests read what is written
READERS = {"datasets", "mlcroissant", "onnx", "pygltflib", "webdataset"}
RUN = {  # not imported by the package: run by name, or needed by what runs it
    "dev": {"pytest", "pytest-xdist", "pytest-timeout", "filelock", "ruff", "mypy", "pandas-stubs", "types-PyYAML"}
    | READERS,
    "tensorboard": {"tensorboard"},  # through torch.utils.tensorboard
    "docs": {"sphinx", "furo", "myst-nb", "sphinx-click", "ipykernel"},
}


@cache
def setup() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def declared(section: str, name: str) -> str:
    return setup()[section][name].strip()


def declared_extras() -> dict[str, set[str]]:
    """Extra -> names of what it installs."""
    return {extra: names_in(value) for extra, value in setup()["options.extras_require"].items()}


def names_in(value: str) -> set[str]:
    lines = (line.strip() for line in value.splitlines() if line.strip())
    return {re.split(r"[\s<>=\[]", line, maxsplit=1)[0] for line in lines if not line.startswith("ehps[")}


def imported() -> set[str]:
    """Top-level names of everything that the package imports from others."""
    found = {module.split(".")[0] for path in SOURCES for module in imports(path)}
    return found - set(sys.stdlib_module_names) - {"ehps"}


def modules(names: set[str]) -> set[str]:
    return {IMPORTED_AS.get(name, name) for name in names}


def test_nothing_is_imported_that_is_not_declared_and_nothing_declared_that_is_not_imported() -> None:
    extras = {extra: names for extra, names in declared_extras().items() if extra not in RUN}
    everything = modules(names_in(declared("options", "install_requires")).union(*extras.values()))
    assert everything == imported()
    assert {extra: names for extra, names in declared_extras().items() if extra in RUN} == RUN


def test_every_data_file_of_the_package_is_declared() -> None:
    patterns = setup()["options.package_data"]["ehps"].split()
    package = ROOT / "ehps"
    matched = {path for pattern in patterns for path in package.glob(pattern)}
    there = {path for path in package.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert there == matched
    assert len(there) >= 5


def test_the_version_is_one() -> None:
    assert f"version: {ehps.__version__}" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"## {ehps.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_classifiers_begin_with_the_least_python() -> None:
    versions = re.findall(r"Python :: (3\.\d+)$", declared("metadata", "classifiers"), re.MULTILINE)
    assert declared("options", "python_requires") == f">={versions[0]}"
