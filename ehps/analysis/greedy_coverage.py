"""Sets one after another, each time the one that covers most of what is still uncovered of the test sets.

A test sample is covered by a training sample within the distance of its own k-th neighbour, as in
:mod:`ehps.analysis.coverage`. All sets give as many samples, so what a set adds is what so many instances of it add: a
large set has no advantage. Every attribute of every test set counts as much as any other. An attribute that one of the
training sets lacks is not looked at, since nobody can be compared by it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from ehps.analysis.samples import TITLES, Samples
from ehps.analysis.set_distances import Compared
from ehps.arrays import Array, Mask
from ehps.errors import DataError


@dataclass(frozen=True)
class Covers:
    """Which of E test samples each training set covers: those of all attributes, test sets and draws.

    Attributes
    ----------
    hits : training set -> (E,).
    weights : (E,) of the samples; they sum to 1.
    attributes : attribute -> samples of each set, and neighbours, that it is compared at.
    tests : test sets of which an attribute is compared.
    left_out : what is not compared, each with the reason.
    """

    hits: Mapping[str, Mask]
    weights: Array
    attributes: Mapping[str, tuple[int, int]]
    tests: tuple[str, ...]
    left_out: tuple[str, ...]

    def share(self, names: Collection[str]) -> float:
        """Part of the test samples that sets cover together, from 0 to 1."""
        return float(self.weights[self._together(names)].sum())

    def _together(self, names: Collection[str]) -> Mask:
        covered = np.zeros(len(self.weights), bool)
        for name in names:
            covered |= self.hits[name]
        return covered

    def order(self, names: Collection[str], sets: int, must: Collection[str] = ()) -> list[tuple[str, float]]:
        """At most so many sets in the order taken, those of ``must`` first, each with what it adds to the share.

        Ends where no set adds anything.
        """
        taken: list[tuple[str, float]] = []
        open_ = sorted(names)
        uncovered = np.ones(len(self.weights), bool)
        while open_ and len(taken) < sets:
            asked = [name for name in open_ if name in must]
            gains = {name: float(self.weights[self.hits[name] & uncovered].sum()) for name in asked or open_}
            best = max(gains, key=lambda name: gains[name])  # of equal ones the first by name
            if gains[best] == 0 and not asked:
                break
            taken.append((best, gains[best]))
            open_.remove(best)
            uncovered &= ~self.hits[best]
        return taken

    def sentence(self) -> str:
        """What was compared."""
        at = "; ".join(f"{TITLES[name]} at n = {n} and k = {k}" for name, (n, k) in self.attributes.items())
        return f"Coverage of {', '.join(self.tests)} by as many samples of every set: {at}."


def covers(samples: Samples, *, seed: int = 0) -> Covers:
    """Compare all training sets of samples with all test sets.

    Raises
    ------
    DataError : no attribute can be compared.
    """
    trains = [name for name, role in samples.roles.items() if role == "train"]
    tests = [name for name, role in samples.roles.items() if role == "test"]
    hits: dict[str, list[Mask]] = {name: [] for name in trains}
    attributes: dict[str, tuple[int, int]] = {}
    absent = samples.left_out[~samples.left_out["attribute"].isin(list(samples.values))].drop_duplicates("attribute")
    left_out = [f"{TITLES[str(row.attribute)]}: {row.reason}" for row in absent.itertuples()]
    compared: list[str] = []
    for attribute in samples.values:
        sets = Compared.of(samples, attribute, seed=seed)
        enough = [name for name in sets.names if sets.enough(name)]
        if lacking := [name for name in trains if name not in enough]:
            left_out.append(f"{TITLES[attribute]}: too few samples of {', '.join(lacking)}")
            continue
        for test in tests:
            if test not in enough:
                left_out.append(f"{TITLES[attribute]} of {test}: too few samples")
                continue
            attributes[attribute] = sets.n, sets.tested(test)[0].k
            compared.append(test.removesuffix(" (test)"))
            for name in trains:
                hits[name].append(sets.hits(name, test).ravel())
    if not attributes:
        reasons = "; ".join(left_out) or "nothing is described of the sets"
        raise DataError(f"no attribute of a test set can be compared ({reasons})", fix="name other files")
    parts = next(iter(hits.values()))
    weights = np.concatenate([np.full(len(part), 1 / len(part) / len(parts)) for part in parts])
    return Covers(
        {name: np.concatenate(rows) for name, rows in hits.items()},
        weights,
        attributes,
        tuple(dict.fromkeys(compared)),
        tuple(left_out),
    )
