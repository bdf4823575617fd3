"""A law with log k has the least weighted squares, also where it has no root at some points."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from analysis.scaling.fitting import Fit, fit_model
from analysis.scaling.laws import LAWS, law_model

LAW = LAWS["n log n log k/alpha^2"]


def roots(log_a: np.ndarray) -> np.ndarray:
    """Return log k of the larger root of k = a log k, by bisection; of k = e where there is none."""
    low, high = np.ones_like(log_a), np.full_like(log_a, 60.0)
    for _ in range(60):
        middle = (low + high) / 2
        short = middle - np.log(middle) < log_a
        low, high = np.where(short, middle, low), np.where(short, high, middle)
    return low


def points(seed: int) -> pd.DataFrame:
    """Widths that grow with n more slowly than the law allows, the least of them below e."""
    rng = np.random.default_rng(seed)
    n = np.sort(rng.uniform(20, 2000, rng.integers(3, 12)))
    y = (
        rng.uniform(0.2, 1.2) * np.log(n / 20)
        + rng.uniform(0.3, 2)
        + 0.05 * rng.standard_normal(n.size)
    )
    return pd.DataFrame({"n": n, "alpha": 1.0, "y": np.maximum(y, 0.3), "s": 0.05})


def squares(fit: Fit, table: pd.DataFrame, log_constants: np.ndarray) -> np.ndarray:
    """Return the weighted sums of squares of some constants."""
    shapes = np.log(table.n * np.log(table.n)).to_numpy()
    predicted = roots(np.atleast_1d(log_constants)[:, None] + shapes)
    return np.sum((table.y.to_numpy() - predicted) ** 2 / fit.variance, axis=1)


@pytest.mark.parametrize("seed", range(8))
def test_no_constant_has_less_squares_than_the_fitted_one(seed: int) -> None:
    table = points(seed)
    fit = fit_model(law_model(LAW), table)
    fitted = squares(fit, table, fit.theta)[0]
    assert fitted == pytest.approx(np.sum(fit.residuals**2 / fit.variance), rel=1e-2)
    least = squares(fit, table, np.linspace(-12, 4, 1601)).min()
    assert fitted <= least * (1 + 1e-6)


def test_points_at_which_the_law_has_no_root_tell_nothing_of_its_constant() -> None:
    table = points(0)
    fit = fit_model(law_model(LAW), table)
    flat = math.exp(fit.theta[0]) * table.n * np.log(table.n) < math.e
    assert flat.any()
    assert not flat.all()
    rest = ~flat.to_numpy()
    _, jacobian = fit.model.predict(fit.theta, table)
    assert (jacobian[~rest] == 0).all()
    assert (jacobian[rest] > 0).all()
