"""Error against the number of instances trained on: a power law with a floor, and how sure it is.

``error(n) = floor + scale * n ** -exponent``, fitted to trainings of four sizes and more by least squares of relative
errors. Intervals are by a parametric bootstrap whose spread is itself drawn (chi-squared with the degrees of freedom of
the residuals), so that few trainings give wide ones. Beyond four times the largest size a curve is an extrapolation
that nothing has tested, and is said to be one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ehps.arrays import Array, Mask
from ehps.errors import DataError, UsageError

FEWEST = 4
"""Different sizes that a curve takes: it has three numbers of its own."""
REACH = 4.0
"""Times the largest size up to which a curve is used without a word."""
EXPONENTS = np.linspace(0.02, 2, 199)


@dataclass(frozen=True)
class Curve:
    """A fitted curve of one training set.

    Attributes
    ----------
    sizes, errors : (N,) of the trainings.
    floor, scale, exponent : of ``floor + scale * n ** -exponent``.
    draws : (B, 3) the same of the bootstrap.
    level : of intervals.
    """

    sizes: Array
    errors: Array
    floor: float
    scale: float
    exponent: float
    draws: Array
    level: float = 0.95

    def at(self, sizes: Array) -> pd.DataFrame:
        """``instances, error, low, high, gain, gain_low, gain_high, extrapolated`` at sizes.

        ``low`` and ``high`` are of the curve, that is of the mean of trainings of that size; ``gain`` is how much the
        next 1,000 instances lower the error; ``extrapolated``: beyond :data:`REACH` times the largest size.
        """
        n = np.asarray(sizes, float)
        if not (n > 0).all():
            raise UsageError(f"a curve has no value at {n.min():g} instances")
        own = np.array([[self.floor, self.scale, self.exponent]])
        limits = [50 * (1 - self.level), 50 * (1 + self.level)]
        low, high = np.percentile(_values(self.draws, n), limits, axis=0)
        gain = _values(self.draws, n) - _values(self.draws, n + 1000)
        gain_low, gain_high = np.percentile(gain, limits, axis=0)
        return pd.DataFrame(
            {
                "instances": np.asarray(sizes),
                "error": _values(own, n)[0],
                "low": low,
                "high": high,
                "gain": (_values(own, n) - _values(own, n + 1000))[0],
                "gain_low": gain_low,
                "gain_high": gain_high,
                "extrapolated": self.beyond(n),
            }
        )

    def beyond(self, sizes: Array) -> Mask:
        """Which sizes are an extrapolation."""
        return np.asarray(np.asarray(sizes, float) > REACH * self.sizes.max())


def fit(sizes: Array, errors: Array, *, bootstrap: int = 400, level: float = 0.95, seed: int = 0) -> Curve:
    """Fit one curve.

    Parameters
    ----------
    sizes : (N,) instances of the trainings; several of one size (seeds) make the interval narrower.
    errors : (N,) of them.

    Raises
    ------
    DataError : fewer than four sizes, no training more than the curve has numbers, or values that are not positive.
    """
    n, e = np.asarray(sizes, float), np.asarray(errors, float)
    if len(np.unique(n)) < FEWEST:
        raise DataError(f"{len(np.unique(n))} sizes make no curve", fix=f"train on at least {FEWEST}")
    if not ((n > 0) & (e > 0) & np.isfinite(e)).all():
        raise DataError("sizes and errors of a curve must be positive numbers")
    fitted = _fits(n, e[None])
    model = _values(fitted, n)[0]
    rng = np.random.default_rng(seed)
    freedom = len(n) - 3
    relative = ((e / model - 1) ** 2).sum()
    spreads = np.sqrt(relative / rng.chisquare(freedom, bootstrap))
    again = model * (1 + spreads[:, None] * rng.standard_normal((bootstrap, len(n))))
    draws = _fits(n, np.maximum(again, 1e-3 * model))
    floor, scale, exponent = map(float, fitted[0])
    return Curve(n, e, floor, scale, exponent, draws, level)


def curves(trainings: pd.DataFrame, *, bootstrap: int = 400, level: float = 0.95, seed: int = 0) -> dict[str, Curve]:
    """Curves of all sets of a frame ``train_set, instances, error``, one row a training.

    Raises
    ------
    DataError : as :func:`fit`, with the set's name.
    """
    out = {}
    for name, part in trainings.groupby("train_set", sort=True):
        try:
            out[str(name)] = fit(
                part["instances"].to_numpy(), part["error"].to_numpy(), bootstrap=bootstrap, level=level, seed=seed
            )
        except DataError as error:
            raise DataError(f"{name}: {error.what}", fix=error.fix) from None
    return out


def table(found: Mapping[str, Curve], instances: int) -> pd.DataFrame:
    """What every set is expected to give at so many instances, lowest error first: see :meth:`Curve.at`."""
    rows = [curve.at(np.array([instances])).assign(train_set=name) for name, curve in found.items()]
    out = pd.concat(rows, ignore_index=True).sort_values(["error", "train_set"], kind="stable")
    return out[["train_set", *(c for c in out if c != "train_set")]].reset_index(drop=True)


def sentences(found: Mapping[str, Curve], instances: int) -> list[str]:
    """What must be said beside numbers at so many instances."""
    far = {
        name: instances / curve.sizes.max() for name, curve in found.items() if curve.beyond(np.array([instances]))[0]
    }
    return [
        f"{instances:,} instances are {times:.1f} times the largest training on {name}: an extrapolation, not tested."
        for name, times in far.items()
    ]


def figure(found: Mapping[str, Curve], instances: int | None = None, unit: str = "mm") -> Figure:
    """Error against instances with bands; broken beyond the largest training, dotted beyond four times it.

    Parameters
    ----------
    instances : up to which curves are drawn; by default :data:`REACH` times the largest training of each.

    Raises
    ------
    UsageError : there is no curve.
    """
    if not found:
        raise UsageError("there is no curve to draw")
    from ehps.analysis import figures
    from ehps.analysis.colours import styles
    from ehps.analysis.published import dataset_name

    looks = styles(found)
    with figures.styled():
        drawing, (panel,) = figures.panels(1)
        for name, curve in found.items():
            look, largest = looks[name], curve.sizes.max()
            end = max(float(instances or REACH * largest), largest)
            n = np.geomspace(curve.sizes.min(), end, 120)
            values = curve.at(n)
            panel.fill_between(n, values["low"], values["high"], color=look.colour, alpha=0.15, lw=0)
            reach = [(n <= largest, "-"), ((n >= largest) & (n <= REACH * largest), "--"), (n >= REACH * largest, ":")]
            for part, line in reach:
                panel.plot(n[part], values["error"][part], line, color=look.colour, lw=1.4)
            panel.plot(curve.sizes, curve.errors, look.marker, color=look.colour, ms=4.5, label=dataset_name(name))
        panel.set_xscale("log")
        panel.set_xlabel("training instances")
        panel.set_ylabel(f"error, {unit}")
        panel.grid(axis="both")
        figures.legend(drawing, [panel])
        last = {name: float(c.at(np.array([c.sizes.max()]))["gain"].iloc[0]) for name, c in found.items()}
        best = max(last, key=lambda name: last[name])
        title = f"At their largest size, 1,000 more instances lower the error most for {dataset_name(best)}"
        note = f"{100 * next(iter(found.values())).level:.0f} % bands of the curve. Broken: beyond the largest training"
        if instances and any(curve.beyond(np.array([instances]))[0] for curve in found.values()):
            note += f"; dotted: beyond {REACH:g} times it, not tested"
        figures.entitle(drawing, f"{title}: {last[best]:.2g} {unit}", f"{note}.")
    return drawing


def _values(parameters: Array, n: Array) -> Array:
    """(B, N) curves of (B, 3) floor, scale, exponent."""
    floor, scale, exponent = (parameters[:, k, None] for k in range(3))
    return np.asarray(floor + scale * n**-exponent)


def _fits(n: Array, errors: Array) -> Array:
    """(B, 3) of (B, N) errors: for each exponent of a grid the best floor and scale, neither below 0."""
    weight = 1 / errors
    middle = np.exp(np.log(n).mean())
    out = np.zeros((len(errors), 3))
    least = np.full(len(errors), np.inf)
    for exponent in EXPONENTS:
        power = (n / middle) ** -exponent
        aa, ab, bb = (weight**2).sum(1), (weight**2 * power).sum(1), (weight**2 * power**2).sum(1)
        ay, by = weight.sum(1), (weight * power).sum(1)  # weighted errors are 1
        determinant = aa * bb - ab**2
        floor, scale = (bb * ay - ab * by) / determinant, (aa * by - ab * ay) / determinant
        no_floor, no_scale = floor < 0, scale < 0
        floor, scale = np.where(no_floor, 0, floor), np.where(no_floor, by / bb, scale)
        floor, scale = np.where(no_scale, ay / aa, floor), np.where(no_scale, 0, scale)
        missed = ((weight * (floor[:, None] + scale[:, None] * power) - 1) ** 2).sum(1)
        better = missed < least
        least[better] = missed[better]
        here = np.stack([floor, scale * middle**exponent, np.full(len(errors), exponent)], axis=1)
        out[better] = here[better]
    return out
