"""Small stores of two kinds, one of them with hostile text in every field, and their report."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import pipeline
from analysis import load_store
from analysis.report import report_page
from analysis.study import Study
from pipeline.trial_status import Status

TRAINED = {
    "name": "'descent'",
    "experiment": "'input'",
    "d": "[3, 4]",
    "n": "[24, 36]",
    "width": "{ kd_per_n = [0.5, 0.8, 1.2, 2.0, 4.0] }",
    "seeds": 6,
    "descent": "{ steps = 3000, tolerances = [1e-1, 1e-2] }",
}
CONDITIONED = {
    "name": "'theorem2'",
    "d": "[4]",
    "n": "[8, 16]",
    "width": "{ k_per_n = { start = 1.1, stop = 30.0, num = 10 } }",
    "seeds": 20,
}
IMAGE = "<img src=x onerror=alert(1)>"
SCRIPT = "</script><script>alert(2)</script>"
QUOTES = "\"'` onmouseover=alert(3) x='"
TURNED = "\u202eesrever\u202c & {{ 7 * 7 }} \u2028"
"""Right to left, an entity, a template, and what once ended a line of JavaScript."""


@pytest.fixture(scope="session")
def stores(tmp_path_factory, make_sweep) -> dict[str, Path]:
    """Paths of two stores by the names of their sweeps."""
    folder = tmp_path_factory.mktemp("report")
    paths = {}
    for keys in (CONDITIONED, TRAINED):
        name = keys["name"].strip("'")
        paths[name] = folder / f"{name}.zarr"
        pipeline.run(make_sweep(**keys), paths[name])
    return paths


@pytest.fixture(scope="session")
def studies(stores) -> dict[str, Study]:
    """The same in memory, as the page takes them."""
    return {f"{name}.zarr": Study(load_store(path)) for name, path in stores.items()}


@pytest.fixture(scope="session")
def hostile(studies) -> xr.Dataset:
    """A store whose words would do harm where they are taken for HTML or for a script."""
    ds = studies["theorem2.zarr"].ds
    message = np.where(ds.seed % 2, IMAGE, SCRIPT)
    failed = xr.where(ds.seed < 2, Status.FAILED, ds.status).transpose(*ds.status.dims).astype("int8")
    return ds.assign(
        status=failed,
        message=ds.message.copy(data=np.broadcast_to(message, ds.message.shape).astype(object)),
    ).assign_attrs(
        name=IMAGE,
        experiment=QUOTES,
        sweep=f"# {IMAGE}{TURNED}\nname = '{SCRIPT}'\n[dataset]\npath = '{QUOTES}'",
        identity=SCRIPT,
        provenance={
            "created": IMAGE,
            QUOTES: {SCRIPT: IMAGE},
            "platform": TURNED,
            "blas": [{"a": SCRIPT}],
        },
    )


@pytest.fixture(scope="session")
def page(studies, hostile) -> str:
    """The report of the three."""
    return report_page({**studies, f"{QUOTES}{SCRIPT}.zarr": Study(hostile)})
