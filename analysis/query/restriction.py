"""A store as if only the trials that meet a condition had been requested."""

from __future__ import annotations

import ast

import xarray as xr

from analysis.expressions import QueryError, conjuncts, listed, value_of
from analysis.query.selection import Selection
from pipeline.trial_status import Status

__all__ = ["restrict"]


def restrict(ds: xr.Dataset, expression: str | None) -> xr.Dataset:
    """Return a store with the trials that meet a condition; all others were not requested.

    Values on an axis that no such trial has are left out. The attribute `where` keeps the condition.

    Parameters
    ----------
    ds
        An opened store.
    expression
        A condition on a trial, in the language of `select`; None keeps the store as it is.

    Raises
    ------
    QueryError
        As `select` does, and if no trial meets the condition.

    Examples
    --------
    >>> import tempfile
    >>> import pipeline
    >>> folder = tempfile.TemporaryDirectory()
    >>> store = f"{folder.name}/tiny.zarr"
    >>> outcome = pipeline.run(pipeline.load_sweep("tiny"), store)
    >>> from analysis import open_store
    >>> restrict(open_store(store), "n > 20 and seed < 2").sizes["n"]
    2
    """
    if expression is None:
        return ds
    selection = Selection.of(ds, expression)
    if not all(map(len, selection.kept.values())):
        raise _nothing(ds, expression)
    part = ds.isel(selection.kept)
    met = xr.ones_like(part.status, dtype=bool)
    for node in selection.conditions:
        met = met & value_of(part, node)
    met = met.transpose(*part.status.dims).compute()
    if not met.any():
        raise _nothing(ds, expression)
    status = part.status.where(met, Status.NOT_REQUESTED).astype(part.status.dtype)
    part = part.assign(status=status.assign_attrs(part.status.attrs)).assign_attrs(where=expression)
    dims = [str(dim) for dim in met.dims]
    left = {dim: met.any([other for other in dims if other != dim]).values for dim in dims}
    return part.isel(left)


def _nothing(ds: xr.Dataset, expression: str | None) -> QueryError:
    """Return the error for a condition that no trial meets, with the values of the axes it names."""
    names = {inner.id for node in conjuncts(expression) for inner in ast.walk(node)
             if isinstance(inner, ast.Name)}  # fmt: skip
    axes = [f"{dim} has {listed(ds[dim].values)}" for dim in ds.status.dims if dim in names]
    return QueryError("; ".join([f"{expression!r} holds for no trial", *axes]))
