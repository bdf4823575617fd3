"""Ask a store for trials.

`select(ds, "n >= 200 and d == 20", ["sigma_min", "alpha"])` lists one trial a row. The condition
is a small language of its own: comparisons (chained ones too), `and`, `or`, `not`, arithmetic,
numbers, strings, a few functions, and the names of the variables and coordinates. It is parsed
with Python's parser but never evaluated by Python: a node that is not in the tables below is
refused, so that a query, wherever it comes from, can compute and do nothing else.

A variable with one more axis than a trial is indexed by a value of that axis:
`steps_to_tolerance[0.01] <= 2000`. A word that a variable never has is refused, with the nearest one
that it has: a slip of the pen must not look like an answer.

All arithmetic is in floating point, and the length, depth and exponents of an expression are
bounded, so that no query can be a trap either. `status` reads as its word: `status == "failed"`.
"""

from __future__ import annotations

import ast
import difflib
import itertools
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from pipeline.errors import InputError
from pipeline.status import Status

__all__ = ["FUNCTIONS", "QueryError", "evaluate", "select"]

MAX_LENGTH = 1000
MAX_DEPTH = 40
MAX_EXPONENT = 64

LISTED = ("tolerance", "multiple")
"""Axes beyond a trial that are short enough to become columns."""

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
    "a number in [] along a further axis, and the functions " + ", ".join(FUNCTIONS)
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
    tree = _parse(expression)
    _check_words(ds, tree)
    return _evaluate(ds, tree)


def select(
    ds: xr.Dataset,
    expression: str | None = None,
    columns: Sequence[str] | None = None,
    limit: int | None = None,
) -> pd.DataFrame:
    """One row for each trial that is part of the sweep and meets a condition.

    Parameters
    ----------
    ds
        An opened store, with `status`.
    expression
        A condition; None keeps every trial. Conditions on one axis that are joined by `and` cut
        the store before anything else is read.
    columns
        Variables to list after the axes and `k`. One along `tolerance` or `multiple` becomes a
        column for each value, `steps_to_tolerance[0.01]`; any with one further axis can be asked
        for at a value of it. None lists all that have one value a trial or lie along `tolerance`.
    limit
        The most rows to return.

    Returns
    -------
    pandas.DataFrame
        Rows in the order of the dims of `status`, the last changing fastest; `status` in words.

    Raises
    ------
    QueryError
        As `evaluate`; also for a condition that is no condition, an unknown column, or one with
        many values a trial (such as the kernel's eigenvalues).
    """
    if limit is not None and limit < 0:
        raise QueryError(f"limit: got {limit}; expected 0 or more rows")
    names = _columns(ds, columns)
    conditions = _conjuncts(expression)
    for node in conditions:
        _check_words(ds, node)  # before the store is cut: a word may be cut away and yet be known
    ds, rest = _cut(ds, conditions)
    dims = [str(dim) for dim in ds.status.dims]
    keep = _decode(ds.status) != "excluded"
    for condition in rest:
        keep = keep & condition
    rows = np.flatnonzero(keep.transpose(*dims).values)[:limit]
    at = dict(zip(dims, np.unravel_index(rows, [ds.sizes[dim] for dim in dims]), strict=True))
    return pd.DataFrame({name: _take(_column(ds, name), at) for name in names})


# --- parsing ------------------------------------------------------------------------------------


def _parse(expression: str) -> ast.expr:
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


def _conjuncts(expression: str | None) -> list[ast.expr]:
    """The conditions that top-level `and`s join."""
    if expression is None:
        return []
    tree = _parse(expression)
    return tree.values if isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.And) else [tree]


# --- evaluation, node by node -------------------------------------------------------------------


def _evaluate(ds: xr.Dataset, node: ast.expr) -> xr.DataArray:
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
    return _named(ds, node.id)


def _named(ds: xr.Dataset, name: str) -> xr.DataArray:
    if _is_known(ds, name):
        return _decode(ds[name]) if name == "status" else ds[name]
    raise QueryError(_unknown(name, sorted(map(str, {*ds.variables, *ds.dims}))))


def _is_known(ds: xr.Dataset, name: str) -> bool:
    return name in ds.variables or name in ds.dims


def _unknown(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"unknown name {name!r}; {hint}The store has {', '.join(known)}"


def _subscript(ds: xr.Dataset, node: ast.Subscript) -> xr.DataArray:
    name, dim, place = _place(ds, node)
    return _named(ds, name).isel({dim: place}, drop=True)


def _place(ds: xr.Dataset, node: ast.Subscript) -> tuple[str, str, int]:
    """Which variable is meant, and where along which of its axes."""
    where = f"column {node.col_offset + 1}"
    if not isinstance(node.value, ast.Name):
        raise _refusal(node, f"an index of {ast.unparse(node.value)!r}")
    name = node.value.id
    extra = _extra(ds, _named(ds, name))
    if len(extra) != 1:
        found = f"several, along {', '.join(extra)}" if extra else "none; write it without [...]"
        raise QueryError(f"{where}: {name!r} is indexed along one further axis, and has {found}")
    known = ds[extra[0]].values
    at = _index(node.slice)
    place = int(np.abs(known - at).argmin())
    if abs(known[place] - at) > 1e-9 * abs(known[place]):
        raise QueryError(f"{where}: {name!r} has no {extra[0]} {at:.12g}; it has {_listed(known)}")
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


def _listed(values: Iterable[Any]) -> str:
    """A few values in words; of many the first and the last."""
    words = [f"{value:.12g}" for value in values]
    return ", ".join(words if len(words) <= 8 else [*words[:3], "...", words[-1]])


def _binary(ds: xr.Dataset, node: ast.BinOp) -> xr.DataArray:
    operate = _ARITHMETIC.get(type(node.op))
    if operate is None:
        raise _refusal(node, f"the operator {type(node.op).__name__}")
    left, right = (_numbers(_evaluate(ds, side), side) for side in (node.left, node.right))
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
    value = _evaluate(ds, node.operand)
    if isinstance(node.op, ast.Not):
        return ~_condition(value, node.operand)
    if isinstance(node.op, ast.USub):
        return -_numbers(value, node.operand)
    if isinstance(node.op, ast.UAdd):
        return _numbers(value, node.operand)
    raise _refusal(node, f"the operator {type(node.op).__name__}")


def _boolean(ds: xr.Dataset, node: ast.BoolOp) -> xr.DataArray:
    values = [_condition(_evaluate(ds, value), value) for value in node.values]
    join = operator.and_ if isinstance(node.op, ast.And) else operator.or_
    result = values[0]
    for value in values[1:]:
        result = join(result, value)
    return result


def _comparison(ds: xr.Dataset, node: ast.Compare) -> xr.DataArray:
    sides = [node.left, *node.comparators]
    values = [_evaluate(ds, side) for side in sides]
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
    name = node.func.id if isinstance(node.func, ast.Name) else None
    if name not in FUNCTIONS or name is None:
        raise _refusal(node, f"the call {ast.unparse(node.func)}(...)")
    function, arity = FUNCTIONS[name]
    if len(node.args) != arity or node.keywords:
        raise QueryError(f"column {node.col_offset + 1}: {name} takes {arity} argument(s)")
    return function(*(_numbers(_evaluate(ds, arg), arg) for arg in node.args))


_VISITORS: dict[type[ast.expr], Callable[[xr.Dataset, Any], xr.DataArray]] = {
    ast.BinOp: _binary,
    ast.BoolOp: _boolean,
    ast.Call: _call,
    ast.Compare: _comparison,
    ast.Constant: _constant,
    ast.Name: _name,
    ast.Subscript: _subscript,
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


def _condition(value: xr.DataArray, node: ast.expr) -> xr.DataArray:
    if value.dtype != bool:
        raise QueryError(
            f"column {node.col_offset + 1}: {ast.unparse(node)!r} is no condition; "
            "compare it with something, as in 'n >= 200'"
        )
    return value


# --- words that a variable can have -------------------------------------------------------------


def _check_words(ds: xr.Dataset, tree: ast.expr) -> None:
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


# --- from a condition to rows -------------------------------------------------------------------


def _decode(status: xr.DataArray) -> xr.DataArray:
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


def _cut(ds: xr.Dataset, conditions: list[ast.expr]) -> tuple[xr.Dataset, list[xr.DataArray]]:
    """Apply conditions on a single axis by indexing; return the others over what is left."""
    rest = []
    for node in conditions:
        value = _condition(_evaluate(ds, node), node)
        if value.ndim == 1 and value.dims[0] in ds.status.dims:
            ds = ds.isel({value.dims[0]: np.flatnonzero(value.values)})
        else:
            rest.append(node)
    masks = [_evaluate(ds, node) for node in rest]
    for node, mask in zip(rest, masks, strict=True):
        if extra := _extra(ds, mask):
            raise _several(ds, node, extra)
    return ds, masks


def _extra(ds: xr.Dataset, value: xr.DataArray) -> list[str]:
    """The axes of a value beyond those of a trial."""
    return [str(dim) for dim in value.dims if dim not in ds.status.dims]


def _several(ds: xr.Dataset, node: ast.expr, extra: list[str]) -> QueryError:
    """Say of what has several values a trial how one of them is meant."""
    way = "a query lists one row a trial. Open the store with analysis.open_store to work with it"
    names = [inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)]
    alone = [str(name) for name, v in ds.data_vars.items() if len(extra) == 1 == len(_extra(ds, v))]
    alone = [name for name in alone if extra[0] in ds[name].dims]
    if alone:
        example = next((name for name in names if name in alone), alone[0])
        known = ds[extra[0]].values
        way = f"say which, as in {example}[{known[0]:.12g}]; {extra[0]} has {_listed(known)}"
    return QueryError(
        f"{ast.unparse(node)!r} has several values a trial, along {', '.join(extra)}; {way}"
    )


def _columns(ds: xr.Dataset, columns: Sequence[str] | None) -> list[str]:
    """The axes and `k`, then the columns asked for."""
    axes = [str(dim) for dim in ds.status.dims]
    axes += [str(name) for name in ds.coords if name == "k"]
    if columns is None:
        own = {*ds.status.dims, "tolerance"}
        columns = [str(name) for name, v in ds.data_vars.items() if set(v.dims) <= own]
    labels = [label for name in columns for label in _labels(ds, name)]
    return list(dict.fromkeys([*axes, *labels]))


def _labels(ds: xr.Dataset, column: str) -> list[str]:
    """The columns that a column asked for becomes: one for each value of a short further axis."""
    if "[" in column:
        name, dim, place = _place(ds, _indexed(column))
        return [f"{name}[{ds[dim].values[place]:.12g}]"]
    extra = _extra(ds, _named(ds, column))
    if not extra:
        return [column]
    if len(extra) == 1 and extra[0] in LISTED and column in ds.data_vars:
        return [f"{column}[{value:.12g}]" for value in ds[extra[0]].values]
    raise _several(ds, ast.Name(column), extra)


def _indexed(column: str) -> ast.Subscript:
    tree = _parse(column)
    if not isinstance(tree, ast.Subscript):
        raise QueryError(f"column {column!r}: expected a name, or a name with a number in []")
    return tree


def _column(ds: xr.Dataset, label: str) -> xr.DataArray:
    return _subscript(ds, _indexed(label)) if "[" in label else _named(ds, label)


def _take(values: xr.DataArray, at: dict[str, Any]) -> Any:
    """One value for each row, without broadcasting to all trials first."""
    array = values.values
    return array[tuple(at[str(dim)] for dim in values.dims)] if values.ndim else array[()]
