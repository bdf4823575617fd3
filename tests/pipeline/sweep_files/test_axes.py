"""The leading axes of a sweep follow from the table of axes."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from pipeline import axes
from pipeline.axes import Axis, Kind
from pipeline.errors import SweepError
from pipeline.experiments import conditioning
from pipeline.store.template import coordinates
from pipeline.sweep import NUMERICS_VERSION
from pipeline.sweep_files.load import load_sweep, parse_sweep

IDENTITIES = {
    "alpha-stress": "c202255b08b2626ba4953a6eb6462180b04aa3f5ad4ab472d1cdd934d3ed9da0",
    "budget": "d8f11f9a2d14a94209767ee395e5bf3434acf0554ba698eb58fb7eb267b77986",
    "depth": "f61c22144aad3575684f8479f5034c64b60b42c8bab92a141bcf5f78ef0aeb34",
    "figure1": "75b8eaae121a1007a0cfc62f7fb314e8d6373fa3d2a80e20e30b642be4a3bf9f",
    "generalisation": "b5f5d404ea2f6acd4aaba84bffb34bc839fd1af61332d8e0951e0c721b7e4c2c",
    "input-layer": "c4b70fe55a69f815ab06705034e868b73d65521b0ade594ddcc78458fd8e3b9e",
    "joint": "d646965d4b051a3045f92722221c6b016d4c21128def6d34f5588276db9ae82e",
    "linear-regression": "600cdb9d8cd300ef872c17e238b7c5f8e467bfac96c47b6de70bad78c3a6f676",
    "output-layer": "8a96f10e174a3228ac68ed8dbf898bdcc2b66bc22ec9657aeb689bbb2ae56b52",
    "spectrum-evolution": "974426f14a72c6f38d55c6393e98d6635eba0413a2290e634789235345d8f04c",
    "theorem1": "b32679582f99cee73ce173c5710425d0c421da63592479ad06b905057c353e4b",
    "theorem2-proof": "1f070d05ff10a84ba9202f3e4d486844ed89cd85da6b19595b9620ce0fb9cb5a",
    "theorem2": "31edb0739b561e05b85df5bb03d517e3af11fb249c2bcedfa3819f1c4aa26ad2",
    "tiny": "e78be370275deef815168d15ffc68f11698007ae813ac778ffeed21101851929",
}
"""Identities of the bundled sweeps in 0.4.0 (numerics 4), whose stores must still be resumed.

`depth` had three layers then, and stored no diagnostics: a store of it goes on with its own sweep.
"""


@pytest.mark.parametrize("name", IDENTITIES)
def test_with_the_numerics_of_older_stores_identities_are_those_that_exist(name: str) -> None:
    sweep = load_sweep(name)
    if name == "depth":
        text = sweep.text.replace("[1, 2, 3, 4]", "[1, 2, 3]").replace("diagnostics = true", "")
        sweep = parse_sweep(text)
    assert sweep.numerics_version == NUMERICS_VERSION == 6
    assert sweep.with_numerics_of({"numerics_version": 4}).identity == IDENTITIES[name]
    for unknown in (3, 6, 4.0, "4", None):
        assert sweep.with_numerics_of({"numerics_version": unknown}) == sweep


@pytest.fixture
def noise(monkeypatch) -> Iterator[None]:
    """Add a leading axis to the table, before d, and let an experiment take it."""
    axis = Axis("noise", "s", "noise on the labels", "1", Kind.MODEL, default=0.5)
    table = dict(axes.AXES)
    at = list(table).index("d")
    fill([*list(table.values())[:at], axis, *list(table.values())[at:]])
    takes = replace(conditioning.EXPERIMENT, options={"noise": ()})
    monkeypatch.setattr(conditioning, "EXPERIMENT", takes)
    yield
    fill(table.values())


def fill(table: Iterable[Axis]) -> None:
    entries = {axis.name: axis for axis in table}
    axes._BY_NAME.clear()
    axes._BY_NAME.update(entries)


@pytest.mark.usefixtures("noise")
def test_a_list_on_a_new_axis_is_a_dimension(make_sweep) -> None:
    sweep = make_sweep(noise="[0.0, 0.25]", d="[3]", n="[6]")
    assert sweep.axes == ("noise", "d", "n")
    assert sweep.shape[0] == 2
    dims, values, attributes = coordinates(sweep)["noise"]
    assert dims == ("noise",)
    assert np.array_equal(values, [0.0, 0.25])
    assert attributes == {"long_name": "noise on the labels", "units": "1"}
    assert [cell.noise for cell in sweep.cells()] == [0.0, 0.25]
    assert [cell.index for cell in sweep.cells()] == [(0, 0, 0), (1, 0, 0)]


@pytest.mark.usefixtures("noise")
def test_a_new_axis_is_part_of_the_identity(make_sweep) -> None:
    identities = {make_sweep(noise=value).identity for value in ("0.1", "0.2", "[0.1]", "[0.1, 0.2]")}
    assert len(identities) == 3  # a list of one value is that value
    assert make_sweep().identity_fields["noise"] == [0.5]


@pytest.mark.usefixtures("noise")
def test_a_single_value_on_a_new_axis_is_no_dimension(make_sweep) -> None:
    sweep = make_sweep(noise="0.25")
    assert sweep.axes == ("d", "n")
    assert {cell.noise for cell in sweep.cells()} == {0.25}


@pytest.mark.usefixtures("noise")
def test_values_on_a_new_axis_are_checked(make_sweep) -> None:
    for noise, key in (("'loud'", "noise"), ("[1, 1]", "noise"), ("[true]", "noise[0]")):
        with pytest.raises(SweepError) as refused:
            make_sweep(noise=noise)
        assert [problem.key for problem in refused.value.problems] == [key]
    with pytest.raises(SweepError, match="noise: spectrum does not take this key"):
        make_sweep(noise="1", experiment="'spectrum'")


def test_without_its_axis_a_key_is_unknown(make_sweep) -> None:
    with pytest.raises(SweepError, match="noise: unknown key"):
        make_sweep(noise="1")
    with pytest.raises(AttributeError, match="no attribute 'noise'"):
        _ = make_sweep().noise


def test_a_cell_knows_its_value_on_every_leading_axis() -> None:
    cells = list(load_sweep("theorem1").cells())
    assert {(cell.trained, cell.depth) for cell in cells} == {
        (trained, depth) for trained in ("output", "input", "both") for depth in (1, 2)
    }
    cell = next(load_sweep("figure1").cells())
    assert (cell.trained, cell.depth, cell.angle) == ("input", 1, None)
    assert cell["n"] == cell.n == 100
    with pytest.raises(AttributeError, match="no attribute 'breadth'"):
        _ = cell.breadth


def test_sweeps_and_cells_travel_to_workers_and_are_hashable() -> None:
    sweep = load_sweep("depth")
    there = pickle.loads(pickle.dumps(sweep))
    assert there == sweep
    assert list(there.cells()) == list(sweep.cells())
    assert len({*there.cells(), *sweep.cells()}) == 4
    assert (there.trained, there.depth) == (("both",), (1, 2, 3, 4))
