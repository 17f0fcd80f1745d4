"""What the 3DPW challenge takes: ``<split>/<sequence>.pkl``, joints and orientations of all frames and people.

A file is a dict of ``jointPositions``, (people, frames, 24, 3) metres in the camera frame, and ``orientations``,
(people, frames, 9, 3, 3) rotations in the camera frame of pelvis, hips, knees, shoulders and elbows; either may be
absent. People and frames are numbered as in the sequence files. Who is not there has zeros.
Facts: the public evaluation code of the challenge.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ehps.arrays import Array
from ehps.atomic import replacing
from ehps.benchmark.protocols.catalogue import get
from ehps.benchmark.protocols.given_joints import ORIENTATIONS, PREDICTED
from ehps.benchmark.protocols.points import ORIENTED, Plan
from ehps.benchmark.protocols.scoring import predicted_type
from ehps.benchmark.protocols.tables import tables_of
from ehps.benchmark.suites.agora_export import pickled
from ehps.body.variants import params_of
from ehps.errors import DataError, UsageError
from ehps.exchange.forms import Sources, Stated, Written
from ehps.humandata import frames
from ehps.humandata.core import HumanData
from ehps.humandata.keypoints import point_names
from ehps.humandata.passport import UNKNOWN, Passport
from ehps.humandata.pickles import load_pickle
from ehps.progress import over

SPLITS = ("train", "validation", "test")
IMAGE = re.compile(r"(?:^|/)(?P<sequence>[^/]+)/image_(?P<frame>[0-9]+)\.[^./]+$")
PERSON = re.compile(r"_(?P<person>[0-9]+)$")
HELD = {"jointPositions": (24, 3), "orientations": (len(ORIENTED), 3, 3)}
BATCH = 256


def recognise(path: Path) -> bool:
    """Whether a folder has pickles in folders called as the splits of 3DPW."""
    return any(_files(path, split) for split in SPLITS)


def read(path: Path, stated: Stated, images: Path | None = None) -> HumanData:
    """Everybody who is there, by sequence, person and frame.

    Returns
    -------
    ``keypoints3d_smpl`` and ``meta/orientations``, image paths and ``meta/track_id`` as a converted 3DPW has them.

    Raises
    ------
    DataError : a file is damaged, or of another form.
    UnsafeFileError : a pickle asks for anything but plain data.
    """
    del stated, images
    found = [(split, file) for split in SPLITS for file in _files(path, split)]
    if not found:
        raise DataError(f"has no {', '.join(f'{split}/*.pkl' for split in SPLITS)}", path=path)
    parts: dict[str, list[Any]] = {name: [] for name in HELD}
    facts: dict[str, list[Any]] = {"image_path": [], "meta/sequence_name": [], "meta/frame_id": [], "meta/track_id": []}
    for _, file in over(found, "reading sequences"):
        held = _sequence(load_pickle(file), file)
        there = np.any([value.reshape(*value.shape[:2], -1).any(axis=2) for value in held.values()], axis=0)
        person, frame = np.nonzero(there)
        for name, value in held.items():
            parts[name].append(value[person, frame])
        facts["image_path"] += [f"imageFiles/{file.stem}/image_{n:05d}.jpg" for n in frame.tolist()]
        facts["meta/sequence_name"] += [file.stem] * len(frame)
        facts["meta/frame_id"] += frame.tolist()
        facts["meta/track_id"] += [f"{file.stem}_{p}" for p in person.tolist()]
    for name, values in parts.items():
        if values and len(values) < len(found):
            raise DataError(
                f"{name} are in {len(values)} of {len(found)} sequences", path=path, fix="write all or none"
            )
    columns: dict[str, Any] = {**facts, "meta/frame_id": np.array(facts["meta/frame_id"], np.int64)}
    if parts["jointPositions"]:
        joints = np.concatenate(parts["jointPositions"])
        columns[PREDICTED] = np.concatenate([joints, np.ones_like(joints[..., :1])], axis=-1)
    if parts["orientations"]:
        columns[ORIENTATIONS] = np.concatenate(parts["orientations"])
    splits = {split for split, _ in found}
    passport = Passport(dataset="pw3d", split=splits.pop() if len(splits) == 1 else UNKNOWN)
    names = {PREDICTED: point_names("smpl")} if PREDICTED in columns else {}
    return HumanData(columns, keypoint_names=names, passport=passport)


def write(hd: HumanData, out: Path, sources: Sources) -> Written:
    """Write the people of a converted 3DPW, or predictions of it, one file a sequence.

    Joints are those that the protocol ``pw3d-challenge`` compares. Images and tracks (``meta/track_id``) must be named
    as the converter names them.

    Raises
    ------
    UsageError : body models or the split are not known, or ``out`` has pickles already.
    DataError, PassportError : who is in which frame is not told, or there are no bodies in the camera frame.
    """
    split = hd.passport.split
    if split not in SPLITS:
        raise UsageError(
            f"is of the split {split!r}, and the challenge has {', '.join(SPLITS)}",
            path=hd.source,
            fix="`ehps humandata convert FILE --declare split=test --out NEW`",
        )
    if _files(out, split):
        raise UsageError("has pickles already, which would be sent along", path=out / split, fix="name another folder")
    frames.required(hd, "the 3DPW challenge")
    sequence, person, frame = _places(hd)
    held = _held(hd, sources)
    done = Written()
    absent = 0
    (out / split).mkdir(parents=True, exist_ok=True)
    for name in sorted(set(sequence.tolist())):
        rows = np.flatnonzero(sequence == name)
        people, count = int(person[rows].max()) + 1, int(frame[rows].max()) + 1
        content = {}
        for key, values in held.items():
            content[key] = np.zeros((people, count, *HELD[key]), values.dtype)
            content[key][person[rows], frame[rows]] = values[rows]
        absent += people * count - len(rows)
        path = out / split / f"{name}.pkl"
        with replacing(path) as temporary:
            temporary.write_bytes(pickled(content))
        done.files.append(path)
    done.left_out.append("all but joints and orientations: parameters, surfaces, hands, faces, cameras, boxes")
    if absent:
        done.left_out.append(f"{absent:,} times a person is not there in a frame: zeros were written")
    return done


def _files(path: Path, split: str) -> list[Path]:
    return sorted(file for file in (path / split).glob("*.pkl") if not file.name.startswith("."))


def _sequence(content: Any, path: Path) -> dict[str, Array]:
    """(people, frames, ...) arrays of a file, which agree in people and frames.

    Raises
    ------
    DataError : they do not, or one has another shape.
    """
    if not isinstance(content, Mapping) or not any(name in content for name in HELD):
        raise DataError(f"has no {' or '.join(HELD)}", path=path, fix="give the folder that was sent to the challenge")
    found: dict[str, Array] = {}
    for name, shape in HELD.items():
        if name not in content:
            continue
        try:
            value = np.asarray(content[name])
        except ValueError:
            raise DataError(f"{name} has people of different numbers of frames", path=path) from None
        if value.dtype.kind != "f" or value.shape[2:] != shape or value.ndim != len(shape) + 2:
            wanted = ", ".join(map(str, shape))
            raise DataError(f"{name} is {value.dtype} of {value.shape}, not (people, frames, {wanted})", path=path)
        if not np.isfinite(value).all():
            raise DataError(f"{name} is not finite everywhere", path=path)
        found[name] = value
    sizes = {value.shape[:2] for value in found.values()}
    if len(sizes) > 1:
        raise DataError(
            f"{' and '.join(found)} are of {' and '.join(map(str, sorted(sizes)))} people, frames", path=path
        )
    return found


def _places(hd: HumanData) -> tuple[Array, Array, Array]:
    """Sequence, number of the person and of the frame of each row, each (N,).

    Raises
    ------
    DataError : they are not told, or two rows are one person in one frame.
    """
    if "meta/track_id" not in hd:
        raise DataError("has no meta/track_id, which tells people apart", path=hd.source, fix="convert 3DPW again")
    paths, tracks = hd["image_path"].tolist(), [str(track) for track in hd["meta/track_id"].tolist()]
    found = []
    for path, track in zip(paths, tracks, strict=True):
        image, person = IMAGE.search(path), PERSON.search(track)
        if image is None or person is None or track != f"{image['sequence']}_{int(person['person'])}":
            what = (
                f"{path} and the track {track} are not called SEQUENCE/image_FRAME.jpg and SEQUENCE_PERSON as in 3DPW"
            )
            raise DataError(what, path=hd.source, fix="give a converted 3DPW, or predictions of it")
        found.append((image["sequence"], int(person["person"]), int(image["frame"])))
    if len(set(found)) < len(found):
        twice = next(place for place in found if found.count(place) > 1)
        raise DataError(f"person {twice[1]} of {twice[0]} is in frame {twice[2]} twice", path=hd.source)
    return tuple(np.array(values) for values in zip(*found, strict=True))  # type: ignore[return-value]


def _held(hd: HumanData, sources: Sources) -> dict[str, Array]:
    """``jointPositions`` (N, 24, 3) and ``orientations`` (N, 9, 3, 3): those of the file, else of its bodies."""
    if hd.body_model is None and (PREDICTED in hd or ORIENTATIONS in hd):
        held = {"jointPositions": PREDICTED, "orientations": ORIENTATIONS}
        return {key: np.asarray(hd[name])[..., :3] for key, name in held.items() if name in hd}
    if sources.body_models is None:
        raise UsageError("joints are made with body models", path=hd.source, fix="--body-models DIR")
    protocol = get("pw3d-challenge")
    model_type = predicted_type(hd, protocol)
    params = params_of(hd, model_type)
    plan = Plan(["joints/body", "orientations"], protocol, model_type, tables_of(sources.body_models))
    parts: dict[str, list[Array]] = {name: [] for name in HELD}
    for start in range(0, len(hd), BATCH):
        bodies = plan.bodies(params[np.arange(start, min(start + BATCH, len(hd)))])
        parts["jointPositions"].append(bodies.points("joints/body"))
        parts["orientations"].append(bodies.points("orientations"))
    return {name: np.concatenate(values) for name, values in parts.items()}
