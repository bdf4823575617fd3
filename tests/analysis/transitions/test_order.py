"""Critical widths fall wherever success rises: over budgets and tolerances, simulated and bundled."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import pipeline
from analysis import critical_widths, open_store, success_counts
from analysis.success.budgets import budget_of
from analysis.transitions import order
from analysis.transitions.crossings import crossings
from analysis.transitions.curves import fit_curves
from analysis.transitions.isotonic import isotonic_crossings
from pipeline.trial_status import Status

TOLERANCES = [1e-1, 1e-2, 1e-4]
LONGEST = 1000


def store(steps: np.ndarray, k: np.ndarray, tolerances: list[float] = TOLERANCES) -> xr.Dataset:
    """A store of one cell from the steps (width, seed, tolerance) that its trials needed."""
    widths, seeds, _ = steps.shape
    over = ("d", "n", "width", "seed")
    status = np.full((1, 1, widths, seeds), Status.DONE, np.int8)
    return xr.Dataset(
        {
            "status": (over, status),
            "steps_to_tolerance": ((*over, "tolerance"), steps[None, None]),
        },
        {"d": [4], "n": [100], "tolerance": tolerances, "k": ("width", k)},
        {"nested": 1, "identity_fields": {"descent": {"steps": LONGEST}}},
    )


def fitted(ds: xr.Dataset, budgets: list[int] | None = None) -> xr.Dataset:
    return critical_widths(ds, budgets=budgets, resamples=1, tables=0).squeeze(["d", "n"])


def rises(widths: xr.Dataset) -> int:
    """Count the neighbours of which the easier criterion has the wider critical width."""
    easier = widths.k50.sortby("tolerance").transpose("tolerance", "budget", ...)
    found = 0
    for dim in ("tolerance", "budget"):
        values = easier.transpose(dim, ...).values
        found += sum(
            int((later > earlier * (1 + 1e-12)).sum())
            for at, earlier in enumerate(values)
            for later in values[at + 1 :]
        )
    return found


def drawn_steps(rng: np.random.Generator, seeds: int, widths: int) -> tuple[np.ndarray, np.ndarray]:
    """Steps that fall with k, of every kind: steep and flat, and slow again at the widest networks."""
    k = np.unique(np.geomspace(8, 200, widths).round().astype(int))
    threshold = rng.uniform(10, 100) * np.exp(rng.uniform(0, 0.5) * rng.logistic(size=seeds))
    steepness = rng.choice([0.5, 2.0, 8.0, 40.0])
    steps = 100 * (threshold / k[:, None]) ** steepness + 1
    steps = steps * (1 + (k[:, None] / rng.uniform(50, 400)) ** rng.choice([0.0, 3.0]))
    steps = steps * np.exp(rng.choice([0.0, 0.5, 1.5]) * rng.normal(size=steps.shape))
    harder = np.cumprod(1 + rng.exponential(rng.uniform(0.1, 2), (*steps.shape, 3)), axis=-1)
    taken = np.ceil(np.clip(steps[..., None] * harder, 1, 1e9))
    return np.where(taken <= LONGEST, taken, np.inf), k


CELLS = 30
BUDGETS = np.unique(np.geomspace(20, LONGEST, 25).round()).astype(int)


@functools.cache
def simulated(entropy: int) -> tuple[np.ndarray, np.ndarray, xr.Dataset]:
    """Steps and k of a simulated cell, and its critical widths at `BUDGETS`."""
    rng = np.random.default_rng([14, entropy])
    steps, k = drawn_steps(rng, int(rng.integers(2, 21)), int(rng.integers(3, 13)))
    return steps, k, fitted(store(steps, k), BUDGETS.tolist())


@pytest.mark.parametrize("entropy", range(CELLS))
def test_a_critical_width_never_rises_with_the_budget_or_the_tolerance(entropy: int) -> None:
    steps, k, widths = simulated(entropy)
    assert rises(widths) == 0
    whole = widths.isel(budget=-1)
    assert fitted(store(steps, k)).k50.equals(whole.k50.drop_vars("budget"))


@pytest.mark.simulation
def test_the_simulated_cells_are_of_every_kind_and_raw_curves_do_rise() -> None:
    """The property above is no property of cells taken alone: some of their crossings do rise."""
    outcomes, out_of_order = set(), 0
    for entropy in range(CELLS):
        steps, k, widths = simulated(entropy)
        outcomes |= set(widths.outcome.values.ravel())
        won = np.stack([(steps <= budget).sum(axis=1) for budget in BUDGETS]).astype(float)
        trials = np.full(won.shape[:2], float(steps.shape[1]))
        for tolerance in range(3):
            alone = crossings(np.log(k), won[..., tolerance], trials).location
            out_of_order += int((np.diff(alone[np.isfinite(alone)]) > 1e-9).sum())
    assert {"fitted", "separated", "censored", "unordered"} <= outcomes
    assert out_of_order > 5


@pytest.mark.slow
def test_an_answer_does_not_depend_on_the_other_budgets_that_are_asked_for() -> None:
    for entropy in range(10):
        rng = np.random.default_rng([15, entropy])
        ds = store(*drawn_steps(rng, 8, 9))
        together = fitted(ds, [100, 300, 310, LONGEST])
        for budget in together.budget.values:
            alone = fitted(ds, [int(budget)]).squeeze("budget")
            assert alone.k50.equals(together.k50.sel(budget=budget))


@pytest.mark.slow
def test_of_very_many_budgets_a_part_and_those_asked_for_are_in_order(monkeypatch) -> None:
    monkeypatch.setattr(order, "MOST", 10)
    for entropy in range(10):
        rng = np.random.default_rng([14, entropy])
        ds = store(*drawn_steps(rng, 12, 10))
        assert rises(fitted(ds, list(range(20, LONGEST, 25)))) == 0


def test_tolerances_in_any_order_widths_in_any_order_and_one_tolerance_alone_agree() -> None:
    for entropy in range(10):
        ds = store(*drawn_steps(np.random.default_rng([16, entropy]), 10, 9), tolerances=TOLERANCES)
        whole = fitted(ds, [100, LONGEST])
        mixed = fitted(ds.isel(tolerance=[2, 0, 1], width=slice(None, None, -1)), [100, LONGEST])
        np.testing.assert_allclose(mixed.k50.sel({"tolerance": TOLERANCES}), whole.k50, rtol=1e-9)
        one = ds.sel({"tolerance": 1e-2})
        for alone in (one, one.drop_vars("tolerance")):
            found = fitted(alone, [100, LONGEST])
            assert found.k50.dims == ("budget",)
            assert (found.outcome == whole.outcome.sel({"tolerance": 1e-2})).all()
            assert not (found.k50.diff("budget") > 0).any()


def test_a_looser_tolerance_that_is_met_later_imposes_no_order() -> None:
    """No descent does that, but a foreign store may: then each tolerance is in order by itself."""
    across = 0
    for entropy in range(10):
        steps, k = drawn_steps(np.random.default_rng([17, entropy]), 10, 9)
        widths = fitted(store(steps[..., ::-1], k), [100, 300, LONGEST])
        across += rises(widths)
        assert not (widths.k50.diff("budget") > 0).any()
    assert across > 5


counts = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=2, max_size=9)


@given(counts)
@settings(max_examples=300)
def test_more_successes_never_move_an_isotonic_crossing_to_wider_networks(pairs) -> None:
    few = np.array([min(pair) for pair in pairs], float)
    many = np.array([max(pair) for pair in pairs], float)
    x, trials = np.log(np.arange(2.0, 2 + len(pairs))), np.full((2, len(pairs)), 12.0)
    for level in (0.25, 0.5, 0.75):
        less, more = isotonic_crossings(x, np.stack([few, many]), trials, level)
        assert not more > less + 1e-12


@pytest.mark.slow
@given(st.integers(1, 7), st.integers(0, 12), st.integers(2, 9), st.integers(1, 12))
@settings(max_examples=200)
def test_a_separated_cell_has_the_width_of_the_isotonic_fit(mixed, won, widths, seeds) -> None:
    """No trial succeeds before one width, all do after it, and at that width any number."""
    mixed, won = min(mixed, widths - 1), min(won, seeds)
    succeeded = np.zeros((widths, seeds), bool)
    succeeded[mixed + 1 :] = True
    succeeded[mixed, :won] = True
    steps = np.where(succeeded, 10.0, np.inf)[..., None]
    cell = fitted(store(steps, np.arange(10, 10 + 3 * widths, 3), [0.1])).squeeze()
    if str(cell.outcome.item()) == "separated":
        assert float(cell.k50) == float(cell.k50_isotonic)
        assert cell.k50_low <= cell.k50 <= cell.k50_high
    else:
        assert cell.outcome in ("censored", "unordered")


def test_the_width_of_a_separated_cell_depends_on_how_many_succeed_within_its_bracket() -> None:
    """The case of a user: 2 of 8 succeed at 12 units and all at 16; the middle of both is 13.86."""
    k = np.array([8, 10, 12, 16, 20])
    for won, wider in ((2, 13.21), (4, 12.0), (6, 11.29)):
        wins = np.array([0, 0, won, 8, 8])
        steps = np.where(np.arange(8) < wins[:, None], 10.0, np.inf)[..., None]
        cell = fitted(store(steps, k, [0.1])).squeeze()
        assert cell.outcome == "separated"
        assert float(cell.k50) == pytest.approx(wider, abs=0.01)


def test_a_curve_that_crosses_where_all_trials_fail_is_not_believed() -> None:
    """The widest networks are not done yet, as in `joint`: the likeliest curve is nearly flat."""
    k = np.array([6, 8, 10, 12, 16, 18, 24, 28, 36, 44, 56, 68, 86, 106, 132, 166, 206, 258, 322, 400])
    wins = np.array([0, 0, 1, 8, 11, *[12] * 10, 11, 9, 9, 8, 6])
    curve = fit_curves(np.log(k), wins[None].astype(float), np.full((1, len(k)), 12.0))
    assert np.exp(-curve[0] / curve[1]).item() == pytest.approx(6.75, abs=0.01)
    steps = np.where(np.arange(12) < wins[:, None], 10.0, np.inf)[..., None]
    cell = fitted(store(steps, k, [0.1])).squeeze()
    assert cell.outcome == "fitted"
    assert float(cell.k50) == float(cell.k50_isotonic)
    assert 10 < float(cell.k50) < 12


@pytest.mark.parametrize(
    ("name", "seeds"),
    [
        ("output-layer", 20),
        pytest.param("budget", 4, marks=pytest.mark.slow),
        # The widest networks take the most steps. With half the seeds, curves alone rise 73 times.
        pytest.param("joint", 6, marks=pytest.mark.slow),
    ],
)
def test_no_critical_width_of_a_bundled_sweep_rises(name: str, seeds: int, tmp_path) -> None:
    path = tmp_path / "bundled.zarr"
    sweep = pipeline.load_sweep(name)
    pipeline.run(replace(sweep, seeds=sweep.seeds[:seeds]), path)
    ds = open_store(path).compute()
    longest = budget_of(ds)
    budgets = [int(b) for b in np.unique(np.geomspace(longest / 200, longest, 75).round())]
    widths = critical_widths(ds, budgets=budgets, resamples=1, tables=0)
    counts = success_counts(ds, budgets=budgets).successes
    assert (counts.diff("budget") >= 0).all()
    assert rises(widths) == 0
    assert int(widths.k50.notnull().sum()) > 150
    whole = widths.outcome == "separated"
    assert whole.sum() > 5
    assert widths.k50.where(whole).equals(widths.k50_isotonic.where(whole))


@pytest.mark.parametrize("write", ["{0}[{1}] <= {2}", "{2} >= {0}({1})", "{0}[{1}] < {3}"])
def test_a_condition_on_the_steps_has_the_order_of_a_budget(write: str) -> None:
    rng = np.random.default_rng(1)
    budgets = [60, 200, 420, 640, 900]
    compared = 0
    for _ in range(4):
        ds = store(*drawn_steps(rng, 6, 12))
        expected = fitted(ds, budgets)
        for budget in budgets:
            for tolerance in TOLERANCES:
                text = write.format("steps_to_tolerance", tolerance, budget, budget + 1)
                found = critical_widths(ds, success=text, resamples=1, tables=0).squeeze(["d", "n"])
                cell = expected.sel({"tolerance": tolerance, "budget": budget})
                np.testing.assert_array_equal(found.k50, cell.k50)
                compared += int(np.isfinite(cell.k50))
    assert compared > 20


def test_a_condition_without_a_tolerance_has_the_order_of_all() -> None:
    ds = store(*drawn_steps(np.random.default_rng(2), 6, 12))
    found = critical_widths(ds, success="steps_to_tolerance <= 420", resamples=1, tables=0)
    expected = fitted(ds, [420]).squeeze("budget")
    np.testing.assert_array_equal(found.squeeze(["d", "n"]).k50, expected.k50)
