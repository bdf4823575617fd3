"""Allocation on simulated outcomes whose truth is known: a simulator answers in place of trials."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.refinement.allocation import LOCATED, LOST, OPEN, allocate
from analysis.refinement.lattice import Widths
from pipeline.maintenance.plan import widened
from pipeline.sweep import Request, Sweep
from pipeline.sweep_files.load import parse_sweep
from pipeline.trial_status import Status

COARSE = "[1.1, 1.4, 1.8, 2.3, 3.0, 4.0]"


def a_sweep(d: str = "[5]", n: str = "[1000]", widths: str = COARSE, **more: object) -> Sweep:
    keys = {"seeds": 4, "nested": "true"} | more
    return parse_sweep(
        'name = "simulated"\nexperiment = "conditioning"\ndataset = { kind = "sphere" }\n'
        f"d = {d}\nn = {n}\nwidth = {{ k_per_n = {widths} }}\n"
        + "".join(f"{key} = {value}\n" for key, value in keys.items())
    )


class Simulator:
    """A store in memory: a trial succeeds by a logistic law in log k around `truth` * n.

    With nested widths a seed has one threshold for all of them, else one for each.
    """

    def __init__(
        self,
        sweep: Sweep,
        truth: float,
        scale: float,
        *,
        alone: bool = False,
        size: int = 600,
        key: int = 0,
    ) -> None:
        self.sweep, self.truth, self.scale, self.alone = sweep, truth, scale, alone
        self.asked = {
            (*c.index, width, seed)
            for c in sweep.cells()
            for width in sweep.width
            for seed in sweep.seeds
        }
        cells = (len(sweep.d), len(sweep.n))
        self._noise = np.random.default_rng(key).logistic(size=(*cells, size))
        self._key = key

    def _threshold(self, place: tuple[int, int], width: float, seed: int) -> float:
        noise = self._noise[*place, seed]
        if not self.sweep.nested:
            noise = np.random.default_rng([self._key, *place, seed, round(1e9 * width)]).logistic()
        return math.log(self.truth * self.sweep.n[place[1]]) + self.scale * noise

    def dataset(self) -> xr.Dataset:
        sweep = self.sweep
        status = np.full(sweep.shape, Status.NOT_REQUESTED, dtype=np.int8)
        ratio = np.full(sweep.shape, np.nan)
        rows = {width: row for row, width in enumerate(sweep.width)}
        columns = {seed: column for column, seed in enumerate(sweep.seeds)}
        k = np.array([sweep.k(sweep.d[0], n) for n in sweep.n])
        for *place, width, seed in self.asked:
            at = (*place, rows[width], columns[seed])
            won = math.log(k[place[1], at[2]]) >= self._threshold((place[0], place[1]), width, seed)
            status[at], ratio[at] = Status.DONE, 1.0 if won else 0.1
        return xr.Dataset(
            {
                "status": (sweep.dims, status),
                "sigma_min": (sweep.dims, ratio * np.sqrt(k)[:, :, None]),
                "alpha": (("d", "n", "seed"), np.ones((*sweep.shape[:2], sweep.shape[-1]))),
                # As of features, of which all widths of a seed are one pass; else of descent.
                "seconds": (sweep.dims, ratio) if self.alone else (sweep.dims[:2], ratio[:, :, 0, 0]),
            },
            {
                "d": list(sweep.d),
                "n": list(sweep.n),
                "width": list(sweep.width),
                "seed": list(sweep.seeds),
                "k": (("n", "width"), k),
            },
            {"nested": int(sweep.nested), "experiment": "conditioning"},
        )

    def answer(self, requests: tuple[Request, ...]) -> None:
        seeds = {seed for one in requests for seed in one.seeds}
        self.sweep = widened(self.sweep, width={one.width for one in requests}, seeds=seeds)
        self.asked |= {(*one.cell, one.width, seed) for one in requests for seed in one.seeds}

    def refine(self, target: float, rounds: int = 60, **more: int):
        for _ in range(rounds):
            allocation = allocate(self.dataset(), self.sweep, target, **more)
            if not allocation.requests:
                return allocation
            self.answer(allocation.requests)
        raise AssertionError("it does not come to an end")


@pytest.mark.parametrize(
    ("truth", "scale"),
    [(2.05, 0.03), (2.05, 0.004), (1.12, 0.05), (3.9, 0.05), (9.3, 0.05), (0.3, 0.02)],
)
def test_a_transition_is_found_inside_the_grid_at_its_ends_and_beyond_them(truth, scale) -> None:
    simulator = Simulator(a_sweep(), truth, scale)
    state = simulator.refine(0.02, resamples=400).states[0]
    assert state.verdict == LOCATED
    assert state.now <= 0.02
    assert state.k50 == pytest.approx(1000 * truth, rel=0.04)
    assert len(simulator.asked) < 700  # 24 widths of a uniform grid take 1900 where the scale is 0.05


@pytest.mark.parametrize(
    ("seeds", "reason"),
    [(12, "40 are needed before it is trusted"), (60, "the slope is so uncertain that it may be")],
)
def test_an_open_cell_with_a_narrow_interval_says_why_it_is_open(seeds, reason) -> None:
    grid = "[1.6, 1.8, 1.9, 2.0, 2.1, 2.2, 2.5]"
    simulator = Simulator(a_sweep(seeds=seeds, widths=grid), 2.0, 0.05)

    def state(target: float):
        return allocate(simulator.dataset(), simulator.sweep, target, resamples=200).states[0]

    wide = state(0.001)
    assert (wide.verdict, wide.why) == (OPEN, "")  # its width shows that it is open
    narrow = state(1.02 * wide.now)
    assert narrow.verdict == OPEN
    assert reason in narrow.why
    assert state(0.9).verdict == LOCATED or "40 are needed" in state(0.9).why


def covered(simulator: Simulator, target: float) -> tuple[float, float, float]:
    """Share of intervals with the truth, mean error of log k50, and its standard error."""
    states = simulator.refine(target, resamples=300).states
    assert {state.verdict for state in states} == {LOCATED}
    truth = simulator.truth * 1000
    inside = [state.k50_low <= truth <= state.k50_high for state in states]
    errors = np.log([state.k50 / truth for state in states])
    return float(np.mean(inside)), float(errors.mean()), float(errors.std() / math.sqrt(len(states)))


@pytest.mark.simulation
@pytest.mark.parametrize(("nested", "alone"), [("true", False), ("false", True)])
def test_final_intervals_cover_and_widths_are_unbiased(nested, alone) -> None:
    cells = f"[{', '.join(map(str, range(1, 101)))}]"  # cells that differ in nothing but chance
    simulator = Simulator(a_sweep(d=cells, nested=nested), 2.03, 0.03, alone=alone)
    share, bias, error = covered(simulator, 0.03)
    # Of 900 cells of features: 95.1% to 2%, 93.9% to 1%, 94.1% to 0.5%; of 300 to 2%: 93.3% of nested
    # descents, 94.7% of independent widths.
    assert 0.89 <= share <= 0.99
    assert abs(bias) < 3 * error


def test_new_seeds_of_descent_are_asked_for_once_each_and_near_the_middle() -> None:
    simulator = Simulator(a_sweep(seeds=30), 2.0, 0.08, alone=True)
    first = allocate(simulator.dataset(), simulator.sweep, 0.01)
    seeds = [seed for one in first.requests for seed in one.seeds]
    assert sorted(seeds) == list(range(30, 30 + first.trials))
    assert all(abs(math.log(one.width / 2.0)) < 4 * 0.08 for one in first.requests)
    assert first.trials <= 100  # what about doubles the information that is there
    assert first.states[0].needed >= first.trials


def test_new_seeds_of_features_are_asked_for_at_all_three_widths() -> None:
    simulator = Simulator(a_sweep(seeds=30), 2.0, 0.08)
    first = allocate(simulator.dataset(), simulator.sweep, 0.01)
    assert len(first.requests) == 3
    assert len({one.seeds for one in first.requests}) == 1
    alone = Simulator(a_sweep(seeds=30), 2.0, 0.08, alone=True)
    assert first.states[0].needed < allocate(alone.dataset(), alone.sweep, 0.01).states[0].needed


def test_features_whose_slope_is_known_are_asked_for_at_the_two_nearer_widths() -> None:
    simulator = Simulator(a_sweep(seeds=60), 2.0, 0.08)
    first = allocate(simulator.dataset(), simulator.sweep, 0.01)
    low, high = sorted(one.width for one in first.requests)
    assert first.requests[0].seeds == first.requests[1].seeds
    assert (low, high) == (1.8, 2.3)  # near enough, and there


@pytest.mark.parametrize("widths", [COARSE, "[1.1, 4.0]", "[2.5, 4.0]"])
def test_features_without_a_curve_are_looked_for_by_seeds_at_all_widths_in_question(widths) -> None:
    nested = Simulator(a_sweep(widths=widths), 2.0, 0.01)
    first = allocate(nested.dataset(), nested.sweep, 0.02).requests
    assert len({one.seeds for one in first}) == 1
    alone = Simulator(a_sweep(widths=widths), 2.0, 0.01, alone=True)
    second = allocate(alone.dataset(), alone.sweep, 0.02).requests
    seeds = [seed for one in second for seed in one.seeds]
    assert len(seeds) == len(set(seeds))


def test_each_cell_uses_the_least_seeds_that_it_has_not() -> None:
    simulator = Simulator(a_sweep(n="[500, 1000]", seeds="[0, 2, 7]"), 2.0, 0.05)
    requests = allocate(simulator.dataset(), simulator.sweep, 0.02).requests
    for index in {one.cell for one in requests}:
        seeds = sorted({seed for one in requests if one.cell == index for seed in one.seeds})
        assert seeds == [seed for seed in range(30) if seed not in (0, 2, 7)][: len(seeds)]


def test_one_seed_is_enough_to_begin_with() -> None:
    simulator = Simulator(a_sweep(seeds=1), 2.0, 0.03)
    assert simulator.refine(0.03, resamples=300).states[0].verdict == LOCATED


def test_a_limit_of_trials_is_kept_and_going_on_changes_nothing_before_it() -> None:
    simulator = Simulator(a_sweep(), 2.0, 0.03)
    whole = allocate(simulator.dataset(), simulator.sweep, 0.02)
    part = allocate(simulator.dataset(), simulator.sweep, 0.02, limit=3)
    assert part.trials == 3
    assert part.requests[0].seeds == whole.requests[0].seeds[:3]
    none = allocate(simulator.dataset(), simulator.sweep, 0.02, limit=0)
    assert (none.trials, none.states[0].verdict) == (0, OPEN)


def test_a_decision_depends_on_the_outcomes_alone() -> None:
    simulator = Simulator(a_sweep(), 2.0, 0.03)
    simulator.refine(0.05, resamples=300)
    again = Simulator(a_sweep(), 2.0, 0.03)
    again.answer(())
    again.asked, again.sweep = set(simulator.asked), simulator.sweep
    one, two = (allocate(s.dataset(), s.sweep, 0.01) for s in (simulator, again))
    assert one == two


@pytest.mark.parametrize(
    ("truth", "said"), [(1e9, "most fail even at k ="), (1e-9, "most succeed even")]
)
def test_a_transition_that_is_nowhere_is_given_up(truth, said) -> None:
    simulator = Simulator(a_sweep(n="[100]"), truth, 0.03)
    state = simulator.refine(0.02, resamples=300).states[0]
    assert (state.verdict, state.outcome) == (LOST, "censored")
    assert state.why.startswith(said)
    k = simulator.sweep.k(5, 100)
    assert 4 * 100 * 16 < k[-1] <= 64 * 400 if truth > 1 else k[0] <= 4


@pytest.mark.parametrize("key", range(4))
def test_small_even_widths_are_left_downwards_in_few_rounds(key) -> None:
    """Half of the trials succeed at k = 6, and no even width is a quarter of an octave below it."""
    sweep = replace(a_sweep(n="[4]", widths="[1.5, 2.0, 3.0, 4.5]"), even=True)
    simulator = Simulator(sweep, 1.48, 0.15, alone=True, key=key)
    assert simulator.refine(0.3, rounds=12, resamples=300).states[0].verdict == LOCATED
    assert min(simulator.sweep.k(5, 4)) == 4


def test_one_cell_without_a_transition_does_not_hold_up_the_others() -> None:
    simulator = Simulator(a_sweep(d="[5, 6]", n="[100]"), 2.0, 0.05)
    ds = simulator.dataset

    def hopeless() -> xr.Dataset:
        found = ds()
        return found.assign(alpha=found.alpha.where(found.d == 5, 0.0))

    simulator.dataset = hopeless  # type: ignore[method-assign]
    states = simulator.refine(0.04, resamples=300).states
    assert [state.verdict for state in states] == [LOCATED, LOST]
    assert "alpha is 0" in states[1].why


def test_a_cell_without_outcomes_is_not_locatable() -> None:
    simulator = Simulator(a_sweep(), 2.0, 0.03)
    ds = simulator.dataset()
    ds["status"] = ds.status * 0 + Status.FAILED
    state = allocate(ds, simulator.sweep, 0.02).states[0]
    assert (state.verdict, state.outcome) == (LOST, "empty")


def having(simulator: Simulator, change: Callable[[xr.Dataset], xr.Dataset]) -> Simulator:
    """The same simulator with other outcomes."""
    ds = simulator.dataset
    simulator.dataset = lambda: change(ds())  # type: ignore[method-assign]
    return simulator


@pytest.mark.parametrize("alone", [False, True])
def test_success_that_surely_falls_with_width_is_given_up_after_a_round_or_two(alone) -> None:
    simulator = Simulator(a_sweep(), 2.0, 0.03, alone=alone)
    falling = having(
        simulator, lambda found: found.assign(sigma_min=1.1 * np.sqrt(found.k) - found.sigma_min)
    )
    state = falling.refine(0.02, rounds=4, resamples=300).states[0]
    assert (state.verdict, state.outcome) == (LOST, "unordered")
    assert state.why == (
        "success falls from k = 1800 on, so no single width is critical (--direction falling if it "
        "falls all along)"
    )


@pytest.mark.parametrize("target", [0.3, 0.02])
def test_a_cell_whose_success_falls_and_rises_gets_no_further_trial(target) -> None:
    """Double descent: no features fail but those near k = 1.8 n."""
    simulator = Simulator(a_sweep(seeds=12), 0.1, 0.02)
    dip = having(
        simulator,
        lambda found: found.assign(
            sigma_min=found.sigma_min.where(abs(found.k / found.n - 1.8) > 0.5, 0.0)
        ),
    )
    allocation = allocate(dip.dataset(), dip.sweep, target)
    assert allocation.requests == ()
    (state,) = allocation.states
    assert (state.verdict, state.needed) == (LOST, 0)
    assert state.why == (
        "success falls from k = 1100 on and rises from k = 2300 on, so no single width is critical"
    )


@pytest.mark.parametrize(("seeds", "verdict"), [(20, OPEN), (70, LOST)])
def test_success_that_falls_by_chance_perhaps_gets_seeds_until_patience_ends(seeds, verdict) -> None:
    def leaning(found: xr.Dataset) -> xr.Dataset:
        """Six in ten seeds succeed at narrow widths, and four at wide ones."""
        wins = found.seed % 10 < xr.where(found.width < 2.0, 6, 4)
        ratio = xr.where(wins, 1.0, 0.1) * np.sqrt(found.k)
        return found.assign(sigma_min=ratio.broadcast_like(found.status).transpose(*found.status.dims))

    simulator = having(Simulator(a_sweep(seeds=seeds), 2.0, 0.03), leaning)
    allocation = allocate(simulator.dataset(), simulator.sweep, 0.02)
    (state,) = allocation.states
    assert (state.outcome, state.verdict) == ("unordered", verdict)
    asked = {one.width for one in allocation.requests}
    assert asked == (set(simulator.sweep.width) if verdict == OPEN else set())
    assert state.why == ("" if verdict == OPEN else "success does not rise with width")


def test_all_tolerances_of_a_cell_are_located_with_the_same_seeds() -> None:
    sweep = replace(a_sweep(seeds=12), experiment="input")
    simulator = Simulator(sweep, 1.0, 0.04)
    shift = xr.DataArray([1.7, 2.6], dims="tolerance", coords={"tolerance": [1e-1, 1e-3]})
    conditioning = simulator.dataset

    def descending() -> xr.Dataset:
        found = conditioning()
        place = np.arange(found.sizes["seed"])
        noise = xr.DataArray(simulator._noise[0, 0, np.array(found.seed)[place]], dims="seed")
        met = np.log(found.k / 1000 / shift) >= 0.04 * noise
        steps = xr.where(met, 10.0, np.inf).where(found.status == Status.DONE)
        return xr.Dataset({"status": found.status, "steps_to_tolerance": steps}, attrs=found.attrs)

    simulator.dataset = descending  # type: ignore[method-assign]
    first = allocate(simulator.dataset(), simulator.sweep, 0.02)
    assert len({seed for one in first.requests for seed in one.seeds}) < first.trials
    states = simulator.refine(0.02, resamples=300).states
    assert [state.at["tolerance"] for state in states] == [1e-1, 1e-3]
    assert [state.verdict for state in states] == [LOCATED, LOCATED]
    assert [state.k50 for state in states] == pytest.approx([1700, 2600], rel=0.04)


@pytest.mark.parametrize("target", [0, 1, -0.1, math.nan])
def test_a_target_that_is_no_share_is_refused(target) -> None:
    simulator = Simulator(a_sweep(), 2.0, 0.03)
    with pytest.raises(ValueError, match="expected between 0 and 1"):
        allocate(simulator.dataset(), simulator.sweep, target)


# ---- the lattice of widths


@settings(max_examples=60)
@given(
    n=st.lists(st.integers(5, 2000), min_size=1, max_size=3, unique=True),
    ratio=st.floats(0.3, 50),
    reach=st.floats(1e-4, 0.7),
)
def test_a_new_width_is_near_whole_and_its_own_in_every_cell(n, ratio, reach) -> None:
    sweep = a_sweep(n=str(n), widths="[1.0, 4.0]")
    widths = Widths(sweep)
    width = widths.of_cell(5, n[0]).near(ratio * n[0], reach)
    assert width is not None
    k = widths.k(5, n[0], width)
    away = abs(math.log(k / (ratio * n[0])))
    known = min(abs(math.log(other / (ratio * n[0]))) for other in sweep.k(5, n[0]))
    assert away <= max(min(known, reach + 1 / k), 1e-12)
    grown = widened(sweep, width=[width])  # which refuses widths that coincide anywhere
    assert len(grown.width) == 2 + (width not in sweep.width)
    if width not in sweep.width:
        steps = math.log2(width) * 2**14
        assert steps == pytest.approx(round(steps), abs=1e-4)


def test_a_width_in_the_middle_is_between_or_there_is_none() -> None:
    widths = Widths(a_sweep(n="[10]", widths="[1.0, 1.2, 2.0]"))
    assert widths.k(5, 10, widths.of_cell(5, 10).between(12, 20)) in range(13, 20)
    assert widths.of_cell(5, 10).between(19, 20) is None


def test_where_v_balances_new_widths_are_even() -> None:
    widths = Widths(replace(a_sweep(n="[30]", widths="[1.0, 2.0]"), even=True))
    width = widths.of_cell(5, 30).near(43, 0.02)
    assert widths.k(5, 30, width) % 2 == 0
