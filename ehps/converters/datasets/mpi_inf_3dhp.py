"""MPI-INF-3DHP: actors before a green screen, the parsed 1K release with NeuralAnnot SMPL-X fits; test key points.

The original training release (videos, ``annot.mat``) is read where the parsed one is not there: key points only, see
:mod:`ehps.converters.datasets.mpi_inf_3dhp_files`.

Fits (neutral, body only, metres) and the 17 joints (millimetres) are in the world frame and shared by all cameras,
which are pinholes with ``x = R X + t``, t in millimetres. The test sequences have joints in the camera frame, no fits
and no calibration: their pinhole is the one that takes the 3D joints to the 2D joints.
Source: Mehta et al., 3DV 2017, and its test set; Moon et al., "NeuralAnnot", CVPRW 2022, and its release.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ehps.arrays import Array
from ehps.body import rigid_motion
from ehps.body.cameras import project
from ehps.converters import options, ranges
from ehps.converters.base import Camera, Converter, DatasetCard, Instances, Keypoints, Unit, drop, no_instances
from ehps.converters.datasets import mpi_inf_3dhp_files
from ehps.converters.readers import coco, fields, neural_annot, raw_files, studio, videos
from ehps.converters.readers.matlab import load_mat

CARD = DatasetCard(
    id="mpi_inf_3dhp",
    name="MPI-INF-3DHP",
    homepage="https://vcai.mpi-inf.mpg.de/3dhp-dataset/",
    licence="research licence, accepted in the download script",
    commercial_use=False,
    paper=("Mehta et al., Monocular 3D Human Pose Estimation In The Wild Using Improved CNN Supervision, 3DV 2017"),
    annotation="network",
    annotation_note="SMPL-X body, pseudo (NeuralAnnot); markerless capture joints",
    body_source="NeuralAnnot",
    body_model="smplx",
    appearance="real",
    scene="studio",
    scene_note="test also outdoor",
    persons="one",
    splits={"train": 939_847, "test": None},
    layout="""
MPI_INF_3DHP/                            (or below data/)
  images_1k/S1/Seq1/imageSequence/<file name>
  MPI-INF-3DHP_1k.json, MPI-INF-3DHP_camera_1k.json, MPI-INF-3DHP_joint_3d.json
  MPI-INF-3DHP_SMPLX_NeuralAnnot.json, or MPI-INF-3DHP_SMPL_NeuralAnnot.json for `fits=neuralannot-smpl`
or, of train, the original release, which has key points only,
  S1/Seq1/annot.mat, camera.calibration, imageSequence/video_0.avi
  S1/Seq1/video_0/000001.jpg                (cut from the videos: `--frames DIR` does it)
  mpi_inf_3dhp_test_set/TS1/annot_data.mat, imageSequence/img_000001.jpg      (test)
""",
    split_needs={
        "train": ("data/MPI-INF-3DHP_1k.json | MPI-INF-3DHP_1k.json | S*/Seq*/annot.mat",),
        "test": ("mpi_inf_3dhp_test_set/TS*/annot_data.mat | */mpi_inf_3dhp_test_set/TS*/annot_data.mat",),
    },
    get="parsed package from the Hand4Whole / OSX repositories, test set with the official script",
    variants={
        "S?/Seq?/imageSequence/video_0.avi": "videos of the original training release; its annot.mat and "
        "camera.calibration are needed beside imageSequence, or the parsed package (MPI-INF-3DHP_1k.json, images_1k)"
    },
    options=(
        options.cameras(tuple(map(str, range(14))), "train: numbers of the cameras, with commas between them"),
        options.interval(
            "train: keeps the frames whose number N divides; loaders of Hand4Whole and OSX keep every 3rd, SMPLer-X "
            "trained on every 5th"
        ),
        neural_annot.option(
            "train; neuralannot: SMPL-X; neuralannot-smpl: SMPL; none: the captured joints alone",
            ("neuralannot", neural_annot.SMPL, "none"),
        ),
    ),
    reprojection="fitted",
    fps=25,
    notes=(
        "SMPL-X fits are of the neutral body without hands and face; these parameters are left out.",
        "The test split has the valid frames with their 17 joints, no bodies; its cameras are fitted to the joints.",
        "2D points of train are the projected captured joints.",
        "The original training release is read where the parsed one is not there: 28 joints in 2D and 3D and the "
        "cameras, no bodies. Its frames are numbered from 0, cameras 3 and 9 to 13 look from unusual places, and the "
        "lens's distortion was not published: projected joints are up to 2 px from the points.",
        "Frame rate as the parsed release says; some sequences were filmed at 50 fps.",
        "Annotations of TS6 are known to be off in some frames.",
        "That the published count is of this data set is likely, not established.",
    ),
)
POINTS = "mpi_inf_3dhp_test"
JSON = "MPI-INF-3DHP_1k.json"
WORLD, VIEWS = "MPI-INF-3DHP_joint_3d.json", "MPI-INF-3DHP_camera_1k.json"
FITS = {
    "neuralannot": "MPI-INF-3DHP_SMPLX_NeuralAnnot.json",
    neural_annot.SMPL: "MPI-INF-3DHP_SMPL_NeuralAnnot.json",
    "none": "MPI-INF-3DHP_SMPLX_NeuralAnnot.json",
}
TEST_SET = "mpi_inf_3dhp_test_set/TS*/annot_data.mat"
ACTIVITY = "activity_annotation"
TEST = {
    "valid_frame": fields.numbers("N"),
    "annot2": fields.numbers("N", 17, 2),
    "annot3": fields.numbers("N", 17, 3),
    ACTIVITY: fields.integers("N", optional=True),
}
SIZE = {
    "TS1": (2048, 2048),
    "TS2": (2048, 2048),
    "TS3": (2048, 2048),
    "TS4": (2048, 2048),
    "TS5": (1080, 1920),
    "TS6": (1080, 1920),
}


class MPIINF3DHP(Converter):
    card = CARD

    @property
    def body_model(self) -> str | None:
        none = self.split == "test" or self._parsed() is None
        fits = "none" if none else self.option("fits")
        return {"none": None, neural_annot.SMPL: "smpl"}.get(fits, self.card.body_model)

    @property
    def _fits(self) -> str:
        return FITS[self.option("fits")]

    def _parsed(self) -> Path | None:
        """The list of the parsed release."""
        return next((self.root / name for name in (f"data/{JSON}", JSON) if raw_files.is_file(self.root / name)), None)

    def units(self) -> list[Unit]:
        if self.split == "test":
            folder = raw_files.first_existing(self.root, (TEST_SET, f"*/{TEST_SET}")).parents[1]
            return [Unit(name, folder / name / "annot_data.mat") for name in SIZE]
        path = self._parsed()
        if path is None:
            return [
                Unit(f"{annotations.parent.relative_to(self.root).as_posix()}/video_{camera}", annotations, int(camera))
                for annotations in sorted(self.root.glob(mpi_inf_3dhp_files.SEQUENCES))
                for camera in self.option("cameras")
            ]
        return coco.units(path, "all")

    def read(self, unit: Unit) -> Instances:
        if self.split == "test":
            return self._test(unit)
        return self._original(unit) if self._parsed() is None else self._train(unit)

    def _original(self, unit: Unit) -> Instances:
        """One camera of a sequence of the original training release."""
        folder, camera = unit.path.parent, unit.data
        sequence = folder.relative_to(self.root).as_posix()
        points, joints = mpi_inf_3dhp_files.read_joints(unit.path, camera)
        lens = mpi_inf_3dhp_files.read_lens(folder / "camera.calibration", camera)
        frame = np.arange(0, len(points), self.option("interval"))
        return Instances(
            image_path=mpi_inf_3dhp_files.image_paths(self.root, sequence, camera, frame),
            size=lens.size,
            camera=Camera(lens.focal, lens.principal_point),
            keypoints2d=Keypoints(points[frame], mpi_inf_3dhp_files.POINTS),
            keypoints3d=Keypoints(joints[frame], mpi_inf_3dhp_files.POINTS),
            meta={
                "subject": [folder.parent.name] * len(frame),
                "seq": [folder.name] * len(frame),
                "camera": np.full(len(frame), camera),
                "frame": frame,
            },
            misc={"cam_param_type": "perspective", "cam_param_source": "original"},
            notes=["the original release has no fits: keypoints and boxes only"],
        )

    def _train(self, unit: Unit) -> Instances:
        folder = unit.path.parent
        numbers, step = self.option("cameras"), self.option("interval")
        base = "" if folder == self.root else f"{folder.name}/"
        fits, notes = neural_annot.chosen_file(folder, [self._fits], self.option("fits"))
        found = studio.captured(
            unit,
            folder / WORLD,
            fits,
            self.option("fits"),
            wanted=lambda row: str(row["cam_idx"]) in numbers and row["frame_idx"] % step == 0,
            frame_of=lambda row: (str(row["subject_idx"]), str(row["seq_idx"]), str(row["frame_idx"])),
            path_of=lambda row: (
                f"{base}images_1k/S{row['subject_idx']}/Seq{row['seq_idx']}/imageSequence/" + row["file_name"]
            ),
            numbered=dict.fromkeys(("subject_idx", "seq_idx", "cam_idx", "frame_idx"), fields.integers()),
        )
        if not found.rows:
            return no_instances(found.dropped)
        keys = [(str(row["subject_idx"]), str(row["seq_idx"]), str(row["cam_idx"])) for row in found.rows]
        focal, centre, move = studio.cameras(folder / VIEWS, keys, "focal", "princpt")
        joints = rigid_motion.apply(found.joints, move.rotation, move.translation)
        return Instances(
            image_path=found.image_path,
            size=found.size,
            camera=Camera(focal, centre),
            body=found.body,
            world_to_camera=None if found.body is None else move,
            keypoints2d=Keypoints(project(joints, focal, centre), POINTS),
            keypoints3d=Keypoints(joints, POINTS),
            bbox=found.column("bbox").astype(float),
            bbox_padded=True,
            meta={
                "subject": [f"S{row['subject_idx']}" for row in found.rows],
                "seq": [f"Seq{row['seq_idx']}" for row in found.rows],
                "camera": found.column("cam_idx"),
                "frame": found.column("frame_idx"),
                "annotation_id": found.column("annotation_id"),
            },
            misc={
                "cam_param_type": "perspective",
                "cam_param_source": "original",
                "keypoints2d_source": "projected 3D joints",
            }
            | ({} if found.body is None else {f"{self.body_model}_source": "neural_annot"}),
            dropped=found.dropped,
            notes=notes,
        )

    def _test(self, unit: Unit) -> Instances:
        if not raw_files.is_file(unit.path):
            return no_instances(left_out="sequence not there", absent=True)
        stored = load_mat(unit.path, "annot2 annot3 valid_frame", "activity_annotation")
        stored |= {name: np.ravel(array) for name, array in stored.items() if name in ("valid_frame", ACTIVITY)}
        data = fields.values(stored, TEST, unit.path)
        valid = data["valid_frame"] > 0
        dropped: dict[str, list[str]] = {}
        drop(dropped, "frame not valid", (f"{unit.name} {n + 1}" for n in np.flatnonzero(~valid)))
        index = np.flatnonzero(valid)
        if not len(index):
            return no_instances(dropped)
        points = data["annot2"].astype(float)[index]
        joints = ranges.within(data["annot3"][index] / 1000, ranges.METRES)
        folder = unit.path.parent.relative_to(self.root).as_posix()
        meta: dict[str, Any] = {"seq": [unit.name] * len(index), "frame": index + 1}
        if ACTIVITY in data:
            meta["activity"] = data[ACTIVITY].astype(int)[index]
        return Instances(
            image_path=[f"{folder}/imageSequence/img_{n + 1:06d}.jpg" for n in index],
            size=SIZE[unit.name],
            camera=pinhole(joints, points),
            keypoints2d=Keypoints(points, POINTS),
            keypoints3d=Keypoints(joints, POINTS),
            meta=meta,
            misc={"cam_param_type": "perspective", "cam_param_source": "fitted to the joints"},
            dropped=dropped,
        )

    @property
    def extract_frames(self) -> Callable[[Unit, Sequence[str], Path], None]:
        """Cuts the frames that are named out of a video of the original release; the others come as images.

        Raises
        ------
        AttributeError : nothing is to be cut.
        """
        if self.split == "test" or self._parsed() is not None:
            raise AttributeError("extract_frames")
        return _extract


def _extract(unit: Unit, image_paths: Sequence[str], folder: Path) -> None:
    video = unit.path.parent / "imageSequence" / f"video_{unit.data}.avi"
    videos.extract(video, image_paths, folder, fps=videos.rate(video), first=1)


def pinhole(joints: Array, points: Array) -> Camera:
    """The camera of (N, J, 3) joints and (N, J, 2) pixels: least squares of ``u Z = f X + c Z`` on either axis."""
    xyz, uv = joints.reshape(-1, 3), points.reshape(-1, 2)
    known = np.isfinite(xyz).all(axis=1) & np.isfinite(uv).all(axis=1)
    xyz, uv = xyz[known], uv[known]
    fitted = [np.linalg.lstsq(xyz[:, [axis, 2]], uv[:, axis] * xyz[:, 2], rcond=None)[0] for axis in (0, 1)]
    focal, centre = np.array(fitted).T
    return Camera(focal, centre)
