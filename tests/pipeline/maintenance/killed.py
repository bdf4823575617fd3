"""Run as a script: does something to copies of stores, each time killed at another file operation.

`python killed.py WHAT FOLDER TIMES ARGUMENTS...`: FOLDER/stores is copied to FOLDER/0, FOLDER/1, ...;
in each, WHAT is done by a process of its own, which kills itself (SIGKILL) at one of TIMES evenly
spaced events: Python reports every opening, renaming and removal of a file to its audit hooks.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path

from pipeline.execution.driver import run
from pipeline.experiments import EXPERIMENTS
from pipeline.maintenance.grow import extend, merge
from pipeline.maintenance.longer import lengthen
from pipeline.maintenance.repair import repair
from pipeline.maintenance.verify import damage
from pipeline.store import stored_sweep
from pipeline.sweep_files.load import load_sweep

EVENTS = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.scandir", "shutil.rmtree"}


def extending(folder: Path, sweep: str) -> None:
    extend(folder / "a.zarr", load_sweep(sweep))


def lengthening(folder: Path, steps: str) -> None:
    lengthen(folder / "a.zarr", int(steps))


def running(folder: Path) -> None:
    run(stored_sweep(folder / "a.zarr"), folder / "a.zarr")


def merging(folder: Path) -> None:
    merge([folder / "a.zarr", folder / "b.zarr"], folder / "m.zarr")


def merging_into_the_first(folder: Path) -> None:
    merge([folder / "a.zarr", folder / "b.zarr"], folder / "a.zarr")


def repairing(folder: Path) -> None:
    repair(folder / "a.zarr", damage(folder / "a.zarr"))


def child(what: str, folder: Path, arguments: list[str], end: int | None) -> int:
    """Do it in a process of its own; return the number of events, as far as it came to its end."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        with os.fdopen(reading) as pipe:
            count = pipe.read()
        os.waitpid(pid, 0)
        return int(count or 0)
    seen = 0

    def hook(event: str, given: tuple[object, ...]) -> None:
        nonlocal seen
        if event in EVENTS and _below(folder, given[0]):
            seen += 1
            if seen == end:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    globals()[what](folder, *arguments)
    os.write(writing, str(seen).encode())
    os._exit(0)


def _below(folder: Path, path: object) -> bool:
    """Say whether a path is of a folder; files of one that is held open are named relative to it."""
    return str(folder) in str(path) or (isinstance(path, str) and not os.path.isabs(path))


def main(what: str, base: str, times: str, *arguments: str) -> None:
    assert EXPERIMENTS["conditioning"].variables  # imported once, and not by every child
    folder = Path(base)
    shutil.copytree(folder / "stores", folder / "whole")
    events = child(what, folder / "whole", [*arguments], None)
    assert events > int(times), events
    for number in range(int(times)):
        copy = folder / str(number)
        shutil.copytree(folder / "stores", copy)
        end = 1 + number * (events - 1) // (int(times) - 1)
        assert child(what, copy, [*arguments], end) in (0, events)


if __name__ == "__main__":
    main(*sys.argv[1:])
