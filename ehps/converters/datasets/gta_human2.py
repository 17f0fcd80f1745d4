"""GTA-Human II: scenes of a computer game, SMPL-X fitted to the game's 3D and 2D points.

One file a person and scene. Fits are neutral and in the camera frame already; hands are 24 PCA coefficients of
absolute poses (``flat_hand_mean=True``: no mean is added). The camera is the game's: 1920 x 1080, a vertical field
of view of 50 degrees. People without a valid fit have no SMPL-X members.
Source: Cai et al., "Playing for 3D Human Recovery", TPAMI 2024, and the read-me and viewer of its toolbox.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import numpy as np

from ehps.arrays import Array
from ehps.body.params import smplx_params
from ehps.converters.base import (
    Camera,
    Converter,
    DatasetCard,
    Instances,
    Keypoints,
    Unit,
    concat,
    drop_marked,
    no_instances,
)
from ehps.converters.options import Option
from ehps.converters.readers import OTHER, fields, raw_files
from ehps.converters.readers.fields import FLAG, numbers, optional, texts
from ehps.errors import DataError
from ehps.humandata import boxes
from ehps.humandata.keypoints import part_indices, point_names

CARD = DatasetCard(
    id="gta_human2",
    name="GTA-Human II",
    homepage="https://caizhongang.github.io/projects/GTA-Human/",
    licence="non-commercial research",
    commercial_use=False,
    paper="Cai et al., Playing for 3D Human Recovery, TPAMI 2024",
    annotation="fit to 3D points",
    annotation_note="SMPL-X, pseudo (fitted to game points)",
    body_model="smplx",
    appearance="synthetic",
    scene="indoor and outdoor",
    persons="several",
    splits={"train": 1_802_200},
    uncertain=("train",),
    layout="""
gta-human_v2_release/
  images/seq_00087011/00000000.jpeg
  annotations/seq_00087011/154131.npz        one file per person
or, as its authors trained with it,
  images_multiple/seq_00087011/00000000.jpeg                    (images_single)
  annotations_multiple_smplx/seq_00087011_154131.npz            (annotations_single_smplx)
""",
    needs=(
        "images/seq_* | images_multiple/seq_* | images_single/seq_*",
        "annotations/seq_* | annotations_multiple_smplx/seq_* | annotations_single_smplx/seq_*",
    ),
    get=(
        "OpenXDLab/GTA-Human or the Hugging Face dataset caizhongang/GTA-Human; unpack "
        "images_part_1..5.7z and annotations.7z"
    ),
    options=(
        Option(
            "occluded",
            "drop: leave out people of whose points half or more are hidden, as SMPLer-X's file does",
            "keep",
            choices=("keep", "drop"),
        ),
    ),
    reprojection="fitted",
    notes=(
        "Jaw, eyes and expression were not fitted: they are zeros, and meta/face_valid is false.",
        "Points hidden by something keep their confidence; meta/occluded_share is their share, and hand and face boxes "
        "of which half the points are hidden have confidence 0.",
        "Boxes are the dataset's own, cut to the image and not enlarged.",
        "The game's own 3D points are left out: their frame and unit are not documented.",
        "The fits are of the neutral model; meta/is_male is the game's character.",
        "The published count is of SMPLer-X's training set, whose sequences are in part not in the public release.",
    ),
)
HEIGHT, WIDTH = 1080, 1920
HANDS, BODY = 24, 63
HIDDEN = 0.5  # share of a person's, or of a part's, points from which on SMPLer-X's file has none
NAMES = point_names("gta")
PARTS = {
    "left_hand": part_indices(NAMES, "left_hand"),
    "right_hand": part_indices(NAMES, "right_hand"),
    "head": np.flatnonzero([n.startswith("gta_FB_") or n in ("head", "nose", "left_eye", "right_eye") for n in NAMES]),
}
FIT = {
    "global_orient": numbers("N", 3),
    "body_pose": numbers("N", "pose"),
    "betas": numbers("N", 10),
    "transl": numbers("N", 3),
    "left_hand_pose": numbers("N", HANDS),
    "right_hand_pose": numbers("N", HANDS),
}
SEEN = {
    "keypoints_2d": numbers("N", len(NAMES), 3),
    "occ": numbers("N", len(NAMES)),
    "self_occ": numbers("N", len(NAMES)),
    "bbox_xywh": numbers("N", 4),
    "is_valid_smplx": FLAG,
    "fov": numbers(),
}
STATED = optional({"weather": texts(), "location_tag": texts(), "ped_action": texts(), "is_male": FLAG})
FACTS = {"weather": "weather", "location": "location_tag", "action": "ped_action"}


class GTAHuman2(Converter):
    card = CARD

    def units(self) -> list[Unit]:
        units = []
        for folder, files in groupby(sorted((self.root / "annotations").glob("seq_*/*.npz")), lambda p: p.parent):
            people = [(path, path.stem) for path in files]
            units.append(Unit(folder.name, folder, (f"images/{folder.name}", people)))
        for part in ("multiple", "single"):
            for path in sorted((self.root / f"annotations_{part}_smplx").glob("seq_*_*.npz")):
                sequence, _, person = path.stem.rpartition("_")
                units.append(Unit(f"{part}/{path.stem}", path, (f"images_{part}/{sequence}", [(path, person)])))
        return units

    def read(self, unit: Unit) -> Instances:
        images, people = unit.data
        seen_only = self.option("occluded") == "drop"
        parts = [_person(path, person, images, seen_only) for path, person in people]
        notes = [note for part in parts for note in part.notes]
        filled = [part for part in parts if len(part)]
        if lacking := sum("is_male" not in part.meta for part in filled):
            for part in filled:
                part.meta.pop("is_male", None)
            notes.append(f"{lacking} of {len(filled)} people of {unit.name} lack is_male: meta/is_male is left out")
        return replace(concat(parts), notes=notes)


def _person(path: Path, person: str, images: str, seen_only: bool) -> Instances:
    """All frames of one person of a scene, or those in which most points are seen; none without a valid fit."""
    stored = raw_files.load_npz(path)
    lengths: dict[str, int] = {}
    data = fields.values(stored, SEEN | STATED, path, lengths=lengths)
    n = len(data["keypoints_2d"])
    frames = [f"{images}/{k:08d}.jpeg" for k in range(n)]
    reason = "no valid SMPL-X"
    if data["is_valid_smplx"].item():
        data |= fields.values(stored, FIT, path, lengths=lengths)
        if data["body_pose"].shape[1] not in (BODY, 69):
            what = f"body_pose has {data['body_pose'].shape[1]} numbers a frame, expected {BODY}"
            raise DataError(what, path=path, fix=OTHER)
        reason = "" if all(np.isfinite(data[key]).all() for key in FIT) else "person whose fit is not finite"
    if reason:
        return no_instances({reason: [f"{frame} person {person}" for frame in frames]} if n else None)
    number, dropped = np.arange(n), dict[str, list[str]]()
    if seen_only:
        number, dropped = _most_seen(data, n, [f"{frame} person {person}" for frame in frames])
        frames, n = [frames[k] for k in number], len(number)
        data |= {key: data[key][number] for key, field in (FIT | SEEN).items() if "N" in field.shape}
    if not n:
        return no_instances(dropped)
    points = np.asarray(data["keypoints_2d"], float).reshape(n, len(NAMES), 3)
    hidden, own = (np.asarray(data[key]).reshape(n, -1) > 0 for key in ("occ", "self_occ"))
    held = {name: _part_box(points[:, part], (hidden | own)[:, part]) for name, part in PARTS.items()}
    pose = data["body_pose"].reshape(n, -1)
    focal = HEIGHT / 2 / np.tan(np.radians(float(data["fov"].item())) / 2)
    sequence = images.rpartition("/")[2]
    facts = {name: [str(data[key]) if key in data else ""] * n for name, key in FACTS.items()}
    return Instances(
        image_path=frames,
        size=np.tile([HEIGHT, WIDTH], (n, 1)),
        camera=Camera(np.full((n, 2), focal), np.tile([WIDTH / 2, HEIGHT / 2], (n, 1))),
        body=smplx_params(
            gender="neutral",
            betas=data["betas"].reshape(n, -1),
            global_orient=data["global_orient"],
            body_pose=pose[:, :BODY],
            transl=data["transl"],
            left_hand_pose=data["left_hand_pose"],
            right_hand_pose=data["right_hand_pose"],
            flat_hand_mean=True,
        ),
        keypoints2d=Keypoints(points, "gta"),
        bbox=np.asarray(data["bbox_xywh"], float).reshape(n, 4),
        bbox_padded=True,
        meta={
            "sequence_name": [sequence] * n,
            "frame_id": number,
            "track_id": [f"{sequence}_{person}"] * n,
            "face_valid": np.zeros(n, bool),
            "occluded_share": hidden.mean(axis=1),
            **facts,
        }
        | ({"is_male": np.full(n, bool(data["is_male"].item()))} if "is_male" in data else {}),
        misc={"smplx_source": "smplifyx", "image_shape": [HEIGHT, WIDTH]},
        notes=[f"body poses of {pose.shape[1]} numbers: the first {BODY} are taken"] if pose.shape[1] > BODY else [],
        lhand_bbox=held["left_hand"],
        rhand_bbox=held["right_hand"],
        face_bbox=held["head"],
        dropped=dropped,
    )


def _most_seen(data: Mapping[str, Array], n: int, names: Sequence[str]) -> tuple[Array, dict[str, list[str]]]:
    """Numbers of the frames in which less than half of a person's points are hidden, and what is dropped."""
    dropped: dict[str, list[str]] = {}
    hidden = (np.asarray(data["occ"]).reshape(n, -1) > 0).mean(axis=1) >= HIDDEN
    return np.flatnonzero(drop_marked(dropped, names, {"half or more of the points hidden": hidden})), dropped


def _part_box(points: Array, hidden: Array) -> Array:
    """(N, 5) around all points of a part; confidence 0 where half of them or more are hidden."""
    box = boxes.from_keypoints(points, (HEIGHT, WIDTH), boxes.PART_SCALE)
    box[hidden.mean(axis=1) >= HIDDEN] = 0
    return box
