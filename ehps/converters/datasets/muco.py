"""MuCo-3DHP: people of MPI-INF-3DHP composited into one image, SMPL fitted to the captured joints.

The 21 joints start with the right side. Fits and joints are in the camera frame of the composite: the extrinsics
that images carry (R, T) are not for them.
Source: Mehta et al., 3DV 2018; Moon and Lee, "I2L-MeshNet", ECCV 2020 (fits); the parsed package of 3DMPPE.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ehps.arrays import Array
from ehps.body.cameras import project
from ehps.body.params import smpl_params
from ehps.converters.base import Camera, Converter, DatasetCard, Instances, Keypoints, Unit, drop, no_instances
from ehps.converters.readers import coco, fields, raw_files
from ehps.converters.readers.fields import Field, numbers
from ehps.errors import DataError

CARD = DatasetCard(
    id="muco",
    config="muco_{split}",
    name="MuCo-3DHP",
    homepage="https://vcai.mpi-inf.mpg.de/projects/SingleShotMultiPerson/",
    licence="as MPI-INF-3DHP: research only",
    commercial_use=False,
    paper="Mehta et al., Single-Shot Multi-Person 3D Pose Estimation From Monocular RGB, 3DV 2018",
    annotation="fit to 3D points",
    annotation_note="SMPL, pseudo (SMPLify-X on captured joints)",
    body_source="others",
    body_model="smpl",
    appearance="composite",
    scene="studio",
    scene_note="half of the images with pasted backgrounds",
    persons="several",
    splits={"train": 465_273},
    uncertain=("train",),
    layout="""
MuCo/
  data/                                  (or all of it in MuCo/)
    augmented_set/...jpg                 other backgrounds
    unaugmented_set/...jpg               the studio
    MuCo-3DHP.json                       images and 21 joints a person
    smpl_param.json                      the fits
""",
    needs=(
        "data/MuCo-3DHP.json | MuCo-3DHP.json",
        "data/smpl_param.json | smpl_param.json",
        "data/augmented_set | data/unaugmented_set | augmented_set | unaugmented_set",
    ),
    get="parsed and composited package and smpl_param.json, linked from github.com/mks0601/3DMPPE_POSENET_RELEASE "
    "and github.com/mks0601/I2L-MeshNet_RELEASE",
    variants={
        "unaugmented_set_001": "images made with the official MATLAB scripts; the parsed package, which has its "
        "own, is needed",
        "extras/MuCo-3DHP.json": "the tree of hmr-benchmarks; put MuCo-3DHP.json and smpl_param.json beside "
        "augmented_set and unaugmented_set",
    },
    reprojection="fitted",
    notes=(
        "The fits are SMPL, not SMPL-X, although the folder is sometimes called so.",
        "meta/closest marks the person nearest to the camera among all annotated in the image, the only one that "
        "some published methods train on.",
        "That the published count is of this data set is likely, not established.",
    ),
)
JOINTS = (
    "headtop",
    "neck_extra",
    "right_shoulder",
    "right_elbow",
    "right_wrist",
    "left_shoulder",
    "left_elbow",
    "left_wrist",
    "right_hip_extra",
    "right_knee",
    "right_ankle",
    "left_hip_extra",
    "left_knee",
    "left_ankle",
    "pelvis_extra",
    "spine_extra",
    "head_extra",
    "right_hand_3dhp",
    "left_hand_3dhp",
    "right_toe_3dhp",
    "left_toe_3dhp",
)
PERSON: dict[str, Field] = {
    "bbox": numbers(4),
    "keypoints_img": numbers(21, 2),
    "keypoints_cam": numbers(21, 3),
    "keypoints_vis": numbers(21),
}
IMAGE = coco.SIZE | {"f": numbers(2), "c": numbers(2)}
FIT = {"pose": numbers(72), "shape": numbers(10), "trans": numbers(3)}
PELVIS = JOINTS.index("pelvis_extra")
AGREE = 0.005  # of the image's width: own 2D and 3D joints that are further apart do not have this camera


class MuCo(Converter):
    card = CARD

    def units(self) -> list[Unit]:
        path = raw_files.first_existing(self.root, ("data/MuCo-3DHP.json", "MuCo-3DHP.json"))
        units = coco.units(path, "all")
        found = [unit for unit in units if unit.data is not None]
        try:
            places = [place_of(a) for unit in found for a in coco.records(unit)]
        except DataError:
            return units
        nearest = {key for (_, _, key), first in zip(places, closest([p[:2] for p in places]), strict=True) if first}
        # People of one image may be in several units, so that a unit alone could not tell.
        own = [nearest.intersection(key for _, _, key in map(place_of, coco.records(unit))) for unit in found]
        return [replace(u, data=replace(u.data, more=more)) for u, more in zip(found, own, strict=True)] or units

    def read(self, unit: Unit) -> Instances:
        dropped: dict[str, list[str]] = {}
        everybody, images = coco.read(unit, dropped, PERSON, IMAGE)
        if not everybody:
            return no_instances(dropped)
        fits = raw_files.keyed_json(unit.path.with_name("smpl_param.json"))
        nearest = unit.data.more if unit.data is not None and unit.data.more else set()
        drop(dropped, "no SMPL fit", (str(a["id"]) for a in everybody if str(a["id"]) not in fits))
        fitted = [a for a in everybody if str(a["id"]) in fits]
        drop(dropped, "pelvis not visible", (str(a["id"]) for a in fitted if not a["keypoints_vis"][PELVIS]))
        people = [a for a in fitted if a["keypoints_vis"][PELVIS]]
        found = [fits[a["id"]] for a in people]
        odd = {
            i: ("no SMPL fit" if why.startswith("no ") else f"fit of another form: {why}", said)
            for i, (why, said) in fields.odd_ones(found, FIT, "fits").items()
        }
        keep = np.flatnonzero(fields.drop_odd(odd, [f"entry {a['id']}" for a in people], fits.path, dropped)).tolist()
        people, found = [people[i] for i in keep], [found[i] for i in keep]
        if not people:
            return no_instances(dropped)
        own = [images[a["image_id"]] for a in people]
        pose, shape, trans = (np.array([np.ravel(fit[name]) for fit in found], float) for name in FIT)
        folder = "" if unit.path.parent == self.root else f"{unit.path.parent.name}/"
        size = np.array([[image["height"], image["width"]] for image in own])
        camera = Camera(raw_files.column(own, "f").astype(float), raw_files.column(own, "c").astype(float))
        points = raw_files.column(people, "keypoints_img").astype(float)
        joints = raw_files.column(people, "keypoints_cam").astype(float) / 1000  # were millimetres
        visible = raw_files.column(people, "keypoints_vis").astype(float)[..., None]
        return Instances(
            image_path=[folder + image["file_name"] for image in own],
            size=size,
            camera=camera,
            body=smpl_params(gender="neutral", betas=shape, pose=pose, transl=trans),
            keypoints2d=Keypoints(np.concatenate([points, visible], -1), JOINTS),
            keypoints3d=Keypoints(np.concatenate([joints, np.ones_like(visible)], -1), JOINTS),
            bbox=raw_files.column(people, "bbox").astype(float),
            meta={
                "annotation_id": raw_files.column(people, "id"),
                "image_id": raw_files.column(people, "image_id"),
                "closest": np.array([a["id"] in nearest for a in people]),
            },
            misc={"smpl_source": "smplify-x", "bbox_source": "provided_by_dataset"},
            dropped=dropped,
            notes=disagreement(joints, points, camera, size),
        )


def place_of(record: Any) -> tuple[float, float, Any]:
    """Image, depth and id of a person; NaN where the record does not say them."""
    known = {"id": fields.IDENTIFIER, "image_id": fields.integers(), "keypoints_cam": PERSON["keypoints_cam"]}
    if fields.odd_ones([record], known, "annotations"):
        return np.nan, np.nan, None
    return record["image_id"], np.reshape(record["keypoints_cam"], (21, 3))[PELVIS, 2], record["id"]


def closest(people: list[tuple[float, float]]) -> Array:
    """(N,) who of N people, given by image and depth, is the nearest in the image, the first of equals."""
    image, depth = np.array(people).reshape(-1, 2).T
    order = np.lexsort((depth, image))
    nearest = np.zeros(len(order), bool)
    nearest[order[np.diff(image[order], prepend=np.nan) != 0]] = True
    return nearest


def disagreement(joints: Array, points: Array, camera: Camera, size: Array) -> list[str]:
    """A note when the 3D joints do not project onto the 2D ones, as where f and c are of another image size."""
    apart = np.linalg.norm(project(joints, camera.focal, camera.principal_point) - points, axis=2)
    off = np.median(np.nan_to_num(apart, nan=np.inf), axis=1) > AGREE * size[:, 1]
    if not off.any():
        return []
    return [f"keypoints_cam do not project onto keypoints_img for {off.sum()} of {len(off)} people: f or c are wrong"]
