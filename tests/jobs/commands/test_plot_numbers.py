"""`widthlaw plot --data`: the numbers in the file are those of the artists in the picture."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure

import pipeline
from jobs.cli import main

STORES = {
    "conditioning": {
        "d": "[4, 8]",
        "n": "[8, 12, 16]",
        "width": "{ k_per_n = { start = 1.1, stop = 8.0, num = 10 } }",
        "seeds": 20,
    },
    "output": {
        "experiment": "'output'",
        "d": "[4]",
        "n": "[12]",
        "seeds": 6,
        "descent": "{ steps = 400, tolerances = [0.5, 0.1] }",
        "width": "{ k_per_n = { start = 0.4, stop = 5.0, num = 8 } }",
    },
}


@pytest.fixture(scope="module")
def shown(tmp_path_factory, make_sweep):
    """Plot a kind by its command, and return the figure that was saved and the table of its file."""
    folder = tmp_path_factory.mktemp("numbers")
    for name, keys in STORES.items():
        pipeline.run(make_sweep(**keys), folder / f"{name}.zarr")

    @cache
    def plotted(name: str, kind: str) -> tuple[Figure, pd.DataFrame]:
        saved: list[Figure] = []
        whole = Figure.savefig

        def noted(figure, *args, **options):
            saved.append(figure)
            return whole(figure, *args, **options)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Figure, "savefig", noted)
            words = ["plot", str(folder / f"{name}.zarr"), "--kind", kind]
            files = ["-o", str(folder / f"{kind}.png"), "--data", str(folder / f"{kind}.csv")]
            result = CliRunner().invoke(main, [*words, *files])
        assert result.exit_code == 0, result.output
        return saved[0], pd.read_csv(folder / f"{kind}.csv")

    return plotted


def points(axes: Axes) -> np.ndarray:
    """The finite points of the lines of a panel, from the artists themselves.

    Left out are lines across a panel, which have one coordinate, and the proxies of legends, which
    have no point.
    """
    across = (axes.get_yaxis_transform(which="grid"), axes.get_xaxis_transform(which="grid"))
    lines = [line for line in axes.lines if line.get_transform() not in across]
    caps = {id(cap) for bars in axes.containers for cap in bars.lines[1]}
    found = [np.asarray(line.get_xydata(), float) for line in lines if id(line) not in caps]
    whole = np.concatenate(found)
    return whole[np.isfinite(whole).all(axis=1)]


def in_order(values: np.ndarray) -> np.ndarray:
    return values[np.lexsort(values.T)]


@pytest.mark.parametrize(
    ("name", "kind"), [("output", "curves"), ("conditioning", "laws"), ("conditioning", "ratios")]
)
def test_every_point_of_every_line_is_in_the_file_and_no_other(shown, name, kind) -> None:
    figure, table = shown(name, kind)
    drawn = np.concatenate([points(axes) for axes in figure.axes])
    written = table.dropna(subset=["x", "y"])[["x", "y"]].to_numpy(float)
    assert len(written) >= 18
    # A thin line may join the points of a series; it has no points of its own.
    np.testing.assert_array_equal(np.unique(written, axis=0), np.unique(drawn, axis=0))


def test_every_point_of_a_collapse_is_in_the_file(shown) -> None:
    figure, table = shown("conditioning", "collapse")
    raw, master, width = figure.axes
    for axes, label in ((raw, "share of seeds that succeed"), (width, "w = log(")):
        rows = table[table.y_name.str.startswith(label) & (table.x_name == axes.get_xlabel())]
        np.testing.assert_array_equal(
            in_order(rows[["x", "y"]].to_numpy(float)), in_order(points(axes))
        )
    rows = table[table.x_name.str.contains("/ w", regex=False) & table.series.str.startswith("d = ")]
    dots = [line for line in master.lines if line.get_marker() == "o"]
    drawn = np.concatenate([np.asarray(line.get_xydata(), float) for line in dots])
    drawn = drawn[np.isfinite(drawn).all(axis=1)]
    np.testing.assert_array_equal(in_order(rows[["x", "y"]].to_numpy(float)), in_order(drawn))


@pytest.mark.parametrize("kind", ["laws", "phase"])
def test_the_ends_of_every_interval_are_in_the_file(shown, kind) -> None:
    figure, table = shown("conditioning", kind)
    segments = [
        np.asarray(path.vertices)[:, 1]
        for axes in figure.axes
        for bars in axes.containers
        for path in bars.lines[2][0].get_paths()
        if len(path.vertices)
    ]
    drawn = np.array([ends for ends in segments if np.isfinite(ends).all()])
    written = table.dropna(subset=["y_low", "y_high"])[["y_low", "y_high"]].to_numpy(float)
    assert len(drawn) >= 6
    np.testing.assert_array_equal(in_order(written), in_order(drawn))


def test_every_cell_of_a_phase_diagram_is_in_the_file(shown) -> None:
    figure, table = shown("conditioning", "phase")
    for axes in figure.axes[:2]:
        panel = table[(table.panel == axes.get_title(loc="left")) & table.value.notna()]
        meshes = [mesh for mesh in axes.collections if isinstance(mesh, QuadMesh)]
        names = [label.get_text() for label in axes.get_xticklabels()]
        assert names == ["8", "12", "16"]
        assert len(panel) == sum(mesh.get_array().size for mesh in meshes)
        for n, mesh in zip((8, 12, 16), meshes, strict=True):
            column = panel[panel.x == n]
            np.testing.assert_array_equal(column.value, np.ravel(mesh.get_array()))
            heights = mesh.get_coordinates()[:, 0, 1]
            assert ((heights[:-1] < column.y) & (column.y < heights[1:])).all()
