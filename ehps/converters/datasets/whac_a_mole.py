"""WHAC-A-Mole: couples that dance in SynBody's rendered places before moving cameras; three HumanData files.

The files were made by mmhuman3d's converter ``synbody_whac``: SMPL-X in the camera frame, absolute hands, projected
model joints, the camera of every row, and ``meta/RT``, by which bodies go back to the world. Here they are read as raw
data: rows get joints, boxes and quality of their own, and the file's 2D points must lie on the joints.
Source: Yin et al., "WHAC: World-grounded Humans and Cameras", ECCV 2024; that converter; the listing of the download.
No real file was seen: where images lie when the archives are unpacked is unconfirmed, so that they are looked for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ehps.arrays import Array, Mask
from ehps.body import cameras
from ehps.body.params import smplx_params
from ehps.body.rotations import TOLERANCE
from ehps.converters import ranges
from ehps.converters.base import Camera, Converter, DatasetCard, Instances, Keypoints, Unit, drop_marked, no_instances
from ehps.converters.readers import OTHER, fields, raw_files
from ehps.converters.readers.fields import FLAG, OBJECT, Field, integers, numbers, optional, texts
from ehps.converters.readers.images import image_folders, is_image_folder
from ehps.errors import DataError
from ehps.genders import BY_WORD
from ehps.humandata.storage import npz
from ehps.humandata.storage.npz_read import from_members

CARD = DatasetCard(
    id="whac_a_mole",
    config="synbody_whac",
    name="WHAC-A-Mole",
    homepage="https://wqyin.github.io/projects/WHAC",
    licence="CC BY-NC-SA 4.0",
    commercial_use=False,
    redistribution=True,
    paper="Yin et al., WHAC: World-grounded Humans and Cameras, ECCV 2024",
    annotation="exact render",
    annotation_note="SMPL-X, exact, in the camera frame, with the camera's pose in the world",
    body_model="smplx",
    appearance="synthetic",
    scene="indoor and outdoor",
    persons="several",
    splits={"train": None, "test": None},
    layout="""
whac_a_mole/
  annotations/synbody_whac_DuetDance_240222_200_train_0.npz                           (and _1)
  annotations/synbody_whac_DuetDance-20240218_240426_200_test_camera-000_0.01.npz
  images/.../<sequence>/img/camera-000/0001.jpeg                                      (as the archives unpack)
""",
    needs=("images",),
    split_needs={
        "train": ("annotations/synbody_whac*_train_*.npz",),
        "test": ("annotations/synbody_whac*_test_*.npz",),
    },
    get="Hugging Face dataset caizhongang/SynBody, folder whac_a_mole: annotations, and the archives in images "
    "unpacked where they lie",
    reprojection="exact",
    notes=(
        "Unconfirmed, as the release has no description: that scenes are indoor and outdoor, the frame rate, and where "
        "images lie when unpacked. They are looked for below images with up to two of the first folders of their "
        "paths left out; rows whose images are not found are left out and counted.",
        "Bodies must be in the camera frame (OpenCV axes), hands as the file says: files whose bodies are not near "
        "their 2D points are refused.",
        "What a file has that is not understood, such as contact labels, is listed and not converted; its boxes and 3D "
        "joints are made anew.",
        "meta/RT, where the file has it, is from the world to the camera, for reference.",
        "People without a body joint in the image, or with one behind the camera, are left out.",
    ),
)
ANNOTATIONS, IMAGES = "annotations", "images"
POINTS = "keypoints2d_smplx"
READ = ("image_path", POINTS, "smplx", "meta")
MADE_ANEW = (
    "bbox_xywh",
    "face_bbox_xywh",
    "lhand_bbox_xywh",
    "rhand_bbox_xywh",
    "keypoints3d_smplx",
    "keypoints3d_smplx_mask",
    "keypoints3d_smplx_convention",
)
ROWS = 1 << 15  # of a unit
RELEASED = {
    "train": re.compile(r"(?P<head>synbody_whac.*_train_)\d+(?P<tail>(_[\d.]+)?\.npz)"),
    "test": re.compile(r"synbody_whac.*_test(_camera-\d+)?(_[\d.]+)?\.npz"),
}
"""Names of a split's files; that of train is in two halves. A copy that a browser has renamed has another."""
ABSENT, RENAMED = "annotation file not there", "annotation file of another name than the release's"
SHORTENED = 2  # first folders of image paths that may be missing on the disk
FRAME = re.compile(r"(\d+)\.\w+$")
PATHS = Field("path", ("N",))
PARAMETERS = {
    "global_orient": numbers("N", 3),
    "body_pose": numbers("N", 21, 3),
    "left_hand_pose": numbers("N", 15, 3),
    "right_hand_pose": numbers("N", 15, 3),
    "jaw_pose": numbers("N", 3),
    "leye_pose": numbers("N", 3),
    "reye_pose": numbers("N", 3),
    "betas": numbers("N", 10),
    "expression": numbers("N", 10),
    "transl": numbers("N", 3),
}
FACTS = {
    "height": integers("N"),
    "width": integers("N"),
    "focal_length": numbers("N", 2),
    "principal_point": numbers("N", 2),
    "gender": texts("N", words=BY_WORD),
    "sequence_name": texts("N"),
    **optional({"RT": numbers("N", 4, 4), "track_id": integers("N")}),
}
REST_PELVIS = (0, -0.35, 0)  # metres, of SMPL-X, to within a few centimetres whatever the shape
NEAR = 0.25  # metres


class WhacAMole(Converter):
    card = CARD

    def units(self) -> list[Unit]:
        folder = self.root / ANNOTATIONS
        there = sorted(path.name for path in folder.glob(f"synbody_whac*_{self.split}_*.npz"))
        named = {name: match for name in there if (match := RELEASED[self.split].fullmatch(name))}
        releases = {(match["head"], match["tail"]) for match in named.values()} if self.split == "train" else set()
        absent = {f"{head}{half}{tail}" for head, tail in releases for half in (0, 1)} - named.keys()
        left_out = dict.fromkeys(sorted(absent), ABSENT)
        left_out |= {name: RENAMED for name in there if name not in named}
        units = [unit for name in named for unit in _units_of(folder / name)]
        return units + [Unit(name.removesuffix(".npz"), folder / name, why) for name, why in left_out.items()]

    def read(self, unit: Unit) -> Instances:
        if isinstance(unit.data, str):
            return no_instances(left_out=unit.data, absent=unit.data == ABSENT)
        path = unit.path
        raw_files.note(path)
        members, others = npz.member_rows(path, READ, *unit.data)
        rows = fields.values(members, {"image_path": PATHS, "smplx": OBJECT, "meta": OBJECT, "misc": OBJECT}, path)
        names = rows["image_path"]
        lengths = {"N": len(names)}
        parameters = fields.values(members["smplx"], PARAMETERS, path, "smplx", lengths=lengths)
        facts = fields.values(members["meta"], FACTS, path, "meta", lengths=lengths)
        flat = fields.values(members["misc"], {"flat_hand_mean": FLAG}, path, "misc")["flat_hand_mean"]
        points, point_names = _points(members, path, lengths)
        camera = Camera(facts["focal_length"].astype(float), facts["principal_point"].astype(float))
        check_frame(parameters["transl"], points, point_names, camera, path)
        frames = [FRAME.search(name) for name in names.tolist()]
        dropped: dict[str, list[str]] = {}
        reasons = {"image_path without the number of its frame": np.array([not frame for frame in frames], bool)}
        if "RT" in facts:
            reasons["meta/RT is no pose of a camera"] = ~_poses(facts["RT"])
        keep = drop_marked(dropped, names.tolist(), reasons)
        sequences = facts["sequence_name"][keep].tolist()
        meta: dict[str, Any] = {
            "sequence_name": sequences,
            "frame_id": np.array([int(frame[1]) if frame else -1 for frame in frames], int)[keep],
        }
        if "track_id" in facts:
            tracks = facts["track_id"][keep].tolist()
            meta["track_id"] = [f"{sequence}/{track}" for sequence, track in zip(sequences, tracks, strict=True)]
        if "RT" in facts:
            meta["RT"] = facts["RT"][keep].astype(float)
        return Instances(
            image_path=self._located(names[keep].tolist()),
            size=np.column_stack([facts["height"], facts["width"]])[keep],
            camera=Camera(camera.focal[keep], camera.principal_point[keep]),
            body=smplx_params(
                gender=facts["gender"][keep],
                flat_hand_mean=bool(flat),
                **{name: value[keep] for name, value in parameters.items()},
            ),
            keypoints2d=Keypoints(points[keep], point_names),
            meta=meta,
            misc={"smplx_source": "original"},
            dropped=dropped,
            notes=_not_converted(members, others, path),
            min_joints_inside=1,
        )

    def _located(self, paths: Sequence[str]) -> list[str]:
        """Paths below the root, wherever the archives of images were unpacked; unchanged where they are not found."""
        inner = image_folders(self.root, f"{IMAGES}/*")
        places: dict[str, str] = {}
        for folder in dict.fromkeys(path.rpartition("/")[0] for path in paths):
            parts = folder.split("/")
            shorter = ["/".join(parts[k:]) for k in range(min(SHORTENED + 1, len(parts)))]
            found = (f"{base}/{rest}" for base in (IMAGES, *inner) for rest in shorter)
            there = (place for place in (folder, *found) if is_image_folder(self.root, place))
            places[folder] = next(there, f"{IMAGES}/{folder}")
        return [f"{places[folder]}/{name}" for folder, _, name in (path.rpartition("/") for path in paths)]


def _units_of(path: Path) -> list[Unit]:
    """Blocks of rows; a file that cannot be read is told when the first is."""
    try:
        count = npz.count(path)
    except DataError:
        count = 0
    if count <= ROWS:
        return [Unit(path.stem, path, (0, ROWS))]
    return [
        Unit(f"{path.stem} from row {first + 1} on", path, (first, first + ROWS)) for first in range(0, count, ROWS)
    ]


def _points(members: Mapping[str, Any], path: Path, lengths: dict[str, int]) -> tuple[Array, tuple[str, ...]]:
    """(N, J, 3) pixels and confidence of the file's 2D points, whether it stores all slots or some, and their names.

    Raises
    ------
    DataError : there are none whose names are known.
    """
    table = from_members({name: value for name, value in members.items() if name not in ("smplx", "meta")}, str(path))
    names = table.keypoint_names.get(POINTS, ())
    if "pelvis" not in names:
        what = f"has no {POINTS} of known names, by which it is told that its bodies are where they should be"
        raise DataError(what, path=path, fix=OTHER)
    expected = {POINTS: numbers("N", len(names), 3)}
    return fields.values({POINTS: table[POINTS]}, expected, path, lengths=lengths)[POINTS].astype(float), names


def _poses(extrinsic: Array) -> Mask:
    """(N,) which of (N, 4, 4) matrices are rotations and translations of a plausible length."""
    rotation, place = np.nan_to_num(extrinsic[:, :3, :3].astype(float)), extrinsic[:, :3, 3]
    rotation = np.clip(rotation, -2, 2)
    off = np.abs(rotation @ rotation.transpose(0, 2, 1) - np.eye(3)).max(axis=(1, 2), initial=0)
    right = (off < TOLERANCE) & (np.linalg.det(rotation) > 0) & (np.abs(place) <= ranges.METRES).all(axis=1)
    return np.asarray(right & (extrinsic[:, 3] == [0, 0, 0, 1]).all(axis=1))


def check_frame(transl: Array, points: Array, names: tuple[str, ...], camera: Camera, path: Path) -> None:
    """Raise unless most bodies are where their 2D points are.

    A body turns about its pelvis, which is therefore at ``transl`` plus that of the resting body, whatever its pose.

    Parameters
    ----------
    transl : (N, 3) metres.
    points : (N, J, 3) pixels and confidence.

    Raises
    ------
    DataError : they are not: in the world, behind the camera, or in a camera frame with other axes.
    """
    pelvis = points[:, names.index("pelvis")]
    place = transl + np.array(REST_PELVIS)
    pixels = cameras.project(place[:, None], camera.focal, camera.principal_point)[:, 0]
    asked = (pelvis[:, 2] > 0) & np.isfinite(place).all(axis=1)
    if not asked.any():
        return
    gap = np.linalg.norm((pixels - pelvis[:, :2]) / camera.focal, axis=1) * place[:, 2]
    gap[~np.isfinite(gap)] = np.inf  # behind the camera
    if not (median := float(np.median(gap[asked]))) <= NEAR:
        far = f"{median:.1f} m from" if np.isfinite(median) else "behind the camera, and not at"
        raise DataError(
            f"half of the bodies or more are {far} their 2D points: they are not in the camera frame with x to the "
            "right, y down and z ahead",
            path=path,
            fix=OTHER,
        )


def _not_converted(members: Mapping[str, Any], others: Sequence[str], path: Path) -> list[str]:
    """A note on what the file has beside what is read or made anew."""
    unknown = [name for name in others if name not in MADE_ANEW]
    unknown += [f"smplx/{name}" for name in members["smplx"] if name not in PARAMETERS]
    unknown += [f"meta/{name}" for name in members["meta"] if name not in FACTS]
    if not unknown:
        return []
    return [f"{path.name} also has {', '.join(unknown)}: of unknown meaning, and not converted"]
