"""The table [parameters] of a sweep with an experiment of one's own.

A list is an axis of the store, so it holds numbers or words. Anything else is a constant: it goes to
the function as it is, and into the identity of the sweep as JSON.
"""

from __future__ import annotations

import json
import keyword
import math
from typing import TYPE_CHECKING, Any

from pipeline.errors import CodeError, shortened
from pipeline.sweep_files.toml import Problems

if TYPE_CHECKING:
    from pipeline.experiments.own.declaration import Declaration
    from pipeline.sweep_files.tables import File

__all__ = ["read_parameters"]

CRITERIA = ("tolerance", "budget")
"""Names that `analysis` gives to axes of its own."""


def read_parameters(
    file: File, declaration: Declaration, problems: Problems
) -> tuple[tuple[tuple[str, tuple[Any, ...]], ...], str]:
    """Return the parameters that are axes with their values, and the others as JSON.

    Parameters
    ----------
    file
        The sweep file.
    declaration
        What the function declares; no parameter may have a name of it.
    problems
        Problems of the file, which are added to.
    """
    from pipeline.experiments.own.declaration import coordinate

    axes: list[tuple[str, tuple[Any, ...]]] = []
    constants: dict[str, Any] = {}
    for name, value in file.parameters.items():
        key = f"parameters.{name}" if name.isidentifier() else "parameters"
        if trouble := _trouble_with(name, declaration):
            problems.add(key, trouble)
        elif isinstance(value, list) and keyword.iskeyword(name):
            problems.add(
                key,
                "is a word of Python, which no condition of query or fit can name; rename the "
                f"parameter, such as {name}_",
            )
        elif isinstance(value, list) and name in CRITERIA:
            problems.add(key, "is an axis that success by descent adds to stores; rename the parameter")
        elif isinstance(value, list):
            try:
                axes.append((name, coordinate("a list is an axis", value)))
            except CodeError as error:
                problems.add(key, str(error))
        elif not _is_plain(value):
            problems.add(
                key,
                f"got {shortened(str(value))}, expected text, true, false, a finite number, or a table "
                "or list of these; write a date as text",
            )
        else:
            constants[name] = value
    return tuple(axes), json.dumps(constants, sort_keys=True)


def _trouble_with(name: str, declaration: Declaration) -> str:
    """Return why a parameter cannot have a name, or ""."""
    from pipeline.experiments.own.declaration import RESERVED

    if not name.isidentifier() or name.startswith("_"):
        return f"got the name {shortened(repr(name))}, expected letters, digits and _; rename it"
    if name in RESERVED:
        return "is the name of an axis or an array of stores; rename the parameter"
    if name in {one.name for one in declaration.variables} | dict(declaration.coords).keys():
        return (
            "is also the name of a variable, or of its dimension, in the function; rename one of them"
        )
    return ""


def _is_plain(value: Any) -> bool:
    """Return True if JSON can hold a value, so that a store can."""
    if isinstance(value, dict):
        return all(map(_is_plain, value.values()))
    if isinstance(value, list):
        return all(map(_is_plain, value))
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, str | bool | int)
