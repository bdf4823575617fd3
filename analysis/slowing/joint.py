"""One law of slowing for all cells of a store, with a threshold of its own for each, or tied by sizes.

Most cells alone cannot tell a law that diverges from one that is finite at every width. But if all
cells of an activation and a tolerance slow down alike, they can together. So s = 1/gamma, beta and the
scatters are shared here, while each cell keeps its level a and its width w, at which b x = 1.

Since k_inf = w s^(1/beta), the exponents of n and d in w are those in k_inf, whatever s is. They are
known even where s = 0 is not excluded, and then they belong to the width at which slowing sets in.

`design` says how log w depends on coefficients: the unit matrix leaves every cell free, and columns of
log n and log d make w a power law. The difference in likelihood of both says how well the law fits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from analysis.slowing.fitting import BOUNDS, LEAST_CURVATURE, PRIOR
from analysis.slowing.likelihood import NAMES, Trials, log_likelihood

__all__ = ["Joint", "fit_jointly"]

Floats = NDArray[np.float64]

A, S, LOG_B, LOG_BETA = (NAMES.index(name) for name in ("a", "s", "log_b", "log_beta"))
SHARED = [index for index in range(len(NAMES)) if index not in (A, LOG_B)]
BETA = SHARED.index(LOG_BETA)

STARTS = ((0.7, 1.5), (0.1, 3.5))
"""Values of s and beta from which a fit climbs."""

STEP = 1e-4
"""Step of the differences that give the curvature."""


@dataclass(frozen=True)
class Joint:
    """A fit of all cells.

    Attributes
    ----------
    cells
        The trials of each cell.
    design
        Maps coefficients to log w, (cell, coefficient).
    vector
        The shared parameters, then the level of each cell, then the coefficients.
    value
        The log-likelihood with the prior.
    """

    cells: Sequence[Trials]
    design: Floats
    vector: Floats
    value: float

    @property
    def shape(self) -> dict[str, float]:
        """The shared parameters by name."""
        names = [NAMES[index] for index in SHARED]
        return dict(zip(names, self.vector[: len(SHARED)].tolist(), strict=True))

    @property
    def log_width(self) -> Floats:
        """Log w of each cell."""
        widths: Floats = self.design @ self.vector[len(SHARED) + len(self.cells) :]
        return widths

    @property
    def log_rise(self) -> float:
        """Log k_inf - log w, the same in all cells; minus infinity if there is no threshold."""
        shape = self.shape
        return float(np.log(shape["s"]) / np.exp(shape["log_beta"])) if shape["s"] > 0 else -np.inf

    @cached_property
    def worth(self) -> tuple[float, Floats]:
        """The worth of a unit of log-likelihood, and the covariance of `vector`; see `fitting`.

        Seeds alone are independent. As many of them as there are parameters say nothing on their
        spread, so the spread is that of the others.
        """
        curvature, scores = self._curvature()
        values, vectors = np.linalg.eigh(curvature)
        known = values > LEAST_CURVATURE
        turned = (scores - scores.mean(axis=0)) @ vectors[:, known]
        left = max(1, len(scores) - int(known.sum()))
        excess = float(((turned**2).sum(axis=0) / values[known]).sum()) * len(scores) / left
        share = min(1.0, float(known.sum()) / excess)
        precision = (vectors * np.maximum(share * values, LEAST_CURVATURE)) @ vectors.T
        precision[BETA, BETA] += PRIOR[1] ** -2
        return share, np.linalg.inv(precision)

    @property
    def contrasts(self) -> Floats:
        """Standard errors of log w less its mean over cells; what they share is none of a law."""
        covariance = self._width_covariance()
        rest = np.eye(len(covariance)) - 1 / len(covariance)
        errors: Floats = np.sqrt(np.diag(rest @ covariance @ rest))
        return errors

    def mean_threshold(self, offsets: Floats) -> tuple[float, float]:
        """Return the mean of log k_inf - offsets over cells, and its standard error."""
        slope = self.slope_of_rise()
        slope[len(SHARED) + len(self.cells) :] = self.design.mean(axis=0)
        mean = float((self.log_width - offsets).mean()) + self.log_rise
        return mean, float(np.sqrt(slope @ self.worth[1] @ slope))

    def slope_of_rise(self) -> Floats:
        """Return the derivative of `log_rise` in the vector, where there is a threshold."""
        slope = np.zeros(len(self.vector))
        s, beta = self.shape["s"], np.exp(self.shape["log_beta"])
        slope[SHARED.index(S)] = 1 / (s * beta)
        slope[BETA] = -np.log(s) / beta
        return slope

    def _width_covariance(self) -> Floats:
        part = self.worth[1][len(SHARED) + len(self.cells) :, len(SHARED) + len(self.cells) :]
        covariance: Floats = self.design @ part @ self.design.T
        return covariance

    def _curvature(self) -> tuple[Floats, Floats]:
        """Return minus the second derivative of the likelihood, and its gradient for every seed."""
        size = len(self.vector)
        whole, scores = np.zeros((size, size)), []
        for index, trials in enumerate(self.cells):
            theta, slope = _place(self.vector, self.design, self.cells, index)
            steps = np.eye(len(NAMES)) * STEP
            gradients = [
                [log_likelihood(theta + sign * step, trials)[1].sum(axis=0) for step in steps]
                for sign in (1, -1)
            ]
            second = (np.array(gradients[0]) - np.array(gradients[1])) / (2 * STEP)
            whole -= slope.T @ ((second + second.T) / 2) @ slope
            scores.append(log_likelihood(theta, trials)[1] @ slope)
        return whole, np.concatenate(scores)


def _place(
    vector: Floats, design: Floats, cells: Sequence[Trials], index: int
) -> tuple[Floats, Floats]:
    """Return the parameters of a cell in the order of `NAMES`, and their derivative in the vector."""
    start = len(SHARED) + len(cells)
    theta, slope = np.zeros(len(NAMES)), np.zeros((len(NAMES), len(vector)))
    theta[SHARED] = vector[: len(SHARED)]
    slope[SHARED, np.arange(len(SHARED))] = 1.0
    theta[A] = vector[len(SHARED) + index]
    slope[A, len(SHARED) + index] = 1.0
    beta = np.exp(theta[LOG_BETA])
    theta[LOG_B] = beta * (design[index] @ vector[start:] - cells[index].log_k.min())
    slope[LOG_B, BETA] = theta[LOG_B]
    slope[LOG_B, start:] = beta * design[index]
    return theta, slope


def fit_jointly(
    cells: Sequence[Trials], design: Floats, s: float | None = None, near: Joint | None = None
) -> Joint:
    """Return the best joint fit of some cells, with a given s if any.

    Parameters
    ----------
    cells
        Trials of each cell, at the widths to which it is fitted.
    design
        Maps coefficients to log w, (cell, coefficient).
    s
        The shape to hold, such as 0 for a law that is finite at every width.
    near
        Another fit of the same cells to start from.
    """
    starts = _starts(cells, design) if near is None else [_beside(near, design)]
    return max((_climb(cells, design, start, s) for start in starts), key=lambda fit: fit.value)


def _starts(cells: Sequence[Trials], design: Floats) -> list[Floats]:
    met = [trials.arrived & trials.counted for trials in cells]
    first = [float(trials.log_k[arrived].min()) for trials, arrived in zip(cells, met, strict=True)]
    levels = [
        float(np.quantile(trials.log_time[arrived], 0.25)) - 0.2
        for trials, arrived in zip(cells, met, strict=True)
    ]
    coefficients = np.linalg.lstsq(design, np.array(first), rcond=None)[0]
    known = {"log_omega": -1.5, "kappa": 0.0, "log_sigma": -2.0, "log_rho": -2.0}
    return [
        np.concatenate([
            [(known | {"s": s, "log_beta": np.log(beta)})[NAMES[index]] for index in SHARED],
            levels,
            coefficients,
        ])
        for s, beta in STARTS
    ]  # fmt: skip


def _beside(near: Joint, design: Floats) -> Floats:
    kept = near.vector[: len(SHARED) + len(near.cells)]
    return np.concatenate([kept, np.linalg.lstsq(design, near.log_width, rcond=None)[0]])


def _climb(cells: Sequence[Trials], design: Floats, start: Floats, s: float | None) -> Joint:
    free = np.ones(len(start), dtype=bool)
    free[SHARED.index(S)] = s is None
    whole = np.array(start)
    if s is not None:
        whole[SHARED.index(S)] = s

    def negative(part: Floats) -> tuple[float, Floats]:
        whole[free] = part
        value, gradient = _summed(whole, design, cells)
        return (-value, -gradient[free]) if np.isfinite(value) else (1e10, 0 * part)

    limits = np.concatenate([
        BOUNDS[SHARED],
        np.tile(BOUNDS[A], (len(cells), 1)),
        np.tile((-np.inf, np.inf), (design.shape[1], 1)),
    ])[free]  # fmt: skip
    begin = np.clip(np.asarray(start)[free], *limits.T)
    done = minimize(
        negative, begin, jac=True, method="L-BFGS-B", bounds=limits, options={"maxiter": 500}
    )
    whole[free] = done.x
    return Joint(cells, design, np.array(whole), -float(done.fun))


def _summed(vector: Floats, design: Floats, cells: Sequence[Trials]) -> tuple[float, Floats]:
    """Return the log-likelihood of all cells with the prior, and its gradient."""
    misfit = (vector[BETA] - PRIOR[0]) / PRIOR[1]
    value, gradient = -(misfit**2) / 2, np.zeros(len(vector))
    gradient[BETA] = -misfit / PRIOR[1]
    for index, trials in enumerate(cells):
        theta, slope = _place(vector, design, cells, index)
        one, scores = log_likelihood(theta, trials)
        value += one
        gradient += scores.sum(axis=0) @ slope
    return value, gradient
