"""CrowdPose: images of crowded scenes with 14 hand-labelled joints and NeuralAnnot SMPL fits.

Width and height are exchanged in old downloads of the json, so sizes are read from the images. ``num_keypoints``
counts the first 12 of the 14 joints; whether anything is labelled is read from the joints themselves.
Source: Li et al., CVPR 2019; Moon et al., CVPRW 2022 (fits); the official json files and issue 12 of their repository.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ehps.arrays import Array
from ehps.converters.base import Converter, DatasetCard, Instances, Keypoints, Unit, drop, no_instances
from ehps.converters.readers import coco, neural_annot, raw_files
from ehps.converters.readers.fields import FLAG, integers, numbers, optional
from ehps.converters.readers.images import QUARTER_TURN, ImageIndex, scale_between

PERSON = {"bbox": numbers(4), "keypoints": numbers(42), **optional({"iscrowd": FLAG, "num_keypoints": integers()})}
IMAGE = coco.SIZE | optional({"crowdIndex": numbers()})
PLACES = ("", "annotations/", "json/")
CARD = DatasetCard(
    id="crowdpose",
    name="CrowdPose",
    homepage="https://github.com/Jeff-sjtu/CrowdPose",
    licence="research use; no licence file; fits without a stated licence",
    paper="Li et al., CrowdPose: Efficient Crowded Scenes Pose Estimation and A New Benchmark, CVPR 2019",
    annotation="network",
    annotation_note="SMPL, pseudo (NeuralAnnot); 14 hand-labelled 2D joints",
    body_source="NeuralAnnot",
    body_model="smpl",
    appearance="real",
    scene="in the wild",
    scene_note="crowded",
    persons="several",
    splits={"train": 28_457, "val": None, "test": None, "trainval": None},
    layout="""
crowdpose/
  images/100000.jpg
  crowdpose_{train,val,trainval,test}.json          (or below annotations/ or json/; or annotations/mmpose_crowdpose_*)
  CrowdPose_train_SMPL_NeuralAnnot.json             (beside them; used for val and test where such a file exists)
""",
    needs=("images",),
    split_needs={
        split: (
            " | ".join(
                [f"{place}crowdpose_{split}.json" for place in PLACES] + [f"annotations/mmpose_crowdpose_{split}.json"]
            ),
        )
        for split in ("train", "val", "test", "trainval")
    },
    get="images and json from the links of the homepage, fits from github.com/mks0601/NeuralAnnot_RELEASE",
    options=(neural_annot.option("none: keypoints and boxes only"),),
    reprojection="fitted",
    notes=(
        "Old downloads of the json have width and height exchanged: they are put right by the images' own.",
        "The published fits are those of train; splits without a file of fits convert to keypoints and boxes.",
        "CrowdPose's head is the top of the head; it is called `head` here as in the files of mmhuman3d.",
        "Every person has a virtual camera: depths of two people in one image cannot be compared.",
        "The published count is SMPLer-X's, whose filter is not public: here crowds and people without a labelled "
        "joint, a fit or a box are left out.",
    ),
)


class CrowdPose(Converter):
    card = CARD

    def units(self) -> list[Unit]:
        name = f"crowdpose_{self.split}.json"
        places = [*(place + name for place in PLACES), f"annotations/mmpose_{name}"]
        path = raw_files.first_existing(self.root, places)
        return coco.units(path, self.split)

    @property
    def _fit_files(self) -> list[str]:
        return [place + f"CrowdPose_{self.split}_SMPL_NeuralAnnot.json" for place in PLACES]

    def read(self, unit: Unit) -> Instances:
        dropped: dict[str, list[str]] = {}
        annotations, images = coco.read(unit, dropped, PERSON, IMAGE)
        kept = keep_people(annotations, dropped)
        fits, notes = neural_annot.chosen(self.root, self._fit_files, self.option("fits"))
        people, records = neural_annot.with_fit(kept, fits, dropped, "no SMPL fit")
        if not people:
            return no_instances(dropped)
        own = [images[a["image_id"]] for a in people]
        paths = [f"images/{image['file_name']}" for image in own]
        size, exchanged = self._sizes(paths, own)
        rows = Instances(
            image_path=paths,
            size=size,
            bbox=raw_files.column(people, "bbox").astype(float),
            keypoints2d=Keypoints(raw_files.labelled(people, 14), "crowdpose"),
            meta={
                "annotation_id": raw_files.column(people, "id"),
                "image_id": raw_files.column(people, "image_id"),
                "crowd_index": raw_files.column(own, "crowdIndex", np.nan).astype(float),
                "iscrowd": raw_files.column(people, "iscrowd").astype(int),
                "num_keypoints": np.array([coco.labelled(a, first=12) for a in people]),
            },
            unknown=("crowd_index", "fit_err"),
            misc={"bbox_source": "provided_by_dataset"},
            dropped=dropped,
            notes=notes + exchanged,
        )
        if records:
            neural_annot.add_fits(rows, records, neural_annot.SMPL)
            rows.misc |= {"smpl_source": "neural_annot", "cam_param_type": "perspective"}
            rows.meta["fit_err"] = raw_files.column(records, "fit_err", np.nan).astype(float)
        return rows

    def _sizes(self, paths: Sequence[str], images: Sequence[dict[str, Any]]) -> tuple[Array, list[str]]:
        """(N, 2) height and width as the json states them, in their right order, and a note where it has exchanged
        them: where only so they have the aspect of the image. Zeros where EXIF says that the image is turned, of which
        the json may or may not know.
        """
        index = ImageIndex(self.root)
        stated, stored = coco.stated_sizes(images), index.sizes(paths)
        turned = np.array([index.header(path).orientation >= QUARTER_TURN for path in paths], bool)
        stated[turned] = 0
        exchanged = (scale_between(stated, stored) == 0) & (scale_between(stated[:, ::-1], stored) > 0) & ~turned
        if not exchanged.any():
            return stated, []
        note = "the json gives images with width and height exchanged, as old downloads do: they are put right"
        return np.where(exchanged[:, None], stated[:, ::-1], stated), [note]


def keep_people(annotations: Sequence[dict[str, Any]], dropped: dict[str, list[str]]) -> list[dict[str, Any]]:
    """Single people with a labelled joint; the others are counted by reason."""
    people = []
    for a in annotations:
        if a.get("iscrowd"):
            drop(dropped, "crowd region", [str(a["id"])])
        elif not any(a["keypoints"][2::3]):
            drop(dropped, "no labelled joint", [str(a["id"])])
        else:
            people.append(a)
    return people
