"""Lapse rates: found where there are some, with intervals that cover, and rarely where not."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import xarray as xr
from scipy import optimize, special, stats

from analysis import critical_widths
from analysis.transitions.curves import LINKS, fit_curves, lapsed
from analysis.transitions.lapses import lapse_words

K = np.unique(np.geomspace(100, 400, 24).astype(int))
N = np.array([50, 60, 70])
SPREAD = 0.1
CHANCE = {"logistic": special.expit, "probit": special.ndtr}


def truth(n: object) -> object:
    return 200.0 * np.asarray(n) / 60


def simulated(
    rate: float, *, seeds: int, groups: int = 1, nested: bool = False, link: str = "logistic"
) -> tuple[xr.Dataset, xr.DataArray]:
    """Groups of three n, as stores of many activations; each trial lapses by itself."""
    rng = np.random.default_rng([17, int(1000 * rate), seeds, nested])
    eta = np.log(K[:, None] / truth(N)[:, None, None]) / SPREAD  # (n, width, 1)
    size = (groups, len(N), 1 if nested else len(K), seeds)
    won = rng.random(size) <= CHANCE[link](eta)
    won = won & (rng.random(won.shape) >= rate)
    dims = ("activation", "n", "width", "seed")
    coords = {"activation": np.arange(groups), "n": N, "seed": np.arange(seeds), "k": ("width", K)}
    status = xr.DataArray(np.ones(won.shape, np.int8), dims=dims)
    return xr.Dataset({"status": status}, coords, {"nested": int(nested)}), xr.DataArray(won, dims=dims)


def fitted(ds: xr.Dataset, won: xr.DataArray, **asked: object) -> xr.Dataset:
    return critical_widths(ds, success=won, **{"resamples": 100, "tables": 0, "lapse": True, **asked})


# ---- one data set


@pytest.mark.parametrize("link", CHANCE)
def test_many_seeds_recover_rate_width_and_slope(link) -> None:
    ds, won = simulated(0.05, seeds=3000, link=link)
    with_rate = fitted(ds, won, link=link, resamples=2).squeeze()
    assert with_rate.lapse.values == pytest.approx(0.05, abs=0.003)
    assert with_rate.k50.values == pytest.approx(truth(N), rel=0.005)
    assert with_rate.slope.values == pytest.approx(1 / SPREAD, rel=0.05)
    assert (with_rate.lapse_delta_aicc > 100).all()
    plain = fitted(ds, won, link=link, resamples=2, lapse=False).squeeze()
    assert (plain.k50.values > 1.01 * truth(N)).all()  # what leaving the rate out does
    assert (plain.slope.values < 0.9 / SPREAD).all()


def test_the_rate_is_one_for_all_sizes_and_another_for_another_activation() -> None:
    few, won_few = simulated(0.02, seeds=300)
    many, won_many = simulated(0.1, seeds=300)
    ds = xr.concat([few, many.assign_coords(activation=[1])], "activation", data_vars="minimal")
    won = xr.concat([won_few, won_many], "activation")
    found = fitted(ds.assign_attrs(few.attrs), won, resamples=2)
    assert (found.lapse == found.lapse.isel(n=0)).all()
    first, second = (found.isel(activation=at, n=0) for at in (0, 1))
    assert float(first.lapse_low) < 0.02 < float(first.lapse_high) < float(second.lapse_low)
    assert float(second.lapse_low) < 0.1 < float(second.lapse_high)
    words = lapse_words(found, "k")
    assert [line.split(":")[0] for line in words] == ["0", "1"]
    assert all("prefers it to none" in line for line in words)


def test_each_cell_can_have_its_rate() -> None:
    ds, won = simulated(0.0, seeds=300)
    rates = xr.DataArray([0.0, 0.05, 0.1], dims="n")
    luck = xr.DataArray(np.random.default_rng(5).random(won.shape), dims=won.dims)
    found = fitted(ds, won & (luck >= rates), lapse="cell", resamples=2)
    ends = found.squeeze()
    assert ((ends.lapse_low <= rates) & (rates <= ends.lapse_high)).all()
    assert (ends.lapse_high.values[:-1] < ends.lapse_low.values[1:]).all()
    assert [line.split(":")[0] for line in lapse_words(found, "k")] == [f"0, n = {n}" for n in N]


def test_a_rate_of_zero_leaves_the_numbers_of_the_plain_curve() -> None:
    ds, won = simulated(0.0, seeds=40)
    rising = won | (ds.k > 260)  # no failure far above: no lapse can be
    with_rate, plain = fitted(ds, rising), fitted(ds, rising, lapse=False)
    assert (with_rate.lapse == 0).all()
    assert (with_rate.lapse_low == 0).all()
    assert (with_rate.lapse_high < 0.02).all()
    assert (with_rate.lapse_delta_aicc < 0).all()
    assert with_rate.k50.values == pytest.approx(plain.k50.values, rel=1e-9)
    assert "lapse" not in plain


def test_a_step_with_lapses_beyond_it_has_a_bracket_and_no_slope() -> None:
    ds, won = simulated(0.0, seeds=40)
    step = (won | True) & (ds.k > 200)
    for at, seed in ((15, 3), (18, 9), (20, 30)):
        step[:, :, at, seed] = False
    found = fitted(ds, step).squeeze()
    assert (found.outcome == "separated").all()
    assert found.slope.isnull().all()
    assert found.bracket_low.values == pytest.approx(K[K <= 200].max())
    assert found.bracket_high.values == pytest.approx(K[K > 200].min())
    assert ((found.k50_low <= found.k50) & (found.k50 <= found.k50_high)).all()
    assert float(found.lapse[0]) == pytest.approx(9 / (3 * 40 * (K > 200).sum()), rel=1e-3)


def test_cells_without_a_success_have_no_rate() -> None:
    ds, won = simulated(0.0, seeds=10)
    found = fitted(ds, won & False)
    assert found.lapse.isnull().all()
    assert (found.outcome == "censored").all()
    assert lapse_words(found, "k") == ("0: no lapse rate, because no trial succeeds.",)


def test_cells_without_a_transition_keep_the_search_finite() -> None:
    ds, won = simulated(0.05, seeds=40)
    found = fitted(ds, won | (ds.seed % 20 > 0))
    assert ((found.lapse_low <= found.lapse) & (found.lapse <= found.lapse_high)).all()


@pytest.mark.parametrize("link", CHANCE)
def test_the_likelihood_with_lapses_is_that_of_the_binomial(link) -> None:
    eta = np.linspace(-6, 9, 31)
    trials = np.full(31, 7.0)
    successes = np.arange(31) % 8.0
    lapse = lapsed(link, 0.07)
    chance = 0.93 * CHANCE[link](eta)
    assert lapse.chance(eta) == pytest.approx(chance)
    terms = lapse.terms(eta, successes, trials)
    constant = special.gammaln(8) - special.gammaln(successes + 1) - special.gammaln(8 - successes)
    assert terms.value + constant == pytest.approx(stats.binom.logpmf(successes, 7, chance))
    step = 1e-5
    ahead, behind = (lapse.terms(eta + s, successes, trials).value for s in (step, -step))
    assert terms.score == pytest.approx((ahead - behind) / (2 * step), rel=1e-5, abs=1e-6)
    density = (lapse.chance(eta + step) - lapse.chance(eta - step)) / (2 * step)
    assert terms.weight == pytest.approx(7 * density**2 / (chance * (1 - chance)), rel=1e-4)
    assert lapsed(link, 0.0) is LINKS[link]


def test_the_curve_at_a_rate_has_the_greatest_likelihood() -> None:
    won = simulated(0.05, seeds=60)[1]
    counts = won.isel(activation=0, n=1).sum("seed").values.astype(float)[None]
    trials, link, x = np.full_like(counts, 60), lapsed("logistic", 0.05), np.log(K)
    intercept, slope = fit_curves(x, counts, trials, link)

    def likelihood(a: float, b: float) -> float:
        return float(link.terms(a + b * x, counts[0], trials[0]).value.sum())

    best = likelihood(intercept[0], slope[0])
    middle = -intercept[0] / slope[0]
    for move in (-0.003, 0.003):
        assert likelihood(-(middle + move) * slope[0], slope[0]) < best
        assert likelihood(-middle * slope[0] * (1 + move), slope[0] * (1 + move)) < best


def profiled(rate: float, counts: np.ndarray, trials: int) -> float:
    """The greatest log-likelihood at a rate, by a general optimiser from the true curves."""

    def missing(line: np.ndarray, won: np.ndarray) -> float:
        chance = (1 - rate) * special.expit(line[0] + line[1] * (np.log(K) - np.log(200)))
        return -float(stats.binom.logpmf(won, trials, chance).sum())

    settings = {"method": "Nelder-Mead", "options": {"xatol": 1e-7, "fatol": 1e-9, "maxiter": 4000}}
    starts = [np.array([-np.log(at / 200) / SPREAD, 1 / SPREAD]) for at in truth(N)]
    fits = [
        optimize.minimize(missing, start, args=(won,), **settings)
        for start, won in zip(starts, counts, strict=True)
    ]
    return -sum(fit.fun for fit in fits)


def test_the_interval_of_the_rate_ends_where_its_profile_has_fallen_alike() -> None:
    ds, won = simulated(0.05, seeds=40)
    cell = fitted(ds, won, resamples=2).isel(activation=0, n=0)
    counts = won.isel(activation=0).sum("seed").values
    low, best, high = (
        profiled(float(cell[name]), counts, 40) for name in ("lapse_low", "lapse", "lapse_high")
    )
    assert low == pytest.approx(high, abs=2e-3)
    assert best - low > 1.5  # half of 3.84 of independent trials, or a bit less
    for other in (0.98, 1.02):
        assert profiled(other * float(cell.lapse), counts, 40) < best


# ---- coverage


@functools.cache
def answers(rate: float, nested: bool, link: str = "logistic") -> xr.Dataset:
    """Few resamples will do: here they only open an interval at an end of the widths."""
    groups = simulated(rate, seeds=40, groups=200, nested=nested, link=link)
    return fitted(*groups, link=link, resamples=25)


def coverage(found: xr.Dataset, name: str, truth: object) -> float:
    return float(((found[f"{name}_low"] <= truth) & (truth <= found[f"{name}_high"])).mean())


@pytest.mark.simulation
@pytest.mark.parametrize(("nested", "link"), [(False, "probit"), (True, "logistic")])
def test_intervals_of_rate_and_width_cover(nested, link) -> None:
    """Of 200 groups: the binomial error of a coverage is 1.5%, and of widths a half of it."""
    found = answers(0.05, nested, link)
    assert 0.92 <= coverage(found.isel(n=0), "lapse", 0.05) <= 0.985
    assert 0.93 <= coverage(found, "k50", xr.DataArray(truth(N), dims="n")) <= 0.97
    assert float(found.lapse.isel(n=0).mean()) == pytest.approx(0.05, abs=0.002)
    assert float((np.log(found.k50) - np.log(truth(N))).mean()) == pytest.approx(0, abs=0.003)
    assert float((found.lapse_delta_aicc > 0).mean()) > 0.95


@pytest.mark.simulation
@pytest.mark.parametrize("nested", [False, True])
def test_aicc_rarely_chooses_a_rate_where_there_is_none(nested) -> None:
    found = answers(0.0, nested)
    assert float((found.lapse_delta_aicc.isel(n=0) > 0).mean()) <= 0.1
    assert coverage(found.isel(n=0), "lapse", 0.0) >= 0.93
    assert 0.9 <= coverage(found, "k50", xr.DataArray(truth(N), dims="n")) <= 0.97
