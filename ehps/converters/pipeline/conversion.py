"""Converting a dataset: check, read units in parallel, complete, validate, write parts, join, report.

Killed at any moment it resumes and ends in the same bytes; any number of jobs ends in the same bytes: units keep
their order, every unit is computed in blocks of its own, and linear algebra runs on one thread wherever a unit runs.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ehps.converters import layout, registry
from ehps.converters.base import Converter, Unit
from ehps.converters.pipeline.conversion_request import key_of, request_of
from ehps.converters.pipeline.finished import current_report, refuse_other, save_sources
from ehps.converters.pipeline.joining import join_parts
from ehps.converters.pipeline.other_requests import keep_or_discard
from ehps.converters.pipeline.parts import BadUnit, Part, PartsFolder, locked
from ehps.converters.pipeline.report import Report, report_path
from ehps.converters.pipeline.workers import Job, run_jobs, unexpected, without_threads
from ehps.converters.readers import opened
from ehps.converters.readers.images import ImageIndex
from ehps.errors import DataError, EhpsError, UsageError
from ehps.progress import counting
from ehps.terminal import line

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
    strict: bool = False,
    frames: Path | str | None = None,
    options: Mapping[str, str] | None = None,
    backend: str = "loky",
    progress: bool = True,
    discard: bool = False,
    overwrite: bool = False,
) -> Report:
    """Convert one split of one raw dataset into a HumanData file.

    An output that was made of the same raw data with the same options, code and body models is left as it is.

    Parameters
    ----------
    dataset : its id, or a converter class that is not registered.
    raw : root folder of the raw dataset.
    split : the card's first when None.
    out : ``.h5`` or ``.npz`` file.
    body_models : folder of body models; the environment's EHPS_BODY_MODELS when None.
    jobs : processes; -1 for one per core.
    limit : stop after that many instances.
    skip_bad : finish without units that cannot be read; they are named in the report.
    strict_images : a missing image is an error instead of a dropped row.
    strict : so is whatever else the dataset has and is not there: a subject, a sequence.
    frames : folder that holds, or gets, frames cut out of the dataset's videos.
    options : the card's options.
    backend : ``loky``, ``threading``, ``dask`` or ``ray``.
    progress : show on the standard error stream what is being done.
    discard : remove finished units of other requests for ``out`` (another split, other options, other code), which
        are kept otherwise.
    overwrite : replace ``out`` whatever it holds, and convert again what has been converted.

    Returns
    -------
    The report, which is also saved as ``OUT.report.json``; ``OUT.sources.gz`` says what the output was made of.

    Raises
    ------
    UsageError : unknown dataset, split, option or backend; ``out`` has another suffix, or is there already and was not
        meant to have these rows.
    DataError : the raw data are not complete, units cannot be read, nothing is left, or ``out`` cannot be written.
        ``out`` is untouched then; finished units are kept for the next run.
    BodyModelError : body models were given but one that is needed is not among them.
    """
    started = time.perf_counter()
    cls = registry.converter(dataset) if isinstance(dataset, str) else dataset
    out = _checked_output(out)
    converter = _converter(cls, Path(raw), split, options or {})
    _check_numbers(jobs, limit)
    if not overwrite:
        refuse_other(out, converter, limit)
    layout.check(cls.card, converter.root, converter.split)
    job = Job(
        converter,
        bodies=_body_folder(body_models, converter.body_model),
        frames=None if frames is None else Path(frames),
        strict_images=strict_images,
        strict=strict,
        limit=limit,
    )
    units = _units(converter, progress)
    with locked(out):
        request = request_of(job, units)
        if not overwrite and (earlier := current_report(out, request, job)) is not None:
            PartsFolder(out, key_of(request)).remove()
            return earlier
        others = keep_or_discard(out, request, discard)
        for sentence in others if progress else ():
            line(sentence, err=True)
        run = Run(job, units, PartsFolder(out, key_of(request)), jobs, backend, progress)
        run.parts.prepare(request)
        done = _read_all(run)
        report = _report(run, done)
        report.other_requests = others
        _finish(run, done, report, skip_bad, started)
        save_sources(out, request, done.parts.values(), whole=not done.bad)
        run.parts.remove()
    return report


@dataclass(frozen=True)
class Run:
    """What is to be read, where its parts are kept, and how many units are read at once."""

    job: Job
    units: Sequence[Unit]
    parts: PartsFolder
    jobs: int
    backend: str
    progress: bool


@dataclass
class Done:
    """What became of the units.

    Attributes
    ----------
    parts : by index of all units; with a limit, of the first that suffice.
    bad : units that could not be read.
    before : how many of the parts were there already.
    """

    parts: dict[int, Part]
    bad: list[BadUnit]
    before: int


# -- before ------------------------------------------------------------------------------------------------


def _checked_output(out: Path | str) -> Path:
    path = Path(out)
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError("the output is an .h5 or .npz file", path=out or None, fix="name it with --out")
    if path.is_dir():
        raise UsageError("is a folder", path=path, fix="name a file with --out")
    return path


def _check_numbers(jobs: int, limit: int | None) -> None:
    if jobs == 0 or jobs < -1:
        raise UsageError(f"--jobs {jobs}: give the number of processes, or -1 for one per core")
    if limit is not None and limit < 1:
        raise UsageError(f"--limit {limit}: give at least 1")


def _converter(cls: type[Converter], raw: Path, split: str | None, options: Mapping[str, str]) -> Converter:
    card = cls.card
    split = card.default_split if split is None else split
    if split not in card.splits:
        raise UsageError(f"{card.name} has no split {split!r}", fix=f"it has {', '.join(card.splits)}")
    converter = cls(raw, split, dict(options))
    converter.check_options()
    return converter


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
    with counting(f"{converter.card.id} {converter.split}: looking for units", None, show=visible):
        units = _listed(converter)
    if not units:
        what = f"nothing to read for split {converter.split}"
        raise DataError(what, path=converter.root, fix="check that all is unpacked")
    return units


def _listed(converter: Converter) -> list[Unit]:
    with opened.recording() as record:
        try:
            return converter.units()
        except EhpsError:
            raise
        except Exception as error:
            raise unexpected(error, record.last or converter.root) from error


def _read_all(run: Run) -> Done:
    """Find the units that are finished, and read the others; with a limit, no more of them than may be needed."""
    parts = _finished(run)
    earlier, bad = set(parts), list[BadUnit]()
    pending = [i for i in range(len(run.units)) if i not in parts]
    limit = run.job.limit
    at_once = len(pending) if limit is None else run.jobs if run.jobs > 0 else os.cpu_count() or 1
    title = f"{run.job.converter.card.id} {run.job.converter.split}: units"
    rows = sum(part.rows for part in parts.values())
    with counting(title, len(run.units), done=len(parts), show=run.progress) as advance:
        while pending and (limit is None or _rows_before(parts, pending[0]) < limit):
            now, pending = pending[:at_once], pending[at_once:]
            for outcome in run_jobs(run.job, run.parts, [(i, run.units[i]) for i in now], run.jobs, run.backend):
                if outcome.bad is None:
                    parts[outcome.index] = _just_written(run, outcome.index)
                else:
                    bad.append(outcome.bad)
                rows += parts[outcome.index].rows if outcome.index in parts else 0
                advance(1, note=f"{rows:,} instances")
    if limit is not None:
        parts = {i: parts[i] for i in sorted(parts) if _rows_before(parts, i) < limit}
    return Done(parts, bad, before=len(earlier & set(parts)))


def _finished(run: Run) -> dict[int, Part]:
    """Parts of units that an earlier run has finished, by index, as far as they still hold."""
    images = ImageIndex(run.job.converter.root, run.job.frames)
    state = cache(opened.state)
    known = {i: run.parts.load(i, unit) for i, unit in enumerate(run.units)}
    return {i: part for i, part in known.items() if part and run.parts.holds(i, run.units[i], part, images, state)}


def _rows_before(parts: Mapping[int, Part], index: int) -> int:
    return sum(part.rows for i, part in parts.items() if i < index)


def _just_written(run: Run, index: int) -> Part:
    part = run.parts.load(index, run.units[index])
    if part is None:
        raise DataError("a part file that was just written is gone", path=run.parts.folder, fix="run again")
    return part


# -- after -------------------------------------------------------------------------------------------------


def _finish(run: Run, done: Done, report: Report, skip_bad: bool, started: float) -> None:
    """Join the parts and save the report.

    Raises
    ------
    DataError : units could not be read, nothing is left, or the output cannot be written.
    """
    if done.bad and not skip_bad:
        report.seconds = time.perf_counter() - started
        raise _bad_units(report, report.save(run.parts.folder / "report.json"))
    if not report.written:
        run.parts.remove()
        raise _nothing_left(report, run.job)
    with without_threads():
        join_parts(run.parts, done.parts, run.units, report, run.job.converter.card)
    report.seconds = time.perf_counter() - started
    report.save(report_path(report.out))


def _report(run: Run, done: Done) -> Report:
    """What is known before the parts are joined."""
    job, card, split = run.job, run.job.converter.card, run.job.converter.split
    units = len(done.parts) + len(done.bad)
    counts = Counter[str]()
    report = Report(card.id, split, run.parts.out, units=units, bad=done.bad, finished_before=done.before)
    report.image_folder = job.frames or job.converter.root
    if not job.converter.options:  # published numbers are those of the default options
        report.published, report.uncertain = card.splits.get(split), split in card.uncertain
    for _, part in sorted(done.parts.items()):
        report.found += part.found
        report.written += part.rows
        for reason, names in part.dropped.items():
            report.dropped.setdefault(reason, []).extend(names)
        if part.left_out:
            report.left_out.setdefault(part.left_out, []).append(part.unit)
        report.absent = part.absent | report.absent
        report.notes += [note for note in part.notes if note not in report.notes]
        counts.update(part.counts)
    report.notes[:0] = [f"{number:,} {what}" for what, number in counts.items()]
    if elsewhere := _elsewhere(report, job):
        report.notes.append(elsewhere)
    if job.bodies is None and report.absent and job.converter.body_model is not None:
        report.notes.insert(0, "converted without body models: see which columns are absent")
    if job.limit is not None:
        report.written = min(report.written, job.limit)
        report.notes.append(f"limited to the first {job.limit} instances")
    if done.bad:
        report.notes.append(f"{len(done.bad)} of {len(run.units)} units are not in the file: they could not be read")
    return report


def _elsewhere(report: Report, job: Job) -> str:
    """Where the first missing image is, if its folder was unpacked one folder too deep or not deep enough."""
    missing, root = report.dropped.get("image missing"), job.converter.root
    found = layout.misplaced(root, missing[0]) if missing else None
    return f"image {missing[0]} is not there, but {found.relative_to(root).as_posix()} is" if missing and found else ""


def _bad_units(report: Report, saved: Path) -> DataError:
    shown = "; ".join(str(unit) for unit in report.bad[:LISTED_BAD])
    more = f"; and {len(report.bad) - LISTED_BAD} more, see {saved}" if len(report.bad) > LISTED_BAD else ""
    error = DataError(
        f"{len(report.bad)} of {report.units} units could not be read: {shown}{more}",
        fix="mend them and run the same command again (finished units are kept), or leave them out with --skip-bad",
    )
    for unit in report.bad[:LISTED_BAD]:
        if unit.traceback:  # notes are printed with a traceback only
            error.add_note(f"{unit.unit}:\n{unit.traceback}")
    return error


def _nothing_left(report: Report, job: Job) -> DataError:
    card = job.converter.card
    fix = "look at what the annotation says of these, or convert another split"
    if not report.found:
        fix = f"check that all its files are unpacked where the layout says (`ehps datasets {card.id}`)"
    if "image missing" in report.dropped:
        fix = f"check that the images are unpacked where the layout says (`ehps datasets {card.id}`)"
    if job.frames is None and hasattr(job.converter, "extract_frames") and "image missing" in report.dropped:
        fix = "have them made from the raw files with --frames DIR"
    if elsewhere := _elsewhere(report, job):
        fix = f"{elsewhere}: move it to the first place, or give another root"
    what = f"no instance is left of {report.found}" if report.found else "no instance was found"
    return DataError(f"{what}; {report.why_nothing()}", path=job.converter.root, fix=fix)
