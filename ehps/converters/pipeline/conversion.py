"""Converting a dataset: check, read units in parallel, complete, validate, write parts, join, report.

Killed at any moment it resumes and ends in the same bytes; any number of jobs ends in the same bytes: units keep
their order, every unit is computed in blocks of its own, and linear algebra runs on one thread wherever a unit runs.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ehps.converters import layout, registry
from ehps.converters.base import Converter, Unit
from ehps.converters.pipeline import backends, sharing
from ehps.converters.pipeline.conversion_request import key_of, request_of
from ehps.converters.pipeline.finished import current_report, refuse_other, save_sources
from ehps.converters.pipeline.joining import join_parts
from ehps.converters.pipeline.other_requests import keep_or_discard
from ehps.converters.pipeline.outcome import bad_units, joined_elsewhere, nothing_left, report_of
from ehps.converters.pipeline.parts import PartsFolder
from ehps.converters.pipeline.reading import POLL, Done, Run, read_all
from ehps.converters.pipeline.report import Report, report_path
from ehps.converters.pipeline.workers import Job, unexpected, without_threads
from ehps.converters.readers import opened
from ehps.errors import DataError, EhpsError, UsageError
from ehps.progress import counting
from ehps.terminal import line

SUFFIXES = (".h5", ".npz")


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
    scheduler: str | None = None,
    group: tuple[int, int] | None = None,
    launch: str | None = None,
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
    scheduler : address of that of a running cluster, for ``dask`` and ``ray``; its workers convert then, whatever
        ``jobs`` is.
    progress : show on the standard error stream what is being done.
    discard : remove finished units of other requests for ``out`` (another split, other options, other code), which
        are kept otherwise.
    overwrite : replace ``out`` whatever it holds, and convert again what has been converted.
    group : ``(k, n)``, the k-th of n processes: begin with the k-th of n groups of units, end where all others are
        done or being done, and leave the joining to a call without.
    launch : tells processes that were started together, one after another too: they do not try again what has killed
        one of them, or could not be read.

    Returns
    -------
    The report, which is also saved as ``OUT.report.json``; ``OUT.sources.gz`` says what the output was made of.
    With ``group`` that of the units that are finished.

    Any number of processes that are asked for the same convert it together: no unit is converted twice, unless its
    process dies, one of them joins the parts, and the others return what it has saved.

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
    backends.require(backend, scheduler)
    if not overwrite:
        refuse_other(out, converter, limit)
    layout.check(cls.card, converter.root, converter.split)
    job = Job(
        converter,
        bodies=_body_folder(body_models, converter),
        frames=None if frames is None else Path(frames),
        strict_images=strict_images,
        strict=strict,
        limit=limit,
    )
    units = _units(converter, progress)
    request = request_of(job, units)
    with ExitStack() as stack:
        with sharing.entrance(out):
            if not overwrite and (earlier := current_report(out, request, job)) is not None:
                PartsFolder(out, key_of(request)).remove()
                sharing.tidy(out)
                return earlier
            sharing.refuse_others(out, request)
            others = keep_or_discard(out, request, discard)
            stack.callback(sharing.leave, out)
            parts = stack.enter_context(sharing.at_work(out, request, launch))
        for sentence in others if progress else ():
            line(sentence, err=True)
        run = Run(job, units, parts, jobs, backend, progress, scheduler, group)
        done = read_all(run)
        report = report_of(run, done)
        report.other_requests = others
        if group is not None and not done.gone:
            return report
        return _joined(run, done, report, request, skip_bad, started)


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


def _body_folder(given: Path | str | None, converter: Converter) -> Path | None:
    from ehps.body.model_folder import body_models_folder

    folder = body_models_folder(given)
    if folder is not None:
        converter.bodies(folder)
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


# -- after -------------------------------------------------------------------------------------------------


def _joined(run: Run, done: Done, report: Report, request: Mapping[str, Any], skip_bad: bool, started: float) -> Report:
    """Join the parts, or wait for the process that does, and give the report.

    Raises
    ------
    DataError : units could not be read, nothing is left, or the output cannot be written.
    """
    if done.bad and not skip_bad and not done.gone:
        report.seconds = time.perf_counter() - started
        raise bad_units(report, report.save(run.parts.folder / "report.json"))
    while run.parts.there:
        with sharing.join_claim(run.parts) as mine:
            if mine is not None and run.parts.there:
                _join(run, done, report, started)
                with sharing.entrance(run.parts.out):  # who comes meanwhile finds the parts, or the finished output
                    save_sources(report.out, request, done.parts.values(), whole=not done.bad)
                    run.parts.remove()
                return report
        time.sleep(POLL)
    run.parts.remove()  # what this process was still writing there
    return joined_elsewhere(run)


def _join(run: Run, done: Done, report: Report, started: float) -> None:
    if not report.written:
        if sharing.is_alone(run.parts):
            run.parts.remove()
        raise nothing_left(report, run.job)
    with without_threads():
        join_parts(run.parts, done.parts, run.units, report, run.job.converter.card)
    report.seconds = time.perf_counter() - started
    report.save(report_path(report.out))
