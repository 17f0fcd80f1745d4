"""The native storage: HDF5 whose columns are contiguous and aligned, so that numpy maps them directly.

Layout. A column of numbers is one contiguous little-endian dataset under the column's name (``smplx/betas`` lies in
the group ``smplx``). A column of texts is a group with ``codes`` (N,) int32 into a vocabulary, kept as UTF-8 ``blob``
(uint8) and ``offsets`` (int64, one more than words). Attributes of the root: ``ehps_format``, ``instances``,
``content_sha256``, ``facts_sha256`` (of misc and quality), and as JSON ``columns`` (name, numbers or text, SHA-256 of
its bytes), ``keypoint_names``, ``passport``, ``misc``, ``quality`` (``certificate`` in files of format 1); one above
60 kB is a uint8 dataset in ``ehps_header`` instead (HDF5 limits attributes to 64 kB). Any HDF5 tool reads such a file.
The same content always gives the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ehps.arrays import Array
from ehps.atomic import noting, replacing
from ehps.errors import DataError
from ehps.foreign_files import regular
from ehps.humandata import hdf5_files
from ehps.humandata.memory_map import MappedFile, Stamp, map_file, stamp_of
from ehps.humandata.passport import Passport
from ehps.humandata.storage.former_names import current, current_summary
from ehps.humandata.storage.header_form import HEADER
from ehps.humandata.storage.plan import Plan, Spec, combined, digest, plan_of, stream
from ehps.humandata.strings import Strings, Vocabulary
from ehps.humandata.table import Column, Table
from ehps.json_files import fault, misfit
from ehps.progress import counting, over

LAYOUT = 2  # of the file; 1 had other names for what is measured on conversion
ALIGNMENT = 64  # bytes: a cache line, and more than any vector instruction needs
_ATTRIBUTE_LIMIT = 60_000
_AGAIN = "copy or convert it again"
_DAMAGE = (OSError, LookupError, ValueError, TypeError, RuntimeError, AttributeError, ArithmeticError, MemoryError)
_HEADER = "ehps_header"
_FACTS = "facts_sha256"  # of misc and quality; files of earlier versions have none
_JSON = ("columns", "keypoint_names", "passport", "misc", "quality")


# -- reading ----------------------------------------------------------------------------------------------


def read(path: Path) -> Table:
    """Open a file: its description is read, its columns are only mapped.

    Raises
    ------
    DataError : absent, cut short, damaged, or not a HumanData file.
    """
    path = Path(path)
    with _opened(path) as (file, before):
        header = _header(file)
        mapped = map_file(path)
        columns = {current(name): _column(file.id, name, holds, mapped) for name, holds, _ in header["columns"]}
        wrong = [name for name, column in columns.items() if len(column) != header["instances"]]
        if wrong:
            raise ValueError(f"{wrong[0]} has {len(columns[wrong[0]])} rows of {header['instances']}")
        hd = Table(
            columns,
            keypoint_names=header["keypoint_names"],
            passport=Passport.from_dict(header["passport"]),
            misc=header["misc"],
            quality=header["quality"],
        )
    if mapped.stamp != before:
        raise DataError("was replaced while it was being opened", path=path, fix="try again")
    hd.source = path
    return hd


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Stamp]]:
    """The file opened with h5py, and its state just before; whatever is wrong with it becomes a DataError."""
    try:
        stamp = stamp_of(regular(path))
        with hdf5_files.opened(path) as file:
            if "ehps_format" not in file.attrs:
                raise DataError(
                    "is an HDF5 file, but not a HumanData file", path=path, fix="convert it with ehps convert"
                )
            if (layout := _number(file, "ehps_format")) > LAYOUT:
                raise DataError(
                    f"has format {layout}, newer than this version of ehps understands",
                    path=path,
                    fix="update ehps",
                )
            yield file, stamp
    except DataError as error:
        if error.path is None:
            raise DataError(f"is damaged: {error.what}", path=path, fix=_AGAIN) from error
        raise
    except PermissionError as error:
        raise DataError("no permission to read it", path=path) from error
    except _DAMAGE as error:
        what = "is cut short: it was not written or copied to its end" if "truncated" in str(error) else ""
        detail = f" ({error.args[0]})" if isinstance(error, OSError | KeyError | ValueError) and error.args else ""
        raise DataError(what or f"is damaged or not an HDF5 file{detail}", path=path, fix=_AGAIN) from error


def _header(file: Any) -> dict[str, Any]:
    """The attributes of the root, JSON decoded, in the form that this module writes."""
    former = {"quality": "certificate"} if "certificate" in file.attrs or f"{_HEADER}/certificate" in file else {}
    texts = {name: _text(file, former.get(name, name)) for name in _JSON}
    try:
        header = {name: json.loads(text) for name, text in texts.items()}
    except (ValueError, RecursionError) as error:
        raise DataError(f"its header is no JSON {fault(error)}") from None
    if wrong := misfit(header, HEADER, "its header"):
        raise DataError(wrong)
    for entry in header["columns"]:
        if len(entry) != 3 or entry[1] not in ("numbers", "texts"):
            raise DataError(f"its list of columns has {entry!r}, which is not name, kind and hash")
    if len({name for name, *_ in header["columns"]}) < len(header["columns"]):
        raise DataError("its list of columns names one twice")
    header["facts"] = header["misc"], header["quality"]
    header["quality"] = current_summary(header["quality"])
    return {**header, "instances": _number(file, "instances"), "content_sha256": _text(file, "content_sha256")}


def _number(file: Any, name: str) -> int:
    value = file.attrs[name]
    if not isinstance(value, int | np.integer) or value < 0:
        raise DataError(f"its {name} is {value!r}, not a whole number")
    return int(value)


def _text(file: Any, name: str) -> str:
    if name in file.attrs:
        value = file.attrs[name]
        return value.decode() if isinstance(value, bytes) else str(value)
    return bytes(file[f"{_HEADER}/{name}"][...].tobytes()).decode()


def _column(file: Any, name: str, holds: str, mapped: MappedFile) -> Column:
    if holds == "numbers":
        return _array(file, name, mapped)
    codes, blob, offsets = (_array(file, f"{name}/{part}", mapped) for part in ("codes", "blob", "offsets"))
    if codes.dtype.kind not in "iu" or offsets.dtype.kind not in "iu" or blob.dtype != np.uint8 or not len(offsets):
        raise ValueError(f"{name} has no codes, texts and offsets of whole numbers")
    return Strings(codes, Vocabulary(blob, offsets, mapped.path))


def _array(file: Any, name: str, mapped: MappedFile) -> Array:
    """A dataset as a view of the map; one that some other tool stored in chunks is read into memory."""
    from h5py import Dataset, h5d

    dataset = h5d.open(file, name.encode())
    dtype, shape = dataset.dtype, dataset.shape
    if dtype.kind not in "biuf" or not shape:
        raise ValueError(f"{name} holds {dtype} of shape {shape}")
    size = math.prod(shape)
    offset = dataset.get_offset()
    if size == 0:
        return np.zeros(shape, dtype)
    if offset is None:
        values: Array = Dataset(dataset)[...]
        values.flags.writeable = False
        return values
    return np.frombuffer(mapped, dtype, size, offset).reshape(shape)


def content_hash(path: Path, *, recompute: bool = False) -> str:
    """SHA-256 over column names, types, shapes and bytes, keypoint names and passport.

    Stored with the file, so this is quick; ``recompute`` reads all columns instead. :func:`digest` gives the same hash
    for the same content in memory or from an ``.npz``.
    """
    path = Path(path)
    if recompute:
        return digest(read(path))
    with _opened(path) as (file, _):
        return str(_header(file)["content_sha256"])


def damaged_columns(path: Path, *, show: bool | None = False) -> list[str]:
    """What of a file is not as it was written, by comparison with the hashes stored in it; empty when all is.

    Names of columns; ``passport`` stands for the passport, the list of columns and the names of keypoints, ``misc`` for
    misc and quality. Reads the whole file, several columns at a time.

    Parameters
    ----------
    show : print how far this is; None as the program wants it.

    Raises
    ------
    DataError : the file cannot even be opened.
    """
    path = Path(path)
    with _opened(path) as (file, _):
        header, mapped = _header(file), map_file(path)
        damaged = _damaged(file.id, header, mapped, show)
        specs = {}
        for name, holds, _ in header["columns"]:
            values = _array(file.id, name if holds == "numbers" else f"{name}/codes", mapped)
            specs[name] = Spec(values.dtype, values.shape[1:], holds != "numbers")
        plan = Plan(specs, header["instances"], {name: tuple(v) for name, v in header["keypoint_names"].items()})
        stored = {name: sha for name, _, sha in header["columns"]}
        if combined(stored, plan, header["passport"]) != header["content_sha256"]:
            damaged.append("passport")
        if _FACTS in file.attrs and _text(file, _FACTS) != _hash_of(*header["facts"]):
            damaged.append("misc")
    return damaged


def verify(path: str | Path) -> list[str]:
    """:func:`damaged_columns` as sentences."""
    said = {
        "passport": "its passport, its list of columns or its keypoint names are not as they were written",
        "misc": "its misc or quality are not as they were written",
    }
    return [said.get(name, f"column {name} is not as it was written") for name in damaged_columns(Path(path))]


def check_bytes(path: str | Path) -> None:
    """
    Raises
    ------
    DataError : something of an ``.h5`` is not as it was written (see :func:`verify`).
    """
    if problems := verify(path):
        raise DataError(f"is damaged: {'; '.join(problems)}", path=path, fix=_AGAIN)


def _damaged(file: Any, header: Mapping[str, Any], mapped: MappedFile, show: bool | None) -> list[str]:
    def intact(entry: Sequence[str]) -> bool:
        name, holds, sha = entry
        digest = hashlib.sha256()
        for part in [name] if holds == "numbers" else [f"{name}/{part}" for part in ("codes", "blob", "offsets")]:
            digest.update(np.ascontiguousarray(_array(file, part, mapped)).reshape(-1).view(np.uint8).data)
        return digest.hexdigest() == sha

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:  # hashing lets other threads run
        found = over(pool.map(intact, header["columns"]), "checking columns", len(header["columns"]), show=show)
        return [current(entry[0]) for entry, whole in zip(header["columns"], found, strict=True) if not whole]


def _hash_of(*facts: Any) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


# -- writing ----------------------------------------------------------------------------------------------


def write(hd: Table, path: Path) -> None:
    """Store ``hd``, atomically; needs little memory whatever the size.

    Raises
    ------
    DataError : a column that cannot be stored, no permission, disk full.
    """
    _store(Path(path), [hd], plan_of([hd]), hd.passport, hd.misc, hd.quality)


def join(
    parts: Callable[[], Iterable[Table]],
    out: Path,
    *,
    passport: Passport,
    misc: Mapping[str, Any],
    quality: Mapping[str, Any],
    columns: Sequence[str] | None = None,
) -> None:
    """All rows of ``parts``, in order, as one file, with bounded memory.

    Parts must have the same columns, or only ``columns`` are taken; parts without rows are skipped. Keypoint
    columns with differing points get the union, confidence 0 where a part has no such point.

    Parameters
    ----------
    parts : gives the tables anew at each call, in order; they are gone through twice, and one that opens its files as
        it goes has one open at a time.
    out : the ``.h5`` file.
    passport : of the whole.
    misc : facts of the whole.
    quality : summary over all rows.
    columns : to take, in the order of the parts; all when None.

    Raises
    ------
    DataError : a part is damaged or has other columns or shapes; ``out`` cannot be written.
    """
    plan = plan_of(parts(), columns)
    with counting("writing rows", plan.length) as advance:
        _store(Path(out), (part for part in parts() if len(part)), plan, passport, misc, quality, advance)


def _store(
    path: Path,
    parts: Iterable[Table],
    plan: Plan,
    passport: Passport,
    misc: Mapping[str, Any],
    quality: Mapping[str, Any],
    advance: Callable[[int], None] | None = None,
) -> None:
    import h5py

    _check_names(plan, path)
    with replacing(path, plan.length * plan.row_bytes) as temporary, noting(temporary) as written:
        file = h5py.File(
            written,
            "w",
            libver=("earliest", "v110"),
            alignment_threshold=1,
            alignment_interval=ALIGNMENT,
        )
        with file:
            create = _creator(file)
            targets = {
                name: create(f"{name}/codes" if spec.text else name, (plan.length, *spec.tail), spec.dtype)
                for name, spec in plan.specs.items()
            }

            def sink(name: str, values: Array, start: int) -> None:
                _write_rows(targets[name], values, start)
                written.check()

            digests, texts = stream(parts, plan, sink, advance)
            for name, coder in texts.items():
                blob, offsets = coder.vocabulary()
                _write_rows(create(f"{name}/blob", blob.shape, blob.dtype), blob)
                _write_rows(create(f"{name}/offsets", offsets.shape, offsets.dtype), offsets)
            columns = [[name, "texts" if spec.text else "numbers", digests[name]] for name, spec in plan.specs.items()]
            file.attrs["ehps_format"] = LAYOUT
            file.attrs["instances"] = plan.length
            _put_text(file, "content_sha256", combined(digests, plan, passport.to_dict()))
            values = (columns, plan.keypoint_names, passport.to_dict(), misc, quality)
            texts_of = [json.dumps(value, sort_keys=True, default=_plain, ensure_ascii=False) for value in values]
            for name, text in zip(_JSON, texts_of, strict=True):
                _put_text(file, name, text)
            _put_text(file, _FACTS, _hash_of(*map(json.loads, texts_of[-2:])))


def _creator(file: Any) -> Callable[[str, tuple[int, ...], np.dtype[Any]], Any]:
    """A function that adds a dataset to the file, and the groups that its name stands in.

    h5py's own asks for twenty settings at each call, which costs more than the rows of a small part.
    """
    from h5py import h5d, h5p, h5s, h5t

    settings = h5p.create(h5p.DATASET_CREATE)
    settings.set_obj_track_times(False)
    names = h5p.create(h5p.LINK_CREATE)
    names.set_create_intermediate_group(True)
    names.set_char_encoding(h5t.CSET_UTF8)

    def create(name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
        stored = h5t.py_create(dtype, logical=True)
        return h5d.create(file.id, name.encode(), stored, h5s.create_simple(shape), settings, names)

    return create


def _write_rows(dataset: Any, values: Array, start: int = 0) -> None:
    """Write consecutive rows, the first of which has the index ``start``."""
    from h5py import h5s

    if not values.size:
        return
    if values.shape == dataset.shape:
        dataset.write(h5s.ALL, h5s.ALL, np.ascontiguousarray(values))
        return
    there = dataset.get_space()
    there.select_hyperslab((start, *([0] * (values.ndim - 1))), values.shape)
    dataset.write(h5s.create_simple(values.shape), there, np.ascontiguousarray(values))


def _put_text(file: Any, name: str, text: str) -> None:
    import h5py

    data = text.encode()
    if len(data) > _ATTRIBUTE_LIMIT:
        blob = np.frombuffer(data, np.uint8)
        file.create_dataset(f"{_HEADER}/{name}", data=blob, track_times=False)
    else:
        file.attrs.create(name, data, dtype=h5py.string_dtype("utf-8", len(data)))


def _plain(value: Any) -> Any:
    """JSON form of what numpy and pathlib put into ``misc`` and ``quality``."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Path):
        return value.as_posix()
    raise TypeError(f"{type(value).__name__} cannot be stored in misc or quality")


def _check_names(plan: Plan, path: Path) -> None:
    """Names become paths inside the file: ``a`` and ``a/b`` cannot both be columns."""
    taken = set(plan.specs)
    for name in plan.specs:
        pieces = name.split("/")
        above = {"/".join(pieces[:i]) for i in range(1, len(pieces))}
        if any(piece in ("", ".") for piece in pieces) or pieces[0] == _HEADER or above & taken:
            raise DataError(f"a column cannot be called {name!r} here", path=path, fix="rename it")
