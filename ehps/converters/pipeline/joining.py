"""Many parts to one output: the last step of a conversion."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ehps.arrays import Mask
from ehps.atomic import write_error
from ehps.converters.base import DatasetCard, Unit
from ehps.converters.pipeline import quality_measures
from ehps.converters.pipeline.parts import Part, PartsFolder
from ehps.converters.pipeline.repeated_rows import REPEATED, first_copies
from ehps.converters.pipeline.report import Report
from ehps.errors import PassportError
from ehps.humandata import HumanData, Passport, quality
from ehps.humandata.merging import common_misc
from ehps.humandata.passport import merged_passport
from ehps.humandata.table import Table

SCALE = "meta/image_scale"
KEPT_OPEN = 64  # parts; to open a small one takes longer than to copy its rows
BODILESS: dict[str, Any] = dict.fromkeys(("body_model", "body_model_version", "num_betas", "gender", "flat_hand_mean"))


def join_parts(
    parts: PartsFolder,
    found: Mapping[int, Part],
    units: Sequence[Unit],
    report: Report,
    card: DatasetCard,
) -> None:
    """Join the parts beside the output, put the result in its place, and complete the report with its quality.

    Only columns that every part has are taken, and the scale of images, which is 1 in parts without; rows beyond
    ``report.written`` are left out, and so are copies of rows of another file.

    Raises
    ------
    PassportError : the parts' numbers mean different things.
    DataError : the output cannot be written.
    """
    from ehps.humandata.storage import h5

    numbers = [i for i, part in sorted(found.items()) if part.rows]
    filled = [(parts.rows_path(i, units[i]), found[i]) for i in numbers]
    paths = [path for path, _ in filled]
    surplus = sum(part.rows for _, part in filled) - report.written
    if surplus > 0:
        last = HumanData.open(paths[-1])
        paths[-1] = last[: len(last) - surplus].save(parts.folder / "limit.h5")
    columns = [name for name in filled[0][1].columns if all(name in part.columns for _, part in filled)]
    if any(SCALE in part.columns for _, part in filled) and SCALE not in columns:
        columns.append(SCALE)
    for name in dict.fromkeys(name for _, part in filled for name in part.columns):
        if name not in columns:
            have = sum(name in part.columns for _, part in filled)
            report.absent[name] = f"only {have} of {len(filled)} units have it"
    files = [units[i].path for i in numbers]
    passport = _passport([part for _, part in filled], files)
    misc = common_misc([part.misc for _, part in filled])
    card = replace(card, reprojection=misc.get("reprojection", card.reprojection))
    tables = _tables(paths)
    kept, repeated = first_copies(tables, files)
    if repeated:
        report.dropped[REPEATED] = repeated
        report.written -= len(repeated)
        tables = _without(tables, kept)
    report.quality = quality.summary(_measured(tables(), columns), card.reprojection)
    report.problems = quality_measures.problems(report.quality, card, virtual=passport.focal == "virtual")
    joined = parts.folder / "joined.h5"
    h5.join(
        lambda: (_with_scale(part, columns) for part in tables()),
        joined,
        passport=passport,
        misc=misc,
        quality=report.quality,
        columns=columns,
    )
    if report.out.suffix.lower() == ".npz":
        from ehps.humandata.storage import npz

        npz.write(HumanData.open(joined), parts.folder / "joined.npz")
        joined = parts.folder / "joined.npz"
    try:
        os.replace(joined, report.out)
    except OSError as error:
        raise write_error(error, report.out) from error


def _with_scale(part: Table, columns: Sequence[str]) -> Table:
    """The part, with a scale of 1 where its images are those that were labelled and images of other parts are not."""
    if SCALE not in columns or SCALE in part:
        return part
    ones = np.ones(len(part), np.float32)
    return Table({name: part[name] for name in part.columns} | {SCALE: ones}, keypoint_names=part.keypoint_names)


def _passport(parts: Sequence[Part], files: Sequence[Path]) -> Passport:
    """What holds for all parts; nothing about bodies when some part has none, as no column of bodies is taken then.

    Raises
    ------
    PassportError : their numbers mean different things; two of the ``files`` that they were made of are named.
    """
    stated = [Passport.from_dict(part.passport) for part in parts]
    if any(passport.body_model is None for passport in stated):
        stated = [passport.with_(**BODILESS) for passport in stated]
    try:
        return merged_passport(stated, files)
    except PassportError as error:
        fix = "take them from one release, or convert them apart, each in a folder without the other"
        raise PassportError(error.what, fix=fix) from None


def _tables(paths: Sequence[Path]) -> Callable[[], Iterable[Table]]:
    """Gives the rows of all parts, in order, at each call; each part is opened once where there are few."""
    from ehps.humandata.storage import h5

    if len(paths) > KEPT_OPEN:
        return lambda: map(h5.read, paths)
    tables = [h5.read(path) for path in paths]
    return lambda: tables


def _without(tables: Callable[[], Iterable[Table]], kept: Sequence[Mask]) -> Callable[[], Iterable[Table]]:
    """Gives the rows of all parts that are kept, in order, at each call."""
    return lambda: (table if rows.all() else table[rows] for table, rows in zip(tables(), kept, strict=True))


def _measured(parts: Iterable[Table], columns: Sequence[str]) -> dict[str, Any]:
    """The quality columns of all rows, and what is needed to judge them."""
    wanted = [n for n in quality.SUMMARISED if n in columns]
    pieces: dict[str, list[Any]] = {name: [] for name in wanted}
    for part in parts:
        for name in wanted:
            pieces[name].append(np.array(part[name]))
    return {name: np.concatenate(values) for name, values in pieces.items()}
