"""Statistics by group, each against the slow way: all trials in one frame, grouped by pandas."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis import frames, select, summarise
from analysis.expressions import QueryError
from pipeline.trial_status import Status

SIZES = {"activation": 2, "d": 2, "n": 3, "width": 4, "seed": 5}
COLUMNS = ["sigma_min", "sigma_min / sqrt(k)", "alpha"]
BY = ["activation", "d", "n", "k", "width", "seed", "status", "sigma_min > 0", "alpha"]


@pytest.fixture(scope="module")
def ds() -> xr.Dataset:
    """Trials of every status, values that are missing, and widths that two n have in common."""
    rng = np.random.default_rng(3)
    trial, cell = tuple(SIZES), ("activation", "d", "n", "seed")
    status = rng.choice([0, 1, 1, 1, 2, 3, 4], size=tuple(SIZES.values()))
    sigma = rng.standard_normal(status.shape) + 1e6
    sigma[rng.random(status.shape) < 0.1] = np.nan
    sigma[(status == Status.PENDING) | (status == Status.FAILED)] = np.nan
    steps = rng.geometric(0.01, size=(*status.shape, 2)).astype(float)
    steps[rng.random(steps.shape) < 0.2] = np.inf
    alpha = rng.choice([0.25, 0.5, np.nan], size=[SIZES[dim] for dim in cell])
    store = xr.Dataset(
        {
            "status": (trial, status),
            "sigma_min": (trial, sigma),
            "alpha": (cell, alpha),
            "message": (trial, np.full(status.shape, "")),
            "steps_to_tolerance": ((*trial, "tolerance"), steps),
        },
        {
            "activation": ["tanh", "relu"],
            "d": [10, 20],
            "n": [2, 4, 8],
            "seed": range(5),
            "width": [1.0, 2.0, 4.0, 8.0],
            "tolerance": [1e-2, 1e-4],
            "k": (("n", "width"), np.outer([2, 4, 8], [1, 2, 4, 8])),
        },
    )
    store.status.encoding["preferred_chunks"] = {"activation": 1, "d": 1, "n": 1, "width": 4, "seed": 2}
    return store


def slowly(ds: xr.Dataset, expression: str | None, by: list[str]) -> pd.DataFrame:
    """The frame of all trials, grouped: what enters is left, the rest is NaN."""
    frame = select(ds, expression, [*COLUMNS, "status", *by])
    ran = frame["status"].isin(["done", "diverged"])
    values = frame[COLUMNS].where(ran).add_prefix("of ")
    frame = pd.concat([frame[list(dict.fromkeys(by))], values], axis=1)
    grouped = frame.groupby(by, dropna=False) if by else frame.groupby(lambda _: 0)
    known = {"trials": grouped.size()}
    for column in COLUMNS:
        own = grouped[f"of {column}"]
        known |= {f"{name}({column})": own.agg(name) for name in ("count", "mean", "std", "sem")}
        known |= {f"{name}({column})": own.agg(name) for name in ("min", "max", "median")}
        known[f"quantile:0.1({column})"] = own.quantile(0.1)
    return pd.DataFrame(known).reset_index(drop=not by)


STATS = ["count", "mean", "std", "sem", "min", "max", "median", "quantile:0.1"]


@pytest.mark.slow
@settings(max_examples=12)
@given(
    st.lists(st.sampled_from(BY), unique=True, max_size=3),
    st.sampled_from(
        [None, "n >= 4", "k > 4 and d == 20", "alpha < 0.4", "status == 'failed'", "n > 9"]
    ),
    st.sampled_from([1, 30, 100, 10**6]),
)
def test_statistics_are_those_of_the_whole_frame(ds, by, expression, most) -> None:
    found = summarise(ds, expression, COLUMNS, STATS, by, most)
    expected = slowly(ds, expression, by)
    trials = summarise(ds, expression, None, None, by, most)
    assert trials["trials"].tolist() == expected["trials"].tolist()
    assert list(found.columns) == [*by, *(f"{stat}({column})" for column in COLUMNS for stat in STATS)]
    pd.testing.assert_frame_equal(found, expected[list(found)], check_dtype=False, rtol=1e-9)


def test_a_large_mean_does_not_drown_the_deviation(ds) -> None:
    near = ds.assign(sigma_min=ds.sigma_min + 1e9)
    found = summarise(near, None, ["sigma_min"], ["std"], ["d"], most=7)["std(sigma_min)"]
    for d, std in zip([10, 20], found, strict=True):
        part = near.sel(d=d)
        values = part.sigma_min.values[np.isin(part.status, [1, 3]) & ~np.isnan(part.sigma_min)]
        mean = math.fsum(values) / len(values)
        exact = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))
        assert std == pytest.approx(exact, rel=1e-6)


def test_infinite_values_enter(ds) -> None:
    column = "steps_to_tolerance[0.01]"
    found = summarise(
        ds, None, [column], ["count", "mean", "std", "min", "max", "quantile", "median"], ["n"]
    )
    frame = select(ds, "status == 'done' or status == 'diverged'", [column])
    for row, (_, group) in zip(found.itertuples(index=False), frame.groupby("n"), strict=True):
        values = np.sort(group[column])
        assert row[1] == len(values)
        assert row[2] == np.inf
        assert np.isnan(row[3])
        assert row[4:6] == (values[0], np.inf)
        for level, quantile in zip([0.05, 0.25, 0.5, 0.75, 0.95], row[6:11], strict=True):
            below, above = np.floor(level * (len(values) - 1)), np.ceil(level * (len(values) - 1))
            assert values[int(below)] <= quantile <= values[int(above)]
        assert row[11] == row[8]
    assert np.isinf(found[f"quantile:0.95({column})"]).all()


def test_a_further_axis_makes_groups_of_its_own(ds) -> None:
    column, slow = "steps_to_tolerance", "steps_to_tolerance <= 100"
    found = summarise(ds, None, [column, slow], ["median", "share"], ["tolerance", "d"], most=50)
    assert list(zip(found["tolerance"], found["d"], strict=True)) == [
        (tolerance, d) for tolerance in (1e-4, 1e-2) for d in (10, 20)
    ]
    for row in found.itertuples(index=False):
        part = ds.sel(d=row.d).sel({"tolerance": row.tolerance})
        values = part.steps_to_tolerance.values[np.isin(part.status, [1, 3])]
        assert row[2] == np.quantile(values, 0.5)
        assert row[3] == np.mean(values <= 100)
    assert list(summarise(ds, None, None, ["max"], ["tolerance"]).columns[-1:]) == [f"max({column})"]


def test_a_condition_has_a_share(ds) -> None:
    success = "steps_to_tolerance(0.01) <= 200 and status == 'done'"
    found = summarise(ds, "n != 4", [success], ["share", "count"], ["n"])
    for row in found.itertuples(index=False):
        part = ds.sel(n=row.n)
        ran = np.isin(part.status, [Status.DONE, Status.DIVERGED])
        won = (part.steps_to_tolerance.isel({"tolerance": 0}) <= 200) & (part.status == Status.DONE)
        assert row[1] == won.values.sum() / ran.sum()
        assert row[2] == ran.sum()


def test_each_statistic_is_of_the_columns_that_it_suits(ds) -> None:
    found = summarise(ds, None, ["sigma_min", "sigma_min > 1e6", "message"], ["mean", "share", "count"])
    assert list(found) == [
        *("mean(sigma_min)", "count(sigma_min)"),
        *("share(sigma_min > 1e6)", "count(sigma_min > 1e6)", "count(message)"),
    ]
    assert len(found) == 1


def test_without_columns_all_numbers_are_described(ds) -> None:
    found = summarise(ds, None, None, ["max"])
    assert list(found) == [
        *("max(sigma_min)", "max(alpha)"),
        *("max(steps_to_tolerance[0.01])", "max(steps_to_tolerance[0.0001])"),
    ]


def test_columns_without_statistics_are_counted(ds) -> None:
    found = summarise(ds, None, ["sigma_min"], None, ["status"])
    assert list(found) == ["status", "trials", "count(sigma_min)"]
    by_word = found.set_index("status")
    assert by_word.loc["failed", "trials"] == (ds.status == Status.FAILED).sum() > 0
    assert by_word.loc["failed", "count(sigma_min)"] == 0
    assert "excluded" not in by_word.index


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"stats": ["meen"]}, "unknown statistic 'meen' .did you mean 'mean'"),
        ({"stats": ["mean:2"]}, "unknown statistic 'mean:2'"),
        ({"stats": ["quantile:1.5"]}, "got '1.5'; expected a number from 0 to 1"),
        ({"stats": ["quantile:x"]}, "got 'x'; expected a number from 0 to 1"),
        ({"by": ["activaton"]}, "by 'activaton': unknown name 'activaton' .did you mean 'activation'"),
        ({"by": ["n", "d", "n"]}, "by 'n': it is given twice"),
        ({"by": ["steps_to_tolerance"]}, r"select one, as in steps_to_tolerance\[0.01\]"),
        ({"columns": ["sigma_mim"]}, "column 'sigma_mim': unknown name .*did you mean 'sigma_min'"),
        ({"columns": ["steps_to_tolerance + 1"], "stats": ["max"]}, "several values per trial"),
        ({"columns": ["message"], "stats": ["mean"]}, "column 'message': text has only count"),
        (
            {"columns": ["alpha > 0"], "stats": ["mean"]},
            "column 'alpha > 0': a condition has share and count",
        ),
        (
            {"columns": ["alpha"], "stats": ["mean", "share"]},
            "share: it is not defined for any of the columns alpha",
        ),
        ({"by": ["tolerance"], "columns": ["alpha"]}, "by 'tolerance': neither a column"),
        ({"expression": "sigma_mim > 0"}, "did you mean 'sigma_min'"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_what_could(ds, asked, said) -> None:
    with pytest.raises(QueryError, match=said):
        summarise(ds, **asked)


@pytest.mark.parametrize("by", [[], ["n", "status"]])
def test_where_nothing_is_met_there_is_no_group(ds, by) -> None:
    found = summarise(ds, "n > 100", ["alpha"], ["mean", "count", "median"], by)
    assert list(found) == [*by, "mean(alpha)", "count(alpha)", "median(alpha)"]
    assert not len(found)
    assert not len(summarise(ds, "alpha > 9", ["alpha"], ["mean"], by))


# ---- rows


@pytest.mark.slow
@settings(max_examples=20)
@given(
    st.sampled_from([None, "n >= 4", "k > 4", "alpha < 0.4 and d == 10", "n > 9", "sigma_min > 1e9"]),
    st.sampled_from([1, 20, 60, 10**6]),
    st.none() | st.integers(0, 300),
)
def test_frames_are_the_rows_of_a_selection(ds, expression, most, limit) -> None:
    parts = list(frames(ds, expression, COLUMNS, limit, most))
    assert len(parts) == 1 or all(len(part) for part in parts)
    for part in parts:
        assert part.dtypes.equals(parts[0].dtypes)
    found, whole = pd.concat(parts, ignore_index=True), select(ds, expression, COLUMNS)
    if limit is None:
        places = list(SIZES)
        in_order = whole.sort_values(places, ignore_index=True)
        pd.testing.assert_frame_equal(found.sort_values(places, ignore_index=True), in_order)
    if most >= 20:  # a cell fits: the order is that of the dims
        pd.testing.assert_frame_equal(found, whole[:limit].reset_index(drop=True))


def test_a_column_may_be_an_expression(ds) -> None:
    found = select(ds, "d == 10", ["sigma_min/sqrt(k)", " max(alpha, 0.3) ", "alpha > 0.3", "2"])
    assert list(found.columns[-4:]) == ["sigma_min/sqrt(k)", "max(alpha, 0.3)", "alpha > 0.3", "2"]
    part = ds.sel(d=10)
    kept = part.status.values.ravel() != Status.EXCLUDED
    truth = (part.sigma_min / np.sqrt(part.k)).transpose(*part.status.dims).values.ravel()
    np.testing.assert_array_equal(found["sigma_min/sqrt(k)"], truth[kept])
    assert found["alpha > 0.3"].dtype == bool
    assert (found["2"] == 2).all()
