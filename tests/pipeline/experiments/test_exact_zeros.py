"""What cannot be told from 0 is stored as exactly 0, in the stores of this version of the numerics."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

import pipeline
from pipeline.blocks import blocks
from pipeline.execution.compute import compute_block
from pipeline.experiments import EXPERIMENTS
from pipeline.numerics.datasets import draw
from pipeline.numerics.streams import Role, stream
from pipeline.sweep import Sweep
from pipeline.sweep_files.load import parse_sweep
from pipeline.theory import alpha

SMALLEST = [
    (name, variable.name, variable.below)
    for name, experiment in EXPERIMENTS.items()
    for variable in experiment.variables
    if variable.below
]

DESCENDS = {"steps": 5, "tolerances": [1e-2]}
TRIPLES = '{ kind = "triples", angle = 1e-4 }'


def made(sweep_text: Callable[..., str], name: str, **keys: str) -> Sweep:
    descent = DESCENDS if EXPERIMENTS[name].descends else None
    given = {"d": "[3]", "n": "[24]", "width": "{ k = [26] }", "seeds": "6", "dataset": TRIPLES} | keys
    return parse_sweep(sweep_text(name, descent, **given))


def values_of(sweep: Sweep) -> dict[str, np.ndarray]:
    (block,) = blocks(sweep, len(sweep.width), len(sweep.seeds))
    found = compute_block(sweep, block)
    assert (found.status == 1).all(), found.message
    return found.values


def rounding(values: dict[str, np.ndarray], name: str, below: str, n: int = 24) -> np.ndarray:
    """A mask of the values that are not 0 and cannot be told from it."""
    largest = values[below].reshape(
        values[below].shape + (1,) * (values[name].ndim - values[below].ndim)
    )
    return (values[name] != 0) & (np.abs(values[name]) <= n * np.finfo(float).eps * largest)


def test_all_experiments_with_singular_values_or_a_kernel_say_so() -> None:
    smallest = {"sigma_min", "singular_values", "ntk_min"}
    said = {(name, variable) for name, variable, _ in SMALLEST}
    there = {
        (name, variable.name)
        for name, experiment in EXPERIMENTS.items()
        for variable in experiment.variables
        if variable.name in smallest
    }
    assert said == there


@pytest.mark.parametrize(("name", "variable", "below"), SMALLEST)
def test_rounding_is_stored_as_zero_and_as_it_was_in_older_stores(
    sweep_text, name: str, variable: str, below: str
) -> None:
    sweep = made(sweep_text, name, width="{ k = [40] }", d="[20]" if variable == "ntk_min" else "[3]")
    older = sweep.with_numerics_of({"numerics_version": 4})
    now, before = values_of(sweep), values_of(older)
    assert not rounding(now, variable, below).any()
    noise = rounding(before, variable, below)
    np.testing.assert_array_equal(np.where(noise, 0, before[variable]), now[variable])


@pytest.mark.parametrize("name", ["conditioning", "spectrum", "theorem2-proof", "deep"])
def test_three_points_between_which_no_unit_bends_have_sigma_min_zero(sweep_text, name: str) -> None:
    sweep = made(sweep_text, name)
    assert (values_of(sweep)["sigma_min"] == 0).any()
    older = values_of(sweep.with_numerics_of({"numerics_version": 4}))
    assert rounding(older, "sigma_min", "sigma_max").any()


def test_the_tangent_kernel_of_a_dead_sample_is_singular(sweep_text) -> None:
    keys = {"dataset": '{ kind = "sphere" }', "n": "[100]", "d": "[20]", "width": "{ k = [8] }"}
    sweep = made(sweep_text, "input", seeds="40", **keys)
    values = values_of(sweep)
    dead = values["dead_samples"] > 0
    assert dead.any()
    assert (values["ntk_min"][dead] == 0).all()
    assert (values["ntk_min"][~dead] > 0).all()
    older = values_of(sweep.with_numerics_of({"numerics_version": 4}))
    assert (older["ntk_min"][dead] > 0).any()


@pytest.mark.parametrize("name", ["conditioning", "deep"])
def test_alpha_below_the_rounding_of_the_kernel_is_stored(sweep_text, name: str) -> None:
    pairs = '{ kind = "pairs", angle = 1e-5 }'
    keys = {"activation": '"softplus"', "dataset": pairs, "seeds": "2"}
    sweep = made(sweep_text, name, **keys)
    stored = "alpha" if name == "conditioning" else "kernel_alpha"
    now = values_of(sweep)[stored]
    assert (values_of(sweep.with_numerics_of({"numerics_version": 4}))[stored] == 0).all()
    assert ((now > 0) & (now < 1e-6)).all()
    (cell,) = sweep.cells()
    streams = [stream(sweep.entropy, 3, 24, seed, Role.DATA) for seed in sweep.seeds]
    own = [alpha(draw(cell.dataset, rng, 24, 3, cell.angle), "softplus") for rng in streams]
    np.testing.assert_array_equal(now.ravel(), own)


def test_where_rows_are_duplicates_alpha_and_the_least_eigenvalue_are_zero(sweep_text) -> None:
    pairs = '{ kind = "pairs", angle = 1e-300 }'
    values = values_of(made(sweep_text, "conditioning", activation='"softplus"', dataset=pairs))
    assert (values["alpha"] == 0).all()
    assert (values["kernel_eigenvalues"][..., :12] == 0).all()
    assert (values["kernel_eigenvalues"][..., 12:] > 0).all()


@pytest.mark.parametrize("name", ["conditioning", "spectrum", "theorem2-proof", "deep"])
def test_a_store_tells_an_alpha_of_zero_from_one_that_is_lost(sweep_text, name: str) -> None:
    pairs = '{ kind = "pairs", angle = [1e-300, 1e-13, 1e-2] }'
    alpha = "kernel_alpha" if name == "deep" else "alpha"
    sweep = made(sweep_text, name, activation='"tanh"', dataset=pairs, seeds="1", width="{ k = [30] }")
    for cell, (size, error) in zip(sweep.cells(), [(0, 0), (0, 1), (1, 1)], strict=True):
        one = next(block for block in blocks(sweep, 1, 1) if block.cell == cell)
        values = compute_block(sweep, one).values
        assert ((values[alpha] > 0) == bool(size)).all()
        assert ((values[f"{alpha}_error"] > 0) == bool(error)).all()
        assert (values[f"{alpha}_error"] < 1e-7).all()


def test_a_store_of_older_numerics_has_no_errors_of_alpha(sweep_text, tmp_path) -> None:
    sweep = made(sweep_text, "conditioning", seeds="2")
    for version, there in ((4, False), (5, False), (6, True)):
        store = tmp_path / f"{version}.zarr"
        own = sweep.with_numerics_of({"numerics_version": version})
        pipeline.run(own, store)
        assert ("alpha_error" in xr.open_zarr(store)) == there
        assert pipeline.run(sweep, store).trials == 0
