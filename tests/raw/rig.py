"""Fixed cameras with distorting lenses around a place, their pixels found by OpenCV."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from ehps.demo.raw import stage

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Shot:
    """A camera: ``pose`` (4, 4) takes its own frame to the world; pinhole in pixels; OpenCV's coefficients."""

    pose: Array
    focal: tuple[float, float]
    centre: tuple[float, float]
    distortion: Array

    @property
    def matrix(self) -> Array:
        k = np.diag([*self.focal, 1.0])
        k[:2, 2] = self.centre
        return k

    def joints(self, world: Array) -> Array:
        """(N, J, 3) points of the world in the camera's frame."""
        move = np.linalg.inv(self.pose)
        return stage.moved(world, np.tile(move[:3, :3], (len(world), 1, 1)), np.tile(move[:3, 3], (len(world), 1)))

    def points(self, world: Array) -> Array:
        """(N, J, 2) their pixels in the distorted image."""
        own = self.joints(world).reshape(-1, 3)
        pixels, _ = cv2.projectPoints(own, np.zeros(3), np.zeros(3), self.matrix, np.asarray(self.distortion, float))
        return np.asarray(pixels.reshape(*world.shape[:2], 2))


class FisheyeShot(Shot):
    """A camera with OpenCV's fisheye: k1 k2 k3 k4."""

    def points(self, world: Array) -> Array:
        own = self.joints(world).reshape(1, -1, 3)
        pixels, _ = cv2.fisheye.projectPoints(own, np.zeros(3), np.zeros(3), self.matrix, np.asarray(self.distortion))
        return np.asarray(pixels.reshape(*world.shape[:2], 2))


def around(centre: Array, angles: list[float], tilt: float = 6.0) -> list[Array]:
    """(4, 4) poses of cameras that look at ``centre`` from angles (degrees) about the vertical; at 0 the world's
    own axes, otherwise from a little above and at a distance of its own."""
    poses = []
    for k, angle in enumerate(angles):
        pose = np.eye(4)
        if angle:
            pose[:3, :3] = Rotation.from_euler("yxz", [angle, -tilt, 2 * k - 3], degrees=True).as_matrix()
            pose[:3, 3] = centre - pose[:3, :3] @ [0.05 * k, 0.03 * k, (1 + 0.08 * k) * centre[2]]
        poses.append(pose)
    return poses
