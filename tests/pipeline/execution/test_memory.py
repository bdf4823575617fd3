"""The estimated memory of trials, next to the measured one."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from pipeline.errors import InputError
from pipeline.execution.memory import PROCESS, check_memory, trial_memory, worker_memory
from pipeline.sweep_files.load import parse_sweep

DESCENT = """
[descent]
steps = 3
tolerances = [1e-2]
"""

SWEEPS = {
    "conditioning": ("n = [1500]\nd = [20]\nwidth = { k = [1600, 3000] }", ""),
    "spectrum": ("n = [900]\nd = [20]\nwidth = { k = [4000] }", ""),
    "theorem2-proof": ("n = [800]\nd = [20]\nwidth = { k = [5000] }", ""),
    "output": ("n = [500]\nd = [20]\nwidth = { k = [4000] }", DESCENT),
    "input": ("n = [500]\nd = [20]\nwidth = { k = [8000] }", DESCENT),
    "deep": ("n = [300]\nd = [20]\ndepth = 3\nwidth = { k = [1000] }", DESCENT),
    "generalisation": ("n = [300]\nd = [20]\nwidth = { k = [4000] }", DESCENT),
    "theorem1": ("n = [600]\nd = [20]\nwidth = { k = [400] }", DESCENT + "multiples = [1.0]\n"),
    "tangent": ('n = [1500]\nd = [20]\ntrained = "both"\nwidth = { k = [400, 1600] }', ""),
    "linear": ("n = [1500]\nd = [700]", DESCENT),
}

MEASURE = """
import json
import os
import sys
from pipeline.blocks import blocks
from pipeline.execution.compute import compute_block
from pipeline.execution.worker import settle
from pipeline.sweep_files.load import parse_sweep

def status(key):
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))

def compute(text):
    sweep = parse_sweep(text)
    result = compute_block(sweep, next(blocks(sweep, max(1, len(sweep.width)), 1)))
    assert not result.message.any(), result.message

def measure(small, large):
    compute(small)  # loops are compiled
    before = status("VmRSS")
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak is counted from here
    compute(large)
    return status("VmHWM") - before

settle()
for line in sys.stdin:  # each in a process of its own, which has the libraries
    reading, writing = os.pipe()
    if not os.fork():
        os.write(writing, str(measure(*json.loads(line))).encode())
        os._exit(0)
    os.close(writing)
    os.wait()
    with os.fdopen(reading) as pipe:
        print(pipe.read(), flush=True)
"""


def text(experiment: str, extents: str, descent: str) -> str:
    activation = "linear" if experiment == "linear" else "tanh"
    return (
        f'name = "{experiment}"\nexperiment = "{experiment}"\nactivation = "{activation}"\n'
        f'entropy = 1\ndataset = {{ kind = "sphere" }}\nseeds = 1\n{extents}\n{descent}'
    )


@pytest.fixture(scope="module")
def measured() -> Iterator[Callable[[str, str], int]]:
    """Return by how much the memory of a process grows with a large trial after a small one."""
    line = [sys.executable, "-c", MEASURE]
    process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        asked, answers = process.stdin, process.stdout

        def measure(small: str, large: str) -> int:
            print(json.dumps([small, large]), file=asked, flush=True)
            return int(answers.readline())

        yield measure
        asked.close()


@pytest.mark.slow
@pytest.mark.parametrize("experiment", SWEEPS)
def test_a_trial_needs_half_to_twice_the_memory_that_is_estimated(experiment, measured) -> None:
    extents, descent = SWEEPS[experiment]
    small = "n = [20]\nd = [10]" + ("" if experiment == "linear" else "\nwidth = { k = [40] }")
    small += "\ndepth = 2" if experiment == "deep" else ""
    large = text(experiment, extents, descent)
    grown = measured(text(experiment, small, descent), large)
    assert grown > 20e6  # well above what other allocations of the process change
    estimate = trial_memory(parse_sweep(large))
    assert grown / 2 < estimate < 2 * grown


def test_the_cell_that_needs_most_decides_and_a_worker_holds_its_libraries_too(make_sweep) -> None:
    small, both = make_sweep(n="[100]"), make_sweep(n="[100, 300]")
    assert trial_memory(both) == trial_memory(make_sweep(n="[300]")) > trial_memory(small)
    assert worker_memory(both) == trial_memory(both) + PROCESS


def test_what_a_worker_cannot_hold_is_refused_with_the_cell_that_needs_it(make_sweep) -> None:
    sweep = make_sweep(n="[100, 3000]")
    check_memory(sweep, worker_memory(sweep), "this machine")
    with pytest.raises(InputError, match=r"n = 3000 and k = 12000, but this machine has .*--force"):
        check_memory(sweep, worker_memory(sweep) - 1, "this machine")


def test_only_the_cells_and_widths_that_run_count(make_sweep) -> None:
    spectra = {"experiment": '"spectrum"', "d": "[5]"}  # its memory is that of all rows of Phi
    sweep = make_sweep(n="[100, 3000]", **spectra)
    small, large = sweep.cells()
    assert worker_memory(sweep, [small]) == worker_memory(make_sweep(n="[100]", **spectra))
    narrow = replace(large, widths=(10,))
    assert worker_memory(sweep, [small]) < worker_memory(sweep, [narrow]) < worker_memory(sweep)
    check_memory(sweep, worker_memory(sweep, [narrow]), "this machine", [narrow])
    with pytest.raises(InputError, match="n = 3000 and k = 10,"):
        check_memory(sweep, worker_memory(sweep, [narrow]) - 1, "this machine", [small, narrow])
