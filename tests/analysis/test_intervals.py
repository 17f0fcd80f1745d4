"""Intervals hold their level: simulated, many samples at once."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import special

from ehps.analysis.intervals import Spread, cluster_codes, of_clusters

REPEATS = 4000


def clusters(kind: str, groups: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Sums and counts (REPEATS, groups) of errors whose true mean is 0: cluster effects, and single instances."""
    counts = np.maximum(1, np.round(np.exp(rng.normal(4, 0.8, (REPEATS, groups)))))
    effects = {
        "normal": rng.standard_normal((REPEATS, groups)),
        "heavy tails": rng.standard_t(4, (REPEATS, groups)),
        "skewed": np.exp(rng.normal(0, 0.5, (REPEATS, groups))) - np.exp(0.125),
    }[kind]
    means = effects + rng.standard_normal((REPEATS, groups)) / np.sqrt(counts)
    return means * counts, counts


def covered(found: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> float:
    """Share of samples whose 95 % interval for the mean over benchmarks holds 0."""
    means = sum(mean for mean, *_ in found) / len(found)
    variances = np.stack([variance for _, variance, _ in found]) / len(found) ** 2
    df = np.stack([df for *_, df in found])
    total = variances.sum(axis=0)
    half = special.stdtrit(total**2 / (variances**2 / df).sum(axis=0), 0.975) * np.sqrt(total)
    return float(np.mean(np.abs(means) <= half))


def of_samples(sums: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means, variances and degrees of freedom of each sample, a block at a time, as all pairs of samples are made."""
    parts = [of_clusters(sums[i : i + 100], counts[i : i + 100]) for i in range(0, len(sums), 100)]
    return (
        np.concatenate([means for means, *_ in parts]),
        np.concatenate([np.diagonal(covariance) for _, covariance, _ in parts]),
        np.concatenate([df for *_, df in parts]),
    )


@pytest.mark.parametrize("kind", ["normal", "heavy tails", "skewed"])
@pytest.mark.parametrize("groups", [5, 10, 30])
def test_the_interval_of_one_benchmark_holds_its_level_from_five_clusters_on(kind: str, groups: int) -> None:
    sums, counts = clusters(kind, groups, np.random.default_rng([groups, len(kind)]))
    assert covered([of_samples(sums, counts)]) >= 0.92


@pytest.mark.parametrize("groups", [5, 10])
def test_the_interval_of_the_mean_over_five_benchmarks_holds_its_level(groups: int) -> None:
    rng = np.random.default_rng(groups)
    kinds = ("normal", "heavy tails", "skewed", "skewed", "normal")
    level = covered([of_samples(*clusters(kind, groups, rng)) for kind in kinds])
    assert 0.93 <= level <= 0.985


def test_the_percentile_bootstrap_of_clusters_does_not() -> None:
    """What the interval replaces."""
    rng = np.random.default_rng(1)
    sums, counts = (part[:500] for part in clusters("normal", 5, rng))
    picked = rng.integers(5, size=(400, 5))
    drawn = sums[:, picked].sum(-1) / counts[:, picked].sum(-1)
    low, high = np.percentile(drawn, [2.5, 97.5], axis=1)
    assert np.mean((low <= 0) & (high >= 0)) < 0.88


def test_equal_clusters_give_students_interval_of_their_means() -> None:
    values = np.array([3.0, 5.0, 4.0, 9.0])
    means, covariance, df = of_clusters(10 * values[None], np.full((1, 4), 10.0))
    assert means[0] == values.mean()
    assert covariance[0, 0] == pytest.approx(values.var(ddof=1) / 4)
    assert df[0] == pytest.approx(3)


def test_a_large_cluster_counts_for_less_than_many() -> None:
    _, _, df = of_clusters(np.ones((1, 5)), np.array([[1000.0, 1, 1, 1, 1]]))
    assert df[0] == 1


def test_fewer_than_three_clusters_have_no_interval() -> None:
    means, covariance, df = of_clusters(np.array([[4.0, 6.0]]), np.array([[2.0, 2.0]]))
    assert means[0] == 2.5
    assert np.isnan(covariance[0, 0])
    assert np.isnan(df[0])


def test_differences_of_sets_on_the_same_data_are_paired() -> None:
    rng = np.random.default_rng(0)
    shared = rng.normal(0, 30, 20)
    sums = np.stack([shared, shared + 1 + 0.1 * rng.standard_normal(20)])
    _, covariance, df = of_clusters(sums, np.ones((2, 20)))
    found = Spread(covariance[None], df[None], (0,), {}, {})
    error, _ = found.of_differences()
    own, _ = found.of_means()
    assert error[0, 1] == pytest.approx((sums[1] - sums[0]).std(ddof=1) / np.sqrt(20))
    assert error[0, 1] < own.min() / 100


def test_draws_have_the_spread_of_the_means() -> None:
    rng = np.random.default_rng(0)
    _, covariance, df = of_clusters(rng.normal(0, 5, (3, 40)), np.ones((3, 40)))
    drawn = Spread(covariance[None], df[None], (7,), {}, {}).draws(20_000, 0)
    np.testing.assert_allclose(np.cov(drawn.T) * (37 / 39), covariance, atol=0.05)


def errors(paths: list[str], sequences: list[str] | None = None) -> pd.DataFrame:
    frame = pd.DataFrame({"image_path": paths, "sequence": sequences or [""] * len(paths)})
    return frame.assign(train_set="a", model="m", value=1.0)


def test_images_of_a_video_are_cut_into_blocks_in_the_order_of_their_numbers() -> None:
    order = np.random.default_rng(0).permutation(100)
    codes, unit = cluster_codes(errors([f"img_{i}.jpg" for i in order]))
    assert unit == "block"
    np.testing.assert_array_equal(codes, order // 10)
    assert len(set(cluster_codes(errors([f"img_{i}.jpg" for i in range(12)]))[0])) == 3


def test_single_images_are_clusters_whatever_folder_they_are_in() -> None:
    codes, unit = cluster_codes(errors(["a/1.jpg", "a/1.jpg", "b/2.jpg"], ["a", "a", "b"]), stills=True)
    assert (codes.tolist(), unit) == ([0, 0, 1], "image")
    assert cluster_codes(errors(["a/1.jpg", "b/2.jpg"], ["a", "b"]))[1] == "sequence"
