"""AGORA's prediction files: one pickle a person, ``IMAGE_personId_K.pkl``, as its server and evaluation tool take them.

A file is a dict of numpy arrays: ``joints``, pixels of the 3840 x 2160 image, by whose first 24 people are matched, and
either ``params`` (a batch of one, axis-angle, or matrices with ``pose2rot`` False) or ``verts`` and
``allSmplJoints3d`` (camera, metres). SMPL-X bodies are neutral unless ``gender`` says otherwise, hands relative to the
mean hand, ``num_betas`` 10 unless stated; children have an eleventh shape parameter and ``kid_flag``. SMPL bodies are
neutral with 10 betas.
Facts: the prediction format of the public AGORA evaluation tool and its check.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ehps.arrays import Array
from ehps.benchmark.protocols.agora_official import GIVEN, LARGE
from ehps.body import rotations
from ehps.body.topology import POSE_PARTS, TOPOLOGY
from ehps.errors import DataError
from ehps.humandata.core import HumanData
from ehps.humandata.keypoints import point_names
from ehps.humandata.passport import PER_INSTANCE, Passport
from ehps.humandata.pickles import load_pickle

NAME = re.compile(r"(?P<image>.+)_personId_(?P<person>\d+)\.pkl")
SMALL = "_1280x720"
"""Ending of the names of AGORA's small images, which the tool calls as the large ones."""
TYPES = ("smplx", "smpl")
MATCHED = 24
JOINTS_3D = {"smplx": 127, "smpl": 24}
BETAS, MOST_BETAS = 10, 299
EXPRESSIONS = 10


def shapes(model_type: str, betas: int, *, matrices: bool) -> dict[str, tuple[int, ...]]:
    """What shape the server wants each parameter in."""
    found: dict[str, tuple[int, ...]] = {"transl": (1, 3), "betas": (1, betas)}
    if model_type == "smplx":
        found["expression"] = (1, EXPRESSIONS)
    for name, count in POSE_PARTS[model_type].items():
        vector = (1, count, 3) if model_type == "smpl" else (1, 3 * count)
        found[name] = (1, count, 3, 3) if matrices else vector
    return found


def image_name(path: str) -> str:
    """What the tool calls an image: its name without folder and ending, and without the size of the small ones."""
    return path.rpartition("/")[2].rpartition(".")[0].removesuffix(SMALL)


def check(content: Any, path: Path) -> str:
    """Model type of a prediction that the server would take.

    Raises
    ------
    DataError : it would not; the message says why.
    """
    if not isinstance(content, dict):
        raise DataError("is no dict of a person", path=path)
    joints = _array(content, "joints", path)
    if joints.ndim != 2 or joints.shape[0] < MATCHED or joints.shape[1] < 2:
        raise DataError(f"joints have shape {joints.shape}, expected ({MATCHED}, 2)", path=path)
    if "verts" in content and "allSmplJoints3d" in content:
        vertices, points = (np.squeeze(_array(content, name, path)) for name in ("verts", "allSmplJoints3d"))
        for model_type, count in JOINTS_3D.items():
            if vertices.shape == (TOPOLOGY[model_type].vertices, 3):
                if points.ndim != 2 or points.shape[1] != 3 or len(points) < count:
                    raise DataError(f"allSmplJoints3d has shape {points.shape}, expected ({count}, 3)", path=path)
                return model_type
        raise DataError(f"verts have shape {vertices.shape}, expected (10475, 3) or (6890, 3)", path=path)
    params = content.get("params")
    if not isinstance(params, dict):
        raise DataError("has neither params nor verts and allSmplJoints3d", path=path)
    model_type = "smplx" if {"left_hand_pose", "expression", "jaw_pose"} & params.keys() else "smpl"
    betas = BETAS + (_flag(content, "kid_flag", path, default=False) or content.get("age") == "kid")
    if model_type == "smplx":
        if content.get("gender", "neutral") not in ("male", "female", "neutral"):
            raise DataError(f"gender is {content['gender']!r}, expected male, female or neutral", path=path)
        stated = content.get("num_betas", betas)
        if betas > BETAS and stated != betas:
            raise DataError(f"is a child with num_betas {stated}, expected {betas}", path=path)
        if not isinstance(stated, int | np.integer) or not BETAS <= stated <= MOST_BETAS:
            raise DataError(f"num_betas is {stated!r}, expected {BETAS} to {MOST_BETAS}", path=path)
        betas = int(stated)
    matrices = not _flag(content, "pose2rot", path, default=True)
    for name, shape in shapes(model_type, betas, matrices=matrices).items():
        if (found := _array(params, name, path).shape) != shape:
            raise DataError(f"{name} has shape {found}, expected {shape}", path=path)
    return model_type


def _array(values: Mapping[str, Any], name: str, path: Path) -> Array:
    if name not in values:
        raise DataError(f"has no {name}", path=path)
    value = values[name]
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu":
        raise DataError(f"{name} is {type(value).__name__}, expected an array of numbers", path=path)
    return value


def _flag(values: Mapping[str, Any], name: str, path: Path, *, default: bool) -> bool:
    value = values.get(name, default)
    if not isinstance(value, bool | np.bool_ | int) or value not in (0, 1):
        raise DataError(f"{name} is {value!r}, expected True or False", path=path)
    return bool(value)


@dataclass(frozen=True)
class GivenMeshes:
    """Meshes and joints of prediction files, read when they are asked for.

    Attributes
    ----------
    paths : the file of each row.
    count : of joints that are taken.
    """

    paths: Sequence[Path]
    count: int

    def __call__(self, rows: Array) -> tuple[Array, Array]:
        """Vertices (N, V, 3) and joints (N, J, 3) of some rows."""
        contents = [load_pickle(self.paths[row]) for row in rows.tolist()]
        vertices = np.stack([np.squeeze(content["verts"]) for content in contents])
        joints = [np.squeeze(content["allSmplJoints3d"])[: self.count] for content in contents]
        return vertices, np.stack(joints).astype(np.float64)


def is_folder_of_predictions(path: Path) -> bool:
    """Whether a path is a folder, and no run folder of this package."""
    return path.is_dir() and (any(path.glob("*.pkl")) or (path / "predictions").is_dir())


def read(folder: Path, images: Sequence[str] = ()) -> tuple[HumanData, GivenMeshes | None]:
    """Predictions of a folder of such files, in the order of images and numbers, and the meshes where they are such.

    Parameters
    ----------
    folder : of the files, or with a folder ``predictions`` of them, as in what is sent to the server.
    images : paths by which images are called, e.g. those of the truth; ``IMAGE.png`` where none of them is that image.

    Returns
    -------
    ``smplx/*`` or ``smpl/*`` (none for meshes), ``keypoints2d_agora`` (pixels of 3840 x 2160), ``meta/person_id``.

    Raises
    ------
    DataError : a file is none of a person, the server would refuse it, one person is there twice, or persons are of
        several model types or forms.
    UnsafeFileError : a pickle asks for anything but plain data.
    """
    inner = folder / "predictions"
    if not any(folder.glob("*.pkl")) and inner.is_dir():
        folder = inner
    called = _called(images)
    found: dict[tuple[str, int], Path] = {}
    for path in folder.glob("*.pkl"):
        name = NAME.fullmatch(path.name)
        if name is None:
            raise DataError("is not called IMAGE_personId_K.pkl", path=path)
        key = name["image"], int(name["person"])
        if key in found:
            raise DataError(f"is the same person as {found[key].name}", path=path)
        found[key] = path
    if not found:
        raise DataError("has no prediction files (IMAGE_personId_K.pkl)", path=folder)
    people = sorted(found)
    paths = [found[key] for key in people]
    contents: list[dict[str, Any]] = []
    forms: dict[tuple[str, bool], Path] = {}
    for path in paths:
        content = load_pickle(path)
        form = check(content, path), "verts" in content and "allSmplJoints3d" in content
        forms.setdefault(form, path)
        if len(forms) > 1:
            one, other = forms.values()
            raise DataError(f"is of another model type or form than {one.name}", path=other)
        contents.append({name: value for name, value in content.items() if not form[1] or name == "joints"})
    ((model_type, meshes),) = forms
    columns: dict[str, Any] = {
        "image_path": [called.get(image, f"{image}.png") for image, _ in people],
        "meta/person_id": np.array([person for _, person in people], np.int64),
        "meta/height": np.full(len(people), LARGE[0], np.int32),
        "meta/width": np.full(len(people), LARGE[1], np.int32),
        GIVEN: _keypoints(contents, model_type),
    }
    passport = Passport(dataset="agora")
    if not meshes:
        columns |= _bodies(contents, model_type)
        genders = set(columns["meta/gender"])
        passport = Passport(
            body_model=model_type,
            num_betas=columns[f"{model_type}/betas"].shape[1],
            gender=PER_INSTANCE if len(genders) > 1 else genders.pop(),
            flat_hand_mean=False if model_type == "smplx" else None,
            dataset="agora",
        )
    points = point_names(TOPOLOGY[model_type].convention)[: columns[GIVEN].shape[1]]
    hd = HumanData(columns, keypoint_names={GIVEN: points}, passport=passport)
    return hd, GivenMeshes(paths, JOINTS_3D[model_type]) if meshes else None


def _called(images: Sequence[str]) -> dict[str, str]:
    called: dict[str, str] = {}
    for path in images:
        name = image_name(path)
        if called.setdefault(name, path) != path:
            raise DataError(f"two images of the truth are called {name} by AGORA: {called[name]} and {path}")
    return called


def _keypoints(contents: Sequence[Mapping[str, Any]], model_type: str) -> Array:
    """(N, J, 3), as many joints as somebody has and the model knows, 0 confidence where a person has fewer."""
    most = len(point_names(TOPOLOGY[model_type].convention))
    count = min(most, max(len(content["joints"]) for content in contents))
    out = np.zeros((len(contents), count, 3))
    for row, content in zip(out, contents, strict=True):
        joints = content["joints"][:count]
        row[: len(joints)] = np.column_stack([joints[:, :2], np.ones(len(joints))])
    return out


def _bodies(contents: Sequence[Mapping[str, Any]], model_type: str) -> dict[str, Any]:
    """Columns of the parameters."""
    rows = [_body(content, model_type) for content in contents]
    most = max(len(row["betas"]) for row in rows)
    columns: dict[str, Any] = {"meta/gender": [row.pop("gender") for row in rows]}
    for row in rows:
        row["betas"] = np.pad(row["betas"], (0, most - len(row["betas"])))
    for name in rows[0]:
        columns[f"{model_type}/{name}"] = np.stack([row[name] for row in rows])
    if not columns[f"{model_type}/betas_extra"].any():
        del columns[f"{model_type}/betas_extra"]
    return columns


def _body(content: Mapping[str, Any], model_type: str) -> dict[str, Any]:
    """Parameters of one person, (K,) or (k, 3) axis-angle, with the model's gender."""
    params = content["params"]
    matrices = not content.get("pose2rot", True)
    kid = bool(content.get("kid_flag")) or content.get("age") == "kid"
    betas = np.asarray(params["betas"][0])
    gender = content.get("gender", "neutral") if model_type == "smplx" else "neutral"
    found: dict[str, Any] = {"gender": "neutral" if kid and gender == "female" else str(gender)}
    found["transl"] = params["transl"][0]
    found["betas"] = betas[:BETAS] if kid else betas
    found["betas_extra"] = betas[BETAS:] if kid else np.zeros(1, betas.dtype)
    if model_type == "smplx":
        found["expression"] = params["expression"][0]
    for name, count in POSE_PARTS[model_type].items():
        turned = np.asarray(params[name])
        vectors = rotations.to_axis_angle(turned.reshape(count, 3, 3)) if matrices else turned.reshape(count, 3)
        found[name] = vectors[0] if count == 1 else vectors
    return found
