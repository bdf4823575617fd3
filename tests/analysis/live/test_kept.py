"""A store that is followed: only changes are read, and answers are those of the whole store."""

from __future__ import annotations

import errno
import os
from collections import Counter

import numpy as np
import pytest

import pipeline
from analysis import critical_widths, fit_laws, open_store, success_counts
from analysis.live.kept import MOST_DOUBTS
from analysis.live.view import FITTED_AGAIN, View
from analysis.success import Success
from pipeline import store
from pipeline.execution.compute import compute_block
from pipeline.store.files.folder import Folder

KEYS = {"n": "[8, 12, 16]", "d": "[4]", "seeds": 20, "width": "{ k_per_n = [1.2, 1.5, 2.0, 3.0, 5.0] }"}


@pytest.fixture
def reads(monkeypatch) -> Counter[str]:
    """The chunks that are read of any folder, counted as they are read for real."""
    counted: Counter[str] = Counter()
    read = Folder.read

    def counting(self, key, *rest, **more):
        if "/c/" in key:
            counted[key] += 1
        return read(self, key, *rest, **more)

    monkeypatch.setattr(Folder, "read", counting)
    return counted


def settled(view: View) -> View:
    view.update()
    while view.is_behind:
        view.update()
    return view


def test_a_look_reads_the_chunks_that_were_written_and_no_others(make_sweep, tmp_path, reads) -> None:
    sweep, path = make_sweep(**KEYS), tmp_path / "a.zarr"
    store.create(path, sweep, seeds_per_chunk=5)
    view = View(path, Success())
    view.update()
    tiles = list(store.Store(path, sweep).pending_tiles())
    assert len(tiles) > 4
    for number, tile in enumerate(tiles, start=1):
        store.Store(path, sweep).write(tile, [compute_block(sweep, tile.first)])
        reads.clear()
        view.update()
        assert {key.split("/")[0] for key in reads} >= {"status", "sigma_min"}
        assert max(Counter(key.split("/")[0] for key in reads).values()) <= 2, dict(reads)
        assert view.counts["done"] == sum(one.trials for one in tiles[:number])
    reads.clear()
    view.update()
    assert not reads


def test_counts_widths_and_laws_are_those_of_the_store_read_whole(make_sweep, tmp_path) -> None:
    sweep, path = make_sweep(**KEYS), tmp_path / "a.zarr"
    store.create(path, sweep, seeds_per_chunk=5)
    view = View(path, Success())
    for tile in list(store.Store(path, sweep).pending_tiles()):
        store.Store(path, sweep).write(tile, [compute_block(sweep, tile.first)])
        view.update()
    study = settled(view).study
    ds = open_store(path)
    whole, counts = critical_widths(ds), success_counts(ds)
    for name in ("successes", "trials"):
        np.testing.assert_array_equal(study.counts[name].values, counts[name].values)
    np.testing.assert_array_equal(study.widths.k50.values, whole.k50.values)
    np.testing.assert_array_equal(study.widths.k50_low.values, whole.k50_low.values)
    assert study.widths.outcome.values.tolist() == whole.outcome.values.tolist()
    assert view.laws[0]["law"] == fit_laws(whole).iloc[0]["formula"]
    assert view.is_complete


def test_laws_that_are_behind_the_trials_are_told_as_such(make_sweep, tmp_path) -> None:
    sweep, path = make_sweep(**KEYS), tmp_path / "a.zarr"
    store.create(path, sweep, seeds_per_chunk=5)
    run, view = store.Store(path, sweep), View(path, Success())
    *tiles, last = run.pending_tiles()
    for tile in tiles:
        run.write(tile, [compute_block(sweep, tile.first)])
    assert FITTED_AGAIN not in settled(view).verdict
    assert view.laws
    run.write(last, [compute_block(sweep, last.first)])
    view.update(0.0)
    assert not view.counts["pending"]
    assert view.is_behind == (FITTED_AGAIN in view.verdict)
    assert view.is_behind
    assert FITTED_AGAIN not in settled(view).verdict


def test_another_store_in_the_same_place_is_read_anew(make_sweep, tmp_path) -> None:
    path = tmp_path / "a.zarr"
    pipeline.run(make_sweep(seeds=4), path)
    view = settled(View(path, Success()))
    before = view.trials
    path.rename(tmp_path / "old.zarr")
    assert view.update()
    assert "not there yet" in view.sentence
    pipeline.run(make_sweep(seeds=6), path)
    settled(view)
    assert view.sentence == ""
    assert view.trials == before * 6 // 4


def test_time_is_counted_by_cell(make_sweep, tmp_path) -> None:
    sweep, path = make_sweep(**KEYS), tmp_path / "a.zarr"
    store.create(path, sweep, seeds_per_chunk=5)
    view = View(path, Success())
    view.update()
    assert view.costs.spent.sum() == 0
    assert view.costs.left.sum() > 0
    for tile in list(store.Store(path, sweep).pending_tiles()):
        store.Store(path, sweep).write(tile, [compute_block(sweep, tile.first)])
    view.update()
    assert view.costs.left.sum() == 0
    assert view.costs.spent.sum() == pytest.approx(float(open_store(path).seconds.sum()))


def test_what_was_not_read_in_an_outage_is_read_after_it(make_sweep, tmp_path, monkeypatch) -> None:
    sweep, path = make_sweep(**KEYS), tmp_path / "a.zarr"
    store.create(path, sweep, seeds_per_chunk=5)
    view = View(path, Success())
    view.update()
    tile = next(iter(store.Store(path, sweep).pending_tiles()))
    store.Store(path, sweep).write(tile, [compute_block(sweep, tile.first)])
    read = Folder.read

    def cut_off(self, key, *rest, **more):
        if key.startswith("sigma_min/c/"):
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return read(self, key, *rest, **more)

    with monkeypatch.context() as outage:
        outage.setattr(Folder, "read", cut_off)
        view.update()
    assert "cannot be read now (Stale file handle)" in view.notes[0]
    settled(view)
    assert view.notes == []
    assert int(view.study.counts.trials.sum()) == tile.trials


def test_a_file_that_comes_back_unchanged_is_read_and_one_that_stays_lost_is_believed_to_be(
    make_sweep, tmp_path, reads
) -> None:
    sweep, path = make_sweep(**KEYS), tmp_path / "a.zarr"
    pipeline.run(sweep, path)
    chunk = next(file for file in sorted((path / "sigma_min" / "c").rglob("*")) if file.is_file())
    chunk.rename(tmp_path / "away")
    view = settled(View(path, Success()))
    assert view.counts["damaged"] > 0
    (tmp_path / "away").rename(chunk)  # its statuses are as they were
    settled(view)
    assert view.counts["damaged"] == 0
    assert view.counts["done"] == sweep.trials
    chunk.unlink()
    view = settled(View(path, Success()))
    for _ in range(MOST_DOUBTS):
        view.update()
    reads.clear()
    view.update()
    assert not reads
    assert view.counts["damaged"] > 0
