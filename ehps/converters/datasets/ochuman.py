"""OCHuman: images of heavily occluding people with EFT SMPL fits.

The lists of the fits are EFT's own halves, unrelated to OCHuman's val and test. The square boxes of the fits may lie
beside the people they belong to, so boxes are made from the projected joints.
Source: Zhang et al., CVPR 2019; Joo et al., 3DV 2021 (EFT).
"""

from __future__ import annotations

import numpy as np

from ehps.converters.base import Converter, DatasetCard, Instances, Unit, filter_records, no_instances
from ehps.converters.options import Option
from ehps.converters.readers import coco, coco_wholebody, eft, raw_files
from ehps.converters.readers.fields import numbers

SPLITS = {"train": 2_495, "test": 1_783, "val": None}
FITS = {
    split: tuple(f"{folder}OCHuman_{split}_ver10.json" for folder in ("eft_fit/", "", "annotations/"))
    for split in ("train", "test")
}
LISTS = {
    split: tuple(f"{folder}ochuman_coco_format_{split}_range_0.00_1.00.json" for folder in ("", "annotations/"))
    for split in ("val", "test")
}
CARD = DatasetCard(
    id="ochuman",
    name="OCHuman",
    homepage="https://github.com/liruilong940607/OCHumanApi",
    licence="API MIT; data on request, research use; EFT fits CC BY-NC 4.0",
    commercial_use=False,
    paper=("Zhang et al., Pose2Seg: Detection Free Human Instance Segmentation, CVPR 2019; Joo et al., EFT, 3DV 2021"),
    annotation="network",
    annotation_note="SMPL, pseudo (EFT); 17 hand-labelled 2D joints",
    body_source="EFT",
    body_model="smpl",
    appearance="real",
    scene="in the wild",
    scene_note="occluded",
    persons="several",
    splits=SPLITS,
    layout="""
ochuman/
  images/000001.jpg
  eft_fit/OCHuman_{train,test}_ver10.json                     (or in the root or annotations/)
  ochuman_coco_format_{val,test}_range_0.00_1.00.json         (or in annotations/; for val, and test with fits=none)
""",
    needs=("images",),
    split_needs={split: (" | ".join(FITS.get(split, ()) + LISTS.get(split, ())),) for split in SPLITS},
    get="request the images as the homepage says; fits with the download script of github.com/facebookresearch/eft",
    variants={
        "ochuman.json": "the native annotations, which are not read; EFT's fits or the COCO-form json are needed"
    },
    options=(
        Option(
            "fits",
            "none: OCHuman's own list, 2D only",
            {"train": "eft", "test": "eft", "val": "none"},
            choices={"train": ("eft",), "test": ("eft", "none"), "val": ("none",)},
        ),
    ),
    reprojection="fitted",
    notes=(
        "train and test are EFT's own halves of the fits; val is OCHuman's own list and has no fits.",
        "Cameras are virtual, one a person: translations are derived from weak perspective and not metric.",
    ),
)


class OCHuman(Converter):
    card = CARD

    def units(self) -> list[Unit]:
        places = FITS if self.option("fits") == "eft" else LISTS
        path = raw_files.first_existing(self.root, places[self.split])
        return [Unit(self.split, path)] if places is FITS else coco.units(path, self.split)

    def read(self, unit: Unit) -> Instances:
        if unit.path.name.startswith("OCHuman_"):
            rows = eft.read(unit.path, lambda name: f"images/{raw_files.basename(name)}")
            lists = [self.root / name for names in LISTS.values() for name in names]
            rows.size = coco.sizes_by_name(lists, rows.image_path)
            return rows
        left_out: dict[str, list[str]] = {}
        annotations, images = coco.read(unit, left_out, {"bbox": numbers(4), "keypoints": numbers(51)}, coco.SIZE)
        people, dropped = filter_records(
            annotations, lambda a: "" if any(a["keypoints"][2::3]) else "no labelled joint"
        )
        dropped |= left_out
        if not people:
            return no_instances(dropped)
        own = [images[a["image_id"]] for a in people]
        return Instances(
            image_path=[f"images/{image['file_name']}" for image in own],
            size=np.array([[image["height"], image["width"]] for image in own]),
            bbox=raw_files.column(people, "bbox").astype(float),
            keypoints2d=coco_wholebody.body_keypoints(people),
            meta={"annotation_id": raw_files.column(people, "id"), "image_id": raw_files.column(people, "image_id")},
            misc={"bbox_source": "provided_by_dataset"},
            dropped=dropped,
            notes=["OCHuman's own list has no fits: keypoints and boxes only"],
        )
