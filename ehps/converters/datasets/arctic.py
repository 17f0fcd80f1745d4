"""ARCTIC: two hands with articulated objects in a motion-capture room, SMPL-X from markers on scanned templates.

Eight fixed cameras, pinhole, OpenCV axes; world frame in metres, z up. Hand poses are absolute. A subject's shape is
only in the template; betas are fitted to it. Image number n shows the pose n - ioi_offset of the subject; the first
and last ten images may be black and are left out, as the official loader does. One row per sequence (in the order of
the list), camera and image.
Source: Fan et al., "ARCTIC", CVPR 2023, and the dataset's code (documents of the data, loader, splits).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ehps.arrays import Array
from ehps.body import rigid_motion
from ehps.body.params import BodyParams, smplx_params
from ehps.converters import options
from ehps.converters.base import Converter, DatasetCard, Instances, Unit, drop, no_instances
from ehps.converters.readers import OTHER, UNPACK, fields, raw_files
from ehps.converters.readers.fields import Field, integers, numbers, texts
from ehps.converters.readers.images import image_names
from ehps.converters.readers.views import CalibratedView, cameras_of, lens_of
from ehps.errors import DataError
from ehps.genders import BY_WORD

VIEWS = tuple("12345678")
CARD = DatasetCard(
    id="arctic",
    name="ARCTIC",
    homepage="https://arctic.is.tue.mpg.de",
    licence="non-commercial research, after registration; no redistribution",
    commercial_use=False,
    redistribution=False,
    paper="Fan et al., ARCTIC: A Dataset for Dexterous Bimanual Hand-Object Manipulation, CVPR 2023",
    annotation="marker capture",
    annotation_note="SMPL-X, from markers, on a scanned template of each subject",
    body_model="smplx",
    appearance="real",
    scene="indoor",
    persons="one",
    splits={"train": 1_539_100, "val": None, "test": None},
    uncertain=("train",),
    layout="""
ARCTIC/
  meta/misc.json
  meta/subject_vtemplates/s01.obj
  raw_seqs/s01/<sequence>.smplx.npy
  splits_json/protocol_p1.json
  images/s01/<sequence>/<view 1..8>/00010.jpg
""",
    needs=("meta/misc.json", "meta/subject_vtemplates", "raw_seqs", "splits_json/protocol_p1.json", "images"),
    variants={"cropped_images/s??": "cut out and resized images, which the cameras do not fit; images/ is needed"},
    get=(
        "register on the homepage and use the download scripts of github.com/zc-alexfan/arctic; the root is the "
        "folder data/arctic_data/data (or unpack/arctic_data/data); all cameras of one split are some 650 GB"
    ),
    options=(
        options.cameras(VIEWS, "numbers of the views, with commas between them"),
        options.interval(
            "takes every N-th frame; 1 takes all, as SMPLer-X's files have them (its loader takes every 10th row)"
        ),
    ),
    reprojection="none",
    fps=30,
    notes=(
        "Protocol p1; its test split (subject s03) has hidden ground truth and cannot be converted.",
        "Joints and boxes are those of the subject's scanned template; betas are fitted to it, and "
        "meta/template_residual_m is the mean distance of vertices that is left.",
        "The head-mounted camera (view 0, protocol p2) is not converted.",
        "Two images known to be corrupt are left out.",
    ),
)
EDGE = 10  # images at each end that may be black
CORRUPT = ("images/s01/laptop_use_04/7/00737.jpg", "images/s08/mixer_use_02/3/00295.jpg")
VERTICES = 10_475
BODY = {
    "transl": numbers("N", 3),
    "global_orient": numbers("N", 3),
    "body_pose": numbers("N", 63),
    "jaw_pose": numbers("N", 3),
    "leye_pose": numbers("N", 3),
    "reye_pose": numbers("N", 3),
    "left_hand_pose": numbers("N", 45),
    "right_hand_pose": numbers("N", 45),
}
SUBJECT = {
    "gender": texts(words=BY_WORD),
    "image_size": integers(9, 2),
    "intris_mat": numbers(8, 3, 3),
    "world2cam": numbers(8, 4, 4),
    "ioi_offset": integers(),
}
SEQUENCES = dict.fromkeys(("train", "val", "test"), Field("path", ("sequences",)))


class ARCTIC(Converter):
    card = CARD

    def units(self) -> list[Unit]:
        path = self.root / "splits_json/protocol_p1.json"
        content = raw_files.read_json(path)
        lists = {name: fields.values(content, {name: field}, path)[name].tolist() for name, field in SEQUENCES.items()}
        others = {*lists["val"], *lists["test"]} if self.split == "train" else set()
        names = list(dict.fromkeys(name for name in lists[self.split] if name not in others))
        if not names:
            raise DataError(f"lists no sequence of {self.split}", path=path, fix=OTHER)
        units = [Unit(name, self.root / "raw_seqs" / f"{name}.smplx.npy") for name in names]
        if not any(raw_files.is_file(unit.path) for unit in units):
            hidden = "the bodies of this split are hidden" if self.split == "test" else UNPACK
            raise DataError(
                f"has no body of the {len(names)} sequences that {path.name} lists as {self.split}",
                path=self.root / "raw_seqs",
                fix=hidden,
            )
        return units

    def read(self, unit: Unit) -> Instances:
        subject = unit.name.split("/")[0]
        chosen = self.option("cameras")
        listed = {name: image_names(self.root, f"images/{unit.name}/{name}") for name in chosen}
        dropped: dict[str, list[str]] = {}
        if not raw_files.is_file(unit.path):
            drop(dropped, "no SMPL-X parameters", (f"{unit.name}/{v}/{file}" for v in chosen for file in listed[v]))
            return no_instances(dropped, [f"raw_seqs/{unit.name}.smplx.npy is not there"], absent=True)
        gender, offset, views = self._subject(subject)
        body = read_bodies(unit.path, gender)
        count = len(body)
        number = np.arange(EDGE, count - EDGE, self.option("interval"))
        number = number[(number >= offset) & (number - offset < count)]
        for name in chosen:
            folder = f"images/{unit.name}/{name}"
            stems = [file.rpartition(".")[0] for file in listed[name]]
            there = {int(stem) for stem in stems if stem.isdecimal()}
            ends = {n for n in there if not EDGE <= n < count - EDGE}
            unposed = {n for n in there - ends if not 0 <= n - offset < count}
            drop(dropped, f"among the first or last {EDGE} images", (f"{folder}/{n:05d}.jpg" for n in sorted(ends)))
            drop(dropped, "no pose for the image", (f"{folder}/{n:05d}.jpg" for n in sorted(unposed)))
        rows = {f"images/{unit.name}/{name}/{n:05d}.jpg": (int(name), n) for name in chosen for n in number.tolist()}
        drop(dropped, "image is corrupt in the release", [path for path in CORRUPT if rows.pop(path, None)])
        if not rows:
            return no_instances(dropped)
        view, frame = np.array(list(rows.values())).T
        size, camera, move = cameras_of(views, view - 1)
        return Instances(
            image_path=list(rows),
            size=size,
            camera=camera,
            body=body[frame - offset],
            world_to_camera=move,
            v_template=read_template(self.root / "meta/subject_vtemplates" / f"{subject}.obj"),
            meta={
                "sequence_name": [unit.name] * len(view),
                "subject": [subject] * len(view),
                "camera": view,
                "frame_id": frame,
                "track_id": [unit.name] * len(view),
            },
            misc={"smplx_source": "original", "cam_param_source": "original", "fps": 30, "betas_source": "fitted"},
            dropped=dropped,
        )

    def _subject(self, subject: str) -> tuple[str, int, list[CalibratedView]]:
        """Gender, offset of images, and views 1 to 8."""
        path = self.root / "meta/misc.json"
        facts = raw_files.read_json(path)
        raw_files.require(facts, subject, path)
        own = fields.values(facts[subject], SUBJECT, path, subject)
        size = own["image_size"][1:, ::-1]  # the first is the head-mounted one
        lens = lens_of(own["intris_mat"].astype(float), path, f"{subject}: intris_mat")
        move = rigid_motion.split(own["world2cam"].astype(float))
        views = [CalibratedView(*each) for each in zip(VIEWS, size.tolist(), *lens, *move, strict=True)]
        return str(own["gender"]), int(own["ioi_offset"]), views


def read_bodies(path: Path, gender: str) -> BodyParams:
    """(N,) bodies of a sequence in the world, betas 0.

    Raises
    ------
    DataError : the file is broken, lacks a parameter, or has one of another shape.
    """
    content = raw_files.load_npy(path)
    values: dict[str, Any] = dict(fields.values(content.item() if content.size == 1 else content, BODY, path))
    return smplx_params(gender=gender, betas=np.zeros((len(values["transl"]), 10)), flat_hand_mean=True, **values)


def read_template(path: Path) -> Array:
    """(10475, 3) vertices of a subject's ``.obj``, in the order of the file.

    Raises
    ------
    DataError : there is no such file, or it holds other than 10475 points.
    """
    lines = [line for line in raw_files.read_lines(path) if line.startswith("v ")]
    if len(lines) != VERTICES:
        raise DataError(f"has {len(lines)} vertices, SMPL-X has {VERTICES}", path=path, fix=OTHER)
    try:
        vertices = np.loadtxt(lines, usecols=(1, 2, 3))
    except ValueError:
        raise DataError("has a vertex that is not three numbers", path=path, fix=OTHER) from None
    return fields.value(vertices, numbers(VERTICES, 3), path, "the vertices")
