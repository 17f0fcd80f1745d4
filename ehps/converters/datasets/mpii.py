"""MPII Human Pose: frames of internet videos with 16 hand-labelled joints and NeuralAnnot SMPL-X body fits.

One row an annotation, not one an image. Nothing was fitted to hands and face: they are neutral and have no boxes.
Points of ``train.json`` are taken as they are; the HRNet-style files count pixels from 1, as MATLAB does.
Source: Andriluka et al., CVPR 2014; Moon et al., CVPRW 2022 (fits); the loaders of NeuralAnnot, SMPLer-X and HRNet.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ehps.converters.base import Converter, DatasetCard, Instances, Keypoints, Unit, drop, no_instances
from ehps.converters.options import Option
from ehps.converters.readers import coco, eft, fields, neural_annot, raw_files
from ehps.converters.readers.fields import PATH, numbers

PLACES = ("annotations", "data/annotations")
HRNET = {
    "image": PATH,
    "scale": numbers(),
    "center": numbers(2),
    "joints": numbers(16, 2, optional=True),
    "joints_vis": numbers(16, optional=True),
}
COCO_STYLE = ("train.json", "test.json")
FITS = "MPII_train_SMPLX_NeuralAnnot.json"
OTHER_FITS = {
    "eft": ("eft_fit/MPII_ver01.json", "MPII_fit/MPII_ver01.json"),
    "cliff": ("cliffGT_v1/mpii_cliffGT.npz", "mpii_cliffGT.npz"),
}
FILES = {
    "train": ("train.json", "mpii_train.json"),
    "val": ("mpii_val.json",),
    "trainval": ("mpii_trainval.json",),
    "test": ("test.json", "mpii_test.json"),
}
CARD = DatasetCard(
    id="mpii",
    name="MPII",
    homepage="http://human-pose.mpi-inf.mpg.de",
    licence="annotations simplified BSD, research use; frames of YouTube videos; fits without a stated licence",
    paper="Andriluka et al., 2D Human Pose Estimation: New Benchmark and State of the Art Analysis, CVPR 2014",
    annotation="network",
    annotation_note="SMPL-X body, pseudo (NeuralAnnot); 16 hand-labelled 2D joints",
    body_source="NeuralAnnot",
    body_model="smplx",
    appearance="real",
    scene="in the wild",
    persons="several",
    splits={"train": 28_881, "val": None, "trainval": None, "test": None},
    layout="""
mpii/                                    (or all of it below data/)
  images/015601864.jpg
  annotations/train.json                 COCO style, and test.json
  annotations/MPII_train_SMPLX_NeuralAnnot.json
  annotations/mpii_{train,val,trainval,test}.json     HRNet style, used when the file above is absent: 2D only
  eft_fit/MPII_ver01.json                for `fits=eft`
  cliffGT_v1/mpii_cliffGT.npz            for `fits=cliff`
""",
    needs=("images | data/images",),
    split_needs={
        split: (
            " | ".join(
                [f"{place}/{name}" for name in names for place in PLACES]
                + [name for places in OTHER_FITS.values() for name in places if split == "train"]
            ),
        )
        for split, names in FILES.items()
    },
    get="images from the homepage, annotations and fits from github.com/mks0601/NeuralAnnot_RELEASE; HRNet-style files "
    "from mmpose, fits of EFT from github.com/facebookresearch/eft, of CLIFF from its repository",
    variants=dict.fromkeys(
        ("mpii_human_pose_v1_u12_1.mat", "annot/train.h5"),
        "another form of the 2D annotations; the json files and fits of NeuralAnnot are needed",
    ),
    options=(
        Option(
            "fits",
            "neuralannot: SMPL-X; eft, cliff: SMPL; none: keypoints and boxes only",
            "neuralannot",
            choices={
                "train": ("neuralannot", "none", *OTHER_FITS),
                "val": ("neuralannot", "none"),
                "trainval": ("neuralannot", "none"),
                "test": ("neuralannot", "none"),
            },
        ),
    ),
    reprojection="fitted",
    notes=(
        "Nothing was fitted to hands and face: mean hands, neutral faces, boxes of confidence 0.",
        "Wrists, ankles and feet of the fits are not constrained by the 16 joints.",
        "Every person has a virtual camera: depths of two people in one image cannot be compared.",
        "The published count is that of all annotations of train.json with a fit, several in an image.",
    ),
)


class MPII(Converter):
    card = CARD

    @property
    def body_model(self) -> str | None:
        return "smpl" if self.option("fits") in OTHER_FITS else "smplx"

    def units(self) -> list[Unit]:
        names = [f"{place}/{name}" for name in FILES[self.split] for place in PLACES]
        path = raw_files.first_existing(self.root, OTHER_FITS.get(self.option("fits"), names))
        if path.name not in COCO_STYLE:
            return [Unit(self.split, path)]
        return coco.units(path, self.split, neural_annot.stamp(path.parent, (FITS,)))

    def read(self, unit: Unit) -> Instances:
        if self.option("fits") == "eft":
            return eft.read(unit.path, self._image, {"annotation_id": eft.annotation_id})
        if self.option("fits") == "cliff":
            return eft.read_cliff(unit.path, self.root, self._image)
        rows = self._coco(unit) if unit.path.name in COCO_STYLE else self._hrnet(unit)
        for name in ("face_bbox", "lhand_bbox", "rhand_bbox"):  # nothing is annotated there
            setattr(rows, name, np.zeros((len(rows), 5)))
        return rows

    def _image(self, name: str) -> str:
        folder = "data/images/" if (self.root / "data" / "images").is_dir() else "images/"
        return folder + raw_files.basename(name)

    def _coco(self, unit: Unit) -> Instances:
        dropped: dict[str, list[str]] = {}
        known = {"bbox": numbers(4), "keypoints": numbers(48, optional=True)}
        annotations, images = coco.read(unit, dropped, known, coco.SIZE)
        names = (FITS,) if self.split == "train" else ()
        annotations = labelled(annotations, "keypoints", dropped, unit.path)
        fits, notes = neural_annot.chosen(unit.path.parent, names, self.option("fits"))
        people, records = neural_annot.with_fit(annotations, fits, dropped, "no SMPL-X fit")
        if not people:
            return no_instances(dropped)
        own = [images[a["image_id"]] for a in people]
        rows = Instances(
            image_path=[self._image(image["file_name"]) for image in own],
            size=np.array([[image["height"], image["width"]] for image in own]),
            bbox=raw_files.column(people, "bbox").astype(float),
            meta={"annotation_id": raw_files.column(people, "id"), "image_id": raw_files.column(people, "image_id")},
            misc={"bbox_source": "provided_by_dataset"},
            dropped=dropped,
            notes=notes,
        )
        if all(a.get("keypoints") for a in people):  # those of the official test set are withheld
            rows.keypoints2d = Keypoints(raw_files.labelled(people, 16), "mpii")
        if records:
            rows.body, rows.camera = neural_annot.smplx(records)
            rows.misc |= {"smplx_source": "neural_annot", "cam_param_type": "perspective"}
        return rows

    def _hrnet(self, unit: Unit) -> Instances:
        dropped: dict[str, list[str]] = {}
        people = fields.records(raw_files.read_json(unit.path), HRNET, unit.path, dropped, "people")
        people = labelled(people, "joints", dropped, unit.path)
        if not people:
            return no_instances(dropped)
        side = 200 * raw_files.column(people, "scale").astype(float)[:, None]
        centre = raw_files.column(people, "center").astype(float) - 1
        rows = Instances(
            image_path=[self._image(person["image"]) for person in people],
            bbox=np.hstack([centre - side / 2, side, side]),
            misc={"bbox_source": "provided_by_dataset"},
            dropped=dropped,
            notes=[f"{unit.path.name} is the HRNet-style file, to which no fits belong: keypoints and boxes only"],
        )
        if all("joints" in person for person in people):
            seen = raw_files.column(people, "joints_vis", [0] * 16)[..., None] > 0
            points = raw_files.column(people, "joints").astype(float) - 1
            rows.keypoints2d = Keypoints(np.concatenate([points, seen], axis=2) * seen, "mpii")
        return rows


def labelled(people: list[fields.Record], key: str, dropped: dict[str, list[str]], path: Path) -> list[fields.Record]:
    """People with points, where anybody has some; the others are counted."""
    if not any(person.get(key) for person in people):
        return people
    names = (f"{path.name} {fields.label_of(person, i)}" for i, person in enumerate(people) if not person.get(key))
    drop(dropped, f"no {key}", names)
    return [person for person in people if person.get(key)]
