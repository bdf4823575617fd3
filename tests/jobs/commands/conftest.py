"""A small store for the commands that check or change stores."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest

import pipeline


@pytest.fixture
def own_store(make_sweep, tmp_path):
    """A small filled store of the test's own, which it may change."""
    path = tmp_path / "a.zarr"
    pipeline.run(make_sweep(), path)
    return path


@pytest.fixture
def assert_refused() -> Callable[..., None]:
    """A check that a command refused its input with one line on stderr."""

    def check(result: subprocess.CompletedProcess[str], message: str) -> None:
        assert result.returncode == 2, (result.args, result.stderr)
        assert message in result.stderr, result.args
        assert len(result.stderr.splitlines()) == 1, result.stderr
        assert result.stdout == ""

    return check
