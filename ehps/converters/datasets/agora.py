"""AGORA: synthetic images of 5 to 15 scanned people each, SMPL-X fitted to the scans, children included.

The fits lie in each scan's own frame (y up), and one scan stands in many images; tables say where, see
:mod:`ehps.converters.datasets.agora_tables`. Children have an eleventh shape parameter, the weight of the child
template.
Source: Patel et al., "AGORA: Avatars in Geography Optimized for Regression Analysis", CVPR 2021, and the
projection code of its evaluation tool.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ehps.arrays import Array
from ehps.body.params import BodyParams, smplx_params
from ehps.converters.base import Camera, Converter, DatasetCard, Instances, Keypoints, Unit, drop, no_instances
from ehps.converters.datasets import agora_tables
from ehps.converters.options import Option
from ehps.converters.readers import OTHER, fields, raw_files, smplify_fits
from ehps.converters.readers.fields import numbers
from ehps.converters.readers.frame_files import read_each
from ehps.converters.readers.images import image_names
from ehps.errors import DataError

if TYPE_CHECKING:
    import pandas as pd


SMALL, LARGE = "1280x720", "3840x2160"
VALID = "valid"
CARD = DatasetCard(
    id="agora",
    config="agora_{split}",
    name="AGORA",
    homepage="https://agora.is.tue.mpg.de",
    licence="non-commercial research, after registration",
    commercial_use=False,
    paper="Patel et al., AGORA: Avatars in Geography Optimized for Regression Analysis, CVPR 2021",
    annotation="registered scans",
    annotation_note="SMPL-X, gendered, fitted to 3D scans",
    body_model="smplx",
    appearance="synthetic",
    scene="indoor and outdoor",
    persons="several",
    splits={"train": 106_700, "validation": None},
    uncertain=("train",),
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
    options=(
        Option("resolution", "size of the images, where both are on the disk", SMALL, choices=(SMALL, LARGE)),
        Option(
            "persons",
            "people to keep: those that the tables call valid (occluded by at most 90 %), or all, as AGORA's own "
            "evaluation (agora-official) needs them; meta/annot_valid tells them apart",
            VALID,
            choices=(VALID, "all"),
        ),
    ),
    variants={
        "SMPL/*_withjv.pkl": "the SMPL tables only; take train_SMPLX.zip and smplx_gt.zip",
        "Cam/train_?.pkl": "the tables without joints; take train_SMPLX.zip and smplx_gt.zip",
        "AGORA_*.json": "the json that OSX, SMPLer-X or Hand4Whole made; the official train_SMPLX.zip and smplx_gt.zip "
        "are needed",
    },
    reprojection="exact",
    notes=(
        "Children keep the adult model's 10 betas; their pelvis is exact, their limbs are not (meta/kid, betas_extra).",
        "The published count is of the training split, as SMPLer-X used it, and rounded.",
    ),
)
NEUTRAL_FITS = "smplx_gt_neutral_gender"
PARAMETERS = {
    "global_orient": numbers(3),
    "body_pose": numbers(63),
    "transl": numbers(3),
    "left_hand_pose": numbers("hand components"),
    "right_hand_pose": numbers("hand components"),
    "jaw_pose": numbers(3),
    "leye_pose": numbers(3),
    "reye_pose": numbers(3),
    "expression": numbers("expressions"),
}
BETAS = {"betas": numbers("betas")}
SENSOR_MM = 20.25  # height
COUNTED = (0, 90)  # % of occlusion, of people whom the official evaluation counts


class AGORA(Converter):
    card = CARD

    def units(self) -> list[Unit]:
        name = re.compile(rf"{self.split}_(\d+)_withjv\.pkl")
        found = {
            int(match[1]): path
            for folder in ("*/*/SMPLX", "*/SMPLX", "SMPLX")
            for path in sorted(self.root.glob(f"{folder}/{self.split}_*_withjv.pkl"))
            if (match := name.fullmatch(path.name))
        }
        return [Unit(found[k].stem, found[k]) for k in sorted(found)]

    def read(self, unit: Unit) -> Instances:
        dropped: dict[str, list[str]] = {}
        people = agora_tables.read_people(unit.path, dropped)
        label = people["imgPath"] + " person " + people["person"].astype(str)
        valid = people["isValid"].astype(bool)
        there = {path: raw_files.is_file(self._fit(path)) for path in people["gt_path_smplx"].unique()}
        fitted = people["gt_path_smplx"].map(there).astype(bool)
        wanted = valid if self.option("persons") == VALID else valid | True
        drop(dropped, "occluded beyond use (isValid)", label[~wanted])
        drop(dropped, "SMPL-X fit missing", (label + ": " + people["gt_path_smplx"])[wanted & ~fitted])
        people = people[wanted & fitted]
        if people.empty:
            return no_instances(dropped)
        files, notes = self._neutral_files(people["gt_path_smplx"].unique().tolist())
        fits, people = self._readable(people, label, self._fit, read_fit, dropped)
        neutral: dict[str, dict[str, Array]] = {}
        if files:
            neutral, people = self._readable(people, label, files.__getitem__, read_betas, dropped)
        scan, distinct = people["gt_path_smplx"].factorize()
        scans = [str(path) for path in distinct]
        images = self._images()
        if self.split == "validation" and not people["occlusion"].between(*COUNTED).any():
            low, high = COUNTED
            notes.append(
                f"AGORA's own evaluation (agora-official) counts nobody of {unit.path.name}: occlusion of all "
                f"{len(people)} valid people is outside {low} to {high} %, as in its first release"
            )
        # Under its own name where it is not on the disk: the pipeline counts missing images.
        paths = [images.get(_stem(name), name) for name in people["imgPath"]]
        height = np.array([720 if SMALL in path else 2160 for path in paths])
        focal = height / SENSOR_MM * people["focal_mm"].to_numpy(float)
        kid = people["kid"].to_numpy(bool)
        return Instances(
            image_path=paths,
            size=np.column_stack([height, height * 16 // 9]),
            camera=Camera(np.column_stack([focal, focal]), np.column_stack([height * 8 / 9, height / 2])),
            body=bodies([fits[path] for path in scans], scan, kid, people["gender"]).with_(
                betas_neutral=np.stack([neutral[path]["betas"][:10] for path in scans])[scan] if neutral else None
            ),
            world_to_camera=agora_tables.to_cameras(people),
            keypoints2d=Keypoints(
                agora_tables.joints(people["gt_joints_2d"], 2) * (height / 2160)[:, None, None], "agora"
            ),
            keypoints3d=Keypoints(agora_tables.joints(people["gt_joints_3d"], 3), "agora"),
            meta={
                "kid": kid,
                "is_kid": kid,
                "occlusion": people["occlusion"].to_numpy(float),
                "age": [str(age) for age in people["age"]],
                "ethnicity": [str(word) for word in people["ethnicity"]],
                "person_id": people["person"].to_numpy(int),
                "annot_valid": people["isValid"].to_numpy(bool),
            },
            misc={"smplx_source": "original", "cam_param_source": "original", "has_betas_extra": True},
            dropped=dropped,
            notes=notes,
        )

    def _fit(self, path: str) -> Path:
        """Parameters lie beside the mesh at ``path``."""
        return (self.root / path).with_suffix(".pkl")

    def _readable(
        self,
        people: pd.DataFrame,
        label: pd.Series[str],
        file: Callable[[str], Path],
        read: Callable[[Path], dict[str, Array]],
        dropped: dict[str, list[str]],
    ) -> tuple[dict[str, dict[str, Array]], pd.DataFrame]:
        """What ``read`` makes of the file of each scan, by its path, and the people of scans that it can read."""
        scans = [str(path) for path in people["gt_path_smplx"].unique()]
        odd: dict[str, list[str]] = {}
        files = [file(path) for path in scans]
        fits, readable = read_each(files, read, smplify_fits.NO_FIT, odd, self.root, tuple(PARAMETERS))
        lost = [path for path, good in zip(scans, readable, strict=True) if not good]
        for path, why in zip(lost, odd.get(smplify_fits.NO_FIT, ()), strict=True):
            drop(dropped, smplify_fits.NO_FIT, label[people.index[people["gt_path_smplx"] == path]] + f": {why}")
        return dict(zip(compress(scans, readable), fits, strict=True)), people[~people["gt_path_smplx"].isin(lost)]

    def _neutral_files(self, scans: Sequence[str]) -> tuple[dict[str, Path], list[str]]:
        """By the path of a scan the fit redone with the neutral model, where all are there; else none, and a note."""
        folder = self.root / NEUTRAL_FITS
        if not raw_files.is_folder(folder):
            return {}, []
        inner = f"{NEUTRAL_FITS}/smplx_gt" if raw_files.is_folder(folder / "smplx_gt") else NEUTRAL_FITS
        files = {path: self._fit(path.replace("smplx_gt", inner, 1)) for path in scans}
        if lost := sum(not raw_files.is_file(path) for path in files.values()):
            return {}, [f"no smplx/betas_neutral: {lost} of the fits are not in {NEUTRAL_FITS}"]
        return files, []

    def _images(self) -> dict[str, str]:
        """Image name as in the tables, without its suffix -> path below the root, wherever users unpack them."""
        folders = [
            f"{above}{inner}".rstrip("/")
            for above in ("", "images/", f"{SMALL}/", f"{LARGE}/", f"images_{SMALL}/", f"images_{LARGE}/")
            for inner in ("", *(f"{self.split}_{k}" for k in range(10)), self.split)
        ]
        found = [f"{d}/{n}".lstrip("/") for d in folders for n in image_names(self.root, d)]
        # Later entries win, so the wanted resolution goes last.
        small = self.option("resolution") == SMALL
        found.sort(key=lambda path: (SMALL in path) == small)
        return {_stem(path).removesuffix(f"_{SMALL}"): path for path in found}


def _stem(path: str) -> str:
    """Name of an image without its ending."""
    return raw_files.basename(path).rpartition(".")[0]


def bodies(fits: Sequence[Mapping[str, Array]], scan: Array, kid: Array, gender: pd.Series[str]) -> BodyParams:
    """Of people (N,), whose ``scan`` (N,) is one of the fits, in the frames of their scans."""
    values: dict[str, Any] = {name: np.stack([fit[name] for fit in fits])[scan] for name in PARAMETERS}
    betas = np.stack([np.pad(fit["betas"], (0, 1))[:11] for fit in fits])[scan]  # children have the eleventh
    return smplx_params(
        gender=np.where(kid & (gender == "female"), "neutral", gender),  # the fits of girls are of that model
        betas=betas[:, :10],
        betas_extra=np.where(kid, betas[:, 10], 0)[:, None],
        **values,
    )


def read_fit(path: Path) -> dict[str, Array]:
    """Parameters of one scan, each (K,)."""
    fit = raw_files.load_pkl(path)
    return fields.values(fit, PARAMETERS, path, finite=False) | {"betas": _betas(fit, path)}


def read_betas(path: Path) -> dict[str, Array]:
    """``betas`` (10,) or (11,) of one scan."""
    return {"betas": _betas(raw_files.load_pkl(path), path)}


def _betas(fit: Any, path: Path) -> Array:
    betas = fields.values(fit, BETAS, path, finite=False)["betas"]
    if len(betas) < 10:
        raise DataError(f"betas is {len(betas)} numbers, expected 10 or more", path=path, fix=OTHER)
    return betas
