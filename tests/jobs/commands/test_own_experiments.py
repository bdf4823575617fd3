"""The commands on stores of one's own trials: which need the code, and what they say without it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import xarray as xr

import pipeline

CODE = """
import numpy as np
from pipeline import Trial, experiment, variable

@experiment(ratio=variable("smallest over largest singular value"))
def cond(trial: Trial):
    E = trial.rng("noise").standard_normal((trial.k, trial.n))
    W, X = trial.weights(), trial.inputs()
    s = np.linalg.svd(np.maximum(W @ X.T, 0) + trial.parameters["noise"] * E, compute_uv=False)
    return {"ratio": s[-1] / s[0]}
"""

SWEEP = """
name = "cond"
experiment = "cond.py:cond"
dataset = { kind = "sphere" }
d = [5]
n = [6, 9]
width = { k_per_n = [1.0, 1.5, 2.0, 4.0, 8.0] }
seeds = 8
[parameters]
noise = [0.0, 0.5]
"""


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a sweep, its file and its store."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "cond.py").write_text(CODE)
    (folder / "cond.toml").write_text(SWEEP)
    pipeline.run(pipeline.load_sweep(folder / "cond.toml"), folder / "cond.zarr")
    return folder


@pytest.fixture
def alone(filled: Path, tmp_path: Path) -> Path:
    """A copy of the store in a folder without code, which a test may change."""
    import shutil

    shutil.copytree(filled / "cond.zarr", tmp_path / "cond.zarr")
    return tmp_path / "cond.zarr"


@pytest.mark.slow
def test_a_run_measures_fills_and_resumes(widthlaw, tmp_path) -> None:
    (tmp_path / "cond.py").write_text(CODE)
    (tmp_path / "cond.toml").write_text(SWEEP)
    sweep, path = tmp_path / "cond.toml", tmp_path / "c.zarr"
    planned = widthlaw("run", sweep, "-o", path, "--dry-run")
    assert planned.returncode == 0, planned.stderr
    assert "cond.py:cond: a trial takes " in planned.stderr
    assert not path.exists()
    ran = widthlaw("run", sweep, "-o", path, "--workers", 1)
    assert ran.returncode == 0, ran.stderr
    assert "160 trials done, 0 failed; 160 computed now" in ran.stderr
    again = widthlaw("run", sweep, "-o", path)
    assert "0 computed now" in again.stderr
    assert "a trial takes" not in again.stderr  # it is known by now


@pytest.mark.slow
def test_reading_commands_need_no_code_and_run_none(widthlaw, alone, tmp_path, monkeypatch) -> None:
    (tmp_path / "cond.py").write_text("raise SystemExit('this must never run')")
    monkeypatch.chdir(tmp_path)
    assert widthlaw("status", alone).returncode == 0
    assert widthlaw("verify", alone).returncode == 0
    found = json.loads(widthlaw("query", alone, "ratio > 0.1", "--json").stdout)
    assert {"noise", "d", "n", "ratio"} <= found[0].keys()
    fitted = widthlaw("fit", alone, "--success", "ratio > 0.1")
    assert fitted.returncode == 0, fitted.stderr
    assert "critical widths at ratio > 0.1" in fitted.stdout + fitted.stderr
    drawn = widthlaw("plot", alone, "--success", "ratio > 0.1", "-o", tmp_path / "figures")
    assert drawn.returncode == 0, drawn.stderr
    assert {"cond-phase.png", "cond-laws.png", "cond-values.png"} <= {*os.listdir(tmp_path / "figures")}
    page = widthlaw("report", alone, "--success", "ratio > 0.1", "-o", tmp_path / "report.html")
    assert page.returncode == 0, page.stderr
    merged = widthlaw("merge", alone, _extended(widthlaw, alone, tmp_path), "-o", tmp_path / "m.zarr")
    assert merged.returncode == 0, merged.stderr


def _extended(widthlaw, store: Path, folder: Path) -> Path:
    """Return another store of the same experiment: a copy, which needs no code either."""
    other = folder / "other.zarr"
    assert widthlaw("extend", store, "-o", other).returncode == 0
    return other


@pytest.mark.slow
@pytest.mark.parametrize(
    "line",
    [
        ("run",),
        ("extend", "--seeds", 9),
        ("refine", "--to", "5%", "--success", "ratio > 0.1"),
        ("verify", "--sample", 3),
    ],
    ids=lambda line: line[0],
)
def test_commands_that_run_trials_of_a_store_need_the_code_by_name(
    widthlaw, filled, alone, line
) -> None:
    name, *options = line
    (alone.parent / "cond.py").write_text("raise SystemExit('this must never run')")
    refused = widthlaw(name, alone, *options)
    assert refused.returncode == 2
    assert (
        "its trials run cond.py:cond, and a store keeps no code; add --code cond.py" in refused.stderr
    )
    there = widthlaw(name, alone, *options, "--code", filled / "cond.py")
    assert there.returncode in ((0, 1) if name == "refine" else (0,)), there.stderr


@pytest.mark.slow
def test_changed_code_is_refused_with_both_digests_until_it_is_accepted(
    widthlaw, alone, filled, tmp_path, assert_refused
) -> None:
    (tmp_path / "cond.py").write_text(CODE + "\n# a comment changes no value\n")
    (tmp_path / "cond.toml").write_text(SWEEP)
    before = pipeline.load_sweep(filled / "cond.toml").own.digest
    now = pipeline.load_sweep(tmp_path / "cond.toml").own.digest
    for refused in (
        widthlaw("run", tmp_path / "cond.toml", "-o", alone),
        widthlaw("run", alone, "--code", tmp_path / "cond.py"),
    ):
        assert_refused(refused, f"had the digest {before[:12]}, now it has {now[:12]}; give a new path")
    accepted = widthlaw("run", tmp_path / "cond.toml", "-o", alone, "--accept-code")
    assert accepted.returncode == 0, accepted.stderr
    recorded = xr.open_zarr(alone).attrs["provenance"]["accepted_code"]
    assert [one["digest"] for one in recorded] == [now]
    assert widthlaw("verify", alone, "--sample", 4, "--code", tmp_path / "cond.py").returncode == 0
    larger = widthlaw("extend", alone, "--seeds", 9, "--code", tmp_path / "cond.py")
    assert larger.returncode == 0, larger.stderr  # once accepted, for good
    done = widthlaw("run", alone, "--code", tmp_path / "cond.py", "--workers", 1)
    assert done.returncode == 0, done.stderr
    assert "20 computed now" in done.stderr


@pytest.mark.slow
def test_stores_of_some_seeds_each_are_merged_to_the_bits_of_one_run(
    widthlaw, filled, tmp_path, assert_equal_stores
) -> None:
    parts = [half_of(filled, tmp_path, CODE, name) for name in ("first", "second")]
    whole = tmp_path / "whole.zarr"
    told = widthlaw("merge", *parts, "-o", whole)
    assert told.returncode == 0, told.stderr
    assert_equal_stores(whole, filled / "cond.zarr")
    assert widthlaw("verify", whole, "--sample", 10, "--code", filled / "cond.py").returncode == 0


def test_stores_of_other_code_are_not_merged(widthlaw, filled, tmp_path, assert_refused) -> None:
    first = half_of(filled, tmp_path, CODE, "first")
    other = half_of(filled, tmp_path, CODE.replace("s[-1] / s[0]", "s[0] / s[-1]"), "second")
    digests = [xr.open_zarr(one).attrs["identity_fields"]["code"] for one in (first, other)]
    told = widthlaw("merge", first, other, "-o", tmp_path / "whole.zarr")
    assert_refused(told, f"store {first}: cannot be combined with store {other}: ")
    assert all(digest in told.stderr for digest in digests)
    assert not (tmp_path / "whole.zarr").exists()


def half_of(filled: Path, folder: Path, code: str, name: str) -> Path:
    """Fill a store with the first or the second half of the seeds."""
    home, seeds = folder / name, {"first": "[0, 1, 2, 3]", "second": "[4, 5, 6, 7]"}[name]
    home.mkdir()
    (home / "cond.py").write_text(code)
    (home / "cond.toml").write_text(SWEEP.replace("seeds = 8", f"seeds = {seeds}"))
    pipeline.run(pipeline.load_sweep(home / "cond.toml"), home / "cond.zarr")
    return home / "cond.zarr"


def test_accepted_code_that_changes_values_is_found_by_a_sample(widthlaw, alone, tmp_path) -> None:
    (tmp_path / "cond.py").write_text(CODE.replace("s[-1] / s[0]", "s[-1] / s[0] + 1e-9"))
    (tmp_path / "cond.toml").write_text(SWEEP)
    assert widthlaw("run", tmp_path / "cond.toml", "-o", alone, "--accept-code").returncode == 0
    found = widthlaw("verify", alone, "--sample", 4, "--code", tmp_path / "cond.py")
    assert found.returncode == 1
    assert "4 of them without equal bits" in found.stderr


def test_code_that_declares_other_arrays_is_never_accepted(widthlaw, alone, tmp_path) -> None:
    (tmp_path / "cond.py").write_text(CODE.replace("ratio", "other"))
    (tmp_path / "cond.toml").write_text(SWEEP)
    told = widthlaw("run", tmp_path / "cond.toml", "-o", alone, "--accept-code")
    assert told.returncode == 2
    assert "declares other arrays than it has; give a new path" in told.stderr


def test_code_is_refused_where_none_is_needed(widthlaw, own_store, filled, assert_refused) -> None:
    told = widthlaw("run", own_store, "--code", filled / "cond.py")
    assert_refused(told, "runs conditioning, which needs no code; remove --code")
    told = widthlaw("run", filled / "cond.toml", "--code", filled / "cond.py")
    assert_refused(told, "names its code itself; remove --code")


ODD = """
import os, time
import numpy as np
from pipeline import Trial, experiment, variable

def forks(trial):
    if not os.fork():
        return {"value": 1.0, "pair": [0, 1]}  # as the child it would go on with our work
    return {"value": 0.0, "pair": [0, 1]}

def reseeds(trial):
    np.random.seed(5)
    return {"value": np.random.random(), "pair": [0, 1]}

def takes_long(trial):
    end = time.perf_counter() + 0.3
    while time.perf_counter() < end:
        pass
    return {"value": 0.0, "pair": [0, 1]}

def raises_once(trial):
    if trial.seed == 2:
        raise ValueError("one of many")
    return {"value": trial.rng("x").random(), "pair": [0, 1]}

def interrupts(trial):
    raise KeyboardInterrupt

WAYS = [
    lambda trial: {"value": 0.0, "pair": [0, 1]},
    lambda trial: {"other": 0.0, "pair": [0, 1]},
    lambda trial: {"value": 0.0, "pair": [0, 1, 2]},
    lambda trial: {"value": "none", "pair": [0, 1]},
    lambda trial: {"value": print("a row of data"), "pair": [0, 1]},
    lambda trial: {"value": float("nan"), "pair": [np.inf, 1]},
    forks, reseeds, takes_long, raises_once, interrupts,
]

@experiment(value=variable("a value"), pair=variable("two", dims=("side",), coords={"side": [0, 1]}))
def odd(trial: Trial):
    return WAYS[trial.k - 1](trial)
"""

FAILURES = {
    2: "Mismatch: returned 'other', which is not declared; expected value, pair; rename it or ",
    3: "Mismatch: pair has the shape (3,), expected (2,) as declared; return that or declare",
    4: "Mismatch: value is 'none', expected real numbers; NaN is one",
    5: "Mismatch: value is None, expected real numbers; NaN is one",
    11: "RuntimeError: it ended with KeyboardInterrupt",
}


@pytest.mark.slow
def test_odd_trials_have_outcomes_of_their_own_and_the_others_their_values(widthlaw, tmp_path) -> None:
    (tmp_path / "odd.py").write_text(ODD)
    (tmp_path / "odd.toml").write_text(
        'name = "odd"\nexperiment = "odd.py:odd"\nwidth = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]\n'
        "seeds = 4\n"
    )
    run = ("run", tmp_path / "odd.toml", "-o", tmp_path / "odd.zarr", "--workers", 2)
    told = widthlaw(*run)
    assert (told.returncode, told.stdout) == (1, ""), told.stderr
    assert "23 trials done, 21 failed" in told.stderr
    assert "Traceback" not in told.stderr
    assert "a row of data" in told.stderr
    ds = xr.open_zarr(tmp_path / "odd.zarr").load().isel(d=0, n=0).swap_dims(width="k")
    for k, message in FAILURES.items():
        assert (ds.status.sel(k=k) == 2).all()
        assert all(message in text for text in ds.message.sel(k=k).values)
    assert ds.status.sel(k=10).values.tolist() == [1, 1, 2, 1]
    assert ds.message.sel(k=10, seed=2).item() == "ValueError: one of many"
    assert (ds.status.sel(k=[1, 6, 7, 8, 9]) == 1).all()
    assert ds.value.sel(k=6).isnull().all()
    assert (ds.value.sel(k=[1, 7, 9]) == 0).all()
    assert len({*ds.value.sel(k=10).dropna("seed").values}) == 3  # untouched by the reseeding
    assert widthlaw("verify", tmp_path / "odd.zarr").returncode == 0
    assert "0 computed now" in widthlaw(*run).stderr


@pytest.mark.slow
def test_what_a_trial_and_its_processes_print_is_no_data_of_the_command(widthlaw, tmp_path) -> None:
    (tmp_path / "loud.py").write_text(
        "import os\nfrom pipeline import experiment, variable\n"
        "@experiment(value=variable('a value'))\ndef loud(trial):\n"
        "    print('by print')\n    os.system('echo by a shell')\n    os.write(1, b'by C')\n"
        "    return {'value': 1}\n"
    )
    (tmp_path / "loud.toml").write_text('name = "loud"\nexperiment = "loud.py:loud"\nseeds = 3\n')
    told = widthlaw("run", tmp_path / "loud.toml", "-o", tmp_path / "loud.zarr")
    assert told.returncode == 0, told.stderr
    assert told.stdout == ""
    assert all(words in told.stderr for words in ("by print", "by a shell", "by C"))


@pytest.mark.slow
def test_an_import_that_fails_on_a_worker_fails_its_trials_with_file_and_line(
    widthlaw, tmp_path, monkeypatch
) -> None:
    (tmp_path / "far.py").write_text(
        "import os\nfrom pipeline import experiment, variable\n"
        "if os.environ.setdefault('READ_BY', str(os.getpid())) != str(os.getpid()):\n"
        "    import only_on_this_machine\n"
        "@experiment(value=variable('a value'))\ndef far(trial):\n    return {'value': 1}\n"
    )
    (tmp_path / "far.toml").write_text('name = "far"\nexperiment = "far.py:far"\nseeds = 3\n')
    told = widthlaw("run", tmp_path / "far.toml", "-o", tmp_path / "far.zarr")
    assert told.returncode == 1, told.stderr
    assert "far.py:far: could not be measured (its process ended)" in told.stderr
    line = "far.py: line 4: ModuleNotFoundError: No module named 'only_on_this_machine'"
    assert f"3 x CodeError: {line}; repair it, or install what it needs" in told.stderr


@pytest.mark.slow
def test_a_store_without_sizes_is_drawn_along_its_first_numeric_parameter(widthlaw, tmp_path) -> None:
    (tmp_path / "par.py").write_text(
        "from pipeline import experiment, variable\n"
        "@experiment(value=variable('a value'))\ndef par(trial):\n"
        "    return {'value': trial.parameters['p'] * trial.parameters['size']}\n"
    )
    (tmp_path / "par.toml").write_text(
        'name = "par"\nexperiment = "par.py:par"\nseeds = 3\n[parameters]\nsize = [8, 16]\n'
        "p = [0.5, 0.6, 0.7]\n"
    )
    assert widthlaw("run", tmp_path / "par.toml", "-o", tmp_path / "par.zarr").returncode == 0
    line = ["plot", tmp_path / "par.zarr", "--kind", "values", "--data", tmp_path / "values.csv"]
    drawn = widthlaw(*line)
    assert drawn.returncode == 0, drawn.stderr
    rows = (tmp_path / "values.csv").read_text().splitlines()
    assert len(rows) > 6  # a point for each size and p
