"""MTP: crowd workers mimicking a shown pose with self-contact, SMPL-X fitted with SMPLify-XMC.

The fit saw the image at height 500; its camera is scaled back. Hands are 12 PCA numbers relative to the mean hand,
models gendered by ``subject_meta.json``. Of several OpenPose people the one nearest to the fit is taken; one that is
farther than :data:`FAR` from it is somebody else.
Source: Müller et al., "On Self-Contact and Human Pose", CVPR 2021; the TUCH and SMPLify-XMC code.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np

from ehps.arrays import Array, Mask
from ehps.body import rigid_motion
from ehps.body.meshes import picked_joints
from ehps.body.params import smplx_params
from ehps.converters import ranges
from ehps.converters.base import Camera, Converter, DatasetCard, Instances, Keypoints, Rigid, Unit, drop, no_instances
from ehps.converters.readers import OTHER, fields, openpose, raw_files, smplify_fits
from ehps.converters.readers.fields import Field, numbers, texts
from ehps.converters.readers.frame_files import read_each
from ehps.converters.readers.images import ImageIndex, folders_below, image_names, scale_between
from ehps.errors import DataError
from ehps.genders import BY_WORD
from ehps.humandata import keypoints

CARD = DatasetCard(
    id="mtp",
    config="mtp_{split}",
    name="MTP",
    homepage="https://tuch.is.tue.mpg.de",
    licence="non-commercial research, after registration; faces must not be shown",
    commercial_use=False,
    paper="Müller et al., On Self-Contact and Human Pose, CVPR 2021",
    annotation="fit to 2D points",
    annotation_note="SMPL-X, gendered, pseudo (SMPLify-XMC)",
    body_model="smplx",
    appearance="real",
    scene="indoor",
    scene_note="in the wild",
    persons="one",
    splits={"train": 3_187, "val": None},
    uncertain=("train",),
    layout="""
mtp/
  train_val_split.json                        names without extension of train and val
  subject_meta.json                           gender, height and weight by name
  images/<subset>/<name>.png                  or jpg; any depth, mirrored by the other folders
  keypoints/openpose/<subset>/<name>.json     OpenPose detections
  smplify-xmc/smplx/params/<subset>/<name>.pkl
""",
    needs=("train_val_split.json", "subject_meta.json", "images", "smplify-xmc/smplx/params"),
    get="register on the homepage; unpack the mimic-the-pose data (images, keypoints, SMPLify-XMC fits)",
    reprojection="fitted",
    points3d=0.001,  # of the model, and the meshes that the fits hold
    notes=(
        "Licence: faces must not be shown.",
        "Models are gendered; expression and jaw were not fitted and are as good as zero.",
        "The published count is of SMPLer-X's training file; images without an OpenPose person seem to be left out "
        "there and are kept here, without points.",
    ),
)
FIT = (
    "betas",
    "global_orient",
    "body_pose",
    "left_hand_pose",
    "right_hand_pose",
    "jaw_pose",
    "leye_pose",
    "reye_pose",
    "expression",
    "transl",
)
FIT_HEIGHT = 500
VERTICES = 10475
PARAMETERS = {
    "betas": numbers("betas"),
    "global_orient": numbers(3),
    "body_pose": numbers(63),
    "left_hand_pose": numbers("hand components", optional=True),
    "right_hand_pose": numbers("hand components", optional=True),
    "jaw_pose": numbers(3, optional=True),
    "leye_pose": numbers(3, optional=True),
    "reye_pose": numbers(3, optional=True),
    "expression": numbers("expressions", optional=True),
    "transl": numbers(3, optional=True),
    "camera_rotation": numbers(3, 3),
    "camera_translation": numbers(3),
    "camera_focal_length_x": numbers(),
    "camera_focal_length_y": numbers(),
    "camera_center": numbers(2, optional=True),
    "vertices": numbers(VERTICES, 3, optional=True),
}
SUBJECT = {
    "SubjectGender": texts(optional=True, words=("", *BY_WORD)),
    "SubjectHeightMeter": numbers(optional=True),
    "SubjectWeightKg": numbers(optional=True),
}
REST_PELVIS = np.array([0.0, -0.35, 0.01])  # of any body within centimetres, to tell people in an image apart
FAR = 0.5  # metres, in the mean over the points of an OpenPose person, from those of the fit
STRANGERS = f"fits with no OpenPose person within {FAR:g} m: without 2D points"
LARGER = 0.8  # scale from the image that OpenPose saw, at and below which that was a larger one
NAMES_A_UNIT = 128


class MTP(Converter):
    card = CARD

    def units(self) -> list[Unit]:
        path = self.root / "train_val_split.json"
        split = fields.values(raw_files.read_json(path), {self.split: Field("path", ("images",))}, path)
        listed = list(dict.fromkeys(split[self.split].tolist()))
        if not listed:
            raise DataError(f"lists no image of {self.split}", path=path, fix=OTHER)
        folders = folders_below(self.root, "images")
        images = sorted(f"{folder}/{name}" for folder in folders for name in image_names(self.root, folder))
        found = {Path(path).stem: path.removeprefix("images/") for path in reversed(images)}
        # <image>_<subset>_<pose>_<subject>; where there is no image the pipeline says so.
        wanted = [found.get(name, f"{[*name.split('_'), ''][1]}/{name}.png") for name in listed]
        return [
            Unit(f"{start:05d}", path, wanted[start : start + NAMES_A_UNIT])
            for start in range(0, len(wanted), NAMES_A_UNIT)
        ]

    def read(self, unit: Unit) -> Instances:
        wanted = [(image, self._beside(image, "smplify-xmc/smplx/params", ".pkl")) for image in unit.data]
        dropped: dict[str, list[str]] = {}
        drop(dropped, "no SMPL-X fit", (f"images/{image}" for image, path in wanted if not raw_files.is_file(path)))
        wanted = [(image, path) for image, path in wanted if raw_files.is_file(path)]
        if not wanted:
            return no_instances(dropped)
        files = [path for _, path in wanted]
        fits, readable = read_each(files, load_fit, smplify_fits.NO_FIT, dropped, self.root, FIT)
        wanted_images = [image for image, _ in compress(wanted, readable)]
        notes: list[str] = []
        people, readable = self._people(wanted_images, notes, dropped)
        fits, wanted_images = list(compress(fits, readable)), list(compress(wanted_images, readable))
        path = self.root / "subject_meta.json"
        subjects = fields.items(raw_files.read_json(path), path)
        names = [Path(image).stem for image in wanted_images]
        described = [subjects.get(name) or {} for name in names]
        known = fields.drop_odd(fields.odd_ones(described, SUBJECT, "subjects"), names, path, dropped)
        fits, people = list(compress(fits, known)), list(compress(people, known))
        wanted_images, names = list(compress(wanted_images, known)), list(compress(names, known))
        n = len(fits)
        paths = [f"images/{image}" for image in wanted_images]
        own = [fields.values(item, SUBJECT, path) for item in compress(described, known)]
        if undescribed := [name for name in names if not subjects.get(name)]:
            notes.append(
                f"subject_meta.json does not describe {len(undescribed)} people, "
                f"the first {undescribed[0]}: taken for neutral"
            )
        values: dict[str, Any] = {key: column(fits, key).reshape(n, -1) for key in FIT if key in fits[0]}
        if uncentred := [name for name, fit in zip(names, fits, strict=True) if "camera_center" not in fit]:
            notes.append(
                f"{len(uncentred)} fits have no camera_center, the first that of {uncentred[0]}: "
                "the middle of the image is taken"
            )
        move = Rigid(column(fits, "camera_rotation").reshape(n, 3, 3), column(fits, "camera_translation").reshape(n, 3))
        size = ImageIndex(self.root).sizes(paths)
        camera = camera_of(fits, size)
        meshes = np.stack([fit.get("vertices", np.full((VERTICES, 3), np.nan)) for fit in fits])
        meshes = rigid_motion.apply(meshes, move.rotation, move.translation)
        pelvis = rigid_motion.apply(values["transl"][:, None] + REST_PELVIS, move.rotation, move.translation)
        seen = expected(meshes, pelvis, camera)
        reach = FAR * camera.focal.mean(axis=1) / pelvis[:, 0, 2].clip(0.01)
        points, strangers = map(np.array, zip(*map(nearest, people, seen, reach), strict=True))
        parts = [name.rsplit("_", 2) for name in names]
        return Instances(
            image_path=paths,
            size=fitted_size(fits, size),
            camera=camera,
            body=smplx_params(gender=[str(o.get("SubjectGender", "")) or "neutral" for o in own], **values),
            world_to_camera=move,
            vertices=meshes,
            keypoints2d=Keypoints(points, raw_files.OPENPOSE_137),
            meta={
                "subject_id": [part[-1] for part in parts],
                "pose_id": [part[-2] if len(part) > 1 else "" for part in parts],
                "subset": [Path(image).parent.as_posix() for image in wanted_images],
                "subject_height": np.array([float(o.get("SubjectHeightMeter", np.nan)) for o in own]),
                "subject_weight": np.array([float(o.get("SubjectWeightKg", np.nan)) for o in own]),
            },
            unknown=("subject_height", "subject_weight"),
            misc={"smplx_source": "original (SMPLify-XMC)", "cam_param_source": "estimated"},
            dropped=dropped,
            notes=notes,
            counts={STRANGERS: int(strangers.sum())} if strangers.any() else {},
        )

    def _beside(self, image: str, tree: str, suffix: str) -> Path:
        """The file of another tree that belongs to an image."""
        return (self.root / tree / image).with_suffix(suffix)

    def _people(
        self, images: Sequence[str], notes: list[str], dropped: dict[str, list[str]]
    ) -> tuple[list[Array], Mask]:
        """(P, 137, 3) OpenPose people of N images, those whose files cannot be read left out, and (N,) the others."""

        def read(path: Path) -> Array:
            return raw_files.openpose_people(path, notes) if raw_files.is_file(path) else np.zeros((0, 137, 3))

        files = [self._beside(image, "keypoints/openpose", ".json") for image in images]
        return read_each(files, read, openpose.UNREADABLE, dropped, self.root)


def nearest(people: Array, points: Array, reach: float) -> tuple[Array, bool]:
    """(137, 3) of the person of (P, 137, 3) nearest to ``points`` (137, 3), and whether all are somebody else, their
    points farther than ``reach`` pixels in the mean. Zeros then, and where there is nobody.

    A person that would be near in a smaller image is kept: it was found in a larger one, which the pipeline says.
    """
    if not len(people):
        return np.zeros((137, 3)), False
    places = ranges.within(people[..., :2], ranges.PIXELS)
    both = (people[..., 2] > 0) & (points[:, 2] > 0) & np.isfinite(places).all(2)
    away = np.where(both, np.linalg.norm(places - points[:, :2], axis=2), 0).sum(1)
    away = np.where(both.any(1), away / np.maximum(both.sum(1), 1), np.inf)
    person = int(away.argmin())
    if reach < away[person] < np.inf:
        own, fitted = places[person][both[person]], points[both[person], :2]
        scale = float((own * fitted).sum() / (own * own).sum())
        if scale > LARGER or np.linalg.norm(scale * own - fitted, axis=1).mean() > reach:
            return np.zeros((137, 3)), True
    return np.asarray(people[person]), False


def load_fit(path: Path) -> dict[str, Any]:
    """One pickle of SMPLify-XMC; torch tensors come as arrays, wherever they were.

    Raises
    ------
    DataError : it is damaged, or no such fit.
    """
    fit = raw_files.load_pkl(path, allow=[raw_files.TORCH])
    return {"transl": np.zeros(3)} | fields.values(fit, PARAMETERS, path, finite=False)


def column(fits: list[dict[str, Any]], key: str) -> np.ndarray:
    """(N, k) one key of all fits."""
    return np.stack([np.ravel(fit[key]) for fit in fits]).astype(float)


def centres_of(fits: list[dict[str, Any]], size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N, 2) x, y of the middles of the images that were fitted, that of the image on the disk where a fit names none,
    and (N,) whether it does."""
    named = np.array(["camera_center" in fit for fit in fits])
    height, width = np.maximum(size, 1).astype(float).T
    middle = np.column_stack([width / height * FIT_HEIGHT / 2, np.full(len(fits), FIT_HEIGHT / 2)])
    own = [np.ravel(fit.get("camera_center", other)) for fit, other in zip(fits, middle, strict=True)]
    return np.array(own, float), named


def camera_of(fits: list[dict[str, Any]], size: np.ndarray) -> Camera:
    """Intrinsics of the images (``size`` (N, 2) height, width) from those of the images of height 500 that were
    fitted, whose centre is half of their size."""
    focal = np.hstack([column(fits, f"camera_focal_length_{axis}") for axis in "xy"])
    centre, _ = centres_of(fits, size)
    scale = size[:, :1] / (2 * centre[:, 1:])
    return Camera(focal * scale, centre * scale)


def fitted_size(fits: list[dict[str, Any]], size: np.ndarray) -> np.ndarray:
    """(N, 2) height and width of images that were fitted where those on the disk (N, 2) are of another aspect; zeros
    elsewhere: nothing says how large the image was in which OpenPose found its points."""
    centre, named = centres_of(fits, size)
    fitted = np.rint(ranges.within(2 * centre[:, ::-1], ranges.PIXELS))
    return np.where(~named | (scale_between(fitted, size) > 0) | np.isnan(fitted).any(1), 0, fitted.T).T.astype(int)


def expected(meshes: np.ndarray, pelvis: np.ndarray, camera: Camera) -> np.ndarray:
    """(N, 137, 3) where the pelvis and the head, feet and finger tips of the meshes are in the image."""
    points, known = picked_joints(meshes)
    points[:, 0], known[0] = pelvis[:, 0], True
    with np.errstate(invalid="ignore"):  # of cameras that are not finite
        pixels = points[..., :2] / points[..., 2:].clip(0.01) * camera.focal[:, None] + camera.principal_point[:, None]
    sure = known & np.isfinite(pixels).all(2)
    found, _ = keypoints.convert(
        np.concatenate([np.where(sure[..., None], pixels, 0), sure[..., None]], axis=2),
        "smplx",
        raw_files.OPENPOSE_137,
        approximate=True,
    )
    return found
