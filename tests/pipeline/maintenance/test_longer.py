"""A larger budget: finished trials are copied, the others go on, and no bit tells that they waited."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import analysis
import pipeline
from analysis.success.rules import Success, outcomes, rule_for
from pipeline import store
from pipeline.errors import StoreError
from pipeline.maintenance.grow import extend, merge
from pipeline.maintenance.longer import lengthen
from pipeline.maintenance.plan import widened
from pipeline.maintenance.recompute import sample
from pipeline.maintenance.repair import repair
from pipeline.maintenance.verify import damage
from pipeline.store.location import locate
from pipeline.sweep_files.load import parse_sweep
from pipeline.trial_status import Status

from ...waiting import PATIENCE

SHORT, LONG = 400, 2000
SHORTER = {"generalisation": 8}
"""Budgets that end some trials, and one in which more of them are finished."""

RELU = 'experiment = "input"\nactivation = "relu"'

CASES = {
    # (keys of the sweep, lines of [descent], whether trials leave checkpoints)
    "relu": (RELU, "", True),
    "tanh": ('experiment = "input"\nactivation = "tanh"', "", True),
    "layers": ('experiment = "joint"\ntrained = ["both", "input", "output"]', "", True),
    "deep tanh": ('experiment = "deep"\nactivation = "tanh"\ndepth = [1, 2]', "", True),
    "generalisation": ('experiment = "generalisation"\nactivation = "tanh"', "", True),
    "momentum": (RELU, 'method = "momentum"\nmomentum = 0.5', True),
    "diagnostics": ('experiment = "joint"\ntrained = ["both", "output"]', "diagnostics = true", True),
    "adam in batches, in float32": (
        'experiment = "joint"\nactivation = "tanh"',
        'method = "adam"\nbatch = 7\ndtype = "float32"\nstep_size = { absolute = 0.003 }',
        True,
    ),
    "nesterov in batches to an accuracy": (
        RELU,
        'method = "nesterov"\nmomentum = 0.4\nbatch = [7, 100]\nschedule = "1/t"\n'
        "step_size = { absolute = 0.02 }\ntarget_accuracy = 1.0\ntarget_loss = 0.01",
        True,
    ),
    "closed form": ('experiment = "output"', "", False),
    "linear": ('experiment = "linear"\nwidth = 0', "", False),
    "theorem1": ('experiment = "theorem1"\nactivation = "softplus"', "multiples = [1.0, 30.0]", False),
}


def sweep_of(case: str = "relu", steps: int = SHORT, *, keeps: bool | None = None, seeds: int = 5):
    keys, descent, leaves = CASES[case]
    flag = "checkpoints = true" if (leaves if keeps is None else keeps) else ""
    width = "" if "width" in keys else "width = { kd_per_n = [0.7, 1.6, 5.0] }\n"
    return parse_sweep(
        f'name = "a"\nentropy = 5\ndataset = {{ kind = "sphere" }}\nd = [4]\nn = [20]\n'
        f"seeds = {seeds}\n"
        f"{width}{keys.replace('width = 0', '')}\n"
        f"[descent]\nsteps = {steps}\ntolerances = [0.5, 0.03]\n{descent}\n{flag}\n"
    )


def filled(path: Path, sweep) -> Path:
    pipeline.run(sweep, path)
    return path


def resumed(path: Path):
    """Run what a store lacks."""
    return pipeline.run(store.stored_sweep(path), path)


def files_of(path: Path) -> list[Path]:
    return sorted((path / ".checkpoints").glob("*"))


@pytest.mark.parametrize("case", CASES)
def test_a_lengthened_store_has_the_bits_of_a_long_one(case, tmp_path, assert_equal_stores) -> None:
    path = filled(tmp_path / "a.zarr", sweep_of(case, SHORTER.get(case, SHORT)))
    change = lengthen(path, LONG)
    assert change.written
    assert change.pending > 0
    if CASES[case][2]:
        assert change.continued[""] > 0
    assert resumed(path).trials == change.pending
    whole = filled(tmp_path / "whole.zarr", sweep_of(case, LONG))
    assert_equal_stores(path, whole)
    assert store.check_store(path)["identity"] == store.check_store(whole)["identity"]
    assert damage(path) == []


@pytest.mark.slow
def test_budgets_can_grow_step_by_step(tmp_path, assert_equal_stores) -> None:
    for case in ("relu", "adam in batches, in float32"):
        folder = tmp_path / case
        path = filled(folder / "a.zarr", sweep_of(case, 1))
        for steps in (2, 10, 99, 100, 401, LONG):  # some between the marks of curves and the epochs
            assert lengthen(path, steps).written
            resumed(path)
        assert_equal_stores(path, filled(folder / "whole.zarr", sweep_of(case, LONG)))


def test_only_steps_that_are_not_known_are_taken(tmp_path, monkeypatch) -> None:
    """The loop is watched: every descent of the larger budget begins where the smaller one ended."""
    from pipeline.experiments import training

    begun = []
    real = training.train

    def watched(*arguments, since=None, **more):
        begun.append(0 if since is None else since.step)
        return real(*arguments, since=since, **more)

    monkeypatch.setattr(training, "train", watched)
    path = filled(tmp_path / "a.zarr", sweep_of())
    assert set(begun) == {0}
    first = xr.open_zarr(path).load()
    begun.clear()
    change = lengthen(path, LONG)
    resumed(path)
    assert begun == [SHORT] * change.pending
    finished = (first.steps < SHORT).values
    assert change.there == finished.sum() > 0
    last = xr.open_zarr(path).load()
    assert (last.seconds.values[finished] == first.seconds.values[finished]).all()
    assert (last.seconds.values[~finished] > first.seconds.values[~finished]).all()


def test_a_store_without_checkpoints_starts_anew(tmp_path, assert_equal_stores) -> None:
    path = filled(tmp_path / "a.zarr", sweep_of(keeps=False))
    assert files_of(path) == []
    change = lengthen(path, LONG)
    assert change.continued == {"not there": change.pending}
    resumed(path)
    assert_equal_stores(path, filled(tmp_path / "whole.zarr", sweep_of(steps=LONG)))


def test_checkpoints_change_no_bit_of_results_and_no_identity(tmp_path, assert_equal_stores) -> None:
    with_them, without = sweep_of(), sweep_of(keeps=False)
    assert with_them.identity == without.identity
    assert_equal_stores(filled(tmp_path / "a.zarr", with_them), filled(tmp_path / "b.zarr", without))


def torn(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


def of_other_numerics(file: Path) -> None:
    rewritten(file, numerics_version=5)


def of_another_sweep(file: Path) -> None:
    rewritten(file, trials="0" * 64)


def linked(file: Path) -> None:
    elsewhere = file.with_name("elsewhere")
    file.rename(elsewhere)
    file.symlink_to(elsewhere)


def rewritten(file: Path, **changes) -> None:
    """Change the header of a file, and seal it as if it had been written so."""
    import hashlib

    header, _, body = file.read_bytes().partition(b"\n")[2].partition(b"\n")
    content = json.dumps(json.loads(header) | changes).encode() + b"\n" + body
    file.write_bytes(hashlib.sha256(content).hexdigest().encode() + b"\n" + content)


ATTACKS = [
    (torn, "torn"),
    (of_other_numerics, "of other numerics"),
    (of_another_sweep, "of another sweep"),
    (linked, "torn"),
]


@pytest.mark.parametrize(("attack", "why"), ATTACKS)
def test_checkpoints_that_cannot_be_used_cost_time_and_no_trial(
    attack, why, tmp_path, assert_equal_stores
) -> None:
    path = filled(tmp_path / "a.zarr", sweep_of())
    before = xr.open_zarr(path).load()
    for file in files_of(path):
        attack(file)
    assert {one.what for one in damage(path) if one.kind == "checkpoints"} == {
        f"checkpoints that cannot be used: {why}"
    }
    assert_equal_stores(path, before)  # results are as they were
    change = lengthen(path, LONG)
    assert change.continued == {why: change.pending}
    assert change.there > 0
    resumed(path)
    assert_equal_stores(path, filled(tmp_path / "whole.zarr", sweep_of(steps=LONG)))
    assert damage(path) == []


@pytest.mark.parametrize(("attack", "why"), ATTACKS)
def test_checkpoints_spoilt_after_the_extension_are_told_by_the_run(
    attack, why, tmp_path, assert_equal_stores, caplog
) -> None:
    path = filled(tmp_path / "a.zarr", sweep_of())
    change = lengthen(path, LONG)
    for file in files_of(path):
        attack(file)
    assert resumed(path).trials == change.pending
    assert f"a file of checkpoints is {why}, so its trials start anew" in caplog.text
    assert_equal_stores(path, filled(tmp_path / "whole.zarr", sweep_of(steps=LONG)))


@pytest.mark.slow
def test_a_state_that_does_not_fit_is_not_used(tmp_path, assert_equal_stores, caplog) -> None:
    """Compiled loops check no index, so a wrong order of samples must not reach them."""
    case = "adam in batches, in float32"
    path = filled(tmp_path / "a.zarr", sweep_of(case))
    lengthen(path, LONG)
    for file in files_of(path):
        head, _, body = file.read_bytes().partition(b"\n")[2].partition(b"\n")
        numbers, at = np.frombuffer(body, dtype="<f8").copy(), 0
        for trial in json.loads(head)["checkpoints"]:
            for name, size in trial["rows"].items():
                if name == "order":
                    numbers[at : at + size] = 1e9
                at += size
        file.write_bytes(b"\n".join((b"", head, numbers.tobytes())))
        rewritten(file)
    resumed(path)
    assert "a checkpoint is not used (its order does not fit): its trial starts anew" in caplog.text
    assert_equal_stores(path, filled(tmp_path / "whole.zarr", sweep_of(case, LONG)))


def test_repair_removes_checkpoints_that_cannot_be_used_and_keeps_all_trials(tmp_path) -> None:
    path = filled(tmp_path / "a.zarr", sweep_of())
    torn(files_of(path)[0])
    (path / ".checkpoints" / "9.9.9.9.bin").write_bytes(b"")
    found = damage(path)
    assert {one.kind for one in found} == {"checkpoints", "unexpected"}
    assert repair(path, found).trials == 0
    assert damage(path) == []
    assert store.Store(path).counts()["done"] == 15


@pytest.mark.slow
def test_checkpoints_go_with_their_trials_into_other_stores(tmp_path, assert_equal_stores) -> None:
    """Also those of trials that are pending, since a budget was made larger before."""
    path = filled(tmp_path / "a.zarr", sweep_of())
    change = lengthen(path, LONG)
    extend(path, widened(store.stored_sweep(path), seeds=range(7), n=[12]))
    again = lengthen(path, LONG + 1)
    assert again.continued == {}  # nothing was computed since
    other = filled(tmp_path / "b.zarr", sweep_of(steps=LONG + 1, seeds=2))
    merged = tmp_path / "m.zarr"
    merge([path, other], merged)
    rows = [read for file in files_of(merged) for read in json.loads(header_of(file))["checkpoints"]]
    n = store.stored_sweep(merged).n.index(20)
    pending = np.argwhere(store.Store(merged).statuses()[:, n, :, :5] == Status.PENDING)
    assert 0 < len(pending) <= change.pending
    assert {(d, n, width, seed) for d, width, seed in pending.tolist()} <= {
        tuple(row["at"]) for row in rows
    }
    resumed(merged)
    whole = widened(sweep_of(steps=LONG + 1), seeds=range(7), n=[12])
    assert_equal_stores(merged, filled(tmp_path / "whole.zarr", whole))


def header_of(file: Path) -> bytes:
    return file.read_bytes().split(b"\n", 2)[1]


def test_provenance_tells_of_the_smaller_budget(tmp_path) -> None:
    path = filled(tmp_path / "a.zarr", sweep_of())
    lengthen(path, LONG)
    lengthen(path, 2 * LONG)
    attributes = store.check_store(path)
    assert attributes["steps"] == 2 * LONG
    assert [one["steps"] for one in attributes["provenance"]["sources"]] == [SHORT, LONG]


def test_failed_trials_stay_as_they_are(tmp_path) -> None:
    path = filled(tmp_path / "a.zarr", sweep_of())
    opened = store.Store(path)
    tile = next(opened.tiles())
    results = opened.read_tile(tile)
    results[0].status[0, 0], results[0].message[0, 0] = Status.FAILED, "ValueError: a fault"
    store.Store(path).write(tile, results)
    lengthen(path, LONG)
    assert resumed(path).failed == 0
    assert store.Store(path).messages() == [("ValueError: a fault", 1)]


REFUSED = [
    (RELU, 'steps = "20 * n"', "its trials cannot go on: its budget is a formula, '20 * n'"),
    (RELU, "steps = [10, 20]", "its trials cannot go on: its budgets are an axis"),
    (RELU, 'schedule = "cosine"', 'schedule = "cosine" depend on the budget'),
    (RELU, 'schedule = ["constant", "cosine"]', 'schedule = "cosine" depend on the budget'),
    (RELU, "steps = 5001", "got 5000 steps, expected 5001 (its budget) to 1e+09"),
    ('experiment = "conditioning"', None, "its experiment, conditioning, takes no steps of descent"),
]


@pytest.mark.parametrize(("keys", "descent", "message"), REFUSED)
def test_budgets_that_cannot_grow_are_refused(keys, descent, message, tmp_path) -> None:
    table = "" if descent is None else f"[descent]\n{descent}\n"
    sweep = parse_sweep(
        f'name = "a"\n{keys}\ndataset = {{ kind = "sphere" }}\nd = 4\nn = 6\nwidth = [4, 8]\n'
        f"seeds = 1\n{table}"
    )
    store.create(tmp_path / "a.zarr", sweep)
    with pytest.raises(StoreError) as caught:
        lengthen(tmp_path / "a.zarr", 5000)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_same_budget_changes_nothing(tmp_path) -> None:
    path = filled(tmp_path / "a.zarr", sweep_of())
    before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    assert not lengthen(path, SHORT).written
    assert not lengthen(path, LONG, dry_run=True).written
    assert {file: file.read_bytes() for file in path.rglob("*") if file.is_file()} == before


TIMES = 12


def killed(folder: Path, what: str, *arguments: object) -> list[Path]:
    """Do something to copies of folder/stores, each time killed at another file operation."""
    script = Path(__file__).with_name("killed.py")
    line = [sys.executable, script, what, folder, TIMES, *arguments]
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    subprocess.run([*map(str, line)], check=True, timeout=PATIENCE, env=env)
    return [folder / str(number) for number in range(TIMES)]


@pytest.mark.slow
def test_a_killed_extension_of_steps_loses_nothing(tmp_path, assert_equal_stores) -> None:
    old = filled(tmp_path / "stores" / "a.zarr", sweep_of())
    change = lengthen(old, LONG, dry_run=True)
    whole = filled(tmp_path / "whole.zarr", sweep_of(steps=LONG))
    found = set()
    for copy in killed(tmp_path, "lengthening", LONG):
        path = copy / "a.zarr"
        steps = store.stored_sweep(path).descent.steps
        found.add(steps)
        # A draft may be left beside it: the new store, or the old one after they were exchanged.
        assert {one.kind for one in damage(path)} <= {"leftover"}
        if steps == SHORT:
            assert_equal_stores(path, old)
            assert lengthen(path, LONG).continued == change.continued
        assert resumed(path).trials == change.pending
        assert_equal_stores(path, whole)
        assert damage(path) == []
    assert found == {SHORT, LONG}


@pytest.mark.slow
def test_a_killed_run_goes_on_after_a_larger_budget(tmp_path, assert_equal_stores) -> None:
    path = filled(tmp_path / "stores" / "a.zarr", sweep_of())
    lengthen(path, LONG)
    whole = filled(tmp_path / "long.zarr", sweep_of(steps=LONG))
    for copy in killed(tmp_path, "running"):
        resumed(copy / "a.zarr")
        assert_equal_stores(copy / "a.zarr", whole)
        assert damage(copy / "a.zarr") == []
        lengthen(copy / "a.zarr", LONG + 7)
        resumed(copy / "a.zarr")
        shutil.rmtree(copy)
    assert locate(path).exists()


def left_behind(path: Path) -> np.ndarray:
    """Give only the even seeds a larger budget; return the mask of the trials that stay."""
    first = xr.open_zarr(path).load()
    only = np.zeros(first.status.shape, dtype=bool)
    only[..., ::2] = True
    change = lengthen(path, LONG, only=only)
    unfinished = (first.steps >= SHORT).values
    assert change.pending == (unfinished & only).sum() > 0
    return unfinished & ~only


def test_trials_that_are_left_behind_are_censored_and_no_failures(tmp_path) -> None:
    path = filled(tmp_path / "a.zarr", sweep_of())
    stays = left_behind(path)
    resumed(path)
    assert stays.any()
    ds = analysis.open_store(path)
    assert (ds["steps"].values[stays] == SHORT).all()
    assert (ds.status == Status.DONE).all()
    met = (ds.steps_to_tolerance < np.inf).transpose("tolerance", ...).values
    for budgets in (None, [SHORT, LONG]):
        succeeded, counted = outcomes(ds, rule_for(ds, Success.of(budgets=budgets)))
        if budgets is not None:
            now = counted.sel(budget=SHORT)
            assert now.all()  # all took these steps
            succeeded, counted = succeeded.sel(budget=LONG), counted.sel(budget=LONG)
        known = counted.transpose("tolerance", ...).values
        assert (known == (met | ~stays)).all()
        assert not known.all()
        assert (succeeded.transpose("tolerance", ...).values == met).all()


def test_trials_that_are_left_behind_can_be_verified_and_taken_up(
    tmp_path, assert_equal_stores
) -> None:
    path = filled(tmp_path / "a.zarr", sweep_of())
    stays = left_behind(path)
    resumed(path)
    assert damage(path) == []
    compared = sample(path, 100)
    assert (compared.trials, compared.exact, compared.differences) == (15, True, ())
    again = lengthen(path, LONG)
    assert again.continued == {"": stays.sum()}
    assert resumed(path).trials == stays.sum()
    assert_equal_stores(path, filled(tmp_path / "whole.zarr", sweep_of(steps=LONG)))
    assert not lengthen(path, LONG).written


def test_a_whole_trial_is_preferred_to_one_that_was_left(tmp_path, assert_equal_stores) -> None:
    path, whole = filled(tmp_path / "a.zarr", sweep_of()), tmp_path / "whole.zarr"
    filled(whole, sweep_of(steps=LONG))
    left_behind(path)
    resumed(path)
    for number, pair in enumerate(([path, whole], [whole, path])):
        merge(pair, tmp_path / f"{number}.zarr")
        assert_equal_stores(tmp_path / f"{number}.zarr", whole)


@pytest.mark.parametrize("case", ["nesterov in batches to an accuracy", "closed form"])
def test_trials_whose_end_could_not_be_told_are_not_left(case, tmp_path) -> None:
    store.create(tmp_path / "a.zarr", sweep_of(case))
    with pytest.raises(StoreError, match="cannot be left before the budget ends"):
        lengthen(tmp_path / "a.zarr", LONG, only=np.ones(sweep_of(case).shape, dtype=bool))
