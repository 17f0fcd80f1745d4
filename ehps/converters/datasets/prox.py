"""PROX: people in scanned rooms before one Kinect, SMPL-X fitted with scene constraints (PROXD, or LEMO's refits).

The Kinect delivers its images mirrored; calibration, fits and OpenPose points are those of the image as it would
be seen. So rows lead to mirrored copies of the images (column W - 1 - x), below ``mirrored/``, and parameters stay
as they are: no mirrored body is exactly a body of the model.
Source: Hassan et al., "Resolving 3D Human Pose Ambiguities with 3D Scene Constraints", ICCV 2019, the dataset's
code, and that of LEMO (Zhang et al., ICCV 2021).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import compress
from pathlib import Path

import numpy as np

from ehps.arrays import Array, Mask
from ehps.atomic import replacing
from ehps.converters.base import Camera, Converter, DatasetCard, Instances, Keypoints, Unit, drop, no_instances
from ehps.converters.options import Option
from ehps.converters.readers import fields, openpose, raw_files, smplify_fits
from ehps.converters.readers.fields import numbers
from ehps.converters.readers.frame_files import read_each
from ehps.converters.readers.images import image_names
from ehps.errors import DataError
from ehps.humandata.image_files import ImageFolder, read_pixels
from ehps.humandata.keypoints import flip_order

CARD = DatasetCard(
    id="prox",
    name="PROX",
    homepage="https://prox.is.tue.mpg.de",
    licence="non-commercial research, after registration",
    commercial_use=False,
    paper="Hassan et al., Resolving 3D Human Pose Ambiguities with 3D Scene Constraints, ICCV 2019",
    annotation="fit to RGB-D",
    annotation_note="SMPL-X, gendered, pseudo (fitted to colour and depth)",
    body_model="smplx",
    appearance="real",
    scene="indoor",
    persons="one",
    splits={"train": 88_484},
    uncertain=("train",),
    layout="""
PROX/
  recordings/<recording>/Color/<frame>.jpg             <scene>_<subject>_<number>, as N3OpenArea_00157_01
  PROXD/<recording>/results/<frame>/000.pkl
  PROXD_temp/<recording>/results/<frame>/000.pkl       for fits=lemo only
  keypoints/<recording>/<frame>_keypoints.json         optional
  calibration/Color.json
""",
    needs=("recordings", "PROXD | PROXD_temp", "calibration/Color.json"),
    get="register on the homepage; the qualitative set, PROXD.zip and, if wanted, keypoints.zip, all side by side",
    variants=dict.fromkeys(
        ("fittings/mosh", "recordings/vicon_*"), "the quantitative set; the qualitative one with PROXD.zip is needed"
    ),
    options=(
        Option("fits", "PROX's own fits, or the refits of LEMO", "proxd", choices=("proxd", "lemo")),
        Option(
            "images",
            "raw: images as released, rows lead to mirrored copies; mirrored: those under recordings/ are such copies",
            "raw",
            choices=("raw", "mirrored"),
        ),
        Option("exclude", "recordings to leave out, with commas between them", "", "names"),
    ),
    reprojection="fitted",
    fps=30,
    notes=(
        "Released images are mirrored against calibration and fits: --frames DIR writes copies that are mirrored "
        "back to DIR/mirrored, and image paths lead to these.",
        "All 60 recordings and frames are converted, as SMPLer-X did; there is no official split.",
        "The fits of MPH1Library_00145_01 and N0Sofa_03403_01 fail over many frames in a row: see the option exclude.",
        "The lens's distortion is ignored, as in the fits.",
        "2D points are OpenPose detections: bodies as *_openpose, hands and faces under their names, without the "
        "hands' own wrists.",
        "OpenPose points that were detected in the mirrored images (HuMoR's download) are mirrored back.",
    ),
)
FOLDERS = {"proxd": "PROXD", "lemo": "PROXD_temp"}
WOMEN = (159, 162, 3403, 3452)
HEIGHT, WIDTH = 1080, 1920
RECORDING = re.compile(r"(?P<scene>\w+)_(?P<subject>\d{5})_\d{2}")
MIRRORED = "mirrored"
MARKER = "MIRRORED.txt"
QUALITY = 98


class PROX(Converter):
    card = CARD

    def units(self) -> list[Unit]:
        if self.option("images") == "raw" and raw_files.is_file(self.root / MARKER):
            raise DataError("these images are mirrored already", path=self.root, fix="--option images=mirrored")
        folder = self.root / FOLDERS[self.option("fits")]
        names = {*raw_files.listing(self.root / "recordings"), *raw_files.listing(folder)}
        recordings = sorted(name for name in names if RECORDING.fullmatch(name))
        excluded = self.option("exclude", recordings)
        return [Unit(name, folder / name / "results") for name in recordings if name not in excluded]

    def read(self, unit: Unit) -> Instances:
        place = RECORDING.fullmatch(unit.name)
        assert place is not None
        colour = f"recordings/{unit.name}/Color"
        images = {name.rpartition(".")[0] for name in image_names(self.root, colour)}
        fitted = {name for name in raw_files.listing(unit.path) if raw_files.is_file(unit.path / name / "000.pkl")}
        dropped: dict[str, list[str]] = {}
        drop(dropped, "no SMPL-X fit", (f"{colour}/{frame}.jpg" for frame in sorted(images - fitted)))
        drop(dropped, "image missing", (f"{colour}/{frame}.jpg" for frame in sorted(fitted - images)))
        frames = sorted(images & fitted)
        if not frames:
            return no_instances(dropped)
        gender = "female" if int(place["subject"]) in WOMEN else "male"
        paths = [unit.path / frame / "000.pkl" for frame in frames]
        body, readable = smplify_fits.read_fits(paths, gender, dropped, self.root)
        frames = list(compress(frames, readable))
        path = self.root / "calibration/Color.json"
        calibration = fields.values(raw_files.read_json(path), {"f": numbers(2), "c": numbers(2)}, path)
        camera = Camera(calibration["f"].astype(float), calibration["c"].astype(float))
        notes: list[str] = []
        points, back = None, False
        if raw_files.is_folder(self.root / "keypoints"):
            points, readable = self._detections(unit.name, frames, notes, dropped)
            frames, body = list(compress(frames, readable)), body[readable]
            points, back = as_fitted(points, body.transl, camera)
        if back:
            notes.append(f"{unit.name}: 2D points are those of mirrored images, and were mirrored back")
        prefix = f"{MIRRORED}/" if self.option("images") == "raw" else ""
        n = len(frames)
        return Instances(
            image_path=[f"{prefix}{colour}/{frame}.jpg" for frame in frames],
            size=(HEIGHT, WIDTH),
            camera=camera,
            body=body,
            keypoints2d=None if points is None else Keypoints(points, openpose.POINTS),
            meta={
                "sequence_name": [unit.name] * n,
                "scene": [place["scene"]] * n,
                "subject": [place["subject"]] * n,
                "track_id": [unit.name] * n,
                "frame_id": frames,
            },
            misc={
                "smplx_source": "original" if self.option("fits") == "proxd" else "LEMO",
                "image_shape": [HEIGHT, WIDTH],
                "image_flip": "horizontal",
                "distortion": "ignored",
            }
            | ({"reprojection": "none"} if points is None else {"keypoints2d_source": openpose.SOURCE}),
            dropped=dropped,
            notes=notes,
        )

    def _detections(
        self, recording: str, frames: Sequence[str], notes: list[str], dropped: dict[str, list[str]]
    ) -> tuple[Array, Mask]:
        """(N, 135, 3) OpenPose points of the first person, zeros where there is none, and which frames they are of."""
        folder = self.root / "keypoints" / recording
        present = set(raw_files.listing(folder))

        def first(path: Path) -> Array:
            people = raw_files.openpose_people(path, notes) if path.name in present else np.zeros((0, 137, 3))
            return people[0] if len(people) else np.zeros((137, 3))

        paths = [folder / f"{frame}_keypoints.json" for frame in frames]
        points, readable = read_each(paths, first, openpose.UNREADABLE, dropped, self.root)
        return openpose.without_hand_wrists(np.stack(points)), readable

    def extract_frames(self, unit: Unit, image_paths: Sequence[str], folder: Path) -> None:
        """Write mirrored copies of the images below ``folder``; one that cannot be read has no copy."""
        import cv2

        targets = ImageFolder(folder)
        for path in image_paths:
            if not path.startswith(f"{MIRRORED}/"):
                continue
            target = targets.below(path)
            try:
                image = read_pixels(self.root / path.removeprefix(f"{MIRRORED}/"))
            except DataError:
                continue
            (folder / MIRRORED).mkdir(parents=True, exist_ok=True)
            (folder / MIRRORED / MARKER).write_text("Mirrored copies of PROX's images, made by ehps.\n")
            data = cv2.imencode(
                ".jpg", np.ascontiguousarray(image[:, ::-1, ::-1]), [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
            )[1]
            with replacing(target, lasting=False) as temporary:
                temporary.write_bytes(data.tobytes())


def as_fitted(points: Array, pelvis: Array, camera: Camera) -> tuple[Array, bool]:
    """Points (N, 135, 3) of one recording in the image of the fits, and whether they had to be mirrored for that.

    ``pelvis`` (N, 3), within a few millimetres across: which of x and W - 1 - x of the hips is nearer to it, in the
    median. Mirrored people have their left on the right.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        u = camera.focal[0] * pelvis[:, 0] / pelvis[:, 2] + camera.principal_point[0]
    x, confidence = points[:, openpose.MID_HIP, 0], points[:, openpose.MID_HIP, 2]
    seen = (confidence > 0) & np.isfinite(u) & (pelvis[:, 2] > 0)
    if not seen.any() or np.median(np.abs(WIDTH - 1 - x - u)[seen]) >= np.median(np.abs(x - u)[seen]):
        return points, False
    mirrored = points[:, flip_order(openpose.POINTS)]
    mirrored[..., 0] = np.where(mirrored[..., 2] > 0, WIDTH - 1 - mirrored[..., 0], 0)
    return mirrored, True
