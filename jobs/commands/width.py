"""How wide for one's own data: what Theorem 2 asks for, what the edge predicts, what is measured.

A sweep of a few widths around the prediction of the edge is run and then refined. On structured data
the measured width may lie far from there; the refinement goes outwards until it finds it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import numpy as np
import xarray as xr

from analysis.refinement.allocation import LOST, OPEN, Allocation
from analysis.success import Success
from analysis.success.rules import THRESHOLD
from jobs import launch
from jobs.commands.refine import refuse_bucket, rounds
from jobs.output.records import INCOMPLETE, Record, print_records
from pipeline import store as stores
from pipeline.errors import InputError, StoreError
from pipeline.experiments import EXPERIMENTS
from pipeline.numerics.activations import ACTIVATIONS
from pipeline.numerics.datasets import draw
from pipeline.numerics.streams import Role, stream
from pipeline.store.location import Where, place
from pipeline.sweep import Sweep
from pipeline.sweep_files.extents import with_extents
from pipeline.sweep_files.load import parse_sweep
from pipeline.theory.kernels import alpha_from_eigenvalues, kernel_eigenvalues, kernel_matrix
from pipeline.theory.marchenko_pastur import critical_width
from pipeline.trial_status import Status

__all__ = ["own_sweep", "width"]

PROOF = "theorem2-proof"

SEEDS, AROUND = 4, (0.7, 0.9, 1.15, 1.5, 2.0)
"""The first pass: draws, and widths in units of the predicted one."""

MOST_WIDTH = 2**20
"""Of the first pass: a prediction beyond is looked for by the refinement, from here."""

ENDINGS = (".png", ".svg", ".pdf")


def width(
    data: Path,
    n: int,
    activation: str,
    target: float,
    threshold: float | None,
    picture: Path | None,
    store: Where | None,
    workplace: Mapping[str, Any],
    form: str | None,
) -> int:
    """Measure the critical width for rows of a file; print and draw it beside what theory says.

    Parameters
    ----------
    data
        A .npy or .csv file of rows.
    n
        Rows of each draw.
    activation
        A key of `ACTIVATIONS`.
    target
        Half the relative width that the interval of the critical width may have.
    threshold
        Of sigma_min / sqrt(k) over alpha; 1/2 if None.
    picture
        Where the picture goes, if it is wanted.
    store
        Where the trials are kept; nowhere if None.
    workplace
        Where the workers are, as `launch.cluster` takes it.
    form
        How the answer is printed.

    Returns
    -------
    int
        The exit status: 0; 1 where no critical width can be located; 3 where it is not yet located.
    """
    if picture is not None and picture.suffix not in ENDINGS:
        raise InputError(f"width -o {picture}: expected an ending of {', '.join(ENDINGS)}")
    if store is not None:
        refuse_bucket(store, "give a path in a folder")
    sweep = own_sweep(data, n, activation, THRESHOLD if threshold is None else threshold)
    success = Success(threshold)
    click.echo(f"{data}: rows are scaled to unit norm, as Theorem 2 asks", err=True)
    with ExitStack() as stack:
        path: Where = store or Path(stack.enter_context(TemporaryDirectory()), "width.zarr")
        sweep = _resumed(path, sweep)
        if not launch.is_complete(sweep, path):
            stores.open_or_create(path, sweep)
        fill = stack.enter_context(launch.filling(workplace))
        last = rounds(path, target, None, success, fill)
        return _answer(path, data, last, threshold, picture, form)


def own_sweep(data: Path, n: int, activation: str, threshold: float) -> Sweep:
    """Return the sweep of a file of rows, its widths around the one that the edge predicts.

    Parameters
    ----------
    data, n, activation, threshold
        As for `width`.

    Raises
    ------
    InputError
        The rows cannot serve, or the activation is not known.
    """
    if n < 2:
        raise InputError(f"width: --n {n}: one row has nothing to be told from; expected 2 or more")
    if not data.is_file():
        raise InputError(f"width {data}: not found; give a .npy file of shape (samples, d) or a .csv")
    covered = EXPERIMENTS[PROOF].activations or ()
    experiment = PROOF if activation in covered or activation not in ACTIVATIONS else "conditioning"
    where = f"width {data}"

    def written(widths: list[int]) -> str:
        return (
            f'name = "{_name(data)}"\n'
            f'experiment = "{experiment}"\n'
            f"activation = {_quoted(activation)}\n"
            f'dataset = {{ kind = "file", path = {_quoted(str(data))}, normalise = true }}\n'
            f"n = [{n}]\n"
            f"width = {{ k = {widths} }}\n"
            f"seeds = {SEEDS}\n"
        )

    predicted = _predicted(parse_sweep(written([1]), where), threshold)
    if not math.isfinite(predicted):
        predicted = 2.0 * n  # alpha is 0 in the first draw: it is said what that means
    first = sorted({max(1, min(MOST_WIDTH, round(share * predicted))) for share in AROUND})
    return with_extents(parse_sweep(written(first), where), where)


def _name(data: Path) -> str:
    words = "".join(letter if letter.isalnum() else "-" for letter in data.stem)
    return f"width-{words}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _predicted(sweep: Sweep, threshold: float) -> float:
    """The critical width that the edge predicts of the first draw; NaN where its alpha is 0."""
    d, n = sweep.d[0], sweep.n[0]
    X = draw(sweep.dataset[0], stream(sweep.entropy, d, n, 0, Role.DATA), n, d)
    eigenvalues = kernel_eigenvalues(kernel_matrix(X, sweep.activation[0]))
    if alpha_from_eigenvalues(eigenvalues) == 0:
        return math.nan
    return critical_width(eigenvalues, level=threshold**2, finite_size=True)


def _resumed(path: Where, sweep: Sweep) -> Sweep:
    """The sweep of the store that is there, if it is of the same question; else the one that is new."""
    if not place(path).exists():
        return sweep
    stored = stores.stored_sweep(path)
    if (stored.identity, stored.n) != (sweep.identity, sweep.n):
        raise StoreError(
            f"store {path}: holds another question (other rows, n or activation); give a new path"
        )
    return stored


# ---- the answer


def _answer(
    path: Where,
    data: Path,
    last: Allocation,
    threshold: float | None,
    picture: Path | None,
    form: str | None,
) -> int:
    from analysis import load_store
    from analysis.study import Study

    study = Study(load_store(path), Success(threshold))
    print_records(list(_records(study)), form)
    state = last.states[0]
    if study.widths.outcome.item() == "degenerate":
        zero = _zero_draws(study.ds)
        click.echo(
            f"{data}: alpha is 0 in {zero} of {study.ds.sizes['seed']} draws, where rows are the same "
            "once scaled (or in some other special position): no width is enough there, and success "
            "against alpha has no meaning; leave duplicates out",
            err=True,
        )
    elif state.verdict in (LOST, OPEN):
        click.echo(f"{data}: no critical width: {state.why}", err=True)
    if picture is not None:
        from analysis.figures import save
        from analysis.figures.own_data import own_data_figure

        enough = (
            _spread(study.ds, "sufficient_width")[0] if "sufficient_width" in study.ds else math.nan
        )
        try:
            save(own_data_figure(study, enough), picture)
        except OSError as error:
            raise InputError(f"width -o {picture}: cannot be written ({error.strerror})") from None
        click.echo(str(picture), err=True)
    return INCOMPLETE if state.verdict == OPEN else 1 if state.verdict == LOST else 0


def _records(study: Any) -> Iterator[Record]:
    """A record for each number of the answer, with its range over draws or its interval."""
    cell = study.widths.squeeze()
    yield _record("alpha", *_spread(study.ds, "alpha"), "median and range over draws of the rows")
    if "sufficient_width" in study.ds:
        told = "Theorem 2's proof: this width suffices in half of the draws"
        yield _record("sufficient width", *_spread(study.ds, "sufficient_width"), told)
    else:
        told = "the proof of Theorem 2 does not cover this activation"
        yield _record("sufficient width", math.nan, math.nan, math.nan, told)
    yield _record(
        "predicted k*", float(cell.k_edge), math.nan, math.nan, "edge of the limiting spectrum"
    )
    finite = float(cell.k_edge_finite)
    yield _record(
        "predicted k*, finite size", finite, math.nan, math.nan, "the same, shifted at finite n"
    )
    interval = (float(cell.k50), float(cell.k50_low), float(cell.k50_high))
    outcome = str(cell.outcome.item())
    told = f"measured, {outcome}, with its 95% interval, of {int(cell.trials)} trials"
    yield _record("measured k*", *interval, told)


def _record(quantity: str, value: float, low: float, high: float, told: str) -> Record:
    return {"quantity": quantity, "value": value, "low": low, "high": high, "what": told}


def _spread(ds: xr.Dataset, name: str) -> tuple[float, float, float]:
    """Median and range over the draws that ran."""
    values = ds[name].values.ravel()
    values = values[~np.isnan(values)]
    if not values.size:
        return math.nan, math.nan, math.nan
    return float(np.median(values)), float(values.min()), float(values.max())


def _zero_draws(ds: xr.Dataset) -> int:
    ran = (ds.status == Status.DONE).any("width")
    return int(((ds.alpha == 0) & ran).sum())
