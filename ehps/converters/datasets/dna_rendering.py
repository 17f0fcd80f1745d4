"""What DNA-Rendering's two sets of cameras share: pairs of ``.smc`` files (HDF5), and one row per frame and camera.

The main file holds the actor's gender and the encoded images, the annotation file calibrations, points and the
SMPL-X fits in a world with y down. ``RT`` takes the camera to the world; images are distorted as they are, and 2D
points with them. ``scale`` is of no use: fits align with the images without it.
Source: Cheng et al., ICCV 2023; the reader and the pages of the release.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ehps.arrays import Array
from ehps.atomic import replacing
from ehps.body import rigid_motion
from ehps.converters import options
from ehps.converters.base import Converter, DatasetCard, Instances, Keypoints, Unit, drop, no_instances
from ehps.converters.datasets import dna_rendering_files
from ehps.converters.options import Option
from ehps.converters.readers import raw_files
from ehps.converters.readers.views import CalibratedView, cameras_of
from ehps.errors import DataError

PART = re.compile(r"part[ _]?(\d+)", re.IGNORECASE)
STEM = re.compile(r"(\d{4}_\d{2})(_annots)?")
PARTS = {"train": 2, "test": 1}


def card(
    dataset: str, name: str, cameras: Sequence[str], splits: dict[str, int], notes: Sequence[str], config: str = ""
) -> DatasetCard:
    """The card of one of the two sets of cameras."""
    return DatasetCard(
        id=dataset,
        config=config,
        name=name,
        homepage="https://dna-rendering.github.io",
        licence="research only, signed licence and e-mail",
        commercial_use=False,
        paper="Cheng et al., DNA-Rendering: A Diverse Neural Actor Repository for High-Fidelity Human-centric "
        "Rendering, ICCV 2023",
        annotation="multi-view capture",
        annotation_note="SMPL-X, gendered, pseudo (fitted to triangulated points)",
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
        options=(
            options.cameras(cameras, "numbers of cameras, with commas between them"),
            options.interval("keeps the frames whose number is a multiple of N"),
            Option(
                "sequences",
                "a text file with one `<actor>_<performance>` a line, to read instead of the split's part",
                "",
                "text",
            ),
        ),
        reprojection="fitted",
        fps=15,
        notes=(
            "`train` is part 2 and `test` part 1, as in the paper; the lists of 399 and 78 sequences that SMPLer-X was "
            "trained and tested with are not public.",
            "Images are distorted (`meta/dist_coeffs`), and points are projected with the distortion.",
            "Betas belong to the actor's gendered model.",
            "The expressions of some released sequences end before the poses: frames without one keep their bodies, "
            "with an expression of zeros and meta/face_valid false.",
            *notes,
        ),
    )


@dataclass(frozen=True)
class Pair:
    """The two files of a sequence, None for one that is not there."""

    main: Path | None = None
    annotations: Path | None = None


class DNARendering(Converter):
    """Rows of the cameras whose images are in ``group`` of the main files."""

    group: ClassVar[str]

    def units(self) -> list[Unit]:
        pairs = self._pairs()
        if listed := self.option("sequences"):
            stems = sorted({line.strip() for line in raw_files.read_lines(listed)})
            known = {stem: pair for (_, stem), pair in sorted(pairs.items())}  # those of a numbered part win
            return [_unit(stem, known.get(stem, Pair()), self.root) for stem in stems]
        if pairs and not any(part for part, _ in pairs):
            raise DataError(
                "no folder says which part of the release its files are from",
                path=self.root,
                fix="keep `part1` or `part2` in folder names, or list the sequences: --option sequences=FILE",
            )
        return [
            _unit(stem, pair, self.root) for (part, stem), pair in sorted(pairs.items()) if part == PARTS[self.split]
        ]

    def read(self, unit: Unit) -> Instances:
        pair: Pair = unit.data
        if pair.main is None or pair.annotations is None:
            lacking = "annotation file" if pair.main else "main file" if pair.annotations else "file"
            return no_instances(left_out=f"no {lacking} of the sequence", absent=True)
        with dna_rendering_files.opened(pair.main) as file:
            gender = dna_rendering_files.gender_of(file)
            taken = dna_rendering_files.images(file, self.group, self.option("cameras"))
        with dna_rendering_files.opened(pair.annotations) as file:
            reason = next(
                (
                    why
                    for why, so in {
                        f"no images in {self.group} of the main file": not taken,
                        "gender of the actor not given": not gender,
                        "no SMPL-X fits": "SMPLx" not in file,
                    }.items()
                    if so
                ),
                "",
            )
            if reason:
                return no_instances(left_out=reason)
            body, expressive, partial = dna_rendering_files.read_fits(file, gender, pair.annotations)
            views, frames, dropped = self._usable(unit.name, taken, file, len(body))
            if not views:
                return no_instances(dropped)
            detected = [
                dna_rendering_files.detected(file, view.name, len(body), pair.annotations)[number]
                for view, number in zip(views, frames, strict=True)
            ]
            points = dna_rendering_files.triangulated(file, len(body), pair.annotations)
        notes = []
        if partial:
            notes.append(
                f"{unit.name}: the fits of {partial} frames beyond the first {len(body)} lack fullpose or transl, and "
                "count as none"
            )
        if not expressive.all():
            notes.append(
                f"{unit.name}: {expressive.sum()} of {len(body)} fitted frames have an expression; that of the others "
                "is zero, and their meta/face_valid false"
            )
        view = np.repeat(np.arange(len(views)), [len(number) for number in frames])
        frame = np.concatenate(frames)
        size, camera, move = cameras_of(views, view)
        points = points[frame]
        moved = rigid_motion.apply(points[..., :3], move.rotation, move.translation)
        points[..., :3] = np.where(points[..., 3:] > 0, moved, 0)
        return Instances(
            image_path=[
                path
                for view, number in zip(views, frames, strict=True)
                for path in image_paths(unit.name, view.name, number)
            ],
            size=size,
            camera=camera,
            body=body[frame],
            world_to_camera=move,
            keypoints2d=Keypoints(np.concatenate(detected), dna_rendering_files.POINTS_2D),
            keypoints3d=Keypoints(points, "human_data"),
            meta={
                "sequence_name": [unit.name] * len(frame),
                "cam_id": np.array([int(view.name) for view in views])[view],
                "frame_id": frame,
                "face_valid": expressive[frame],
            },
            misc={"smplx_source": "original", "fps": 15, "image_undistorted": False},
            dropped=dropped,
            notes=notes,
        )

    def _usable(
        self, name: str, taken: dict[str, dna_rendering_files.Taken], file: Any, count: int
    ) -> tuple[list[CalibratedView], list[Array], dict[str, list[str]]]:
        """Views and the numbers of their frames that can be used, and reason -> images that cannot: fits are of the
        frames below ``count``."""
        dropped: dict[str, list[str]] = {}
        views: list[CalibratedView] = []
        frames: list[Array] = []
        interval = self.option("interval")
        for number, shot in taken.items():
            camera, there = f"{number:0>2}", shot.frames[shot.frames % interval == 0]
            lost = np.setdiff1d(np.arange(0, count, interval), there)
            drop(dropped, "no image of a fitted frame", image_paths(name, camera, lost))
            drop(dropped, "no SMPL-X fit of the frame", image_paths(name, camera, there[there >= count]))
            there = there[there < count]
            if f"Camera_Parameter/{camera}" not in file:
                drop(dropped, "camera not calibrated", image_paths(name, camera, there))
            elif len(there):
                views.append(dna_rendering_files.read_view(file, camera, shot.size))
                frames.append(there)
        return views, frames, dropped

    def extract_frames(self, unit: Unit, image_paths: Sequence[str], folder: Path) -> None:
        """Write the images named in ``image_paths`` as they are in the main file, byte by byte."""
        with dna_rendering_files.opened(unit.data.main) as file:
            for path in image_paths:
                _, camera, name = path.rsplit("/", 2)
                data = file[f"{self.group}/{int(camera)}/color/{int(Path(name).stem)}"][()]
                with replacing(folder / path, data.nbytes, lasting=False) as temporary:
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


def image_paths(name: str, camera: str, frames: Array) -> list[str]:
    """Where images lie when they are out of the main file."""
    return [f"images/{name}/{camera}/{frame:06d}.jpg" for frame in frames.tolist()]


def _unit(stem: str, pair: Pair, root: Path) -> Unit:
    """A sequence; the path is that of the fits, or of the file that is not there."""
    if pair.main is None and pair.annotations is not None:
        return Unit(stem, pair.annotations.with_name(f"{stem}.smc"), pair)
    return Unit(stem, pair.annotations or pair.main or root / f"{stem}.smc", pair)
