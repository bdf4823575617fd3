"""Functions that are mended between runs: what a store without results takes, and what others say."""

from __future__ import annotations

from pathlib import Path

import pytest
import xarray as xr

import pipeline
from pipeline.errors import StoreError

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
