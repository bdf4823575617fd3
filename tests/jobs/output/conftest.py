"""Commands that run on a real terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import termios
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ... import forked


def run_on_terminal(line: Sequence[object]) -> tuple[int, str]:
    """Run a command whose stdout and stderr are a terminal; return its exit status and its output."""
    ours, theirs = pty.openpty()
    with subprocess.Popen([*map(str, line)], stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        output = read(ours)
    return process.returncode, output


def read(ours: int) -> str:
    """Read all that comes to our end of a terminal, and close it."""
    chunks = []
    while True:
        try:
            chunk = os.read(ours, 65536)
        except OSError:  # the last process on the terminal has ended
            break
        if not chunk:
            break
        chunks.append(chunk)
    os.close(ours)
    return b"".join(chunks).decode()


@pytest.fixture
def on_terminal() -> Callable[..., tuple[int, str]]:
    return run_on_terminal


@pytest.fixture
def terminal(command, monkeypatch) -> Callable[..., tuple[int, str]]:
    """Run the console script on a terminal."""
    monkeypatch.delenv("COLUMNS", raising=False)  # it would hide how wide the terminal is

    def run(*arguments: object, cwd: Path | None = None, columns: int = 80) -> tuple[int, str]:
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        line = [command, *map(str, arguments)]
        with ThreadPoolExecutor(1) as elsewhere:
            ended = elsewhere.submit(status, line, os.ttyname(theirs), cwd or Path.cwd())
            ended.add_done_callback(lambda _: os.close(theirs))
            output = read(ours)
        return ended.result(), output

    return run


def status(line: list[str], terminal: str, cwd: Path) -> int:
    """Run the console script with its output on a terminal, forked as by `widthlaw`."""
    if forked.environment() == forked.first_environment():
        return forked.server_of(line[1]).run(line, [Path(terminal)] * 2, {}, cwd)
    with open(terminal, "wb") as file:
        return subprocess.run(line, stdout=file, stderr=file, cwd=cwd, check=False).returncode
