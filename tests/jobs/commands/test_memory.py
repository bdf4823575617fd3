"""Every command that starts workers refuses trials that they cannot hold, before anything is changed.

A limit of a process is the memory of the machine to Dask, and to the commands.
"""

from __future__ import annotations

import resource
import subprocess

import numpy as np
import pytest

import pipeline

SMALL = 200 * 2**20
"""Bytes; less than a worker process without its trials."""


@pytest.fixture
def on_a_small_machine(command):
    def run(*words: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [command, *map(str, words)],
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_RSS, (SMALL, SMALL)),
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )

    return run


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ("run", "tiny", "-o", "{tmp}/new.zarr"),
        ("reproduce", "-o", "{tmp}/new"),
        ("width", "{tmp}/rows.npy", "--n", "20", "--store", "{tmp}/new.zarr"),
        ("refine", "{tmp}/a.zarr", "--to", "1%"),
    ],
)
def test_a_machine_that_is_too_small_is_told_before_anything_is_changed(
    on_a_small_machine, make_sweep, tmp_path, words
) -> None:
    np.save(tmp_path / "rows.npy", np.random.default_rng(0).standard_normal((60, 5)))
    pipeline.run(make_sweep(d="[5]", n="[12]"), tmp_path / "a.zarr")
    before = sorted((file, file.stat().st_mtime_ns) for file in tmp_path.rglob("*"))
    refused = on_a_small_machine(*(word.format(tmp=tmp_path) for word in words))
    assert refused.returncode == 2, refused.stderr
    assert "a worker needs about" in refused.stderr
    assert "this machine has 200.00 MiB" in refused.stderr
    assert "start it nevertheless with --force" in refused.stderr
    assert sorted((file, file.stat().st_mtime_ns) for file in tmp_path.rglob("*")) == before


@pytest.mark.slow
def test_force_starts_it_nevertheless(on_a_small_machine, tmp_path) -> None:
    np.save(tmp_path / "rows.npy", np.random.default_rng(0).standard_normal((60, 5)))
    words = ("width", tmp_path / "rows.npy", "--n", 10, "--to", "40%", "--workers", 1, "--force")
    assert on_a_small_machine(*words).returncode == 0
