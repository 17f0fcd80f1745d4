"""Fits of EFT (and of CLIFF): SMPL pseudo ground truth for photographs annotated in 2D, as several datasets share them.

EFT gives rotation matrices and a weak-perspective camera [s, tx, ty] of a square crop: with b = 200 bbox_scale,
u = cx + b/2 (s X + tx). The same picture is seen by a long lens on the crop: principal point (cx, cy), focal length
F = 5000 b / 224, transl = (tx / s, ty / s, 2 F / (s b)); the two differ by about a percent of the distance to the
centre. The translation is derived, not measured, and so marked (a virtual camera).
Source: Joo et al., "Exemplar Fine-Tuning", 3DV 2021, and its data format page; Li et al., "CLIFF", ECCV 2022.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from ehps.body.params import BodyParams, smpl_params
from ehps.converters import raw
from ehps.converters.base import Camera, Instances, Keypoints, drop, no_instances
from ehps.converters.images import header_size
from ehps.errors import DataError

Array = npt.NDArray[Any]
CROP = 224
FOCAL = 5000.0


def read(path: Path, image_path: Callable[[str], str]) -> Instances:
    """All persons of an EFT json; ``image_path`` turns its ``imageName`` into a path below the root.

    Raises
    ------
    DataError : not an EFT file.
    """
    content = raw.read_json(path)
    if not isinstance(content, dict) or "data" not in content:
        raise DataError("is not an EFT file: it has no `data`", path=path, fix="take the json of EFT's download script")
    people = [p for p in content["data"] if p.get("smpltype", "smpl") == "smpl"]
    dropped: dict[str, list[str]] = {}
    drop(dropped, "not a SMPL fit", (str(p.get("imageName")) for p in content["data"] if p not in people))
    if not people:
        return no_instances(dropped)
    centre, side = raw.column(people, "bbox_center").astype(float), 200 * raw.column(people, "bbox_scale").astype(float)
    weak = raw.column(people, "parm_cam").astype(float)
    body, camera = parameters(people, weak, centre, side)
    rows = Instances(
        image_path=[image_path(str(p["imageName"])) for p in people],
        camera=camera,
        body=body,
        meta={
            "pred_cam": weak,
            "bbox_center": centre,
            "bbox_scale": side / 200,
            "annotation_id": np.array([int(p.get("annotId") or 0) for p in people], np.int64),
            "track_id": [str(p.get("subjectId") or "-1") for p in people],
        },
        misc={"smpl_source": "eft", "cam_param_type": "eft_camera"},
        dropped=dropped,
    )
    if all("gt_keypoint_2d" in p for p in people):
        rows.keypoints2d = Keypoints(raw.column(people, "gt_keypoint_2d").astype(float), "smpl_49")
    return rows


def parameters(people: Sequence[dict[str, Any]], weak: Array, centre: Array, side: Array) -> tuple[BodyParams, Camera]:
    """SMPL and the long-lens camera that replaces the weak-perspective one."""
    n = len(people)
    matrices = raw.column(people, "parm_pose").astype(float).reshape(n * 24, 3, 3)
    focal = FOCAL * side / CROP
    transl = np.column_stack([weak[:, 1:] / weak[:, :1], 2 * focal / (weak[:, 0] * side)])
    body = smpl_params(
        gender="neutral",
        betas=raw.column(people, "parm_shape").astype(float),
        pose=Rotation.from_matrix(matrices).as_rotvec().reshape(n, 72),
        transl=transl,
    )
    return body, Camera(np.column_stack([focal, focal]), centre, virtual=True)


def read_cliff(path: Path, root: Path, image_path: Callable[[str], str]) -> Instances:
    """All persons of a CLIFF npz: SMPL with full perspective, focal length the image's diagonal, centre its middle."""
    data = raw.load_npz(path, "imgname center scale part pose shape global_t focal_l annot_id")
    focal = np.ravel(data["focal_l"]).astype(float)
    n = len(focal)
    paths = [image_path(name) for name in raw.texts(data["imgname"])]
    middles = np.array([header_size(root / name)[::-1] for name in paths]) / 2
    return Instances(
        image_path=paths,
        camera=Camera(np.column_stack([focal, focal]), middles, virtual=True),
        body=smpl_params(gender="neutral", betas=data["shape"], pose=data["pose"], transl=data["global_t"]),
        keypoints2d=Keypoints(data["part"].astype(float), "smpl_24"),
        bbox=np.column_stack(
            [data["center"] - 100 * data["scale"].reshape(n, 1), np.outer(200 * data["scale"], [1, 1])]
        ),
        bbox_padded=True,
        meta={"annotation_id": np.ravel(data["annot_id"]).astype(np.int64)},
        misc={"smpl_source": "cliff_annot", "bbox_source": "provide_by_dataset"},
    )
