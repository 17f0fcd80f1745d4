"""Writing the tars of :mod:`ehps.exchange.hmr_tars`: labels of many images at once.

All pickles of images with the same number of people are alike but for their numbers and the path at their end: one is
made and its numbers are replaced, for a thousand images in one assignment of bytes. Headers of members are made in the
same manner. The bytes are those that ``pickle`` and ``tarfile`` read.
"""

from __future__ import annotations

import itertools
import os
import tarfile
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import IO, TypeAlias

import numpy as np

from ehps.arrays import Array
from ehps.atomic import scratch
from ehps.errors import DataError, UsageError
from ehps.exchange import hmr_rows
from ehps.exchange.forms import Sources, Written
from ehps.exchange.hmr_rows import PIXELS, POINTS
from ehps.exchange.hmr_tars import LABELS, PATH
from ehps.exchange.packed_images import packed
from ehps.humandata import image_files
from ehps.humandata.core import HumanData
from ehps.humandata.image_checks import stated_sizes
from ehps.humandata.image_files import ImageFolder
from ehps.humandata.storage import npz_pickle

PROGRAM = "4D-Humans"
SHARD_BYTES = 1_000_000_000
BLOCK = 1024  # images whose labels are made at once
AT_ONCE = 64  # images that are in memory
Bytes: TypeAlias = bytes | memoryview
RECORD = tarfile.RECORDSIZE
UNIT = tarfile.BLOCKSIZE
SHAPES = {
    "keypoints_2d": (44, 3),
    "keypoints_3d": (44, 4),
    "center": (2,),
    "scale": (2,),
    "body_pose": (72,),
    "has_body_pose": (),
    "betas": (10,),
    "has_betas": (),
}
COUNT = sum(int(np.prod(shape)) for shape in SHAPES.values())
ENDINGS = {".jpg": "jpg", ".jpeg": "jpeg", ".png": "png"}


def write(hd: HumanData, out: Path, sources: Sources) -> Written:
    """Numbered tars of about 1 GB in the folder ``out``, and ``datasets_tar.yaml``, their entry for a configuration.

    People of one image are together, images in the order in which they first occur.

    Raises
    ------
    UsageError : no folder of images is given, ``out`` is not empty, or bodies of another model.
    DataError : the file has no boxes or points; an image is missing, cannot be read, or is neither JPEG nor PNG.
    PassportError : bodies of another frame or gender.
    """
    if sources.images is None:
        raise UsageError("the images belong into the tars", path=hd.source, fix="give their folder with --images")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError("is there already and is not empty", path=out, fix="name a new folder")
    left_out: list[str] = []
    numbers_of(hd[:1], left_out)
    _say_what_is_left(hd, left_out)
    hmr_rows.need_body(hd, "smpl", PROGRAM)
    folder = image_files.images_of(hd, sources.images)
    with scratch(out) as room:
        written = _write_shards(_samples(hd, folder), room)
        yaml = _entry(out.name, len(written), len(hd))
        (room / "datasets_tar.yaml").write_text(yaml, encoding="utf-8")
        out.mkdir(parents=True, exist_ok=True)
        for path in sorted(room.iterdir()):
            path.rename(out / path.name)
    files = sorted(out.iterdir())
    return Written(files, left_out)


def _entry(name: str, shards: int, rows: int) -> str:
    """What the configuration of the program's training data takes."""
    return (
        f"{name.upper()}:\n    TYPE: ImageDataset\n    URLS: {name}/{{000000..{max(shards - 1, 0):06d}}}.tar\n"
        f"    epoch_size: {rows}\n"
    )


def numbers_of(hd: HumanData, left_out: list[str]) -> Array:
    """(N, COUNT) float32: all numbers of a person, in the order of :data:`SHAPES`."""
    hmr_rows.need_body(hd, "smpl", PROGRAM)
    n = len(hd)
    center, side = hmr_rows.centres(hd, PROGRAM)
    betas = np.asarray(hd["smpl/betas"])
    if betas.shape[1] != 10:
        fix = "`ehps humandata convert FILE --num-betas 10 --out NEW`"
        raise DataError(f"has {betas.shape[1]} betas, and {PROGRAM} reads 10", path=hd.source, fix=fix)
    points = hmr_rows.points(hd, "keypoints2d", POINTS, left_out)
    if points is None:
        raise DataError(f"has none of the 2D points that {PROGRAM} reads", path=hd.source)
    known = hmr_rows.points(hd, "keypoints3d", POINTS, left_out)
    values = {
        "keypoints_2d": points,
        "keypoints_3d": np.zeros((n, 44, 4), np.float32) if known is None else known,
        "center": center,
        "scale": side / PIXELS,
        "body_pose": hmr_rows.pose(hd, "smpl", ("global_orient", "body_pose")),
        "has_body_pose": np.ones(n),
        "betas": betas,
        "has_betas": np.ones(n),
    }
    return np.concatenate([np.asarray(values[name], "<f4").reshape(n, -1) for name in SHAPES], axis=1)


def _say_what_is_left(hd: HumanData, left_out: list[str]) -> None:
    if "smpl/transl" in hd:
        left_out.append("smpl/transl: the form has no translation")
    if "meta/focal_length" in hd:
        left_out.append("meta/focal_length, meta/principal_point: the form has no camera")
    held = {"image_path", "bbox_xywh", "meta/gender", "meta/height", "meta/width"}
    held |= {"meta/focal_length", "meta/principal_point"}
    held |= {f"smpl/{name}" for name in ("betas", "transl", "global_orient", "body_pose")}
    left_out.extend(hmr_rows.others(hd, held))


# -- samples ----------------------------------------------------------------------------------------------


def _samples(hd: HumanData, folder: ImageFolder) -> Iterator[list[Bytes]]:
    """What each image adds to a tar: header, image, header, labels, with padding."""
    used: set[str] = set()
    stated = stated_sizes(hd)
    for first_rows, paths, labels in labels_of_images(hd):
        keys = [_key(path, used) for path in paths]
        sizes = [len(fixed) + len(rest) for fixed, rest in labels]
        label_heads = headers([f"{key}.{LABELS}" for key in keys], sizes)
        for begin in range(0, len(paths), AT_ONCE):
            part = slice(begin, begin + AT_ONCE)
            content = [
                packed(folder.locate(path, row), stated[row])
                for row, path in zip(first_rows[part], paths[part], strict=True)
            ]
            endings = map(_ending, paths[part], content)
            members = [f"{key}.{ending}" for key, ending in zip(keys[part], endings, strict=True)]
            heads = headers(members, [len(data) for data in content])
            rest = zip(label_heads[part], labels[part], sizes[part], strict=True)
            for head, image, (label_head, label, size) in zip(heads, content, rest, strict=True):
                yield [head, image, PADDING[-len(image) % UNIT], label_head, *label, PADDING[-size % UNIT]]


def labels_of_images(hd: HumanData) -> Iterator[tuple[list[int], list[str], list[tuple[Bytes, Bytes]]]]:
    """First rows, paths and pickles (in two parts) of some images at a time, in the order in which they first occur."""
    codes = np.asarray(hd["image_path"].codes)
    distinct, first, image = np.unique(codes, return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")
    rank = np.empty(len(order), np.intp)
    rank[order] = np.arange(len(order))
    rows = np.argsort(rank[image.ravel()], kind="stable")  # image by image, people of each as they were
    counts = np.bincount(rank[image.ravel()], minlength=len(order))
    ends = np.cumsum(counts)
    starts = ends - counts
    for begin in range(0, len(order), BLOCK):
        block = slice(begin, begin + BLOCK)
        paths = hd["image_path"].vocabulary.texts(distinct[order[block]])
        own = slice(int(starts[begin]), int(ends[block][-1]))
        numbers = numbers_of(hd[rows[own]], [])
        labels: list[tuple[Bytes, Bytes]] = [(b"", b"")] * len(paths)
        for k in np.unique(counts[block]).tolist():
            which = np.flatnonzero(counts[block] == k)
            taken = starts[block][which][:, None] - own.start + np.arange(k)
            pickles = _pickles(numbers[taken], [paths[i] for i in which.tolist()])
            for place, parts in zip(which.tolist(), pickles, strict=True):
                labels[place] = parts
        yield first[order[block]].tolist(), paths, labels


PADDING = [bytes(n) for n in range(UNIT)]


def _key(path: str, used: set[str]) -> str:
    """The path without its ending and with no dot in it: the key of a sample ends at the first."""
    key = stem = path.rpartition(".")[0].replace(".", "_").lstrip("/")
    k = 1
    while key in used:
        key, k = f"{stem}-{k}", k + 1
    used.add(key)
    return key


def _ending(path: str, data: bytes) -> str:
    suffix = ".png" if data.startswith(image_files.PNG) else os.path.splitext(path)[1].lower()
    if suffix not in ENDINGS:
        raise DataError(f"{PROGRAM} reads JPEG and PNG, not {suffix or 'files without ending'}", path=path)
    return ENDINGS[suffix]


def _pickles(numbers: Array, paths: Sequence[str]) -> Iterator[tuple[Bytes, Bytes]]:
    """Lists of people: ``numbers`` (M, people, COUNT) of M images, and the paths of these. Each in two parts."""
    head, tail, places = _template(numbers.shape[1])
    filled = np.empty((len(numbers), len(head)), np.uint8)
    filled[:] = head
    values = np.ascontiguousarray(numbers).view(np.uint8).reshape(len(numbers), -1)
    for taken, place in places:
        filled[:, place] = values[:, taken]
    size, whole = len(head), memoryview(filled.reshape(-1))
    for k, path in enumerate(paths):
        text = path.encode()
        yield whole[k * size : (k + 1) * size], len(text).to_bytes(4, "little") + text + tail


@cache
def _template(people: int) -> tuple[Array, bytes, list[tuple[slice, slice]]]:
    """A pickle up to the length of its path, what comes after the path, and which bytes of the numbers lie where."""

    def dumped(number: float) -> bytes:
        persons = [
            {name: np.full(shape, number, "<f4") for name, shape in SHAPES.items()}
            | {"personid": k, "extra_info": {PATH: MARK} if k == people - 1 else {}}
            for k in range(people)
        ]
        return npz_pickle.dumps(persons)

    one, other = dumped(OTHER[0]), dumped(OTHER[1])
    start = one.index(MARK.encode())
    head = np.frombuffer(one[: start - 4], np.uint8)
    differ = np.flatnonzero(head != np.frombuffer(other[: start - 4], np.uint8))
    assert len(differ) == 4 * people * COUNT
    breaks = [0, *(np.flatnonzero(np.diff(differ) > 1) + 1).tolist(), len(differ)]
    places = [(slice(a, b), slice(int(differ[a]), int(differ[b - 1]) + 1)) for a, b in itertools.pairwise(breaks)]
    return head, one[start + len(MARK) :], places


OTHER = np.array([0x01010101, 0x02020202], np.uint32).view(np.float32)
"""Two numbers that differ in each byte."""
MARK = "path " * 60
"""Longer than the texts whose length a pickle has in one byte: in four there is room for any path."""


# -- tars -------------------------------------------------------------------------------------------------


def headers(names: Sequence[str], sizes: Sequence[int]) -> list[bytes]:
    """Headers of members that are regular files, as ``tarfile`` writes them."""
    encoded = [name.encode() for name in names]
    out = np.tile(np.frombuffer(_header(), np.uint8), (len(names), 1))
    short = [name if len(name) <= tarfile.LENGTH_NAME else b"" for name in encoded]
    out[:, : tarfile.LENGTH_NAME] = np.array(short, f"S{tarfile.LENGTH_NAME}").view(np.uint8).reshape(len(names), -1)
    size = np.asarray(sizes, np.int64)[:, None]
    out[:, 124:135] = (size >> (3 * np.arange(10, -1, -1)) & 7) + ord("0")
    out[:, 148:156] = ord(" ")
    total = out.sum(axis=1, dtype=np.int64)[:, None]
    out[:, 148:154] = (total >> (3 * np.arange(5, -1, -1)) & 7) + ord("0")
    out[:, 154] = 0
    whole = out.tobytes()
    return [whole[k * UNIT : (k + 1) * UNIT] if short[k] else _header(names[k], sizes[k]) for k in range(len(encoded))]


def _header(name: str = "", size: int = 0) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o644
    return member.tobuf(tarfile.GNU_FORMAT)


def _write_shards(samples: Iterator[list[Bytes]], folder: Path) -> list[Path]:
    """Numbered tars of whole samples, none much larger than :data:`SHARD_BYTES`."""
    paths: list[Path] = []
    file: IO[bytes] | None = None
    nbytes = 0
    try:
        for sample in samples:
            size = sum(map(len, sample))
            if file is None or (nbytes and nbytes + size > SHARD_BYTES):
                _finish(file, nbytes)
                paths.append(folder / f"{len(paths):06d}.tar")
                file, nbytes = paths[-1].open("wb", buffering=1 << 20), 0
            file.writelines(sample)
            nbytes += size
        _finish(file, nbytes)
    finally:
        if file is not None:
            file.close()
    return paths


def _finish(file: IO[bytes] | None, nbytes: int) -> None:
    if file is not None:
        file.write(bytes(2 * UNIT + -(nbytes + 2 * UNIT) % RECORD))
        file.close()
