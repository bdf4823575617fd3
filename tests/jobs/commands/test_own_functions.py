"""Commands on stores with an activation and a dataset of one's own: which need the code."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import xarray as xr

import pipeline

CODE = """
import numpy as np

def swish(z):
    return z / (1 + np.exp(-z))

def rows(rng, n, d):
    X = rng.standard_normal((n, d))
    return X / np.linalg.norm(X, axis=1, keepdims=True), np.sign(X[:, 0])
"""

SWEEP = """
name = "swish"
experiment = "input"
activation = ["relu", "own.py:swish"]
dataset = { kind = "own.py:rows" }
d = [4]
n = [12]
width = [6, 14, 30]
seeds = 4
[descent]
steps = 200
"""


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a sweep, its file and its store."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "own.py").write_text(CODE)
    (folder / "swish.toml").write_text(SWEEP)
    pipeline.run(pipeline.load_sweep(folder / "swish.toml"), folder / "swish.zarr")
    return folder


@pytest.fixture
def alone(filled: Path, tmp_path: Path) -> Path:
    """A copy of the store beside a file that must never run."""
    shutil.copytree(filled / "swish.zarr", tmp_path / "swish.zarr")
    (tmp_path / "own.py").write_text("raise SystemExit('this must never run')")
    return tmp_path / "swish.zarr"


@pytest.mark.slow
def test_a_run_says_how_descent_calls_an_activation(widthlaw, tmp_path) -> None:
    (tmp_path / "own.py").write_text(CODE)
    (tmp_path / "swish.toml").write_text(SWEEP)
    ran = widthlaw("run", tmp_path / "swish.toml", "-o", tmp_path / "s.zarr", "--workers", 2)
    assert ran.returncode == 0, ran.stderr
    assert "own.py:swish: runs compiled by numba; derivative: complex step" in ran.stderr
    assert "24 trials done, 0 failed" in ran.stderr
    again = widthlaw("run", tmp_path / "swish.toml", "-o", tmp_path / "s.zarr")
    assert "0 computed now" in again.stderr


@pytest.mark.slow
def test_reading_commands_need_no_code_and_run_none(widthlaw, alone, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for line in (
        ("status", alone),
        ("verify", alone),
        ("fit", alone),
        ("plot", alone, "-o", tmp_path / "figures"),
        ("report", alone, "-o", tmp_path / "report.html"),
        ("extend", alone, "-o", tmp_path / "other.zarr"),
        ("merge", alone, tmp_path / "other.zarr", "-o", tmp_path / "merged.zarr"),
    ):
        told = widthlaw(*line)
        assert told.returncode == 0, (line, told.stderr)
    found = json.loads(widthlaw("query", alone, "activation == 'own.py:swish'", "--json").stdout)
    assert len(found) == 12


@pytest.mark.slow
@pytest.mark.parametrize(
    "line",
    [
        ("run",),
        ("extend", "--seeds", 5),
        ("refine", "--to", "90%", "--trials", 40),
        ("verify", "--sample", 3),
    ],
    ids=lambda line: line[0],
)
def test_commands_that_run_trials_need_the_code_by_name(widthlaw, filled, alone, line) -> None:
    name, *options = line
    refused = widthlaw(name, alone, *options)
    assert refused.returncode == 2
    assert "and a store keeps no code; add --code own.py, the file that you trust" in refused.stderr
    there = widthlaw(name, alone, *options, "--code", filled / "own.py")
    assert there.returncode in ((0, 1, 3) if name == "refine" else (0,)), there.stderr


@pytest.mark.slow
def test_changed_code_is_refused_with_both_digests_until_it_is_accepted(
    widthlaw, alone, filled, tmp_path, assert_refused
) -> None:
    home = tmp_path / "changed"
    home.mkdir()
    (home / "own.py").write_text(CODE + "\n# a comment changes no value\n")
    (home / "swish.toml").write_text(SWEEP)
    before, now = (
        pipeline.load_sweep(folder / "swish.toml").identity_fields["functions"]
        for folder in (filled, home)
    )
    for refused in (
        widthlaw("run", home / "swish.toml", "-o", alone),
        widthlaw("run", alone, "--code", home / "own.py"),
    ):
        assert_refused(refused, f"had the digest {before[:12]}, now it has {now[:12]}; give a new path")
    accepted = widthlaw("run", home / "swish.toml", "-o", alone, "--accept-code")
    assert accepted.returncode == 0, accepted.stderr
    recorded = xr.open_zarr(alone).attrs["provenance"]["accepted_code"]
    assert [one["digest"] for one in recorded] == [now]
    assert widthlaw("verify", alone, "--sample", 4, "--code", home / "own.py").returncode == 0
    larger = widthlaw("extend", alone, "--seeds", 5, "--code", home / "own.py")
    assert larger.returncode == 0, larger.stderr


def test_another_function_under_the_name_is_never_accepted(widthlaw, alone, tmp_path) -> None:
    home = tmp_path / "changed"
    home.mkdir()
    (home / "own.py").write_text(CODE.replace("z / (1 + np.exp(-z))", "np.maximum(z, 0)"))
    (home / "swish.toml").write_text(SWEEP)
    told = widthlaw("run", home / "swish.toml", "-o", alone, "--accept-code")
    assert told.returncode == 2
    assert "own.py:swish is another function than it was" in told.stderr
    told = widthlaw("run", alone, "--code", home / "own.py", "--accept-code")
    assert told.returncode == 2
    assert "has other kinks, or another derivative, than when the store was made" in told.stderr


@pytest.mark.parametrize("entry", ["/tmp/evil.py:swish", "../evil.py:swish", "a/b.py:swish"])
def test_a_store_from_elsewhere_names_no_code_outside_its_folder(
    widthlaw, alone, filled, tmp_path, entry
) -> None:
    root = alone / "zarr.json"
    root.write_text(root.read_text().replace("own.py:swish", entry))
    (tmp_path / "evil.py").write_text("raise SystemExit('this must never run')")
    told = widthlaw("run", alone, "--code", filled / "own.py")
    assert told.returncode != 0
    assert "this must never run" not in told.stderr


@pytest.mark.parametrize(
    "facts",
    [
        {"role": "activation", "kinks": ["x"], "derivative": "given", "seconds": 0.0},
        {"role": "activation", "kinks": [0.0] * 99, "derivative": "given", "seconds": 0.0},
        {"role": "activation", "kinks": [], "derivative": "magic", "seconds": 0.0},
        {"role": "activation", "kinks": [], "derivative": "given", "seconds": 1e9},
        {"role": "no such role"},
        [],
    ],
)
def test_a_store_with_facts_that_no_function_has_is_told_in_one_line(
    widthlaw, alone, filled, assert_refused, facts
) -> None:
    root = json.loads((alone / "zarr.json").read_text())
    root["attributes"]["functions"]["facts"]["own.py:swish"] = facts
    (alone / "zarr.json").write_text(json.dumps(root))
    told = widthlaw("run", alone, "--code", filled / "own.py")
    assert_refused(told, "cannot use its attribute functions: the store is damaged")
