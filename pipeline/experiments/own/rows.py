"""Activations of one's own as the compiled loop of descent calls them: by the address of a C function.

numba compiles the function and its derivative where it can. Where it cannot, the C function calls them
in NumPy, a row at a time; an exception is kept then (`FAULTS`), as C cannot raise it.
"""

from __future__ import annotations

import contextlib
import ctypes
from dataclasses import dataclass
from functools import cache
from types import FunctionType, ModuleType
from typing import Any

import numba as untyped_numba
import numpy as np

from pipeline.experiments.own.activations import (
    COMPLEX,
    GIVEN,
    OwnActivation,
    as_derived,
    said_of,
)
from pipeline.experiments.own.calls import call_alone
from pipeline.experiments.own.code import Code
from pipeline.experiments.own.smoothness import COMPLEX_STEP, STEP
from pipeline.numerics.own_names import FAULTS

__all__ = ["Row", "row_of"]

numba: Any = untyped_numba
types: Any = numba.types

C_ROW = types.void(types.CPointer(types.float64), types.CPointer(types.float64), types.int64)

OPTIONS: dict[str, Any] = {"error_model": "numpy"}

POINTS = np.linspace(-4.0, 4.0, 33) + 0.0123

REAL, COMPLEX_NUMBER = types.float64, types.complex128


@dataclass(frozen=True)
class Row:
    """A C function that overwrites z by phi'(z) and writes phi(z) to a.

    Attributes
    ----------
    address
        Its address.
    is_compiled
        False if it calls NumPy.
    holder
        What must live as long as the address is used.
    """

    address: int
    is_compiled: bool
    holder: Any


def row_of(name: OwnActivation) -> Row:
    """Return the C function of an activation, made once in a process."""
    return _row(name, name.code)


@cache
def _row(name: OwnActivation, code: Code) -> Row:
    try:
        row = _compiled(name)
    except Exception:  # numba's errors are many, and whatever it cannot compile runs in NumPy
        row = None
    return row or _called(name)


def _called(name: OwnActivation) -> Row:
    """Return a C function that calls the functions as they are."""
    phi = name.function
    slope = as_derived(phi, name.facts)
    pointer = ctypes.POINTER(ctypes.c_double)

    def called(z: Any, a: Any, n: int) -> None:
        into, out = np.ctypeslib.as_array(z, (n,)), np.ctypeslib.as_array(a, (n,))
        try:
            with np.errstate(all="ignore"):
                out[:], into[:] = (
                    call_alone(phi, into.copy()),
                    call_alone(slope, into.copy()),
                )
        except Exception as error:
            FAULTS.append(error)
            out[:] = into[:] = np.nan

    row = ctypes.CFUNCTYPE(None, pointer, pointer, ctypes.c_int64)(called)
    address = ctypes.cast(row, ctypes.c_void_p).value
    assert address is not None
    return Row(address, False, row)


def _compiled(name: OwnActivation) -> Row | None:
    """Return a compiled C function; None if it would return other values.

    Raises
    ------
    Exception
        numba cannot compile it.
    """
    phi = _scalar(name.function, REAL)
    slope = _slope(name, phi)

    @numba.cfunc(C_ROW, **OPTIONS)
    def row(z, a, n):  # type: ignore[no-untyped-def]
        into, out = numba.carray(z, n), numba.carray(a, n)
        for i in range(n):
            x = into[i]
            out[i] = phi(x)
            into[i] = slope(x)

    found = Row(row.address, True, (row, phi, slope))
    values, slopes = np.empty_like(POINTS), POINTS.copy()
    row.ctypes(
        slopes.ctypes.data_as(ctypes.POINTER(ctypes.c_double)),
        values.ctypes.data_as(ctypes.POINTER(ctypes.c_double)),
        POINTS.size,
    )
    same = np.allclose(values, np.asarray(name.function(POINTS.copy())), rtol=1e-9, atol=1e-12)
    wanted = as_derived(name.function, name.facts)(POINTS.copy())
    return found if same and np.allclose(slopes, wanted, rtol=1e-6, atol=1e-6) else None


def _scalar(function: Any, kind: Any) -> Any:
    """Compile a function of arrays for single numbers."""
    ours = {
        name: _of_numbers() if value is np else value for name, value in function.__globals__.items()
    }
    inner = numba.njit(
        FunctionType(
            function.__code__, ours, function.__name__, function.__defaults__, function.__closure__
        ),
        **OPTIONS,
    )
    inner.compile((kind,))
    if inner.nopython_signatures[-1].return_type != kind:
        raise TypeError("returns no number")
    return inner


@cache
def _of_numbers() -> ModuleType:
    """Return NumPy for compiled code of single numbers, which is slow in some functions."""

    @numba.njit(**OPTIONS)
    def where(condition, one, other):  # type: ignore[no-untyped-def]
        return one if condition else other

    @numba.njit(**OPTIONS)
    def clip(x, least, most):  # type: ignore[no-untyped-def]
        return min(max(x, least), most)

    module = ModuleType("numpy")
    vars(module).update(vars(np) | {"where": where, "clip": clip})
    return module


def _slope(name: OwnActivation, phi: Any) -> Any:
    """Compile the derivative, as the facts say where it comes from."""
    if name.facts.derivative == GIVEN:
        return _scalar(said_of(name.function).derivative, REAL)
    if name.facts.derivative == COMPLEX:
        with contextlib.suppress(Exception):  # it may know no complex numbers
            return _by_complex_step(_scalar(name.function, COMPLEX_NUMBER))
    return _by_differences(phi, np.array(name.facts.kinks))


def _by_complex_step(phi: Any) -> Any:
    @numba.njit(**OPTIONS)
    def slope(x):  # type: ignore[no-untyped-def]
        return phi(complex(x, COMPLEX_STEP)).imag / COMPLEX_STEP

    return slope


def _by_differences(phi: Any, kinks: Any) -> Any:
    """Compile what `smoothness.by_differences` does."""

    @numba.njit(**OPTIONS)
    def slope(x):  # type: ignore[no-untyped-def]
        h = STEP * max(1.0, abs(x) / 100)
        for i in range(kinks.size):
            if abs(x - kinks[i]) < 2 * h:
                h = h if x > kinks[i] else -h
                near = -25 * phi(x) + 48 * phi(x + h) - 36 * phi(x + 2 * h)
                return (near + 16 * phi(x + 3 * h) - 3 * phi(x + 4 * h)) / (12 * h)
        rise = 8 * (phi(x + h) - phi(x - h)) - (phi(x + 2 * h) - phi(x - 2 * h))
        return rise / (12 * h)

    return slope
