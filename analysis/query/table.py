"""A store as one pandas table: a row for each trial, and not for each trial and eigenvalue.

`ds.to_dataframe()` of xarray repeats every trial along `index`, `step` and `tolerance`. Here such an
axis multiplies the rows only if it is asked for.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from analysis.query.selection import At, Selection, default_columns, select, with_axes
from pipeline.errors import ParameterError, nearest_name

__all__ = ["frame"]


def frame(ds: xr.Dataset, expression: str | None = None, *, along: str | None = None) -> pd.DataFrame:
    """Return a table of the trials of a store, with all variables that have one value per trial.

    Parameters
    ----------
    ds
        An opened store, with `status`.
    expression
        A condition that trials must meet, as for `select`; None keeps every requested trial.
    along
        A further axis, such as `index` or `step`: each trial then has a row for each value of it,
        without those where it has no value. None gives one row per trial.

    Returns
    -------
    pandas.DataFrame
        The axes, `k`, and the variables; `status` as words. Without `along`, a variable along
        `tolerance` has a column for each tolerance, such as `steps_to_tolerance[0.01]`.

    Raises
    ------
    QueryError
        The expression is not valid.
    ParameterError
        `along` is no further axis of this store.

    Examples
    --------
    >>> import tempfile
    >>> import pipeline
    >>> folder = tempfile.TemporaryDirectory()
    >>> outcome = pipeline.run("tiny", f"{folder.name}/tiny.zarr")
    >>> from analysis import open_store
    >>> ds = open_store(f"{folder.name}/tiny.zarr")
    >>> len(frame(ds)), len(ds.to_dataframe())
    (720, 43200)
    >>> frame(ds, "n == 20 and seed == 0", along="index").columns[-2:].tolist()
    ['index', 'kernel_eigenvalues']
    """
    if along is None:
        return select(ds, expression)
    variables = _variables_along(ds, along)
    short = ds.drop_vars(variables)
    columns = with_axes(short, default_columns(short))
    selection = Selection.of(ds, expression)
    parts = [_long(select(short, "seed < 0"), ds.isel(seed=slice(0)), {}, along, variables)]
    for piece in selection.pieces():
        at = selection.trials(piece)
        once = pd.DataFrame({column.label: column.at(piece, at) for column in columns})
        parts.append(_long(once, piece, at, along, variables))
    return pd.concat(parts, ignore_index=True)


def _variables_along(ds: xr.Dataset, along: str) -> list[str]:
    """Return the variables that have one value for each trial and value of a further axis."""
    own = {*ds.status.dims, along}
    found = {name: {str(dim) for dim in v.dims} for name, v in ds.data_vars.items()}
    further = sorted(str(dim) for dim in ds.dims if dim not in ds.status.dims)
    if along not in further:
        raise ParameterError(
            "along",
            f"got {along!r}{nearest_name(along, further)}, expected one of {', '.join(further)}",
        )
    return [str(name) for name, dims in found.items() if along in dims and dims <= own]


def _long(
    once: pd.DataFrame, piece: xr.Dataset, at: At, along: str, variables: list[str]
) -> pd.DataFrame:
    """Return a table with a row for each trial and value of `along` at which it has a value.

    Parameters
    ----------
    once
        A row for each trial.
    piece, at
        The part of the store, and the indices of the trials in it.
    """
    values = piece[along].values
    table = once.loc[once.index.repeat(len(values))].reset_index(drop=True)
    table[along] = np.tile(values, len(once))
    known = np.zeros(len(table), bool)
    for name in variables:
        dims = [str(dim) for dim in piece[name].dims if dim != along]
        array = piece[name].transpose(*dims, along).values
        found = array[tuple(at[dim] for dim in dims)].ravel() if at else array[:0].ravel()
        table[name] = found
        known |= ~pd.isna(found)
    return table[known]
