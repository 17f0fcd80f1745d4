"""Preprocessed labels of BEDLAM and BEDLAM2.0: one npz a scene, a row a person and frame, already in the camera frame.

Every person has an offset of its own: x = SMPLX(pose_cam, shape, transl=trans_cam) + cam_ext[:3, 3]. Labels of portrait
scenes are for the image turned 90 degrees clockwise; rows here are for the image as it is stored, so their people lie
on the side.
Source: the official processing scripts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ehps.arrays import Array, Mask
from ehps.body.params import smplx_params, smplx_pose
from ehps.converters.base import Camera, Instances, Keypoints, Rigid, drop_marked
from ehps.converters.datasets.bedlam_scenes import HEIGHT, WIDTH
from ehps.converters.readers import fields, raw_files
from ehps.converters.readers.fields import Field, numbers, texts
from ehps.genders import BY_WORD

LABELLED = {
    "imgname": Field("path", ("N",)),
    "pose_cam": numbers("N", 165),
    "trans_cam": numbers("N", 3),
    "cam_ext": numbers("N", 4, 4),
    "cam_int": numbers("N", 3, 3),
    "shape": numbers("N", "betas"),
    "gtkps": numbers("N", "joints", 3),
    "gender": texts("N", words=BY_WORD),
}
JOINTS = 127
FRAME = re.compile(r"_(\d+)\.\w+$")
# Portrait camera frame (image turned clockwise) -> the stored image's camera frame.
UPRIGHT_TO_STORED = np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]])

Labels = dict[str, Array]


def read_labels(path: Path, rows: tuple[int, int] | None = None) -> Labels:
    """The columns of a label file, checked; none where it has nobody.

    Parameters
    ----------
    rows : the first, and the one after the last; all by default.

    Raises
    ------
    DataError : one is absent or of another form.
    """
    columns = raw_files.load_npz(path, list(LABELLED), rows)
    if not any(np.size(column) for column in columns.values()):
        return {}
    return fields.values(columns, LABELLED, path)


def usable(labels: Labels, scene: str, dropped: dict[str, list[str]]) -> Labels:
    """The rows before the camera whose image has a number; the others are counted."""
    names = labels["imgname"].tolist()
    reasons = {
        "behind the camera": translation(labels)[:, 2] <= 0,
        "imgname without the number of its frame": np.array([not FRAME.search(name) for name in names], bool),
    }
    return taken(labels, drop_marked(dropped, named(labels, scene), reasons))


def taken(labels: Labels, keep: Mask) -> Labels:
    """The rows of a mask."""
    return {name: column[keep] for name, column in labels.items()}


def named(labels: Labels, scene: str) -> list[str]:
    """What rows are called in reports."""
    return [f"{scene}/{name}" for name in labels["imgname"].tolist()]


def frames(labels: Labels) -> Array:
    """(N,) numbers in the names of the images, all of which have one."""
    return np.array([int(match[1]) for name in labels["imgname"].tolist() if (match := FRAME.search(name))], int)


def translation(labels: Labels) -> Array:
    """(N, 3) ``transl`` in the camera frame, metres."""
    return np.asarray(labels["trans_cam"] + labels["cam_ext"][:, :3, 3])


def upright(labels: Labels) -> Mask:
    """(N,) rows labelled for the turned image, whose principal point is that of an image higher than wide."""
    return np.asarray(labels["cam_int"][:, 0, 2] < labels["cam_int"][:, 1, 2])


def labelled_rows(
    labels: Labels, scene: str, folder: str, joints: slice, meta: Mapping[str, Sequence[Any] | Array], **params: Any
) -> Instances:
    """Rows of usable labels, for the images as they are stored.

    Parameters
    ----------
    scene : name, for the sequences.
    folder : of the scene's images, below the root.
    joints : which of ``gtkps`` are the 127 joints of SMPL-X.
    meta : further facts of each row.
    params : betas and what else :func:`ehps.body.params.smplx_params` is to know.
    """
    matrix, turned_rows = labels["cam_int"], upright(labels)
    points = labels["gtkps"][:, joints].astype(float)
    points[..., 2] = 1  # a homogeneous coordinate, not a visibility
    points[turned_rows, :, :2] = as_stored(points[turned_rows, :, :2])
    focal, centre = matrix[:, [0, 1], [0, 1]].astype(float), matrix[:, :2, 2].astype(float)
    focal[turned_rows], centre[turned_rows] = focal[turned_rows, ::-1], as_stored(centre[turned_rows])
    names = labels["imgname"].tolist()
    sequences = [raw_files.basename(name).rsplit(".", 1)[0].rsplit("_", 1)[0] for name in names]
    return Instances(
        image_path=[f"{folder}/{name}" for name in names],
        size=(HEIGHT, WIDTH),
        camera=Camera(focal, centre),
        body=smplx_params(
            transl=translation(labels),
            flat_hand_mean=True,
            **smplx_pose(labels["pose_cam"].reshape(-1, 55, 3)),
            **params,
        ),
        world_to_camera=turned(turned_rows) if turned_rows.any() else None,
        keypoints2d=Keypoints(points, "smplx_127"),
        meta={
            "sequence_name": [f"{scene}/{sequence}" for sequence in sequences],
            "frame_id": frames(labels),
            **meta,
        },
        misc={"smplx_source": "original"},
    )


def as_stored(pixels: Array) -> Array:
    """Pixels (..., 2) of the turned image, u and v, in the stored one: v and 720 - u."""
    return np.stack([pixels[..., 1], HEIGHT - pixels[..., 0]], axis=-1)


def turned(rows: Mask) -> Rigid:
    """From the turned image's camera to the stored one's for rows of a mask, identity for the others."""
    rotation = np.where(rows[:, None, None], UPRIGHT_TO_STORED, np.eye(3))
    return Rigid(rotation, np.zeros((len(rows), 3)))
