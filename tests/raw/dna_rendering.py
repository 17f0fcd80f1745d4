"""A DNA-Rendering tree with everything that its files hold against a reader."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from ehps.body.params import BodyParams
from ehps.converters.base import Rigid
from ehps.demo.people import motion
from ehps.demo.raw import stage
from ehps.demo.raw.stage import FRONT, Cast, PaintedView, Truth

Array = npt.NDArray[Any]

WOMAN, MAN, TEST = "0012_11", "0034_02", "0007_01"
FRAMES = 11  # so that '10' comes before '2' as a text
DETECTED = [1, 2, 4, 5, 7, 8, *range(16, 22), *range(25, 144)]  # as the page of the dataset lists them
ABSENT_2D, ABSENT_3D, NAN_3D = 30, 40, 50  # slots of the 190
TWINS = (150, 151, 170)  # not triangulated, all in one place
COPY = 144  # of slot 2
GROUPS = {"Camera_5mp": (3, 25), "Camera_12mp": (48, 59)}
VIEWS = {
    "Camera_5mp": PaintedView(306, 256, 390.0, (131.0, 149.0)),
    "Camera_12mp": PaintedView(512, 375, 650.0, (180.0, 262.0)),
}
LENS = np.array([-0.7, 0.1, 0.006, -0.005, 0.02])


@dataclass
class Studio:
    """A raw tree. ``truth``: (sequence, group) -> the people that must be found, camera by camera."""

    root: Path
    truth: dict[tuple[str, str], Truth]
    dropped: dict[str, dict[str, int]]  # of train, by group of cameras
    left_out: dict[str, dict[str, int]]

    def of(self, group: str, *sequences: str) -> Truth:
        return Truth.concat([self.truth[name, group] for name in sequences])


def write_fixture(root: Path, models: Path, rng: np.random.Generator) -> Studio:
    """Part 2 with ``WOMAN`` (one image more than fits; fewer of 12 megapixels) and ``MAN`` (one image of camera
    25 lost, a camera 7 without calibration, no images of 12 megapixels, betas once, gender as bytes); part 1 with
    ``TEST`` (names as the release's page spells them); files without their other half; part 3 without annotations.
    """
    truth: dict[tuple[str, str], Truth] = {}
    part2 = root / "dna_rendering_part2_main"
    for name, gender, folder in (
        (WOMAN, "female", part2),
        (MAN, "male", part2),
        (TEST, "male", root / "Part 1" / "dna_rendering_part1_main"),
    ):
        truth |= write_sequence(folder, name, gender, models, rng)
    _spoil(root, truth)
    empty = root / "dna_rendering_part3_main" / "0400_01.smc"
    for path in (empty, part2 / "0050_01.smc", root / "dna_rendering_part1_apose" / f"{TEST}.smc"):
        path.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(path, "w") as file:
            file.attrs["gender"] = "male"
    with h5py.File(fits_file(root, "0051_01"), "w"):
        pass
    both = {"no annotation file of the sequence": 1, "no main file of the sequence": 1}
    return Studio(
        root,
        truth,
        {
            "Camera_5mp": {
                "no SMPL-X fit of the frame": 2,
                "no image of a fitted frame": 1,
                "camera not calibrated": FRAMES,
            },
            "Camera_12mp": {"no image of a fitted frame": 6},
        },
        {"Camera_5mp": both, "Camera_12mp": both | {"no images in Camera_12mp of the main file": 1}},
    )


def write_sequence(
    folder: Path, name: str, gender: str, models: Path, rng: np.random.Generator, painted: bool = False
) -> dict[tuple[str, str], Truth]:
    """Both files of a sequence, the annotations in the folder beside."""
    world = act(models, rng, gender)
    fits = folder.with_name(folder.name.replace("main", "annotations")) / f"{name}_annots.smc"
    for path in (folder, fits.parent):
        path.mkdir(parents=True, exist_ok=True)
    truth = {}
    with h5py.File(folder / f"{name}.smc", "w") as main, h5py.File(fits, "w") as file:
        main.attrs.update({"actor_id": int(name[:4]), "gender": gender, "age": 30})
        _write_fits(file, world.params)
        _write_points3d(file, world.joints)
        for group, ids in GROUPS.items():
            view, parts = VIEWS[group], []
            main.create_group(group).attrs.update(
                {"num_device": len(ids), "num_frame": FRAMES, "resolution": (view.height, view.width)}
            )
            for camera in ids:
                to_world = _camera(rng, camera)
                back = np.linalg.inv(to_world)
                own = PaintedView(view.height, view.width, view.focal * (1 + camera / 1000), view.centre)
                seen = stage.moved(world.joints, *_each(back))
                points = distorted(seen, own)
                parts.append(
                    Truth([image_path(name, camera, k) for k in range(FRAMES)], seen, points, world.params.gender)
                )
                _write_camera(file, camera, own, to_world, points)
                images = (
                    _paint(world, back, own, models, rng)
                    if painted
                    else [marked(name, camera, k, own) for k in range(FRAMES)]
                )
                for k, image in enumerate(images):
                    write_image(main, group, camera, k, image)
            truth[name, group] = Truth.concat(parts)
    return truth


def act(models: Path, rng: np.random.Generator, gender: str) -> Cast:
    """A person moving in the middle of the studio, y down: joints and vertices in the world."""
    params = motion(FRAMES, rng, style="sports", gender=gender, frames_between_poses=4)
    yaw = Rotation.from_euler("y", np.linspace(0, 120, FRAMES)[:, None], degrees=True).as_matrix()
    pelvis = np.column_stack(
        [rng.normal(0.3, 0.05, FRAMES), rng.normal(-0.9, 0.02, FRAMES), rng.normal(0.2, 0.05, FRAMES)]
    )
    still = Rigid(np.eye(3), np.zeros(3))
    return stage.cast(models, params, still, np.arange(FRAMES), pelvis, FRONT @ yaw)


def _camera(rng: np.random.Generator, camera: int) -> Array:
    """(4, 4) camera to world: somewhere around the person, upright but for a few degrees."""
    turn = Rotation.from_euler("yxz", [37 * camera, rng.uniform(-12, 4), rng.uniform(-6, 6)], degrees=True).as_matrix()
    out = np.eye(4)
    out[:3, :3] = turn
    out[:3, 3] = np.array([0.3, -0.9, 0.2]) - turn @ [rng.normal(0, 0.05), rng.normal(0, 0.05), 3.3]
    return out


def _each(move: Array) -> tuple[Array, Array]:
    return np.tile(move[:3, :3], (FRAMES, 1, 1)), np.tile(move[:3, 3], (FRAMES, 1))


def distorted(joints: Array, view: PaintedView) -> Array:
    """(N, J, 2) pixels as OpenCV projects camera-frame points."""
    flat = cv2.projectPoints(joints.reshape(-1, 1, 3), np.zeros(3), np.zeros(3), view.matrix, LENS)[0]
    return np.asarray(flat).reshape(*joints.shape[:2], 2)


def _write_fits(file: h5py.File, params: BodyParams) -> None:
    hands = (params.left_hand_pose, params.right_hand_pose)
    head = (params.jaw_pose, params.leye_pose, params.reye_pose)
    parts = [v.reshape(FRAMES, -1, 3) for v in (params.global_orient, params.body_pose, *head, *hands) if v is not None]
    group = file.create_group("SMPLx")
    group["fullpose"] = np.concatenate(parts, axis=1)
    group["betas"], group["expression"], group["transl"] = params.betas, params.expression, params.transl
    group["scale"] = 1.07


def _write_points3d(file: h5py.File, joints: Array) -> None:
    points = np.zeros((FRAMES, 190, 4))
    points[:, DETECTED, :3] = joints[:, DETECTED]
    points[:, TWINS, :3] = [0.1, -0.2, 0.3]
    points[:, COPY, :3] = points[:, 2, :3]
    points[:, NAN_3D] = np.nan
    points[:, ABSENT_3D] = 0
    file["Keypoints_3D/keypoints3d"] = points


def _write_camera(file: h5py.File, camera: int, view: PaintedView, to_world: Array, points: Array) -> None:
    group = file.create_group(f"Camera_Parameter/{camera:02d}")
    group["K"], group["D"], group["RT"], group["Color_Calibration"] = view.matrix, LENS, to_world, np.eye(3)
    scored = np.concatenate([points, np.full((*points.shape[:2], 1), 0.9)], axis=2)
    scored[:, ABSENT_2D] = 0
    file[f"Keypoints_2D/{camera:02d}"] = scored[:, DETECTED]


def _paint(world: Cast, back: Array, view: PaintedView, models: Path, rng: np.random.Generator) -> list[Array]:
    """What a camera sees, bent by its lens."""
    from ehps.body.rendering import render
    from ehps.demo.clothing import dress

    triangles, region = stage.surface(models, "smplx")
    colours = dress(np.random.default_rng(1), region)[None]
    grid = np.stack(np.meshgrid(np.arange(view.width), np.arange(view.height)), -1).reshape(-1, 1, 2).astype(float)
    straight = cv2.undistortPoints(grid, view.matrix, LENS, P=view.matrix).reshape(view.height, view.width, 2)
    across, down = np.ascontiguousarray(straight.transpose(2, 0, 1), np.float32)
    vertices = stage.moved(world.vertices, *_each(back))
    out = []
    for k in range(FRAMES):
        backdrop = np.full((view.height, view.width, 3), 90, np.uint8)
        image = render(vertices[k : k + 1], triangles, colours, view.matrix, (view.height, view.width), backdrop)
        out.append(cv2.remap(image, across, down, cv2.INTER_LINEAR)[..., ::-1])
    return out


def marked(name: str, camera: int, frame: int, view: PaintedView) -> Array:
    """An image that says which it is: bands of grey for sequence, camera and frame."""
    image = np.zeros((view.height, view.width, 3), np.uint8)
    for band, level in zip(np.array_split(image, 3), (5 * (int(name[:4]) % 40), 4 * camera, 20 * frame), strict=True):
        band[:] = level
    return image


def marks(image: Array) -> tuple[int, int]:
    """Camera and frame that an image says."""
    _, camera, frame = (float(band.mean()) for band in np.array_split(image, 3))
    return round(camera / 4), round(frame / 20)


def write_image(main: h5py.File, group: str, camera: int, frame: int, image: Array) -> None:
    main[f"{group}/{camera}/color/{frame}"] = cv2.imencode(".jpg", image)[1].ravel()


def image_path(name: str, camera: int, frame: int) -> str:
    return f"images/{name}/{camera:02d}/{frame:06d}.jpg"


def _spoil(root: Path, truth: dict[tuple[str, str], Truth]) -> None:
    with h5py.File(main_file(root, WOMAN), "r+") as main:
        for camera in GROUPS["Camera_5mp"]:
            write_image(main, "Camera_5mp", camera, FRAMES, marked(WOMAN, camera, FRAMES, VIEWS["Camera_5mp"]))
        for camera in GROUPS["Camera_12mp"]:
            for frame in (8, 9, 10):
                del main[f"Camera_12mp/{camera}/color/{frame}"]
    with h5py.File(main_file(root, MAN), "r+") as main, h5py.File(fits_file(root, MAN), "r+") as file:
        main.attrs["gender"] = np.bytes_(b"Male")
        del main["Camera_12mp"], main["Camera_5mp/25/color/4"]
        for frame in range(FRAMES):
            write_image(main, "Camera_5mp", 7, frame, marked(MAN, 7, frame, VIEWS["Camera_5mp"]))
        for key in ("betas", "expression"):
            once = file[f"SMPLx/{key}"][:1]
            if key == "betas":
                del file[f"SMPLx/{key}"]
                file[f"SMPLx/{key}"] = once
        points = file["Keypoints_3D/keypoints3d"][..., :3]
        del file["Keypoints_3D/keypoints3d"]
        file["Keypoints_3D/keypoints3d"] = points
        del file["SMPLx/scale"]
        file["SMPLx/scale"] = [1.07]
    with h5py.File(fits_file(root, TEST), "r+") as file:
        file.move("SMPLx/betas", "SMPLx/beta")
        file.move("SMPLx/fullpose", "SMPLx/full_pose")
    kept = [k for k in range(2 * FRAMES) if k % FRAMES < 8]
    truth[WOMAN, "Camera_12mp"] = truth[WOMAN, "Camera_12mp"][kept]
    kept = [k for k in range(2 * FRAMES) if k != FRAMES + 4]
    truth[MAN, "Camera_5mp"] = truth[MAN, "Camera_5mp"][kept]
    del truth[MAN, "Camera_12mp"]


def main_file(root: Path, name: str) -> Path:
    (path,) = (p for p in root.rglob(f"{name}.smc") if "apose" not in str(p))
    return path


def fits_file(root: Path, name: str) -> Path:
    found = list(root.rglob(f"{name}_annots.smc"))
    return found[0] if found else root / "dna_rendering_part2_annotations" / f"{name}_annots.smc"


def extract_all(root: Path) -> None:
    """All images out of the main files, beside them."""
    for path in root.rglob("*.smc"):
        with h5py.File(path) as file:
            for group in (g for g in GROUPS if g in file):
                for camera, taken in file[group].items():
                    for frame, data in taken["color"].items():
                        target = root / image_path(path.stem, int(camera), int(frame))
                        target.parent.mkdir(parents=True, exist_ok=True)
                        target.write_bytes(data[()].tobytes())
