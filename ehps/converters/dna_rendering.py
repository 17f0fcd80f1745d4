"""What DNA-Rendering's two sets of cameras share: pairs of ``.smc`` files (HDF5), and one row per frame and camera.

The main file holds the actor's gender and the encoded pictures, the annotation file calibrations, points and the
SMPL-X fits in a world with y down. ``RT`` takes the camera to the world; pictures are distorted as they are, and 2D
points with them. ``scale`` is of no use: fits align with the pictures without it.
Source: Cheng et al., ICCV 2023; the reader and the pages of the release.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ehps.body import cameras, rigid
from ehps.body.params import smplx_params
from ehps.converters import raw
from ehps.converters.base import Camera, Converter, DatasetCard, Instances, Keypoints, Rigid, Unit, drop, no_instances
from ehps.converters.images import header_size
from ehps.errors import DataError, UsageError
from ehps.humandata.atomic import replacing
from ehps.humandata.keypoints import names

Array = npt.NDArray[Any]

DETECTED = (1, 2, 4, 5, 7, 8, *range(16, 22), *range(25, 144))
POINTS_2D = tuple(names("human_data")[slot] for slot in DETECTED)
"""The 131 points that were detected and triangulated: COCO-WholeBody's without the roots of the hands."""
TWIN = 0.0005  # metres within which a point that was not triangulated is a copy of another
PART = re.compile(r"part[ _]?(\d+)", re.IGNORECASE)
STEM = re.compile(r"(\d{4}_\d{2})(_annots)?")
PARTS = {"train": 2, "test": 1}
HEADER = 1 << 18  # bytes of an encoded picture within which its size is stated


def card(dataset: str, name: str, which: str, splits: dict[str, int], notes: Sequence[str]) -> DatasetCard:
    """The card of one of the two sets; ``which`` are the ids of its cameras."""
    return DatasetCard(
        id=dataset,
        name=name,
        homepage="https://dna-rendering.github.io",
        licence="research only, signed licence and e-mail",
        commercial=False,
        paper="Cheng et al., DNA-Rendering: A Diverse Neural Actor Repository for High-Fidelity Human-centric "
        "Rendering, ICCV 2023",
        annotation="SMPL-X, gendered, pseudo (fitted to triangulated points)",
        body_model="smplx",
        appearance="real",
        scene="studio",
        persons="one",
        splits=splits,
        layout="""
DNA-Rendering/
  dna_rendering_part<1,2>_main/<actor>_<performance>.smc                   (also below `Part 1/`, `Part 2/`)
  dna_rendering_part<1,2>_annotations/<actor>_<performance>_annots.smc     (or beside the main files)
  images/<actor>_<performance>/<camera>/000000.jpg     (out of the main files: `--frames DIR` does it)
""",
        needs=("*_annots.smc | */*_annots.smc | */*/*_annots.smc",),
        get="sign the licence and send it; unpack main and annotations of parts 1 and 2 side by side (parts 3 to 6 "
        "have no fits)",
        variants={
            "dna_rendering_part[3-6]_*": "parts 3 to 6, which have no fits; part 1 (test) or 2 (train) is needed"
        },
        options={
            "cameras": f"some of {which}, separated by commas (all by default)",
            "stride": "N keeps the frames whose number is a multiple of N (1 by default)",
            "sequences": "a text file with one `<actor>_<performance>` a line, to read instead of the split's part",
        },
        reprojection="fitted",
        fps=15,
        notes=(
            "`train` is part 2 and `test` part 1, as in the paper; the lists of 399 and 78 sequences that SMPLer-X was "
            "trained and tested with are not public.",
            "Pictures are distorted (`meta/dist_coeffs`), and points are projected with the distortion.",
            "Betas belong to the actor's gendered model.",
            *notes,
        ),
    )


@dataclass(frozen=True)
class Pair:
    """The two files of a sequence, None for one that is not there."""

    main: Path | None = None
    annotations: Path | None = None


class DNARendering(Converter):
    """Rows of the cameras ``ids``, whose pictures are in ``group`` of the main files."""

    group: ClassVar[str]
    ids: ClassVar[range]

    def units(self) -> list[Unit]:
        self._cameras(), self._stride()  # a wrong option is said before anything is read
        pairs = self._pairs()
        if listed := self.options.get("sequences"):
            stems = sorted({line.strip() for line in raw.read_lines(listed)})
            known = {stem: pair for (_, stem), pair in sorted(pairs.items())}  # those of a numbered part win
            return [_unit(stem, known.get(stem, Pair()), self.root) for stem in stems]
        if pairs and not any(part for part, _ in pairs):
            raise DataError("no folder says which part of the release its files are from", path=self.root,
                            fix="keep `part1` or `part2` in folder names, or list the sequences: "
                            "--option sequences=FILE")  # fmt: skip
        return [_unit(stem, pair, self.root) for (part, stem), pair in sorted(pairs.items())
                if part == PARTS[self.split]]  # fmt: skip

    def read(self, unit: Unit) -> Instances:
        pair: Pair = unit.data
        if pair.main is None or pair.annotations is None:
            lacking = "annotation file" if pair.main else "main file" if pair.annotations else "file"
            return no_instances({f"no {lacking} of the sequence": [unit.name]})
        stride = self._stride()
        with opened(pair.main) as file:
            gender = gender_of(file)
            taken = pictures(file, self.group, self._cameras())
        with opened(pair.annotations) as file:
            reason = next((why for why, so in {
                f"no pictures in {self.group} of the main file": not taken,
                "gender of the actor not given": not gender,
                "no SMPL-X fits": "SMPLx" not in file,
            }.items() if so), "")  # fmt: skip
            if reason:
                return no_instances({reason: [unit.name]})
            fits = read_fits(file, pair.annotations)
            shots, dropped = _shots(unit.name, taken, file, len(fits["transl"]), stride)
            if not shots:
                return no_instances(dropped)
            rows = _rows(unit.name, shots, fits, file, pair.annotations, gender)
        rows.dropped = dropped
        return rows

    def extract_frames(self, unit: Unit, image_paths: Sequence[str], folder: Path) -> None:
        """Write the pictures named in ``image_paths`` as they are in the main file, byte by byte."""
        with opened(unit.data.main) as file:
            for path in image_paths:
                _, camera, name = path.rsplit("/", 2)
                data = file[f"{self.group}/{int(camera)}/color/{int(Path(name).stem)}"][()]
                with replacing(folder / path, data.nbytes) as temporary:
                    temporary.write_bytes(data.tobytes())

    def _pairs(self) -> dict[tuple[int, str], Pair]:
        """(part of the release, 0 if no folder says it; sequence) -> its files."""
        found: dict[tuple[int, str], dict[str, Path]] = {}
        for depth in ("*", "*/*", "*/*/*"):
            for path in sorted(self.root.glob(f"{depth}.smc")):
                name = STEM.fullmatch(path.stem)
                folders = "/".join((self.root.name, *path.relative_to(self.root).parts[:-1]))
                if name is None or "apose" in folders.lower():
                    continue
                parts = PART.findall(folders)
                kind = "annotations" if name[2] else "main"
                found.setdefault((int(parts[-1]) if parts else 0, name[1]), {}).setdefault(kind, path)
        return {key: Pair(**paths) for key, paths in found.items()}

    def _cameras(self) -> list[int]:
        chosen = self.options.get("cameras")
        if chosen is None:
            return list(self.ids)
        words = [word.strip() for word in chosen.split(",")]
        if not all(word.isdecimal() and int(word) in self.ids for word in words):
            raise UsageError(f"cameras={chosen}: {self.card.name} has {self.ids[0]} to {self.ids[-1]}",
                             fix="give ids separated by commas")  # fmt: skip
        return sorted({int(word) for word in words})

    def _stride(self) -> int:
        chosen = self.options.get("stride", "1")
        if not chosen.isdecimal() or int(chosen) < 1:
            raise UsageError(f"stride={chosen}: a whole number of frames, 1 or more, is wanted")
        return int(chosen)


@dataclass(frozen=True)
class Taken:
    """What a camera took: numbers of its frames, and height and width of its pictures."""

    frames: Array
    size: tuple[int, int]


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """An ``.smc`` file for reading.

    Raises
    ------
    DataError : it is no whole HDF5 file, or lacks something that is asked of it.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            yield file
    except OSError as error:
        raise DataError(f"is no complete .smc file ({error})", path=path, fix=raw.AGAIN) from None
    except KeyError as error:
        raise DataError(f"lacks something ({error.args[0]})", path=path, fix=raw.AGAIN) from None


def gender_of(file: Any) -> str:
    """The actor's gender, a word; empty where it is not given."""
    words = raw.texts(file.attrs.get("gender", ""))
    word = words[0].strip().lower() if words else ""
    return word if word in ("male", "female") else ""


def pictures(file: Any, group: str, wanted: Sequence[int]) -> dict[int, Taken]:
    """Camera -> what it took, for the cameras in ``wanted`` that took something.

    Sizes are those of each camera's first picture, as stated in its header, else the group's ``resolution``.
    """
    out: dict[int, Taken] = {}
    for camera in wanted if group in file else ():
        colour = file[group].get(f"{camera}/color")
        if colour is None or not len(colour):
            continue
        frames = np.array(sorted(int(key) for key in colour))
        size = header_size(io.BytesIO(colour[str(frames[0])][:HEADER].tobytes()))
        if size == (0, 0):
            height, width = np.ravel(file[group].attrs["resolution"])[:2].tolist()
            size = int(height), int(width)
        out[camera] = Taken(frames, size)
    return out


def read_fits(file: Any, path: Path) -> dict[str, Array]:
    """``fullpose`` (F, 55, 3), ``transl`` (F, 3), ``betas`` and ``expression`` (F, K) in the world frame.

    Raises
    ------
    DataError : an array has another shape.
    """
    group = file["SMPLx"]
    pose = _shaped(group["fullpose" if "fullpose" in group else "full_pose"][()], (55, 3), "fullpose", path)
    count = min(len(pose), len(group["transl"]))
    fits = {"fullpose": pose[:count], "transl": _shaped(group["transl"][:count], (3,), "transl", path)}
    for name, values in (
        ("betas", group["betas" if "betas" in group else "beta"][()]),
        ("expression", group["expression"][()]),
    ):
        rows = np.atleast_2d(np.asarray(values, float))
        if len(rows) not in (1, len(pose)):
            raise DataError(f"{name} has {len(rows)} rows for {len(pose)} frames", path=path, fix=raw.AGAIN)
        fits[name] = np.broadcast_to(rows, (len(pose), rows.shape[1]))[:count]
    return fits


def _shots(
    name: str, taken: dict[int, Taken], file: Any, count: int, stride: int
) -> tuple[dict[int, Taken], dict[str, list[str]]]:
    """What can be used of what each camera took, and reason -> what cannot: fits are of the frames below ``count``."""
    dropped: dict[str, list[str]] = {}
    shots: dict[int, Taken] = {}
    for camera, shot in taken.items():
        frames = shot.frames[shot.frames % stride == 0]
        lost = np.setdiff1d(np.arange(0, count, stride), frames)
        drop(dropped, "no picture of a fitted frame", image_paths(name, camera, lost))
        drop(dropped, "no SMPL-X fit of the frame", image_paths(name, camera, frames[frames >= count]))
        frames = frames[frames < count]
        if f"Camera_Parameter/{camera:02d}" not in file:
            drop(dropped, "camera not calibrated", image_paths(name, camera, frames))
        elif len(frames):
            shots[camera] = Taken(frames, shot.size)
    return shots, dropped


def image_paths(name: str, camera: int, frames: Array) -> list[str]:
    """Where pictures lie when they are out of the main file."""
    return [f"images/{name}/{camera:02d}/{frame:06d}.jpg" for frame in frames.tolist()]


def _rows(name: str, shots: dict[int, Taken], fits: dict[str, Array], file: Any, path: Path, gender: str) -> Instances:
    """One row per camera and frame, in this order."""
    count = len(fits["transl"])
    slot = np.repeat(np.arange(len(shots)), [len(shot.frames) for shot in shots.values()])
    frame = np.concatenate([shot.frames for shot in shots.values()])
    parameters = [file[f"Camera_Parameter/{camera:02d}"] for camera in shots]
    focal, centre = cameras.from_matrix(np.stack([p["K"][()] for p in parameters]))
    to_world = rigid.split(np.stack([p["RT"][()] for p in parameters]))
    rotation = to_world[0].transpose(0, 2, 1)
    move = Rigid(rotation[slot], rigid.from_center(rotation, to_world[1])[slot])
    points2d = np.stack([detected(file, camera, count, path) for camera in shots])[slot, frame]
    points3d = triangulated(file, count, path)[frame]
    moved = rigid.apply(points3d[..., :3], move.rotation, move.translation)
    points3d[..., :3] = np.where(points3d[..., 3:] > 0, moved, 0)
    pose = fits["fullpose"][frame]
    ids = np.array(list(shots))[slot]
    return Instances(
        image_path=[p for camera, shot in shots.items() for p in image_paths(name, camera, shot.frames)],
        size=np.array([shot.size for shot in shots.values()])[slot],
        camera=Camera(focal[slot], centre[slot], np.stack([np.ravel(p["D"][()]) for p in parameters])[slot]),
        body=smplx_params(
            gender=gender,
            betas=fits["betas"][frame],
            global_orient=pose[:, 0],
            body_pose=pose[:, 1:22],
            jaw_pose=pose[:, 22],
            leye_pose=pose[:, 23],
            reye_pose=pose[:, 24],
            left_hand_pose=pose[:, 25:40],
            right_hand_pose=pose[:, 40:55],
            expression=fits["expression"][frame],
            transl=fits["transl"][frame],
        ),
        world_to_camera=move,
        keypoints2d=Keypoints(points2d, POINTS_2D),
        keypoints3d=Keypoints(points3d, "human_data"),
        meta={"sequence_name": [name] * len(frame), "cam_id": ids, "frame_id": frame},
        misc={"smplx_source": "original", "fps": 15, "image_undistorted": False},
    )


def detected(file: Any, camera: int, count: int, path: Path) -> Array:
    """(count, 131, 3) points in a camera's pictures, x, y, score; zeros where there are none."""
    out = np.zeros((count, len(POINTS_2D), 3))
    points = file.get(f"Keypoints_2D/{camera:02d}")
    if points is not None:
        found = _shaped(points[:count], (len(POINTS_2D), 3), f"Keypoints_2D/{camera:02d}", path)
        out[: len(found)] = found
    return out


def triangulated(file: Any, count: int, path: Path) -> Array:
    """(count, 190, 4) points in the world, m, with confidence 1 where they are real.

    Points without a place are zeros or no numbers; some of those that were not triangulated are copies of others.
    """
    out = np.zeros((count, 190, 4))
    points = file.get("Keypoints_3D/keypoints3d")
    if points is None:
        return out
    found = np.asarray(points[:count], float)
    if found.shape[1:] not in ((190, 3), (190, 4)):
        raise DataError(f"keypoints3d is {found.shape}, not (F, 190, 3)", path=path, fix=raw.AGAIN)
    found = found[..., :3]
    there = np.isfinite(found).all(2) & found.any(2)
    real = there.copy()
    for index in np.setdiff1d(np.arange(190), DETECTED).tolist():
        near = np.linalg.norm(found - found[:, index : index + 1], axis=2) < TWIN
        near[:, index] = False
        real[:, index] &= ~(near & there).any(1)
    out[: len(found), :, :3] = np.where(real[..., None], found, 0)
    out[: len(found), :, 3] = real
    return out


def _shaped(values: Any, tail: tuple[int, ...], name: str, path: Path) -> Array:
    array = np.asarray(values, float)
    if array.shape[1:] != tail:
        raise DataError(f"{name} is {array.shape}, not (F, {', '.join(map(str, tail))})", path=path, fix=raw.AGAIN)
    return array


def _unit(stem: str, pair: Pair, root: Path) -> Unit:
    """A sequence; the path is that of the fits, or of the file that is not there."""
    if pair.main is None and pair.annotations is not None:
        return Unit(stem, pair.annotations.with_name(f"{stem}.smc"), pair)
    return Unit(stem, pair.annotations or pair.main or root / f"{stem}.smc", pair)
