"""Conditions used as success: the trials in which one surely holds, and the form of Theorem 2.

A trial whose condition compares a missing value (NaN) has not succeeded, with or without a `not`:
`not (x > 1)` is no success if x is missing. A query, which lists trials, takes a comparison with NaN as
false, as NumPy does.
"""

from __future__ import annotations

import ast
import itertools
import operator
from functools import reduce
from typing import NamedTuple

import numpy as np
import xarray as xr

from analysis.expressions import condition, value_of
from pipeline.trial_status import WITH_RESULTS, among

__all__ = ["largest_value", "surely", "theorem2_threshold", "with_flags_compared"]


def with_flags_compared(ds: xr.Dataset, node: ast.expr) -> ast.expr:
    """Return a parsed condition in which variables of 0 and 1 alone are compared with 1.

    A trial that returns True or False is stored as 1 or 0, so `ok` and `not ok` are conditions too.

    Parameters
    ----------
    ds, node
        As for `surely`.

    Returns
    -------
    ast.expr
        The same node if there is no such variable where a condition must stand.
    """
    if isinstance(node, ast.BoolOp):
        parts = [with_flags_compared(ds, part) for part in node.values]
        same = all(one is other for one, other in zip(parts, node.values, strict=True))
        return node if same else ast.copy_location(ast.BoolOp(node.op, parts), node)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        part = with_flags_compared(ds, node.operand)
        return node if part is node.operand else ast.copy_location(ast.UnaryOp(node.op, part), node)
    if isinstance(node, ast.Name | ast.Subscript) and _is_flag(ds, value_of(ds, node)):
        return ast.copy_location(ast.Compare(node, [ast.Eq()], [ast.Constant(1)]), node)
    return node


def _is_flag(ds: xr.Dataset, values: xr.DataArray) -> bool:
    """Return True for the results of trials that are 0, 1 or missing, and not all missing.

    All are missing where no trial has run yet: `watch` may show such a store.
    """
    if not {"width", "seed"} <= {*values.dims} or values.dtype.kind not in "iuf":
        return False
    known = values.notnull()
    if not known.any():
        return not among(ds.status, WITH_RESULTS).any()
    return bool((values.isin([0, 1]) | ~known).all())


def surely(ds: xr.Dataset, node: ast.expr, wanted: bool = True) -> xr.DataArray:
    """Return the trials in which a parsed condition is known to be true (or false).

    Parameters
    ----------
    ds
        An opened store.
    node
        From `analysis.expressions.parse`.
    wanted
        The value that the condition must have; with a missing number a comparison has neither.

    Returns
    -------
    xarray.DataArray
        Booleans over the dims of the names in the condition.

    Raises
    ------
    QueryError
        As for `analysis.expressions.evaluate`.
    """
    if isinstance(node, ast.BoolOp):
        every = isinstance(node.op, ast.And) == wanted
        parts = [surely(ds, part, wanted) for part in node.values]
        return reduce(operator.and_ if every else operator.or_, parts)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return surely(ds, node.operand, not wanted)
    if isinstance(node, ast.Compare) and len(node.ops) > 1:
        return surely(ds, _unchained(node), wanted)
    holds = condition(value_of(ds, node), node)
    holds = holds if wanted else ~holds
    if isinstance(node, ast.Compare):
        for side in (node.left, *node.comparators):
            holds = holds & value_of(ds, side).notnull()
    return holds


def _unchained(node: ast.Compare) -> ast.BoolOp:
    """Return `a < b < c` as `a < b and b < c`."""
    sides = itertools.pairwise([node.left, *node.comparators])
    pairs: list[ast.expr] = [
        ast.copy_location(ast.Compare(left, [op], [right]), node)
        for op, (left, right) in zip(node.ops, sides, strict=True)
    ]
    return ast.copy_location(ast.BoolOp(ast.And(), pairs), node)


# --- the form of a budget -------------------------------------------------------------------------


def largest_value(node: ast.expr, name: str) -> tuple[ast.expr, float] | None:
    """Return what a condition compares, and the largest value at which it holds.

    Parameters
    ----------
    node
        From `analysis.expressions.parse`.
    name
        The variable that must be compared.

    Returns
    -------
    tuple or None
        For `name <= 20`, `name[0.01] < 20`, or the same from right to left. None for any other
        condition, and for a number below 0.
    """
    if not isinstance(node, ast.Compare) or len(node.ops) != 1:
        return None
    small, great, op = node.left, node.comparators[0], node.ops[0]
    if isinstance(op, ast.Gt | ast.GtE):
        small, great = great, small
    elif not isinstance(op, ast.Lt | ast.LtE):
        return None
    match great:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            strict = isinstance(op, ast.Lt | ast.Gt)
            limit = float(np.nextafter(number, -np.inf) if strict else number)
        case _:
            return None
    match small:
        case ast.Name(id=found) | ast.Subscript(value=ast.Name(id=found)):
            pass
        case ast.Call(func=ast.Name(id=found)):
            pass
        case _:
            return None
    return (small, limit) if found == name and limit >= 0 else None


# --- the form of Theorem 2 ------------------------------------------------------------------------


class _Monomial(NamedTuple):
    """The product of a coefficient and powers of names."""

    coefficient: float
    powers: dict[str, float]

    def times(self, other: _Monomial, power: float) -> _Monomial:
        """Return this monomial times another one to a power."""
        names = {*self.powers, *other.powers}
        powers = {n: self.powers.get(n, 0.0) + power * other.powers.get(n, 0.0) for n in names}
        coefficient = self.coefficient * other.coefficient**power
        return _Monomial(coefficient, {n: p for n, p in powers.items() if p})


_ONE = _Monomial(1.0, {})


def theorem2_threshold(node: ast.expr) -> float | None:
    """Return the C of a condition that says sigma_min / sqrt(k) >= C * alpha, in any arrangement.

    Parameters
    ----------
    node
        From `analysis.expressions.parse`.

    Returns
    -------
    float or None
        None for any other condition, and if C is not between 0 and 1 or its computation overflows.
    """
    try:
        return _threshold(node)
    except (OverflowError, ZeroDivisionError):
        return None


def _threshold(node: ast.expr) -> float | None:
    if not isinstance(node, ast.Compare) or len(node.ops) != 1:
        return None
    great, small = _monomial(node.left), _monomial(node.comparators[0])
    if isinstance(node.ops[0], ast.Lt | ast.LtE):
        great, small = small, great
    elif not isinstance(node.ops[0], ast.Gt | ast.GtE):
        return None
    if great is None or small is None:
        return None
    ratio = great.times(small, -1)
    power = ratio.powers.get("sigma_min", 0.0)
    if power <= 0 or ratio.powers != {"sigma_min": power, "alpha": -power, "k": -power / 2}:
        return None
    threshold = round(float(ratio.coefficient ** (-1 / power)), 12)
    return threshold if 0 < threshold < 1 else None


def _monomial(node: ast.expr) -> _Monomial | None:
    """Return a product of powers of names with a positive coefficient; None for anything else."""
    match node:
        case ast.Constant(value=int() | float() as value) if 0 < value < np.inf:
            return _Monomial(float(value), {})
        case ast.Name(id=name):
            return _Monomial(1.0, {name: 1.0})
        case ast.Call(func=ast.Name(id="sqrt"), args=[inner]):
            return _power(inner, 0.5)
        case ast.BinOp(left=left, op=ast.Mult() | ast.Div() as op, right=right):
            first, second = _monomial(left), _power(right, 1 if isinstance(op, ast.Mult) else -1)
            return None if first is None or second is None else first.times(second, 1)
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            exponent = _monomial(right)
            return None if exponent is None or exponent.powers else _power(left, exponent.coefficient)
    return None


def _power(node: ast.expr, power: float) -> _Monomial | None:
    inner = _monomial(node)
    return None if inner is None else _ONE.times(inner, power)
