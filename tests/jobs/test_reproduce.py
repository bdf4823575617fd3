"""The table of claims says what the stores and their critical widths say."""

from __future__ import annotations

import re

import numpy as np
import pytest

import pipeline
from analysis import critical_widths, fit_laws, open_store
from analysis.figures import Study
from jobs.reproduce import (
    FULL_FACTOR,
    PAPER,
    _claims,
    _figure1_claims,
    _stress_claims,
    _sweep,
    _theorem2_claims,
)
from pipeline.sweep import Sweep

WIDTH = "{ k_per_n = { start = 1.1, stop = 30.0, num = 10 } }"
SMALL = {
    "figure1": {
        "experiment": "'spectrum'",
        "dataset": "[{ kind = 'gaussian' }, { kind = 'sphere' }]",
        "d": "[4]",
        "n": "[8, 16]",
        "width": "{ k = [40] }",
        "seeds": 3,
    },
    "theorem2": {"d": "[4, 8]", "n": "[8, 12, 16]", "width": WIDTH, "seeds": 20},
    "alpha-stress": {
        "dataset": "[{ kind = 'circle' }, { kind = 'pairs', angle = [0.1, 0.5] }]",
        "d": "[4]",
        "n": "[7, 8]",
        "width": WIDTH,
        "seeds": 10,
    },
}


@pytest.fixture(scope="module")
def studies(tmp_path_factory, make_sweep) -> dict[str, Study]:
    folder = tmp_path_factory.mktemp("claims")
    for name, keys in SMALL.items():
        pipeline.run(make_sweep(**keys), folder / f"{name}.zarr")
    return {name: Study(open_store(folder / f"{name}.zarr")) for name in SMALL}


def numbers(text: str) -> list[float]:
    return [float(found) for found in re.findall(r"\d+(?:\.\d+)?(?:e[+-]\d+)?", text)]


def measured(cell) -> str:
    if cell.outcome in ("fitted", "separated"):
        ends = (round(float(cell[name])) for name in ("k50", "k50_low", "k50_high"))
        return "k* = {} [{}, {}]".format(*ends)
    return str(cell.outcome.item())


def test_the_table_is_that_of_its_parts_and_every_row_is_whole(studies) -> None:
    rows = list(_claims(studies))
    assert len(rows) == 2 * 2 + (2 * 3 + 1) + (2 + 2)
    assert all(list(row) == ["claim", "measured", "predicted"] for row in rows)
    assert all(isinstance(word, str) and word for row in rows for word in row.values())


def test_figure_1_tells_the_least_singular_value_of_every_panel(studies) -> None:
    ds = studies["figure1"].ds.squeeze(("d", "width"))
    rows = iter(_figure1_claims(ds))
    for kind in ("gaussian", "sphere"):
        for n in (8, 16):
            row, cell = next(rows), ds.sel(dataset=kind, n=n)
            assert f"({kind}, n={n}, k=40)" in row["claim"]
            least = float(cell.singular_values.isel(index=n - 1).min()) / np.sqrt(40)
            assert numbers(row["measured"])[-1] == pytest.approx(least, abs=6e-5)
            edge = np.sqrt(np.median(cell.edge))
            assert numbers(row["predicted"]) == [pytest.approx(edge, abs=6e-5)]


def test_theorem_2_tells_the_critical_widths_and_the_best_law(studies) -> None:
    widths = critical_widths(studies["theorem2"].ds)
    *rows, last = _theorem2_claims(studies["theorem2"].widths)
    cells = [widths.sel(d=d, n=n) for d in (4, 8) for n in (8, 12, 16)]
    for row, cell in zip(rows, cells, strict=True):
        assert f"(d={int(cell.d)}, n={int(cell.n)})" in row["claim"]
        assert row["measured"] == measured(cell)
        assert numbers(row["predicted"]) == [
            pytest.approx(float(cell[name]), abs=0.5) for name in ("k_edge_finite", "k_edge")
        ]
    assert last["measured"] == f"best law by AICc: {fit_laws(widths)['law'].iloc[0]}"


def test_stress_tells_alpha_and_the_width_of_every_family_that_was_asked(studies) -> None:
    widths = critical_widths(studies["alpha-stress"].ds).squeeze("d")
    rows = list(_stress_claims(studies["alpha-stress"].widths))
    asked = [("circle", 0.0, 7), ("circle", 0.0, 8), ("pairs", 0.1, 8), ("pairs", 0.5, 8)]
    for row, (kind, angle, n) in zip(rows, asked, strict=True):
        cell = widths.sel(dataset=kind, angle=angle, n=n)
        assert f"({kind}, n={n}" + (f", angle={angle})" if angle else ")") in row["claim"]
        assert row["measured"] == measured(cell)
        if (kind, n) == ("circle", 8):  # an even circle
            assert (row["measured"], row["predicted"]) == ("degenerate", "alpha = 0, no width")
            continue
        alpha = float(row["claim"].rpartition("alpha = ")[2])
        assert alpha == pytest.approx(float(cell.alpha), rel=6e-3)
        assert numbers(row["predicted"]) == [pytest.approx(float(cell.k_edge_finite), abs=0.5)]


@pytest.mark.parametrize("name", PAPER)
def test_the_full_paper_has_more_seeds_of_the_same_trials(name: str) -> None:
    plain, full = _sweep(name, full=False), _sweep(name, full=True)
    assert isinstance(full, Sweep)
    assert full.seeds == tuple(range(FULL_FACTOR * len(plain.seeds)))
    assert full.trials == FULL_FACTOR * plain.trials
    assert full.identity == plain.identity
