"""Commands import what they use: a library that a command may not import makes every call slower."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ..waiting import PATIENCE

LOADED = """
import sys
from jobs.cli import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
sys.stdout.flush()
print(*sorted({name.split(".")[0] for name in sys.modules}), file=sys.stderr)
"""

HELP = [["--help"], *([name, "--help"] for name in ("run", "status", "watch", "fit"))]

HEAVY = {
    *("bokeh", "cryptography", "dask", "distributed", "jinja2", "matplotlib", "numba", "numpy"),
    *("pandas", "pyarrow", "scipy", "statsmodels", "xarray", "zarr"),
}
"""Libraries that take a tenth of a second and more."""


def loaded(*line: object) -> set[str]:
    """The heavy libraries that a command has imported at its end."""
    words = [sys.executable, "-c", LOADED, *map(str, line)]
    ended = subprocess.run(
        words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    return HEAVY & set(ended.stderr.splitlines()[-1].split())


@pytest.mark.parametrize("line", HELP)
def test_help_imports_no_library(line) -> None:
    assert loaded(*line) == set()


def test_status_imports_neither_zarr_nor_the_analysis(complete) -> None:
    assert loaded("status", complete) == {"numpy"}


def test_a_run_with_nothing_to_do_imports_the_store_alone(complete) -> None:
    assert loaded("run", complete) == {"numpy"}


def test_a_short_run_imports_no_dask(tmp_path) -> None:
    found = loaded("run", "tiny", "-o", tmp_path / "a.zarr")
    assert found == {"numba", "numpy", "scipy"}


@pytest.mark.slow
def test_the_driver_of_workers_imports_no_numerics(tmp_path) -> None:
    found = loaded("run", "tiny", "-o", tmp_path / "a.zarr", "--workers", 1)
    assert found == {"cryptography", "dask", "distributed", "jinja2", "numpy"}


@pytest.mark.slow
def test_a_page_imports_the_analysis_without_dask(complete) -> None:
    found = loaded("watch", complete, "--with-run")  # which ends at once: its standard input is empty
    assert found == {"jinja2", "matplotlib", "numpy", "pandas", "pyarrow", "scipy", "xarray"}


def test_the_address_of_a_page_is_there_before_the_analysis(complete) -> None:
    code = "import sys, jobs.watching; print(*sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {name.split(".")[0] for name in told.stdout.split()} & HEAVY == set()


def test_sweeps_import_no_store() -> None:
    assert loaded("sweeps") <= {"numba", "numpy", "scipy"}


@pytest.mark.parametrize(
    ("command", "allowed"),
    [
        (
            "query",
            {"dask", "jinja2", "numpy", "pandas", "pyarrow", "scipy", "xarray", "zarr"},
        ),
        (
            "fit",
            {"dask", "distributed", "jinja2", "numpy", "pandas", "pyarrow", "scipy", "xarray", "zarr"},
        ),
    ],
)
def test_the_analysis_imports_no_more_than_it_did(complete, command, allowed) -> None:
    assert loaded(command, complete) <= allowed
