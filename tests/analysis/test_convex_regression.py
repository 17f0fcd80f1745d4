"""The exact solver of the convex model, against a bounded least-squares solver and differences."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize

from ehps.analysis import convex_regression


@pytest.mark.parametrize(("rows", "penalty"), [(12, 1e-4), (12, 1.0), (60, 1e-2)])
def test_the_solution_is_that_of_bounded_least_squares(rows: int, penalty: float) -> None:
    rng = np.random.default_rng(rows)
    free, columns = 4, 30
    x, y = rng.normal(size=(rows, columns)), rng.normal(size=(rows, 3))
    found = convex_regression.ridge(x, y, penalty, free)
    low = np.r_[np.full(free, -np.inf), np.zeros(columns - free)]
    for column, goal in zip(found.T, y.T, strict=True):
        system = np.concatenate([x, np.sqrt(penalty) * np.eye(columns)])
        known = optimize.lsq_linear(system, np.r_[goal, np.zeros(columns)], (low, np.inf), tol=1e-14)
        np.testing.assert_allclose(column, known.x, atol=2e-6)
        assert (column[free:] >= 0).all()
        assert (column[free:] == 0).any()


def test_coefficients_that_may_all_be_negative_are_those_of_plain_ridge() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(20, 5)), rng.normal(size=(20, 2))
    known = np.linalg.solve(x.T @ x + 0.3 * np.eye(5), x.T @ y)
    np.testing.assert_allclose(convex_regression.ridge(x, y, 0.3, free=5), known, rtol=1e-9)


def test_slopes_are_those_of_differences() -> None:
    rng = np.random.default_rng(2)
    weights = rng.dirichlet(np.ones(4), 40)
    model = convex_regression.fit(weights, np.log(50 + 40 / (1 + 9 * weights[:, :2])), 0.1, 1e-4)
    at = rng.dirichlet(np.ones(4))
    steps = 1e-6 * np.eye(4)
    differences = (model(at + steps) - model(at - steps)) / 2e-6
    np.testing.assert_allclose(model.slopes(at), differences.T, atol=1e-7)
