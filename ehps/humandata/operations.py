"""What one does with whole files: look at one, thin it out, put several together, leave bad rows out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ehps.arrays import strided
from ehps.atomic import scratch
from ehps.errors import UsageError
from ehps.humandata import merging, quality, schema
from ehps.humandata.core import HumanData
from ehps.humandata.exclusions import exclude, excluded_rows, names_nobody, read_exclusions
from ehps.humandata.image_files import FOLDERS
from ehps.humandata.merged_images import labels_of, row_hashes
from ehps.humandata.passport import CAMERA
from ehps.humandata.storage import h5, npz
from ehps.humandata.strings import Strings
from ehps.progress import over


def info(hd: HumanData) -> dict[str, Any]:
    """What is in ``hd``, JSON-able: path, instances, bytes, passport, misc, quality summary and ``columns``, each
    with name, dtype, shape, unit, meaning, bytes, and for keypoints the number of names. Reads no rows."""
    head = hd[:0]
    columns = [_column_info(name, head[name], hd) for name in hd.columns]
    return {
        "path": None if hd.source is None else str(hd.source),
        "instances": len(hd),
        "bytes": sum(column["bytes"] for column in columns),
        "passport": hd.passport.to_dict(),
        "misc": hd.misc,
        "quality": hd.quality,
        "columns": columns,
    }


def _column_info(name: str, head: Any, hd: HumanData) -> dict[str, Any]:
    item = schema.field(name)
    tail = () if isinstance(head, Strings) else head.shape[1:]
    row = 4 if isinstance(head, Strings) else head.dtype.itemsize * int(np.prod(tail, dtype=np.int64))
    words = head.vocabulary.blob.nbytes + head.vocabulary.offsets.nbytes if isinstance(head, Strings) else 0
    return {
        "name": name,
        "dtype": schema.TEXT if isinstance(head, Strings) else str(head.dtype),
        "shape": [len(hd), *tail],
        "unit": item.unit if item else "",
        "meaning": _meaning(item, hd) if item else "",
        "bytes": row * len(hd) + words,
        "points": len(hd.keypoint_names[name]) if name in hd.keypoint_names else None,
    }


def _meaning(item: schema.Field, hd: HumanData) -> str:
    """What the column holds; of bodies that are not known to be in the camera frame this is not claimed."""
    frame = hd.passport.frame
    return item.meaning if frame == CAMERA else item.meaning.replace("in the camera frame", f"in frame {frame}")


def sample(hd: HumanData, *, interval: float | None = None, limit: int | None = None, seed: int = 0) -> HumanData:
    """Fewer rows: every ``interval``-th, or ``limit`` random ones in file order (the same ones for the same ``seed``).

    ``interval`` may be a fraction, see :func:`ehps.arrays.strided`. It multiplies the passport's ``sampling``, which is
    0 after a fraction; both leave a note in ``misc['sampled']``.

    Raises
    ------
    UsageError : neither or both given, below 1, or more rows wanted than there are.
    """
    if (interval is None) == (limit is None):
        raise UsageError("sample takes either interval or limit")
    if interval is not None:
        if not 1 <= interval <= 1e9:
            raise UsageError(f"interval {interval} is not from 1 to 1,000,000,000")
        interval = int(interval) if float(interval).is_integer() else interval
        whole = isinstance(interval, int)
        out = hd[::interval] if whole else hd[strided(len(hd), interval)]
        out.passport = hd.passport.with_(sampling=hd.passport.sampling * interval if whole else 0)
        out.misc = {**hd.misc, "sampled": {"interval": interval, "of": len(hd)}}
        return out
    assert limit is not None
    if not 0 < limit <= len(hd):
        raise UsageError(f"{limit} rows wanted of {len(hd)}", path=hd.source)
    rows = np.sort(np.random.default_rng(seed).choice(len(hd), limit, replace=False))
    out = hd[rows]
    out.misc = {**hd.misc, "sampled": {"limit": limit, "seed": seed, "of": len(hd)}}
    return out


def check_output(out: Path, inputs: Iterable[Path | None], *, overwrite: bool = False) -> Path:
    """``out``, where it may be written.

    Parameters
    ----------
    inputs : files that are read, which are never replaced.
    overwrite : whether another file may be replaced.

    Raises
    ------
    UsageError : ``out`` is one of the inputs, or is there and is not to be replaced.
    """
    for path in inputs:
        if path is not None and out.exists() and path.exists() and out.samefile(path):
            raise UsageError("is the file that is read", path=out, fix="write to another one")
    if out.exists() and not overwrite:
        raise UsageError("is there already", path=out, fix="write to another file, or pass --overwrite to replace it")
    return out


@dataclass(frozen=True)
class Merged:
    """What a merge wrote.

    Attributes
    ----------
    out : the file.
    instances : its rows.
    left_out : columns that are not in it, with the files that lack them.
    excluded : rows that were left out because an exclusion list names them.
    image_folders : label that image paths begin with -> folder; empty where paths are as they were.
    unknown_folders : files whose image folder is not known: their paths are as they were.
    repeated : (file, other file, rows that both have) where there are any.
    """

    out: Path
    instances: int
    left_out: dict[str, list[str]] = field(default_factory=dict)
    excluded: int = 0
    image_folders: dict[str, str] = field(default_factory=dict)
    unknown_folders: list[Path] = field(default_factory=list)
    repeated: list[tuple[Path, Path, int]] = field(default_factory=list)


def merge(
    paths: Sequence[Path], out: Path, *, without: Path | None = None, images: Mapping[str, Path] | None = None
) -> Merged:
    """All rows of the files, in order, in one; the columns and constants that all with rows have. Bounded memory.

    Where the files' images are in different folders, each folder gets a label, which its image paths begin with, and
    the merged file says which folder a label stands for.

    Parameters
    ----------
    without : an exclusion list; rows that it names are left out.
    images : file, or its name -> its image folder; by default the one that its conversion's report names.

    Raises
    ------
    UsageError : ``out`` is one of the files, two of them hold the same rows, or a folder is given that is none.
    PassportError : the files give their numbers different meanings; the message names the field. Or the genders of
        their body models differ, and a file does not say which it has. Or what is needed to move bodies of an unknown
        frame to the camera would be lost.
    DataError : a file is damaged (the hashes of an ``.h5`` are compared), a column has different shapes, ``out`` cannot
        be written, or the exclusion list names no row of any file.
    """
    if not paths:
        raise UsageError("nothing to merge")
    out, paths = Path(out), [Path(path) for path in paths]
    if out.suffix.lower() not in (".h5", ".npz"):
        raise UsageError("a HumanData file ends in .h5 or .npz", path=out)
    check_output(out, paths, overwrite=True)
    for path in over(paths, "checking files"):
        if path.suffix.lower() == ".h5":
            h5.check_bytes(path)
    entries = [] if without is None else read_exclusions(without)
    excluded = sum(int(excluded_rows(HumanData.open(path), entries).sum()) for path in paths) if entries else 0
    if without is not None and entries and not excluded:
        raise names_nobody(without, entries, paths)

    heads = [(path, head.passport, head.misc) for path in paths for head in [HumanData.open(path)]]
    labels, folders, unknown = labels_of(heads, images or {}, out)

    def tables() -> Iterator[HumanData]:
        for path, label in zip(paths, labels, strict=True):
            table = HumanData.open(path)
            yield label.apply(exclude(table, entries) if entries else table)

    files = _filled([merging.Outline.of(table) for table in tables()])
    passport = merging.joint_passport(files)
    repeated = _repeated(paths)
    by_row = merging.need_gender_rows([file.passport for file in files])

    bent = merging.distortions(tables())
    kids = next((name for file in files for name in file.columns if name.endswith(merging.KID)), None)

    def opened() -> Iterator[HumanData]:
        for table in tables():
            table = merging.with_gender_rows(table) if by_row else table
            table = table if kids is None else merging.with_kid_weights(table, kids)
            yield merging.with_distortion(table, bent) if bent else table

    if by_row or kids or bent:
        files = _filled([merging.Outline.of(table) for table in opened()])
    columns = merging.common_columns([file.columns for file in files])
    left_out = {
        name: [str(file.path) for file in files if name not in file.columns]
        for name in dict.fromkeys(name for file in files for name in file.columns)
        if name not in columns
    }
    whole: dict[str, Any] = {
        "passport": passport,
        "misc": {
            **{key: value for key, value in merging.common_misc([f.misc for f in files]).items() if key != FOLDERS},
            **({"excluded": excluded} if excluded else {}),
            **({FOLDERS: folders} if folders else {}),
        },
        "quality": quality.of_rows(opened()),
        "columns": columns,
    }
    if out.suffix.lower() == ".h5":
        h5.join(opened, out, **whole)
    else:
        with scratch(out) as folder:
            h5.join(opened, folder / out.with_suffix(".h5").name, **whole)
            npz.write(h5.read(folder / out.with_suffix(".h5").name), out)
    return Merged(out, sum(file.rows for file in files), left_out, excluded, folders, unknown, repeated)


def _repeated(paths: Sequence[Path]) -> list[tuple[Path, Path, int]]:
    """Pairs of files of one dataset that have rows in common, and how many.

    Raises
    ------
    UsageError : all rows of two files are the same.
    """
    found = []
    heads = [HumanData.open(path) for path in paths]
    for j, other in enumerate(heads):
        for i, one in enumerate(heads[:j]):
            if not set(one.passport.dataset.split("+")) & set(other.passport.dataset.split("+")):
                continue
            a, b = row_hashes(one), row_hashes(other)
            if len(a) and np.array_equal(np.sort(a), np.sort(b)):
                raise UsageError(f"holds the same rows as {paths[i]}", path=paths[j], fix="merge it once")
            if common := int(np.isin(b, a).sum()):
                found.append((paths[i], paths[j], common))
    return found


def _filled(files: Sequence[merging.Outline]) -> list[merging.Outline]:
    """Those with rows, the first where none has any."""
    return [file for file in files if file.rows] or list(files[:1])
