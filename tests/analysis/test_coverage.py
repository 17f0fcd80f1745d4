from itertools import pairwise

import numpy as np
import pytest

from ehps.analysis import coverage, nearest
from ehps.errors import UsageError


def line(*values):
    return np.array(values, float)[:, None]


def test_coverage_counted_by_hand():
    test = line(0, 1, 3, 6, 10, 15, 21, 28, 36, 45)
    train = line(0.5, 4.5, 30)
    # Nearest neighbours of the test samples are 1, 1, 2, 3, 4, 5, 6, 7, 8, 9 away, training samples 0.5, 0.5, 1.5, 1.5,
    # 5.5, 10.5, 9, 2, 6, 15.
    np.testing.assert_allclose(nearest.neighbour_distances(test, (1,))[0], [1, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    assert coverage.coverage(train, test, k=1) == 0.6
    assert coverage.own_radius(test) == 4.5
    assert coverage.covered(train, test, 4.5).tolist() == [True] * 4 + [False] * 3 + [True] + [False] * 2
    rng = np.random.default_rng(0)
    measured = coverage.measure(np.repeat(train, 4, axis=0)[:10], coverage.draws_of(test, 10, 1, rng=rng), rng=rng)
    assert (measured.value, measured.own_scale, measured.radius) == (0.6, 0.5, 4.5)
    assert measured.low < 0.6 < measured.high
    assert measured.nearest == pytest.approx(np.mean([0.5, 0.5, 1.5, 1.5, 5.5, 10.5, 9, 2, 6, 15]))


def test_blocks_and_exact_duplicates_agree_with_plain_loops(monkeypatch):
    monkeypatch.setattr(nearest, "BLOCK", 50)
    rng = np.random.default_rng(0)
    a, b = rng.normal(5, 1, (23, 3)), rng.normal(5, 1, (17, 3))
    gaps = np.array([[np.linalg.norm(p - q) for q in b] for p in a])
    np.testing.assert_allclose(nearest.nearest_distance(a, b), gaps.min(axis=1), atol=1e-7)
    own = np.sort([[np.linalg.norm(p - q) for q in a] for p in a], axis=1)
    np.testing.assert_allclose(nearest.neighbour_distances(a, (1, 3)), own[:, [1, 3]].T, atol=1e-7)
    assert coverage.covered(a[:5], a, 0.0).sum() == 5


def test_coverage_is_of_the_distributions_at_one_number_of_samples():
    rng = np.random.default_rng(0)
    found = {}
    for n_train, n_test in ((100, 100), (3000, 100), (100, 1500), (3000, 1500)):
        train, test = rng.normal(0, 1, (n_train, 4)), rng.normal(0, 1, (n_test, 4))
        found[n_train, n_test] = coverage.measure(train, coverage.draws_of(test, 100, rng=rng), rng=rng)
    values = [one.value for one in found.values()]
    assert max(values) - min(values) < 0.06
    assert np.mean(values) == pytest.approx(1 - 2**-5, abs=0.03)
    assert np.mean([one.own_scale for one in found.values()]) == pytest.approx(0.5, abs=0.12)
    assert all(one.low <= one.value <= one.high and (one.n, one.k) == (100, 5) for one in found.values())


def test_too_many_neighbours_and_too_few_samples_are_refused():
    rows = np.random.default_rng(0).normal(size=(40, 2))
    with pytest.raises(UsageError, match=r"k = 5 neighbours of n = 40 samples.*tenth"):
        coverage.coverage(rows, rows, k=5)
    with pytest.raises(UsageError, match=r"9 samples are too few"):
        coverage.neighbours_for(9)
    with pytest.raises(UsageError, match=r"n = 41"):
        coverage.draws_of(rows, 41, rng=np.random.default_rng(0))
    assert [coverage.neighbours_for(n) for n in (10, 49, 50, 5000)] == [1, 4, 5, 5]


def test_the_curve_has_one_k_and_more_samples_cover_more_at_the_own_scale_of_few():
    rng = np.random.default_rng(1)
    train, test = rng.normal(0.5, 1, (800, 3)), rng.normal(0, 1, (800, 3))
    assert coverage.grid(800) == [25, 50, 100, 200, 400, 800]
    points = coverage.curve(train, test, coverage.grid(800))
    assert {point.k for point in points} == {2}
    assert [point.n for point in points] == coverage.grid(800)
    assert all(a.radius > b.radius for a, b in pairwise(points))
