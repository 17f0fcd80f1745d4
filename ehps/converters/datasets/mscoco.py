"""MSCOCO: images of COCO 2017 with COCO-WholeBody keypoints and NeuralAnnot SMPL-X fits.

The fits are keyed by annotation id; each person has a virtual camera of its own. Crowds and people without a
labelled body joint are left out, as SMPLer-X, OSX and Hand4Whole do. The SMPL fits of EFT and CLIFF to COCO 2014
(:mod:`ehps.converters.readers.eft`) are lists of their own.
Source: Lin et al., ECCV 2014; Jin et al., ECCV 2020; Moon et al., CVPRW 2022; the COCO-WholeBody data format.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ehps.converters.base import Converter, DatasetCard, Instances, Unit, filter_records, no_instances
from ehps.converters.options import Option
from ehps.converters.readers import coco, coco_wholebody, eft, neural_annot, raw_files
from ehps.converters.readers.fields import FLAG, Field, integers, numbers, optional
from ehps.converters.readers.images import is_image_folder

CARD = DatasetCard(
    id="mscoco",
    name="MSCOCO",
    homepage="https://cocodataset.org",
    licence="annotations CC BY 4.0, WholeBody and fits non-commercial; Flickr terms for the images",
    commercial_use=False,
    paper="Lin et al., ECCV 2014; Jin et al., ECCV 2020 (WholeBody); Moon et al., CVPRW 2022 (NeuralAnnot)",
    annotation="network",
    annotation_note="SMPL-X, pseudo (NeuralAnnot); 133 hand-labelled 2D points",
    body_source="NeuralAnnot",
    body_model="smplx",
    appearance="real",
    scene="in the wild",
    persons="several",
    splits={"train": 149_813, "val": 6_352},
    layout="""
mscoco/
  annotations/coco_wholebody_{train,val}_v1.0.json
  annotations/MSCOCO_train_SMPLX_all_NeuralAnnot.json     (or MSCOCO_train_SMPLX.json)
  annotations/MSCOCO_train_SMPL_NeuralAnnot.json          (for fits=neuralannot-smpl)
  annotations/person_keypoints_{train,val}2017.json       (used when the WholeBody file is absent)
  images/{train,val}2017/000000000009.jpg                 (or {train,val}2017/ in the root)
for images=2014:
  annotations/person_keypoints_{train,val}2014.json
  images/{train,val}2014/COCO_val2014_000000000042.jpg    (or {train,val}2014/ in the root)
fits of EFT and CLIFF:
  eft_fit/COCO2014-{All,Part}-ver01.json, COCO2014-Val-ver10.json, cliffGT_v1/coco2014part_cliffGT.npz
  {train,val}2014/COCO_train2014_000000044474.jpg         (or below images/)
""",
    split_needs={
        split: (
            f"annotations/coco_wholebody_{split}_v1.0.json | annotations/person_keypoints_{split}2017.json | "
            f"annotations/person_keypoints_{split}2014.json | "
            + " | ".join(path for (_, own), path in eft.COCO.items() if own == split),
            f"images/{split}2017 | {split}2017 | {split}2014 | images/{split}2014",
        )
        for split in ("train", "val")
    },
    get="images and person_keypoints from cocodataset.org; coco_wholebody_*.json from github.com/jin-s13/"
    "COCO-WholeBody; MSCOCO_train_SMPLX_all_NeuralAnnot.json from github.com/mks0601/NeuralAnnot_RELEASE; EFT's fits "
    "with the download script of github.com/facebookresearch/eft; CLIFF's from github.com/huawei-noah/noah-research",
    options=(
        Option(
            "fits",
            "neuralannot: SMPL-X; neuralannot-smpl: SMPL; eft, eft-part, cliff: SMPL for COCO 2014; none: no fits",
            "neuralannot",
            choices={
                "train": ("neuralannot", neural_annot.SMPL, "eft", "eft-part", "cliff", "none"),
                "val": ("neuralannot", "eft", "none"),
            },
        ),
        Option(
            "images",
            "2017, with the WholeBody points, or 2014, with the 17 points alone, of which PyMAF's test is; fits of EFT "
            "and CLIFF are for those of 2014",
            "2017",
            choices=("2017", "2014"),
        ),
    ),
    reprojection="fitted",
    notes=(
        "Every person has a virtual camera: depths of two people in one image cannot be compared.",
        "There are no SMPL-X fits for val: it converts to keypoints and boxes.",
        "COCO's own evaluation (`coco-projection`) is of `--split val --option images=2014`: 50,197 people; meta/area "
        "is that of each person's mask.",
        "The published counts are people that are no crowd and have a labelled body joint.",
        "EFT published 79,051 (All), 28,344 (eft-part: all limbs labelled) and 10,510 (val); 74,834 and 28,062 of the "
        "first two were counted in the files. Translations of EFT are derived, not metric.",
    ),
)
PERSON = optional({"iscrowd": FLAG, "num_keypoints": integers(), "area": numbers()})
PERSON |= {"bbox": numbers(4), "keypoints": numbers(51)}
FITS = {
    "neuralannot": ("MSCOCO_train_SMPLX_all_NeuralAnnot.json", "MSCOCO_train_SMPLX.json"),
    neural_annot.SMPL: ("MSCOCO_train_SMPL_NeuralAnnot.json",),
}


class MSCOCO(Converter):
    card = CARD

    @property
    def fits_2014(self) -> str | None:
        """File of the fits to COCO 2014, None when these were not chosen."""
        return eft.COCO.get((self.option("fits"), self.split))

    @property
    def body_model(self) -> str:
        return "smpl" if self.fits_2014 or self.option("fits") == neural_annot.SMPL else "smplx"

    @property
    def _images(self) -> str:
        return f"{self.split}{self.option('images')}"

    @property
    def _fit_files(self) -> tuple[str, ...]:
        return FITS.get(self.option("fits"), ()) if self.split == "train" else ()

    def units(self) -> list[Unit]:
        if self.fits_2014:
            return [Unit(self.split, raw_files.first_existing(self.root, [self.fits_2014]))]
        folder = self.root / "annotations"
        names = [f"person_keypoints_{self._images}.json"]
        if self.option("images") == "2017":
            names.insert(0, f"coco_wholebody_{self.split}_v1.0.json")
        path = raw_files.first_existing(folder, names)
        return coco.units(path, self.split)

    def read(self, unit: Unit) -> Instances:
        if self.fits_2014:
            return eft.read_coco(unit.path, self.root)
        left_out: dict[str, list[str]] = {}
        found = coco.records(unit)
        known: dict[str, Field] = PERSON | (coco_wholebody.FIELDS if coco.has(found, "face_kpts") else {})
        in_one_list = coco.points_of(found, (17, 133), unit.path) == 133
        known |= {"keypoints": numbers(399)} if in_one_list else {}
        annotations, images = coco.read(unit, left_out, known, coco.SIZE, found=found)
        annotations = [coco_wholebody.parted(a) for a in annotations] if in_one_list else annotations
        usable, dropped = filter_records(annotations, unusable)
        dropped |= left_out
        fits, notes = neural_annot.chosen(self.root / "annotations", self._fit_files, self.option("fits"))
        model_type = "SMPL" if self.body_model == "smpl" else "SMPL-X"
        people, records = neural_annot.with_fit(usable, fits, dropped, f"no {model_type} fit")
        if not people:
            return no_instances(dropped)
        folder = "images/" if is_image_folder(self.root, f"images/{self._images}") else ""
        rows = Instances(
            image_path=[f"{folder}{self._images}/{images[a['image_id']]['file_name']}" for a in people],
            size=np.array([[images[a["image_id"]]["height"], images[a["image_id"]]["width"]] for a in people]),
            bbox=raw_files.column(people, "bbox").astype(float),
            meta={
                "annotation_id": raw_files.column(people, "id"),
                "image_id": raw_files.column(people, "image_id"),
                "iscrowd": raw_files.column(people, "iscrowd").astype(int),
                "num_keypoints": np.array([coco.labelled(a) for a in people]),
            },
            misc={"bbox_source": "provided_by_dataset"},
            dropped=dropped,
            notes=notes,
        )
        if all("area" in a for a in people):
            rows.meta["area"] = raw_files.column(people, "area").astype(float)
        if coco.has(people, "face_kpts"):
            rows.keypoints2d = coco_wholebody.keypoints(people)
            for name, box in coco_wholebody.part_boxes(people).items():
                setattr(rows, name, box)
            rows.meta |= {flag: raw_files.column(people, flag).astype(bool) for flag in coco_wholebody.FLAGS}
        else:
            rows.keypoints2d = coco_wholebody.body_keypoints(people)
            unseen = ", and hands whose fits do not say so themselves count as unseen"
            notes.append(f"no COCO-WholeBody file: 17 points only{unseen if self.body_model == 'smplx' else ''}")
        if records:
            self._add_fits(rows, people, records)
        return rows

    def _add_fits(self, rows: Instances, people: Sequence[Any], fits: Sequence[Any]) -> None:
        neural_annot.add_fits(rows, fits, self.option("fits"))
        rows.misc |= {f"{self.body_model}_source": "neural_annot", "cam_param_type": "perspective"}
        if self.body_model == "smpl":
            return
        valid = coco_wholebody.validity(people, fits)
        rows.meta |= valid
        # The fit of a hand that nobody could see means nothing; readers take an all-zero (mean) hand as absent.
        for flag, name in (("lefthand_valid", "left_hand_pose"), ("righthand_valid", "right_hand_pose")):
            getattr(rows.body, name)[~valid[flag]] = 0


def unusable(a: dict[str, Any]) -> str:
    """Why an annotation is left out: all but single people with a labelled body joint and a box are."""
    if a.get("iscrowd", 0):
        return "crowd region"
    if not coco.labelled(a):
        return "no labelled body joint"
    return "empty box" if a["bbox"][2] <= 0 or a["bbox"][3] <= 0 else ""
