"""Which rows an interval takes."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from ehps.arrays import strided


@pytest.mark.parametrize("interval", [1, 2, 7, 64, 1000])
@pytest.mark.parametrize("count", [0, 1, 2, 63, 64, 65, 999])
def test_a_whole_interval_takes_what_a_slice_does(count: int, interval: int) -> None:
    assert strided(count, interval).tolist() == list(range(count))[::interval]
    assert strided(count, float(interval)).tolist() == list(range(count))[::interval]


@pytest.mark.parametrize("interval", [1.0527, 1.1, 2.3, 3.3334, 2.5, 1.0001, 99.7])
def test_a_fraction_is_taken_as_it_is_written(interval: float) -> None:
    exact = Fraction(str(interval))
    for count in (1, 23, 230, 1000):
        wanted = [math.floor(k * exact) for k in range(count) if math.floor(k * exact) < count]
        assert strided(count, interval).tolist() == wanted
        assert len(np.unique(wanted)) == len(wanted)


def test_many_rows_do_not_overflow() -> None:
    rows = strided(3_000_000, 1.0000001)
    assert (rows[-1], len(rows)) == (2_999_999, 3_000_000)
    assert strided(10**9, 123_456_789.1234567).tolist()[-1] == 987_654_312
