"""Stores side by side: what they differ in is a column, and each is fitted as it is alone."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import pipeline
from analysis import compare, compare_laws, critical_widths, fit_laws, open_store, open_stores
from pipeline.errors import InputError, StoreError

KEYS = {"n": "[8, 12, 16]", "d": "[4]", "seeds": 8, "width": "{ k_per_n = [1.2, 1.5, 2.0, 3.0, 5.0] }"}
FEW = {"resamples": 40}
DESCENT = {"experiment": "'output'", "descent": "{ steps = 300, tolerances = [1e-1, 1e-2] }"}


@pytest.fixture(scope="module")
def paths(tmp_path_factory, make_sweep):
    """One activation each; two activations on an axis; one that descends."""
    folder = tmp_path_factory.mktemp("comparison")
    sweeps = {
        "relu": KEYS,
        "tanh": KEYS | {"activation": "'tanh'"},
        "both": KEYS | {"activation": "['relu', 'softplus']", "n": "[8, 12]"},
        "descent": KEYS | DESCENT,
    }
    for name, keys in sweeps.items():
        pipeline.run(make_sweep(**keys), folder / f"{name}.zarr")
    return {name: folder / f"{name}.zarr" for name in sweeps}


def test_activations_compare_whether_they_are_an_axis_or_not(paths) -> None:
    found = compare([paths["relu"], paths["tanh"], paths["both"]], **FEW)
    known = {name: critical_widths(open_store(paths[name]), **FEW) for name in ("relu", "tanh", "both")}
    assert list(found.columns[:4]) == ["store", "activation", "d", "n"]
    assert list(zip(found["store"], found["activation"], found["n"], strict=True)) == [
        *(("relu", "relu", n) for n in (8, 12, 16)),
        *(("tanh", "tanh", n) for n in (8, 12, 16)),
        *(("both", activation, n) for activation in ("relu", "softplus") for n in (8, 12)),
    ]
    for _, row in found.iterrows():
        widths = known[row["store"]].sel(n=row["n"], d=4)
        alone = widths.sel(activation=row["activation"]) if row["store"] == "both" else widths
        for name, value in alone.data_vars.items():
            assert row[name] == value.item() or np.isnan(value) == np.isnan(row[name])


def test_stores_of_different_experiments_say_what_success_was(paths) -> None:
    found = compare(paths, **FEW)
    first = ["store", "rule", "experiment", "activation", "d", "n", "tolerance"]
    assert list(found.columns[: len(first)]) == first
    assert set(found.loc[found["store"] == "descent", "tolerance"]) == {1e-1, 1e-2}
    assert found.loc[found["store"] == "relu", "tolerance"].isna().all()
    assert found.groupby("store")["rule"].nunique().tolist() == [1] * 4
    assert found["rule"].nunique() == 2


def test_a_constant_that_differs_is_a_column(tmp_path, make_sweep) -> None:
    for name, steps in (("short", 100), ("long", 300)):
        descent = f"{{ steps = {steps}, tolerances = [1e-1] }}"
        pipeline.run(make_sweep(**KEYS | DESCENT | {"descent": descent}), tmp_path / name)
    found = compare([tmp_path / "short", tmp_path / "long"], **FEW)
    assert found.groupby("store")["budget"].unique().map(list).to_dict() == {
        "short": [100],
        "long": [300],
    }
    assert "activation" not in found


def test_a_question_is_asked_of_all(paths) -> None:
    condition = "sigma_min / sqrt(k) >= 0.3 * alpha"
    found = compare([paths["relu"], paths["tanh"]], success=condition, **FEW)
    alone = [
        critical_widths(open_store(paths[n]), success=condition).k50.values for n in ("relu", "tanh")
    ]
    np.testing.assert_array_equal(found["k50"], np.concatenate([values.ravel() for values in alone]))


def test_laws_stand_in_one_table(paths) -> None:
    found = compare_laws([paths["relu"], paths["descent"], paths["both"]], **FEW)
    alone = fit_laws(critical_widths(open_store(paths["relu"]), **FEW))
    own = found[found["store"] == "relu"].dropna(axis="columns", how="all").reset_index(drop=True)
    assert len(own) == len(alone) > 5
    pd.testing.assert_series_equal(own["aicc"], alone["aicc"])
    assert "both" not in set(found["store"])  # of two widths for each activation there is no law


def test_a_tree_has_a_node_for_each_store(paths) -> None:
    tree = open_stores(list(paths.values()))
    assert isinstance(tree, xr.DataTree)
    assert list(tree.children) == list(paths)
    for name, path in paths.items():
        assert tree[name].to_dataset().identical(open_store(path))
    two = ["tanh", "descent"]
    part = xr.DataTree.from_dict({name: tree[name].to_dataset() for name in two})
    pd.testing.assert_frame_equal(compare(part, **FEW), compare([paths[name] for name in two], **FEW))


def test_names_differ_where_folders_are_called_the_same(paths, tmp_path) -> None:
    for folder in ("first", "second"):
        shutil.copytree(paths["relu"], tmp_path / folder / "relu.zarr")
    tree = open_stores([tmp_path / "first" / "relu.zarr", tmp_path / "second" / "relu.zarr"])
    assert list(tree.children) == ["first-relu", "second-relu"]
    named = open_stores({"a": paths["relu"], "b": paths["relu"]})
    assert list(named.children) == ["a", "b"]


def test_what_cannot_be_compared_is_refused_by_name(paths, tmp_path) -> None:
    with pytest.raises(StoreError, match=r"nothing\.zarr: not found"):
        open_stores([paths["relu"], tmp_path / "nothing.zarr"])
    with pytest.raises(InputError, match=r"relu\.zarr is given 2 times"):
        open_stores([paths["relu"], paths["relu"]])
    with pytest.raises(InputError, match="got none"):
        open_stores([])
    with pytest.raises(InputError, match="expected a list of paths"):
        open_stores(str(paths["relu"]))
    with pytest.raises(InputError, match="without '/'"):
        open_stores({"a/b": paths["relu"]})
    with pytest.raises(InputError, match="descent: threshold: "):
        compare([paths["relu"], paths["descent"]], threshold=0.3)
