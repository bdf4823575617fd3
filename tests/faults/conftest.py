"""One row of the table of faults for each test, and what it is tried on.

    python -m pytest -q -n 2 tests/faults [--fault-table FILE.csv]

tries them all and prints the table. It says whether the store that the fault struck is in the end that
of an undisturbed run, bit for bit; how many trials were computed again; how long it took from the start
of the run to its end; and how long the numerics alone would take as many workers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import xarray as xr

import pipeline
from pipeline import store

from .stand import SEEDS_PER_BLOCK, Bench, Processes, Row, Runs, sweep_in
from .table import FAULTS, OF_ONES_OWN, PROPERTY


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    """The store of a run that nothing disturbs, in this process and without Dask."""
    return filled(tmp_path_factory.mktemp("reference"), own=False)


@pytest.fixture(scope="session")
def own_reference(tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    """The same for trials of one's own."""
    return filled(tmp_path_factory.mktemp("own"), own=True)


def filled(folder: Path, own: bool) -> xr.Dataset:
    sweep, path = sweep_in(folder, own), folder / "reference.zarr"
    store.create(path, sweep, seeds_per_chunk=SEEDS_PER_BLOCK)
    pipeline.run(sweep, path)
    return xr.open_zarr(path).load()


@pytest.fixture
def row(
    request: pytest.FixtureRequest,
    record_property: Callable[[str, object], None],
    tmp_path: Path,
) -> Iterator[Row]:
    """The row that the test's mark names, with an empty store; told when the test is over.

    A row that ends with `OF_ONES_OWN` strikes trials of one's own.
    """
    (fault,) = request.node.get_closest_marker("fault").args
    assert fault in FAULTS
    own = fault.endswith(OF_ONES_OWN)
    reference = request.getfixturevalue("own_reference" if own else "reference")
    row = Row(fault, tmp_path / "faults.zarr", reference)
    store.create(row.path, sweep_in(tmp_path, own), seeds_per_chunk=SEEDS_PER_BLOCK)
    yield row
    record_property(PROPERTY, row.told())
    assert row.told()["survived"] != "no", "begun, and never found equal to an undisturbed store"


@pytest.fixture
def processes() -> Iterator[Processes]:
    with Processes() as processes:
        yield processes


@pytest.fixture
def bench(processes: Processes, tmp_path: Path, row: Row, command: str) -> Bench:
    return Bench(processes, tmp_path, row, command)


@pytest.fixture
def runs(processes: Processes, tmp_path: Path, row: Row, command: str) -> Runs:
    return Runs(processes, tmp_path, row, command)
