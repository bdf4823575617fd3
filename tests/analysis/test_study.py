"""A store is fitted once for all of its figures, its claims and its section of the report."""

from __future__ import annotations

from collections import Counter

import pytest

import pipeline
from analysis import critical_widths, fit_laws, load_store, study
from analysis.claims import claims_of
from analysis.figures import FIGURES, Study, kinds_for
from analysis.report import report_page
from analysis.success import Success
from analysis.success.budgets import budget_grid

INPUT = {
    "experiment": '"input"',
    "n": "[8, 12, 16]",
    "d": "[4]",
    "width": "{ kd_per_n = [1, 2, 3, 4] }",
    "descent": "{ steps = 300, tolerances = [1e-1, 1e-2] }",
}


@pytest.fixture(scope="module")
def stores(tmp_path_factory, make_sweep):
    folder = tmp_path_factory.mktemp("stores")
    sweeps = {
        "theorem2": make_sweep(name='"theorem2"', n="[6, 9, 12]"),
        "input-layer": make_sweep(name='"input-layer"', **INPUT),
    }
    for name, sweep in sweeps.items():
        pipeline.run(sweep, folder / f"{name}.zarr")
    return {name: load_store(folder / f"{name}.zarr") for name in sweeps}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "successes"),
    [("theorem2", 1), ("input-layer", 2)],  # that of the store, and the grid of budgets
)
def test_figures_claims_and_report_fit_each_success_once(name, successes, stores, monkeypatch) -> None:
    fits: Counter[str] = Counter()

    def counted(function):
        def call(*args, **keywords):
            fits[function.__name__] += 1
            return function(*args, **keywords)

        return call

    monkeypatch.setattr(study, "critical_widths", counted(critical_widths))
    monkeypatch.setattr(study, "fit_laws", counted(fit_laws))
    own = Study(stores[name])
    for kind in kinds_for(own.ds):
        FIGURES[kind].draw(own)
    assert claims_of(own)
    report_page({name: own})
    assert fits["critical_widths"] == successes
    # Laws that cannot be fitted are no result that could be kept.
    assert fits["fit_laws"] == 1 or not has_laws(own)


def has_laws(own: Study) -> bool:
    try:
        return bool(len(own.laws))
    except ValueError:
        return False


def test_studies_of_other_successes_are_shared_by_all_that_come_from_one(stores) -> None:
    own = Study(stores["input-layer"], Success(budgets=(100, 200)))
    assert own.at_budgets([100, 200]) is own
    assert own.default is own.default.default
    assert own.default.at_budgets([300]) is own.at_budgets([300])
    budgets = budget_grid(own.ds)
    assert own.default.at_budgets(budgets).widths.equals(critical_widths(own.ds, budgets=budgets))
    whole = Study(stores["theorem2"])
    assert whole.default is whole


@pytest.mark.slow
def test_the_laws_of_a_part_are_those_that_are_fitted_to_it_alone(tmp_path, make_sweep) -> None:
    sweep = make_sweep(
        activation='["relu", "abs"]', n="[6, 9, 12, 18]", d="[4, 8]", seeds=40,
        width="{ k_per_n = { start = 1.1, stop = 6.0, num = 12 } }",
    )  # fmt: skip
    pipeline.run(sweep, tmp_path / "a.zarr")
    own = Study(load_store(tmp_path / "a.zarr"))
    for activation in ("relu", "abs"):
        part = own.widths.sel(activation=activation)
        alone = fit_laws(part)
        shared = own.laws_of(part)[list(alone)].reset_index(drop=True)
        assert shared.equals(alone)
