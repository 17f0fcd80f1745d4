"""RICH: people in scanned outdoor and indoor scenes before six to eight cameras, SMPL-X fitted to all views.

World frame: that of camera 0 of each scene, OpenCV axes, metres; world to camera and K of the full-size images are
in one xml a camera. The lens's distortion is ignored, as by the dataset's toolkit. One row per sequence, camera,
frame and person, in this order.
Source: Huang et al., "Capturing and Inferring Dense Full-Body Human-Scene Contact", CVPR 2022; the dataset's toolkit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import compress
from pathlib import Path

import numpy as np

from ehps.arrays import Array, Mask
from ehps.converters import options
from ehps.converters.base import Converter, DatasetCard, Instances, Unit, drop, no_instances
from ehps.converters.datasets import rich_files
from ehps.converters.options import Option
from ehps.converters.readers import fields, raw_files, smplify_fits
from ehps.converters.readers.frame_files import read_each
from ehps.converters.readers.images import image_names, is_image_folder
from ehps.converters.readers.views import CalibratedView, cameras_of
from ehps.errors import DataError

CAMERAS = tuple(map(str, range(20)))  # scenes have six to eight; 10 is in the hand, without calibration
CARD = DatasetCard(
    id="rich",
    config="rich_{split}",
    name="RICH",
    homepage="https://rich.is.tue.mpg.de",
    licence="non-commercial research, after registration",
    commercial_use=False,
    paper="Huang et al., Capturing and Inferring Dense Full-Body Human-Scene Contact, CVPR 2022",
    annotation="multi-view capture",
    annotation_note="SMPL-X, gendered, fitted to several views",
    body_model="smplx",
    appearance="real",
    scene="indoor and outdoor",
    persons="several",
    splits={"train": 243_364, "val": None, "test": None},
    uncertain=("train",),
    layout="""
RICH/
  images/{train,val,test}/<sequence>/cam_00/00001_00.jpeg      (or {train,val,test}/...; also jpg, png, bmp)
  bodies/{train,val,test}/<sequence>/00001/001.pkl             (or {train,val,test}_body/...)
  scan_calibration/<scene>/calibration/000.xml
  human_scene_contact/{train,val,test}/<sequence>/00001/001.pkl (or {train,val,test}_hsc/...), for contact=smpl only
  gender.json                                                  optional: subject -> gender
  resource/meta/{train,val,test}.txt                           for views=listed only
""",
    needs=("scan_calibration",),
    split_needs={
        split: (f"bodies/{split} | {split}_body", f"images/{split} | {split}") for split in ("train", "val", "test")
    },
    get="register on the homepage; gender.json and resource/meta from the toolkit's resource folder; bodies that "
    "unpack to ps/project/multi-ioi/rich_release/ must be moved to the root",
    variants={"ps/project/multi-ioi/rich_release": "bodies in the folders they were packed in; move them to the root"},
    options=(
        options.cameras(CAMERAS, "numbers of cameras, with commas between them"),
        options.interval("keeps the frames whose number is a multiple of N"),
        Option(
            "views",
            "all: every calibrated camera; listed: those that the toolkit's lists name for each person",
            "all",
            choices=("all", "listed"),
        ),
        Option(
            "contact",
            "smpl: the 6890 contact labels of each person as meta/contact",
            "none",
            choices=("none", "smpl"),
        ),
    ),
    reprojection="none",
    fps=30,
    notes=(
        "All cameras and frames are converted, as SMPLer-X did; hand-held cameras (cam_10) have no calibration.",
        "Copies of the images at another size are read: K is scaled to each of them (meta/image_scale).",
        "Distortion is ignored, as by the toolkit and SMPLer-X; the coefficients are in meta/distortion.",
    ),
)
WOMEN = (9, 10, 12, 13, 16, 17, 18, 19, 21)
GENDER = {str(number): "female" if number in WOMEN else "male" for number in range(22)}
EXTENSIONS = (".bmp", ".png", ".jpg", ".jpeg")  # the last one that is there is taken


class RICH(Converter):
    card = CARD

    def units(self) -> list[Unit]:
        listed = self._listed()
        folder = self._folder("bodies", "body")
        names = [name for name in raw_files.listing(folder) if name[0] != "_" and raw_files.is_folder(folder / name)]
        if listed is None:
            return [Unit(name, folder / name) for name in names]
        return [Unit(name, folder / name, listed[name]) for name in names if name in listed]

    def read(self, unit: Unit) -> Instances:
        listed: dict[str, tuple[int, ...]] | None = unit.data
        dropped: dict[str, list[str]] = {}
        fitted = self._fits(unit.path)
        views, images = self._views(unit.name, {frame for frame, _ in fitted}, dropped)
        numbers = np.array([int(view.name[-2:]) for view in views])
        seen = np.array([[listed is None or n in listed.get(subject, ()) for _, subject in fitted] for n in numbers])
        if not seen.any():
            note = f"{unit.name}: no row, for want of images of calibrated cameras, or of bodies"
            return no_instances(dropped, [note])
        used = np.flatnonzero(seen.any(0))
        bodies = [list(fitted)[k] for k in used]
        genders = self._genders([subject for _, subject in bodies])
        rows = seen[:, used].sum(axis=0)
        paths = [fitted[key] for key in bodies]
        body, readable = smplify_fits.read_fits(paths, genders, dropped, self.root, rows.tolist())
        bodies, rows = list(compress(bodies, readable)), rows[readable]
        contact, labelled = self._contact(unit.name, bodies, rows.tolist(), dropped)
        body, bodies = body[labelled], list(compress(bodies, labelled))
        subjects = [subject for _, subject in bodies]
        # Rows: camera by camera, frame by frame, person by person.
        view, place = np.nonzero(seen[:, used[readable][labelled]])
        frame, subject = np.array([frame for frame, _ in bodies])[place], [subjects[k] for k in place]
        size, camera, move = cameras_of(views, view)
        extrinsics = np.tile(np.eye(4), (len(view), 1, 1))
        extrinsics[:, :3, :3], extrinsics[:, :3, 3] = move.rotation, move.translation
        return Instances(
            image_path=[images[v][n] for v, n in zip(view, frame, strict=True)],
            size=size,
            camera=replace(camera, distortion=None),
            body=body[place],
            world_to_camera=move,
            meta={
                "sequence_name": [unit.name] * len(view),
                "scene": [scene_of(unit.name)] * len(view),
                "camera": numbers[view],
                "frame_id": frame,
                "track_id": [f"{unit.name}_{word}" for word in subject],
                "subject": subject,
                "RT": extrinsics,
                "distortion": camera.distortion,
            }
            | {name: labels[place] for name, labels in contact.items()},
            misc={"smplx_source": "original", "distortion": "ignored"},
            dropped=dropped,
        )

    def _folder(self, kind: str, suffix: str) -> Path:
        """Of this split, in either layout."""
        flat = f"{self.split}_{suffix}" if suffix else self.split
        return raw_files.first_existing(self.root, (f"{kind}/{self.split}", flat))

    def _fits(self, folder: Path) -> dict[tuple[int, str], Path]:
        """Frame and subject -> fit of the frames that are taken, in this order."""
        paths = raw_files.matching(folder, "*/*.pkl")
        numbered = [path for path in paths if path.parent.name.isdecimal() and path.stem.isdecimal()]
        found = {(int(path.parent.name), path.stem): path for path in numbered}
        interval = self.option("interval")
        return {key: found[key] for key in sorted(found) if key[0] % interval == 0}

    def _views(
        self, sequence: str, fitted: set[int], dropped: dict[str, list[str]]
    ) -> tuple[list[CalibratedView], list[dict[int, str]]]:
        """Calibrated cameras of a sequence, and the images by frame that each took, or should have taken."""
        views: list[CalibratedView] = []
        images: list[dict[int, str]] = []
        above, interval = self._folder("images", "") / sequence, self.option("interval")
        for number in self.option("cameras"):
            folder = (above / f"cam_{number:0>2}").relative_to(self.root).as_posix()
            if not is_image_folder(self.root, folder):
                continue
            names = image_names(self.root, folder)
            taken = {
                int(name.split("_")[0]): f"{folder}/{name}"
                for ending in EXTENSIONS
                for name in names
                if name.lower().endswith(ending) and name.split("_")[0].isdecimal()
            }
            calibration = self.root / f"scan_calibration/{scene_of(sequence)}/calibration/{number:0>3}.xml"
            if not raw_files.is_file(calibration):
                drop(dropped, "camera without calibration", taken.values())
                continue
            drop(dropped, "no SMPL-X fit", (taken[n] for n in sorted(taken.keys() - fitted) if n % interval == 0))
            views.append(rich_files.read_view(calibration, folder))
            images.append({n: f"{folder}/{n:05d}_{number:0>2}.jpeg" for n in fitted} | taken)
        return views, images

    def _genders(self, subjects: Sequence[str]) -> list[str]:
        """Of the models of these subjects: by a ``gender.json`` of the root before what is known."""
        paths = [self.root / name for name in ("gender.json", "resource/gender.json")]
        path = next((path for path in paths if raw_files.is_file(path)), paths[0])
        table = fields.items(raw_files.read_json(path), path) if raw_files.is_file(path) else GENDER
        if unknown := [word for word in subjects if table.get(str(int(word))) not in ("male", "female")]:
            raise DataError(
                f"does not say the gender of subject {unknown[0]}",
                path=path,
                fix="take gender.json from the dataset's toolkit",
            )
        return [table[str(int(word))] for word in subjects]

    def _listed(self) -> rich_files.Listed | None:
        """Cameras by the toolkit's list of this split; None when all views are wanted."""
        if self.option("views") == "all":
            return None
        return rich_files.read_listed(
            raw_files.first_existing(self.root, (f"resource/meta/{self.split}.txt", f"meta/{self.split}.txt"))
        )

    def _contact(
        self, sequence: str, bodies: Sequence[tuple[int, str]], rows: Sequence[int], dropped: dict[str, list[str]]
    ) -> tuple[dict[str, Array], Mask]:
        """Labels of those of N bodies whose files of them can be read, if any were asked for, and (N,) which.

        ``rows`` says how many rows are of each.
        """
        if self.option("contact") == "none":
            return {}, np.ones(len(bodies), bool)
        folder = self._folder("human_scene_contact", "hsc") / sequence
        paths = [folder / f"{frame:05d}" / f"{subject}.pkl" for frame, subject in bodies]
        reason = "contact labels cannot be read"
        found, readable = read_each(paths, rich_files.read_contact, reason, dropped, self.root, rows=rows)
        labels, valid = zip(*found, strict=True)
        return {"contact": np.stack(labels), "contact_valid": np.array(valid)}, readable


def scene_of(sequence: str) -> str:
    return sequence.split("_", 1)[0]
