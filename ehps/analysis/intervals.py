"""How sure a ranking is: standard errors of its means, from clusters of test data and from repeated trainings.

Test data. Instances of one sequence, and persons of one image, are not independent, so a mean is as sure as its
clusters are many: sequences; images where a test set has single images (AGORA); blocks of consecutive images where all
of it is one video (EHF). Its variance is that of the delete-one-cluster jackknife, which takes the mean as what it is,
a ratio of two sums over clusters of unequal sizes. Its degrees of freedom are the effective number of clusters (Kish:
(sum n)^2 / sum n^2, their number where all are of one size) less one. With Student's t this holds its level from five
clusters on, also with sizes that differ tenfold and with skewed errors, where the bootstrap of clusters is too narrow;
``tests/analysis/test_intervals.py`` simulates it. Below :data:`FEWEST` clusters there is no interval.

Blocks are the method of batch means: ten at most, so that each is long beside the time over which errors of a video are
alike, and at least four images each. They say how sure the error on this video is, not on others.

Trainings. Where a set was trained with several seeds, the variance of the mean over its seeds is added. With one
training a set, the spread of trainings is not in the interval.

The mean of several benchmarks, and the difference of two sets, add up independent parts; their degrees of freedom are
those of Welch and Satterthwaite. Sets are tested on the same data: their covariance is kept, which makes differences
paired. People who appear in several sequences are not known in results, and not accounted for.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from ehps.analysis import correlation
from ehps.analysis.benchmarks import ERROR_COLUMNS, Benchmark, require
from ehps.analysis.columns import coded, matching
from ehps.arrays import Array
from ehps.errors import DataError
from ehps.progress import over

FEWEST = 3
"""Clusters that an interval takes."""

BLOCKS, BLOCK_LENGTH = 10, 4
"""Most blocks that a video is cut into, and fewest images of a block."""


@dataclass(frozen=True)
class Spread:
    """How means of K training sets vary, as a sum of M independent parts.

    Attributes
    ----------
    covariances : (M, K, K), mm^2; NaN where a set has no errors, or too few clusters.
    df : (M, K) degrees of freedom of each part's variance; infinite where a part does not touch a set.
    seeds : M seeds of the draws, so that a part draws the same whatever others there are.
    clustered_by : benchmark id -> ``sequence``, ``image``, ``block`` (of images of a video) or ``instance``.
    clusters : benchmark id -> how many of them there are.
    """

    covariances: Array
    df: Array
    seeds: tuple[int, ...]
    clustered_by: dict[str, str]
    clusters: dict[str, int]

    def known(self) -> Array:
        """(K,) whether there is an interval."""
        return np.isfinite(np.diagonal(self.covariances, axis1=1, axis2=2)).all(axis=0)

    def of_means(self) -> tuple[Array, Array]:
        """(K,) standard errors and degrees of freedom."""
        return _combined(np.diagonal(self.covariances, axis1=1, axis2=2), self.df)

    def of_differences(self) -> tuple[Array, Array]:
        """(K, K) standard errors of the differences of two sets, and their degrees of freedom."""
        own = np.diagonal(self.covariances, axis1=1, axis2=2)
        variances = own[:, :, None] + own[:, None, :] - 2 * self.covariances
        return _combined(np.maximum(variances, 0), np.minimum(self.df[:, :, None], self.df[:, None, :]))

    def draws(self, count: int, seed: int) -> Array:
        """(count, K) deviations of the means: of each part, multivariate t with its covariance; 0 where not known."""
        known = self.known()
        out = np.zeros((count, len(known)))
        for covariance, df, own in zip(self.covariances, self.df, self.seeds, strict=True):
            touched = known & (np.diagonal(covariance) > 0)
            if not touched.any():
                continue
            rng = np.random.default_rng([seed, own])
            part = covariance[np.ix_(touched, touched)]
            # Sets that err alike make it singular.
            root = np.linalg.cholesky(part + 1e-9 * np.trace(part) * np.eye(len(part)))
            least = float(df[touched].min())
            scale = np.sqrt(least / rng.chisquare(least, (count, 1)))
            out[:, touched] += scale * (rng.standard_normal((count, len(part))) @ root.T)
        return out


def spread(
    frame: pd.DataFrame,
    errors: pd.DataFrame,
    benchmarks: Sequence[Benchmark],
    protocols: Mapping[str, str],
    trainings: Mapping[tuple[str, str], Array],
) -> Spread:
    """How the mean primary errors of ``frame``, indexed by (train_set, model), vary.

    Parameters
    ----------
    errors : one row an instance, see ``ranking.rank``.
    protocols : benchmark id -> the protocol whose errors count, where the errors say theirs.
    trainings : (train_set, model) -> (S,) mean primary errors of its trainings, of those with several seeds.

    Raises
    ------
    DataError : the errors of a cell do not average to its result, or it is not clear which model they are of.
    """
    require(errors, ERROR_COLUMNS, "errors")
    models = frame.index.get_level_values("model").unique()
    if "model" not in errors:
        if len(models) > 1:
            raise DataError("the errors frame does not say which of several models it is of", fix="add a model column")
        errors = errors.assign(model=models[0])
    covariances, dfs, seeds = list[Array](), list[Array](), list[int]()
    clustered_by, clusters = dict[str, str](), dict[str, int]()
    for b in over(benchmarks, "intervals of benchmarks"):
        rows = b.rows(errors)
        if "protocol" in rows and b.id in protocols:
            rows = rows[matching(rows["protocol"], protocols[b.id].__eq__)]
        which = _places(rows, frame.index)
        kept = (which >= 0) & np.isfinite(rows["value"].to_numpy(float))
        rows, which = rows[kept], which[kept]
        codes, clustered_by[b.id] = cluster_codes(rows, stills=b.stills)
        clusters[b.id] = count = int(codes.max()) + 1 if len(codes) else 0
        at = which * count + codes
        shape = (len(frame), count)
        counts = np.bincount(at, minlength=shape[0] * count).reshape(shape).astype(float)
        sums = np.bincount(at, rows["value"].to_numpy(float), shape[0] * count).reshape(shape)
        means, covariance, df = of_clusters(sums, counts)
        _check_agreement(b, frame, means)
        covariances.append(covariance / len(benchmarks) ** 2)
        dfs.append(df)
        seeds.append(zlib.crc32(b.id.encode()))
    for at, key in enumerate(frame.index):
        if key in trainings:
            covariance, df = np.zeros((len(frame),) * 2), np.full(len(frame), np.inf)
            covariance[at, at] = trainings[key].var(ddof=1) / len(trainings[key])
            df[at] = len(trainings[key]) - 1
            covariances.append(covariance)
            dfs.append(df)
            seeds.append(zlib.crc32("\n".join(key).encode()))
    return Spread(np.stack(covariances), np.stack(dfs), tuple(seeds), clustered_by, clusters)


def of_clusters(sums: Array, counts: Array) -> tuple[Array, Array, Array]:
    """Means of instances in clusters, and how they vary.

    Parameters
    ----------
    sums, counts : (K, G) sum of the errors, and number, of the instances that each of K sets has in each of G clusters.

    Returns
    -------
    means (K,), their covariance (K, K) by the delete-one-cluster jackknife, degrees of freedom (K,). NaN in the last
    two for sets with fewer than :data:`FEWEST` clusters.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        totals = counts.sum(axis=1, keepdims=True)
        means = sums.sum(axis=1, keepdims=True) / totals
        present = counts > 0
        without = (sums.sum(axis=1, keepdims=True) - sums) / (totals - counts)
        held = present.sum(axis=1, keepdims=True)
        influence = np.where(present, without - means, 0) * np.sqrt((held - 1) / held)
        effective = totals[:, 0] ** 2 / (counts**2).sum(axis=1)
    few = held[:, 0] < FEWEST
    influence[few] = np.nan
    return means[:, 0], influence @ influence.T, np.where(few, np.nan, np.maximum(effective - 1, 1))


def cluster_codes(rows: pd.DataFrame, *, stills: bool = False) -> tuple[Array, str]:
    """(N,) number of the cluster that each row of errors is of, and what the clusters are.

    Parameters
    ----------
    stills : the images of the test set are single ones, whatever folder they are in.
    """
    sequences, names = coded(rows["sequence"])
    if len(names) > 1 and not (stills and "image_path" in rows):
        return sequences, "sequence"
    if stills and "image_path" in rows:
        return coded(rows["image_path"])[0], "image"
    images = _images(rows)
    if stills:
        return images, "instance"
    count = int(images.max()) + 1 if len(images) else 0
    return images * max(1, min(BLOCKS, count // BLOCK_LENGTH)) // max(count, 1), "block"


def _images(rows: pd.DataFrame) -> Array:
    """(N,) place of each row's image in the order of their names; of the instance, where images are not known."""
    if "image_path" in rows:
        codes, paths = coded(rows["image_path"])
        if len(paths) > 1:
            places = np.empty(len(paths), np.int64)
            natural = [_natural(str(path)) for path in paths]
            places[sorted(range(len(paths)), key=natural.__getitem__)] = np.arange(len(paths))
            return places[codes]
    known = next((rows[name] for name in ("truth_row", "instance") if name in rows), None)
    if known is None:
        by = [name for name in ("train_set", "model", "seed") if name in rows]
        known = rows.groupby(by, observed=True, dropna=False).cumcount()
    return np.asarray(pd.factorize(known, sort=True)[0], np.int64)


def _natural(path: str) -> list[tuple[int, str]]:
    """Sorts ``img_2`` before ``img_10``."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", path)]


def _places(rows: pd.DataFrame, index: pd.Index[Any]) -> Array:
    """(N,) place of each row's training set and model in ``index``, -1 for others."""
    (sets, set_names), (models, model_names) = coded(rows["train_set"]), coded(rows["model"])
    pairs = pd.MultiIndex.from_product([set_names, model_names])
    table = np.full((len(set_names) + 1, len(model_names) + 1), -1)
    if len(pairs):
        table[:-1, :-1] = index.get_indexer(pairs).reshape(len(set_names), len(model_names))
    return np.asarray(table[sets, models])


def _combined(variances: Array, df: Array) -> tuple[Array, Array]:
    """Standard error and degrees of freedom of a sum of independent parts, which are the first axis."""
    total = variances.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.sqrt(total), np.where(total > 0, total**2 / (variances**2 / df).sum(axis=0), np.nan)


def fill(frame: pd.DataFrame, found: Spread, draws: int, seed: int, level: float) -> None:
    """Fill ``mpe_low, mpe_high, rank_low, rank_high`` of ``frame``; ranks are drawn within each model."""
    mpe, model = frame["mpe"].to_numpy(float), frame.index.get_level_values("model")
    error, df = found.of_means()
    half = error * special.stdtrit(df, (1 + level) / 2)
    known = found.known() & np.isfinite(mpe)
    half = np.where(known, np.where(error == 0, 0, half), np.nan)
    frame["mpe_low"], frame["mpe_high"] = mpe - half, mpe + half
    # Sets without an interval keep their point estimate, so that others' ranks count them.
    drawn = mpe + found.draws(draws, seed)
    ranks = np.full(drawn.shape, np.nan)
    for name in model.unique():
        members = (model == name) & np.isfinite(mpe)
        ranks[:, members] = correlation.ranks(drawn[:, members], method="min", axis=1)
    spans = np.full((2, len(frame)), np.nan)
    if known.any():
        limits = [100 * (1 - level) / 2, 100 * (1 + level) / 2]
        spans[:, known] = np.percentile(ranks[:, known], limits, axis=0, method="inverted_cdf")
    frame["rank_low"], frame["rank_high"] = (pd.array(row, dtype="Int64") for row in spans)


def _check_agreement(benchmark: Benchmark, frame: pd.DataFrame, means: Array) -> None:
    for (train_set, model), value, mean in zip(frame.index, frame[benchmark.id], means, strict=True):
        if np.isfinite(value) and np.isfinite(mean) and abs(value - mean) > max(0.05, 0.005 * abs(value)):
            raise DataError(
                f"{benchmark.label} of {train_set} ({model}) is {value:.2f} in the results, "
                f"but its errors average {mean:.2f}",
                fix="take results and errors, in mm, from the same runs",
            )
