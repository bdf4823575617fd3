"""Success that falls and rises again has no critical width, and the answer says where it does so."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy import special

from analysis import critical_widths
from analysis.comparison import answer_of
from analysis.transitions.disorder import fall_of, falls

K = np.array([20, 50, 80, 90, 100, 110, 125, 150, 200, 300, 500])
DOUBLE_DESCENT = [15, 15, 1, 0, 0, 0, 0, 15, 15, 15, 15]
"""Features of n = 100 samples, whose least singular value is small near k = n: 15 seeds each."""


def stored(wins: list[int], seeds: int, axis: str = "width", values: np.ndarray = K) -> xr.Dataset:
    """A store of one cell with so many successful seeds at each value."""
    won = np.arange(seeds) < np.array(wins)[:, None]
    dims = ("d", "n", axis, "seed") if axis == "width" else (axis, "d", "n", "width", "seed")
    shaped = won[None, None] if axis == "width" else won[:, None, None, None]
    sizes = {"d": [5], "n": [100], "seed": np.arange(seeds)}
    width = {"k": ("width", values)} if axis == "width" else {axis: values, "k": ("width", [7])}
    arrays = {"status": (dims, np.ones(shaped.shape, np.int8)), "ok": (dims, shaped.astype(float))}
    return xr.Dataset(arrays, sizes | width, {"nested": 1, "experiment": "mine", "width_unit": "k"})


def test_success_that_falls_and_rises_again_is_unordered_and_the_note_says_where() -> None:
    answer = answer_of(stored(DOUBLE_DESCENT, 15), success="ok > 0")
    (cell,) = answer.cells.to_dict("records")
    assert cell["outcome"] == "unordered"
    assert np.isnan([cell["k50"], cell["fit_p"], cell["transition_width"]]).all()
    assert (cell["falls_from"], cell["rises_from"]) == (50, 125)
    note = answer.notes[0]
    assert "success falls from k = 50 on and rises from k = 125 on" in note


def test_success_that_ends_above_a_half_is_unordered_too_where_it_was_called_censored() -> None:
    wins = [15, 15, 14, 1, 0, 3, 13, 15, 15, 15, 15]
    cell = critical_widths(stored(wins, 15), success="ok > 0").squeeze()
    assert cell.outcome == "unordered"
    assert float(cell.falls_from) == pytest.approx(80)
    assert float(cell.rises_from) == pytest.approx(110)


def test_success_that_falls_for_good_is_unordered_without_a_rise() -> None:
    cell = critical_widths(
        stored([0, 0, 2, 9, 15, 15, 15, 15, 8, 1, 0], 15), success="ok > 0"
    ).squeeze()
    assert cell.outcome == "unordered"
    assert float(cell.falls_from) == pytest.approx(200)
    assert np.isnan(cell.rises_from)


@pytest.mark.parametrize(
    ("wins", "direction", "advice"),
    [
        ([15, 15, 15, 14, 9, 6, 2, 0, 0, 0, 0], "rising", "--direction falling if it falls all along"),
        ([0, 0, 0, 0, 2, 6, 9, 14, 15, 15, 15], "falling", "--direction rising if it rises all along"),
        (DOUBLE_DESCENT, "rising", ""),
    ],
)
def test_success_in_the_other_direction_is_told_with_the_option_that_asks_for_it(
    wins, direction, advice
) -> None:
    answer = answer_of(stored(wins, 15), success="ok > 0", direction=direction)
    (cell,) = answer.cells.to_dict("records")
    assert cell["outcome"] == "unordered"
    note = answer.notes[0]
    assert advice in note
    assert ("--direction" in note) == bool(advice)
    if advice:
        turned = answer_of(stored(wins, 15), success="ok > 0", direction=advice.split()[1])
        assert turned.cells.outcome.tolist() == ["fitted"]


def test_along_an_axis_where_success_falls_the_place_of_disorder_is_named_by_its_values() -> None:
    noise = np.linspace(0.0, 1.0, 11)
    ds = stored([15, 15, 15, 15, 0, 0, 15, 15, 0, 0, 0], 15, "noise", noise)
    answer = answer_of(ds, success="ok > 0", along="noise", direction="falling")
    (cell,) = answer.cells.to_dict("records")
    assert cell["outcome"] == "unordered"
    note = answer.notes[0]
    assert "success falls from noise = 0.3 on and rises from noise = 0.5 on" in note


def test_a_fall_that_few_seeds_show_by_chance_leaves_the_cell_fitted() -> None:
    cell = critical_widths(stored([0, 0, 1, 3, 2, 4, 5, 4, 5, 5, 5], 5), success="ok > 0").squeeze()
    assert cell.outcome == "fitted"
    assert np.isnan(cell.falls_from)


def test_a_bad_curve_that_crosses_outside_the_bracket_gives_way_to_the_isotonic_fit() -> None:
    lam = np.array([0.5, 0.8, 1.0, 1.2, 1.5, 2.0, 3.0])
    ds = stored([2, 2, 3, 7, 10, 10, 10], 10, "lam", lam)
    cell = critical_widths(ds, success="ok > 0", along="lam").squeeze()
    assert cell.outcome == "fitted"
    assert float(cell.fit_p) <= 0.01
    assert float(cell.lam50) == float(cell.lam50_isotonic)
    assert float(cell.lam50_low) == float(cell.lam50_isotonic_low)
    assert (float(cell.bracket_low), float(cell.bracket_high)) == (1.0, 1.2)


def sparse(counts: dict[int, tuple[int, int]], seeds: int = 20) -> xr.Dataset:
    """A store of (successes, trials) at each width, tried at the first seeds only, as refine does."""
    ds = stored([won for won, _ in counts.values()], seeds, values=np.array(list(counts)))
    tried = np.array([tried for _, tried in counts.values()])
    return ds.assign(status=ds.status.where(ds.seed < xr.DataArray(tried, dims="width"), 5))


@pytest.mark.parametrize("few", [1, 2])
def test_a_curve_that_fits_is_believed_against_an_isotonic_fit_of_few_trials(few) -> None:
    """Right and left of k = 100 lie widths of 1 or 2 trials, which all succeed by chance."""
    counts = {80: (4, 20), 95: (few, few), 105: (few, few), 125: (16, 20)}
    cell = critical_widths(sparse(counts), success="ok > 0").squeeze()
    assert cell.outcome == "fitted"
    assert float(cell.fit_p) > 0.01
    assert float(cell.k50_isotonic) < 95
    assert float(cell.k50) == pytest.approx(97, abs=2)
    assert cell.k50_low < cell.k50_isotonic_low
    assert cell.k50_high > 105


@pytest.mark.parametrize("seed", range(30))
def test_the_bracket_encloses_every_critical_width(seed) -> None:
    rng = np.random.default_rng(seed)
    wins = rng.binomial(12, special.expit(np.log(K / 110) / 0.6)).tolist()
    cell = critical_widths(stored(wins, 12), success="ok > 0", resamples=50).squeeze()
    assert cell.outcome in ("fitted", "separated")
    assert float(cell.bracket_low) <= float(cell.k50) <= float(cell.bracket_high)


@pytest.mark.parametrize("seeds", [10, 40])
@pytest.mark.parametrize("spread", [0.2, 2.0, 50.0])
def test_a_single_transition_is_refused_in_at_most_five_percent_of_tables(seeds, spread) -> None:
    rng = np.random.default_rng(1)
    chance = special.expit(np.linspace(-3, 3, 24) / spread)
    won = rng.binomial(seeds, chance, size=(4000, 24)).astype(float)
    refused = falls(won, np.full(won.shape, float(seeds)))
    assert refused.mean() <= 0.05
    # The same test finds a fall that is there: the second half is exchanged.
    won[:, 12:] = seeds - rng.binomial(seeds, 0.95, size=(4000, 12))
    won[:, 6:12] = rng.binomial(seeds, 0.95, size=(4000, 6))
    assert falls(won, np.full(won.shape, float(seeds))).mean() > 0.95


def test_seeds_that_depend_on_themselves_in_any_way_are_refused_no_more_often() -> None:
    rng = np.random.default_rng(2)
    walk = rng.standard_normal((4000, 12, 24)).cumsum(axis=2)  # a share of 1/2 everywhere
    won = (walk > 0).sum(axis=1).astype(float)
    assert falls(won, np.full(won.shape, 12.0)).mean() <= 0.05


def test_widths_without_trials_are_no_evidence() -> None:
    won, tried = np.array([0.0, 20, 0, 20, 20]), np.array([20.0, 20, 0, 20, 20])
    assert fall_of(np.arange(5.0), won, tried) is None
