"""Critical widths of several stores side by side, and the laws of each; or values along another axis.

Stores differ in activation, data, trained weights, budget, and so on. Within a store such a setting is
an axis or constant; between stores it is a column of one table in either case, so that a store of relu
compares with one of tanh.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from analysis.axes import CRITERIA, NETWORK, SIZES
from analysis.cells import width_unit
from analysis.degenerate import causes_of_zero
from analysis.scaling import distinguishable, fit_laws
from analysis.scaling.laws import group_columns
from analysis.stores import open_stores
from analysis.success import Success
from analysis.success.rules import undecided
from analysis.transitions import critical_widths
from analysis.transitions.disorder import disorder_words
from analysis.transitions.lapses import lapse_words
from analysis.transitions.scales import WIDTH, Along
from analysis.unit_rows import note_on_norms
from pipeline.errors import InputError

__all__ = ["Answer", "answer_of", "compare", "compare_laws", "joined_cells", "joined_laws"]

Stores = xr.DataTree | Sequence[str | Path] | Mapping[str, str | Path]

SETTINGS = ("experiment", *NETWORK, "nested", "numerics_version")
"""Fields of a store's identity that distinguish its trials, besides the dataset and the descent."""

LAST = SIZES + CRITERIA
"""Columns that come last among those before the answers."""


@dataclass(frozen=True)
class Answer:
    """The critical widths and laws of one store.

    Attributes
    ----------
    rule
        The rule of success as text.
    axes
        The columns of `cells` that identify a cell.
    cells
        One row for each cell with trials.
    laws
        From `fit_laws`; None if there are too few critical widths.
    verdict
        The laws that can be told apart, or the reason for having none.
    settings
        The settings that are constant throughout the store.
    notes
        Warnings of the fit.
    along
        The axis of the transition, with the direction and the scale that it has.
    lapses
        A sentence on the lapse rate of each group, if one was fitted.
    """

    rule: str
    axes: tuple[str, ...]
    cells: pd.DataFrame
    laws: pd.DataFrame | None
    verdict: str
    settings: dict[str, Any]
    notes: tuple[str, ...] = ()
    along: Along = Along()  # noqa: RUF009 (frozen)
    lapses: tuple[str, ...] = ()


def compare(stores: Stores, **settings: Any) -> pd.DataFrame:
    """Return the critical widths of several stores in one table.

    Parameters
    ----------
    stores
        From `open_stores`, or its argument.
    **settings
        Keywords of `critical_widths`, such as `success` and `interval`; the same for all stores.

    Returns
    -------
    pandas.DataFrame
        One row for each cell: `store`; the settings in which the stores differ (`activation`,
        `dataset`, `trained`, `budget`, `rule`, ...); the axes, NaN for a store without that axis; and
        the variables of `critical_widths`.

    Raises
    ------
    InputError
        A store has no success or does not fit the settings; the message names it.

    Examples
    --------
    >>> import tempfile
    >>> import pipeline
    >>> folder = tempfile.TemporaryDirectory()
    >>> store = f"{folder.name}/tiny.zarr"
    >>> outcome = pipeline.run(pipeline.load_sweep("tiny"), store)
    >>> compare([store])[["store", "n", "outcome"]].values.tolist()
    [['tiny', 20, 'fitted'], ['tiny', 40, 'fitted'], ['tiny', 60, 'separated']]
    """
    return joined_cells(_answers(stores, settings))


def compare_laws(stores: Stores, **settings: Any) -> pd.DataFrame:
    """Return the scaling laws of several stores in one table.

    Parameters
    ----------
    stores, **settings
        As for `compare`.

    Returns
    -------
    pandas.DataFrame
        `store`, then the columns of `fit_laws`; no row for a store with too few critical widths.

    Raises
    ------
    InputError
        As `compare`.

    Examples
    --------
    >>> import tempfile
    >>> import pipeline
    >>> folder = tempfile.TemporaryDirectory()
    >>> store = f"{folder.name}/tiny.zarr"
    >>> outcome = pipeline.run(pipeline.load_sweep("tiny"), store)
    >>> laws = compare_laws([store])
    >>> sorted(laws.loc[laws.is_free, "law"])
    ['free']
    """
    return joined_laws(_answers(stores, settings))


def _answers(stores: Stores, settings: Mapping[str, Any]) -> dict[str, Answer]:
    tree = stores if isinstance(stores, xr.DataTree) else open_stores(stores)
    found = {}
    for name, node in tree.children.items():
        try:
            found[name] = answer_of(node.to_dataset(), **settings)
        except InputError as error:
            raise InputError(f"{name}: {error}") from error
    return found


def answer_of(ds: xr.Dataset, **settings: Any) -> Answer:
    """Fit the critical widths and laws of one store.

    Parameters
    ----------
    ds
        An opened store.
    **settings
        Keywords of `critical_widths`.
    """
    widths = critical_widths(ds, **settings)
    along = Along(*(str(widths.attrs[name]) for name in ("along", "direction", "scale")))
    cells, axes = _cells(widths, along, width_unit(ds))
    known = str(widths.attrs["rule"]), axes, cells
    lapses = lapse_words(widths, along.symbol)
    constant = _settings(ds)
    reasons = [
        *(causes_of_zero(ds) if (widths.outcome == "degenerate").any() else []),
        *disorder_words(widths, along.axis, along.symbol),
        *_missing_words(ds, settings),
    ]
    if norms := note_on_norms(ds):
        reasons = [norms, *reasons]
    if "budget" in widths.attrs:
        constant["budget"] = widths.attrs["budget"]
    try:
        with warnings.catch_warnings(record=True) as notes:
            warnings.simplefilter("always", UserWarning)
            laws = fit_laws(widths)
    except ValueError as error:
        return Answer(*known, None, str(error), constant, tuple(reasons), along, lapses)
    told = (*reasons, *(str(note.message) for note in notes))
    return Answer(*known, laws, distinguishable(laws), constant, told, along, lapses)


def _missing_words(ds: xr.Dataset, settings: Mapping[str, Any]) -> list[str]:
    """Return a note on the trials that fail because the condition compares a missing number."""
    success = Success.of(*(settings.get(name) for name in ("threshold", "budgets", "success")))
    count = undecided(ds, success)
    if not count:
        return []
    have = "1 trial has" if count == 1 else f"{count} trials have"
    return [f"{have} NaN in what {success.condition!r} compares, which counts as a failure"]


def _cells(widths: xr.Dataset, along: Along, unit: str) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return one row per cell with trials, and the columns that identify it.

    Along another axis than the width a cell has a width, which the table gives as k, and before that in
    the unit of the store if it is another.
    """
    axes = [str(dim) for dim in widths.outcome.dims]
    frame = widths.to_dataframe(dim_order=axes).reset_index()
    if along.is_width:
        for end in ("bracket_low", "bracket_high", "falls_from", "rises_from"):
            frame[end] = frame[end].round()  # whole widths that went through a logarithm
    else:
        if unit != "k":
            frame = frame.rename(columns={WIDTH: unit})
        place = axes.index(WIDTH)
        axes[place : place + 1] = ["k"] if unit == "k" else [unit, "k"]
        frame = frame[[*axes, *(name for name in frame if name not in (*axes, WIDTH))]]
    return frame[(frame["outcome"] != "empty") | (frame["pending"] > 0)], tuple(axes)


def _settings(ds: xr.Dataset) -> dict[str, Any]:
    """Return the settings of a store's trials."""
    fields = ds.attrs.get("identity_fields", {})
    found = {name: fields[name] for name in SETTINGS if name in fields}
    datasets = fields.get("dataset", [])
    found["dataset"] = [spec["kind"] for spec in datasets]
    for spec in datasets if len(datasets) == 1 else []:
        found |= {name: value for name, value in spec.items() if name != "kind"}
    if "rows" in found:  # a digest: its start distinguishes files
        found["rows"] = found["rows"][:8]
    descent = fields.get("descent") or {}
    found |= {key: descent[key] for key in ("step_size", "formula") if key in descent}
    found |= descent.get("settings", {})
    return {name: _plain(value) for name, value in found.items()}


def _plain(value: Any) -> Any:
    """Return a single value as it is, several as text."""
    if not isinstance(value, list | tuple):
        return value
    return value[0] if len(value) == 1 else ", ".join(map(str, value))


# --- one table ----------------------------------------------------------------------------------


def joined_cells(answers: Mapping[str, Answer]) -> pd.DataFrame:
    """Return the cells of stores in one table, as `compare` does."""
    parts = []
    for name, answer in answers.items():
        own = {key: value for key, value in answer.settings.items() if key not in answer.axes}
        parts.append(answer.cells.assign(store=name, rule=answer.rule, **own))
    whole = pd.concat(parts, ignore_index=True)
    first = _first_columns(answers, whole)
    cells = dict.fromkeys(column for answer in answers.values() for column in answer.cells)
    return whole[[*first, *(name for name in cells if name not in first)]]


def _first_columns(answers: Mapping[str, Answer], whole: pd.DataFrame) -> list[str]:
    """Return `store`, the columns of the settings that differ, and last d, n and the criteria."""
    axes = _each(axis for answer in answers.values() for axis in answer.axes)
    settings = _each(key for answer in answers.values() for key in answer.settings)
    columns = [name for name in settings if name in axes or whole[name].nunique() > 1]
    columns += [axis for axis in axes if axis not in columns]
    rule = ["rule"] if whole["rule"].nunique() > 1 else []
    last = [name for name in columns if name in LAST]
    return ["store", *rule, *(name for name in columns if name not in LAST), *last]


def _each(names: Iterable[str]) -> list[str]:
    """Return each name once, in the order of first appearance."""
    return list(dict.fromkeys(names))


def joined_laws(answers: Mapping[str, Answer]) -> pd.DataFrame:
    """Return the laws of stores in one table, as `compare_laws` does."""
    frames = {name: answer.laws for name, answer in answers.items() if answer.laws is not None}
    groups = _each(name for frame in frames.values() for name in group_columns(frame))
    parts = []
    for name, frame in frames.items():
        own = {key: value for key, value in answers[name].settings.items() if key in groups}
        parts.append(frame.assign(store=name, **{key: own[key] for key in own if key not in frame}))
    if not parts:
        return pd.DataFrame({"store": [], "law": []})
    whole = pd.concat(parts, ignore_index=True)
    first = ["store", *groups]
    return whole[[*first, *(name for name in whole if name not in first)]]
