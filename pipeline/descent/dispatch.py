"""The activations that networks can be trained through, as compiled code calls them: by number.

The numbers follow from the register of activations. Rectifiers come first, so that the loop knows
them by their number and finds their slope below zero in `SLOPES`. The number of an activation of one's
own is the address of its C function, so that the loop need not be compiled again for it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import float32, types
from numba.extending import intrinsic, overload
from numpy.typing import NDArray

from pipeline.numerics.activations import ACTIVATIONS
from pipeline.numerics.activations.record import Derivative
from pipeline.numerics.compiled import compiled
from pipeline.numerics.own_names import OwnName

__all__ = ["DERIVATIVES", "SLOPES", "activate", "code_of"]


def _derivatives() -> dict[str, Derivative]:
    """Return the derivatives of all activations that have one, rectifiers first."""
    known = {name: activation.derivative for name, activation in ACTIVATIONS.items()}
    given = {name: derivative for name, derivative in known.items() if derivative is not None}
    return dict(sorted(given.items(), key=lambda item: item[1].below is None))


DERIVATIVES = _derivatives()
"""Derivatives by the names of their activations, in the order of their numbers."""

SLOPES = tuple(one.below for one in DERIVATIVES.values() if one.below is not None)
"""phi'(z) for z < 0 of the rectifiers, which are the first numbers."""


def code_of(activation: str) -> int:
    """Return the number by which compiled code knows an activation."""
    if isinstance(activation, OwnName):
        derivative = ACTIVATIONS[activation].derivative
        assert derivative is not None
        return int(derivative.row())
    return list(DERIVATIVES).index(activation)


@intrinsic
def _call(typing: Any, address: Any, z: Any, a: Any) -> Any:
    """Call the C function at an address with the numbers of two rows in float64, and their number."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, *kinds = signature.args
        rows = [
            context.make_array(kind)(context, builder, value)
            for kind, value in zip(kinds, arguments[1:], strict=True)
        ]
        double, whole = ir.DoubleType().as_pointer(), ir.IntType(64)
        form = ir.FunctionType(ir.VoidType(), [double, double, whole]).as_pointer()
        samples = builder.extract_value(rows[0].shape, 0)
        builder.call(builder.inttoptr(arguments[0], form), [*(row.data for row in rows), samples])
        return context.get_dummy_value()

    return types.void(types.int64, z, a), generate


@compiled
def _call_double(code, z, a):  # type: ignore[no-untyped-def]
    _call(code, z, a)  # type: ignore[call-arg]


@compiled
def _call_single(code, z, a):  # type: ignore[no-untyped-def]
    wide, values = np.empty(z.size), np.empty(z.size)
    for i in range(z.size):
        wide[i] = z[i]
    _call(code, wide, values)  # type: ignore[call-arg]
    for i in range(z.size):
        a[i] = values[i]
        z[i] = wide[i]


def _dispatcher(rows: list[Any], call: Any) -> Any:
    """Return a compiled function of (code, z, a) that calls the row of that number, or of an address.

    It is one chain of comparisons, written out for as many rows as there are: compiled code cannot
    index functions, and a function per comparison would count references to the arrays at every call.
    numba does not recognise a function without a file in another process, so this one is cached as a
    part of its callers.
    """
    names = {f"row_{code}": row for code, row in enumerate(rows)}
    branches = [f"if code == {code}:\n  {name}(z, a)" for code, name in enumerate(names)]
    branches.append(f"if code >= {len(rows)}:\n  call(code, z, a)")
    names["call"] = call
    exec("def activate(code, z, a):\n " + "\n el".join(branches), names)
    return compiled(names["activate"], cache=False)


_double = _dispatcher([one.row for one in DERIVATIVES.values()], _call_double)
_single = _dispatcher([one.row32 or one.row for one in DERIVATIVES.values()], _call_single)


def activate(code: int, z: NDArray[Any], a: NDArray[Any]) -> None:
    """Write phi(z) to a, then overwrite z by phi'(z)."""
    (_single if z.dtype == np.float32 else _double)(code, z, a)


@overload(activate, inline="always")
def _by_type(code, z, a):  # type: ignore[no-untyped-def]
    """Return what compiled code calls in the place of `activate`, by the type of the row."""
    if z.dtype == float32:
        return lambda code, z, a: _single(code, z, a)
    return lambda code, z, a: _double(code, z, a)
