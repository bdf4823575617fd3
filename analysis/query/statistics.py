"""The statistics of a query: their names, and how they are gathered from values that come in pieces.

Counts, means and deviations need a few numbers for each group (Chan's update: squared deviations from
the mean so far, never a sum of squares, which would cancel). Quantiles are exact, so the values of a
group are held until its last piece has come.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.expressions import QueryError

__all__ = ["STATISTICS", "Gathered", "Statistic", "statistics_of"]

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)

STATISTICS = (
    "count",
    "mean",
    "std",
    "sem",
    "min",
    "max",
    "median",
    "quantile",
    "share",
)
"""quantile stands for those of 5, 25, 50, 75 and 95%, quantile:0.1 for one."""


@dataclass(frozen=True)
class Statistic:
    """One number for each group; `level` is that of a quantile.

    `suits` says which kinds of values it has a meaning for, by their NumPy kinds.
    """

    name: str
    level: float | None = None

    @property
    def suits(self) -> str:
        if self.name == "count":
            return "biufOUST"
        return "b" if self.name == "share" else "iuf"


def statistics_of(names: Sequence[str]) -> list[Statistic]:
    """Parse names such as `mean` and `quantile:0.1`, each once.

    Raises
    ------
    QueryError
        A name is unknown (with the nearest known one), or a quantile is not between 0 and 1.
    """
    found = [statistic for name in names for statistic in _parsed(name.strip())]
    return list(dict.fromkeys(found))


def _parsed(text: str) -> list[Statistic]:
    name, colon, argument = text.partition(":")
    if name not in STATISTICS or (colon and name != "quantile"):
        near = difflib.get_close_matches(name, STATISTICS, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        known = ", ".join(STATISTICS)
        raise QueryError(
            f"unknown statistic {text!r}; {hint}expected one of {known}, or one quantile:0.1"
        )
    if name == "median":
        return [Statistic("median", 0.5)]
    if name != "quantile":
        return [Statistic(name)]
    levels = [_level(text, argument)] if colon else QUANTILES
    return [Statistic(f"quantile:{level:.12g}", level) for level in levels]


def _level(text: str, argument: str) -> float:
    try:
        level = float(argument)
    except ValueError:
        level = np.nan
    if not 0 <= level <= 1:
        raise QueryError(f"{text}: got {argument!r}; expected a number from 0 to 1, as in quantile:0.1")
    return level


class Gathered:
    """What is known of one column, group by group.

    Parameters
    ----------
    statistics
        What will be asked for.
    """

    def __init__(self, statistics: Sequence[Statistic]) -> None:
        self._statistics = list(statistics)
        self._levels = [s.level for s in statistics if s.level is not None]
        self._count, self._total, self._squares = np.zeros(0), np.zeros(0), np.zeros(0)
        self._low, self._high = np.zeros(0), np.zeros(0)
        self._held: list[tuple[Codes, Floats]] = []
        self._quantiles: dict[int, Floats] = {}

    def add(self, codes: Codes, values: Floats) -> None:
        """Take in values, none of them NaN, each with the number of its group."""
        if not len(codes):
            return
        self._grow(int(codes.max()) + 1)
        with np.errstate(invalid="ignore"):  # inf - inf
            self._update(codes, values)
        if self._levels:
            self._held.append((codes.astype(np.int32), values))

    def _grow(self, groups: int) -> None:
        more = groups - len(self._count)
        if more > 0:
            self._count, self._total, self._squares = (
                np.append(old, np.zeros(more)) for old in (self._count, self._total, self._squares)
            )
            self._low = np.append(self._low, np.full(more, np.inf))
            self._high = np.append(self._high, np.full(more, -np.inf))

    def _update(self, codes: Codes, values: Floats) -> None:
        np.minimum.at(self._low, codes, values)
        np.maximum.at(self._high, codes, values)
        at, local = np.unique(codes, return_inverse=True)
        count, total = np.bincount(local), np.bincount(local, values)
        squares = np.bincount(local, (values - (total / count)[local]) ** 2)
        before = self._count[at]
        step = total / count - self._total[at] / np.maximum(before, 1)
        self._squares[at] += squares + step**2 * before * count / (before + count)
        self._total[at] += total
        self._count[at] += count

    def close(self, codes: Codes) -> None:
        """No more values will come for these groups: find their quantiles, and let go of them."""
        if not self._levels or not len(codes) or not self._held:
            return
        owners, values = (np.concatenate(parts) for parts in zip(*self._held, strict=True))
        self._held = []
        ready = np.isin(owners, codes)
        if not ready.all():
            self._held = [(owners[~ready], values[~ready])]
            owners, values = owners[ready], values[ready]
        if len(owners) and (owners == owners[0]).all():
            values.sort()
        else:
            order = np.lexsort((values, owners))
            owners, values = owners[order], values[order]
        starts = np.flatnonzero(np.diff(owners, prepend=-1))
        found = _quantiles(values, starts, np.diff(starts, append=len(owners)), self._levels)
        self._quantiles |= dict(zip(owners[starts].tolist(), found, strict=True))

    def table(self, groups: int) -> dict[str, Floats]:
        """The statistics of groups 0 to `groups` - 1, by name; NaN where there are too few values."""
        self._grow(groups)
        return {statistic.name: self._answer(statistic, groups) for statistic in self._statistics}

    def _answer(self, statistic: Statistic, groups: int) -> Floats:
        count = self._count
        if statistic.level is not None:
            place = self._levels.index(statistic.level)
            known = self._quantiles
            return np.array([known[g][place] if g in known else np.nan for g in range(groups)])
        if statistic.name == "count":
            return count.astype(np.int64)
        if statistic.name in ("mean", "share"):
            return np.where(count > 0, self._total / np.maximum(count, 1), np.nan)
        if statistic.name in ("min", "max"):
            return np.where(count > 0, self._low if statistic.name == "min" else self._high, np.nan)
        with np.errstate(divide="ignore", invalid="ignore"):  # of one value
            std = np.sqrt(np.where(count > 1, self._squares / (count - 1), np.nan))
            return std / np.sqrt(count) if statistic.name == "sem" else std


def _quantiles(
    values: Floats, starts: Codes, counts: Codes, levels: Sequence[float]
) -> npt.NDArray[np.float64]:
    """Quantiles (groups, levels) of sorted runs, linear between neighbours as NumPy's are.

    Between equal neighbours is their value: infinite ones have no difference.
    """
    places = (counts - 1)[:, None] * np.asarray(levels)
    below = np.floor(places).astype(np.intp)
    low = values[starts[:, None] + below]
    high = values[starts[:, None] + np.minimum(below + 1, (counts - 1)[:, None])]
    with np.errstate(invalid="ignore"):
        between = low + (high - low) * (places - below)
    return np.where((low == high) | (places == below), low, between)
