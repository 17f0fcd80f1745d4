"""Human3.6M: actors in a studio before four cameras; the parsed release with NeuralAnnot SMPL-X fits.

Fits (neutral, body only) and the 17 joints are in the world frame, metres and millimetres; cameras are pinholes with
``x = R X + t``, t in millimetres, one set a subject. Files written by an older script have the camera's centre for t,
which is noticed by where the pelvis is projected. Frames are taken as by the loaders of Hand4Whole, OSX and SMPLer-X.
Source: Ionescu et al., TPAMI 2014; Moon et al., "NeuralAnnot", CVPRW 2022, and its release.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ehps.arrays import Array
from ehps.body import rigid_motion
from ehps.body.cameras import project
from ehps.converters import options
from ehps.converters.base import Camera, Converter, DatasetCard, Instances, Keypoints, Rigid, Unit, no_instances
from ehps.converters.readers import neural_annot, studio
from ehps.converters.readers.fields import integers

CARD = DatasetCard(
    id="h36m",
    name="Human3.6M",
    homepage="http://vision.imar.ro/human3.6m/description.php",
    licence="research only, after registration; no redistribution",
    commercial_use=False,
    redistribution=False,
    paper=(
        "Ionescu et al., Human3.6M: Large Scale Datasets and Predictive Methods for 3D Human "
        "Sensing in Natural Environments, TPAMI 2014"
    ),
    annotation="network",
    annotation_note="SMPL-X body, pseudo (NeuralAnnot); 17 joints from markers",
    body_source="NeuralAnnot",
    body_model="smplx",
    appearance="real",
    scene="studio",
    persons="one",
    splits={"train": 312_188, "test": None},
    layout="""
Human36M/
  images/s_01_act_02_subact_01_ca_01/s_01_act_02_subact_01_ca_01_000001.jpg
  annotations/Human36M_subject<S>_{data,camera,joint_3d,SMPLX_NeuralAnnot}.json
                                              S is 1 5 6 7 8 (train), 9 11 (test)
""",
    needs=("images", "annotations/Human36M_subject*_data.json"),
    split_needs={
        "train": tuple(f"annotations/Human36M_subject{s}_data.json" for s in (1, 5, 6, 7, 8)),
        "test": tuple(f"annotations/Human36M_subject{s}_data.json" for s in (9, 11)),
    },
    get=("parsed package from the Hand4Whole / OSX repositories, fits from github.com/mks0601/NeuralAnnot_RELEASE"),
    variants=dict.fromkeys(
        ("S*/MyPoseFeatures", "S*/Videos/*.54138969.mp4"),
        "the original release of videos and cdf files; the parsed package (images and annotations/) is needed",
    ),
    options=(
        options.cameras("1234", "numbers of the cameras, with commas between them", {"train": "all", "test": "4"}),
        options.stride("takes every N-th frame of the 50 fps video", {"train": "5", "test": "64"}),
        neural_annot.option("none: the joints from markers alone"),
    ),
    reprojection="fitted",
    fps=50,
    sampling=5,
    notes=(
        "Fits are of the neutral body without hands and face: these parameters are left out, fingers and face "
        "landmarks have confidence 0.",
        "Boxes are the dataset's, around the projected joints, with a margin of 1.2 already.",
        "The videos of the original release (cdf and mat files) are not read.",
        "Some sequences of subject 9 are known to be shifted in the original release.",
    ),
)
SUBJECTS = {"train": (1, 5, 6, 7, 8), "test": (9, 11)}


class H36M(Converter):
    card = CARD

    @property
    def body_model(self) -> str | None:
        return None if self.option("fits") == "none" else self.card.body_model

    def units(self) -> list[Unit]:
        return [unit for subject in SUBJECTS[self.split] for unit in self._subject(subject)]

    def _subject(self, subject: int) -> list[Unit]:
        beside = [self._file(subject, kind) for kind in ("camera", "joint_3d", "SMPLX_NeuralAnnot")]
        return studio.units(self._file(subject, "data"), f"subject {subject}", beside)

    def read(self, unit: Unit) -> Instances:
        subject = int(unit.name.split()[1])
        numbers, stride = self.option("cameras"), self.option("stride")
        fits, notes = neural_annot.chosen_file(
            self.root / "annotations", [self._file(subject, "SMPLX_NeuralAnnot").name], self.option("fits")
        )
        found = studio.captured(
            unit,
            self._file(subject, "joint_3d"),
            fits,
            wanted=lambda row: str(row["cam_idx"]) in numbers and row["frame_idx"] % stride == 0,
            frame_of=lambda row: (str(row["action_idx"]), str(row["subaction_idx"]), str(row["frame_idx"])),
            path_of=lambda row: f"images/{row['file_name']}",
            numbered=dict.fromkeys(("action_idx", "subaction_idx", "frame_idx"), integers())
            | {"subject": integers(among=[subject]), "cam_idx": integers(among=(1, 2, 3, 4))},
        )
        if not found.rows:
            return no_instances(found.dropped)
        box, keys = found.column("bbox").astype(float), [(str(row["cam_idx"]),) for row in found.rows]
        focal, centre, move = studio.cameras(self._file(subject, "camera"), keys, "f", "c")
        camera, points3d = Camera(focal, centre), rigid_motion.apply(found.joints, move.rotation, move.translation)
        if not inside(points3d[:, :1], camera, box):
            stands = Rigid(move.rotation, -np.einsum("nij,nj->ni", move.rotation, move.translation))
            moved = rigid_motion.apply(found.joints, stands.rotation, stands.translation)
            if inside(moved[:, :1], camera, box):
                move, points3d = stands, moved
                notes.append("translations of the cameras are their centres: taken as such")
        return Instances(
            image_path=found.image_path,
            size=found.size,
            camera=camera,
            body=found.body,
            world_to_camera=move,
            keypoints2d=Keypoints(project(points3d, focal, centre), "h36m_mmpose"),
            keypoints3d=Keypoints(points3d, "h36m_mmpose"),
            bbox=box,
            bbox_padded=True,
            meta={
                "subject_id": found.column("subject"),
                "action": [str(row.get("action_name", row["action_idx"])) for row in found.rows],
                "action_id": found.column("action_idx"),
                "subaction_id": found.column("subaction_idx"),
                "camera_id": found.column("cam_idx"),
                "frame_id": found.column("frame_idx"),
            },
            misc={"cam_param_source": "original"} | ({} if found.body is None else {"smplx_source": "neural_annot"}),
            dropped=found.dropped,
            notes=notes,
        )

    def _file(self, subject: int, kind: str) -> Path:
        return self.root / "annotations" / f"Human36M_subject{subject}_{kind}.json"


def inside(pelvis: Array, camera: Camera, box: Array) -> bool:
    """Whether most pelvises (N, 1, 3) are before their cameras and projected into their boxes (N, 4)."""
    offset = project(pelvis, camera.focal, camera.principal_point)[:, 0] - box[:, :2]
    return bool(((offset >= 0) & (offset <= box[:, 2:4]) & (pelvis[:, 0, 2:] > 0)).all(axis=1).mean() > 0.5)
