"""Stores of tangent: the same networks as `joint`, the features of `conditioning`, known limits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import analysis
import pipeline
from pipeline.blocks import blocks
from pipeline.errors import SweepError
from pipeline.execution.compute import compute_block
from pipeline.sweep_files.load import parse_sweep

Text = Callable[..., str]

GRID = {"d": "[4]", "n": "[14]", "width": "[2, 4, 8, 20, 66]", "seeds": "3"}
EVERY = {"trained": '["output", "input", "both"]'}


def store_of(path: Path, text: str) -> xr.Dataset:
    sweep = parse_sweep(text)
    outcome = pipeline.run(sweep, path / f"{sweep.experiment}.zarr")
    assert outcome.failed == 0
    return analysis.open_store(path / f"{sweep.experiment}.zarr").load()


@pytest.mark.parametrize("nested", ["true", "false"])
@pytest.mark.parametrize("activation", ["relu", "softplus"])
def test_its_networks_are_those_of_joint(
    sweep_text: Text, tmp_path, activation: str, nested: str
) -> None:
    """Equal entropy, d, n, k and seed give one network, so that trials can be compared one by one."""
    keys = GRID | EVERY | {"activation": f'"{activation}"', "nested": nested}
    tangent = store_of(tmp_path, sweep_text("tangent", **keys))
    joint = store_of(tmp_path, sweep_text("joint", {"steps": 1}, **keys))
    tangent, joint = xr.align(tangent, joint, join="exact")
    np.testing.assert_array_equal(tangent.k, joint.k)
    for name in ("ntk_min", "ntk_max"):
        np.testing.assert_allclose(tangent[name], joint[name], rtol=1e-7, atol=1e-12)
    assert (tangent.ntk_min > 0).any()


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_with_v_trained_it_is_conditioning(sweep_text: Text, tmp_path, activation: str) -> None:
    keys = GRID | {"activation": f'"{activation}"', "width": "[2, 16, 20, 66]"}
    tangent = store_of(tmp_path, sweep_text("tangent", trained='"output"', **keys))
    features = store_of(tmp_path, sweep_text("conditioning", **keys))
    k = features.k
    np.testing.assert_allclose(tangent.ntk_min, features.sigma_min**2, rtol=1e-7)
    np.testing.assert_allclose(tangent.ntk_max, features.sigma_max**2, rtol=1e-7)
    for name, known in (("ntk_population", k * features.alpha**2), ("ntk_edge", k * features.edge)):
        np.testing.assert_allclose(tangent[name], known.transpose(*tangent[name].dims), rtol=1e-9)


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "softplus", "erf", "gelu", "sigmoid"])
def test_wide_networks_have_the_population_value(sweep_text: Text, tmp_path, activation: str) -> None:
    keys = GRID | EVERY | {"n": "[5]", "width": "[200000]", "activation": f'"{activation}"'}
    ds = store_of(tmp_path, sweep_text("tangent", **keys))
    np.testing.assert_allclose(ds.ntk_min / ds.ntk_population, 1, atol=0.1)
    np.testing.assert_allclose(ds.ntk_edge / ds.ntk_population, 1, atol=0.05)


@pytest.mark.parametrize("trained", ["output", "input", "both"])
def test_a_width_alone_has_the_bits_of_all_widths(sweep_text: Text, trained: str) -> None:
    keys = GRID | {"trained": f'"{trained}"', "seeds": "[1]"}
    whole_sweep = parse_sweep(sweep_text("tangent", **keys))
    whole = compute_block(whole_sweep, next(blocks(whole_sweep, 5, 1)))
    for index, k in enumerate((2, 4, 8, 20, 66)):
        alone_sweep = parse_sweep(sweep_text("tangent", **keys | {"width": f"[{k}]"}))
        alone = compute_block(alone_sweep, next(blocks(alone_sweep, 1, 1)))
        for name, values in alone.values.items():
            if name != "seconds":
                assert values[0].tobytes() == whole.values[name][index].tobytes(), (name, k)


def test_w_is_singular_up_to_k_d_of_n_and_regular_beyond(sweep_text: Text, tmp_path) -> None:
    keys = {"d": "[10]", "n": "[40]", "width": "[2, 4, 6, 8]", "seeds": "6", "activation": '"tanh"'}
    ds = store_of(tmp_path, sweep_text("tangent", **keys)).squeeze()
    least = ds.ntk_min.transpose("width", "seed").values
    assert (least[0] == 0).all()
    assert (least[2:] > 0).all()
    assert (ds.ntk_edge.transpose("width", "seed").values[:2] == 0).all()


def test_duplicate_rows_have_no_population_value_and_no_critical_width(
    sweep_text: Text, tmp_path
) -> None:
    """Four opposite rows of an odd activation: success against 0 would be no success."""
    circle = {"dataset": '{ kind = "circle" }', "d": "[2]", "n": "[8]", "activation": '"tanh"'}
    keys = circle | EVERY | {"width": "[4, 40]", "seeds": "3"}
    ds = store_of(tmp_path, sweep_text("tangent", **keys))
    assert (ds.ntk_population.sel(trained="output") == 0).all()
    assert (ds.ntk_min.sel(trained="output") == 0).all()
    widths = analysis.critical_widths(ds)
    assert widths.outcome.sel(trained="output").item() == "degenerate"


def test_a_width_that_overflows_fails_with_its_message(sweep_text: Text, tmp_path) -> None:
    np.save(tmp_path / "rows.npy", np.full((20, 3), 1e200) * np.random.default_rng(0).random((20, 3)))
    text = sweep_text(
        "tangent", **GRID | {"dataset": '{ kind = "file", path = "rows.npy" }', "d": "[3]"}
    )
    sweep = parse_sweep(text, folder=tmp_path)
    found = compute_block(sweep, next(blocks(sweep, 5, 3)))
    assert (found.status == 2).all() or not np.isfinite(found.values["ntk_population"]).any()
    assert all("\n" not in message for message in found.message.ravel())


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ({"activation": '"step"'}, "activation: got 'step', which tangent does not support"),
        ({"trained": '"hidden"'}, "trained: got 'hidden', expected one of input, output, both"),
        ({"depth": "[2]"}, "depth: tangent does not take this key; remove it"),
        ({"width": "[3]"}, "width.k: got 3, but half of the output weights are"),
    ],
)
def test_what_it_does_not_take_is_one_line(sweep_text: Text, keys: dict[str, str], line: str) -> None:
    with pytest.raises(SweepError) as caught:
        parse_sweep(sweep_text("tangent", **GRID | keys))
    (problem,) = caught.value.problems
    assert f"{problem.key}: {problem}".count("\n") == 0
    assert line in str(caught.value)


@pytest.mark.parametrize("table", ["descent", "labels", "start"])
def test_it_takes_no_table_of_training(sweep_text: Text, table: str) -> None:
    text = f"{sweep_text('tangent', **GRID)}\n[{table}]\n"
    with pytest.raises(SweepError, match=f"{table}: tangent does not descend; remove the table"):
        parse_sweep(text)
