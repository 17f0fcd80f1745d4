from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from ehps.converters.readers.rle import mask_boxes
from tests.raw.sam3d_body import packed

Mask = npt.NDArray[np.bool_]


@pytest.fixture
def masks() -> list[Mask]:
    """Of many sizes: nothing, everything, rectangles, single pixels, noise."""
    rng = np.random.default_rng(4)
    found = []
    for k in range(60):
        height, width = rng.integers(1, 50, 2)
        mask = rng.random((height, width)) < (0.0, 0.01, 0.3, 1.0)[k % 4]
        if k % 3 == 0:
            mask[:] = False
            mask[height // 3 : height // 2 + 1, width // 4 : width // 2 + 1] = True
        found.append(mask)
    return found


def test_boxes_hold_all_pixels_of_a_mask_and_no_more(masks: list[Mask]) -> None:
    boxes, whole = mask_boxes([packed(mask.T.ravel()) for mask in masks], np.array([mask.shape for mask in masks]))
    assert whole.all()
    for mask, box in zip(masks, boxes, strict=True):
        y, x = np.nonzero(mask)
        wanted = [x.min(), y.min(), x.max() - x.min() + 1, y.max() - y.min() + 1] if len(x) else [np.nan] * 4
        np.testing.assert_array_equal(box, wanted)


def test_the_text_is_that_of_the_coco_api(masks: list[Mask]) -> None:
    coco = pytest.importorskip("pycocotools.mask")
    for mask in masks:
        assert coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"] == packed(mask.T.ravel())


def test_masks_that_do_not_fill_their_image_have_no_box(masks: list[Mask]) -> None:
    text = packed(masks[0].T.ravel())
    height, width = masks[0].shape
    odd = [text[:-1], text + b"0", b"", b"\x00\xff", b"o" * 9, text]
    boxes, whole = mask_boxes(odd, np.array([(height, width)] * 5 + [(height + 1, width)]))
    assert not whole.any()
    assert np.isnan(boxes).all()


def test_no_masks_have_no_boxes() -> None:
    boxes, whole = mask_boxes([], np.zeros((0, 2)))
    assert (boxes.shape, whole.shape) == ((0, 4), (0,))
