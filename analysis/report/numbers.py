"""Numbers as the report writes them: three digits, groups of three, intervals in brackets."""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.signs import RAISED, THIN_SPACE

__all__ = ["axis_value", "number", "short", "whole", "wilson", "with_interval"]


def number(value: Any, digits: int = 3) -> str:
    """Return a number with some significant digits: `213`, `0.0123`, `2.1×10⁵`; a dash for NaN."""
    value = float(value)
    if np.isnan(value):
        return "–"
    if np.isinf(value):
        return "∞" if value > 0 else "−∞"
    mantissa, _, power = f"{value:.{digits - 1}e}".partition("e")
    if value and not -3 <= int(power) < max(digits + 2, 5):
        return _raised(mantissa, power)
    decimals = max(0, digits - 1 - int(power)) if value else 0
    return f"{value:,.{decimals}f}".replace(",", THIN_SPACE).replace("-", "−")


def _raised(mantissa: str, power: str) -> str:
    return f"{mantissa}×10{str(int(power)).translate(RAISED)}".replace("-", "−")


def short(value: float) -> str:
    """Return a coordinate in pixels with one decimal, or none if it is whole: `62`, `280.1`."""
    return f"{value:.1f}".removesuffix(".0")


def whole(value: Any) -> str:
    """Return a count in groups of three digits: `15 360`."""
    return f"{int(value):,}".replace(",", THIN_SPACE) if np.isfinite(value) else number(value)


def axis_value(value: Any) -> str:
    """Return a value of an axis with all its digits: `0.001`, `1.5`, `20 000`, `10⁻⁸`."""
    value = float(value)
    if value.is_integer() and abs(value) < 1e9:
        return whole(value)
    mantissa, _, power = f"{value:.6g}".partition("e")
    return _raised(mantissa, power).removeprefix("1×") if power else mantissa.replace("-", "−")


def with_interval(k: float, low: float = np.nan, high: float = np.nan) -> str:
    """Return a critical width with its interval, `213 [207, 219]`, or alone if that is unknown."""
    if np.isnan(k):
        return "–"
    if np.isnan(low) or np.isnan(high):
        return number(k)
    return f"{number(k)} [{number(low)}, {number(high)}]"


def wilson(successes: int, trials: int, reach: float = 1.959963984540054) -> tuple[float, float]:
    """Return Wilson's 95% interval of a share: the shares that a score test does not reject.

    Parameters
    ----------
    successes, trials
        Counts; at least one trial.
    reach
        Quantile of the normal distribution for the level.

    Returns
    -------
    tuple of float
        The ends, within [0, 1].
    """
    share, weight = successes / trials, reach**2 / trials
    centre = (share + weight / 2) / (1 + weight)
    arm = reach / (1 + weight) * np.sqrt(share * (1 - share) / trials + weight / (4 * trials))
    return max(0.0, float(centre - arm)), min(1.0, float(centre + arm))
