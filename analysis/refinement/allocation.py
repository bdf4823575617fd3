"""Where the next trials tell most: from a store to what to run in its next round of refinement.

A cell is *located* when half the relative width of the 95% interval of k50, sqrt(k50_high / k50_low)
- 1, is at most the target. Until then each round asks for new seeds, each at one to three widths, in
the middle of the transition. For a logistic curve of scale s a trial at distance x from k50 (in log k)
has the information p (1 - p) / s^2 about it: most at k50 itself. So a seed at one width near k50 tells
nearly as much as one at all widths of a wide grid (variance 4 s^2 against 3.3 s^2), for a small part of
its trials. A third of the seeds is put at k50, the others at two scales to either side: that costs 39%
of the information, and keeps the slope known, without which the interval could not be believed.

Where widths nest and a seed costs more than its widths, each seed is asked for at every width in
question: at all three it has twice the information, and half of the seeds do. Once the slope is known,
two widths at one scale from k50 tell as much of it as the three.

Rounds about double what is known of a cell at most, since its interval is itself uncertain. Where there
is no curve yet the transition is looked for: outwards by factors of two where the grid does not reach
it, and halving the bracket where failures end and successes begin.

All of it depends on the outcomes alone, so an interrupted refinement goes on as if it had not been.
New widths are points of one dyadic lattice in log width, and new seeds the least that a cell has not
used: so that refined stores merge.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, islice
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from scipy import special

from analysis.refinement.lattice import Widths
from analysis.success import Success
from analysis.transitions import critical_widths, success_counts
from analysis.transitions.curves import RISE
from pipeline.errors import InputError
from pipeline.sweep import Cell, Request, Sweep
from pipeline.trial_status import UNREQUESTED

__all__ = ["LOCATED", "LOST", "OPEN", "Allocation", "State", "allocate"]

LOCATED, OPEN, LOST = "located", "open", "not locatable"

LEAST_SEEDS = 40
"""Trials at k50, or their worth, before an interval is believed: of fewer it is narrow by chance too
often, and to stop at the first narrow one would choose those."""

CAUTION, MOST_DOUBT = 1.0, 4.0
"""Standard errors of the scale (its logarithm) by which a curve is taken to be less steep than it is
fitted, and the most that this comes to: few seeds make curves too steep, and intervals too narrow."""

ASIDE, ALONE, TOGETHER = 2.0, 0.61, 1.18
"""Scales to either side of k50 at which the next seeds are put, and the information of a seed (1 for a
trial at k50): at one of three widths in turn, and at all of them where they nest. Closer ones would
have more of it, and leave the slope to chance: the interval then covers too little."""

NEARER = 0.5
"""What is left of `ASIDE` once a nested cell has its `LEAST_SEEDS`; the middle is then left out.
Simulated, to 1%, a seed has 0.28 / s^2 of information either way, and 1/3 is all that it can have."""

OVERLAP = 0.64
"""Of the information of nested trials of one seed, what is not told by the others already."""

LEAST_AT_ENDS = 8
"""Trials at either end of a bracket before it is believed: all alike by chance once in 256 times."""

NARROW = 0.15
"""Relative (log) width of a bracket that may well be all transition: the next seeds are spread over it.
Halved further by few seeds, it would close around a place that chance has chosen."""

BATCH = 4
"""Seeds of a step that looks for the transition."""

STEP, FARTHEST = 2.0, 64.0
"""Factor by which the widths of a cell grow outwards, and the most beyond those of its first seed."""

MOST_FEATURES = 2**27
"""k n of the widest width that is tried: a gigabyte of features."""

PATIENCE = 64
"""Seeds after which a cell in which success does not rise with width is given up."""

MOST_SEEDS = 10**6
"""Of a cell; a target that needs more is out of reach."""


@dataclass(frozen=True)
class State:
    """How well one cell is located, and what that would still take.

    Attributes
    ----------
    cell
        Its place on the leading axes of the store.
    at
        Its coordinates, by dimension; with tolerance and budget where it has them.
    outcome, k50, k50_low, k50_high
        As `critical_widths` has them.
    now
        Half the relative width of the interval; inf where there is none.
    seeds
        Seeds with an outcome.
    verdict
        `LOCATED`, `OPEN` or `LOST`.
    why
        Of a cell that is not locatable, or located though its interval is wider than the target.
    needed, each
        Seeds that are expected to bring it to the target, and trials of each.
    grid
        k at the widths of its first seed: its grid before it was refined.
    at_least
        Whether there is no curve yet to expect that by, so that it may be more.
    """

    cell: tuple[int, ...]
    at: Mapping[str, Any]
    outcome: str
    k50: float
    k50_low: float
    k50_high: float
    now: float
    seeds: int
    grid: tuple[int, ...]
    verdict: str
    why: str = ""
    needed: int = 0
    each: int = 1
    at_least: bool = False


@dataclass(frozen=True)
class Allocation:
    """The state of every cell, and what the next round asks for; nothing where none is open."""

    states: tuple[State, ...]
    requests: tuple[Request, ...]

    @property
    def trials(self) -> int:
        """Trials that the next round asks for."""
        return sum(len(request.seeds) for request in self.requests)


class _Plan(NamedTuple):
    """What is to be done about a cell: so many seeds, dealt out to these widths."""

    verdict: str
    why: str = ""
    needed: int = 0
    at_least: bool = False
    seeds: int = 0
    widths: tuple[float, ...] = ()
    together: bool = False


def allocate(
    ds: xr.Dataset,
    sweep: Sweep,
    target: float,
    *,
    limit: int | None = None,
    resamples: int = 1000,
    success: Success = Success(),  # noqa: B008 (frozen)
) -> Allocation:
    """Say how well every cell is located, and which trials to run next.

    Parameters
    ----------
    ds
        An opened store without pending trials; what is pending is taken for not there.
    sweep
        Its sweep, on its axes.
    target
        Half the relative width that the interval of k50 may have, such as 0.02.
    limit
        The most trials that the round may ask for.
    resamples
        For the intervals.
    success
        The success of a trial. With several tolerances or budgets a cell goes on until it is
        located at all of them.

    Returns
    -------
    Allocation

    Raises
    ------
    InputError
        For a target out of range, or where the store holds nothing to judge by.
    """
    if not 0 < target < 1:
        raise InputError(f"target: got {target:g}; expected between 0 and 1, such as 0.02 for 2%")
    if success.condition is None:
        ds = ds.drop_vars("kernel_eigenvalues", errors="ignore")  # no prediction is needed
    found = critical_widths(ds, resamples=resamples, success=success)
    found = found.merge(success_counts(ds, success=success).rename(trials="counted"))
    asked = (~ds.status.isin(UNREQUESTED)).transpose(*sweep.dims).values
    widths = Widths(sweep)
    # Where a seed's time is kept as a whole, more widths of it cost little beside it.
    together = sweep.nested and "seconds" in ds and "width" not in ds.seconds.dims
    states, plans = [], []
    for cell in sweep.cells():
        at = dict(zip(sweep.axes, cell.index, strict=True))
        of_first = asked[cell.index][:, np.argmax(asked[cell.index].any(axis=0))]
        grid = tuple(np.array(cell.widths)[of_first].tolist())
        looks = [
            _Look(found.isel(at | place), cell, grid, widths, together)
            for place in _further(found, sweep)
        ]
        wanted = [_plan(look, target) for look in looks]
        states += [_state(look, plan) for look, plan in zip(looks, wanted, strict=True)]
        plans.append((cell.index, wanted))
    requests = _requests(plans, asked, sweep.seeds)
    return Allocation(tuple(states), tuple(_limited(requests, limit)))


def _further(found: xr.Dataset, sweep: Sweep) -> Iterator[dict[str, int]]:
    """Places along the dims of the answer that are no axes of the store: tolerance, budget."""
    dims = [str(dim) for dim in found.k50.dims if dim not in sweep.axes]
    for place in np.ndindex(*(found.sizes[dim] for dim in dims)):
        yield dict(zip(dims, place, strict=True))


def _state(look: _Look, plan: _Plan) -> State:
    coords = look.answer.coords.items()
    at = {str(name): value.item() for name, value in coords if value.ndim == 0}
    known = (look.outcome, look.k50, look.low, look.high, _precision(look.low, look.high), look.seeds)
    each = len(plan.widths) if plan.together else 1
    told = (plan.verdict, plan.why, plan.needed, each, plan.at_least)
    return State(look.cell.index, at, *known, look.grid, *told)


def _precision(low: float, high: float) -> float:
    """Half the relative width of an interval, inf where there is none."""
    return math.sqrt(high / low) - 1 if 0 < low <= high < math.inf else math.inf


# ---- one cell


class _Look:
    """What is known of one cell: its answer, and the counts at each of its widths that has any."""

    def __init__(
        self,
        answer: xr.Dataset,
        cell: Cell,
        grid: tuple[int, ...],
        widths: Widths,
        together: bool,
    ) -> None:
        counted = answer.counted.values
        there = counted > 0
        self.k, self.trials = np.array(cell.widths)[there], counted[there]
        self.failures = self.trials - answer.successes.values[there]
        self.answer, self.cell, self.grid, self._widths = answer, cell, grid, widths
        self.low, self.k50, self.high = (float(answer[f"k50{end}"]) for end in ("_low", "", "_high"))
        self.together = together
        self.outcome, self.seeds = str(answer.outcome.item()), int(answer.seeds)

    def near(self, log_k: float, reach: float) -> float | None:
        """A width close to the one that is wanted, in the unit of the store."""
        return self._widths.near(self.cell.d, self.cell.n, math.exp(log_k), reach)

    def between(self, low: float, high: float) -> float | None:
        """A width in the middle between two."""
        return self._widths.between(self.cell.d, self.cell.n, low, high)

    def value(self, k: int) -> float:
        """The width that gives k, in the unit of the store."""
        return self._widths.value(self.cell.d, self.cell.n, k)

    def ends(self) -> tuple[int, int]:
        """The last width at which all trials fail, and the first at which all succeed: their places."""
        won, lost = np.flatnonzero(self.failures < self.trials), np.flatnonzero(self.failures)
        return max(int(won[0]) - 1, 0), min(int(lost[-1]) + 1, len(self.k) - 1)

    def counted(self, width: float) -> int:
        """Trials with an outcome at a width."""
        return int(self.trials[self.k == self.gives(width)].sum())

    def gives(self, width: float) -> int:
        """The k that a width gives."""
        return self._widths.k(self.cell.d, self.cell.n, width)

    def plan(self, widths: tuple[float, ...], each: int, needed: int = 0) -> _Plan:
        """So many new trials at each of these widths, where there is no curve to expect more by.

        Nested, each seed runs at all of them; else each has its own.
        """
        seeds = each if self.together else each * len(widths)
        return _Plan(OPEN, "", max(needed, seeds), True, seeds, widths, self.together)


def _plan(look: _Look, target: float) -> _Plan:
    """What is to be done about a cell, by how its transition was met with."""
    if look.outcome == "empty" and int(look.answer.pending):
        return _Plan(OPEN, "its trials are pending", 0, True)
    if look.outcome == "empty":
        return _Plan(LOST, "no trial has an outcome")
    if look.outcome == "degenerate":
        return _Plan(LOST, "a seed's alpha is 0, and success against it has no meaning")
    failed = int(look.answer.failed)
    if failed > max(int(look.answer.trials), LEAST_AT_ENDS):
        return _Plan(LOST, f"most of its trials fail ({failed})")
    ways = {"fitted": _narrow, "separated": _bisect, "censored": _outwards, "unordered": _scatter}
    return ways[look.outcome](look, target)


def _narrow(look: _Look, target: float) -> _Plan:
    """A curve is there: new seeds around its middle, as many as the interval's square asks for."""
    now, span = _precision(look.low, look.high), math.log(look.k[-1] / look.k[0])
    scale = min(math.log(float(look.answer.transition_width)) / RISE, span / 4)
    z = np.log(look.k / look.k50) / scale
    weight = look.trials * special.expit(z) * special.expit(-z)
    worth = 4 * float(weight.sum()) * (OVERLAP if look.together else 1)  # in trials at k50 itself
    steepness = float((weight * z**2).sum())  # the information about log scale
    doubt = min(math.exp(CAUTION / math.sqrt(steepness)), MOST_DOUBT) if steepness else MOST_DOUBT
    if now * doubt <= target and worth >= LEAST_SEEDS:
        return _Plan(LOCATED)
    half = now if now < math.inf else 4 * scale / math.sqrt(worth)
    expected = max(worth * (half * doubt / target) ** 2, LEAST_SEEDS)
    of_seed = TOGETHER if look.together else ALONE
    more = max(math.ceil((expected - worth) / of_seed), 1)
    if more > MOST_SEEDS:
        return _Plan(LOST, f"would take about {more:.1g} trials more")
    # An open end is an interval that reaches beyond the grid: so do the next widths.
    aside = min(
        max(ASIDE * scale * doubt, math.log1p(now) / 2 if now < math.inf else 2 * scale), span / 2
    )
    known = look.together and worth >= LEAST_SEEDS
    steps = (-NEARER, NEARER) if known else (-1, 0, 1)
    wanted = [look.near(math.log(look.k50) + step * aside, aside / 2) for step in steps]
    widths = tuple(dict.fromkeys(width for width in wanted if width is not None))
    seeds = max(min(more, math.ceil(max(worth, LEAST_SEEDS) / of_seed)), math.ceil(worth / 4), BATCH)
    return _Plan(OPEN, "", more, now == math.inf, seeds, widths, look.together)


def _bisect(look: _Look, target: float) -> _Plan:
    """Failures end where successes begin: look between the last and the first."""
    first, last = look.ends()
    now, gap = _precision(look.low, look.high), math.log(look.k[last] / look.k[first])
    widths, each = _inside(look, first, last, gap) if now > target else ((), 0)
    if widths:
        steps = max(0, math.ceil(math.log2(gap / NARROW)))
        more = BATCH * steps + 3 * LEAST_AT_ENDS + LEAST_SEEDS
        return look.plan(widths, each, more)
    few = [int(look.k[i]) for i in (first, last) if look.trials[i] < LEAST_AT_ENDS]
    if few:  # as close as it gets: are they all alike by chance?
        each = LEAST_AT_ENDS - int(look.trials[[first, last]].min())
        return look.plan(tuple(look.value(k) for k in few), each)
    mixed = [int(look.k[i]) for i in range(first + 1, last) if look.trials[i] < LEAST_SEEDS]
    if now > target and mixed:  # whole widths leave no room, and one of them is in the transition
        inside = tuple(look.value(int(k)) for k in look.k[first : last + 1])
        return look.plan(inside, LEAST_AT_ENDS, LEAST_SEEDS)
    return _Plan(LOCATED, "" if now <= target else "as closely as whole widths allow")


def _inside(look: _Look, first: int, last: int, gap: float) -> tuple[tuple[float, ...], int]:
    """Widths within a bracket, and seeds for each of them."""
    if gap > NARROW:
        gaps = zip(look.k[first:last], look.k[first + 1 : last + 1], strict=True)
        middles = [width for ends in gaps for width in _middles(look, *ends)]
        return tuple(middles), BATCH
    places = [look.near(math.log(look.k[first]) + gap * part / 4, gap / 16) for part in (1, 2, 3)]
    new = [width for width in places if width is not None]
    inside = [width for width in dict.fromkeys(new) if look.k[first] < look.gives(width) < look.k[last]]
    fresh = [width for width in inside if look.counted(width) < LEAST_AT_ENDS]
    middle = look.between(float(look.k[first]), float(look.k[last]))
    if not fresh and middle is not None and look.counted(middle) < LEAST_AT_ENDS:
        fresh = [middle]
    return tuple(fresh), LEAST_AT_ENDS


def _middles(look: _Look, low: int, high: int) -> list[float]:
    """The middle of a gap, and of its halves where a seed that is asked for costs more than widths."""
    found = [look.between(low, high)]
    if look.together and found[0] is not None:
        k = look.gives(found[0])
        found = [look.between(low, k), *found, look.between(k, high)]
    return [width for width in found if width is not None]


def _outwards(look: _Look, target: float) -> _Plan:
    """The grid does not reach the transition: go on beyond it, by a factor each time."""
    upwards = math.isinf(float(look.answer.bracket_high))
    edge = int(look.k[-1] if upwards else look.k[0])
    place = -1 if upwards else 0
    mixed = 0 < look.failures[place] < look.trials[place]
    step = STEP ** (0.25 if mixed else 1.0)
    beyond = edge * step if upwards else edge / step
    bound = FARTHEST * look.grid[-1] if upwards else look.grid[0] / FARTHEST
    told = f"{'most fail' if upwards else 'most succeed'} even at k = {edge}"
    if (beyond > bound or beyond * look.cell.n > MOST_FEATURES) if upwards else beyond < bound:
        return _Plan(LOST, told)
    width = look.near(math.log(beyond), math.log(step) / 4)
    if width is None or (look.gives(width) > edge) != upwards:
        return _Plan(LOST, told)
    return look.plan((width,), BATCH, 4 * BATCH + LEAST_SEEDS)


def _scatter(look: _Look, target: float) -> _Plan:
    """Success does not rise with width: by chance, where seeds are few."""
    if look.seeds >= PATIENCE:
        return _Plan(LOST, "success does not rise with width")
    chosen = look.k[np.unique(np.linspace(0, len(look.k) - 1, 6).round().astype(int))]
    widths = [look.value(int(k)) for k in chosen]
    if len(chosen) == 1:
        aside = (look.near(math.log(chosen[0] * factor), 0.2) for factor in (1 / STEP, STEP))
        widths += [width for width in aside if width is not None]
    widths = list(dict.fromkeys(widths))
    each = max(2, look.seeds // 2) if look.together else 2  # so that patience ends in a few rounds
    return look.plan(tuple(widths), each, 2 * len(widths) + LEAST_SEEDS)


# ---- what is asked for


def _requests(
    plans: Sequence[tuple[tuple[int, ...], list[_Plan]]], asked: Any, seeds: Sequence[int]
) -> Iterator[Request]:
    """Deal the new seeds of every cell out to its widths, the same seeds for all its tolerances."""
    for index, wanted in plans:
        used = {seeds[place] for place in np.flatnonzero(asked[index].any(axis=0)).tolist()}
        new = list(islice((s for s in count() if s not in used), max(plan.seeds for plan in wanted)))
        trials = dict.fromkeys(
            (width, seed)
            for plan in wanted
            for place, seed in enumerate(new[: plan.seeds])
            for width in _dealt(plan, place)
        )
        for width in sorted({width for width, _ in trials}):
            yield Request(index, width, tuple(seed for at, seed in trials if at == width))


def _dealt(plan: _Plan, place: int) -> tuple[float, ...]:
    """The widths of the place-th new seed."""
    if plan.together or not plan.widths:
        return plan.widths
    return (plan.widths[place % len(plan.widths)],)


def _limited(requests: Iterator[Request], limit: int | None) -> Iterator[Request]:
    """As many of the trials asked for as may be run."""
    left = math.inf if limit is None else max(0, limit)
    for request in requests:
        kept = request.seeds[: int(min(left, len(request.seeds)))]
        left -= len(kept)
        if kept:
            yield Request(request.cell, request.width, kept)
