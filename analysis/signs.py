"""Signs in place of the letters of the keyboard, for figures and reports."""

from __future__ import annotations

import re

__all__ = ["RAISED", "signs"]

RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
"""Digits and minus as superscripts, for `str.translate`."""

_SIGNS = {
    "sigma_min": "σ_min",
    "sqrt(k)": "√k",
    ">=": "≥",
    "<=": "≤",
    "alpha": "α",
    "^2": "²",
    "^3": "³",
    "^4": "⁴",
}
_THOUSANDS = re.compile(r"(?<=\d)(?=(?:\d{3})+ steps\b)")


def signs(formula: str) -> str:
    """Return a rule of success or a law with mathematical signs, as a figure writes it."""
    for word, sign in _SIGNS.items():
        formula = formula.replace(word, sign)
    return _THOUSANDS.sub(",", formula)
