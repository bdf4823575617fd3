"""The table of a figure has the numbers that it shows, and these are those of the store."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

import pipeline
from analysis import critical_widths, load_store, success_counts
from analysis.experiments.theorem1 import applies
from analysis.figures import FIGURES, data_of
from analysis.figures.looks.data import COLUMNS
from analysis.study import Study

from ..stand import EVERY

STORES = {
    "conditioning": {
        "d": "[4, 8]",
        "n": "[8, 12, 16]",
        "width": "{ k_per_n = { start = 1.1, stop = 8.0, num = 10 } }",
        "seeds": 20,
    },
    "spectrum": {"experiment": "'spectrum'", "d": "[3]", "n": "[10, 20]", "width": "[40]", "seeds": 2},
}
OF_STORES = [
    *(("conditioning", kind) for kind in ("phase", "laws", "ratios", "collapse")),
    *(("spectrum", kind) for kind in ("spectrum", "density")),
]


@pytest.fixture(scope="module")
def studies(tmp_path_factory, make_sweep, descents) -> dict[str, Study]:
    folder = tmp_path_factory.mktemp("data")
    for name, keys in STORES.items():
        pipeline.run(make_sweep(**keys), folder / f"{name}.zarr")
    return descents | {name: Study(load_store(folder / f"{name}.zarr")) for name in STORES}


@pytest.fixture(scope="module")
def figures(studies, drawn) -> dict[tuple[str, str], Figure]:
    return drawn | {(name, kind): FIGURES[kind].draw(studies[name]) for name, kind in OF_STORES}


@pytest.mark.parametrize(("name", "kind"), [*EVERY, *OF_STORES])
def test_every_figure_has_a_table_of_named_series(figures, name, kind) -> None:
    table = data_of(figures[name, kind])
    assert len(table)
    assert list(table) == [column for column in COLUMNS if column in table]
    assert table.series.str.len().gt(0).all()
    assert not table.series.str.contains(r"[$\\]|^_").any()
    assert (table.x_name.str.len() > 0).all()
    assert (table.y_name.str.len() > 0).all()
    known = table.filter(["y", "y_low", "value", "x"]).notna().any(axis=1)
    assert known.all()


def test_the_table_of_the_laws_has_the_critical_widths_at_their_n(studies, figures) -> None:
    study = studies["conditioning"]
    table = data_of(figures["conditioning", "laws"])
    above = table[table.y_name == "critical width k*"]
    for d in study.ds.d.values:
        rows = above[above.series == f"measured, d = {d}"]
        cells = study.widths.sel(d=d)
        np.testing.assert_array_equal(rows.x, cells.n)
        np.testing.assert_array_equal(rows.y, cells.k50)
        np.testing.assert_allclose(rows.y_low, cells.k50_low, rtol=1e-12)
        np.testing.assert_allclose(rows.y_high, cells.k50_high, rtol=1e-12)
        predicted = above[above.series == f"predicted, d = {d}"]
        np.testing.assert_array_equal(predicted.y, cells.k_edge_finite)
    below = table[table.y_name == "measured / predicted − 1"]
    assert set(below.series) == {"measured, d = 4", "measured, d = 8"}
    assert set(below.panel) == set(above.panel)  # that of the panel whose abscissa it shares


def test_the_table_of_a_phase_diagram_has_the_share_at_every_n_and_k(studies, figures) -> None:
    ds = studies["conditioning"].ds
    counts = success_counts(ds)
    share = counts.successes / counts.trials
    table = data_of(figures["conditioning", "phase"])
    shares = table[table.series == "share"]
    assert len(shares) == share.size
    for d in ds.d.values:
        for n in ds.n.values:
            rows = shares[(shares.panel == f"d = {d}") & (shares.x == n)]
            np.testing.assert_array_equal(rows.y, ds.k.sel(n=n))
            np.testing.assert_array_equal(rows.value, share.sel(d=d, n=n))
    fitted = table[table.series.str.startswith("fitted")]
    np.testing.assert_array_equal(fitted.x, np.tile(ds.n, 2))
    np.testing.assert_array_equal(fitted.y, critical_widths(ds).k50.values.ravel())


def test_the_table_of_curves_has_every_step_of_the_seeds_that_are_drawn(studies, figures) -> None:
    ds = studies["output"].ds
    table = data_of(figures["output", "curves"])
    trial = ds.isel(d=0, n=0, width=0, seed=0)
    name = f"k/n = {float(ds.width[0]):.3g}, seed 0"
    rows = table[table.series == name].iloc[: ds.sizes["step"]]
    np.testing.assert_allclose(rows.y, trial.loss_curve, rtol=1e-12)
    tolerances = table[table.series == "tolerance"]
    np.testing.assert_array_equal(tolerances.y, ds.tolerance)
    assert tolerances.x.isna().all()


def test_the_table_of_the_certificate_has_multiples_and_networks_not_places(studies, figures) -> None:
    ds = studies["theorem1"].ds
    table = data_of(figures["theorem1", "certificate"])
    ratios = table[table.y_name.str.contains(r"\(4\)") & table.series.str.endswith(", proven")]
    assert len(ratios) == int(applies(ds).sum())
    assert set(ratios.x) <= set(ds.multiple.values)
    networks = table[table.y_name == "network"]
    assert set(networks.y) >= {"relu, L = 1, v trained", "softplus, L = 2, W trained"}
    assert (networks.x_low <= networks.x).all()


def test_the_table_of_a_band_has_its_two_sides(studies, figures) -> None:
    ds = studies["deep"].ds.squeeze()
    table = data_of(figures["deep", "depth"])
    wide = ds.k.values > 12
    ratio = (ds.sigma_min / np.sqrt(ds.k) / ds.kernel_alpha).sel(depth=2)
    band = table[table.series == "L = 2, range"]
    np.testing.assert_allclose(band.x, ds.k.values[wide] / 12, rtol=1e-12)
    np.testing.assert_allclose(band.y_low, ratio.min("seed").values[wide], rtol=1e-12)
    np.testing.assert_allclose(band.y_high, ratio.max("seed").values[wide], rtol=1e-12)


def test_the_table_of_a_histogram_has_its_bins(figures) -> None:
    table = data_of(figures["spectrum", "density"])
    bins = table[(table.series == "eigenvalues") & table.x_high.notna()]
    assert len(bins) == 2 * 24
    assert (bins.x_low < bins.x_high).all()
    area = (bins.y * np.log(bins.x_high / bins.x_low)).groupby(bins.panel).sum()
    assert ((area > 0.5) & (area <= 1 + 1e-9)).all()  # of all eigenvalues, or those of the bulk


def test_a_figure_that_is_a_sentence_has_an_empty_table(tmp_path, make_sweep) -> None:
    pipeline.run(make_sweep(width="{ k_per_n = [2.0, 3.0, 4.0] }", seeds=2), tmp_path / "a.zarr")
    figure = FIGURES["collapse"].draw(Study(load_store(tmp_path / "a.zarr")))
    assert figure.sentence.startswith("nothing to collapse: fewer than three success curves")
    assert data_of(figure).empty
    assert FIGURES["phase"].draw(Study(load_store(tmp_path / "a.zarr"))).sentence == ""
