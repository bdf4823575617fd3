"""The value of a condition on coordinates: `n > 10*d and activation == "relu"`.

`expressions.parse` reads the text, and its tree is walked here, so nothing of Python is run. Every name
is an array; arrays of different axes broadcast against each other. Arithmetic is in floating point:
a division by 0 is infinite, and what is not a number compares as false.
"""

from __future__ import annotations

import ast
import functools
import itertools
import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError, nearest_name, shortened
from pipeline.expressions import COMPARISONS, parse

__all__ = ["BadCondition", "where_met"]

FUNCTIONS: dict[str, tuple[Callable[..., Any], int]] = {
    "abs": (np.abs, 1),
    "exp": (np.exp, 1),
    "log": (np.log, 1),
    "max": (np.maximum, 2),
    "min": (np.minimum, 2),
    "sqrt": (np.sqrt, 1),
}
"""Functions of a condition and their numbers of arguments; the logarithm is the natural one."""

_ARITHMETIC: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: np.power,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}

_ALLOWED = (
    "numbers, quoted text, names of axes, + - * / **, < <= > >= == !=, in [..], and, or, not, "
    + (", ".join(FUNCTIONS))
)

Values = NDArray[Any]


class BadCondition(InputError):
    """A text is no condition on these names."""


def where_met(text: str, names: Mapping[str, Values]) -> NDArray[np.bool_]:
    """Return where a condition holds, over the axes of the names that occur in it.

    Parameters
    ----------
    text
        The condition.
    names
        Values by name: numbers or words, which broadcast against each other.

    Raises
    ------
    BadCondition, QueryError
        The text is no condition.

    Examples
    --------
    >>> import numpy as np
    >>> from pipeline.conditions import where_met
    >>> where_met("n > 10*d", {"n": np.array([100, 300]), "d": np.array(20)}).tolist()
    [False, True]
    """
    tree = parse(text)
    with np.errstate(all="ignore"):
        return _condition(tree, names)


def _condition(node: ast.expr, names: Mapping[str, Values]) -> NDArray[np.bool_]:
    """Return the value of a node that must be true or false."""
    match node:
        case ast.BoolOp(op=op, values=parts):
            join = np.logical_and if isinstance(op, ast.And) else np.logical_or
            return functools.reduce(join, (_condition(part, names) for part in parts))
        case ast.UnaryOp(op=ast.Not(), operand=inner):
            return ~_condition(inner, names)
        case ast.Compare(left=left, ops=ops, comparators=rest):
            pairs = zip(ops, itertools.pairwise([left, *rest]), strict=True)
            met = (_compared(op, one, other, names) for op, (one, other) in pairs)
            return functools.reduce(np.logical_and, met)
        case ast.Constant(value=bool(truth)):
            return np.array(truth)
    value = _value(node, names)
    if value.dtype == bool:  # a parameter that is true or false
        return value
    raise BadCondition(
        f"{_at(node)}: {_text(node)} is not a condition; compare it with something, as in 'n >= 200'"
    )


def _compared(
    op: ast.cmpop, left: ast.expr, right: ast.expr, names: Mapping[str, Values]
) -> NDArray[np.bool_]:
    if isinstance(op, ast.In | ast.NotIn):
        if not isinstance(right, ast.List | ast.Tuple) or not right.elts:
            raise BadCondition(
                f"{_at(right)}: {_text(right)} is not a list of values; write 'n in [100, 200]'"
            )
        equal = (_compared(ast.Eq(), left, one, names) for one in right.elts)
        met = functools.reduce(np.logical_or, equal)
        return met if isinstance(op, ast.In) else ~met
    if type(op) not in COMPARISONS:
        raise BadCondition(f"{_at(left)}: expected one of {_ALLOWED}")
    one, other = _value(left, names), _value(right, names)
    if (one.dtype.kind == "U") != (other.dtype.kind == "U"):
        text = f"{ast.unparse(left)} and {ast.unparse(right)}"
        raise BadCondition(
            f"{_at(left)}: compares text with a number, {shortened(text)}; quote text and leave "
            "numbers bare"
        )
    return np.asarray(COMPARISONS[type(op)](one, other))


def _value(node: ast.expr, names: Mapping[str, Values]) -> Values:
    match node:
        case ast.Constant(value=str(text)):
            return np.array(text)
        case ast.Constant(value=bool(truth)):
            return np.array(truth)
        case ast.Constant(value=int(number) | float(number)):
            return _as_float(number, node)
        case ast.Name(id=name):
            if name in names:
                return names[name]
            raise BadCondition(
                f"{_at(node)}: unknown name {name!r}{nearest_name(name, names)}; known are "
                f"{', '.join(names)}"
            )
        case ast.UnaryOp(op=op, operand=inner) if type(op) in _ARITHMETIC:
            return np.asarray(_ARITHMETIC[type(op)](_number(inner, names)))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
            return np.asarray(_ARITHMETIC[type(op)](_number(left, names), _number(right, names)))
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in FUNCTIONS:
            function, count = FUNCTIONS[name]
            if len(args) != count:
                raise BadCondition(f"{_at(node)}: {name} takes {count}, got {len(args)} values")
            return np.asarray(function(*(_number(arg, names) for arg in args)))
        case ast.BoolOp() | ast.Compare() | ast.UnaryOp(op=ast.Not()):
            return _condition(node, names)
    raise BadCondition(f"{_at(node)}: got {_text(node)}, expected {_ALLOWED}")


def _number(node: ast.expr, names: Mapping[str, Values]) -> Values:
    """Return the value of a node that must be a number; whole ones as float, so none overflows."""
    value = _value(node, names)
    if value.dtype.kind not in "fiu":
        raise BadCondition(f"{_at(node)}: {_text(node)} is not a number; arithmetic needs numbers")
    return value.astype(float)


def _as_float(number: float, node: ast.expr) -> Values:
    try:
        return np.array(float(number))
    except OverflowError:
        raise BadCondition(f"{_at(node)}: the number is beyond 1.8e308") from None


def _at(node: ast.expr) -> str:
    return f"column {node.col_offset + 1}"


def _text(node: ast.expr) -> str:
    return repr(shortened(ast.unparse(node)))
