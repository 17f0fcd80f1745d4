"""AGORA: synthetic pictures of 5 to 15 scanned people each, SMPL-X fitted to the scans, children included.

Tables hold one row a picture with lists over its people; the fits lie in each scan's own frame (y up) and go to
the camera by one rigid motion made of the scan's yaw and place and of the picture's camera:
R = Rx(pitch) Ry(-camera yaw) Ry(yaw - 90) diag(1,-1,-1), t = Rx(pitch) Ry(-camera yaw) (place - camera - ground).
Source: Patel et al., "AGORA: Avatars in Geography Optimized for Regression Analysis", CVPR 2021, and the
projection code of its evaluation tool.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
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
from ehps.errors import DataError, UsageError

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
        split: (" | ".join(f"{above}SMPLX/{split}_*_withjv.pkl" for above in ("", "*/", "*/*/")),)
        for split in ("train", "validation")
    },
    get="register on the homepage; {train,validation}_SMPLX.zip, smplx_gt.zip and the images (1280x720 is enough)",
    options={"resolution": "1280x720 (default) or 3840x2160, where both are on the disk"},
    variants={
        "SMPL/*_withjv.pkl": "the SMPL tables only; take train_SMPLX.zip and smplx_gt.zip",
        "Cam/train_?.pkl": "the tables without joints; take train_SMPLX.zip and smplx_gt.zip",
        "AGORA_*.json": "the json that OSX, SMPLer-X or Hand4Whole made; the official train_SMPLX.zip and smplx_gt.zip "
        "are needed",
    },
    reprojection="exact",
    notes=(
        "Children keep the adult model's 10 betas; their pelvis is exact, their limbs are not (meta/kid, betas_extra).",
        "The published count is of the training split, as SMPLer-X used it.",
    ),
)
SMALL, LARGE = "1280x720", "3840x2160"
NEUTRAL_FITS = "smplx_gt_neutral_gender"
PARAMETERS = (
    "global_orient", "body_pose", "transl", "left_hand_pose", "right_hand_pose", "jaw_pose", "leye_pose", "reye_pose",
    "expression",
)  # fmt: skip
COLUMNS = (
    "imgPath", "X", "Y", "Z", "Yaw", "camX", "camY", "camZ", "camYaw", "gender", "kid", "age", "ethnicity", "occlusion",
    "isValid", "gt_path_smplx", "gt_joints_2d", "gt_joints_3d",
)  # fmt: skip
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


@dataclass(frozen=True)
class Person:
    """Number ``k`` of the lists in one row of a table, with the picture on the disk and the fit."""

    row: dict[str, Any]
    k: int
    picture: str
    fit: dict[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.row[name][self.k]

    @property
    def kid(self) -> bool:
        return bool(self["kid"])

    def joints(self, name: str, channels: int) -> np.ndarray:
        """(127, channels) of one column; NaN, which counts as unknown, where the table has none of this person."""
        values = np.asarray(self[name], float)
        return values[:127] if len(values) >= 127 else np.full((127, channels), np.nan)


class AGORA(Converter):
    card = CARD

    def units(self) -> list[Unit]:
        if self.options.get("resolution", SMALL) not in (SMALL, LARGE):
            raise UsageError(f"resolution={self.options['resolution']}: AGORA has {SMALL} and {LARGE}")
        name = re.compile(rf"{self.split}_(\d+)_withjv\.pkl")
        tables = {
            int(match[1]): path
            for folder in ("*/*/SMPLX", "*/SMPLX", "SMPLX")
            for path in sorted(self.root.glob(f"{folder}/{self.split}_*_withjv.pkl"))
            if (match := name.fullmatch(path.name))
        }
        return [Unit(tables[k].stem, tables[k]) for k in sorted(tables)]

    def read(self, unit: Unit) -> Instances:
        pictures, fit_of = self._pictures(), cache(self._fit)  # one scan stands in many pictures
        dropped: dict[str, list[str]] = {}
        people: list[Person] = []
        for row in records(unit.path):
            # Under its own name where it is not on the disk: the pipeline counts missing pictures.
            picture = pictures.get(raw.basename(row["imgPath"]).removesuffix(".png"), row["imgPath"])
            for k, path in enumerate(row["gt_path_smplx"]):
                label = f"{row['imgPath']} person {k}"
                if not row["isValid"][k]:
                    drop(dropped, "occluded beyond use (isValid)", [label])
                elif (fit := fit_of(path)) is None:
                    drop(dropped, "SMPL-X fit missing", [f"{label}: {path}"])
                else:
                    people.append(Person(row, k, picture, fit))
        return self._instances(people, dropped) if people else no_instances(dropped)

    def _instances(self, people: list[Person], dropped: dict[str, list[str]]) -> Instances:
        moves = [camera_motion(p.row, p.k) for p in people]
        height = np.array([720 if SMALL in p.picture else 2160 for p in people])
        points = np.stack([p.joints("gt_joints_2d", 2) for p in people]) * (height / 2160)[:, None, None]
        neutral, notes = self._neutral_betas(people)
        kid = np.array([p.kid for p in people])
        return Instances(
            image_path=[p.picture for p in people],
            size=np.column_stack([height, height * 16 // 9]),
            camera=Camera(
                np.outer(height / SENSOR_MM[1] * [camera(p.row)[3] for p in people], [1, 1]),
                np.column_stack([height * 8 / 9, height / 2]),
            ),
            body=body(people).with_(betas_neutral=neutral),
            world_to_camera=Rigid(np.stack([r for r, _ in moves]), np.stack([t for _, t in moves])),
            keypoints2d=Keypoints(points, "agora"),
            keypoints3d=Keypoints(np.stack([p.joints("gt_joints_3d", 3) for p in people]), "agora"),
            meta={
                "kid": kid,
                "is_kid": kid,
                "occlusion": np.array([float(p["occlusion"]) for p in people]),
                "age": [str(p["age"]) for p in people],
                "ethnicity": [str(p["ethnicity"]) for p in people],
                "person_id": np.array([p.k for p in people]),
                "annot_valid": np.ones(len(people), bool),
            },
            misc={"smplx_source": "original", "cam_param_source": "original", "has_betas_extra": True},
            dropped=dropped,
            notes=notes,
        )

    def _fit(self, path: str, names: Sequence[str] = (*PARAMETERS, "betas")) -> dict[str, Any] | None:
        """The parameters beside the mesh at ``path``, None where there is no such file."""
        file = self.root / Path(path).with_suffix(".pkl")
        if not file.is_file():
            return None
        fit: dict[str, Any] = raw.load_pkl(file)
        absent = [name for name in names if name not in fit]
        if absent:
            raise DataError(f"is no SMPL-X fit: it has no {', '.join(absent)}", path=file, fix="unpack it again")
        return fit

    def _neutral_betas(self, people: list[Person]) -> tuple[np.ndarray | None, list[str]]:
        """(N, 10) shapes of the fits redone with the neutral model, where all are there; else None and a note."""
        folder = self.root / NEUTRAL_FITS
        if not folder.is_dir():
            return None, []
        inner = f"{NEUTRAL_FITS}/smplx_gt" if (folder / "smplx_gt").is_dir() else NEUTRAL_FITS
        fit_of = cache(lambda path: self._fit(path.replace("smplx_gt", inner, 1), ["betas"]))
        fits = [fit for p in people if (fit := fit_of(p["gt_path_smplx"])) is not None]
        if len(fits) < len(people):
            return None, [f"no smplx/betas_neutral: {len(people) - len(fits)} of the fits are not in {NEUTRAL_FITS}"]
        return np.stack([np.ravel(fit["betas"])[:10] for fit in fits]), []

    def _pictures(self) -> dict[str, str]:
        """Picture name as in the tables, without its suffix -> path below the root, wherever users unpack them."""
        folders = [
            f"{prefix}{d}".rstrip("/")
            for prefix in ("", "images/", f"{SMALL}/", f"{LARGE}/", f"images_{SMALL}/", f"images_{LARGE}/")
            for d in ("", *(f"{self.split}_{k}" for k in range(10)), self.split)
        ]
        found = [f"{d}/{n}".lstrip("/") for d in folders for n in raw.listing(self.root / d) if n.endswith(".png")]
        wanted = self.options.get("resolution", SMALL)
        # Later entries win, so the wanted resolution goes last.
        found.sort(key=lambda path: (SMALL in path) == (wanted == SMALL))
        return {raw.basename(path).removesuffix(".png").removesuffix(f"_{SMALL}"): path for path in found}


def records(path: Path) -> list[dict[str, Any]]:
    """Rows of a table. What is not needed, the vertices above all, is no longer in memory afterwards."""
    table = raw.load_pkl(path, allow=[raw.PANDAS])
    absent = [name for name in COLUMNS if name not in getattr(table, "columns", ())]
    if absent:
        raise DataError(
            f"is no table of SMPL-X people: it has no {', '.join(absent)}",
            path=path,
            fix="take the tables of train_SMPLX.zip and validation_SMPLX.zip",
        )
    rows: list[dict[str, Any]] = table[list(COLUMNS)].to_dict("records")
    return rows


def body(people: list[Person]) -> BodyParams:
    """The fits in the frames of their scans, each with the gender of its model."""
    values: dict[str, Any] = {
        name: np.concatenate([np.reshape(p.fit[name], (1, -1)) for p in people]) for name in PARAMETERS
    }
    betas = [np.ravel(p.fit["betas"]) for p in people]
    return smplx_params(
        # The fits of girls are made with the neutral model.
        gender=["neutral" if p.kid and p["gender"] == "female" else p["gender"] for p in people],
        betas=np.stack([b[:10] for b in betas]),
        betas_extra=np.array(
            [b[10:11] if p.kid and len(b) > 10 else [0.0] for b, p in zip(betas, people, strict=True)]
        ),
        **values,
    )


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
