"""Sequences as AMASS has them, which the SMPL-X add-on of Blender and aitviewer read: one ``.npz`` a person.

Facts: the public AMASS files. ``trans`` (T, 3) metres, ``poses`` (T, 3 J) axis-angle of all joints of the chain, hands
absolute, ``betas`` (B,), ``gender``, ``mocap_framerate`` (SMPL-H) or ``mocap_frame_rate`` (SMPL-X, which also says
``surface_model_type`` and has ``root_orient``, ``pose_body``, ``pose_hand``, ``pose_jaw``, ``pose_eye``). The world
has z up.

A camera knows no up. People are written as a level camera sees them: its right is x, what is ahead y, up z. A file of
ours says so in ``ehps_frame``, and is turned back when it is read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ehps.arrays import Array
from ehps.atomic import replacing
from ehps.body.joints import full_pose
from ehps.body.params import BodyParams
from ehps.body.rigid_motion import to_camera
from ehps.body.topology import NAMES, POSE_PARTS, TOPOLOGY
from ehps.body.variants import params_of
from ehps.errors import DataError, EhpsError, UsageError
from ehps.exchange.forms import Sources, Stated, Written, not_held
from ehps.exchange.skeletons import need_models
from ehps.exchange.tracks import FileNames, beginnings, even_steps, tracks_of
from ehps.genders import BY_WORD
from ehps.humandata import frames
from ehps.humandata.core import HumanData
from ehps.humandata.passport import CAMERA, UNKNOWN, Passport
from ehps.humandata.pickles.npy_files import Npz

TO_Z_UP = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
"""(3, 3) from the OpenCV camera frame to x right, y ahead, z up."""

Z_UP = "z-up"
LEVEL = "z-up, of a level camera"
MODEL_TYPES = {55: "smplx", 52: "smplh", 24: "smpl"}
"""Joints in ``poses`` -> model type."""

NEEDED = ("poses", "trans", "betas")
RATES = ("mocap_frame_rate", "mocap_framerate", "fps")
SUFFIX = ".npz"
HELD = {"meta/track_id", "meta/time", "meta/gender", "meta/sequence_name"}


def recognise(path: Path) -> bool:
    """Whether a file, or one of a folder, has the members of such sequences."""
    files = sorted(path.glob(f"*{SUFFIX}"))[:1] if path.is_dir() else [path]
    if not files or files[0].suffix.lower() != SUFFIX:
        return False
    try:
        with Npz(files[0]) as members:
            return set(NEEDED) <= set(members)
    except EhpsError:
        return False


def read(path: Path, stated: Stated, images: Path | None = None) -> HumanData:
    """Sequences of one file, or of all files of a folder, a person each.

    Raises
    ------
    UsageError : a file leaves open what is not stated.
    DataError : a file is damaged, or is no such sequence, or two are of different models.
    """
    del images
    files = sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else [path]
    if not files:
        raise DataError("holds no .npz", path=path)
    return HumanData.concat([_sequence(file, stated) for file in files])


def write(hd: HumanData, out: Path, sources: Sources) -> Written:
    """Write each person of a file as ``<sequence>_<person>.npz`` in the folder ``out``.

    Raises
    ------
    UsageError : body models or the times of the images are not known.
    DataError, PassportError : there are no bodies in the camera frame, or a person has several genders.
    """
    models = need_models(sources.body_models, "an AMASS file")
    frames.required(hd, "AMASS")
    params_of(hd[:0])  # says what is wrong where there are no bodies
    out.mkdir(parents=True, exist_ok=True)
    body = str(hd.body_model)
    done = Written(left_out=not_held(hd, HELD | {f"{body}/{name}" for name in (*POSE_PARTS[body], "betas", "transl")}))
    uneven, later, reshaped, names = 0, 0, 0.0, FileNames()
    for track in tracks_of(hd, sources.fps):
        params = models.with_full_hands(params_of(hd[track.rows]))
        genders = np.unique(params.gender)
        if len(genders) > 1:
            who = f"person {track.name} of {track.sequence}"
            raise DataError(f"{who} is {' and '.join(map(str, genders))}", path=hd.source)
        model = models.of(params).get(params.model_type, str(genders[0]))
        betas = params.betas.mean(axis=0)
        reshaped = max(reshaped, float(np.abs(params.betas - betas).max()))
        up = to_camera(
            params, np.tile(TO_Z_UP, (len(params), 1, 1)), np.zeros((len(params), 3)), models.rest_pelvis(params)
        )
        poses = full_pose(model, up)  # T x J x 3
        steps = even_steps(track.times)
        uneven += steps.times is not track.times
        poses, transl = steps.rotations(poses), steps.points(up.transl)
        later += track.times[0] > 0
        path = out / f"{names.of(track.sequence, track.name)}{SUFFIX}"
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **_members(params.model_type, str(genders[0]), betas, poses, transl, steps.rate))
        done.files.append(path)
    if reshaped > 0:
        done.left_out.append(f"shapes that change in time, by up to {reshaped:.3g}: each person has the mean one")
    if later:
        done.left_out.append(beginnings(later))
    if uneven:
        done.left_out.append(f"the times of {uneven} people, which are not evenly apart: poses were interpolated")
    return done


def _members(model_type: str, gender: str, betas: Array, poses: Array, transl: Array, rate: float) -> dict[str, Any]:
    flat = poses.reshape(len(poses), -1)
    members: dict[str, Any] = {
        "trans": transl,
        "poses": flat,
        "betas": betas,
        "num_betas": np.array(len(betas)),
        "gender": np.array(gender),
        "mocap_frame_rate": np.array(rate),
        "mocap_framerate": np.array(rate),
        "surface_model_type": np.array(model_type),
        "mocap_time_length": np.array(len(poses) / rate),
        "ehps_frame": np.array(LEVEL),
    }
    if model_type == "smplx":
        members |= {
            "root_orient": flat[:, :3],
            "pose_body": flat[:, 3:66],
            "pose_jaw": flat[:, 66:69],
            "pose_eye": flat[:, 69:75],
            "pose_hand": flat[:, 75:],
        }
    return members


def _sequence(path: Path, stated: Stated) -> HumanData:
    members = _read(path)
    poses, transl = np.asarray(members["poses"], float), np.asarray(members["trans"], float)
    joints = poses.reshape(len(poses), -1).shape[1] // 3 if len(poses) else 0
    model_type = MODEL_TYPES.get(joints)
    if model_type is None or transl.shape != (len(poses), 3):
        raise DataError(f"poses are {poses.shape} and trans {transl.shape}: of no body model", path=path)
    for said in (members.get("surface_model_type"), stated.model_type):
        if said is not None and str(said) != model_type:
            raise DataError(f"poses are of {NAMES[model_type]}, and it is said to be {said}", path=path)
    n = len(poses)
    poses = poses.reshape(n, joints, 3)
    gender = _gender(members, path, stated)
    rate = _rate(members, path)
    if None not in (rate, stated.fps) and rate != stated.fps:
        raise UsageError(f"says {rate:g} frames a second, and --fps says {stated.fps:g}", path=path, fix="leave it out")
    rate = rate or float(stated.need("fps", path, "how many frames there are in a second", "N"))
    betas = _betas(members["betas"], n, path)[:, : stated.num_betas]
    params = _params(model_type, gender, betas, poses, transl)
    params = _in_camera(params, str(members.get("ehps_frame", "")), path, stated)
    columns: dict[str, Any] = {"image_path": [f"{path.stem}/{k:06d}.jpg" for k in range(n)]}
    for name, value in params.arrays().items():
        columns[f"{model_type}/{name}"] = value.astype(np.float32)
    columns |= {
        "meta/sequence_name": [path.stem] * n,
        "meta/track_id": [path.stem] * n,
        "meta/frame_id": np.arange(n),
        "meta/time": np.arange(n) / rate,
        "meta/gender": [gender] * n,
    }
    hands = TOPOLOGY[model_type].left_hand is not None
    passport = Passport(
        body_model=model_type,
        body_model_version=UNKNOWN,
        num_betas=betas.shape[1],
        gender="per-instance",
        flat_hand_mean=True if hands else None,
        converter="AMASS npz",
    )
    return HumanData(columns, passport=passport)


def _rate(members: dict[str, Any], path: Path) -> float | None:
    """Frames a second, None where the file says nothing."""
    rate = next((members[name] for name in RATES if name in members), None)
    if rate is None:
        return None
    if np.size(rate) != 1 or np.asarray(rate).dtype.kind not in "iuf" or not 0 < float(np.ravel(rate)[0]) < np.inf:
        raise DataError(f"has {rate} frames a second", path=path, fix="leave the rate out, and say it with --fps")
    return float(np.ravel(rate)[0])


def _betas(values: Array, n: int, path: Path) -> Array:
    """(n, B) shapes of one that holds for all frames, or of one a frame."""
    values = np.atleast_2d(np.asarray(values, float))
    if values.ndim != 2 or len(values) not in (1, n):
        raise DataError(f"betas are {values.shape}, neither one shape nor one for each of {n:,} frames", path=path)
    return np.broadcast_to(values, (n, values.shape[1])).copy()


def _in_camera(params: BodyParams, frame: str, path: Path, stated: Stated) -> BodyParams:
    if frame == LEVEL and stated.frame not in (None, Z_UP):
        raise UsageError(f"says that it is {frame}, and --frame says {stated.frame}", path=path, fix="leave it out")
    open_to = f"{CAMERA} or {Z_UP}"
    given = Z_UP if frame == LEVEL else stated.need("frame", path, "in which frame its bodies are", open_to)
    if given == CAMERA:
        return params
    if given != Z_UP:
        raise DataError(f"the frame {given!r} is not known here", path=path, fix=f"it is {CAMERA} or {Z_UP}")
    models = need_models(stated.body_models, "turning bodies, which turn about their pelvis,")
    n = len(params)
    return to_camera(params, np.tile(TO_Z_UP.T, (n, 1, 1)), np.zeros((n, 3)), models.rest_pelvis(params))


def _params(model_type: str, gender: str, betas: Array, poses: Array, transl: Array) -> BodyParams:
    n, at = len(poses), 0
    parts: dict[str, Any] = {}
    for name, joints in POSE_PARTS[model_type].items():
        parts[name] = poses[:, at] if joints == 1 else poses[:, at : at + joints]
        at += joints
    return BodyParams(
        model_type=model_type,
        gender=np.full(n, gender),
        betas=betas,
        transl=transl,
        flat_hand_mean=True,
        **parts,
    )


def _gender(members: dict[str, Any], path: Path, stated: Stated) -> str:
    word = (
        members["gender"]
        if "gender" in members
        else stated.need("gender", path, "whose body model it is of", "neutral")
    )
    word = word.item() if isinstance(word, np.ndarray) and word.ndim == 0 else word
    text = (word.decode(errors="replace") if isinstance(word, bytes) else str(word)).strip().lower()
    if text not in BY_WORD:
        raise DataError(f"its gender is {text!r}", path=path, fix="it is male, female or neutral")
    if stated.gender not in (None, BY_WORD[text]):
        raise UsageError(f"says {BY_WORD[text]}, and --gender says {stated.gender}", path=path, fix="leave it out")
    return BY_WORD[text]


def _read(path: Path) -> dict[str, Any]:
    """Members that a sequence is made of."""
    with Npz(path) as archive:
        wanted = (*NEEDED, "gender", "surface_model_type", "ehps_frame", *RATES)
        members = {name: archive[name] for name in wanted if name in archive}
    lacking = [name for name in NEEDED if name not in members]
    if lacking:
        raise DataError(f"has no {', '.join(lacking)}: it is no AMASS sequence", path=path)
    for name in NEEDED:
        value = members[name]
        if value.dtype.kind not in "iuf" or not np.isfinite(value).all():
            raise DataError(f"has {name} that are no finite numbers", path=path)
    return members
