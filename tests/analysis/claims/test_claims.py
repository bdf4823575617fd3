"""The table of claims says what the stores and their critical widths say."""

from __future__ import annotations

import re

import numpy as np
import pytest

import pipeline
from analysis import critical_widths, fit_laws, load_store
from analysis.claims import SECTIONS, Mark, claims, claims_of
from analysis.figures import kinds_for
from analysis.study import Study
from pipeline.sweep import Sweep
from pipeline.sweep_files.load import load_sweep, parse_sweep
from pipeline.trial_status import Status

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
        pipeline.run(make_sweep(name=f"'{name}'", **keys), folder / f"{name}.zarr")
    return {name: Study(load_store(folder / f"{name}.zarr")) for name in SMALL}


def numbers(text: str) -> list[float]:
    return [float(found) for found in re.findall(r"\d+(?:\.\d+)?(?:e[+-]\d+)?", text)]


def measured(cell) -> str:
    if cell.outcome in ("fitted", "separated"):
        ends = (round(float(cell[name])) for name in ("k50", "k50_low", "k50_high"))
        return "k* = {} [{}, {}]".format(*ends)
    return str(cell.outcome.item())


def test_the_table_is_that_of_its_sections_and_every_row_is_whole(studies) -> None:
    rows = list(claims(reversed(studies.values())))
    assert rows == [row for name in SECTIONS if name in studies for row in claims_of(studies[name])]
    assert all(row.claim and row.measured and row.verdict for row in rows)
    assert all((row.mark == Mark.LOOSE) <= (row.factor is not None) for row in rows)


def test_a_store_that_is_none_of_the_papers_has_no_rows(studies) -> None:
    ds = studies["theorem2"].ds
    assert not claims_of(Study(ds.assign_attrs(name="mine")))
    assert not claims_of(Study(ds.assign_attrs(name="figure1")))  # of another experiment
    assert not claims_of(Study(ds.expand_dims(activation=["relu"]).assign_attrs(ds.attrs)))


def test_figure_1_tells_the_least_singular_value_of_every_panel(studies) -> None:
    ds = studies["figure1"].ds.squeeze(("d", "width"))
    rows = iter(claims_of(studies["figure1"]))
    for kind in ("gaussian", "sphere"):
        for n in (8, 16):
            row, cell = next(rows), ds.sel(dataset=kind, n=n)
            assert f"({kind}, n={n}, k=40)" in row.claim
            least = float(cell.singular_values.isel(index=n - 1).min()) / np.sqrt(40)
            edge = np.sqrt(np.median(cell.edge))
            assert numbers(row.measured) == [
                pytest.approx(least, abs=6e-5),
                pytest.approx(edge, abs=6e-5),
            ]
            assert row.verdict == "holds: 3 of 3 trials"
        assert "amplifies" in next(rows).claim


def test_theorem_2_tells_the_critical_widths_and_the_best_law(studies) -> None:
    widths = critical_widths(studies["theorem2"].ds)
    *rows, last = claims_of(studies["theorem2"])
    cells = [widths.sel(d=d, n=n) for d in (4, 8) for n in (8, 12, 16)]
    for row, cell in zip(rows, cells, strict=True):
        assert f"(d={int(cell.d)}, n={int(cell.n)})" in row.claim
        told, _, predicted = row.measured.partition("; ")
        own, _, times = told.partition("], ")
        assert f"{own}{']' * bool(times)}" == measured(cell)
        if times:
            assert numbers(times) == [pytest.approx(float(cell.k50 / cell.n), abs=5e-3)]
        assert numbers(predicted) == [
            pytest.approx(float(cell[name]), abs=0.5) for name in ("k_edge_finite", "k_edge")
        ]
    best = fit_laws(widths).iloc[0]
    points = f"({best['points']} points: {best['points_at']})"
    assert last.measured.endswith(f"best law by AICc: {best['law']} {points}")
    assert last.word == "sufficient, loose"
    factor = numbers(last.detail)[0]
    assert factor == pytest.approx(last.factor, rel=6e-3)
    k50, n, alpha = (widths[name].broadcast_like(widths.k50).values for name in ("k50", "n", "alpha"))
    k = factor * np.median(k50)
    assert np.median(n * np.log(n) * np.log(k) / alpha**2) == pytest.approx(k, rel=0.5)


def test_stress_tells_alpha_and_the_width_of_every_family_that_was_asked(studies) -> None:
    widths = critical_widths(studies["alpha-stress"].ds).squeeze("d")
    rows = list(claims_of(studies["alpha-stress"]))
    asked = [("circle", 0.0, 7), ("circle", 0.0, 8), ("pairs", 0.1, 8), ("pairs", 0.5, 8)]
    for row, (kind, angle, n) in zip(rows, asked, strict=True):
        cell = widths.sel(dataset=kind, angle=angle, n=n)
        assert f"({kind}, n={n}" + (f", angle={angle})" if angle else ")") in row.claim
        assert row.measured == measured(cell)
        if (kind, n) == ("circle", 8):  # an even circle
            assert row.measured == "degenerate"
            assert row.detail.startswith("alpha = 0")
            continue
        alpha = float(row.claim.rpartition("alpha = ")[2])
        assert alpha == pytest.approx(float(cell.alpha), rel=6e-3)


def test_the_evolution_of_the_spectrum_has_the_exponents_of_the_kernel(tmp_path, make_sweep) -> None:
    """On the sphere sigma_max^2 / k tends to the kernel's mode of the mean, n / (2 pi) of ReLU."""
    keys = {
        "name": "'spectrum-evolution'",
        "experiment": "'spectrum'",
        "d": "[4, 8]",
        "n": "[32, 64, 128]",
        "width": "{ k_per_n = [2.0, 4.0] }",
        "seeds": 3,
    }
    pipeline.run(make_sweep(**keys), tmp_path / "s.zarr")
    largest, outliers, _, least = claims_of(Study(load_store(tmp_path / "s.zarr")))
    exponents = [float(found) for found in re.findall(r"\^\((-?[\d.]+)\)", largest.measured)]
    assert exponents == pytest.approx([0.5, 0, 0], abs=0.08)
    exponents = [float(found) for found in re.findall(r"\^\((-?[\d.]+)\)", outliers.measured)]
    assert exponents == pytest.approx([0.5, -0.5, 0], abs=0.12)  # of the trace n / 4, d equal shares
    assert least.factor == pytest.approx(1, abs=0.15)
    assert {row.mark for row in (largest, outliers, least)} == {Mark.FINDING}


K, KN = "{ k = [2, 4, 8, 32] }", "{ k_per_n = [0.5, 1.0, 1.5, 4.0] }"
KD = "{ kd_per_n = [0.5, 1.0, 2.0, 4.0] }"


def shortened(name: str, **lines: str) -> Sweep:
    """A bundled sweep with some lines replaced, small enough for a test."""
    text = load_sweep(name).text
    for key, value in lines.items():
        text = re.sub(rf"(?m)^{key} = .*$", f"{key} = {value}", text)
    return parse_sweep(text)


def without(ds, part: float):
    """A store in which only a part of the seeds is done, as while its run goes on."""
    kept = ds.seed < part * ds.sizes["seed"]
    numbers = [name for name, v in ds.data_vars.items() if v.dtype.kind == "f" and "seed" in v.dims]
    pending = ds.status.where(kept | (ds.status == Status.EXCLUDED), Status.PENDING)
    return ds.assign(ds[numbers].where(kept)).assign(status=pending.astype("int8"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("linear-regression", {"seeds": "4"}),
        ("theorem1", {"n": "[6]", "d": "[8]", "width": "{ k = [20] }", "seeds": "3", "steps": "2000"}),
        ("input-layer", {"n": "[36, 48]", "d": "[3, 6]", "width": KD, "seeds": "4", "steps": "2000"}),
        ("budget", {"n": "[40]", "d": "[4]", "width": KD, "seeds": "4", "steps": "2000"}),
        ("output-layer", {"n": "[20, 40]", "width": KN, "seeds": "6"}),
        ("joint", {"n": "[24]", "d": "[4]", "width": KD, "seeds": "4", "steps": "2000"}),
        ("depth", {"n": "[20]", "d": "[4]", "width": K, "seeds": "4", "steps": "999"}),
        ("theorem2-proof", {"n": "[10, 20]", "seeds": "6"}),
        ("generalisation", {"n": "[10, 20, 40]", "seeds": "6", "steps": "500"}),
    ],
)  # fmt: skip
def test_what_is_certain_holds_in_a_small_run_and_what_is_not_there_is_not_told(
    tmp_path, name, lines
) -> None:
    path = tmp_path / f"{name}.zarr"
    pipeline.run(shortened(name, **lines), path)
    rows = list(claims_of(Study(load_store(path))))
    assert rows
    assert all("nan" not in f"{row.measured} {row.verdict}" for row in rows)
    certain = ("Section III: descent tends", "at the certified residual", "after (5)", "proof, (6)")
    for row in rows:
        if any(words in row.claim for words in certain):
            held, all_of_them = re.search(r"(\d+) of (\d+) trials", row.detail).groups()
            assert held == all_of_them != "0"

    for part in (0.5, 0.0):
        left = claims_of(Study(without(load_store(path), part)))
        assert len(left) <= len(rows)
        assert all("nan" not in f"{row.measured} {row.verdict}" for row in left)
    assert {row.mark for row in left} <= {Mark.OPEN}


def test_every_row_names_a_figure_of_its_store_and_every_claim_its_criterion(studies) -> None:
    for study in studies.values():
        rows = claims_of(study)
        assert {row.figure for row in rows} <= {*kinds_for(study.ds)}
        assert all(row.criterion for row in rows if row.of_paper)
    found = [row for study in studies.values() for row in claims_of(study) if not row.of_paper]
    assert {row.mark for row in found} <= {Mark.FINDING, Mark.OPEN}
