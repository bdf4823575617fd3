"""Functions that are mended between runs, and the commands that messages of their stores advise."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
import xarray as xr

import pipeline
from pipeline.errors import StoreError
from pipeline.store.code import run_command

SWEEP = 'name = "own"\nexperiment = "own.py:own"\nwidth = [1, 2]\nseeds = 3\n'

CODE = """
from pipeline import Diverged, experiment, variable

@experiment(value=variable("a value"))
def own(trial):
    {body}
"""


def write(folder: Path, body: str) -> Path:
    """Write the sweep and its function; return the sweep."""
    (folder / "own.py").write_text(CODE.format(body=body))
    (folder / "own.toml").write_text(SWEEP)
    return folder / "own.toml"


def accepted(store: Path) -> list[str]:
    return [one["digest"] for one in xr.open_zarr(store).attrs["provenance"].get("accepted_code", ())]


@pytest.fixture
def failed(tmp_path: Path) -> Path:
    """A store whose trials all failed, beside its sweep."""
    pipeline.run(write(tmp_path, "return {'valu': 1}"), tmp_path / "own.zarr")
    assert (xr.open_zarr(tmp_path / "own.zarr").status == 2).all()
    return tmp_path / "own.zarr"


@pytest.mark.slow
def test_a_store_without_results_takes_a_mended_function_and_runs_what_failed(
    widthlaw, failed, tmp_path
) -> None:
    sweep = write(tmp_path, "return {'value': trial.k}")
    planned = widthlaw("run", sweep, "-o", failed, "--dry-run")
    assert planned.returncode == 0, planned.stderr
    assert ["trials", "to", "compute", "6"] in [line.split() for line in planned.stdout.splitlines()]
    assert accepted(failed) == []  # a plan writes nothing
    ran = widthlaw("run", sweep, "-o", failed)
    assert ran.returncode == 0, ran.stderr
    assert "6 trials done, 0 failed; 6 computed now" in ran.stderr
    assert accepted(failed) == [pipeline.load_sweep(sweep).own.digest]
    assert "0 computed now" in widthlaw("run", sweep, "-o", failed).stderr


@pytest.mark.slow
def test_a_store_without_results_takes_a_mended_function_by_name_too(
    widthlaw, failed, tmp_path
) -> None:
    write(tmp_path, "return {'value': trial.k}")
    ran = widthlaw("run", failed, "--code", tmp_path / "own.py")
    assert ran.returncode == 0, ran.stderr
    assert "6 computed now" in ran.stderr


def test_python_takes_a_mended_function_as_the_command_does(failed, tmp_path) -> None:
    again = pipeline.run(write(tmp_path, "return {'value': trial.k}"), failed)
    assert (again.trials, again.failed) == (6, 0)
    assert len(accepted(failed)) == 1


def test_a_mended_function_with_other_arrays_is_refused_as_such(failed, tmp_path) -> None:
    sweep = write(tmp_path, "return {'valu': trial.k}")
    (tmp_path / "own.py").write_text((tmp_path / "own.py").read_text().replace("value=", "valu="))
    with pytest.raises(StoreError, match="declares other arrays than it has; give a new path"):
        pipeline.run(sweep, failed)


@pytest.mark.parametrize("outcome", ["return {'value': 1}", "raise Diverged('far away')"])
def test_one_result_is_enough_to_refuse_a_changed_function(tmp_path, outcome) -> None:
    store = tmp_path / "own.zarr"
    pipeline.run(write(tmp_path, f"if trial.k == 1 and trial.seed == 0: {outcome}"), store)
    with pytest.raises(StoreError) as refused:
        pipeline.run(write(tmp_path, "return {'value': 2}"), store)
    text = str(refused.value)
    assert "add --accept-code if no value changes by it" in text
    assert "(with --retry-failed, which computes its 5 failed trials again)" in text
    assert accepted(store) == []


@pytest.mark.slow
def test_the_refusal_tells_the_code_that_was_accepted_last_in_twelve_digits(widthlaw, tmp_path) -> None:
    store, digests = tmp_path / "own.zarr", []
    for body in ("return {'value': 1}", "return {'value': 1.0}", "return {'value': True}"):
        sweep = write(tmp_path, body)
        digests.append(pipeline.load_sweep(sweep).own.digest[:12])
        if len(digests) < 3:
            told = widthlaw("run", sweep, "-o", store, *["--accept-code"] * (len(digests) > 1))
            assert told.returncode == 0, told.stderr
    refused = widthlaw("run", sweep, "-o", store)
    assert refused.returncode == 2
    assert f"had the digest {digests[1]}, now it has {digests[2]}; give a new path" in refused.stderr
    assert "--retry-failed" not in refused.stderr  # nothing failed


def advised(text: str) -> list[str]:
    """Return the arguments of the `widthlaw run` that a message advises."""
    return shlex.split(re.findall(r"`widthlaw (run [^`]*)`", text)[-1])


@pytest.mark.slow
@pytest.mark.parametrize("beside", [True, False], ids=["in the working folder", "beside the store"])
def test_what_extend_and_status_advise_runs_when_pasted(
    widthlaw, tmp_path, monkeypatch, beside
) -> None:
    store = tmp_path / "own.zarr"
    pipeline.run(write(tmp_path, "return {'value': trial.k}"), store)
    if beside:
        monkeypatch.chdir(tmp_path)
    larger = widthlaw("extend", store, "--seeds", 4, "--code", tmp_path / "own.py")
    assert larger.returncode == 0, larger.stderr
    waiting = widthlaw("status", store)
    assert advised(waiting.stderr) == advised(larger.stderr)
    ran = widthlaw(*advised(waiting.stderr))
    assert ran.returncode == 0, ran.stderr
    assert "2 computed now" in ran.stderr


def test_a_sweep_that_a_store_contains_is_not_told_to_extend_it(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    sweep = write(tmp_path, "return {'value': trial.k}")
    pipeline.run(sweep, tmp_path / "own.zarr")
    text = sweep.read_text()
    sweep.write_text(text.replace("seeds = 3", "seeds = 2"))
    with pytest.raises(StoreError) as fewer:
        pipeline.run(sweep, "own.zarr")
    assert "extend" not in str(fewer.value)
    fills = f"`widthlaw run {tmp_path / 'own.zarr'} --code own.py` fills it as it is, with all of this"
    assert fills in str(fewer.value)
    sweep.write_text(text.replace("seeds = 3", "seeds = 2").replace("[1, 2]", "[1, 3]"))
    with pytest.raises(StoreError, match=r"own.zarr SWEEP` adds what is missing"):
        pipeline.run(sweep, "own.zarr")


def test_a_stored_name_that_is_no_file_beside_the_sweep_is_in_no_advice(tmp_path) -> None:
    store = tmp_path / "own.zarr"
    pipeline.run(write(tmp_path, "return {'value': trial.k}"), store)
    root = json.loads((store / "zarr.json").read_text())
    root["attributes"]["own"]["entry"] = "x.py` ; touch owned; `.py:own"
    (store / "zarr.json").write_text(json.dumps(root))
    assert run_command(store) == f"`widthlaw run {store}`"


def test_new_values_of_a_parameter_are_refused_with_the_place_where_they_can_go(
    widthlaw, tmp_path
) -> None:
    sweep = write(tmp_path, "return {'value': trial.parameters['mu']}")
    text = sweep.read_text()
    sweep.write_text(f"{text}[parameters]\nmu = [0.0, 1.0]\n")
    pipeline.run(sweep, tmp_path / "own.zarr")
    sweep.write_text(f"{text}[parameters]\nmu = [0.0, 1.0, 2.0]\n")
    told = widthlaw("extend", tmp_path / "own.zarr", sweep)
    assert told.returncode == 2
    assert "only seeds, n, d and widths can be added" in told.stderr
    assert "run the new values into a store of their own" in told.stderr
