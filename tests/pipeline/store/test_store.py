"""The store: plain xarray reads it, status decides, a failed trial keeps its message."""

from __future__ import annotations

import errno
import json
import shutil
import subprocess
import sys
import warnings

import numpy as np
import pytest
import xarray as xr
import zarr

import pipeline
from pipeline import store
from pipeline.blocks import chunk_extents, tiles
from pipeline.errors import StoreDamaged, StoreError, StoreFull, StoreHeld
from pipeline.execution.compute import compute_block
from pipeline.experiments import variables
from pipeline.store import Store, creation, lease
from pipeline.store.location import locate
from pipeline.trial_status import Status


@pytest.fixture
def filled(tmp_path, make_sweep):
    sweep, path = make_sweep(), tmp_path / "small.zarr"
    pipeline.run(sweep, path)
    return sweep, path


def test_plain_xarray_opens_it_without_a_warning(filled) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ds = xr.open_zarr(filled[1])
    assert ds.sigma_min.dims == ("d", "n", "width", "seed")
    assert ds.alpha.dims == ("d", "n", "seed")
    assert ds.kernel_eigenvalues.dims == ("d", "n", "seed", "index")
    assert (ds.status == Status.DONE).all()
    assert ds.status.attrs["flag_meanings"].split()[ds.status.attrs["flag_values"][1]] == "done"
    for name in ds.variables:
        assert {"long_name", "units"} <= set(ds[name].attrs), name


@pytest.mark.parametrize(
    ("width", "dims"),
    [
        ("{ k = [20, 30] }", ("width",)),
        ("{ k_per_n = [2.0] }", ("n", "width")),
        ("{ kd_per_n = [20.0] }", ("n", "d", "width")),
        ("{ k_per_d = [2.0] }", ("d", "width")),
    ],
)
def test_k_is_a_coordinate_as_far_as_it_varies(tmp_path, make_sweep, width, dims) -> None:
    sweep = make_sweep(width=width)
    store.create(tmp_path / "a.zarr", sweep)
    k = xr.open_zarr(tmp_path / "a.zarr").coords["k"]
    assert k.dims == dims
    full = k.broadcast_like(xr.open_zarr(tmp_path / "a.zarr").status.isel(seed=0, drop=True))
    for d in sweep.d:
        for n in sweep.n:
            assert tuple(full.sel(d=d, n=n).values) == sweep.k(d, n)


def test_eigenvalues_beyond_n_are_nan_and_others_are_not(filled) -> None:
    eigenvalues = xr.open_zarr(filled[1]).kernel_eigenvalues
    assert np.isnan(eigenvalues.sel(n=6, index=slice(6, None))).all()
    assert not np.isnan(eigenvalues.sel(n=12)).any()
    assert not np.isnan(eigenvalues.sel(n=6, index=slice(0, 5))).any()


def test_widths_below_n_have_a_sigma_min_of_exactly_zero(tmp_path, make_sweep) -> None:
    pipeline.run(make_sweep(width="{ k = [3, 11, 40] }"), tmp_path / "a.zarr")
    ds = xr.open_zarr(tmp_path / "a.zarr")
    assert (ds.sigma_min.where(ds.k < ds.n, 0) == 0).all()
    assert (ds.edge.where(ds.k <= ds.n, 0) == 0).all()
    assert (ds.sigma_min.sel(width=40) > 0).all()


def test_what_a_trial_raises_is_stored_and_the_others_go_on(tmp_path, make_sweep) -> None:
    rows = np.random.default_rng(0).standard_normal((12, 5))
    rows[0] *= 1e200  # overflows in z^2, in the seeds that draw this row
    np.save(tmp_path / "rows.npy", rows)
    sweep = make_sweep(
        folder=tmp_path,
        experiment="'spectrum'",
        activation="'square'",
        dataset="{ kind = 'file', path = 'rows.npy' }",
        d="[5]",
        n="[6]",
        seeds=20,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        outcome = pipeline.run(sweep, tmp_path / "a.zarr")
    found = Store(tmp_path / "a.zarr").counts()
    assert 0 < outcome.failed == found["failed"] < sweep.trials
    assert found["done"] + found["failed"] == sweep.trials
    ds = xr.open_zarr(tmp_path / "a.zarr")
    messages = ds.message.values[ds.status.values == Status.FAILED]
    assert len(messages)
    assert all("not finite" in message for message in messages)
    assert (ds.message.values[ds.status.values == Status.DONE] == "").all()
    assert pipeline.run(sweep, tmp_path / "a.zarr").trials == 0


def test_a_block_whose_write_fails_is_pending_and_its_status_is_not_there(tmp_path, make_sweep) -> None:
    sweep, path = make_sweep(), tmp_path / "a.zarr"
    made = store.create(path, sweep, seeds_per_chunk=4)
    tile = next(made.pending_tiles())
    results = [compute_block(sweep, tile.first)]
    (path / "edge" / "c").write_text("a file where a folder should be")
    with pytest.raises(StoreFull):
        made.write(tile, results)
    assert made.counts()["done"] == 0
    (path / "edge" / "c").unlink()
    made.write(tile, results)
    assert made.counts()["done"] == tile.trials
    assert not list(path.rglob("*.partial"))


def test_chunks_carry_a_checksum(filled) -> None:
    chunk = next(file for file in (filled[1] / "sigma_min" / "c").rglob("*") if file.is_file())
    data = bytearray(chunk.read_bytes())
    data[len(data) // 2] ^= 1
    chunk.write_bytes(data)
    with pytest.raises(Exception, match=r"(?i)checksum"):
        xr.open_zarr(filled[1]).sigma_min.load()


def test_a_store_of_another_sweep_is_refused_with_the_difference(filled, make_sweep) -> None:
    with pytest.raises(StoreError, match=r"its entropy is 7, this sweep's 8; give a new path"):
        store.open_or_create(filled[1], make_sweep(entropy=8))
    with pytest.raises(StoreError, match=r"made for other extents: its n is \[6, 12\]"):
        store.open_or_create(filled[1], make_sweep(n="[6]"))


@pytest.mark.parametrize(
    ("made", "requested", "message"),
    [
        (
            {"descent": "{ step_size = 1.0 }"},
            {"descent": "{ step_size = 0.5 }"},
            "sweep: its descent.step_size is 1.0, this sweep's 0.5; give a new path",
        ),
        (
            {"dataset": "[{ kind = 'sphere' }, { kind = 'pairs', angle = [0.1, 0.2] }]"},
            {"dataset": "[{ kind = 'sphere' }, { kind = 'pairs', angle = [0.1, 0.3] }]"},
            "sweep: its dataset[1].angle is [0.1, 0.2], this sweep's [0.1, 0.3]; give a new path",
        ),
        (
            {"activation": "['relu', 'gelu', 'softplus', 'tanh', 'erf', 'linear', 'sigmoid']"},
            {"activation": "['relu', 'gelu', 'softplus', 'tanh', 'erf', 'linear', 'leaky_relu']"},
            'sweep: its activation[6] is "sigmoid", this sweep\'s "leaky_relu"; give',
        ),
        (
            {"trained": "'both'", "experiment": "'joint'"},
            {},
            'its trained is ["both"], this sweep has none; give a new path',
        ),
        ({"seeds": 100}, {"seeds": 200}, "its seed has 100 values, this sweep's 200; give a new path"),
        (
            {"seeds": [*range(40), 50]},
            {"seeds": [*range(40), 60]},
            "extents: its seed[40] is 50, this sweep's 60; give a new path",
        ),
    ],
)
def test_what_differs_is_named_however_long_it_is(
    tmp_path, make_sweep, made, requested, message
) -> None:
    shared = {"experiment": "'output'"}
    store.create(tmp_path / "a.zarr", make_sweep(**(shared | made)))
    with pytest.raises(StoreError) as refused:
        store.check_target(tmp_path / "a.zarr", make_sweep(**(shared | requested)))
    assert message in str(refused.value)


def test_other_rows_in_the_data_file_are_named(tmp_path, make_sweep) -> None:
    table = "{ kind = 'file', path = 'rows.npy' }"
    keys = {"folder": tmp_path, "experiment": "'spectrum'", "dataset": table, "d": "[5]"}
    np.save(tmp_path / "rows.npy", np.eye(12, 5))
    store.create(tmp_path / "a.zarr", make_sweep(**keys))
    np.save(tmp_path / "rows.npy", np.eye(12, 5) + 1)
    with pytest.raises(StoreError, match="another sweep: the data file has other rows; give"):
        store.check_target(tmp_path / "a.zarr", make_sweep(**keys))


def test_what_is_no_store_is_refused(tmp_path, make_sweep) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("text")
    zarr.create_group(str(tmp_path / "other.zarr"))
    for name in ("folder", "file", "other.zarr"):
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(StoreError, match=name):
            store.open_or_create(tmp_path / name, make_sweep())
        assert sorted(tmp_path.rglob("*")) == before
    with pytest.raises(StoreError, match="not found"):
        store.check_store(tmp_path / "nothing")


def test_another_format_version_is_refused(filled) -> None:
    zarr.open_group(str(filled[1]), mode="r+").attrs["format_version"] = 0
    with pytest.raises(StoreError, match="format version 0, expected 1 or 2"):
        store.check_store(filled[1])


def test_two_runs_of_one_store_at_once_are_refused(filled) -> None:
    sweep, path = filled
    with lease.hold(locate(path)), pytest.raises(StoreHeld, match="another run is filling it"):
        pipeline.run(sweep, path)


def test_a_million_trials_leave_at_most_twenty_thousand_files(make_sweep) -> None:
    sweep = make_sweep(
        d="[10, 20]",
        n="[20, 40, 80, 160]",
        width="{ k_per_n = { start = 1.1, stop = 4.0, num = 24 } }",
        seeds=5300,
    )
    assert sweep.trials > 1_000_000
    cut = list(tiles(sweep, chunk_extents(sweep)))
    assert len(cut) * (len(variables(sweep)) + 3) <= 20_000
    assert max(tile.seconds for tile in cut) <= 60


def test_one_value_and_a_list_of_one_are_different_layouts(make_sweep, tmp_path) -> None:
    store.create(tmp_path / "scalar.zarr", make_sweep())
    with pytest.raises(StoreError, match=r"its dimensions are d, n, width, seed, this sweep's activ"):
        store.check_target(tmp_path / "scalar.zarr", make_sweep(activation="['relu']"))


def test_a_check_of_a_new_path_touches_nothing(make_sweep, tmp_path) -> None:
    store.check_target(tmp_path / "deep" / "new.zarr", make_sweep())
    assert not list(tmp_path.iterdir())


def test_a_path_can_hold_one_store_after_another_in_one_process(
    make_sweep, tmp_path, assert_equal_stores
) -> None:
    path = tmp_path / "a.zarr"
    for seeds, n in ((4, "[5]"), (3, "[5]"), (3, "[6]")):
        sweep, fresh = make_sweep(seeds=seeds, n=n), tmp_path / f"{seeds}{n}.zarr"
        pipeline.run(sweep, path)
        pipeline.run(sweep, fresh)
        assert_equal_stores(path, fresh)
        shutil.rmtree(path)


def test_the_state_of_a_store_is_told_without_the_numerics(filled) -> None:
    _, path = filled
    lines = f"from pipeline.store import Store; print(Store({str(path)!r}).counts()['done'])"
    check = "import sys; print({'numba', 'scipy', 'distributed'} & {*sys.modules})"
    line = [sys.executable, "-c", f"{lines}; {check}"]
    output = subprocess.run(line, capture_output=True, text=True, check=True).stdout
    assert output == "96\nset()\n"


def test_a_store_without_its_status_is_damaged(make_sweep, tmp_path) -> None:
    store.create(tmp_path / "a.zarr", make_sweep())
    shutil.rmtree(tmp_path / "a.zarr" / "status")
    with pytest.raises(StoreDamaged) as found:
        Store(tmp_path / "a.zarr").counts()
    assert (found.value.store, found.value.array) == (str(tmp_path / "a.zarr"), "status")


def test_a_store_without_its_attributes_is_damaged(make_sweep, tmp_path) -> None:
    path = tmp_path / "a.zarr"
    store.create(path, make_sweep())
    file = path / "zarr.json"
    metadata = json.loads(file.read_text())
    for name in ("identity_fields", "name"):
        del metadata["attributes"][name]
    file.write_text(json.dumps(metadata))
    with pytest.raises(StoreError, match="no attribute name, identity_fields: the store is damaged"):
        store.check_target(path, make_sweep())


def test_a_store_that_cannot_be_made_leaves_no_folders(make_sweep, tmp_path, monkeypatch) -> None:
    def full(path, *template) -> None:
        path.mkdir()
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "mine").mkdir()
    monkeypatch.setattr(creation, "write_template", full)
    with pytest.raises(StoreError, match="cannot be made"):
        store.create(tmp_path / "mine" / "a" / "b" / "f.zarr", make_sweep())
    assert [path.name for path in tmp_path.rglob("*")] == ["mine"]
