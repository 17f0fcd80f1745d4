"""AGORA: synthetic pictures of 5 to 15 scanned people each, SMPL-X fitted to the scans, children included.

Tables hold one row a picture with lists over its people; the fits lie in each scan's own frame (y up) and go to
the camera by one rigid motion made of the scan's yaw and place and of the picture's camera:
R = Rx(pitch) Ry(-camera yaw) Ry(yaw - 90) diag(1,-1,-1), t = Rx(pitch) Ry(-camera yaw) (place - camera - ground).
Source: Patel et al., "AGORA: Avatars in Geography Optimized for Regression Analysis", CVPR 2021, and the
projection code of its evaluation tool.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from ehps.body import cameras
from ehps.body.params import BodyParams, smplx_params
from ehps.converters import raw
from ehps.converters.base import (
    Camera,
    Converter,
    DatasetCard,
    Instances,
    Keypoints,
    Rigid,
    Unit,
    drop,
    no_instances,
)

CARD = DatasetCard(
    id="agora",
    name="AGORA",
    homepage="https://agora.is.tue.mpg.de",
    licence="non-commercial research, after registration",
    commercial=False,
    paper="Patel et al., AGORA: Avatars in Geography Optimized for Regression Analysis, CVPR 2021",
    annotation="SMPL-X, gendered, fitted to 3D scans",
    body_model="smplx",
    appearance="synthetic",
    scene="indoor and outdoor",
    persons="several",
    splits={"train": 106_700, "validation": None},
    layout="""
AGORA/
  SMPLX/{train,validation}_<k>_withjv.pkl        (validation_SMPLX/SMPLX/ as unpacked will do)
  smplx_gt/<scan set>/<scan>.pkl
  smplx_gt_neutral_gender/...                    optional: the fits redone with the neutral model
  smplx_kid_template.npy                         into the body-model folder: places children exactly
  train_<k>/*_1280x720.png, validation/*.png     (or below images/, 1280x720/, 3840x2160/, images_*/)
""",
    needs=("smplx_gt",),
    split_needs={
        split: (f"SMPLX/{split}_*_withjv.pkl | {split}_SMPLX/SMPLX/{split}_*_withjv.pkl | */{split}_*_withjv.pkl",)
        for split in ("train", "validation")
    },
    get="register on the homepage; {train,validation}_SMPLX.zip, smplx_gt.zip and the images (1280x720 is enough)",
    options={"resolution": "1280x720 (default) or 3840x2160, where both are on the disk"},
    reprojection="exact",
    notes=(
        "Children keep the adult model's 10 betas; their pelvis is exact, their limbs are not (meta/kid, betas_extra).",
        "The published count is of the training split, as SMPLer-X used it.",
    ),
)
# marker in the picture's name -> camera place (cm), yaw, pitch (degrees), focal length (mm); first match wins
CAMERAS = {
    "hdri": ((0, 0, 170), 0, 0, 50),
    "cam00": ((400, -275, 265), 135, 30, 18),
    "cam01": ((400, 225, 265), -135, 30, 18),
    "cam02": ((-490, 170, 265), -45, 30, 18),
    "cam03": ((-490, -275, 265), 45, 30, 18),
    "ag2": ((0, 0, 170), 0, 15, 28),
}
GROUND = np.array([0, -1.7, 0])
FLIP = np.diag([1.0, -1.0, -1.0])
SENSOR_MM = (36, 20.25)


class AGORA(Converter):
    card = CARD

    def units(self) -> list[Unit]:
        name = re.compile(rf"{self.split}_(\d+)_withjv\.pkl")
        tables = {
            int(match[1]): path
            for path in sorted(self.root.rglob(f"{self.split}_*_withjv.pkl"))
            if path.parent.name == "SMPLX" and (match := name.fullmatch(path.name))
        }
        return [Unit(tables[k].stem, tables[k]) for k in sorted(tables)]

    def read(self, unit: Unit) -> Instances:
        table = raw.load_pkl(unit.path, allow=[raw.PANDAS]).drop(columns="gt_verts", errors="ignore")
        pictures = self._pictures()
        dropped: dict[str, list[str]] = {}
        people: list[tuple[dict[str, Any], int, dict[str, Any], str]] = []
        for row in table.to_dict("records"):
            # Under its own name where it is not on the disk: the pipeline counts missing pictures.
            picture = pictures.get(raw.basename(row["imgPath"]).removesuffix(".png"), row["imgPath"])
            for k in range(len(row["gender"])):
                label = f"{row['imgPath']} person {k}"
                fit = self.root / Path(row["gt_path_smplx"][k]).with_suffix(".pkl")
                if not row["isValid"][k]:
                    drop(dropped, "occluded beyond use (isValid)", [label])
                elif not fit.is_file():
                    drop(dropped, "SMPL-X fit missing", [f"{label}: {fit}"])
                else:
                    people.append((row, k, raw.load_pkl(fit), picture))
        if not people:
            return no_instances(dropped)
        return self._instances(people, dropped)

    def _instances(self, people: list[Any], dropped: dict[str, list[str]]) -> Instances:
        rows, index, fits, paths = zip(*people, strict=True)
        each = list(zip(rows, index, strict=True))
        kid = np.array([bool(row["kid"][k]) for row, k in each])
        moves = [camera_motion(row, k) for row, k in each]
        small = np.array(["_1280x720" in path for path in paths])
        height = np.where(small, 720, 2160)
        points = np.stack([np.asarray(row["gt_joints_2d"][k], float)[:127] for row, k in each])
        joints = np.stack([np.asarray(row["gt_joints_3d"][k], float)[:127] for row, k in each])
        ones = np.ones((*joints.shape[:2], 1))
        pixels_per_mm = height / SENSOR_MM[1]
        return Instances(
            image_path=list(paths),
            size=np.column_stack([height, height * 16 // 9]),
            camera=Camera(
                np.outer(pixels_per_mm * [camera(row)[3] for row in rows], [1, 1]),
                np.column_stack([height * 8 / 9, height / 2]),
            ),
            body=self._body(each, fits, kid),
            world_to_camera=Rigid(np.stack([r for r, _ in moves]), np.stack([t for _, t in moves])),
            keypoints2d=Keypoints(np.concatenate([points * (height / 2160)[:, None, None], ones], -1), "agora"),
            keypoints3d=Keypoints(np.concatenate([joints, ones], -1), "agora"),
            meta={
                "kid": kid,
                "is_kid": kid,
                "occlusion": np.array([float(row["occlusion"][k]) for row, k in each]),
                "age": [str(row["age"][k]) for row, k in each],
                "ethnicity": [str(row["ethnicity"][k]) for row, k in each],
                "person_id": np.array(index),
                "annot_valid": np.ones(len(people), bool),
            },
            misc={"smplx_source": "original", "has_betas_extra": True},
            dropped=dropped,
        )

    def _body(self, each: list[Any], fits: tuple[dict[str, Any], ...], kid: np.ndarray) -> BodyParams:
        names = ("global_orient", "body_pose", "transl", "left_hand_pose", "right_hand_pose", "jaw_pose", "leye_pose",
                 "reye_pose", "expression")  # fmt: skip
        values = {name: np.concatenate([np.reshape(fit[name], (1, -1)) for fit in fits]) for name in names}
        betas = [np.ravel(fit["betas"]) for fit in fits]
        gender = np.array([row["gender"][k] for row, k in each], object)
        gender[kid & (gender == "female")] = "neutral"  # the fits of girls are made with the neutral model
        neutral = [self._neutral_betas(row["gt_path_smplx"][k]) for row, k in each]
        return smplx_params(
            gender=gender,
            betas=np.stack([b[:10] for b in betas]),
            betas_extra=np.array(
                [[b[10]] if child and len(b) > 10 else [0.0] for b, child in zip(betas, kid, strict=True)]
            ),
            betas_neutral=None if any(b is None for b in neutral) else np.stack(neutral),
            **values,
        )

    def _neutral_betas(self, path: str) -> np.ndarray | None:
        fit = self.root / "smplx_gt_neutral_gender" / Path(path).with_suffix(".pkl")
        return np.ravel(raw.load_pkl(fit)["betas"])[:10] if fit.is_file() else None

    def _pictures(self) -> dict[str, str]:
        """Picture name as in the tables, without its suffix -> path below the root, wherever users unpack them."""
        folders = [
            f"{prefix}{d}"
            for prefix in ("", "images/", "1280x720/", "3840x2160/", "images_1280x720/", "images_3840x2160/")
            for d in ("", *(f"{self.split}_{k}" for k in range(10)), self.split)
        ]
        found = [f"{d}/{n}".lstrip("/") for d in folders for n in raw.listing(self.root / d) if n.endswith(".png")]
        large = self.options.get("resolution", "1280x720") == "3840x2160"
        # Later entries win, so the wanted resolution goes last.
        found.sort(key=lambda path: ("_1280x720" in path) != large)
        return {raw.basename(path).removesuffix(".png").removesuffix("_1280x720"): path for path in found}


def camera(row: dict[str, Any]) -> tuple[Any, float, float, float]:
    """Place (cm), yaw, pitch (degrees) and focal length (mm) of a picture's camera."""
    for marker, values in CAMERAS.items():
        if marker in row["imgPath"]:
            return values
    return (row["camX"], row["camY"], row["camZ"]), row["camYaw"], 0, 28


def camera_motion(row: dict[str, Any], k: int) -> tuple[np.ndarray, np.ndarray]:
    """Rotation (3, 3) and translation (3,) m from the scan frame of person ``k`` to the camera."""
    place, yaw, pitch, _ = camera(row)
    ground = np.zeros(3) if any(marker in row["imgPath"] for marker in CAMERAS) else GROUND
    turn = cameras.rotate_x(pitch) @ cameras.rotate_y(-yaw)
    person = cameras.unreal_to_opencv([row["X"][k], row["Y"][k], row["Z"][k]])
    rotation = turn @ cameras.rotate_y(row["Yaw"][k] - 90) @ FLIP
    return rotation, turn @ (person - cameras.unreal_to_opencv(place) - ground)
