"""Tiles: blocks of many cells share chunks, so that a sweep of many small cells leaves few files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import pipeline
from pipeline import store
from pipeline.blocks import LONGEST_BLOCK, chunk_extents, tiles
from pipeline.execution.fill import fill
from pipeline.maintenance.grow import extend
from pipeline.maintenance.repair import repair
from pipeline.maintenance.verify import damage
from pipeline.store import creation
from pipeline.store.arrays import dims_of_arrays
from pipeline.trial_status import Status

PAIRS = {
    "dataset": '[{ kind = "sphere" }, { kind = "pairs", angle = [0.3, 0.6] }]',
    "activation": '["relu", "tanh"]',
    "d": "[3, 4, 5]",
    "n": "[6, 7, 8, 9]",
    "width": "{ k_per_n = [1.5, 2.0] }",
    "seeds": 3,
}
"""Of whose cells most cannot exist: a pair has two samples, and each dataset its own angles."""

SHAPES = [
    {"n": 2},
    {"n": 4, "d": 2},
    {"n": 4, "d": 3, "angle": 3, "dataset": 2, "activation": 2},
    {"n": 3, "seed": 2},
]


@pytest.fixture
def in_tiles(tmp_path, make_sweep, monkeypatch):
    """Make the store of a sweep in tiles of a shape, one cell where it says nothing."""

    def make(name: str, shape: dict[str, int], **keys: object) -> store.Store:
        sweep = make_sweep(**keys)
        extents = dict.fromkeys(sweep.axes, 1) | {"width": len(sweep.width), "seed": len(sweep.seeds)}
        monkeypatch.setattr(creation, "chunk_extents", lambda _: extents | shape)
        return store.create(tmp_path / name, sweep)

    return make


@pytest.fixture(scope="module")
def whole(tmp_path_factory, make_sweep) -> Path:
    path = tmp_path_factory.mktemp("whole") / "whole.zarr"
    store.create(path, make_sweep(**PAIRS), seeds_per_chunk=3)
    pipeline.run(make_sweep(**PAIRS), path)
    return path


def files_of(path: Path) -> int:
    return sum(1 for file in path.rglob("*") if file.is_file())


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_the_bits_of_a_store_do_not_depend_on_its_tiles(
    in_tiles, whole, tmp_path, assert_equal_stores, shape
) -> None:
    made = in_tiles("a.zarr", shape, **PAIRS)
    assert damage(tmp_path / "a.zarr") == []
    assert pipeline.run(made.sweep, tmp_path / "a.zarr").trials == made.sweep.trials
    assert_equal_stores(tmp_path / "a.zarr", whole)
    assert damage(tmp_path / "a.zarr") == []
    assert files_of(tmp_path / "a.zarr") <= files_of(whole)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_cell_is_in_one_tile(in_tiles, shape) -> None:
    made = in_tiles("a.zarr", shape, **PAIRS)
    found = np.zeros(made.sweep.shape, dtype=int)
    for tile in made.tiles():
        for block in tile.blocks:
            found[block.cell.index][block.widths, block.seeds] += 1
    expected = np.ones(made.sweep.shape, dtype=int)
    for index in made.sweep.excluded():
        expected[index] = 0
    np.testing.assert_array_equal(found, expected)


@pytest.mark.slow
def test_a_tile_is_resumed_trial_by_trial(in_tiles, whole, tmp_path, assert_equal_stores) -> None:
    made = in_tiles("a.zarr", SHAPES[2], **PAIRS)
    (tile,) = made.tiles()
    pipeline.run(made.sweep, tmp_path / "a.zarr")
    statuses = np.stack([one.status for one in made.read_tile(tile)])
    statuses[::2, 1, 1:] = Status.PENDING
    made.write_statuses(tile, statuses)
    pending = int((statuses == Status.PENDING).sum())
    assert made.counts()["pending"] == pending > 0
    assert fill(made, tile, carefully=True).trials == pending
    assert_equal_stores(tmp_path / "a.zarr", whole)


@pytest.mark.slow
def test_a_reset_tile_keeps_what_cannot_exist(in_tiles, whole, tmp_path, assert_equal_stores) -> None:
    made = in_tiles("a.zarr", SHAPES[1], **PAIRS)
    path = tmp_path / "a.zarr"
    excluded = made.counts()["excluded"]
    pipeline.run(made.sweep, path)
    for name in ("status", "sigma_min"):
        chunks = sorted(file for file in (path / name / "c").rglob("*") if file.is_file())
        chunks[0].unlink()
        chunks[-1].write_bytes(b"")
    found = damage(path)
    assert {one.kind for one in found} == {"damaged", "unfinished"}
    reset = repair(path, found).trials
    assert damage(path) == []
    assert (made.counts()["excluded"], made.counts()["pending"]) == (excluded, reset)
    pipeline.run(made.sweep, path)
    assert_equal_stores(path, whole)


@pytest.mark.slow
def test_a_store_of_tiles_is_extended(in_tiles, tmp_path, make_sweep, assert_equal_stores) -> None:
    made = in_tiles("a.zarr", SHAPES[1], **PAIRS)
    pipeline.run(made.sweep, tmp_path / "a.zarr")
    longer = make_sweep(**PAIRS | {"n": "[6, 7, 8, 9, 12]", "seeds": 4})
    extend(tmp_path / "a.zarr", longer)
    pipeline.run(longer, tmp_path / "a.zarr")
    pipeline.run(longer, tmp_path / "fresh.zarr")
    assert_equal_stores(tmp_path / "a.zarr", tmp_path / "fresh.zarr")
    assert damage(tmp_path / "a.zarr") == []


def test_statuses_of_cells_that_cannot_exist_are_checked(in_tiles, tmp_path, sealed) -> None:
    import zarr

    made = in_tiles("a.zarr", SHAPES[1], **PAIRS)
    pipeline.run(made.sweep, tmp_path / "a.zarr")
    index = next(index for index in made.sweep.excluded() if index[-1] == 1)
    zarr.open_group(str(tmp_path / "a.zarr"), mode="r+")["status"][index] = int(Status.DONE)
    sealed(tmp_path / "a.zarr")
    assert {one.array for one in damage(tmp_path / "a.zarr")} == {"status"}


# ---- the number of files


def numbers(start: int, count: int) -> str:
    return str(list(range(start, start + count)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("d", "n", "widths", "seeds"),
    [
        (40, 50, 1, 1),
        (1, 2000, 1, 1),
        (2000, 1, 1, 1),
        (100, 200, 1, 1),
        (10, 10, 3, 7),
        (3, 2, 24, 40),
    ],
)
def test_a_store_has_few_files_whatever_the_shape_of_its_sweep(
    make_sweep, tmp_path, d, n, widths, seeds
) -> None:
    width = [1.5 + 0.5 * i for i in range(widths)]
    sweep = make_sweep(d=numbers(3, d), n=numbers(4, n), width=f"{{ k_per_n = {width} }}", seeds=seeds)
    extents = chunk_extents(sweep)
    cut = list(tiles(sweep, extents))
    store.create(tmp_path / "a.zarr", sweep)
    files = files_of(tmp_path / "a.zarr") + len(cut) * (len(dims_of_arrays(sweep)) + 1)  # with digests
    longest = max(tile.seconds for tile in cut)
    assert files <= max(500, sweep.trials // 100) or longest > LONGEST_BLOCK / 2
    assert longest <= LONGEST_BLOCK


@pytest.mark.parametrize("seeds", [50, 90, 100, 200, 333])
def test_the_blocks_of_a_cell_have_the_same_number_of_seeds_to_one_for_each_block(
    make_sweep, seeds
) -> None:
    sweep = make_sweep(d="[20]", n="[400]", width="{ k_per_n = [1.1, 2, 3, 4] }", seeds=seeds)
    sizes = [tile.first.shape[1] for tile in tiles(sweep, chunk_extents(sweep))]
    assert sum(sizes) == seeds
    assert max(sizes) - min(sizes) < len(sizes)
