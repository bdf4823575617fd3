"""Conditioning on rows of any norm has alpha and its edge; claims of Theorem 2 stay with unit rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

import pipeline
from analysis import load_store
from analysis.claims import claims_of
from analysis.comparison import answer_of
from analysis.study import Study
from analysis.unit_rows import note_on_norms, other_kinds
from pipeline.numerics.datasets import DatasetSpec, draw
from pipeline.numerics.streams import Role, stream
from pipeline.sweep import Sweep
from pipeline.theory import alpha
from pipeline.trial_status import Status

Make = Callable[..., Sweep]

KEYS = {"d": "[8]", "n": "[16]", "width": "{ k_per_n = [1.5, 3.0, 8.0, 24.0] }", "seeds": 20}


@pytest.fixture(scope="module")
def stores(tmp_path_factory, make_sweep: Make) -> dict[str, xr.Dataset]:
    """The sweep named theorem2 on rows of other norms than 1, and on two kinds of norm 1."""
    folder = tmp_path_factory.mktemp("norms")
    np.save(folder / "rows.npy", 3 * np.random.default_rng(1).standard_normal((60, 8)))
    data = {
        "gaussian": "{ kind = 'gaussian' }",
        "shell": "{ kind = 'shell' }",
        "file": "{ kind = 'file', path = 'rows.npy' }",
        "scaled": "{ kind = 'file', path = 'rows.npy', normalise = true }",
        "sphere": "{ kind = 'sphere' }",
    }
    for name, dataset in data.items():
        sweep = make_sweep(folder, name="'theorem2'", dataset=dataset, **KEYS)
        pipeline.run(sweep, folder / f"{name}.zarr")
    return {name: load_store(folder / f"{name}.zarr") for name in data}


@pytest.mark.parametrize("kind", ["gaussian", "shell"])
def test_a_store_has_the_singular_values_and_alpha_of_its_rows(stores, kind: str) -> None:
    ds = stores[kind].sel(d=8, n=16)
    assert (ds.status == Status.DONE).all()
    for seed in (0, 7):
        X = draw(DatasetSpec(kind), stream(7, 8, 16, seed, Role.DATA), 16, 8, None)
        assert np.ptp(np.linalg.norm(X, axis=1)) > 0.1
        W = stream(7, 8, 16, seed, Role.WEIGHTS).standard_normal((384, 8))
        for width, k in enumerate((24, 48, 128, 384)):
            sigma = np.linalg.svd(np.maximum(W[:k] @ X.T, 0), compute_uv=False)
            found = ds.isel(width=width).sel(seed=seed)
            assert float(found.sigma_min) == pytest.approx(sigma[-1], rel=1e-8)
        assert float(ds.alpha.sel(seed=seed)) == pytest.approx(alpha(X, "relu"), rel=1e-12)


@pytest.mark.parametrize("kind", ["gaussian", "shell", "file"])
def test_the_edge_predicts_the_least_singular_value_there_too(stores, kind: str) -> None:
    ds = stores[kind].sel(d=8, n=16).isel(width=-1)
    ratio = ds.sigma_min**2 / ds.k / ds.edge
    assert 0.75 < float(ratio.median()) < 1.33


@pytest.mark.parametrize("kind", ["gaussian", "shell", "file"])
def test_claims_of_theorem_2_are_left_out_with_the_reason(stores, kind: str) -> None:
    ds = stores[kind]
    assert other_kinds(ds) == [kind]
    assert claims_of(Study(ds)) == []
    (note,) = (note for note in answer_of(ds).notes if "Theorem 2" in note)
    assert note.startswith(f"rows of {kind} are not known to have norm 1, which Theorem 2 requires")
    assert float(Study(ds).widths.k50.squeeze()) > 16  # the critical width is measured nevertheless


@pytest.mark.parametrize("kind", ["sphere", "scaled"])
def test_rows_of_norm_1_have_all_claims_and_no_note(stores, kind: str) -> None:
    assert len(claims_of(Study(stores[kind]))) == 2
    assert note_on_norms(stores[kind]) == ""
    assert not any("Theorem 2" in note for note in answer_of(stores[kind]).notes)


def test_other_experiments_have_no_note(stores) -> None:
    assert note_on_norms(stores["gaussian"].assign_attrs(experiment="spectrum")) == ""
