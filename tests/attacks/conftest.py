"""A sound store, and copies of it to attack."""

from __future__ import annotations

import resource
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import pipeline
from pipeline import store

KEYS = {"d": "[3, 5]", "n": "[6, 12]", "seeds": 8, "width": "{ k_per_n = [1.5, 2.0, 4.0] }"}


@pytest.fixture(scope="session")
def sound(tmp_path_factory, make_sweep) -> Path:
    path = tmp_path_factory.mktemp("sound") / "a.zarr"
    store.create(path, make_sweep(**KEYS), seeds_per_chunk=4)
    pipeline.run(make_sweep(**KEYS), path)
    return path


@pytest.fixture
def copy(sound, tmp_path) -> Path:
    return shutil.copytree(sound, tmp_path / "a.zarr")


LIMIT = 3 * 2**30
"""Bytes of address space that a command gets here."""

Bounded = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def bounded(widthlaw) -> Bounded:
    """Run a command that may neither fill the memory nor take so many seconds of a core."""

    def run(*line: object, seconds: int = 60) -> subprocess.CompletedProcess[str]:
        return widthlaw(*line, limits={resource.RLIMIT_AS: LIMIT, resource.RLIMIT_CPU: seconds})

    return run
