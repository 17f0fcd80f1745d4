"""LSP-Extended: photographs of athletes (the high-resolution release, HR-LSPET) with EFT SMPL fits.

The fits' coordinates are those of the HR-LSPET png files; the original low-resolution jpg files have other ones. Points
that nobody annotated lie at or beyond the border and get confidence 0.
Source: Johnson and Everingham, CVPR 2011; Joo et al., 3DV 2021 (EFT).
"""

from __future__ import annotations

import numpy as np

from ehps.converters import eft, raw
from ehps.converters.base import Converter, DatasetCard, Instances, Unit
from ehps.converters.images import header_size

FOLDERS = ("", "hr-lspet/", "images/")
FITS = {
    "train": [
        "eft_fit/LSPet_train_ver10.json", "LSPet_train_ver10.json", "LSPet_fit/LSPet_ver01.json", "LSPet_ver01.json"
    ],
    "test": ["eft_fit/LSPet_test_ver10.json", "LSPet_test_ver10.json"],
}  # fmt: skip
CARD = DatasetCard(
    id="lspet",
    name="LSPET",
    homepage="http://sam.johnson.io/research/lspet.html",
    licence="research use; EFT fits CC BY-NC 4.0",
    commercial=False,
    paper=(
        "Johnson and Everingham, Learning Effective Human Pose Estimation from Inaccurate "
        "Annotation, CVPR 2011; Joo et al., EFT, 3DV 2021"
    ),
    annotation="SMPL, pseudo (EFT); 14 crowd-labelled 2D joints",
    body_model="smpl",
    appearance="real",
    scene="in the wild, sports",
    persons="one",
    splits={"train": 2_946, "test": 2_433},
    layout="""
lspet/
  im00001.png                            HR-LSPET (or below hr-lspet/ or images/)
  eft_fit/LSPet_{train,test}_ver10.json  (or in the root)
  LSPet_fit/LSPet_ver01.json             (or in the root; older, unfiltered, used when ver10 is absent)
""",
    needs=(" | ".join(f"{folder}im*.png" for folder in FOLDERS),),
    split_needs={split: (" | ".join(places),) for split, places in FITS.items()},
    get="pictures: hr-lspet.zip from datasets.d2.mpi-inf.mpg.de/hr-lspet (the high-resolution png release; the "
    "original im*.jpg pictures have other pixel coordinates and do not go with the fits); fits: the download script of "
    "github.com/facebookresearch/eft",
    variants={"im00001.jpg": "the original low-resolution pictures; the fits belong to HR-LSPET (hr-lspet.zip)"},
    reprojection="fitted",
    notes=(
        "The original low-resolution jpg release has other pixel coordinates than the fits.",
        "train and test are EFT's own halves; LSPET itself is a training set.",
        "Cameras are virtual, one a person: translations are derived from weak perspective and not metric.",
    ),
)


class LSPET(Converter):
    card = CARD

    def units(self) -> list[Unit]:
        return [Unit(self.split, raw.first_existing(self.root, FITS[self.split]))]

    def read(self, unit: Unit) -> Instances:
        folder = next((f for f in FOLDERS if any((self.root / f).glob("im*.png"))), "")
        rows = eft.read(unit.path, lambda name: folder + raw.basename(name))
        if "ver01" in unit.path.name:
            rows.notes.append("LSPet_ver01.json is the older, unfiltered list; ver10 is the current one")
        if rows.keypoints2d is not None:
            # EFT marks all 14 points as seen; those that nobody annotated lie on or outside the border.
            size = np.array([header_size(self.root / path) for path in rows.image_path])
            points = rows.keypoints2d.points
            inside = (points[..., :2] > 0) & (points[..., :2] < size[:, None, ::-1])
            points[~inside.all(axis=2), 2] = 0
        return rows
