"""Critical widths of several stores side by side, and the laws of each.

Stores differ in what a trial is made of: the activation, the data, what is trained, the budget. Within
a store that is an axis or it is the same throughout; between stores it is a column of one table either
way, so that a store of relu compares with one of tanh.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from analysis.scaling import distinguishable, fit_laws
from analysis.stores import open_stores
from analysis.transitions import critical_widths
from pipeline.errors import InputError

__all__ = ["Answer", "answer_of", "compare", "compare_laws", "joined_cells", "joined_laws"]

Stores = xr.DataTree | Sequence[str | Path] | Mapping[str, str | Path]

SETTINGS = ("experiment", "activation", "trained", "depth", "nested", "numerics_version")
"""What of a store's identity tells its trials from another's, besides the dataset and the descent."""

JUDGED = ("d", "n", "tolerance", "budget")
"""Columns that stand last of those before the answers."""


@dataclass(frozen=True)
class Answer:
    """What a store says of its critical widths.

    Attributes
    ----------
    rule
        In words, what success was.
    axes
        The columns of `cells` that say which cell it is.
    cells
        One row for each cell that the sweep asks for.
    laws
        As `fit_laws` gives them; None where there are too few critical widths.
    verdict
        Which laws can be told apart, or why there are none.
    settings
        What is the same throughout the store.
    notes
        What is to be said beside it.
    """

    rule: str
    axes: tuple[str, ...]
    cells: pd.DataFrame
    laws: pd.DataFrame | None
    verdict: str
    settings: dict[str, Any]
    notes: tuple[str, ...] = ()


def compare(stores: Stores, **how: Any) -> pd.DataFrame:
    """Critical widths of several stores in one table.

    Parameters
    ----------
    stores
        From `open_stores`, or what it takes.
    **how
        Keywords of `critical_widths`, such as `success` and `interval`; the same for all stores.

    Returns
    -------
    pandas.DataFrame
        One row for each cell: `store`; what the stores differ in (`activation`, `dataset`, `trained`,
        `budget`, `rule`, ...); the axes, NaN in a store that has not that axis; and the variables of
        `critical_widths`.

    Raises
    ------
    InputError
        Nothing can be fitted to a store; it is named.
    """
    return joined_cells(_answers(stores, how))


def compare_laws(stores: Stores, **how: Any) -> pd.DataFrame:
    """The scaling laws of several stores in one table.

    Parameters
    ----------
    stores, **how
        As for `compare`.

    Returns
    -------
    pandas.DataFrame
        `store`, then the columns of `fit_laws`; no row of a store with too few critical widths.

    Raises
    ------
    InputError
        As `compare`.
    """
    return joined_laws(_answers(stores, how))


def _answers(stores: Stores, how: Mapping[str, Any]) -> dict[str, Answer]:
    tree = stores if isinstance(stores, xr.DataTree) else open_stores(stores)
    found = {}
    for name, node in tree.children.items():
        try:
            found[name] = answer_of(node.to_dataset(), **how)
        except InputError as error:
            raise InputError(f"{name}: {error}") from error
    return found


def answer_of(ds: xr.Dataset, **how: Any) -> Answer:
    """Fit one store.

    Parameters
    ----------
    ds
        An opened store.
    **how
        Keywords of `critical_widths`.
    """
    widths = critical_widths(ds, **how)
    axes = tuple(str(dim) for dim in widths.k50.dims)
    known = str(widths.attrs["rule"]), axes, _cells(widths)
    settings = _settings(ds)
    if "budget" in widths.attrs:
        settings["budget"] = widths.attrs["budget"]
    try:
        with warnings.catch_warnings(record=True) as notes:
            warnings.simplefilter("always", UserWarning)
            laws = fit_laws(widths)
    except ValueError as error:
        return Answer(*known, None, str(error), settings)
    return Answer(*known, laws, distinguishable(laws), settings, tuple(str(n.message) for n in notes))


def _cells(widths: xr.Dataset) -> pd.DataFrame:
    """One row per cell that the sweep asked for."""
    frame = widths.to_dataframe(dim_order=list(widths.k50.dims)).reset_index()
    for end in ("bracket_low", "bracket_high"):
        frame[end] = frame[end].round()  # widths, that went through a logarithm
    return frame[(frame["outcome"] != "empty") | (frame["pending"] > 0)]


def _settings(ds: xr.Dataset) -> dict[str, Any]:
    """What a store's trials are made of, in words and numbers."""
    fields = ds.attrs.get("identity_fields", {})
    found = {name: fields[name] for name in SETTINGS if name in fields}
    datasets = fields.get("dataset", [])
    found["dataset"] = [spec["kind"] for spec in datasets]
    for spec in datasets if len(datasets) == 1 else []:
        found |= {name: value for name, value in spec.items() if name != "kind"}
    if "rows" in found:  # a digest: enough of it to tell files apart
        found["rows"] = found["rows"][:8]
    if "step_size" in (fields.get("descent") or {}):
        found["step_size"] = fields["descent"]["step_size"]
    return {name: _plain(value) for name, value in found.items()}


def _plain(value: Any) -> Any:
    """One value as it is, several as words."""
    if not isinstance(value, list | tuple):
        return value
    return value[0] if len(value) == 1 else ", ".join(map(str, value))


# --- one table ----------------------------------------------------------------------------------


def joined_cells(answers: Mapping[str, Answer]) -> pd.DataFrame:
    """Join the cells of stores, as `compare` returns them."""
    parts = []
    for name, answer in answers.items():
        own = {key: value for key, value in answer.settings.items() if key not in answer.axes}
        parts.append(answer.cells.assign(store=name, rule=answer.rule, **own))
    whole = pd.concat(parts, ignore_index=True)
    first = _first_columns(answers, whole)
    cells = dict.fromkeys(column for answer in answers.values() for column in answer.cells)
    return whole[[*first, *(name for name in cells if name not in first)]]


def _first_columns(answers: Mapping[str, Answer], whole: pd.DataFrame) -> list[str]:
    """The store, what makes its trials, then d, n and what a trial is judged by."""
    axes = _each(axis for answer in answers.values() for axis in answer.axes)
    told = _each(key for answer in answers.values() for key in answer.settings)
    made = [name for name in told if name in axes or whole[name].nunique() > 1]
    made += [axis for axis in axes if axis not in made]
    judged = [name for name in made if name in JUDGED]
    rule = ["rule"] if whole["rule"].nunique() > 1 else []
    return ["store", *rule, *(name for name in made if name not in JUDGED), *judged]


def _each(names: Iterable[str]) -> list[str]:
    """Each name once, in the order of first appearance."""
    return list(dict.fromkeys(names))


def joined_laws(answers: Mapping[str, Answer]) -> pd.DataFrame:
    """Join the laws of stores, as `compare_laws` returns them."""
    frames = {name: answer.laws for name, answer in answers.items() if answer.laws is not None}
    groups = _each(
        c for frame in frames.values() for c in frame.columns[: frame.columns.get_loc("law")]
    )
    parts = []
    for name, frame in frames.items():
        own = {key: value for key, value in answers[name].settings.items() if key in groups}
        parts.append(frame.assign(store=name, **{key: own[key] for key in own if key not in frame}))
    if not parts:
        return pd.DataFrame({"store": [], "law": []})
    whole = pd.concat(parts, ignore_index=True)
    first = ["store", *groups]
    return whole[[*first, *(name for name in whole if name not in first)]]
