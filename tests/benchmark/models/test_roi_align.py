"""RoI-align against loops over boxes, bins, samples and corners, as torchvision documents it."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from ehps.arrays import Array
from ehps.benchmark.models.roi_align import roi_align

HEIGHT, WIDTH, BINS = 11, 9, 4


def at(features: Array, y: float, x: float) -> Array:
    """(C, H, W) at one point: zero more than a cell off the map, else of the nearest place on it."""
    height, width = features.shape[1:]
    if not (-1 <= y <= height and -1 <= x <= width):
        return np.zeros(len(features))
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    top, left = min(int(y), height - 2), min(int(x), width - 2)
    down, right = y - top, x - left
    upper = features[:, top, left] * (1 - right) + features[:, top, left + 1] * right
    lower = features[:, top + 1, left] * (1 - right) + features[:, top + 1, left + 1] * right
    return upper * (1 - down) + lower * down


def looped(features: Array, box: tuple[float, ...]) -> Array:
    """(C, H, W) and x1, y1, x2, y2 -> (C, BINS, BINS)."""
    x1, y1, x2, y2 = box
    wide, high = max(x2 - x1, 1) / BINS, max(y2 - y1, 1) / BINS
    across, down = math.ceil(wide), math.ceil(high)
    out = np.zeros((len(features), BINS, BINS))
    for i in range(BINS):
        for j in range(BINS):
            for a in range(down):
                for b in range(across):
                    y = y1 + i * high + (a + 0.5) * high / down
                    x = x1 + j * wide + (b + 0.5) * wide / across
                    out[:, i, j] += at(features, y, x) / (down * across)
    return out


BOXES = {
    "inside, one sample a bin": (2.3, 3.1, 5.9, 6.6),
    "inside, three samples a bin": (0.2, 0.1, 8.1, 10.4),
    "narrower than a cell": (4.2, 4.7, 4.5, 4.8),
    "turned inside out": (6.0, 7.0, 3.0, 2.0),
    "long in one direction": (3.3, -20.3, 4.9, 31.4),
    "over the left and upper edge": (-5.5, -3.2, 4.5, 5.1),
    "over the right and lower edge": (5.5, 6.2, 19.3, 17.7),
    "much larger than the map": (-30.3, -41.7, 41.9, 37.3),
    "of whole cells": (0.0, 0.0, 8.0, 8.0),
    "off the map": (20.0, 20.0, 30.0, 30.0),
}


@pytest.fixture(scope="module")
def features() -> Tensor:
    return torch.randn(len(BOXES), 2, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", BOXES)
def test_each_box_is_what_loops_find(name: str, features: Tensor) -> None:
    found = roi_align(features[:1], torch.tensor(((BOXES[name],),)), BINS)
    np.testing.assert_allclose(found[0, 0], looped(features[0].double().numpy(), BOXES[name]), atol=2e-5)


def test_boxes_of_a_batch_are_taken_from_their_own_maps(features: Tensor) -> None:
    boxes = torch.tensor(list(BOXES.values()))
    boxes = torch.stack((boxes, boxes.flip(0)), dim=1)  # two a map
    found = roi_align(features, boxes, BINS)
    for n in range(len(BOXES)):
        for k in range(2):
            alone = roi_align(features[n : n + 1], boxes[n : n + 1, k : k + 1], BINS)
            torch.testing.assert_close(found[n, k], alone[0, 0], atol=1e-6, rtol=0)


def test_a_box_a_thousand_times_larger_than_the_map_is_a_mean_of_it(features: Tensor) -> None:
    """One bin of four by four holds the map; there are two samples a cell at most, so the sum is a fine one."""
    ones = torch.ones_like(features[:1])
    found = roi_align(ones, torch.tensor((((-1e3, -1e3, 1e4, 1e4),),)), BINS)[0, 0, 0]
    assert found[0, 0] == pytest.approx((HEIGHT + 1) * (WIDTH + 1) / 2750**2, rel=0.02)
    assert found.sum() == found[0, 0]


def test_features_get_a_gradient_and_boxes_none(features: Tensor) -> None:
    features = features[:1].clone().requires_grad_()
    box = torch.tensor(((BOXES["inside, one sample a bin"],),)).requires_grad_()
    roi_align(features, box, BINS).sum().backward()
    assert features.grad is not None
    assert features.grad.sum().item() == pytest.approx(2 * BINS * BINS, rel=1e-5)  # weights add up to 1 in each bin
    assert box.grad is None
