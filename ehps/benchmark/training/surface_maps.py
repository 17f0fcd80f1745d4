"""Which part of a body's surface each pixel of a small map shows: targets of PyMAF's auxiliary head, on the device.

Facts: the public PyMAF source. The true mesh is drawn at 56 x 56 through a camera of focal length 5000 that is fitted
to the image points; which face is seen is found as in :mod:`ehps.body.rasteriser`, in batches.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ehps.arrays import Array
from ehps.benchmark.models.outputs import SQUARE_CAMERA
from ehps.body.helper_files import require_helper
from ehps.body.model_file import BodyModel
from ehps.body.models import BodyModels
from ehps.body.rasteriser import NEAR, SMALLEST
from ehps.errors import BodyModelError
from ehps.humandata import matlab

MAP = 56  # pixels
COARSER = (0, 1, 1, 2, 3, 4, 5, 6, 7, 6, 7, 8, 9, 8, 9, 10, 11, 10, 11, 12, 13, 12, 13, 14, 14)
"""Part of DensePose -> part as annotators were asked for; 0 is background."""
_BITS = 62  # of a fragment's key


def faces_seen(pixels: Tensor, depth: Tensor, faces: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, H, W) the face that is nearest in each pixel, -1 where there is none.

    Parameters
    ----------
    pixels : (N, V, 2); centres are at whole numbers.
    depth : (N, V) metres.
    faces : (F, 3), counter-clockwise seen from outside; those turned away or with a corner nearer than 5 cm are not
        drawn.
    size : H, W.
    """
    n, count, (height, width) = len(pixels), len(faces), size
    corners = pixels.double()[:, faces].flatten(0, 1)  # N F x 3 x 2
    inverse = 1 / depth.double()[:, faces].flatten(0, 1)  # N F x 3
    x, y = corners.unbind(-1)
    area = (x[:, 1] - x[:, 0]) * (y[:, 2] - y[:, 0]) - (x[:, 2] - x[:, 0]) * (y[:, 1] - y[:, 0])
    drawn = (area < -SMALLEST) & ((inverse > 0) & (inverse < 1 / NEAR)).all(dim=1)
    limit = torch.tensor((width - 1, height - 1), dtype=corners.dtype, device=corners.device)
    low = corners.amin(1).ceil().clamp_min(0)  # N F x 2
    extent = (corners.amax(1).floor().minimum(limit) - low + 1).clamp_min(0) * drawn[:, None]
    extent = torch.nan_to_num(extent).long()
    pixels_of = extent.prod(1)  # how many may lie inside
    which = torch.repeat_interleave(torch.arange(n * count, device=pixels.device), pixels_of)  # C candidates
    number = torch.arange(len(which), device=pixels.device) - (pixels_of.cumsum(0) - pixels_of)[which]
    place = low[which].long() + torch.stack((number % extent[which, 0], number // extent[which, 0]), dim=1)  # C x 2
    shares = _shares(corners[which], place.double())  # C x 3
    inside = (shares >= 0).all(dim=1)
    which, place, shares = which[inside], place[inside], shares[inside]
    bits = count.bit_length()
    step = 1 / NEAR / (1 << (_BITS - bits))
    key = (((shares * inverse[which]).sum(1) / step).long() << bits) | (which % count)
    pixel = (which // count * height + place[:, 1]) * width + place[:, 0]
    best = torch.full((n * height * width,), -1, dtype=torch.long, device=pixels.device)
    best = best.scatter_reduce(0, pixel, key, "amax")
    return torch.where(best < 0, -1, best & ((1 << bits) - 1)).view(n, height, width)


def shares_of(pixels: Tensor, depth: Tensor, faces: Tensor, seen: Tensor) -> Tensor:
    """(N, H, W, 3) shares of the corners of the face ``seen`` (N, H, W) in what each pixel shows, as in space."""
    n, height, width = seen.shape
    chosen = faces[seen.clamp_min(0)]  # N x H x W x 3
    rows = torch.arange(n, device=seen.device).view(n, 1, 1, 1)
    corners = pixels.double()[rows, chosen]  # N x H x W x 3 x 2
    y, x = torch.meshgrid(*(torch.arange(size, device=seen.device) for size in (height, width)), indexing="ij")
    place = torch.stack((x, y), dim=-1).double().expand(n, -1, -1, -1)
    shares = _shares(corners.flatten(0, 2), place.flatten(0, 2)).view(n, height, width, 3)
    shares = shares / depth.double()[rows, chosen]
    return shares / shares.sum(dim=-1, keepdim=True)


def _shares(corners: Tensor, place: Tensor) -> Tensor:
    """(C, 3) shares of the corners (C, 3, 2) at ``place`` (C, 2) in the image."""
    a, b, c = corners.unbind(1)

    def area(p: Tensor, q: Tensor, r: Tensor) -> Tensor:
        return (q[:, 0] - p[:, 0]) * (r[:, 1] - p[:, 1]) - (r[:, 0] - p[:, 0]) * (q[:, 1] - p[:, 1])

    parts = torch.stack((area(place, b, c), area(a, place, c), area(a, b, place)), dim=1)
    return parts / area(a, b, c)[:, None]


def fitted_camera(joints: Tensor, points: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Cameras that see joints where they are in a crop, by weighted least squares.

    The equations f (X + tx) = x (Z + tz), and those of y, are solved for the translation.

    Parameters
    ----------
    joints : (N, K, 3) metres.
    points : (N, K, 2), -1 to 1 across the crop.
    weights : (N, K) of the squared residuals.

    Returns
    -------
    (N, 3) s, tx, ty, and (N,) whether there is one: at least two points, and the body in front of it.
    """
    focal = SQUARE_CAMERA.focal / (SQUARE_CAMERA.size / 2)
    w = weights.double()[..., None]  # N x K x 1
    total = w.sum(1, keepdim=True).clamp_min(1e-12)
    x = points.double()
    moved = x * joints.double()[..., 2:] - focal * joints.double()[..., :2]  # N x K x 2: what f tx - x tz should be

    def mean(values: Tensor) -> Tensor:
        return (w * values).sum(1, keepdim=True) / total

    spread, change = x - mean(x), moved - mean(moved)
    square = (w * spread * spread).sum((1, 2))  # N
    depth = -(w * spread * change).sum((1, 2)) / square.clamp_min(1e-12)
    shift = (mean(moved)[:, 0] + mean(x)[:, 0] * depth[:, None]) / focal  # N x 2
    sound = ((weights > 0).sum(1) >= 2) & (square > 1e-9) & (depth > 1) & torch.isfinite(shift).all(1)
    scale = torch.where(sound, 2 * SQUARE_CAMERA.focal / (SQUARE_CAMERA.size * depth), 1.0)
    return torch.cat((scale[:, None], torch.where(sound[:, None], shift, 0.0)), dim=1).float(), sound


def seen_on_map(vertices: Tensor, camera: Tensor) -> tuple[Tensor, Tensor]:
    """(N, V, 2) pixels of the map and (N, V) depths of vertices (N, V, 3) through (N, 3) s, tx, ty of the crop."""
    placed = vertices + SQUARE_CAMERA.translation(camera)[:, None]
    return (SQUARE_CAMERA.project(vertices, camera) + 1) * (MAP / 2) - 0.5, placed[..., 2]


class PartMaps(nn.Module):
    """The joint that each pixel's face moves with, by the body model's skinning weights: 0 is background."""

    def __init__(self, model: BodyModel) -> None:
        super().__init__()
        faces = np.asarray(model.faces, np.int64)
        parts = np.asarray(model.weights)[faces].sum(axis=1).argmax(axis=1) + 1  # F
        self.register_buffer("faces", torch.as_tensor(faces), persistent=False)
        self.register_buffer("parts", torch.as_tensor(parts), persistent=False)

    faces: Tensor
    parts: Tensor

    def forward(self, vertices: Tensor, camera: Tensor) -> dict[str, Tensor]:
        """(N, V, 3), (N, 3) -> ``part_index`` (N, 56, 56)."""
        seen = faces_seen(*seen_on_map(vertices, camera), self.faces, (MAP, MAP))
        return {"part_index": torch.where(seen < 0, 0, self.parts[seen.clamp_min(0)])}


class SurfaceMaps(nn.Module):
    """DensePose's part of each pixel, and where in the part it is: 0 is background.

    Parameters
    ----------
    path : DensePose's chart of SMPL, ``UV_Processed.mat``.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        for name, values in read_chart(path).items():
            self.register_buffer(name, torch.as_tensor(values), persistent=False)
        self.register_buffer("coarser", torch.tensor(COARSER), persistent=False)

    faces: Tensor
    parts: Tensor
    vertices: Tensor
    uv: Tensor
    coarser: Tensor

    def forward(self, vertices: Tensor, camera: Tensor) -> dict[str, Tensor]:
        """(N, V, 3), (N, 3) -> ``iuv_index`` and ``iuv_annotation`` (N, 56, 56), ``iuv_uv`` (N, 56, 56, 2)."""
        pixels, depth = seen_on_map(vertices[:, self.vertices], camera)
        seen = faces_seen(pixels, depth, self.faces, (MAP, MAP))
        index = torch.where(seen < 0, 0, self.parts[seen.clamp_min(0)])
        shares = shares_of(pixels, depth, self.faces, seen).float()
        uv = (shares[..., None] * self.uv[self.faces[seen.clamp_min(0)]]).sum(dim=-2)  # N x 56 x 56 x 2
        return {"iuv_index": index, "iuv_annotation": self.coarser[index], "iuv_uv": uv}


def chart_file(body_models: BodyModels) -> Path:
    """The chart under the folder of body models.

    Raises
    ------
    BodyModelError : it is not there.
    """
    return require_helper(body_models.folder, "densepose")


def read_chart(path: Path) -> dict[str, Array]:
    """DensePose's chart: ``faces`` (F, 3), their ``parts`` (F,) 1 to 24, its ``vertices`` (M,) as those of SMPL, and
    their ``uv`` (M, 2), 0 to 1.

    Raises
    ------
    DataError : it cannot be read.
    BodyModelError : it is something else.
    """
    names = ("All_Faces", "All_FaceIndices", "All_vertices", "All_U_norm", "All_V_norm")
    held = matlab.read(path, list(names), again="copy it again", other="take UV_Processed.mat of DensePose")
    if missing := [name for name in names if name not in held]:
        raise BodyModelError(f"has no {', '.join(missing)}", path=path, fix="take UV_Processed.mat of DensePose")
    faces, parts, vertices, u, v = (np.asarray(held[name]).T for name in names)
    chart: dict[str, Array] = {
        "faces": faces.astype(np.int64).reshape(-1, 3) - 1,
        "parts": parts.astype(np.int64).ravel(),
        "vertices": vertices.astype(np.int64).ravel() - 1,
        "uv": np.stack((u.ravel(), v.ravel()), axis=1).astype(np.float32),
    }
    sound = (
        len(chart["faces"]) == len(chart["parts"])
        and len(chart["vertices"]) == len(chart["uv"])
        and 0 <= chart["faces"].min() <= chart["faces"].max() < len(chart["vertices"])
        and 1 <= chart["parts"].min() <= chart["parts"].max() <= 24
        and 0 <= chart["vertices"].min() <= chart["vertices"].max() < 6890
    )
    if not sound:
        raise BodyModelError("is no chart of SMPL: its faces, parts and vertices do not agree", path=path)
    return chart
