"""Ask a store for trials: `select(ds, "n >= 200 and d == 20", ["sigma_min"])` lists one a row.

The language of conditions is that of `expressions`.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from analysis.expressions import (
    QueryError,
    check_words,
    condition,
    conjuncts,
    decode,
    extra_axes,
    listed,
    named,
    parse,
    place_of,
    taken_at,
    value_of,
)

__all__ = ["select"]

LISTED = ("tolerance", "multiple")
"""Axes beyond a trial that are short enough to become columns."""


def select(
    ds: xr.Dataset,
    expression: str | None = None,
    columns: Sequence[str] | None = None,
    limit: int | None = None,
) -> pd.DataFrame:
    """One row for each trial that is part of the sweep and meets a condition.

    Parameters
    ----------
    ds
        An opened store, with `status`.
    expression
        A condition; None keeps every trial. Conditions on one axis that are joined by `and` cut
        the store before anything else is read.
    columns
        Variables to list after the axes and `k`. One along `tolerance` or `multiple` becomes a
        column for each value, `steps_to_tolerance[0.01]`; any with one further axis can be asked
        for at a value of it. None lists all that have one value a trial or lie along `tolerance`.
    limit
        The most rows to return.

    Returns
    -------
    pandas.DataFrame
        Rows in the order of the dims of `status`, the last changing fastest; `status` in words.

    Raises
    ------
    QueryError
        As `evaluate`; also for a condition that is no condition, an unknown column, or one with
        many values a trial (such as the kernel's eigenvalues).
    """
    if limit is not None and limit < 0:
        raise QueryError(f"limit: got {limit}; expected 0 or more rows")
    names = _columns(ds, columns)
    conditions = conjuncts(expression)
    for node in conditions:
        check_words(ds, node)  # before the store is cut: a word may be cut away and yet be known
    ds, rest = _cut(ds, conditions)
    dims = [str(dim) for dim in ds.status.dims]
    keep = decode(ds.status) != "excluded"
    for mask in rest:
        keep = keep & mask
    rows = np.flatnonzero(keep.transpose(*dims).values)[:limit]
    at = dict(zip(dims, np.unravel_index(rows, [ds.sizes[dim] for dim in dims]), strict=True))
    return pd.DataFrame({name: _take(_column(ds, name), at) for name in names})


# --- from a condition to rows -------------------------------------------------------------------


def _cut(ds: xr.Dataset, conditions: list[ast.expr]) -> tuple[xr.Dataset, list[xr.DataArray]]:
    """Apply conditions on a single axis by indexing; return the others over what is left."""
    rest = []
    for node in conditions:
        value = condition(value_of(ds, node), node)
        if value.ndim == 1 and value.dims[0] in ds.status.dims:
            ds = ds.isel({value.dims[0]: np.flatnonzero(value.values)})
        else:
            rest.append(node)
    masks = [value_of(ds, node) for node in rest]
    for node, mask in zip(rest, masks, strict=True):
        if extra := extra_axes(ds, mask):
            raise _several(ds, node, extra)
    return ds, masks


def _several(ds: xr.Dataset, node: ast.expr, extra: list[str]) -> QueryError:
    """Say of what has several values a trial how one of them is meant."""
    way = "a query lists one row a trial. Open the store with analysis.open_store to work with it"
    names = [inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)]
    alone = [str(name) for name, v in ds.data_vars.items() if len(extra) == 1 == len(extra_axes(ds, v))]
    alone = [name for name in alone if extra[0] in ds[name].dims]
    if alone:
        example = next((name for name in names if name in alone), alone[0])
        known = ds[extra[0]].values
        way = f"say which, as in {example}[{known[0]:.12g}]; {extra[0]} has {listed(known)}"
    return QueryError(
        f"{ast.unparse(node)!r} has several values a trial, along {', '.join(extra)}; {way}"
    )


def _columns(ds: xr.Dataset, columns: Sequence[str] | None) -> list[str]:
    """The axes and `k`, then the columns asked for."""
    axes = [str(dim) for dim in ds.status.dims]
    axes += [str(name) for name in ds.coords if name == "k"]
    if columns is None:
        own = {*ds.status.dims, "tolerance"}
        columns = [str(name) for name, v in ds.data_vars.items() if set(v.dims) <= own]
    labels = [label for name in columns for label in _labels(ds, name)]
    return list(dict.fromkeys([*axes, *labels]))


def _labels(ds: xr.Dataset, column: str) -> list[str]:
    """The columns that a column asked for becomes: one for each value of a short further axis."""
    if not column.isidentifier():
        name, dim, place = place_of(ds, _indexed(column))
        return [f"{name}[{ds[dim].values[place]:.12g}]"]
    extra = extra_axes(ds, named(ds, column))
    if not extra:
        return [column]
    if len(extra) == 1 and extra[0] in LISTED and column in ds.data_vars:
        return [f"{column}[{value:.12g}]" for value in ds[extra[0]].values]
    raise _several(ds, ast.Name(column), extra)


def _indexed(column: str) -> ast.Subscript | ast.Call:
    tree = parse(column)
    if not isinstance(tree, ast.Subscript | ast.Call):
        raise QueryError(f"column {column!r}: expected a name, or a name with a number in []")
    return tree


def _column(ds: xr.Dataset, label: str) -> xr.DataArray:
    return taken_at(ds, _indexed(label)) if "[" in label else named(ds, label)


def _take(values: xr.DataArray, at: dict[str, Any]) -> Any:
    """One value for each row, without broadcasting to all trials first."""
    array = values.values
    return array[tuple(at[str(dim)] for dim in values.dims)] if values.ndim else array[()]
