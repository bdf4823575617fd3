"""Laws fitted to critical widths that were made from a known law."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from analysis.scaling import distinguishable, fit_laws
from analysis.scaling import laws as laws_module
from analysis.scaling.fitting import fit_model
from analysis.scaling.laws import determined, free_models

N = np.array([50, 100, 200, 400, 800])
D = np.array([10, 20, 40])
ALPHA = 0.9 * np.exp(-0.1 * np.sqrt(N)[None, :]) * np.sqrt(D)[:, None] / 7


def widths(k50: np.ndarray, error: float = 0.01, outcome: str = "fitted") -> xr.Dataset:
    dims = ("d", "n")
    return xr.Dataset(
        {
            "k50": (dims, k50),
            "k50_low": (dims, k50 * np.exp(-1.96 * error)),
            "k50_high": (dims, k50 * np.exp(1.96 * error)),
            "outcome": (dims, np.full(k50.shape, outcome)),
            "alpha": (dims, ALPHA),
        },
        {"d": D, "n": N},
    )


LAWS = {
    "n": lambda n, d, a: 2.1 * n,
    "n log n": lambda n, d, a: 0.5 * n * np.log(n),
    "n/alpha^2": lambda n, d, a: 0.03 * n / a**2,
    "n log n/alpha^2": lambda n, d, a: 0.03 * n * np.log(n) / a**2,
    "n/d": lambda n, d, a: 30 * n / d,
    "n^2/d": lambda n, d, a: 3 * n**2 / d,
    "n^4/d^3": lambda n, d, a: 3.0 * n.astype(float) ** 4 / d**3,
}


def noisy(law: str, error: float = 0.01) -> np.ndarray:
    exact = LAWS[law](N[None, :], D[:, None], ALPHA) * np.ones_like(ALPHA)
    return exact * np.exp(error * np.random.default_rng(0).standard_normal(exact.shape))


@cache
def fitted(law: str) -> pd.DataFrame:
    """The laws fitted to widths that follow one; no test changes it."""
    return fit_laws(widths(noisy(law)))


@pytest.mark.parametrize("law", LAWS)
def test_the_true_law_ranks_first(law: str) -> None:
    laws = fitted(law)
    assert laws.iloc[0]["law"] == law
    assert laws.iloc[0]["rms_log_residual"] < 0.02


def test_the_constant_is_recovered() -> None:
    assert fitted("n").iloc[0]["constant"] == pytest.approx(2.1, rel=0.01)


def test_the_width_inside_the_logarithm_is_solved_for() -> None:
    k = np.full(ALPHA.shape, 1e4)
    for _ in range(200):
        k = 0.05 * N * np.log(N) * np.log(k) / ALPHA**2
    laws = fit_laws(widths(k)).set_index("law")
    assert laws.loc["n log n log k/alpha^2", "constant"] == pytest.approx(0.05, rel=1e-6)
    assert laws.loc["n log n log k/alpha^2", "rms_log_residual"] < 1e-6


def test_free_exponents_cover_the_truth() -> None:
    free = fitted("n^2/d").set_index("law").loc["free"]
    assert free["exponent_n_low"] <= 2 <= free["exponent_n_high"]
    assert free["exponent_d_low"] <= -1 <= free["exponent_d_high"]
    assert free["exponent_alpha_low"] <= 0 <= free["exponent_alpha_high"]


def test_cells_without_a_critical_width_do_not_enter() -> None:
    given = widths(noisy("n"))
    given["outcome"][0, :] = "censored"
    given["k50"][0, :] = np.nan
    assert (fit_laws(given)["points"] == N.size * (D.size - 1)).all()


def test_too_few_points_are_refused() -> None:
    with pytest.raises(ValueError, match="expected at least 3 cells"):
        fit_laws(widths(noisy("n")).isel(d=[0], n=[0, 1]))


def test_laws_that_differ_by_a_constant_alone_are_one_law() -> None:
    laws = fit_laws(widths(noisy("n")).isel(d=[1]))
    assert "n/d" not in set(laws["law"])
    assert laws.set_index("law").loc["n", "same_as"] == "n/d"
    words = distinguishable(laws)
    assert words.startswith("5 points (n = 50, 100, 200, 400, 800; d = 20) rank n first")
    assert "differs by a constant only from n/d, which fits as well" in words
    assert "n/d" in set(fitted("n")["law"])


@pytest.mark.slow
@pytest.mark.parametrize(("scatter", "variables"), [(0.0, "free n"), (0.02, "free n, d")])
def test_intervals_cover_constant_and_exponent_as_often_as_they_say(scatter, variables) -> None:
    """Points whose errors are known, with and without a scatter beyond them, which is estimated."""
    rng = np.random.default_rng(3)
    n, d = (axis.ravel().astype(float) for axis in np.meshgrid(N, D))
    s = 0.01 * np.exp(0.3 * rng.standard_normal(n.size))
    truth = np.log(2 * n**1.1)
    spread = np.sqrt(s**2 + scatter**2)
    frame = pd.DataFrame({"n": n, "d": d, "alpha": 1 / d + 1 / n, "y": truth, "s": s})
    (model,) = (law.model for law in free_models(frame) if law.name == variables)
    covered = np.zeros(2)
    for _ in range(1000):
        fit = fit_model(model, frame.assign(y=truth + spread * rng.standard_normal(n.size)))
        ends = np.array([fit.interval(place) for place in (0, 1)])
        covered += (ends[:, 0] <= [np.log(2), 1.1]) & ([np.log(2), 1.1] <= ends[:, 1])
    assert (covered / 1000 >= 0.93).all(), covered
    assert (covered / 1000 <= 0.97).all(), covered


GRID = 0.1 * 1.1 ** np.arange(80)
"""Widths per sample, the same for all n."""


def brackets(exact: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The neighbours of exact widths on the grid: no more is known of widths that are separated."""
    above = np.searchsorted(GRID, exact / N)
    return GRID[above - 1] * N, GRID[above] * N


def test_exponents_from_brackets_of_one_grid_cover_the_truth() -> None:
    """All brackets can be off by one factor, so that the residuals do not show their errors."""
    rng = np.random.default_rng(5)
    frame = pd.DataFrame({"n": N, "d": 10, "alpha": np.nan, "bracket": True})
    (model,) = (law.model for law in free_models(frame))
    covered = exact = 0
    for _ in range(200):
        exponent = rng.uniform(0.96, 1.04)
        low, high = brackets(np.exp(rng.uniform(-1, 1)) * N**exponent)
        s = np.log(high / low) / 2 / np.sqrt(3)
        fit = fit_model(model, frame.assign(y=np.log(low * high) / 2, s=s))
        least, most = fit.interval(1)
        covered += least <= exponent <= most
        exact += np.abs(fit.residuals).max() < 1e-9
        assert most - least < 0.2
    assert exact > 20  # in these the residuals would have given an interval of no length
    assert covered >= 186


def test_separated_cells_of_one_grid_do_not_give_an_exponent_without_an_error() -> None:
    low, high = brackets(2.0 * N)
    given = widths(np.sqrt(low * high) * np.ones_like(ALPHA), outcome="separated")
    ends = {"k50_low": low, "k50_high": high}
    given = given.assign({name: (("d", "n"), end * np.ones_like(ALPHA)) for name, end in ends.items()})
    free = fit_laws(given.isel(d=[0])).set_index("law").loc["free n"]
    assert free["rms_log_residual"] < 1e-9
    assert free["exponent_n_low"] < 0.98
    assert free["exponent_n_high"] > 1.02


def test_free_laws_are_nested_and_the_one_with_the_true_variables_leads_them() -> None:
    laws = fitted("n^2/d").set_index("law")
    assert {"free n", "free n, d", "free"} <= set(laws.index)
    free = laws.loc[["free n", "free n, d", "free"]]
    assert free["aicc"].idxmin() == "free n, d"
    assert free["points"].eq(15).all()
    assert determined(pd.DataFrame({"n": [1, 2, 4], "d": [3, 3, 3], "alpha": [1, 1, 2]}))[0][0] == "n"


def test_the_constant_has_an_interval_around_it() -> None:
    law = fitted("n").iloc[0]
    assert law["constant_low"] < 2.1 < law["constant_high"]
    assert law["constant_high"] / law["constant_low"] < 1.02


def test_the_verdict_excludes_the_false_laws_and_tells_how_well_the_largest_n_is_predicted() -> None:
    laws = fitted("n log n")
    words = distinguishable(laws)
    at = "(n = 50, 100, 200, 400, 800; d = 10, 20, 40)"
    assert words.startswith(f"15 points {at} rank n log n first")
    assert "exclude" in words
    assert f"it {laws.iloc[0]['prediction']}" in words
    error = float(laws.iloc[0]["error_largest_n"])
    assert laws.iloc[0]["prediction"] == f"predicts n = 800 to within {np.expm1(error):.1%}"
    assert error < 0.02


@pytest.mark.parametrize(
    ("delta", "verb"),
    [
        (1.9, "cannot tell it from"),
        (2.0, "weakly disfavour"),
        (4.0, "clearly disfavour"),
        (9.9, "clearly disfavour"),
        (10.0, "exclude"),
    ],
)
def test_a_law_is_excluded_from_a_delta_of_ten_on_and_disfavoured_before(delta, verb) -> None:
    laws = fitted("n log n").iloc[:2].reset_index(drop=True)
    laws.loc[1, ["law", "is_free", "delta_aicc"]] = ["n", False, delta]
    words = distinguishable(laws)
    assert f"They {verb} n (" in words
    assert sum(words.count(other) for other in ("cannot tell", "disfavour", "exclude")) == 1


def test_the_telling_n_is_where_two_laws_part_by_more_than_an_interval() -> None:
    """Wide errors leave n and n log n apart only where log n has changed enough."""
    given = widths(noisy("n", 0.001), error=0.15).isel(d=[1])
    laws = fit_laws(given).set_index("law")
    assert laws.index[0] == "n"
    assert np.isnan(laws.loc["n", "telling_n"])
    far = float(laws.loc["n log n", "telling_n"])
    assert 800 < far < 8e6
    # Constants agree at the middle of the points, so the laws have parted by log log n since.
    middle = np.exp(np.mean(np.log(np.log(N))))
    assert np.log(np.log(far) / middle) > 1.96 * 0.15
    assert laws.loc["n log n", "telling_d"] == 20


def test_the_verdict_reads_fields_of_the_table_and_no_words() -> None:
    """Notes and the names of free laws, neither of which it prints, can be reworded."""
    laws = fit_laws(widths(noisy("n")).isel(d=[1]))
    renamed = laws["law"].mask(laws["is_free"], "as it were")
    reworded = laws.assign(note="as free as can be", law=renamed)
    assert distinguishable(reworded) == distinguishable(laws)
    named_free = laws.assign(law=laws["law"].replace("n log n", "free of d"))
    assert "free of d (" in distinguishable(named_free)


def test_a_law_of_ones_own_is_ranked_and_gives_widths(monkeypatch) -> None:
    def log_shape(table: pd.DataFrame) -> np.ndarray:
        return 1.5 * np.log(table["n"].to_numpy(float))

    monkeypatch.setitem(laws_module.LAWS, "n^1.5", laws_module.Law("C n^1.5", log_shape))
    found = fit_laws(widths(0.2 * N**1.5 * np.ones_like(ALPHA)))
    assert found.iloc[0]["law"] == "n^1.5"
    law, table = laws_module.LAWS["n^1.5"], pd.DataFrame({"n": [100], "d": [10], "alpha": [0.5]})
    assert law.width(found.iloc[0]["constant"], table) == pytest.approx([200.0])


def test_a_law_with_log_k_gives_the_width_that_solves_it() -> None:
    table = pd.DataFrame({"n": [100, 400], "d": [10, 10], "alpha": [0.5, 0.3]})
    k = laws_module.LAWS["n log n log k/alpha^2"].width(0.3, table)
    assert k == pytest.approx(0.3 * table.n * np.log(table.n) * np.log(k) / table.alpha**2)


@pytest.mark.parametrize(("alpha", "error"), [(0.0, 0.0), (0.0, 1e-6), (1e-7, 1e-6)])
def test_cells_whose_alpha_is_zero_or_lost_are_left_out_of_all_laws_and_told(alpha, error) -> None:
    known = widths(noisy("n/alpha^2"))
    lost = known.assign(alpha=known.alpha.where(known.n < 800, alpha))
    lost = lost.assign(alpha_error=xr.full_like(known.alpha, 1e-12).where(known.n < 800, error))
    with pytest.warns(UserWarning, match=r"3 of 15 critical widths .* 0 or lost to rounding"):
        laws = fit_laws(lost)
    assert (laws["points"] == 12).all()
    assert laws.iloc[0]["law"] == "n/alpha^2"
    assert laws.iloc[0]["rms_log_residual"] < 0.02


def test_laws_with_alpha_are_left_out_where_no_cell_has_one() -> None:
    none = widths(noisy("n")).assign(alpha=(("d", "n"), np.zeros(ALPHA.shape)))
    with pytest.warns(UserWarning, match="the laws with alpha are left out"):
        laws = fit_laws(none)
    assert (laws["points"] == 15).all()
    assert not laws["law"].str.contains("alpha").any()
