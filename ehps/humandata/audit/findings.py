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
from ehps.humandata.audit.checks import IMAGE_CHECKS, Check, checks_of
from ehps.humandata.audit.measures import measures_of
from ehps.humandata.core import HumanData
from ehps.humandata.image_checks import MISSING, OTHER_SIZE, ImageCheck, check_images
from ehps.humandata.instance_ids import instance_ids
from ehps.humandata.quality_table import LIMITS, MEASURES
from ehps.humandata.validation import require_columns
from ehps.progress import counting

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
    worst : rows in order of how far beyond (or how near to) the limits they are, worst first. Rows without a usable
        image are not among them where a folder of images was given, and of a file without body parameters only
        doubtful rows are.
    notes : what could not be looked at, and why.
    pages : images of the worst, where a folder of images was given.
    images_missing : images that are not there or could not be read, the first of them.
    """

    file: str | None
    dataset: str
    rows: int
    limits: dict[str, float]
    percentiles: dict[str, dict[str, float]]
    counts: dict[str, int]
    flagged: list[Flag]
    worst: list[int]
    notes: list[str] = field(default_factory=list)
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
            "notes": self.notes,
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
    images : folder of the images: rows whose image is not there, has no sound header, another size than the row says or
        a path out of the folder are flagged, and with ``out`` the worst instances are drawn. Where all or nearly all
        images are absent it is the folder that is wrong: a note says so, nothing is drawn and no row is flagged for it.
    out : folder for ``audit.json``, ``percentiles.csv``, ``exclude.json`` and ``worst/*.png``; nothing is written
        without it.
    limits : the ones that shall differ from the defaults, by name.
    worst : how many instances to draw.

    Raises
    ------
    UsageError : an unknown limit.
    DataError : a column that is measured does not hold what the format says.
    """
    limits = limits_with(limits)
    _require_columns(hd)
    check = None if images is None or not len(hd) else check_images(hd, images, list_outside=True)
    elsewhere = check is not None and check.of_another_folder
    with counting("measuring", None):
        measures = measures_of(hd)
        checks = checks_of(hd, measures, limits, None if elsewhere else check)
    counts = {one.name: int(one.bad.sum()) for one in checks}
    if check is not None and elsewhere:
        counts |= {name: int(check.rows(kind).sum()) for name, kind in IMAGE_CHECKS.items()}
    found = Audit(
        file=str(hd.source) if hd.source else None,
        dataset=hd.passport.dataset,
        rows=len(hd),
        limits=limits,
        percentiles={
            name: row for name, values in measures.items() if name not in FAULTS and (row := percentiles(values))
        },
        counts=counts,
        flagged=_flags(hd, checks),
        worst=[] if elsewhere else _worst(hd, checks, check, worst),
        notes=_notes(hd, measures, check, images),
        images_missing=[] if check is None else [fault.image_path for fault in check.faults[:WORST]],
    )
    if out is None:
        return found
    for page in (Path(out) / "worst").glob("view_*.png"):  # of an earlier run
        page.unlink()
    if images is not None and found.worst:
        found = _drawn(found, hd, Path(images), Path(out) / "worst", checks)
    found.write(out)
    return found


def _worst(hd: HumanData, checks: list[Check], images: ImageCheck | None, count: int) -> list[int]:
    """Rows of which something can be seen, those farthest beyond a limit first."""
    severity = np.max([check.severity for check in checks], axis=0, initial=0) if checks else np.zeros(len(hd))
    order = np.argsort(-np.broadcast_to(severity, (len(hd),)), kind="stable")
    if hd.body_model is None:
        order = order[np.any([check.bad for check in checks], axis=0)[order]] if checks else order[:0]
    if images is not None:
        order = order[(images.wrong[order] == 0) | images.rows(OTHER_SIZE)[order]]
    return [int(row) for row in order[:count]]


def _notes(
    hd: HumanData, measures: Mapping[str, Array], images: ImageCheck | None, root: Path | str | None
) -> list[str]:
    notes = []
    if hd.body_model is None and len(hd):
        measured = any(percentiles(values) for values in measures.values())
        what = "only its points and boxes could be looked at" if measured else "nothing was measured"
        notes.append(f"The file has no body parameters: {what}.")
    if images is not None and images.of_another_folder:
        absent = [fault.image_path for fault in images.faults if fault.kind == MISSING]
        notes.append(
            f"{len(absent):,} of {images.images:,} images are not below {root}, {absent[0]} for one: this is not the "
            "folder that the image paths are relative to, or the images are not unpacked. Nobody was drawn, and no row "
            "is listed for its image."
        )
    return notes


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
    unseen = dict.fromkeys([*found.images_missing, *pages.missing, *pages.unreadable])
    return replace(found, pages=list(pages), images_missing=list(unseen))
