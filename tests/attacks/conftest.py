"""A sound store, and copies of it to attack."""

from __future__ import annotations

import shutil
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
