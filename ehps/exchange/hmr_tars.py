"""WebDataset tars of 4D-Humans, HaMeR and TokenHMR: images, and beside each a pickled list of its people.

``000000.tar`` ... with members ``KEY.jpg`` and ``KEY.data.pyd``. A person is a dict: keypoints_2d (44, 3) in pixels of
the image, keypoints_3d (44, 4), center (2,), scale (2,) in units of 200 pixels, body_pose (72,), betas (10,) of the
neutral SMPL, has_body_pose, has_betas. There is no camera and no translation. The full path of an image is kept in
``extra_info``, where readers look for nothing else that is missing. Pickles are read as plain data only.
Facts: ``ImageDataset.load_tars_as_webdataset`` of these programs.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ehps.arrays import Array
from ehps.converters.readers import fields
from ehps.converters.readers.fields import numbers
from ehps.errors import DataError
from ehps.exchange import hmr_rows
from ehps.exchange.forms import Stated
from ehps.exchange.hmr_rows import PIXELS, POINTS, settled
from ehps.exchange.packed_images import unpack
from ehps.foreign_files import regular
from ehps.humandata.core import HumanData
from ehps.humandata.image_headers import read_header
from ehps.humandata.pickles import load_pickle

IMAGES = ("jpg", "jpeg", "png")
LABELS = "data.pyd"
MOST_BYTES = 1 << 28
"""Of one member; an image or the people on it are far below that."""
PERSON = {
    "keypoints_2d": numbers(44, 3),
    "keypoints_3d": numbers(44, 4),
    "center": numbers(2),
    "scale": numbers(2),
    "body_pose": numbers(72),
    "has_body_pose": numbers(),
    "betas": numbers(10),
    "has_betas": numbers(),
}
HANDS = "is of hands (HaMeR), which HumanData has no columns for without a body"
PATH = "image_path"
SHOWN = 10
AGAIN = "copy or download it again"


def read(path: Path, stated: Stated, images: Path | None) -> HumanData:
    """People of one tar, or of all ``.tar`` files of a folder in the order of their names.

    Parameters
    ----------
    stated : not asked for; a gender that is not neutral contradicts the form.
    images : folder that the images are unpacked into, each at its ``image_path``; without it that leads to the member
        of a tar (``000000.tar/KEY.jpg``) and no trainer can open it.

    Raises
    ------
    DataError : a tar is damaged, cut short, holds an image without labels or the other way round, or people of another
        form; or some people have a body and others none.
    UnsafeFileError : a pickle asks for anything but plain data.
    """
    shards = [path] if path.is_file() else sorted(path.glob("*.tar"))
    if not shards:
        raise DataError("has no .tar files", path=path, fix="give a tar, or the folder of the numbered ones")
    _check_numbers(shards, path)
    gender = settled("gender", stated, "neutral", path)
    settled("frame", stated, "opencv-camera", path)
    parts: list[dict[str, Array]] = []
    names: list[str] = []
    sizes: list[tuple[int, int]] = []
    for shard in shards:
        for member, content, people in _samples(shard):
            own = _own_path(people)
            name = f"{shard.name}/{member}" if images is None else own or member
            if images is not None:
                unpack([(name, content)], images, shard)
            names += [name] * len(people)
            sizes += [_size(content, shard, member)] * len(people)
            parts += [fields.values(person, PERSON, shard, f"{member}: a person") for person in people]
    return _people(parts, names, sizes, gender, path)


def recognise(path: Path) -> bool:
    """Whether a tar, or the first of a folder, has labels of people beside its first image."""
    shards = [path] if path.is_file() else sorted(path.glob("*.tar"))[:1]
    if not shards or shards[0].suffix != ".tar":
        return False
    try:
        with tarfile.open(regular(shards[0])) as tar:
            first = [tar.next() for _ in range(3)]
    except (OSError, tarfile.TarError, DataError):
        return False
    return any(member is not None and member.name.endswith(f".{LABELS}") for member in first)


def _check_numbers(shards: list[Path], path: Path) -> None:
    """Raise when one of the numbered tars between the first and the last is not there."""
    numbers = [int(shard.stem) for shard in shards if shard.stem.isdigit()]
    if missing := sorted(set(range(max(numbers, default=0))) - set(numbers)) if len(shards) > 1 else []:
        named = ", ".join(f"{number:06d}.tar" for number in missing[:SHOWN]) + " ..." * (len(missing) > SHOWN)
        raise DataError(f"lacks {len(missing)} of its numbered tars: {named}", path=path, fix=AGAIN)


def _samples(shard: Path) -> Iterator[tuple[str, bytes, list[Any]]]:
    """Name of the image, its bytes, and its people, in the order of the tar.

    Raises
    ------
    DataError : as :func:`read`.
    """
    key, image, people = "", None, None
    try:
        _check_end(shard)
        with tarfile.open(regular(shard)) as tar:
            for member in tar:
                if not member.isfile():
                    continue
                stem, ending = _key(member.name)
                if stem != key:
                    if key:
                        yield _whole(shard, key, image, people)
                    key, image, people = stem, None, None
                if member.size > MOST_BYTES:
                    raise DataError(f"member {member.name} has {member.size / 1e6:.0f} MB, too much", path=shard)
                file = tar.extractfile(member)
                content = b"" if file is None else file.read()
                if ending in IMAGES:
                    image = (member.name, content)
                elif ending == LABELS:
                    people = load_pickle(content, where=f"{shard}[{member.name}]")
    except (tarfile.TarError, OSError, EOFError) as error:
        raise DataError(f"is no whole tar ({str(error).splitlines()[0]})", path=shard, fix=AGAIN) from None
    if key:
        yield _whole(shard, key, image, people)


def _check_end(shard: Path) -> None:
    """Raise unless the tar ends as tars do: one that is cut within a header would be taken for a shorter one."""
    end = 2 * tarfile.BLOCKSIZE
    with regular(shard).open("rb") as file:
        file.seek(max(0, shard.stat().st_size - end))
        if file.read() != bytes(end):
            raise DataError("is no whole tar: it has no end", path=shard, fix=AGAIN)


def _key(name: str) -> tuple[str, str]:
    """Key and ending of a member, which its name is divided into at the first dot after the last slash."""
    folder, slash, file = name.rpartition("/")
    stem, _, ending = file.partition(".")
    return folder + slash + stem, ending.lower()


def _whole(shard: Path, key: str, image: tuple[str, bytes] | None, people: Any) -> tuple[str, bytes, list[Any]]:
    if image is None or people is None:
        lacks = "image" if image is None else LABELS
        raise DataError(f"{key} has no {lacks}", path=shard, fix="the tar may be cut short: download it again")
    if not isinstance(people, list) or not all(isinstance(person, dict) for person in people):
        raise DataError(f"{key}.{LABELS} holds {fields.described(people)}, expected a list of people", path=shard)
    if any("hand_pose" in person for person in people):
        raise DataError(f"{key}.{LABELS} {HANDS}", path=shard)
    return (*image, people)


def _own_path(people: list[Any]) -> str | None:
    """The path of the image that ehps wrote beside the people."""
    for person in people:
        extra = person.get("extra_info")
        if isinstance(extra, dict) and isinstance(extra.get(PATH), str):
            return str(extra[PATH])
    return None


def _size(content: bytes, shard: Path, member: str) -> tuple[int, int]:
    found = read_header(io.BytesIO(content), len(content))
    if found.unreadable:
        raise DataError(f"{member} {found.unreadable}", path=shard, fix=AGAIN)
    return found.height, found.width


def _people(
    parts: list[dict[str, Array]], names: list[str], sizes: list[tuple[int, int]], gender: str, path: Path
) -> HumanData:
    n = len(parts)
    data = {
        name: np.array([part[name] for part in parts], np.float32).reshape(n, *field.shape)
        for name, field in PERSON.items()
    }
    has = (data["has_body_pose"] > 0) & (data["has_betas"] > 0)
    if has.any() and not has.all():
        what = f"{int((~has).sum())} of {n} people have no body (has_body_pose or has_betas is 0)"
        raise DataError(what, path=path, fix="take them out of the tars: their poses are not to be learned from")
    height_width = np.array(sizes, np.int32).reshape(n, 2)
    columns: dict[str, Any] = {
        "image_path": names,
        "bbox_xywh": hmr_rows.boxes(data["center"].astype(np.float64), data["scale"].astype(np.float64) * PIXELS),
        "meta/height": height_width[:, 0].copy(),
        "meta/width": height_width[:, 1].copy(),
    }
    points: dict[str, tuple[str, ...]] = {}
    for name in ("keypoints_2d", "keypoints_3d"):
        found = hmr_rows.point_columns(f"keypoints{name[-2:]}_original", data[name], POINTS)
        columns, points = columns | found[0], points | found[1]
    facts: dict[str, Any] = {}
    if has.any():
        columns |= hmr_rows.body_columns("smpl", data["body_pose"], data["betas"], None)
        facts = {"model_type": "smpl", "num_betas": 10, "gender": gender}
    facts = {"model_type": None, "num_betas": None} | facts
    return HumanData(columns, keypoint_names=points, passport=hmr_rows.passport("hmr-tars", **facts))
