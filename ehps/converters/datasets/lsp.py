"""LSP: the 1000 test images of Leeds Sports Pose, with UP-3D's silhouettes and body parts: bodies drawn onto images are
tested on them (`lsp-segmentation`).

The images are those of ``lsp_dataset.zip``, scaled so that people are about 150 pixels long; the masks of
``upi-s1h.zip`` are of the same size. Numbers 1001 to 2000 are the test half. A person's 14 points are all given, also
hidden ones; SPIN and GraphCMR make boxes of all of them, so the third number of ``joints.mat`` is not read: the dataset
calls it visibility, others read 1 as hidden.
Source: Johnson and Everingham, BMVC 2010; Lassner et al., CVPR 2017; the evaluation of SPIN and GraphCMR.
"""

from __future__ import annotations

import numpy as np

from ehps.converters.base import Converter, DatasetCard, Instances, Keypoints, Unit, drop, no_instances
from ehps.converters.readers import fields, raw_files
from ehps.converters.readers.matlab import load_mat
from ehps.errors import DataError
from ehps.humandata.image_headers import header_size

MASKS = ("upi-s1h/data/lsp/", "data/lsp/")
COLUMNS = {"segmentation": "_segmentation.png", "part_segmentation": "_part_segmentation.png"}
FIRST, LAST = 1001, 2000
CARD = DatasetCard(
    id="lsp",
    name="LSP",
    homepage="http://sam.johnson.io/research/lsp.html",
    licence="LSP: research use, images of Flickr; UP-3D's masks CC BY-NC 4.0",
    commercial_use=False,
    paper=(
        "Johnson and Everingham, Clustered Pose and Nonlinear Appearance Models for Human Pose Estimation, BMVC 2010; "
        "Lassner et al., Unite the People, CVPR 2017 (masks)"
    ),
    annotation="fit to 2D points",
    annotation_note="no bodies; 14 hand-labelled 2D joints, silhouettes and six body parts",
    body_model=None,
    appearance="real",
    scene="in the wild",
    scene_note="sports",
    persons="one",
    splits={"test": 1_000},
    layout="""
lsp/
  joints.mat                                          3 x 14 x 2000
  images/im1001.jpg .. im2000.jpg                     the low-resolution release
  upi-s1h/data/lsp/im1001_segmentation.png            (or below data/lsp/) black, and not black where the person is
  upi-s1h/data/lsp/im1001_part_segmentation.png       0 background, 1 head, 2 torso, 3 right arm, 4 left arm,
                                                      5 right leg, 6 left leg, 255 none in particular
""",
    needs=(
        "joints.mat",
        "images/im*.jpg",
        *(" | ".join(f"{folder}im*{ending}" for folder in MASKS) for ending in COLUMNS.values()),
    ),
    get="lsp_dataset.zip from the homepage (not lsp_dataset_original.zip, whose images are larger than the masks), and "
    "in its folder upi-s1h.zip from files.is.tuebingen.mpg.de/classner/up (45 GB, of which data/lsp is needed)",
    reprojection="none",
    notes=(
        "It is a test of silhouettes and parts (lsp-segmentation); there are no bodies to train on or compare with.",
        "UP-3D's lists hold the same images; do not train on those of its test list.",
    ),
)


class LSP(Converter):
    card = CARD

    def units(self) -> list[Unit]:
        return [Unit(self.split, self.root / "joints.mat")]

    def read(self, unit: Unit) -> Instances:
        joints = load_mat(unit.path, "joints")["joints"]
        if joints.shape != (LAST, 14, 3) or fields.as_numbers(joints) is None:  # the order of axes of MATLAB is reverse
            raise DataError(
                f"joints is {fields.described(joints.T)}, expected 3 x 14 x {LAST}",
                path=unit.path,
                fix="take that of lsp_dataset.zip, not of LSPET",
            )
        names = [f"im{number:04d}" for number in range(FIRST, LAST + 1)]
        dropped: dict[str, list[str]] = {}
        for ending in COLUMNS.values():
            absent = {name for name in names if self._mask(name, ending) is None}
            drop(dropped, f"no im*{ending}", sorted(absent))
            names = [name for name in names if name not in absent]
        if not names:
            return no_instances(dropped)
        rows = [int(name[2:]) - 1 for name in names]
        points = joints[rows, :, :2].astype(float)
        points = np.concatenate([points, np.ones((len(names), 14, 1))], axis=2)
        masks = {column: [self._mask(name, ending) for name in names] for column, ending in COLUMNS.items()}
        return Instances(
            [f"images/{name}.jpg" for name in names],
            size=np.array([self._size(mask) for mask in masks["segmentation"]]),
            keypoints2d=Keypoints(points, "lsp"),
            points_beyond_image=True,
            columns=masks,
            meta={"index": np.array(rows)},
            dropped=dropped,
        )

    def _size(self, mask: str | None) -> tuple[int, int]:
        """Of the image that was labelled, zeros where it cannot be read."""
        assert mask is not None
        raw_files.note(self.root / mask)
        return header_size(self.root / mask)

    def _mask(self, name: str, ending: str) -> str | None:
        """Where a mask is, below the root; None where there is none."""
        places = (f"{folder}{name}{ending}" for folder in MASKS)
        return next((place for place in places if raw_files.is_file(self.root / place)), None)
