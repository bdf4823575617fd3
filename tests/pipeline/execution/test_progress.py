"""A run that Python started shows its progress: lines in the log, and a bar where somebody looks."""

from __future__ import annotations

import logging
import os
import pty
import subprocess
import sys
import termios

import pytest

import pipeline

RUN = "import sys, pipeline; pipeline.run('tiny', sys.argv[1], **eval(sys.argv[2]))"


def run_elsewhere(path, keywords: str, **streams) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-c", RUN, str(path), keywords]
    return subprocess.run(line, text=True, timeout=200, check=True, **streams)


def test_the_log_tells_what_is_there_at_the_start_and_at_the_end(make_sweep, tmp_path, caplog) -> None:
    sweep = make_sweep()
    with caplog.at_level(logging.INFO, "widthlaw"):
        pipeline.run(sweep, tmp_path / "a.zarr")
        first = [text for text in caplog.messages if text.startswith("small: ")]
        caplog.clear()
        pipeline.run(sweep, tmp_path / "a.zarr")
    assert first[0] == "small: 0 of 96 trials are there, 96 to compute"
    assert first[-1].startswith("small: 96 of 96 trials after ")
    assert first[-1].endswith(", 0 of them failed now")
    assert caplog.messages == ["small: 96 of 96 trials are there, 0 to compute"]


def test_a_run_with_a_progress_of_its_own_logs_no_other(make_sweep, tmp_path, caplog) -> None:
    seen = []
    with caplog.at_level(logging.INFO, "widthlaw"):
        pipeline.run(make_sweep(), tmp_path / "a.zarr", progress=lambda *both: seen.append(both))
    assert sum(task.trials for task, _ in seen) == 96
    assert not [text for text in caplog.messages if text.startswith("small: ")]


@pytest.mark.parametrize(("keywords", "drawn"), [("{}", False), ("{'bar': True}", True)])
def test_where_nobody_looks_a_bar_is_drawn_only_on_demand(tmp_path, keywords, drawn) -> None:
    ended = run_elsewhere(tmp_path / "a.zarr", keywords, capture_output=True)
    assert ("720/720" in ended.stderr) == drawn
    assert ended.stdout == ""


def test_a_terminal_gets_a_bar(tmp_path) -> None:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    run_elsewhere(tmp_path / "a.zarr", "{}", stderr=theirs)
    os.close(theirs)
    text = b""
    while block := _read(ours):
        text += block
    os.close(ours)
    assert b"tiny: " in text
    assert b"720/720" in text


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 2**16)
    except OSError:  # all that was written has been read
        return b""
