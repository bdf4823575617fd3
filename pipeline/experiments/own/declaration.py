"""The arrays that a function of one's own returns, told by its decorator.

`@experiment(gap=variable("largest minus least singular value"))` leaves the function as it is, and adds
what a store needs to know of its results. A `Declaration` is plain data: a store keeps it, so that it
can be read, verified and merged where the code is not.
"""

from __future__ import annotations

import keyword
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, TypeVar

import numpy as np

from pipeline.axes import AXES, Kind, names, optional
from pipeline.errors import CodeError, shortened
from pipeline.experiments.base import Variable

__all__ = [
    "MARK",
    "RESERVED",
    "Declaration",
    "DeclaredVariable",
    "coordinate",
    "declaration_of",
    "experiment",
    "variable",
]

MARK = "__widthlaw_experiment__"
"""Attribute of a decorated function: its declaration."""

RESERVED = frozenset(
    {*names(Kind.MODEL, Kind.SIZE, Kind.TRIAL), "k", "status", "message", "seconds", "seeds"}
).difference(axis.name for axis in optional())
"""Names of arrays and dimensions that every store has, or can have."""

MOST_VALUES = 10**6
"""Values that one variable of one trial has at most."""

LONGEST_WORD = 200

Function = TypeVar("Function", bound=Callable[..., Any])

Values = tuple[float | int | str, ...]


@dataclass(frozen=True)
class DeclaredVariable:
    """A variable as its author declares it; `variable` makes one."""

    long_name: str
    dims: tuple[str, ...]
    coords: tuple[tuple[str, Values], ...]
    units: str


@dataclass(frozen=True)
class Declaration:
    """The arrays that one function returns.

    Attributes
    ----------
    variables
        The arrays of a store; each has the dimension `width`, and those that its author gave.
    coords
        Pairs of a dimension beyond those of a trial, and the values of its coordinate.
    together
        True if one call serves all widths of a seed.
    """

    variables: tuple[Variable, ...]
    coords: tuple[tuple[str, Values], ...]
    together: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return the declaration as a store keeps it."""
        return {
            "variables": [
                {
                    "name": one.name,
                    "dims": list(one.dims),
                    "long_name": one.long_name,
                    "units": one.units,
                }
                for one in self.variables
            ],
            "coords": {dim: list(values) for dim, values in self.coords},
            "together": self.together,
        }

    @classmethod
    def from_json(cls, found: Any) -> Declaration:
        """Return the declaration that a store keeps.

        Raises
        ------
        CodeError, TypeError, KeyError, ValueError, AttributeError
            It is none.
        """
        given = {
            one["name"]: variable(
                one["long_name"],
                dims=one["dims"][1:],
                coords={dim: found["coords"][dim] for dim in one["dims"][1:]},
                units=one["units"],
            )
            for one in found["variables"]
        }
        return _declaration(given, bool(found["together"]))


def variable(
    long_name: str,
    *,
    dims: Sequence[str] = (),
    coords: Mapping[str, Sequence[Any]] | None = None,
    units: str = "1",
) -> DeclaredVariable:
    """Declare an array that a trial returns.

    Parameters
    ----------
    long_name
        Its meaning, for labels of figures and readers of the store.
    dims
        Its dimensions within a trial; () for a number.
    coords
        The values along each of these dimensions: numbers, or words.
    units
        Its unit, "1" if it has none.

    Raises
    ------
    CodeError
        The variable cannot be stored.

    Examples
    --------
    >>> variable("loss", dims=("step",), coords={"step": [1, 10, 100]}).dims
    ('step',)
    """
    for what, text in (("its long name", long_name), ("its units", units)):
        if not isinstance(text, str) or not text.isprintable() or not text:
            raise CodeError(
                f"variable({shortened(repr(long_name))}): {what} is {shortened(repr(text))}, "
                "expected a line of text"
            )
    own = (dims,) if isinstance(dims, str) else tuple(dims)
    given = dict(coords or {})
    for dim in {*own, *given}:
        if dim not in own or dim not in given or own.count(dim) > 1:
            raise CodeError(
                f"variable({long_name!r}): got the dims {own} and coords of {tuple(given)}, expected "
                'the same names once in both, such as dims=("step",), coords={"step": [1, 10, 100]}'
            )
        _check_name(f"variable({long_name!r}): the dimension", dim)
    found = tuple((dim, coordinate(f"variable({long_name!r}): {dim}", given[dim])) for dim in own)
    if np.prod([len(values) for _, values in found], dtype=float) > MOST_VALUES:
        raise CodeError(f"variable({long_name!r}): has more than {MOST_VALUES} values; store fewer")
    return DeclaredVariable(long_name, own, found, units)


def experiment(
    *functions: Any, widths: str = "each", **variables: DeclaredVariable
) -> Callable[[Function], Function]:
    """Declare what a function of one trial returns, so that a sweep can name it.

    Parameters
    ----------
    widths
        "together" if one call serves all widths of a seed: the function gets `trial.widths`, and
        returns arrays with the widths first.
    **variables
        What it returns by name, each made by `variable`.

    Raises
    ------
    CodeError
        A name or a variable cannot be stored.

    Examples
    --------
    >>> @experiment(mean=variable("mean of the inputs"))
    ... def average(trial):
    ...     return {"mean": trial.inputs().mean()}
    """
    if functions:
        raise CodeError(
            "@experiment: got no variables, expected what the function returns; write "
            '@experiment(gap=variable("its meaning"))'
        )
    if widths not in ("each", "together"):
        raise CodeError(f'@experiment: widths is {widths!r}, expected "each" or "together"')
    found = _declaration(variables, widths == "together")

    def decorated(function: Function) -> Function:
        setattr(function, MARK, found)
        return function

    return decorated


def declaration_of(function: Any) -> Declaration | None:
    """Return what a function declares; None if it is not decorated."""
    found = getattr(function, MARK, None)
    return found if isinstance(found, Declaration) else None


def _declaration(variables: Mapping[str, Any], together: bool) -> Declaration:
    if not variables:
        raise CodeError(
            "@experiment: got no variables, expected what the function returns, such as "
            'gap=variable("its meaning")'
        )
    coords: dict[str, Values] = {}
    for name, one in variables.items():
        _check_name("@experiment: the variable", name)
        if not isinstance(one, DeclaredVariable):
            raise CodeError(
                f"@experiment: {name} is {shortened(repr(one))}, expected variable(...); write "
                f'{name}=variable("its meaning")'
            )
        for dim, values in one.coords:
            if coords.setdefault(dim, values) != values:
                raise CodeError(f"@experiment: {name} has other coords of {dim} than another variable")
    for name in variables:
        if name in coords:
            raise CodeError(f"@experiment: {name} is a variable and a dimension; rename one of them")
    own = tuple(
        Variable(name, ("width", *one.dims), one.long_name, one.units)
        for name, one in variables.items()
    )
    return Declaration(own, tuple(coords.items()), together)


def _check_name(where: str, name: Any) -> None:
    """Refuse a name that no array of a store can have."""
    if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name):
        raise CodeError(f"{where} {shortened(repr(name))}: expected a name of letters, digits and _")
    if name in RESERVED or name.startswith("_"):
        kind = "an axis" if name in AXES else "an array"
        reason = "starts with _" if name.startswith("_") else f"is {kind} of every store"
        raise CodeError(f"{where} {name!r} {reason}; rename it")


def coordinate(where: str, values: Any) -> Values:
    """Return the values along an axis, all numbers or all words.

    Parameters
    ----------
    where
        What they belong to, for messages.
    values
        A list, tuple or array.

    Raises
    ------
    CodeError
        No coordinate can hold them.
    """
    given = values.tolist() if isinstance(values, np.ndarray) else values
    if not isinstance(given, list | tuple | range):
        raise CodeError(
            f"{where}: got {shortened(repr(values))}, expected a list of numbers or of words"
        )
    if not given:
        raise CodeError(f"{where}: got an empty list, expected at least one value")
    if len(given) > MOST_VALUES:
        raise CodeError(f"{where}: got {len(given)} values, expected at most {MOST_VALUES}")
    found = tuple(_plain(where, given))
    if len(set(found)) < len(found):
        twice = next(value for value in found if found.count(value) > 1)
        raise CodeError(f"{where}: {twice!r} is listed twice; remove one")
    return found


def _plain(where: str, given: Sequence[Any]) -> Iterator[float | int | str]:
    words = isinstance(given[0], str)
    whole = all(isinstance(value, Integral) for value in given)
    kind: Any = str if words else Real
    for value in given:
        if isinstance(value, list | tuple):
            raise CodeError(
                f"{where}: got {shortened(repr(value))}, expected all numbers or all words: a list "
                "that a trial needs as a whole stands in its Python file"
            )
        if isinstance(value, bool) or not isinstance(value, kind):
            raise CodeError(
                f"{where}: got {shortened(repr(value))}, expected all numbers or all words: no "
                'coordinate holds other values; write words, such as ["yes", "no"]'
            )
        if words:
            if not value or not value.isprintable() or len(value) > LONGEST_WORD:
                raise CodeError(
                    f"{where}: got {shortened(repr(value))}, expected a word of 1 to {LONGEST_WORD} "
                    "letters"
                )
            yield str(value)
        elif whole and -(2**63) <= value < 2**63:
            yield int(value)
        elif not whole and np.isfinite(float(value)):
            yield float(value)
        else:
            raise CodeError(
                f"{where}: got {shortened(repr(value))}, expected finite numbers of at most 64 bits"
            )
