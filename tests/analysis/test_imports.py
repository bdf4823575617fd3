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
sys.argv[1:] = json.loads(sys.argv[1])
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print(json.dumps(sorted(name for name, module in sys.modules.items() if module is not None)), end="")
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory, make_sweep) -> str:
    path = tmp_path_factory.mktemp("stores") / "a.zarr"
    pipeline.run(make_sweep(n="[6, 9, 12]", seeds=30), path)
    return str(path)


def imported(*words: str) -> set[str]:
    """Return the modules that a command has imported when it ends."""
    call = [sys.executable, "-c", CALL, json.dumps(words)]
    done = subprocess.run(call, capture_output=True, text=True)
    assert not done.returncode, done.stderr
    return set(json.loads(done.stdout.rpartition("\n")[2]))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "needs"),
    [
        (["status"], set()),
        (["query"], set()),
        (["query", "--stat", "mean"], set()),
        (["fit"], {"scipy.special", "scipy.optimize"}),
        (["fit", "--json"], {"scipy.special", "scipy.optimize"}),
    ],
)
def test_a_command_without_figures_imports_no_heavy_library(command, needs, store) -> None:
    found = imported(*command, store)
    assert found & HEAVY == set()
    assert {name for name in ("scipy.special", "scipy.optimize") if name in found} == needs


@pytest.mark.slow
@pytest.mark.parametrize("command", ["plot", "report"])
def test_figures_and_the_report_need_no_dask(command, store, tmp_path) -> None:
    output = tmp_path / "a.html" if command == "report" else tmp_path
    found = imported(command, store, "-o", str(output))
    assert "matplotlib" in found
    assert found & {"dask", "distributed", "numba", "statsmodels", "scipy.stats"} == set()
