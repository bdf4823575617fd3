"""Commands that read stores import no library that they do not use: each has its price in seconds."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import pipeline

HEAVY = {
    "IPython", "bokeh", "cryptography", "dask", "distributed", "jinja2", "matplotlib", "numba",
    "scipy.stats", "statsmodels", "tqdm",
}  # fmt: skip
"""Libraries that take long to import, and that a command without figures does not need.

Pyarrow takes long too, but pandas imports it where it is installed.
"""

CALL = """
import json, sys
from jobs.cli import main
found = []
for sys.argv[1:] in json.loads(sys.argv[1]):
    try:
        main()
    except SystemExit as end:
        assert not end.code, end.code
    found.append(sorted(name for name, module in sys.modules.items() if module is not None))
print(json.dumps(found), end="")
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory, make_sweep) -> str:
    path = tmp_path_factory.mktemp("stores") / "a.zarr"
    pipeline.run(make_sweep(n="[6, 9, 12]", seeds=30), path)
    return str(path)


def imported(*commands: list[str]) -> list[set[str]]:
    """Return the modules that are there after each of some commands, which one process runs."""
    call = [sys.executable, "-c", CALL, json.dumps(commands)]
    done = subprocess.run(call, capture_output=True, text=True)
    assert not done.returncode, done.stderr
    return list(map(set, json.loads(done.stdout.rpartition("\n")[2])))


@pytest.mark.slow
def test_a_command_without_figures_imports_no_heavy_library(store) -> None:
    lean = [["status", store], ["query", store], ["query", "--stat", "mean", store]]
    fits = [["fit", store], ["fit", "--json", store]]
    found = imported(*lean, *fits)
    solvers = {"scipy.special", "scipy.optimize"}
    for modules, command in zip(found, [*lean, *fits], strict=True):
        assert modules & HEAVY == set(), command
        assert modules & solvers == (solvers if command in fits else set()), command


@pytest.mark.slow
def test_figures_and_the_report_need_no_dask(store, tmp_path) -> None:
    report, plot = (
        ["report", store, "-o", str(tmp_path / "a.html")],
        ["plot", store, "-o", str(tmp_path)],
    )
    for found in imported(report, plot):
        assert "matplotlib" in found
        assert found & {"dask", "distributed", "numba", "statsmodels", "scipy.stats"} == set()
