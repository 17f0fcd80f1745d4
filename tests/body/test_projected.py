"""Bodies on images: joints and surfaces are where the camera sees them, nearer people hide farther ones."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from ehps.body.models import BodyModels
from ehps.body.projected import ProjectedBodies
from ehps.body.variants import params_of
from ehps.errors import BodyModelError, DataError, PassportError
from ehps.humandata import HumanData
from ehps.humandata.passport import Passport

Array = npt.NDArray[Any]

SIZE = (240, 320)
PASSPORT = Passport(body_model="smplx", gender="neutral", num_betas=10, flat_hand_mean=False, focal="image")


def people(places: Array, focal: Array | float = 300.0, **more: Any) -> HumanData:
    """Upright people (N, 3) metres from the camera, facing it."""
    n = len(places)
    columns: dict[str, Any] = {
        "image_path": ["a.png"] * n,
        "smplx/betas": np.zeros((n, 10), np.float32),
        "smplx/global_orient": np.tile([np.pi, 0, 0], (n, 1)).astype(np.float32),
        "smplx/body_pose": np.random.default_rng(0).normal(0, 0.1, (n, 21, 3)).astype(np.float32),
        "smplx/transl": np.asarray(places, np.float32),
        "meta/focal_length": np.broadcast_to(np.reshape(focal, (-1, 1)), (n, 2)).astype(np.float32),
        "meta/principal_point": np.tile([160.0, 120], (n, 1)).astype(np.float32),
    }
    return HumanData(columns | more, passport=PASSPORT)


@pytest.fixture(scope="module")
def pair() -> HumanData:
    return people(np.array([[0, 0, 4.0], [0.3, 0, 6.0]]))


def painted(bodies: ProjectedBodies, rows: list[int], image: Array, origin: Any = (0, 0), factor: float = 1) -> Array:
    colours = [[(250, 0, 0), (0, 0, 250)][row] for row in rows]
    return bodies.painted(image, bodies.surfaces(rows), colours, np.array(origin), factor)


def test_joints_are_projected_by_the_camera_of_the_file(pair: HumanData, models: BodyModels) -> None:
    bodies = ProjectedBodies(pair, models)
    joints = models.joints(params_of(pair))
    seen = bodies.joints([1])
    np.testing.assert_allclose(seen[0, :, 0], 300 * joints[1, :, 0] / joints[1, :, 2] + 160, atol=1e-3)
    np.testing.assert_allclose(seen[0, :, 1], 300 * joints[1, :, 1] / joints[1, :, 2] + 120, atol=1e-3)
    assert (seen[..., 2] == 1).all()
    assert bodies.convention == "smplx"


def test_the_lens_of_the_images_bends_bodies_as_opencv_does(models: BodyModels) -> None:
    bent = np.array([[-0.3, 0.1, 0.01, -0.02, 0.0]], np.float32)
    hd = people(np.array([[1.0, 0.3, 4.0]]), **{"meta/dist_coeffs": bent})
    seen = ProjectedBodies(hd, models).joints([0])
    matrix = np.array([[300.0, 0, 160], [0, 300, 120], [0, 0, 1]])
    joints = models.joints(params_of(hd))[0].astype(float)
    expected = cv2.projectPoints(joints, np.zeros(3), np.zeros(3), matrix, bent[0].astype(float))[0][:, 0]
    np.testing.assert_allclose(seen[0, :, :2], expected, atol=0.01)
    assert (
        np.abs(expected[:, 0] - ProjectedBodies(people(np.array([[1.0, 0.3, 4.0]])), models).joints([0])[0, :, 0]).max()
        > 2
    )


def test_a_fisheye_bends_bodies_as_opencv_does(models: BodyModels) -> None:
    bent = np.array([[0.06, -0.01, 0.003, -0.001]], np.float32)
    hd = people(np.array([[1.8, 0.3, 2.0]]), **{"meta/fisheye_dist_coeffs": bent})
    bodies = ProjectedBodies(hd, models)
    matrix = np.array([[300.0, 0, 160], [0, 300, 120], [0, 0, 1]])
    lens = (np.zeros(3), np.zeros(3), matrix, bent[0].astype(float))
    joints = models.joints(params_of(hd)).astype(float)
    np.testing.assert_allclose(
        bodies.joints([0])[0, :, :2], cv2.fisheye.projectPoints(joints, *lens)[0][0], rtol=0, atol=1e-3
    )
    vertices = models.mesh(params_of(hd)).astype(float)
    drawn = bodies.surfaces([0]).pixels[0]
    np.testing.assert_allclose(drawn, cv2.fisheye.projectPoints(vertices, *lens)[0][0], rtol=0, atol=1e-3)
    pinhole = 300 * vertices[0, :, 0] / vertices[0, :, 2] + 160
    assert np.abs(pinhole - drawn[:, 0]).min() > 10


def test_a_surface_covers_its_joints_and_nothing_far_from_them(pair: HumanData, models: BodyModels) -> None:
    bodies = ProjectedBodies(pair, models)
    black = np.zeros((*SIZE, 3), np.uint8)
    image = painted(bodies, [0], black)
    drawn = image.any(axis=-1)
    spine = bodies.joints([0])[0, [0, 3, 6, 9, 12, 15], :2].round().astype(int)
    assert drawn[spine[:, 1], spine[:, 0]].all()
    x, y = bodies.surfaces([0]).pixels[0].T
    rows, columns = np.nonzero(drawn)
    assert (columns.min(), columns.max()) == (pytest.approx(x.min(), abs=1), pytest.approx(x.max(), abs=1))
    assert (rows.min(), rows.max()) == (pytest.approx(max(y.min(), 0), abs=1), pytest.approx(min(y.max(), 239), abs=1))
    assert not black.any()


def test_a_cut_out_and_enlarged_image_gets_the_same_surface(pair: HumanData, models: BodyModels) -> None:
    bodies = ProjectedBodies(pair, models)
    grey = np.full((*SIZE, 3), 90, np.uint8)
    whole = painted(bodies, [0, 1], grey)
    np.testing.assert_array_equal(painted(bodies, [0, 1], grey[30:200, 100:260], (100, 30)), whole[30:200, 100:260])
    large = painted(bodies, [0, 1], cv2.resize(grey, None, fx=3, fy=3), factor=3)
    small = cv2.resize(large, SIZE[::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(small.astype(int) - whole).mean() < 1


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_nearer_people_hide_farther_ones(pair: HumanData, models: BodyModels, order: list[int]) -> None:
    bodies = ProjectedBodies(pair, models)
    x, y = bodies.joints([0])[0, 3, :2].round().astype(int)
    image = painted(bodies, order, np.zeros((*SIZE, 3), np.uint8))
    assert image[y, x].argmax() == 0


def test_cameras_of_their_own_do_not_decide_who_is_in_front(models: BodyModels) -> None:
    """The first is as large as at 4 m, the second as at 6 m, but their invented depths say the opposite."""
    hd = people(np.array([[0, 0, 40.0], [0, 0, 6.0]]), focal=np.array([3000.0, 300]))
    bodies = ProjectedBodies(hd, models)
    image = painted(bodies, [0, 1], np.zeros((*SIZE, 3), np.uint8))
    x, y = bodies.joints([0])[0, 3, :2].round().astype(int)
    assert image[y, x].argmax() == 0


def test_the_side_view_has_the_camera_on_the_left_and_shortens_long_gaps(models: BodyModels) -> None:
    bodies = ProjectedBodies(people(np.array([[0, 0, 4.0], [0, 0, 60.0]])), models)
    image = bodies.from_the_side(bodies.surfaces([0, 1]), [(250, 0, 0), (0, 0, 250)], 200)
    assert image.shape[0] == 200
    assert image.shape[1] < 400
    red, blue = (np.nonzero(image[..., k].astype(int) - image[..., 2 - k] > 30)[1] for k in (0, 2))
    assert red.max() < blue.min()
    assert (image[100] == 170).all(axis=-1).sum() == 2


def test_people_who_cannot_be_drawn_are_left_out(models: BodyModels) -> None:
    hd = people(np.array([[0, 0, 4.0], [np.nan, 0, 4], [0, 0, -4.0]]))
    bodies = ProjectedBodies(hd, models)
    colours = [(250, 0, 0), (0, 250, 0), (0, 0, 250)]
    found = bodies.surfaces([0, 1, 2])
    image = bodies.painted(np.zeros((*SIZE, 3), np.uint8), found, colours, np.zeros(2), 1.0)
    assert image[..., 0].any()
    assert (image[..., 0] >= image[..., 1]).all()
    assert (image[..., 0] >= image[..., 2]).all()
    assert bodies.from_the_side(bodies.surfaces([1]), colours[1:2], 90).shape == (90, 30, 3)


def test_what_is_lacking_is_named(pair: HumanData, models: BodyModels, tmp_path: Any) -> None:
    with pytest.raises(DataError, match="no body parameters"):
        ProjectedBodies(HumanData({"image_path": ["a"]}), models)
    with pytest.raises(DataError, match="meta/principal_point"):
        ProjectedBodies(pair.without(["meta/principal_point"]), models)
    with pytest.raises(PassportError):
        ProjectedBodies(
            HumanData({name: pair[name] for name in pair.columns}, passport=PASSPORT.with_(frame="unknown")), models
        )
    with pytest.raises(BodyModelError, match="SMPL-X"):
        ProjectedBodies(pair, BodyModels(tmp_path))
