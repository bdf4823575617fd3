"""Statistics over the trials of a store: `summarise(ds, "n >= 200", ["sigma_min"], ["mean"], ["n"])`.

A store of any size is summarised in bounded memory, because it is read piece by piece (`walking`).
Quantiles are exact: they keep the values of one column at a time, for the groups that are not complete
yet. If groups are defined by axes, pieces come group after group, so these values are little more than
one piece or one group. If groups are defined by values (`status`, or an expression), or there is only
one, they take 12 bytes each, and up to twice as much again while they are sorted.
"""

from __future__ import annotations

import ast
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from analysis.expressions import QueryError, conjuncts, value_of
from analysis.query.ordering import in_order
from analysis.query.selection import At, Column, Selection, columns_of, default_columns, emptied, picked
from analysis.query.statistics import Gathered, Statistic, statistics_of
from analysis.walking import MOST
from pipeline.trial_status import Status

__all__ = ["summarise"]

TRIALS = "trials"
"""The column that counts the trials of a group, of any status."""

Codes = npt.NDArray[np.intp]


def summarise(
    ds: xr.Dataset,
    expression: str | None = None,
    columns: Sequence[str] | None = None,
    stats: Sequence[str] | None = None,
    by: Sequence[str] = (),
    most: int = MOST,
    *,
    order: Sequence[str] = (),
) -> pd.DataFrame:
    """Return statistics of columns, one row for each group of trials.

    A value is used if its trial has an outcome (`done` or `diverged`) and the value is not NaN; `count`
    is the number of these. Infinite values are used: a mean or a quantile may be infinite, and the
    standard deviation is then NaN. Trials without an outcome (pending, failed) count only in `trials`.

    Parameters
    ----------
    ds, expression
        As for `select`.
    columns
        As for `select`, without the axes. None means all numbers or, without `stats`, only the trials.
    stats
        Any of `count`, `sum`, `mean`, `std`, `sem`, `min`, `max`, `median`, `quantile` and `share`.
        `quantile` means 5, 25, 50, 75 and 95%, `quantile:0.1` a single one; `std` is that of a
        sample; `share` is the fraction for which a condition holds. Each describes the columns for
        which it is defined. None means `trials`, and `count` of the columns.
    by
        The keys of the groups: axes, coordinates (`k`), further axes (`tolerance`), `status`, or any
        column with one value per trial. By default all trials are one group.
    most
        The most trials that are read at a time.
    order
        Columns of the answer, such as `mean(sigma_min)`, by which rows ascend; `-` in front descends.

    Returns
    -------
    pandas.DataFrame
        The columns of `by`, then `mean(sigma_min)` and so on, column by column. Rows ascend in those
        of `by`, unless there is an order; a group without a trial that meets the condition has no row.
        `attrs["pooled"]` has the axes along which a row joins several values, with their number.

    Raises
    ------
    QueryError
        As `select`; also if a statistic is unknown or fits no column, or if a column has no statistic.

    Examples
    --------
    >>> import tempfile
    >>> import pipeline
    >>> folder = tempfile.TemporaryDirectory()
    >>> store = f"{folder.name}/tiny.zarr"
    >>> outcome = pipeline.run(pipeline.load_sweep("tiny"), store)
    >>> from analysis import open_store
    >>> summarise(open_store(store), by=["n"]).values.tolist()
    [[20, 240], [40, 240], [60, 240]]
    """
    inner = [name for name in by if name in ds.dims and name not in ds.status.dims]
    selection = Selection.of(ds, expression, inner)
    groups = _Groups(_keys(ds, by, inner), emptied(ds, inner))
    tasks = _tasks(ds, columns, stats, inner)
    _refuse_idle(ds, inner, [*conjuncts(expression), *(task.column.node for task in tasks)])
    pool = _Pool(ds)
    trials = _gather_all(selection, groups, inner, tasks, most, pool)
    answers: dict[str, npt.NDArray[Any]] = {TRIALS: trials} if stats is None else {}
    for task in tasks:
        answers |= task.answers(len(groups))
    frame = in_order(groups.frame(answers, trials > 0), order)
    frame.attrs["pooled"] = pool.axes()
    return frame


# --- columns and statistics -----------------------------------------------------------------------


@dataclass
class _Task:
    """A column and its accumulated statistics."""

    column: Column
    kind: str
    statistics: list[Statistic]
    gathered: Gathered = field(init=False)

    def __post_init__(self) -> None:
        self.gathered = Gathered(self.statistics)

    @property
    def holds(self) -> bool:
        """True if its values are kept; such a task goes through the store alone."""
        return any(statistic.level is not None for statistic in self.statistics)

    def take(self, view: xr.Dataset, at: At, codes: Codes) -> None:
        """Add the column's values at some trials; text is only counted."""
        found = self.column.at(view, at)
        values = found.astype(float) if self.kind in "biuf" else np.zeros(len(found))
        known = ~np.isnan(values)
        self.gathered.add(codes[known], values[known])

    def answers(self, groups: int) -> dict[str, npt.NDArray[Any]]:
        """Return the statistics of groups 0 to `groups` - 1, by the labels of their columns."""
        found = self.gathered.table(groups)
        return {f"{name}({self.column.label})": values for name, values in found.items()}


def _tasks(
    ds: xr.Dataset, columns: Sequence[str] | None, stats: Sequence[str] | None, inner: list[str]
) -> list[_Task]:
    """Return the columns with the statistics that are defined for each of them."""
    requested = statistics_of(["count"] if stats is None else stats)
    none = emptied(ds, inner)
    texts = columns if columns is not None else [] if stats is None else default_columns(ds, inner)
    found = {c.label: c for text in texts for c in columns_of(ds, text, inner)}
    kinds = {label: value_of(none, column.node).dtype.kind for label, column in found.items()}
    if columns is None:
        found = {label: column for label, column in found.items() if kinds[label] in "iuf"}
    own = {label: [s for s in requested if kinds[label] in s.suits] for label in found}
    for label, suiting in own.items():
        if not suiting:
            raise QueryError(f"column {label!r}: {_unsuited(kinds[label])}")
    for statistic in requested if found else []:
        if not any(statistic in suiting for suiting in own.values()):
            raise QueryError(
                f"{statistic.name}: it is not defined for any of the columns {', '.join(found)}; "
                f"{_unsuited('f' if statistic.name == 'share' else 'b')}"
            )
    return [_Task(column, kinds[label], own[label]) for label, column in found.items()]


def _variables(ds: xr.Dataset, nodes: Sequence[ast.expr]) -> set[str]:
    """Return the variables, without coordinates, that expressions read."""
    names = {inner.id for node in nodes for inner in ast.walk(node) if isinstance(inner, ast.Name)}
    return names & set(map(str, ds.data_vars))


def _unsuited(kind: str) -> str:
    if kind == "b":
        return "a condition has share and count"
    if kind in "iuf":
        return "share needs a condition, as in 'sigma_min > 0.1'"
    return "text has only count; a condition on it has a share"


def _keys(ds: xr.Dataset, by: Sequence[str], inner: list[str]) -> list[Column]:
    """Return the keys of the groups: columns with one value per trial, each once."""
    keys: dict[str, Column] = {}
    for text in by:
        columns = columns_of(ds, text, inner, "by")
        if len(columns) > 1:
            labels = " or ".join(column.label for column in columns[:2])
            raise QueryError(
                f"by {text!r}: it has several values per trial; select one, as in {labels}"
            )
        if columns[0].label in keys:
            raise QueryError(f"by {text!r}: it is given twice; give it once")
        keys[columns[0].label] = columns[0]
    return list(keys.values())


def _refuse_idle(ds: xr.Dataset, inner: list[str], nodes: Sequence[ast.expr]) -> None:
    """Refuse further axes along which nothing lies that the expressions read."""
    for dim in inner:
        if not any(dim in ds[name].dims for name in _variables(ds, nodes)):
            raise QueryError(f"by {dim!r}: neither a column nor the condition lies along it; remove it")


# --- groups -------------------------------------------------------------------------------------


class _Groups:
    """The groups, numbered in the order in which they appear.

    Parameters
    ----------
    keys
        The keys of the groups.
    none
        The store without its trials, for dims and types.
    """

    def __init__(self, keys: list[Column], none: xr.Dataset) -> None:
        self._keys = keys
        self._types = [value_of(none, key.node).dtype for key in keys]
        self._numbers: dict[tuple[Any, ...], int] = {}
        names = {
            inner.id for key in keys for inner in ast.walk(key.node) if isinstance(inner, ast.Name)
        }
        self.of_axes = bool(keys) and not names & set(map(str, none.data_vars))
        dims = {dim for key in keys for dim in value_of(none, key.node).dims}
        self.slowest = [str(dim) for dim in none.status.dims if dim in dims] if self.of_axes else []

    def __len__(self) -> int:
        return len(self._numbers)

    def grid(self, view: xr.Dataset) -> xr.DataArray:
        """Return the number of the group, over the dims that it depends on."""
        values = [value_of(view, key.node).reset_coords(drop=True) for key in self._keys]
        if not values:
            return xr.DataArray(self._number(()))
        values = list(xr.broadcast(*values))
        frame = pd.DataFrame({index: value.values.ravel() for index, value in enumerate(values)})
        local = frame.groupby(list(frame), sort=False, dropna=False).ngroup()
        firsts = [frame[index][~local.duplicated()].tolist() for index in frame]
        numbers = np.array([self._number(key) for key in zip(*firsts, strict=True)], dtype=np.intp)
        return values[0].copy(data=numbers[local.to_numpy()].reshape(values[0].shape))

    def _number(self, key: tuple[Any, ...]) -> int:
        known = tuple(None if value != value else value for value in key)  # NaN != NaN
        return self._numbers.setdefault(known, len(self._numbers))

    def ends(self, selection: Selection, inner: list[str], most: int) -> dict[int, Codes]:
        """Return the groups that are complete after each piece, from the coordinates alone."""
        ds = selection.ds
        alone = replace(selection, ds=ds.drop_vars([name for name in ds.data_vars if name != "status"]))
        last: dict[int, int] = {}
        for number, piece in enumerate(alone.pieces(self.slowest, most)):
            for view in _views(piece, inner):
                last |= dict.fromkeys(np.unique(self.grid(view)).tolist(), number)
        ends: dict[int, list[int]] = {}
        for group, number in last.items():
            ends.setdefault(number, []).append(group)
        return {number: np.array(groups) for number, groups in ends.items()}

    def frame(self, answers: dict[str, npt.NDArray[Any]], met: npt.NDArray[np.bool_]) -> pd.DataFrame:
        """Return the groups with trials, in the order of their keys, with their statistics."""
        columns = list(zip(*self._numbers, strict=True)) or [()] * len(self._keys)
        keys = {
            key.label: pd.Series(list(values), dtype=dtype if dtype.kind in "biuf" else object)
            for key, dtype, values in zip(self._keys, self._types, columns, strict=True)
        }
        frame = pd.DataFrame(keys | {name: pd.Series(values) for name, values in answers.items()})
        frame = frame[met]
        return frame.sort_values(list(keys), ignore_index=True) if keys else frame


class _Pool:
    """The axes along which a group joins several values."""

    def __init__(self, ds: xr.Dataset) -> None:
        self._indexes = {str(dim): ds.get_index(dim) for dim in ds.status.dims}
        self._first = {dim: np.zeros(0, dtype=np.intp) for dim in self._indexes}
        self._seen = {dim: np.zeros(len(index), dtype=bool) for dim, index in self._indexes.items()}
        self._joined: set[str] = set()

    def add(self, view: xr.Dataset, at: At, codes: Codes) -> None:
        """Add trials of a piece, each with the number of its group."""
        groups = int(codes.max()) + 1
        for dim, index in self._indexes.items():
            places = index.get_indexer(view.get_index(dim))[at[dim]]
            self._seen[dim][places] = True
            more = np.full(max(0, groups - len(self._first[dim])), -1)
            first = self._first[dim] = np.append(self._first[dim], more)
            new = first[codes] < 0
            first[codes[new]] = places[new]
            if (first[codes] != places).any():
                self._joined.add(dim)

    def axes(self) -> dict[str, int]:
        """Return the number of values of each axis that some group joins."""
        return {dim: int(self._seen[dim].sum()) for dim in self._indexes if dim in self._joined}


# --- reading ------------------------------------------------------------------------------------


def _gather_all(
    selection: Selection,
    groups: _Groups,
    inner: list[str],
    tasks: list[_Task],
    most: int,
    pool: _Pool,
) -> npt.NDArray[np.intp]:
    """Go through a store once for each task that holds values, and once for all others.

    Returns
    -------
    numpy.ndarray
        The number of trials of each group.
    """
    most = max(1, most // math.prod(selection.ds.sizes[dim] for dim in inner))
    holding = [[task] for task in tasks if task.holds]
    ends = groups.ends(selection, inner, most) if holding and groups.of_axes else {}
    for part in [*holding, [task for task in tasks if not task.holds]]:
        trials = _gather(selection, groups, inner, part, ends, most, pool)
    return trials


def _gather(
    selection: Selection,
    groups: _Groups,
    inner: list[str],
    tasks: list[_Task],
    ends: dict[int, Codes],
    most: int,
    pool: _Pool,
) -> npt.NDArray[np.intp]:
    """Go through a store once and return the number of trials of each group."""
    trials = np.zeros(len(groups), dtype=np.intp)
    for number, piece in enumerate(selection.pieces(groups.slowest, most)):
        for view in _views(piece, inner):
            at = selection.trials(view)
            codes = picked(groups.grid(view), at)
            trials = np.append(trials, np.zeros(len(groups) - len(trials), dtype=np.intp))
            trials += np.bincount(codes, minlength=len(groups))
            ran = np.isin(picked(view.status, at), [Status.DONE, Status.DIVERGED])
            if ran.any():
                at = {dim: indices[ran] for dim, indices in at.items()}
                pool.add(view, at, codes[ran])
                for task in tasks:
                    task.take(view, at, codes[ran])
        for task in tasks:
            task.gathered.close(ends.get(number, np.zeros(0, dtype=np.intp)))
    for task in tasks:
        task.gathered.close(np.arange(len(groups)))
    return trials


def _views(piece: xr.Dataset, inner: list[str]) -> Iterator[xr.Dataset]:
    """Yield a piece at each index along further axes."""
    if not inner:
        yield piece
        return
    for indices in itertools.product(*(range(piece.sizes[dim]) for dim in inner)):
        yield piece.isel(dict(zip(inner, indices, strict=True)))
