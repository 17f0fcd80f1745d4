"""How good rules are that choose what to train on, where the best choice is known.

    python benchmarks/selection.py [--worlds 20] [--first 0]
    # part (b), of what `ehps demo --out FOLDER` left: hours
    python benchmarks/selection.py --demo FOLDER [--cells N] [--steps N] [--jobs N]

Generated worlds of eight sets: two good ones, one with noisy labels, one whose pelvis is rotated, a near-copy of a good
one, one of narrow poses, and two halves of the poses that are bad alone and best together. The learner, a ridge
regression from image features to 3D joints in milliseconds, is trained on all 255 subsets (even shares of the budget),
so the best and the worst subset are known. Every rule has the same compute in all, counted in instances seen: what it
spends on small trainings is taken from its final one. Regret is the error of its final training less that of the best
subset, which spends nothing on looking, over the range of all subsets. Greedy coverage looks at the poses of the test
sets, which costs no training. A mixture has uneven weights: it may be better
than every subset, and its regret below 0.

Further: how often 95 % intervals of mixtures and of scaling curves hold what is then measured; whether probabilities of
pairs are as often right as they say; and how often small trainings order two sets as full ones with a tuned rate do,
with one recipe and with a thirtieth of its learning rate. Marks were fixed before: see ``MARKS``.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import selection_demo

from ehps.analysis import best_mixture, greedy_coverage, mixtures, reliability, scaling_curves, selection
from ehps.analysis.samples import Samples
from ehps.arrays import Array

SETS = ("good", "other", "noisy", "rotated", "copy", "narrow", "left", "right")
POOL = 16_000  # instances of a set
COMPUTE = 80_000  # instances seen that a rule has in all
LOOKING = 0.2  # share of it that small trainings take, of rules that make some
SMALL = 64  # small trainings of the mixture rule
TOP = 3  # sets that top-k, diverse, size and random take
LATENT, JOINTS, IMAGE, FEATURES, TESTS = 6, 8, 16, 128, 3
PENALTY = 1e-2
RATES = {"standard": 1.0, "a thirtieth": 1 / 30}  # standard: the best of small trainings on worlds 1000 to 1002
FULL_RATES = (0.03, 0.1, 0.3)  # of full trainings, which take the best
SEEDS, NEW = (0, 1, 2), 9
STEPS, BATCH = 100, 16  # of small trainings by gradient descent
MARKS = {
    "mixture, mean regret": "<= 2 %",
    "top-k, mean regret": ">= 10 %",
    "95 % intervals": "90 to 98 %",
    "calibration error": "<= 0.05",
    "decision accuracy, a thirtieth": ">= 0.90",
    "decision accuracy, standard": "<= 0.80",
}


@dataclass(frozen=True)
class World:
    """Features and joints of sets and tests: (N, FEATURES) and (N, 3 JOINTS) in mm."""

    sets: dict[str, tuple[Array, Array]]
    tests: list[tuple[Array, Array]]
    poses: dict[str, Array]
    sizes: dict[str, int] = field(default_factory=dict)


def world(seed: int) -> World:
    """One, with its own poses, body, camera and amounts of what is planted."""
    rng = np.random.default_rng(seed)
    body = [rng.normal(0, 1 / np.sqrt(LATENT), (LATENT, 32)), rng.normal(0, 1 / np.sqrt(32), (32, 3 * JOINTS))]
    bent = rng.normal(0, 150, 3 * JOINTS)  # per unit to either side: one half says nothing of the other
    lens = [rng.normal(0, 1 / np.sqrt(LATENT), (LATENT, IMAGE)), rng.normal(0, 1 / np.sqrt(LATENT), (LATENT, IMAGE))]
    network = rng.normal(0, 1 / np.sqrt(IMAGE), (IMAGE, FEATURES - IMAGE - 1)), rng.uniform(-1, 1, FEATURES - IMAGE - 1)

    def joints(z: Array) -> Array:
        return 300 * np.tanh(1.5 * z @ body[0]) @ body[1] + np.abs(z[:, :1]) * bent

    def features(z: Array) -> Array:
        x = z @ lens[0] + 0.5 * np.sin(2 * z @ lens[1]) + rng.normal(0, 0.05, (len(z), IMAGE))
        return np.concatenate([np.ones((len(x), 1)), x, np.tanh(x @ network[0] + network[1])], axis=1)

    def poses(n: int, spread: float = 1.0, shift: float = 0.0) -> Array:
        direction = rng.normal(size=LATENT)
        return rng.normal(0, spread, (n, LATENT)) + shift * direction / np.linalg.norm(direction)

    sizes = {name: int(POOL * rng.uniform(0.4, 1)) for name in SETS}
    sizes["copy"] = sizes["good"]
    drawn = {name: poses(n, rng.uniform(0.6, 0.8), rng.uniform(0.2, 0.6)) for name, n in sizes.items()}
    drawn["copy"] = drawn["good"] + rng.normal(0, 0.01, drawn["good"].shape)
    drawn["narrow"] = poses(sizes["narrow"], 0.25, 0.8)
    for name, side in (("left", -1), ("right", 1)):
        drawn[name] = poses(sizes[name], 1.1)
        drawn[name][:, 0] = side * np.abs(drawn[name][:, 0])
    turn = np.deg2rad(rng.uniform(15, 35))
    labels = {name: joints(z) for name, z in drawn.items()}
    labels["noisy"] = labels["noisy"] + rng.normal(0, rng.uniform(150, 250), labels["noisy"].shape)
    about = np.array([[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]])
    labels["rotated"] = (labels["rotated"].reshape(-1, JOINTS, 3) @ about.T).reshape(-1, 3 * JOINTS)
    for name in ("good", "other", "left", "right", "narrow", "copy"):
        labels[name] = labels[name] + rng.normal(0, 20, labels[name].shape)
    order = {name: rng.permutation(n) for name, n in sizes.items()}
    order["copy"] = order["good"]
    held = {name: (features(drawn[name])[order[name]], labels[name][order[name]]) for name in SETS}
    tests = [(features(z), joints(z)) for z in (poses(1000, rng.uniform(0.8, 1.1), 0.3) for _ in range(TESTS))]
    return World(held, tests, {name: drawn[name][order[name]] for name in SETS}, sizes)


# -- learners -----------------------------------------------------------------------------------------------------


def test_errors(made: World, weights: Array) -> Array:
    """(TESTS,) mean distance of joints, mm."""
    out = []
    for x, y in made.tests:
        gaps = (x @ weights - y).reshape(len(y), JOINTS, 3)
        out.append(np.sqrt((gaps**2).sum(-1)).mean())
    return np.array(out)


class Ridge:
    """Trained on so many instances of each set, from sums that are kept."""

    def __init__(self, made: World) -> None:
        self.made, self.kept = made, {}

    def _sums(self, name: str, n: int) -> tuple[Array, Array]:
        if (name, n) not in self.kept:
            x, y = (part[:n] for part in self.made.sets[name])
            self.kept[name, n] = (x.T @ x, x.T @ y)
        return self.kept[name, n]

    def errors(self, instances: dict[str, int]) -> Array:
        parts = [self._sums(name, n) for name, n in instances.items() if n]
        return test_errors(self.made, _solved(sum(a for a, _ in parts), sum(b for _, b in parts)))

    def drawn(self, instances: dict[str, int], rng: np.random.Generator) -> Array:
        """The same of instances drawn at random."""
        rows = {name: rng.choice(self.made.sizes[name], n, replace=False) for name, n in instances.items() if n}
        x = np.concatenate([self.made.sets[name][0][at] for name, at in rows.items()])
        y = np.concatenate([self.made.sets[name][1][at] for name, at in rows.items()])
        return test_errors(self.made, _solved(x.T @ x, x.T @ y))


def _solved(gram: Array, cross: Array) -> Array:
    n = gram[0, 0]
    return np.linalg.solve(gram + PENALTY * n * np.eye(len(gram)) * np.r_[0, np.ones(len(gram) - 1)], cross)


def descended(made: World, name: str, rate: float, noise: float, seed: int, steps: int, batch: int) -> float:
    """Mean test error after gradient descent on random batches of one set."""
    rng = np.random.default_rng([seed, SETS.index(name), round(1e4 * rate), round(100 * noise)])
    x, y = made.sets[name]
    weights = np.zeros((FEATURES, y.shape[1]))
    for step in range(steps):
        rows = rng.integers(len(x), size=batch)
        seen = x[rows] * (1 + noise * rng.standard_normal((batch, 1)))
        slope = seen.T @ (seen @ weights - y[rows]) / batch
        weights -= rate * (1 + np.cos(np.pi * step / steps)) / 2 * slope / (FEATURES / 8)
    return float(test_errors(made, weights).mean())


# -- rules --------------------------------------------------------------------------------------------------------


def even(made: World, chosen: Sequence[str], budget: int) -> dict[str, int]:
    """Even shares; what small sets leave over goes to the larger ones."""
    left, out = budget, {}
    for k, name in enumerate(sorted(chosen, key=lambda name: made.sizes[name])):
        out[name] = min(made.sizes[name], left // (len(chosen) - k))
        left -= out[name]
    return out


def regrets(made: World, seed: int) -> tuple[dict[str, float], dict[str, bool], list[bool]]:
    """Regret of each rule; what is planted; and whether intervals of mixtures held."""
    ridge, rng = Ridge(made), np.random.default_rng([seed, 1])
    subsets = [chosen for k in range(1, len(SETS) + 1) for chosen in combinations(SETS, k)]
    full = {chosen: float(ridge.errors(even(made, chosen, COMPUTE)).mean()) for chosen in subsets}
    best, worst = min(full.values()), max(full.values())
    singles = {name: full[name,] for name in SETS}
    halves = full["left", "right"]
    pairs = [full[pair] for pair in combinations(SETS, 2)]
    planted = {
        "halves together beat each": halves < min(singles["left"], singles["right"]),
        "each half alone is worse than a good set": min(singles["left"], singles["right"]) > singles["good"],
        "halves are the best pair": halves <= min(pairs),
        "rotated and narrow are worse than a good set": min(singles["rotated"], singles["narrow"]) > singles["good"],
        "a copy is worth no more than the good set": singles["copy"] > 0.995 * singles["good"],
    }
    left_over = int(COMPUTE * (1 - LOOKING))
    size = int(COMPUTE * LOOKING / SMALL)
    alone = int(COMPUTE * LOOKING / len(SETS))
    ranking = {name: float(ridge.drawn({name: min(alone, made.sizes[name])}, rng).mean()) for name in SETS}
    ranked = pd.DataFrame({"train_set": list(SETS), "rank": pd.Series(ranking).rank().astype(int).to_numpy()})
    centres = {name: np.r_[z.mean(0), z.std(0)] for name, z in made.poses.items()}
    gaps = pd.DataFrame({a: {b: np.linalg.norm(centres[a] - centres[b]) for b in SETS} for a in SETS})
    diverse = selection.select(ranked, made.sizes, left_over, sets=TOP, distances=gaps)["dataset"].tolist()
    drawn = mixtures.draw(len(SETS), SMALL, seed)
    seen = np.stack([ridge.drawn(_rounded(row, size), rng) for row in drawn])
    tests = [f"test_{k}" for k in range(TESTS)]
    fitted = mixtures.fit(pd.DataFrame(drawn, columns=SETS), pd.DataFrame(seen, columns=tests), seed=seed)
    mixed = best_mixture.optimise(fitted, made.sizes, left_over, size, seed=seed)
    amounts = dict(zip(mixed.table["dataset"], mixed.table["instances"].astype(int), strict=True))
    errors = {
        "random": np.mean([full[chosen] for chosen in subsets if len(chosen) == TOP]),
        "size": full[_named(sorted(SETS, key=lambda name: -made.sizes[name])[:TOP])],
        "top-k": ridge.errors(even(made, sorted(SETS, key=lambda name: ranking[name])[:TOP], left_over)).mean(),
        "greedy-coverage": full[_named(_covering(made))],
        "diverse": ridge.errors(even(made, diverse, left_over)).mean(),
        "all": full[SETS],
        "mixture": ridge.errors(amounts).mean(),
    }
    held = []
    weights = mixed.table["weight"].to_numpy()
    for _ in range(20):
        again = float(ridge.drawn(_rounded(weights, size), rng).mean())
        held.append(mixed.low <= again <= mixed.high)
    return {rule: float(error - best) / (worst - best) for rule, error in errors.items()}, planted, held


def _covering(made: World) -> list[str]:
    """Sets that cover most of the poses of the tests, by 500 samples of each."""
    values = {name: labels[:500] for name, (_, labels) in made.sets.items()}
    values |= {f"{k} (test)": labels[:500] for k, (_, labels) in enumerate(made.tests)}
    roles = {name: "test" if name.endswith("(test)") else "train" for name in values}
    nothing = pd.DataFrame(columns=["dataset", "attribute", "reason"])
    covers = greedy_coverage.covers(Samples(roles, {"body_pose": values}, nothing))
    return [name for name, _ in covers.order(SETS, TOP)]


def _named(chosen: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for name in SETS if name in chosen)


def _rounded(weights: Array, size: int) -> dict[str, int]:
    exact = weights * size
    whole = np.floor(exact).astype(int)
    whole[np.argsort(whole - exact, kind="stable")[: size - whole.sum()]] += 1
    return dict(zip(SETS, whole.tolist(), strict=True))


# -- curves and orders --------------------------------------------------------------------------------------------


def curves_held(made: World, seed: int) -> list[bool]:
    """Whether 95 % intervals of curves of five sizes hold the mean error at four times the largest."""
    ridge, rng = Ridge(made), np.random.default_rng([seed, 2])
    held = []
    for name in SETS:
        sizes = np.repeat([100, 200, 400, 800, 1600], 2)
        errors = np.array([ridge.drawn({name: int(n)}, rng).mean() for n in sizes])
        row = scaling_curves.fit(sizes, errors, seed=seed).at(np.array([6400])).iloc[0]
        there = min(6400, made.sizes[name] // 2)
        truth = np.mean([ridge.drawn({name: there}, rng).mean() for _ in range(5)])
        held.append(bool(row["low"] <= truth <= row["high"]) if there == 6400 else None)
    return [one for one in held if one is not None]


def orders(made: World, seed: int) -> dict[str, Array]:
    """Of every two sets: which is first in a full training, what small trainings say, and what a new one then shows.

    ``holds`` and ``again``: probabilities without one of the recipes, and the order in a training with that recipe and
    a seed that none of the others had. ``whole`` and ``full``: probabilities of all, and the order in a full training.
    """
    ways = [(rate, noise) for rate in RATES for noise in (0.0, 0.1)]
    rows = [
        (name, f"{rate}, {noise}", number, descended(made, name, RATES[rate], noise, 100 * seed + number, STEPS, BATCH))
        for name in SETS
        for rate, noise in ways
        for number in (*SEEDS, NEW)
    ]
    small = pd.DataFrame(rows, columns=list(reliability.COLUMNS))
    full = {name: min(_long(made, name, rate, seed) for rate in FULL_RATES) for name in SETS}
    seen, new = small[small["seed"] != NEW], small[small["seed"] == NEW]
    upper = np.triu_indices(len(SETS), 1)

    def ahead(sets: Sequence[str], errors: Mapping[str, float]) -> Array:
        return np.array([errors[sets[a]] < errors[sets[b]] for a, b in zip(*upper, strict=True)])

    out: dict[str, list[Array]] = {key: [] for key in ("holds", "strengths", "again")}
    for recipe in sorted(set(small["recipe"])):
        found = reliability.reliability(seen[seen["recipe"] != recipe])
        out["holds"].append(found.holds[upper])
        out["strengths"].append(found.bradley_terry()[upper])
        out["again"].append(ahead(found.sets, new[new["recipe"] == recipe].set_index("train_set")["error"].to_dict()))
    joined = {key: np.concatenate(parts) for key, parts in out.items()}
    found = reliability.reliability(seen)
    joined |= {"whole": found.holds[upper], "whole strengths": found.bradley_terry()[upper]}
    joined["full"] = ahead(found.sets, full)
    for rate in RATES:
        one = seen[(seen["recipe"] == f"{rate}, 0.0") & (seen["seed"] == SEEDS[0])].set_index("train_set")["error"]
        joined[rate] = ahead(found.sets, one.to_dict()) == joined["full"]
    return joined


def _long(made: World, name: str, rate: float, seed: int) -> float:
    return descended(made, name, rate, 0.0, 100 * seed + 50, 30 * STEPS, 4 * BATCH)


def calibration_error(said: Array, held: Array) -> float:
    """Mean distance of probabilities, 0.5 to 1 in bins of 0.1, from the share that held, weighted by pairs."""
    said, held = np.where(said < 0.5, 1 - said, said), np.where(said < 0.5, 1 - held, held)
    bins = np.minimum((10 * said).astype(int), 9)
    return float(sum(abs(said[bins == k].mean() - held[bins == k].mean()) * (bins == k).mean() for k in set(bins)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=20)
    parser.add_argument("--first", type=int, default=0, help="seed of the first world")
    parser.add_argument("--demo", type=Path, help="folder that `ehps demo` has left: part (b)")
    parser.add_argument("--cells", type=int, help="make only the first trainings of part (b)")
    parser.add_argument("--steps", type=int, help="of each training of part (b), those of the demo by default")
    parser.add_argument("--jobs", type=int, help="processes that train in part (b)")
    given = parser.parse_args()
    if given.demo is not None:
        selection_demo.main(given.demo, given.cells, given.steps, given.jobs)
        return
    begun = time.perf_counter()
    lost, planted, mixed, curved, ordered = [], [], [], [], []
    for seed in range(given.first, given.first + given.worlds):
        made = world(seed)
        found = regrets(made, seed)
        lost.append(found[0])
        planted.append(found[1])
        mixed.append(found[2])
        curved.append(curves_held(made, seed))
        ordered.append(orders(made, seed))
    table = pd.DataFrame(lost) * 100
    print(f"{given.worlds} worlds from seed {given.first}, {len(SETS)} sets, {2 ** len(SETS) - 1} subsets each")
    print(
        f"{COMPUTE:,} instances seen in all, {LOOKING:.0%} of it in small trainings; {TOP} sets where a rule takes some"
    )
    for word, share in pd.DataFrame(planted).mean().items():
        print(f"  planted: {word} in {share:.0%} of worlds")
    print(f"\n{'rule':<16}{'mean regret, %':>16}{'worst world':>14}")
    for rule in table:
        print(f"{rule:<16}{table[rule].mean():16.1f}{table[rule].max():14.1f}")
    joined = {key: np.concatenate([one[key] for one in ordered]) for key in ordered[0]}
    measured = {
        "mixture, mean regret": f"{table['mixture'].mean():.1f} %",
        "top-k, mean regret": f"{table['top-k'].mean():.1f} %",
        "95 % intervals, of mixtures": f"{100 * np.mean(mixed):.1f} %",
        "95 % intervals, of curves": f"{100 * np.mean(np.concatenate(curved)):.1f} %",
    }
    for kind, with_all in (("holds", "whole"), ("strengths", "whole strengths")):
        word = f"calibration error, {'differences' if kind == 'holds' else 'Bradley-Terry'}"
        measured[f"{word}, new recipe"] = f"{calibration_error(joined[kind], joined['again']):.3f}"
        measured[f"{word}, full training"] = f"{calibration_error(joined[with_all], joined['full']):.3f}"
    for rate in RATES:
        measured[f"decision accuracy, {rate}"] = f"{joined[rate].mean():.2f}"
    print(f"\n{'':<56}{'mark':>12}{'measured':>12}")
    for word, value in measured.items():
        mark = next((text for key, text in MARKS.items() if word.startswith(key)), "")
        print(f"{word:<56}{mark:>12}{value:>12}")
    print(f"\n{time.perf_counter() - begun:.0f} s")


if __name__ == "__main__":
    main()
