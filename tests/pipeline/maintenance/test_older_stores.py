"""Stores that version 0.4.0 made (format 2) are read, resumed, extended, merged, repaired and refined.

`data/half.zip` has half of its blocks. `data/refined.zip` has two datasets, of which pairs cannot have
an odd n, and was refined once; three requested trials are pending. 0.4.0 gave the status `excluded`
both to trials that cannot exist and to trials that were not requested.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr

import pipeline
from analysis.query.selection import select
from analysis.stores import load_store, open_store
from pipeline import store
from pipeline.errors import StoreError
from pipeline.maintenance.agreement import RELATIVE, one_platform
from pipeline.maintenance.grow import extend, merge, request_trials
from pipeline.maintenance.plan import widened
from pipeline.maintenance.recompute import sample
from pipeline.maintenance.repair import repair
from pipeline.maintenance.verify import damage
from pipeline.store.provenance import provenance
from pipeline.store.template import FORMAT_VERSION
from pipeline.sweep import NUMERICS_VERSION, Request
from pipeline.trial_status import Status

DATA = Path(__file__).with_name("data")

REFINED = {"done": 240, "pending": 3, "failed": 0, "diverged": 0, "damaged": 0}
REFINED |= {"excluded": 5 * 7 * 39, "not_requested": 3 * 7 * 39 - 243}  # of 8 cells, 5 cannot exist


@pytest.fixture
def half(tmp_path):
    return unpacked("half", tmp_path)


@pytest.fixture
def refined(tmp_path):
    return unpacked("refined", tmp_path)


def unpacked(name, folder):
    shutil.unpack_archive(DATA / f"{name}.zip", folder)
    return folder / f"{name}.zarr"


def version(path) -> int:
    return store.check_store(path)["format_version"]


def stored_codes(path):
    return np.asarray(zarr.open_group(str(path), mode="r")["status"])


def assert_kept(path, before) -> None:
    """Values of trials that were there have the same bits.

    Those of a cell are computed again with its pending trials, here perhaps on another processor.
    """
    grown = xr.open_zarr(path).load()
    same = grown.sel({dim: before[dim] for dim in before.status.dims})
    done = before.status == Status.DONE
    for name in ("sigma_min", "sigma_max", "edge", "alpha"):
        there = done if "width" in before[name].dims else done.any("width")
        one, other = (ds[name].transpose(*there.dims, ...).values for ds in (before, same))
        tolerance = RELATIVE if name == "alpha" else 0
        np.testing.assert_allclose(one[there.values], other[there.values], rtol=tolerance, err_msg=name)
    assert (same.status.where(done, Status.DONE) == Status.DONE).all()


def assert_as_fresh(path, folder) -> None:
    """All outcomes equal those of a fresh run, to the bit on one platform."""
    sweep, fresh = store.stored_sweep(path), folder / "fresh.zarr"
    pipeline.run(sweep, fresh)
    exact = one_platform([store.provenance_of(path), provenance()])
    one, other = xr.open_zarr(path).load(), xr.open_zarr(fresh).load()
    done = one.status == Status.DONE
    for name in ("sigma_min", "sigma_max", "edge"):
        values = one[name].values[done.values], other[name].values[done.values]
        np.testing.assert_allclose(*values, rtol=0 if exact else 1e-9, err_msg=name)


def test_the_files_are_of_version_2() -> None:
    assert FORMAT_VERSION == 3
    assert sum(file.stat().st_size for file in DATA.iterdir()) < 200_000


def test_trials_that_were_not_requested_are_distinguished_from_those_that_cannot_exist(refined) -> None:
    assert (version(refined), Status.NOT_REQUESTED in stored_codes(refined)) == (2, False)
    assert store.Store(refined).counts() == REFINED
    for ds in (open_store(refined), open_store(refined, dask=False), load_store(refined)):
        assert (ds.status.dtype, ds.status.dims) == (np.int8, store.stored_sweep(refined).dims)
        assert (ds.status.values == store.Store(refined).statuses()).all()
    pairs = open_store(refined).status.sel(dataset="pairs", angle=0.3)
    assert (pairs.sel(n=7) == Status.EXCLUDED).all()
    assert not (pairs.sel(n=8) == Status.EXCLUDED).any()
    assert open_store(refined).status.chunks is not None


def test_a_query_lists_trials_that_were_not_requested_only_if_it_names_them(refined, half) -> None:
    ds = open_store(refined, dask=False)
    assert len(select(ds, columns=["sigma_min"])) == 243
    listed = select(ds, "status == 'not_requested' and n == 8", ["status"])
    assert set(listed.status) == {"not_requested"}
    assert len(listed) == int((ds.status.sel(n=8) == Status.NOT_REQUESTED).sum())
    assert len(select(open_store(half), "status == 'not_requested'", ["status"])) == 0
    assert len(select(ds, "status == 'excluded'", ["status"])) == REFINED["excluded"]


def test_a_store_whose_attributes_do_not_describe_its_axes_is_refused(refined) -> None:
    attributes = zarr.open_group(str(refined), mode="r+").attrs
    attributes["identity_fields"] = {"dataset": [{"kind": "no such kind"}]}
    for read in (lambda path: store.Store(path).statuses(), open_store):
        with pytest.raises(StoreError, match=r"refined\.zarr: cannot use its attributes"):
            read(refined)


@pytest.mark.parametrize(("name", "pending"), [("half", 18), ("refined", 3)])
def test_a_store_is_resumed_in_its_own_format(name, pending, tmp_path) -> None:
    path = unpacked(name, tmp_path)
    before, codes = xr.open_zarr(path).load(), stored_codes(path)
    assert pipeline.run(store.stored_sweep(path), path).trials == pending
    assert_kept(path, before)
    assert_as_fresh(path, tmp_path)
    computed = stored_codes(path) != codes
    assert (codes[computed] == Status.PENDING).all()
    assert (stored_codes(path)[computed] == Status.DONE).all()
    assert (version(path), damage(path)) == (2, [])
    assert sample(path, 30).differences == ()


def test_a_store_goes_on_with_the_numerics_that_it_began_with(half, tmp_path) -> None:
    own = store.stored_sweep(half)
    sweep = replace(own, numerics_version=NUMERICS_VERSION)
    assert (own.numerics_version, sweep.numerics_version) == (4, NUMERICS_VERSION)
    assert pipeline.run(sweep, half).trials == 18
    assert store.stored_sweep(half) == own
    assert (damage(half), pipeline.run(sweep, half).trials) == ([], 0)
    assert extend(half, sweep, dry_run=True).grown == 0
    pipeline.run(sweep, tmp_path / "new.zarr")
    with pytest.raises(StoreError, match=r"its numerics_version is 4"):
        merge([half, tmp_path / "new.zarr"], tmp_path / "both.zarr")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["half", "refined"])
def test_a_store_is_extended_into_the_current_format(name, tmp_path) -> None:
    path = unpacked(name, tmp_path)
    before, found = xr.open_zarr(path).load(), store.Store(path).counts()
    sweep = store.stored_sweep(path)
    change = extend(path, widened(sweep, n=[12]))
    assert (change.there, version(path), damage(path)) == (found["done"], 3, [])
    assert (
        store.Store(path).counts()["not_requested"] == 0
    )  # all trials of the wider sweep are requested
    pipeline.run(store.stored_sweep(path), path)
    assert_kept(path, before)
    assert_as_fresh(path, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "request_"),
    [("half", Request((0, 1), 2.5, (1, 9))), ("refined", Request((1, 1, 0, 1), 2.5, (0, 99)))],
)
def test_requests_for_single_trials_bring_a_store_to_the_current_format(
    name, request_, tmp_path
) -> None:
    path = unpacked(name, tmp_path)
    before, found = xr.open_zarr(path).load(), store.Store(path).counts()
    assert request_trials(path, [request_]).requested == 2
    after = store.Store(path).counts()
    assert (after["done"], after["pending"]) == (found["done"], found["pending"] + 2)
    assert (version(path), damage(path)) == (3, [])
    assert sum(after.values()) == np.prod(store.stored_sweep(path).shape)
    assert Status.NOT_REQUESTED in stored_codes(path)
    pipeline.run(store.stored_sweep(path), path)
    assert_kept(path, before)
    assert_as_fresh(path, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("order", [1, -1])
def test_stores_of_both_formats_are_merged(refined, tmp_path, order) -> None:
    newer, merged = tmp_path / "newer.zarr", tmp_path / "merged.zarr"
    extend(refined, None, newer)
    request_trials(newer, [Request((0, 0, 0, 1), 2.5, (70,))])
    change = merge([refined, newer][::order], merged)
    assert (change.there, change.pending, change.approximate) == (240, 4, 0)
    found = store.Store(merged).counts()
    assert found["not_requested"] == 3 * 8 * 40 - 244
    assert (version(newer), version(merged), damage(merged)) == (3, 3, [])


def test_a_store_is_repaired_in_its_own_format(refined) -> None:
    found = store.Store(refined).counts()
    (refined / "edge" / "c" / "1" / "1" / "0" / "1" / "0" / "0").unlink()
    assert [one.kind for one in damage(refined)] == ["missing"]
    reset = repair(refined, damage(refined)).trials
    after = store.Store(refined).counts()
    assert after["pending"] == found["pending"] + reset - 1  # one of the block was pending before
    assert after["not_requested"] == found["not_requested"]
    assert (version(refined), damage(refined)) == (2, [])
    pipeline.run(store.stored_sweep(refined), refined)
    assert (damage(refined), store.Store(refined).counts()["done"]) == ([], 243)


def test_a_status_of_a_newer_format_is_damage(refined) -> None:
    zarr.open_group(str(refined), mode="r+")["status"][1, 1, 0, 1, 0, 0] = int(Status.NOT_REQUESTED)
    assert [(one.kind, one.array) for one in damage(refined)] == [("damaged", "status")]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["half", "refined"])
def test_a_store_is_refined(name, tmp_path, widthlaw) -> None:
    path = unpacked(name, tmp_path)
    before = xr.open_zarr(path).load()
    done = widthlaw("refine", path, "--to", "20%", "--trials", 300)
    assert done.returncode in (0, 1, 3), done.stderr
    found = store.Store(path).counts()
    assert (found["pending"], version(path), damage(path)) == (0, 3, [])
    assert found["done"] <= 300
    assert_kept(path, before)
