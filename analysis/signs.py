"""Mathematical signs in place of the letters of the keyboard, for figures and reports.

Rules of success, laws and claims are written as plain text, such as `sigma_min >= alpha sqrt(k) / 2`.
One table says how each symbol is written in a figure and in HTML.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from markupsafe import Markup, escape

from pipeline.printable import one_line

__all__ = ["RAISED", "THIN_SPACE", "literal", "signs", "typeset"]

RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
"""Digits and minus as superscripts, for `str.translate`."""

THIN_SPACE = "\u202f"
"""Separates groups of three digits in reports."""


class _Sign(NamedTuple):
    """A pattern of escaped text, with its replacements; figures keep the text if theirs is None."""

    pattern: str
    figure: str | None
    html: str


_TABLE = (
    _Sign(r"\bsigma_(min|max)\b", r"σ_\1", r"σ<sub>\1</sub>"),
    _Sign(r"\bk_inf\b", None, "k<sub>∞</sub>"),
    _Sign(r"\btheta\^\+", None, "θ<sup>†</sup>"),
    _Sign(r"\bX\^\+", None, "X<sup>†</sup>"),
    _Sign(r"\btheta_0\b", None, "θ<sub>0</sub>"),
    _Sign(r"\bPi_null\b", None, "Π<sub>null</sub>"),
    _Sign(r"\br_T\b", None, "r<sub>T</sub>"),
    _Sign(r"\br0\b", None, "r<sub>0</sub>"),
    _Sign(r"\balpha\b", "α", "α"),
    _Sign(r"\bbeta\b", None, "β"),
    _Sign(r"\bdelta AICc\b", None, "ΔAICc"),
    _Sign(r"\bdelta\b", None, "δ"),
    _Sign(r"\bPhi\b", None, "Φ"),
    _Sign(r"\btheta\b", None, "θ"),
    _Sign(r"\bphi\b", None, "φ"),
    _Sign(r"\bGamma\b", None, "Γ"),
    _Sign(r"\beta\b", None, "η"),
    _Sign(r"\beps\b", None, "ε"),
    _Sign(r"sqrt\(([^()]+)\)", r"√\1", r"√\1"),
    _Sign(r"\bsqrt k\b", None, "√k"),
    _Sign(r"\|\|", None, "‖"),
    _Sign(r"\^2(?![\d.])", "²", "<sup>2</sup>"),
    _Sign(r"\^3(?![\d.])", "³", "<sup>3</sup>"),
    _Sign(r"\^4(?![\d.])", "⁴", "<sup>4</sup>"),
    _Sign(r"\^(?:([-+]?\d+(?:\.\d+)?|T\b)|\(([^()]*)\))", None, r"<sup>\1\2</sup>"),
    _Sign(r"(?<![\w.])(\d+(?:\.\d+)?)e([+-]?)0*(\d+)\b", None, r"\1×10<sup>\2\3</sup>"),
    _Sign(r"(?<![\w.])1×10<sup>", None, "10<sup>"),
    _Sign(r"<sup>\+", None, "<sup>"),
    _Sign(r"(?<=<sup>)-|(?<=[ (\[=])-(?=\d)|(?<= )-(?= )", None, "−"),
    _Sign(r"(?<=\d)(?=(?:\d{3})+ steps\b)", ",", THIN_SPACE),
    _Sign(r"\binf\b", None, "∞"),
    _Sign(r"&gt;=", "≥", "≥"),
    _Sign(r"&lt;=", "≤", "≤"),
    _Sign(r"\bk(?:\*|50\b)", None, "k<sup>*</sup>"),
)
_FIGURE = [(re.compile(sign.pattern), sign.figure) for sign in _TABLE if sign.figure is not None]
_HTML = [(re.compile(sign.pattern), sign.html) for sign in _TABLE]


def signs(formula: str) -> str:
    """Return a rule of success or a law with mathematical signs, as a figure writes it."""
    text = str(escape(formula))
    for pattern, sign in _FIGURE:
        text = pattern.sub(sign, text)
    return literal(Markup(text).unescape())


def literal(text: str) -> str:
    """Return text that a figure shows as it is: no formula between dollars, no control characters."""
    return one_line(text).replace("$", r"\$")


def typeset(text: object) -> Markup:
    """Return a text as HTML, with mathematical signs where it has formulas."""
    html = str(escape(text))
    for pattern, sign in _HTML:
        html = pattern.sub(sign, html)
    return Markup(html)  # escaped above; all tags that were inserted come from the table
