"""How the report writes numbers and formulas: three digits, intervals in brackets, true signs."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from markupsafe import Markup, escape

from analysis.signs import RAISED

__all__ = ["given", "number", "typeset", "whole", "width_words", "wilson"]

THIN = "\u202f"
SIGNS = (
    (re.compile(r"\bsigma_(min|max)\b"), r"σ<sub>\1</sub>"),
    (re.compile(r"\btheta\^\+"), "θ<sup>†</sup>"),
    (re.compile(r"\bX\^\+"), "X<sup>†</sup>"),
    (re.compile(r"\btheta_0\b"), "θ<sub>0</sub>"),
    (re.compile(r"\bPi_null\b"), "Π<sub>null</sub>"),
    (re.compile(r"\br_T\b"), "r<sub>T</sub>"),
    (re.compile(r"\br0\b"), "r<sub>0</sub>"),
    (re.compile(r"\balpha\b"), "α"),
    (re.compile(r"\bbeta\b"), "β"),
    (re.compile(r"\bdelta AICc\b"), "ΔAICc"),
    (re.compile(r"\bdelta\b"), "δ"),
    (re.compile(r"\bPhi\b"), "Φ"),
    (re.compile(r"\btheta\b"), "θ"),
    (re.compile(r"\bphi\b"), "φ"),
    (re.compile(r"\bGamma\b"), "Γ"),
    (re.compile(r"\beta\b"), "η"),
    (re.compile(r"\beps\b"), "ε"),
    (re.compile(r"sqrt\(([^()]+)\)"), r"√\1"),
    (re.compile(r"\bsqrt k\b"), "√k"),
    (re.compile(r"\|\|"), "‖"),
    (re.compile(r"\^(?:([-+]?\d+(?:\.\d+)?|T\b)|\(([^()]*)\))"), r"<sup>\1\2</sup>"),
    (re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)e([+-]?)0*(\d+)\b"), r"\1×10<sup>\2\3</sup>"),
    (re.compile(r"(?<![\w.])1×10<sup>"), "10<sup>"),
    (re.compile(r"<sup>\+"), "<sup>"),
    (re.compile(r"(?<=<sup>)-|(?<=[ (\[=])-(?=\d)|(?<= )-(?= )"), "−"),
    (re.compile(r"(?<=\d)(?=(?:\d{3})+ steps\b)"), THIN),
    (re.compile(r"\binf\b"), "∞"),
    (re.compile(r"&gt;="), "≥"),
    (re.compile(r"&lt;="), "≤"),
    (re.compile(r"\bk(?:\*|50\b)"), "k<sup>*</sup>"),
)


def typeset(words: object) -> Markup:
    """Turn a formula in the letters of the keyboard into signs; all else stays text."""
    text = str(escape(words))
    for pattern, sign in SIGNS:
        text = pattern.sub(sign, text)
    return Markup(text)  # escaped above; what was put in is of this file


def number(value: Any, digits: int = 3) -> str:
    """A number with so many digits: `213`, `0.0123`, `2.1×10⁵`; a dash where there is none."""
    value = float(value)
    if np.isnan(value):
        return "–"
    if np.isinf(value):
        return "∞" if value > 0 else "−∞"
    mantissa, _, power = f"{value:.{digits - 1}e}".partition("e")
    if value and not -3 <= int(power) < max(digits + 2, 5):
        return _raised(mantissa, power)
    places = max(0, digits - 1 - int(power)) if value else 0
    return f"{value:,.{places}f}".replace(",", THIN).replace("-", "−")


def _raised(mantissa: str, power: str) -> str:
    return f"{mantissa}×10{str(int(power)).translate(RAISED)}".replace("-", "−")


def whole(value: Any) -> str:
    """A count, in groups of three digits: `15 360`."""
    return f"{int(value):,}".replace(",", THIN) if np.isfinite(value) else number(value)


def given(value: Any) -> str:
    """A value of an axis as it was given: `0.001`, `1.5`, `20 000`, `10⁻⁸`."""
    value = float(value)
    if value.is_integer() and abs(value) < 1e9:
        return whole(value)
    mantissa, _, power = f"{value:.6g}".partition("e")
    return _raised(mantissa, power).removeprefix("1×") if power else mantissa.replace("-", "−")


def width_words(k: float, low: float = np.nan, high: float = np.nan) -> str:
    """A critical width with its interval, `213 [207, 219]`; an end that is not known is left open."""
    if np.isnan(k):
        return "–"
    if np.isnan(low) or np.isnan(high):
        return number(k)
    return f"{number(k)} [{number(low)}, {number(high)}]"


def wilson(successes: int, trials: int, reach: float = 1.959963984540054) -> tuple[float, float]:
    """Wilson's 95% interval of a share: the shares that a score test does not refuse.

    Parameters
    ----------
    successes, trials
        Counts; at least one trial.
    reach
        Normal quantile of the level.

    Returns
    -------
    tuple of float
        Its ends, within [0, 1].
    """
    share, weight = successes / trials, reach**2 / trials
    centre = (share + weight / 2) / (1 + weight)
    arm = reach / (1 + weight) * np.sqrt(share * (1 - share) / trials + weight / (4 * trials))
    return max(0.0, float(centre - arm)), min(1.0, float(centre + arm))
