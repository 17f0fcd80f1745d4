"""What a sample looks like, as numbers: orientation, pose, shape and image of each person instance.

Rotations become their matrices (continuous where axis-angle jumps). Images become either what a given function makes of
the person crops (a trained backbone, say) or a small descriptor of colours and gradient directions on a grid.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from ehps.arrays import Array
from ehps.body import rotations
from ehps.errors import DataError, UsageError
from ehps.humandata import frames
from ehps.humandata.core import HumanData
from ehps.humandata.image_files import images_of, read_pixels

ImageFeatures = Callable[[Array], Array]

CROP = (256, 192)  # height, width: what the ViT models of the field take
AT_ONCE = 256  # crops in memory: 38 MB
_BODY_JOINTS = 21  # common to SMPL, SMPL-H and SMPL-X, in the same order
_NUM_BETAS = 10


def rotation_features(axis_angle: Array) -> Array:
    """(N, 3 J) or (N, J, 3) axis-angle, radians -> (N, 9 J) rotation matrices, divided by the root of 2 J.

    The distance of two rows is the root mean square over joints of 2 sin(angle / 2) of the rotation between them: about
    the angle in radians where it is small, at most 2.
    """
    vectors = np.asarray(axis_angle, float)
    matrices = rotations.to_matrix(vectors.reshape(-1, 3)).reshape(len(vectors), -1)
    return matrices / np.sqrt(2 * (matrices.shape[1] // 9))


def global_orient(hd: HumanData) -> Array:
    """(N, 9): orientation of the pelvis in the camera frame.

    Raises
    ------
    PassportError : it is not known that the file's are.
    """
    frames.required(hd, "comparing orientations")
    return rotation_features(np.asarray(hd[f"{_body_model(hd)}/global_orient"]))


def body_rotations(hd: HumanData) -> Array:
    """(N, 189): the 21 body joints that all body models share."""
    name = f"{_body_model(hd)}/body_pose"
    pose = np.asarray(hd[name], float)
    if np.prod(pose.shape[1:]) % 3 or np.prod(pose.shape[1:]) < 3 * _BODY_JOINTS:
        raise DataError(f"{name} has shape {pose.shape}, no rotations of {_BODY_JOINTS} joints", path=hd.source)
    pose = pose.reshape(len(hd), -1, 3)
    return rotation_features(pose[:, :_BODY_JOINTS])


def betas(hd: HumanData) -> Array:
    """(N, 10): shape coefficients, those of the neutral model where the file has them."""
    model_type = _body_model(hd)
    name = f"{model_type}/betas_neutral" if f"{model_type}/betas_neutral" in hd else f"{model_type}/betas"
    values = np.asarray(hd[name], float).reshape(len(hd), -1)[:, :_NUM_BETAS]
    return np.pad(values, ((0, 0), (0, _NUM_BETAS - values.shape[1])))


def shape_space(hd: HumanData) -> str:
    """Which shape space :func:`betas` are in; coefficients of different spaces cannot be compared."""
    model_type = _body_model(hd)
    neutral = f"{model_type}/betas_neutral" in hd or hd.passport.gender == "neutral"
    return f"{model_type} {hd.passport.body_model_version or 'unknown'}, {'neutral' if neutral else 'as annotated'}"


def image(hd: HumanData, images: Path, features: ImageFeatures | None = None) -> tuple[Array, Array]:
    """Features of the person crops.

    Parameters
    ----------
    images : folder that ``image_path`` is relative to.
    features : (M, 256, 192, 3) uint8 RGB crops -> (M, D); by default :func:`crop_descriptor`.

    Returns
    -------
    (M, D) features and (N,) bool, which rows they are of: those whose image could be read.
    """
    found = np.zeros(len(hd), bool)
    parts = []
    for start in range(0, len(hd), AT_ONCE):
        rows = slice(start, start + AT_ONCE)
        people, found[rows] = crops(hd[rows], images)
        if not len(people):
            continue
        values = np.asarray((features or crop_descriptor)(people), float)
        if values.ndim != 2 or len(values) != len(people):
            raise UsageError(
                f"the image features have shape {values.shape} for {len(people)} crops",
                fix="return one row of numbers a crop",
            )
        parts.append(values)
    return (np.concatenate(parts) if parts else np.zeros((0, 0))), found


def crops(hd: HumanData, images: Path, size: tuple[int, int] = CROP) -> tuple[Array, Array]:
    """Person crops (M, height, width, 3) uint8 RGB, and (N,) bool: which rows had a readable image and a box.

    The box is widened to the shape of the crop, so that its aspect ratio is kept; outside the image is black.

    Raises
    ------
    OutsideError : an image path leads out of ``images``.
    """
    paths = hd["image_path"].tolist()
    boxes = np.asarray(hd["bbox_xywh"], float)
    found = np.zeros(len(hd), bool)
    folder = images_of(hd, images)
    rows: dict[str, list[int]] = {}
    for row, path in enumerate(paths):
        rows.setdefault(path, []).append(row)
    out = []
    for path, here in rows.items():
        folder.below(path)
        try:
            pixels = read_pixels(folder.find(path))
        except DataError:
            continue
        for row in here:
            if np.isfinite(boxes[row]).all() and (boxes[row, 2:4] > 0).all():
                found[row] = True
                out.append((row, _crop(pixels, boxes[row, :4], size)))
    ordered = [crop for _, crop in sorted(out, key=lambda item: item[0])]
    return (np.stack(ordered) if ordered else np.zeros((0, *size, 3), np.uint8)), found


def crop_descriptor(images: Array, grid: tuple[int, int] = (4, 3), bins: int = 9) -> Array:
    """Colours and gradient directions of each cell of a grid: (M, H, W, 3) uint8 RGB -> (M, D).

    Colours are the mean and the standard deviation in Lab.
    Gradient histograms are weighted by strength and scaled to unit length over the crop; colours are in units
    of 0..1. D = cells * (6 + bins).
    """
    import cv2

    rows = []
    for pixels in images:
        lab = cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB).astype(np.float32) / 255
        lightness = cv2.GaussianBlur(lab[..., 0], (0, 0), 1.5)
        dx, dy = cv2.Sobel(lightness, cv2.CV_32F, 1, 0), cv2.Sobel(lightness, cv2.CV_32F, 0, 1)
        # Directions without sign: light on dark and dark on light are the same contour.
        which = np.minimum((np.mod(np.arctan2(dy, dx), np.pi) / np.pi * bins).astype(int), bins - 1)
        strength = np.hypot(dx, dy)
        colours, gradients = [], []
        for y in np.array_split(np.arange(lab.shape[0]), grid[0]):
            for x in np.array_split(np.arange(lab.shape[1]), grid[1]):
                cell = np.s_[y[0] : y[-1] + 1, x[0] : x[-1] + 1]
                pixels = lab[cell].reshape(-1, 3)
                colours += [pixels.mean(0), pixels.std(0)]
                gradients.append(np.bincount(which[cell].ravel(), strength[cell].ravel(), minlength=bins))
        histogram = np.concatenate(gradients)
        rows.append(np.concatenate([*colours, histogram / (np.linalg.norm(histogram) + 1e-9)]))
    return np.stack(rows)


def _crop(pixels: Array, box: Array, size: tuple[int, int]) -> Array:
    import cv2

    height, width = size
    centre = box[:2] + box[2:4] / 2
    scale = max(box[2] / width, box[3] / height)
    # Pixels shrunk a lot are averaged first: nearest pixels of a large image are noise.
    shrink = max(1, int(scale))
    if shrink > 1:
        smaller = (max(1, pixels.shape[1] // shrink), max(1, pixels.shape[0] // shrink))
        factor = np.array([smaller[0] / pixels.shape[1], smaller[1] / pixels.shape[0]])
        pixels = cv2.resize(pixels, smaller, interpolation=cv2.INTER_AREA)
        centre, scale = centre * factor, scale * float(factor.mean())
    matrix = np.array([[1 / scale, 0, width / 2 - centre[0] / scale], [0, 1 / scale, height / 2 - centre[1] / scale]])
    return np.asarray(cv2.warpAffine(pixels, matrix, (width, height), flags=cv2.INTER_LINEAR))


def _body_model(hd: HumanData) -> str:
    model_type = hd.body_model
    if model_type is None:
        raise DataError("holds no body parameters", path=hd.source)
    return model_type
