"""MOYO: one woman in some 200 yoga poses before eight cameras, SMPL-X from markers on her scanned template.

World frame in metres, z up; cameras in millimetres, for images of twice the size of those that are published. Hand
poses are absolute. Her shape is only in the template; betas are fitted to it. Bodies have 60 frames a second, images
30. One row per sequence, camera and image; images may stay in their zips.
Source: Tripathi et al., "3D Human Pose Estimation via Intuitive Physics", CVPR 2023; the dataset's toolkit; PosePile.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from ehps.converters import options
from ehps.converters.base import Converter, DatasetCard, Instances, Unit, drop, drop_marked, no_instances
from ehps.converters.datasets import moyo_files
from ehps.converters.datasets.moyo_files import HANDS, SUBJECT, Lens, Sequence
from ehps.converters.options import Option
from ehps.converters.readers.images import ImageIndex, image_names
from ehps.converters.readers.views import CalibratedView, cameras_of
from ehps.errors import DataError

CAMERAS = tuple("12345678")
TEMPLATES = "moyo_toolkit/data/v_templates/*/mesh.ply | v_templates/*/mesh.ply"
CARD = DatasetCard(
    id="moyo",
    config="moyo_{split}",
    name="MOYO",
    homepage="https://moyo.is.tue.mpg.de",
    licence="non-commercial research, after registration",
    commercial_use=False,
    paper="Tripathi et al., 3D Human Pose Estimation via Intuitive Physics, CVPR 2023",
    annotation="marker capture",
    annotation_note="SMPL-X, from markers, on a scanned template of the one subject",
    body_model="smplx",
    appearance="real",
    scene="indoor",
    scene_note="one room with a yoga mat",
    persons="one",
    splits={"train": None, "val": None},
    layout="""
moyo_root/
  MOYO/<session>/                                       (or moyo/<session>/)
    images/{train,val}/<sequence>.zip                   (or unpacked: <sequence>/YOGI_Cam_01/..._YOGI_Cam_01_0001.jpg)
    cameras/<date>/<any>/cameras_param.json
    mosh/{train,val}/<sequence>_stageii.pkl
  moyo_toolkit/data/v_templates/220923_yogi_03596_minimal_simple_female/mesh.ply   (or v_templates/...)
""",
    needs=("MOYO/*/cameras | moyo/*/cameras", TEMPLATES),
    split_needs={
        split: (f"MOYO/*/mosh/{split} | moyo/*/mosh/{split}", f"MOYO/*/images/{split} | moyo/*/images/{split}")
        for split in ("train", "val")
    },
    variants={
        "*_yogi_*_stageii.npz": "the same motions in AMASS' form, without cameras; the release with images is needed",
    },
    get="register on the homepage; images, cameras.zip and mosh.zip of both sessions as the download scripts of "
    "github.com/sha2nkt/moyo_toolkit put them, and that repository beside them; zips of images need not be unpacked "
    "(1.4 TB), cameras.zip and mosh.zip must be",
    options=(
        options.cameras(CAMERAS, "numbers of cameras, with commas between them"),
        options.interval("keeps the images whose number is a multiple of N"),
        Option(
            "frame_offset",
            "which body an image shows: body frame 2 * (image number - frame_offset); 0 as PosePile and the toolkit's "
            "evaluation, 1 as the toolkit's projection script; the two are 33 ms apart and nobody says which is right",
            "0",
            choices=("0", "1"),
        ),
        Option(
            "ends",
            "skip: without the first and last 50 images of a sequence (T-pose), as PosePile",
            "keep",
            choices=("keep", "skip"),
        ),
    ),
    reprojection="none",
    fps=30,
    notes=(
        "1.7 million images show one woman in some 200 poses: choosing rows at random overweights her.",
        "Joints and boxes are those of the scanned template; betas are fitted to it, and meta/template_residual_m is "
        "the mean distance of vertices that is left.",
        "Session 20221004_with_com has no markers on the hands: meta/lefthand_valid and righthand_valid are false "
        "there, and hand joints have confidence 0.",
        "Which body frame an image shows is not documented: see the option frame_offset, and look at fast motions.",
        "Images are published at half the size that the cameras are for; a sequence whose images are as large as that, "
        "or smaller than they are published, is refused.",
    ),
)
HALF = 0.5  # pixels of the published images per pixel of the cameras
# The release does not state the size of its images: by the principal point, which is near their middle, those of half
# and of twice the published size are told apart from it.
LEAST_SIZE, LARGEST_SIZE = 1.5, 2.7  # of an image, in principal points
ENDS = 50  # images
BODIES_AN_IMAGE = 2
NUMBER = re.compile(r".*_([0-9]{1,9})\.[^.]+")


class MOYO(Converter):
    card = CARD

    def units(self) -> list[Unit]:
        moyo_files.read_template(self.root, moyo_files.TEMPLATE)  # all sequences need it
        found = moyo_files.sequences(self.root, self.split)
        return [Unit(f"{each.session}/{each.name}", each.bodies, each) for each in found]

    def read(self, unit: Unit) -> Instances:
        sequence: Sequence = unit.data
        dropped: dict[str, list[str]] = {}
        images = self._images(sequence, dropped)
        if not images:
            return no_instances(dropped, left_out="no images", absent=not dropped)
        if not sequence.has_bodies:
            drop(dropped, "no SMPL-X parameters", (path for paths in images.values() for path in paths.values()))
            return no_instances(dropped, [f"{unit.name}: {sequence.bodies.name} is not there"])
        body, template = moyo_files.read_bodies(sequence.bodies, self.root)
        shown = np.unique([n for paths in images.values() for n in paths])  # by any of the synchronised cameras
        calibration = moyo_files.calibration(self.root / sequence.folder, sequence.name)
        known = moyo_files.read_cameras(calibration)
        views = self._views(calibration, known, images, dropped)
        without = [camera for camera in self.option("cameras") if camera in known and camera not in images]
        view, number = np.repeat(np.arange(len(views)), len(shown)), np.tile(shown, len(views))
        paths = [_path(sequence, images, views[v].name, n) for v in range(len(views)) for n in shown.tolist()]
        frame = BODIES_AN_IMAGE * (number - int(self.option("frame_offset")))
        ends = (number < ENDS) | (len(body) <= BODIES_AN_IMAGE * (number + ENDS))
        keep = drop_marked(
            dropped,
            paths,
            {
                f"among the first or last {ENDS} images": ends & (self.option("ends") == "skip"),
                "no pose for the image": (frame < 0) | (frame >= len(body)),
            },
        )
        if not keep.any():
            return no_instances(dropped)
        view, number, frame = view[keep], number[keep], frame[keep]
        size, camera, move = cameras_of(views, view)
        n = len(view)
        hands = np.full(n, HANDS[sequence.session])
        return Instances(
            image_path=[path for path, kept in zip(paths, keep.tolist(), strict=True) if kept],
            size=size,
            camera=camera,
            least_size=LEAST_SIZE * camera.principal_point[:, ::-1],
            body=body[frame],
            world_to_camera=move,
            v_template=template,
            mean_hands=not HANDS[sequence.session],
            meta={
                "sequence_name": [sequence.name] * n,
                "session": [sequence.session] * n,
                "subject": [SUBJECT] * n,
                "camera": np.array([int(view.name) for view in views])[view],
                "frame_id": number,
                "body_frame": frame,
                "track_id": [sequence.name] * n,
                "lefthand_valid": hands,
                "righthand_valid": hands,
            },
            misc={
                "smplx_source": "original",
                "cam_param_source": "original",
                "fps": 30,
                "betas_source": "fitted",
                "frame_rule": f"body frame {BODIES_AN_IMAGE} * (image number - {self.option('frame_offset')})",
            },
            dropped=dropped,
            counts={f"frames of sequences without images of camera {camera}": len(shown) for camera in without},
            notes=[f"images of {sequence.name} go with {sequence.bodies.name}"] * sequence.renamed,
        )

    def _images(self, sequence: Sequence, dropped: dict[str, list[str]]) -> dict[str, dict[int, str]]:
        """Image number -> path, by camera, of the cameras that have images."""
        found: dict[str, dict[int, str]] = {}
        for camera in self.option("cameras"):
            folder = f"{sequence.images}/YOGI_Cam_0{camera}"
            numbered = {name: NUMBER.fullmatch(name) for name in image_names(self.root, folder)}
            drop(dropped, "image without a number", (f"{folder}/{name}" for name, n in numbered.items() if n is None))
            paths = {int(n[1]): f"{folder}/{name}" for name, n in numbered.items() if n is not None}
            if taken := {n: paths[n] for n in sorted(paths) if n % self.option("interval") == 0}:
                found[camera] = taken
        return found

    def _views(
        self,
        calibration: Path,
        known: dict[str, Lens],
        images: dict[str, dict[int, str]],
        dropped: dict[str, list[str]],
    ) -> list[CalibratedView]:
        """The calibrated cameras among those that have images, and what these images have to be like.

        The size of a camera most of whose images are smaller than the published ones is zeros.

        Raises
        ------
        DataError : images have the size that the calibration is for, not half of it.
        """
        index, views = ImageIndex(self.root), []
        for camera, paths in images.items():
            if camera not in known:
                drop(dropped, "camera without calibration", paths.values())
                continue
            lens = known[camera]
            focal, centre = HALF * lens.focal, HALF * lens.principal_point
            height, width = index.usual_size(list(paths.values()))
            folder = next(iter(paths.values())).rpartition("/")[0]
            if width > LARGEST_SIZE * centre[0] and height > LARGEST_SIZE * centre[1]:
                raise DataError(
                    f"camera {camera} is for images of about {2 * centre[0]:.0f} x {2 * centre[1]:.0f} pixels at the "
                    f"published half size; those in {folder} have {width} x {height}",
                    path=calibration,
                    fix="take the images as they are published, and the calibration of the same day",
                )
            published = height >= LEAST_SIZE * centre[1] and width >= LEAST_SIZE * centre[0]
            size = (height, width) if published else (0, 0)
            views.append(CalibratedView(camera, size, focal, centre, lens.rotation, lens.translation))
        return views


def _path(sequence: Sequence, images: dict[str, dict[int, str]], camera: str, number: int) -> str:
    """Of the image of a camera, whether it is there or not."""
    name = f"YOGI_Cam_0{camera}"
    return images[camera].get(number, f"{sequence.images}/{name}/{sequence.name}_{name}_{number:04d}.jpg")
