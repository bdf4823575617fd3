"""The next trials of one line: from its outcomes to values of its axis and numbers of seeds.

A cell is *located* when half the relative width of the 95% interval of k50, sqrt(k50_high / k50_low)
- 1, is at most the target. Until then each round requests new seeds, each at one to three widths, in
the middle of the transition. For a logistic curve of scale s a trial at distance x from k50 (in log k)
has the information p (1 - p) / s^2 about it, which is largest at k50 itself. So a seed at one width
near k50 has nearly as much information as one at all widths of a wide grid (variance 4 s^2 against
3.3 s^2), for a small part of its trials. A third of the seeds is put at k50, the others at two scales
to either side: that costs 39% of the information and keeps the slope known, without which the interval
would not be reliable.

If widths nest and a seed costs more than its widths, each seed is requested at every width: at all
three it has twice the information, so half of the seeds suffice. Once the slope is known, two widths at
one scale from k50 have as much information as the three.

A round at most about doubles the information on a cell, since its interval is itself uncertain. Without
a curve, the transition is searched for: outwards by factors of two if the grid does not reach it, and
by halving the bracket if failures end where successes begin.

All of this is said of widths, and of a cell. Along another axis a line takes the place of the cell, and
numbers that of k, such that success rises with them (`lattice.Numbers`): where it falls with n, 1/n.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import xarray as xr
from scipy import special

from analysis.refinement.lines import Line
from analysis.transitions.curves import RISE
from analysis.transitions.disorder import fall_words
from analysis.transitions.scales import WIDTH

__all__ = ["LOCATED", "LOST", "OPEN", "LineData", "Plan", "plan_of", "precision"]

LOCATED, OPEN, LOST = "located", "open", "not locatable"
"""Verdicts on a cell."""

LEAST_SEEDS = 40
"""Trials at k50, or their equivalent, before an interval is trusted. With fewer it is too often narrow
by chance, and stopping at the first narrow interval would select these."""

CAUTION, MOST_DOUBT = 1.0, 4.0
"""Standard errors of log scale by which a curve is assumed to be flatter than fitted, and the largest
such factor: few seeds make curves too steep and intervals too narrow."""

ASIDE, ALONE, TOGETHER = 2.0, 0.61, 1.18
"""Distance of the outer widths from k50 in scales, and the information of a seed (1 for a trial at k50)
if it runs at one of three widths in turn, or at all of them. Closer widths would have more information
but leave the slope to chance, and the interval would cover too little."""

NEARER = 0.5
"""Factor on `ASIDE` once a nested cell has its `LEAST_SEEDS`; the middle width is then dropped. In
simulations (to 1%) a seed has 0.28 / s^2 of information in both cases, and at most 1/3 is possible."""

OVERLAP = 0.64
"""Share of the information of nested trials of one seed that the other trials do not have already."""

LEAST_AT_ENDS = 8
"""Trials at each end of a bracket before it is trusted: all are equal by chance once in 256 times."""

NARROW = 0.15
"""Relative (log) width of a bracket that may be all transition: the next seeds are spread over it. If
few seeds halved it further, it would close around a random width."""

BATCH = 4
"""Seeds of a step that searches for the transition."""

STEP, FARTHEST = 2.0, 64.0
"""Factor of a step outwards, and the largest factor beyond the widths of the cell's first seed."""

PATIENCE = 64
"""Seeds after which a cell is abandoned if success does not rise with width, nor surely fall."""

MOST_SEEDS = 10**6
"""The most seeds of a cell; a target that needs more is out of reach."""

COUNTS = ("counted", "successes")
"""Variables of an answer: trials with an outcome, and those of them that succeed."""


class Plan(NamedTuple):
    """The next seeds of a line, to be distributed over some values of its axis.

    Attributes
    ----------
    verdict
        `LOCATED`, `OPEN` or `LOST`.
    why
        The reason for `LOST`, for `LOCATED` without reaching the target, or for `OPEN` although the
        interval is as narrow as the target.
    needed
        Seeds that are expected to reach the target; a rough guess while there is no curve.
    seeds, values
        Number of new seeds, and their values: along the width in the unit of the store.
    together
        Each seed runs at all the values; otherwise at one of them in turn.
    """

    verdict: str
    why: str = ""
    needed: int = 0
    seeds: int = 0
    values: tuple[float, ...] = ()
    together: bool = False


def precision(low: float, high: float) -> float:
    """Return half the relative width of an interval; inf if an end is missing."""
    return math.sqrt(high / low) - 1 if 0 < low <= high < math.inf else math.inf


class LineData:
    """The answer of one line, and the counts at each of its numbers with a trial.

    Parameters
    ----------
    answer
        `critical_widths` and `success_counts` of the line, with the names of those along the width.
    line
        The line, whose axis may grow.
    together
        More widths of a seed cost little beside the seed.
    """

    def __init__(self, answer: xr.Dataset, line: Line, together: bool) -> None:
        counted, won = (answer[name].values[list(line.steps)] for name in COUNTS)
        order = np.argsort(line.numbers)
        order = order[counted[order] > 0]
        self.x, self.trials = line.numbers[order], counted[order]
        self.failures = self.trials - won[order]
        self.answer, self.line, self.together = answer, line, together
        self.grid = np.sort([line.lattice.numbers.number(value) for value in line.grid])
        ends = sorted(map(self._number, ("k50_low", "k50_high")))
        self.low, self.middle, self.high = ends[0], self._number("k50"), ends[1]
        self.outcome, self.seeds = str(answer.outcome.item()), int(answer.seeds)

    def _number(self, name: str) -> float:
        return self.line.lattice.numbers.number(float(self.answer[name]))

    @property
    def steepness(self) -> float:
        """Distance of 10% and 90% success in the logarithm of numbers."""
        return self.line.lattice.numbers.steepness(float(self.answer.transition_width))

    @property
    def symbol(self) -> str:
        """The letter of the values of the axis."""
        return "k" if self.line.axis == WIDTH else self.line.axis

    @property
    def upwards(self) -> bool:
        """True if a censored transition lies beyond the largest number; else below the least."""
        return math.inf in map(self._number, ("bracket_low", "bracket_high"))

    def near(self, log_x: float, reach: float) -> float:
        """Return a value of the axis whose number is close to a given one."""
        return self.line.lattice.near(math.exp(log_x), reach)

    def between(self, low: float, high: float) -> float | None:
        """Return a value of the axis in the middle between two numbers."""
        return self.line.lattice.between(low, high)

    def value(self, number: float) -> float:
        """Return the value of the axis of a number."""
        return self.line.lattice.known[number]

    def number(self, value: float) -> float:
        """Return the number of a value of the axis."""
        return self.line.lattice.number(value)

    def said(self, number: float) -> str:
        """Return a number as a reason tells it, such as `k = 40`."""
        return f"{self.symbol} = {self.line.lattice.numbers.value(number):g}"

    def ends(self) -> tuple[int, int]:
        """Return the indices of the last number where all fail and the first where all succeed."""
        won, lost = np.flatnonzero(self.failures < self.trials), np.flatnonzero(self.failures)
        return max(int(won[0]) - 1, 0), min(int(lost[-1]) + 1, len(self.x) - 1)

    def counted(self, value: float) -> int:
        """Return the number of trials with an outcome at a value of the axis."""
        return int(self.trials[self.x == self.number(value)].sum())

    def plan(self, values: tuple[float, ...], each: int, needed: int = 0, why: str = "") -> Plan:
        """Return the plan of a number of new trials at each value, for a line without a curve."""
        seeds = each if self.together else each * len(values)
        return Plan(OPEN, why, max(needed, seeds), seeds, values, self.together)


def plan_of(data: LineData, target: float) -> Plan:
    """Return the next trials of a cell, according to its outcome.

    Parameters
    ----------
    data
        The cell.
    target
        The precision to reach.
    """
    if data.outcome == "empty" and int(data.answer.pending):
        return Plan(OPEN, "its trials are pending")
    if data.outcome == "empty":
        return Plan(LOST, "no trial has an outcome")
    if data.outcome == "degenerate":
        return Plan(LOST, "a seed's alpha is 0 or lost to rounding, so success is undefined")
    failed = int(data.answer.failed)
    if failed > max(int(data.answer.trials), LEAST_AT_ENDS):
        return Plan(LOST, f"most of its trials fail ({failed})")
    ways = {"fitted": _narrow, "separated": _bisect, "censored": _outwards, "unordered": _scatter}
    return ways[data.outcome](data, target)


def _narrow(data: LineData, target: float) -> Plan:
    """Plan seeds around the middle of a curve; their number follows from the square of the interval."""
    now, span = precision(data.low, data.high), math.log(data.x[-1] / data.x[0])
    scale = min(data.steepness / RISE, span / 4)
    z = np.log(data.x / data.middle) / scale
    weight = data.trials * special.expit(z) * special.expit(-z)
    worth = 4 * float(weight.sum()) * (OVERLAP if data.together else 1)  # in trials at k50
    steepness = float((weight * z**2).sum())  # the information about log scale
    doubt = min(math.exp(CAUTION / math.sqrt(steepness)), MOST_DOUBT) if steepness else MOST_DOUBT
    if now * doubt <= target and worth >= LEAST_SEEDS:
        return Plan(LOCATED)
    half = now if now < math.inf else 4 * scale / math.sqrt(worth)
    expected = max(worth * (half * doubt / target) ** 2, LEAST_SEEDS)
    of_seed = TOGETHER if data.together else ALONE
    more = max(math.ceil((expected - worth) / of_seed), 1)
    if more > MOST_SEEDS:
        return Plan(LOST, f"would take about {more:.1g} more trials")
    # An interval with an open end reaches beyond the grid, and so do the next widths.
    aside = min(
        max(ASIDE * scale * doubt, math.log1p(now) / 2 if now < math.inf else 2 * scale), span / 2
    )
    known = data.together and worth >= LEAST_SEEDS
    steps = (-NEARER, NEARER) if known else (-1, 0, 1)
    near = (data.near(math.log(data.middle) + step * aside, aside / 2) for step in steps)
    values = tuple(dict.fromkeys(near))
    seeds = max(min(more, math.ceil(max(worth, LEAST_SEEDS) / of_seed)), math.ceil(worth / 4), BATCH)
    return Plan(OPEN, _doubts(now, doubt, worth, target), more, seeds, values, data.together)


def _doubts(now: float, doubt: float, worth: float, target: float) -> str:
    """Return why an interval as narrow as the target is not trusted; "" if it is wider."""
    if now > target:
        return ""
    if worth < LEAST_SEEDS:
        return (
            f"the interval is narrow enough, but its trials are worth only {worth:.0f} at k50; "
            f"{LEAST_SEEDS} are needed before it is trusted"
        )
    return (
        f"the interval is narrow enough, but the slope is so uncertain that it may be {now * doubt:.2%}"
    )


def _bisect(data: LineData, target: float) -> Plan:
    """Plan seeds between the last failure and the first success."""
    first, last = data.ends()
    now, gap = precision(data.low, data.high), math.log(data.x[last] / data.x[first])
    widths, each = _inside(data, first, last, gap) if now > target else ((), 0)
    if widths:
        steps = max(0, math.ceil(math.log2(gap / NARROW)))
        more = BATCH * steps + 3 * LEAST_AT_ENDS + LEAST_SEEDS
        return data.plan(widths, each, more)
    few = [float(data.x[i]) for i in (first, last) if data.trials[i] < LEAST_AT_ENDS]
    if few:  # the bracket cannot shrink: check that its ends are not equal by chance
        each = LEAST_AT_ENDS - int(data.trials[[first, last]].min())
        why = f"an end of its bracket has fewer than {LEAST_AT_ENDS} trials" if now <= target else ""
        return data.plan(tuple(data.value(x) for x in few), each, why=why)
    mixed = [i for i in range(first + 1, last) if data.trials[i] < LEAST_SEEDS]
    if now > target and mixed:  # no whole widths in between, and one of them is in the transition
        inside = tuple(data.value(float(x)) for x in data.x[first : last + 1])
        return data.plan(inside, LEAST_AT_ENDS, LEAST_SEEDS)
    return Plan(LOCATED, "" if now <= target else f"as closely as {_kind(data.line)} allow")


def _kind(line: Line) -> str:
    """Return what bounds how closely a line can be located."""
    if line.axis == WIDTH:
        return "whole widths"
    return f"whole {line.axis}" if line.grows else f"the values of {line.axis}"


def _inside(data: LineData, first: int, last: int, gap: float) -> tuple[tuple[float, ...], int]:
    """Return widths within a bracket, and the number of seeds for each."""
    if gap > NARROW:
        gaps = zip(data.x[first:last], data.x[first + 1 : last + 1], strict=True)
        middles = [width for ends in gaps for width in _middles(data, *ends)]
        return tuple(middles), BATCH
    near = (data.near(math.log(data.x[first]) + gap * part / 4, gap / 16) for part in (1, 2, 3))
    low, high = float(data.x[first]), float(data.x[last])
    inside = [value for value in dict.fromkeys(near) if low < data.number(value) < high]
    fresh = [value for value in inside if data.counted(value) < LEAST_AT_ENDS]
    middle = data.between(low, high)
    if not fresh and middle is not None and data.counted(middle) < LEAST_AT_ENDS:
        fresh = [middle]
    return tuple(fresh), LEAST_AT_ENDS


def _middles(data: LineData, low: float, high: float) -> list[float]:
    """Return the middle of a gap, and those of its halves if more widths of a seed cost little."""
    found = [data.between(low, high)]
    if data.together and found[0] is not None:
        x = data.number(found[0])
        found = [data.between(low, x), *found, data.between(x, high)]
    return [width for width in found if width is not None]


def _outwards(data: LineData, target: float) -> Plan:
    """Plan a number beyond the grid, which does not reach the transition, by a factor each time."""
    upwards, end = data.upwards, -1 if data.upwards else 0
    edge = float(data.x[end])
    mixed = 0 < data.failures[end] < data.trials[end]
    bound = FARTHEST * data.grid[-1] if upwards else data.grid[0] / FARTHEST
    reason = f"{'most fail' if upwards else 'most succeed'} even at {data.said(edge)}"
    for step in (STEP**0.25, STEP) if mixed else (STEP,):
        beyond = edge * step if upwards else edge / step
        if (beyond > bound if upwards else beyond < bound) or not data.line.fits(beyond):
            break
        value = data.near(math.log(beyond), math.log(step) / 4)
        # small whole widths may have none a short step away
        if data.number(value) > edge if upwards else data.number(value) < edge:
            return data.plan((value,), BATCH, 4 * BATCH + LEAST_SEEDS)
    return Plan(LOST, reason)


def _scatter(data: LineData, target: float) -> Plan:
    """Give up where success surely falls; plan seeds all over the grid where it may be by chance."""
    falling = data.line.lattice.numbers.scale.falling
    if fall := fall_words(data.answer, data.line.axis, data.symbol, falling):
        return Plan(LOST, fall)
    if data.seeds >= PATIENCE:
        return Plan(LOST, f"success does not {'fall' if falling else 'rise'} with {data.line.axis}")
    chosen = data.x[np.unique(np.linspace(0, len(data.x) - 1, 6).round().astype(int))]
    values = [data.value(float(x)) for x in chosen]
    if len(chosen) == 1:
        values += [data.near(math.log(chosen[0] * factor), 0.2) for factor in (1 / STEP, STEP)]
    values = list(dict.fromkeys(values))
    each = (
        max(2, data.seeds // 2) if data.together else 2
    )  # so that `PATIENCE` is reached in a few rounds
    return data.plan(tuple(values), each, 2 * len(values) + LEAST_SEEDS)
