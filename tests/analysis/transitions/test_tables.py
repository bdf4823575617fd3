"""A cell of many seeds is fitted from its counts: the same answer as from one row a seed."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from analysis import critical_widths, load_store, open_store, success_counts
from analysis.success import rules
from analysis.transitions import tables
from analysis.transitions.tables import MANY, table_of

K = np.unique(np.geomspace(50, 300, 12).round().astype(int))


def simulated(seeds: int, nested: bool, ragged: bool, n: int = 1) -> xr.Dataset:
    """Outcomes of cells whose transition lies near k = 120, some of them not requested."""
    rng = np.random.default_rng(3)
    shape = (n, len(K), seeds)
    draws = rng.logistic(size=(n, 1, seeds) if nested else shape)
    won = np.log(K / 120)[:, None] > 0.1 * draws
    status = np.where(rng.random(shape) < 0.2, 2, 1) if ragged else np.ones(shape)
    over = ("d", "n", "width", "seed")
    return xr.Dataset(
        {
            "sigma_min": (over, (np.where(won, 1.0, 0.1) * np.sqrt(K)[:, None])[None]),
            "status": (over, status[None].astype(np.int8)),
            "alpha": (("d", "n", "seed"), np.ones((1, n, seeds))),
        },
        {"d": [20], "n": 50 + np.arange(n), "seed": np.arange(seeds), "k": ("width", K)},
        {"nested": int(nested), "experiment": "conditioning", "name": "simulated"},
    )


@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("nested", [False, True])
def test_rows_of_equal_outcomes_give_the_answer_of_single_seeds(nested, ragged, monkeypatch) -> None:
    ds = simulated(3 * MANY, nested, ragged)
    counted = critical_widths(ds).squeeze()
    monkeypatch.setattr(tables, "MANY", 10 * MANY)
    single = critical_widths(ds).squeeze()
    assert counted.outcome == single.outcome == "fitted"
    drawn = {"fit_p", "k50_isotonic_low", "k50_isotonic_high"}
    for name in sorted(set(map(str, single.data_vars)) - drawn - {"outcome"}):
        np.testing.assert_allclose(counted[name], single[name], rtol=1e-9, err_msg=name)
    for name in sorted(drawn - {"fit_p"}):  # of other random draws: within a fifth of the interval
        length = float(single.k50_isotonic_high - single.k50_isotonic_low)
        assert abs(float(counted[name] - single[name])) < 0.2 * length
    assert abs(float(counted.fit_p - single.fit_p)) < 0.2
    assert 0 < float(counted.fit_p) < 1


def test_a_table_of_many_seeds_has_a_row_for_each_pattern() -> None:
    rng = np.random.default_rng(0)
    won = K[:, None] > 120 * np.exp(0.1 * rng.logistic(size=20 * MANY))  # success from one width on
    tried = np.ones_like(won)
    table = table_of(won, tried, K)
    assert len(table.won) <= len(K) + 1
    assert table.seeds == 20 * MANY
    successes, trials = table.resampled(50, 0)
    np.testing.assert_array_equal(successes[0], won.sum(axis=1))
    assert (trials == 20 * MANY).all()
    share = won.mean(axis=1)
    spread = np.sqrt(20 * MANY * share * (1 - share))
    some = spread > 10
    np.testing.assert_allclose(successes[1:, some].std(axis=0), spread[some], rtol=0.4)


def test_many_rows_are_drawn_a_part_at_a_time_to_the_same_numbers(monkeypatch) -> None:
    ds = simulated(3 * MANY, nested=False, ragged=True)
    won = ds.sigma_min.values[0, 0] > 0.5 * np.sqrt(K)[:, None]
    table = table_of(won, ds.status.values[0, 0] == 1, K)
    assert len(table.won) > MANY
    whole = table.resampled(40, 5)
    monkeypatch.setattr(tables, "AT_ONCE", 7 * len(table.won))
    for parts, all_at_once in zip(table.resampled(40, 5), whole, strict=True):
        np.testing.assert_array_equal(parts, all_at_once)


@pytest.mark.parametrize("success", [None, "sigma_min / sqrt(k) > 0.5 * alpha"])
def test_outcomes_that_are_read_in_pieces_are_those_of_the_whole(success, monkeypatch) -> None:
    ds = simulated(300, nested=True, ragged=True, n=3)
    ds.status.encoding["preferred_chunks"] = {"d": 1, "n": 1, "width": 5, "seed": 70}
    whole = success_counts(ds, success=success)
    walked = []

    def in_small_pieces(given: xr.Dataset):
        walked.extend(pieces := list(places(given, most=400)))
        return pieces

    places = rules.places
    monkeypatch.setattr(rules, "places", in_small_pieces)
    xr.testing.assert_identical(success_counts(ds, success=success), whole)
    assert len(walked) > 20


def test_a_store_is_fitted_alike_in_memory_and_from_its_chunks(
    tmp_path, make_sweep, monkeypatch
) -> None:
    import pipeline
    from analysis.transitions import summaries, widths

    path = tmp_path / "a.zarr"
    pipeline.run(make_sweep(seeds=30, width="{ k_per_n = [1.2, 1.6, 2.0, 2.5, 3.0, 4.0] }"), path)
    known = critical_widths(load_store(path), resamples=50)
    monkeypatch.setattr(widths, "MOST", 10)  # a large store: only its statuses are read whole
    monkeypatch.setattr(summaries, "SPECTRA", 10)
    for ds in (open_store(path), open_store(path, dask=False)):
        xr.testing.assert_identical(critical_widths(ds, resamples=50), known)
