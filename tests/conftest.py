"""What tests of several folders share: sweeps from a few lines, equality to the bit, the command."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr
from distributed import Client
from hypothesis import settings

import pipeline
from pipeline.execution.worker import one_thread
from pipeline.store.digests import as_file, digest, read_digests
from pipeline.store.location import locate
from pipeline.sweep import Sweep
from pipeline.sweep_files.load import parse_sweep

from . import forked

# A busy machine makes any example slow: no example has a deadline of its own.
settings.register_profile("widthlaw", deadline=None)
settings.load_profile("widthlaw")

# Threads of BLAS wait busily for each other: the processes of parallel tests would lose their cores to
# those of the others.
one_thread()
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
forked.first_environment()

SWEEP = """
name = "small"
experiment = "conditioning"
entropy = 7
dataset = { kind = "sphere" }
d = [3, 5]
n = [6, 12]
width = { k_per_n = [1.5, 2.0, 4.0] }
seeds = 8
"""


def bits(array: xr.DataArray) -> np.ndarray:
    """Bytes of the values, so that NaN equals NaN and 0.0 is not -0.0."""
    values = np.ascontiguousarray(array.values)
    return values.view(f"u{values.itemsize}") if values.dtype.kind == "f" else values


def equal_stores(first: str | Path | xr.Dataset, second: str | Path | xr.Dataset) -> None:
    """Assert equal bits of all coordinates and results: not of timings, not of provenance."""
    # Read in this process: an open client is Dask's default, and its workers know nothing of
    # credentials that a test sets here.
    with dask.config.set(scheduler="threads"):
        one, two = (
            (given if isinstance(given, xr.Dataset) else xr.open_zarr(given))
            .drop_vars("seconds")
            .load()
            for given in (first, second)
        )
    assert set(one.variables) == set(two.variables)
    for name in one.variables:
        assert one[name].dims == two[name].dims, name
        np.testing.assert_array_equal(bits(one[name]), bits(two[name]), err_msg=str(name))


def seal(path: str | Path) -> None:
    """Bind the chunks of a store to their places as they now are, as if they had been written so.

    Tests change values by Zarr, which knows no digests.
    """
    location = locate(path)
    for file in Path(path, ".digests").glob("*.json"):
        keys = read_digests(location, f"status/c/{file.stem.replace('.', '/')}") or {}
        bound = {key: (digest(key, Path(path, key).read_bytes()),) for key in keys}
        file.write_bytes(as_file(bound))


@pytest.fixture(scope="session")
def sealed() -> Callable[[str | Path], None]:
    return seal


@pytest.fixture(scope="session")
def assert_equal_stores() -> Callable[..., None]:
    return equal_stores


@pytest.fixture(scope="session")
def make_sweep() -> Callable[..., Sweep]:
    """A sweep of a dozen milliseconds, with any of its keys replaced: values are TOML."""

    def make(folder: Path | None = None, **keys: Any) -> Sweep:
        return parse_sweep(replaced(keys), folder=folder)

    return make


def replaced(keys: dict[str, Any]) -> str:
    lines = [line for line in SWEEP.split("\n") if line.split(" = ")[0] not in keys]
    return "\n".join([*lines, *(f"{key} = {value}" for key, value in keys.items()), ""])


@pytest.fixture
def write_sweep(tmp_path: Path) -> Callable[..., Path]:
    """The file of such a sweep."""

    def write(**keys: Any) -> Path:
        file = tmp_path / "sweep.toml"
        file.write_text(replaced(keys))
        return file

    return write


@pytest.fixture(scope="session")
def command() -> str:
    """The console script of the environment that runs the tests."""
    return str(Path(sys.executable).with_name("widthlaw"))


@pytest.fixture(scope="session")
def widthlaw(command: str, tmp_path_factory) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the console script to its end."""
    folder = tmp_path_factory.mktemp("said")

    def run(
        *arguments: object, limits: forked.Limits | None = None
    ) -> subprocess.CompletedProcess[str]:
        return forked.run(command, [str(word) for word in arguments], folder, limits)

    return run


@pytest.fixture(scope="session")
def refused_at_once(command: str, tmp_path_factory) -> Callable[..., str]:
    """Run the console script on something hostile; return its one line, after checking the bounds.

    The bounds are 30 seconds of a core and 2 GB of addresses, of which the libraries alone take a half.
    """
    limits = {resource.RLIMIT_AS: 2 * 10**9, resource.RLIMIT_CPU: 30}
    folder = tmp_path_factory.mktemp("said")

    def run(*arguments: object, cwd: Path | None = None) -> str:
        words = [str(word) for word in arguments]
        done = forked.run(command, words, folder, limits, cwd)
        assert done.returncode == 2, done.stderr[-2000:]
        assert (done.stdout, done.stderr.count("\n")) == ("", 1), done.stderr[-2000:]
        assert len(done.stderr) < 1000
        return done.stderr

    return run


@pytest.fixture(scope="session")
def two_workers() -> Iterator[Client]:
    with pipeline.local_client(2) as client:
        yield client


# ---- the tables of faults and attacks (tests/faults)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for mark in item.iter_markers("attack"):
            item.user_properties.append(("attack", *mark.args))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fault-table", type=Path, metavar="FILE", help="also write the faults as CSV")


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print a row for each fault that was tried, from whatever process."""
    from .faults.table import attacks, lines, rows, write_csv

    reports = [report for reports in terminalreporter.stats.values() for report in reports]
    tried, table = attacks(reports), rows(reports)
    if tried:
        terminalreporter.section("attacks")
        terminalreporter.write("\n".join([*tried, ""]))
    if table:
        terminalreporter.section("faults")
        terminalreporter.write("\n".join([*lines(table), ""]))
    if file := config.getoption("--fault-table"):
        write_csv(table, file)
