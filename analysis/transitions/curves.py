"""Rising curves through success counts, many rows at once: all resamples of a cell are one call.

Success at the covariate x has probability F(intercept + slope * x), where F is the distribution
function of the link: logistic, or normal (probit). Both are symmetric about 0 and have a concave
logarithm, so that the likelihood has one maximum, and Newton's method with halved steps finds it.

With a lapse rate r the probability is (1 - r) F. Its likelihood need not be concave, so the expected
curvature, which is never negative, takes the place of the observed one: a short enough step still
gains.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special

__all__ = [
    "LINKS",
    "MAX_NEWTON",
    "RISE",
    "Link",
    "Problem",
    "deviance",
    "fit_curves",
    "fit_problem",
    "lapsed",
    "link_of",
    "log_likelihood",
    "profile",
]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

MAX_NEWTON = 100
"""The most steps of a fit; nearly all need fewer than ten."""

_MAX_HALVINGS = 40
_RIDGE = 1e-5  # with lapses: too small to move a curve, enough to keep a step from growing forever
_MOVED = 1e-6  # the step after it would be its square


class _Terms(NamedTuple):
    """The log-likelihood of every count, its first derivative in eta, and minus the second."""

    value: Floats
    score: Floats
    weight: Floats


class Link(NamedTuple):
    """A symmetric distribution function F of the linear predictor eta, and its upper end."""

    terms: Callable[[Floats, Floats, Floats], _Terms]
    """Maps eta, successes and trials to the terms."""
    chance: Callable[[Floats], Floats]
    """The probability of success: F, or less by the lapse rate."""
    ninety: float
    """The eta at which F is 90%."""
    log_rise: Callable[[Floats], tuple[Floats, Floats]]
    """Maps eta to log F and to the derivative of log F."""
    top: float = 1.0
    """The probability of success far above the transition: 1 minus the lapse rate."""


def _logistic(eta: Floats, successes: Floats, trials: Floats) -> _Terms:
    small = np.exp(-np.abs(eta))
    likely = 1 / (1 + small)  # F at |eta|
    p = np.where(eta >= 0, likely, 1 - likely)
    value = successes * eta - trials * (np.log1p(small) + np.maximum(eta, 0))
    return _Terms(value, successes - trials * p, trials * small * likely**2)


def _probit(eta: Floats, successes: Floats, trials: Floats) -> _Terms:
    """Use the scaled complementary error function, which is accurate far out in the tail."""
    far, below = np.abs(eta), eta < 0
    half = special.erfcx(far / np.sqrt(2)) / 2
    bell = np.exp(-(far**2) / 2)
    tail = half * bell  # F at -|eta|
    unlikely = np.where(below, successes, trials - successes)
    likely = trials - unlikely
    # Density over distribution function, at -|eta| and at |eta|.
    steep = 1 / (np.sqrt(2 * np.pi) * half)
    flat = bell / (np.sqrt(2 * np.pi) * (1 - tail))
    value = unlikely * (np.log(half) - far**2 / 2) + likely * np.log1p(-tail)
    score = unlikely * steep - likely * flat
    weight = unlikely * steep * (steep - far) + likely * flat * (flat + far)
    return _Terms(value, np.where(below, score, -score), weight)


def _logistic_rise(eta: Floats) -> tuple[Floats, Floats]:
    return special.log_expit(eta), special.expit(-eta)


def _probit_rise(eta: Floats) -> tuple[Floats, Floats]:
    log_chance = special.log_ndtr(eta)
    return log_chance, np.exp(-(eta**2) / 2 - log_chance) / np.sqrt(2 * np.pi)


LINKS = {
    "logistic": Link(_logistic, special.expit, float(np.log(9)), _logistic_rise),
    "probit": Link(_probit, special.ndtr, float(special.ndtri(0.9)), _probit_rise),
}


def link_of(link: str | Link) -> Link:
    """Return a link by its name, a key of `LINKS`, or as it is."""
    return link if isinstance(link, Link) else LINKS[link]


def lapsed(link: str | Link, rate: float) -> Link:
    """Return the link of trials of which a share always fails; a share of 0 gives the plain one."""
    plain = link_of(link)
    if rate <= 0:
        return plain
    top = 1 - rate

    def terms(eta: Floats, successes: Floats, trials: Floats) -> _Terms:
        return _lapsed_terms(plain, rate, eta, successes, trials)

    def chance(eta: Floats) -> Floats:
        found: Floats = top * plain.chance(eta)
        return found

    return Link(terms, chance, plain.ninety, plain.log_rise, top)


def _lapsed_terms(
    plain: Link, rate: float | Floats, eta: Floats, successes: Floats, trials: Floats
) -> _Terms:
    """Return the terms at a lapse rate above 0, one for all or (rows, 1)."""
    top = 1 - rate
    log_chance, rise = plain.log_rise(eta)  # F, and F' / F
    chance, failures = np.exp(log_chance), trials - successes
    failing = rate + top * plain.chance(-eta)  # 1 - top F, without cancellation
    value = successes * (log_chance + np.log(top)) + failures * np.log(failing)
    steep = top * chance * rise
    score = successes * rise - failures * steep / failing
    return _Terms(value, score, trials * steep * rise / failing)


RISE = 2 * LINKS["logistic"].ninety
"""The linear predictor of a logistic curve rises by this from 10% to 90%."""


def fit_curves(
    x: Floats,
    successes: Floats,
    trials: Floats,
    link: str | Link = "logistic",
    start: tuple[float, float] | None = None,
) -> tuple[Floats, Floats]:
    """Fit maximum-likelihood curves, one for each row, by Newton's method.

    Parameters
    ----------
    x
        (widths,) the covariate, at least two distinct values.
    successes, trials
        (rows, widths) counts, without rows whose outcomes are separated: these have no maximum.
    link
        As for `link_of`.
    start
        Intercept and slope to start from, 0 if None. It changes the time, not the result.

    Returns
    -------
    intercept, slope
        (rows,) each.
    """
    centre, scale = x.mean(), x.std()
    beta = np.zeros((len(successes), 2))
    if start is not None:
        beta += [start[0] + start[1] * centre, start[1] * scale]
    columns = (np.ones_like(x), (x - centre) / scale)
    beta = fit_problem(Problem(columns, successes, trials, link_of(link)), beta)
    slope = beta[:, 1] / scale
    return beta[:, 0] - slope * centre, slope


def profile(
    x: Floats, successes: Floats, trials: Floats, link: str | Link, crossings: Floats, start: float
) -> Floats:
    """Return the log-likelihood of the best curve that passes 1/2 at each of some crossings.

    Parameters
    ----------
    x, successes, trials
        (widths,) covariate and counts.
    link
        As for `link_of`.
    crossings
        (crossings,) values of the covariate.
    start
        A slope to start from.

    Returns
    -------
    numpy.ndarray
        (crossings,).
    """
    rows = (len(crossings), len(x))
    away = x - crossings[:, None]
    problem = Problem(
        (away,), np.broadcast_to(successes, rows), np.broadcast_to(trials, rows), link_of(link)
    )
    slope = fit_problem(problem, np.full((len(crossings), 1), start))
    return problem.at(slope).value


def log_likelihood(
    x: Floats, intercept: Floats, slope: Floats, successes: Floats, trials: Floats, link: str | Link
) -> Floats:
    """Return the log-likelihood of each row's curve, (rows,), without terms of the counts alone."""
    eta = intercept[:, None] + slope[:, None] * x
    return link_of(link).terms(eta, successes, trials).value.sum(axis=1)


def deviance(
    x: Floats, intercept: Floats, slope: Floats, successes: Floats, trials: Floats, link: str | Link
) -> Floats:
    """Return twice the log-likelihood that curves lack against a free share at every width.

    Parameters
    ----------
    x
        (widths,) the covariate.
    intercept, slope
        (rows,) of the curves.
    successes, trials
        (rows, widths) counts; a width may lack trials.
    link
        As for `link_of`.

    Returns
    -------
    numpy.ndarray
        (rows,).
    """
    failures = trials - successes
    some = np.maximum(trials, 1)
    free = special.xlogy(successes, successes / some) + special.xlogy(failures, failures / some)
    return 2 * (free.sum(axis=1) - log_likelihood(x, intercept, slope, successes, trials, link))


# --- Newton's method in many rows at once -----------------------------------------------------


class Problem(NamedTuple):
    """Rows of counts, and the columns (widths,) or (rows, widths) of their linear predictor.

    With `rates`, (rows, 1) and above 0, each row has its lapse rate, and `link` is the plain one.
    """

    columns: tuple[Floats, ...]
    successes: Floats
    trials: Floats
    link: Link
    rates: Floats | None = None

    @property
    def ridge(self) -> float:
        """The share of half the squared parameters that is taken from the likelihood.

        With lapses even counts that are not separated may have a step as their best curve.
        """
        return _RIDGE if self.link.top < 1 or self.rates is not None else 0.0

    def at(self, beta: Floats) -> _Terms:
        """Return the log-likelihood of every row, and the other terms of every count."""
        eta = sum(beta[:, j, None] * column for j, column in enumerate(self.columns))
        value, score, weight = self._terms(np.asarray(eta))
        total = value.sum(axis=1)
        if self.ridge:
            total = total - self.ridge / 2 * (beta**2).sum(axis=1)
        return _Terms(total, score, weight)

    def _terms(self, eta: Floats) -> _Terms:
        if self.rates is None:
            return self.link.terms(eta, self.successes, self.trials)
        return _lapsed_terms(self.link, self.rates, eta, self.successes, self.trials)

    def rows(self, chosen: Bools) -> Problem:
        columns = tuple(c if c.ndim == 1 else c[chosen] for c in self.columns)
        rates = None if self.rates is None else self.rates[chosen]
        return Problem(columns, self.successes[chosen], self.trials[chosen], self.link, rates)

    def step(self, terms: _Terms, beta: Floats) -> Floats:
        """Return Newton's step, with the small 2 x 2 systems written out."""
        g = [_sums(terms.score, column) for column in self.columns]
        if self.ridge:
            g = [own - self.ridge * beta[:, j] for j, own in enumerate(g)]
        tiny = np.finfo(float).tiny  # rounding can bring a nearly separated row to zero
        if len(g) == 1:
            curvature = _sums(terms.weight, self.columns[0] ** 2) + self.ridge
            return (g[0] / np.maximum(curvature, tiny))[:, None]
        one, z = self.columns
        h00, h01, h11 = (_sums(terms.weight, column) for column in (one, z, z**2))
        if self.ridge:
            h00, h11 = h00 + self.ridge, h11 + self.ridge
        det = np.maximum(h00 * h11 - h01**2, tiny)
        return np.stack([h11 * g[0] - h01 * g[1], h00 * g[1] - h01 * g[0]], axis=1) / det[:, None]


def _sums(terms: Floats, column: Floats) -> Floats:
    """Sum terms times a column over the widths of each row."""
    return terms @ column if column.ndim == 1 else (terms * column).sum(axis=1)


def fit_problem(problem: Problem, start: Floats, steps: int = MAX_NEWTON) -> Floats:
    """Return the parameters (rows, columns) of the greatest likelihood.

    Newton's method goes on from the start in the rows that still move, for so many steps at most.
    """
    found, active = start.copy(), np.arange(len(start))
    beta, terms = start, problem.at(start)
    for _ in range(steps):
        proposal, terms = _climb(problem, beta, terms)
        moved = np.abs(proposal - beta).max(axis=1, initial=0)
        beta = found[active] = proposal
        going = moved > _MOVED * (1 + np.abs(beta).max(axis=1, initial=0))
        if not going.any():
            break
        if not going.all():
            active, beta, problem = active[going], beta[going], problem.rows(going)
            terms = _Terms(*(part[going] for part in terms))
    return found


def _climb(problem: Problem, beta: Floats, terms: _Terms) -> tuple[Floats, _Terms]:
    """Take the step, halved in the rows in which it would lose likelihood."""
    # The likelihood is concave, so a short enough Newton step always gains.
    step, value = problem.step(terms, beta), terms.value
    least = value - 1e-13 * (1 + np.abs(value))
    size = np.ones((len(beta), 1))
    for _ in range(_MAX_HALVINGS):
        proposal = beta + size * step
        gained = problem.at(proposal)
        worse = ~(gained.value >= least)
        if not worse.any():
            break
        size[worse] /= 2
    return proposal, gained
