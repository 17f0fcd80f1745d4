"""BEDLAM: synthetic images of 1 to 10 simulated people, SMPL-X of the neutral model with 11 betas.

Two releases, told apart by what is there. (A) 6 fps images with ``all_npz_12_*`` labels: parameters already in
the camera frame, every person with an offset of its own. (B) 30 fps images with the scene's ground truth: see
:mod:`ehps.converters.datasets.bedlam_scenes`.
Close-up scenes are labelled for the image turned 90 degrees clockwise; rows here are for the image as it is
stored, so their people lie on the side.
Source: Black et al., "BEDLAM: A Synthetic Dataset of Bodies Exhibiting Detailed Lifelike Animated Motion", CVPR
2023; the official processing scripts.
"""

from __future__ import annotations

import re

import numpy as np

from ehps.body.params import smplx_params, smplx_pose
from ehps.converters.base import Camera, Converter, DatasetCard, Instances, Keypoints, Rigid, Unit, drop, no_instances
from ehps.converters.datasets.bedlam_scenes import HEIGHT, WIDTH, checked_betas, read_scene
from ehps.converters.readers import OTHER, fields, raw_files
from ehps.converters.readers.fields import Field, numbers, texts
from ehps.errors import DataError
from ehps.genders import BY_WORD

CARD = DatasetCard(
    id="bedlam",
    name="BEDLAM",
    homepage="https://bedlam.is.tue.mpg.de",
    licence="non-commercial research, after registration",
    commercial_use=False,
    paper="Black et al., BEDLAM: A Synthetic Dataset of Bodies Exhibiting Detailed Lifelike Animated Motion, CVPR 2023",
    annotation="exact render",
    annotation_note="SMPL-X, neutral model, exact up to the refit",
    body_model="smplx",
    appearance="synthetic",
    scene="indoor and outdoor",
    persons="several",
    splits={"train": 951_066, "val": None},
    uncertain=("train",),
    layout="""
BEDLAM/                                                     (A) 6 fps labels
  training_labels/all_npz_12_training/<scene>_6fps.npz      (the inner folder may lie in the root)
  training_images/<scene>_6fps/png/seq_000000/seq_000000_0005.png
  validation_labels/all_npz_12_validation/, validation_images/
BEDLAM/                                                     (B) 30 fps ground truth
  images/<scene>/be_seq.csv
  images/<scene>/ground_truth/camera/seq_000000_camera.csv
  images/<scene>/png/seq_000000/seq_000000_0000.png
  smplx_gt/neutral_ground_truth_motioninfo/<subject>/<motion>/motion_seq.npz
""",
    split_needs={
        "train": ("*/all_npz_12_training | all_npz_12_training | images/*/be_seq.csv",),
        "val": ("*/all_npz_12_validation | all_npz_12_validation | images/*/be_seq.csv",),
    },
    get="register on the homepage; (A) the 6 fps images and all_npz_12_{training,validation}.zip, or (B) the scenes' "
    "-png and -gt archives with the body motions",
    reprojection="exact",
    fps=30,
    sampling=5,
    notes=(
        "Parameters belong to the neutral model for everybody; the rendered sex is in meta/subject_gender.",
        "Hand poses are absolute (flat_hand_mean true).",
        "Release (B) is reduced to every fifth frame, as (A) is, and has no 2D points to check the bodies against.",
    ),
)
VALIDATION = frozenset(
    (
        "20221018_1_250_batch01hand_zoom_suburb_b",
        "20221018_3-8_250_batch01hand",
        "20221018_3_250_batch01hand_orbit_archVizUI3_time15",
        "20221019_3-8_250_highbmihand_orbit_stadium",
    )
)
LABELLED = {
    "imgname": Field("path", ("N",)),
    "pose_cam": numbers("N", 165),
    "trans_cam": numbers("N", 3),
    "cam_ext": numbers("N", 4, 4),
    "cam_int": numbers("N", 3, 3),
    "shape": numbers("N", "betas"),
    "gtkps": numbers("N", "joints", 3),
    "gender": texts("N", words=BY_WORD),
}
JOINTS = 127
FRAME = re.compile(r"_\d+\.\w+$")
IMAGE_FOLDERS = {
    "train": ("training_images", "train_images", "training", "images"),
    "val": ("validation_images", "validation", "images"),
}
LABELS = {"train": "all_npz_12_training", "val": "all_npz_12_validation"}
# Portrait camera frame (image turned clockwise) -> the stored image's camera frame.
UPRIGHT_TO_STORED = np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]])


class BEDLAM(Converter):
    card = CARD

    def units(self) -> list[Unit]:
        labels = LABELS[self.split]
        folder = next(
            (p for p in (self.root / labels, *sorted(self.root.glob(f"*/{labels}"))) if raw_files.is_folder(p)), None
        )
        if folder is not None:
            return [Unit(p.stem, p) for p in sorted(folder.glob("*.npz")) if not p.name.startswith("agora")]
        scenes = sorted(p.parent for p in self.root.glob("images/*/be_seq.csv"))
        return [Unit(p.name, p) for p in scenes if (p.name in VALIDATION) == (self.split == "val")]

    def read(self, unit: Unit) -> Instances:
        return self._read_labels(unit) if unit.path.suffix == ".npz" else read_scene(self.root, unit)

    def _read_labels(self, unit: Unit) -> Instances:
        data = fields.values(raw_files.load_npz(unit.path, list(LABELLED)), LABELLED, unit.path)
        if data["gtkps"].shape[1] < JOINTS:
            what = f"gtkps has {data['gtkps'].shape[1]} joints, expected {JOINTS} or more"
            raise DataError(what, path=unit.path, fix=OTHER)
        folder = next((d for d in IMAGE_FOLDERS[self.split] if raw_files.is_folder(self.root / d / unit.name)), None)
        if folder is None:
            return no_instances({"scene without image folder": [f"{unit.name}/{name}" for name in data["imgname"]]})
        transl = data["trans_cam"] + data["cam_ext"][:, :3, 3]
        behind = transl[:, 2] <= 0
        dropped: dict[str, list[str]] = {}
        drop(dropped, "behind the camera", [f"{unit.name}/{name}" for name in data["imgname"][behind]])
        unnumbered = np.array([not FRAME.search(name) for name in data["imgname"].tolist()], bool) & ~behind
        drop(dropped, "imgname without the number of its frame", data["imgname"][unnumbered].tolist())
        keep = ~behind & ~unnumbered
        data, transl = {key: value[keep] for key, value in data.items()}, transl[keep]
        if not len(transl):
            return no_instances(dropped)
        matrix = data["cam_int"]
        upright = matrix[:, 0, 2] < matrix[:, 1, 2]
        points = data["gtkps"][:, :JOINTS].astype(float)
        points[..., 2] = 1  # a homogeneous coordinate, not a visibility
        points[upright, :, :2] = as_stored(points[upright, :, :2])
        focal, centre = matrix[:, [0, 1], [0, 1]].astype(float), matrix[:, :2, 2].astype(float)
        focal[upright], centre[upright] = focal[upright, ::-1], as_stored(centre[upright])
        frames = [raw_files.basename(name).rsplit(".", 1)[0].rsplit("_", 1) for name in data["imgname"]]
        betas = checked_betas(data["shape"], unit.path)
        return Instances(
            image_path=[f"{folder}/{unit.name}/png/{name}" for name in data["imgname"]],
            size=(HEIGHT, WIDTH),
            camera=Camera(focal, centre),
            body=smplx_params(
                gender="neutral",
                betas=betas,
                betas_neutral=betas,
                transl=transl,
                flat_hand_mean=True,
                **smplx_pose(data["pose_cam"].reshape(-1, 55, 3)),
            ),
            world_to_camera=turned(upright) if upright.any() else None,
            keypoints2d=Keypoints(points, "smplx_127"),
            meta={
                "subject_gender": [str(g)[:1] for g in data["gender"]],
                "sequence_name": [f"{unit.name}/{sequence}" for sequence, _ in frames],
                "frame_id": np.array([int(frame) for _, frame in frames]),
            },
            misc={"smplx_source": "original"},
            dropped=dropped,
        )


def as_stored(pixels: np.ndarray) -> np.ndarray:
    """Pixels (..., 2) of the turned image, u and v, in the stored one: v and 720 - u."""
    return np.stack([pixels[..., 1], HEIGHT - pixels[..., 0]], axis=-1)


def turned(upright: np.ndarray) -> Rigid:
    """From the turned image's camera to the stored one's for rows marked ``upright``, identity for the others."""
    rotation = np.where(upright[:, None, None], UPRIGHT_TO_STORED, np.eye(3))
    return Rigid(rotation, np.zeros((len(upright), 3)))
