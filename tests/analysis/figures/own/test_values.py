"""The figure of a user's own numbers: infinite and missing ones, shares, ordinates and abscissa."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

import pipeline
from analysis import load_store
from analysis.figures import data_of, kinds_for
from analysis.figures.looks.scales import plain_ticks
from analysis.figures.own.values import values_figure
from analysis.figures.register import on_request, picture_of
from analysis.study import Study
from analysis.transitions.scales import Along
from pipeline.errors import InputError

SWEEP = """
name = "odd"
experiment = "odd.py:numbers"
entropy = 1
n = [20]
width = { k = [4, 8, 16] }
seeds = 8
[parameters]
lam = [0.1, 1.0]
"""

CODE = """
import numpy as np
from pipeline import Trial, experiment, variable

@experiment(
    steps=variable("steps, inf if never"),
    cell=variable("infinite at one width"),
    missing=variable("missing at one width"),
    ok=variable("whether it worked"),
    decades=variable("loss"),
    tiny=variable("a small number"),
)
def numbers(trial: Trial):
    lam = trial.parameters["lam"]
    return {
        "steps": np.inf if trial.seed % 2 else 1.0,
        "cell": np.inf if trial.k == 8 else trial.k * lam,
        "missing": np.nan if trial.k == 8 else 1.0,
        "ok": trial.k > 4 and trial.seed < trial.k / 2,
        "decades": 10.0 ** -trial.k,
        "tiny": 1e-28 * (1 + trial.seed * lam),
    }
"""


@pytest.fixture(scope="module")
def ds(tmp_path_factory) -> xr.Dataset:
    folder: Path = tmp_path_factory.mktemp("own")
    (folder / "odd.toml").write_text(SWEEP)
    (folder / "odd.py").write_text(CODE)
    pipeline.run(folder / "odd.toml", folder / "odd.zarr")
    return load_store(folder / "odd.zarr")


@pytest.fixture(scope="module")
def figure(ds) -> Figure:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return values_figure(Study(ds))


def rows(figure: Figure, panel: str):
    table = data_of(figure)
    return table[table.panel.str.startswith(panel)]


def test_infinite_and_missing_values_are_drawn_without_a_warning(figure) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.canvas.draw()
    infinite = rows(figure, "infinite at one width, lam = 1")
    medians = infinite[infinite.series == "median over seeds"]
    assert medians.x.tolist() == [4, 16]
    assert medians.y.tolist() == [4, 16]
    heads = infinite[infinite.series == "infinite median"]
    assert (heads.x.tolist(), heads.y.tolist()) == ([8], [np.inf])


def test_quantiles_count_infinite_values_as_the_largest(figure) -> None:
    steps = rows(figure, "steps, inf if never, lam = 1")
    band = steps[steps.series == "10% to 90% of seeds"]
    assert band.y_low.tolist() == [1, 1, 1]
    assert band.y_high.tolist() == [np.inf] * 3
    assert steps[steps.series == "infinite median"].y.tolist() == [np.inf] * 3


def test_missing_values_leave_a_gap(figure) -> None:
    medians = rows(figure, "missing at one width, lam = 1")
    assert medians[medians.series == "median over seeds"].x.tolist() == [4, 16]


def test_finite_quantiles_are_those_of_numpy(ds, figure) -> None:
    band = rows(figure, "a small number, lam = 1").set_index("series").loc["10% to 90% of seeds"]
    expected = np.quantile(ds.tiny.sel(lam=1.0).values.reshape(3, 8), [0.1, 0.9], axis=1)
    assert band[["y_low", "y_high"]].to_numpy() == pytest.approx(expected.T, rel=1e-12)


def test_a_number_that_is_0_or_1_is_a_share_of_seeds(figure) -> None:
    share = rows(figure, "whether it worked")
    assert share.series.unique().tolist() == ["share of seeds"]
    assert share.y.tolist()[:3] == [0, 0.5, 1]
    assert share.y_name.unique().tolist() == ["share with ok"]


def panels(figure: Figure, name: str):
    return [axes for axes in figure.axes if axes.get_ylabel().startswith(name)]


def test_all_panels_of_a_number_have_the_same_ordinate(figure) -> None:
    first, second = panels(figure, "cell")
    assert first.get_ylim() == second.get_ylim()
    assert first.get_ylim()[0] < 0.4 < 16 < first.get_ylim()[1]


def test_values_over_more_than_three_decades_have_a_logarithmic_ordinate(figure) -> None:
    assert {axes.get_yscale() for axes in panels(figure, "decades")} == {"log"}
    assert {axes.get_yscale() for axes in panels(figure, "tiny")} == {"linear"}


def test_ticks_are_whole_numbers_and_no_factor_stands_over_the_title(figure) -> None:
    figure.canvas.draw()
    axes = panels(figure, "tiny")[0]
    assert axes.yaxis.get_offset_text().get_text() == ""
    labels = [text.get_text() for text in axes.get_yticklabels()]
    assert len(set(labels)) == len(labels)
    places = np.array([float(label.replace("\N{MINUS SIGN}", "-")) for label in labels])
    assert places == pytest.approx(axes.get_yticks(), rel=0.1, abs=1e-30)


@pytest.mark.parametrize(
    ("ends", "labels"),
    [
        ((0, 840), ["0", "200", "400", "600", "800"]),
        ((0.96, 1.05), ["0.96", "0.98", "1", "1.02", "1.04"]),
        ((1000.0001, 1000.0009), ["1000.0002", "1000.0004", "1000.0006", "1000.0008"]),
        ((-2e-9, 2e-9), ["\N{MINUS SIGN}2e\N{MINUS SIGN}09", "0", "2e\N{MINUS SIGN}09"]),
    ],
)
def test_labels_of_linear_ticks_tell_the_numbers(ends, labels) -> None:
    axes = Figure().subplots()
    axes.set_ylim(ends)
    plain_ticks(axes.yaxis)
    axes.figure.canvas.draw()
    assert set(labels) <= {text.get_text() for text in axes.get_yticklabels()}
    assert axes.yaxis.get_offset_text().get_text() == ""


def test_the_band_has_an_entry_in_the_legend(figure) -> None:
    (legend,) = figure.legends
    assert "10% to 90% of seeds" in [text.get_text() for text in legend.get_texts()]


def test_numbers_come_as_they_were_declared(figure) -> None:
    names = list(dict.fromkeys(axes.get_ylabel() for axes in figure.axes))
    assert [plain.replace("_", "") for plain in names] == [
        "steps", "cell", "missing", "share with ok", "decades", "tiny",
    ]  # fmt: skip


def test_the_abscissa_can_be_chosen(ds) -> None:
    study = Study(ds, along=Along("lam"))
    assert "values" in on_request(kinds_for(ds, study.success, study.along), ds)
    table = data_of(picture_of("values", study).draw(study))
    assert table.x_name.unique().tolist() == ["lam"]
    assert sorted(table.x.unique()) == [0.1, 1.0]


def test_an_abscissa_without_numbers_is_refused_by_name(ds) -> None:
    with pytest.raises(InputError, match="along: got 'word'"):
        values_figure(Study(ds, along=Along("word")))
