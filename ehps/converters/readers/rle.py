"""Masks as COCO stores them: run lengths down the columns of the image, starting outside, packed into text.

A character holds five bits, a sixth that says whether more follow; the last has the sign. From the third run on, what
is stored is the difference to the run before the last. Source: the mask code of the COCO API.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from ehps.arrays import Array, Mask

LONGEST = 7  # characters of a number: 35 bits
AT_ONCE = 1 << 16  # characters, so that what is made of them stays in the processor's cache


def mask_boxes(counts: Sequence[bytes], sizes: Array) -> tuple[Array, Mask]:
    """Boxes of masks, which are not unpacked.

    Parameters
    ----------
    counts : of N masks, as COCO packs them.
    sizes : (N, 2) height and width of their images, pixels.

    Returns
    -------
    boxes : (N, 4) x, y, w, h of the pixels inside, NaN where there are none.
    whole : (N,) whether the runs of the mask fill its image; the box of others is NaN.
    """
    sizes = np.asarray(sizes, np.int64).reshape(-1, 2)
    part = np.cumsum(np.fromiter(map(len, counts), np.int64, len(counts))) // AT_ONCE
    cuts = [0, *(np.flatnonzero(np.diff(part)) + 1).tolist(), len(counts)]
    found = [_boxes(counts[a:b], sizes[a:b]) for a, b in pairwise(cuts)]
    boxes, whole = zip(*found, strict=True)
    return np.concatenate(boxes), np.concatenate(whole)


def _boxes(counts: Sequence[bytes], sizes: Array) -> tuple[Array, Mask]:
    n, height, width = len(counts), sizes[:, 0], sizes[:, 1]
    runs, first, length = _runs(counts)
    boxes, whole = np.full((n, 4), np.nan), np.zeros(n, bool)
    if not len(runs):
        return boxes, whole
    owner = np.repeat(np.arange(n), length)
    # The end of each run in its own mask; runs below 0 make a mask broken, whatever their sum is.
    total = np.concatenate([[0], np.cumsum(runs)])
    end = total[1:] - total[first[owner]]
    filled = total[first + length] - total[first]
    below = np.bincount(owner, runs < 0, n) > 0
    whole = (length > 0) & ~below & (filled == height * width) & (height > 0) & (width > 0)
    inside = ((np.arange(len(runs)) - first[owner]) % 2 == 1) & (runs > 0) & whole[owner]
    owner, start, last = owner[inside], (end - runs)[inside], end[inside] - 1
    if not len(owner):
        return boxes, whole
    tall = height[owner]
    left, right = start // tall, last // tall
    one = left == right  # a run that goes on in the next column touches both borders
    top, bottom = np.where(one, start % tall, 0), np.where(one, last % tall, tall - 1)
    begins = np.flatnonzero(np.diff(owner, prepend=-1))
    low = [np.minimum.reduceat(values, begins) for values in (left, top)]
    high = [np.maximum.reduceat(values, begins) for values in (right, bottom)]
    boxes[owner[begins]] = np.column_stack([*low, high[0] - low[0] + 1, high[1] - low[1] + 1])
    return boxes, whole


def _runs(counts: Sequence[bytes]) -> tuple[Array, Array, Array]:
    """Runs of all masks one after another, and of each mask the first of them and how many; none of a mask whose text
    is not of this form."""
    size = np.fromiter(map(len, counts), np.int64, len(counts))
    signs = np.frombuffer(b"".join(counts), np.uint8).astype(np.int64) - 48
    text_end = np.cumsum(size)
    mask_of = np.repeat(np.arange(len(counts)), size)
    ends = (signs & 0x20) == 0
    number = np.cumsum(ends) - ends  # of the number that a character belongs to
    place = np.arange(len(signs)) - _first_of(number)[number] if len(signs) else signs
    cut = np.zeros(len(counts), bool)  # a text that ends within a number
    cut[size > 0] = ~ends[text_end[size > 0] - 1]
    odd = (signs < 0) | (signs > 0x3F) | (place >= LONGEST)
    bad = cut | (np.bincount(mask_of, odd, len(counts)) > 0)
    keep = ~bad[mask_of]
    signs, place, ends, mask_of = signs[keep], place[keep], ends[keep], mask_of[keep]
    number = np.cumsum(ends) - ends
    values = np.zeros(int(ends.sum()), np.int64)
    np.add.at(values, number, (signs & 0x1F) << (5 * place))
    negative = (signs[ends] & 0x10) > 0
    values -= np.where(negative, np.int64(1) << (5 * (place[ends] + 1)), 0)
    length = np.bincount(mask_of[ends], minlength=len(counts)).astype(np.int64)
    first = np.cumsum(length) - length
    return _summed(values, first, length), first, length


def _first_of(number: Array) -> Array:
    """Where each number's first character is."""
    return np.flatnonzero(np.diff(number, prepend=-1))


def _summed(values: Array, first: Array, length: Array) -> Array:
    """Runs from stored values: from the fourth of a mask on, the run two places before is added."""
    out = values.copy()
    place = np.arange(len(values)) - np.repeat(first, length)
    for parity in (0, 1):
        chain = np.flatnonzero((place % 2 == parity) & (place > 0))  # the first value begins no chain of differences
        if not len(chain):
            continue
        starts = np.flatnonzero(place[chain] <= 2)
        total = np.cumsum(values[chain])
        before = np.concatenate([[0], total])[starts]
        out[chain] = total - np.repeat(before, np.diff(np.append(starts, len(chain))))
    return out
