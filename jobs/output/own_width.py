"""The answer of `widthlaw width`: its records, its picture, and why a width is missing or odd."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jobs.output.records import Record

if TYPE_CHECKING:
    import xarray as xr

    from analysis.refinement.allocation import State
    from analysis.study import Study
    from jobs.own_rows import OwnRows

__all__ = ["answer_record", "answer_records", "draw_answer", "explain"]

CLOSER = 0.8
"""Share of the target precision below which the result says why it is closer."""


def explain(rows: OwnRows, study: Study, state: State, target: float) -> None:
    """Print on stderr why there is no critical width, or what is odd about it."""
    from analysis.own_data import FAR, why_far
    from analysis.refinement.allocation import LOST, OPEN

    cell = study.widths.squeeze()
    if cell.outcome.item() == "degenerate":
        click.echo(f"{rows.data}: no critical width: {_why_degenerate(rows, study.ds)}", err=True)
        return
    if state.verdict in (LOST, OPEN):
        click.echo(f"{rows.data}: no critical width: {state.why}", err=True)
        return
    ratio = float(cell.k50 / cell.k_edge_finite)
    if math.isfinite(ratio) and not 1 / FAR < ratio < FAR:
        click.echo(
            f"{rows.data}: the measured width is {ratio:.2g} times the predicted one: "
            f"{why_far(rows.table, rows.all, rows.draw(0))}",
            err=True,
        )
    if state.now < CLOSER * target:
        click.echo(
            f"{rows.data}: known to {state.now:.2%}, closer than --to {100 * target:.3g}%: with "
            "fewer draws the interval could not be trusted",
            err=True,
        )


def _why_degenerate(rows: OwnRows, ds: xr.Dataset) -> str:
    """Return why alpha is 0 in a draw that was run, which the first draws did not show."""
    import numpy as np

    from pipeline.theory.degenerate import cause_of_zero
    from pipeline.trial_status import Status

    ran = (ds.status == Status.DONE).any("width")
    zero = ((ds.alpha == 0) & ran).values.ravel()
    seed = int(ds.seed.values[np.argmax(zero)])
    cause = cause_of_zero(rows.draw(seed), rows.activation)
    assert cause is not None
    return (
        f"{cause.verdict} in {zero.sum()} of {ran.sum().item()} draws, because in draw {seed} "
        f"{cause.text}; {cause.repair}"
    )


def draw_answer(study: Study, picture: Path) -> None:
    """Draw the widths of a study into a file, and print its path on stderr."""
    from analysis.figures import save
    from analysis.figures.own.data import own_data_figure
    from pipeline.errors import InputError

    enough = _spread(study.ds, "sufficient_width")[0] if "sufficient_width" in study.ds else math.nan
    try:
        save(own_data_figure(study, enough), picture)
    except OSError as error:
        raise InputError(f"width -o {picture}: cannot be written ({error.strerror})") from None
    click.echo(str(picture), err=True)


def answer_records(study: Study) -> Iterator[Record]:
    """Yield a record for each quantity, with its range over the draws or its interval."""
    cell = study.widths.squeeze()
    yield answer_record("alpha", *_spread(study.ds, "alpha"), "median and range over the draws")
    if "sufficient_width" in study.ds:
        note = "sufficient by the proof of Theorem 2; median and range over the draws"
        yield answer_record("sufficient width", *_spread(study.ds, "sufficient_width"), note)
    else:
        note = "the proof of Theorem 2 does not cover this activation"
        yield answer_record("sufficient width", math.nan, math.nan, math.nan, note)
    yield answer_record(
        "k_edge",
        float(cell.k_edge),
        math.nan,
        math.nan,
        "predicted by the left edge of the limiting spectrum",
    )
    finite = float(cell.k_edge_finite)
    yield answer_record(
        "k_edge_finite", finite, math.nan, math.nan, "the same, with the shift of the edge at finite n"
    )
    interval = (float(cell.k50), float(cell.k50_low), float(cell.k50_high))
    outcome = str(cell.outcome.item())
    note = f"measured ({outcome}) from {int(cell.trials)} trials, with its 95% interval"
    yield answer_record("measured k*", *interval, note)


def answer_record(quantity: str, value: float, low: float, high: float, note: str) -> Record:
    """Return the record of one quantity."""
    return {"quantity": quantity, "value": value, "low": low, "high": high, "what": note}


def _spread(ds: xr.Dataset, name: str) -> tuple[float, float, float]:
    """Return the median and the range over the finished draws."""
    import numpy as np

    values = ds[name].values.ravel()
    values = values[~np.isnan(values)]
    if not values.size:
        return math.nan, math.nan, math.nan
    return float(np.median(values)), float(values.min()), float(values.max())
