"""Parquet shards with the images inside, in the layout of the Hugging Face hub.

A folder of ``data/SPLIT-00000-of-00003.parquet`` and a ``README.md``. Every row is one person: all columns of the file,
and ``image`` with the bytes of the image file as they are. What types the columns have stands in each shard under the
key ``huggingface``, where ``datasets`` looks for it; passport, names of keypoints and constants of the file under
``ehps``. Texts and numbers come back as they were, bit by bit.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ehps.arrays import Array
from ehps.atomic import scratch
from ehps.errors import DataError, UsageError
from ehps.exchange import hub_features
from ehps.exchange.dataset_card import dataset_card
from ehps.exchange.forms import Sources, Stated, Written
from ehps.exchange.hub_features import IMAGE
from ehps.exchange.packed_images import packed, unpack
from ehps.extras import need
from ehps.humandata import image_files
from ehps.humandata.core import HumanData
from ehps.humandata.image_checks import stated_sizes
from ehps.humandata.image_files import ImageFolder
from ehps.humandata.passport import Passport
from ehps.humandata.strings import Strings
from ehps.humandata.table import Column

KEY, HUB_KEY = b"ehps", b"huggingface"
GROUP_BYTES = 64 << 20
"""Of the images and numbers of a row group, about; no more than a few such groups are in memory."""
SHARD_BYTES = 500_000_000
GROUP_ROWS = 10_000
BATCH, BATCH_WITH_IMAGES = 4000, 100
FIX = "it must have been written by `ehps humandata export --for parquet`"


def write(hd: HumanData, out: Path, sources: Sources) -> Written:
    """Shards, a dataset card and Croissant metadata in the folder ``out``.

    Parameters
    ----------
    sources : its ``images`` are packed; without it the shards have no images.

    Raises
    ------
    UsageError : the folder is not empty, or a column has the name that images have.
    DataError : an image is missing or cannot be read, or the disk is full.
    """
    need("Parquet", "pyarrow", "yaml")
    import pyarrow as pa
    from pyarrow import parquet

    from ehps.exchange.croissant import describe

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError("is there already and is not empty", path=out, fix="name a new folder")
    numbers = {name: column for name in hd.columns if not isinstance(column := hd[name], Strings)}
    if empty := [name for name, column in numbers.items() if 0 in column.shape[1:]]:
        what = f"has columns of no numbers, which Parquet does not know: {', '.join(empty)}"
        raise DataError(what, path=hd.source, fix="leave them out: hd.without(NAMES).save(NEW) in Python")
    if IMAGE in hd:
        raise UsageError(f"has a column called {IMAGE}, as the images are in this form", path=hd.source)
    folder = None if sources.images is None else image_files.images_of(hd, sources.images)
    schema = _schema(hd, with_images=folder is not None)
    split = re.sub(r"\W+", "_", hd.passport.split) or "train"
    written = Written()
    with scratch(out) as room:
        (room / "data").mkdir()
        count = 0
        groups = _groups(hd, folder)
        group = next(groups, None)
        while group is not None or not count:
            with parquet.ParquetWriter(
                room / "data" / f"{count}", schema, compression="zstd", dictionary_pagesize_limit=2 * GROUP_BYTES
            ) as file:  # an image that several rows of a group have is stored once
                nbytes = 0
                while group is not None and nbytes < SHARD_BYTES:
                    table = pa.Table.from_arrays(_arrays(group, schema), schema=schema)
                    nbytes += group.nbytes
                    file.write_table(table, row_group_size=max(1, len(group.rows)))
                    group = next(groups, None)
            count += 1
        for i in range(count):
            name = f"{split}-{i:05d}-of-{count:05d}.parquet"
            (room / "data" / f"{i}").rename(room / "data" / name)
        shards = sorted((room / "data").iterdir())
        (room / "README.md").write_text(dataset_card(hd, split, schema, shards), encoding="utf-8")
        describe(hd, room, shards, schema)
        out.mkdir(parents=True, exist_ok=True)
        for path in sorted(room.iterdir()):
            path.rename(out / path.name)
    written.files = [*sorted((out / "data").iterdir()), out / "README.md", out / "croissant.json"]
    if folder is None:
        written.left_out.append("images: none were given (--images DIR); rows have the path only")
    return written


def read(path: Path, stated: Stated, images: Path | None) -> HumanData:
    """All rows of a folder of shards, or of one shard, in the order of their names.

    Parameters
    ----------
    stated : not asked for: the shards say everything.
    images : folder that the images are unpacked into, each at its ``image_path``; without it they stay packed.

    Raises
    ------
    DataError : a shard is damaged, is not of this form, or has other columns than the first.
    """
    need("Parquet", "pyarrow")
    shards = _shards(path)
    if not shards:
        raise DataError("has no .parquet files", path=path, fix=FIX)
    files = [_opened(shard) for shard in shards]
    schema = files[0].schema_arrow
    facts = _facts(schema, shards[0])
    for shard, file in zip(shards, files, strict=True):
        if file.schema_arrow.remove_metadata() != schema.remove_metadata():
            raise DataError(f"has other columns than {shards[0].name}", path=shard, fix=FIX)
    if "image_path" not in schema.names:
        raise DataError("has no image_path", path=shards[0], fix=FIX)
    n = sum(file.metadata.num_rows for file in files)
    names = [field.name for field in schema if field.name != IMAGE]
    columns: dict[str, Column] = {}
    texts: dict[str, list[Strings]] = {}
    for name in names:
        shape, dtype = _shape_of(schema.field(name), shards[0])
        if dtype is None:
            texts[name] = []
        else:
            columns[name] = np.empty((n, *shape), dtype)
    packed = IMAGE in schema.names and images is not None
    first = 0
    for shard, file in zip(shards, files, strict=True):
        wanted = [*names, IMAGE] if packed else names
        for batch in _batches(file, BATCH_WITH_IMAGES if packed else BATCH, wanted, shard):
            rows = slice(first, first + batch.num_rows)
            for name in names:
                values = batch.column(name)
                if _nulls(values):
                    raise DataError(f"has rows without {name}", path=shard, fix=FIX)
                if name in texts:
                    texts[name].append(_strings(values))
                else:
                    columns[name][rows] = _numbers(values, *_shape(values.type))  # type: ignore[index]
            if packed and images is not None:
                stored = batch.column(IMAGE)
                unpack(zip(stored.field("path").to_pylist(), _views(stored.field("bytes")), strict=True), images, shard)
            first = rows.stop
    columns |= {name: Strings.concat(parts) if parts else Strings.of([]) for name, parts in texts.items()}
    return HumanData(
        {name: columns[name] for name in names},
        keypoint_names=facts["keypoint_names"],
        passport=Passport.from_dict(facts["passport"]),
        misc=facts["misc"],
        quality=facts["quality"],
    )


def recognise(path: Path) -> bool:
    """Whether it is a Parquet file, or a folder with some, that says which columns it has."""
    shards = _shards(path)
    if not shards:
        return False
    try:
        from pyarrow import parquet

        return KEY in (parquet.read_schema(shards[0]).metadata or {})
    except (ImportError, OSError, ValueError):
        return False


# -- writing ----------------------------------------------------------------------------------------------


@dataclass
class _Group:
    """Rows that are written at once, the bytes of their images, and which of these each row has."""

    rows: HumanData
    images: list[bytes]
    image: Array
    nbytes: int


def _groups(hd: HumanData, folder: ImageFolder | None) -> Iterator[_Group]:
    """All rows, as many at once as :data:`GROUP_BYTES` allows; each image is read once in a group."""
    numbers = max(1, sum(_row_bytes(hd[name]) for name in hd.columns))
    for start in range(0, len(hd), GROUP_ROWS):
        block = hd[start : start + GROUP_ROWS]
        if folder is None:
            yield _Group(block, [], np.zeros(0, np.intp), numbers * len(block))
            continue
        first, nbytes = 0, 0
        place: dict[int, int] = {}
        images: list[bytes] = []
        image: list[int] = []
        codes, stated = block["image_path"].codes.tolist(), stated_sizes(block)
        for k, code in enumerate(codes):
            if code not in place:
                name = block["image_path"].vocabulary[code]
                place[code] = len(images)
                images.append(packed(folder.locate(name, start + k), stated[k]))
            image.append(place[code])
            nbytes += numbers + len(images[place[code]])  # the rows of one image have it each, until it is written
            if nbytes >= GROUP_BYTES or k == len(codes) - 1:
                yield _Group(block[first : k + 1], images, np.array(image, np.intp), nbytes)
                first, nbytes, place, images, image = k + 1, 0, {}, [], []


def _row_bytes(column: Column) -> int:
    return 4 if isinstance(column, Strings) else column[:1].nbytes


def _schema(hd: HumanData, with_images: bool) -> Any:
    import pyarrow as pa

    fields = [pa.field(IMAGE, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))] if with_images else []
    head = hd[:1]
    for name in hd.columns:
        column = head[name]
        kind = pa.string() if isinstance(column, Strings) else pa.from_numpy_dtype(column.dtype.newbyteorder("="))
        for length in () if isinstance(column, Strings) else reversed(column.shape[1:]):
            kind = pa.list_(kind, int(length))
        fields.append(pa.field(name, kind))
    facts = {
        "passport": hd.passport.to_dict(),
        "keypoint_names": {name: list(names) for name, names in hd.keypoint_names.items()},
        "misc": hd.misc,
        "quality": hd.quality,
    }
    schema = pa.schema(fields)
    hub = {"info": {"features": {field.name: hub_features.stored(field.name, field.type) for field in schema}}}
    return schema.with_metadata({HUB_KEY: json.dumps(hub), KEY: json.dumps(facts)})


def _arrays(group: _Group, schema: Any) -> list[Any]:
    import pyarrow as pa

    arrays = []
    for field in schema:
        if field.name == IMAGE:
            content = pa.array(group.images, pa.binary()).take(pa.array(group.image))
            paths = _text_array(group.rows["image_path"])
            arrays.append(pa.StructArray.from_arrays([content, paths], fields=list(field.type)))
            continue
        column = group.rows[field.name]
        if isinstance(column, Strings):
            arrays.append(_text_array(column))
            continue
        values = np.ascontiguousarray(column, column.dtype.newbyteorder("="))
        array = pa.array(values.reshape(-1))
        for length in reversed(values.shape[1:]):
            array = pa.FixedSizeListArray.from_arrays(array, int(length))
        arrays.append(array)
    return arrays


def _text_array(column: Strings) -> Any:
    import pyarrow as pa

    codes, inverse = np.unique(column.codes, return_inverse=True)
    words = pa.array(column.vocabulary.texts(codes), pa.string())
    return words.take(pa.array(inverse.ravel()))


# -- reading ----------------------------------------------------------------------------------------------


def _shards(path: Path) -> list[Path]:
    if path.is_file():
        return [path] if path.suffix == ".parquet" else []
    return sorted(path.glob("data/*.parquet")) or sorted(path.glob("*.parquet"))


def _opened(shard: Path) -> Any:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        return parquet.ParquetFile(shard)
    except (OSError, pa.ArrowException) as error:
        first = str(error).splitlines()[0]
        raise DataError(f"is no readable Parquet file ({first})", path=shard, fix="copy it again") from None


def _batches(file: Any, size: int, columns: list[str], shard: Path) -> Iterator[Any]:
    import pyarrow as pa

    try:
        yield from file.iter_batches(batch_size=size, columns=columns)
    except (OSError, pa.ArrowException) as error:
        first = str(error).splitlines()[0]
        raise DataError(f"is damaged ({first})", path=shard, fix="copy it again") from None


def _nulls(values: Any) -> bool:
    """Whether a row, or a number of one, is not there."""
    import pyarrow as pa

    while not values.null_count and pa.types.is_fixed_size_list(values.type):
        values = values.flatten()
    return bool(values.null_count)


def _shape_of(field: Any, shard: Path) -> tuple[tuple[int, ...], np.dtype[Any] | None]:
    """Shape of a row of a column, and type of its numbers; None for texts.

    Raises
    ------
    DataError : it holds neither.
    """
    try:
        shape, dtype = _shape(field.type)
    except (NotImplementedError, TypeError):
        dtype, shape = np.dtype(object), ()
    if dtype is not None and dtype.kind not in "biuf":
        raise DataError(f"{field.name} holds {field.type}, neither numbers nor texts", path=shard, fix=FIX)
    return shape, dtype


def _facts(schema: Any, shard: Path) -> dict[str, Any]:
    stored = (schema.metadata or {}).get(KEY)
    try:
        facts = json.loads(stored or "")
        return {name: dict(facts[name]) for name in ("passport", "keypoint_names", "misc", "quality")}
    except (ValueError, KeyError, TypeError):
        raise DataError("does not say what its columns mean", path=shard, fix=FIX) from None


def _shape(kind: Any) -> tuple[tuple[int, ...], np.dtype[Any] | None]:
    """Shape of a row, and type of its numbers; None for texts."""
    import pyarrow as pa

    shape: list[int] = []
    while pa.types.is_fixed_size_list(kind):
        shape.append(kind.list_size)
        kind = kind.value_type
    return tuple(shape), None if pa.types.is_string(kind) else np.dtype(kind.to_pandas_dtype())


def _numbers(values: Any, shape: tuple[int, ...], dtype: np.dtype[Any] | None) -> Array:
    n = len(values)
    for _ in shape:
        values = values.flatten()
    return np.asarray(values.to_numpy(zero_copy_only=False), dtype).reshape(n, *shape)


def _strings(values: Any) -> Strings:
    coded = values.dictionary_encode()
    words = Strings.of(coded.dictionary.to_pylist())
    return Strings(coded.indices.to_numpy(zero_copy_only=False).astype(np.int32), words.vocabulary)


def _views(values: Any) -> Iterator[bytes | None]:
    """One image at a time, so that no more than one is copied."""
    return (value.as_py() for value in values)
