"""Refinement along n, d, a parameter or falling widths, on trials of one's own whose truth is known."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import xarray as xr
from click.testing import CliRunner

import pipeline
from analysis.refinement.allocation import LOCATED, LOST, Allocation
from analysis.success import Success
from analysis.transitions.scales import Along
from jobs.cli import main
from jobs.commands.refine import Goal, rounds
from pipeline.errors import CommandError
from pipeline.maintenance.recompute import sample
from pipeline.maintenance.verify import damage
from pipeline.store import Store, stored_sweep
from pipeline.store.code import with_code
from pipeline.trial_status import UNREQUESTED

CODE = """
import math
from pipeline import Trial, experiment, variable

@experiment(error=variable("1 if the trial fails, else 0"))
def trial(trial: Trial):
    noise = trial.rng("draw", trial.n, trial.k).logistic()
    margin = {margin}
    return {{"error": 1.0 if margin + noise < 0 else 0.0}}
"""

OF_N = "math.log(trial.k * trial.d / 4 / trial.n) / 0.1"

SUCCESS = Success(condition="error < 0.5")

Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Fill a store of trials that succeed where a margin is above noise."""

    def filled(margin: str = OF_N, **keys: object) -> Path:
        (tmp_path / "known.py").write_text(CODE.format(margin=margin))
        lines = {"name": '"known"', "experiment": '"known.py:trial"', "seeds": 8} | keys
        (tmp_path / "known.toml").write_text("\n".join(f"{key} = {one}" for key, one in lines.items()))
        pipeline.run(pipeline.load_sweep(tmp_path / "known.toml"), tmp_path / "known.zarr")
        return tmp_path / "known.zarr"

    return filled


def refined(path: Path, along: Along, target: float = 0.08) -> Allocation:
    def fill(path: Path) -> None:
        pipeline.run(with_code(path, stored_sweep(path), path.with_name("known.py")), path)

    return rounds(path, Goal(target, SUCCESS, along=along), fill, report=lambda line: None)


@pytest.mark.slow
def test_the_critical_n_is_located_where_success_falls(make: Make) -> None:
    store = make(d="[8]", n="[20, 40, 80, 160]", width="{ k = [16, 24] }")
    before = xr.open_zarr(store).load()
    states = refined(store, Along("n")).states
    assert [(state.at["k"], state.at["d"], state.verdict) for state in states] == [
        (16, 8, LOCATED),
        (24, 8, LOCATED),
    ]
    for state, truth in zip(states, (32, 48), strict=True):
        assert state.now <= 0.08
        assert state.k50 == pytest.approx(truth, rel=2 * state.now)
        assert state.k50_low < state.k50 < state.k50_high
    after = xr.open_zarr(store).load()
    assert set(before.n.values) < set(after.n.values)
    assert after.sel({dim: before[dim] for dim in before.status.dims}).error.equals(before.error)
    assert Store(store).counts()["pending"] == 0
    assert damage(store) == []
    assert sample(store, 20, code=store.with_name("known.py")).differences == ()


@pytest.mark.slow
def test_success_that_rises_with_d_is_located_too(make: Make) -> None:
    margin = "math.log(trial.d / (4 * trial.n / trial.k)) / 0.1"
    store = make(margin, d="[4, 64]", n="[60]", width="{ k = [15] }")
    (state,) = refined(store, Along("d")).states
    assert state.verdict == LOCATED
    assert state.k50 == pytest.approx(16, rel=2 * state.now)
    assert stored_sweep(store).n == (60,)


@pytest.mark.slow
def test_a_critical_n_beyond_the_grid_is_found_in_the_direction_that_is_told(make: Make) -> None:
    store = make(d="[8]", n="[400, 700]", width="{ k = [24] }")
    with pytest.raises(CommandError, match="all 16 trials fail, so that they do not show whether"):
        refined(store, Along("n"))
    (state,) = refined(store, Along("n", direction="falling"), 0.2).states
    assert state.verdict == LOCATED
    assert state.k50 == pytest.approx(48, rel=2 * state.now)


@pytest.mark.slow
def test_widths_along_which_success_falls_are_located(make: Make) -> None:
    store = make("math.log(50 / trial.k) / 0.1", width="[20, 400]")
    (state,) = refined(store, Along(direction="falling")).states
    assert state.verdict == LOCATED
    assert state.k50 == pytest.approx(50, rel=2 * state.now)


NOISE = "(0.31 - trial.parameters['noise']) / 0.05"

VALUES = "\n[parameters]\nnoise = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]"


@pytest.mark.slow
def test_along_a_parameter_seeds_join_at_its_values_and_precision_is_of_the_largest(make: Make) -> None:
    store = make(NOISE, seeds=f"8{VALUES}")
    before = stored_sweep(store)
    (state,) = refined(store, Along("noise"), 0.03).states
    assert state.verdict == LOCATED
    assert state.why == ""
    assert (state.k50_high - state.k50_low) / 2 <= 0.03 * 0.5
    assert state.k50 == pytest.approx(0.31, abs=2 * 0.03 * 0.5)
    after = stored_sweep(store)
    assert after.identity == before.identity
    assert after.parameters == before.parameters
    assert len(after.seeds) > len(before.seeds)


@pytest.mark.slow
def test_a_parameter_whose_values_do_not_reach_or_resolve_the_transition_says_so(make: Make) -> None:
    store = make("(0.31 - trial.parameters['noise']) / 1e-3", seeds=f"8{VALUES}")
    (state,) = refined(store, Along("noise"), 0.03).states
    assert (state.verdict, state.why) == (LOCATED, "as closely as the values of noise allow")
    assert (state.k50_low, state.k50_high) == pytest.approx((0.3, 0.4))
    beyond = store.with_name("beyond")
    beyond.mkdir()
    store.rename(beyond / "old.zarr")
    far = make("(0.9 - trial.parameters['noise']) / 1e-3", seeds=f"8{VALUES}")
    (state,) = refined(far, Along("noise", direction="falling"), 0.03).states
    assert (state.verdict, state.why) == (LOST, "most succeed even at noise = 0.5")


def test_conditions_of_the_sweep_leave_out_what_they_exclude(make: Make) -> None:
    store = make(d="[8]", n="[10, 20]", width="{ k = [24] }", only='"n <= 30"')
    (state,) = refined(store, Along("n", direction="falling")).states
    assert (state.verdict, state.why) == (
        LOST,
        "the conditions of the sweep leave out the trials that it needs",
    )
    assert stored_sweep(store).n == (10, 20)


# ---- the command


def invoked(*line: object):
    return CliRunner().invoke(main, ["refine", *map(str, line)])


def test_a_plan_names_the_axis_and_changes_nothing(make: Make) -> None:
    store = make(d="[8]", n="[20, 40, 80, 160]", width="{ k = [16, 24] }")
    code = ("--code", store.with_name("known.py"))
    made = store.stat().st_ino
    told = invoked(store, "--to", "5%", "--along", "n", "--success", "error < 0.5", *code, "--dry-run")
    assert told.exit_code == 0, told.output
    assert told.stdout.splitlines()[0].split()[:6] == [
        "k",
        "d",
        "outcome",
        "n50",
        "n50_low",
        "n50_high",
    ]
    assert "as many seeds at all values of n would need" in told.stderr
    listed = invoked(
        store, "--to", "5%", "--along", "n", "--success", "error < 0.5", *code, "--dry-run", "--json"
    )
    assert {"k", "d", "n50", "verdict"} <= json.loads(listed.stdout)[0].keys()
    assert store.stat().st_ino == made


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (("--along", "m"), "--along: got 'm', which is no axis of the store; expected one of width, n"),
        (
            ("--along", "d"),
            "--along: the store has only d = 8, where nothing can change; expected ",
        ),
        (("--along", "n"), "--direction: not given, and all 16 trials fail, so that they do not show "),
    ],
)
def test_a_wrong_axis_is_one_line_and_nothing_is_added(make: Make, line, text) -> None:
    store = make(d="[8]", n="[400, 700]", width="{ k = [24] }")
    told = invoked(
        store, "--to", "5%", "--success", "error < 0.5", "--code", store.with_name("known.py"), *line
    )
    assert told.exit_code == 2
    assert told.stderr.startswith(f"widthlaw: refine {store}: {text}")
    assert told.stderr.count("\n") == 1
    assert Store(store).counts()["pending"] == 0


def test_a_cell_whose_success_falls_and_rises_is_left_at_once_and_the_last_lines_say_so(
    make: Make,
) -> None:
    """Double descent at n = 40: no trial succeeds near k = n."""
    dip = "math.log(trial.k / 4) / 0.01 if trial.n < 40 else 50 * (abs(trial.k - 40) > 8) - 25"
    store = make(dip, n="[20, 40]", width="[2, 8, 20, 38, 42, 80]")
    line = ("--to", "30%", "--success", "error < 0.5", "--code", store.with_name("known.py"))
    told = invoked(store, *line)
    assert told.exit_code == 1, told.output
    reason, total = told.stderr.splitlines()[-2:]
    fall = "success falls from k = 20 on and rises from k = 42 on, so no single width is critical"
    assert reason == f"{store}: n = 40: not locatable: {fall}"
    assert total.startswith(f"{store}: 1 of 2 cells located with ")
    assert total.endswith(" trials; 1 not locatable")
    requested = ~xr.open_zarr(store).status.isin(UNREQUESTED).sel(n=40, d=1, drop=True).squeeze()
    assert requested.sum() == 8 * 6  # what the sweep had


def test_along_a_parameter_a_cell_without_one_transition_is_left_by_its_values(make: Make) -> None:
    margin = "-25 if 0.15 < trial.parameters['noise'] < 0.35 else 25"
    store = make(margin, seeds=f"8{VALUES}")
    line = ("--to", "5%", "--success", "error < 0.5", "--code", store.with_name("known.py"))
    told = invoked(store, *line, "--along", "noise", "--direction", "falling")
    assert told.exit_code == 1, told.output
    fall = "success falls from noise = 0.1 on and rises from noise = 0.3 on"
    assert f"{store}: not locatable: {fall}, so no single noise is critical" in told.stderr
    assert stored_sweep(store).seeds == tuple(range(8))


def test_a_sweep_without_width_is_refused_with_the_axes_that_it_has(make: Make) -> None:
    values = "\n[parameters]\nnoise = [0.0, 0.5]\nmode = ['cold', 'hot']"
    store = make(NOISE, n=f"[20, 40]{values}")
    line = ["refine", str(store), "--to", "5%", "--success", "error < 0.5"]
    told = CliRunner().invoke(main, [*line, "--code", str(store.with_name("known.py"))])
    assert told.exit_code == 2
    text = (
        "its sweep has no width, which is the axis that refine looks along; give --along n or --along"
    )
    assert f"{text} noise" in told.stderr
    assert stored_sweep(store).width == (1.0,)


def test_a_width_of_1_that_a_sweep_gives_may_be_refined(make: Make) -> None:
    store = make("math.log(trial.k / 5) / 0.3", width="[1]")
    line = ["refine", str(store), "--to", "5%", "--success", "error < 0.5", "--dry-run"]
    told = CliRunner().invoke(main, [*line, "--code", str(store.with_name("known.py"))])
    assert told.exit_code == 0, told.stderr
