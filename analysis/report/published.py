"""Published numbers beside those of a store: a row for each one whose experiment the store is of.

Other people's experiments are sweeps in `jobs/examples`; a file there lists the numbers that they
published, and how a store of such a sweep gives its own. A number of ours is always computed from the
outcomes of the store, by the analysis that `fit` and `query` use. A store is of an example if it has
the name, the settings and the code of its sweep; it may have other sizes, seeds and entropy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr
from scipy.special import stdtrit

from analysis.expressions import QueryError
from analysis.query.restriction import restrict
from analysis.query.summaries import summarise
from analysis.report.numbers import axis_value, with_interval
from analysis.scaling.laws import exponents_of
from analysis.study import Study
from analysis.success import Success
from analysis.transitions.descriptions import renamed
from analysis.transitions.scales import WIDTH, Along
from pipeline.store.code import accepted_digests
from pipeline.sweep_files.documents import BadDocument, read_document

__all__ = ["Compared", "Example", "Published", "compared"]

EXTENTS = {"d", "n", "width", "seeds", "entropy", "nested", "only", "exclude", "pairs", "grid"}
"""Keys of a sweep that say which trials it has, not what a trial is."""

UNKNOWN = (np.nan, np.nan, np.nan)
"""A number that the store does not give, with its interval."""


@dataclass(frozen=True)
class Example:
    """The sweep of an example, as far as it decides which stores are of it.

    Attributes
    ----------
    document
        Its sweep file.
    digest
        Digest of its code; empty if it has none of its own.
    """

    document: Mapping[str, Any]
    digest: str = ""

    def made(self, ds: xr.Dataset) -> bool:
        """Return True if a store is of this sweep."""
        if ds.attrs.get("name") != self.document["name"] or self.digest not in _digests(ds.attrs):
            return False
        try:
            return _settings(read_document(str(ds.attrs.get("sweep", "")))) == self._settings
        except BadDocument:
            return False

    @cached_property
    def _settings(self) -> dict[str, Any]:
        return _settings(self.document)


def _digests(attributes: Mapping[str, Any]) -> list[str]:
    """Return the digest of a store's own code, and of code that was accepted for it; "" for none."""
    own = attributes.get("own")
    if not isinstance(own, Mapping):
        return [""]
    return [str(own.get("digest")), *accepted_digests(attributes)]


def _settings(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys of a sweep that decide what a trial is; lists of [parameters] are extents too."""
    found = {key: value for key, value in document.items() if key not in EXTENTS}
    parameters = document.get("parameters")
    if isinstance(parameters, Mapping):
        constants = {key: one for key, one in parameters.items() if not isinstance(one, list)}
        found["parameters"] = constants
    if isinstance(found.get("activation"), list):
        del found["activation"]
    return found


@dataclass(frozen=True)
class Published:
    """A published number, where it stands, and how a store of the same experiment gives its own.

    Attributes
    ----------
    example
        The sweep of the experiment.
    quantity
        Its name as a reader knows it.
    value, low, high
        The number, and its range if one is published.
    bound
        True if all that is published is that the quantity is at least `value`.
    source
        Paper, and figure, section or file.
    setting
        The sizes and the protocol that the number belongs to.
    differs
        What is different in the sweep of the example.
    where
        Condition on the trials that give ours.
    along, success
        The axis and the success of a critical value.
    exponent
        Variable of the free law of the critical values, whose exponent is compared.
    column, statistic
        Instead of a critical value: a statistic of an expression over the trials. A mean is that of the
        means of the seeds, with an interval.
    """

    example: Example
    quantity: str
    value: float
    source: str
    setting: str
    differs: str = ""
    low: float = np.nan
    high: float = np.nan
    bound: bool = False
    where: str | None = None
    along: str = WIDTH
    success: str | None = None
    exponent: str = ""
    column: str = ""
    statistic: str = "mean"

    @property
    def text(self) -> str:
        """The number with its range."""
        spread = "" if np.isnan(self.low) else f" ({axis_value(self.low)} to {axis_value(self.high)})"
        return f"{'≥ ' if self.bound else ''}{axis_value(self.value)}{spread}".replace("-", "−")


@dataclass(frozen=True)
class Compared:
    """A published number beside the one of a store, with its 95% interval."""

    published: Published
    value: float
    low: float
    high: float

    @property
    def text(self) -> str:
        """Our number with its interval; a dash where the store has none yet."""
        return with_interval(self.value, self.low, self.high)

    @property
    def ratio(self) -> str:
        """Ours over theirs, with the interval of ours."""
        ends = (end / self.published.value for end in (self.low, self.high))
        return with_interval(self.value / self.published.value, *sorted(ends))


def compared(numbers: Iterable[Published], ds: xr.Dataset) -> list[Compared]:
    """Return the published numbers whose experiment a store is of, beside those of the store.

    A number that concerns other sizes than the store has is left out.
    """
    rows = []
    for one in numbers:
        if not one.example.made(ds):
            continue
        try:
            part = restrict(ds, one.where)
        except QueryError:  # the store has no such trial
            continue
        rows.append(Compared(one, *_ours(one, part)))
    return rows


def _ours(one: Published, part: xr.Dataset) -> tuple[float, float, float]:
    """Return the number that some trials give, with its interval."""
    if one.column:
        return _statistic(one, part)
    study = Study(part, Success(condition=one.success), Along(one.along))
    return _exponent(study, one.exponent) if one.exponent else _critical(study)


def _critical(study: Study) -> tuple[float, float, float]:
    """Return the critical value of the only cell, with its interval."""
    widths = study.widths
    if widths.outcome.size != 1:
        return UNKNOWN
    name = renamed("k50", study.along)
    value, low, high = (float(widths[f"{name}{end}"].item()) for end in ("", "_low", "_high"))
    return value, low, high


def _exponent(study: Study, variable: str) -> tuple[float, float, float]:
    """Return an exponent of the free law of the only group, with its interval."""
    try:
        laws = study.laws
    except ValueError:  # too few critical values
        return UNKNOWN
    free = laws[laws["law"] == "free"]  # powers of all variables
    if len(free) != 1:
        return UNKNOWN
    found = {name: values for name, *values in exponents_of(free.iloc[0])}
    value, low, high = found.get(variable, UNKNOWN)
    return value, low, high


def _statistic(one: Published, part: xr.Dataset) -> tuple[float, float, float]:
    """Return a statistic of a column; the mean over seeds with its interval, any other one alone."""
    if one.statistic != "mean":
        whole = summarise(part, None, [one.column], [one.statistic])
        return float(whole.to_numpy(float)[0, -1]), np.nan, np.nan
    by_seed = summarise(part, None, [one.column], ["mean"], by=["seed"]).iloc[:, -1].dropna()
    mean, count = float(by_seed.mean()), len(by_seed)
    if count < 2:
        return mean, np.nan, np.nan
    reach = float(stdtrit(count - 1, 0.975) * by_seed.std() / np.sqrt(count))
    return mean, mean - reach, mean + reach
