"""Reading one body-model file: what is in it, which model type and release it is, without running its code.

Official pickles name chumpy and scipy classes: they are read through the restricted unpickler, which needs
neither Python 2 nor chumpy. Of an ``.npz`` only the plain numeric members are touched.
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ehps.arrays import Array
from ehps.body.topology import NAMES, SITES, TOPOLOGY, model_type_of
from ehps.errors import BodyModelError, DataError
from ehps.humandata.passport import LOCKED

REQUIRED = ("v_template", "shapedirs", "posedirs", "J_regressor", "weights", "f", "kintree_table")
HANDS = ("hands_meanl", "hands_meanr", "hands_componentsl", "hands_componentsr")
HANDLESS = {
    "smplx": (
        "a release without hand PCA, as for SOMA, MoSh and AMASS",
        f"take SMPL-X v1.1 (NPZ+PKL) from {SITES['smplx']}",
    ),
    "smplh": ("not merged with the MANO hands", f"merge it with those of {SITES['smplh']} (merge_smplh_mano)"),
}
"""What a file without mean hands and hand components is, and where there is one with them."""
HAND_SIZES = {"hands_meanl": 45, "hands_meanr": 45, "hands_componentsl": 2025, "hands_componentsr": 2025}
LANDMARKS = ("lmk_faces_idx", "lmk_bary_coords", "dynamic_lmk_faces_idx", "dynamic_lmk_bary_coords")


@dataclass(frozen=True, eq=False)
class BodyModel:
    """One body-model file as plain arrays; metres, radians. V vertices, J chain joints, F triangles.

    Attributes
    ----------
    model_type : smplx, smplh or smpl.
    gender : male, female or neutral.
    version : of SMPL-X ``1.0``, ``1.1``, ``2020`` (without the hair bun), ``locked_head``, ``without_hand_pca`` (files
        for SOMA, MoSh and AMASS whose name does not tell their shape space); of SMPL ``1.0``, ``1.1``; of SMPL-H
        ``1.2``, ``extended`` (10 and 16 betas); ``stand-in``, ``stand-in locked_head``. Betas of two versions are not
        interchangeable.
    path : the file it came from.
    v_template : (V, 3).
    shapedirs : (V, 3, S).
    exprdirs : (V, 3, E), None but for smplx.
    posedirs : (V, 3, 9 (J - 1)).
    J_regressor : (J, V).
    weights : (V, J).
    faces : (F, 3) int64.
    parents : (J,) int64, -1 for the root.
    hands_mean_left : (15, 3), None for smpl and in files without it (:func:`without_hands` is the error of those who
        need it).
    hands_mean_right : the same of the right hand.
    hands_components_left : (45, 45), None likewise.
    hands_components_right : the same of the right hand.
    lmk_faces_idx : (51,), None but for smplx, as all landmark tables.
    lmk_bary_coords : (51, 3).
    dynamic_lmk_faces_idx : (79, 17).
    dynamic_lmk_bary_coords : (79, 17, 3).
    """

    model_type: str
    gender: str
    version: str
    path: Path
    v_template: Array
    shapedirs: Array
    exprdirs: Array | None
    posedirs: Array
    J_regressor: Array
    weights: Array
    faces: Array
    parents: Array
    hands_mean_left: Array | None = None
    hands_mean_right: Array | None = None
    hands_components_left: Array | None = None
    hands_components_right: Array | None = None
    lmk_faces_idx: Array | None = None
    lmk_bary_coords: Array | None = None
    dynamic_lmk_faces_idx: Array | None = None
    dynamic_lmk_bary_coords: Array | None = None

    @property
    def has_hands(self) -> bool:
        """Whether the file has mean hands and hand components."""
        sides = (self.hands_mean_left, self.hands_mean_right, self.hands_components_left, self.hands_components_right)
        return all(array is not None for array in sides)

    @cached_property
    def sha256(self) -> str:
        """Hash of the bytes of the file."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def read_model(path: Path | str, model_type: str, *, gender: str | None = None) -> BodyModel:
    """Read one model file (.npz or .pkl).

    Parameters
    ----------
    model_type : what it should be: smplx, smplh or smpl.
    gender : taken from the file's name when not given.

    Raises
    ------
    BodyModelError : the file is of another model type, or lacks arrays that this one has.
    DataError, UnsafeFileError : it is damaged, or asks for code.
    """
    path = Path(path)
    raw = _read_npz(path) if path.suffix == ".npz" else _read_pickle(path)
    _check(raw, model_type, path)
    topology = TOPOLOGY[model_type]
    columns = raw["shapedirs"].shape[2]
    split = _expression_start(columns) if model_type == "smplx" else columns
    shape_space = raw["shapedirs"]
    parents = raw["kintree_table"][0].astype(np.int64)
    parents[0] = -1
    hands: dict[str, Array] = {}
    if topology.left_hand is not None:
        sides = {"left": "l", "right": "r"}
        means = {f"hands_mean_{side}": raw.get(f"hands_mean{letter}") for side, letter in sides.items()}
        bases = {f"hands_components_{side}": raw.get(f"hands_components{letter}") for side, letter in sides.items()}
        hands = {name: mean.reshape(15, 3) for name, mean in means.items() if mean is not None}
        hands |= {name: basis.reshape(45, 45) for name, basis in bases.items() if basis is not None}
    marks = {name: raw[name] for name in LANDMARKS} if topology.landmarks else {}
    for name in marks:
        if name.endswith("idx"):
            marks[name] = marks[name].astype(np.int64)
    return BodyModel(
        model_type=model_type,
        gender=gender or _gender_in(path),
        version=_version(raw, model_type, path),
        path=path,
        v_template=raw["v_template"],
        shapedirs=shape_space[:, :, :split],
        exprdirs=shape_space[:, :, split : split + 100] if model_type == "smplx" else None,
        posedirs=raw["posedirs"],
        J_regressor=raw["J_regressor"],
        weights=raw["weights"],
        faces=raw["f"].astype(np.int64),
        parents=parents,
        **hands,
        **marks,
    )


def without_hands(model_type: str, what: str, path: Path) -> BodyModelError:
    """The error for the want of a model's mean hand or of its hand components.

    Parameters
    ----------
    what : the file lacks, and what for.
    path : of the model's file.
    """
    release, fix = HANDLESS[model_type]
    return BodyModelError(f"is {release}: it lacks {what}", path=path, fix=fix)


def _expression_start(columns: int) -> int:
    """Column at which expression begins: 300 in release 1.1, 10 in the twenty columns of release 1.0."""
    return 300 if columns >= 400 else 10


def _version(raw: Mapping[str, Array], model_type: str, path: Path) -> str:
    place = "/".join(path.parts[-3:]).lower().replace("_", "").replace("-", "")
    locked = model_type == "smplx" and "lockedhead" in place
    if "standin" in raw:
        return f"stand-in {LOCKED}" if locked else "stand-in"
    columns = raw["shapedirs"].shape[2]
    if model_type == "smplh":
        return "extended" if columns > 10 else "1.2"
    if model_type == "smpl":
        return "1.1" if columns > 10 else "1.0"
    if locked:
        return LOCKED
    if path.stem.endswith("2020"):
        return "2020"
    if any(name not in raw for name in HANDS):
        return "without_hand_pca"
    return "1.1" if columns >= 400 else "1.0"


def _check(raw: dict[str, Array], model_type: str, path: Path) -> None:
    """That the arrays are there and have the sizes of ``model_type``."""
    site = SITES[model_type]
    missing = [name for name in REQUIRED if name not in raw]
    if missing:
        raise BodyModelError(
            f"is no {NAMES[model_type]} model: it lacks {', '.join(missing)}",
            path=path,
            fix=f"download it at {site}",
        )
    vertices, joints = len(raw["v_template"]), raw["kintree_table"].shape[-1]
    actual = model_type_of(vertices, joints)
    if actual != model_type:
        what = f"is a {NAMES[actual]} model" if actual else f"has {vertices} vertices and {joints} joints"
        raise BodyModelError(
            f"{what}, not {NAMES[model_type]}", path=path, fix=f"put the {NAMES[model_type]} file from {site} there"
        )
    missing = [name for name in LANDMARKS if TOPOLOGY[model_type].landmarks and name not in raw]
    if missing:
        raise BodyModelError(f"lacks {', '.join(missing)}", path=path, fix=f"download it at {site}")
    for name, size in HAND_SIZES.items():
        if name in raw and raw[name].size != size:
            raise BodyModelError(f"{name} is {raw[name].shape}, expected {size} numbers", path=path)
    expected = {
        "v_template": (vertices, 3),
        "posedirs": (vertices, 3, 9 * (joints - 1)),
        "J_regressor": (joints, vertices),
        "weights": (vertices, joints),
    }
    for name, shape in expected.items():
        if raw[name].shape != shape:
            raise BodyModelError(f"{name} is {raw[name].shape}, expected {shape}", path=path)
    if raw["shapedirs"].ndim != 3 or (model_type == "smplx" and raw["shapedirs"].shape[2] < 20):
        raise BodyModelError(f"shapedirs is {raw['shapedirs'].shape}", path=path, fix=f"download it at {site}")


def _read_npz(path: Path) -> dict[str, Array]:
    """The members that are needed; the object members of official files are never opened."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            names = [n for n in (*REQUIRED, *HANDS, *LANDMARKS, "standin") if n in archive.files]
            return {name: archive[name] for name in names}
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, ValueError, KeyError) as error:
        raise DataError(
            f"cannot be read as a body model ({error})", path=path, fix="copy or download the file again"
        ) from None


def _read_pickle(path: Path) -> dict[str, Array]:
    from ehps.humandata.pickles import CHUMPY, SCIPY_SPARSE, load_pickle

    content = load_pickle(path, allow=(SCIPY_SPARSE, CHUMPY))
    if not isinstance(content, dict):
        raise BodyModelError("is no body model", path=path)
    wanted = (*REQUIRED, *HANDS, *LANDMARKS, "standin")
    return {name: np.asarray(content[name]) for name in wanted if name in content}


def _gender_in(path: Path) -> str:
    words = f"{path.parent.name}/{path.name}".lower()
    if "female" in words or "model_f_" in words:
        return "female"
    return "male" if "male" in words or "model_m_" in words else "neutral"
