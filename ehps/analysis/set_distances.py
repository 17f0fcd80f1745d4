"""Sets against sets: coverage and distances as tables, for every attribute that samples are described by.

All sets of a table are compared at one number of samples where the number matters (coverage, nearest samples, Vendi
score), and with one bandwidth. ``at_zero`` names the distances whose estimate was below 0: they are shown as 0, which
says that no difference can be seen, not that there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from ehps.analysis import coverage, diversity, frechet, two_sample
from ehps.analysis.coverage import Tested
from ehps.analysis.nearest import nearest_distance
from ehps.analysis.samples import ATTRIBUTES, Samples
from ehps.arrays import Array, Mask
from ehps.errors import UsageError
from ehps.progress import over

MEASURES = ("energy", "energy_share", "mmd", "frechet", "classifier", "nearest")
"""Distances that a matrix can have."""
_PAIR = ("energy", "energy_share", "mmd_squared", "mmd_p", "frechet", "classifier", "classifier_p", "at_zero")
COVERAGE_COLUMNS = (
    *("attribute", "train_set", "test_set", "coverage", "coverage_low", "coverage_high"),
    *("own_scale", "own_scale_low", "own_scale_high", "own_radius", "nearest"),
    *(*_PAIR, "n", "k", "unit", "bandwidth", "n_train", "n_test"),
)


@dataclass(frozen=True)
class Compared:
    """The sets of one attribute, with what all comparisons of them share.

    ``n``: samples of each set for coverage and nearest samples: of the smallest set with at least ten, at most
    :data:`coverage.MOST`; 0 where there is none.
    """

    attribute: str
    values: Mapping[str, Array]
    n: int
    seed: int
    drawn: dict[tuple[str, int | None], list[Tested]] = field(default_factory=dict)

    @classmethod
    def of(cls, samples: Samples, attribute: str, n: int | None = None, seed: int = 0) -> Compared:
        """Sets of two samples or more.

        Raises
        ------
        UsageError : no dataset has the attribute.
        """
        values = {name: rows for name, rows in samples.comparable(attribute).items() if len(rows) > 1}
        sizes = [len(rows) for rows in values.values() if len(rows) >= coverage.SHARE]
        return cls(attribute, values, min([*sizes, coverage.MOST]) if n is None and sizes else n or 0, seed)

    def enough(self, name: str) -> bool:
        """Whether a set has as many samples as coverage is measured at."""
        return 0 < self.n <= len(self.values[name])

    @property
    def names(self) -> list[str]:
        return list(self.values)

    @cached_property
    def kernel(self) -> two_sample.Kernel:
        return two_sample.Kernel.of(list(self.values.values()), seed=self.seed)

    @cached_property
    def featured(self) -> dict[str, Array]:
        return {name: self.kernel.features(rows) for name, rows in self.values.items()}

    @cached_property
    def normals(self) -> dict[str, frechet.Fitted]:
        large = {name: rows for name, rows in self.values.items() if len(rows) >= frechet.LEAST}
        return {name: frechet.Fitted.of(rows, seed=self.seed) for name, rows in large.items()}

    def energies(self, pairs: Sequence[tuple[str, str]]) -> list[tuple[float, float]]:
        places = [(self.names.index(a), self.names.index(b)) for a, b in pairs]
        return two_sample.energies(list(self.values.values()), places, seed=self.seed) if pairs else []

    def mmd(self, a: str, b: str, permutations: int) -> tuple[float, float]:
        return self.kernel.mmd(self.featured[a], self.featured[b], permutations, seed=self.seed)

    def frechet(self, a: str, b: str) -> float:
        """Squared; NaN where a set has too few samples for halves with a covariance."""
        if a in self.normals and b in self.normals:
            return frechet.frechet(self.normals[a], self.normals[b])
        return np.nan

    def classifier(self, a: str, b: str, permutations: int) -> tuple[float, float]:
        return two_sample.classifier(self.values[a], self.values[b], permutations, seed=self.seed)

    def coverage(self, train: str, test: str, k: int | None = None) -> coverage.Coverage | None:
        """None where a set has too few samples."""
        if not (self.enough(train) and self.enough(test)):
            return None
        return coverage.measure(self.values[train], self.tested(test, k), rng=self._generator(train, test))

    def hits(self, train: str, test: str) -> Mask:
        """(draws, n) which test samples a training set covers: what :meth:`coverage` is the mean of.

        Raises
        ------
        UsageError : a set has too few samples.
        """
        return coverage.hits(self.values[train], self.tested(test), rng=self._generator(train, test))

    def tested(self, test: str, k: int | None = None) -> list[Tested]:
        """Draws of a test set, the same for all training sets."""
        if (test, k) not in self.drawn:
            rng = np.random.default_rng([self.seed, self.names.index(test)])
            self.drawn[test, k] = coverage.draws_of(self.values[test], self.n, k, rng=rng)
        return self.drawn[test, k]

    def _generator(self, train: str, test: str) -> np.random.Generator:
        return np.random.default_rng([self.seed, self.names.index(test), self.names.index(train)])

    def nearest(self, a: str, b: str) -> float:
        """Mean distance to the nearest sample of the other, both ways, of as many samples of every set."""
        n = min(coverage.MOST, *(len(rows) for rows in self.values.values()))
        rng = np.random.default_rng(self.seed)
        x, y = (rows[np.sort(rng.choice(len(rows), n, replace=False))] for rows in (self.values[a], self.values[b]))
        return float(nearest_distance(x, y).mean() + nearest_distance(y, x).mean()) / 2

    def pair(self, a: str, b: str, energy: tuple[float, float], permutations: int) -> dict[str, Any]:
        """All distances of two sets, estimates below 0 as 0 with their names in ``at_zero``."""
        squared, p = self.mmd(a, b, permutations)
        gap, right = self.frechet(a, b), self.classifier(a, b, permutations)
        below = [name for name, value in (("energy", energy[0]), ("mmd", squared), ("frechet", gap)) if value < 0]
        found = (max(energy[0], 0.0), max(energy[1], 0.0), max(squared, 0.0), p, max(gap, 0.0) ** 0.5, *right)
        return dict(zip(_PAIR, (*found, ", ".join(below)), strict=True))


def coverage_table(
    samples: Samples,
    k: int | None = None,
    n: int | None = None,
    *,
    permutations: int = two_sample.PERMUTATIONS,
    seed: int = 0,
) -> pd.DataFrame:
    """Each training set against each test set, by attribute.

    Parameters
    ----------
    k : of coverage; by default 5, or a tenth of ``n`` where that is less.
    n : samples of each set for coverage; by default those of the smallest set, at most 2,000.
    permutations : for the p-values; 0 leaves them out.

    Returns
    -------
    frame with :data:`COVERAGE_COLUMNS`: how much of the test set the training set covers, each with its interval, and
    how far apart the two are; lengths are in ``unit``. ``attrs["left_out"]``: ``dataset, attribute`` -> why it is not
    there.

    Raises
    ------
    UsageError : ``k`` is more than a tenth of ``n``.
    """
    rows = []
    left_out: dict[tuple[str, str], str] = {}
    for attribute in over(list(samples.values), "comparing attributes"):
        sets = Compared.of(samples, attribute, n, seed)
        for name, values in samples.values[attribute].items():
            if name not in sets.values or not sets.enough(name):
                left_out[name, attribute] = f"{len(values)} samples are too few for coverage"
        tests = [name for name in sets.names if samples.roles[name] == "test"]
        pairs = [(a, b) for b in tests for a in sets.names if samples.roles[a] == "train"]
        for (train, test), energy in zip(pairs, sets.energies(pairs), strict=True):
            found = sets.coverage(train, test, k)
            rows.append(
                {"attribute": attribute, "train_set": train, "test_set": test.removesuffix(" (test)")}
                | ({} if found is None else _columns(found))
                | sets.pair(train, test, energy, permutations)
                | {"unit": ATTRIBUTES[attribute].unit, "bandwidth": sets.kernel.width}
                | {"n_train": len(sets.values[train]), "n_test": len(sets.values[test])}
            )
    frame = pd.DataFrame(rows, columns=list(COVERAGE_COLUMNS)).astype({"n": "Int64", "k": "Int64"})
    frame.attrs["left_out"] = left_out
    return frame


def _columns(found: coverage.Coverage) -> dict[str, float]:
    return {
        "coverage": found.value,
        "coverage_low": found.low,
        "coverage_high": found.high,
        "own_scale": found.own_scale,
        "own_scale_low": found.own_low,
        "own_scale_high": found.own_high,
        "own_radius": found.radius,
        "nearest": found.nearest,
        "n": found.n,
        "k": found.k,
    }


def distance_matrix(
    samples: Samples, attribute: str, measure: str = "energy", *, roles: Sequence[str] = ("train",), seed: int = 0
) -> pd.DataFrame:
    """Distances between all sets of ``roles``, a symmetric frame with dataset labels as index and columns.

    ``measure`` is one of :data:`MEASURES`; ``mmd`` is the squared one. Estimates below 0 are 0. ``attrs``: ``measure``,
    ``attribute``, ``unit`` and ``bandwidth`` (for ``mmd``).
    """
    if measure not in MEASURES:
        raise UsageError(f"unknown distance {measure!r}", fix=f"choose from {', '.join(MEASURES)}")
    sets = Compared.of(samples, attribute, seed=seed)
    names = [name for name in sets.names if samples.roles[name] in roles]
    pairs = [(a, b) for i, a in enumerate(names) for b in names[:i]]
    energies = dict(zip(pairs, sets.energies(pairs), strict=True)) if measure.startswith("energy") else {}
    one: Mapping[str, Callable[[str, str], float]] = {
        "energy": lambda a, b: energies[a, b][0],
        "energy_share": lambda a, b: energies[a, b][1],
        "mmd": lambda a, b: sets.mmd(a, b, 0)[0],
        "frechet": lambda a, b: max(sets.frechet(a, b), 0.0) ** 0.5,
        "classifier": lambda a, b: sets.classifier(a, b, 0)[0],
        "nearest": sets.nearest,
    }
    out = pd.DataFrame(0.5 if measure == "classifier" else 0.0, index=names, columns=names)
    for a, b in pairs:
        out.loc[a, b] = out.loc[b, a] = max(one[measure](a, b), 0.0)
    unit = ATTRIBUTES[attribute].unit if measure in ("energy", "frechet", "nearest") else ""
    out.attrs = {"measure": measure, "attribute": attribute, "unit": unit}
    if measure == "mmd":
        out.attrs["bandwidth"] = sets.kernel.width
    return out


def between(samples: Samples, *, permutations: int = two_sample.PERMUTATIONS, seed: int = 0) -> pd.DataFrame:
    """Every two sets, test sets among them: ``attribute, set, other`` and all distances, with ``unit, bandwidth``."""
    rows = []
    for attribute in over(list(samples.values), "comparing attributes"):
        sets = Compared.of(samples, attribute, seed=seed)
        pairs = [(a, b) for i, a in enumerate(sets.names) for b in sets.names[i + 1 :]]
        for (a, b), energy in zip(pairs, sets.energies(pairs), strict=True):
            row = {"attribute": attribute, "set": a, "other": b} | sets.pair(a, b, energy, permutations)
            rows.append(row | {"unit": ATTRIBUTES[attribute].unit, "bandwidth": sets.kernel.width})
    return pd.DataFrame(rows, columns=["attribute", "set", "other", *_PAIR, "unit", "bandwidth"])


def diversity_table(samples: Samples, *, seed: int = 0) -> pd.DataFrame:
    """Effective number of distinct samples of each set at several numbers of samples, the same for all sets.

    Returns
    -------
    frame ``attribute, set, n, vendi, growth, width, unit``: ``growth`` is the power of ``n`` by which ``vendi`` grew
    since the number before (0: more samples bring nothing new, 1: every one is new); ``width``: how near samples are
    alike, half of the median distance of two samples of all sets.
    """
    rows = []
    for attribute in over(list(samples.values), "counting distinct samples"):
        sets = Compared.of(samples, attribute, seed=seed)
        large = {name: values for name, values in sets.values.items() if sets.enough(name)}
        width = sets.kernel.width / 2 if large else np.nan
        for name, values in large.items():
            before: tuple[int, float] | None = None
            for n in coverage.grid(min(sets.n, diversity.MOST), diversity.LEAST):
                score = diversity.vendi_at(values, width, n, seed=seed)
                growth = np.log(score / before[1]) / np.log(n / before[0]) if before else np.nan
                rows.append((attribute, name, n, score, growth, width, ATTRIBUTES[attribute].unit))
                before = n, score
    return pd.DataFrame(rows, columns=["attribute", "set", "n", "vendi", "growth", "width", "unit"])


def coverage_curve(samples: Samples, k: int | None = None, *, seed: int = 0) -> pd.DataFrame:
    """Coverage against the number of samples of both sets, with one ``k`` for all numbers.

    Returns
    -------
    frame ``attribute, train_set, test_set, n, k, coverage, coverage_low, coverage_high, own_scale, own_scale_low,
    own_scale_high, own_radius, nearest, unit``.
    """
    rows = []
    for attribute in over(list(samples.values), "coverage by number of samples"):
        sets = Compared.of(samples, attribute, seed=seed)
        large = [name for name in sets.names if sets.enough(name)]
        for test in (name for name in large if samples.roles[name] == "test"):
            for train in (name for name in large if samples.roles[name] == "train"):
                points = coverage.curve(sets.values[train], sets.values[test], coverage.grid(sets.n), k, seed=seed)
                head = {"attribute": attribute, "train_set": train, "test_set": test.removesuffix(" (test)")}
                rows += [head | _columns(point) | {"unit": ATTRIBUTES[attribute].unit} for point in points]
    columns = ["attribute", "train_set", "test_set", "n", "k", "coverage", "coverage_low", "coverage_high"]
    columns += ["own_scale", "own_scale_low", "own_scale_high", "own_radius", "nearest", "unit"]
    return pd.DataFrame(rows, columns=columns)


def explained(table: pd.DataFrame) -> list[str]:
    """What the numbers of a table mean, in sentences: numbers of samples, units, marks."""
    said = []
    if "coverage" in table and (known := table[table["coverage"].notna()]).size:
        pairs = known[["attribute", "n", "k"]].drop_duplicates()
        at = ", ".join(dict.fromkeys(f"n = {row.n} and k = {row.k}" for row in pairs.itertuples()))
        said.append(f"coverage is at {at} (samples of both sets, neighbours), with the interval of 95 % of draws")
    lengths = {name: ATTRIBUTES[name].meaning for name in table["attribute"].unique()}
    if "energy" in table:
        said += [
            f"energy and frechet of {ATTRIBUTES[name].title} are lengths{_in(name)}: {meaning}"
            for name, meaning in lengths.items()
        ]
        if (table["at_zero"] != "").any():
            said.append("at_zero: estimated below 0 and shown as 0; no difference is seen, which is not to be equal")
    if "vendi" in table:
        said.append(
            "vendi: how many distinct samples there are in effect; growth: 0 when more samples bring nothing new"
        )
    return said


def _in(attribute: str) -> str:
    unit = ATTRIBUTES[attribute].unit
    return f" in {unit}" if unit else ""


def matrices(
    samples: Samples, measure: str, *, k: int | None = None, n: int | None = None, seed: int = 0
) -> dict[str, pd.DataFrame]:
    """Attribute -> matrix of a measure: of all sets, or of training by test sets for the coverages."""
    if measure in MEASURES:
        return {
            name: distance_matrix(samples, name, measure, roles=("train", "test"), seed=seed) for name in samples.values
        }
    return train_by_test(coverage_table(samples, k, n, permutations=0, seed=seed), measure)


def train_by_test(table: pd.DataFrame, value: str = "coverage") -> dict[str, pd.DataFrame]:
    """Attribute -> training sets (rows) by test sets, of ``coverage_table``."""
    out = {}
    column = "mmd_squared" if value == "mmd" else value
    for attribute, part in table.groupby("attribute", sort=False):
        wide = part.pivot(index="train_set", columns="test_set", values=column)
        wide = wide.loc[:, wide.notna().any()].dropna(how="all")
        wide.columns = [f"{name} (test)" for name in wide]
        length = value in ("energy", "frechet", "nearest")
        wide.attrs = {"attribute": str(attribute), "measure": value}
        wide.attrs["unit"] = ATTRIBUTES[str(attribute)].unit if length else ""
        out[str(attribute)] = wide
    return out
