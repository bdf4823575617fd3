"""Sweeps that descend: checks of their files, their blocks, and trials that depend on nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import pipeline
from pipeline import store
from pipeline.blocks import block_shape, blocks, estimated_seconds
from pipeline.errors import SweepError
from pipeline.execution.compute import compute_block
from pipeline.store import creation
from pipeline.sweep import Descent
from pipeline.sweep_files.load import bundled_sweeps, load_sweep, parse_sweep

TEXT = """
name = "descent"
experiment = "input"
entropy = 5
activation = "relu"
dataset = { kind = "sphere" }
d = [3]
n = [8, 12]
width = { k = [4, 8, 16] }
seeds = 3
[descent]
steps = 60
tolerances = [1e-1, 1e-2]
"""


def sweep_with(old: str = "", new: str = ""):
    assert old in TEXT
    return parse_sweep(TEXT.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("steps = 60", "steps = -1", ["descent.steps: got -1"]),
        ("steps = 60", "steps = 1.5", ["descent.steps: got 1.5"]),
        ("steps = 60", "stepz = 60", ["descent.stepz: unknown key", "did you mean 'steps'"]),
        ("[1e-1, 1e-2]", "[]", ["descent.tolerances: got []", "at least one value"]),
        ("[1e-1, 1e-2]", "[1.0]", ["descent.tolerances: got 1", "below 1"]),
        ("[1e-1, 1e-2]", "[inf]", ["descent.tolerances: got inf", "below 1, such as 1e-2"]),
        ("[1e-1, 1e-2]", "[nan]", ["descent.tolerances[0]: got nan", "a number above 0"]),
        ("[1e-1, 1e-2]", "[0.1, 0.1]", ["descent.tolerances: 0.1 is listed twice"]),
        ("[1e-1, 1e-2]", "[1e-30]", ["got 1e-30", "float64 cannot reach", "1e-26 or more"]),
        ("steps = 60", "step_size = 0", ["descent.step_size: got 0"]),
        ("{ k = [4, 8, 16] }", "{ k = [4, 9] }", ["width.k: got 9", "even widths, such as 10"]),
        ('"relu"', '"cos"', ["activation: got 'cos'", "input does not support", "softplus"]),
        ('"input"', '"conditioning"', ["descent: conditioning does not descend"]),
        ("seeds = 3", "seeds = 3\ndepth = [2]", ["depth: input does not take this key"]),
        (
            "seeds = 3",
            'seeds = 3\ntrained = ["both"]',
            ["trained: got 'both'", "expected one of input"],
        ),
        ("{ k = [4, 8, 16] }", "[3, 4]", ["sweep: width.k: got 3", "even widths, such as 4"]),
        (
            "{ k = [4, 8, 16] }",
            "{ k = { start = 3, stop = 4, num = 2 } }",
            ["width.k: the range gives 4 twice", "a smaller num or a wider range"],
        ),
        (
            "steps = 60",
            "multiples = [1, 10]",
            [
                "sweep: descent.multiples: got [1.0, 10.0]",
                "input certifies no residual",
                "remove the key",
            ],
        ),
        ('"input"', '"linear"', ["width: linear has no hidden units", "activation: got 'relu'"]),
        ("width = { k = [4, 8, 16] }", "", ["width: missing, this key is needed"]),
        ('"input"', '"inptu"', ["experiment: got 'inptu'", "did you mean 'input'"]),
    ],
)
def test_a_descent_that_cannot_be_computed_is_refused(old: str, new: str, words: list[str]) -> None:
    with pytest.raises(SweepError) as error:
        sweep_with(old, new)
    assert all(part in str(error.value) for part in words), str(error.value)


def test_the_only_activation_of_an_experiment_is_its_default() -> None:
    text = TEXT.replace('"input"', '"linear"').replace("width = { k = [4, 8, 16] }\n", "")
    assert parse_sweep(text.replace('activation = "relu"\n', "")).activation == ("linear",)
    assert sweep_with('activation = "relu"\n', "").activation == ("relu",)


def test_the_theorem_takes_multiples_and_no_step_size() -> None:
    theorem = TEXT.replace('"input"', '"theorem1"') + "multiples = [1, 10]\n"
    assert parse_sweep(theorem).inner["multiple"] == (1.0, 10.0)
    with pytest.raises(
        SweepError, match=r"sweep: descent.step_size: got 0.5, .* 1/beta\^2.*remove the key$"
    ):
        parse_sweep(theorem + "step_size = 0.5\n")


def test_widths_are_rounded_up_to_even_numbers() -> None:
    sweep = sweep_with("{ k = [4, 8, 16] }", "{ k_per_n = [0.5, 1.1, 1.5] }")
    assert sweep.k(3, 12) == (6, 14, 18)  # 13.2 is nearest to 13, and 14 balances
    with pytest.raises(SweepError, match="both give k = 4"):
        sweep_with("{ k = [4, 8, 16] }", "{ k_per_n = [0.45, 0.5] }")


def test_tolerances_may_be_listed_in_any_order() -> None:
    sweep = sweep_with("[1e-1, 1e-2]", "[1e-2, 1e-1]")
    assert sweep.descent.tolerances == (0.1, 0.01)
    assert sweep.identity == sweep_with().identity


def test_only_a_sweep_that_descends_has_the_descent_in_its_identity() -> None:
    same, other = sweep_with("seeds = 3", "seeds = 9"), sweep_with("steps = 60", "steps = 61")
    assert sweep_with().identity == same.identity != other.identity
    assert "descent" not in load_sweep("tiny").identity_fields


@pytest.mark.parametrize("steps", [0, 1, 7, 10, 1000, 12345])
def test_marks_rise_from_one_to_the_budget(steps: int) -> None:
    marks = Descent(steps, (0.1,), 1.0).marks
    assert marks[0] == 1
    assert marks[-1] == max(1, steps)
    assert list(marks) == sorted(set(marks))


def test_an_expensive_seed_is_cut_along_its_widths() -> None:
    text = TEXT.replace("[4, 8, 16]", "[100, 200, 400, 800]").replace("1e-2", "1e-20")
    text = text.replace("steps = 60", "steps = 100000000")
    sweep = parse_sweep(text)
    assert block_shape(sweep) == (1, 1)
    cut = list(blocks(sweep, 1, 1))
    assert len(cut) == 2 * 4 * 3
    assert {block.cell.widths for block in cut} == {(100,), (200,), (400,), (800,)}
    assert sum(block.seconds for block in cut) == pytest.approx(estimated_seconds(sweep), rel=1e-3)


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (3, 3)])
def test_the_bits_of_a_store_do_not_depend_on_its_blocks(
    tmp_path, monkeypatch, assert_equal_stores, shape
) -> None:
    sweep = sweep_with()
    pipeline.run(sweep, tmp_path / "whole.zarr")
    extents = dict.fromkeys(sweep.axes, 1) | dict(zip(("width", "seed"), shape, strict=True))
    monkeypatch.setattr(creation, "chunk_extents", lambda sweep: extents)
    pipeline.run(sweep, tmp_path / "cut.zarr")
    assert_equal_stores(tmp_path / "whole.zarr", tmp_path / "cut.zarr")


def test_workers_write_the_same_bits(tmp_path, two_workers, assert_equal_stores) -> None:
    sweep = sweep_with()
    pipeline.run(sweep, tmp_path / "here.zarr")
    pipeline.run(sweep, tmp_path / "there.zarr", two_workers)
    assert_equal_stores(tmp_path / "here.zarr", tmp_path / "there.zarr")


def test_a_trial_does_not_depend_on_the_other_trials_of_its_sweep(tmp_path) -> None:
    pipeline.run(sweep_with(), tmp_path / "all.zarr")
    alone = parse_sweep(TEXT.replace("seeds = 3", "seeds = [2]").replace("[4, 8, 16]", "[8]"))
    pipeline.run(alone, tmp_path / "alone.zarr")
    there = xr.open_zarr(tmp_path / "all.zarr").sel(seed=[2], width=[8]).drop_vars("seconds")
    xr.testing.assert_identical(
        there.drop_attrs().load(),
        xr.open_zarr(tmp_path / "alone.zarr").drop_vars("seconds").drop_attrs().load(),
    )


def test_a_budget_of_zero_steps_reaches_no_tolerance() -> None:
    sweep = sweep_with("steps = 60", "steps = 0")
    result = compute_block(sweep, next(blocks(sweep, 3, 3)))
    assert (result.status == 1).all()
    assert np.isinf(result.values["steps_to_tolerance"]).all()
    assert (result.values["loss_final"] == result.values["loss_initial"]).all()
    assert (result.values["distance"] == 0).all()


def test_too_large_a_step_is_stored_as_diverged_and_warns_of_nothing(recwarn, tmp_path) -> None:
    text = TEXT.replace('"input"', '"linear"').replace('"relu"', '"linear"')
    text = text.replace("width = { k = [4, 8, 16] }\n", "").replace("d = [3]", "d = [20]")
    sweep = parse_sweep(text.replace("steps = 60", "steps = 500\nstep_size = 2.5"))
    pipeline.run(sweep, tmp_path / "a.zarr")
    assert store.Store(tmp_path / "a.zarr").counts()["diverged"] == sweep.trials
    assert not [warning for warning in recwarn if issubclass(warning.category, RuntimeWarning)]


def test_curves_are_stored_for_the_first_seeds_only() -> None:
    sweep = parse_sweep(TEXT.replace("seeds = 3", "seeds = [0, 3, 4]"))
    (block, *_) = blocks(sweep, 3, 3)
    curve = compute_block(sweep, block).values["loss_curve"]
    assert np.isfinite(curve[:, :2, 0]).all()
    assert np.isnan(curve[:, 2]).all()


@pytest.mark.parametrize("name", bundled_sweeps())
def test_no_block_of_a_bundled_sweep_takes_a_minute_unless_it_is_one_trial(name: str) -> None:
    sweep = load_sweep(name)
    for block in blocks(sweep, *block_shape(sweep)):
        assert block.seconds < 60 or block.trials == 1
