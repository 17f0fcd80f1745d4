"""InstaVariety: 224 x 224 crops of Instagram videos with OpenPose points and NeuralAnnot SMPL fits.

``insta_train_db.pt`` is a joblib dump with one entry a crop; the fits, several GB of json, are keyed by its
``ann_id``. Both are read in chunks of rows. VIBE's ``insta_train_db.h5`` (points only) does where the dump is absent.
Points 0 and 5 of the convention are heels, not ankles.
Source: Kanazawa et al., CVPR 2019; Moon et al., CVPRW 2022 (fits); the loaders of NeuralAnnot, VIBE and MAED.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ehps.arrays import Array
from ehps.converters import ranges
from ehps.converters.base import Converter, DatasetCard, Instances, Keypoints, Unit, drop, no_instances
from ehps.converters.readers import AGAIN, OTHER, fields, neural_annot, opened, raw_files
from ehps.converters.readers.fields import Field, integers, numbers
from ehps.errors import DataError
from ehps.foreign_files import unreadable
from ehps.humandata import boxes, hdf5_files

DUMP = "annotations/insta_train_db.pt"
FITS = "annotations/InstaVariety_train_SMPL_NeuralAnnot.json"
VIBE = "insta_train_db.h5"
CARD = DatasetCard(
    id="insta_variety",
    name="InstaVariety",
    homepage="https://github.com/akanazawa/human_dynamics/blob/master/doc/insta_variety.md",
    licence="not stated; videos keep their owners' rights",
    paper="Kanazawa et al., Learning 3D Human Dynamics from Video, CVPR 2019",
    annotation="network",
    annotation_note="SMPL, pseudo (NeuralAnnot); detected 2D points",
    body_source="NeuralAnnot",
    body_model="smpl",
    appearance="real",
    scene="in the wild",
    persons="one",
    splits={"train": 2_184_800},
    layout="""
InstaVariety/
  images/<file name>                     224 x 224 crops
  annotations/insta_train_db.pt          NeuralAnnot's joblib dump (ann_id, file_name, img_shape, bbox)
  annotations/InstaVariety_train_SMPL_NeuralAnnot.json
or, points only:
  insta_train_db.h5                      VIBE's
  images/train/<shard>.tfrecord/<track>/<frame>.jpg     as MAED's script takes them out of the tfrecords
""",
    needs=("images", f"{DUMP} | {VIBE}"),
    get="crops, dump and fits from github.com/mks0601/NeuralAnnot_RELEASE (linked there until 2024); "
    "insta_train_db.h5 as github.com/mkocabas/VIBE says",
    variants={
        "test/insta_variety_*.tfrecord": "the tfrecords, which are not read; take the crops out of them into images/, "
        "and insta_train_db.h5 for their points",
        "InstaVariety_tracks": "OpenPose tracks of the whole videos; the 224 x 224 crops and their insta_train_db are "
        "needed",
    },
    options=(neural_annot.option("none: keypoints and boxes only"),),
    reprojection="fitted",
    notes=(
        "Fits and cameras are those of the crop: the camera of the video is not known.",
        "Boxes are the dataset's own, without a further margin.",
        "The tfrecords themselves are not read.",
    ),
)
SIZE = (224, 224)
COLUMNS = {
    "ann_id": integers("N"),
    "file_name": Field("path", ("N",)),
    "img_shape": integers("N", 2, optional=True),
    "bbox": numbers("N", 4, optional=True),
    "joints2D": numbers("N", 25, 3, optional=True),
}
VIBE_COLUMNS = {
    "vid_name": Field("path", ("N",)),
    "frame_id": integers("N"),
    "joints2D": numbers("N", 25, 3),
}
ROWS = 10_000
TRACK = re.compile(r"(?P<track>.+)/(?P<frame>\d+)\.\w+")


class InstaVariety(Converter):
    card = CARD

    def units(self) -> list[Unit]:
        path = raw_files.first_existing(self.root, (DUMP, VIBE))
        count = len(database(path)["ann_id"]) if path.suffix == ".pt" else _length(path)
        starts = range(0, count, ROWS)
        return [Unit(f"rows {start}", path, (start, min(start + ROWS, count))) for start in starts]

    def read(self, unit: Unit) -> Instances:
        return self._vibe(unit) if unit.path.name == VIBE else self._neural_annot(unit)

    def _neural_annot(self, unit: Unit) -> Instances:
        stored = {key: value[slice(*unit.data[:2])] for key, value in database(unit.path).items()}
        part = fields.values(stored, COLUMNS, unit.path)
        fits, notes = neural_annot.chosen(self.root, (FITS,), self.option("fits"))
        ids = part["ann_id"].astype(np.int64)
        dropped: dict[str, list[str]] = {}
        if isinstance(fits, raw_files.KeyedJson):
            fitted = fits.has(ids)
            drop(dropped, "no SMPL fit", map(str, ids[~fitted].tolist()))
            part, ids = {key: value[fitted] for key, value in part.items()}, ids[fitted]
            kept, records = neural_annot.usable(
                np.arange(len(ids)).tolist(), fits.take(ids.tolist()), fits.path, dropped, "no SMPL fit"
            )
            part, ids = {key: value[kept] for key, value in part.items()}, ids[kept]
        if not len(ids):
            return no_instances(dropped)
        names = [name.removeprefix("images/") for name in part["file_name"].tolist()]
        rows = Instances(
            image_path=[f"images/{name}" for name in names],
            size=part["img_shape"].astype(int) if "img_shape" in part else np.tile(SIZE, (len(ids), 1)),
            meta={"annotation_id": ids, **tracks(names)},
            misc={"image_shape": list(SIZE)},
            dropped=dropped,
            notes=notes,
        )
        _points_and_boxes(rows, part)
        if isinstance(fits, raw_files.KeyedJson):
            neural_annot.add_fits(rows, records, neural_annot.SMPL)
            rows.misc |= {"smpl_source": "neural_annot", "cam_param_type": "perspective"}
        return rows

    def _vibe(self, unit: Unit) -> Instances:
        opened.note(unit.path)
        with hdf5_files.opened(unit.path) as file:
            stored = {key: file[key][slice(*unit.data[:2])] for key in VIBE_COLUMNS if key in file}
        part = fields.values(stored, VIBE_COLUMNS, unit.path)
        videos = ["/".join(name.rpartition("-")[::2]) for name in part["vid_name"].tolist()]
        names = [
            f"{video.removeprefix('data/insta_variety/')}/{frame}.jpg"
            for video, frame in zip(videos, part["frame_id"].tolist(), strict=True)
        ]
        rows = Instances([f"images/{name}" for name in names], np.tile(SIZE, (len(names), 1)), meta=tracks(names))
        rows.misc = {"image_shape": list(SIZE)}
        rows.notes = [f"{VIBE} has no fits: keypoints and boxes only"]
        _points_and_boxes(rows, part)
        return rows


def _points_and_boxes(rows: Instances, part: Mapping[str, Array]) -> None:
    """Points where there are some; the dataset's boxes, or boxes of the visible points where there are none."""
    if "joints2D" in part:
        points = part["joints2D"].astype(float)
        points[..., 2] = ranges.labelled(points[..., 2])
        points[points[..., 2] == 0] = 0
        rows.keypoints2d = Keypoints(points, "instavariety")
        rows.bbox, rows.bbox_padded = boxes.from_keypoints(points, SIZE, boxes.BODY_SCALE), True
        rows.misc |= {"bbox_source": "keypoints2d_original", "bbox_body_scale": boxes.BODY_SCALE}
    if "bbox" in part:
        rows.bbox, rows.bbox_padded = part["bbox"].astype(float), True
        rows.misc |= {"bbox_source": "provided_by_dataset", "bbox_body_scale": 1.0}


def tracks(names: Sequence[str]) -> dict[str, Any]:
    """Track and frame of each crop, where its name is ``<track>/<frame>.jpg``."""
    found = [TRACK.fullmatch(name) for name in names]
    return {
        "sequence_name": [m["track"] if m else name for m, name in zip(found, names, strict=True)],
        "frame_id": np.array([int(m["frame"]) if m else -1 for m in found], np.int64),
    }


def database(path: Path) -> dict[str, Array]:
    """Columns of the dump.

    Raises
    ------
    DataError : it is another dump of that name (VIBE, TCMR and MAED have some), or its columns differ in length.
    """
    return _database(path)


@opened.remembered(1)
def _database(path: Path) -> dict[str, Array]:
    content = raw_files.load_joblib(path)
    if not isinstance(content, dict) or not {"ann_id", "file_name"} <= content.keys():
        raise DataError(
            "is not NeuralAnnot's insta_train_db.pt: it has no ann_id and file_name",
            path=path,
            fix="take the file that belongs to the fits; those of VIBE, TCMR and MAED have the same name",
        )
    columns = {key: content[key] for key in ("ann_id", "file_name", "img_shape", "bbox", "joints2D") if key in content}
    for name, column in columns.items():
        if not isinstance(column, np.ndarray | list) or np.ndim(column) == 0:
            raise DataError(f"{name} is {fields.described(column)}, expected a column", path=path, fix=OTHER)
    if len({len(value) for value in columns.values()}) > 1:
        lengths = ", ".join(f"{name} {len(value)}" for name, value in columns.items())
        raise DataError(f"has columns of different lengths: {lengths}", path=path, fix=OTHER)
    return columns


def _length(path: Path) -> int:
    try:
        with hdf5_files.opened(path) as file:
            if "joints2D" in file and file["joints2D"].shape:
                return len(file["joints2D"])
    except OSError:
        raise unreadable(path, "VIBE's file", AGAIN, OTHER, ["an HDF5 file"]) from None
    raise DataError("is not VIBE's file: it has no joints2D", path=path, fix=OTHER)
