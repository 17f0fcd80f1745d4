"""RICH: people in scanned outdoor and indoor scenes before six to eight cameras, SMPL-X fitted to all views.

World frame: that of camera 0 of each scene, OpenCV axes, metres; world to camera and K of the full-size pictures are
in one xml a camera. The lens's distortion is ignored, as by the dataset's toolkit. One row per sequence, camera,
frame and person, in this order.
Source: Huang et al., "Capturing and Inferring Dense Full-Body Human-Scene Contact", CVPR 2022; the dataset's toolkit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt

from ehps.converters import fits, raw
from ehps.converters.base import Camera, Converter, DatasetCard, Instances, Rigid, Unit, drop, no_instances
from ehps.converters.images import image_size
from ehps.errors import DataError, UsageError

Array = npt.NDArray[Any]

CARD = DatasetCard(
    id="rich",
    name="RICH",
    homepage="https://rich.is.tue.mpg.de",
    licence="non-commercial research, after registration",
    commercial=False,
    paper="Huang et al., Capturing and Inferring Dense Full-Body Human-Scene Contact, CVPR 2022",
    annotation="SMPL-X, gendered, fitted to several views",
    body_model="smplx",
    appearance="real",
    scene="outdoor and indoor",
    persons="several",
    splits={"train": 243_364, "val": None, "test": None},
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
    split_needs={split: (f"bodies/{split} | {split}_body", f"images/{split} | {split}")
                 for split in ("train", "val", "test")},
    get="register on the homepage; gender.json and resource/meta from the toolkit's resource folder; bodies that "
    "unpack to ps/project/multi-ioi/rich_release/ must be moved to the root",
    variants={"ps/project/multi-ioi/rich_release": "bodies in the folders they were packed in; move them to the root"},
    options={
        "cameras": "numbers of cameras, separated by commas (all by default)",
        "stride": "N keeps the frames whose number is a multiple of N (1 by default)",
        "views": "all (default): every calibrated camera; listed: those that the toolkit's lists name for each person",
        "contact": "none (default), or smpl: the 6890 contact labels of each person as meta/contact",
    },
    reprojection="none",
    fps=30,
    notes=(
        "All cameras and frames are converted, as SMPLer-X did; hand-held cameras (cam_10) have no calibration.",
        "Copies of the pictures at another size are read: K is scaled to the width of each camera's first picture.",
        "Distortion is ignored, as by the toolkit and SMPLer-X; the coefficients are in meta/distortion.",
    ),
)  # fmt: skip
WOMEN = (9, 10, 12, 13, 16, 17, 18, 19, 21)
GENDER = {str(number): "female" if number in WOMEN else "male" for number in range(22)}
EXTENSIONS = (".bmp", ".png", ".jpg", ".jpeg")  # the last one that is there is taken
LONG, SHORT, UPRIGHT_BELOW = 4112, 3008, 1750  # px of full-size pictures; principal points of portrait ones are below
COEFFICIENTS = 14  # the most that OpenCV has
VERTICES = 6890


@dataclass(frozen=True)
class Shot:
    """One camera of one sequence: pictures by frame number, and what its xml says, for pictures of this size."""

    number: int
    folder: str
    pictures: dict[int, str]
    size: Array
    rotation: Array
    translation: Array
    focal: Array
    centre: Array
    distortion: Array


class RICH(Converter):
    card = CARD

    def units(self) -> list[Unit]:
        self._cameras(), self._stride(), self.option("contact", ("none", "smpl"))  # wrong ones are told at once
        listed = self._listed()
        folder = self._folder("bodies", "body")
        names = [name for name in raw.listing(folder) if name[0] not in "._" and (folder / name).is_dir()]
        chosen = {name: None if listed is None else listed.get(name, {}) for name in names}
        return [Unit(name, folder / name, views) for name, views in chosen.items() if views is None or views]

    def read(self, unit: Unit) -> Instances:
        views: dict[str, tuple[int, ...]] | None = unit.data
        found = {(int(frame), name[:-4]): unit.path / frame / name for frame in raw.listing(unit.path)
                 if frame.isdecimal() for name in raw.listing(unit.path / frame)
                 if name.endswith(".pkl") and name[:-4].isdecimal()}  # fmt: skip
        bodies = {key: path for key, path in sorted(found.items()) if key[0] % self._stride() == 0}
        fitted = {frame for frame, _ in bodies}
        dropped: dict[str, list[str]] = {}
        rows: list[tuple[Shot, int, int]] = []  # camera, frame, which body
        for shot in self._shots(unit.name, dropped):
            unfitted = [n for n in sorted(shot.pictures) if n % self._stride() == 0 and n not in fitted]
            drop(dropped, "no SMPL-X fit", (f"{shot.folder}/{shot.pictures[n]}" for n in unfitted))
            rows += [(shot, frame, k) for k, (frame, subject) in enumerate(bodies)
                     if views is None or shot.number in views.get(subject, ())]  # fmt: skip
        if not rows:
            nothing = no_instances(dropped)
            nothing.notes.append(f"{unit.name}: no row, for want of pictures of calibrated cameras, or of bodies")
            return nothing
        which = np.array([k for *_, k in rows])
        used, place = np.unique(which, return_inverse=True)
        frames, subjects = zip(*bodies, strict=True)
        gender = self._genders()
        words = np.array([self._gender(gender, subjects[k]) for k in used], object)
        paths = list(bodies.values())
        rotation, translation = (np.stack([getattr(s, name) for s, *_ in rows]) for name in ("rotation", "translation"))
        extrinsics = np.tile(np.eye(4), (len(rows), 1, 1))
        extrinsics[:, :3, :3], extrinsics[:, :3, 3] = rotation, translation
        return Instances(
            image_path=[f"{s.folder}/{s.pictures.get(n, f'{n:05d}_{s.number:02d}.jpeg')}" for s, n, _ in rows],
            size=np.stack([s.size for s, *_ in rows]),
            camera=Camera(np.stack([s.focal for s, *_ in rows]), np.stack([s.centre for s, *_ in rows])),
            body=fits.read_fits([paths[k] for k in used], words)[place],
            world_to_camera=Rigid(rotation, translation),
            meta={
                "sequence_name": [unit.name] * len(rows),
                "scene": [scene_of(unit.name)] * len(rows),
                "camera": np.array([s.number for s, *_ in rows]),
                "frame_id": np.array(frames)[which],
                "track_id": [f"{unit.name}_{subjects[k]}" for k in which],
                "subject": [subjects[k] for k in which],
                "RT": extrinsics,
                "distortion": np.stack([s.distortion for s, *_ in rows]),
            } | self._contact(unit.name, [(frames[k], subjects[k]) for k in used], place),
            misc={"smplx_source": "original", "distortion": "ignored"},
            dropped=dropped,
        )  # fmt: skip

    def _folder(self, kind: str, suffix: str) -> Path:
        """Of this split, in either layout."""
        flat = f"{self.split}_{suffix}" if suffix else self.split
        return raw.first_existing(self.root, (f"{kind}/{self.split}", flat))

    def _shots(self, sequence: str, dropped: dict[str, list[str]]) -> Iterator[Shot]:
        """Calibrated cameras of a sequence, ascending."""
        wanted = self._cameras()
        above = self._folder("images", "") / sequence
        for name in raw.listing(above):
            number = int(word) if (word := name.rsplit("_", 1)[-1]).isdecimal() else -1
            if not name.startswith("cam_") or number < 0 or (wanted and number not in wanted):
                continue
            folder = (above / name).relative_to(self.root).as_posix()
            pictures = {int(file.split("_")[0]): file for ending in EXTENSIONS for file in raw.listing(above / name)
                        if file.endswith(ending) and file.split("_")[0].isdecimal()}  # fmt: skip
            path = self.root / "scan_calibration" / scene_of(sequence) / "calibration" / f"{number:03d}.xml"
            if path.is_file():
                yield Shot(number, folder, pictures, *calibration(path, self.root, folder))
            else:
                drop(dropped, "camera without calibration", (f"{folder}/{file}" for file in pictures.values()))

    def _genders(self) -> dict[str, str]:
        paths = [self.root / name for name in ("gender.json", "resource/gender.json")]
        return next((raw.read_json(path) for path in paths if path.is_file()), GENDER)

    def _gender(self, table: dict[str, str], subject: str) -> str:
        if (gender := table.get(str(int(subject)))) not in ("male", "female"):
            raise DataError(f"does not say the gender of subject {subject}", path=self.root / "gender.json",
                            fix="take gender.json from the dataset's toolkit")  # fmt: skip
        return str(gender)

    def _listed(self) -> dict[str, dict[str, tuple[int, ...]]] | None:
        """Sequence -> subject -> cameras, of the toolkit's list of this split; None when all views are wanted."""
        if self.option("views", ("all", "listed")) == "all":
            return None
        path = raw.first_existing(self.root, (f"resource/meta/{self.split}.txt", f"meta/{self.split}.txt"))
        out: dict[str, dict[str, tuple[int, ...]]] = {}
        for line in raw.read_lines(path)[1:]:
            words = line.split()
            try:
                out.setdefault(words[0], {})[words[3]] = tuple(int(view) for view in words[-1].split(","))
            except (IndexError, ValueError):
                raise DataError(f"has a line of another kind: {line!r}", path=path, fix=raw.AGAIN) from None
        return out

    def _cameras(self) -> list[int]:
        chosen = self.options.get("cameras", "").replace(" ", "")
        words = chosen.split(",") if chosen not in ("", "all") else []
        if not all(word.isdecimal() for word in words):
            raise UsageError(f"cameras={chosen}: give numbers separated by commas, as 0,3")
        return [int(word) for word in words]

    def _stride(self) -> int:
        chosen = self.options.get("stride", "1")
        if not chosen.isdecimal() or int(chosen) < 1:
            raise UsageError(f"stride={chosen}: give a whole number from 1")
        return int(chosen)

    def _contact(self, sequence: str, people: list[tuple[int, str]], place: Array) -> dict[str, Array]:
        """Labels (N, 6890) of SMPL's vertices, zeros where there are none, and whether there are any."""
        if self.option("contact", ("none", "smpl")) == "none":
            return {}
        folder = self._folder("human_scene_contact", "hsc") / sequence
        labels, known = np.zeros((len(people), VERTICES), np.uint8), np.zeros(len(people), bool)
        for k, (frame, subject) in enumerate(people):
            path = folder / f"{frame:05d}" / f"{subject}.pkl"
            if path.is_file():
                content = raw.load_pkl(path)
                raw.require(content, "contact", path)
                labels[k], known[k] = np.ravel(content["contact"]) > 0, True
        return {"contact": labels[place], "contact_valid": known[place]}


def scene_of(sequence: str) -> str:
    return sequence.split("_", 1)[0]


def calibration(path: Path, root: Path, folder: str) -> tuple[Array, Array, Array, Array, Array, Array]:
    """Size of a folder's pictures, world-to-camera rotation and translation, focal length and principal point for
    this size, and the coefficients of distortion (14, zeros behind those that are given)."""
    try:
        tree = ElementTree.parse(path).getroot()
        nodes = [tree.find(f".//{name}/data") for name in ("CameraMatrix", "Intrinsics", "Distortion")]
        values = [np.array((node.text or "").split() if node is not None else [], float) for node in nodes]
    except (ElementTree.ParseError, ValueError, OSError) as error:
        raise DataError(f"is no camera calibration ({error})", path=path, fix=raw.AGAIN) from None
    if values[0].size != 12 or values[1].size != 9 or values[2].size > COEFFICIENTS:
        raise DataError("lacks CameraMatrix (12 numbers) or Intrinsics (9)", path=path, fix=raw.AGAIN)
    pose, k = values[0].reshape(3, 4), values[1].reshape(3, 3)
    full = np.array([SHORT, LONG] if k[0, 2] > UPRIGHT_BELOW else [LONG, SHORT])
    size = image_size(root, folder, default=full)
    scale = size[1] / full[1]
    distortion = np.pad(values[2], (0, COEFFICIENTS - values[2].size))
    return size, pose[:, :3], pose[:, 3], k[[0, 1], [0, 1]] * scale, k[:2, 2] * scale, distortion
