"""Thresholds at infinite budget: what the model finds, what it refuses to say, and what it predicts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr
from scipy.optimize import approx_fprime
from scipy.stats import binom

from analysis.figures.looks.style import AT_EDGE
from analysis.figures.register import draw
from analysis.slowing import infinite_budget, predicted_k50
from analysis.slowing.cells import trials_of
from analysis.slowing.likelihood import Marginal, log_likelihood
from pipeline.errors import InputError, ParameterError
from pipeline.trial_status import Status

from .simulation import BUDGET, FINITE, GAMMA, THRESHOLD, coverage, store


def simulated(law: str = "diverging") -> xr.Dataset:
    return store(law, np.random.default_rng(1))


@pytest.mark.parametrize("s", [-0.4, 1e-5, 0.6])
def test_the_gradient_of_the_likelihood_is_that_of_its_differences(s: float) -> None:
    trials = trials_of(simulated(), BUDGET)[0][1]
    theta = np.array([6.4, s, 0.4, -1.4, 0.04, -2.0, -1.5, 0.7])
    gradient = log_likelihood(theta, trials)[1].sum(axis=0)
    slopes = approx_fprime(theta, lambda at: log_likelihood(at, trials)[0], 1e-6)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-3, atol=1e-2)


def test_few_nodes_that_follow_the_parameters_give_the_likelihood_of_many() -> None:
    trials = trials_of(simulated(), BUDGET)[0][1]
    few, rng = Marginal(trials), np.random.default_rng(0)
    theta = np.array([6.4, 0.9, 0.46, -1.4, 0.03, -2.5, -3.0, 0.0])
    for shift in 0.05 * rng.standard_normal((12, len(theta))):  # as an optimiser moves
        value, scores = few(theta + shift)
        whole, slopes = log_likelihood(theta + shift, trials)
        assert value == pytest.approx(whole, abs=1e-5)
        np.testing.assert_allclose(scores, slopes, atol=1e-3)


@pytest.mark.slow
def test_a_threshold_is_found_with_its_exponent() -> None:
    row = infinite_budget(simulated()).iloc[0]
    assert row.verdict == "threshold"
    assert row.k_inf_low < THRESHOLD < row.k_inf_high
    assert row.gamma_low < GAMMA < row.gamma_high
    assert row.k_inf_high / row.k_inf_low < 1.2


@pytest.mark.slow
def test_a_threshold_that_is_seen_has_a_finite_exponent() -> None:
    row = infinite_budget(simulated(), budget=2 * BUDGET).iloc[0]
    assert row.verdict == "threshold"
    assert np.isfinite(row.gamma_high)
    assert row.k_inf_low > 0


def test_a_law_without_a_threshold_gets_no_number() -> None:
    row = infinite_budget(simulated("power"), budget=BUDGET).iloc[0]
    assert row.verdict == "none seen"
    assert np.isnan([row.k_inf, row.k_inf_low, row.gamma]).all()


def narrowest(ds: xr.Dataset) -> xr.Dataset:
    return ds.isel(width=slice(1, 2))


def few_seeds(ds: xr.Dataset) -> xr.Dataset:
    return ds.isel(seed=slice(4))


def slow(ds: xr.Dataset) -> xr.Dataset:
    return ds.assign(steps_to_tolerance=ds.steps_to_tolerance * 1000)


def quick(ds: xr.Dataset) -> xr.Dataset:
    return ds.assign(steps_to_tolerance=ds.steps_to_tolerance.clip(max=500))


def late(ds: xr.Dataset) -> xr.Dataset:
    steps = ds.steps_to_tolerance
    return ds.assign(steps_to_tolerance=steps.where(ds.k >= 50, np.inf).transpose(*steps.dims))


def pending(ds: xr.Dataset) -> xr.Dataset:
    return ds.assign(status=xr.zeros_like(ds.status))


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        (narrowest, "one width"),
        (few_seeds, "too few seeds"),
        (slow, "all censored"),
        (quick, "none censored"),
        (late, "budget too short"),
        (pending, "empty"),
    ],
)
def test_a_cell_that_cannot_be_fitted_says_why(
    change: Callable[[xr.Dataset], xr.Dataset], verdict: str
) -> None:
    row = infinite_budget(change(simulated())).iloc[0]
    assert row.verdict == verdict
    assert np.isnan(row.k_inf)


@pytest.mark.slow
def test_a_diverged_trial_never_arrives_though_it_met_the_tolerance() -> None:
    ds = simulated()
    ds.status[0, 0, 5, 3] = Status.DIVERGED
    assert np.isfinite(ds.steps_to_tolerance.values[0, 0, 5, 3, 0])
    before, after = infinite_budget(simulated()).iloc[0], infinite_budget(ds).iloc[0]
    assert after.diverged == 1
    assert after.censored == before.censored + 1


def left_behind(ds: xr.Dataset) -> xr.Dataset:
    """Let the trials of every other seed that do not arrive end at a fifth of the budget."""
    odd = (xr.DataArray(np.arange(ds.sizes["seed"]), dims="seed") % 2).astype(bool)
    first = ds.steps_to_tolerance.isel(tolerance=0)
    stays = odd & (first > BUDGET)
    steps = xr.where(stays, BUDGET, np.minimum(first, 5 * BUDGET)).transpose(*ds.status.dims)
    later = ds.steps_to_tolerance.where(~stays, np.inf).transpose(*ds.steps_to_tolerance.dims)
    return ds.assign(steps=steps, steps_to_tolerance=later)


def test_a_trial_is_censored_at_the_steps_that_it_took() -> None:
    ds = left_behind(simulated())
    trials = trials_of(ds)[0][1]
    times = np.exp(trials.log_time[~trials.arrived])
    assert set(times.round().astype(int)) == {BUDGET, 5 * BUDGET}
    assert trials.counted.all()


@pytest.mark.slow
def test_a_cell_whose_outcome_is_not_known_is_no_test_of_the_prediction() -> None:
    assert len(predicted_k50(simulated(), BUDGET)) == 1
    assert predicted_k50(left_behind(simulated()), BUDGET).empty


def test_later_arrivals_are_hidden_from_a_shorter_budget() -> None:
    ds = simulated()
    cut = ds.assign(
        steps_to_tolerance=ds.steps_to_tolerance.where(ds.steps_to_tolerance <= BUDGET, np.inf)
    )
    first = infinite_budget(ds, budget=BUDGET)
    assert first.equals(infinite_budget(cut, budget=BUDGET))


@pytest.mark.slow
def test_the_share_of_trials_at_the_edge_of_stability_is_told() -> None:
    ds = simulated()
    rises = xr.zeros_like(ds.status, dtype=float)
    rises[..., :6] = 300.0
    rich = ds.assign(rises=rises, steps=xr.full_like(rises, 1000.0))
    assert infinite_budget(rich).at_edge[0] == 0.25
    assert np.isnan(infinite_budget(ds).at_edge[0])


def test_a_prediction_needs_a_budget_below_the_longer_one() -> None:
    with pytest.raises(ParameterError, match="budget"):
        predicted_k50(simulated(), 5 * BUDGET)


def test_a_store_without_times_is_refused() -> None:
    with pytest.raises(InputError, match="steps_to_tolerance"):
        infinite_budget(simulated().drop_vars("steps_to_tolerance"))


@pytest.mark.slow
def test_the_figure_shows_times_and_the_limit() -> None:
    chart = draw(simulated(), "slowing")
    times, limit = chart.axes[:2]
    (bar,) = limit.containers  # of k_inf, beyond all budgets
    assert bar.lines[0].get_xdata()[0] > limit.lines[0].get_xdata()[-1]
    assert max(limit.get_xticks()) <= limit.lines[0].get_xdata()[-1]
    assert times.lines[0].get_ydata().size > 3
    np.testing.assert_allclose(limit.lines[0].get_ydata()[-1], 1.1, atol=0.15)


@pytest.mark.slow
def test_the_figure_rings_a_cell_at_the_edge_of_stability_in_both_panels() -> None:
    ds = simulated()
    steps = xr.full_like(ds.status, 5.0 * BUDGET, dtype=float)
    chaotic, calm = (ds.assign(rises=share * steps, steps=steps) for share in (0.3, 0.0))
    for axes in draw(chaotic, "slowing").axes[:2]:
        (ring,) = (line for line in axes.lines if line.get_label() == AT_EDGE)
        np.testing.assert_array_equal(ring.get_xydata(), axes.lines[0].get_xydata())
    assert not any(
        line.get_label() == AT_EDGE for axes in draw(calm, "slowing").axes for line in axes.lines
    )


CELLS = 50
SELDOM = 1e-3
"""A simulation of so many cells fails by chance once in a thousand times, if coverage is 95%."""


def counted(law: str) -> Counter[str]:
    """Verdicts on simulated cells, half of them with few seeds, and how many intervals are right."""
    return coverage(law, CELLS // 2, seeds=8) + coverage(law, CELLS // 2, entropy=1, seeds=24)


@pytest.mark.simulation
def test_intervals_cover_a_threshold_as_often_as_they_say() -> None:
    found = counted("model")
    least, most = binom.ppf([SELDOM, 1 - SELDOM], found["threshold"], 0.95)
    assert found["threshold"] > CELLS / 2
    assert least <= found["k_inf covered"] <= most
    assert least <= found["gamma covered"] <= most


@pytest.mark.simulation
@pytest.mark.parametrize("law", FINITE)
def test_laws_without_a_threshold_seldom_get_one(law: str) -> None:
    found = counted(law)
    assert found["threshold"] <= binom.ppf(1 - SELDOM, CELLS, 0.05)
    assert found["none seen"] + found["threshold"] > CELLS / 2
