"""SAM 3D Body labels: people of eight other datasets with 70 points, boxes, cameras, masks and MHR fits of Meta.

Labels are Parquet, a row a person, or the tars that Meta's script makes of them; images are those of the other
datasets, below ``images/<dataset>/``. Bodies are Momentum Human Rig, which is kept as it is (``mhr/*``).
Source: Yang et al., "SAM 3D Body", arXiv 2602.15989; data/ of the paper's repository.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from ehps.atomic import replacing
from ehps.converters.base import Camera, Converter, DatasetCard, Instances, Keypoints, Unit, drop_marked, no_instances
from ehps.converters.datasets import sam3d_body_files, sam3d_body_places, sam3d_body_tars
from ehps.converters.datasets.sam3d_body_files import Labels
from ehps.converters.datasets.sam3d_body_places import IN_CAMERA
from ehps.converters.readers import listings, raw_files
from ehps.converters.readers.images import is_image_folder
from ehps.errors import DataError

SOURCES = {
    "coco": "COCO 2014",
    "aic": "AI Challenger",
    "mpii": "MPII",
    "sa1b": "SA-1B",
    "3dpw": "3DPW",
    "egoexo4d": "Ego-Exo4D",
    "egohumans": "EgoHumans",
    "harmony4d": "Harmony4D",
}
SPLITS = [f"{source}_{part}" for part in ("train", "val", "test") for source in SOURCES]
UNDISTORTED = ("egohumans", "harmony4d")
CARD = DatasetCard(
    id="sam3d_body",
    config="sam3d_body_coco",  # of the default split; others have that of their dataset
    name="SAM 3D Body",
    homepage="https://huggingface.co/datasets/facebook/sam-3d-body-dataset",
    licence="labels SAM License, which converted files must carry; images under the terms of their datasets",
    redistribution=True,
    paper="Yang et al., SAM 3D Body: Robust Full-Body Human Mesh Recovery, arXiv 2602.15989",
    annotation="fit to 2D points",
    annotation_note="MHR, pseudo (Meta's pipeline), kept as it is; 70 2D and 3D points",
    body_model=None,
    appearance="real",
    scene="in the wild",
    scene_note="COCO; of other splits that of their dataset",
    persons="several",
    splits=dict.fromkeys(SPLITS),
    layout="""
sam3d_body/
  <split>/000000.parquet, 000001.parquet, ...     (or data/<split>/); <split>: coco_train, harmony4d_test, ...
  <split>/000000.tar, ...                         instead of the Parquet files: what create_webdataset.py makes of them
  images/coco/train2014/COCO_train2014_000000000009.jpg
  images/aic/train/images/<name>.jpg
  images/mpii/images/<name>.jpg
  images/sa1b/sa_<number>.jpg
  images/3dpw/imageFiles/<sequence>/image_00000.jpg               (or images/3dpw/<sequence>/)
  images/egoexo4d/<take>/<...>.jpg                                the sam_3d_body part
  images/egohumans/<sequence>/<part>/<camera>/<frame>.jpg         undistorted
  images/harmony4d/<train or test>/<activity>/<part>/<camera>/<frame>.jpg     undistorted
""",
    split_needs={
        split: (
            f"{split}/*.parquet | data/{split}/*.parquet | {split}/*.tar | data/{split}/*.tar",
            f"images/{split.partition('_')[0]} | {split}/*.tar | data/{split}/*.tar",
        )
        for split in SPLITS
    },
    get="ask for access on the homepage; labels with data/scripts/download.py of "
    "github.com/facebookresearch/sam-3d-body into a folder a split; images from the eight datasets (COCO: 2014), or "
    "links to copies that are there; those of EgoHumans and Harmony4D undistorted by undistort_images.py beside it, "
    "those of Ego-Exo4D with `egoexo --parts sam_3d_body`",
    variants={
        "assets/mhr_model.pt": "a checkpoint of the model SAM 3D Body; the labels are the dataset repository on the "
        "homepage"
    },
    notes=(
        "Splits are named <dataset>_<train, val or test>; Meta's code and read-mes name coco_train, aic_train, "
        "mpii_train, sa1b_train, 3dpw_train, harmony4d_train and harmony4d_test. How many rows they have is not "
        "published: what a conversion counts is printed.",
        "Labels of EgoHumans and Harmony4D are for images undistorted by Meta's script (OpenCV fisheye, balance 0.8, "
        "same size): on the raw images everything is off by tens of pixels, and nothing can tell.",
        "Of Ego-Exo4D only the sam_3d_body part has the images of the labels.",
        "Images of 3dpw and harmony4d are those of other benchmarks: a model that was trained on 3dpw_train or "
        "harmony4d_train is in-domain on the tests of 3DPW and Harmony4D, and a ranking must say so.",
        "Images of 3DPW, COCO and MPII are also those of `pw3d`, `mscoco` and `mpii`, with other labels: they are "
        "found again by the name of the image, not by the number of the row.",
        "mhr/model_params and mhr/shape_params are as they were released; `ehps humandata convert FILE --to smplx` "
        "fits SMPL-X to them. Rows whose fit may not be used (meta/mhr_valid false) keep their 2D points; their 3D "
        "points have no confidence.",
        "Masks stay in the label files: meta/label_file and meta/annotation_index (from 1) say where, meta/mask_bbox "
        "is the box of the mask (x, y, w, h; NaN where there is none).",
        "In which frame the 3D points are is not documented: it is found by their distance to the 2D points on the "
        "first people; misc/keypoints3d_place says the reading, and the quality what distance is left.",
        "2D points are those of whole bodies and may lie outside the image; those at (0, 0) count as not labelled.",
        "Parquet is read where a split has both; of the tars, --frames DIR takes the images out. In names of images "
        "there a sign - stands for a folder: one that was in the name of an Ego-Exo4D image is taken for such.",
    ),
)
ROWS = 4096
TRIED = 512  # rows by whose people with a fit the frame of the 3D points is found
NUMBERED = re.compile(r"\d{6}")
ABSENT, RENAMED = "label file not there", "label file not called as 000000"
COUNTED = ("rows in the label files", "images in them (subject_idx 0)", "rows whose MHR fit may be used (mhr_valid)")


@dataclass(frozen=True)
class Part:
    """What a unit is of its file.

    Attributes
    ----------
    start : first row.
    stop : row behind the last one; None for all that there are.
    reading : of the 3D points, one of :data:`sam3d_body_places.READINGS`.
    said : why it is that one.
    """

    start: int
    stop: int | None
    reading: str
    said: str


class SAM3DBody(Converter):
    card = CARD

    def units(self) -> list[Unit]:
        files, left_out = self._files()
        reading, said = self._reading(files)
        units = [
            Unit(name, path, Part(start, stop, reading, said))
            for path in files
            for name, start, stop in _parts(path, path.relative_to(self.root).as_posix(), ROWS)
        ]
        return units + [Unit(path.relative_to(self.root).as_posix(), path, why) for path, why in left_out.items()]

    def read(self, unit: Unit) -> Instances:
        if isinstance(unit.data, str):
            return no_instances(left_out=unit.data, absent=unit.data == ABSENT)
        dropped: dict[str, list[str]] = {}
        labels = _labels(unit.path, unit.data.start, unit.data.stop, dropped)
        images = self._images(labels)
        name = unit.path.relative_to(self.root).as_posix()
        unknown = np.array([not image for image in images], bool)
        unusable = {"dataset or image name of no known form": unknown, "bbox_score 0": ~(labels.bbox[:, 4] > 0)}
        keep = drop_marked(dropped, [f"{name} row {row}" for row in labels.row], unusable)
        counts = dict(zip(COUNTED, labels.counted, strict=True))
        labels, images = labels[keep], [image for image, kept in zip(images, keep, strict=True) if kept]
        if not len(labels):
            return replace(no_instances(dropped), counts=counts)
        sources = sorted(set(labels.dataset))
        focal, centre = sam3d_body_places.camera_of(labels)
        return Instances(
            image_path=images,
            size=labels.size,
            camera=Camera(focal, centre),
            keypoints2d=Keypoints(labels.points2d, "mhr70"),
            keypoints3d=Keypoints(sam3d_body_places.placed(labels, unit.data.reading), "mhr70"),
            bbox=labels.bbox,
            columns={
                f"mhr/{key}": value
                for key in ("model_params", "shape_params", "expr_params")
                if (value := getattr(labels, key)) is not None
            },
            meta={
                "dataset": labels.dataset.tolist(),
                "person_id": labels.person_id,
                "subject_idx": labels.subject_idx,
                "mhr_valid": labels.valid,
                "mhr_version": labels.version.tolist(),
                "loss": labels.loss,
                "mask_bbox": labels.mask_box,
                "label_file": [name] * len(labels),
                "annotation_index": (labels.row + 1).astype(np.int32),
            },
            unknown=("loss", "mask_bbox"),
            meta_in_pixels=("mask_bbox",),
            misc={
                "config": f"sam3d_body_{self.split.rpartition('_')[0]}",
                "bbox_source": "provided_by_dataset",
                "keypoints3d_place": unit.data.reading,
                "mhr_source": "original",
            },
            dropped=dropped,
            notes=[unit.data.said, *labels.notes, *self._warnings(sources, images)],
            counts=counts,
            points_beyond_image=True,
        )

    @property
    def extract_frames(self) -> Callable[[Unit, Sequence[str], Path], None]:
        """Takes the images that are named out of a tar.

        Raises
        ------
        AttributeError : labels are Parquet, so that images are files.
        """
        if any(name.endswith(".parquet") for folder in self._folders for name in listings.files_in(folder)):
            raise AttributeError("extract_frames")
        return self._extract

    def _extract(self, unit: Unit, image_paths: Sequence[str], folder: Path) -> None:
        wanted = set(image_paths)
        for source, image, content in sam3d_body_tars.images_of(unit.path):
            path = self._image(source, image)
            if path in wanted:
                with replacing(folder / path, len(content), lasting=False) as temporary:
                    temporary.write_bytes(content)

    @property
    def _folders(self) -> tuple[Path, Path]:
        return self.root / self.split, self.root / "data" / self.split

    def _files(self) -> tuple[list[Path], dict[Path, str]]:
        """The split's Parquet files, or its tars where there are none; and why which are left out.

        Numbers that are skipped are of files that have not been downloaded. Beside numbered files others, as copies
        that a browser has renamed, would give their people twice.

        Raises
        ------
        DataError : there are neither.
        """
        for suffix in (".parquet", ".tar"):
            for folder in self._folders:
                if not (names := [name for name in raw_files.listing(folder) if name.endswith(suffix)]):
                    continue
                numbered = [name for name in names if NUMBERED.fullmatch(name.removesuffix(suffix))]
                if not numbered:
                    return [folder / name for name in names], {}
                run = [f"{k:06d}{suffix}" for k in range(int(numbered[-1].removesuffix(suffix)))]
                left_out = {name: ABSENT for name in run if name not in numbered}
                left_out |= {name: RENAMED for name in names if name not in numbered}
                return [folder / name for name in numbered], {folder / name: why for name, why in left_out.items()}
        raise DataError(f"has no label files of {self.split}", path=self.root, fix=CARD.get)

    def _reading(self, files: Sequence[Path]) -> tuple[str, str]:
        """In which frame 3D points are, and why: what the first people with a fit say.

        Raises
        ------
        DataError : they say none.
        """
        for path in files:
            for _, start, stop in _parts(path, "", TRIED):
                try:
                    labels = _labels(path, start, stop, {})
                except DataError:
                    break  # said when the unit is read
                known = labels.valid & (labels.points2d[..., 2] > 0).any(axis=1)
                if known.any():
                    return sam3d_body_places.reading_of(labels[np.flatnonzero(known)], path)
        return IN_CAMERA, "nobody has a fit that may be used, so that there are no 3D points"

    def _images(self, labels: Labels) -> list[str]:
        """Paths of the images below the root; none where the dataset's layout is not known."""
        keys = list(zip(labels.dataset.tolist(), labels.image.tolist(), strict=True))
        known = {key: self._image(*key) for key in dict.fromkeys(keys)}
        return [known[key] for key in keys]

    def _warnings(self, sources: Sequence[str], images: Sequence[str]) -> list[str]:
        """What to say of images that must have been undistorted."""
        said = []
        for source in (source for source in sources if source in UNDISTORTED):
            said.append(
                f"labels of {SOURCES[source]} are for its undistorted images: with the raw ones everything is off"
            )
            first = next(image for image in images if image.startswith(f"images/{source}/"))
            raw = Path(first).parent.parent / "exo"
            if is_image_folder(self.root, raw.as_posix()):
                said.append(
                    f"{raw} is of the raw recording: undistort_images.py has not been run, or is not what is here"
                )
        return said

    def _image(self, source: str, name: str) -> str:
        folder = {"aic": "train/images/", "mpii": "images/"}.get(source, "")
        parts = name.replace("\\", "/").split("/")
        if source not in SOURCES or ".." in parts:
            return ""
        if source == "coco":
            words = name.split("_")
            folder = f"{words[1]}/" if len(words) == 3 else ""
        if source == "3dpw" and is_image_folder(self.root, "images/3dpw/imageFiles"):
            folder = "imageFiles/"
        return f"images/{source}/{folder}{name}"


def _labels(path: Path, start: int, stop: int | None, dropped: dict[str, list[str]]) -> Labels:
    if path.suffix == ".tar":
        return sam3d_body_tars.read_tar(path, dropped)
    return sam3d_body_files.read_parquet(path, start, stop, dropped)


def _parts(path: Path, name: str, rows: int) -> list[tuple[str, int, int | None]]:
    """Name, first row and end of parts of a file of about so many rows: images are not divided. A tar is one, and so is
    a file that cannot be read, as is said when it is."""
    if path.suffix == ".tar":
        return [(name, 0, None)]
    try:
        count, starts = sam3d_body_files.image_starts(path)
    except DataError:
        return [(name, 0, None)]
    cuts = np.searchsorted(starts, np.arange(rows, count, rows), side="right") - 1
    bounds = [0, *(cut for cut in np.unique(starts[cuts[cuts >= 0]]).tolist() if cut), count]
    if len(bounds) == 2:
        return [(name, 0, count)]
    return [(f"{name} {a}", a, b) for a, b in pairwise(bounds)]
