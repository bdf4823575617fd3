"""Critical widths of simulated outcomes whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
import xarray as xr
from sklearn.isotonic import IsotonicRegression

from analysis.transitions import critical_widths, success_counts
from analysis.transitions.curves import deviance, fit_curves
from analysis.transitions.isotonic import isotonic_crossings
from pipeline.trial_status import Status

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


@pytest.mark.parametrize(
    "rule",
    [
        "sigma_min >= 0.3 * alpha * sqrt(k)",
        "0.3 * alpha <= sigma_min / k ** 0.5",
        "sigma_min / (alpha * sqrt(k)) > 3 / 10",
        "sigma_min ** 2 / k >= 0.09 * alpha ** 2",
    ],
)
def test_theorem_2_s_rule_is_known_in_any_arrangement(rule: str) -> None:
    ds = dataset(nested(10, np.random.default_rng(5)))
    built_in, written = critical_widths(ds, 0.3), critical_widths(ds, success=rule)
    assert written.attrs["threshold"] == pytest.approx(0.3, rel=1e-12)
    for name in ("k_edge", "k_edge_finite"):
        np.testing.assert_allclose(written[name], built_in[name], rtol=1e-9)


@pytest.mark.parametrize(
    "rule",
    [
        "sigma_min >= 0.3 * alpha",
        "sigma_min / sqrt(k) <= 0.3 * alpha",
        "sigma_min / sqrt(k) >= 3 * alpha",
        "sigma_min / sqrt(k) >= 0.3 * alpha + 0",
        "sigma_min / sqrt(k) >= 0.3 * alpha and n > 3",
        "sigma_min > alpha * sqrt(k) * (1e-300) ** 2",
        "(1e300) ** 2 * sigma_min > alpha * sqrt(k)",
    ],
)
def test_another_rule_has_no_predicted_width(rule: str) -> None:
    assert "k_edge" not in critical_widths(dataset(nested(10, np.random.default_rng(5))), success=rule)


def test_what_is_missing_is_no_success_even_by_not() -> None:
    ds = dataset(nested(10, np.random.default_rng(5)))
    ds["x"] = ds.status * np.nan
    for rule in ("x > 1", "not (x > 1)", "not (x > 1 and sigma_min > 0)", "not (0 < x < 1)"):
        assert int(success_counts(ds, success=rule).successes.sum()) == 0
    assert int(success_counts(ds, success="not (x > 1 and sigma_min < 0)").successes.min()) == 10


def test_a_diverged_trial_has_failed_whatever_the_condition_says() -> None:
    ds = dataset(nested(10, np.random.default_rng(5)))
    ds["status"] = ds.status * 0 + Status.DIVERGED
    counts = success_counts(ds, success="not (sigma_min < 0)")
    assert (int(counts.successes.sum()), int(counts.trials.sum())) == (0, ds.status.size)


def test_a_condition_of_no_trial_is_refused() -> None:
    ds = dataset(nested(3, np.random.default_rng(5)))
    for rule in ("n > 3", "k >= 100", "alpha > 0.1"):
        with pytest.raises(ValueError, match=r"uses nothing that a trial measured.*sigma_min"):
            critical_widths(ds, success=rule)


def test_a_further_axis_without_an_index_becomes_cells() -> None:
    ds = dataset(nested(20, np.random.default_rng(5)))
    ds["loss"] = ds.sigma_min * xr.DataArray(
        [1.0, 1e-9], dims="tolerance", coords={"tolerance": [1, 2]}
    )
    widths = critical_widths(ds, success="loss / sqrt(k) > 0.5")
    assert widths.outcome.dims == ("d", "n", "tolerance")
    assert widths.outcome.values.ravel().tolist() == ["fitted", "censored"]


# ---- what few data say


def test_one_seed_has_a_bracket_and_no_interval() -> None:
    cell = critical_widths(dataset(nested(1, np.random.default_rng(5)))).squeeze()
    assert cell.outcome == "separated"
    assert cell.bracket_low < cell.k50 < cell.bracket_high
    assert (float(cell.k50_low), float(cell.k50_high)) == (0, np.inf)


def test_parameters_out_of_range_are_refused() -> None:
    ds = dataset(nested(3, np.random.default_rng(5)))
    with pytest.raises(ValueError, match="link: got 'cauchit'; expected one of logistic, probit"):
        critical_widths(ds, link="cauchit")
    with pytest.raises(ValueError, match="interval: got 'exact'"):
        critical_widths(ds, interval="exact")
    with pytest.raises(ValueError, match="widths nest"):
        critical_widths(ds, interval="profile")


def test_probit_curves_equal_a_generalised_linear_model() -> None:
    won = independent(40, np.random.default_rng(0)).sum(axis=1).astype(float)
    x = np.log(K)
    intercept, slope = fit_curves(x, won[None], np.full((1, len(K)), 40.0), "probit")
    family = sm.families.Binomial(sm.families.links.Probit())
    model = sm.GLM(np.c_[won, 40 - won], sm.add_constant(x), family).fit(tol=1e-14)
    assert [intercept[0], slope[0]] == pytest.approx(model.params, rel=1e-8)
    lack = deviance(x, intercept, slope, won[None], np.full((1, len(K)), 40.0), "probit")
    assert lack[0] == pytest.approx(model.deviance, rel=1e-8)


def test_the_isotonic_crossing_is_that_of_the_pooled_fit() -> None:
    rng = np.random.default_rng(1)
    for _ in range(300):
        m = rng.integers(0, 5, 9).astype(float)
        s = rng.binomial(
            m.astype(int), np.clip(np.linspace(-0.2, 1.2, 9) + rng.normal(0, 0.3, 9), 0, 1)
        )
        found = isotonic_crossings(np.arange(9.0), s[None].astype(float), m[None])[0]
        at = np.flatnonzero(m)
        if len(at):
            share = IsotonicRegression().fit_transform(at, s[at] / m[at], sample_weight=m[at])
            assert found == pytest.approx(half(at, share.round(12)), nan_ok=True)


def half(x: np.ndarray, share: np.ndarray) -> float:
    """Where a rising sequence passes 1/2."""
    below, above, level = x[share < 0.5], x[share > 0.5], x[share == 0.5]
    if not len(below) or not len(above):
        return np.nan if not len(below) and not len(above) else np.inf if len(below) else -np.inf
    if len(level):
        return (level[0] + level[-1]) / 2
    low, high = share[share < 0.5][-1], share[share > 0.5][0]
    return below[-1] + (0.5 - low) / (high - low) * (above[0] - below[-1])
