"""What a conversion found, wrote and left out: printed at the end, and saved beside the output."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ehps.atomic import replacing
from ehps.converters.pipeline.parts import BadUnit
from ehps.humandata.quality_table import MEASURES
from ehps.terminal import Column, hanging, line, table

SAVED_NAMES = 1000
SHOWN_NAMES = 3


@dataclass
class Report:
    """Outcome of one conversion.

    Attributes
    ----------
    units : units that were looked at, read or not.
    found : instances in the units that were read, before anything was dropped.
    written : instances in the output.
    published : the number that the dataset's authors or users state, if known.
    uncertain : no document states that number under the dataset's name.
    dropped : reason -> names of instances that were left out.
    left_out : reason -> names of units that were left out whole, whose instances nobody has counted.
    bad : units that could not be read.
    absent : columns that could not be made -> why.
    quality : summary of what was measured.
    problems : sentences about what looks wrong in it.
    finished_before : units that an earlier, interrupted run had finished.
    other_requests : sentences about finished units of other requests for the same output.
    image_folder : that the image paths are relative to.
    request : hash of what was asked for.
    earlier : what was saved by the run that wrote the output, where this one had nothing to do.
    """

    dataset: str
    split: str
    out: Path
    units: int = 0
    found: int = 0
    written: int = 0
    published: int | None = None
    uncertain: bool = False
    dropped: dict[str, list[str]] = field(default_factory=dict)
    left_out: dict[str, list[str]] = field(default_factory=dict)
    bad: list[BadUnit] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    quality: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0
    finished_before: int = 0
    other_requests: list[str] = field(default_factory=list)
    image_folder: Path | None = None
    request: str = ""
    earlier: dict[str, Any] | None = None

    @classmethod
    def of_current(cls, out: Path) -> Report | None:
        """That of an output that is as it should be already, by what was saved beside it; None where nothing was."""
        try:
            saved = dict(json.loads(report_path(out).read_text(encoding="utf-8")))
            units, found, written = (int(saved[name]) for name in ("units", "found", "written"))
            return cls(str(saved["dataset"]), str(saved["split"]), out, units, found, written, earlier=saved)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def to_json(self) -> dict[str, Any]:
        """JSON-able: counts, and of each reason the first names."""
        if self.earlier is not None:
            return {**self.earlier, "current": True}
        return {
            "dataset": self.dataset,
            "split": self.split,
            "out": self.out.name,
            "request": self.request,
            "units": self.units,
            "units_finished_before": self.finished_before,
            "found": self.found,
            "written": self.written,
            "published": self.published,
            "published_uncertain": self.uncertain,
            "dropped": _counts(self.dropped),
            "units_left_out": _counts(self.left_out),
            "bad_units": [asdict(unit) for unit in self.bad],
            "absent": self.absent,
            "notes": self.notes,
            "quality": self.quality,
            "problems": self.problems,
            "other_requests": self.other_requests,
            "image_folder": None if self.image_folder is None else str(self.image_folder.absolute()),
            "seconds": round(self.seconds, 3),
        }

    def save(self, path: Path) -> Path:
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(self.to_json(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        return path

    def why_nothing(self) -> str:
        """What became of all that was found: ``dropped: 12 image missing, 3 crowd region``."""
        said = []
        for title, names_of in (("dropped", self.dropped), ("units left out", self.left_out)):
            if names_of:
                said.append(f"{title}: " + ", ".join(f"{len(names)} {reason}" for reason, names in names_of.items()))
        return "; ".join(said) or f"{self.units} units hold no instances"

    def print(self, *, tracebacks: bool = False) -> None:
        """Print to the terminal.

        Parameters
        ----------
        tracebacks : show where in the code unexpected errors came from.
        """
        line(f"{self.dataset} {self.split}", bold=True)
        if self.earlier is not None:
            done = f"{self.written:,} instances are in {self.out} already: raw data, options, code and body models"
            line(f"{done} are those that it was made with; --overwrite converts again")
            return
        counts = self._counts()
        digits = max(len(f"{count:,}") for count, _ in counts)
        for count, what in counts:
            hanging(f"{count:>{digits},}  ", what)
        for unit in self.bad:
            line(unit, label="not read", colour="red")
        for column, why in self.absent.items():
            line(f"{column}: {why}", label="absent", colour="yellow")
        for note in self.notes:
            line(note, label="note", colour="yellow")
        if measures := self._measures():
            names = ("measured", "median", "99 %", "largest")
            cells = zip(*measures, strict=True)
            table([Column(name, list(c), right=name != "measured") for name, c in zip(names, cells, strict=True)])
        for problem in self.problems:
            line(problem, label="suspicious", colour="red")
        for unit in self.bad if tracebacks else ():
            for text in (f"{unit.unit}:", *unit.traceback.splitlines()) if unit.traceback else ():
                line(text)

    def _counts(self) -> list[tuple[int, str]]:
        """What was written, found and left out, in words."""
        counts = [(self.written, f"instances written to {self.out}")]
        if self.published is not None:
            counts.append((self.published, "published for this split" + self.uncertain * " (uncertain)"))
        counts.append((self.found, f"found in {self._units_read()}"))
        for reason, names in self.dropped.items():
            counts.append((len(names), f"dropped: {reason} ({_some(names)})"))
        for reason, names in self.left_out.items():
            units = "unit" if len(names) == 1 else "units"
            counts.append((len(names), f"{units} left out: {reason} ({_some(names)})"))
        return counts

    def _units_read(self) -> str:
        """``3 units``, less those that ``found`` does not count."""
        read = self.units - len(self.bad) - sum(map(len, self.left_out.values()))
        before = self.finished_before
        return f"{read} unit{'s' * (read != 1)}" + (f" ({before} finished by an earlier run)" if before else "")

    def _measures(self) -> list[tuple[str, ...]]:
        """Of each measure its name, median, 99th percentile and largest value."""
        return [
            (measure.label, *(f"{values[key]:.{measure.digits}f}" for key in ("p50", "p99", "max")))
            for measure in MEASURES
            if (values := self.quality.get(measure.name)) and measure.digits is not None
        ]


def report_path(out: Path) -> Path:
    """Where the report of a conversion is saved."""
    return out.with_name(f"{out.name}.report.json")


def _counts(names_of: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Of each reason how many there are, and the first names."""
    return {reason: {"count": len(names), "names": names[:SAVED_NAMES]} for reason, names in names_of.items()}


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:SHOWN_NAMES])
    return f"{shown}, ..." if len(names) > SHOWN_NAMES else shown
