"""RoI-align: what is in each box of a feature map, on a grid of equal size.

The operator of He et al., Mask R-CNN (2017), in its first form: no half-pixel shift, boxes narrower than one cell
widened to one, and an adaptive number of samples: as many a bin as it has cells, rounded up. It is the
``roi_align(sampling_ratio=-1, aligned=False)`` of torchvision, without its compiled code.

An average of bilinear samples on a grid of rows and columns is separable. So each box has two small matrices, bins x
rows and bins x columns, and the crop is ``Wy @ features @ Wx'``: exact, for the whole batch at once, in shapes that do
not depend on the boxes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ehps.benchmark.models import precision


def roi_align(features: Tensor, boxes: Tensor, bins: int) -> Tensor:
    """The mean feature in each of ``bins`` x ``bins`` parts of every box.

    Parameters
    ----------
    features : (N, C, H, W).
    boxes : (N, K, 4) x1, y1, x2, y2 in cells: cell (i, j) is the point (j, i). They may leave the map, where features
        are zero.
    bins : rows and columns of the output.

    Returns
    -------
    (N, K, C, bins, bins), differentiable in ``features``. Boxes get no gradient.
    """
    boxes = boxes.detach().float()
    height, width = features.shape[-2:]
    rows = bin_weights(boxes[..., 1], boxes[..., 3], height, bins).to(features.dtype)  # (N, K, bins, H)
    columns = bin_weights(boxes[..., 0], boxes[..., 2], width, bins).to(features.dtype)  # (N, K, bins, W)
    narrow = torch.einsum("nchw,nkbw->nkchb", features, columns)  # (N, K, C, H, bins)
    return torch.einsum("nkchb,nkah->nkcab", narrow, rows)  # (N, K, C, bins, bins)


def bin_weights(start: Tensor, end: Tensor, cells: int, bins: int) -> Tensor:
    """How much each cell of one axis counts in each bin.

    Only samples between -1 and ``cells`` count. Where a bin has several of them they are more than half a cell
    apart, where it has one there are ``bins`` in all: so a fixed number of places holds all that count, from the first
    on, however large the box is.

    Parameters
    ----------
    start, end : (N, K) of the boxes, in cells.
    cells : of the axis.
    bins : equal parts of the box.

    Returns
    -------
    (N, K, bins, cells) float32. Rows add up to 1 where the bin is on the map, to less where samples fall off it.
    """
    places = max(bins, 2 * (cells + 1)) + 2
    start, end = start[..., None], end[..., None]  # (N, K, 1)
    part = (end - start).clamp_min(1) / bins  # cells a bin
    samples = part.ceil()  # a bin
    apart = part / samples
    first = ((-1 - start) / apart - 0.5).floor().clamp_min(0)
    sample = first + torch.arange(places, device=start.device)  # (N, K, places)
    in_bin = (sample / samples).floor()
    at = start + in_bin * part + (sample - in_bin * samples + 0.5) * apart
    counts = (at >= -1) & (at <= cells)
    at = at.clamp(0, cells - 1)
    near = (1 - (at[..., None] - torch.arange(cells, device=start.device)).abs()).clamp_min(0)  # (N, K, places, cells)
    member = in_bin[..., None, :] == torch.arange(bins, device=start.device)[:, None]  # (N, K, bins, places)
    share = torch.where(member & counts[..., None, :], 1 / samples[..., None], 0.0)  # (N, K, bins, places)
    with precision.full(start):
        return share @ near
