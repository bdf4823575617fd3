"""Logistic curves through success counts, many at once: all resamples of a cell are one call."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import special

__all__ = ["logistic_fit"]

Floats = npt.NDArray[np.float64]

_MAX_NEWTON = 100
_MAX_HALVINGS = 40


def logistic_fit(x: Floats, successes: Floats, trials: Floats) -> tuple[Floats, Floats]:
    """Maximum-likelihood logistic curves, one for each row, by Newton's method.

    Parameters
    ----------
    x
        (widths,) the covariate, at least two distinct values.
    successes, trials
        (rows, widths) counts. A row whose outcomes are separated has no maximum: leave it out.

    Returns
    -------
    intercept, slope
        (rows,) each; success has probability 1 / (1 + exp(-intercept - slope * x)).
    """
    centre, scale = x.mean(), x.std()
    z = (x - centre) / scale
    beta = np.zeros((len(successes), 2))
    value = _log_likelihood(beta, z, successes, trials)
    for _ in range(_MAX_NEWTON):
        step = _newton_step(beta, z, successes, trials)
        beta, value, moved = _climb(beta, step, value, z, successes, trials)
        if np.all(moved <= 1e-12 * (1 + np.abs(beta).max(axis=1, initial=0))):
            break
    slope = beta[:, 1] / scale
    return beta[:, 0] - slope * centre, slope


def _log_likelihood(beta: Floats, z: Floats, successes: Floats, trials: Floats) -> Floats:
    eta = beta[:, :1] + beta[:, 1:] * z
    value: Floats = (successes * eta - trials * np.logaddexp(0, eta)).sum(axis=1)
    return value


def _newton_step(beta: Floats, z: Floats, successes: Floats, trials: Floats) -> Floats:
    """Solve the 2 x 2 system of every row, written out since it is so small."""
    p = special.expit(beta[:, :1] + beta[:, 1:] * z)
    weight, residual = trials * p * (1 - p), successes - trials * p
    g0, g1 = residual.sum(axis=1), residual @ z
    h00, h01, h11 = weight.sum(axis=1), weight @ z, weight @ z**2
    # Rounding can bring the determinant of a nearly separated row to zero.
    det = np.maximum(h00 * h11 - h01**2, np.finfo(float).tiny)
    return np.stack([h11 * g0 - h01 * g1, h00 * g1 - h01 * g0], axis=1) / det[:, None]


def _climb(
    beta: Floats, step: Floats, value: Floats, z: Floats, successes: Floats, trials: Floats
) -> tuple[Floats, Floats, Floats]:
    """Take the step, halved in the rows where it would lose likelihood."""
    # The likelihood is concave, so a short enough Newton step always gains.
    slack = 1e-13 * (1 + np.abs(value))
    size = np.ones(len(beta))
    for _ in range(_MAX_HALVINGS):
        proposal = beta + size[:, None] * step
        gained = _log_likelihood(proposal, z, successes, trials)
        worse = ~(gained >= value - slack)
        if not worse.any():
            break
        size[worse] /= 2
    return proposal, gained, np.abs(proposal - beta).max(axis=1, initial=0)
