"""Critical widths of descent: success within a budget, on simulated steps whose truth is known."""

from __future__ import annotations

import csv
import io
import itertools
import json

import numpy as np
import pytest
import xarray as xr

import pipeline
from analysis import critical_widths, fit_laws, load_store, open_store, success_counts
from analysis.axes import PANEL
from analysis.figures.looks.style import MOST_PANELS, panels_of
from analysis.figures.widths.phase import phase_figure
from analysis.figures.widths.transition import laws_figure
from analysis.scaling import distinguishable
from analysis.study import Study
from analysis.success import Success
from jobs.commands.plot import draw_store
from pipeline.errors import InputError, ParameterError
from pipeline.trial_status import Status

BUDGET = 20_000
TOLERANCES = [1e-1, 1e-2, 1e-4]
BUDGETS = [1_000, 5_000, BUDGET]
POWER, SCALE = 2.0, 1500.0
PER_N = np.unique(np.geomspace(0.3, 12, 40).round(3))
N, D = np.array([200, 300, 400, 600]), np.array([4, 8, 16])


def critical(n: float, d: float, tolerance: float, budget: float) -> float:
    """The width that needs exactly the budget, of a seed in the middle."""
    return float(n / d * (SCALE * -np.log10(tolerance) / budget) ** (1 / POWER))


def simulated(seeds: int = 40, spread: float = 0.2, n=N, d=D, **attrs: object) -> xr.Dataset:
    """Steps fall with a power of k d/n and rise with log(1/tolerance); seeds differ by a factor."""
    rng = np.random.default_rng(0)
    seed = xr.DataArray(np.exp(spread * rng.logistic(size=seeds)), dims="seed")
    tolerance = xr.DataArray(TOLERANCES, dims="tolerance", coords={"tolerance": TOLERANCES})
    n_axis, d_axis = xr.DataArray(n, dims="n"), xr.DataArray(d, dims="d")
    k = np.rint(xr.DataArray(PER_N, dims="width") * n_axis / d_axis * 10).astype(int)
    steps = np.ceil(SCALE * -np.log10(tolerance) * (n_axis / d_axis * 10 / k) ** POWER * seed)
    steps = steps.transpose("d", "n", "width", "seed", "tolerance")
    ds = xr.Dataset({"steps_to_tolerance": steps.where(steps <= BUDGET, np.inf)})
    ds["status"] = xr.ones_like(steps.isel(tolerance=0, drop=True), dtype=np.int8)
    ds = ds.assign_coords(k=k.transpose("n", "d", "width"), n=n, d=d, seed=np.arange(seeds))
    fields = {"identity_fields": {"descent": {"steps": BUDGET}}}
    return ds.assign_attrs({"nested": 1, "experiment": "input", "name": "simulated"} | fields | attrs)


@pytest.fixture(scope="module")
def ds() -> xr.Dataset:
    return simulated()


@pytest.fixture(scope="module")
def widths(ds) -> xr.Dataset:
    return critical_widths(ds, budgets=BUDGETS, resamples=200)


# ---- the rule


def test_the_width_of_every_tolerance_and_budget_is_recovered() -> None:
    ds = simulated(seeds=2000, n=N[:1], d=D[:1])
    found = critical_widths(ds, budgets=BUDGETS, resamples=20).squeeze(["d", "n"])
    assert found.k50.dims == ("tolerance", "budget")
    located = 0
    for tolerance, budget in itertools.product(TOLERANCES, BUDGETS):
        cell = found.sel({"tolerance": tolerance, "budget": budget})
        truth = 10 * critical(N[0], D[0], tolerance, budget)
        k = ds.k.values.ravel()
        if k[2] < truth < k[-3]:
            located += 1
            assert cell.outcome == "fitted"
            assert float(cell.k50) == pytest.approx(truth, rel=0.03)
            assert float(cell.transition_width) == pytest.approx(9 ** (2 * 0.2 / POWER), rel=0.1)
    assert located >= 6


def test_a_success_is_a_step_at_or_below_the_budget(ds) -> None:
    counts = success_counts(ds, budgets=BUDGETS)
    steps = ds.steps_to_tolerance
    for budget in BUDGETS:
        right = (steps <= budget).sum("seed").transpose("d", "n", "tolerance", "width")
        np.testing.assert_array_equal(counts.successes.sel(budget=budget), right)
    assert (counts.trials == ds.sizes["seed"]).all()


@pytest.mark.parametrize("budget", [0, 1, 7])
def test_the_step_of_the_budget_itself_is_within_it(budget) -> None:
    ds = simulated(seeds=3, n=N[:1], d=D[:1])
    steps = xr.full_like(ds.steps_to_tolerance, 7.0)
    steps[{"seed": 0}] = 0.0
    counts = success_counts(ds.assign(steps_to_tolerance=steps), budgets=[budget])
    assert (counts.successes == (3 if budget == 7 else 1)).all()


def test_success_rises_with_the_budget_and_with_the_tolerance(ds, widths) -> None:
    successes = success_counts(ds, budgets=BUDGETS).successes
    assert (successes.diff("budget") >= 0).all()
    assert (successes.diff("tolerance") <= 0).all()  # tolerances fall along the axis
    both = widths.k50.where(widths.outcome == "fitted")
    assert not (both.diff("budget") > 0).any()
    assert not (both.diff("tolerance") < 0).any()
    assert both.notnull().sum() > both.size / 2


def test_without_budgets_the_whole_budget_of_the_store_is_meant(ds, widths) -> None:
    whole = critical_widths(ds, resamples=200)
    assert whole.k50.dims == ("d", "n", "tolerance")
    assert whole.drop_attrs().equals(widths.sel(budget=BUDGET, drop=True).drop_attrs())
    assert whole.attrs["budget"] == BUDGET
    assert whole.attrs["rule"] == "relative loss <= tolerance within budget (20000 steps)"


def test_a_threshold_of_conditioning_is_refused(ds) -> None:
    with pytest.raises(
        ParameterError, match=r"threshold: .* steps_to_tolerance .* remove it"
    ) as caught:
        critical_widths(ds, 0.5)
    assert caught.value.parameter == "threshold"
    with pytest.raises(ParameterError, match=r"threshold: .* success as given; remove it"):
        critical_widths(ds, 0.5, success=ds.status == 1)


def test_nothing_of_conditioning_is_said(widths) -> None:
    assert "threshold" not in widths.attrs
    assert not {"alpha", "k_edge", "k_edge_finite"} & set(widths)


def test_a_diverged_trial_failed_whatever_it_met_before(ds) -> None:
    status = ds.status.copy()
    status[{"seed": slice(0, 10)}] = Status.DIVERGED
    status[{"seed": slice(10, 20)}] = Status.FAILED
    counts = success_counts(ds.assign(status=status))
    assert (counts.trials == 30).all()
    right = (ds.steps_to_tolerance < np.inf).isel(seed=slice(20, None)).sum("seed")
    np.testing.assert_array_equal(counts.successes, right.transpose(*counts.successes.dims))


def test_descent_goes_before_conditioning_and_success_before_both(ds) -> None:
    both = ds.assign(
        sigma_min=xr.ones_like(ds.status, dtype=float), alpha=xr.full_like(ds.n, 1.0, float)
    )
    assert critical_widths(both, resamples=5).attrs["rule"].startswith("relative loss")
    given = critical_widths(both, success=ds.k >= 10 * ds.n / ds.d, resamples=5)
    assert given.attrs["rule"] == "success as given"
    assert given.k50.dims == ("d", "n")


# ---- what is refused


@pytest.mark.parametrize(
    ("budgets", "said"),
    [
        ([], "got []; expected whole numbers of steps"),
        ([-1], "expected whole numbers"),
        ([0.5], "expected whole numbers"),
        ([float("nan")], "expected whole numbers"),
        ([True], "expected whole numbers"),
        (["100"], "expected whole numbers"),
        ([100, 100], "expected each of them once"),
        ([100, BUDGET + 1], "got 20001, but the trials stopped after 20000 steps"),
    ],
)
def test_budgets_that_the_trials_cannot_answer_for_are_refused(ds, budgets, said) -> None:
    for ask in (critical_widths, success_counts):
        with pytest.raises(InputError) as refused:
            ask(ds, budgets=budgets)
        assert said in str(refused.value)


def test_budgets_need_descent_and_a_known_end_of_it(ds) -> None:
    with pytest.raises(InputError, match="does not use steps_to_tolerance"):
        critical_widths(ds, budgets=[10], success=ds.k > 10)
    with pytest.raises(InputError, match="does not use steps_to_tolerance"):
        critical_widths(ds.drop_vars("steps_to_tolerance"), budgets=[10])
    with pytest.raises(InputError, match="lack the number of steps"):
        critical_widths(ds.drop_attrs(), budgets=[10])


def test_a_store_with_nothing_to_judge_by_says_what_is_missing(ds) -> None:
    with pytest.raises(InputError, match="no sigma_min, alpha, nor steps_to_tolerance"):
        critical_widths(ds.drop_vars("steps_to_tolerance"))
    with pytest.raises(InputError, match="a store of linear has no width to vary"):
        critical_widths(ds.assign_coords(k=xr.ones_like(ds.k)).assign_attrs(experiment="linear"))


# ---- laws and figures


def test_laws_are_fitted_to_each_tolerance_and_budget(widths) -> None:
    with pytest.warns(UserWarning, match="fewer than three"):
        laws = fit_laws(widths)
    assert list(laws.columns[:3]) == ["tolerance", "budget", "law"]
    best = laws.groupby(["tolerance", "budget"], sort=False).first()
    assert len(best) >= 6
    assert set(best["law"]) <= {"n/d", "free"}
    shape = laws[laws["law"] == "n/d"].set_index(["tolerance", "budget"])
    for (tolerance, budget), row in shape.iterrows():
        if row["points"] == N.size * D.size:
            assert row["constant"] == pytest.approx(10 * critical(1, 1, tolerance, budget), rel=0.1)
    assert (
        "For tolerance 0.01, budget 5000: 12 points (n = 200, 300, 400, 600; d = 4, 8, 16) rank"
        in distinguishable(laws)
    )


def test_panels_are_the_axes_that_are_no_numbers_of_a_law(widths) -> None:
    both = xr.concat([widths, widths], xr.DataArray(["output", "both"], dims="trained", name="trained"))
    names = [name for name, _ in panels_of(both)]
    assert len(names) == len(set(names)) == 2 * len(TOLERANCES) * len(BUDGETS)
    assert names[0] == "v trained, loss ≤ 0.1, 1,000 steps"
    assert all(not set(PANEL) & set(part.dims) for _, part in panels_of(both))


@pytest.mark.slow
def test_figures_of_descent_say_the_rule_and_draw_no_prediction(ds) -> None:
    study = Study(ds, Success(budgets=(1_000, 5_000)))
    phase, laws = phase_figure(study), laws_figure(study)
    for figure, most in ((phase, MOST_PANELS), (laws, 6)):
        drawn = [a for a in figure.axes if a.axison and a.get_label() != "<colorbar>"]
        assert 0 < len(drawn) <= most
        labels = {text for axes in drawn for text in axes.get_legend_handles_labels()[1]}
        assert labels
        assert not any("predicted" in text for text in labels)
    assert "6 more panels are not drawn" in phase.get_suptitle()
    assert "relative loss ≤ tolerance within budget" in laws.get_suptitle()
    (bar,) = [axes for axes in phase.axes if axes.get_label() == "<colorbar>"]
    assert "relative loss ≤ tolerance" in bar.get_ylabel().replace("\n", " ")


def test_a_law_that_holds_d_is_drawn_for_each_d(ds, widths) -> None:
    study = Study(ds.sel({"tolerance": [1e-2]}))
    (axes,) = [a for a in laws_figure(study).axes if a.axison]
    (label,) = [t for t in axes.get_legend_handles_labels()[1] if t.split()[1:2] == ["n/d"]]
    at = [line.get_label() for line in axes.lines].index(label)
    constant = float(label.split()[0])
    for line, d in zip(axes.lines[at : at + len(D)], D, strict=True):
        np.testing.assert_allclose(line.get_ydata(), constant * N / d, rtol=0.01)


# ---- the command line on a small store


@pytest.fixture(scope="module")
def store(tmp_path_factory, make_sweep):
    sweep = make_sweep(
        experiment="'output'",
        n="[8, 12, 16]",
        d="[4]",
        width="{ k_per_n = [0.5, 1.0, 1.5, 2.0, 3.0, 5.0] }",
        descent="{ steps = 2000, tolerances = [1e-1, 1e-8] }",
    )
    path = tmp_path_factory.mktemp("steps") / "descent.zarr"
    pipeline.run(sweep, path)
    return path


@pytest.mark.slow
def test_a_fit_of_descent_says_its_rule_and_has_a_row_for_every_budget(widthlaw, store) -> None:
    told = widthlaw("fit", store)
    assert told.returncode == 0, told.stderr
    assert told.stdout.startswith(
        f"{store}: critical widths at relative loss <= tolerance within budget"
    )
    assert "(2000 steps)" in told.stdout
    assert "1e-08" in told.stdout
    assert "k_edge" not in told.stdout
    asked = ("--budget", 100, "--budget", 2000)
    fitted = json.loads(widthlaw("fit", store, "--json", *asked).stdout)
    truth = critical_widths(open_store(store), budgets=[100, 2000])
    assert fitted["rule"] == truth.attrs["rule"]
    assert len(fitted["critical_widths"]) == truth.k50.size == 12
    for cell in fitted["critical_widths"]:
        here = truth.sel({dim: cell[dim] for dim in truth.k50.dims})
        assert cell["outcome"] == here.outcome
        if cell["k50"] is not None:
            assert cell["k50"] == pytest.approx(float(here.k50), rel=1e-12)
    rows = list(csv.DictReader(io.StringIO(widthlaw("fit", store, "--csv", *asked).stdout)))
    assert [row["budget"] for row in rows] == ["100", "2000"] * 6


@pytest.mark.parametrize("verb", ["fit", "plot"])
def test_a_budget_beyond_that_of_the_store_is_a_usage_error(widthlaw, store, verb, tmp_path) -> None:
    more = ("--kind", "phase", "-o", tmp_path) if verb == "plot" else ()
    told = widthlaw(verb, store, "--budget", 2001, *more)
    assert told.returncode == 2
    assert "the trials stopped after 2000 steps" in told.stderr or "no figure" in told.stderr
    assert not told.stdout


@pytest.mark.slow
def test_status_and_query_read_a_store_of_descent(widthlaw, store) -> None:
    assert widthlaw("status", store).returncode == 0
    assert widthlaw("query", store, "loss_final < 1e-3", "--limit", 3).returncode == 0
    told = widthlaw("query", store, "steps_to_tolerance < 10")
    assert told.returncode == 2
    assert f"query {store}: " in told.stderr
    assert "as in steps_to_tolerance[0.1]" in told.stderr
    assert widthlaw("query", store, "steps_to_tolerance[1e-8] < 2000").returncode == 0


@pytest.mark.slow
def test_every_figure_that_suits_descent_is_drawn_with_budgets(store, tmp_path) -> None:
    for file in draw_store(
        Study(load_store(store), Success(budgets=(100, 2000))), store, output=tmp_path
    ):
        assert file.stat().st_size
