"""SAM 3D Body's labels in the tars that its script makes: each image, written anew, with a pickle of its people.

Pickles are read without running them. Source: data/scripts/create_webdataset.py of the paper's repository.
"""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ehps.arrays import Array, Mask
from ehps.converters import ranges
from ehps.converters.datasets.sam3d_body_files import FIRST_WRITER, NEWER, OPTIONAL, SHAPES, TEXTS, Labels, labels_of
from ehps.converters.readers import AGAIN, OTHER, opened
from ehps.converters.readers.fields import as_numbers, integers, values
from ehps.converters.readers.parquet_files import text
from ehps.errors import DataError
from ehps.foreign_files import regular, unreadable
from ehps.humandata.pickles import loading

IMAGE, SIZE, PEOPLE = ".jpg", ".metadata.json", ".annotation.pyd"
LARGEST_PICKLE = 256 << 20  # bytes of the people of one image


def read_tar(path: Path, dropped: dict[str, list[str]]) -> Labels:
    """The people of a tar; those of another form are counted in ``dropped``, images are passed over.

    Raises
    ------
    DataError : the file is damaged or holds other things, or most of its people are of another form.
    """
    people: list[dict[str, Any]] = []
    sizes: list[tuple[int, int]] = []
    for key, members in _samples(path, (SIZE, PEOPLE)):
        own, size = _people(path, key, members)
        dataset, _, name = key.partition("-")
        image = {"dataset": dataset, "image": image_of_key(dataset, name), "subject_cnt": len(own)}
        people += [_row(person) | image | {"subject_idx": k} for k, person in enumerate(own)]
        sizes += [size] * len(own)
    columns = {name: [person.get(name) for person in people] for name in ("person_id", *SHAPES, *OPTIONAL)}
    texts = {name: [text(person.get(name)) for person in people] for name in TEXTS}
    masks = [person.get("mask_cnts") for person in people]
    found = labels_of(path, 0, texts, columns, _stacked, masks, dropped)
    found.size[:] = np.array(sizes, np.int64).reshape(-1, 2)[found.row]
    return found


def _row(person: dict[str, Any]) -> dict[str, Any]:
    """The columns of the Parquet files, as far as a person of the tars has them."""
    mask = person.get("mask")
    size, counts = (mask.get("size"), mask.get("counts")) if isinstance(mask, dict) else (None, None)
    own = {"date": person.get("mhr_version"), "mask_size": size, "mask_cnts": counts}
    return person | person["mhr_params"] | person["metadata"] | own


def image_of_key(dataset: str, name: str) -> str:
    """The image's name in the labels by its name in the tars, ``-`` standing for ``/`` in datasets with folders: one
    that was in the name is not told apart."""
    parts = name.split("-")
    if dataset == "egohumans" and len(parts) == 5 and re.fullmatch(r"aira\d+", parts[2]):
        parts = parts[:2] + parts[3:]
        return f"{'/'.join(parts)}{IMAGE}"
    if dataset in ("egoexo4d", "harmony4d") or (dataset == "3dpw" and len(parts) == 2):
        return f"{'/'.join(parts)}{IMAGE}"
    return f"{name}{IMAGE}"


def images_of(path: Path) -> Iterator[tuple[str, str, bytes]]:
    """Dataset, name in the labels and content of each image of a tar."""
    for key, members in _samples(path, (IMAGE,)):
        dataset, _, name = key.partition("-")
        yield dataset, image_of_key(dataset, name), members[IMAGE]


def _samples(path: Path, wanted: Sequence[str]) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Key and wanted members of each image, which lie together."""
    opened.note(path)
    regular(path)
    members: dict[str, bytes] = {}
    current = ""
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                ending = next((end for end in (IMAGE, SIZE, PEOPLE) if member.name.endswith(end)), "")
                if not (member.isreg() and ending):
                    continue
                key = member.name.removesuffix(ending)
                if key != current and members:
                    yield current, members
                    members = {}
                current = key
                if ending in wanted:
                    if ending != IMAGE and member.size > LARGEST_PICKLE:
                        raise DataError(f"{member.name} has {member.size:,} bytes", path=path, fix=OTHER)
                    content = tar.extractfile(member)
                    members[ending] = b"" if content is None else content.read()
                    if len(members[ending]) != member.size:
                        raise tarfile.ReadError
        if members:
            yield current, members
    except (tarfile.TarError, OSError, EOFError):
        raise unreadable(path, "a tar of SAM 3D Body", AGAIN, OTHER, ["a tar archive"]) from None


def _people(path: Path, key: str, members: Mapping[str, bytes]) -> tuple[list[dict[str, Any]], tuple[int, int]]:
    """The people of an image, and its height and width.

    Raises
    ------
    DataError : what should say them is not there, or of another form.
    """
    for ending in (SIZE, PEOPLE):
        if ending not in members:
            raise DataError(f"has no {key}{ending}", path=path, fix=AGAIN)
    people = loading.load_pickle(members[PEOPLE], where=f"{path}: {key}{PEOPLE}")
    if not isinstance(people, list) or not all(isinstance(person, dict) for person in people):
        raise DataError(f"{key}{PEOPLE} holds no list of people", path=path, fix=OTHER)
    for person in people:
        for part in ("mhr_params", "metadata"):
            if not isinstance(person.get(part), dict):
                raise DataError(f"{key}{PEOPLE}: a person has no {part}", path=path, fix=OTHER)
        if old := [name for name in FIRST_WRITER if name in person["mhr_params"]]:
            what = f"{key}{PEOPLE} has the parameters of the first release ({', '.join(old)})"
            raise DataError(what, path=path, fix=f"{NEWER}, and make the tars again")
    try:
        content = json.loads(members[SIZE])
    except ValueError:
        raise DataError(f"{key}{SIZE} is no JSON", path=path, fix=AGAIN) from None
    size = values(content, {"height": integers(), "width": integers()}, path, f"{key}{SIZE}")
    height, width = int(size["height"]), int(size["width"])
    if not (0 < height <= ranges.PIXELS and 0 < width <= ranges.PIXELS):
        raise DataError(f"{key}{SIZE} says {width} x {height} pixels", path=path, fix=OTHER)
    return people, (height, width)


def _stacked(found: Sequence[Any], *shape: int | Sequence[int]) -> tuple[Array, Mask]:
    """As :func:`ehps.converters.readers.parquet_files.numbers`, of a list."""
    arrays = [as_numbers(value) for value in found]
    allowed = [[axis] if isinstance(axis, int) else list(axis) for axis in shape]

    def fits(array: Array | None) -> bool:
        return array is not None and array.ndim == len(shape) and all(map(list.__contains__, allowed, array.shape))

    sizes = next((array.shape for array in arrays if array is not None and fits(array)), tuple(a[0] for a in allowed))
    known = np.array([array is not None and array.shape == sizes and fits(array) for array in arrays], bool)
    out = np.zeros((len(found), *sizes))
    rows = np.flatnonzero(known).tolist()
    if rows:
        out[rows] = np.stack([np.asarray(arrays[row], float) for row in rows])
    return out, known
