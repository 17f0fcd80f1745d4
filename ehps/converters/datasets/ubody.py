"""UBody: internet videos of upper bodies in 15 kinds of scenes, SMPL-X fitted to detected whole-body points.

Fits are keyed by annotation id and bring a virtual camera per person. A video belongs to the test set when its
name (cut at ``_Trim``) is in the split list; ``train``/``test`` use the intra-scene list, as OSX and SMPLer-X do.
Source: Lin et al., "One-Stage 3D Whole-Body Mesh Recovery with Component Aware Transformer", CVPR 2023 (OSX).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ehps.converters.base import Converter, DatasetCard, Instances, Unit, drop, no_instances
from ehps.converters.readers import OTHER, coco, coco_wholebody, fields, neural_annot, raw_files, videos
from ehps.converters.readers.fields import FLAG, Field, integers, numbers, optional, texts
from ehps.errors import DataError

LISTS = {
    "train": "intra_scene_test_list.npy",
    "test": "intra_scene_test_list.npy",
    "inter_train": "inter_scene_test_list.npy",
    "inter_test": "inter_scene_test_list.npy",
}
FITS = "smplx_annotation.json"
PERSON: dict[str, Field] = (
    {"bbox": numbers(4)}
    | optional({"iscrowd": FLAG, "num_keypoints": integers(), "valid_label": integers()})
    | coco_wholebody.FIELDS
)
CARD = DatasetCard(
    id="ubody",
    name="UBody",
    homepage="https://osx-ubody.github.io",
    licence="after a form; research only, videos keep their owners' rights",
    commercial_use=False,
    paper="Lin et al., One-Stage 3D Whole-Body Mesh Recovery with Component Aware Transformer, CVPR 2023",
    annotation="fit to 2D points",
    annotation_note="SMPL-X, pseudo (fitted to detected whole-body points)",
    body_model="smplx",
    appearance="real",
    scene="in the wild",
    scene_note="upper bodies",
    persons="several",
    splits={"train": 683_270, "test": None, "inter_train": None, "inter_test": None},
    uncertain=("train",),
    layout="""
UBody/
  annotations/<Scene>/keypoint_annotation.json
  annotations/<Scene>/smplx_annotation.json
  splits/intra_scene_test_list.npy, inter_scene_test_list.npy
  videos/<Scene>/.../<clip>.mp4
  images/<Scene>/.../<clip>/000001.png     (cut from the videos at 30 fps: `--frames DIR` does it)
""",
    needs=("annotations/*/keypoint_annotation.json", "annotations/*/smplx_annotation.json"),
    split_needs={split: (f"splits/{name}",) for split, name in LISTS.items()},
    get="fill in the form on the homepage; unpack annotations, splits and videos side by side",
    reprojection="fitted",
    fps=30,
    notes=(
        "Every person has a virtual camera: depths of two people in one image cannot be compared.",
        "Legs are often far outside the image; boxes are the dataset's own.",
        "Points have the visibility of the annotation, also those of hands and faces that it calls invalid "
        "(meta/lefthand_valid, righthand_valid, face_valid); boxes of such parts have confidence 0.",
    ),
)


class UBody(Converter):
    card = CARD

    def units(self) -> list[Unit]:
        scenes = sorted({path.parent for path in self.root.glob("annotations/*/*_annotation.json")})
        return [unit for scene in scenes for unit in coco.units(scene / "keypoint_annotation.json", scene.name)]

    def read(self, unit: Unit) -> Instances:
        dropped: dict[str, list[str]] = {}
        annotations, images = coco.read(unit, dropped, PERSON, coco.SIZE, found=coco.numbered(unit))
        fits = raw_files.keyed_json(unit.path.with_name(FITS))
        scene = unit.path.parent.name
        names = {key: image["file_name"].lstrip("/") for key, image in images.items()}
        drop(dropped, "image in no folder of a video", (name for name in names.values() if "/" not in name))
        listed = self._listed()
        wanted = {
            key for key, name in names.items() if "/" in name and (video(name) in listed) == self.split.endswith("test")
        }
        people = keep_people([a for a in annotations if a["image_id"] in wanted], fits, dropped)
        people, records = neural_annot.with_fit(people, fits, dropped, "no SMPL-X fit")
        if not people:
            return no_instances(dropped)
        paths = [names[a["image_id"]] for a in people]
        rows = Instances(
            image_path=[f"images/{scene}/{path}" for path in paths],
            size=np.array([[images[a["image_id"]]["height"], images[a["image_id"]]["width"]] for a in people]),
            keypoints2d=coco_wholebody.keypoints(people, valid_parts_only=False),
            bbox=raw_files.column(people, "bbox").astype(float),
            bbox_padded=True,
            **coco_wholebody.part_boxes(people),
            meta={
                "annotation_id": raw_files.column(people, "id"),
                "annotation_index": raw_files.column(people, coco.INDEX).astype(np.int32),
                "image_id": raw_files.column(people, "image_id"),
                "iscrowd": raw_files.column(people, "iscrowd").astype(int),
                "num_keypoints": raw_files.column(people, "num_keypoints"),
                "valid_label": raw_files.column(people, "valid_label", 1).astype(int),
                "scene": [scene] * len(people),
                "sequence_name": [video(path) for path in paths],
                **coco_wholebody.validity(people, records),
            },
            misc={"bbox_source": "provided_by_dataset", "smplx_source": "original"},
            dropped=dropped,
        )
        neural_annot.add_fits(rows, records)
        return rows

    def _listed(self) -> frozenset[str]:
        """Names of the videos of the test set.

        Raises
        ------
        DataError : the list is empty or of another form, or names no video of any scene.
        """
        path = self.root / "splits" / LISTS[self.split]
        names = fields.value(raw_files.load_npy(path), texts("videos"), path, "the list of videos").tolist()
        scenes = tuple(raw_files.matching(self.root / "annotations", "*/keypoint_annotation.json"))
        if not names or not _any_of(frozenset(names), scenes):
            what = "lists no video that the annotations are of" if names else "lists no video"
            raise DataError(what, path=path, fix=OTHER)
        return frozenset(names)

    def extract_frames(self, unit: Unit, image_paths: Sequence[str], folder: Path) -> None:
        """Cut the frames named in ``image_paths`` out of the scene's videos, at 30 fps, numbered from 1."""
        for clip, wanted in videos.by_folder(image_paths).items():
            source = self.root / "videos" / Path(clip).relative_to("images")
            videos.extract(source.with_name(source.name + ".mp4"), wanted, folder, fps=30, first=1)


@lru_cache(maxsize=2)
def _any_of(listed: frozenset[str], scenes: tuple[Path, ...]) -> bool:
    """Whether any image of any scene is of a video that is listed."""
    return any(video(name) in listed for path in scenes for name in coco.file_names(path) if "/" in name)


def video(file_name: str) -> str:
    """Name of the video that a frame was cut from: its folder, up to ``_Trim``."""
    return file_name.rsplit("/", 2)[-2].split("_Trim")[0]


def keep_people(
    annotations: Sequence[dict[str, Any]], fits: Mapping[str, Any], dropped: dict[str, list[str]]
) -> list[dict[str, Any]]:
    """Usable annotations; crowds, unlabelled and invalid people, and those without a fit are counted."""
    reasons = (
        ("crowd region", lambda a: a.get("iscrowd", 0)),
        ("no labelled body joint", lambda a: not a.get("num_keypoints", 0)),
        ("marked invalid", lambda a: not a.get("valid_label", 1)),
    )
    people = []
    for a in annotations:
        reason = next((name for name, test in reasons if test(a)), None)
        if reason:
            drop(dropped, reason, [str(a["id"])])
        else:
            people.append(a)
    return people
