"""Human3.6M: actors in a studio before four cameras; the parsed release with NeuralAnnot SMPL-X fits.

Fits (neutral, body only) and the 17 joints are in the world frame, metres and millimetres; cameras are pinholes with
``x = R X + t``, t in millimetres, one set a subject. Files written by an older script have the camera's centre for t,
which is noticed by where the pelvis is projected. Frames are taken as by the loaders of Hand4Whole, OSX and SMPLer-X.
Source: Ionescu et al., TPAMI 2014; Moon et al., "NeuralAnnot", CVPRW 2022, and its release.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ehps.body import rigid
from ehps.body.params import BodyParams, smplx_params
from ehps.converters import choices, neural_annot, raw
from ehps.converters.base import (
    Camera,
    Converter,
    DatasetCard,
    Instances,
    Keypoints,
    Rigid,
    Unit,
    no_instances,
    sift,
)
from ehps.errors import DataError

Array = npt.NDArray[Any]

CARD = DatasetCard(
    id="h36m",
    name="Human3.6M",
    homepage="http://vision.imar.ro/human3.6m/description.php",
    licence="research only, after registration; no redistribution",
    commercial=False,
    paper=(
        "Ionescu et al., Human3.6M: Large Scale Datasets and Predictive Methods for 3D Human "
        "Sensing in Natural Environments, TPAMI 2014"
    ),
    annotation="SMPL-X body, pseudo (NeuralAnnot); 17 joints from markers",
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
    options={
        "cameras": "numbers of the cameras (1,2,3,4) or all; default: all in train, 4 in test",
        "stride": "every how many-th frame of the 50 fps video is taken; default: 5 in train, 64 in test",
        "fits": "neuralannot, or none for the joints from markers alone",
    },
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
DEFAULTS = {"train": {"cameras": "all", "stride": "5"}, "test": {"cameras": "4", "stride": "64"}}
LEAF = ("root_pose", "body_pose", "shape", "trans")
ABSENT = ("left_hand_pose", "right_hand_pose", "jaw_pose", "leye_pose", "reye_pose", "expression")


class H36M(Converter):
    card = CARD

    @property
    def body_model(self) -> str | None:
        return None if self.option("fits", ("neuralannot", "none")) == "none" else self.card.body_model

    def units(self) -> list[Unit]:
        self._chosen()
        folder = self.root / "annotations"
        return [
            Unit(f"subject {s}", folder / f"Human36M_subject{s}_data.json",
                 (s, neural_annot.stamp(folder, [_fits_name(s)])))
            for s in SUBJECTS[self.split]
        ]  # fmt: skip

    def _chosen(self) -> tuple[tuple[int, ...], int]:
        """Numbers of the cameras, and every how many-th frame is taken."""
        options = DEFAULTS[self.split] | dict(self.options)
        return tuple(map(int, choices.cameras(options, ("1", "2", "3", "4")))), choices.stride(options)

    def read(self, unit: Unit) -> Instances:
        subject, folder = unit.data[0], unit.path.parent
        cameras, stride = self._chosen()
        joints = raw.read_json(folder / f"Human36M_subject{subject}_joint_3d.json")
        path, notes = neural_annot.chosen_file(folder, [_fits_name(subject)], self.options)
        fits = raw.read_json(path) if path else None

        def unusable(row: dict[str, Any]) -> str:
            if _leaf(joints, row) is None:
                return "no 3D joints"
            return "no SMPL-X fit" if fits is not None and _leaf(fits, row) is None else ""

        found = (r for r in _rows(unit.path) if r["cam_idx"] in cameras and r["frame_idx"] % stride == 0)
        rows, dropped = sift(found, unusable)
        if not rows:
            return no_instances(dropped)
        world = np.array([_leaf(joints, row) for row in rows], float).reshape(-1, 17, 3) / 1000
        box = raw.column(rows, "bbox").astype(float)
        seen = Seen.of(folder / f"Human36M_subject{subject}_camera.json", raw.column(rows, "cam_idx"))
        if not seen.holds(world, box) and seen.of_centres().holds(world, box):
            seen = seen.of_centres()
            notes.append("translations of the cameras are their centres: taken as such")
        points3d, points2d = seen.points(world)
        return Instances(
            image_path=[f"images/{row['file_name']}" for row in rows],
            size=np.stack([raw.column(rows, "height"), raw.column(rows, "width")], 1),
            camera=Camera(seen.focal, seen.centre),
            body=None if fits is None else _body([_leaf(fits, row) for row in rows]),
            world_to_camera=Rigid(seen.rotation, seen.translation),
            keypoints2d=Keypoints(points2d, "h36m_mmpose"),
            keypoints3d=Keypoints(points3d, "h36m_mmpose"),
            bbox=box,
            bbox_padded=True,
            meta={
                "subject_id": raw.column(rows, "subject"),
                "action": [str(row.get("action_name", row["action_idx"])) for row in rows],
                "action_id": raw.column(rows, "action_idx"),
                "subaction_id": raw.column(rows, "subaction_idx"),
                "camera_id": raw.column(rows, "cam_idx"),
                "frame_id": raw.column(rows, "frame_idx"),
            },
            misc={"cam_param_source": "original"} | ({} if fits is None else {"smplx_source": "neural_annot"}),
            dropped=dropped,
            notes=notes,
        )


@dataclass(frozen=True)
class Seen:
    """The camera of each of N rows: rotation (N, 3, 3), translation (N, 3) metres, focal and centre (N, 2) pixels."""

    rotation: Array
    translation: Array
    focal: Array
    centre: Array

    @staticmethod
    def of(path: Path, index: Array) -> Seen:
        """From a subject's file, by the number of each row's camera.

        Raises
        ------
        DataError : a camera is not in it.
        """
        cameras = raw.read_json(path)
        if missing := {str(i) for i in index.tolist()} - set(cameras):
            raise DataError(f"has no camera {', '.join(sorted(missing))}", path=path, fix=raw.AGAIN)
        r, t, f, c = (
            np.array([np.ravel(cameras[str(i)][key]) for i in index.tolist()], float) for key in ("R", "t", "f", "c")
        )
        return Seen(r.reshape(-1, 3, 3), t / 1000, f, c)

    def of_centres(self) -> Seen:
        """The same cameras if their translations are where they stand."""
        return replace(self, translation=-np.einsum("nij,nj->ni", self.rotation, self.translation))

    def points(self, world: Array) -> tuple[Array, Array]:
        """(N, J, 3) in the camera frame and (N, J, 2) pixels."""
        points = rigid.apply(world, self.rotation, self.translation)
        return points, points[..., :2] / points[..., 2:] * self.focal[:, None] + self.centre[:, None]

    def holds(self, world: Array, box: Array) -> bool:
        """Whether most projected pelvises are in their boxes and before the camera."""
        points, pixels = self.points(world[:, :1])
        offset = pixels[:, 0] - box[:, :2]
        return bool(((offset >= 0) & (offset <= box[:, 2:4]) & (points[:, 0, 2:] > 0)).all(1).mean() > 0.5)


def _fits_name(subject: int) -> str:
    return f"Human36M_subject{subject}_SMPLX_NeuralAnnot.json"


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    """Annotations with what their images say, in their order; ``id`` is the name of the image."""
    content = raw.read_json(path)
    raw.require(content, "images annotations", path)
    images = {image["id"]: image for image in content["images"]}
    for a in content["annotations"]:
        image = images[a["image_id"]]
        yield image | {"bbox": a["bbox"], "id": image["file_name"]}


def _leaf(tree: Mapping[str, Any], row: dict[str, Any]) -> Any:
    """What a file by action, sub-action and frame has for a row, None where it has nothing."""
    actions = tree.get(str(row["action_idx"]), {})
    return actions.get(str(row["subaction_idx"]), {}).get(str(row["frame_idx"]))


def _body(leaves: list[Any]) -> BodyParams:
    orient, pose, betas, transl = (np.array([np.ravel(leaf[key]) for leaf in leaves], float) for key in LEAF)
    body = smplx_params(gender="neutral", betas=betas, global_orient=orient, body_pose=pose, transl=transl)
    return body.with_(**dict.fromkeys(ABSENT))
