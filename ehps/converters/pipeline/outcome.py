"""What became of a conversion: its report, or the error that it ends with."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from ehps.converters import layout
from ehps.converters.pipeline.reading import Done, Run
from ehps.converters.pipeline.report import Report
from ehps.converters.pipeline.workers import Job
from ehps.errors import DataError

LISTED_BAD = 5


def report_of(run: Run, done: Done) -> Report:
    """What is known before the parts are joined."""
    job, card, split = run.job, run.job.converter.card, run.job.converter.split
    units = len(done.parts) + len(done.bad)
    counts = Counter[str]()
    report = Report(card.id, split, run.parts.out, units=units, finished_before=done.before)
    report.bad, report.request = [bad for _, bad in sorted(done.bad.items())], run.parts.key
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


def bad_units(report: Report, saved: Path) -> DataError:
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


def nothing_left(report: Report, job: Job) -> DataError:
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


def joined_elsewhere(run: Run) -> Report:
    """What the process that has joined the parts has saved.

    Raises
    ------
    DataError : none has.
    """
    report = Report.of_current(run.parts.out)
    if report is None or (report.earlier or {}).get("request") != run.parts.key:
        what = "another process has removed the finished units of this conversion"
        raise DataError(what, path=run.parts.folder, fix="run the same command again")
    return report
