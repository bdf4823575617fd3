"""Stores and figures that the tests of several subjects share."""

from __future__ import annotations

import pytest
from matplotlib.figure import Figure

import pipeline
from analysis import load_store
from analysis.figures import FIGURES
from analysis.study import Study

from .stand import EVERY, STORES, widthless


@pytest.fixture(scope="session")
def descents(tmp_path_factory, make_sweep) -> dict[str, Study]:
    folder = tmp_path_factory.mktemp("descents")
    for name, keys in STORES.items():
        given = {key: value for key, value in keys.items() if value is not None}
        sweep = make_sweep(**given) if "width" in given else widthless(given)
        pipeline.run(sweep, folder / f"{name}.zarr")
    return {name: Study(load_store(folder / f"{name}.zarr")) for name in STORES}


@pytest.fixture(scope="session")
def drawn(descents) -> dict[tuple[str, str], Figure]:
    return {(name, kind): FIGURES[kind].draw(descents[name]) for name, kind in EVERY}
