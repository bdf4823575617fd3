"""Intervals cover what they say, and p-values are uniform, on a thousand tables of known truth."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import statsmodels.api as sm
import xarray as xr
from scipy import special, stats

from analysis import critical_widths
from analysis.transitions.intervals import crossing_bounds, median_of_bounds
from pipeline.trial_status import Status

K = np.unique(np.geomspace(100, 400, 24).astype(int))
TRUTH, SPREAD, TABLES = 200.0, 0.1, 1000
CHANCE = {"logistic": special.expit, "probit": special.ndtr}
QUANTILE = {"logistic": special.logit, "probit": special.ndtri}

every_kind = pytest.mark.parametrize(
    ("nested", "seeds", "link"),  # each with each of any other
    [(True, 20, "logistic"), (True, 40, "probit"), (False, 20, "probit"), (False, 40, "logistic")],
)


def tables(
    nested: bool, seeds: int, link: str, entropy: int = 7, repeats: int = TABLES
) -> tuple[xr.Dataset, np.ndarray]:
    """A store of many cells alike, and who succeeded: (table, width, seed)."""
    rng = np.random.default_rng(entropy)
    drawn = rng.random((repeats, 1 if nested else len(K), seeds))
    won = drawn <= CHANCE[link](np.log(K / TRUTH) / SPREAD)[:, None]
    return store(won, nested), won


def store(won: np.ndarray, nested: bool, k: np.ndarray = K) -> xr.Dataset:
    status = np.ones(won.shape, np.int8)
    coords = {"n": np.arange(len(won)), "seed": np.arange(won.shape[2]), "k": ("width", k)}
    return xr.Dataset({"status": (("n", "width", "seed"), status)}, coords, {"nested": int(nested)})


def fitted(ds: xr.Dataset, won: np.ndarray, **asked: object) -> xr.Dataset:
    success = xr.DataArray(won, dims=("n", "width", "seed"))
    return critical_widths(ds, success=success, **{"resamples": 200, "tables": 0, **asked})


@functools.cache
def answers(nested: bool, seeds: int, link: str) -> xr.Dataset:
    return fitted(*tables(nested, seeds, link), link=link)


def coverage(widths: xr.Dataset, name: str, truth: float) -> float:
    return float(((widths[f"{name}_low"] <= truth) & (truth <= widths[f"{name}_high"])).mean())


@pytest.mark.simulation
@every_kind
def test_intervals_over_seeds_cover(nested: bool, seeds: int, link: str) -> None:
    widths = answers(nested, seeds, link)
    assert (widths.outcome == "fitted").all()
    assert 0.93 <= coverage(widths, "k50", TRUTH) <= 0.97
    assert 0.93 <= coverage(widths, "k50_isotonic", TRUTH) <= 0.97
    assert 0.93 <= coverage(widths, "slope", 1 / SPREAD) <= 0.97
    ratio = np.exp(SPREAD * (QUANTILE[link](0.9) - QUANTILE[link](0.1)))
    assert coverage(widths, "transition_width", ratio) == coverage(widths, "slope", 1 / SPREAD)


@every_kind
def test_p_values_of_the_right_curve_are_uniform(nested: bool, seeds: int, link: str) -> None:
    ds, won = tables(nested, seeds, link, repeats=300)
    p = fitted(ds, won, link=link, resamples=2, tables=199).fit_p.values
    # By simulation from an estimate, so not to the last per cent.
    for share in (0.25, 0.5, 0.75):
        assert (p <= share).mean() == pytest.approx(share, abs=0.12)
    assert 0.005 <= (p <= 0.05).mean() <= 0.09


@pytest.mark.simulation
@pytest.mark.parametrize("link", CHANCE)
def test_parameters_are_recovered_and_bias_shrinks_with_seeds(link: str) -> None:
    few, many = answers(True, 20, link), answers(True, 40, link)
    whole = fitted(*tables(True, 4000, link, repeats=2), link=link, resamples=1)
    for widths in (few, many):
        assert float(np.log(widths.k50 / TRUTH).mean()) == pytest.approx(0, abs=0.004)
    assert whole.k50.values == pytest.approx(TRUTH, rel=0.01)
    assert whole.slope.values == pytest.approx(1 / SPREAD, rel=0.05)
    biases = [float((widths.slope * SPREAD).mean() - 1) for widths in (few, many)]
    assert 0 < biases[1] < 0.7 * biases[0]


# ---- of the slope


@pytest.mark.simulation
@every_kind
def test_the_slope_s_interval_lies_around_a_slope_without_the_bias_of_few_seeds(
    nested: bool, seeds: int, link: str
) -> None:
    widths = answers(nested, seeds, link)
    middle = np.log(SPREAD**2 * widths.slope_low * widths.slope_high) / 2
    error = float(middle.std()) / np.sqrt(TABLES)
    assert float(middle.mean()) == pytest.approx(0, abs=3 * error)
    assert float(np.log(SPREAD * widths.slope).mean()) > 2 * error
    assert ((widths.slope_low < widths.slope) & (widths.slope < widths.slope_high)).all()


@pytest.mark.simulation
@every_kind
def test_the_slope_of_a_transition_hardly_wider_than_a_step_has_bounds(
    nested: bool, seeds: int, link: str
) -> None:
    step = np.log(K[-1] / K[0]) / (len(K) - 1)
    spread = 1.3 * step / (QUANTILE[link](0.9) - QUANTILE[link](0.1))
    rng = np.random.default_rng(17)
    place = np.log(TRUTH) + step * rng.uniform(-0.5, 0.5, (500, 1, 1))  # anywhere between two widths
    drawn = rng.random((500, 1 if nested else len(K), seeds))
    won = drawn <= CHANCE[link]((np.log(K)[:, None] - place) / spread)
    widths = fitted(store(won, nested), won, link=link, resamples=1)
    widths = widths.isel(n=(widths.outcome == "fitted").values)
    assert widths.sizes["n"] > 0.7 * 500  # the others are separated, and have no slope
    assert (widths.slope_low > 0).all()
    assert np.isfinite(widths.transition_width_high).all()
    # No estimate is much too steep for the grid, so hardly any interval lies above the truth.
    assert 0.95 <= coverage(widths, "slope", 1 / spread) <= 0.995
    assert float((widths.slope_low > 1 / spread).mean()) <= 0.005


def test_the_slope_s_interval_is_that_of_curves_with_most_of_a_seed_taken_out() -> None:
    ds, won = tables(True, 12, "logistic", repeats=1)
    cell = fitted(ds, won, resamples=1).squeeze()
    table, x = won[0].astype(float), sm.add_constant(np.log(K))
    slopes = []
    for seed in range(-1, 12):
        weight = np.where(np.arange(12) == seed, 0.25, 1.0)
        share, trials = (table @ weight) / weight.sum(), np.full(len(K), weight.sum())
        model = sm.GLM(share, x, sm.families.Binomial(), var_weights=trials)
        slopes.append(model.fit(tol=1e-14).params[1])
    moves = np.log(slopes[1:]) - np.log(slopes[0])
    middle = float(np.log(cell.slope_low * cell.slope_high)) / 2
    assert middle == pytest.approx(np.log(slopes[0]) - moves.sum() / 0.75**2, abs=1e-6)
    influence = (moves - moves.mean()) / 0.75
    equal = min(3 * 12 / stats.kurtosis(influence, fisher=False), 12)
    error = np.sqrt(12 * influence.var() * equal / (equal - 1))
    half = float(np.log(cell.slope_high / cell.slope_low)) / 2
    assert half == pytest.approx(stats.t.ppf(0.975, equal - 1) * error, rel=1e-5)


@pytest.mark.parametrize("seeds", [10, 40])
def test_a_slope_s_interval_reaches_down_to_0_where_width_does_not_matter(seeds: int) -> None:
    rng = np.random.default_rng(19)
    own = rng.choice([0.3, 0.7], size=(500, 1, seeds))  # what seeds differ in says nothing of widths
    won = rng.random((500, len(K), seeds)) < own
    widths = fitted(store(won, nested=False), won, resamples=1)
    risen = float((widths.slope_low > 0).mean())
    assert 0.01 <= risen <= 0.045  # 2.5% of all, and that by chance
    level = widths.isel(n=(widths.slope_low == 0).values)
    assert np.isinf(level.transition_width_high.where(level.outcome == "fitted", np.inf)).all()


@pytest.mark.parametrize("seeds", [2, 3, 6])
def test_few_seeds_and_seeds_that_are_all_alike_tell_no_interval(seeds: int) -> None:
    won = np.array([[0, 0, 1, 0, 1, 1]] * seeds, dtype=bool).T[None]
    k = np.geomspace(100, 400, 6).astype(int)
    cell = fitted(store(won, True, k), won, resamples=1).squeeze()
    assert cell.outcome == "fitted"
    assert (float(cell.slope_low), float(cell.slope_high)) == (0, np.inf)
    assert (float(cell.k50_low), float(cell.k50_high)) == (0, np.inf)


# ---- of independent trials


@pytest.mark.simulation
@pytest.mark.parametrize(("seeds", "link"), [(20, "logistic"), (40, "probit")])
def test_the_profile_covers_where_trials_are_independent(seeds: int, link: str) -> None:
    widths = fitted(*tables(False, seeds, link), link=link, interval="profile", resamples=2)
    assert 0.93 <= coverage(widths, "k50", TRUTH) <= 0.97


@pytest.mark.simulation
def test_a_profile_of_nested_widths_would_cover_far_too_little() -> None:
    ds, won = tables(True, 40, "logistic", repeats=300)
    unaware = ds.assign_attrs(nested=0)
    assert coverage(fitted(unaware, won, interval="profile", resamples=2), "k50", TRUTH) < 0.8


@pytest.mark.simulation
def test_the_profile_is_too_short_where_data_sets_differ_and_resampled_seeds_are_not() -> None:
    rng = np.random.default_rng(11)
    own = TRUTH * np.exp(0.1 * rng.normal(size=(300, 1, 20)))  # a critical width for each data set
    won = rng.random((300, len(K), 20)) <= special.ndtr(np.log(K[:, None] / own) / 0.1)
    ds = store(won, nested=False)
    asked = {"link": "probit", "resamples": 200}
    assert coverage(fitted(ds, won, interval="profile", **asked), "k50", TRUTH) < 0.8
    assert coverage(fitted(ds, won, **asked), "k50", TRUTH) >= 0.92


@pytest.mark.parametrize("nested", [True, False])
def test_success_that_levels_off_is_found_out(nested: bool) -> None:
    ds, won = tables(nested, 40, "logistic", repeats=60)
    able = np.random.default_rng(3).random((60, 1 if nested else len(K), 40)) < 0.8
    p = fitted(ds, won & able, resamples=2, tables=199).fit_p.values
    assert (p <= 0.05).mean() > 0.9


@pytest.mark.simulation
def test_seeds_tried_at_few_widths_of_their_own_are_enough() -> None:
    # A coarse pass of 12 seeds; the others were tried at two or three neighbouring widths near k*.
    seeds, rng = 40, np.random.default_rng(13)
    ds, won = tables(True, seeds, "logistic", entropy=14)
    start = rng.integers(9, 13, size=(TABLES, 1, seeds))
    near = np.arange(len(K))[:, None] - start
    tried = (near >= 0) & (near < rng.integers(2, 4, size=start.shape))
    tried[:, :, :12] = (np.arange(len(K)) % 4 == 1)[:, None]
    ds["status"] = ds.status.where(tried, Status.NOT_REQUESTED).astype(np.int8)
    widths = fitted(ds, won)
    assert (widths.outcome == "fitted").mean() > 0.99
    assert 0.93 <= coverage(widths, "k50", TRUTH) <= 0.97
    assert 0.93 <= coverage(widths, "k50_isotonic", TRUTH) <= 0.97
    assert float(np.log(widths.k50 / TRUTH).mean()) == pytest.approx(0, abs=0.004)
    # Seeds between bounds leave the median open; the interval is there, and covers no less.
    step = float(K[K >= TRUTH].min())
    assert coverage(widths, "k_crossing", step) >= 0.93


# ---- crossings of the seeds themselves


@pytest.mark.parametrize("seeds", [20, 40])
def test_order_statistics_cover_the_median_crossing(seeds: int) -> None:
    rng = np.random.default_rng(5)
    fine = np.geomspace(50, 800, 4000)  # hardly two seeds cross at one width
    truth = fine[fine >= TRUTH].min()
    covered = []
    for _ in range(TABLES):
        won = fine >= TRUTH * np.exp(SPREAD * rng.logistic(size=(seeds, 1)))
        bounds = crossing_bounds(won, np.ones_like(won), fine)
        _, low, high = median_of_bounds(*bounds, 0.95)
        covered.append(low <= truth <= high)
    assert 0.93 <= np.mean(covered) <= 0.97  # whole ranks: 95.9% of 20 seeds, 96.2% of 40


@pytest.mark.simulation
@pytest.mark.parametrize(("seeds", "link"), [(20, "logistic"), (40, "probit")])
def test_on_a_coarse_grid_ties_only_widen_the_crossing_s_interval(seeds: int, link: str) -> None:
    widths = answers(True, seeds, link)
    assert coverage(widths, "k_crossing", float(K[K >= TRUTH].min())) >= 0.95


def test_a_crossing_between_untried_widths_has_bounds() -> None:
    k = np.array([10.0, 20, 30, 40, 50])
    tried = np.array(
        [[1, 1, 1, 1, 1], [0, 1, 1, 0, 0], [1, 0, 0, 1, 0], [0, 0, 1, 0, 1], [0, 1, 0, 0, 0]]
    )
    won = np.array(
        [[0, 1, 0, 1, 1], [0, 0, 1, 0, 0], [0, 0, 0, 1, 0], [0, 0, 1, 0, 1], [0, 0, 0, 0, 0]]
    )
    low, high = crossing_bounds(won > 0, tried > 0, k)
    assert low.tolist() == [40, 30, 20, 0, 30]
    assert high.tolist() == [40, 30, 40, 30, np.inf]


def test_the_median_of_bounds_is_named_only_where_they_settle_it() -> None:
    low, high = np.array([10.0, 30, 30, 30, 40]), np.array([20.0, 30, 30, 30, np.inf])
    assert median_of_bounds(low, high, 0.5) == (30, 30, 30)
    assert median_of_bounds(low, high, 0.9) == (30, 10, np.inf)
    open_ = median_of_bounds(np.array([10.0, 10, 40]), np.array([20.0, 20, 40]), 0.95)
    assert np.isnan(open_[0])
    assert open_[1:] == (0, np.inf)  # three seeds bound no median at 95%


def test_the_binomial_profile_equals_its_definition() -> None:
    ds, won = tables(False, 20, "logistic", repeats=1)
    cell = fitted(ds, won, interval="profile", resamples=2).squeeze()
    s, x = won[0].sum(axis=1), np.log(K)

    def likelihood(place: float) -> float:
        slopes = np.linspace(2, 30, 20001)[:, None]
        eta = slopes * (x - place)
        return float((s * eta - 20 * np.logaddexp(0, eta)).sum(axis=1).max())

    best = likelihood(float(np.log(cell.k50)))
    for end in (cell.k50_low, cell.k50_high):
        drop = 2 * (best - likelihood(float(np.log(end))))
        assert drop == pytest.approx(stats.chi2.ppf(0.95, 1), abs=1e-3)
