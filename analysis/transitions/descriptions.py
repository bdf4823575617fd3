"""The names, meanings and units of the variables of an answer, along the width or another axis."""

from __future__ import annotations

import xarray as xr

from analysis.cells import OUTCOMES
from analysis.transitions.scales import ALONG_WIDTH, RISING, Along, Scale

__all__ = ["as_widths", "described", "renamed"]

VARIABLES = {
    "k50": ("critical width: success has probability 1/2", "hidden units"),
    "k50_low": ("lower end of the interval of k50; 0 if the data give none", "hidden units"),
    "k50_high": ("upper end of the interval of k50; inf if the data give none", "hidden units"),
    "slope": ("slope of the curve's linear predictor in log k", "1"),
    "slope_low": ("lower end of the interval of slope; 0 if the data give none", "1"),
    "slope_high": ("upper end of the interval of slope; inf if the data give none", "1"),
    "transition_width": ("ratio of the widths of 90% and 10% success", "1"),
    "transition_width_low": ("lower end of the interval of transition_width", "1"),
    "transition_width_high": (
        "upper end of the interval of transition_width; inf if the data give none",
        "1",
    ),
    "bracket_low": ("widest width up to which most trials fail; 0 for none", "hidden units"),
    "bracket_high": ("narrowest width from which most succeed; inf for none", "hidden units"),
    "outcome": ("outcome of the cell: " + ", ".join(OUTCOMES), "1"),
    "deviance": ("binomial deviance of the curve, from a free share at every width", "1"),
    "fit_p": ("share of tables simulated from the curve that deviate from it as much as the data", "1"),
    "k50_isotonic": ("width at which the isotonic fit passes 1/2, without a curve", "hidden units"),
    "k50_isotonic_low": ("lower end of the interval of k50_isotonic", "hidden units"),
    "k50_isotonic_high": ("upper end of the interval of k50_isotonic", "hidden units"),
    "k_crossing": ("median over seeds of one past the last failing width", "hidden units"),
    "k_crossing_low": ("lower end of the interval of k_crossing", "hidden units"),
    "k_crossing_high": ("upper end of the interval of k_crossing", "hidden units"),
    "falls_from": ("last width at which most succeed before success falls again", "hidden units"),
    "rises_from": ("last width at which most fail before success rises again", "hidden units"),
    "seeds": ("seeds with a counted trial", "1"),
    "trials": ("counted trials: done or diverged", "1"),
    "pending": ("trials still to be run", "1"),
    "failed": ("trials that raised an error and are not counted", "1"),
    "alpha": ("median over seeds of the square root of the kernel's smallest eigenvalue", "1"),
    "alpha_error": ("largest error of alpha of a seed; 0: exactly known to be 0", "1"),
    "k_edge": ("median over seeds of the width predicted by the spectral edge", "hidden units"),
    "k_edge_finite": ("k_edge with the finite-size shift of the edge", "hidden units"),
    "successes": ("successful trials", "1"),
    "lapse": ("lapse rate: share of trials that fail however far beyond the transition", "1"),
    "lapse_low": ("lower end of the interval of lapse", "1"),
    "lapse_high": ("upper end of the interval of lapse", "1"),
    "lapse_delta_aicc": ("AICc without lapses minus AICc with them", "1"),
}
"""The meaning and the unit of each variable, along the width."""

OF_AXIS = {
    "k50": "critical {axis}: success has probability 1/2",
    "k50_low": "lower end of the interval of {k}50; {least} if the data give none",
    "k50_high": "upper end of the interval of {k}50; inf if the data give none",
    "slope": "slope of the curve's linear predictor in {covariate}",
    "transition_width": "{apart} the {axis} of 90% and of 10% success",
    "bracket_low": "{axis} up to which most trials {first}; {least} for none",
    "bracket_high": "{axis} from which most {second}; inf for none",
    "k50_isotonic": "{axis} at which the isotonic fit passes 1/2, without a curve",
    "k50_isotonic_low": "lower end of the interval of {k}50_isotonic",
    "k50_isotonic_high": "upper end of the interval of {k}50_isotonic",
    "falls_from": "{axis} at which most trials succeed, next to others at which most fail",
    "rises_from": "{axis} at which most trials fail, next to others at which most succeed",
    "k_crossing": "median over seeds of the {axis} from which a seed always succeeds",
    "k_crossing_low": "lower end of the interval of {k}_crossing",
    "k_crossing_high": "upper end of the interval of {k}_crossing",
}
"""The meanings that differ along another axis; units of the width become units of that axis."""


def renamed(name: str, along: Along) -> str:
    """Return the name of a variable along an axis: k50 is n50 along n."""
    if name.startswith(("k50", "k_crossing")):
        return along.symbol + name.removeprefix("k")
    return name


def as_widths(out: xr.Dataset, along: Along) -> xr.Dataset:
    """Return an answer along any axis with the names of one along the width."""
    own = {renamed(name, along): name for name in VARIABLES}
    return out.rename(
        {name: own[str(name)] for name in out.data_vars if own.get(str(name), name) != name}
    )


def described(out: xr.Dataset, along: Along = ALONG_WIDTH, scale: Scale = RISING) -> xr.Dataset:
    """Give each variable of an answer, which has its name along the axis, its meaning and unit."""
    words = {
        "axis": along.axis,
        "k": along.symbol,
        "least": "0" if scale.logarithmic else "-inf",
        "covariate": f"log {along.axis}" if scale.logarithmic else along.axis,
        "apart": "ratio of" if scale.logarithmic else "distance between",
        "first": "succeed" if scale.falling else "fail",
        "second": "fail" if scale.falling else "succeed",
    }
    unit = str(out.attrs.get("unit", "1"))
    for own, (long_name, units) in VARIABLES.items():
        name = renamed(own, along)
        if name not in out:
            continue
        if not along.is_width or scale.falling:
            long_name = OF_AXIS.get(own, long_name).format(**words)
            units = unit if units == "hidden units" and not along.is_width else units
        if own.startswith("transition_width") and not scale.logarithmic:
            units = unit
        out[name].attrs = {"long_name": long_name, "units": units}
    return out
