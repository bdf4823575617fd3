"""Trials at the edge of stability are those whose times move by hundreds as W moves by 1e-15."""

from __future__ import annotations

import numpy as np
import pytest

import pipeline
from analysis.slowing import infinite_budget
from analysis.slowing.cells import RISES
from analysis.stores import open_store
from pipeline import store
from pipeline.execution.compute import compute_block

TIMES = "steps_to_tolerance"

KINDS = {
    "relu": {"experiment": '"input"', "activation": '"relu"', "width": "{ k = [8, 12] }"},
    "tanh": {"experiment": '"joint"', "activation": '"tanh"', "width": "{ k = [8, 12] }"},
}
"""The loss of both rises on many steps: of ReLU at kinks, of tanh beyond the stable step."""


@pytest.fixture(params=KINDS)
def descended(request, make_sweep, tmp_path):
    """Return a kind, the path of its store, and by how many steps moved inputs move its first steps."""
    descent = "{{ steps = 3000, tolerances = [0.1], step_size = {}, diagnostics = true }}"
    descent = descent.format(1.0 if request.param == "relu" else 1.5)
    sweep = make_sweep(d="[5]", n="[40]", seeds=4, descent=descent, **KINDS[request.param])
    path = tmp_path / "a.zarr"
    pipeline.run(sweep, path)
    (tile,) = store.Store(path, sweep).tiles()
    moved = [
        np.concatenate([compute_block(sweep, one, moved=move).values[TIMES] for one in tile.blocks])
        for move in range(3)
    ]
    return request.param, path, np.ptp(np.minimum(moved, 3000.0), axis=0).max()


def test_a_cell_whose_loss_rises_is_at_the_edge_only_if_its_times_move(descended) -> None:
    kind, path, moves = descended
    ds = open_store(path, dask=False)
    rising = float((ds.rises / ds.steps > RISES).mean())
    assert rising >= 0.25
    at_edge = infinite_budget(ds).at_edge[0]
    assert at_edge == (0 if kind == "relu" else rising)
    assert moves == 0 if kind == "relu" else moves > 100


@pytest.mark.parametrize(
    ("method", "at_edge"),
    [('"gd"', [0.0]), ('"adam"', [1.0]), ('["gd", "adam"]', [0.0, 1.0])],
)
def test_a_small_sharpness_excuses_no_trial_of_adam(make_sweep, tmp_path, method, at_edge) -> None:
    lines = f"method = {method}, step_size = {{ absolute = 0.01 }}, diagnostics = true"
    descent = f"{{ steps = 50, tolerances = [0.1], {lines} }}"
    sweep = make_sweep(**KINDS["tanh"], d="[5]", n="[20]", seeds=2, descent=descent)
    path = tmp_path / "a.zarr"
    pipeline.run(sweep, path)
    ds = open_store(path, dask=False)
    flat = ds.assign(rises=0.2 * ds.steps, sharpness=1.0 / ds.step_size)  # rises, far from the edge
    assert infinite_budget(flat).at_edge.tolist() == at_edge
