"""The command in a process that is forked from one with all modules imported: seconds less for each.

The first process is Python's fork server, new and of one thread. A command that may start workers gets
a process of its own, and so does one whose environment differs from that of the server, since modules
read variables when they are imported.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

from . import fork_server
from .waiting import PATIENCE

__all__ = ["Limits", "run"]

Limits = dict[int, int]
"""Resources of `resource.setrlimit`, and how much of each the command may use."""

FORKED = frozenset({"status", "query", "fit", "verify", "sweeps", "profiles", "new"})
"""Commands that start no workers, and do without Dask."""

sys.path.append(str(Path(__file__).parents[1]))  # the server imports a module of the tests
_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload([fork_server.__name__])
_ENVIRONMENT: dict[str, str] = {}


def run(
    command: str,
    words: list[str],
    folder: Path,
    limits: Limits | None = None,
    cwd: Path | None = None,
    *,
    forks: bool | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run the console script to its end, within some limits; a folder holds what it writes.

    `forks` tells whether it starts no workers; by default, what `FORKED` says.
    """
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    _ENVIRONMENT.update({} if _ENVIRONMENT else environment)
    line, limits = [command, *words], limits or {}
    forks = words[0] in FORKED if forks is None else forks
    if not forks or environment != _ENVIRONMENT:
        return subprocess.run(
            line, cwd=cwd, preexec_fn=lambda: fork_server.limit(limits), text=True,
            stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
    texts = [folder / name for name in ("stdout", "stderr")]
    process = _SERVER.Process(
        target=fork_server.in_child, args=(line, texts, limits, cwd or Path.cwd())
    )
    process.start()
    process.join(PATIENCE)
    if process.is_alive():
        process.kill()
        raise subprocess.TimeoutExpired(line, PATIENCE)
    said = [text.read_text() for text in texts]
    assert process.exitcode is not None
    return subprocess.CompletedProcess(line, process.exitcode, *said)
