"""The axis along which success changes: its values, and the covariate in which curves rise.

Curves are fitted in a covariate u in which success rises. Along positive values it is their logarithm,
along any others the values themselves; where success falls, it is minus that. So everything between a
table of outcomes and its critical value knows rising curves only, and `Scale` translates at both ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from analysis.cells import width_label
from pipeline.errors import InputError, ParameterError, shortened

__all__ = [
    "ALONG_WIDTH",
    "DIRECTIONS",
    "RISING",
    "SCALES",
    "WIDTH",
    "Along",
    "Scale",
    "axis_values",
    "checked",
    "one_width_words",
    "other_axes",
    "scale_of",
]

Floats = npt.NDArray[np.float64]

WIDTH = "width"
DIRECTIONS = ("rising", "falling")
SCALES = ("log", "linear")


class Scale(NamedTuple):
    """The way from the values of an axis to the covariate of rising curves, and back."""

    logarithmic: bool = True
    falling: bool = False

    def covariate(self, values: npt.ArrayLike) -> Floats:
        """Return the covariates of values."""
        found = np.asarray(values, dtype=np.float64)
        found = np.log(found) if self.logarithmic else found
        return -found if self.falling else found

    def value(self, covariate: float) -> float:
        """Return the value at a covariate."""
        signed = -covariate if self.falling else covariate
        return float(np.exp(signed)) if self.logarithmic else float(signed)

    def interval(self, *covariates: float) -> tuple[float, ...]:
        """Return the values of a middle and of the two ends after it, which come in ascending order."""
        found = [self.value(covariate) for covariate in covariates]
        if self.falling:
            found[-2:] = found[:-3:-1]
        return tuple(found)

    @property
    def least(self) -> float:
        """The value below all others: 0, or minus infinity."""
        return 0.0 if self.logarithmic else -np.inf

    def upright(self, values: npt.ArrayLike) -> Floats:
        """Return values in which success rises: those of the axis, inverted or with the other sign.

        Applied twice, it gives the values themselves.
        """
        found = np.asarray(values, dtype=np.float64)
        if not self.falling:
            return found
        if not self.logarithmic:
            return -found
        with np.errstate(divide="ignore"):
            inverse: Floats = 1 / found
        return inverse

    def middle(self, first: float, second: float) -> float:
        """Return the middle of two values: the geometric one on a logarithmic axis."""
        if first == second:
            return first
        return float(np.sqrt(first * second)) if self.logarithmic else (first + second) / 2


RISING = Scale()
"""The scale of widths: success rises with log k."""


@dataclass(frozen=True)
class Along:
    """The axis along which a critical value is sought, as a user chooses it.

    Attributes
    ----------
    axis
        A dimension of the store with numbers; k is the width.
    direction
        "rising" or "falling" success. None: rising along the width; along any other axis the data
        decide, all cells together.
    scale
        "log" or "linear". None: log if all values are positive.
    """

    axis: str = WIDTH
    direction: str | None = None
    scale: str | None = None

    def __post_init__(self) -> None:
        if self.axis == "k":  # as tables call the width
            object.__setattr__(self, "axis", WIDTH)

    @property
    def is_width(self) -> bool:
        """True for the width, the axis of all other questions of this package."""
        return self.axis == WIDTH

    @property
    def symbol(self) -> str:
        """The letter or word of the critical value, as in k50, n50, noise50."""
        return "k" if self.is_width else self.axis


ALONG_WIDTH = Along()
"""The question of all other parts of this package."""


def axis_values(ds: xr.Dataset, axis: str) -> xr.DataArray:
    """Return the values along an axis of a store; those of the width are k."""
    return ds.k if axis == WIDTH else ds[axis].reset_coords(drop=True)


def checked(ds: xr.Dataset, along: str | Along, direction: str | None, scale: str | None) -> Along:
    """Return a choice of axis that suits a store.

    Raises
    ------
    ParameterError
        The store has no such axis, its values are no numbers, or a word is unknown.
    InputError
        The width of a cell is not the same along the axis.
    """
    along = along if isinstance(along, Along) else Along(along, direction, scale)
    for name, got, known in (
        ("direction", along.direction, DIRECTIONS),
        ("scale", along.scale, SCALES),
    ):
        if got is not None and got not in known:
            raise ParameterError(name, f"got {got!r}; expected one of {', '.join(known)}")
    if not along.is_width:
        _check_axis(ds, along.axis)
        _check_widths(ds, along.axis)
    if along.scale == "log" and float(axis_values(ds, along.axis).min()) <= 0:
        least = float(axis_values(ds, along.axis).min())
        raise ParameterError("scale", f"got 'log', but {along.axis} = {least:g} occurs; take 'linear'")
    return along


def other_axes(ds: xr.Dataset) -> list[str]:
    """Return the axes beside the width along which a store can have a transition."""
    return [
        str(dim)
        for dim in ds.status.dims
        if dim not in ("seed", WIDTH) and ds[dim].dtype.kind in "iuf" and ds.sizes[dim] > 1
    ]


def one_width_words(ds: xr.Dataset) -> str:
    """Return that a store has one width, and what to do; "" if it has several."""
    if ds.sizes[WIDTH] > 1:
        return ""
    axes = other_axes(ds)
    if not axes:
        return "the store has one width, and no other axis with several numbers to look along"
    some = f"--along {axes[0]}" if len(axes) == 1 else f"--along with one of {', '.join(axes)}"
    return f"the store has one width, where nothing can change; give {some}"


def _check_axis(ds: xr.Dataset, axis: str) -> None:
    numeric = other_axes(ds)
    if axis in numeric:
        return
    expected = f"expected one of {', '.join([WIDTH, *numeric])}"
    constants = ds.attrs.get("identity_fields", {}).get("parameters", {})
    if axis not in ds.status.dims and axis in constants:
        value = shortened(repr(constants[axis]))
        raise ParameterError(
            "along",
            f"{axis} is the constant {value} of this store, where nothing can change; {expected} (a "
            "list below [parameters] makes an axis)",
        )
    if axis not in ds.status.dims:
        raise ParameterError("along", f"got {axis!r}, which is no axis of the store; {expected}")
    if ds.sizes[axis] < 2:
        value = ds[axis].values[0]
        raise ParameterError(
            "along", f"the store has only {axis} = {value}, where nothing can change; {expected}"
        )
    raise ParameterError("along", f"got {axis!r}, whose values have no order as numbers; {expected}")


def _check_widths(ds: xr.Dataset, axis: str) -> None:
    """Refuse a store whose cells of one place on the width do not have one k along the axis."""
    if axis not in ds.k.dims:
        return
    low, high = ds.k.min(axis), ds.k.max(axis)
    if bool((low == high).all()):
        return
    at = {dim: index[0] for dim, index in zip(low.dims, np.nonzero((low != high).values), strict=True)}
    place = width_label(ds, WIDTH, ds[WIDTH].values[at[WIDTH]])
    raise InputError(
        f"along {axis}: a cell has one width, but at {place} k goes from {int(low[at])} to "
        f"{int(high[at])} along {axis}; expected a sweep that gives its widths as k, such as "
        "width = { k = [50, 100, 200] }"
    )


def scale_of(
    along: Along, values: xr.DataArray, succeeded: xr.DataArray, counted: xr.DataArray
) -> Scale:
    """Return the scale of a choice; the data decide what it leaves open.

    Parameters
    ----------
    along
        From `checked`.
    values
        From `axis_values`.
    succeeded, counted
        (cells..., axis, seed) outcomes.
    """
    logarithmic = along.scale == "log" if along.scale else bool((values > 0).all())
    if along.direction is not None or along.is_width:
        return Scale(logarithmic, along.direction == "falling")
    x = xr.DataArray(Scale(logarithmic).covariate(values), dims=values.dims)
    won, tried = (a.sum("seed").astype(float) for a in (succeeded & counted, counted))
    trials = tried.sum(along.axis)
    some = trials.where(trials > 0, 1)
    share, centre = won.sum(along.axis) / some, (tried * x).sum(along.axis) / some
    # The score of a slope, summed over all cells.
    score = float(((won - share * tried) * (x - centre)).sum())
    return Scale(logarithmic, score < 0)
