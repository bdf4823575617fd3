"""The paper from end to end: all named sweeps into stores, their figures, and a table of claims.

Every row of the table says what the paper (or the theory beside it) claims, what was measured in
the stores just filled, and what is predicted without a fitted parameter.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import xarray as xr

from analysis import fit_laws, open_store
from analysis.figures import Study
from analysis.scaling import distinguishable
from jobs import launch
from jobs.pictures import draw_store
from jobs.tables import aligned
from pipeline.sweep import Sweep
from pipeline.sweep_file import load_sweep, parse_sweep

__all__ = ["PAPER", "reproduce"]

PAPER = ("figure1", "spectrum-evolution", "theorem2", "alpha-stress")
FULL_FACTOR = 5

Row = dict[str, Any]


def reproduce(output: Path, full: bool, workers: int | None, scheduler: str | None) -> int:
    """Run the paper's sweeps into `output`, draw them, print the table; return the exit status."""
    began = time.perf_counter()
    sweeps = [_sweep(name, full) for name in PAPER]
    stores = {sweep.name: output / f"{sweep.name}.zarr" for sweep in sweeps}
    for sweep in sweeps:
        launch.is_complete(sweep, stores[sweep.name])
    with launch.cluster(workers, scheduler) as client:
        codes = [
            launch.report_run(stores[sweep.name], launch.run_sweep(sweep, stores[sweep.name], client))
            for sweep in sweeps
        ]
    studies = {name: Study(open_store(store)) for name, store in stores.items()}
    pictures = [
        file
        for name, study in studies.items()
        for file in draw_store(study, stores[name], output=output)
    ]
    click.echo("stores\n" + "\n".join(f"  {store}" for store in stores.values()))
    click.echo("pictures\n" + "\n".join(f"  {file}" for file in pictures) + "\n")
    click.echo(aligned(list(_claims(studies))))
    click.echo(f"\nlaws of theorem2: {distinguishable(fit_laws(studies['theorem2'].widths))}")
    click.echo(f"{time.perf_counter() - began:.0f} s", err=True)
    return max(codes)


def _sweep(name: str, full: bool) -> Sweep:
    sweep = load_sweep(name)
    if not full:
        return sweep
    text = re.sub(r"(?m)^seeds = .*$", f"seeds = {FULL_FACTOR * len(sweep.seeds)}", sweep.text)
    return parse_sweep(text, name)


def _claims(studies: dict[str, Study]) -> Iterator[Row]:
    yield from _figure1_claims(studies["figure1"].ds)
    yield from _theorem2_claims(studies["theorem2"].widths)
    yield from _stress_claims(studies["alpha-stress"].widths)


def _row(claim: str, measured: str, predicted: str) -> Row:
    return {"claim": claim, "measured": measured, "predicted": predicted}


def _figure1_claims(ds: xr.Dataset) -> Iterator[Row]:
    ratio = (ds.sigma_min / np.sqrt(ds.k)).compute()
    edge = np.sqrt(ds.edge).compute()
    k = int(ds.k.max())
    for name in ds.dataset.values:
        for n in ds.n.values:
            here = {"dataset": name, "n": n}
            yield _row(
                f"Figure 1: sigma_min stays above 0 ({name}, n={n}, k={k})",
                f"sigma_min/sqrt(k) = {float(ratio.sel(here).min()):.4f} at least",
                f"{float(edge.sel(here).median()):.4f} (left edge)",
            )


def _theorem2_claims(widths: xr.Dataset) -> Iterator[Row]:
    for d in widths.d.values:
        for n in widths.n.values:
            cell = widths.sel(d=d, n=n)
            yield _row(
                f"Theorem 2: width for sigma_min >= alpha sqrt(k)/2 (d={d}, n={n})",
                _measured(cell),
                f"{float(cell.k_edge_finite):.0f} (edge, finite size); {float(cell.k_edge):.0f} (edge)",
            )
    yield _row(
        "Theorem 2: k of order n log n log k / alpha^2 is sufficient",
        f"best law by AICc: {fit_laws(widths).iloc[0]['law']}",
        "n (edge, spectra of one shape)",
    )


def _measured(cell: xr.Dataset) -> str:
    outcome = str(cell.outcome.item())
    if outcome in ("fitted", "separated"):
        low, mid, high = (float(cell[name]) for name in ("k50_low", "k50", "k50_high"))
        return f"k* = {mid:.0f} [{low:.0f}, {high:.0f}]"
    return outcome


def _stress_claims(widths: xr.Dataset) -> Iterator[Row]:
    for cell in _asked_cells(widths):
        where = f"{cell.dataset.item()}, n={cell.n.item()}" + (
            f", angle={cell.angle.item():g}" if cell.angle.item() else ""
        )
        prediction = float(cell.k_edge_finite)
        yield _row(
            f"structured data ({where}): alpha = {float(cell.alpha):.2e}",
            _measured(cell),
            "alpha = 0, no width" if np.isnan(prediction) else f"{prediction:.0f} (edge)",
        )


def _asked_cells(widths: xr.Dataset) -> Iterator[xr.Dataset]:
    stacked = widths.stack(cell=("dataset", "angle", "d", "n"))
    for place in range(stacked.sizes["cell"]):
        cell = stacked.isel(cell=place)
        if str(cell.outcome.item()) != "empty":
            yield cell
