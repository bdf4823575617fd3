"""`widthlaw verify`: damage is listed and repaired, and recomputed trials are compared."""

from __future__ import annotations

import csv
import json
import platform
import shutil

import numpy as np
import pytest
import zarr

import pipeline
from pipeline.store import Store


def damaged(path):
    file = path / "edge" / "c" / "1" / "0" / "0" / "0"
    file.write_bytes(file.read_bytes()[:-1])


def test_a_sound_store_is_reported_as_sound(widthlaw, own_store) -> None:
    result = widthlaw("verify", own_store, "--sample", 5)
    assert result.returncode == 0, result.stderr
    assert result.stdout == ""
    assert f"{own_store}: sound" in result.stderr
    assert "5 trials recomputed; 0 of them without equal bits" in result.stderr
    assert json.loads(widthlaw("verify", own_store, "--json").stdout) == []


@pytest.mark.slow
def test_damage_is_listed_repaired_and_computed_again(
    widthlaw, own_store, tmp_path, assert_equal_stores
) -> None:
    sound = shutil.copytree(own_store, tmp_path / "sound.zarr")
    damaged(own_store)
    result = widthlaw("verify", own_store, sound, "--csv")
    assert result.returncode == 1
    (row,) = csv.DictReader(result.stdout.splitlines())
    assert (row["kind"], row["array"], row["trials"]) == ("damaged", "edge", "24")
    assert row["where"] == "d=5 n=6 seeds 0-7"
    assert f"`widthlaw verify {own_store} --repair`" in result.stderr
    repaired = widthlaw("verify", own_store, "--repair")
    assert repaired.returncode == 3, repaired.stderr
    assert "repaired: 24 trials reset to pending" in repaired.stderr
    assert f"`widthlaw run {own_store}` computes them" in repaired.stderr
    assert widthlaw("verify", own_store).returncode == 3
    ran = widthlaw("run", own_store, "--workers", 1)
    assert ran.returncode == 0, ran.stderr
    assert "24 computed now" in ran.stderr
    assert widthlaw("verify", own_store).returncode == 0
    assert_equal_stores(own_store, sound)


@pytest.mark.slow
def test_a_wrong_value_is_found_by_recomputing(widthlaw, own_store, sealed) -> None:
    array = zarr.open_group(str(own_store), mode="r+")["sigma_max"]
    array[0, 0, 0, 0] = np.nextafter(array[0, 0, 0, 0], 9)
    sealed(own_store)
    assert widthlaw("verify", own_store).returncode == 0
    result = widthlaw("verify", own_store, "--sample", 1000, "--json")
    assert result.returncode == 1
    (record,) = json.loads(result.stdout)
    assert (record["kind"], record["array"]) == ("sample", "sigma_max")
    assert record["where"] == "d=3 n=6 width=1.5 seed=0"


def test_a_damaged_root_cannot_be_repaired(widthlaw, own_store) -> None:
    (own_store / "zarr.json").write_text("{")
    result = widthlaw("verify", own_store)
    assert result.returncode == 1
    assert "root" in result.stdout
    assert "1 problem found; --repair cannot help: run the sweep into a new path" in result.stderr
    repaired = widthlaw("verify", own_store, "--repair")
    assert repaired.returncode == 2
    assert "zarr.json is damaged and cannot be repaired" in repaired.stderr


def test_a_path_without_a_store_is_refused(widthlaw, tmp_path, assert_refused) -> None:
    assert_refused(widthlaw("verify", tmp_path / "none"), "none: not found")
    assert_refused(widthlaw("verify", tmp_path), "holds no store")


# ---- another platform: other kernels of OpenBLAS round otherwise, and descent is chaotic

CHAOTIC = {
    "experiment": "'deep'",
    "activation": "'tanh'",
    "trained": "'both'",
    "depth": "[3]",
    "d": "[5]",
    "n": "[30]",
    "width": "{ k = [14] }",
    "seeds": 4,
    "descent": "{ steps = 800, tolerances = [1e-1, 1e-2, 1e-4] }",
}

other_kernels = pytest.mark.skipif(
    platform.machine() != "x86_64", reason="OPENBLAS_CORETYPE names processors of x86_64"
)


@pytest.fixture
def chaotic_store(tmp_path, make_sweep):
    path = tmp_path / "chaotic.zarr"
    pipeline.run(make_sweep(**CHAOTIC), path)
    return path


def alter(path, name, seed, change) -> None:
    """Change a value as the store itself writes values, digest included."""
    store = Store(path)
    (tile,) = store.tiles()
    (result,) = store.read_tile(tile)
    result.values[name][0, seed] = change(result.values[name][0, seed])
    store.write(tile, [result])


def sampled_elsewhere(widthlaw, monkeypatch, path):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "SandyBridge")
    result = widthlaw("verify", path, "--sample", 100, "--json")
    return result, [(row["kind"], row["array"]) for row in json.loads(result.stdout)]


@pytest.mark.slow
@other_kernels
def test_chaotic_trials_are_sound_on_another_platform(widthlaw, monkeypatch, chaotic_store) -> None:
    result, rows = sampled_elsewhere(widthlaw, monkeypatch, chaotic_store)
    assert result.returncode == 0, result.stderr
    assert len(rows) == 4
    assert {kind for kind, _ in rows} == {"chaotic"}
    assert "4 trials recomputed; 0 of them without values that agree" in result.stderr
    assert "4 chaotic" in result.stderr
    for row in json.loads(result.stdout):
        assert "from moved inputs" in row["what"]


@pytest.mark.slow
@other_kernels
@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("loss_curve", lambda curve: curve * np.where(np.arange(len(curve)) == 0, 1 + 1e-6, 1)),
        ("loss_curve", lambda curve: np.where(np.arange(len(curve)) == 3, np.nan, curve)),
        ("steps_to_tolerance", lambda steps: np.array([7.0, *steps[1:]])),
        ("steps_to_tolerance", lambda steps: np.array([np.inf, *steps[1:]])),
        ("ntk_min", lambda value: value * (1 + 1e-6)),
        ("distance", lambda value: value * 2),
    ],
    ids=["curve", "gap", "early", "never", "start", "distance"],
)
def test_a_wrong_value_of_a_chaotic_trial_is_found_on_another_platform(
    widthlaw, monkeypatch, chaotic_store, name, change
) -> None:
    alter(chaotic_store, name, 2, change)
    result, rows = sampled_elsewhere(widthlaw, monkeypatch, chaotic_store)
    assert result.returncode == 1, result.stderr
    assert ("sample", name) in rows
    assert [kind for kind, _ in rows].count("chaotic") == 3
    assert "1 of them without values that agree" in result.stderr


WAYS = {
    "float32": "dtype = 'float32', step_size = 0.2",
    "float32 at the edge": "dtype = 'float32', step_size = 1.0",
    "momentum at the edge": "method = 'momentum', step_size = 0.5",
    "batches": "batch = 7, step_size = 0.3",
    "adam": "method = 'adam', step_size = { absolute = 0.02 }",
}


@pytest.mark.slow
@other_kernels
@pytest.mark.parametrize("way", WAYS)
def test_training_with_settings_is_sound_on_another_platform_and_wrong_values_are_found(
    widthlaw, monkeypatch, tmp_path, make_sweep, way
) -> None:
    descent = f"{{ steps = 400, tolerances = [1e-2, 1e-4], {WAYS[way]} }}"
    path = tmp_path / "a.zarr"
    pipeline.run(make_sweep(**(CHAOTIC | {"descent": descent})), path)
    result, rows = sampled_elsewhere(widthlaw, monkeypatch, path)
    assert result.returncode == 0, result.stdout
    assert {kind for kind, _ in rows} <= {"chaotic"}
    monkeypatch.undo()
    alter(path, "ntk_max", 2, lambda value: value * 1.001)
    alter(path, "distance", 1, lambda value: value * 3)
    result, rows = sampled_elsewhere(widthlaw, monkeypatch, path)
    assert result.returncode == 1
    assert {name for kind, name in rows if kind == "sample"} >= {"ntk_max", "distance"}
