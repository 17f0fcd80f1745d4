"""Hi4D: pairs of people in close contact before eight studio cameras, gendered SMPL registered to scans.

World frame in metres; cameras are OpenCV's with five distortion coefficients, by which points are projected. Fits are
a file a frame, both people in it, with the joints of the bodies in the world: these are the proof of gender, shape,
pose and camera.
Source: Yin et al., "Hi4D: 4D Instance Segmentation of Close Human Interaction", CVPR 2023, and the description of the
data.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ehps.arrays import Array, Mask
from ehps.body import rigid_motion
from ehps.body.params import smpl_params
from ehps.converters import options
from ehps.converters.base import Converter, DatasetCard, Instances, Keypoints, Unit, drop, no_instances
from ehps.converters.datasets import hi4d_files
from ehps.converters.datasets.hi4d_files import Recording
from ehps.converters.options import Option
from ehps.converters.readers import OTHER, raw_files
from ehps.converters.readers.frame_files import read_each
from ehps.converters.readers.images import ImageIndex
from ehps.converters.readers.views import CalibratedView, cameras_of
from ehps.errors import DataError
from ehps.humandata.keypoints import point_names

CAMERA_FILE = "cameras/rgb_cameras.npz"
CAMERAS = ("4", "16", "28", "40", "52", "64", "76", "88")
CARD = DatasetCard(
    id="hi4d",
    name="Hi4D",
    homepage="https://yifeiyin04.github.io/Hi4D",
    licence="terms of the form at hi4d.ait.ethz.ch, by which access is given",
    paper="Yin et al., Hi4D: 4D Instance Segmentation of Close Human Interaction, CVPR 2023",
    annotation="registered scans",
    annotation_note="SMPL, gendered, registered to scans of both people; contact of vertices",
    body_model="smpl",
    appearance="real",
    scene="studio",
    persons="several",
    splits={"all": None, "mono": None},
    layout="""
Hi4D/
  pair00/<action>/meta.npz                                     dance00; start, end, genders, contact_ids, mono_cam
  pair00/<action>/cameras/rgb_cameras.npz
  pair00/<action>/images/{4,16,28,40,52,64,76,88}/000011.jpg   numbered from start to end
  pair00/<action>/smpl/000011.npz
  pair00/<action>/seg/img_seg_mask/<camera>/{0,1}/000011.png   for box=masks only
""",
    needs=("pair*/*/meta.npz", "pair*/*/cameras/rgb_cameras.npz", "pair*/*/smpl", "pair*/*/images"),
    variants={
        "data/*/cameras/rgb_cameras.npz": "sequences without their folders of pairs, as mmhuman3d lists them; keep "
        "pair00/dance00 as the archives have it"
    },
    get="fill in the form on the homepage; unpack all archives (pair00_1, pair00_2, ...) so that pair00, pair01, ... "
    "lie side by side",
    options=(
        options.cameras(CAMERAS, "ids of cameras, with commas between them"),
        options.interval("keeps every N-th frame, from the first one on"),
        Option(
            "box",
            "joints: around projected joints; masks: around the person's instance mask, with clothes and hair, for "
            "which every mask is opened",
            "joints",
            choices=("joints", "masks"),
        ),
        Option(
            "contact",
            "vertices: the contact of the 6890 vertices as meta/contact_vertices, 14 KB a row",
            "frames",
            choices=("frames", "vertices"),
        ),
    ),
    reprojection="none",
    points3d=0.005,
    fps=30,
    notes=(
        "The release names no splits: all has every camera, mono the one that each sequence names for monocular "
        "evaluation (mono_cam).",
        "A row for each person in each view; two people at a time, eight views of each of about 11 thousand frames.",
        "Images are distorted (meta/dist_coeffs), and points are projected with the distortion.",
        "meta/contact says whether the frame is one of those with contact; meta/overlap is the IoU of the two boxes.",
        "3D points are the 24 joints of the release's own bodies: joints of the converted parameters must be there.",
        "Images have 940 x 1280 pixels; of cameras whose principal point is far from the middle of such, the size is "
        "that of the file.",
    ),
)
JOINTS = point_names("smpl_45")[:24]


class Hi4D(Converter):
    card = CARD

    def units(self) -> list[Unit]:
        folders = [path for path in raw_files.matching(self.root, "pair*/*") if raw_files.is_folder(path)]
        return [Unit(path.relative_to(self.root).as_posix(), path) for path in folders]

    def read(self, unit: Unit) -> Instances:
        if not raw_files.is_file(unit.path / "meta.npz"):
            return no_instances(left_out="no meta.npz", absent=True)
        recording = hi4d_files.read_meta(unit.path / "meta.npz")
        views, notes = self._views(unit), self._beyond(unit, recording)
        numbers = list(range(recording.start, recording.end + 1, self.option("interval")))
        paths = {n: unit.path / "smpl" / f"{n:06d}.npz" for n in numbers}
        dropped: dict[str, list[str]] = {}
        fitted = [n for n in numbers if raw_files.is_file(paths[n])]
        index, calibration = ImageIndex(self.root), unit.path / CAMERA_FILE
        for v, view in enumerate(views):
            if not any(view.size):
                stored = index.usual_size([image_path(unit, view, n) for n in fitted])
                views[v] = hi4d_files.with_size(view, stored, calibration)
        for view in views:
            images = [image_path(unit, view, n) for n in numbers if n not in fitted]
            drop(dropped, "no SMPL fit", (f"{image} person {p}" for image in images for p in range(2)))
        with_contact = self.option("contact") == "vertices"
        fits, readable = read_each(
            [paths[n] for n in fitted],
            hi4d_files.read_contact if with_contact else hi4d_files.read_fit,
            "SMPL fit cannot be read",
            dropped,
            self.root,
            rows=len(views) * hi4d_files.PEOPLE,
        )
        frames = np.array(fitted, int)[readable]
        if not len(frames) or not views:
            return no_instances(dropped, notes)
        part = {name: np.concatenate([fit[name] for fit in fits]) for name in fits[0]}
        body = smpl_params(
            gender=np.tile(recording.genders, len(frames)),
            betas=part["betas"],
            pose=np.concatenate([part["global_orient"], part["body_pose"]], axis=1),
            transl=part["transl"],
        )
        # Rows: camera by camera, frame by frame, person by person.
        row, by = np.tile(np.arange(len(body)), len(views)), np.repeat(np.arange(len(views)), len(body))
        images = [image_path(unit, view, n) for view in views for n in np.repeat(frames, 2).tolist()]
        box, found = self._boxes(unit, images, row % 2, [views[v].size for v in by], dropped)
        row, by, images = row[found], by[found], [images[k] for k in np.flatnonzero(found)]
        size, camera, move = cameras_of(views, by)
        frame, person = np.repeat(frames, 2)[row], row % 2
        joints = rigid_motion.apply(part["joints_3d"][row], move.rotation, move.translation)
        known = np.isfinite(joints).all(axis=2, keepdims=True)
        return Instances(
            image_path=images,
            size=size,
            least_size=np.floor(camera.principal_point[:, ::-1] / (0.5 + hi4d_files.NEAR)),
            camera=camera,
            body=body[row],
            world_to_camera=move,
            keypoints3d=Keypoints(np.concatenate([np.where(known, joints, 0), known], axis=2), JOINTS),
            bbox=box,
            meta={
                "sequence_name": [unit.name] * len(row),
                "camera": [views[v].name for v in by],
                "frame_id": frame,
                "person_id": person,
                "track_id": [f"{unit.name}_{p}" for p in person],
                "contact": np.isin(frame, recording.contacts),
            }
            | ({"contact_vertices": part["contact"][row]} if with_contact else {}),
            misc={"smpl_source": "original", "cam_param_source": "original", "distortion": "applied"},
            dropped=dropped,
            notes=notes,
            overlap=True,
        )

    def _beyond(self, unit: Unit, recording: Recording) -> list[str]:
        """What is there of frames that are not those of the recording."""
        frames = range(recording.start, recording.end + 1)
        known = f"meta.npz has {recording.start} to {recording.end}"
        stems = [Path(name).stem for name in raw_files.listing(unit.path / "smpl") if name.endswith(".npz")]
        fits = [stem for stem in stems if stem.isdecimal() and int(stem) not in frames]
        contacts = [n for n in recording.contacts.tolist() if n not in frames]
        notes = []
        if fits:
            notes.append(f"{unit.name}: {len(fits)} SMPL fits are of other frames ({fits[0]}, ...), {known}")
        if contacts:
            notes.append(f"{unit.name}: {len(contacts)} contact_ids are no frames ({contacts[0]}, ...), {known}")
        return notes

    def _views(self, unit: Unit) -> list[CalibratedView]:
        """Wanted cameras, in the order of the file.

        Raises
        ------
        DataError : the file has a camera that is none of the eight, or lacks that for monocular evaluation.
        """
        path = unit.path / CAMERA_FILE
        views = hi4d_files.read_views(path)
        if unknown := [view.name for view in views if view.name not in CAMERAS]:
            what = f"has camera {unknown[0]}, expected {', '.join(CAMERAS)}"
            raise DataError(what, path=path, fix=OTHER)
        wanted = self.option("cameras")
        if self.split == "mono":
            mono = str(hi4d_files.read_mono_camera(unit.path / "meta.npz"))
            if mono not in [view.name for view in views]:
                what = f"mono_cam is {mono}, which is none of its cameras"
                raise DataError(what, path=unit.path / "meta.npz", fix=OTHER)
            wanted = tuple(name for name in wanted if name == mono)
        return [view for view in views if view.name in wanted]

    def _boxes(
        self,
        unit: Unit,
        images: list[str],
        person: Array,
        sizes: list[Sequence[int]],
        dropped: dict[str, list[str]],
    ) -> tuple[Array | None, Mask]:
        """Boxes of those of N rows that have one, if they are to be of masks, and (N,) which these are.

        ``sizes`` are height and width of the images that were labelled, zeros where they are not known.
        """
        if self.option("box") == "joints":
            return None, np.ones(len(images), bool)
        rows = list(zip(images, person.tolist(), strict=True))
        masks = [mask_path(unit, image, p) for image, p in rows]
        there = np.array([raw_files.is_file(mask) for mask in masks])
        missing = np.flatnonzero(~there).tolist()
        size_of = dict(zip(masks, sizes, strict=True))
        drop(dropped, "no instance mask", (f"{rows[k][0]} person {rows[k][1]}" for k in missing))
        found, readable = read_each(
            [masks[k] for k in np.flatnonzero(there)],
            lambda path: hi4d_files.read_mask_box(path, size_of[path]),
            "instance mask cannot be read",
            dropped,
            self.root,
        )
        there[there] = readable
        return np.reshape(found, (-1, 4)), there


def image_path(unit: Unit, view: CalibratedView, frame: int) -> str:
    """Below the root."""
    return f"{unit.name}/images/{view.name}/{frame:06d}.jpg"


def mask_path(unit: Unit, image: str, person: int) -> Path:
    """Mask of a person in an image."""
    *_, camera, name = image.split("/")
    return unit.path / "seg/img_seg_mask" / camera / str(person) / f"{name.removesuffix('.jpg')}.png"
