"""Activations of one's own: a function of numbers in a file beside the sweep.

`activation = "mine.py:swish"` names it. Where it is not analytic (its kinks) is named by its author or
found; its derivative is given, or derived: by a complex step where that agrees with finite differences,
or by these. A store keeps these facts: it can be read, and its trials planned, without the code.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache, partial
from numbers import Real
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import CodeError, first_line, shortened
from pipeline.experiments.own.calls import call_alone
from pipeline.experiments.own.code import Code, Named
from pipeline.experiments.own.smoothness import STEP, by_complex_step, by_differences, kinks_of
from pipeline.numerics.activations.record import Activation, Derivative

__all__ = ["Facts", "OwnActivation", "activation", "as_derived", "facts_of"]

Array = NDArray[np.float64]

MARK = "__widthlaw_activation__"
"""Attribute of a decorated activation: what its author says of it."""

GIVEN, COMPLEX, DIFFERENCES, NONE = "given", "complex step", "finite difference", "none"

PROBES = np.linspace(-6.0, 6.0, 397) + 0.001234

AGREES = 1e-6
"""Largest difference of two derivatives, relative to 1 + |phi'|."""

JUMP = 1e-6
"""Difference of the values beside a kink, above which the function jumps."""

MOST_KINKS = 32

MOST_SECONDS = 1e-3
"""Time of one element that a store may tell."""

DERIVED, C_CALL = 3.0, 2e-9
"""Time of phi and phi' together, in that of phi in NumPy, and of calling them: by a fit."""

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Facts:
    """Facts on an activation that need no code.

    Attributes
    ----------
    kinks
        Where it is not analytic.
    derivative
        Where its derivative comes from: "given", "complex step", "finite difference"; or "none" where
        it jumps, so that no network can be trained through it.
    seconds
        Measured time of phi for one element; no part of comparisons.
    """

    kinks: tuple[float, ...]
    derivative: str
    seconds: float = field(compare=False)

    def as_json(self) -> dict[str, Any]:
        """Return the facts as a store keeps them."""
        return asdict(self) | {"kinks": list(self.kinks)}

    @classmethod
    def from_json(cls, found: Any) -> Facts:
        """Return the facts that a store keeps.

        Raises
        ------
        TypeError, KeyError, ValueError
            They are none.
        """
        kinks = tuple(float(kink) for kink in found["kinks"])
        seconds = float(found["seconds"])
        known = found["derivative"] in (GIVEN, COMPLEX, DIFFERENCES, NONE)
        if not known or len(kinks) > MOST_KINKS or not all(map(math.isfinite, kinks)):
            raise ValueError("facts that no activation has")
        if not 0 <= seconds <= MOST_SECONDS:
            raise ValueError("a time that no activation takes")
        return cls(kinks, str(found["derivative"]), seconds)


class OwnActivation(Named):
    """The name of an activation of one's own, which brings its record."""

    __slots__ = ()

    facts: Facts

    @property
    def record(self) -> Activation:
        """Return its record, as for the activations that come with widthlaw."""
        return _record(self, self.code, self.facts)

    def with_slope(self, z: Array) -> tuple[Array, Array]:
        slope = as_derived(self.function, self.facts)
        return _values(self, z), _checked(str(self), slope, z, "its derivative: ")


@lru_cache(maxsize=32)
def _record(name: OwnActivation, code: Code, facts: Facts) -> Activation:
    derivative = None
    if facts.derivative != NONE:  # bounds of phi' and phi'' are nobody's claim
        seconds = DERIVED * facts.seconds + C_CALL
        derivative = Derivative(partial(_address, name), math.inf, None, seconds)
    return Activation(partial(_values, name), None, derivative, kinks=facts.kinks)


def _values(name: OwnActivation, z: Array) -> Array:
    """Return phi(z), checked: the function is somebody else's."""
    return _checked(str(name), name.function, z)


def _checked(name: str, phi: Callable[..., Any], z: Array, what: str = "") -> Array:
    found = np.asarray(call_alone(phi, z.copy()))
    if found.shape != z.shape or found.dtype.kind not in "fiub":
        raise CodeError(
            f"{name}: {what}got {found.dtype} of shape {found.shape} for numbers of shape {z.shape}, "
            "expected a real number for each; write it with NumPy's functions of arrays"
        )
    return found.astype(np.float64)


def _address(name: OwnActivation) -> int:
    from pipeline.experiments.own.rows import row_of  # the compiler

    return row_of(name).address


@dataclass(frozen=True)
class Said:
    """The statements of an author on an activation."""

    kinks: tuple[float, ...] = ()
    derivative: Callable[..., Any] | None = None


def activation(
    *functions: Any,
    kinks: Sequence[float] = (),
    derivative: Callable[..., Any] | None = None,
) -> Callable[[Function], Function]:
    """Say where an activation has kinks, or what its derivative is; both may be left out.

    Parameters
    ----------
    kinks
        Points at which it is not smooth, such as [0.0]. Those from -10 to 10 are found if they are not
        named.
    derivative
        Its derivative, a function of arrays like itself. Otherwise it is derived.

    Raises
    ------
    CodeError
        The arguments cannot be used.

    Examples
    --------
    >>> @activation(kinks=[-1.0, 1.0])
    ... def hard_tanh(z):
    ...     return np.clip(z, -1, 1)
    """
    if len(functions) == 1 and callable(functions[0]):  # without parentheses
        return functions[0]
    listed = [kinks] if isinstance(kinks, Real) else list(kinks)
    for kink in listed:
        if isinstance(kink, bool) or not isinstance(kink, Real) or not math.isfinite(kink):
            raise CodeError(
                f"@activation: kinks has {shortened(repr(kink))}, expected finite numbers, as [0.0]"
            )
    if len(listed) > MOST_KINKS:
        raise CodeError(f"@activation: got {len(listed)} kinks, expected at most {MOST_KINKS}")
    if derivative is not None and not callable(derivative):
        raise CodeError(
            f"@activation: derivative is {shortened(repr(derivative))}, expected a function"
        )
    said = Said(tuple(sorted({float(kink) for kink in listed})), derivative)

    def decorated(function: Function) -> Function:
        setattr(function, MARK, said)
        return function

    return decorated


def said_of(phi: Any) -> Said:
    """Return what the author of an activation says of it."""
    said = getattr(phi, MARK, None)
    return said if isinstance(said, Said) else Said()


def as_derived(phi: Callable[..., Any], facts: Facts) -> Callable[[Array], Array]:
    """Return phi' as the facts say where it comes from."""
    if facts.derivative == GIVEN:
        given = said_of(phi).derivative
        assert given is not None
        return given
    if facts.derivative == COMPLEX:
        return partial(by_complex_step, phi)
    return partial(by_differences, phi, kinks=facts.kinks)


def facts_of(entry: str, code: Code) -> Facts:
    """Run an activation on numbers from -10 to 10, and return what is found.

    Raises
    ------
    CodeError
        It cannot be used: not a function of real numbers, not finite, or not elementwise.
    """
    phi = code.function(entry)
    if not callable(phi):
        raise CodeError(f"{entry}: is {shortened(repr(phi))}, expected a function of one array")
    said = said_of(phi)
    try:
        with np.errstate(all="ignore"):
            _check_values(entry, phi)
            kinks = _kinks(entry, partial(_checked, entry, phi), said.kinks)
            return Facts(kinks, _derivative(entry, phi, said, kinks), _time(phi))
    except CodeError:
        raise
    except Exception as error:
        raise CodeError(
            f"{entry}: raises {first_line(error)} for an array of numbers; repair it"
        ) from error


def _check_values(entry: str, phi: Callable[..., Any]) -> None:
    """Refuse what is no function of single real numbers."""
    values = _checked(entry, phi, PROBES)
    if not np.isfinite(values).all():
        at = int(np.argmin(np.isfinite(values)))
        raise CodeError(f"{entry}: is {values[at]} at z = {PROBES[at]:.6g}, expected finite numbers")
    z, before = PROBES[:100:-1], values[:100:-1]
    again = _checked(entry, phi, z.reshape(-1, 1))[:, 0]
    if not np.allclose(before, again, rtol=1e-9, atol=1e-12):
        at = int(np.argmax(np.abs(before - again)))
        raise CodeError(
            f"{entry}: is {before[at]:.6g} and then {again[at]:.6g} at z = {z[at]:.6g}, expected "
            "the same value whenever it is called, and whatever else is in the array"
        )


def _kinks(entry: str, phi: Callable[[Array], Array], named: tuple[float, ...]) -> tuple[float, ...]:
    """Return the kinks that are named, and those that are found."""
    found = kinks_of(phi)
    if found is None or len(named) + len(found) > MOST_KINKS:
        raise CodeError(
            f"{entry}: is not smooth at more than {MOST_KINKS} points from -10 to 10; expected an "
            "activation that is smooth between few kinks"
        )
    new = [kink for kink in found if all(abs(kink - other) > 1e-6 for other in named)]
    return tuple(sorted({*named, *new}))


def _derivative(entry: str, phi: Callable[..., Any], said: Said, kinks: tuple[float, ...]) -> str:
    """Return where the derivative comes from, once it agrees with finite differences."""
    checked = partial(_checked, entry, phi)
    at = np.array(kinks)
    beside = np.abs(checked(at + 1e-9) - checked(at - 1e-9)) if kinks else np.zeros(1)
    if beside.max() > JUMP:
        if said.derivative is not None:
            raise CodeError(
                f"{entry}: jumps at z = {at[np.argmax(beside)]:.6g}, so it has no derivative; remove it"
            )
        return NONE
    far = PROBES[np.abs(PROBES[:, None] - at).min(axis=1, initial=1.0) > 4 * STEP]
    expected = by_differences(checked, far)
    if said.derivative is not None:
        given = _checked(entry, said.derivative, far, "its derivative: ")
        wrong = np.abs(given - expected) - AGREES * (1 + np.abs(expected))
        if not wrong.max() <= 0:
            worst = int(np.argmax(np.where(np.isnan(wrong), np.inf, wrong)))
            raise CodeError(
                f"{entry}: its derivative is {given[worst]:.6g} at z = {far[worst]:.6g}, expected "
                f"{expected[worst]:.6g} as its values rise there; mend it, or leave it out"
            )
        return GIVEN
    try:
        found = call_alone(by_complex_step, phi, far.copy())
    except Exception:  # many functions take no complex numbers
        return DIFFERENCES
    close = found.shape == far.shape and np.allclose(found, expected, rtol=AGREES, atol=AGREES)
    return COMPLEX if close else DIFFERENCES


def _time(phi: Callable[..., Any]) -> float:
    """Return the seconds of one element, in rows as descent calls it."""
    z = np.linspace(-3, 3, 1000)
    times = []
    for _ in range(5):
        row, began = z.copy(), time.perf_counter()
        call_alone(phi, row)
        times.append(time.perf_counter() - began)
    return min(min(times) / z.size, MOST_SECONDS)
