"""A small EHF tree: images in two encodings, registered meshes in the scanner's frame, OpenPose json."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from ehps.converters.datasets.ehf import CAMERA, scanner_to_camera
from ehps.demo.people import random_people
from ehps.demo.raw import stage
from ehps.demo.raw.stage import Look, PaintedView, Truth
from ehps.humandata import keypoints

VIEW = PaintedView(
    1200, 1600, float(CAMERA.focal[0]), (float(CAMERA.principal_point[0]), float(CAMERA.principal_point[1]))
)


def write(
    root: Path,
    models: Path,
    rng: np.random.Generator,
    *,
    look: Look,
    images: int,
    fitted: bool = False,
    painted: bool = True,
) -> Truth:
    """Write ``images`` frames of one person; with ``fitted`` also the parameters that others fit to the meshes."""
    image, pelvis = stage.places(rng, [1] * images, VIEW, share=look.share)
    params = random_people(images, rng, style=look.style, gender="neutral")
    still = np.zeros((images, 3))  # fits to the meshes have no eyes
    params = params.with_(betas=np.repeat(params.betas[:1], images, axis=0), leye_pose=still, reye_pose=still)
    facing = stage.orientations(rng, images, yaw=look.yaw, spread=look.spread, tilt=look.tilt)
    move = scanner_to_camera()
    cast = stage.cast(models, params, move, image, pelvis, facing)
    names = [f"{i + 1:02d}" for i in range(images)]
    if images > 2:
        names[-1] = "100"
    root.mkdir(parents=True, exist_ok=True)
    scanner = (cast.vertices - move.translation) @ move.rotation
    triangles = stage.faces(models, "smplx")
    points = cast.points(VIEW)
    detected, found = keypoints.convert(
        np.concatenate([points, np.ones((*points.shape[:2], 1))], -1),
        "smplx",
        keypoints.point_names("openpose_137", fixed=True),
        approximate=True,
    )
    detected[..., 2] *= found * 0.7
    for k, name in enumerate(names):
        write_ply(root / f"{name}_align.ply", scanner[k], triangles)
        (root / f"{name}_2Djnt.json").write_text(json.dumps({"version": 1.1, "people": [openpose(detected[k])]}))
        if fitted:
            (root / "fitted_params").mkdir(exist_ok=True)
            values = {key: value[k].reshape(1, -1) for key, value in cast.params.arrays().items() if "eye" not in key}
            np.savez(root / "fitted_params" / f"{name}_align.npz", **values)
    (root / "EHF_camera.txt").write_text("Focal length\n[1498.22426237]\nPrincipal Point\n[790.263706, 578.90334]\n")
    (root / f"{names[0]}_scan.obj").write_text("v 0 0 0\n" * 20)
    paths = [f"{name}_img.jpg" for name in names]
    if painted:
        stage.paint(root, paths, cast, VIEW, models, rng, scene=look.scene)
    return cast.truth(paths, VIEW)


def openpose(points: np.ndarray) -> dict[str, list[float]]:
    """137 points as OpenPose writes them."""
    parts = np.split(points, [25, 46, 67])
    names = ("pose_keypoints_2d", "hand_left_keypoints_2d", "hand_right_keypoints_2d", "face_keypoints_2d")
    return {name: part.ravel().tolist() for name, part in zip(names, parts, strict=True)}


def write_ply(path: Path, vertices: np.ndarray, faces: np.ndarray) -> None:
    """Binary little-endian PLY."""
    header = (
        f"ply\nformat binary_little_endian 1.0\nelement vertex {len(vertices)}\nproperty float x\nproperty float y\n"
        f"property float z\nelement face {len(faces)}\nproperty list uchar int vertex_indices\nend_header\n"
    )
    triangles = np.zeros(len(faces), [("n", "u1"), ("v", "<i4", 3)])
    triangles["n"], triangles["v"] = 3, faces
    path.write_bytes(header.encode() + vertices.astype("<f4").tobytes() + triangles.tobytes())
