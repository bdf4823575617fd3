"""The statistics of a query: their names, and their accumulation over the pieces of a store.

Counts, means and deviations need a few numbers for each group (Chan's update: squared deviations from
the current mean, not a sum of squares, which would cancel). Quantiles are exact, so the values of a
group are kept until its last piece is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.expressions import QueryError
from pipeline.errors import nearest_name

__all__ = ["Gathered", "Statistic", "statistics_of"]

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)

STATISTICS = (
    "count",
    "sum",
    "mean",
    "std",
    "sem",
    "min",
    "max",
    "median",
    "quantile",
    "share",
)
"""`quantile` means those of 5, 25, 50, 75 and 95%, `quantile:0.1` a single one."""


@dataclass(frozen=True)
class Statistic:
    """One number for each group.

    Attributes
    ----------
    name
        The name, such as `mean` or `quantile:0.1`.
    level
        The level of a quantile.
    """

    name: str
    level: float | None = None

    @property
    def suits(self) -> str:
        """The NumPy kinds of values that it is defined for."""
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
        raise QueryError(
            f"unknown statistic {text!r}{nearest_name(name, STATISTICS)}; expected one of "
            f"{', '.join(STATISTICS)}, or a single quantile such as quantile:0.1"
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
    """The accumulated values of one column, group by group.

    Parameters
    ----------
    statistics
        The statistics to compute.
    """

    def __init__(self, statistics: Sequence[Statistic]) -> None:
        self._statistics = list(statistics)
        self._levels = [s.level for s in statistics if s.level is not None]
        self._count, self._total, self._squares = np.zeros(0), np.zeros(0), np.zeros(0)
        self._low, self._high = np.zeros(0), np.zeros(0)
        self._held: list[tuple[Codes, Floats]] = []
        self._quantiles: dict[int, Floats] = {}

    def add(self, codes: Codes, values: Floats) -> None:
        """Add values, none of them NaN, each with the number of its group."""
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
        """Compute the quantiles of groups that are complete, and release their values."""
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
        """Return the statistics of groups 0 to `groups` - 1 by name; NaN for too few values."""
        self._grow(groups)
        return {statistic.name: self._answer(statistic, groups) for statistic in self._statistics}

    def _answer(self, statistic: Statistic, groups: int) -> Floats:
        count = self._count
        if statistic.level is not None:
            level = self._levels.index(statistic.level)
            known = self._quantiles
            return np.array([known[g][level] if g in known else np.nan for g in range(groups)])
        if statistic.name == "count":
            return count.astype(np.int64)
        if statistic.name == "sum":
            return self._total
        if statistic.name in ("mean", "share"):
            return np.where(count > 0, self._total / np.maximum(count, 1), np.nan)
        if statistic.name in ("min", "max"):
            return np.where(count > 0, self._low if statistic.name == "min" else self._high, np.nan)
        with np.errstate(divide="ignore", invalid="ignore"):  # a single value
            std = np.sqrt(np.where(count > 1, self._squares / (count - 1), np.nan))
            return std / np.sqrt(count) if statistic.name == "sem" else std


def _quantiles(
    values: Floats, starts: Codes, counts: Codes, levels: Sequence[float]
) -> npt.NDArray[np.float64]:
    """Return the quantiles (groups, levels) of sorted runs, linear between neighbours as in NumPy.

    Equal neighbours need no interpolation, which would fail for infinite ones.
    """
    ranks = (counts - 1)[:, None] * np.asarray(levels)
    below = np.floor(ranks).astype(np.intp)
    low = values[starts[:, None] + below]
    high = values[starts[:, None] + np.minimum(below + 1, (counts - 1)[:, None])]
    with np.errstate(invalid="ignore"):
        between = low + (high - low) * (ranks - below)
    return np.where((low == high) | (ranks == below), low, between)
