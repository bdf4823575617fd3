"""Critical widths of simulated outcomes whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
import xarray as xr

from analysis.curves import fit_curves
from analysis.transitions import critical_widths, success_counts

K = np.unique(np.geomspace(100, 400, 24).astype(int))
TRUTH = 200.0


def dataset(won: np.ndarray, k: np.ndarray = K, **replaced: np.ndarray) -> xr.Dataset:
    """A store of one cell in which trial (width, seed) succeeds where `won` says so."""
    widths, seeds = won.shape
    shape = (1, 1, widths, seeds)
    over = ("d", "n", "width", "seed")
    arrays = {
        "sigma_min": np.where(won, 1.0, 0.1).reshape(shape) * np.sqrt(k)[:, None],
        "status": np.ones(shape, dtype=np.int8),
        "alpha": np.ones((1, 1, seeds)),
        "kernel_eigenvalues": np.ones((1, 1, seeds, 50)),
    } | replaced
    return xr.Dataset(
        {
            "sigma_min": (over, arrays["sigma_min"]),
            "status": (over, arrays["status"]),
            "alpha": (("d", "n", "seed"), arrays["alpha"]),
            "kernel_eigenvalues": (("d", "n", "seed", "index"), arrays["kernel_eigenvalues"]),
        },
        {"d": [20], "n": [50], "seed": np.arange(seeds), "k": ("width", k)},
        {"nested": 1, "experiment": "conditioning", "name": "simulated"},
    )


def nested(seeds: int, rng: np.random.Generator, spread: float = 0.1) -> np.ndarray:
    """Every seed has a threshold of its own: log k* logistic around the truth."""
    thresholds = TRUTH * np.exp(spread * rng.logistic(size=seeds))
    return K[:, None] >= thresholds


def independent(seeds: int, rng: np.random.Generator, spread: float = 0.1) -> np.ndarray:
    chance = 1 / (1 + np.exp(-np.log(K / TRUTH) / spread))
    return rng.random((len(K), seeds)) < chance[:, None]


def test_logistic_fit_equals_a_generalised_linear_model() -> None:
    rng = np.random.default_rng(0)
    successes = independent(40, rng).sum(axis=1).astype(float)
    trials = np.full(len(K), 40.0)
    x = np.log(K)
    intercept, slope = fit_curves(x, successes[None], trials[None])
    model = sm.GLM(np.c_[successes, trials - successes], sm.add_constant(x), sm.families.Binomial())
    a, b = model.fit(tol=1e-14).params
    assert intercept[0] == pytest.approx(a, rel=1e-8)
    assert slope[0] == pytest.approx(b, rel=1e-8)


@pytest.mark.parametrize("outcomes", [nested, independent])
def test_a_known_width_and_slope_are_recovered(outcomes) -> None:
    cell = critical_widths(dataset(outcomes(2000, np.random.default_rng(1)))).squeeze()
    assert cell.outcome == "fitted"
    assert float(cell.k50) == pytest.approx(TRUTH, rel=0.03)
    assert float(cell.transition_width) == pytest.approx(9 ** (2 * 0.1), rel=0.1)


@pytest.mark.slow
def test_intervals_cover_on_nested_data_where_binomial_ones_do_not() -> None:
    rng = np.random.default_rng(2)
    covered = naive = 0
    repeats = 300
    for _ in range(repeats):
        won = nested(40, rng)
        cell = critical_widths(dataset(won), resamples=400).squeeze()
        covered += bool(cell.k50_low <= TRUTH <= cell.k50_high)
        counts = np.c_[won.sum(axis=1), (~won).sum(axis=1)]
        fit = sm.GLM(counts, sm.add_constant(np.log(K / TRUTH)), sm.families.Binomial()).fit()
        naive += bool(fit.conf_int()[0][0] <= 0 <= fit.conf_int()[0][1])
    assert 0.90 <= covered / repeats <= 0.99
    assert naive / repeats < 0.8


def test_separated_outcomes_have_a_bracket_and_no_slope() -> None:
    won = np.repeat((K >= TRUTH)[:, None], 30, axis=1)
    cell = critical_widths(dataset(won)).squeeze()
    assert cell.outcome == "separated"
    assert np.isnan(cell.transition_width)
    assert float(cell.k50_low) == pytest.approx(K[K < TRUTH].max())
    assert float(cell.k50_high) == pytest.approx(K[K >= TRUTH].min())


@pytest.mark.parametrize("success", [True, False])
def test_a_grid_that_does_not_reach_the_transition_is_censored(success: bool) -> None:
    cell = critical_widths(dataset(np.full((len(K), 20), success))).squeeze()
    assert cell.outcome == "censored"
    assert np.isnan(cell.k50)


def test_success_against_an_alpha_of_zero_is_degenerate() -> None:
    won = nested(20, np.random.default_rng(3))
    cell = critical_widths(dataset(won, alpha=np.zeros((1, 1, 20)))).squeeze()
    assert cell.outcome == "degenerate"
    assert np.isnan(cell.k50)


def test_failed_and_pending_trials_are_not_counted() -> None:
    won = nested(40, np.random.default_rng(4))
    status = np.ones((1, 1, len(K), 40), dtype=np.int8)
    status[..., 20:30], status[..., 30:] = 2, 0
    ds = dataset(won, status=status)
    cell = critical_widths(ds).squeeze()
    alone = critical_widths(dataset(won[:, :20])).squeeze()
    assert float(cell.k50) == pytest.approx(float(alone.k50), rel=1e-9)
    assert int(cell.failed) == int(cell.pending) == 10 * len(K)
    assert int(success_counts(ds).trials.sum()) == 20 * len(K)


def test_an_empty_cell_is_named_so() -> None:
    won = nested(5, np.random.default_rng(5))
    cell = critical_widths(dataset(won, status=np.zeros((1, 1, len(K), 5), np.int8))).squeeze()
    assert cell.outcome == "empty"


def test_the_answer_does_not_depend_on_the_order_of_the_seeds() -> None:
    won = nested(40, np.random.default_rng(6))
    first = critical_widths(dataset(won)).squeeze()
    second = critical_widths(dataset(won[:, ::-1])).squeeze()
    assert float(first.k50) == pytest.approx(float(second.k50), rel=1e-9)


def test_widths_scale() -> None:
    won = nested(40, np.random.default_rng(7))
    one, three = (
        critical_widths(dataset(won)).squeeze(),
        critical_widths(dataset(won, k=3 * K)).squeeze(),
    )
    assert float(three.k50) == pytest.approx(3 * float(one.k50), rel=1e-9)


def test_crossings_agree_with_the_curve() -> None:
    cell = critical_widths(dataset(nested(400, np.random.default_rng(8)))).squeeze()
    assert float(cell.k_crossing) == pytest.approx(float(cell.k50), rel=0.07)  # one step of the grid


def test_the_predicted_width_of_the_identity_is_four_n() -> None:
    cell = critical_widths(dataset(nested(10, np.random.default_rng(9)))).squeeze()
    assert float(cell.k_edge) == pytest.approx(200, rel=1e-9)


# ---- success as an expression


def test_the_paper_s_rule_written_out_gives_the_paper_s_widths() -> None:
    ds = dataset(nested(30, np.random.default_rng(5)))
    rule = "sigma_min/sqrt(k) >= 0.5*alpha"
    built_in, written = critical_widths(ds), critical_widths(ds, success=rule)
    for name in ("k50", "k50_low", "k50_high", "k_crossing", "outcome"):
        assert built_in[name].equals(written[name])
    assert written.attrs["rule"] == rule


def test_an_expression_about_alpha_is_degenerate_where_alpha_is_zero() -> None:
    ds = dataset(nested(30, np.random.default_rng(5)))
    none = ds.assign(alpha=ds.alpha * 0)
    assert critical_widths(none, success="sigma_min >= 0.5 * alpha").outcome.item() == "degenerate"
    assert critical_widths(none, success="sigma_min / sqrt(k) >= 0.5").outcome.item() == "fitted"


def test_an_expression_that_is_no_condition_is_refused() -> None:
    ds = dataset(nested(3, np.random.default_rng(5)))
    with pytest.raises(ValueError, match="compare it with something"):
        critical_widths(ds, success="sigma_min / alpha")
    with pytest.raises(ValueError, match="did you mean 'sigma_min'"):
        critical_widths(ds, success="sigma_mn / alpha > 1")
