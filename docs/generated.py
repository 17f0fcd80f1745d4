"""Pages of the reference that are views of what the code declares: protocols and keypoint conventions."""

from __future__ import annotations

from pathlib import Path

from ehps.benchmark.protocols import catalogue, pages
from ehps.benchmark.protocols.vocabulary import CHOICES
from ehps.humandata.drawing.convention_figure import draw_convention
from ehps.humandata.drawing.pages import write_png
from ehps.humandata.keypoints import CONVENTIONS


def write(folder: Path) -> None:
    """Write all generated pages and their figures into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "protocols.md").write_text(protocols(), encoding="utf-8")
    (folder / "keypoints.md").write_text(conventions(folder), encoding="utf-8")


def protocols() -> str:
    """One section a protocol, and what the fields can be."""
    sections = [pages.markdown(name) for name in catalogue.names()]
    choices = [
        f"`{field}`:\n\n" + "\n".join(f"- `{word}`: {meaning}" for word, meaning in words.items())
        for field, words in CHOICES.items()
    ]
    return "\n".join([*sections, "## Choices", "", "\n\n".join(choices)]) + "\n"


def conventions(folder: Path) -> str:
    """One section a convention: how many points it has, and the figure of them."""
    parts = []
    for name, points in sorted(CONVENTIONS.items()):
        figure = folder / f"{name}.png"
        write_png(figure, draw_convention(name))
        parts.append(f"## {name}\n\n{len(points)} points.\n\n![The points of {name} on a figure]({figure.name})")
    return "\n\n".join(parts) + "\n"
