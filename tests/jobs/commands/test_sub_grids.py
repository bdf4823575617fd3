"""The commands on sweeps with sub-grids, pairs and conditions, and on their stores."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import pipeline
from pipeline.trial_status import Status

from .test_own_experiments import CODE

WIDE = {
    "d": "[4, 8]",
    "n": "[8, 16, 32]",
    "width": "{ k_per_n = [1.1, 1.3, 1.6, 2.0, 2.5, 3.0, 4.0, 6.0] }",
    "seeds": 24,
    "exclude": '"n > 2*d"',
}
"""Of six cells, (4, 8), (8, 8) and (8, 16) are requested."""


@pytest.fixture(scope="module")
def steep(make_sweep, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("steep") / "steep.zarr"
    pipeline.run(make_sweep(**WIDE), path)
    return path


@pytest.fixture
def own(steep, tmp_path) -> Path:
    """A copy of that store, which a test may change."""
    import shutil

    return Path(shutil.copytree(steep, tmp_path / "steep.zarr"))


@pytest.mark.slow
def test_a_dry_run_tells_how_many_trials_are_excluded(widthlaw, write_sweep, tmp_path) -> None:
    file, path = write_sweep(**WIDE), tmp_path / "new.zarr"
    plan = _plan(widthlaw("run", file, "-o", path, "--dry-run"))
    one = 8 * 24
    assert (plan["trials"], plan["trials excluded"]) == (f"{3 * one}", f"{3 * one}")
    assert (plan["trials to compute"], plan["blocks"]) == (f"{3 * one}", "3")
    assert not path.exists()
    assert widthlaw("run", file, "-o", path).returncode == 0
    again = _plan(widthlaw("run", file, "-o", path, "--dry-run"))
    assert (again["trials to compute"], again["blocks"]) == ("0", "0")
    plain = _plan(widthlaw("run", write_sweep(), "-o", tmp_path / "plain.zarr", "--dry-run"))
    assert "trials excluded" not in plain


def _plan(result) -> dict[str, str]:
    assert result.returncode == 0, result.stderr
    lines = (line.split("  ", 1) for line in result.stdout.splitlines())
    return {key.strip(): value.strip() for key, value in lines}


@pytest.mark.slow
def test_the_commands_that_read_treat_excluded_trials_as_not_requested(
    widthlaw, steep, tmp_path
) -> None:
    status = json.loads(widthlaw("status", steep, "--json").stdout)[0]
    assert (status["trials"], status["done"], status["pending"]) == (576, 576, 0)
    assert status["not requested"] == 576
    asked = widthlaw("query", steep, "status == 'not_requested'", "--json")
    assert len(json.loads(asked.stdout)) == 576
    other = widthlaw("query", steep, "status == 'excluded'")
    assert "576 trials were not requested" in other.stderr
    fitted = json.loads(widthlaw("fit", steep, "--json").stdout)
    assert fitted
    for command in (("plot", steep, "-o", tmp_path), ("report", steep, "-o", tmp_path / "r.html")):
        result = widthlaw(*command)
        assert result.returncode == 0, result.stderr
    assert widthlaw("verify", steep, "--sample", 20).returncode == 0


def test_critical_widths_are_those_of_the_whole_grid_where_there_are_trials(
    steep, make_sweep, tmp_path
) -> None:
    from analysis import critical_widths, open_store

    whole = tmp_path / "whole.zarr"
    pipeline.run(make_sweep(**WIDE | {"exclude": '"n < 0"'}), whole)
    part, full = (critical_widths(open_store(path)) for path in (steep, whole))
    for d, n in ((4, 8), (8, 8), (8, 16)):
        for name in ("k50", "k50_low", "k50_high"):
            one, other = (float(found[name].sel(d=d, n=n)) for found in (part, full))
            np.testing.assert_equal(one, other)
    assert np.isnan(part.k50.sel(d=4, n=32))


@pytest.mark.slow
def test_a_refinement_asks_for_no_cell_that_is_excluded(widthlaw, own) -> None:
    result = widthlaw("refine", own, "--to", "30%", "--trials", 900, "--json")
    assert result.returncode in (0, 1, 3), result.stderr
    cells = {(record["d"], record["n"]) for record in json.loads(result.stdout)}
    assert cells == {(4, 8), (8, 8), (8, 16)}
    ds = xr.open_zarr(own)
    assert (ds.status.sel(d=4, n=[16, 32]) == Status.NOT_REQUESTED).all()
    assert int((ds.status == Status.DONE).sum()) > 576
    assert widthlaw("verify", own).returncode == 0


@pytest.mark.slow
def test_a_refinement_asks_for_no_width_that_is_excluded(widthlaw, make_sweep, tmp_path) -> None:
    path = tmp_path / "low.zarr"
    pipeline.run(make_sweep(**WIDE | {"exclude": '"n > 2*d or k > 1.3*n"', "n": "[8, 16]"}), path)
    result = widthlaw("refine", path, "--to", "5%", "--trials", 2000)
    assert result.returncode in (1, 3), result.stderr
    ds = xr.open_zarr(path).load()
    requested = ds.status != Status.NOT_REQUESTED
    assert not (requested & (ds.k > 1.3 * ds.n)).any()
    assert "the conditions of the sweep leave out the trials that it needs" in result.stdout


@pytest.mark.slow
def test_a_store_is_extended_under_its_conditions(widthlaw, own, write_sweep) -> None:
    result = widthlaw("extend", own, "--n", 12, "--dry-run")
    assert "would have 576 trials with an outcome and 192 pending" in result.stderr
    refused = widthlaw("extend", own, "--n", 64)
    assert refused.returncode == 2
    assert "its sub-grids and conditions request no trial at n = 64; give a SWEEP" in refused.stderr
    wider = write_sweep(**WIDE | {"exclude": '"n > 4*d"'})
    other = widthlaw("run", wider, "-o", own)
    assert other.returncode == 2
    assert "384 trials that the store does not request, and leaves out 0" in other.stderr
    assert widthlaw("extend", own, wider).returncode == 0
    assert widthlaw("run", own).returncode == 0
    assert json.loads(widthlaw("status", own, "--json").stdout)[0]["done"] == 576 + 384


OWN = """
name = "cond"
experiment = "cond.py:cond"
dataset = {{ kind = "sphere" }}
d = [5]
width = {{ k_per_n = [1.0, 2.0, 4.0] }}
seeds = 4
{more}
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("more", "there"),
    [
        (
            'n = [6, 9]\nexclude = "noise > 0 and n > 6"\n[parameters]\nnoise = [0.0, 0.5]',
            {(0.0, 6), (0.0, 9), (0.5, 6)},
        ),
        (
            "[[grid]]\nn = [6]\n[grid.parameters]\nnoise = [0.0, 0.5]\n"
            "[[grid]]\nn = [9]\n[grid.parameters]\nnoise = [0.7]\n",
            {(0.0, 6), (0.5, 6), (0.7, 9)},
        ),
        (
            "[pairs]\nn = [6, 9]\nnoise = [0.0, 0.5]\n[parameters]\n",
            None,
        ),
        ("[pairs]\nn = [6, 9]\nparameters = { noise = [0.0, 0.5] }\n", {(0.0, 6), (0.5, 9)}),
        (
            "n = [6]\n[[grid]]\n[[grid]]\nnoise = [0.5]\nn = [9]\n[parameters]\nnoise = [0.0]\n",
            {(0.0, 6), (0.5, 9)},
        ),
    ],
)
def test_parameters_of_ones_own_stand_in_conditions_sub_grids_and_pairs(
    widthlaw, tmp_path, more, there
) -> None:
    (tmp_path / "cond.py").write_text(CODE)
    (tmp_path / "cond.toml").write_text(OWN.format(more=more))
    result = widthlaw("run", tmp_path / "cond.toml", "-o", tmp_path / "cond.zarr")
    if there is None:  # a name that no table of parameters has could be a typing error
        assert result.returncode == 2
        assert "pairs, place 0.noise: unknown axis; the axes of this sweep are d, n" in result.stderr
        return
    assert result.returncode == 0, result.stderr
    done = xr.open_zarr(tmp_path / "cond.zarr").status == Status.DONE
    cells = done.all(["width", "seed"]).stack(cell=("noise", "n", "d"))
    assert {(noise, n) for noise, n, _ in cells.cell.values[cells.values]} == there
    assert int(done.sum()) == len(there) * 12
