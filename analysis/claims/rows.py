"""A claim of the paper beside what was measured: the row, its verdict, and how numbers are told.

A sufficient condition is never refuted by a smaller width that works: its verdict is by what factor
it is loose. What is certified must hold in all trials; what is measured says in how many it does.
A critical width speaks only as far as its interval does: without two ends of it nothing is located,
and a comparison is told only where the intervals exclude the other answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy import stats

from pipeline.trial_status import Status

__all__ = [
    "Claim",
    "Mark",
    "cells_of",
    "done",
    "is_located",
    "judged",
    "mean_interval",
    "middle",
    "spread",
    "sufficient",
    "width_of",
]

LOCATED = ("fitted", "separated")
NOTHING = "no trial to judge by is done"


class Mark(StrEnum):
    """What became of a claim, in a word."""

    HOLDS = "holds"
    LOOSE = "loose"
    DEPARTS = "departs"
    FINDING = "finding"
    OPEN = "not located"


@dataclass(frozen=True)
class Claim:
    """One row: what the paper claims, what was measured, and the verdict.

    Attributes
    ----------
    claim, measured, verdict
        In words; formulas in the letters of the keyboard, as `sigma_min >= alpha sqrt(k)/2`.
    mark
        The verdict's kind. `LOOSE` is a bound or a sufficient condition that holds, `FINDING` what
        no claim is made of, `OPEN` what the store does not answer (yet).
    factor
        By what factor a bound is loose, or else the ratio that `group` names; None where neither is
        a question.
    group
        What it shares with its like, of other sizes and data: one line of a summary.
    """

    claim: str
    measured: str
    verdict: str
    mark: Mark
    factor: float | None = None
    group: str = ""

    @property
    def subject(self) -> str:
        """What a summary calls it by."""
        return self.group or self.claim


def judged(holds: Any, more: str = "", mark: Mark | None = None, share: float = 1.0) -> dict[str, Any]:
    """Verdict and mark of an array of booleans: `holds in 40 of 40`, and what is added to it.

    `share` is the part of the trials in which it is claimed to hold.
    """
    flags = np.asarray(holds).ravel()
    if not flags.size:
        return {"verdict": NOTHING, "mark": Mark.OPEN}
    words = f"holds in {int(flags.sum())} of {flags.size}{more}"
    return {"verdict": words, "mark": (mark or Mark.HOLDS) if flags.mean() >= share else Mark.DEPARTS}


def spread(values: Any, form: str = ".3g") -> str:
    """Median and extremes of numbers."""
    known = _known(values)
    if not known.size:
        return "(none)"
    median, least, most = (f"{at:{form}}" if at else "0" for at in _median_and_ends(known))
    return f"{median} ({least} to {most})"


def _median_and_ends(known: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    return float(np.median(known)), float(known.min()), float(known.max())


def middle(values: Any) -> float:
    """Median of the numbers that are there, NaN of none."""
    known = _known(values)
    return float(np.median(known)) if known.size else np.nan


def mean_interval(values: Any) -> tuple[float, float]:
    """Student's 95% interval of a mean over seeds; infinite where fewer than two are there."""
    known = _known(values)
    if known.size < 2:
        return -np.inf, np.inf
    half = stats.t.ppf(0.975, known.size - 1) * np.std(known, ddof=1) / np.sqrt(known.size)
    return float(known.mean() - half), float(known.mean() + half)


def _known(values: Any) -> npt.NDArray[np.float64]:
    flat = np.asarray(values, dtype=float).ravel()
    return flat[~np.isnan(flat)]


def width_of(cell: xr.Dataset, scale: float = 1.0, form: str = ".0f") -> str:
    """A critical width with its interval, `213 [207, 219]`, or why there is none."""
    if str(cell.outcome.item()) not in LOCATED:
        return str(cell.outcome.item())
    low, mid, high = (float(cell[name]) * scale for name in ("k50_low", "k50", "k50_high"))
    return f"{mid:{form}} [{low:{form}}, {high:{form}}]"


def is_located(cell: xr.Dataset) -> bool:
    """Whether a cell has a critical width and an interval with two ends: few seeds give none."""
    bounded = float(cell.k50_low) > 0 and np.isfinite(float(cell.k50_high))
    return bounded and str(cell.outcome.item()) in LOCATED


def sufficient(
    asked: Sequence[float],
    cells: Sequence[xr.Dataset],
    form: str = ".3g",
    short: Mark = Mark.FINDING,
) -> dict[str, Any]:
    """Verdict, mark and factor of widths that are to suffice, beside the critical widths.

    `short` is the mark where one of them is narrower than the interval of k*: no refutation where the
    constant was chosen here, but one where it is part of the proof.
    """
    if not cells:
        return {"verdict": "not located", "mark": Mark.OPEN}
    factor = middle([width / float(cell.k50) for width, cell in zip(asked, cells, strict=True)])
    narrow = [width < float(cell.k50_low) for width, cell in zip(asked, cells, strict=True)]
    if any(narrow):
        verdict, mark = f"its constant is too small in {sum(narrow)} of {len(cells)}", short
    elif all(width > float(cell.k50_high) for width, cell in zip(asked, cells, strict=True)):
        verdict, mark = f"sufficient, loose by a factor of {factor:{form}}", Mark.LOOSE
    else:
        verdict, mark = "not located well enough: an interval of k* reaches it", Mark.OPEN
    return {"verdict": verdict, "mark": mark, "factor": factor}


def cells_of(widths: xr.Dataset, *dims: str) -> Iterator[xr.Dataset]:
    """The cells along some dimensions, in order, without those that were never asked for."""
    stacked = widths.stack(cell=dims)
    for place in range(stacked.sizes["cell"]):
        cell = stacked.isel(cell=place)
        if str(cell.outcome.item()) != "empty" or int(cell.pending) > 0:
            yield cell


def done(ds: xr.Dataset) -> xr.Dataset:
    """A store in which only trials that are done have numbers."""
    numbers = [str(name) for name, v in ds.data_vars.items() if set(ds.status.dims) <= set(v.dims)]
    kept = [name for name in numbers if name != "status" and ds[name].dtype.kind == "f"]
    return ds.assign(ds[kept].where(ds.status == Status.DONE))
