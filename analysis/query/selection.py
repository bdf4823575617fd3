"""Listing trials of a store: `select(ds, "n >= 200 and d == 20", ["sigma_min"])`, one per row.

The language of conditions and columns is that of `expressions`. A store is read piece by piece
(`walking`): conditions on an axis cut it before anything is read, and the columns of a piece are read
only if a trial of it meets all conditions. `frames` yields the rows as they are read.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from analysis.expressions import (
    QueryError,
    check_words,
    condition,
    conjuncts,
    extra_axes,
    index_of,
    listed,
    named,
    parse,
    value_of,
    words_in,
)
from analysis.query.ordering import in_order
from analysis.walking import MOST, pieces
from pipeline.trial_status import UNREQUESTED, Status

__all__ = [
    "At",
    "Column",
    "Selection",
    "columns_of",
    "default_columns",
    "emptied",
    "frames",
    "picked",
    "select",
    "with_axes",
]

LISTED = ("tolerance", "multiple")
"""Axes beyond a trial that are short enough to become columns."""

BOUNDS = ("alpha_error", "kernel_alpha_error")
"""Bounds of errors: the first columns to go where a table is too wide."""

At = dict[str, npt.NDArray[np.intp]]
"""The indices of trials along each dim."""


def select(
    ds: xr.Dataset,
    expression: str | None = None,
    columns: Sequence[str] | None = None,
    limit: int | None = None,
    order: Sequence[str] = (),
) -> pd.DataFrame:
    """Return one row for each requested trial that meets a condition.

    Parameters
    ----------
    ds
        An opened store, with `status`.
    expression
        A condition; None keeps every trial. Conditions on one axis that are joined by `and` cut
        the store before anything else is read.
    columns
        The columns after the axes and `k`, in this order: variables, or expressions such as
        `"sigma_min / sqrt(k) / alpha"`. A variable along `tolerance` or `multiple` becomes a
        column per value, `steps_to_tolerance[0.01]`; a variable with another further axis must be
        taken at a value of it. An axis that is among them has its place there. None lists all
        variables with one value per trial or along `tolerance`.
    limit
        The most rows to return.
    order
        Names or expressions by which rows ascend, or descend where a `-` stands in front. NaN comes
        last.

    Returns
    -------
    pandas.DataFrame
        Rows in the given order, else in that of the dims of `status`, the last changing fastest, but a
        cell of more than `analysis.walking.MOST` trials chunk by chunk; `status` as words.

    Raises
    ------
    QueryError
        As `analysis.expressions.evaluate`; also if the condition is not boolean, or a column is
        unknown or has many values per trial (such as the kernel's eigenvalues).

    Examples
    --------
    >>> import tempfile
    >>> import pipeline
    >>> folder = tempfile.TemporaryDirectory()
    >>> store = f"{folder.name}/tiny.zarr"
    >>> outcome = pipeline.run(pipeline.load_sweep("tiny"), store)
    >>> from analysis import open_store
    >>> table = select(open_store(store), "n == 20 and seed < 2", ["sigma_min"], limit=3)
    >>> table[["n", "seed", "k"]].values.tolist()
    [[20, 0, 22], [20, 1, 22], [20, 0, 26]]
    """
    return pd.concat(frames(ds, expression, columns, limit, order=order), ignore_index=True)


def frames(
    ds: xr.Dataset,
    expression: str | None = None,
    columns: Sequence[str] | None = None,
    limit: int | None = None,
    most: int = MOST,
    *,
    order: Sequence[str] = (),
) -> Iterator[pd.DataFrame]:
    """Yield the rows of `select` as they are read, so that a store of any size can be listed.

    Parameters
    ----------
    ds, expression, columns, limit
        As for `select`.
    most
        The most trials that are read at a time.
    order
        As for `select`. All rows are then read before the first is yielded; with a limit only the first
        ones are kept meanwhile.

    Yields
    ------
    pandas.DataFrame
        All with the same columns and types and none empty, except a single empty one if no trial
        meets the condition.

    Raises
    ------
    QueryError
        As `select`, before anything is read.

    Examples
    --------
    >>> import tempfile
    >>> import pipeline
    >>> folder = tempfile.TemporaryDirectory()
    >>> store = f"{folder.name}/tiny.zarr"
    >>> outcome = pipeline.run(pipeline.load_sweep("tiny"), store)
    >>> from analysis import open_store
    >>> sum(len(frame) for frame in frames(open_store(store), "n == 20"))
    240
    """
    if limit is not None and limit < 0:
        raise QueryError(f"limit: got {limit}; expected 0 or more rows")
    selection = Selection.of(ds, expression)
    wanted = with_axes(ds, default_columns(ds) if columns is None else columns)
    if not order:
        return _frames(selection, wanted, limit, most)
    return _ordered(ds, selection, wanted, limit, most, order)


def _ordered(
    ds: xr.Dataset,
    selection: Selection,
    wanted: list[Column],
    limit: int | None,
    most: int,
    order: Sequence[str],
) -> Iterator[pd.DataFrame]:
    """Return all rows in one frame, in order."""
    keys = [(text, columns_of(ds, text.removeprefix("-"), (), "sort")) for text in order]
    for text, found in keys:
        if len(found) > 1:
            raise QueryError(f"sort {text!r}: select one, as in {found[0].label}")
    columns = {column.label: column for column in [*wanted, *(found[0] for _, found in keys)]}
    labels = ["-" * text.startswith("-") + found[0].label for text, found in keys]
    parts: list[pd.DataFrame] = []
    for frame in _frames(selection, list(columns.values()), None, most):
        parts.append(frame)
        if limit is not None:
            parts = [in_order(pd.concat(parts, ignore_index=True), labels)[:limit]]
    whole = in_order(pd.concat(parts, ignore_index=True), labels)
    return iter([whole[[column.label for column in wanted]]])


def _frames(
    selection: Selection, wanted: list[Column], limit: int | None, most: int
) -> Iterator[pd.DataFrame]:
    left, nothing = limit, True
    for piece in selection.pieces(most=most) if limit != 0 else ():
        at = selection.trials(piece, left)
        rows = len(next(iter(at.values())))
        if rows:
            nothing = False
            yield pd.DataFrame({column.label: column.at(piece, at) for column in wanted})
        if left is not None:
            left -= rows
            if not left:
                return
    if nothing:
        none = emptied(selection.ds)
        at = {str(dim): np.zeros(0, np.intp) for dim in none.status.dims}
        yield pd.DataFrame({column.label: column.at(none, at) for column in wanted})


# --- trials ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Selection:
    """The trials of a store that meet a condition.

    Attributes
    ----------
    ds
        The store.
    kept
        The indices, by axis, that remain after the conditions on a single axis.
    conditions
        The other conditions.
    """

    ds: xr.Dataset
    kept: Mapping[str, npt.NDArray[np.intp]]
    conditions: tuple[ast.expr, ...]

    @classmethod
    def of(cls, ds: xr.Dataset, expression: str | None, fixed: Sequence[str] = ()) -> Selection:
        """Check a condition and apply the parts of it that concern a single axis.

        The axes of `fixed` are taken at one value at a time.
        """
        none = emptied(ds, fixed)
        kept: dict[str, npt.NDArray[np.intp]] = {}
        rest = []
        for node in conjuncts(expression):
            check_words(ds, node)
            value = condition(value_of(none, node), node)
            if extra := extra_axes(ds, value):
                raise _several(ds, node, extra)
            axis = str(value.dims[0]) if value.ndim == 1 else None
            if axis is not None and _uses_only_coordinates(ds, node):
                met = np.flatnonzero(value_of(ds, node).values)
                kept[axis] = np.intersect1d(kept.get(axis, met), met)
            else:
                rest.append(node)
        return cls(ds, kept, tuple(rest))

    def pieces(self, slowest: Sequence[str] = (), most: int = MOST) -> Iterator[xr.Dataset]:
        """Yield the pieces of the store that may contain such trials."""
        return pieces(self.ds, self.kept, slowest, most)

    def _hidden(self) -> list[Status]:
        """Return the statuses of trials that are not listed.

        Trials that were not requested, or cannot exist, are listed only if a condition names their
        status.
        """
        words = {word for condition in self.conditions for word in words_in(condition)}
        return [status for status in UNREQUESTED if status.word not in words]

    def trials(self, piece: xr.Dataset, limit: int | None = None) -> At:
        """Return the indices of the trials in a piece, in the order of the dims."""
        dims = [str(dim) for dim in piece.status.dims]
        keep = ~piece.status.reset_coords(drop=True).isin(self._hidden())
        for node in self.conditions:
            keep = keep & value_of(piece, node)
        rows = np.flatnonzero(keep.transpose(*dims).values)[:limit]
        shape = [piece.sizes[dim] for dim in dims]
        return dict(zip(dims, np.unravel_index(rows, shape), strict=True))


def emptied(ds: xr.Dataset, fixed: Sequence[str] = ()) -> xr.Dataset:
    """Return a store without trials, on which an expression is checked without reading anything."""
    return ds.isel({dim: slice(0) for dim in ds.status.dims} | dict.fromkeys(fixed, 0))


def _uses_only_coordinates(ds: xr.Dataset, node: ast.expr) -> bool:
    names = [inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)]
    return not any(name in ds.data_vars for name in names)


def _several(ds: xr.Dataset, node: ast.expr, extra: list[str]) -> QueryError:
    """Return the error for several values per trial, with a way to select one of them."""
    repair = "a query lists one row per trial. Open the store with analysis.open_store to work with it"
    names = [inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)]
    alone = [str(name) for name, v in ds.data_vars.items() if len(extra) == 1 == len(extra_axes(ds, v))]
    alone = [name for name in alone if extra[0] in ds[name].dims]
    if alone:
        example = next((name for name in names if name in alone), alone[0])
        known = ds[extra[0]].values
        repair = f"select one, as in {example}[{known[0]:.12g}]; {extra[0]} has {listed(known)}"
    return QueryError(
        f"{ast.unparse(node)!r} has several values per trial, along {', '.join(extra)}; {repair}"
    )


# --- columns --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Column:
    """An expression with one value per trial, and its label."""

    label: str
    node: ast.expr

    def at(self, piece: xr.Dataset, at: At) -> npt.NDArray[Any]:
        """Return its values at some trials of a piece."""
        return picked(value_of(piece, self.node), at)


def picked(values: xr.DataArray, at: At) -> npt.NDArray[Any]:
    """Return values at some trials, without broadcasting to all trials first."""
    array: npt.NDArray[Any] = values.values[tuple(at[str(dim)] for dim in values.dims)]
    return array if values.ndim else np.full(len(next(iter(at.values()))), array)


def default_columns(ds: xr.Dataset, fixed: Sequence[str] = ()) -> list[str]:
    """Return the variables that have one value per trial or lie along `tolerance`; bounds come last."""
    own = {*ds.status.dims, "tolerance", *fixed}
    found = [str(name) for name, v in ds.data_vars.items() if set(v.dims) <= own]
    return sorted(found, key=BOUNDS.__contains__)


def with_axes(ds: xr.Dataset, columns: Sequence[str]) -> list[Column]:
    """Return the axes and `k` that are not requested, then the requested columns, each once."""
    axes = [*map(str, ds.status.dims), *(str(name) for name in ds.coords if name == "k")]
    others = [axis for axis in axes if axis not in columns]
    found = [column for text in [*others, *columns] for column in columns_of(ds, text)]
    return list({column.label: column for column in found}.values())


def columns_of(
    ds: xr.Dataset, text: str, fixed: Sequence[str] = (), role: str = "column"
) -> list[Column]:
    """Return the columns of one requested column: one for each value of a short further axis.

    Parameters
    ----------
    ds
        An opened store.
    text
        A name, a name at a value of a further axis, or an expression.
    fixed
        Further axes that are taken at one value at a time.
    role
        Its name in error messages.

    Raises
    ------
    QueryError
        The text is not valid, or has many values per trial.
    """
    try:
        node = parse(text)
        check_words(ds, node)
        none = emptied(ds, fixed)
        if isinstance(node, ast.Name):
            return _named_columns(none, node)
        extra = extra_axes(ds, value_of(none, node))
    except QueryError as error:
        raise QueryError(f"{role} {text!r}: {error}") from None
    if extra:
        raise _several(none, node, extra)
    return [Column(_label(none, node, text.strip()), node)]


def _named_columns(ds: xr.Dataset, node: ast.Name) -> list[Column]:
    name = node.id
    extra = extra_axes(ds, named(ds, name))
    if not extra:
        return [Column(name, node)]
    if len(extra) == 1 and extra[0] in LISTED and name in ds.data_vars:
        return [_taken(name, value) for value in ds[extra[0]].values]
    raise _several(ds, node, extra)


def _taken(name: str, value: float) -> Column:
    return Column(f"{name}[{value:.12g}]", parse(f"{name}[{float(value)!r}]"))


def _label(ds: xr.Dataset, node: ast.expr, text: str) -> str:
    """Return the text as written, or for a variable at a value the label that `select` gives it."""
    target = node.func if isinstance(node, ast.Call) else getattr(node, "value", None)
    if isinstance(node, ast.Subscript | ast.Call) and isinstance(target, ast.Name) and target.id in ds:
        name, dim, index = index_of(ds, node)
        return _taken(name, ds[dim].values[index]).label
    return text
