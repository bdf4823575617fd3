"""Formulas and numbers in figures: indices, exponents and powers of ten are typeset, not spelled.

Labels are written as they are read, `σ_min`, `θ_∞`, `k*`, `n⁻ᵇ` or `1e-08`, and `mathtext` turns these
parts into Matplotlib's mathtext. All else stays text, so that it remains text in an SVG.
"""

from __future__ import annotations

import re

from analysis.signs import RAISED, signs

__all__ = ["formula", "mathtext", "number", "plain", "powers", "tick"]

_UNRAISED = {chr(raised): chr(letter) for letter, raised in RAISED.items()} | {
    "⁻": "−", "⁺": "+", "ᵀ": "T", "ᵇ": "b", "†": "†", "*": "*"
}  # fmt: skip
_UNSUNK = {chr(0x2080 + digit): str(digit) for digit in range(10)} | {"₋": "−"}
_RAISED_SIGNS = "".join(_UNRAISED).replace("*", "")
_INDEXED = re.compile(
    rf"""(?:(?P<digits>(?<![\w.])\d+(?=[{_RAISED_SIGNS}]))    # the digits of a power,
         |(?P<letter>[α-ωΑ-Ω]|(?<![^\W\d])[^\W\d_])           # or a symbol: a letter alone
         (?:_\{{(?P<braced>[^{{}}$]+)\}}|_(?P<word>[A-Za-z0-9]+|∞)|(?P<sunk>[{"".join(_UNSUNK)}]+))?)
         (?P<raised>[{_RAISED_SIGNS}]+|(?<=k)\*|\^[+-]?[\d.]*\d)?
    """,
    re.VERBOSE,
)
_POWER = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)e([+-]?\d+)(?!\w)")


def mathtext(text: str) -> str:
    """Return a label whose indices, exponents and powers of ten are typeset.

    Examples
    --------
    >>> mathtext("σ_min ≥ 1e-08")
    '$σ_{min}$ ≥ $10^{−8}$'
    >>> mathtext("critical width k*, w ∝ n⁻ᵇ")
    'critical width $k^{*}$, w ∝ $n^{−b}$'
    """
    return _INDEXED.sub(_typeset, powers(text))


def _typeset(found: re.Match[str]) -> str:
    low, high = found["braced"] or found["word"] or found["sunk"], found["raised"]
    if not low and not high:
        return found[0]
    lower = f"_{{{''.join(_UNSUNK.get(sign, sign) for sign in low)}}}" if low else ""
    raised = "".join(_UNRAISED.get(sign, sign) for sign in (high or "").lstrip("^"))
    upper = f"^{{{raised.replace('-', '−')}}}" if raised else ""
    return f"${found['digits'] or found['letter']}{lower}{upper}$"


def powers(text: str) -> str:
    """Return a text whose numbers such as `1e-08` are typeset; names in it stay as they are."""
    return _POWER.sub(lambda found: _power(found[1], int(found[2])), text)


def _power(mantissa: str, exponent: int) -> str:
    factor = "" if mantissa == "1" else f"{mantissa}×"
    return f"${factor}10^{{{exponent}}}$".replace("-", "−")


def formula(text: str) -> str:
    """Return a rule of success or a law, which is written with the letters of a keyboard, typeset."""
    return mathtext(signs(text))


def number(value: float, digits: int = 3) -> str:
    """Return a number with few digits: `0.01`, `20,000`, or a power of ten where that is shorter."""
    if value and not 1e-4 <= abs(value) < 1e6:
        return powers(f"{value:.{digits}g}" if "e" in f"{value:.{digits}g}" else _scientific(value))
    text = f"{value:,.{digits}g}" if abs(value) < 10**digits else f"{value:,.0f}"
    return text.replace("-", "−")


def _scientific(value: float) -> str:
    mantissa, _, exponent = f"{value:.2e}".partition("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def tick(value: float, _position: float = 0) -> str:
    """Return the label of a tick of a logarithmic axis."""
    return number(value)


def plain(text: str) -> str:
    """Return a label without the marks of mathtext: `σ_min`, `10^−8`."""
    bare = re.sub(r"(?<!\\)\$([^$]*)\$", lambda found: re.sub("[{}]", "", found[1]), text)
    return bare.replace(r"\$", "$").replace("k^*", "k*").replace("\n", " ")
