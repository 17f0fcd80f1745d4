"""MPII Human Pose: frames of internet videos with 16 hand-labelled joints and NeuralAnnot SMPL-X body fits.

One row an annotation, not one an image. Nothing was fitted to hands and face: they are neutral and have no boxes.
Annotations are COCO-style, or a list of people as in HRNet's files and ``mpii_annotations.json``; either is called
train.json, so the content decides. Points of the COCO style are taken as they are; the lists count pixels from 1, as
MATLAB does.
Source: Andriluka et al., CVPR 2014; Moon et al., CVPRW 2022 (fits); the loaders of NeuralAnnot, SMPLer-X, HRNet and of
the stacked hourglass in PyTorch.
"""

from __future__ import annotations

from codecs import BOM_UTF8
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ehps.arrays import Array
from ehps.converters import ranges
from ehps.converters.base import Converter, DatasetCard, Instances, Keypoints, Unit, drop, no_instances
from ehps.converters.options import Option
from ehps.converters.readers import coco, eft, fields, neural_annot, raw_files
from ehps.converters.readers.fields import numbers
from ehps.converters.readers.images import is_image_folder
from ehps.errors import DataError

PLACES = ("annotations/", "annot/", "data/annotations/", "data/annot/")
PEOPLE = tuple(f"{place}mpii_annotations.json" for place in ("", *PLACES, "data/"))
FITS = {"neuralannot": "MPII_train_SMPLX_NeuralAnnot.json", "neuralannot-smpl": "MPII_train_SMPL_NeuralAnnot.json"}
OTHER_FITS = {
    "eft": ("eft_fit/MPII_ver01.json", "MPII_fit/MPII_ver01.json"),
    "cliff": ("cliffGT_v1/mpii_cliffGT.npz", "mpii_cliffGT.npz"),
}
FILES = {
    "train": ("train.json", "mpii_train.json"),
    "val": ("valid.json", "mpii_val.json"),
    "trainval": ("trainval.json", "mpii_trainval.json"),
    "test": ("test.json", "mpii_test.json"),
}
LISTS = {
    split: tuple(place + name for name in names for place in PLACES) + (PEOPLE if split != "test" else ())
    for split, names in FILES.items()
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
    uncertain=("train",),
    layout="""
mpii/                                    (or all of it below data/)
  images/015601864.jpg
  annotations/train.json                 COCO style, and test.json
  annotations/MPII_train_SMPLX_NeuralAnnot.json
  annotations/MPII_train_SMPL_NeuralAnnot.json        for `fits=neuralannot-smpl`
  annotations/mpii_{train,val,trainval,test}.json     HRNet style, used when the file above is absent: 2D only
  annot/{train,valid,trainval,test}.json              the same in HRNet's own folder
  mpii_annotations.json                               train and val in one list: 2D only
  eft_fit/MPII_ver01.json                for `fits=eft`
  cliffGT_v1/mpii_cliffGT.npz            for `fits=cliff`
""",
    needs=("images | data/images",),
    split_needs={
        split: (" | ".join([*lists, *(name for places in OTHER_FITS.values() for name in places if split == "train")]),)
        for split, lists in LISTS.items()
    },
    get="images from the homepage, annotations and fits from github.com/mks0601/NeuralAnnot_RELEASE; HRNet-style files "
    "from HRNet or mmpose, fits of EFT from github.com/facebookresearch/eft, of CLIFF from its repository",
    variants=dict.fromkeys(
        ("mpii_human_pose_v1_u12_1.mat", "annot/train.h5"),
        "another form of the 2D annotations; the json files of NeuralAnnot or HRNet are needed",
    ),
    options=(
        Option(
            "fits",
            "neuralannot: SMPL-X; neuralannot-smpl, eft, cliff: SMPL; none: keypoints and boxes only",
            "neuralannot",
            choices={
                "train": (*FITS, "none", *OTHER_FITS),
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
        return "smpl" if self.option("fits") in (*OTHER_FITS, neural_annot.SMPL) else "smplx"

    @property
    def _fit_files(self) -> tuple[str, ...]:
        known = self.split == "train" and self.option("fits") in FITS
        return (FITS[self.option("fits")],) if known else ()

    def units(self) -> list[Unit]:
        path = raw_files.first_existing(self.root, OTHER_FITS.get(self.option("fits"), LISTS[self.split]))
        if self.option("fits") == neural_annot.SMPL and is_list(path):
            what = "is a list of people without ids, to which no fits belong"
            raise DataError(what, path=path, fix="take the COCO-style train.json of the fits' release, or fits=none")
        if self.option("fits") in OTHER_FITS or is_list(path):
            return [Unit(self.split, path)]
        return coco.units(path, self.split)

    def read(self, unit: Unit) -> Instances:
        if self.option("fits") in OTHER_FITS:
            return self._with_other_fits(unit)
        rows = self._list(unit.path) if is_list(unit.path) else self._coco(unit)
        for name in ("face_bbox", "lhand_bbox", "rhand_bbox"):  # nothing is annotated there
            setattr(rows, name, np.zeros((len(rows), 5)))
        return rows

    def _image(self, name: str) -> str:
        folder = "data/images/" if is_image_folder(self.root, "data/images") else "images/"
        return folder + raw_files.basename(name)

    def _with_other_fits(self, unit: Unit) -> Instances:
        """Rows of EFT or CLIFF, with the sizes of their images where the annotation is there too."""
        if self.option("fits") == "cliff":
            return eft.read_cliff(unit.path, self.root, self._image)
        rows = eft.read(unit.path, self._image, {"annotation_id": eft.annotation_id})
        rows.size = coco.sizes_by_name([self.root / name for name in LISTS[self.split]], rows.image_path)
        return rows

    def _coco(self, unit: Unit) -> Instances:
        dropped: dict[str, list[str]] = {}
        known = {"bbox": numbers(4), "keypoints": numbers(48, optional=True)}
        annotations, images = coco.read(unit, dropped, known, coco.SIZE)
        annotations = labelled(annotations, "keypoints", dropped, unit.path)
        choice = self.option("fits")
        fits, notes = neural_annot.chosen(unit.path.parent, self._fit_files, choice)
        model_type = "SMPL" if self.body_model == "smpl" else "SMPL-X"
        people, records = neural_annot.with_fit(annotations, fits, dropped, f"no {model_type} fit")
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
            neural_annot.add_fits(rows, records, choice)
            rows.misc |= {f"{self.body_model}_source": "neural_annot", "cam_param_type": "perspective"}
        return rows

    def _list(self, path: Path) -> Instances:
        """People of a list, in which nobody has an id."""
        people, dropped = listed(path, self.split)
        if not people:
            return no_instances(dropped)
        side = 200 * np.array([[person.scale] for person in people])
        form = "the list of train and val" if people[0].size else "the HRNet-style file"
        rows = Instances(
            image_path=[self._image(person.image) for person in people],
            size=np.array([person.size for person in people]) if all(person.size for person in people) else None,
            bbox=np.hstack([np.array([person.centre for person in people]) - side / 2, side, side]),
            misc={"bbox_source": "provided_by_dataset"},
            dropped=dropped,
            notes=[f"{path.name} is {form}, to which no fits belong: keypoints and boxes only"],
        )
        if people[0].points is not None:
            rows.keypoints2d = Keypoints(np.array([person.points for person in people]), "mpii")
        return rows


@dataclass(frozen=True)
class Person:
    """One of a list.

    Attributes
    ----------
    image : name of its image.
    centre : (2,) pixels, from 0.
    scale : height / 200 pixels.
    points : (16, 3) pixels, from 0, and 1 where labelled; None in the test set, whose joints are withheld.
    size : height and width of the image, where the list says it.
    """

    image: str
    centre: Array
    scale: float
    points: Array | None
    size: tuple[int, int] | None = None


def is_list(path: Path) -> bool:
    """Whether a json file begins as a list and not as an object."""
    try:
        with path.open("rb") as file:
            return file.read(64).lstrip(BOM_UTF8 + b" \t\r\n")[:1] == b"["
    except OSError:
        return False


def listed(path: Path, split: str) -> tuple[list[Person], dict[str, list[str]]]:
    """The people of a split in a list, in its order, and the others by reason.

    Raises
    ------
    DataError : it is no list of people.
    """
    people: list[Person] = []
    dropped: dict[str, list[str]] = {}
    records = [(k, r) for k, r in enumerate(raw_files.read_json(path)) if not isinstance(r, dict) or _is_of(r, split)]
    for number, record in records:
        try:
            people.append(_annotated(record) if "joint_self" in record else _hrnet(record))
        except (KeyError, TypeError, ValueError, IndexError, OverflowError):
            drop(dropped, "no image, centre, scale or 16 joints", [f"{path.name} {number}"])
    if len(people) < len(records) / 2:
        what = f"{len(records) - len(people)} of {len(records)} people have no image, centre, scale or 16 joints"
        raise DataError(what, path=path, fix="take the json of HRNet or mmpose, or mpii_annotations.json")
    withheld = [person for person in people if person.points is None]
    if withheld and len(withheld) < len(people):
        drop(dropped, "no joints", (person.image for person in withheld))
        people = [person for person in people if person.points is not None]
    return people, dropped


def _is_of(record: dict[str, Any], split: str) -> bool:
    """Whether a person is of ``split``, as the list of train and val says; files of one split do not say it."""
    return split == "trainval" or "isValidation" not in record or bool(record["isValidation"]) == (split == "val")


def _hrnet(record: dict[str, Any]) -> Person:
    points = None
    if "joints" in record:
        seen = ranges.labelled(_numbers(record["joints_vis"], 16))[:, None]
        points = np.hstack([_numbers(record["joints"], 16, 2) - 1, seen]) * seen
    return _checked(Person(record["image"], _numbers(record["center"], 2) - 1, float(record["scale"]), points))


def _annotated(record: dict[str, Any]) -> Person:
    """Of ``mpii_annotations.json``: joints that are not labelled are zeros, or have a 2 (left out) beside them."""
    joints = _numbers(record["joint_self"], 16, 3)
    seen = (joints[:, :2] > 0).any(axis=1, keepdims=True) & np.isin(joints[:, 2:], (0, 1))
    points = np.hstack([joints[:, :2] - 1, seen]) * seen
    height, width = _numbers([record["img_height"], record["img_width"]], 2)
    if not 0 < min(height, width) <= max(height, width) <= ranges.PIXELS:
        raise ValueError(f"{height} x {width} is no size of an image")
    size = (int(height), int(width))
    centre, scale = _numbers(record["objpos"], 2) - 1, float(record["scale_provided"])
    return _checked(Person(record["img_paths"], centre, scale, points, size))


def _checked(person: Person) -> Person:
    """The same person.

    Raises
    ------
    ValueError : its image is no name, its scale no height, or its centre unknown (-1 in the file).
    """
    if not isinstance(person.image, str) or not 0 < person.scale < 1000 or (person.centre == -2).all():
        raise ValueError(person.image)
    return person


def _numbers(value: Any, *shape: int) -> Array:
    """Finite numbers of a shape.

    Raises
    ------
    TypeError, ValueError : they are not.
    """
    array = np.asarray(value, float)
    if array.shape != shape or not np.isfinite(array).all():
        raise ValueError(f"{array.shape} is not {shape}")
    return array


def labelled(people: list[fields.Record], key: str, dropped: dict[str, list[str]], path: Path) -> list[fields.Record]:
    """People with points, where anybody has some; the others are counted."""
    if not any(person.get(key) for person in people):
        return people
    names = (f"{path.name} {fields.label_of(person, i)}" for i, person in enumerate(people) if not person.get(key))
    drop(dropped, f"no {key}", names)
    return [person for person in people if person.get(key)]
