"""BEDLAM: synthetic images of 1 to 10 simulated people, SMPL-X of the neutral model with 11 betas.

Two releases, told apart by what is there. (A) 6 fps images with ``all_npz_12_*`` labels: see
:mod:`ehps.converters.datasets.bedlam_labels`. (B) 30 fps images with the scene's ground truth: see
:mod:`ehps.converters.datasets.bedlam_scenes`.
Rows are for the images as they are stored: in close-up scenes people lie on the side.
Source: Black et al., "BEDLAM: A Synthetic Dataset of Bodies Exhibiting Detailed Lifelike Animated Motion", CVPR
2023; the official processing scripts.
"""

from __future__ import annotations

from pathlib import Path

from ehps.arrays import Array
from ehps.converters.base import Converter, DatasetCard, Instances, Unit, concat, no_instances
from ehps.converters.datasets import bedlam_labels
from ehps.converters.datasets.bedlam_labels import JOINTS
from ehps.converters.datasets.bedlam_scenes import CAMERA, EVERY, Body, Views, body_rows, read_sequences, read_views
from ehps.converters.readers import OTHER, fields, raw_files
from ehps.converters.readers.fields import numbers, texts
from ehps.converters.readers.images import is_image_folder
from ehps.errors import DataError
from ehps.genders import BY_WORD

CARD = DatasetCard(
    id="bedlam",
    name="BEDLAM",
    homepage="https://bedlam.is.tue.mpg.de",
    licence="non-commercial research, after registration",
    commercial_use=False,
    paper="Black et al., BEDLAM: A Synthetic Dataset of Bodies Exhibiting Detailed Lifelike Animated Motion, CVPR 2023",
    annotation="exact render",
    annotation_note="SMPL-X, neutral model, exact up to the refit",
    body_model="smplx",
    appearance="synthetic",
    scene="indoor and outdoor",
    persons="several",
    splits={"train": 951_066, "val": None},
    uncertain=("train",),
    layout="""
BEDLAM/                                                     (A) 6 fps labels
  training_labels/all_npz_12_training/<scene>_6fps.npz      (the inner folder may lie in the root)
  training_images/<scene>_6fps/png/seq_000000/seq_000000_0005.png
  validation_labels/all_npz_12_validation/, validation_images/
BEDLAM/                                                     (B) 30 fps ground truth
  images/<scene>/be_seq.csv
  images/<scene>/ground_truth/camera/seq_000000_camera.csv
  images/<scene>/png/seq_000000/seq_000000_0000.png
  smplx_gt/neutral_ground_truth_motioninfo/<subject>/<motion>/motion_seq.npz
""",
    split_needs={
        "train": ("*/all_npz_12_training | all_npz_12_training | images/*/be_seq.csv",),
        "val": ("*/all_npz_12_validation | all_npz_12_validation | images/*/be_seq.csv",),
    },
    get="register on the homepage; (A) the 6 fps images and all_npz_12_{training,validation}.zip, or (B) the scenes' "
    "-png and -gt archives with the body motions",
    reprojection="exact",
    fps=30,
    sampling=EVERY,
    notes=(
        "Parameters belong to the neutral model for everybody; the rendered sex is in meta/subject_gender.",
        "Hand poses are absolute (flat_hand_mean true).",
        "Release (B) is reduced to every fifth frame, as (A) is, and has no 2D points to check the bodies against.",
    ),
)
VALIDATION = frozenset(
    (
        "20221018_1_250_batch01hand_zoom_suburb_b",
        "20221018_3-8_250_batch01hand",
        "20221018_3_250_batch01hand_orbit_archVizUI3_time15",
        "20221019_3-8_250_highbmihand_orbit_stadium",
    )
)
MOTIONS = ("smplx_gt/neutral_ground_truth_motioninfo", "smplx_gt/neutral_ground_truth")
MOTION = {
    "poses": numbers("N", 165),
    "trans": numbers("N", 3),
    "betas": numbers("betas"),
    "gender": texts(words=BY_WORD),
    "gender_sub": texts(words=BY_WORD),
}
MOST_BETAS = 11
IMAGE_FOLDERS = {
    "train": ("training_images", "train_images", "training", "images"),
    "val": ("validation_images", "validation", "images"),
}
LABELS = {"train": "all_npz_12_training", "val": "all_npz_12_validation"}


class BEDLAM(Converter):
    card = CARD

    def units(self) -> list[Unit]:
        labels = LABELS[self.split]
        folder = next(
            (p for p in (self.root / labels, *sorted(self.root.glob(f"*/{labels}"))) if raw_files.is_folder(p)), None
        )
        if folder is not None:
            return [Unit(p.stem, p) for p in sorted(folder.glob("*.npz")) if not p.name.startswith("agora")]
        scenes = sorted(p.parent for p in self.root.glob("images/*/be_seq.csv"))
        return [Unit(p.name, p) for p in scenes if (p.name in VALIDATION) == (self.split == "val")]

    def read(self, unit: Unit) -> Instances:
        return self._labels(unit) if unit.path.suffix == ".npz" else self._scene(unit)

    def _labels(self, unit: Unit) -> Instances:
        labels = bedlam_labels.read_labels(unit.path)
        if not labels:
            return no_instances()
        if (found := labels["gtkps"].shape[1]) < JOINTS:
            raise DataError(f"gtkps has {found} joints, expected {JOINTS} or more", path=unit.path, fix=OTHER)
        folder = next((d for d in IMAGE_FOLDERS[self.split] if is_image_folder(self.root, f"{d}/{unit.name}")), None)
        if folder is None:
            return no_instances({"scene without image folder": bedlam_labels.named(labels, unit.name)})
        dropped: dict[str, list[str]] = {}
        labels = bedlam_labels.usable(labels, unit.name, dropped)
        betas = checked_betas(labels["shape"], unit.path)
        if not len(betas):
            return no_instances(dropped)
        sexes = {"subject_gender": [str(gender)[:1] for gender in labels["gender"]]}
        images = f"{folder}/{unit.name}/png"
        rows = bedlam_labels.labelled_rows(
            labels, unit.name, images, slice(JOINTS), sexes, gender="neutral", betas=betas, betas_neutral=betas
        )
        rows.dropped = dropped
        return rows

    def _scene(self, unit: Unit) -> Instances:
        """All people of a scene, sequence by sequence, in every fifth frame."""
        motions = raw_files.first_existing(self.root, MOTIONS)
        parts = [
            self._motion(unit, body, views, motions)
            for sequence, bodies in read_sequences(unit.path / "be_seq.csv").items()
            for views in [read_views(unit.path / "ground_truth" / "camera" / f"{sequence}{CAMERA}", EVERY)]
            for body in bodies
        ]
        return concat(parts) if parts else no_instances()

    def _motion(self, unit: Unit, body: Body, views: Views, motions: Path) -> Instances:
        subject, _, motion = body.name.rpartition("_")
        if not subject:
            what = f"body {body.name!r} of {body.sequence} has no motion"
            raise DataError(what, path=unit.path / "be_seq.csv", fix=OTHER)
        path = motions / subject / motion / "motion_seq.npz"
        data = fields.values(raw_files.load_npz(path, list(MOTION)), MOTION, path)
        betas, gender = checked_betas(data["betas"], path), str(data["gender"])
        images = [f"images/{unit.name}/png/{body.sequence}/{name}" for name in views.name]
        rows = body_rows(
            unit.name,
            body,
            views,
            images,
            poses=data["poses"],
            trans=data["trans"],
            betas=betas,
            gender=gender,
        )
        if rows.body is not None:
            if rows.body.gender[0] == "neutral":
                rows.body = rows.body.with_(betas_neutral=rows.body.betas)
            rows.meta["subject_gender"] = [str(data["gender_sub"])[:1]] * len(rows)
        return rows


def checked_betas(betas: Array, path: Path) -> Array:
    """(..., 10) or (..., 11) betas as they are.

    Raises
    ------
    DataError : there are more: the release for the model with a locked head.
    """
    if betas.shape[-1] > MOST_BETAS:
        raise DataError(
            f"has {betas.shape[-1]} betas: bodies of the locked-head model, which is not SMPL-X v1.1",
            path=path,
            fix="download the labels of the neutral model with 11 betas",
        )
    return betas
