"""Every kind of figure draws the values of the store and its critical widths, and labels them."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure

import pipeline
from analysis import collapse, critical_widths, load_store, success_counts
from analysis.figures import FIGURES, draw, kinds_for, save
from analysis.figures.looks.typography import plain
from analysis.figures.spectra.density import bulk_counts
from analysis.scaling.laws import LAWS, Law
from analysis.study import Study
from analysis.success import Success
from pipeline.errors import InputError
from pipeline.theory.marchenko_pastur import density, quantiles

CONDITIONING = {
    "d": "[4, 8]",
    "n": "[8, 12, 16, 24]",
    "width": "{ k_per_n = { start = 1.1, stop = 8.0, num = 10 } }",
    "seeds": 20,
}
STRESS = {
    "dataset": "[{ kind = 'circle' }, { kind = 'pairs', angle = [0.1, 0.5] }]",
    "d": "[3]",
    "n": "[7, 8, 12]",
    "width": "{ k_per_n = { start = 1.1, stop = 40.0, num = 8 } }",
    "seeds": 10,
}
STORES = {
    "conditioning": CONDITIONING,
    "stress": STRESS,
    "spectrum": {
        "experiment": "'spectrum'",
        "dataset": "[{ kind = 'sphere' }, { kind = 'gaussian' }]",
        "d": "[3]",
        "n": "[10, 20]",
        "width": "[40]",
        "seeds": 2,
    },
    "evolution": {
        "experiment": "'spectrum'",
        "d": "[3, 5, 8]",
        "n": "[10, 20, 30]",
        "width": "{ k_per_n = [1.5, 3.0, 6.0] }",
        "seeds": 3,
    },
    "censored": CONDITIONING | {"width": "{ k_per_n = [0.5, 0.9] }"},
    "one width": CONDITIONING | {"width": "{ k_per_n = [2.0] }"},
    "degenerate": STRESS | {"dataset": "{ kind = 'circle' }", "n": "[8, 12]"},
}
KINDS_OF_STORES = {
    "conditioning": ["phase", "laws", "ratios", "collapse"],
    "stress": ["phase", "laws", "ratios", "collapse", "stress"],
    "spectrum": ["spectrum", "density"],
    "evolution": ["evolution"],
    "censored": ["phase", "laws", "ratios"],
    "one width": ["phase", "laws", "ratios"],
    "degenerate": ["phase", "laws", "ratios", "collapse"],
}
EVERY = [(name, kind) for name, kinds in KINDS_OF_STORES.items() for kind in kinds]
FULL = [pair for pair in EVERY[:12] if pair != ("stress", "collapse")]  # too few curves each


@pytest.fixture(scope="session")
def studies(tmp_path_factory, make_sweep) -> dict[str, Study]:
    folder = tmp_path_factory.mktemp("figures")
    for name, keys in STORES.items():
        pipeline.run(make_sweep(**keys), folder / f"{name}.zarr")
    return {name: Study(load_store(folder / f"{name}.zarr")) for name in STORES}


@pytest.fixture(scope="session")
def figures(studies) -> dict[tuple[str, str], Figure]:
    return {(name, kind): FIGURES[kind].draw(studies[name]) for name, kind in EVERY}


def panels(figure: Figure) -> list[Axes]:
    """Axes that carry data: neither switched off nor a colour bar."""
    return [axes for axes in figure.axes if axes.axison and axes.get_label() != "<colorbar>"]


def bars(axes: Axes) -> list[ErrorbarContainer]:
    return [container for container in axes.containers if isinstance(container, ErrorbarContainer)]


def points(bar: ErrorbarContainer) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions of the markers that are drawn."""
    x, y = (np.asarray(values, dtype=float) for values in bar.lines[0].get_data())
    return x[np.isfinite(y)], y[np.isfinite(y)]


def ends(bar: ErrorbarContainer) -> np.ndarray:
    """Lower and upper ends of the intervals that are drawn, shape (points, 2)."""
    segments = np.array(bar.lines[2][0].get_segments())[:, :, 1]
    return segments[np.isfinite(segments).all(axis=1)]


def lines(axes: Axes, style: str) -> list[np.ndarray]:
    """Heights of the lines of one style that are not empty."""
    found = [line for line in axes.lines if line.get_linestyle() == style and len(line.get_ydata())]
    return [np.asarray(line.get_ydata(), dtype=float) for line in found]


# ---- every kind


@pytest.mark.parametrize("name", STORES)
def test_kinds_suit_the_store(studies, name) -> None:
    assert kinds_for(studies[name].ds) == KINDS_OF_STORES[name]


def test_every_kind_of_stores_without_descent_is_drawn_here() -> None:
    assert {kind for _, kind in FULL} <= set(FIGURES)


@pytest.mark.parametrize(("name", "kind"), EVERY)
def test_a_figure_is_written_as_svg(figures, tmp_path, name, kind) -> None:
    save(figures[name, kind], tmp_path / "a.svg")
    written = (tmp_path / "a.svg").read_bytes()
    assert written.startswith(b"<?xml")
    if (name, kind) in FULL:
        assert b"<text" in written  # text stays text


@pytest.mark.parametrize(("kind", "name"), {kind: name for name, kind in FULL}.items())
def test_every_kind_of_figure_is_written_as_png(figures, tmp_path, kind, name) -> None:
    save(figures[name, kind], tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_a_figure_that_is_drawn_again_has_the_same_bytes(studies, tmp_path) -> None:
    for name in ("a.svg", "b.svg"):
        save(FIGURES["phase"].draw(studies["conditioning"]), tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


@pytest.mark.parametrize(("name", "kind"), FULL)
def test_axes_are_labelled_and_the_first_of_a_row_for_the_row(figures, name, kind) -> None:
    drawn = panels(figures[name, kind])
    assert drawn
    for axes in drawn:
        assert axes.get_xlabel()
        spec = axes.get_subplotspec()
        first = next(
            other
            for other in drawn
            if other.get_subplotspec().rowspan == spec.rowspan
            and other.get_subplotspec().colspan.start == 0
        )
        assert axes.get_ylabel() or first.get_ylabel()


@pytest.mark.parametrize(("name", "kind"), FULL)
def test_a_figure_has_a_legend_or_a_colour_bar(figures, name, kind) -> None:
    figure = figures[name, kind]
    legends = [*figure.legends, *(axes.get_legend() for axes in panels(figure))]
    words = [text.get_text() for legend in legends if legend for text in legend.get_texts()]
    assert words
    assert all(words)


@pytest.mark.parametrize("name", ["censored", "degenerate", "one width"])
def test_cells_without_a_critical_width_have_no_marker(studies, figures, name) -> None:
    assert set(studies[name].widths.outcome.values.ravel()) <= {"censored", "degenerate", "unordered"}
    for kind in KINDS_OF_STORES[name]:
        for axes in panels(figures[name, kind]):
            assert all(not points(bar)[1].size for bar in bars(axes))


# ---- the transition


def test_critical_widths_of_the_figures_are_those_of_the_analysis(studies) -> None:
    study = studies["conditioning"]
    assert study.widths.equals(critical_widths(study.ds))
    strict = Study(study.ds, Success(0.7)).widths
    assert strict.equals(critical_widths(study.ds, 0.7))
    assert (strict.k_edge > study.widths.k_edge).all()


def test_the_phase_diagram_has_the_fitted_and_the_predicted_width_of_every_n(studies, figures) -> None:
    widths = critical_widths(studies["conditioning"].ds)
    drawn = panels(figures["conditioning", "phase"])
    assert [axes.get_title(loc="left") for axes in drawn] == ["d = 4", "d = 8"]
    for axes, d in zip(drawn, widths.d.values, strict=True):
        cells = widths.sel(d=d)
        (bar,) = bars(axes)
        np.testing.assert_array_equal(points(bar)[0], np.arange(4))
        np.testing.assert_array_equal(points(bar)[1], cells.k50)
        interval = np.stack([cells.k50_low, cells.k50_high], axis=1)
        np.testing.assert_allclose(ends(bar), interval, rtol=1e-12)
        for heights in lines(axes, "--"):
            np.testing.assert_array_equal(heights, cells.k_edge_finite)
        assert [label.get_text() for label in axes.get_xticklabels()] == ["8", "12", "16", "24"]


def test_the_phase_diagram_shades_the_share_of_successes_around_each_width(studies, figures) -> None:
    ds = studies["conditioning"].ds
    counts = success_counts(ds)
    share = counts.successes / counts.trials
    for axes, d in zip(panels(figures["conditioning", "phase"]), ds.d.values, strict=True):
        assert len(axes.collections) >= ds.sizes["n"]
        meshes = [mesh for mesh in axes.collections if mesh.get_array() is not None]
        for mesh, n in zip(meshes, ds.n.values, strict=True):
            np.testing.assert_array_equal(mesh.get_array().ravel(), share.sel(d=d, n=n))
            heights = mesh.get_coordinates()[:, 0, 1]
            k = ds.k.sel(n=n).values
            assert ((heights[:-1] < k) & (k < heights[1:])).all()


def test_laws_are_drawn_through_the_measured_widths(studies, figures) -> None:
    widths = critical_widths(studies["conditioning"].ds)
    axes, below = panels(figures["conditioning", "laws"])
    for bar, d in zip(bars(below), widths.d.values, strict=True):
        cells = widths.sel(d=d)
        miss = (cells[["k50", "k50_low", "k50_high"]] / cells.k_edge_finite - 1).to_array().values
        np.testing.assert_allclose(points(bar)[1], miss[0], rtol=1e-12)
        np.testing.assert_allclose(ends(bar).T, miss[1:], atol=1e-12)
    for bar, dashed, d in zip(bars(axes), lines(axes, "--"), widths.d.values, strict=True):
        cells = widths.sel(d=d)
        assert bar.get_label() == f"measured, d = {d}"
        np.testing.assert_array_equal(points(bar)[0], cells.n)
        np.testing.assert_array_equal(points(bar)[1], cells.k50)
        np.testing.assert_allclose(ends(bar)[:, 0], cells.k50_low, rtol=1e-12)
        np.testing.assert_allclose(ends(bar)[:, 1], cells.k50_high, rtol=1e-12)
        np.testing.assert_array_equal(dashed, cells.k_edge_finite)


def test_a_law_is_drawn_because_it_is_registered(studies, monkeypatch) -> None:
    law = Law("C n^1.5", lambda table: 1.5 * np.log(table["n"].to_numpy(float)))
    monkeypatch.setitem(LAWS, "n^1.5", law)
    axes, _ = panels(FIGURES["laws"].draw(Study(studies["conditioning"].ds)))
    assert any(" $n^{1.5}$ " in line.get_label() for line in axes.lines)
    monkeypatch.setitem(LAWS, "n^1.5", replace(law, shown=False))
    axes, _ = panels(FIGURES["laws"].draw(Study(studies["conditioning"].ds)))
    assert not any("1.5}" in line.get_label() for line in axes.lines)


def test_the_collapse_has_every_curve_twice_and_the_fitted_exponent(studies, figures) -> None:
    found = collapse(studies["conditioning"].ds)
    raw, master, widths = panels(figures["conditioning", "collapse"])
    curves = [line.get_xydata() for line in raw.lines if len(line.get_ydata())]
    scaled = [line.get_xydata() for line in master.lines if line.get_linestyle() == "None"]
    assert len(curves) == len(scaled) == found.sizes["cell"]
    for curve, points_, index in zip(
        curves, scaled, np.argsort(found.n.values, kind="stable"), strict=True
    ):
        cell = found.isel(cell=index)
        np.testing.assert_array_equal(points_[:, 1], cell.share)
        x = (np.log(curve[:, 0]) - cell.log_k50.item()) / np.exp(cell.log_w.item())
        np.testing.assert_allclose(x, cell.x, atol=1e-9)
    assert f"b = {float(found.exponent):.2f}".replace("-", "−") in widths.get_title(loc="left")
    assert f"{float(found.chi2):.2f}" in master.get_title(loc="left")


def test_ratios_are_those_of_the_critical_width(studies, figures) -> None:
    widths = critical_widths(studies["conditioning"].ds)
    n, alpha = widths.n.values, widths.alpha.values
    truth = {
        "k* / n": widths.k50.values / n,
        "k* / (n log n)": widths.k50.values / (n * np.log(n)),
        "k* α^2 / (n log n)": widths.k50.values * alpha**2 / (n * np.log(n)),
    }
    for axes in panels(figures["conditioning", "ratios"]):
        heights = [points(bar)[1] for bar in bars(axes)]
        np.testing.assert_allclose(heights, truth.pop(plain(axes.get_ylabel())), rtol=1e-12)
    assert not truth


def test_more_cells_than_colours_differ_in_their_lines_and_the_legend_shows_them(
    make_sweep, tmp_path
) -> None:
    keys = CONDITIONING | {"d": "[3, 4, 5, 6, 7, 8, 9, 10]", "n": "[8, 16]", "seeds": 5}
    pipeline.run(make_sweep(**keys), tmp_path / "many.zarr")
    figure = FIGURES["ratios"].draw(Study(load_store(tmp_path / "many.zarr")))
    for axes in panels(figure):
        shown = [
            line for line in axes.lines if len(line.get_xdata()) == 2 and line.get_marker() == "None"
        ]
        joined = [line for line in shown if line.get_linestyle() != "None"]
        assert len({(line.get_color(), line.get_linestyle()) for line in joined}) == 8
    (legend,) = figure.legends
    handles = legend.legend_handles[:8]
    assert len({(handle.get_color(), handle.get_linestyle()) for handle in handles}) == 8


def test_the_stress_figure_sets_the_measured_beside_the_predicted_width(studies, figures) -> None:
    widths = critical_widths(studies["stress"].ds).squeeze("d")
    fall, against = panels(figures["stress", "stress"])
    for name, bar, dots in zip(widths.dataset.values, bars(against), fall.lines, strict=True):
        cells = widths.sel(dataset=name)
        measured, predicted, alphas = [], [], []
        for angle, n in itertools.product(cells.angle.values, cells.n.values):
            cell = cells.sel(angle=angle, n=n)
            if cell.outcome == "fitted":
                measured.append(float(cell.k50) / n)
                predicted.append(float(cell.k_edge_finite) / n)
            if cell.alpha > 0:
                alphas.append((angle if name == "pairs" else 2 * np.pi / n, float(cell.alpha)))
        np.testing.assert_allclose(points(bar), [predicted, measured], rtol=1e-12)
        np.testing.assert_allclose(dots.get_xydata(), alphas, rtol=1e-12)


def test_the_stress_figure_counts_the_cells_without_a_critical_width(studies, figures) -> None:
    outcomes = critical_widths(studies["stress"].ds).sel(dataset="circle").outcome.values
    missing = int((outcomes == "degenerate").sum())
    _, against = panels(figures["stress", "stress"])
    assert missing == 2  # the even circles of eight and twelve points
    assert f"circle ({missing} degenerate)" in {bar.get_label() for bar in bars(against)}


# ---- spectra


def test_figure_1_has_the_singular_values_and_the_predicted_end(studies, figures) -> None:
    ds = studies["spectrum"].ds
    above, below = (
        panels(figures["spectrum", "spectrum"])[:2],
        panels(figures["spectrum", "spectrum"])[2:],
    )
    for axes, under, name in zip(above, below, ("sphere", "gaussian"), strict=True):
        misses = [line.get_ydata() for line in under.lines if len(line.get_ydata()) > 2]
        assert axes.get_title(loc="left").startswith(f"{name}: d = 3, k = 40")
        heights = {line.get_label(): line.get_ydata() for line in axes.lines if len(line.get_ydata())}
        bars = [line.get_ydata() for line in axes.lines if len(line.get_ydata()) == 1]
        for n, bar, miss in zip(ds.n.values, bars, misses, strict=True):
            cell = ds.sel(dataset=name, n=n, d=3).isel(width=0, seed=0)
            law = np.sqrt(40 * quantiles(cell.kernel_eigenvalues.values[:n], 40))[::-1]
            np.testing.assert_allclose(miss, cell.singular_values[:n] / law - 1, atol=1e-9)
            np.testing.assert_array_equal(heights[f"n = {n}"], cell.singular_values[:n])
            assert heights[f"n = {n}"][-1] == cell.sigma_min
            assert bar[0] == pytest.approx(float(np.sqrt(40 * cell.edge)), rel=1e-12)


def test_the_density_is_that_of_the_law_over_the_eigenvalues_that_were_counted(
    studies, figures
) -> None:
    ds = studies["spectrum"].ds
    drawn = panels(figures["spectrum", "density"])
    titles = [axes.get_title(loc="left") for axes in drawn if axes.get_title(loc="left")]
    assert titles == [
        f"{name}, d = 3, n = {n}, k = 40" for name in ("sphere", "gaussian") for n in (10, 20)
    ]
    for axes, n in zip(drawn[:2], (10, 20), strict=False):
        cell = ds.sel(dataset="sphere", n=n, d=3).isel(width=0)
        x, heights = axes.lines[-1].get_data()
        spectra = cell.kernel_eigenvalues.values[:, :n]
        law = np.mean([x * density(spectrum, 40, x) for spectrum in spectra], axis=0)
        np.testing.assert_allclose(heights, law, rtol=1e-9)
        found = bulk_counts(cell)
        assert int(found.counts.sum()) in (2 * n, 2 * (n - 4))  # all of them, or without 1 + d
        expected = found.expected.sum("bin")
        np.testing.assert_allclose(expected, found.counts.sum("bin"), atol=2)


def test_figures_are_drawn_of_an_opened_store_by_name(studies) -> None:
    ds = studies["conditioning"].ds
    figure = draw(ds, "laws", Success(0.7))
    heights = points(bars(panels(figure)[0])[0])[1]
    np.testing.assert_array_equal(heights, critical_widths(ds, 0.7).k50.sel(d=4))
    with pytest.raises(InputError, match="no figure 'spectrum' of a store of conditioning"):
        draw(ds, "spectrum")


def test_the_evolution_has_the_medians_along_each_axis(studies, figures) -> None:
    ds = studies["evolution"].ds
    ratio = (np.sqrt(1 / ds.k) * ds[["sigma_min", "sigma_max"]]).median("seed")
    edge = np.sqrt(ds.edge.median("seed"))
    middle = {"d": 5, "n": 20, "width": 3.0}
    drawn = panels(figures["evolution", "evolution"])
    for axes, dim in zip(drawn, ("n", "width", "d"), strict=True):
        here = {name: value for name, value in middle.items() if name != dim}
        heights = {plain(str(line.get_label())): line.get_ydata() for line in axes.lines}
        np.testing.assert_allclose(heights["σ_max"], ratio.sigma_max.sel(here), rtol=1e-12)
        np.testing.assert_allclose(heights["σ_min"], ratio.sigma_min.sel(here), rtol=1e-12)
        np.testing.assert_allclose(heights["√edge, predicted σ_min"], edge.sel(here), rtol=1e-12)
        np.testing.assert_array_equal(axes.lines[0].get_xdata(), ds[dim])


@pytest.mark.parametrize(
    ("name", "kind", "reason"),
    [
        (
            "one width",
            "collapse",
            "the store has one width; expected at least 3: `widthlaw extend --width` adds some",
        ),
        ("evolution", "spectrum", "has 3 widths; expected one: `--where 'width == 1.5'` takes one"),
        ("spectrum", "evolution", "the store has one width; expected several: `widthlaw extend"),
        ("conditioning", "stress", "no axis of angles; expected one: data of kind pairs or triples"),
    ],
)
def test_a_refused_kind_of_the_experiment_says_what_the_store_has(studies, name, kind, reason) -> None:
    with pytest.raises(InputError) as refused:
        draw(studies[name].ds, kind)
    assert reason in str(refused.value)
