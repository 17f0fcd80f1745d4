"""BEHAVE: people handling objects before four Kinects, SMPL-H fitted to colour and depth.

The world is Kinect 1; ``config.json`` takes points of a Kinect there, so bodies go the other way. Poses are 52
axis-angles with absolute fingers (no mean hand), models male and female. Images are as the lens made them: points
are projected with the eight coefficients of the calibration, as the dataset's own code does.
Source: Bhatnagar et al., "BEHAVE: Dataset and Method for Tracking Human Object Interactions", CVPR 2022, and the
dataset's code.
"""

from __future__ import annotations

import re
from itertools import compress

import numpy as np

from ehps.body import rigid_motion
from ehps.converters import options
from ehps.converters.base import Converter, DatasetCard, Instances, Keypoints, Unit, no_instances
from ehps.converters.datasets import behave_files
from ehps.converters.options import Option
from ehps.converters.readers import OTHER, fields, openpose, raw_files
from ehps.converters.readers.fields import Field, integers, texts
from ehps.converters.readers.frame_files import read_each
from ehps.converters.readers.views import cameras_of
from ehps.errors import DataError
from ehps.genders import BY_WORD

CARD = DatasetCard(
    id="behave",
    config="behave_downsampled_{split}",
    name="BEHAVE",
    homepage="https://virtualhumans.mpi-inf.mpg.de/behave/",
    licence="non-commercial research, licence agreement on the data page",
    commercial_use=False,
    paper=("Bhatnagar et al., BEHAVE: Dataset and Method for Tracking Human Object Interactions, CVPR 2022"),
    annotation="fit to RGB-D",
    annotation_note="SMPL-H, fitted to several depth cameras",
    body_model="smplh",
    appearance="real",
    scene="indoor and outdoor",
    persons="one",
    splits={"train": 44_431, "test": None},
    uncertain=("train",),
    layout="""
BEHAVE/
  split.json
  calibs/intrinsics/{0,1,2,3}/calibration.json
  calibs/Date[01-07]/config/{0,1,2,3}/config.json
  sequences/<sequence>/info.json                                    <sequence>: Date04_Sub05_boxlong
  sequences/<sequence>/t0003.000/k{0..3}.color.jpg, k{0..3}.color.json
  sequences/<sequence>/t0003.000/person/person_J3d.json
  sequences/<sequence>/t0003.000/person/fit02/person_fit.pkl
  behave-30fps-params-v1/<sequence>/smpl_fit_all.npz, info.json     for fits=30fps only
""",
    needs=("split.json", "calibs", "sequences"),
    get="accept the licence; unpack Date01..Date07 into sequences/ and calibs beside it",
    options=(
        Option(
            "fits",
            "30fps: behave-30fps-params-v1, for images that you cut from the videos to "
            "sequences/<sequence>/<time>/k{0..3}.color.jpg",
            "1fps",
            choices=("1fps", "30fps"),
        ),
        options.cameras("0123", "numbers of the Kinects, with commas between them"),
        options.interval("keeps every N-th of the time steps of a sequence that have a fit"),
    ),
    reprojection="fitted",
    fps=1,
    notes=(
        "Calibrations are those that a sequence's info.json names; those of the date in its name where it names none.",
        "A row for each Kinect of a time step; people are often hidden by the object they handle.",
        "Hand poses are absolute (flat_hand_mean true) and near the mean hand: fingers were hardly observed.",
        "Images are distorted (meta/dist_coeffs), and points are projected with the distortion.",
        "2D points are OpenPose detections: bodies as *_openpose, hands and faces under their names, without the "
        "hands' own wrists; those with a confidence below 0.05 count as not detected.",
        "3D points are the dataset's own, of the body only; fits=30fps has neither.",
        "fits=30fps: where a sequence's lists differ in length, the frames that all have are converted.",
    ),
)
INFO = {
    "gender": texts(optional=True, words=BY_WORD),
    "kinects": integers("Kinects", optional=True, among=range(4)),
    "cat": texts(optional=True),
    "config": texts(optional=True),
    "intrinsic": texts(optional=True),
}
NAME = re.compile(r"Date\d{2}_Sub\d{2}_\w+")
MEN = ("Sub01", "Sub02", "Sub03", "Sub04", "Sub05")


class Behave(Converter):
    card = CARD

    def units(self) -> list[Unit]:
        folder = "sequences" if self.option("fits") == "1fps" else "behave-30fps-params-v1"
        if not raw_files.is_folder(self.root / folder):
            raise DataError("no such folder", path=self.root / folder, fix="unpack the 30 fps parameters beside calibs")
        path = self.root / "split.json"
        split = fields.values(raw_files.read_json(path), {self.split: Field("path", ("sequences",))}, path)
        names = list(dict.fromkeys(split[self.split].tolist()))
        if not names:
            raise DataError(f"lists no sequence of {self.split}", path=path, fix=OTHER)
        if unnamed := [name for name in names if not NAME.match(name)]:
            what = f"{self.split} lists {unnamed[0]!r}, expected <date>_<subject>_<object>"
            raise DataError(what, path=path, fix=OTHER)
        return [Unit(name, self.root / folder / name) for name in names]

    def read(self, unit: Unit) -> Instances:
        if not raw_files.is_folder(unit.path):
            return no_instances(left_out="sequence not there", absent=True)
        dropped: dict[str, list[str]] = {}
        path = unit.path / "info.json"
        info = fields.values(raw_files.read_json(path), INFO, path) if raw_files.is_file(path) else {}
        gender = str(info.get("gender", "")) or ("male" if unit.name[7:12] in MEN else "female")
        step, stills = self.option("interval"), self.option("fits") == "1fps"
        recorded = {str(k) for k in info["kinects"].tolist()} if "kinects" in info else {"0", "1", "2"}
        notes = [] if "kinects" in info else [f"{unit.name} does not say which cameras recorded it: 0, 1, 2 are taken"]
        intrinsics, config = (
            behave_files.calibration_folder(unit.path, info, key, self.root / "calibs" / usual)
            for key, usual in (("intrinsic", "intrinsics"), ("config", f"{unit.name[:6]}/config"))
        )
        views = [behave_files.read_view(intrinsics, config, k) for k in self.option("cameras") if k in recorded]
        times, body = (
            behave_files.read_stills(unit, gender, step, len(views), dropped)
            if stills
            else behave_files.read_sequence(unit, gender, step, len(views), dropped)
        )
        if not times or not views:
            return no_instances(dropped)
        points, joints = None, None
        if stills:
            files = [unit.path / time / "person/person_J3d.json" for time in times]
            reason = "3D points cannot be read"
            own, readable = read_each(files, behave_files.read_joints, reason, dropped, self.root, rows=len(views))
            times, body = list(compress(times, readable)), body[readable]
        # Rows: time step by time step, Kinect by Kinect.
        index, view = np.repeat(np.arange(len(times)), len(views)), np.tile(np.arange(len(views)), len(times))
        if stills:
            files = [unit.path / times[k] / f"k{views[v].name}.color.json" for k, v in zip(index, view, strict=True)]
            detected, readable = read_each(files, behave_files.read_detections, openpose.UNREADABLE, dropped, self.root)
            points = Keypoints(np.stack(detected), openpose.POINTS)
            index, view = index[readable], view[readable]
        kinects, folders = [views[v].name for v in view], [f"sequences/{unit.name}/{times[k]}" for k in index]
        size, camera, move = cameras_of(views, view)
        if stills:
            placed = np.stack(own)[index]
            placed[..., :3] = rigid_motion.apply(placed[..., :3], move.rotation, move.translation) * placed[..., 3:]
            joints = Keypoints(placed, openpose.BODY_25)
        return Instances(
            image_path=[f"{folder}/k{k}.color.jpg" for folder, k in zip(folders, kinects, strict=True)],
            size=size,
            camera=camera,
            body=body[index],
            world_to_camera=move,
            keypoints2d=points,
            keypoints3d=joints,
            meta={
                "sequence_name": [unit.name] * len(index),
                "subject": [unit.name[7:12]] * len(index),
                "object": [str(info.get("cat", "")) or unit.name.split("_")[2]] * len(index),
                "camera": kinects,
                "frame_id": [times[k] for k in index],
                "track_id": [unit.name] * len(index),
            },
            misc={
                "smplh_source": "original",
                "cam_param_source": "original",
                "image_shape": list(behave_files.SIZE),
                "distortion": "applied",
                "fps": 1 if stills else 30,
                "downsampled": stills,
            }
            | (
                {"keypoints2d_source": openpose.SOURCE}
                if stills
                else {"reprojection": "none", "config": f"behave_{self.split}"}
            ),
            dropped=dropped,
            notes=notes,
        )
