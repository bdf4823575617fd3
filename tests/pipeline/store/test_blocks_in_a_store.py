"""The path of one trial: block, result, store and back; and a store that is sent to a worker."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
import xarray as xr

from pipeline import store as stores
from pipeline.blocks import (
    Block,
    BlockResult,
    chunk_extents,
    empty_result,
    mask_for,
    rows_for,
    tasks,
    tiles,
)
from pipeline.errors import ChunkDamaged, ParameterError, StoreDamaged
from pipeline.execution.compute import compute_block
from pipeline.experiments import SECONDS, TRIAL_SECONDS, variables
from pipeline.store import Store, names
from pipeline.store.template import attributes_digest
from pipeline.sweep_files.load import load_sweep
from pipeline.trial_status import Status

SHARED, PER_WIDTH = "alpha", "sigma_min"
"""A variable that all widths of a seed share, and one with an axis of widths."""


@pytest.fixture
def half(tmp_path, make_sweep):
    """A store whose blocks hold some of the seeds, with one block in the middle of it."""
    made = stores.create(tmp_path / "a.zarr", make_sweep(), seeds_per_chunk=3)
    return made, list(made.pending_tiles())[4].first


def numbered(store: Store, block: Block) -> BlockResult:
    """A result whose values all differ."""
    result, number = empty_result(store.sweep, block), 0
    for array in result.values.values():
        array[...] = number + np.arange(array.size).reshape(array.shape)
        number += array.size
    result.status[...] = Status.DONE
    result.message[...] = [[f"{row},{column}" for column in range(3)] for row in range(3)]
    return result


def write(store: Store, block: Block, result: BlockResult) -> None:
    """Write a block that is a tile of its own."""
    (tile,) = (tile for tile in store.tiles() if block in tile.blocks)
    store.write(tile, [result])


def equal(one: BlockResult, other: BlockResult) -> None:
    assert one.values.keys() == other.values.keys()
    for name, array in one.values.items():
        np.testing.assert_array_equal(array, other.values[name], err_msg=name, strict=True)
    np.testing.assert_array_equal(one.status, other.status, strict=True)
    np.testing.assert_array_equal(one.message, other.message)


def test_what_is_written_is_read(half) -> None:
    store, block = half
    result = numbered(store, block)
    assert result.values[SHARED].shape == (1, 3)
    assert result.values[PER_WIDTH].shape == (3, 3)
    write(store, block, result)
    equal(store.read(block), result)
    others = [tile.first for tile in store.pending_tiles()]
    assert block not in others
    assert store.counts() == {word.word: 0 for word in Status} | {
        "pending": store.sweep.trials - 9,
        "done": 9,
    }
    for other in others:
        equal(store.read(other), empty_result(store.sweep, other))


def test_a_trial_is_stored_at_its_coordinates(half) -> None:
    store, block = half
    result = numbered(store, block)
    write(store, block, result)
    ds = xr.open_zarr(store.location.name).isel(dict(zip(("d", "n"), block.cell.index, strict=True)))
    for row, width in enumerate(store.sweep.width[block.widths]):
        for column, seed in enumerate(store.sweep.seeds[block.seeds]):
            trial = ds.sel(width=width, seed=seed)
            assert int(trial.k) == block.cell.widths[row]
            assert str(trial.message.values) == f"{row},{column}"
            assert float(trial[PER_WIDTH]) == result.values[PER_WIDTH][row, column]
            assert float(trial[SHARED]) == result.values[SHARED][0, column]
            eigenvalues = result.values["kernel_eigenvalues"][0, column]
            np.testing.assert_array_equal(trial.kernel_eigenvalues, eigenvalues)


def test_trials_that_are_taken_over_bring_what_their_seed_shares(half) -> None:
    store, block = half
    result, other = empty_result(store.sweep, block), numbered(store, block)
    trials = np.zeros(block.shape, dtype=bool)
    trials[1, 2] = True
    result.update(other, trials)
    assert np.argwhere(~np.isnan(result.values[PER_WIDTH])).tolist() == [[1, 2]]
    assert np.argwhere(~np.isnan(result.values[SHARED])).tolist() == [[0, 2]]
    assert np.argwhere(result.status == Status.DONE).tolist() == [[1, 2]]


def test_a_row_for_all_widths_belongs_to_each_of_them() -> None:
    trials = np.array([[True, False], [False, False]])
    assert mask_for(np.empty((2, 2, 5)), trials).tolist() == trials.tolist()
    assert mask_for(np.empty((1, 2, 5)), trials).tolist() == [[True, False]]
    assert rows_for(np.empty((4, 2)), np.array([1, 3])).tolist() == [1, 3]
    assert rows_for(np.empty((1, 2)), np.array([1, 3])).tolist() == [0, 0]


def test_part_of_a_block_is_computed_to_the_same_bits(half) -> None:
    store, block = half
    whole = compute_block(store.sweep, block)
    wanted = np.array([[True, False, False], [False, False, True], [False, False, True]])
    part, expected = compute_block(store.sweep, block, wanted), empty_result(store.sweep, block)
    expected.update(whole, wanted)
    for result in (part, expected):
        del result.values[names.SECONDS]
    equal(part, expected)


# ---- sent to a worker


def test_a_task_is_small_when_it_is_pickled(tmp_path) -> None:
    store = Store(str(tmp_path / "theorem2.zarr"), load_sweep("theorem2"))
    cut = tiles(store.sweep, chunk_extents(store.sweep))
    largest = max(tasks(cut), key=len)
    assert len(pickle.dumps((store, largest))) < 20_000


def test_a_store_that_was_open_is_pickled_without_its_arrays(half) -> None:
    store, block = half
    before = len(pickle.dumps(store))
    result = compute_block(store.sweep, block)
    write(store, block, result)
    assert len(pickle.dumps(store)) < before + 500
    equal(pickle.loads(pickle.dumps(store)).read(block), result)


def test_a_store_has_its_sweep_from_its_attributes(half) -> None:
    store, block = half
    result = numbered(store, block)
    write(store, block, result)
    again = Store(store.location.name)
    assert again.sweep == store.sweep
    equal(again.read(block), result)


# ---- damage


@pytest.mark.parametrize("name", [PER_WIDTH, SHARED, names.STATUS, names.MESSAGE])
def test_a_damaged_chunk_is_an_error_that_names_store_and_array(half, name) -> None:
    store, block = half
    write(store, block, compute_block(store.sweep, block))
    (chunk,) = (file for file in (store.location.path / name / "c").rglob("*") if file.is_file())
    chunk.write_bytes(bytes([chunk.read_bytes()[0] ^ 1]) + chunk.read_bytes()[1:])
    with pytest.raises(ChunkDamaged) as found:
        store.read(block)
    error = pickle.loads(pickle.dumps(found.value))  # as it comes from a worker
    assert type(error) is ChunkDamaged
    assert isinstance(error, StoreDamaged)
    assert (error.store, error.array) == (store.location.name, name)
    assert (error.what, str(error)) == ("checksum mismatch", str(found.value))


def test_an_error_keeps_its_parameter_when_it_is_pickled() -> None:
    error = pickle.loads(pickle.dumps(ParameterError("threshold", "got 2")))
    assert (str(error), error.parameter) == ("threshold: got 2", "threshold")


# ---- names and attributes


def test_the_timing_has_the_name_that_the_store_knows(make_sweep) -> None:
    assert SECONDS.name == TRIAL_SECONDS.name == names.SECONDS == variables(make_sweep())[-1].name


@pytest.mark.parametrize("unit", ["k", "k_per_n", "kd_per_n", "k_per_d"])
def test_the_unit_of_the_widths_is_an_attribute_that_the_digest_covers(
    tmp_path, make_sweep, unit
) -> None:
    path = tmp_path / "a.zarr"
    stores.create(path, make_sweep(width=f"{{ {unit} = [20, 40] }}"))
    attributes = stores.check_store(path)
    assert attributes["width_unit"] == unit == xr.open_zarr(path).attrs["width_unit"]
    assert attributes["digest"] == attributes_digest(attributes)
    assert attributes["digest"] != attributes_digest(attributes | {"width_unit": "other"})
    before = {key: value for key, value in attributes.items() if key != "width_unit"}
    assert attributes_digest(before) == attributes_digest(json.loads(json.dumps(before)))
    assert attributes_digest(before) != attributes["digest"]
