"""A trial has the same bits whatever it is computed beside: widths, seeds, cells, other sweeps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pipeline.blocks import BlockResult, blocks
from pipeline.execution.compute import compute_block
from pipeline.experiments import EXPERIMENTS, variables
from pipeline.sweep import Sweep
from pipeline.sweep_files.load import parse_sweep

SMALL: dict[str, tuple[dict[str, Any], dict[str, Any] | None]] = {
    "conditioning": ({"d": 4, "n": 7, "width": "[8, 12, 30]"}, None),
    "spectrum": ({"d": 4, "n": 7, "width": "[8, 12, 30]"}, None),
    "linear": ({"d": 9, "n": 7, "activation": '"linear"'}, {"steps": 50}),
    "output": ({"d": 4, "n": 7, "width": "[3, 8, 30]"}, {"steps": 500}),
    "input": ({"d": 4, "n": 7, "width": "[2, 8, 30]"}, {"steps": 50}),
    "joint": ({"d": 4, "n": 7, "width": "[2, 8, 30]"}, {"steps": 50}),
    "deep": ({"d": 4, "n": 7, "width": "[2, 8, 20]", "depth": "[2]"}, {"steps": 50}),
    "theorem1": (
        {"d": 6, "n": 4, "width": "[20, 40, 60]", "activation": '"softplus"', "trained": '"both"'},
        {"steps": 50, "multiples": "[0.5, 1.0, 3.0]"},
    ),
    "theorem2-proof": ({"d": 4, "n": 7, "width": "[8, 12, 30]"}, None),
    "generalisation": ({"d": 4, "n": 7, "width": "[2, 8, 30]"}, {"steps": 50}),
    "tangent": ({"d": 4, "n": 7, "width": "[2, 70, 200]", "trained": '"both"'}, None),
}

Text = Callable[..., str]


def test_every_experiment_is_looked_at() -> None:
    assert set(SMALL) == set(EXPERIMENTS)


def assert_equal(
    sweep: Sweep, part: BlockResult, whole: BlockResult, widths: slice, seeds: slice
) -> None:
    for variable in variables(sweep):
        if variable.name == "seconds":
            continue
        inside = (widths if "width" in variable.dims else slice(None), seeds)
        one, two = part.values[variable.name], whole.values[variable.name][inside]
        assert one.shape == two.shape
        assert one.tobytes() == two.tobytes(), variable.name
    np.testing.assert_array_equal(part.status, whole.status[widths, seeds])
    np.testing.assert_array_equal(part.message, whole.message[widths, seeds])


def whole_of(sweep: Sweep) -> BlockResult:
    (block,) = blocks(sweep, len(sweep.width), len(sweep.seeds))
    return compute_block(sweep, block)


@pytest.mark.parametrize("nested", ["true", "false"])
@pytest.mark.parametrize("experiment", SMALL)
def test_blocks_of_one_are_parts_of_the_whole(sweep_text: Text, experiment: str, nested: str) -> None:
    keys, descent = SMALL[experiment]
    sweep = parse_sweep(sweep_text(experiment, descent, **keys, nested=nested))
    whole = whole_of(sweep)
    widths = 1 if EXPERIMENTS[experiment].independent else len(sweep.width)
    parts = list(blocks(sweep, widths, 1))
    for block in reversed(parts):
        assert_equal(sweep, compute_block(sweep, block), whole, block.widths, block.seeds)


@pytest.mark.parametrize("experiment", SMALL)
def test_a_sweep_of_one_trial_is_part_of_a_larger_sweep(sweep_text: Text, experiment: str) -> None:
    keys, descent = SMALL[experiment]
    large = parse_sweep(sweep_text(experiment, descent, **keys))
    last = int(large.width[-1])
    alone = keys | ({"width": f"[{last}]"} if "width" in keys else {})
    small = parse_sweep(sweep_text(experiment, descent, **alone, seeds="[2]"))
    widths = slice(len(large.width) - 1, len(large.width))
    assert_equal(small, whole_of(small), whole_of(large), widths, slice(2, 3))


@pytest.mark.parametrize("experiment", SMALL)
def test_the_same_bits_twice(sweep_text: Text, experiment: str) -> None:
    keys, descent = SMALL[experiment]
    sweep = parse_sweep(sweep_text(experiment, descent, **keys))
    everything = slice(None)
    assert_equal(sweep, whole_of(sweep), whole_of(sweep), everything, everything)


@pytest.mark.parametrize("experiment", ["input", "joint", "deep", "generalisation", "output", "linear"])
def test_a_longer_budget_begins_with_the_shorter(sweep_text: Text, experiment: str) -> None:
    """The curve and the steps to a tolerance of a prefix are those of the whole."""
    keys, _ = SMALL[experiment]
    runs = {}
    for steps in (10, 100):
        sweep = parse_sweep(sweep_text(experiment, {"steps": steps, "tolerances": "[1e-20]"}, **keys))
        assert sweep.descent is not None
        runs[steps] = (sweep.descent.marks, whole_of(sweep).values["loss_curve"])
    shared = len(runs[10][0])
    assert runs[100][0][:shared] == runs[10][0]
    np.testing.assert_array_equal(runs[10][1], runs[100][1][..., :shared])
