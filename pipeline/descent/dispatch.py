"""The activations that networks can be trained through, as compiled code calls them: by number.

The numbers follow from the register of activations. Rectifiers come first, so that the loop knows
them by their number and finds their slope below zero in `SLOPES`.
"""

from __future__ import annotations

from typing import Any

from pipeline.numerics.activations import ACTIVATIONS
from pipeline.numerics.activations.record import Derivative
from pipeline.numerics.compiled import compiled

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
    return list(DERIVATIVES).index(activation)


def _row_of(rows: list[Any]) -> Any:
    """Return a compiled function of (code, z, a) that calls the row of that number.

    One flat chain of comparisons, written out for as many rows as there are: functions that call each
    other would count references to the arrays at every level, which costs a small network half its
    speed, and compiled code cannot index functions. numba does not recognise such a function from one
    process to the next, so it is kept on disk only within those that call it.
    """
    names = {f"row_{code}": row for code, row in enumerate(rows)}
    lines = [f" if code == {code}: return {name}(z, a)" for code, name in enumerate(names)]
    exec("\n".join(["def choose(code, z, a):", *lines]), names)
    return compiled(names["choose"], cache=False)


_call_row = _row_of([one.row for one in DERIVATIVES.values()])


@compiled
def activate(code, z, a):  # type: ignore[no-untyped-def]
    """`a` = phi(z), then z = phi'(z), for the activation of that number."""
    _call_row(code, z, a)
