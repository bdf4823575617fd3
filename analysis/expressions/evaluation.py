"""The value of an expression over the trials of a store.

`evaluate(ds, "sigma_min / sqrt(k) >= alpha / 2 and d == 20")` supports comparisons (also chained),
`in [100, 200]`, `and`, `or`, `not`, arithmetic, numbers, strings, a few functions, and the names of
variables and coordinates. An expression is parsed with Python's parser but never evaluated by Python: a
node that is not in the tables below is refused, so an expression from any source can compute and do
nothing else.

A variable with one more axis than a trial is taken at a value of that axis:
`steps_to_tolerance[1e-4] <= 20000`; round brackets mean the same. A word that a variable
never has is refused, with the nearest one that it has: a typo must not look like an answer.

All arithmetic is in floating point, and the length, depth and exponents of an expression are bounded,
so none can exhaust the machine. `status` reads as its word: `status == "failed"`.
"""

from __future__ import annotations

import ast
import functools
import itertools
import operator
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import xarray as xr

from pipeline.errors import nearest_name, shortened
from pipeline.expressions import COMPARISONS, QueryError, parse
from pipeline.trial_status import Status

__all__ = [
    "check_words",
    "condition",
    "evaluate",
    "extra_axes",
    "index_of",
    "listed",
    "named",
    "names_in",
    "value_of",
    "words_in",
]

MAX_EXPONENT = 64

FUNCTIONS: dict[str, tuple[Callable[..., xr.DataArray], int]] = {
    "abs": (np.abs, 1),
    "exp": (np.exp, 1),
    "log": (np.log, 1),
    "log10": (np.log10, 1),
    "max": (np.maximum, 2),
    "min": (np.minimum, 2),
    "sqrt": (np.sqrt, 1),
}

_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}

_ALLOWED = (
    "names of the store, numbers, quoted text, + - * / **, < <= > >= == !=, in [..], and, or, not, "
    "a number in [] along a further axis, and the functions " + ", ".join(FUNCTIONS)
)

_STATUS = {int(status): status.word for status in Status}


def evaluate(ds: xr.Dataset, expression: str) -> xr.DataArray:
    """Return the value of an expression over a store.

    Parameters
    ----------
    ds
        An opened store.
    expression
        Such as `"sigma_min / sqrt(k) >= alpha / 2 and d == 20"`.

    Returns
    -------
    xarray.DataArray
        The value over the dims of the names that occur; lazy if the store is.

    Raises
    ------
    QueryError
        The expression has a syntax error (with its column), an unknown name or word (with the
        nearest known one), a construct that is not part of the language, or operands that do not
        fit together.
    """
    tree = parse(expression)
    check_words(ds, tree)
    return value_of(ds, tree)


def names_in(expression: str) -> list[str]:
    """Return the names in an expression, each once."""
    found = [node.id for node in ast.walk(parse(expression)) if isinstance(node, ast.Name)]
    return [name for name in dict.fromkeys(found) if name not in FUNCTIONS]


# --- evaluation, node by node -------------------------------------------------------------------


def value_of(ds: xr.Dataset, node: ast.expr) -> xr.DataArray:
    """Return the value of a parsed expression."""
    visit = _VISITORS.get(type(node))
    if visit is None:
        raise _refusal(node)
    with np.errstate(all="ignore"):
        return visit(ds, node)


def _at(node: ast.expr) -> str:
    """Return the position of a node as the start of a message."""
    return f"column {node.col_offset + 1}"


def _refusal(node: ast.expr) -> QueryError:
    text = shortened(ast.unparse(node))
    return QueryError(f"{_at(node)}: {text!r} is not part of the query language; use {_ALLOWED}")


def _constant(ds: xr.Dataset, node: ast.Constant) -> xr.DataArray:
    if isinstance(node.value, bool | str):
        return xr.DataArray(node.value)
    if not isinstance(node.value, int | float):
        raise _refusal(node)
    try:
        return xr.DataArray(float(node.value))
    except OverflowError:
        raise QueryError(f"{_at(node)}: the number is beyond 1.8e308") from None


def _name(ds: xr.Dataset, node: ast.Name) -> xr.DataArray:
    return named(ds, node.id)


def named(ds: xr.Dataset, name: str) -> xr.DataArray:
    """Return a variable or coordinate by its name; `status` as words."""
    if _is_known(ds, name):
        return decode(ds[name]) if name == "status" else ds[name]
    if isinstance(constant := ds.attrs.get(name), list) and len(constant) == 1:
        raise QueryError(
            f"{name!r} is not an axis of this store: it is always {constant[0]}; remove it"
        )
    raise QueryError(_unknown(name, sorted(map(str, {*ds.variables, *ds.dims}))))


def _is_known(ds: xr.Dataset, name: str) -> bool:
    return name in ds.variables or name in ds.dims


def _unknown(name: str, known: list[str]) -> str:
    return f"unknown name {name!r}{nearest_name(name, known)}; the store has {', '.join(known)}"


def taken_at(ds: xr.Dataset, node: ast.Subscript | ast.Call) -> xr.DataArray:
    """Return a variable at one value of its further axis, for `name[0.01]` or `name(0.01)`."""
    name, dim, index = index_of(ds, node)
    return named(ds, name).isel({dim: index}, drop=True)


def index_of(ds: xr.Dataset, node: ast.Subscript | ast.Call) -> tuple[str, str, int]:
    """Return the variable, its further axis, and the index on it, of `name[0.01]` or `name(0.01)`."""
    target = node.func if isinstance(node, ast.Call) else node.value
    if not isinstance(target, ast.Name):
        raise _refusal(node)
    name = target.id
    extra = extra_axes(ds, named(ds, name))
    if len(extra) != 1:
        found = f"several, along {', '.join(extra)}" if extra else "none; write it without [...]"
        raise QueryError(f"{_at(node)}: an index needs one further axis, but {name!r} has {found}")
    known = ds[extra[0]].values
    value = _number_of(node.args[0] if isinstance(node, ast.Call) else node.slice)
    index = int(np.abs(known - value).argmin())
    if abs(known[index] - value) > 1e-9 * abs(known[index]):
        raise QueryError(
            f"{_at(node)}: {name!r} has no {extra[0]} {value:.12g}; it has {listed(known)}"
        )
    return name, extra[0], index


def _number_of(node: ast.expr) -> float:
    sign, number = 1, node
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        sign, number = -1, node.operand
    if isinstance(number, ast.Constant) and type(number.value) in (int, float):
        return sign * float(_constant(xr.Dataset(), number))
    raise QueryError(
        f"{_at(node)}: {ast.unparse(node)!r} is not a number; an index is a value of "
        "the axis, as in steps_to_tolerance[0.01]"
    )


def listed(values: Iterable[Any]) -> str:
    """Return values as text; of many only the first and the last."""
    words = [f"{value:.12g}" for value in values]
    return ", ".join(words if len(words) <= 8 else [*words[:3], "...", words[-1]])


def _binary(ds: xr.Dataset, node: ast.BinOp) -> xr.DataArray:
    operate = _ARITHMETIC.get(type(node.op))
    if operate is None:
        raise _refusal(node)
    left, right = (_numbers(value_of(ds, side), side) for side in (node.left, node.right))
    if isinstance(node.op, ast.Pow):
        _check_exponent(node.right, right)
    result: xr.DataArray = operate(left, right)
    return result


def _check_exponent(node: ast.expr, exponent: xr.DataArray) -> None:
    if exponent.ndim == 0 and abs(float(exponent)) > MAX_EXPONENT:
        raise QueryError(
            f"{_at(node)}: exponent {float(exponent):g}; "
            f"expected between -{MAX_EXPONENT} and {MAX_EXPONENT}"
        )


def _unary(ds: xr.Dataset, node: ast.UnaryOp) -> xr.DataArray:
    value = value_of(ds, node.operand)
    if isinstance(node.op, ast.Not):
        return ~condition(value, node.operand)
    if isinstance(node.op, ast.USub):
        return -_numbers(value, node.operand)
    if isinstance(node.op, ast.UAdd):
        return _numbers(value, node.operand)
    raise _refusal(node)


def _boolean(ds: xr.Dataset, node: ast.BoolOp) -> xr.DataArray:
    values = [condition(value_of(ds, value), value) for value in node.values]
    join = operator.and_ if isinstance(node.op, ast.And) else operator.or_
    result = values[0]
    for value in values[1:]:
        result = join(result, value)
    return result


def _comparison(ds: xr.Dataset, node: ast.Compare) -> xr.DataArray:
    result = xr.DataArray(True)
    sides = itertools.pairwise([node.left, *node.comparators])
    for op, (left, right) in zip(node.ops, sides, strict=True):
        if isinstance(op, ast.In | ast.NotIn):
            met = _among(ds, node, left, right)
            result = result & (met if isinstance(op, ast.In) else ~met)
        elif (compare := COMPARISONS.get(type(op))) is not None:
            result = result & _compared(ds, node, compare, left, right)
        else:
            raise _refusal(node)
    return result


def _compared(
    ds: xr.Dataset,
    node: ast.Compare,
    compare: Callable[[Any, Any], Any],
    left: ast.expr,
    right: ast.expr,
) -> xr.DataArray:
    """Return where two sides of a comparison compare so; text compares with text only."""
    one, other = value_of(ds, left), value_of(ds, right)
    if _is_text(one) != _is_text(other):
        raise QueryError(
            f"{_at(node)}: {ast.unparse(node)!r} compares text with a "
            "number; quote text and leave numbers bare"
        )
    result: xr.DataArray = compare(one, other)
    return result


def _among(ds: xr.Dataset, node: ast.Compare, side: ast.expr, values: ast.expr) -> xr.DataArray:
    """Return where a side equals one of the values of a list, for `n in [100, 200]`."""
    if not isinstance(values, ast.List | ast.Tuple) or not values.elts:
        raise QueryError(
            f"{_at(values)}: {ast.unparse(values)!r} is not a list of values; write one as in "
            "'n in [100, 200]'"
        )
    equal = [_compared(ds, node, operator.eq, side, value) for value in values.elts]
    return functools.reduce(operator.or_, equal)


def _call(ds: xr.Dataset, node: ast.Call) -> xr.DataArray:
    if not isinstance(node.func, ast.Name):
        raise _refusal(node)
    name = node.func.id
    if name not in FUNCTIONS:
        if not _is_known(ds, name):
            near = nearest_name(name, [*sorted(map(str, ds.variables)), *FUNCTIONS])
            raise QueryError(
                f"{_at(node)}: unknown function {name!r}{near}; the functions are "
                f"{', '.join(FUNCTIONS)}. Statistics over trials, such as mean, are no functions: "
                "a query has --stat for them"
            )
        if len(node.args) != 1 or node.keywords:
            raise QueryError(f"{_at(node)}: {name} needs one number, as in {name}[0.01]")
        return taken_at(ds, node)
    function, arity = FUNCTIONS[name]
    if len(node.args) != arity or node.keywords:
        raise QueryError(f"{_at(node)}: {name} takes {'one value' if arity == 1 else 'two values'}")
    return function(*(_numbers(value_of(ds, arg), arg) for arg in node.args))


_VISITORS: dict[type[ast.expr], Callable[[xr.Dataset, Any], xr.DataArray]] = {
    ast.BinOp: _binary,
    ast.BoolOp: _boolean,
    ast.Call: _call,
    ast.Compare: _comparison,
    ast.Constant: _constant,
    ast.Name: _name,
    ast.Subscript: taken_at,
    ast.UnaryOp: _unary,
}


def _is_text(value: xr.DataArray) -> bool:
    return value.dtype.kind in "OUST"


def _numbers(value: xr.DataArray, node: ast.expr) -> xr.DataArray:
    """Return numbers as floats, since integers could overflow or refuse a negative power."""
    if value.dtype.kind not in "fiu":
        raise QueryError(
            f"{_at(node)}: {ast.unparse(node)!r} is not a number; arithmetic and functions need numbers"
        )
    return value.astype(float)


def condition(value: xr.DataArray, node: ast.expr) -> xr.DataArray:
    """Return the value of a node, which must be boolean."""
    if value.dtype != bool:
        raise QueryError(
            f"{_at(node)}: {ast.unparse(node)!r} is not a condition; "
            "compare it with something, as in 'n >= 200'"
        )
    return value


# --- the words of a variable --------------------------------------------------------------------


def check_words(ds: xr.Dataset, tree: ast.expr) -> None:
    """Refuse words that a variable never has: `status == 'failled'` must not select nothing."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            for pair in itertools.pairwise([node.left, *node.comparators]):
                for side, other in (pair, pair[::-1]):
                    for one in other.elts if isinstance(other, ast.List | ast.Tuple) else [other]:
                        _check_word(ds, side, one)


def words_in(node: ast.expr) -> set[str]:
    """Return the quoted texts of an expression."""
    constants = (inner.value for inner in ast.walk(node) if isinstance(inner, ast.Constant))
    return {value for value in constants if isinstance(value, str)}


def _check_word(ds: xr.Dataset, side: ast.expr, other: ast.expr) -> None:
    words = _words(ds, side.id) if isinstance(side, ast.Name) else []
    if not words:
        return
    name = ast.unparse(side)
    expected = f"{name} is one of {', '.join(map(repr, words))}"
    if isinstance(other, ast.Constant) and other.value not in words:
        near = nearest_name(str(other.value), words)
        raise QueryError(f"{_at(other)}: {name} is never {other.value!r}{near}; {expected}")
    if isinstance(other, ast.Name) and not _is_known(ds, other.id):
        near = "" if other.id in words else nearest_name(other.id, words)
        raise QueryError(f"{_at(other)}: unknown name {other.id!r}{near}; quote text. {expected}")


def _words(ds: xr.Dataset, name: str) -> list[str]:
    """Return the words that a variable can have; none for numbers and for free text."""
    if name == "status" and name in ds:
        return list(_flags(ds.status).values())
    if name in ds.coords and _is_text(ds[name]):
        return sorted(set(map(str, ds[name].values.ravel().tolist())))
    return []


# --- names ----------------------------------------------------------------------------------------


def decode(status: xr.DataArray) -> xr.DataArray:
    """Return status codes as words."""
    flags = _flags(status)
    # Codes are int8: a table of all 256 also covers unknown ones.
    words = np.array([flags.get(code, "unknown") for code in range(-128, 128)])
    return xr.apply_ufunc(
        lambda codes: words[codes.astype(int) + 128],
        status,
        dask="parallelized",
        output_dtypes=[words.dtype],
    )


def _flags(status: xr.DataArray) -> dict[int, str]:
    """Return the words of status codes, by the store's own flags."""
    if "flag_meanings" not in status.attrs:
        return dict(_STATUS)
    meanings = str(status.attrs["flag_meanings"]).split()
    return dict(zip(np.atleast_1d(status.attrs["flag_values"]).tolist(), meanings, strict=True))


def extra_axes(ds: xr.Dataset, value: xr.DataArray) -> list[str]:
    """Return the axes of a value beyond those of a trial."""
    return [str(dim) for dim in value.dims if dim not in ds.status.dims]
