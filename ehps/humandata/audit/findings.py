"""Is this file right? Percentiles of what was measured on every instance, the instances beyond the limits with the
reasons, and an exclusion list that loaders apply.

Works from the ``quality/*`` columns that the conversion wrote. Files made elsewhere have none: for them shape norm,
finiteness, joints behind the camera and joints in the box are measured here.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ehps.arrays import Array
from ehps.atomic import write_text
from ehps.errors import UsageError
from ehps.humandata.audit.checks import Check, checks_of
from ehps.humandata.audit.measures import measures_of
from ehps.humandata.core import HumanData
from ehps.humandata.image_checks import check_images
from ehps.humandata.instance_ids import instance_ids
from ehps.humandata.quality_table import LIMITS, MEASURES
from ehps.humandata.validation import require_columns

PERCENTILES = (1, 5, 50, 95, 99)
FAULTS = [measure.name for measure in MEASURES if measure.dtype == "bool"]  # have no percentiles
WORST = 12


def limits_with(given: Mapping[str, float] | None) -> dict[str, float]:
    """The limits of :mod:`ehps.humandata.quality_table` with the given ones in their place.

    Raises
    ------
    UsageError : a limit of that name does not exist.
    """
    given = given or {}
    if unknown := [name for name in given if name not in LIMITS]:
        raise UsageError(f"unknown limit {', '.join(unknown)}", fix=f"limits are {', '.join(LIMITS)}")
    return {**LIMITS, **given}


@dataclass(frozen=True)
class Flag:
    """One instance beyond a limit: its row, its id, the names of the checks, the reasons in words."""

    row: int
    id: str
    dataset: str
    checks: tuple[str, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Audit:
    """What :func:`audit` found.

    Attributes
    ----------
    file : what was looked at, None for rows in memory.
    dataset : of its rows.
    rows : their number.
    limits : in force.
    percentiles : measure -> n, mean, p1 .. p99, min, max over the rows where it could be measured.
    counts : check -> number of rows beyond it; every check that could be made is named.
    flagged : rows beyond a limit, with reasons, in file order.
    worst : rows in order of how far beyond (or how near to) the limits they are, worst first.
    pages : images of the worst, where a folder of images was given.
    images_missing : images of the worst rows that are not there or could not be read.
    """

    file: str | None
    dataset: str
    rows: int
    limits: dict[str, float]
    percentiles: dict[str, dict[str, float]]
    counts: dict[str, int]
    flagged: list[Flag]
    worst: list[int]
    pages: list[Path] = field(default_factory=list)
    images_missing: list[str] = field(default_factory=list)

    def exclusions(self) -> list[dict[str, str]]:
        """The exclusion list: dataset, id and reason of every flagged instance."""
        return [{"dataset": f.dataset, "id": f.id, "reason": "; ".join(f.reasons)} for f in self.flagged]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able, with the flagged rows counted, not listed."""
        return {
            "file": self.file,
            "dataset": self.dataset,
            "rows": self.rows,
            "flagged": len(self.flagged),
            "counts": self.counts,
            "percentiles": self.percentiles,
            "limits": self.limits,
            "worst": self.worst,
            "pages": [str(page) for page in self.pages],
            "images_missing": self.images_missing,
        }

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=2) + "\n"

    def write(self, folder: Path | str) -> list[Path]:
        """Write ``audit.json``, ``percentiles.csv`` and ``exclude.json`` (the exclusion list) into ``folder``."""
        folder = Path(folder)
        columns = list(next(iter(self.percentiles.values()), {"n": 0}))
        percentiles = io.StringIO()
        table = csv.writer(percentiles, lineterminator="\n")
        table.writerow(["measure", *columns])
        table.writerows([name, *(row[c] for c in columns)] for name, row in self.percentiles.items())
        return [
            write_text(folder / "audit.json", self.to_json()),
            write_text(folder / "percentiles.csv", percentiles.getvalue()),
            write_text(folder / "exclude.json", json.dumps(self.exclusions(), indent=1, ensure_ascii=False) + "\n"),
        ]


def audit(
    hd: HumanData,
    images: Path | str | None = None,
    out: Path | str | None = None,
    limits: Mapping[str, float] | None = None,
    *,
    worst: int = WORST,
) -> Audit:
    """Measure, flag, and show the worst.

    Parameters
    ----------
    images : their folder: rows whose image is not there, has no sound header or another size than the row says
        are flagged, and with ``out`` the worst instances are drawn.
    out : folder for ``audit.json``, ``percentiles.csv``, ``exclude.json`` and ``worst/*.png``; nothing is written
        without it.
    limits : the ones that shall differ from the defaults, by name.
    worst : how many instances to draw.

    Raises
    ------
    UsageError : an unknown limit.
    OutsideError : an image path leads out of ``images``.
    DataError : a column that is measured does not hold what the format says.
    """
    limits = limits_with(limits)
    _require_columns(hd)
    check = None if images is None or not len(hd) else check_images(hd, images)
    measures = measures_of(hd)
    checks = checks_of(hd, measures, limits, check)
    flagged = _flags(hd, checks)
    severity = np.max([check.severity for check in checks], axis=0, initial=0) if checks else np.zeros(len(hd))
    ranked = np.argsort(-np.broadcast_to(severity, (len(hd),)), kind="stable")[:worst].tolist()
    found = Audit(
        file=str(hd.source) if hd.source else None,
        dataset=hd.passport.dataset,
        rows=len(hd),
        limits=limits,
        percentiles={
            name: row for name, values in measures.items() if name not in FAULTS and (row := percentiles(values))
        },
        counts={check.name: int(check.bad.sum()) for check in checks},
        flagged=flagged,
        worst=ranked,
    )
    if out is None:
        return found
    if images is not None and ranked:
        found = _drawn(found, hd, Path(images), Path(out) / "worst", checks)
    found.write(out)
    return found


def _require_columns(hd: HumanData) -> None:
    """Everything that is measured; of body parameters only that they are numbers."""
    bodies = [name for name in hd.columns if name.startswith(("smplx/", "smplh/", "smpl/"))]
    require_columns(hd, bodies, shapes=False)
    require_columns(hd, [name for name in hd.columns if name not in bodies])


def percentiles(values: Array) -> dict[str, float]:
    """n, mean, p1, p5, p50, p95, p99, min and max of the finite values; empty when there are none."""
    good = np.asarray(values, np.float64)
    good = good[np.isfinite(good)]
    if not len(good):
        return {}
    cuts = np.percentile(good, PERCENTILES)
    numbers = {"mean": good.mean(), **{f"p{p}": cut for p, cut in zip(PERCENTILES, cuts, strict=True)}}
    numbers |= {"min": good.min(), "max": good.max()}
    return {"n": len(good)} | {name: float(f"{value:.6g}") for name, value in numbers.items()}


def _flags(hd: HumanData, checks: list[Check]) -> list[Flag]:
    rows = np.flatnonzero(np.any([check.bad for check in checks], axis=0)) if checks else np.zeros(0, np.intp)
    names = hd["meta/dataset"][rows] if "meta/dataset" in hd else [hd.passport.dataset] * len(rows)
    flags = []
    for row, word, dataset in zip(rows.tolist(), instance_ids(hd, rows), names, strict=True):
        broken = [check for check in checks if check.bad[row]]
        reasons = tuple(check.sentence(row) for check in broken)
        flags.append(Flag(row, word, str(dataset), tuple(check.name for check in broken), reasons))
    return flags


def _drawn(found: Audit, hd: HumanData, images: Path, out: Path, checks: list[Check]) -> Audit:
    """The audit with images, one for each row: model joints as skeletons, the dataset's own points as rings."""
    from ehps.humandata.drawing.overlays import SKELETON_COLUMNS, view
    from ehps.humandata.drawing.persons import BOX_LABELS

    captions = {}
    for row in found.worst:
        ranked = sorted((check for check in checks if check.severity[row] > 0.01), key=lambda c: -c.severity[row])
        captions[row] = f"{row}: {'; '.join(check.sentence(row) for check in ranked[:2])}"
    columns = [name for name in SKELETON_COLUMNS if name in hd and name in hd.keypoint_names]
    columns += [name for name in BOX_LABELS if name in hd]
    pages = view(hd, images, out, rows=found.worst, columns=columns, captions=captions, together=False)
    return replace(found, pages=list(pages), images_missing=[*pages.missing, *pages.unreadable])
