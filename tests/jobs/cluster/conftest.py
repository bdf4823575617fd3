"""Profiles of every batch system, and stand-ins for the commands of batch systems."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from jobs.cluster.profile import Profile, load_profile


@pytest.fixture(autouse=True)
def dask_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep dask-jobqueue from the user's folder, and the user's profiles from the tests."""
    monkeypatch.setenv("DASK_CONFIG", str(tmp_path / "dask"))
    monkeypatch.setattr("dask.config.PATH", str(tmp_path / "dask"))
    monkeypatch.setenv("WIDTHLAW_CONFIG", str(tmp_path / "config"))


@pytest.fixture
def profile(tmp_path: Path) -> Callable[..., Profile]:
    """A profile of a batch system with most keys set."""

    def made(system: str, **keys: str) -> Profile:
        extra = "MaxRetries = 3" if system == "htcondor" else "--extra one"
        given = {
            "system": f"'{system}'",
            "workers": "6",
            "workers_per_job": "2",
            "memory": "'2 GB'",
            "walltime": "'1-02:00:30'",
            "account": "'lab'",
            "directives": f"['{extra}']",
            "prologue": "['module load python', 'export A=$(nproc)']",
            **({} if system == "htcondor" else {"queue": "'long'"}),
        } | keys
        file = tmp_path / "mine.toml"
        file.write_text("\n".join(f"{key} = {value}" for key, value in given.items()))
        return load_profile(file)

    return made


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Put a stand-in for a command on PATH; it writes its arguments and its input into a file."""

    def put(name: str, script: str) -> Path:
        (tmp_path / "bin").mkdir(exist_ok=True)
        command, calls = tmp_path / "bin" / name, tmp_path / f"{name}.calls"
        command.write_text(f'#!/bin/sh\necho "$@" > {calls}\ncat >> {calls}\n{script}\n')
        command.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
        return calls

    return put
