"""The command in a process that is forked from one with all modules imported: seconds less for each.

There is a process for commands that read stores and one for the others, whose imports differ. A command
whose environment differs from theirs gets a process of its own, since modules read variables when they
are imported.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from jobs.cli import READERS

from . import fork_server
from .waiting import PATIENCE

__all__ = ["Limits", "environment", "first_environment", "run", "server_of"]

Limits = dict[int, int]
"""Resources of `resource.setrlimit`, and how much of each the command may use."""

WITHOUT_DASK = READERS | {"verify", "sweeps", "profiles", "new"}

OF_LIBRARIES = frozenset(
    {
        *("KMP_DUPLICATE_LIB_OK", "KMP_INIT_AT_FORK", "MALLOC_TRIM_THRESHOLD_", "MKL_NUM_THREADS"),
        *("OMP_NUM_THREADS", "__DASK_PARENT_PID"),
    }
)
"""Variables that scikit-learn and Dask set in the process of the tests."""

OF_TERMINAL = ("COLUMNS", "LINES")
"""Variables that no module reads when it is imported: each command has those of its test."""


class _Server:
    """A process that forks commands, one at a time."""

    def __init__(self, kind: str) -> None:
        self.lock = threading.Lock()
        self.process = subprocess.Popen(
            [sys.executable, "-P", fork_server.__file__, kind],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=first_environment(),
            cwd="/", start_new_session=True,
        )  # fmt: skip
        atexit.register(self.process.kill)

    def run(self, line: list[str], texts: list[Path], limits: Limits, cwd: Path) -> int:
        """Return the exit status of a command."""
        asked = {"line": line, "texts": list(map(str, texts)), "limits": list(limits.items())}
        asked["terminal"] = {name: os.environ.get(name) for name in OF_TERMINAL}
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with self.lock:
            print(json.dumps({**asked, "cwd": str(cwd)}), file=self.process.stdin, flush=True)
            child = int(self.process.stdout.readline())
            hung = threading.Timer(PATIENCE, os.kill, (child, signal.SIGKILL))
            hung.start()
            try:
                return int(self.process.stdout.readline())
            finally:
                hung.cancel()


def server_of(command: str) -> _Server:
    """Return the process that forks a command."""
    return _server("reads" if command in WITHOUT_DASK else "runs")


@functools.cache
def _server(kind: str) -> _Server:
    return _Server(kind)


def environment() -> dict[str, str]:
    """Return that of commands: nothing in it tells of the test that runs, or of those before."""
    return {
        key: value
        for key, value in os.environ.items()
        if key not in OF_LIBRARIES and key not in OF_TERMINAL and not key.startswith("PYTEST_")
    }


@functools.cache
def first_environment() -> dict[str, str]:
    """Return that of the first call, before any test."""
    return environment()


def run(
    command: str,
    words: list[str],
    folder: Path,
    limits: Limits | None = None,
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run the console script to its end, within some limits; a folder holds what it writes."""
    line, limits = [command, *words], limits or {}
    if environment() != first_environment():
        return subprocess.run(
            line, cwd=cwd, preexec_fn=lambda: fork_server.limit(limits), text=True,
            stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
    texts = [folder / name for name in ("stdout", "stderr")]
    status = server_of(words[0]).run(line, texts, limits, cwd or Path.cwd())
    return subprocess.CompletedProcess(line, status, *(text.read_text() for text in texts))
