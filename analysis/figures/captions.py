"""Captions of figures: what is drawn, over which trials, by which criterion, and what intervals mean.

A caption is plain text, the same in FIGURE.txt, in the report and for screen readers. The first part
is the docstring of the function that draws, so that it lies beside what it describes. The sentences
here hold for every kind of figure; they are read from the store and from its critical widths.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from analysis.axes import CELL, TRAINED, own_axes
from analysis.cells import UNITS, is_open, width_unit
from analysis.signs import RAISED, signs
from analysis.study import Study
from analysis.success.rules import rule_for
from analysis.transitions.descriptions import as_widths, renamed
from pipeline.axes import AXES
from pipeline.trial_status import Status

__all__ = ["criterion", "intervals", "trials"]

MOST_VALUES = 6
"""Number of values of an axis that a caption lists; of more it gives the number and the ends."""


def trials(ds: xr.Dataset) -> str:
    """Return the sentences on the trials of a store: their axes, seeds and outcomes."""
    axes = [text for dim in CELL if (text := _axis(dim, _values(ds, dim)))]
    axes += [_parameter(dim, ds[dim].values) for dim in own_axes(ds)]
    if not (ds.k == 1).all():  # linear regression has no width
        axes.append(_numbers(UNITS[width_unit(ds)], ds.width.values))
    if "tolerance" in ds.dims:
        axes.append(_numbers("tolerance", ds.tolerance.values))
    name, condition = str(ds.attrs.get("name", "")), ds.attrs.get("where")
    told = [f"Trials of the sweep {name}: {'; '.join(axes)}; {_seeds(ds)}."]
    if condition:
        told.append(f"Only trials with {condition} are shown.")
    return " ".join([*told, _outcomes(ds)])


def criterion(study: Study) -> str:
    """Return the sentence on the success of a trial and on the critical width."""
    along = study.along
    words = signs(rule_for(study.ds, study.success, along.axis).words)
    name, value = ("width k*", "width") if along.is_width else (along.axis, f"value of {along.axis}")
    of_these = "trials that do not lapse" if study.lapse else "trials"
    return (
        f"Criterion of success: {words}. The critical {name} is the {value} at which half of the "
        f"{of_these} succeed."
    )


def intervals(study: Study) -> str:
    """Return the sentences on the intervals of the critical widths."""
    about = study.widths.attrs
    method, name = str(about["interval_method"]), "k*" if study.along.is_width else "it"
    method = method.replace("k50", name if study.along.is_width else renamed("k50", study.along))
    bars = f"Bars are {float(about['confidence']):.0%} intervals of {name} ({method})."
    if is_open(as_widths(study.widths, study.along)).any():
        whose = "a k*" if study.along.is_width else "one"
        bars += (
            f" A hollow marker is {whose} whose interval lacks an end, because its seeds are too few."
        )
    return bars


# --- axes -----------------------------------------------------------------------------------------


def _values(ds: xr.Dataset, dim: str) -> Sequence[Any]:
    """Return the values on an axis, which a store omits as a dimension if there is only one."""
    if dim in ds.dims:
        return list(ds[dim].values.tolist())
    found = ds.attrs.get(dim, ds.attrs.get("identity_fields", {}).get(dim, []))
    return list(found) if isinstance(found, list | tuple) else [found]


def _axis(dim: str, values: Sequence[Any]) -> str:
    """Return the values on an axis as text; "" for an axis that does not occur."""
    if not values or (dim == "angle" and not any(values)):
        return ""
    if dim == "trained":
        return _listed([TRAINED[str(value)] for value in values])
    if AXES[dim].symbol or dim == "angle":
        return _numbers(AXES[dim].symbol or dim, values)
    return f"{dim} {_listed(list(map(str, values)))}"


def _parameter(name: str, values: Any) -> str:
    """Return the values of a parameter of one's own experiment: numbers, or text."""
    if np.issubdtype(values.dtype, np.number):
        return _numbers(name, values)
    return f"{name} {_listed(list(map(str, values.tolist())))}"


def _numbers(name: str, values: Any) -> str:
    found = np.unique(np.asarray(values, dtype=float))
    if len(found) <= MOST_VALUES:
        return f"{name} = {_listed([_number(value) for value in found])}"
    return f"{len(found)} values of {name} from {_number(found[0])} to {_number(found[-1])}"


def _listed(words: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def _number(value: float) -> str:
    """Return a number as plain text: `400`, `1,000`, `0.25`, `10⁻⁸`."""
    if value and not 1e-4 <= abs(value) < 1e6:
        mantissa, _, power = f"{value:.2e}".partition("e")
        factor = "" if float(mantissa) == 1 else f"{float(mantissa):g}×"
        return f"{factor}10{str(int(power)).translate(RAISED)}"
    return f"{value:,.0f}" if value == int(value) else f"{value:.3g}"


# --- seeds and outcomes ---------------------------------------------------------------------------


def _seeds(ds: xr.Dataset) -> str:
    """Return the number of seeds at each width, over the combinations that have any."""
    asked = ~ds.status.isin([status for status in Status if not status.is_requested])
    counts = np.asarray(asked.sum("seed").values).ravel()
    least, most = int(counts[counts > 0].min(initial=ds.sizes["seed"])), int(counts.max(initial=0))
    number = f"{least} to {most}" if least < most else str(most)
    return f"{number} {'seed' if most == 1 else 'seeds'} for each combination"


def _outcomes(ds: xr.Dataset) -> str:
    counts = Counter(ds.status.values.ravel().tolist())
    shown = [status for status in Status if status.is_requested and counts[status]]
    shown.sort(key=lambda status: status != Status.DONE)
    return f"Outcomes: {', '.join(f'{counts[status]:,} {status.word}' for status in shown)}."
