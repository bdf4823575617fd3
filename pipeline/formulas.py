"""Numbers of a sweep file that depend on the sizes: `steps = "20 * n * log(k)"`.

A formula has numbers, the names n, k and d, the operators + - * / **, and the functions of `FUNCTIONS`.
Its tree is walked here, so nothing of Python is run.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

__all__ = ["FUNCTIONS", "LONGEST", "BadFormula", "check_formula", "formula_value"]

FUNCTIONS: dict[str, Callable[..., float]] = {
    "sqrt": math.sqrt,
    "log": math.log,
    "exp": math.exp,
    "min": min,
    "max": max,
}
"""Functions of a formula by name; the logarithm is the natural one."""

LONGEST = 200
"""Characters of a formula; short ones cannot nest deeply."""

_OPERATORS: dict[type, Callable[..., float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: math.pow,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}


class BadFormula(ValueError):
    """A formula cannot be read, or has no finite value at some sizes."""


def formula_value(text: str, sizes: Mapping[str, float]) -> float:
    """Return the value of a formula.

    Parameters
    ----------
    text
        The formula.
    sizes
        Numbers by the names that it may use.

    Raises
    ------
    BadFormula
        It is no formula, or its value is not finite.

    Examples
    --------
    >>> from pipeline.formulas import formula_value
    >>> formula_value("20 * n / sqrt(d)", {"n": 100, "k": 8, "d": 4})
    1000.0
    """
    value = _value_or_nan(text, sizes)
    if not math.isfinite(value):
        at = ", ".join(f"{name} = {number:g}" for name, number in sizes.items())
        raise BadFormula(f"a formula with a finite value, which it has not at {at}")
    return value


def check_formula(text: str, names: Sequence[str]) -> None:
    """Raise BadFormula if a text is no formula of these names."""
    _value_or_nan(text, dict.fromkeys(names, math.nan))


def _value_or_nan(text: str, sizes: Mapping[str, float]) -> float:
    """Return the value of a formula, NaN where it has none."""
    if len(text) > LONGEST:
        raise BadFormula(f"a formula of at most {LONGEST} characters")
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise BadFormula(f"a formula of {', '.join(sizes)}, such as 20 * n") from None
    try:
        return _value(tree.body, sizes)
    except BadFormula:
        raise
    except (ArithmeticError, ValueError):
        return math.nan


def _value(node: Any, sizes: Mapping[str, float]) -> float:
    match node:
        case ast.Constant(value=int(number) | float(number)) if not isinstance(number, bool):
            return float(number)
        case ast.Name(id=name) if name in sizes:
            return float(sizes[name])
        case ast.UnaryOp(op=op, operand=inner) if type(op) in _OPERATORS:
            return float(_OPERATORS[type(op)](_value(inner, sizes)))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return float(_OPERATORS[type(op)](_value(left, sizes), _value(right, sizes)))
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in FUNCTIONS:
            wanted = 2 if name in ("min", "max") else 1
            if len(args) == wanted:
                return float(FUNCTIONS[name](*(_value(arg, sizes) for arg in args)))
    raise BadFormula(f"a formula of numbers, {', '.join(sizes)}, + - * / ** and {', '.join(FUNCTIONS)}")
