"""What the inference of SMPLer-X leaves: ``smplx/<frame>_<person>.npz``, and ``meta/<frame>_<person>.json`` beside.

Facts: the public SMPLer-X inference. Hands are relative to the mean hand, the body is the neutral SMPL-X, translations
and cameras (``focal``, ``princpt``, pixels of the full image) are those of each person's box.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from ehps.arrays import Array
from ehps.atomic import replacing
from ehps.body.variants import with_hand_mean
from ehps.errors import DataError, UsageError
from ehps.exchange.forms import Sources, Stated, Written, not_held
from ehps.exchange.tracks import frame_numbers
from ehps.humandata import frames
from ehps.humandata.core import HumanData
from ehps.humandata.instance_ids import place_in_image
from ehps.humandata.passport import UNKNOWN, Passport
from ehps.humandata.pickles.npy_files import Npz
from ehps.json_files import read_json
from ehps.progress import over

NAME = re.compile(r"(\d+)_(\d+)\.npz")
SHAPES: dict[str, tuple[int, ...]] = {
    "global_orient": (1, 3),
    "body_pose": (21, 3),
    "left_hand_pose": (15, 3),
    "right_hand_pose": (15, 3),
    "jaw_pose": (1, 3),
    "leye_pose": (1, 3),
    "reye_pose": (1, 3),
    "betas": (1, 10),
    "expression": (1, 10),
    "transl": (1, 3),
}
"""Members of a person's npz, as they are written; singleton axes of others' are read too."""

EXTRA = {"bbox_xywh", "image_path", "meta/focal_length", "meta/principal_point", "meta/frame_id", "meta/gender"}


def recognise(path: Path) -> bool:
    """Whether this is such a folder."""
    return path.is_dir() and (path / "smplx").is_dir() and (path / "meta").is_dir()


def read(path: Path, stated: Stated, images: Path | None = None) -> HumanData:
    """All people of a results folder, by frame and person.

    Raises
    ------
    DataError : a file is damaged, or a person has no camera.
    """
    del images
    if not recognise(path):
        raise DataError("has no smplx/ and meta/ folders", path=path, fix="give the folder of the results")
    found = [(match, file) for file in (path / "smplx").iterdir() if (match := NAME.fullmatch(file.name))]
    found.sort(key=lambda item: (int(item[0][1]), int(item[0][2])))
    if not found:
        raise DataError("holds no <frame>_<person>.npz", path=path / "smplx")
    rows = [_person(file, path / "meta" / f"{file.stem}.json") for _, file in over(found, "reading people")]
    columns: dict[str, Any] = {
        "image_path": [row.pop("image_path") for row in rows],
        **{name: np.stack([row[name] for row in rows]) for name in rows[0]},
        "meta/frame_id": np.array([int(match[1]) for match, _ in found]),
        "meta/person_id": np.array([int(match[2]) for match, _ in found]),
        "meta/gender": ["neutral"] * len(rows),
    }
    passport = Passport(
        body_model="smplx",
        body_model_version=UNKNOWN,
        num_betas=rows[0]["smplx/betas"].shape[-1],
        gender="neutral",
        flat_hand_mean=False,
        focal="virtual",
        converter="SMPLer-X or SMPLest-X inference",
    )
    return HumanData(columns, passport=passport)


def write(hd: HumanData, out: Path, sources: Sources) -> Written:
    """Write all people of a file as a results folder.

    Raises
    ------
    UsageError : the folder has results already.
    DataError, PassportError : there are no neutral SMPL-X bodies in the camera frame with cameras and boxes.
    """
    frames.required(hd, "SMPLer-X")
    if hd.body_model != "smplx":
        raise DataError("has no SMPL-X bodies", path=hd.source)
    lacking = [name for name in ("bbox_xywh", "meta/focal_length", "meta/principal_point") if name not in hd]
    if lacking:
        raise DataError(f"has no {', '.join(lacking)}", path=hd.source)
    if (out / "smplx").is_dir() and any((out / "smplx").iterdir()):
        raise UsageError("has results already", path=out, fix="name another folder")
    if hd.passport.gender != "neutral":
        what = f"has bodies of {hd.passport.gender} models, and these results are of the neutral one"
        raise DataError(what, path=hd.source, fix="`ehps humandata convert FILE --gender neutral --out NEW`")
    if hd.passport.flat_hand_mean:
        if sources.body_models is None:
            raise UsageError(
                "hand poses are absolute, and the mean hand is in the body models", fix="--body-models DIR"
            )
        hd = with_hand_mean(hd, False, sources.body_models)
    frames.require_full_head(hd, "SMPLer-X")
    person = place_in_image(hd["image_path"].codes)
    numbers, renumbered = _numbers(hd)
    arrays = {name: np.asarray(hd[f"smplx/{name}"]) for name in SHAPES if f"smplx/{name}" in hd}
    done = Written(left_out=not_held(hd, EXTRA | {f"smplx/{name}" for name in SHAPES}))
    if renumbered:
        done.left_out.append("the numbers of frames, which several images share: images are numbered in their order")
    if arrays["betas"].shape[1] > 10:
        done.left_out.append(f"shape coefficients after the tenth of {arrays['betas'].shape[1]}")
    for folder in ("smplx", "meta"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    for row in over(range(len(hd)), "writing people"):
        stem = f"{numbers[row]:05d}_{person[row]}"
        parts = {name: _shaped(arrays.get(name), row, shape) for name, shape in SHAPES.items()}
        with replacing(out / "smplx" / f"{stem}.npz", lasting=False) as temporary, temporary.open("wb") as file:
            np.savez(file, **parts)  # type: ignore[arg-type]  # of numpy: its flag allow_pickle may not be named so
        meta = {
            "focal": np.asarray(hd["meta/focal_length"][row], float).tolist(),
            "princpt": np.asarray(hd["meta/principal_point"][row], float).tolist(),
            "bbox": np.asarray(hd["bbox_xywh"][row], float)[:4].tolist(),
            "bbox_id": int(person[row]),
            "img_path": str(hd["image_path"][row]),
        }
        with replacing(out / "meta" / f"{stem}.json", lasting=False) as temporary:
            temporary.write_text(json.dumps(meta), encoding="utf-8")
        done.files += [out / "smplx" / f"{stem}.npz", out / "meta" / f"{stem}.json"]
    return done


def _numbers(hd: HumanData) -> tuple[Array, bool]:
    """(N,) number of the frame of each row, and whether images had to be numbered anew, as several have the same."""
    numbers, codes = frame_numbers(hd).astype(int), hd["image_path"].codes
    if len(np.unique(np.stack([numbers, codes]), axis=1).T) == len(np.unique(numbers)):
        return numbers, False
    _, first, image = np.unique(codes, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[image.ravel()], True


def _shaped(values: Array | None, row: int, shape: tuple[int, ...]) -> Array:
    """A row as its member is shaped: fewer coefficients are filled up with zeros, more are cut."""
    out = np.zeros(shape, np.float32)
    if values is not None:
        own = np.asarray(values[row], np.float32).reshape(-1)[: out.size]
        out.reshape(-1)[: len(own)] = own
    return out


def _person(file: Path, meta: Path) -> dict[str, Any]:
    facts = read_json(meta, {"focal": [float], "princpt": [float]})
    with Npz(file) as members:
        found = {name: members[name] for name in SHAPES if name in members}
    if strange := [name for name, value in found.items() if value.dtype.kind not in "iuf"]:
        raise DataError(f"{', '.join(strange)} are no numbers", path=file)
    row = {f"smplx/{name}": value.astype(np.float32) for name, value in found.items()}
    lacking = [name for name in SHAPES if f"smplx/{name}" not in row]
    if lacking:
        raise DataError(f"has no {', '.join(lacking)}", path=file)
    for name, shape in SHAPES.items():
        value = row[f"smplx/{name}"]
        wanted = shape[1:] if shape[0] == 1 else shape
        if value.size != int(np.prod(shape)) and name not in ("betas", "expression"):
            raise DataError(f"{name} is {value.shape}, not {shape}", path=file)
        row[f"smplx/{name}"] = value.reshape(wanted) if value.size == int(np.prod(shape)) else value.reshape(-1)
    box = facts.get("bbox")
    known = isinstance(box, list) and len(box) >= 4
    if len(facts["focal"]) != 2 or len(facts["princpt"]) != 2:
        raise DataError("focal and princpt are not two numbers each", path=meta)
    return {
        "image_path": str(facts.get("img_path") or f"{file.stem.split('_')[0]}.jpg"),
        "bbox_xywh": np.array([*(box[:4] if known else (0, 0, 0, 0)), float(known)], np.float32),
        **row,
        "meta/focal_length": np.array(facts["focal"], np.float32),
        "meta/principal_point": np.array(facts["princpt"], np.float32),
    }
