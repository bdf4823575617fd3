"""Commands that run on a real terminal."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Callable, Sequence

import pytest


def run_on_terminal(line: Sequence[object], **options: object) -> tuple[int, str]:
    """Run a command whose stdout and stderr are a terminal; return its exit status and its output."""
    ours, theirs = pty.openpty()
    with subprocess.Popen([*map(str, line)], stdout=theirs, stderr=theirs, **options) as process:
        os.close(theirs)
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
    return process.returncode, b"".join(chunks).decode()


@pytest.fixture
def on_terminal() -> Callable[..., tuple[int, str]]:
    return run_on_terminal


@pytest.fixture
def terminal(command) -> Callable[..., tuple[int, str]]:
    def run(*arguments: object, **options: object) -> tuple[int, str]:
        return run_on_terminal([command, *arguments], **options)

    return run
