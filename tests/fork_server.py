"""The process from which `forked.run` forks commands: it has imported what they need.

Commands that read stores do without Dask, so it is imported as they are: xarray remembers whether Dask
is there.
"""

from __future__ import annotations

import atexit
import os
import resource
import sys
from importlib import import_module
from pathlib import Path

from jobs.cli import COMMANDS, main

MODULES = (
    *(f"analysis.{part}" for part in ("stores", "query", "scaling", "slowing", "transitions")),
    *("pipeline.maintenance.verify", "pipeline.maintenance.repair", "jobs.launch"),
    *(f"jobs.commands.{module}" for module, _ in COMMANDS.values()),
)


def limit(limits: dict[int, int]) -> None:
    """Set the limits of this process."""
    for name, most in limits.items():
        resource.setrlimit(name, (most, most))


def in_child(line: list[str], texts: list[Path], limits: dict[int, int], cwd: Path) -> None:
    """Be the command: its words, where it writes, its limits and its folder."""
    for number, text in enumerate(texts, 1):
        os.dup2(os.open(text, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
    os.chdir(cwd)
    sys.argv = line
    sys.modules.pop("dask", None)
    limit(limits)
    try:
        main()
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()


if "multiprocessing.forkserver" in sys.modules and "pytest" not in sys.modules:
    sys.modules["dask"] = None  # type: ignore[assignment]
    for name in MODULES:
        import_module(name)
