"""MTP: crowd workers mimicking a shown pose with self-contact, SMPL-X fitted with SMPLify-XMC.

The fit saw the image at height 500; its camera is scaled back. Hands are 12 PCA numbers relative to the mean hand,
models gendered by ``subject_meta.json``. Of several OpenPose people the one nearest to the fit is taken.
Source: Müller et al., "On Self-Contact and Human Pose", CVPR 2021; the TUCH and SMPLify-XMC code.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ehps.body import rigid_motion
from ehps.body.meshes import picked_joints
from ehps.body.params import smplx_params
from ehps.converters.base import Camera, Converter, DatasetCard, Instances, Keypoints, Rigid, Unit, drop, no_instances
from ehps.converters.readers import OTHER, fields, raw_files
from ehps.converters.readers.fields import Field, numbers, texts
from ehps.converters.readers.images import SUFFIXES, ImageIndex, scale_between
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
NAMES_A_UNIT = 128


class MTP(Converter):
    card = CARD

    def units(self) -> list[Unit]:
        path = self.root / "train_val_split.json"
        split = fields.values(raw_files.read_json(path), {self.split: Field("path", ("images",))}, path)
        listed = list(dict.fromkeys(split[self.split].tolist()))
        if not listed:
            raise DataError(f"lists no image of {self.split}", path=path, fix=OTHER)
        images = sorted(p for p in (self.root / "images").rglob("*") if p.suffix.lower() in SUFFIXES)
        found = {p.stem: p.relative_to(self.root / "images").as_posix() for p in reversed(images)}
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
        wanted_images = [image for image, path in wanted if raw_files.is_file(path)]
        if not wanted_images:
            return no_instances(dropped)
        lengths: dict[str, int] = {}
        fits = [load_fit(path, lengths) for _, path in wanted if raw_files.is_file(path)]
        n = len(fits)
        paths = [f"images/{image}" for image in wanted_images]
        names = [Path(image).stem for image in wanted_images]
        path = self.root / "subject_meta.json"
        people = fields.items(raw_files.read_json(path), path)
        own = [fields.values(people.get(name) or {}, SUBJECT, path, name) for name in names]
        notes: list[str] = []
        if undescribed := [name for name in names if not people.get(name)]:
            notes.append(
                f"subject_meta.json does not describe {len(undescribed)} people, "
                f"the first {undescribed[0]}: taken for neutral"
            )
        for fit, (_, file) in zip(fits, (item for item in wanted if raw_files.is_file(item[1])), strict=True):
            raw_files.require(fit, " ".join(key for key in FIT if key in fits[0]), file)
        values: dict[str, Any] = {key: column(fits, key).reshape(n, -1) for key in FIT if key in fits[0]}
        move = Rigid(column(fits, "camera_rotation").reshape(n, 3, 3), column(fits, "camera_translation").reshape(n, 3))
        size = ImageIndex(self.root).sizes(paths)
        camera = camera_of(fits, size)
        meshes = np.stack([fit.get("vertices", np.full((VERTICES, 3), np.nan)) for fit in fits])
        meshes = rigid_motion.apply(meshes, move.rotation, move.translation)
        pelvis = rigid_motion.apply(values["transl"][:, None] + REST_PELVIS, move.rotation, move.translation)
        seen = expected(meshes, pelvis, camera)
        parts = [name.rsplit("_", 2) for name in names]
        return Instances(
            image_path=paths,
            size=fitted_size(fits, size),
            camera=camera,
            body=smplx_params(gender=[str(o.get("SubjectGender", "")) or "neutral" for o in own], **values),
            world_to_camera=move,
            vertices=meshes,
            keypoints2d=Keypoints(
                np.stack([self._detections(p, points, notes) for p, points in zip(wanted_images, seen, strict=True)]),
                raw_files.OPENPOSE_137,
            ),
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
        )

    def _beside(self, image: str, tree: str, suffix: str) -> Path:
        """The file of another tree that belongs to an image."""
        return (self.root / tree / image).with_suffix(suffix)

    def _detections(self, image: str, points: np.ndarray, notes: list[str]) -> np.ndarray:
        """(137, 3) of the OpenPose person nearest to ``points`` (137, 3); zeros where nobody was detected."""
        path = self._beside(image, "keypoints/openpose", ".json")
        people = raw_files.openpose_people(path, notes) if raw_files.is_file(path) else np.zeros((0, 137, 3))
        if not len(people):
            return np.zeros((137, 3))
        both = (people[..., 2] > 0) & (points[:, 2] > 0)
        away = np.where(both, np.linalg.norm(people[..., :2] - points[:, :2], axis=2), 0).sum(1)
        return np.asarray(people[np.where(both.any(1), away / np.maximum(both.sum(1), 1), np.inf).argmin()])


def load_fit(path: Path, lengths: dict[str, int]) -> dict[str, Any]:
    """One pickle of SMPLify-XMC; torch tensors come as arrays, wherever they were.

    Raises
    ------
    DataError : it is damaged, or no such fit.
    """
    fit = raw_files.load_pkl(path, allow=[raw_files.TORCH])
    return {"transl": np.zeros(3)} | fields.values(fit, PARAMETERS, path, lengths=lengths, finite=False)


def column(fits: list[dict[str, Any]], key: str) -> np.ndarray:
    """(N, k) one key of all fits."""
    return np.stack([np.ravel(fit[key]) for fit in fits]).astype(float)


def camera_of(fits: list[dict[str, Any]], size: np.ndarray) -> Camera:
    """Intrinsics of the images (``size`` (N, 2) height, width) from those of the images of height 500 that were
    fitted, whose centre is half of their size."""
    height = size[:, :1].astype(float)
    focal = np.hstack([column(fits, f"camera_focal_length_{axis}") for axis in "xy"])
    if not all("camera_center" in fit for fit in fits):
        return Camera(focal * height / FIT_HEIGHT, size[:, ::-1] / 2)
    centre = column(fits, "camera_center")
    scale = height / (2 * centre[:, 1:])
    return Camera(focal * scale, centre * scale)


def fitted_size(fits: list[dict[str, Any]], size: np.ndarray) -> np.ndarray:
    """(N, 2) height and width of images that were fitted where those on the disk (N, 2) are of another aspect; zeros
    elsewhere: nothing says how large the image was in which OpenPose found its points."""
    if not all("camera_center" in fit for fit in fits):
        return np.zeros_like(size)
    fitted = np.rint(2 * column(fits, "camera_center")[:, ::-1]).astype(int)
    return np.where(scale_between(fitted, size)[:, None] > 0, 0, fitted)


def expected(meshes: np.ndarray, pelvis: np.ndarray, camera: Camera) -> np.ndarray:
    """(N, 137, 3) where the pelvis and the head, feet and finger tips of the meshes are in the image."""
    points, known = picked_joints(meshes)
    points[:, 0], known[0] = pelvis[:, 0], True
    pixels = points[..., :2] / points[..., 2:].clip(0.01) * camera.focal[:, None] + camera.principal_point[:, None]
    sure = known & np.isfinite(pixels).all(2)
    found, _ = keypoints.convert(
        np.concatenate([np.where(sure[..., None], pixels, 0), sure[..., None]], axis=2),
        "smplx",
        raw_files.OPENPOSE_137,
        approximate=True,
    )
    return found
