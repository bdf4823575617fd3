"""A store as one table: a trial is a row, and has more rows only along an axis that is asked for."""

from __future__ import annotations

import numpy as np
import pytest

import pipeline
from analysis import frame, open_store
from pipeline import store as stores
from pipeline.errors import ParameterError
from pipeline.execution.compute import compute_block


@pytest.fixture(scope="module")
def path(tmp_path_factory, make_sweep):
    path = tmp_path_factory.mktemp("table") / "small.zarr"
    pipeline.run(make_sweep(), path)
    return path


def test_a_trial_is_one_row_though_its_kernel_has_many_eigenvalues(path) -> None:
    ds = open_store(path)
    table = frame(ds)
    assert len(table) == ds.status.size
    assert "kernel_eigenvalues" not in table
    row = table[(table.d == 5) & (table.n == 12) & (table.width == 2.0) & (table.seed == 3)]
    at = ds.sel(d=5, n=12, width=2.0, seed=3)
    assert row.sigma_min.item() == float(at.sigma_min)
    assert row.alpha.item() == float(at.alpha)
    assert row.k.item() == 24


def test_along_an_axis_a_trial_has_a_row_for_each_value_that_it_has(path) -> None:
    ds = open_store(path)
    table = frame(ds, "width == 2", along="index")
    assert len(table) == 2 * 8 * (6 + 12)  # d, seeds, and n values of index each: no NaN beyond n
    part = table[(table.d == 3) & (table.n == 6) & (table.seed == 7)]
    assert part["index"].tolist() == list(range(6))
    expected = ds.kernel_eigenvalues.sel(d=3, n=6, seed=7)[:6]
    np.testing.assert_array_equal(part.kernel_eigenvalues, expected)
    assert part.sigma_min.nunique() == 1


def test_a_trial_without_values_has_no_row_along_an_axis(make_sweep, tmp_path) -> None:
    sweep = make_sweep(d="[3]", n="[6]")
    store = stores.create(tmp_path / "half.zarr", sweep, seeds_per_chunk=4)
    tile = next(iter(store.pending_tiles()))
    store.write(tile, [compute_block(sweep, tile.first)])
    ds = open_store(tmp_path / "half.zarr")
    assert frame(ds).status.value_counts().to_dict() == {"done": 12, "pending": 12}
    assert set(frame(ds, along="index").status) == {"done"}
    assert len(frame(ds, "n > 6", along="index")) == 0


def test_the_tolerances_of_a_descent_are_columns_or_rows(make_sweep, tmp_path) -> None:
    keys = {"experiment": "'output'", "d": "[3]", "n": "[6]", "seeds": 2}
    sweep = make_sweep(descent="{ steps = 9, tolerances = [1e-1, 1e-2] }", **keys)
    pipeline.run(sweep, tmp_path / "d.zarr")
    ds = open_store(tmp_path / "d.zarr")
    wide, long = frame(ds), frame(ds, along="tolerance")
    assert len(long) == 2 * len(wide) == 12
    first = long[long.tolerance == 0.1].steps_to_tolerance
    assert first.tolist() == wide["steps_to_tolerance[0.1]"].tolist()
    assert "steps_to_tolerance[0.1]" not in long


def test_an_axis_that_is_not_there_is_refused_with_the_nearest(path) -> None:
    with pytest.raises(ParameterError, match=r"along: got 'indx' \(did you mean 'index'\?\)"):
        frame(open_store(path), along="indx")
