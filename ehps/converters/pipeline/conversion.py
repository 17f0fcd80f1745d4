"""Converting a dataset: check, read units in parallel, complete, validate, write parts, join, report.

Killed at any moment it resumes and ends in the same bytes; any number of jobs ends in the same bytes: units keep
their order, every unit is computed in blocks of its own, and linear algebra runs on one thread wherever a unit runs.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from ehps.converters import layout, registry
from ehps.converters.base import Converter, Unit
from ehps.converters.pipeline.fingerprint import request_of
from ehps.converters.pipeline.joining import join_parts
from ehps.converters.pipeline.parts import Part, PartsFolder
from ehps.converters.pipeline.report import BadUnit, Report
from ehps.converters.pipeline.workers import Job, Outcome, run_jobs, without_threads
from ehps.converters.readers.images import ImageIndex
from ehps.errors import DataError, UsageError

SUFFIXES = (".h5", ".npz")
LISTED_BAD = 5


def convert(
    dataset: str | type[Converter],
    raw: Path | str,
    split: str | None = None,
    out: Path | str = "",
    *,
    body_models: Path | str | None = None,
    jobs: int = 1,
    limit: int | None = None,
    skip_bad: bool = False,
    strict_images: bool = False,
    frames: Path | str | None = None,
    options: Mapping[str, str] | None = None,
    backend: str = "loky",
    progress: bool = True,
) -> Report:
    """Convert one split of one raw dataset into a HumanData file.

    Parameters
    ----------
    dataset : its id, or a converter class that is not registered.
    raw : root folder of the raw dataset. split : the card's first when None. out : ``.h5`` or ``.npz`` file.
    body_models : folder of body models; the environment's EHPS_BODY_MODELS when None.
    jobs : processes; -1 for one per core. backend : ``loky``, ``threading``, ``dask`` or ``ray``.
    limit : stop after that many instances.
    skip_bad : finish without units that cannot be read; they are named in the report.
    strict_images : a missing image is an error instead of a dropped row.
    frames : folder that holds, or gets, frames cut out of the dataset's videos.
    options : the card's options.

    Returns
    -------
    The report, which is also saved as ``OUT.report.json``.

    Raises
    ------
    UsageError : unknown dataset, split, option or backend, or ``out`` has another suffix.
    DataError : the raw data are not complete, units cannot be read, nothing is left, or ``out`` cannot be written.
        ``out`` is untouched then; finished units are kept for the next run.
    BodyModelError : body models were given but one that is needed is not among them.
    """
    started = time.perf_counter()
    cls = registry.converter(dataset) if isinstance(dataset, str) else dataset
    out = _checked_output(out)
    converter = _converter(cls, Path(raw), split, options or {})
    if jobs == 0 or jobs < -1:
        raise UsageError(f"--jobs {jobs}: give the number of processes, or -1 for one per core")
    if limit is not None and limit < 1:
        raise UsageError(f"--limit {limit}: give at least 1")
    layout.check(cls.card, converter.root, converter.split)
    bodies = _body_folder(body_models, converter.body_model)
    units = _units(converter, progress)
    job = Job(
        converter,
        out=out,
        bodies=bodies,
        frames=None if frames is None else Path(frames),
        strict_images=strict_images,
        limit=limit,
    )
    parts = PartsFolder(out)
    with parts.locked():
        parts.prepare(request_of(job, units))
        found, bad, reused = _read_all(job, units, parts, limit, jobs, backend, progress)
        report = _report(job, units, found, bad, reused)
        if bad and not skip_bad:
            report.seconds = time.perf_counter() - started
            raise _bad_units(report, report.save(parts.folder / "report.json"))
        if not report.written:
            parts.remove()
            raise _nothing_left(report, cls, job)
        with without_threads():
            join_parts(parts, found, units, report, cls.card)
        report.seconds = time.perf_counter() - started
        report.save(out.with_name(out.name + ".report.json"))
        parts.remove()
    return report


# -- before ------------------------------------------------------------------------------------------------


def _checked_output(out: Path | str) -> Path:
    path = Path(out)
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError("the output is an .h5 or .npz file", path=out or None, fix="name it with --out")
    if path.is_dir():
        raise UsageError("is a folder", path=path, fix="name a file with --out")
    return path


def _converter(cls: type[Converter], raw: Path, split: str | None, options: Mapping[str, str]) -> Converter:
    card = cls.card
    split = card.default_split if split is None else split
    if split not in card.splits:
        raise UsageError(f"{card.name} has no split {split!r}", fix=f"it has {', '.join(card.splits)}")
    unknown = [name for name in options if name not in card.options]
    if unknown:
        known = ", ".join(card.options) or "none"
        raise UsageError(f"{card.name} has no option {', '.join(unknown)}", fix=f"it has {known}")
    return cls(raw, split, dict(options))


def _body_folder(given: Path | str | None, model_type: str | None) -> Path | None:
    from ehps.body.model_folder import body_models_folder
    from ehps.body.models import BodyModels

    folder = body_models_folder(given)
    if folder is not None and model_type is not None:
        BodyModels(folder).require(model_type)
    return folder


# -- units -------------------------------------------------------------------------------------------------


def _units(converter: Converter, visible: bool) -> list[Unit]:
    """What there is to read; large annotation files are looked through for it, which takes a while."""
    from rich.console import Console

    with Console(stderr=True, quiet=not visible).status(f"{converter.card.id} {converter.split}: looking for units"):
        units = converter.units()
    if not units:
        what = f"nothing to read for split {converter.split}"
        raise DataError(what, path=converter.root, fix="check that all is unpacked")
    return units


def _read_all(
    job: Job,
    units: Sequence[Unit],
    parts: PartsFolder,
    limit: int | None,
    jobs: int,
    backend: str,
    progress: bool,
) -> tuple[dict[int, Part], list[BadUnit], int]:
    """Parts by index of all units (with ``limit``: of the first that suffice), the bad units, and how many parts
    were there already."""
    found: dict[int, Part] = {}
    bad: list[BadUnit] = []
    index = ImageIndex(job.converter.root, job.frames)
    for i, unit in enumerate(units):
        part = parts.load(i, unit, index)
        if part is not None:
            found[i] = part
    reused = len(found)
    pending = [i for i in range(len(units)) if i not in found]
    with _Progress(job, len(units), found, progress) as shown:
        # With a limit, no more units are started than may be needed.
        wave = len(pending) if limit is None else max(jobs, 1) if jobs > 0 else os.cpu_count() or 1
        while pending and (limit is None or _rows_before(found, pending[0]) < limit):
            now, pending = pending[:wave], pending[wave:]
            for outcome in run_jobs(job, [(i, units[i]) for i in now], jobs, backend):
                _note(outcome, units, parts, found, bad)
                shown.step(units[outcome.index], found.get(outcome.index))
    if limit is not None:
        needed = [i for i in sorted(found) if _rows_before(found, i) < limit]
        found = {i: found[i] for i in needed}
    return found, bad, reused


def _rows_before(found: Mapping[int, Part], index: int) -> int:
    return sum(part.rows for i, part in found.items() if i < index)


def _note(
    outcome: Outcome, units: Sequence[Unit], parts: PartsFolder, found: dict[int, Part], bad: list[BadUnit]
) -> None:
    if outcome.bad is not None:
        bad.append(outcome.bad)
        return
    part = parts.load(outcome.index, units[outcome.index])
    if part is None:
        raise DataError("a part file that was just written is gone", path=parts.folder, fix="run again")
    found[outcome.index] = part


class _Progress:
    """A progress bar on the standard error stream."""

    def __init__(self, job: Job, total: int, found: Mapping[int, Part], visible: bool) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("units, {task.fields[rows]:,} instances"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not visible,
            transient=True,
        )
        title = f"{job.converter.card.id} {job.converter.split}"
        rows = sum(part.rows for part in found.values())
        self.rows = rows
        self.task = self.bar.add_task(title, total=total, completed=len(found), rows=rows)

    def __enter__(self) -> _Progress:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def step(self, unit: Unit, part: Part | None) -> None:
        self.rows += part.rows if part else 0
        self.bar.update(self.task, advance=1, rows=self.rows)


# -- after -------------------------------------------------------------------------------------------------


def _report(job: Job, units: Sequence[Unit], found: Mapping[int, Part], bad: Sequence[BadUnit], reused: int) -> Report:
    card, split = job.converter.card, job.converter.split
    report = Report(card.id, split, job.out, units=len(found) + len(bad), bad=list(bad), reused=reused)
    if not job.converter.options:  # published numbers are those of the default options
        report.published = card.splits.get(split)
    for _, part in sorted(found.items()):
        report.found += part.found
        report.written += part.rows
        for reason, names in part.dropped.items():
            report.dropped.setdefault(reason, []).extend(names)
        report.absent = part.absent | report.absent
        report.notes += [note for note in part.notes if note not in report.notes]
    if job.bodies is None and report.absent and job.converter.body_model is not None:
        report.notes.insert(0, "converted without body models: see which columns are absent")
    if job.limit is not None:
        report.written = min(report.written, job.limit)
        report.notes.append(f"limited to the first {job.limit} instances")
    if bad:
        report.notes.append(f"{len(bad)} of {len(units)} units are not in the file: they could not be read")
    return report


def _bad_units(report: Report, saved: Path) -> DataError:
    shown = "; ".join(str(unit) for unit in report.bad[:LISTED_BAD])
    more = f"; and {len(report.bad) - LISTED_BAD} more, see {saved}" if len(report.bad) > LISTED_BAD else ""
    return DataError(
        f"{len(report.bad)} of {report.units} units could not be read: {shown}{more}",
        fix="mend them and run the same command again (finished units are kept), or leave them out with --skip-bad",
    )


def _nothing_left(report: Report, cls: type[Converter], job: Job) -> DataError:
    why = f"dropped: {report.dropped_counts()}" if report.dropped else f"{report.units} units hold no instances"
    fix = "look at what the annotation says of these, or convert another split"
    if "image missing" in report.dropped:
        fix = f"check that the images are unpacked where the layout says (`ehps datasets {cls.card.id}`)"
    if job.frames is None and hasattr(cls, "extract_frames") and "image missing" in report.dropped:
        fix = "have them made from the raw files with --frames DIR"
    return DataError(f"no instance is left of {report.found}; {why}", path=job.converter.root, fix=fix)
