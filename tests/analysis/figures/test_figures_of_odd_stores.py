"""Every figure is drawn of stores that hold little: half done, one seed, no step, alpha = 0."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

import pipeline
from analysis import load_store
from analysis.figures import FIGURES, kinds_for
from analysis.figures.looks.style import OPEN
from analysis.figures.looks.typography import plain
from analysis.figures.own.data import own_data_figure
from analysis.report.drawing import svg_of
from analysis.signs import signs
from analysis.study import Study
from analysis.success.budgets import budget_grid
from pipeline import store
from pipeline.execution.compute import compute_block
from pipeline.sweep import Sweep
from pipeline.sweep_files.load import parse_sweep
from pipeline.trial_status import Status

DESCENT = "{ steps = 40, tolerances = [0.5] }"
NO_STEP = "{ steps = 0, tolerances = [0.5] }"
DIVERGENT = "{ steps = 40, tolerances = [0.5], step_size = 30.0 }"
BASE = {
    "name": "'odd'",
    "entropy": "7",
    "dataset": "{ kind = 'sphere' }",
    "d": "[3]",
    "n": "[6, 9]",
    "seeds": "2",
}
SWEEPS = {
    "conditioning": {"width": "{ k_per_n = [1.1, 2.0, 4.0] }"},
    "spectrum": {"width": "{ k_per_n = [1.5, 3.0] }"},
    "linear": {"activation": "'linear'", "dataset": "{ kind = 'gaussian' }", "d": "[10]"},
    "output": {"width": "{ k_per_n = [0.5, 1.0, 3.0] }"},
    "input": {"width": "{ kd_per_n = [0.7, 2.0, 8.0] }"},
    "joint": {"trained": "['output', 'both']", "width": "{ k = [2, 8, 24] }"},
    "deep": {"trained": "'both'", "depth": "[1, 2]", "width": "{ k = [4, 8, 24] }"},
    "generalisation": {"width": "{ k_per_n = [0.5] }"},
    "theorem1": {
        "trained": "['output', 'input']",
        "width": "{ k = [4, 20] }",
        "descent": "{ steps = 40, tolerances = [1e-6], multiples = [1, 1e6] }",
    },
    "tangent": {"trained": "['output', 'both']", "width": "{ kd_per_n = [0.7, 2.0, 24.0] }"},
    "theorem2-proof": {"width": "{ k_per_n = [1.1, 3.0, 9.0] }"},
}
DESCENDING = ("linear", "output", "input", "joint", "deep", "generalisation")
SINGULAR = {"dataset": "{ kind = 'circle' }", "activation": "'tanh'", "d": "[2]", "n": "[6, 8]"}
"""Opposite rows and an odd activation: alpha is 0."""


def sweep_of(experiment: str, **keys: str) -> Sweep:
    descent = {"descent": DESCENT} if experiment in DESCENDING else {}
    given = BASE | {"experiment": f"'{experiment}'"} | descent | SWEEPS[experiment] | keys
    return parse_sweep("\n".join(f"{key} = {value}" for key, value in given.items()), folder=None)


@pytest.fixture(scope="module")
def study_of(tmp_path_factory) -> Callable[..., Study]:
    """The store of a sweep, which is run once: no test changes it."""

    @cache
    def made(experiment: str, **keys: str) -> Study:
        path = tmp_path_factory.mktemp(experiment) / "odd.zarr"
        pipeline.run(sweep_of(experiment, **keys), path)
        return Study(load_store(path))

    return made


def half_done(path: Path, experiment: str) -> Study:
    """A store whose run was stopped halfway through its blocks."""
    sweep = sweep_of(experiment)
    store.create(path / "half.zarr", sweep, seeds_per_chunk=1)
    waiting = list(store.Store(path / "half.zarr", sweep).pending_tiles())
    for tile in islice(waiting, len(waiting) // 2 or 1):
        store.Store(path / "half.zarr", sweep).write(tile, [compute_block(sweep, tile.first)])
    return Study(load_store(path / "half.zarr"))


def failed(ds: xr.Dataset, gone: xr.DataArray) -> Study:
    """Return the store as if trials had raised: a status, and no values."""
    lost = {
        name: variable.where(~(gone if "width" in variable.dims else gone.all("width")))
        for name, variable in ds.data_vars.items()
        if variable.dtype.kind == "f" and "seed" in variable.dims
    }
    status = ds.status.where(~gone, Status.FAILED).astype(ds.status.dtype)
    kept = {name: variable.transpose(*ds[name].dims) for name, variable in lost.items()}
    return Study(ds.assign(kept | {"status": status.transpose(*ds.status.dims)}))


def drawn(study: Study, *kinds: str) -> dict[str, Figure]:
    """Figures that suit a store, all or some, drawn without their layout, and warnings raised."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figures = {kind: FIGURES[kind].draw(study) for kind in kinds or kinds_for(study.ds)}
        for figure in figures.values():
            figure.set_layout_engine("none")
            figure.draw_without_rendering()
    return figures


def one_drawn(study: Study, kind: str) -> Figure:
    return drawn(study, kind)[kind]


def texts(figure: Figure) -> set[str]:
    return {text.get_text() for axes in figure.axes for text in axes.texts}


def is_blank(figure: Figure) -> bool:
    """Return True if there is neither a line with a point nor a text."""
    lines = [line for axes in figure.axes for line in axes.lines if len(line.get_ydata())]
    return not lines and not texts(figure)


@pytest.mark.parametrize("experiment", SWEEPS)
def test_every_figure_of_a_half_done_store_is_drawn(tmp_path, experiment) -> None:
    study = half_done(tmp_path, experiment)
    assert (study.ds.status == Status.PENDING).any()
    assert (study.ds.status == Status.DONE).any()
    assert not any(map(is_blank, drawn(study).values()))


@pytest.mark.parametrize("experiment", SWEEPS)
def test_every_figure_is_drawn_where_trials_failed(study_of, experiment) -> None:
    ds = study_of(experiment).ds
    first = xr.zeros_like(ds.status, dtype=bool) | (ds.seed == 0)
    assert not any(map(is_blank, drawn(failed(ds, first)).values()))
    every = xr.ones_like(ds.status, dtype=bool)
    assert not any(map(is_blank, drawn(failed(ds, every)).values()))


@pytest.mark.parametrize("experiment", SWEEPS)
def test_every_figure_of_one_seed_one_n_and_one_width_is_drawn(study_of, experiment) -> None:
    one = {"seeds": "1", "n": "[6]"}
    if experiment != "linear":
        one["width"] = "{ k = [12] }"
    study = study_of(experiment, **one)
    assert not any(map(is_blank, drawn(study).values()))


def test_the_curves_of_one_seed_are_drawn(study_of) -> None:
    figure = one_drawn(study_of("output", seeds="1"), "curves")
    assert any(len(line.get_ydata()) > 2 for axes in figure.axes for line in axes.lines)


@pytest.mark.parametrize("experiment", DESCENDING)
def test_every_figure_is_drawn_of_a_budget_of_no_step(study_of, experiment) -> None:
    study = study_of(experiment, descent=NO_STEP)
    assert budget_grid(study.ds) == [0]
    figures = drawn(study)
    assert not any(map(is_blank, figures.values()))
    if "budget" in figures:
        assert texts(figures["budget"]) == {"the budget is 0: no step was taken"}


@pytest.mark.parametrize("experiment", ["linear", "deep"])
def test_every_figure_is_drawn_of_trials_that_diverge(study_of, experiment) -> None:
    study = study_of(experiment, descent=DIVERGENT)
    assert (study.ds.status == Status.DIVERGED).any()
    assert not any(map(is_blank, drawn(study).values()))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("experiment", "words"),
    [
        ("spectrum", set()),
        ("deep", {"α = 0"}),
        ("theorem2-proof", {"α = 0", "α = 0: no width suffices"}),
    ],
)
def test_an_alpha_of_0_is_shown_as_text(study_of, experiment, words) -> None:
    study = study_of(experiment, **SINGULAR)
    figures = drawn(study)
    assert words <= set().union(*map(texts, figures.values()))


def test_figure_1_of_an_alpha_of_0_has_no_predicted_end(study_of) -> None:
    figure = one_drawn(study_of("spectrum", **SINGULAR, width="[12]"), "spectrum")
    bars = [line for line in figure.axes[0].lines if len(line.get_ydata()) == 1]
    assert len(bars) == 2
    assert all(np.isnan(bar.get_ydata()).all() for bar in bars)


# ---- intervals without an end, and cells without a trial


def with_ends(study: Study, **ends: float) -> Study:
    """The study with these ends for the interval of every located cell."""
    widths = study.widths
    at = widths.outcome.isin(["fitted", "separated"])
    assert at.any()
    moved = {name: widths[name].where(~at, value) for name, value in ends.items()}
    changed = Study(study.ds)  # its widths are those that it holds already
    changed.__dict__["widths"] = widths.assign(moved)
    return changed


RISING = {"width": "{ k_per_n = { start = 1.1, stop = 30.0, num = 10 } }", "seeds": "12"}


@pytest.mark.parametrize("kind", ["laws", "ratios", "phase"])
def test_an_open_interval_is_a_hollow_marker_without_a_bar(study_of, kind) -> None:
    closed = with_ends(study_of("conditioning", **RISING), k50_low=6.0, k50_high=300.0)
    assert OPEN not in names_of(one_drawn(closed, kind))
    for ends in ({"k50_high": np.inf}, {"k50_low": 0.0}):
        figure = one_drawn(with_ends(closed, **ends), kind)
        assert OPEN in names_of(figure)
        for axes in figure.axes:
            bars = [bar for bars in axes.containers for bar in bars.lines[2][0].get_segments()]
            assert not any(len(bar) for bar in bars)
            assert np.isfinite(axes.get_ylim()).all()


def names_of(figure: Figure) -> list[str]:
    legends = [*figure.legends, *filter(None, (axes.get_legend() for axes in figure.axes))]
    return [text.get_text() for legend in legends for text in legend.get_texts()]


def test_ratios_of_no_located_cell_are_a_sentence_without_axes(study_of) -> None:
    study = study_of("conditioning", width="{ k_per_n = [50.0, 60.0, 70.0] }")
    figure = one_drawn(study, "ratios")
    assert texts(figure) == {"no critical width to draw: cells (2 censored)"}
    assert not any(axes.axison for axes in figure.axes)


def test_the_map_says_where_no_trial_was_and_where_alpha_is_0(study_of) -> None:
    ds = study_of("conditioning", **RISING).ds
    assert not any("no trial" in name for name in names_of(one_drawn(Study(ds), "phase")))
    few = ds.status.where(ds.width > ds.width[2], Status.EXCLUDED).transpose(*ds.status.dims)
    figure = one_drawn(Study(ds.assign(status=few.astype("int8"))), "phase")
    assert any(name.startswith("no trial") for name in names_of(figure))
    mixed = {"dataset": "{ kind = 'circle' }", "n": "[7, 8]", "d": "[2]"}
    figure = one_drawn(study_of("conditioning", **RISING | mixed), "phase")
    assert "α = 0" in names_of(figure)
    ticks = [text.get_text() for text in figure.axes[0].get_xticklabels()]
    assert ticks == ["7", "8"]


@pytest.mark.parametrize(
    ("times", "enough", "words"),
    [
        (2.5, "10", "2.5"),
        (83210, "330,000", "83,000"),
        (5.1e6, "20 million", "5.1 million"),
        (1.37e9, "5.5 × 10^9", "1.4 × 10^9"),
    ],
)
def test_a_sufficient_width_is_rounded_in_the_title(study_of, times, enough, words) -> None:
    one = {"n": "[9]", "width": RISING["width"], "seeds": "12"}
    study = with_ends(study_of("conditioning", **one), k50=4.0)
    (axes,) = own_data_figure(study, 4.0 * times).axes
    title = plain(axes.get_title(loc="left"))
    assert title == f"k* = 4; Theorem 2 shows {enough} units to be enough, {words} times k*"


def test_a_caption_speaks_of_what_the_store_has(study_of) -> None:
    captions = {}
    for experiment in ("output", "input", "conditioning"):
        study = study_of(experiment)
        captions[experiment] = {kind: FIGURES[kind].caption(study) for kind in kinds_for(study.ds)}
    assert "dashes" in captions["output"]["curves"]
    assert "dashes" not in captions["input"]["curves"]
    assert "lower panel" in captions["conditioning"]["laws"]
    assert "lower panel" not in captions["output"]["laws"]


def test_a_rule_counts_its_steps_in_thousands() -> None:
    assert signs("loss <= 1e-06 (1000000 steps)") == "loss ≤ 1e-06 (1,000,000 steps)"
    assert signs("0.123456 alpha, 999 steps") == "0.123456 α, 999 steps"


# ---- spectra of what is done


def test_the_evolution_is_the_median_of_the_seeds_that_are_done(study_of) -> None:
    ds = study_of("spectrum").ds
    study = failed(ds, xr.zeros_like(ds.status, dtype=bool) | (ds.seed == 0))
    figure = one_drawn(study, "evolution")
    heights = {plain(str(line.get_label())): line.get_ydata() for line in figure.axes[0].lines}
    left = (ds.sigma_max / np.sqrt(ds.k)).isel(seed=1, d=0, width=1)
    np.testing.assert_allclose(heights["σ_max"], left, rtol=1e-12)


def test_a_cut_of_the_evolution_without_a_trial_says_so(study_of) -> None:
    ds = study_of("spectrum").ds
    last = xr.zeros_like(ds.status, dtype=bool) | (ds.width == ds.width[-1])
    along_n, along_width, along_d = one_drawn(failed(ds, last), "evolution").axes
    for axes in (along_n, along_d):
        assert [text.get_text() for text in axes.texts] == ["no trial is done yet"]
    assert along_width.lines


def test_figure_1_draws_the_first_seed_that_is_done(study_of) -> None:
    ds = study_of("spectrum", width="[12]").ds
    study = failed(ds, xr.zeros_like(ds.status, dtype=bool) | (ds.seed == 0))
    figure = one_drawn(study, "spectrum")
    heights = {line.get_label(): line.get_ydata() for line in figure.axes[0].lines}
    values = ds.singular_values.isel(seed=1, d=0, n=1, width=0)
    np.testing.assert_array_equal(heights["n = 9"], values)


# ---- generalisation


def test_the_gaps_of_many_series_keep_their_legend_and_count_what_is_left_out(study_of) -> None:
    many = {"d": "[2, 3, 4, 5]", "width": "{ k_per_n = [0.5, 1.0] }", "n": "[6, 8, 12]"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of a layout without room
        figure = FIGURES["generalisation"].draw(study_of("generalisation", **many))
        figure.draw_without_rendering()
    words = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    assert sum(text.startswith("d = ") for text in words) == 6
    assert "2 more series are not drawn" in figure.get_suptitle()
    (box,) = (legend.get_window_extent() for legend in figure.legends)
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.width
    assert all(axes.get_window_extent().height > box.height / 3 for axes in figure.axes)


@pytest.mark.parametrize(
    "keys", [{"d": "[1]"}, {"dataset": "[{ kind = 'sphere' }, { kind = 'gaussian' }]"}]
)
def test_the_gaps_of_one_dimension_and_of_two_datasets_are_drawn(study_of, keys) -> None:
    study = study_of("generalisation", **keys)
    assert not any(map(is_blank, drawn(study).values()))


@pytest.mark.slow
def test_names_from_elsewhere_are_no_formulas_and_have_no_control_characters(
    tmp_path, make_sweep
) -> None:
    pipeline.run(make_sweep(activation="['relu', 'abs']", d="[3]", seeds=4), tmp_path / "a.zarr")
    ds = load_store(tmp_path / "a.zarr").assign_coords(activation=["$x_{$\x1b[31m", "$\\frac{$b"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figures = [FIGURES[kind].draw(Study(ds)) for kind in kinds_for(ds)]
        for figure in figures:
            figure.set_layout_engine("none")
        pages = [svg_of(figure) for figure in figures]  # a broken formula raises
    assert not any("\x1b" in page for page in pages)
    assert any(r"\x1b[31m" in page for page in pages)
