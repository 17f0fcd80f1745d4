"""Human3.6M: actors in a studio before four cameras; the parsed release with NeuralAnnot SMPL-X fits.

Fits (neutral, body only) and the 17 joints are in the world frame, metres and millimetres; cameras are pinholes with
``x = R X + t``, t in millimetres, one set a subject. Files written by an older script have the camera's centre for t,
which is noticed by where the pelvis is projected. Frames are taken as by the loaders of Hand4Whole, OSX and SMPLer-X.
The original release is read where the parsed one is not there: see :mod:`ehps.converters.datasets.h36m_files`.
Source: Ionescu et al., TPAMI 2014; Moon et al., "NeuralAnnot", CVPRW 2022, and its release.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ehps.arrays import Array
from ehps.body import rigid_motion
from ehps.body.cameras import project
from ehps.converters import options
from ehps.converters.base import Camera, Converter, DatasetCard, Instances, Keypoints, Rigid, Unit, no_instances
from ehps.converters.datasets import h36m_files
from ehps.converters.readers import coco, neural_annot, raw_files, studio, videos
from ehps.converters.readers.fields import integers, texts

SUBJECTS = {"train": (1, 5, 6, 7, 8), "test": (9, 11)}
PATTERNS = ("annotations/Human36M_subject{}_data.json", "S{}/MyPoseFeatures/D3_Positions_mono")
"""Of a subject, either of which will do: the parsed and the original release."""
FITS = ("neuralannot", neural_annot.SMPL, "none")
CARD = DatasetCard(
    id="h36m",
    config="h36m_{split}",
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
  annotations/Human36M_subject<S>_SMPL_NeuralAnnot.json       for `fits=neuralannot-smpl`
or the original release, which has key points only,
  metadata.xml                                                                 (in the release's code)
  S<S>/MyPoseFeatures/{D2_Positions,D3_Positions_mono}/Directions 1.54138969.cdf
  S<S>/Videos/Directions 1.54138969.mp4
  S<S>/images/S1_Directions_1.54138969/S1_Directions_1.54138969_000001.jpg     (cut from them: `--frames DIR` does it)
""",
    needs=("images | S*/MyPoseFeatures",),
    split_needs={
        split: (" | ".join(pattern.format(s) for pattern in PATTERNS for s in subjects),)
        for split, subjects in SUBJECTS.items()
    },
    get=("parsed package from the Hand4Whole / OSX repositories, fits from github.com/mks0601/NeuralAnnot_RELEASE"),
    variants=dict.fromkeys(
        ("S*/MyPoseFeatures/D2_Positions", "S*/Videos/*.54138969.mp4"),
        "part of the original release; its D2_Positions, D3_Positions_mono and Videos are needed, or the parsed "
        "package (images and annotations/)",
    ),
    options=(
        options.cameras("1234", "numbers of the cameras, with commas between them", {"train": "all", "test": "4"}),
        options.interval("takes every N-th frame of the 50 fps video", {"train": "5", "test": "64"}),
        neural_annot.option("neuralannot: SMPL-X; neuralannot-smpl: SMPL; none: the joints from markers alone", FITS),
    ),
    reprojection="fitted",
    fps=50,
    sampling=5,
    notes=(
        "SMPL-X fits are of the neutral body without hands and face: these parameters are left out, fingers and face "
        "landmarks have confidence 0.",
        "Subjects that are not there are left out and named; with --strict they are an error.",
        "Boxes are the dataset's, around the projected joints, with a margin of 1.2 already.",
        "The original release is read where the parsed one is not there (cdf files: `pip install 'ehps[cdf]'`): 17 "
        "joints in 2D and 3D and the cameras with their lens distortion (meta/h36m_dist_coeffs), no bodies.",
        "Some sequences of subject 9 are known to be shifted in the original release.",
    ),
)


class H36M(Converter):
    card = CARD

    @property
    def body_model(self) -> str | None:
        fits = self.option("fits") if self._parsed() else "none"
        return {"none": None, neural_annot.SMPL: "smpl"}.get(fits, self.card.body_model)

    def _parsed(self) -> bool:
        """Whether this is the parsed release."""
        return any(raw_files.is_file(self._file(subject, "data")) for subject in SUBJECTS[self.split])

    def units(self) -> list[Unit]:
        read = self._subject if self._parsed() else self._original_subject
        return [unit for subject in SUBJECTS[self.split] for unit in read(subject)]

    def _original_subject(self, subject: int) -> list[Unit]:
        folder = self.root / f"S{subject}"
        found = h36m_files.sequences(folder)
        if not found:
            return [Unit(f"subject {subject}", folder / h36m_files.FOLDER)]
        return [
            Unit(f"S{subject}/{action}.{camera}", path, (f"S{subject}", action, camera))
            for path, action, camera in found
            if str(h36m_files.CAMERAS[camera]) in self.option("cameras")
        ]

    def _subject(self, subject: int) -> list[Unit]:
        if not raw_files.is_file(self._file(subject, "data")):
            return [Unit(f"subject {subject}", self._file(subject, "data"))]
        return coco.units(self._file(subject, "data"), f"subject {subject}")

    def read(self, unit: Unit) -> Instances:
        if not raw_files.is_file(unit.path):
            return no_instances(left_out="subject not there", absent=True)
        return self._read_parsed(unit) if self._parsed() else self._read_original(unit)

    def _read_original(self, unit: Unit) -> Instances:
        """One sequence before one camera."""
        subject, action, camera = unit.data
        if (subject, f"{action}.{camera}") in h36m_files.BROKEN:
            return no_instances(left_out="its video cannot be decoded, as released")
        lens = h36m_files.read_lenses(self.root)[camera]
        points, joints = h36m_files.read_joints(unit.path)
        frame = np.arange(0, len(points), self.option("interval"))
        n, number = len(frame), h36m_files.CAMERAS[camera]
        return Instances(
            image_path=h36m_files.image_paths(subject, action, camera, frame),
            size=(h36m_files.HEIGHTS[number], h36m_files.WIDTH),
            camera=Camera(lens.focal, lens.principal_point, lens.distortion, lens="h36m"),
            keypoints2d=Keypoints(points[frame], "h36m_mmpose"),
            keypoints3d=Keypoints(joints[frame], "h36m_mmpose"),
            meta={
                "subject_id": np.full(n, int(subject[1:])),
                "action": [action.split(" ")[0]] * n,
                "sequence_name": [f"{subject}_{action.replace(' ', '_')}"] * n,
                "camera_id": np.full(n, number),
                "frame_id": frame,
            },
            misc={"cam_param_source": "original", "lens": "h36m"},
            notes=["the original release has no fits: keypoints and boxes only"],
        )

    def _read_parsed(self, unit: Unit) -> Instances:
        """Rows of one subject."""
        subject = int(unit.name.split()[1])
        numbers, interval = self.option("cameras"), self.option("interval")
        fits, notes = neural_annot.chosen_file(
            self.root / "annotations", [self._file(subject, self._fits).name], self.option("fits")
        )
        found = studio.captured(
            unit,
            self._file(subject, "joint_3d"),
            fits,
            self.option("fits"),
            wanted=lambda row: str(row["cam_idx"]) in numbers and row["frame_idx"] % interval == 0,
            frame_of=lambda row: (str(row["action_idx"]), str(row["subaction_idx"]), str(row["frame_idx"])),
            path_of=lambda row: f"images/{row['file_name']}",
            numbered=dict.fromkeys(("action_idx", "subaction_idx", "frame_idx"), integers())
            | {
                "subject": integers(among=[subject]),
                "cam_idx": integers(among=(1, 2, 3, 4)),
                "action_name": texts(optional=True),
            },
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
            misc={"cam_param_source": "original"}
            | ({} if found.body is None else {f"{self.body_model}_source": "neural_annot"}),
            dropped=found.dropped,
            notes=notes,
        )

    @property
    def extract_frames(self) -> Callable[[Unit, Sequence[str], Path], None]:
        """Cuts the frames that are named out of a video of the original release; the others come as images.

        Raises
        ------
        AttributeError : nothing is to be cut.
        """
        if self._parsed():
            raise AttributeError("extract_frames")
        return self._extract

    def _extract(self, unit: Unit, image_paths: Sequence[str], folder: Path) -> None:
        subject, action, camera = unit.data
        video = self.root / subject / "Videos" / f"{action}.{camera}.mp4"
        videos.extract(video, image_paths, folder, fps=videos.rate(video), first=1)

    @property
    def _fits(self) -> str:
        return "SMPL_NeuralAnnot" if self.option("fits") == neural_annot.SMPL else "SMPLX_NeuralAnnot"

    def _file(self, subject: int, kind: str) -> Path:
        return self.root / "annotations" / f"Human36M_subject{subject}_{kind}.json"


def inside(pelvis: Array, camera: Camera, box: Array) -> bool:
    """Whether most pelvises (N, 1, 3) are before their cameras and projected into their boxes (N, 4)."""
    offset = project(pelvis, camera.focal, camera.principal_point)[:, 0] - box[:, :2]
    return bool(((offset >= 0) & (offset <= box[:, 2:4]) & (pelvis[:, 0, 2:] > 0)).all(axis=1).mean() > 0.5)
