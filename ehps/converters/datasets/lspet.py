"""LSP-Extended: images of athletes (the high-resolution release, HR-LSPET) with EFT SMPL fits.

The fits' coordinates are those of the HR-LSPET png files; the original low-resolution jpg files have other ones. Points
that nobody annotated lie at or beyond the border and get confidence 0. Without fits, ``joints.mat`` gives the points of
the images it came with: entry i is of the i-th png in the order of names, or of the jpg with number i + 1.
Source: Johnson and Everingham, CVPR 2011; Joo et al., 3DV 2021 (EFT).
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from ehps.converters.base import Converter, DatasetCard, Instances, Keypoints, Unit, drop, no_instances
from ehps.converters.options import Option
from ehps.converters.readers import OTHER, eft, fields, raw_files
from ehps.converters.readers.images import image_names
from ehps.converters.readers.matlab import load_mat
from ehps.errors import DataError

FOLDERS = ("", "hr-lspet/", "images/")
JOINTS = ("joints.mat", "hr-lspet/joints.mat")
FITS = {
    "train": [
        "eft_fit/LSPet_train_ver10.json",
        "LSPet_train_ver10.json",
        "LSPet_fit/LSPet_ver01.json",
        "LSPet_ver01.json",
    ],
    "test": ["eft_fit/LSPet_test_ver10.json", "LSPet_test_ver10.json"],
}
CARD = DatasetCard(
    id="lspet",
    name="LSPET",
    homepage="http://sam.johnson.io/research/lspet.html",
    licence="research use; EFT fits CC BY-NC 4.0",
    commercial_use=False,
    paper=(
        "Johnson and Everingham, Learning Effective Human Pose Estimation from Inaccurate "
        "Annotation, CVPR 2011; Joo et al., EFT, 3DV 2021"
    ),
    annotation="network",
    annotation_note="SMPL, pseudo (EFT); 14 crowd-labelled 2D joints",
    body_source="EFT",
    body_model="smpl",
    appearance="real",
    scene="in the wild",
    scene_note="sports",
    persons="one",
    splits={"train": 2_946, "test": 2_433},
    layout="""
lspet/
  im00001.png                            HR-LSPET (or below hr-lspet/ or images/)
  eft_fit/LSPet_{train,test}_ver10.json  (or in the root)
  LSPet_fit/LSPet_ver01.json             (or in the root; older, unfiltered, used when ver10 is absent)
  joints.mat                             beside the images (or above images/), for fits=none
or, without fits:
  im00001.jpg, joints.mat                the original low-resolution release (images here or below images/)
""",
    split_needs={
        "train": (
            # LSP's have four digits
            " | ".join(f"{folder}im{suffix}" for suffix in ("*.png", "?????.jpg") for folder in FOLDERS),
            " | ".join((*FITS["train"], *JOINTS)),
        ),
        "test": (" | ".join(f"{folder}im*.png" for folder in FOLDERS), " | ".join(FITS["test"])),
    },
    get="images: hr-lspet.zip from datasets.d2.mpi-inf.mpg.de/hr-lspet (the high-resolution png release; the "
    "original im*.jpg images have other pixel coordinates and do not go with the fits); fits: the download script of "
    "github.com/facebookresearch/eft",
    options=(
        Option(
            "fits",
            "none: all people of joints.mat, 2D only; done by itself where EFT's list is absent",
            "eft",
            choices={"train": ("eft", "none"), "test": ("eft",)},
        ),
    ),
    reprojection="fitted",
    notes=(
        "The original low-resolution jpg release has other pixel coordinates than the fits; it converts without them.",
        "train and test are EFT's own halves; LSPET itself is a training set.",
        "Cameras are virtual, one a person: translations are derived from weak perspective and not metric.",
    ),
)


class LSPET(Converter):
    card = CARD

    @property
    def body_model(self) -> str | None:
        return None if self._fits() is None else self.card.body_model

    def _fits(self) -> Path | None:
        """EFT's list; None where it is not wanted, or not there while joints.mat is."""
        joints = self.split == "train" and any(raw_files.is_file(self.root / name) for name in JOINTS)
        wanted = self.option("fits") == "eft"
        listed = any(raw_files.is_file(self.root / name) for name in FITS[self.split])
        if not wanted or (joints and not listed and "fits" not in self.options):
            return None
        return raw_files.first_existing(self.root, FITS[self.split])

    def units(self) -> list[Unit]:
        fits = self._fits()
        if fits is None:
            return [Unit(self.split, raw_files.first_existing(self.root, JOINTS))]
        if self._folder() is None:
            raise DataError(
                "has no png images: the fits are of the high-resolution release, not of the original jpg files",
                path=self.root,
                fix="unpack hr-lspet.zip here, or convert without fits: --option fits=none",
            )
        return [Unit(self.split, fits)]

    def _folder(self) -> str | None:
        return next((folder for folder in FOLDERS if self._images(folder, ".png")), None)

    def read(self, unit: Unit) -> Instances:
        if unit.path.suffix == ".mat":
            return self._without_fits(unit.path)
        folder = self._folder() or ""
        rows = eft.read(unit.path, lambda name: folder + raw_files.basename(name))
        if "ver01" in unit.path.name:
            rows.notes.append("LSPet_ver01.json is the older, unfiltered list; ver10 is the current one")
        rows.points_end_at_border = True  # EFT marks all 14 points as seen
        return rows

    def _without_fits(self, path: Path) -> Instances:
        stored = load_mat(path, "joints")["joints"]
        if stored.ndim != 3 or fields.as_numbers(stored) is None:
            raise DataError(f"joints is {fields.described(stored)}, expected 14 x 3 x people", path=path, fix=OTHER)
        joints = stored.swapaxes(-1, -2).astype(float)
        if joints.ndim != 3 or joints.shape[1] != 14 or joints.shape[2] not in (2, 3):
            shape = " x ".join(map(str, joints.swapaxes(-1, -2).T.shape))
            raise DataError(
                f"joints are {shape}, expected 14 x 3 x people", path=path, fix="take that of LSPET, not LSP"
            )
        paths, release = self._images_of(path, len(joints))
        seen = joints[..., 2:] > 0 if joints.shape[2] == 3 else np.ones((*joints.shape[:2], 1))
        points = np.concatenate([joints[..., :2], seen], axis=2)
        labelled = points[..., 2].any(axis=1)
        dropped: dict[str, list[str]] = {}
        drop(dropped, "no labelled joint", (paths[i] for i in np.flatnonzero(~labelled)))
        asked = "fits=none was asked for" if "fits" in self.options else f"{FITS['train'][0]} is absent"
        notes = [f"no fits ({asked}): keypoints and boxes only, of {release}"]
        index, points = np.flatnonzero(labelled), points[labelled]
        if not len(index):
            return no_instances(dropped, notes)
        return Instances(
            [paths[i] for i in index],
            keypoints2d=Keypoints(points, "lsp"),
            points_end_at_border=True,
            meta={"index": index},
            dropped=dropped,
            notes=notes,
        )

    def _images(self, folder: str, ending: str) -> list[str]:
        """Names of the release's images with an ending, in order, in a folder that is empty or ends in ``/``."""
        names = image_names(self.root, folder)
        return [name for name in names if re.fullmatch(rf"im\d+\{ending}", name, re.IGNORECASE)]

    def _images_of(self, path: Path, count: int) -> tuple[list[str], str]:
        """Images of the ``count`` entries of a joints.mat, those beside it or below images/, and their release.

        Raises
        ------
        DataError : there are none, or png files, which count by order, of another number.
        """
        for place in (path.parent, path.parent / "images"):
            folder = "" if place == self.root else f"{place.relative_to(self.root).as_posix()}/"
            if names := self._images(folder, ".png"):
                if len(names) != count:
                    raise DataError(
                        f"has {count} entries, but there are {len(names)} png files to match them with in order",
                        path=path,
                        fix="unpack hr-lspet.zip whole, apart from other releases",
                    )
                return [folder + name for name in names], "the high-resolution release"
            if self._images(folder, ".jpg"):
                return [f"{folder}im{n:05d}.jpg" for n in range(1, count + 1)], "the original low-resolution release"
        raise DataError("has no images beside it", path=path, fix="unpack the images that it came with")
