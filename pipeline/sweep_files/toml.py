"""What TOML files have in common: tables that refuse unlisted keys, one line for each thing wrong.

pydantic looks at single values; `problems_of` turns its findings into lines for the person who has to
mend the file: where, what was found, what was expected, what would do.
"""

from __future__ import annotations

import datetime
import difflib
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict
from pydantic import ValidationError as PydanticError
from pydantic_core import PydanticCustomError

__all__ = [
    "CLOSED",
    "Place",
    "known_keys",
    "listing",
    "name_of",
    "nearest_name",
    "not_one_of",
    "problems_of",
    "variant",
]

Place = list[Any]
"""The keys and indices that lead to a value."""


CLOSED = ConfigDict(extra="forbid", frozen=True)
"""Of a table that refuses unlisted keys, and stays as it was read."""


def name_of(names: Callable[[], Mapping[str, Any]]) -> AfterValidator:
    """Take the keys of a register alone."""

    def check(value: str) -> str:
        if value not in names():
            raise PydanticCustomError("not_one_of", "not one of the names", {"names": list(names())})
        return value

    return AfterValidator(check)


def variant(name: str) -> str:
    """How pydantic names a branch of a union in its path; no key of a file looks like it."""
    return f"|{name}|"


def problems_of(
    error: PydanticError,
    table: type[BaseModel],
    document: dict[str, Any],
    expected: Callable[[Any, Place], str | None] = lambda fault, place: None,
) -> tuple[list[Place], list[str]]:
    """Tell where a document is not such a table, and one line for each place.

    Parameters
    ----------
    error
        What pydantic found.
    table
        The table that the document should be.
    document
        The document, as TOML was read.
    expected
        What a value should have been, where the file knows better than its type tells.

    Returns
    -------
    tuple
        The places, and the lines.
    """
    faults = error.errors()
    places = [_place(fault, document) for fault in faults]
    lines = [
        _problem(fault, place, table, expected) for fault, place in zip(faults, places, strict=True)
    ]
    return places, lines


def listing(where: str, problems: list[str]) -> str:
    """One message of all problems of a file."""
    distinct = list(dict.fromkeys(problems))
    if len(distinct) == 1:
        return f"{where}: {distinct[0]}"
    return f"{where}: {len(distinct)} problems" + "".join(f"\n  {problem}" for problem in distinct)


def not_one_of(key: str, name: str, names: Any) -> str:
    return f"{key}: got {name!r}{nearest_name(name, names)}, expected one of {', '.join(names)}"


def nearest_name(name: str, names: Any) -> str:
    close = difflib.get_close_matches(name.lower(), list(names), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def known_keys(table: type[BaseModel], place: Place) -> list[str]:
    """The keys of the table that stands at a place."""
    for name in place:
        field = table.model_fields.get(name) if isinstance(name, str) else None
        table = next(_tables(field.annotation), table) if field else table
    return list(table.model_fields)


def _tables(annotation: Any) -> Iterator[type[BaseModel]]:
    """The tables that an annotation is made of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _tables(part)


def _place(fault: Any, document: dict[str, Any]) -> Place:
    """The keys and indices that lead to a fault; a single value was read as a list of one."""
    place: Place = []
    at: Any = document
    for part in fault["loc"]:
        branch = str(part).startswith("|") and not (isinstance(at, dict) and part in at)
        if branch or (isinstance(part, int) and not isinstance(at, list)):
            continue
        place.append(part)
        at = at[part] if isinstance(part, int) or (isinstance(at, dict) and part in at) else None
    return place


def _problem(
    fault: Any,
    place: Place,
    table: type[BaseModel],
    expected: Callable[[Any, Place], str | None],
) -> str:
    """One line for one of pydantic's findings: where, what was found, what was expected."""
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).lstrip(".")
    if fault["type"] == "extra_forbidden":
        known = known_keys(table, place[:-1])
        return (
            f"{where}: unknown key{nearest_name(str(place[-1]), known)}; known are {', '.join(known)}"
        )
    if fault["type"] == "missing":
        return f"{where}: missing, this key is needed"
    if fault["type"] == "not_one_of":
        return not_one_of(where, fault["input"], fault["ctx"]["names"])
    wanted = expected(fault, place) or _expected(fault, known_keys(table, place))
    return f"{where}: got {_as_toml(fault['input'])}, expected {wanted}"


def _expected(fault: Any, keys: list[str]) -> str:
    match fault["type"]:
        case "too_short":
            return "at least one value"
        case "int_type":
            return f"a whole number, such as {_whole(fault['input'])}"
        case "bool_type":
            return "true or false"
        case "string_type":
            return "text in quotes"
        case "model_type" | "model_attributes_type" | "dict_type":
            return f"a table with keys of {', '.join(keys)}"
        case "list_type" | "tuple_type":
            return "a list"
    return str(fault["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")


def _whole(value: object) -> int:
    """A whole number near to what was written, if that is a number."""
    number = value if isinstance(value, float) and math.isfinite(value) else 10.0
    return min(max(round(number), 1), 1000)


def _as_toml(value: object) -> str:
    """A value as the user wrote it: true, not True."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(_as_toml, value))}]"
    if isinstance(value, dict):
        inner = ", ".join(f"{key} = {_as_toml(held)}" for key, held in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return repr(value)
