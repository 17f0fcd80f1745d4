"""EMDB: one person wearing electromagnetic sensors, filmed by a hand-held phone; a test set of video and trajectories.

World frame: that of the phone's tracker, metres; one extrinsic (world to camera, OpenCV) a frame, one K a sequence, no
distortion. SMPL of the sequence's gender, which may be neutral. Rows: sequence by sequence, frame by frame.
Source: Kaufmann et al., "EMDB: The Electromagnetic Database of Global 3D Human Pose and Shape in the Wild", ICCV 2023,
and the description of the files in its repository.
"""

from __future__ import annotations

import numpy as np

from ehps.arrays import Array
from ehps.body.params import smpl_params
from ehps.converters.base import Camera, Converter, DatasetCard, Instances, Keypoints, Rigid, Unit, drop, no_instances
from ehps.converters.readers import OTHER, fields, raw_files
from ehps.converters.readers.fields import FLAG, OBJECT, integers, numbers, texts
from ehps.converters.readers.images import image_folders
from ehps.converters.readers.views import lens_of
from ehps.errors import DataError
from ehps.genders import GENDERS

FILES, IMAGES = "P*/*/P*_*_data.pkl", "P*/*/images"
PARTICIPANTS = tuple(f"P{number}" for number in range(10))
CARD = DatasetCard(
    id="emdb",
    config="emdb_{split}",
    name="EMDB",
    homepage="https://eth-ait.github.io/emdb",
    licence="terms of the application form (emdb.ait.ethz.ch)",
    paper="Kaufmann et al., EMDB: The Electromagnetic Database of Global 3D Human Pose and Shape in the Wild, "
    "ICCV 2023",
    annotation="electromagnetic sensors and video",
    annotation_note="SMPL, gendered, from sensors on the body and video; about 2.3 cm and 10.6 degrees off (paper)",
    body_model="smpl",
    appearance="real",
    scene="indoor and outdoor",
    scene_note="in the wild",
    persons="one",
    splits={"emdb1": None, "emdb2": None, "rest": None, "all": None},
    layout="""
EMDB/
  P0/ .. P9/
    <sequence>/                              e.g. P1/14_outdoor_climb
      P1_14_outdoor_climb_data.pkl
      images/00000.jpg
""",
    needs=(FILES, IMAGES),
    get="fill in the form at emdb.ait.ethz.ch; unpack the participants' archives side by side",
    reprojection="exact",
    fps=30,
    notes=(
        "The default split is EMDB 1, the 17 sequences of the numbers in the camera frame that papers report. emdb2: "
        "the 25 of the numbers in the world; rest: the 42 that are in neither; all: the 81 of the release.",
        "Three sequences are in EMDB 1 and in EMDB 2: files of both splits together count them twice. all has them "
        "once; meta/emdb1 and meta/emdb2 say of every row where it belongs.",
        "It is a test set; papers do not train on it.",
        "All good frames of 30 a second are converted. Left out and counted: frames in which the person is out of view "
        "or wholly hidden, and good frames whose box is empty, which the official numbers count.",
        "Boxes are the dataset's own, cut to the image and not enlarged; those of frames in which the person is partly "
        "hidden are loose.",
        "2D points are the labels projected, not detections: given to a method they give the answer away.",
        "meta/RT takes the world to the camera of each frame, for the protocol emdb2.",
        "*_video.mp4 shows the labels beside the images and is not read.",
    ),
)
DATA = {
    "name": texts(),
    "gender": texts(words=GENDERS),
    "emdb1": FLAG,
    "emdb2": FLAG,
    "n_frames": integers(),
    "good_frames_mask": integers("N", among=(0, 1)),
    "kp2d": numbers("N", 24, 2),
    "camera": OBJECT,
    "smpl": OBJECT,
    "bboxes": OBJECT,
}
PARTS = {
    "camera": {
        "intrinsics": numbers(3, 3),
        "extrinsics": numbers("N", 4, 4),
        "width": integers(),
        "height": integers(),
    },
    "smpl": {
        "poses_root": numbers("N", 3),
        "poses_body": numbers("N", 69),
        "trans": numbers("N", 3),
        "betas": numbers(10),
    },
    "bboxes": {"bboxes": numbers("N", 4), "invalid_idxs": integers("invalid")},
}


class EMDB(Converter):
    card = CARD

    def units(self) -> list[Unit]:
        paths = raw_files.matching(self.root, FILES)
        unlabelled = {(self.root / folder).parent for folder in image_folders(self.root, IMAGES)} - {
            path.parent for path in paths
        }
        places = [*((path.parent, path) for path in paths), *((folder, folder) for folder in sorted(unlabelled))]
        units = [Unit(f"{folder.parent.name}_{folder.name}", path) for folder, path in places]
        absent = [name for name in PARTICIPANTS if not raw_files.is_folder(self.root / name)]
        return units + [Unit(name, self.root / name) for name in absent]

    def read(self, unit: Unit) -> Instances:
        if unit.name in PARTICIPANTS:
            return no_instances(left_out="participant not there", absent=True)
        if raw_files.is_folder(unit.path):
            return no_instances(left_out="no *_data.pkl beside the images", absent=True)
        data, camera, smpl, boxes = read_sequence(unit)
        emdb1, emdb2 = bool(data["emdb1"]), bool(data["emdb2"])
        if not {"emdb1": emdb1, "emdb2": emdb2, "rest": not (emdb1 or emdb2), "all": True}[self.split]:
            return no_instances()
        good = data["good_frames_mask"] != 0
        folder = unit.path.parent.relative_to(self.root).as_posix()
        images = [f"{folder}/images/{i:05d}.jpg" for i in range(len(good))]
        dropped: dict[str, list[str]] = {}
        drop(dropped, "no good frame: out of view or hidden", (images[i] for i in np.flatnonzero(~good)))
        frame = np.flatnonzero(good)
        n = len(frame)
        if not n:
            return no_instances(dropped)
        extrinsics = camera["extrinsics"].astype(float)[frame]
        extrinsics[:, 3] = 0, 0, 0, 1
        k = camera["intrinsics"].astype(float)
        corners = boxes["bboxes"].astype(float)
        valid = np.ones(len(good))
        valid[boxes["invalid_idxs"]] = 0
        return Instances(
            image_path=[images[i] for i in frame],
            size=(int(camera["height"]), int(camera["width"])),
            camera=Camera(*lens_of(k, unit.path, "camera: intrinsics")),
            body=smpl_params(
                gender=str(data["gender"]),
                betas=np.tile(smpl["betas"], (n, 1)),
                pose=np.concatenate([smpl["poses_root"], smpl["poses_body"]], axis=1)[frame],
                transl=smpl["trans"][frame],
            ),
            world_to_camera=Rigid(extrinsics[:, :3, :3], extrinsics[:, :3, 3]),
            keypoints2d=Keypoints(data["kp2d"][frame].astype(float), "smpl"),
            bbox=np.column_stack([corners[:, :2], corners[:, 2:] - corners[:, :2], valid])[frame],
            bbox_padded=True,
            meta={
                "sequence_name": [unit.name] * n,
                "subject": [unit.name.split("_")[0]] * n,
                "frame_id": frame,
                "track_id": [unit.name] * n,
                "RT": extrinsics,
                "emdb1": np.full(n, emdb1),
                "emdb2": np.full(n, emdb2),
            },
            misc={"smpl_source": "original", "keypoints2d_source": "the labels projected", "fps": 30},
            dropped=dropped,
        )


def read_sequence(unit: Unit) -> tuple[dict[str, Array], ...]:
    """Arrays of a sequence of N frames by name: its own, and those of ``camera``, ``smpl`` and ``bboxes``.

    Raises
    ------
    DataError : one is absent or of another form, or the file is of another sequence than its folder.
    """
    path = unit.path
    content = raw_files.load_pkl(path)
    count = fields.values(content, {"n_frames": DATA["n_frames"]}, path)["n_frames"]
    lengths = {"N": int(count)}
    data = fields.values(content, DATA, path, lengths=lengths)
    if data["name"] != unit.name:
        what = f"is of the sequence {data['name']}, in the folder of {unit.name}"
        raise DataError(what, path=path, fix="unpack the dataset again, each sequence into its own folder")
    parts = [fields.values(data[of].item(), wanted, path, of, lengths=lengths) for of, wanted in PARTS.items()]
    invalid = parts[-1]["invalid_idxs"]
    if ((invalid < 0) | (invalid >= lengths["N"])).any():
        what = f"bboxes: invalid_idxs names frame {invalid[(invalid < 0) | (invalid >= lengths['N'])][0]} of {count}"
        raise DataError(what, path=path, fix=OTHER)
    return data, *parts
