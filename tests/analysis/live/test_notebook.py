"""A store in a notebook, whose display a run finds and updates while trials arrive.

A small package stands for IPython, and prints what it is told to display. Where Jupyter is installed, a
real kernel does the same.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import analysis
import pipeline
from pipeline.errors import InputError
from pipeline.execution.progress import DISPLAYS
from pipeline.store import Store

from ...waiting import PATIENCE

KERNEL = """
class Shell:
    kernel = True

def get_ipython():
    return Shell()
"""

DISPLAY = """
import json

def told(kind, shown):
    if not hasattr(shown, "_ipython_display_"):
        print(json.dumps([kind, shown._repr_mimebundle_()]), flush=True)

class Handle:
    def update(self, shown):
        told("update", shown)

def display(shown, display_id):
    told("new", shown)
    return Handle()
"""

RUN = """
import sys
import IPython, pipeline
pipeline.run(*sys.argv[1:])
"""

WATCH = """
import sys
import IPython, analysis
found = analysis.watch(sys.argv[1])
for line in sys.stdin:
    break
found.stop()
"""


@pytest.fixture
def jupyter(tmp_path) -> dict[str, str]:
    """The environment of a process that takes itself for a kernel."""
    package = tmp_path / "site" / "IPython"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(KERNEL)
    (package / "display.py").write_text(DISPLAY)
    return os.environ | {"PYTHONPATH": str(package.parent)}


def started(code: str, *words: object, env: dict[str, str]) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    line = [sys.executable, "-c", code, *map(str, words)]
    return subprocess.Popen(line, env=env, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


@pytest.mark.slow
def test_a_run_shows_its_store_from_its_first_trial_to_the_phase_diagram(
    jupyter, write_sweep, tmp_path
) -> None:
    process = started(RUN, write_sweep(), tmp_path / "a.zarr", env=jupyter)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    (first, before), *_, (last, after) = map(json.loads, out.splitlines())
    assert (first, last) == ("new", "update")
    assert before["text/plain"] == "small: 0.0% of 96 trials: 96 pending"
    assert after["text/plain"] == "small: 100.0% of 96 trials: 96 done"
    assert "<iframe sandbox srcdoc=" in after["text/html"]
    assert "Where trials succeed" not in before["text/html"]
    assert "Where trials succeed" in after["text/html"]
    assert "96/96" not in err  # the bar of a terminal


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lacking", "told"), [("display.py", "its display has failed"), (None, "its display has failed")]
)
def test_a_display_that_fails_costs_no_run(jupyter, write_sweep, tmp_path, lacking, told) -> None:
    module = Path(jupyter["PYTHONPATH"], "IPython", "display.py")
    if lacking:
        module.unlink()
    else:
        module.write_text(f"{DISPLAY}\n\ndef told(kind, shown):\n    assert kind == 'new'\n")
    process = started(RUN, write_sweep(), tmp_path / "a.zarr", env=jupyter)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert told in err
    assert Store(tmp_path / "a.zarr").counts()["done"] == 96


@pytest.mark.slow
def test_a_store_is_followed_in_the_background_while_another_process_fills_it(
    jupyter, make_sweep, tmp_path
) -> None:
    path = tmp_path / "a.zarr"
    process = started(WATCH, path, env=jupyter)
    assert process.stdout is not None
    kind, shown = json.loads(process.stdout.readline())
    assert kind == "new"
    assert "not there yet" in shown["text/plain"]
    pipeline.run(make_sweep(), path)
    while "100.0%" not in shown["text/plain"] or "predicted" not in shown["text/html"]:
        kind, shown = json.loads(process.stdout.readline())
        assert kind == "update"
    _, err = process.communicate("\n", timeout=PATIENCE)
    assert process.returncode == 0, err


def test_outside_a_notebook_watch_names_the_command() -> None:
    with pytest.raises(InputError, match="no notebook; `widthlaw watch` shows"):
        analysis.watch("a.zarr")


def test_the_installed_package_registers_its_display() -> None:
    (point,) = entry_points(group=DISPLAYS, name="notebook")
    assert point.value == "analysis.live.notebook:showing", (
        "install the package again: pip install -e ."
    )
    assert callable(point.load())


def test_a_real_kernel_shows_and_updates_a_run_and_a_store(write_sweep, tmp_path) -> None:
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    cells = [
        f"import pipeline\npipeline.run({str(write_sweep())!r}, 'a.zarr')",
        "import analysis\nfound = analysis.watch('a.zarr')",
        "found._thread.join()\nfound",
    ]
    notebook = nbformat.v4.new_notebook(cells=list(map(nbformat.v4.new_code_cell, cells)))
    where = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=int(PATIENCE), resources=where).execute()
    run, watched, named = (cell.outputs for cell in notebook.cells)
    for shown in (run[0], watched[0]):
        assert shown.data["text/plain"] == "small: 100.0% of 96 trials: 96 done"
        assert "Where trials succeed" in shown.data["text/html"]
    assert len(watched) == 1
    assert named == []
