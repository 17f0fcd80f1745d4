"""Views of multi-view recordings: every row has the camera of its own view, whatever the order of the rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ehps.converters.readers.views import CalibratedView, cameras_of, lens_of
from ehps.errors import DataError

VIEWS = [
    CalibratedView(
        name=f"cam_{k}",
        size=(480 + k, 640 - k),
        focal=np.array([500.0 + k, 510.0 + k]),
        principal_point=np.array([320.0 - k, 240.0 + k]),
        rotation=Rotation.from_euler("y", 20 * k, degrees=True).as_matrix(),
        translation=np.array([0.1 * k, 0.0, 3.0]),
        distortion=np.array([0.1 * k, 0, 0, 0, 0]),
    )
    for k in range(3)
]
ORDER = np.array([2, 0, 0, 1])


def test_every_row_has_the_camera_of_its_view() -> None:
    size, camera, move = cameras_of(VIEWS, ORDER)
    assert camera.distortion is not None
    for row, k in enumerate([2, 0, 0, 1]):
        assert size[row].tolist() == [480 + k, 640 - k]
        assert camera.focal[row].tolist() == [500 + k, 510 + k]
        assert camera.principal_point[row].tolist() == [320 - k, 240 + k]
        assert camera.distortion[row].tolist() == [0.1 * k, 0, 0, 0, 0]
        turned = Rotation.from_matrix(move.rotation[row]).as_euler("yxz", degrees=True)
        np.testing.assert_allclose(turned, [20 * k, 0, 0], atol=1e-9)
        assert move.translation[row].tolist() == [0.1 * k, 0, 3]


def test_pinholes_have_no_distortion() -> None:
    _, camera, _ = cameras_of([replace(view, distortion=None) for view in VIEWS], ORDER)
    assert camera.distortion is None


def test_no_rows_are_no_cameras() -> None:
    size, camera, move = cameras_of(VIEWS, np.zeros(0, int))
    assert (size.shape, camera.focal.shape, move.rotation.shape) == ((0, 2), (0, 2), (0, 3, 3))


LENS = np.array([[500.0, 0.2, 320], [0, 510, 240], [0, 0, 1]])


def test_camera_matrices_are_focal_lengths_and_principal_points() -> None:
    focal, centre = lens_of(np.stack([LENS, LENS + np.eye(3) * [1, 1, 0]]), Path("x.npz"), "K")
    assert (focal.tolist(), centre.tolist()) == ([[500, 510], [501, 511]], [[320, 240], [320, 240]])


@pytest.mark.parametrize("other", [LENS.T, 2 * LENS, np.linalg.inv(LENS)[::-1]])
def test_what_is_no_camera_matrix_is_named_with_its_file(other: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"x\.npz: intrinsics is no camera matrix"):
        lens_of(np.stack([LENS, other]), Path("x.npz"), "intrinsics")
