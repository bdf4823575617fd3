"""The trials that would tell most about the threshold of a cell, before they are run.

What trials tell is their expected Fisher information: the mean of the outer product of their score, on
top of what their seed tells already. Added to the precision of the fit, it says how well log k_inf will
be known. Outcomes are drawn from the fitted model: of a new seed, or of a seed that is known, given its
trials so far. The draws are evenly spread and the same each time, so that a plan depends on the trials
alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from analysis.slowing.fitting import LOG_B, LOG_BETA, Fit, S, log_threshold, maximise, worth
from analysis.slowing.likelihood import NODES, Trials, log_likelihood, posterior, standardised

__all__ = ["Outlook", "Prospect", "outlook_of", "with_widths"]

Floats = NDArray[np.float64]

DRAWS = 48


@dataclass(frozen=True)
class Prospect:
    """The outlook on a trial, or on several of a seed.

    Attributes
    ----------
    information
        What they are expected to tell of the parameters, at the worth of the fit.
    steps
        Expected steps of each of them, to the tolerance or to the end of the budget.
    arrives
        Chance of each to arrive.
    """

    information: Floats
    steps: Floats
    arrives: Floats


@dataclass(frozen=True)
class Outlook:
    """The fit of a cell, and what it is to tell.

    Attributes
    ----------
    best, trials
        The fit, and the trials that it is of.
    share
        The worth of a unit of log-likelihood.
    slope
        Derivatives of the quantity that is sought.
    precision
        What is known of the parameters: the inverse of their covariance.
    """

    best: Fit
    trials: Trials
    share: float
    slope: Floats
    precision: Floats

    def variance(self, more: Floats | float = 0.0) -> float:
        """Return the variance of the quantity that is sought, once there is more information."""
        return float(self.slope @ np.linalg.solve(self.precision + more, self.slope))

    def of_seed(self, log_k: Floats, log_budget: float) -> Prospect:
        """Return the outlook on a new seed at some of the widths of the trials, at one budget."""
        columns = [int(np.argmin(np.abs(self.trials.log_k[0] - one))) for one in log_k]
        z, e = (
            ndtri(_spread(0)),
            np.array([ndtri(_spread(1 + number)) for number in range(len(log_k))]).T,
        )
        before = _copies(self.trials, 0)
        before = replace(before, counted=np.zeros_like(before.counted))
        return self._prospect(before, columns, z[:, None], e, log_budget)

    def of_longer(self, seed: int, column: int, log_budget: float) -> Prospect:
        """Return the outlook on a censored trial that goes on to a larger budget."""
        before = _copies(self.trials, seed)
        chances = np.cumsum(posterior(self.best.theta, self.trials)[0][seed])
        z = NODES[np.searchsorted(chances, _spread(0)).clip(0, len(NODES) - 1)][:, None]
        at, reached = before.log_k[:, [column]], before.log_time[:, [column]]
        late = standardised(self.best.theta, at - self.trials.log_k.min(), reached, z)
        e = -ndtri(np.maximum(_spread(1)[:, None] * ndtr(-late), 1e-300))
        return self._prospect(before, [column], z, e, log_budget)

    def _prospect(
        self, before: Trials, columns: list[int], z: Floats, e: Floats, log_budget: float
    ) -> Prospect:
        """Return the outlook on trials whose outcomes are drawn."""
        log_time = self._times(before.log_k[:, columns], z, e)
        arrives = log_time <= log_budget
        after = replace(
            before,
            log_time=before.log_time.copy(),
            arrived=before.arrived.copy(),
            counted=before.counted.copy(),
        )
        after.log_time[:, columns] = np.minimum(log_time, log_budget)
        after.arrived[:, columns], after.counted[:, columns] = arrives, True
        theta = self.best.theta
        scores = log_likelihood(theta, after)[1]
        if before.counted.any():
            scores = scores - log_likelihood(theta, before)[1]
        information = self.share * scores.T @ scores / DRAWS
        steps = np.exp(np.minimum(log_time, log_budget)).mean(axis=0)
        return Prospect(information, steps, arrives.mean(axis=0))

    def _times(self, log_k: Floats, z: Floats, e: Floats) -> Floats:
        """Return log T of trials by their scatter: the inverse of `standardised`; inf for never."""
        a, s, log_b, log_omega, kappa, log_sigma, log_rho, log_beta = self.best.theta
        s, beta, ratio = max(s, 1e-5), np.exp(log_beta), np.exp(log_rho - log_sigma)
        norm = ratio**2 + s**2
        x = kappa * z - (log_k - self.trials.log_k.min())
        place = np.exp(np.clip(log_b + beta * x, -50, 50)) * norm / ratio - s / ratio
        time = np.sinh(np.clip(np.arcsinh(place) + np.exp(log_sigma) * np.sqrt(norm) * e, -300, 300))
        q = (ratio**2 - time * s * ratio) / norm
        with np.errstate(divide="ignore", invalid="ignore"):
            rise = np.where(q > 0, -np.log(np.maximum(q, 0)) / s, np.inf)
        times: Floats = a + np.exp(log_omega) * z + rise
        return times


def with_widths(trials: Trials, log_k: Floats) -> Trials:
    """Return trials with further widths, at which nothing is known; those that are there stay."""
    new = np.array([one for one in log_k if np.abs(trials.log_k[0] - one).min() > 1e-9])
    shape = (len(trials.log_k), len(new))
    no, some = np.zeros(shape, dtype=bool), np.broadcast_to(trials.log_time[:, :1], shape)
    return Trials(
        np.concatenate([trials.log_k, np.broadcast_to(new, shape)], axis=1),
        np.concatenate([trials.log_time, some], axis=1),
        np.concatenate([trials.arrived, no], axis=1),
        np.concatenate([trials.counted, no], axis=1),
    )


def outlook_of(trials: Trials, *, threshold: bool) -> Outlook:
    """Fit trials, and look for what tells their threshold, or first whether they have one.

    Without a threshold s is sought: how times bend as the width falls.
    """
    best = maximise(trials)
    share, covariance = worth(best, trials)
    slope = _slope(best, trials) if threshold and best.theta[S] > 0 else np.eye(len(best.theta))[S]
    precision = np.asarray(np.linalg.inv(covariance), dtype=np.float64)
    return Outlook(best, trials, share, slope, precision)


def _slope(best: Fit, trials: Trials) -> Floats:
    """Return the derivatives of log k_inf."""
    beta, slope = np.exp(best.theta[LOG_BETA]), np.zeros(len(best.theta))
    slope[S], slope[LOG_B] = 1 / (best.theta[S] * beta), 1 / beta
    slope[LOG_BETA] = trials.log_k.min() - log_threshold(best.theta, trials)
    return slope


def _copies(trials: Trials, seed: int) -> Trials:
    """Return a seed once for each draw."""
    own = (trials.log_k, trials.log_time, trials.arrived, trials.counted)
    return Trials(*(np.repeat(array[[seed]], DRAWS, axis=0) for array in own))  # type: ignore[arg-type]


def _spread(number: int) -> Floats:
    """Return evenly spread numbers between 0 and 1, in another order for each number."""
    even = (np.arange(DRAWS) + 0.5) / DRAWS
    return np.random.default_rng(number).permutation(even)
