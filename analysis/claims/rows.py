"""A claim of the paper beside what was measured: the row, its verdict, and how numbers are written.

A sufficient condition is never refuted by a smaller width that works: its verdict is the factor by
which it is loose. Certified bounds must hold in all trials; of anything else the verdict counts the
trials in which it holds. A critical width is used only as far as its interval reaches: without both
ends it is not located, and a comparison has an answer only where the intervals exclude the other one.
A cell that is not located still counts against a claim that its one end excludes (`reach_of`).

A verdict is data: code decides by `mark` and `factor`, never by the words of `word` and `detail`. So is
the rest of a row: `of_paper` tells a claim of the paper from a finding, and `readings` has the numbers
that the answer of the report states.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy import special

from analysis.cells import has_interval, located
from pipeline.trial_status import Status

__all__ = [
    "CRITERIA",
    "NOT_LOCATED",
    "SUFFICES",
    "WORDS",
    "Claim",
    "Mark",
    "Quantity",
    "Reading",
    "Verdict",
    "bound",
    "cells_of",
    "counted",
    "done",
    "is_located",
    "lies_above",
    "looseness_of",
    "mean_interval",
    "middle",
    "reach_of",
    "reading_of",
    "spread",
    "sufficient",
    "width_of",
]


class Mark(StrEnum):
    """The kind of a verdict.

    `LOOSE` is a bound or a sufficient condition that holds, `FINDING` a result on which the paper
    claims nothing, `OPEN` a question that the store does not answer (yet).
    """

    HOLDS = "holds"
    LOOSE = "loose"
    DEPARTS = "departs"
    FINDING = "finding"
    OPEN = "not located"


WORDS: Mapping[Mark, str] = MappingProxyType(
    {
        Mark.HOLDS: "holds",
        Mark.LOOSE: "holds, loose",
        Mark.DEPARTS: "departs",
        Mark.FINDING: "finding",
        Mark.OPEN: "not located",
    }
)
"""The word of a verdict, unless it has one of its own."""

CRITERIA: Mapping[Mark, str] = MappingProxyType(
    {
        Mark.HOLDS: "Every trial, or every cell, meets the criterion that stands below the claim.",
        Mark.LOOSE: "A bound or a sufficient width meets its criterion. The factor is the median of "
        "the bound over the measurement.",
        Mark.DEPARTS: "More trials miss the criterion than the claim allows, or the whole 95% interval "
        "of a critical width does; of a width that is not located, the end or bracket that is known.",
        Mark.FINDING: "The paper claims nothing, or leaves open the constant that would decide.",
        Mark.OPEN: "No trial that would decide is done, or the 95% intervals allow both answers.",
    }
)
"""The criterion of each kind of verdict."""

FEWEST_SEEDS = 6
"""Fewer seeds could all lie on one side of the median by chance, so a censored cell of them is open."""

SUFFICES = "the width lies above the 95% interval of k* in every cell"
"""The criterion of `sufficient`."""


class Quantity(StrEnum):
    """A number that the answer of the report states."""

    FEATURES = "k*/n for well-conditioned features"
    EDGE = "k* over the width of the random-matrix edge"
    THEOREM2 = "width of Theorem 2 over k*"
    INPUT = "k* d/n, W trained"
    ANY_BUDGET = "k_inf d/n, W trained"
    ANY_BUDGET_ALONE = "k_inf d/n of each cell alone, W trained"
    UNSEEN = "cells in which one model of all shows no finite k_inf, W trained"
    UNSEEN_ALONE = "cells whose own times show no finite k_inf, W trained"
    AT_EDGE = "share of trials at the edge of stability, in cells with a k_inf"
    EXPONENT_N = "exponent of n in k_inf, W trained"
    EXPONENT_D = "exponent of d in k_inf, W trained"
    PREDICTED = "1 if k* lies in the interval predicted from fewer steps, else 0"
    INPUT_BOUND = "n^4/d^3 over k*, W trained"
    SMOOTH_BOUND = "n^2/d over k*, W trained, smooth activation"
    OUTPUT = "k*/n, v trained"


@dataclass(frozen=True)
class Reading:
    """The values of a quantity in the cells of a row.

    Attributes
    ----------
    quantity, values
        The quantity, and one value for each located cell.
    at
        A condition under which the values hold, as text.
    ends
        The 95% interval of each value; empty where values have none.
    total
        Number of cells or fits, also of those without a value; 0 if each has one.
    above
        Number of cells whose width lies above those of the sweep.
    """

    quantity: Quantity
    values: tuple[float, ...]
    at: str = ""
    ends: tuple[tuple[float, float], ...] = ()
    total: int = 0
    above: int = 0


@dataclass(frozen=True)
class Verdict:
    """The verdict on a claim.

    Attributes
    ----------
    mark
        Its kind, by which code decides.
    detail
        The rest of it as text.
    factor
        The factor by which a bound is loose, or else the ratio that the claim's group names; None
        where neither is in question.
    word
        The word that stands out, from `WORDS` by default.
    """

    mark: Mark
    detail: str = ""
    factor: float | None = None
    word: str = ""

    def on(self, claim: str, measured: str, group: str = "", **more: Any) -> Claim:
        """Return the row that gives this verdict on a claim; `more` are further fields of `Claim`."""
        word = self.word or WORDS[self.mark]
        return Claim(claim, measured, self.mark, word, self.detail, self.factor, group, **more)


NOT_LOCATED = Verdict(Mark.OPEN)


@dataclass(frozen=True)
class Claim:
    """One row: a claim of the paper or a finding, what was measured, and the verdict.

    Attributes
    ----------
    claim, measured
        Text, with formulas in ASCII, as `sigma_min >= alpha sqrt(k)/2`.
    mark, word, detail, factor
        As for `Verdict`.
    group
        Its subject, if several claims share one (other sizes, other data): one line of a summary.
    criterion
        The condition under which it holds, as text; empty if the detail of the verdict says it.
    figure
        The kind of the figure of its store that shows it; empty if none does.
    of_paper
        False for a finding on which the paper claims nothing.
    readings
        Numbers that the answer of the report states.
    """

    claim: str
    measured: str
    mark: Mark
    word: str
    detail: str = ""
    factor: float | None = None
    group: str = ""
    criterion: str = ""
    figure: str = ""
    of_paper: bool = True
    readings: tuple[Reading, ...] = ()

    @property
    def verdict(self) -> str:
        """The verdict as text."""
        return f"{self.word}: {self.detail}" if self.detail else self.word

    @property
    def subject(self) -> str:
        """The name of its line in a summary."""
        return self.group or self.claim


# --- verdicts -------------------------------------------------------------------------------------


def counted(holds: Any, about: str = "", mark: Mark = Mark.HOLDS, share: float = 1.0) -> Verdict:
    """Return a verdict that counts the trials in which a claim holds.

    Parameters
    ----------
    holds
        Booleans, one for each trial.
    about
        Text after the count, such as ", to 10%".
    mark
        The mark if the claim holds in enough trials; otherwise it departs.
    share
        The fraction of trials in which the paper claims that it holds.
    """
    flags = np.asarray(holds).ravel()
    if not flags.size:
        return Verdict(Mark.OPEN, "no trial that would decide it is done")
    count = f"{int(flags.sum())} of {flags.size} trials{about}"
    if flags.mean() < share:
        return Verdict(Mark.DEPARTS, f"holds in {count}")
    return Verdict(mark, f"holds in {count}" if mark == Mark.FINDING else count)


def bound(holds: Any, factor: float, digits: int = 3, about: str = "", share: float = 1.0) -> Verdict:
    """Return the verdict on a bound that must hold in a share of the trials, loose by a factor."""
    found = counted(holds, f", by a factor of {factor:.{digits}g}{about}", Mark.LOOSE, share)
    if found.mark == Mark.DEPARTS:  # the factor of the trials in the middle says nothing of the others
        found = counted(holds, about, Mark.LOOSE, share)
    return replace(found, factor=factor if np.isfinite(factor) else None)


def sufficient(
    sufficing: Sequence[float],
    cells: Sequence[xr.Dataset],
    form: str = ".3g",
    short: Mark = Mark.FINDING,
) -> Verdict:
    """Return the verdict on widths that should suffice, one for each cell.

    Parameters
    ----------
    sufficing
        The widths that suffice according to the claim.
    cells
        Cells of `critical_widths`. One that is not located cannot meet the claim, but may refute it.
    form
        Format of the factor.
    short
        The mark where one of the widths lies below the interval of k*. That refutes nothing if the
        constant was chosen here, but it does if the constant is part of the proof.
    """
    pairs = list(zip(sufficing, cells, strict=True))
    known = [(width, cell) for width, cell in pairs if is_located(cell)]
    narrow = sum(width < reach_of(cell)[0] for width, cell in pairs)
    factor = middle([width / float(cell.k50) for width, cell in known]) if known else None
    if narrow:
        return Verdict(short, f"its constant is too small in {narrow} of {len(cells)}", factor)
    if not known:
        return NOT_LOCATED
    if not all(width > float(cell.k50_high) for width, cell in known):
        return Verdict(Mark.OPEN, "the width lies within the interval of a k*", factor)
    if left := len(cells) - len(known):
        detail = (
            f"undecided in {left} of {len(cells)} cells, by a factor of {factor:{form}} in the others"
        )
        return Verdict(Mark.OPEN, detail, factor)
    return Verdict(Mark.LOOSE, f"by a factor of {factor:{form}}", factor, "sufficient, loose")


# --- numbers --------------------------------------------------------------------------------------


def spread(values: Any, form: str = ".3g") -> str:
    """Return the median and the extremes of numbers as text, `2.1 (1.9 to 2.4)`."""
    known = _known(values)
    if not known.size:
        return "(none)"
    numbers = float(np.median(known)), float(known.min()), float(known.max())
    median, least, most = (f"{value:{form}}" if value else "0" for value in numbers)
    return f"{median} ({least} to {most})"


def middle(values: Any) -> float:
    """Return the median of the numbers that are not NaN; NaN if there are none."""
    known = _known(values)
    return float(np.median(known)) if known.size else np.nan


def mean_interval(values: Any) -> tuple[float, float]:
    """Return Student's 95% interval of a mean over seeds; infinite for fewer than two seeds."""
    known = _known(values)
    if known.size < 2:
        return -np.inf, np.inf
    half = special.stdtrit(known.size - 1, 0.975) * np.std(known, ddof=1) / np.sqrt(known.size)
    return float(known.mean() - half), float(known.mean() + half)


def _known(values: Any) -> npt.NDArray[np.float64]:
    flat = np.asarray(values, dtype=float).ravel()
    return flat[~np.isnan(flat)]


# --- cells ----------------------------------------------------------------------------------------


def width_of(cell: xr.Dataset, scale: float = 1.0, form: str = ".0f") -> str:
    """Return a critical width with its interval, `213 [207, 219]`, or the reason for having none."""
    if not located(cell):
        return str(cell.outcome.item())
    low, mid, high = (float(cell[name]) * scale for name in ("k50_low", "k50", "k50_high"))
    return f"{mid:{form}} [{low:{form}}, {high:{form}}]"


def is_located(cell: xr.Dataset) -> bool:
    """Return True if a cell has a critical width and an interval with both ends."""
    return bool(has_interval(cell))


def reach_of(cell: xr.Dataset) -> tuple[float, float]:
    """Return the ends between which k* of a cell lies; 0 and infinity where they are not known.

    A censored width lies beyond the widths of the sweep, if enough seeds say so.
    """
    low, high = 0.0, np.inf
    if located(cell):
        low, high = float(cell.k50_low), float(cell.k50_high)
    elif str(cell.outcome.item()) == "censored" and _is_surely_beyond(cell):
        low, high = float(cell.bracket_low), float(cell.bracket_high)
    return float(np.nan_to_num(low, nan=0.0, posinf=np.inf)), high if high == high else np.inf


def _is_surely_beyond(cell: xr.Dataset) -> bool:
    """Return True if the median over seeds of the critical widths lies beyond those of the sweep.

    Seeds of a nested sweep have one each, so that the interval of their median decides. Without it
    the number of seeds does.
    """
    crossing = {end: float(cell.get(f"k_crossing_{end}", np.nan)) for end in ("low", "high")}
    if not any(map(math.isnan, crossing.values())):
        return crossing["low"] == np.inf or crossing["high"] == 0
    return int(cell.seeds) >= FEWEST_SEEDS


def lies_above(cell: xr.Dataset) -> bool:
    """Return True if the critical width of a cell lies above the widths of the sweep."""
    return str(cell.outcome.item()) == "censored" and float(cell.bracket_low) > 0


def reading_of(
    quantity: Quantity, cells: Sequence[xr.Dataset], scales: Sequence[float], at: str = ""
) -> tuple[Reading, ...]:
    """Return the reading of k* of cells, each times its scale; values are of those that are located."""
    numbers = [
        [float(cell[name]) * scale for name in ("k50", "k50_low", "k50_high")]
        for cell, scale in zip(cells, scales, strict=True)
        if is_located(cell)
    ]
    return _reading(quantity, numbers, at, cells)


def looseness_of(
    quantity: Quantity, cells: Sequence[xr.Dataset], sufficing: Sequence[float], at: str = ""
) -> tuple[Reading, ...]:
    """Return the reading of widths that suffice over k*; values are of cells that are located."""
    numbers = [
        [width / float(cell[name]) for name in ("k50", "k50_high", "k50_low")]
        for cell, width in zip(cells, sufficing, strict=True)
        if is_located(cell)
    ]
    return _reading(quantity, numbers, at, cells)


def _reading(
    quantity: Quantity, numbers: list[list[float]], at: str, cells: Sequence[xr.Dataset]
) -> tuple[Reading, ...]:
    values = tuple(value for value, _, _ in numbers)
    ends = tuple((low, high) for _, low, high in numbers)
    return (Reading(quantity, values, at, ends, len(cells), sum(map(lies_above, cells))),)


def cells_of(widths: xr.Dataset, *dims: str) -> Iterator[xr.Dataset]:
    """Yield the cells along some dimensions, in order, without those that have no trials at all."""
    stacked = widths.stack(cell=dims)
    for index in range(stacked.sizes["cell"]):
        cell = stacked.isel(cell=index)
        if str(cell.outcome.item()) != "empty" or int(cell.pending) > 0:
            yield cell


def done(ds: xr.Dataset) -> xr.Dataset:
    """Return a store in which the numbers of all trials that are not done are NaN."""
    numbers = [str(name) for name, v in ds.data_vars.items() if set(ds.status.dims) <= set(v.dims)]
    kept = [name for name in numbers if name != "status" and ds[name].dtype.kind == "f"]
    return ds.assign(ds[kept].where(ds.status == Status.DONE))
