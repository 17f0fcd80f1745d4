"""BEDLAM: synthetic pictures of 1 to 10 simulated people, SMPL-X of the neutral model with 11 betas.

Two releases, told apart by what is there. (A) 6 fps pictures with ``all_npz_12_*`` labels: parameters already in
the camera frame, every person with an offset of its own. (B) 30 fps pictures with the scene's ground truth: bodies
move from their motion's frame to the camera by R (Ry(yaw - 90) diag(1,-1,-1) v + body - camera).
Close-up scenes are labelled for the picture turned 90 degrees clockwise; rows here are for the picture as it is
stored, so their people lie on the side.
Source: Black et al., "BEDLAM: A Synthetic Dataset of Bodies Exhibiting Detailed Lifelike Animated Motion", CVPR
2023; the official processing scripts.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ehps.body import cameras
from ehps.body.params import smplx_params
from ehps.converters import raw
from ehps.converters.base import (
    Camera,
    Converter,
    DatasetCard,
    Instances,
    Keypoints,
    Rigid,
    Unit,
    concat,
    drop,
    no_instances,
)

CARD = DatasetCard(
    id="bedlam",
    name="BEDLAM",
    homepage="https://bedlam.is.tue.mpg.de",
    licence="non-commercial research, after registration",
    commercial=False,
    paper="Black et al., BEDLAM: A Synthetic Dataset of Bodies Exhibiting Detailed Lifelike Animated Motion, CVPR 2023",
    annotation="SMPL-X, neutral model, exact up to the refit",
    body_model="smplx",
    appearance="synthetic",
    scene="indoor and outdoor",
    persons="several",
    splits={"train": 951_066, "val": None},
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
        "train": ("training_labels/all_npz_12_training | all_npz_12_training | images/*/be_seq.csv",),
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
        "Release (B) is reduced to every fifth frame, as (A) is.",
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
IMAGE_FOLDERS = {
    "train": ("training_images", "train_images", "training", "images"),
    "val": ("validation_images", "validation", "images"),
}
LABELS = {"train": "all_npz_12_training", "val": "all_npz_12_validation"}
MOTIONS = ("smplx_gt/neutral_ground_truth_motioninfo", "smplx_gt/neutral_ground_truth")
FLIP = np.diag([1.0, -1.0, -1.0])
WIDTH, HEIGHT = 1280, 720
SENSOR_MM = 36
# Portrait camera frame (picture turned clockwise) -> the stored picture's camera frame.
UPRIGHT_TO_STORED = np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]])


class BEDLAM(Converter):
    card = CARD

    def units(self) -> list[Unit]:
        labels = LABELS[self.split]
        folder = next((p for p in (self.root / labels, *sorted(self.root.glob(f"*/{labels}"))) if p.is_dir()), None)
        if folder is not None:
            return [Unit(p.stem, p) for p in sorted(folder.glob("*.npz")) if not p.name.startswith("agora")]
        scenes = sorted(p.parent for p in self.root.glob("images/*/be_seq.csv"))
        return [Unit(p.name, p) for p in scenes if (p.name in VALIDATION) == (self.split == "val")]

    def read(self, unit: Unit) -> Instances:
        return self._read_labels(unit) if unit.path.suffix == ".npz" else self._read_scene(unit)

    # -- (A) 6 fps labels

    def _read_labels(self, unit: Unit) -> Instances:
        folder = next((f"{d}/{unit.name}/png" for d in IMAGE_FOLDERS[self.split]
                       if (self.root / d / unit.name).is_dir()), None)  # fmt: skip
        names = "imgname pose_cam trans_cam cam_ext cam_int shape gtkps gender"
        data = raw.load_npz(unit.path, names)
        if folder is None:
            return no_instances({"no image folder": [f"{unit.name} ({len(data['imgname'])} rows)"]})
        upright = data["cam_int"][:, 0, 2] < data["cam_int"][:, 1, 2]
        transl = data["trans_cam"] + data["cam_ext"][:, :3, 3]
        front = transl[:, 2] > 0
        dropped: dict[str, list[str]] = {}
        drop(dropped, "behind the camera", data["imgname"][~front])
        data = {key: value[front] for key, value in data.items()}
        upright, transl = upright[front], transl[front]
        pose = data["pose_cam"].reshape(-1, 55, 3)
        points = data["gtkps"][:, :127].astype(float)
        # Turned picture (u, v) -> stored picture (v, 720 - u).
        points[upright] = np.stack(
            [points[upright, :, 1], HEIGHT - points[upright, :, 0], points[upright, :, 2]], axis=-1
        )
        points[..., 2] = 1
        frames = [raw.basename(name) for name in data["imgname"]]
        focal = data["cam_int"][:, [0, 1], [0, 1]]
        return Instances(
            image_path=[f"{folder}/{name}" for name in data["imgname"]],
            size=(HEIGHT, WIDTH),
            camera=Camera(focal, np.array([WIDTH / 2, HEIGHT / 2])),
            body=smplx_params(
                gender="neutral",
                betas=data["shape"],
                betas_neutral=data["shape"],
                transl=transl,
                flat_hand_mean=True,
                **split_pose(pose),
            ),
            world_to_camera=turned(upright) if upright.any() else None,
            keypoints2d=Keypoints(points, "smplx_127"),
            meta={
                "subject_gender": [str(g)[:1] for g in data["gender"]],
                "sequence_name": [f"{unit.name}/{name.rsplit('_', 1)[0]}" for name in frames],
                "frame_id": np.array([int(Path(name).stem.rsplit("_", 1)[1]) for name in frames]),
            },
            misc={"smplx_source": "original"},
            dropped=dropped,
        )

    # -- (B) 30 fps ground truth

    def _read_scene(self, unit: Unit) -> Instances:
        motions = raw.first_existing(self.root, MOTIONS)
        parts = [
            self._body(unit, body, pictures, motions)
            for sequence, bodies in read_sequences(unit.path / "be_seq.csv").items()
            for pictures in [self._pictures(unit, sequence)]
            for body in bodies
        ]
        parts = [part for part in parts if len(part)]
        if not parts:
            return no_instances()
        return concat(parts)

    def _pictures(self, unit: Unit, sequence: str) -> dict[str, np.ndarray]:
        """Columns of the sequence's camera file, every fifth frame of the 30 fps numbering."""
        table = raw.read_csv(unit.path / "ground_truth" / "camera" / f"{sequence}_camera.csv")
        frame = table["name"].str.extract(r"_(\d+)\.", expand=False).astype(int).to_numpy()
        table = table.assign(frame=frame)[frame % 5 == 0]
        return {name: table[name].to_numpy() for name in table.columns}

    def _body(self, unit: Unit, body: Body, pictures: dict[str, np.ndarray], motions: Path) -> Instances:
        subject, motion = body.name.rsplit("_", 1)
        names = "poses trans betas gender gender_sub"
        data = raw.load_npz(motions / subject / motion / "motion_seq.npz", names)
        index = body.start + pictures["frame"]
        inside = index < len(data["poses"])
        n = int(inside.sum())
        if n == 0:
            return no_instances()
        index, view = index[inside], {key: value[inside] for key, value in pictures.items()}
        turn = np.stack([cameras.rotate_z(-r) @ cameras.rotate_x(-p) @ cameras.rotate_y(-y)
                         for r, p, y in zip(view["roll"], view["pitch"], view["yaw"], strict=True)])  # fmt: skip
        place = cameras.unreal_to_opencv(body.place) - cameras.unreal_to_opencv(
            np.column_stack([view["x"], view["y"], view["z"]])
        )
        focal = (view["focal_length"] / SENSOR_MM * WIDTH).astype(float)
        return Instances(
            image_path=[f"images/{unit.name}/png/{body.sequence}/{name}" for name in view["name"]],
            size=np.tile([HEIGHT, WIDTH], (n, 1)),
            camera=Camera(np.column_stack([focal, focal]), np.tile([WIDTH / 2, HEIGHT / 2], (n, 1))),
            body=smplx_params(
                gender=str(data["gender"]),
                betas=np.tile(data["betas"], (n, 1)),
                transl=data["trans"][index],
                flat_hand_mean=True,
                **split_pose(data["poses"][index].reshape(-1, 55, 3)),
            ),
            world_to_camera=Rigid(turn @ cameras.rotate_y(body.yaw - 90) @ FLIP, np.einsum("nij,nj->ni", turn, place)),
            meta={
                "subject_gender": [str(data["gender_sub"])[:1]] * n,
                "sequence_name": [f"{unit.name}/{body.sequence}"] * n,
                "frame_id": view["frame"],
                "track_id": [f"{unit.name}/{body.sequence}/{body.name}"] * n,
            },
            misc={"smplx_source": "original"},
            min_joints_inside=8,
        )


@dataclass(frozen=True)
class Body:
    """One person of a sequence: a row of ``be_seq.csv``; place in Unreal centimetres, yaw in degrees."""

    sequence: str
    name: str
    place: np.ndarray
    yaw: float
    start: int


def read_sequences(path: Path) -> dict[str, list[Body]]:
    """Bodies of each sequence, in the file's order."""
    sequences: dict[str, list[Body]] = {}
    sequence = ""
    for row in raw.read_csv(path).to_dict("records"):
        comment = dict(item.split("=", 1) for item in str(row["Comment"]).split(";") if "=" in item)
        if row["Type"] == "Group":
            sequence = comment["sequence_name"]
            sequences[sequence] = []
        elif row["Type"] == "Body":
            place = np.array([row["X"], row["Y"], row["Z"]], float)
            start = int(comment["start_frame"])
            sequences[sequence].append(Body(sequence, str(row["Body"]), place, float(row["Yaw"]), start))
    return sequences


def split_pose(pose: np.ndarray) -> dict[str, np.ndarray]:
    """Named parts of a (N, 55, 3) SMPL-X pose."""
    return {
        "global_orient": pose[:, 0],
        "body_pose": pose[:, 1:22],
        "jaw_pose": pose[:, 22],
        "leye_pose": pose[:, 23],
        "reye_pose": pose[:, 24],
        "left_hand_pose": pose[:, 25:40],
        "right_hand_pose": pose[:, 40:55],
    }


def turned(upright: np.ndarray) -> Rigid:
    """From the turned picture's camera to the stored one's for rows marked ``upright``, identity for the others."""
    rotation = np.where(upright[:, None, None], UPRIGHT_TO_STORED, np.eye(3))
    return Rigid(rotation, np.zeros((len(upright), 3)))
