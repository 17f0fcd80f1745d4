"""What a conversion found, wrote and left out: printed at the end, and saved beside the output."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ehps.atomic import replacing
from ehps.humandata.quality_table import MEASURES

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

SAVED_NAMES = 1000
SHOWN_NAMES = 3
WIDTH = 1000


@dataclass(frozen=True)
class BadUnit:
    """A unit that could not be read: its name, the file it is about, and why."""

    unit: str
    path: str
    why: str

    def __str__(self) -> str:
        return f"{self.unit}: {self.why}" + (f" [{self.path}]" if self.path else "")


@dataclass
class Report:
    """Outcome of one conversion.

    Attributes
    ----------
    found : instances in the units that were read, before anything was dropped.
    written : instances in the output. published : the number that the dataset's authors or users state, if known.
    dropped : reason -> names of what was left out.
    bad : units that could not be read.
    absent : columns that could not be made -> why.
    quality : summary of what was measured; problems : sentences about what looks wrong in it.
    reused : units taken over from an interrupted run.
    """

    dataset: str
    split: str
    out: Path
    units: int = 0
    found: int = 0
    written: int = 0
    published: int | None = None
    dropped: dict[str, list[str]] = field(default_factory=dict)
    bad: list[BadUnit] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    quality: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0
    reused: int = 0

    def to_json(self) -> dict[str, Any]:
        """JSON-able: counts, and of each reason the first names."""
        return {
            "dataset": self.dataset,
            "split": self.split,
            "out": self.out.name,
            "units": self.units,
            "units_reused": self.reused,
            "found": self.found,
            "written": self.written,
            "published": self.published,
            "dropped": {
                reason: {"count": len(names), "names": names[:SAVED_NAMES]} for reason, names in self.dropped.items()
            },
            "bad_units": [{"unit": b.unit, "path": b.path, "why": b.why} for b in self.bad],
            "absent": self.absent,
            "notes": self.notes,
            "quality": self.quality,
            "problems": self.problems,
            "seconds": round(self.seconds, 3),
        }

    def save(self, path: Path) -> Path:
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(self.to_json(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        return path

    def dropped_counts(self) -> str:
        """``12 image missing, 3 crowd region``."""
        return ", ".join(f"{len(names)} {reason}" for reason, names in self.dropped.items())

    def print(self, console: Console | None = None) -> None:
        from rich.console import Console

        console = console or Console()
        if not console.is_terminal:  # names in a file or pipe are not cut into lines
            console.width = WIDTH
        console.print(self)

    def __rich__(self) -> RenderableType:
        from rich.console import Group
        from rich.markup import escape
        from rich.table import Table

        counts = Table(show_header=False, box=None, pad_edge=False)
        counts.add_column(justify="right")
        counts.add_column(overflow="fold")
        counts.add_row(f"{self.written:,}", f"instances written to {escape(str(self.out))}")
        if self.published is not None:
            counts.add_row(f"{self.published:,}", "published for this split")
        counts.add_row(f"{self.found:,}", f"found in {self.units} units" + self._reused())
        for reason, names in self.dropped.items():
            counts.add_row(f"{len(names):,}", f"dropped: {escape(reason)} ({escape(_some(names))})")
        rows: list[RenderableType] = [f"[bold]{escape(self.dataset)} {escape(self.split)}[/bold]", counts]
        for unit in self.bad:
            rows.append(f"[red]not read[/red] {escape(str(unit))}")
        for column, why in self.absent.items():
            rows.append(f"[yellow]absent[/yellow] {escape(column)}: {escape(why)}")
        rows += [f"[yellow]note[/yellow] {escape(note)}" for note in self.notes]
        measures = self._measures()
        if measures.row_count:
            rows.append(measures)
        rows += [f"[red]suspicious[/red] {escape(problem)}" for problem in self.problems]
        return Group(*rows)

    def _reused(self) -> str:
        return f", {self.reused} of them taken over from an interrupted run" if self.reused else ""

    def _measures(self) -> Table:
        from rich.table import Table

        table = Table("measured", "median", "99 %", "largest", box=None, pad_edge=False)
        for measure in MEASURES:
            values = self.quality.get(measure.name)
            if values and measure.digits is not None:
                table.add_row(measure.label, *(f"{values[key]:.{measure.digits}f}" for key in ("p50", "p99", "max")))
        return table


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:SHOWN_NAMES])
    return f"{shown}, ..." if len(names) > SHOWN_NAMES else shown
