"""Statuses are read in parts, and lost results are seen in each of them."""

from __future__ import annotations

import numpy as np
import pytest

import pipeline
from pipeline import store
from pipeline.execution.fill import fill
from pipeline.store import check_store, statuses
from pipeline.store.arrays import layout_of
from pipeline.store.location import locate
from pipeline.trial_status import Status

SMALL = {"d": "[3, 5, 6]", "n": "[6, 8]", "seeds": 20}


@pytest.fixture
def in_small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statuses, "MOST_TRIALS", 30)


@pytest.fixture
def filled(make_sweep, tmp_path):
    sweep = make_sweep(**SMALL)
    store.create(tmp_path / "S.zarr", sweep, seeds_per_chunk=4)
    pipeline.run(sweep, tmp_path / "S.zarr")
    return store.Store(tmp_path / "S.zarr")


def parts_of(one: store.Store) -> list[tuple[statuses.Region, np.ndarray]]:
    return list(statuses.status_parts(one.location, check_store(one.location.name)))


def test_the_parts_cover_each_trial_once(filled, in_small_parts) -> None:
    seen = np.zeros(filled.sweep.shape, dtype=int)
    parts = parts_of(filled)
    for region, part in parts:
        assert part.shape == seen[region].shape
        seen[region] += 1
    assert len(parts) > 1
    assert (seen == 1).all()


@pytest.mark.parametrize("most", [1, 30, 100, 10**6])
def test_a_part_has_as_many_chunks_as_the_limit_admits(filled, monkeypatch, most) -> None:
    monkeypatch.setattr(statuses, "MOST_TRIALS", most)
    chunk = np.prod(layout_of(filled.location, "status").chunks)
    sizes = [part.size for _, part in parts_of(filled)]
    assert max(sizes) <= max(most, chunk)
    assert sum(sizes) == filled.sweep.trials
    assert len(sizes) == 1 or most < filled.sweep.trials


@pytest.mark.parametrize("most", [1, 30, 10**6])
def test_trials_whose_results_are_lost_are_damaged_in_parts_as_in_the_whole(
    filled, monkeypatch, most
) -> None:
    monkeypatch.setattr(statuses, "MOST_TRIALS", most)
    layout = layout_of(filled.location, "sigma_min")
    corner = tuple(size - 1 for size in layout.grid)
    filled.location.delete("sigma_min/c/" + "/".join(map(str, corner)))
    lost = np.zeros(filled.sweep.shape, dtype=bool)
    lost[tuple(slice(at * n, None) for at, n in zip(corner, layout.chunks, strict=True))] = True
    assert 0 < lost.sum() < lost.size
    np.testing.assert_array_equal(filled.statuses() == Status.DAMAGED, lost)
    assert filled.counts()["damaged"] == lost.sum()
    assert filled.counts()["done"] == (~lost).sum()


def test_results_that_are_written_while_the_statuses_are_read_are_not_lost(
    make_sweep, tmp_path, in_small_parts
) -> None:
    made = store.create(tmp_path / "S.zarr", make_sweep(**SMALL), seeds_per_chunk=4)
    reading = statuses.status_parts(made.location, check_store(made.location.name))
    first = next(reading)[1]
    for tile in list(made.pending_tiles()):
        fill(made, tile)
    rest = np.concatenate([part.ravel() for _, part in reading])
    assert (first == Status.PENDING).all()
    assert (rest == Status.DONE).all()


@pytest.mark.parametrize("most", [1, 30, 10**6])
def test_the_pending_tiles_and_cells_are_those_that_lack_trials(
    make_sweep, tmp_path, monkeypatch, most
) -> None:
    monkeypatch.setattr(statuses, "MOST_TRIALS", most)
    made = store.create(tmp_path / "S.zarr", make_sweep(**SMALL), seeds_per_chunk=4)
    everything = list(made.tiles())
    for tile in everything[::2]:
        fill(made, tile)
    assert list(made.pending_tiles()) == everything[1::2]
    pending = made.statuses() == Status.PENDING
    expected = {
        cell.index: tuple(np.array(cell.widths)[pending[cell.index].any(axis=1)])
        for cell in made.sweep.cells()
    }
    found = {cell.index: cell.widths for cell in made.pending_cells()}
    assert found == {index: widths for index, widths in expected.items() if widths}


def test_the_statuses_as_a_whole_are_those_of_the_parts(filled, in_small_parts) -> None:
    whole = statuses.read_statuses(locate(filled.location.name), check_store(filled.location.name))
    for region, part in parts_of(filled):
        np.testing.assert_array_equal(whole[region], part)
