"""The small language in which a store is asked: conditions and values over its trials.

`evaluate(ds, "sigma_min / sqrt(k) >= alpha / 2 and d == 20")` knows comparisons (chained ones too),
`and`, `or`, `not`, arithmetic, numbers, strings, a few functions, and the names of the variables and
coordinates. An expression is parsed with Python's parser but never evaluated by Python: a node that
is not in the tables below is refused, so that it can compute and do nothing else, wherever it comes
from.

A variable with one more axis than a trial is taken at a value of that axis, in either form:
`steps_to_tolerance(1e-4) <= 20000` or `steps_to_tolerance[1e-4] <= 20000`. A word that a variable
never has is refused, with the nearest one that it has: a slip of the pen must not look like an
answer.

All arithmetic is in floating point, and the length, depth and exponents of an expression are
bounded, so that none can be a trap either. `status` reads as its word: `status == "failed"`.
"""

from __future__ import annotations

import ast
import difflib
import itertools
import operator
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import xarray as xr

from pipeline.errors import InputError
from pipeline.trial_status import Status

__all__ = [
    "FUNCTIONS",
    "QueryError",
    "check_words",
    "condition",
    "conjuncts",
    "decode",
    "evaluate",
    "extra_axes",
    "listed",
    "named",
    "names_in",
    "parse",
    "place_of",
    "taken_at",
    "value_of",
]

MAX_LENGTH = 1000
MAX_DEPTH = 40
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

_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}

_ALLOWED = (
    "names of the store, numbers, quoted strings, + - * / **, < <= > >= == !=, and, or, not, "
    "a number in () or [] along a further axis, and the functions " + ", ".join(FUNCTIONS)
)

_STATUS = {int(status): status.word for status in Status}


class QueryError(InputError):
    """An expression or a column list that cannot be answered."""


def evaluate(ds: xr.Dataset, expression: str) -> xr.DataArray:
    """Value of an expression over a store.

    Parameters
    ----------
    ds
        An opened store.
    expression
        Such as `"sigma_min / sqrt(k) >= alpha / 2 and d == 20"`.

    Returns
    -------
    xarray.DataArray
        Over the dims of the names that occur; lazy where the store is.

    Raises
    ------
    QueryError
        For a syntax error (with its column), an unknown name or word (with the nearest known
        one), a construct that is not part of the language, or operands that do not fit together.
    """
    tree = parse(expression)
    check_words(ds, tree)
    return value_of(ds, tree)


# --- parsing ------------------------------------------------------------------------------------


def parse(expression: str) -> ast.expr:
    """Syntax tree of an expression, of bounded length and depth."""
    text = expression.replace("\n", " ").strip()
    if not text:
        raise QueryError("the expression is empty; write one such as 'n >= 200 and d == 20'")
    if len(text) > MAX_LENGTH:
        raise QueryError(f"the expression has {len(text)} characters; at most {MAX_LENGTH} will do")
    try:
        tree = ast.parse(text, mode="eval").body
    except SyntaxError as error:
        column = error.offset or len(text) + 1  # Python has none for an expression that breaks off
        raise QueryError(f"syntax error at column {column} of {text!r}: {error.msg}") from None
    except (ValueError, MemoryError, RecursionError) as error:
        raise QueryError(f"the expression cannot be parsed: {error or 'nested too deep'}") from None
    _check_depth(tree)
    return tree


def _check_depth(tree: ast.expr) -> None:
    """Walk level by level: a deep tree must not meet recursion before it is refused."""
    level: list[ast.AST] = [tree]
    depth = 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise QueryError(f"the expression is nested more than {MAX_DEPTH} deep; simplify it")
        level = [child for node in level for child in ast.iter_child_nodes(node)]


def names_in(expression: str) -> list[str]:
    """The names that an expression speaks of, each once."""
    found = [node.id for node in ast.walk(parse(expression)) if isinstance(node, ast.Name)]
    return [name for name in dict.fromkeys(found) if name not in FUNCTIONS]


def conjuncts(expression: str | None) -> list[ast.expr]:
    """The conditions that top-level `and`s join."""
    if expression is None:
        return []
    tree = parse(expression)
    return tree.values if isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.And) else [tree]


# --- evaluation, node by node -------------------------------------------------------------------


def value_of(ds: xr.Dataset, node: ast.expr) -> xr.DataArray:
    """Value of a parsed expression."""
    visit = _VISITORS.get(type(node))
    if visit is None:
        raise _refusal(node, type(node).__name__)
    with np.errstate(all="ignore"):
        return visit(ds, node)


def _refusal(node: ast.expr, what: str) -> QueryError:
    where = f"column {node.col_offset + 1}"
    return QueryError(f"{where}: {what} is not part of the query language; use {_ALLOWED}")


def _constant(ds: xr.Dataset, node: ast.Constant) -> xr.DataArray:
    if isinstance(node.value, bool | str):
        return xr.DataArray(node.value)
    if not isinstance(node.value, int | float):
        raise _refusal(node, repr(node.value))
    try:
        return xr.DataArray(float(node.value))
    except OverflowError:
        raise QueryError(f"column {node.col_offset + 1}: the number is beyond 1.8e308") from None


def _name(ds: xr.Dataset, node: ast.Name) -> xr.DataArray:
    return named(ds, node.id)


def named(ds: xr.Dataset, name: str) -> xr.DataArray:
    """A variable or coordinate by its name; `status` in words."""
    if _is_known(ds, name):
        return decode(ds[name]) if name == "status" else ds[name]
    if isinstance(same := ds.attrs.get(name), list) and len(same) == 1:  # no axis, where it is one only
        raise QueryError(f"{name!r} is no axis of this store: it is {same[0]} throughout; leave it out")
    raise QueryError(_unknown(name, sorted(map(str, {*ds.variables, *ds.dims}))))


def _is_known(ds: xr.Dataset, name: str) -> bool:
    return name in ds.variables or name in ds.dims


def _unknown(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"unknown name {name!r}; {hint}The store has {', '.join(known)}"


def taken_at(ds: xr.Dataset, node: ast.Subscript | ast.Call) -> xr.DataArray:
    """Value of a variable at one place of its further axis, for `name[0.01]` or `name(0.01)`."""
    name, dim, place = place_of(ds, node)
    return named(ds, name).isel({dim: place}, drop=True)


def place_of(ds: xr.Dataset, node: ast.Subscript | ast.Call) -> tuple[str, str, int]:
    """Which variable is meant, and where along which of its axes."""
    where = f"column {node.col_offset + 1}"
    target = node.func if isinstance(node, ast.Call) else node.value
    if not isinstance(target, ast.Name):
        raise _refusal(node, f"an index of {ast.unparse(target)!r}")
    name = target.id
    extra = extra_axes(ds, named(ds, name))
    if len(extra) != 1:
        found = f"several, along {', '.join(extra)}" if extra else "none; write it without [...]"
        raise QueryError(f"{where}: {name!r} is indexed along one further axis, and has {found}")
    known = ds[extra[0]].values
    at = _index(node.args[0] if isinstance(node, ast.Call) else node.slice)
    place = int(np.abs(known - at).argmin())
    if abs(known[place] - at) > 1e-9 * abs(known[place]):
        raise QueryError(f"{where}: {name!r} has no {extra[0]} {at:.12g}; it has {listed(known)}")
    return name, extra[0], place


def _index(node: ast.expr) -> float:
    sign, number = 1, node
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        sign, number = -1, node.operand
    if isinstance(number, ast.Constant) and type(number.value) in (int, float):
        return sign * float(_constant(xr.Dataset(), number))
    raise QueryError(
        f"column {node.col_offset + 1}: {ast.unparse(node)!r} is no number; an index is a value of "
        "the axis, as in steps_to_tolerance[0.01]"
    )


def listed(values: Iterable[Any]) -> str:
    """A few values in words; of many the first and the last."""
    words = [f"{value:.12g}" for value in values]
    return ", ".join(words if len(words) <= 8 else [*words[:3], "...", words[-1]])


def _binary(ds: xr.Dataset, node: ast.BinOp) -> xr.DataArray:
    operate = _ARITHMETIC.get(type(node.op))
    if operate is None:
        raise _refusal(node, f"the operator {type(node.op).__name__}")
    left, right = (_numbers(value_of(ds, side), side) for side in (node.left, node.right))
    if isinstance(node.op, ast.Pow):
        _check_exponent(node.right, right)
    result: xr.DataArray = operate(left, right)
    return result


def _check_exponent(node: ast.expr, exponent: xr.DataArray) -> None:
    if exponent.ndim == 0 and abs(float(exponent)) > MAX_EXPONENT:
        raise QueryError(
            f"column {node.col_offset + 1}: exponent {float(exponent):g}; "
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
    raise _refusal(node, f"the operator {type(node.op).__name__}")


def _boolean(ds: xr.Dataset, node: ast.BoolOp) -> xr.DataArray:
    values = [condition(value_of(ds, value), value) for value in node.values]
    join = operator.and_ if isinstance(node.op, ast.And) else operator.or_
    result = values[0]
    for value in values[1:]:
        result = join(result, value)
    return result


def _comparison(ds: xr.Dataset, node: ast.Compare) -> xr.DataArray:
    sides = [node.left, *node.comparators]
    values = [value_of(ds, side) for side in sides]
    result = xr.DataArray(True)
    for op, left, right in zip(node.ops, values, values[1:], strict=False):
        compare = _COMPARISONS.get(type(op))
        if compare is None:
            raise _refusal(node, f"the comparison {type(op).__name__}")
        if _is_text(left) != _is_text(right):
            raise QueryError(
                f"column {node.col_offset + 1}: {ast.unparse(node)!r} compares text with a "
                "number; quote text and leave numbers bare"
            )
        result = result & compare(left, right)
    return result


def _call(ds: xr.Dataset, node: ast.Call) -> xr.DataArray:
    if not isinstance(node.func, ast.Name):
        raise _refusal(node, f"the call {ast.unparse(node.func)}(...)")
    name = node.func.id
    if name not in FUNCTIONS:
        if not _is_known(ds, name):
            raise QueryError(_unknown(name, [*sorted(map(str, ds.variables)), *FUNCTIONS]))
        if len(node.args) != 1 or node.keywords:
            raise QueryError(f"column {node.col_offset + 1}: {name} is taken at one number")
        return taken_at(ds, node)
    function, arity = FUNCTIONS[name]
    if len(node.args) != arity or node.keywords:
        raise QueryError(f"column {node.col_offset + 1}: {name} takes {arity} argument(s)")
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
    """Numbers, as floats: integers could overflow, or refuse a negative power."""
    if value.dtype.kind not in "fiu":
        raise QueryError(
            f"column {node.col_offset + 1}: {ast.unparse(node)!r} is no number; "
            "arithmetic and functions need numbers"
        )
    return value.astype(float)


def condition(value: xr.DataArray, node: ast.expr) -> xr.DataArray:
    """The value of a node, which must be one of true and false."""
    if value.dtype != bool:
        raise QueryError(
            f"column {node.col_offset + 1}: {ast.unparse(node)!r} is no condition; "
            "compare it with something, as in 'n >= 200'"
        )
    return value


# --- words that a variable can have -------------------------------------------------------------


def check_words(ds: xr.Dataset, tree: ast.expr) -> None:
    """Compare text with what it is compared with: `status == 'failled'` must not select nothing."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            for pair in itertools.pairwise([node.left, *node.comparators]):
                for side, other in (pair, pair[::-1]):
                    _check_word(ds, side, other)


def _check_word(ds: xr.Dataset, side: ast.expr, other: ast.expr) -> None:
    words = _words(ds, side.id) if isinstance(side, ast.Name) else []
    if not words:
        return
    name = ast.unparse(side)
    where = f"column {other.col_offset + 1}"
    expected = f"{name} is one of {', '.join(map(repr, words))}"
    if isinstance(other, ast.Constant) and other.value not in words:
        near = difflib.get_close_matches(str(other.value), words, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise QueryError(f"{where}: {name} is never {other.value!r}; {hint}{expected}")
    if isinstance(other, ast.Name) and not _is_known(ds, other.id):
        near = difflib.get_close_matches(other.id, words, n=1)
        hint = f", as {near[0]!r}" if near else ""
        raise QueryError(f"{where}: unknown name {other.id!r}; text stands in quotes{hint}. {expected}")


def _words(ds: xr.Dataset, name: str) -> list[str]:
    """What a variable of words can be; nothing for numbers and for free text."""
    if name == "status" and name in ds:
        return list(_flags(ds.status).values())
    if name in ds.coords and _is_text(ds[name]):
        return sorted(set(map(str, ds[name].values.ravel().tolist())))
    return []


# --- what names stand for -----------------------------------------------------------------------


def decode(status: xr.DataArray) -> xr.DataArray:
    """Status codes to words."""
    flags = _flags(status)
    # Codes are int8: a table of all 256 of them also says so of an unknown one.
    words = np.array([flags.get(code, "unknown") for code in range(-128, 128)])
    return xr.apply_ufunc(
        lambda codes: words[codes.astype(int) + 128],
        status,
        dask="parallelized",
        output_dtypes=[words.dtype],
    )


def _flags(status: xr.DataArray) -> dict[int, str]:
    """The words of status codes, by the store's own flags."""
    if "flag_meanings" not in status.attrs:
        return dict(_STATUS)
    meanings = str(status.attrs["flag_meanings"]).split()
    return dict(zip(np.atleast_1d(status.attrs["flag_values"]).tolist(), meanings, strict=True))


def extra_axes(ds: xr.Dataset, value: xr.DataArray) -> list[str]:
    """The axes of a value beyond those of a trial."""
    return [str(dim) for dim in value.dims if dim not in ds.status.dims]
