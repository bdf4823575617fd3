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

__all__ = ["WITHOUT_DASK", "Limits", "environment", "run", "server_of"]

Limits = dict[int, int]
"""Resources of `resource.setrlimit`, and how much of each the command may use."""

WITHOUT_DASK = READERS | {"verify", "sweeps", "profiles", "new"}


class _Server:
    """A process that forks commands, one at a time."""

    def __init__(self, kind: str) -> None:
        self.environment = environment()
        self.lock = threading.Lock()
        self.process = subprocess.Popen(
            [sys.executable, "-P", fork_server.__file__, kind],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=self.environment,
            cwd="/", start_new_session=True,
        )  # fmt: skip
        atexit.register(self.process.kill)

    def run(self, line: list[str], texts: list[Path], limits: Limits, cwd: Path) -> int:
        """Return the exit status of a command."""
        asked = {"line": line, "texts": list(map(str, texts)), "limits": list(limits.items())}
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


@functools.cache
def server_of(kind: str) -> _Server:
    return _Server(kind)


def environment() -> dict[str, str]:
    """Return that of commands: nothing in it tells of the test that runs."""
    return {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}


def run(
    command: str,
    words: list[str],
    folder: Path,
    limits: Limits | None = None,
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run the console script to its end, within some limits; a folder holds what it writes."""
    line, limits = [command, *words], limits or {}
    server = server_of("reads" if words[0] in WITHOUT_DASK else "runs")
    if environment() != server.environment:
        return subprocess.run(
            line, cwd=cwd, preexec_fn=lambda: fork_server.limit(limits), text=True,
            stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
    texts = [folder / name for name in ("stdout", "stderr")]
    status = server.run(line, texts, limits, cwd or Path.cwd())
    return subprocess.CompletedProcess(line, status, *(text.read_text() for text in texts))
