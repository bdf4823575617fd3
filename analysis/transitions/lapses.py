"""The lapse rate: the share of trials that fail however far they are beyond the transition.

Success then has probability (1 - r) F, with one rate r for a group of cells that differ in n and d
only. A bad start of a network fails whatever its data, so those cells share their rate, and it is known
from all their trials together. One cell would often leave it open whether its last failures are lapses
or the end of a flat curve. What else distinguishes cells has a rate of its own: the activation, a
tolerance, a parameter, and along another axis the width, since small networks start badly more often.
Where rates differ between n or d as well, each cell can have its own.

The likelihood of a group is that of its cells, each with the curve that is best at the rate. A
separated cell has a steep curve, so its successes count for the rate and its failures do not. The rate
maximises the product. Its interval comes from that profile, at the drop that Student's interval over
seeds would have; of few lapses, at no less than the drop for independent trials. The interval of a
crossing is Student's over seeds too, from the joint influence of each seed on the rate and on the
curve. Seeds are the units across all cells of the group, because cells may share draws.

AICc compares with the same curves at a rate of 0. Seeds that fail together, as nested ones do, gain
likelihood by a rate more easily than independent trials would. So the gain is divided by the same ratio
of variances (QAICc).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy import optimize, special

from analysis.axes import SIZES, label
from analysis.transitions.curves import MAX_NEWTON, Link, Problem, fit_problem, lapsed, link_of
from analysis.transitions.intervals import FEWEST, interval_reach
from analysis.transitions.separation import separated

__all__ = ["Lapses", "Outcomes", "lapse_words", "lapses_of"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

MOST = 0.9
"""The greatest rate that is tried."""

FEW = 6.0
"""Fewer lapses than this do not tell by their differences between seeds how dependent they are."""

GRID = np.concatenate([[0.0], np.geomspace(5e-4, MOST, 15)])
"""The rates among which the search begins."""

POINTS, ROUNDS = 9, 3
"""An end of the interval is looked for at so many rates, each time between two of those before."""

ROUGHLY = 16
"""Steps of a fit at `GRID`: only curves at rates far from the best would take more."""


class Outcomes(NamedTuple):
    """The outcomes of one cell of a group.

    Attributes
    ----------
    x
        (values,) the covariate.
    won, tried
        (values, seeds) outcomes, and the trials that count; the seeds are those of the group.
    """

    x: Floats
    won: Bools
    tried: Bools


class Lapses(NamedTuple):
    """The lapse rate of a group, and what follows from it for its cells.

    Attributes
    ----------
    rate, low, high
        The rate and its interval; NaN without a success.
    delta_aicc
        AICc without lapses minus AICc with them: above 0 the rate is worth its parameter.
    reaches
        For each cell the distance from the crossing of its curve to either end of its interval, in the
        covariate; None for a cell without a curve.
    """

    rate: float
    low: float
    high: float
    delta_aicc: float
    reaches: tuple[float | None, ...]


def lapses_of(cells: Sequence[Outcomes], link: str, confidence: float) -> Lapses:
    """Return the lapse rate of a group of cells.

    Parameters
    ----------
    cells
        The cells, in any number.
    link
        A key of `analysis.transitions.curves.LINKS`.
    confidence
        Level of the intervals.
    """
    group = _Group(cells, link)
    if not group.successes:
        return Lapses(np.nan, np.nan, np.nan, np.nan, (None,) * len(cells))
    rate, best = group.maximum
    joint = _Joint(group, rate)
    low, high = _interval(group, rate, best, joint.drop(confidence))
    gain = 2 * (best - group.likelihood(0.0)) / joint.excess
    return Lapses(rate, low, high, gain - group.penalty, joint.reaches(confidence))


class _Group:
    """The cells of a group, those with curves as the padded rows of one problem."""

    def __init__(self, cells: Sequence[Outcomes], link: str) -> None:
        self.cells, self.link = cells, link
        self.curved = [index for index, cell in enumerate(cells) if _has_curve(cell)]
        self.successes = sum(int((cell.won & cell.tried).sum()) for cell in cells)
        steps = [c for index, c in enumerate(cells) if index not in self.curved]
        self.beyond = sum(int((cell.won & cell.tried).sum()) for cell in steps)
        self.trials = sum(int(cell.tried.sum()) for cell in cells)
        self.known: dict[float, tuple[float, Floats]] = {}  # by rate: the likelihood and its curves

    @cached_property
    def rows(self) -> tuple[Floats, Floats, Floats]:
        """The standardised covariate, successes and trials of the cells with curves, padded."""
        most = max((len(self.cells[index].x) for index in self.curved), default=1)
        x, won, tried = np.zeros((3, len(self.curved), most))
        for row, index in enumerate(self.curved):
            cell, size = self.cells[index], len(self.cells[index].x)
            x[row, :size] = (cell.x - cell.x.mean()) / cell.x.std()
            won[row, :size] = (cell.won & cell.tried).sum(axis=1)
            tried[row, :size] = cell.tried.sum(axis=1)
        return x, won, tried

    @property
    def penalty(self) -> float:
        """The price of one more parameter in AICc."""
        few = 2 * len(self.curved)
        return _penalty(few + 1, self.trials) - _penalty(few, self.trials)

    def likelihood(self, rate: float) -> float:
        """Return the greatest log-likelihood at a rate."""
        return float(self.likelihoods(np.array([rate]))[0])

    def likelihoods(self, rates: Floats) -> Floats:
        """Return the greatest log-likelihood at each of some rates."""
        new = [rate for rate in rates.tolist() if rate not in self.known]
        if new:
            self._fit(np.array(new))
        return np.array([self.known[rate][0] for rate in rates.tolist()])

    def curves(self, rate: float) -> Floats:
        """Return the curves (cells, 2) that are best at a rate."""
        self.likelihood(rate)
        return self.known[rate][1]

    def _fit(self, rates: Floats, steps: int = MAX_NEWTON) -> None:
        """Fit the curves at several rates in so many steps at most: first at 0 alone."""
        x, won, tried = self.rows
        size = len(rates) * len(x)
        if self.known:
            known = np.array(list(self.known))
            near = known[np.abs(known - rates[:, None]).argmin(axis=1)]
            starts = [np.concatenate([self.known[rate][1] for rate in near])]
            starts += [np.concatenate([_steep(x, won, tried, 1 - rate) for rate in rates])]
        else:
            starts = [np.zeros((size, 2))]  # at a rate of 0 there is one maximum
        # Rates and starts are rows of one problem: the time goes by its calls, not by its rows.
        x, won, tried = (np.tile(rows, (len(starts) * len(rates), 1)) for rows in self.rows)
        each = np.tile(np.repeat(rates, len(self.curved)), len(starts))[:, None] if self.known else None
        problem = Problem((np.ones_like(x), x), won, tried, link_of(self.link), each)
        found = fit_problem(problem, np.concatenate(starts), steps)
        values = problem.at(found).value.reshape(len(starts), size)
        first, rows = values.argmax(axis=0), np.arange(size)
        curves = found.reshape(len(starts), size, 2)[first, rows].reshape(len(rates), -1, 2)
        totals = values[first, rows].reshape(len(rates), -1).sum(axis=1)
        totals += self.beyond * np.log1p(-rates)
        self.known |= zip(rates.tolist(), zip(totals.tolist(), curves, strict=True), strict=True)

    @cached_property
    def maximum(self) -> tuple[float, float]:
        """The rate of the greatest likelihood, and that."""
        self._fit(GRID[:1])
        self._fit(GRID[1:], ROUGHLY)
        at = int(self.likelihoods(GRID).argmax())
        if at:
            self._fit(GRID[at : at + 1])
        value = self.likelihood(float(GRID[at]))
        around = GRID[max(at - 1, 0)], GRID[min(at + 1, len(GRID) - 1)]
        polished = optimize.minimize_scalar(
            lambda rate: -self.likelihood(float(rate)),
            bounds=around,
            method="bounded",
            options={"xatol": 1e-6},
        )
        if -polished.fun > value + 1e-9:
            return float(polished.x), float(-polished.fun)
        return float(GRID[at]), value


def _has_curve(cell: Outcomes) -> bool:
    """Return True unless failures end where successes begin."""
    won, tried = (
        counts.sum(axis=1)[None].astype(float) for counts in (cell.won & cell.tried, cell.tried)
    )
    return len(cell.x) > 1 and not bool(separated(won, tried - won)[0])


def _penalty(parameters: int, trials: int) -> float:
    if trials - parameters - 1 <= 0:
        return np.inf
    return 2 * parameters + 2 * parameters * (parameters + 1) / (trials - parameters - 1)


def _steep(x: Floats, won: Floats, tried: Floats, top: float) -> Floats:
    """Return steep curves (rows, 2) that cross half of the top where the counts first reach it."""
    share = np.where(tried > 0, won / np.maximum(tried, 1), 0)
    at = np.take_along_axis(x, (share >= top / 2).argmax(axis=1)[:, None], axis=1)[:, 0]
    return np.stack([-6 * at, np.full(len(x), 6.0)], axis=1)


def _interval(group: _Group, rate: float, best: float, drop: float) -> tuple[float, float]:
    """Return the rates on either side at which the profile has fallen by a drop."""
    least = best - drop
    # Of the rates that were tried, the nearest ones beyond the drop bracket its ends.
    beyond = [known for known, (value, _) in group.known.items() if value < least]
    below, above = [r for r in beyond if r < rate], [r for r in beyond if r > rate]
    low = _end(group, least, rate, max(below)) if below else 0.0
    high = _end(group, least, rate, min(above)) if above else 1.0
    return low, high


def _end(group: _Group, least: float, inner: float, outer: float) -> float:
    """Return the rate between two at which the profile falls to a level."""
    for _ in range(ROUNDS):
        points = np.linspace(inner, outer, POINTS)
        spare = group.likelihoods(points) - least
        kept = max(int((spare < 0).argmax()), 1)  # rounding may leave none at the rate itself
        inner, outer = points[kept - 1], points[kept]
    return float(np.interp(0, spare[[kept, kept - 1]], [outer, inner]))


class _Joint:
    """The influence of each seed on the rate and on the curves of a group, all fitted together.

    The information is that which the fit expects. Its blocks are a number for the rate, 2 x 2 for each
    curve, and the two in between; so the curves are eliminated one by one.
    """

    def __init__(self, group: _Group, rate: float) -> None:
        # Without a single lapse the information on the rate has no bound: take half of one.
        at = max(rate, 0.5 / group.successes)
        self.cells = group.cells
        curves = zip(group.curved, group.curves(rate), strict=True)
        link = lapsed(group.link, at)
        self.blocks = {index: _block(group.cells[index], curve, link) for index, curve in curves}
        score = np.zeros(group.cells[0].won.shape[1])
        information = group.beyond / (at * (1 - at))
        for index, cell in enumerate(group.cells):
            if index in self.blocks:
                block = self.blocks[index]
                score = score + block.of_rate - block.shift @ block.of_curve
                information += block.information - float(block.shift @ block.cross)
            else:
                score = score - (cell.won & cell.tried).sum(axis=0) / (1 - at)
        self.influence = score / information
        self.known = np.any([cell.tried.any(axis=0) for cell in group.cells], axis=0)
        self.information = information
        self.lapses = rate * group.successes / (1 - rate)

    @property
    def excess(self) -> float:
        """The variance of the rate over seeds, by that of as many independent trials; at least 1."""
        seeds = int(self.known.sum())
        if seeds < 2:
            return 1.0
        own = float(self.information * np.sum(self.influence**2) * seeds / (seeds - 1))
        return max(1.0, own)

    def drop(self, confidence: float) -> float:
        """Return how far the log-likelihood falls at the ends of the interval of the rate."""
        alone = float(special.ndtri((1 + confidence) / 2)) ** 2
        influence = self.influence[self.known]
        reach = interval_reach(influence, np.ones(len(influence)), confidence)
        if not np.isfinite(reach):
            return alone / 2
        own = reach**2 * self.information
        if own >= alone:
            return own / 2
        # Seeds that seem to differ less than independent ones do so by chance, mostly.
        return (alone if self.lapses < FEW else (own + alone) / 2) / 2

    def reaches(self, confidence: float) -> tuple[float | None, ...]:
        """Return the half length of the interval of each crossing; None for a cell without a curve."""
        return tuple(
            self._reach(cell, self.blocks[index], confidence) if index in self.blocks else None
            for index, cell in enumerate(self.cells)
        )

    def _reach(self, cell: Outcomes, block: _Block, confidence: float) -> float:
        if cell.tried.any(axis=0).sum() < FEWEST or block.curve[1] <= 0:
            return np.inf
        moves = block.inverse @ (block.of_curve - np.outer(block.cross, self.influence))
        at = -block.curve[0] / block.curve[1]
        influence = (moves[0] + at * moves[1])[self.known] / block.curve[1]
        return float(cell.x.std()) * interval_reach(influence, np.ones(len(influence)), confidence)


class _Block(NamedTuple):
    """The part of a cell in the information and in the scores of its seeds.

    Attributes
    ----------
    curve
        (2,) intercept and slope in the standardised covariate.
    of_rate, of_curve
        Scores of each seed, (seeds,) and (2, seeds).
    information, cross, inverse
        Of the rate; between rate and curve (2,); the inverse of that of the curve (2, 2).
    """

    curve: Floats
    of_rate: Floats
    of_curve: Floats
    information: float
    cross: Floats
    inverse: Floats

    @property
    def shift(self) -> Floats:
        """The weights (2,) with which the scores of the curve leave that of the rate."""
        return self.inverse @ self.cross


def _block(cell: Outcomes, curve: Floats, link: Link) -> _Block:
    z = (cell.x - cell.x.mean()) / cell.x.std()
    columns = np.stack([np.ones_like(z), z])
    eta = curve[0] + curve[1] * z
    log_chance, rise = link.log_rise(eta)
    chance, top = np.exp(log_chance), link.top
    failing = 1 - top + top * (1 - chance)
    won, tried = (a.astype(float) for a in (cell.won & cell.tried, cell.tried))
    terms = link.terms(eta[:, None], won, tried)
    trials = tried.sum(axis=1)
    weight = terms.weight.sum(axis=1)
    return _Block(
        curve,
        ((tried - won) * (chance / failing)[:, None] - won / top).sum(axis=0),
        columns @ terms.score,
        float((trials * chance / failing).sum() / top),
        -columns @ (trials * chance * rise / failing),
        np.linalg.pinv((columns * weight) @ columns.T),
    )


# --- in words -------------------------------------------------------------------------------------


def lapse_words(widths: xr.Dataset, symbol: str) -> tuple[str, ...]:
    """Return a sentence on the lapse rate of each group of cells; none if no rate was fitted.

    Parameters
    ----------
    widths
        From `analysis.critical_widths`.
    symbol
        The letter of the critical value, k for a width.
    """
    if "lapse" not in widths:
        return ()
    names = ["lapse", "lapse_low", "lapse_high", "lapse_delta_aicc"]
    own = [dim for dim in widths.outcome.dims if dim in SIZES and widths.attrs["lapse_by"] == "group"]
    groups = widths[names].isel(dict.fromkeys(own, 0), drop=True)
    dims = list(groups.lapse.dims)
    found = []
    for place in np.ndindex(*groups.lapse.shape):
        part = groups.isel(dict(zip(dims, place, strict=True)))
        head = ", ".join(filter(None, (_label(str(dim), part) for dim in dims)))
        found.append((f"{head}: " if head else "") + _words(part, symbol))
    return tuple(found)


def _label(dim: str, part: xr.Dataset) -> str:
    """Return the name of a value of an axis; of a width its k, if it has one."""
    if dim == "width" and part.k.ndim == 0:
        return f"k = {part.k.item()}"
    return label(dim, part[dim].values.item())


def _words(group: xr.Dataset, symbol: str) -> str:
    rate, low, high, gain = (float(value) for value in group.data_vars.values())
    if np.isnan(rate):
        return "no lapse rate, because no trial succeeds."
    word = "prefers it to none" if gain > 0 else "prefers none"
    return (
        f"lapse rate {rate:.1%} [{low:.1%}, {high:.1%}]; AICc {word} (by {abs(gain):.1f}). {symbol}50 "
        "is where the trials that do not lapse succeed in half of the cases."
    )
