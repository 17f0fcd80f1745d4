"""Bodies in the world, moved to the camera, compared with joints that are moved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ehps.body import cameras, rigid_motion, rotations
from ehps.body.models import BodyModels
from ehps.body.params import BodyParams
from ehps.body.variants import params_of
from ehps.body.world_frame import moved_to_camera
from ehps.errors import DataError, PassportError
from ehps.humandata import HumanData
from ehps.humandata.keypoints import point_names
from tests.body.test_fast_joints import random_params

N = 4
FOCAL, CENTRE = np.array([900.0, 900]), np.array([640.0, 360])
TURN = rotations.about("y", np.array([20.0, 75, 140, 200])) @ rotations.about("x", 10.0)
SHIFT = np.array([[0.1, 0.2, 4], [0.3, 0.1, 5], [-0.4, 0, 6], [0, 0.3, 4.5]])


@pytest.fixture(scope="module")
def bodies(models: BodyModels) -> tuple[BodyParams, np.ndarray, np.ndarray]:
    """SMPL bodies near the origin of the world, their joints there, and in the camera."""
    params = random_params("smpl", N, np.random.default_rng(3), gender="female")
    params = params.with_(transl=np.random.default_rng(4).uniform(-0.5, 0.5, (N, 3)))
    world = models.joints(params, np.float64)
    return params, world, rigid_motion.apply(world, TURN, SHIFT)


def foreign(path: Path, params: BodyParams, **more: Any) -> HumanData:
    """A file of another program with these bodies, read back; ``more`` replaces members."""
    values: dict[str, Any] = {
        "image_path": np.array([f"{i}.jpg" for i in range(N)]),
        "bbox_xywh": np.ones((N, 5)),
        "smpl": {name: getattr(params, name) for name in ("betas", "transl", "global_orient", "body_pose")},
        "meta": {"gender": ["female"] * N, "R": list(TURN), "T": list(SHIFT)},
    } | more
    np.savez(path, **{k: np.array(v, object) if isinstance(v, dict) else v for k, v in values.items() if v is not None})
    return HumanData.open(path)


def points(xyz: np.ndarray, name: str = "keypoints3d_smpl") -> dict[str, Any]:
    """Members of a keypoint column whose points are those of SMPL."""
    names, layout = point_names("smpl_45"), point_names("human_data")
    at = [layout.index(point) for point in names[:24] if point in layout]
    taken = [i for i, point in enumerate(names[:24]) if point in layout]
    whole = np.zeros((len(xyz), 190, xyz.shape[2] + 1), np.float32)
    whole[:, at, :-1], whole[:, at, -1] = xyz[:, taken], 1
    return {name: whole, f"{name}_mask": (whole[..., -1] > 0).any(axis=0).astype(np.uint8)}


def seen(joints: np.ndarray) -> dict[str, Any]:
    pixels = points(cameras.project(joints, FOCAL, CENTRE), "keypoints2d_original")
    return pixels | {"cam_param": {"K": np.array([[900.0, 0, 640], [0, 900, 360], [0, 0, 1]])}}


def test_bodies_turn_about_their_pelvis(models: BodyModels, bodies: Any, tmp_path: Path) -> None:
    params, _, camera = bodies
    done = moved_to_camera(foreign(tmp_path / "x.npz", params, **seen(camera)), models)
    hd = done.data
    np.testing.assert_allclose(models.joints(params_of(hd)), camera, atol=1e-4)
    assert (hd.passport.frame, hd.passport.units) == ("opencv-camera", "metre, radian, pixel")
    assert done.extrinsics == ("meta/R", "meta/T")
    assert done.pixels["after"] < 0.1 < 100 < done.pixels["before"]
    assert {"meta/R", "meta/T"} & set(hd.columns) == set()
    np.testing.assert_allclose(hd["meta/RT"][:, :3, :3], TURN, atol=1e-6)
    np.testing.assert_array_equal(hd["meta/focal_length"], np.tile(FOCAL, (N, 1)))
    np.testing.assert_array_equal(hd["meta/principal_point"], np.tile(CENTRE, (N, 1)))
    assert hd.validate() == []
    with pytest.raises(PassportError, match="camera frame already"):
        moved_to_camera(hd, models)


def test_bodies_land_on_points_of_a_fisheye(models: BodyModels, bodies: Any, tmp_path: Path) -> None:
    params, _, camera = bodies
    wide = np.array([0.8, 0, 0, 0])  # seen far from where a pinhole would see them
    pixels = cameras.project(camera + np.array([6.0, 0, 0]), FOCAL, CENTRE, wide, lens="fisheye")
    meta = {"gender": ["female"] * N, "R": list(TURN), "T": list(SHIFT + np.array([6.0, 0, 0]))}
    own = points(pixels, "keypoints2d_original") | {"cam_param": seen(camera)["cam_param"]}
    lens = {"fisheye_dist_coeffs": np.tile(wide, (N, 1))}
    hd = foreign(tmp_path / "x.npz", params, meta=meta | lens, **own)
    assert moved_to_camera(hd, models).pixels["after"] < 0.1
    with pytest.raises(DataError, match="miss keypoints2d_original"):
        moved_to_camera(foreign(tmp_path / "y.npz", params, meta=meta, **own), models)


def test_a_file_without_rows_is_moved(models: BodyModels, bodies: Any, tmp_path: Path) -> None:
    empty = foreign(tmp_path / "x.npz", bodies[0], **seen(bodies[2]))[:0]
    done = moved_to_camera(empty, models)
    assert (len(done.data), done.data.passport.frame) == (0, "opencv-camera")


def test_bodies_of_an_unknown_frame_are_not_used(bodies: Any, tmp_path: Path) -> None:
    with pytest.raises(PassportError, match=r"x\.npz: .*unknown frame.*meta/R, meta/T.*--frame camera"):
        params_of(foreign(tmp_path / "x.npz", bodies[0]))


@pytest.mark.parametrize(
    ("where", "what"), [("world", "moved"), ("camera", "kept"), ("elsewhere", "left out"), ("root", "moved")]
)
def test_3d_points_move_with_the_bodies_they_lie_on(
    models: BodyModels, bodies: Any, tmp_path: Path, where: str, what: str
) -> None:
    params, world, camera = bodies
    own = {"world": world, "camera": camera, "elsewhere": world + 1, "root": world - world[:, :1]}[where]
    more = points(own) | seen(camera) | {"misc": {"kps3d_root_aligned": where == "root"}}
    done = moved_to_camera(foreign(tmp_path / "x.npz", params, **more), models)
    assert done.points == {"keypoints3d_smpl": what}
    assert ("keypoints3d_smpl" in done.data) == (what != "left out")
    if what != "left out":
        wanted = camera - camera[:, :1] if where == "root" else camera
        found = done.data.keypoints("keypoints3d_smpl", point_names("smpl_45")[:22])
        np.testing.assert_allclose(found[..., :3], wanted[:, :22], atol=1e-4)


def test_what_the_2d_points_contradict_is_refused(models: BodyModels, bodies: Any, tmp_path: Path) -> None:
    params, _, camera = bodies
    moved = rigid_motion.to_camera(params, TURN, SHIFT, models.rest_pelvis(params))
    with pytest.raises(PassportError, match=r"as they are .* in the camera frame already.*--declare frame="):
        moved_to_camera(foreign(tmp_path / "a.npz", moved, **seen(camera)), models)
    back = TURN.transpose(0, 2, 1)
    centres = {"gender": ["female"] * N, "R": list(back), "T": list(-np.einsum("nij,nj->ni", back, SHIFT))}
    with pytest.raises(DataError, match="by the inverse of meta/R, meta/T"):
        moved_to_camera(foreign(tmp_path / "b.npz", params, meta=centres, **seen(camera)), models)
    with pytest.raises(DataError, match="miss keypoints2d_original"):
        moved_to_camera(foreign(tmp_path / "c.npz", params, **seen(camera[::-1] + np.array([3.0, 0, 0]))), models)


def test_without_2d_points_bodies_must_be_before_the_camera(models: BodyModels, bodies: Any, tmp_path: Path) -> None:
    params = bodies[0]
    assert moved_to_camera(foreign(tmp_path / "a.npz", params), models).pixels == {}
    behind = {"gender": ["female"] * N, "R": list(TURN), "T": list(-SHIFT)}
    with pytest.raises(DataError, match="100% of its bodies are behind the camera"):
        moved_to_camera(foreign(tmp_path / "b.npz", params, meta=behind), models)


@pytest.mark.parametrize(
    ("meta", "what"),
    [
        ({"gender": ["female"] * N}, "no extrinsics"),
        ({"R": list(TURN), "T": list(SHIFT)}, "whose|which gender's body model"),
        ({"gender": ["cat"] * N, "R": list(TURN), "T": list(SHIFT)}, "meta/gender has words"),
        ({"gender": ["female"] * N, "R": list(2 * TURN), "T": list(SHIFT)}, "meta/R does not hold rotations.*scales"),
        ({"gender": ["female"] * N, "R": list(TURN), "T": list(1000 * SHIFT)}, "not in metres"),
    ],
)
def test_what_the_file_lacks_is_told(
    models: BodyModels, bodies: Any, tmp_path: Path, meta: dict[str, Any], what: str
) -> None:
    with pytest.raises((DataError, PassportError), match=rf"x\.npz: .*({what})"):
        moved_to_camera(foreign(tmp_path / "x.npz", bodies[0], meta=meta), models)


def test_bodies_that_are_not_finite_are_told(models: BodyModels, bodies: Any, tmp_path: Path) -> None:
    params = bodies[0]
    transl = params.transl.copy()
    transl[2] = np.nan
    with pytest.raises(DataError, match="smpl/transl is not finite in 1 rows, the first is 2"):
        moved_to_camera(foreign(tmp_path / "x.npz", params.with_(transl=transl)), models)
