import numpy as np
import pytest
from scipy.special import gamma, hyp1f1

from ehps.analysis import diversity, frechet, two_sample

D = 3


def mean_length(shift, variance):
    """E|Z| of Z normal in D dimensions, mean of length ``shift``."""
    scale = np.sqrt(2 * variance) * gamma((D + 1) / 2) / gamma(D / 2)
    return scale * hyp1f1(-0.5, D / 2, -(shift**2) / (2 * variance))


def shifted(shift, n, seed):
    rng = np.random.default_rng(seed)
    return rng.normal(0, 1, (n, D)), rng.normal(0, 1, (n, D)) + np.array([shift, 0, 0])


@pytest.mark.parametrize("exact", [True, False], ids=["all pairs", "random features"])
@pytest.mark.parametrize("shift", [0.0, 0.7, 3.0])
def test_two_shifted_normal_samples_are_as_far_apart_as_closed_forms_say(exact, shift, monkeypatch):
    monkeypatch.setattr(two_sample, "EXACT", 1000 if exact else 10)
    width = 1.5
    truth = {
        "energy": 2 * mean_length(shift, 2) - 2 * mean_length(0, 2),
        "mmd": 2 * (width**2 / (width**2 + 2)) ** (D / 2) * (1 - np.exp(-(shift**2) / (2 * (width**2 + 2)))),
        "frechet": shift**2,
    }
    found = {name: [] for name in truth}
    for seed in range(24):
        a, b = shifted(shift, 150, seed)
        found["energy"].append(two_sample.energy(a, b, seed=seed)[0])
        found["mmd"].append(two_sample.mmd(a, b, width, seed=seed)[0])
        found["frechet"].append(frechet.frechet(frechet.Fitted.of(a), frechet.Fitted.of(b)))
    for name, values in found.items():
        error = np.std(values, ddof=1) / np.sqrt(len(values))
        assert abs(np.mean(values) - truth[name]) < 3 * error, name


def test_what_moves_apart_is_farther_apart_and_lengths_scale_with_the_features():
    rng = np.random.default_rng(0)
    base = rng.normal(0, 1, (200, D))
    sets = [base, *(rng.normal(0, 1, (200, D)) + np.array([shift, 0, 0]) for shift in (0.5, 1, 3, 6, 50))]
    kernel = two_sample.Kernel.of(sets)
    rows = {
        "energy": [two_sample.energy(base, other)[0] for other in sets[1:]],
        "share": [two_sample.energy(base, other)[1] for other in sets[1:]],
        "mmd": [kernel.mmd(base, other)[0] for other in sets[1:]],
        "frechet": [frechet.frechet(frechet.Fitted.of(base), frechet.Fitted.of(other)) for other in sets[1:]],
        "classifier": [two_sample.classifier(base, other)[0] for other in sets[1:4]],
    }
    for name, values in rows.items():
        assert (np.diff(values) > 0).all(), name
    assert rows["share"][-1] < 1
    other = sets[2]
    assert two_sample.energy(10 * base, 10 * other)[0] == pytest.approx(10 * rows["energy"][1])
    assert two_sample.energy(10 * base, 10 * other)[1] == pytest.approx(rows["share"][1])
    assert two_sample.bandwidth([10 * one for one in sets]) == pytest.approx(10 * kernel.width)
    assert two_sample.mmd(10 * base, 10 * other, 10 * kernel.width)[0] == pytest.approx(rows["mmd"][1])
    wide = frechet.frechet(frechet.Fitted.of(10 * base), frechet.Fitted.of(10 * other))
    assert wide == pytest.approx(100 * rows["frechet"][1])


def test_all_pairs_agree_with_plain_loops():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 1, (7, 3)), rng.normal(1, 1, (6, 3))

    def mean(f, x, y, same=False):
        return np.mean([f(p, q) for i, p in enumerate(x) for j, q in enumerate(y) if not (same and i == j)])

    def gap(p, q):
        return np.sqrt(((p - q) ** 2).sum())

    def kernel(p, q):
        return np.exp(-(gap(p, q) ** 2) / (2 * 1.5**2))

    expected = 2 * mean(gap, a, b) - mean(gap, a, a, True) - mean(gap, b, b, True)
    assert two_sample.energy(a, b) == pytest.approx((expected, expected / (2 * mean(gap, a, b))))
    expected = mean(kernel, a, a, True) + mean(kernel, b, b, True) - 2 * mean(kernel, a, b)
    assert two_sample.mmd(a, b, 1.5)[0] == pytest.approx(expected, rel=1e-5)


def test_random_features_stand_for_all_pairs(monkeypatch):
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 1, (300, 20)), rng.normal(0.3, 1.2, (250, 20))
    exact = two_sample.energy(a, b), two_sample.mmd(a, b, 4.0)[0]
    monkeypatch.setattr(two_sample, "EXACT", 100)
    assert two_sample.energy(a, b) == pytest.approx(exact[0], rel=0.03)
    assert two_sample.mmd(a, b, 4.0)[0] == pytest.approx(exact[1], rel=0.1)
    line = rng.normal(size=(150, 1)), rng.normal(size=(140, 1))
    projected = two_sample.energy(*line)
    monkeypatch.setattr(two_sample, "EXACT", 1000)
    assert projected == pytest.approx(two_sample.energy(*line))  # one dimension has one direction


@pytest.mark.parametrize("exact", [True, False], ids=["all pairs", "random features"])
def test_p_values_keep_their_level_and_see_a_difference(exact, monkeypatch):
    monkeypatch.setattr(two_sample, "EXACT", 1000 if exact else 10)
    same, moved = [], []
    for seed in range(40):
        a, b = shifted(0, 30, seed)
        same.append([two_sample.mmd(a, b, 1.5, 39, seed=seed)[1], two_sample.classifier(a, b, 39, seed=seed)[1]])
        if seed < 5:
            c = b + 1.5
            moved.append([two_sample.mmd(a, c, 1.5, 39, seed=seed)[1], two_sample.classifier(a, c, 39, seed=seed)[1]])
    assert (np.mean(np.array(same) <= 0.1, axis=0) <= 0.2).all()
    assert np.array(moved).max() <= 0.05


def test_the_effective_number_of_equal_clusters_is_their_number():
    rng = np.random.default_rng(0)
    for k in (1, 4, 10):
        rows = np.repeat(100 * np.eye(10)[:k], 20, axis=0)
        assert diversity.vendi(rows, 1.0) == pytest.approx(k)
        assert diversity.vendi(rows + rng.normal(0, 0.01, rows.shape), 1.0) == pytest.approx(k, rel=0.01)
    assert diversity.vendi(100 * np.eye(10), 1.0) == pytest.approx(10)
    narrow, wide = rng.normal(0, 0.2, (200, 3)), rng.normal(0, 2, (200, 3))
    few, many = (diversity.vendi_at(wide, 0.5, n) for n in (50, 200))
    assert many > few > diversity.vendi_at(narrow, 0.5, 200)
