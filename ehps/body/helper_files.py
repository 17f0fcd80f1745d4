"""The small files that come with the body models: vertex lists, the joint regressor, kid templates.

None may be shipped; each is looked for by its usual name anywhere under the body-model folder, and a missing
one disables what needs it with a message that says where it comes from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ehps.arrays import Array
from ehps.body.topology import SITES, TOPOLOGY
from ehps.errors import BodyModelError, DataError


@dataclass(frozen=True)
class HelperFile:
    """One auxiliary file: the names it goes by, what it is for, who hands it out."""

    names: tuple[str, ...]
    used_for: str
    source: str


_AGORA_TOOL = "the AGORA evaluation tool (github.com/pixelite1201/agora_evaluation)"

HELPERS: Mapping[str, HelperFile] = {
    "mano_ids": HelperFile(
        ("MANO_SMPLX_vertex_ids.pkl",), "hand errors", f"{SITES['smplx']}, 'MANO and FLAME vertex indices'"
    ),
    "flame_ids": HelperFile(
        ("SMPL-X__FLAME_vertex_ids.npy",), "face errors", f"{SITES['smplx']}, 'MANO and FLAME vertex indices'"
    ),
    "j14": HelperFile(
        ("SMPLX_to_J14.pkl", "SMPLX_to_J14.npy"),
        "14-joint errors",
        "the ExPose download, expose.is.tue.mpg.de",
    ),
    "kid_smplx": HelperFile(
        ("smplx_kid_template.npy",), "children in AGORA", "the AGORA download, agora.is.tue.mpg.de"
    ),
    "kid_smpl": HelperFile(("smpl_kid_template.npy",), "children in AGORA", "the AGORA download, agora.is.tue.mpg.de"),
    "agora_smplx": HelperFile(
        ("body_verts_smplx.npy",), "body errors of AGORA's own evaluation", f"{_AGORA_TOOL}, folder utils"
    ),
    "agora_smpl": HelperFile(
        ("body_verts_smpl.npy",), "SMPL errors of AGORA's own evaluation", f"{_AGORA_TOOL}, folder utils"
    ),
    "h36m_smpl": HelperFile(
        ("J_regressor_h36m.npy", "J_regressor_h36m_correct.npy"),
        "Human3.6M joints of SMPL",
        "the data folder of SPIN (github.com/nkolot/SPIN, fetch_data.sh)",
    ),
    "h36m_smplx": HelperFile(
        ("J_regressor_h36m_smplx.npy",),
        "Human3.6M joints of SMPL-X",
        "the human model files of OSX (github.com/IDEA-Research/OSX)",
    ),
    "extra_smpl": HelperFile(
        ("J_regressor_extra.npy",),
        "COCO keypoints of SMPL (hips as people mark them)",
        "the data folder of SPIN (github.com/nkolot/SPIN, fetch_data.sh)",
    ),
    "smplx2smpl": HelperFile(
        ("smplx2smpl.pkl", "smplx2smpl_deftrafo_setup.pkl"),
        "SMPL-X predictions beside SMPL truths, and SMPL fitted to SMPL-X",
        f"{SITES['smplx']}, 'Model transfer'",
    ),
    "densepose": HelperFile(
        ("UV_Processed.mat",),
        "PyMAF's auxiliary iuv (others: model_args.auxiliary=parts or =none)",
        "the UV data of DensePose (github.com/facebookresearch/DensePose)",
    ),
    "smpl2smplx": HelperFile(
        ("smpl2smplx_deftrafo_setup.pkl", "smplh2smplx_deftrafo_setup.pkl"),
        "SMPL-X fitted to SMPL",
        f"{SITES['smplx']}, 'Model transfer'",
    ),
    "smplx_mask": HelperFile(
        ("smplx_mask_ids.npy",),
        "SMPL-X fitted to SMPL, without eyes and the inside of the mouth",
        f"{SITES['smplx']}, 'Model transfer'",
    ),
}


def find_helper(folder: Path, key: str) -> Path | None:
    """Where the helper file ``key`` (of :data:`HELPERS`) lies under ``folder``; None when it does not."""
    for name in HELPERS[key].names:
        for near in (folder, folder / "smplx", folder / "smpl", folder / "smplh"):
            if (near / name).is_file():
                return near / name
        found = sorted(path for path in folder.rglob(name) if path.is_file()) if folder.is_dir() else []
        if found:
            return found[0]
    return None


def vertex_ids(folder: Path, parts: Sequence[str] = ("left_hand", "right_hand", "face")) -> dict[str, Array]:
    """SMPL-X vertex numbers of ``left_hand`` and ``right_hand`` (778,) in MANO order and ``face`` (5023,) in
    FLAME order, int64.

    Parameters
    ----------
    parts : those wanted; the file of hands, or that of faces, is needed for its own alone.

    Raises
    ------
    BodyModelError : a file that lists them is missing or not what its name says.
    """
    ids: dict[str, Array] = {}
    if set(parts) - {"face"}:
        hands = _load(folder, "mano_ids")
        if not isinstance(hands, dict) or not {"left_hand", "right_hand"} <= hands.keys():
            raise BodyModelError("has no left_hand and right_hand lists", path=require_helper(folder, "mano_ids"))
        ids |= {side: np.asarray(hands[side]).astype(np.int64) for side in ("left_hand", "right_hand")}
    if "face" in parts:
        ids["face"] = np.asarray(_load(folder, "flame_ids")).astype(np.int64)
    for part, values in ids.items():
        if values.ndim != 1 or values.min() < 0 or values.max() >= TOPOLOGY["smplx"].vertices:
            raise BodyModelError(f"{part} is not a list of SMPL-X vertex numbers", path=folder)
    return ids


def j14_regressor(folder: Path) -> Array:
    """(14, 10475) float64: the LSP joints from SMPL-X vertices (first 14 rows of the file)."""
    matrix, vertices = np.asarray(_load(folder, "j14"), np.float64), TOPOLOGY["smplx"].vertices
    if matrix.ndim != 2 or matrix.shape[1] != vertices:
        raise BodyModelError(
            f"is {matrix.shape}, not a regressor from {vertices} vertices", path=require_helper(folder, "j14")
        )
    return matrix[:14]


def h36m_regressor(folder: Path, model_type: str) -> Array:
    """(17, V) float64: the Human3.6M joints, pelvis first, from vertices of ``model_type``.

    SMPL's file has the left leg before the right one, OSX's file for SMPL-X the right one before the left.
    """
    matrix, vertices = np.asarray(_load(folder, f"h36m_{model_type}"), np.float64), TOPOLOGY[model_type].vertices
    if matrix.shape != (17, vertices):
        raise BodyModelError(
            f"is {matrix.shape}, not 17 joints from {vertices} vertices",
            path=require_helper(folder, f"h36m_{model_type}"),
        )
    return matrix


def extra_regressor(folder: Path) -> Array:
    """(9, 6890) float64: right hip, left hip, neck, head top, pelvis, thorax, spine, jaw, head, from SMPL vertices."""
    matrix, vertices = np.asarray(_load(folder, "extra_smpl"), np.float64), TOPOLOGY["smpl"].vertices
    if matrix.shape != (9, vertices):
        raise BodyModelError(
            f"is {matrix.shape}, not 9 joints from {vertices} vertices", path=require_helper(folder, "extra_smpl")
        )
    return matrix


def official_body_vertices(folder: Path, model_type: str) -> Array:
    """Vertex numbers by which AGORA's evaluation tool compares bodies, int64."""
    key = f"agora_{model_type}"
    ids = np.asarray(_load(folder, key))
    if ids.ndim != 1 or ids.dtype.kind not in "iu" or not len(ids) or ids.max() >= TOPOLOGY[model_type].vertices:
        raise BodyModelError(f"is not a list of vertex numbers of {model_type}", path=require_helper(folder, key))
    return ids.astype(np.int64)


def vertex_transfer(folder: Path, source: str, target: str) -> Any:
    """Matrix from the vertices of one topology to those of another, ``smplx`` to ``smpl`` (6890, 10475) or back, sparse
    where it is so in the file. SMPL-H has the vertices of SMPL.

    The file is that of SMPLest-X (``matrix``) or the deformation transfer of the SMPL-X site (``mtx``, whose columns
    beyond the vertices belong to normals and must be empty).

    Raises
    ------
    BodyModelError : the file is missing, has no such matrix, or moves vertices along normals.
    """
    key = f"{source}2{target}"
    path = require_helper(folder, key)
    held = read_helper(path, sparse=True)
    matrix = next((held[name] for name in ("matrix", "mtx") if name in held), None) if isinstance(held, dict) else None
    rows, columns = TOPOLOGY[target].vertices, TOPOLOGY[source].vertices
    if matrix is None or getattr(matrix, "shape", ()) not in ((rows, columns), (rows, 2 * columns)):
        raise BodyModelError(f"has no matrix of {rows} x {columns}", path=path)
    if matrix.shape[1] > columns:
        if abs(matrix[:, columns:]).sum() > 0:
            raise BodyModelError("moves vertices along normals, which is not supported", path=path)
        matrix = matrix[:, :columns]
    return matrix


def transferred_vertices(folder: Path) -> Array | None:
    """Numbers of the SMPL-X vertices that have a place on SMPL, int64; None where the file is not there.

    Raises
    ------
    BodyModelError : it is not a list of vertex numbers.
    """
    if find_helper(folder, "smplx_mask") is None:
        return None
    ids = np.asarray(_load(folder, "smplx_mask"))
    if ids.ndim != 1 or ids.dtype.kind not in "iu" or not len(ids) or ids.max() >= TOPOLOGY["smplx"].vertices:
        raise BodyModelError("is not a list of vertex numbers of smplx", path=require_helper(folder, "smplx_mask"))
    return ids.astype(np.int64)


@lru_cache(maxsize=4)
def kid_template(folder: Path, model_type: str) -> Array:
    """(V, 3) float64 template of a child, centred on its mean as the model expects it. Read-only."""
    key = "kid_smplx" if model_type == "smplx" else "kid_smpl"
    template = np.asarray(_load(folder, key), np.float64)
    if template.shape != (TOPOLOGY[model_type].vertices, 3):
        raise BodyModelError(f"has shape {template.shape}, not that of {model_type}", path=require_helper(folder, key))
    template = template - template.mean(axis=0)
    template.flags.writeable = False
    return template


def require_helper(folder: Path, key: str) -> Path:
    """Where the helper file ``key`` lies.

    Raises
    ------
    BodyModelError : it is not there; the message says where to get it.
    """
    path = find_helper(Path(folder), key)
    if path is None:
        helper = HELPERS[key]
        raise BodyModelError(
            f"{' or '.join(helper.names)} is not there; it is needed for {helper.used_for}",
            path=folder,
            fix=f"get it from {helper.source}, and put it into this folder",
        )
    return path


def _load(folder: Path, key: str) -> Any:
    return read_helper(require_helper(folder, key))


def read_helper(path: Path, *, sparse: bool = False) -> Any:
    """What a helper file holds.

    Parameters
    ----------
    sparse : leave sparse matrices so; dense ones of those between two models take a gigabyte.

    Raises
    ------
    DataError, UnsafeFileError : it is damaged, or asks for code.
    """
    if path.suffix == ".npy":
        try:
            return np.load(path, allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            raise DataError(f"is not a readable array ({error})", path=path, fix="copy it again") from None
    from ehps.humandata.pickles import KEPT_SPARSE, SCIPY_SPARSE, load_pickle

    return load_pickle(path, allow=(KEPT_SPARSE if sparse else SCIPY_SPARSE,))
