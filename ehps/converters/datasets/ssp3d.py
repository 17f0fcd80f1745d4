"""SSP-3D: 311 frames of sports people in tight clothes, SMPL fitted over several frames with one shared shape.

One virtual camera for all (focal 5000 px, 512 x 512), gendered models, parameters already in the camera frame.
Source: Sengupta et al., BMVC 2020, and the dataset's repository.
"""

from __future__ import annotations

import re

import numpy as np

from ehps.body.params import smpl_params
from ehps.converters.base import Camera, Converter, DatasetCard, Instances, Keypoints, Unit
from ehps.converters.readers import fields, raw_files
from ehps.converters.readers.fields import Field, numbers, texts

CARD = DatasetCard(
    id="ssp3d",
    name="SSP-3D",
    homepage="https://github.com/akashsengupta1997/SSP-3D",
    licence="MIT for code and annotations; frames of internet videos",
    paper=(
        "Sengupta et al., Synthetic Training for Accurate 3D Human Pose and Shape Estimation in the Wild, BMVC 2020"
    ),
    annotation="fit to 2D points",
    annotation_note="SMPL, gendered, pseudo (multi-frame fit)",
    body_model="smpl",
    appearance="real",
    scene="in the wild",
    scene_note="sports",
    persons="one",
    splits={"train": 311, "test": 311},
    layout="""
ssp_3d/
  labels.npz
  images/<clip>_frame_<n>.png            512 x 512
  silhouettes/<clip>_frame_<n>.png       optional
""",
    needs=("labels.npz", "images/"),
    get="ssp_3d.zip, which is in the repository: no registration",
    variants={"smplx_labels_with_vertices.npz": "SHAPY's labels; labels.npz of ssp_3d.zip is needed"},
    reprojection="fitted",
    notes=(
        "There is no official split: train (as SMPLer-X uses it) and test (as it was published) are two names of one "
        "set. Never test on what you trained on.",
        "Depths are tens of metres: the focal length is a convention, not a calibration.",
        "Shapes are the point of this set and belong to the male and female SMPL models.",
    ),
)
SIZE = (512, 512)
CAMERA = Camera(np.array([5000.0, 5000.0]), np.array([256.0, 256.0]), virtual=True)
ARRAYS = {
    "fnames": Field("path", ("N",)),
    "shapes": numbers("N", 10),
    "poses": numbers("N", 72),
    "cam_trans": numbers("N", 3),
    "joints2D": numbers("N", 17, 3),
    "bbox_centres": numbers("N", 2),
    "bbox_whs": numbers("N"),
    "genders": texts("N", words=("m", "f")),
}
CLIP = re.compile(r"(?P<clip>.+)_frame_(?P<frame>\d+)\.\w+")


class SSP3D(Converter):
    card = CARD

    def units(self) -> list[Unit]:
        return [Unit("all", self.root / "labels.npz")]

    def read(self, unit: Unit) -> Instances:
        data = fields.values(raw_files.load_npz(unit.path, list(ARRAYS)), ARRAYS, unit.path)
        names = data["fnames"].tolist()
        clips = [CLIP.fullmatch(name) for name in names]
        side = data["bbox_whs"].astype(float)
        corner = data["bbox_centres"][:, ::-1] - side[:, None] / 2  # centres are (row, column)
        return Instances(
            image_path=[f"images/{name}" for name in names],
            size=SIZE,
            camera=CAMERA,
            body=smpl_params(
                gender=data["genders"],
                betas=data["shapes"].astype(float),
                pose=data["poses"],
                transl=data["cam_trans"],
            ),
            keypoints2d=Keypoints(data["joints2D"].astype(float), "coco"),
            meta={
                "sequence_name": [m["clip"] if m else name for m, name in zip(clips, names, strict=True)],
                "frame_id": np.array([int(m["frame"]) if m else -1 for m in clips]),
                "bbox_original_xywh": np.column_stack([corner, side, side]),
            },
            meta_in_pixels=("bbox_original_xywh",),
            columns=self._silhouettes(names),
            misc={
                "cam_param_type": "perspective",
                "cam_param_source": "estimated",
                "focal_length": CAMERA.focal.tolist(),
                "principal_point": CAMERA.principal_point.tolist(),
                "image_shape": list(SIZE),
            },
        )

    def _silhouettes(self, names: list[str]) -> dict[str, list[str]]:
        """Paths of the masks, where all are there."""
        have = set(raw_files.listing(self.root / "silhouettes"))
        return {"segmentation": [f"silhouettes/{name}" for name in names]} if have.issuperset(names) else {}
