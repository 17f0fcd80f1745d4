"""EHF: 100 frames of one person in a capture hall, SMPL-X meshes registered to 4D scans. For evaluation only.

The release holds meshes, no parameters: rows then have joints and boxes made from the mesh, and
``vertices3d_path`` names it. Parameters that someone fitted to the meshes (``fitted_params/``) are used when there,
and so are the boxes of Hand4Whole's and OSX's evaluations (``EHF.json``).
One static camera; scanner to camera and intrinsics are the constants that every user of the set has in common.
Source: Pavlakos et al., "Expressive Body Capture", CVPR 2019 (SMPL-X), and the set's read-me.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ehps.body.params import BodyParams, smplx_params
from ehps.body.ply import read_vertices
from ehps.body.rotations import to_matrix
from ehps.converters.base import Camera, Converter, DatasetCard, Instances, Keypoints, Rigid, Unit, drop, no_instances
from ehps.converters.readers import coco, fields, raw_files
from ehps.converters.readers.fields import numbers
from ehps.errors import DataError

CARD = DatasetCard(
    id="ehf",
    config="ehf_{split}",
    name="EHF",
    homepage="https://smpl-x.is.tue.mpg.de",
    licence="non-commercial research, after registration",
    commercial_use=False,
    paper="Pavlakos et al., Expressive Body Capture: 3D Hands, Face, and Body from a Single Image, CVPR 2019",
    annotation="registered scans",
    annotation_note="SMPL-X meshes registered to scans",
    body_model="smplx",
    appearance="real",
    scene="studio",
    persons="one",
    splits={"val": 100, "test": 100},
    layout="""
EHF/
  01_img.jpg, 01_img.png      one image in two encodings; 01 .. 100
  01_align.ply                SMPL-X mesh, 10475 vertices, scanner frame
  01_2Djnt.json               OpenPose detections
  01_scan.obj, EHF_camera.txt not needed
  fitted_params/01_align.npz  optional: SMPL-X parameters fitted to the meshes
  EHF.json                    optional: the boxes that published evaluations crop to
""",
    needs=("*_align.ply", "*_img.jpg | *_img.png"),
    get="register at smpl-x.is.tue.mpg.de; EHF.zip under Downloads",
    variants={"alignments/*.pkl": "the cut of ExPose; EHF.zip of the SMPL-X site is needed"},
    reprojection="fitted",
    points3d=0.01,  # of parameters fitted to the meshes, and the meshes
    notes=(
        "Evaluation only: never train on it. It is one set: val and test are two names of it.",
        "The release has meshes only; without fitted_params/ there are no smplx/* columns.",
    ),
)
CAMERA = Camera(np.array([1498.22426237, 1498.22426237]), np.array([790.263706, 578.90334]))
SCANNER_TURN = np.array([-2.98747896, 0.01172457, -0.05704687])  # axis-angle
SCANNER_SHIFT = np.array([-0.03609917, 0.43416458, 2.37101226])  # metres
SIZE = (1200, 1600)  # height, width
VERTICES = 10475
FIT = {
    "betas": numbers("betas"),
    "global_orient": numbers(3),
    "body_pose": numbers(63),
    "transl": numbers(3),
    "left_hand_pose": numbers("hand components", optional=True),
    "right_hand_pose": numbers("hand components", optional=True),
    "jaw_pose": numbers(3, optional=True),
    "leye_pose": numbers(3, optional=True),
    "reye_pose": numbers(3, optional=True),
    "expression": numbers("expressions", optional=True),
}
BOXES = {"bbox": "body_bbox", "face_bbox": "face_bbox", "lhand_bbox": "lefthand_bbox", "rhand_bbox": "righthand_bbox"}


def scanner_to_camera() -> Rigid:
    return Rigid(to_matrix(SCANNER_TURN), SCANNER_SHIFT)


class EHF(Converter):
    card = CARD

    def units(self) -> list[Unit]:
        return [Unit("all", self.root)]

    def read(self, unit: Unit) -> Instances:
        suffix = ".jpg" if self._frames("_img.jpg") else ".png"
        frames = sorted(set().union(*map(self._frames, ("_img.jpg", "_img.png", "_align.ply"))), key=int)
        dropped: dict[str, list[str]] = {}
        drop(dropped, "no registered mesh", (f for f in frames if not raw_files.is_file(self._mesh(f))))
        frames = [f for f in frames if raw_files.is_file(self._mesh(f))]
        if not frames:
            return no_instances(dropped)
        for frame in frames:
            raw_files.note(self._mesh(frame))
        meshes = np.stack([read_vertices(self._mesh(frame), VERTICES) for frame in frames])
        notes: list[str] = []
        fitted = raw_files.is_folder(self.root / "fitted_params")
        if not fitted:
            notes.append("the release holds meshes, no parameters: smplx/* columns are absent")
        moved = scanner_to_camera()
        return Instances(
            image_path=[f"{frame}_img{suffix}" for frame in frames],
            size=SIZE,
            camera=CAMERA,
            body=self._fitted(frames) if fitted else None,
            world_to_camera=moved if fitted else None,
            vertices=meshes @ moved.rotation.T + moved.translation,
            keypoints2d=Keypoints(np.stack([self._detections(f, notes) for f in frames]), raw_files.OPENPOSE_137),
            columns={"vertices3d_path": [self._mesh(frame).name for frame in frames]},
            meta={"gender": ["neutral"] * len(frames), "frame_id": np.array([int(f) for f in frames])},
            misc={
                "smplx_source": "fitted to the meshes" if fitted else "none",
                "cam_param_source": "original",
                "focal_length": CAMERA.focal.tolist(),
                "principal_point": CAMERA.principal_point.tolist(),
                "image_shape": list(SIZE),
            },
            dropped=dropped,
            notes=notes,
            **self._boxes(frames),
        )

    def _frames(self, ending: str) -> set[str]:
        """Frame numbers, as written, of the files that end so."""
        found = {name.removesuffix(ending) for name in raw_files.listing(self.root) if name.endswith(ending)}
        return {number for number in found if number.isdecimal()}

    def _mesh(self, frame: str) -> Path:
        return self.root / f"{frame}_align.ply"

    def _detections(self, frame: str, notes: list[str]) -> np.ndarray:
        """(137, 3) OpenPose points with their confidences; zeros where nothing was detected."""
        path = self.root / f"{frame}_2Djnt.json"
        people = raw_files.openpose_people(path, notes) if raw_files.is_file(path) else np.zeros((0, 137, 3))
        return people[0] if len(people) else np.zeros((137, 3))

    def _boxes(self, frames: list[str]) -> dict[str, Any]:
        """The (N, 4) boxes of ``EHF.json``, none without that file."""
        path = self.root / "EHF.json"
        if not raw_files.is_file(path):
            return {}
        odd: dict[str, list[str]] = {}
        known = dict.fromkeys(BOXES.values(), numbers(4))
        people, images = coco.read(Unit("boxes", path), odd, known)
        number = {key: raw_files.basename(image["file_name"]).split("_")[0] for key, image in images.items()}
        found = {int(n): p for p in people if (n := number[p["image_id"]]).isdecimal()}
        absent = [frame for frame in frames if int(frame) not in found]
        if odd or absent:
            reason, names = next(iter(odd.items()), ("", [""]))
            what = f"{names[0]}: {reason}" if odd else f"has no boxes of frame {absent[0]}"
            raise DataError(what, path=path, fix="take a complete one, or none")
        return {name: np.array([found[int(f)][key] for f in frames], float) for name, key in BOXES.items()}

    def _fitted(self, frames: list[str]) -> BodyParams:
        paths = [self.root / "fitted_params" / f"{frame}_align.npz" for frame in frames]
        lengths: dict[str, int] = {}
        fits = [fields.values(raw_files.load_npz(path), FIT, path, lengths=lengths, finite=False) for path in paths]
        for fit, path in zip(fits, paths, strict=True):
            raw_files.require(fit, " ".join(fits[0]), path)
        values: dict[str, Any] = {name: np.stack([fit[name] for fit in fits]) for name in fits[0]}
        return smplx_params(gender="neutral", **values)
