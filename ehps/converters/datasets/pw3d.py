"""3DPW: 60 outdoor sequences filmed by a moving hand-held camera, SMPL from inertial sensors and video.

One or two tracked people a sequence, gendered models, world frame with y up, one extrinsic per frame. People are
kept in the frames where the camera was aligned for them (``campose_valid``), as SPIN, VIBE and 4D-Humans do.
Source: von Marcard et al., "Recovering Accurate 3D Human Pose in the Wild Using IMUs and a Moving Camera",
ECCV 2018, and the read-me of the release.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ehps.arrays import Array
from ehps.body.params import smpl_params
from ehps.converters import ranges
from ehps.converters.base import Camera, Converter, DatasetCard, Instances, Keypoints, Rigid, Unit, drop, no_instances
from ehps.converters.readers import OTHER, fields, raw_files
from ehps.converters.readers.fields import PATH, integers, numbers, texts
from ehps.converters.readers.images import ImageIndex
from ehps.converters.readers.views import lens_of
from ehps.errors import DataError
from ehps.genders import BY_WORD

NEAR = 0.03  # of the image's size: K's centre is that near to its middle
CARD = DatasetCard(
    id="pw3d",
    config="pw3d_{split}",
    name="3DPW",
    homepage="https://virtualhumans.mpi-inf.mpg.de/3DPW/",
    licence="non-commercial research, after accepting the licence",
    commercial_use=False,
    paper="von Marcard et al., Recovering Accurate 3D Human Pose in the Wild Using IMUs and a Moving Camera, ECCV 2018",
    annotation="IMU and video",
    annotation_note="SMPL, gendered, from inertial sensors and video",
    body_model="smpl",
    appearance="real",
    scene="outdoor",
    scene_note="in the wild",
    persons="several",
    splits={"train": 22_735, "validation": None, "test": 35_515},
    layout="""
3DPW/
  sequenceFiles/{train,validation,test}/<sequence>.pkl     (a folder named val is accepted)
  imageFiles/<sequence>/image_00000.jpg
""",
    needs=("imageFiles",),
    split_needs={
        "train": ("sequenceFiles/train/*.pkl",),
        "validation": ("sequenceFiles/validation/*.pkl | sequenceFiles/val/*.pkl",),
        "test": ("sequenceFiles/test/*.pkl",),
    },
    get="accept the licence on the homepage; unpack imageFiles.zip and sequenceFiles.zip side by side",
    variants={
        "3DPW_*.json": "the json of Moon's repositories or of NeuralAnnot; sequenceFiles.zip is needed",
        "3dpw_*_smplx.npz": "BEDLAM's SMPL-X fits to 3DPW; sequenceFiles.zip is needed",
    },
    reprojection="fitted",
    points3d=0.02,  # joints of the same SMPL fits; those of the other gender are further away
    fps=30,
    notes=(
        "Bystanders are not annotated.",
        "2D points are OpenPose detections; rows without any have meta/has_2d False.",
    ),
)


SEQUENCE = {
    "sequence": PATH,
    "campose_valid": integers("people", "N", among=(0, 1)),
    "cam_poses": numbers("N", 4, 4),
    "cam_intrinsics": numbers(3, 3),
    "jointPositions": numbers("people", "N", 72),
    "poses2d": numbers("people", "N", 3, 18),
    "genders": texts("people", words=BY_WORD),
    "betas": numbers("people", "betas"),
    "poses": numbers("people", "N", 72),
    "trans": numbers("people", "N", 3),
}


class PW3D(Converter):
    card = CARD

    def units(self) -> list[Unit]:
        folder = self.root / "sequenceFiles" / self.split
        if self.split == "validation" and not raw_files.is_folder(folder):
            folder = folder.with_name("val")
        paths = sorted(p for p in folder.glob("*.pkl") if not p.name.startswith("."))
        return [Unit(path.stem, path) for path in paths]

    def read(self, unit: Unit) -> Instances:
        data = read_sequence(unit.path)
        name = str(data["sequence"])
        valid = data["campose_valid"] != 0  # (P, N)
        person, frame = np.nonzero(valid)
        dropped: dict[str, list[str]] = {}
        drop(dropped, "camera not aligned", (f"{name} person {p} frame {n}" for p, n in np.argwhere(~valid)))
        if not len(frame):
            return no_instances(dropped)
        extrinsics = data["cam_poses"].astype(float)[frame]
        rotation, translation = extrinsics[:, :3, :3], extrinsics[:, :3, 3]
        k = data["cam_intrinsics"].astype(float)
        joints = data["jointPositions"][person, frame].reshape(-1, 24, 3)
        joints = np.einsum("nij,nkj->nki", rotation, joints) + translation[:, None]
        points = data["poses2d"][person, frame].transpose(0, 2, 1)
        focal, centre = lens_of(k, unit.path, "cam_intrinsics")
        paths = [f"imageFiles/{name}/image_{n:05d}.jpg" for n in frame]
        return Instances(
            image_path=paths,
            size=labelled_size(centre, ImageIndex(self.root).usual_size(paths)),
            camera=Camera(focal, centre),
            body=smpl_params(
                gender=data["genders"][person],
                betas=data["betas"][person, :10],
                pose=data["poses"][person, frame],
                transl=data["trans"][person, frame],
            ),
            world_to_camera=Rigid(rotation, translation),
            keypoints2d=Keypoints(points, "pw3d"),
            keypoints3d=Keypoints(np.concatenate([joints, np.ones((*joints.shape[:2], 1))], -1), "smpl"),
            meta={
                "sequence_name": [name] * len(frame),
                "frame_id": frame,
                "track_id": [f"{name}_{p}" for p in person],
                "has_2d": (points[..., 2] > 0).any(1),
            },
            misc={"smpl_source": "original"},
            dropped=dropped,
        )


def labelled_size(centre: Array, stored: tuple[int, int]) -> Array:
    """(2,) height and width of the images that K is for, of which its ``centre`` (x, y) is about the middle: a whole
    multiple of the ``stored`` size where that fits, as images are copied at half or a quarter of their size."""
    said = 2 * centre[::-1]
    times = np.rint(said.mean() / max(np.mean(stored), 1))
    whole = times * np.array(stored)
    return np.rint(whole if np.all(np.abs(whole - said) < NEAR * said) else said).astype(int)


def read_sequence(path: Path) -> dict[str, Array]:
    """Arrays of a sequence of N frames, by name.

    Raises
    ------
    DataError : one is absent or of another form, or people differ in their number of frames.
    """
    found = fields.values(raw_files.load_pkl(path), SEQUENCE, path, finite=False)
    k = found["cam_intrinsics"]
    if not (np.abs(k) <= ranges.PIXELS).all():
        what = f"cam_intrinsics is {fields.described(k)} up to {np.abs(k).max():g}, expected a camera in pixels"
        raise DataError(what, path=path, fix=OTHER)
    if found["betas"].shape[1] < 10:
        raise DataError(f"betas has {found['betas'].shape[1]} numbers a person, expected 10", path=path, fix=OTHER)
    return found
