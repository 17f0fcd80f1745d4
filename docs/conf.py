"""The documentation site: ``make docs`` builds it into ``build/docs``."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import generated  # noqa: E402

import ehps  # noqa: E402

os.environ.setdefault("EHPS_DEMO", str(HERE.parent / "demo-out"))  # what the tutorials run on
os.environ.setdefault("MPLBACKEND", "Agg")

project = "ehps"
author = "The ehps developers"
copyright = author
release = version = ehps.__version__
language = "en"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_click",
]
exclude_patterns = ["summary.md", "get_started.md", "reference/generated/*.md"]
highlight_language = "text"

html_theme = "furo"
html_title = "ehps"
html_show_sphinx = False

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_execution_show_tb = True

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
napoleon_custom_sections = ["Returns"]  # ours are prose, without a type on the first line

SECTION = re.compile(r"^(Parameters|Attributes|Raises|Returns)$")
ENTRY = re.compile(r"^(\*{0,2}[\w.`/<>]+(?:, \*{0,2}[\w.`/<>]+)*) : (.+)$")


def sections_as_napoleon_reads_them(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Our docstrings have one entry a line, ``name : meaning``, where numpydoc takes what follows for a type.

    What is returned is told in prose, or entry by entry likewise.
    """
    section = ""
    told: list[str] = []
    for number, line in enumerate(lines):
        if SECTION.match(line) and number + 1 < len(lines) and lines[number + 1].startswith("---"):
            section = line
        elif section not in ("", "Returns") and line and not line.startswith((" ", "-")) and not ENTRY.match(line):
            section = ""
        elif section == "Returns" and number + 1 < len(lines) and lines[number + 1].startswith("---"):
            section = ""  # another section begins
        found = ENTRY.match(line) if section else None
        if section == "Returns":
            told += ["", f"{found[1]}: {found[2]}"] if found else [line.strip()]
        else:
            told += [found[1], f"    {found[2]}"] if found else [line]
    lines[:] = told


def setup(app: Any) -> None:
    generated.write(HERE / "reference" / "generated")
    app.connect("autodoc-process-docstring", sections_as_napoleon_reads_them, priority=400)
