"""SPEC: AGORA scans rendered with varied cameras (SPEC-SYN), and people mimicking poses (SPEC-MTP).

Orientations are in a world without yaw: ``cam_rotmat`` takes them to the camera. No person's place is published
(``cam_trans`` is the camera's): it is solved from the projected joints and the intrinsics.
Source: Kocabas et al., "SPEC: Seeing People in the Wild with an Estimated Camera", ICCV 2021, and its data loaders.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ehps.body.params import smpl_params
from ehps.converters.base import Camera, Converter, DatasetCard, Instances, Keypoints, Rigid, Unit, drop, no_instances
from ehps.converters.readers import OTHER, fields, raw_files
from ehps.converters.readers.fields import Field, numbers
from ehps.converters.readers.images import ImageIndex
from ehps.errors import DataError
from ehps.humandata.pickles.npy_files import Npz

CARD = DatasetCard(
    id="spec",
    config="spec_{split}",
    name="SPEC",
    homepage="https://spec.is.tue.mpg.de",
    licence="non-commercial research, after registration",
    commercial_use=False,
    paper="Kocabas et al., SPEC: Seeing People in the Wild with an Estimated Camera, ICCV 2021",
    annotation="registered scans",
    annotation_note="SMPL, neutral, fitted to 3D scans",
    body_model="smpl",
    appearance="synthetic",
    scene="indoor and outdoor",
    persons="several",
    splits={"train": 71_982, "test": None, "mtp_test": None},
    layout="""
SPEC/                                        (spec-syn itself will do for train and test)
  spec-syn/annotations/{train,test}.npz      one row a person
  spec-syn/images/...                        as the annotation names them
  spec-mtp/annotations/test.npz, images/...  for mtp_test
""",
    split_needs={
        "train": ("spec-syn/annotations/train.npz | annotations/train.npz",),
        "test": (
            "spec-syn/annotations/train.npz | annotations/train.npz",
            "spec-syn/annotations/test.npz | annotations/test.npz",
        ),
        "mtp_test": ("spec-mtp/annotations/test.npz",),
    },
    get="register on the homepage; unpack spec-syn.zip and spec-mtp.zip side by side",
    reprojection="fitted",  # the place is solved from the points
    notes=(
        "Places are solved from the 2D joints: meta/transl_residual_px says how well, meta/transl_valid whether.",
        "mtp_test: real images with poses mimicked by crowd workers; the published focal lengths are held to be "
        "wrong and some 80 fits broken: for tests of pose only.",
        "Without body models smpl/transl is absent.",
    ),
)
PART = {"train": "spec-syn", "test": "spec-syn", "mtp_test": "spec-mtp"}
POINTS = {"openpose_gt": "openpose_25", "part": "smpl_24"}  # the first that is there
MEMBERS = {
    "imgname": Field("path", ("N",)),
    "center": numbers("N", 2),
    "scale": numbers("N"),
    "pose": numbers("N", 72),
    "shape": numbers("N", 10),
    "cam_rotmat": numbers("N", 3, 3),
    "S": numbers("N", 24, 4, optional=True),
    "openpose_gt": numbers("N", 25, 3, optional=True),
    "part": numbers("N", 24, 3, optional=True),
    "focal_length": numbers("N", "axes", optional=True),
    "cam_int": numbers("N", 3, 3, optional=True),
    "cam_pitch": numbers("N", optional=True),
    "cam_roll": numbers("N", optional=True),
    "has_smpl": numbers("N", optional=True),
}
TURNED = "pose_0yaw_inverseyz"  # in place of `pose`
PELVIS = 14  # of S
RENDERED = (1080, 1920)  # height and width of all images of SPEC-SYN


class SPEC(Converter):
    card = CARD

    def units(self) -> list[Unit]:
        name = f"annotations/{self.split.removeprefix('mtp_')}.npz"
        return [Unit(self.split, raw_files.first_existing(self.root, (f"{PART[self.split]}/{name}", name)))]

    def read(self, unit: Unit) -> Instances:
        data = members(unit.path)
        folder = unit.path.parent.parent.relative_to(self.root)
        names = [(folder / name).as_posix() for name in data["imgname"].tolist()]
        dropped: dict[str, list[str]] = {}
        if "has_smpl" in data:
            fitted = np.ravel(data.pop("has_smpl")) != 0
            drop(dropped, "no SMPL fit", (names[i] for i in np.flatnonzero(~fitted)))
            data = {key: value[fitted] for key, value in data.items()}
            names = [names[i] for i in np.flatnonzero(fitted)]
        if not names:
            return no_instances(dropped)
        n = len(names)
        rotation = data["cam_rotmat"].astype(float).reshape(n, 3, 3)
        side = 200 * data["scale"].astype(float).reshape(n, 1)
        source = next((key for key in POINTS if key in data), None)
        notes = [] if "cam_int" in data else ["no cam_int: principal points are the middle of the images"]
        if source is not None and source != next(iter(POINTS)):
            notes.append(f"no {next(iter(POINTS))}: 2D points are those called {source}")
        return Instances(
            image_path=names,
            size=self._rendered,
            camera=self._camera(data, names),
            notes=notes,
            body=smpl_params(
                gender="neutral",
                betas=data["shape"].astype(float),
                pose=data["pose"],
                transl=np.zeros((n, 3)),
            ),
            world_to_camera=Rigid(rotation, np.zeros(3)),
            solve_translation=True,
            keypoints2d=None if source is None else Keypoints(data[source].astype(float), POINTS[source]),
            keypoints3d=points3d(data["S"], rotation) if "S" in data else None,
            bbox=np.concatenate([data["center"] - side / 2, side, side], axis=1),
            bbox_padded=True,
            meta={key: data[key].astype(float).reshape(n) for key in ("cam_pitch", "cam_roll") if key in data},
            misc={"smpl_source": "original", "keypoints2d_source": source or "none"},
            dropped=dropped,
        )

    @property
    def _rendered(self) -> tuple[int, int] | None:
        """Size of the images that labels are for; None where they are of many sizes, which nobody states."""
        return RENDERED if PART[self.split] == "spec-syn" else None

    def _camera(self, data: dict[str, Any], names: list[str]) -> Camera:
        """Pinholes of the rows; without a principal point it is the middle of the image."""
        n = len(names)
        if "cam_int" in data:
            k = data["cam_int"].astype(float)
            return Camera(np.stack([k[:, 0, 0], k[:, 1, 1]], axis=1), k[:, :2, 2])
        rendered = self._rendered
        size = ImageIndex(self.root).sizes(names) if rendered is None else np.tile(rendered, (n, 1))
        return Camera(np.broadcast_to(data["focal_length"].astype(float).reshape(n, -1), (n, 2)), size[:, ::-1] / 2)


def members(path: Path) -> dict[str, np.ndarray]:
    """What is used of an annotation file, with its pose under one name.

    Raises
    ------
    DataError : something that every row needs is absent.
    """
    raw_files.note(path)
    with Npz(path) as stored:
        found = {name: stored[name] for name in (*MEMBERS, TURNED) if name in stored}
    if TURNED in found:
        found["pose"] = found.pop(TURNED)
    data = fields.values(found, MEMBERS, path)
    if not {"cam_int", "focal_length"} & data.keys():
        raise DataError("has neither cam_int nor focal_length", path=path, fix=OTHER)
    if "focal_length" in data and data["focal_length"].shape[1] not in (1, 2):
        what = f"focal_length has {data['focal_length'].shape[1]} numbers a row, expected 1 or 2"
        raise DataError(what, path=path, fix=OTHER)
    return data


def points3d(points: np.ndarray, rotation: np.ndarray) -> Keypoints:
    """The 3D joints with the axes of the camera, relative to their pelvis: the files do not know the place."""
    relative = points[..., :3].astype(float)
    relative = np.einsum("nij,nkj->nki", rotation, relative - relative[:, PELVIS : PELVIS + 1])
    return Keypoints(np.concatenate([relative, points[..., 3:]], axis=2), "smpl_24")
