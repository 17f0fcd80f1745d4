"""UP-3D: images of LSP, LSPET, MPII and FashionPose with SMPL fits that people judged good.

The fit camera (focal 5000 px, centre of the image that was fitted) becomes one of the whole image by the crop
that ``_fit_crop_info.txt`` names: fitted height and width, then rows and columns of the image it shows.
Source: Lassner et al., "Unite the People", CVPR 2017, and the release's files.
"""

from __future__ import annotations

import re
from itertools import compress
from pathlib import Path

import numpy as np

from ehps.arrays import Array
from ehps.body.params import smpl_params
from ehps.body.rotations import to_matrix
from ehps.converters import ranges
from ehps.converters.base import Camera, Converter, DatasetCard, Instances, Keypoints, Rigid, Unit, drop, no_instances
from ehps.converters.options import Option
from ehps.converters.readers import OTHER, fields, raw_files
from ehps.converters.readers.fields import numbers
from ehps.converters.readers.frame_files import read_each
from ehps.errors import DataError
from ehps.humandata.image_files import read_pixels

CARD = DatasetCard(
    id="up3d",
    config="up3d_{split}",
    name="UP-3D",
    homepage="https://files.is.tuebingen.mpg.de/classner/up/",
    licence="CC BY-NC 4.0; images keep their owners' rights",
    commercial_use=False,
    paper="Lassner et al., Unite the People: Closing the Loop Between 3D and 2D Human Representations, CVPR 2017",
    annotation="fit to 2D points",
    annotation_note="SMPL, neutral, pseudo (fitted to joints and silhouettes)",
    body_model="smpl",
    appearance="real",
    scene="in the wild",
    persons="one",
    splits={"trainval": 7_126, "train": 5_703, "val": 1_423, "test": 1_389},
    layout="""
up-3d/                          (inside up-3d.zip; some have up-3d/up-3d/)
  {train,val,trainval,test}.txt
  00000_image.png               the image; 00000 .. 08514
  00000_joints.npy              14 joints, 2D
  00000_body.pkl                the SMPL fit
  00000_fit_crop_info.txt       which part of the image was fitted, at what size
  00000_dataset_info.txt        optional: where the image comes from
  00000_quality_info.txt        optional: high or medium
  00000_render_light.png        for box=render only: the fit drawn on white
""",
    needs=("*_image.png", "*_joints.npy", "*_body.pkl", "*_fit_crop_info.txt"),
    split_needs={split: (f"{split}.txt",) for split in ("trainval", "train", "val", "test")},
    get="up-3d.zip from the homepage",
    options=(
        Option(
            "box",
            "joints: around the projected joints; render: around the drawn fit, slower",
            "joints",
            choices=("joints", "render"),
        ),
    ),
    reprojection="fitted",
    notes=(
        "Depths are tens of metres and cannot be compared between images: the focal length is a guess.",
        "Without body models boxes are those of the 14 annotated joints; box=render has them from the drawn fit.",
        "All qualities are kept; meta/quality says which, for those who want `high` alone.",
        "It shares images with LSP, LSPET and MPII; the test images of LSP are in its test list.",
    ),
)
FOCAL = 5000.0
MEMBERS = ("joints.npy", "body.pkl", "fit_crop_info.txt")
RENDER = "render_light.png"
UNIT = 500
INFO = {"dataset_info.txt": re.compile(r"[a-z][\w-]* \d+"), "quality_info.txt": re.compile(r"high|medium|low")}
KNOWN = {"dataset_info.txt": "a dataset and an index", "quality_info.txt": "high, medium or low"}
BODY = {"betas": numbers(10), "pose": numbers(72), "trans": numbers(3), "rt": numbers(3), "t": numbers(3)}


class UP3D(Converter):
    card = CARD

    def units(self) -> list[Unit]:
        path = self.root / f"{self.split}.txt"
        lines = raw_files.read_lines(path)
        found = [re.search(r"(\d{5})_image", line) for line in lines]
        if odd := [line for line, match in zip(lines, found, strict=True) if match is None]:
            raise DataError(f"has a line of another kind: {odd[0][: fields.SHOWN]!r}", path=path, fix=OTHER)
        ids = list(dict.fromkeys(match[1] for match in found if match))
        return [Unit(f"{self.split}_{i // UNIT:02d}", path, ids[i : i + UNIT]) for i in range(0, len(ids), UNIT)]

    def read(self, unit: Unit) -> Instances:
        drawn = self.option("box") == "render"
        members = (*MEMBERS, RENDER) if drawn else MEMBERS
        dropped: dict[str, list[str]] = {}
        ids = list(unit.data)
        for name in members:
            absent = {i for i in ids if not raw_files.is_file(self._file(i, name))}
            drop(dropped, f"no {name}", sorted(absent))
            ids = [i for i in ids if i not in absent]
        if not ids:
            return no_instances(dropped)
        files = [self._file(i, "body.pkl") for i in ids]
        people, readable = read_each(files, self._person, "files of the person cannot be read", dropped, self.root)
        ids = list(compress(ids, readable))
        fits, crops, joints, facts = zip(*people, strict=True)
        height, width, y0, y1, x0, x1 = np.array(crops).T
        trans, turn, shift = (np.array([np.ravel(fit[name]) for fit in fits], float) for name in ("trans", "rt", "t"))
        placed = turn.any()  # nowhere in the release: bodies are in the camera frame but for t
        return Instances(
            image_path=[f"{i}_image.png" for i in ids],
            least_size=np.column_stack([y1, x1]),
            camera=Camera(
                FOCAL * np.column_stack([(x1 - x0) / width, (y1 - y0) / height]),
                np.column_stack([x0 + x1, y0 + y1]) / 2,
                virtual=True,
            ),
            body=smpl_params(
                gender="neutral",
                betas=np.array([np.ravel(fit["betas"]) for fit in fits], float),
                pose=np.array([np.ravel(fit["pose"]) for fit in fits], float),
                transl=trans if placed else trans + shift,
            ),
            world_to_camera=Rigid(to_matrix(turn), shift) if placed else None,
            keypoints2d=Keypoints(np.stack(joints), "lsp"),
            bbox=np.array([self._drawn(i) for i in ids]) if drawn else None,
            meta={
                "image_id": ids,
                "source_dataset": [dataset for dataset, _, _ in facts],
                "source_index": [index for _, index, _ in facts],
                "quality": [quality for _, _, quality in facts],
            },
            misc={"cam_param_type": "perspective", "cam_param_source": "estimated"}
            | ({"bbox_source": "render_light"} if drawn else {}),
            dropped=dropped,
        )

    def _file(self, i: str, name: str) -> Path:
        return self.root / f"{i}_{name}"

    def _person(self, path: Path) -> tuple[dict[str, Array], list[float], Array, tuple[str, str, str]]:
        """Fit, crop, joints and source of the person whose fit is at a path."""
        i = path.name.removesuffix("_body.pkl")
        fit = fields.values(raw_files.load_pkl(path), BODY, path, finite=False)
        return fit, self._crop(i), self._joints(i), self._source(i)

    def _crop(self, i: str) -> list[float]:
        """Fitted height and width, y0, y1, x0, x1."""
        path = self._file(i, "fit_crop_info.txt")
        words = " ".join(raw_files.read_lines(path)).split()
        try:
            values = [float(word) for word in words]
        except ValueError:
            values = []
        if len(values) != 6 or not all(0 <= value <= ranges.PIXELS for value in values):
            raise DataError(f"holds {' '.join(words[:9])}, expected six numbers of pixels", path=path, fix=OTHER)
        height, width, y0, y1, x0, x1 = values
        if not (height > 0 < width and y0 < y1 and x0 < x1):
            raise DataError(f"holds {' '.join(words)}, a crop without area", path=path, fix=OTHER)
        return values

    def _joints(self, i: str) -> Array:
        """(14, 3): the release has rows x, y, confidence; some copies lack the last."""
        path = self._file(i, "joints.npy")
        known = numbers("rows", 14)
        joints = fields.values({"the array": raw_files.load_npy(path)}, {"the array": known}, path, finite=False)[
            "the array"
        ].astype(float)
        if len(joints) not in (2, 3):
            raise DataError(f"has {len(joints)} rows, expected x, y and confidence of 14 points", path=path, fix=OTHER)
        return joints.T if len(joints) == 3 else np.column_stack([joints.T, (joints > 0).all(0)])

    def _source(self, i: str) -> tuple[str, str, str]:
        """Source dataset, index in it, and quality; ``unknown`` where the files do not say."""
        words = {}
        for name in ("dataset_info.txt", "quality_info.txt"):
            path = self._file(i, name)
            words[name] = raw_files.read_lines(path)[0].split() if raw_files.is_file(path) else []
            if raw_files.is_file(path) and not INFO[name].fullmatch(" ".join(words[name])):
                what = f"holds {' '.join(words[name])[: fields.SHOWN]!r}, expected {KNOWN[name]}"
                raise DataError(what, path=path, fix=OTHER)
        dataset, index, *_ = [*words["dataset_info.txt"], "unknown", "unknown"]
        (quality,) = words["quality_info.txt"] or ["unknown"]
        return dataset, index, quality

    def _drawn(self, i: str) -> list[float]:
        """x, y, w, h of what is not white in the drawing of the fit; without area when nothing is."""
        path = self._file(i, RENDER)
        raw_files.note(path)
        inked = read_pixels(path).min(axis=2) < 255
        y, x = np.flatnonzero(inked.any(axis=1)), np.flatnonzero(inked.any(axis=0))
        return [x[0], y[0], x[-1] + 1 - x[0], y[-1] + 1 - y[0]] if len(x) else [0, 0, 0, 0]
