"""Reading TOML files strictly: tables refuse unknown keys, and every problem is reported.

pydantic checks single values. `problems_of` turns its findings into `Problem`s, each with the key it
concerns and a text for the person who has to fix the file: got, expected, repair. Sweep files and
profiles both use this module.
"""

from __future__ import annotations

import datetime
import itertools
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict
from pydantic import ValidationError as PydanticError
from pydantic_core import PydanticCustomError

from pipeline.errors import Problem, nearest_name, not_one_of, shortened

__all__ = [
    "CLOSED",
    "KeyPath",
    "Problems",
    "known_keys",
    "name_of",
    "problems_of",
    "variant",
]

KeyPath = list[Any]
"""The keys and list indices that lead to a value of a document."""


LONGEST_WHOLE = 512
"""Bits of a whole number that a message repeats."""

MOST_PROBLEMS = 100
"""Number of problems that are described one by one; more of them are only counted."""

CLOSED = ConfigDict(extra="forbid", frozen=True)
"""Configuration of a frozen table that refuses unknown keys."""


class Problems(list[Problem]):
    """The problems found so far in one file."""

    def add(self, key: str, text: str) -> None:
        """Record a problem of a key, such as ``dataset.path``."""
        self.append(Problem(key, text))

    def none_of(self, *keys: str) -> bool:
        """Return True if these top-level keys, and all below them, have no problem so far."""
        return not any(problem.key.split(".")[0].split("[")[0] in keys for problem in self)


def name_of(
    names: Callable[[], Mapping[str, Any]], others: Callable[[str], bool] = lambda name: False
) -> AfterValidator:
    """Return a validator that accepts only the keys of a register, and names of some other form."""

    def check(value: str) -> str:
        if value not in names() and not others(value):
            raise PydanticCustomError("not_one_of", "not one of the names", {"names": list(names())})
        return value

    return AfterValidator(check)


def variant(name: str) -> str:
    """Return the tag of a branch of a union; pydantic puts it into paths, and no key looks like it."""
    return f"|{name}|"


def problems_of(
    error: PydanticError,
    table: type[BaseModel],
    document: dict[str, Any],
    expected: Callable[[Any, KeyPath], str | None] = lambda fault, path: None,
) -> tuple[list[KeyPath], Problems]:
    """Return where a document does not match its table, and one problem for each such path.

    Parameters
    ----------
    error
        The findings of pydantic.
    table
        The table that the document should match.
    document
        The parsed TOML.
    expected
        Returns the text for an expected value where the file knows better than the value's type, or
        the answer to an unknown key; None otherwise.

    Returns
    -------
    tuple
        The paths, and the problems of the first `MOST_PROBLEMS` of them in the same order.
    """
    faults = error.errors()
    paths = [_path(fault, document) for fault in faults]
    problems = Problems(
        Problem(_dotted(path), _text(fault, path, table, expected))
        for fault, path in itertools.islice(zip(faults, paths, strict=True), MOST_PROBLEMS)
    )
    if len(faults) > MOST_PROBLEMS:
        problems.add("", f"and {len(faults) - MOST_PROBLEMS} more; repair these first")
    return paths, problems


def known_keys(table: type[BaseModel], path: KeyPath) -> list[str]:
    """Return the keys that the table at a path can have."""
    for name in path:
        field = table.model_fields.get(name) if isinstance(name, str) else None
        table = next(_tables(field.annotation), table) if field else table
    return list(table.model_fields)


def _tables(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the tables within an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _tables(part)


def _path(fault: Any, document: dict[str, Any]) -> KeyPath:
    """Return the path of a fault in the document, without what pydantic adds to it.

    pydantic's paths also have tags of unions, and an index 0 where a single value was read as a list.
    """
    path: KeyPath = []
    value: Any = document
    for part in fault["loc"]:
        branch = str(part).startswith("|") and not (isinstance(value, dict) and part in value)
        if branch or (isinstance(part, int) and not isinstance(value, list)):
            continue
        path.append(part)
        known = isinstance(part, int) or (isinstance(value, dict) and part in value)
        value = value[part] if known else None
    return path


def _dotted(path: KeyPath) -> str:
    """Return a path as messages write it: ``dataset[1].angle``."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{_key(part)}" for part in path)
    return "".join(parts).removeprefix(".")


def _key(name: str) -> str:
    """Return a key as TOML has it: in quotes if it holds anything but letters, digits and dashes."""
    return shortened(name if re.fullmatch(r"[\w-]+", name) else repr(name))


def _text(
    fault: Any,
    path: KeyPath,
    table: type[BaseModel],
    expected: Callable[[Any, KeyPath], str | None],
) -> str:
    """Return the text of one finding of pydantic: what was found, and what was expected."""
    match fault["type"]:
        case "extra_forbidden":
            if answer := expected(fault, path):
                return f"unknown key: {answer}"
            known = known_keys(table, path[:-1])
            return f"unknown key{nearest_name(str(path[-1]), known)}; known are {', '.join(known)}"
        case "missing":
            return "missing, this key is needed"
        case "not_one_of":
            return not_one_of(fault["input"], fault["ctx"]["names"])
    wanted = expected(fault, path) or _expected(fault, known_keys(table, path))
    return f"got {shortened(_as_toml(fault['input']))}, expected {wanted}"


def _expected(fault: Any, keys: list[str]) -> str:
    match fault["type"]:
        case "too_short":
            return "at least one value"
        case "too_long":
            return f"at most {fault['ctx']['max_length']} values"
        case "int_type":
            return f"a whole number, such as {_whole_number_near(fault['input'])}"
        case "bool_type":
            return "true or false"
        case "string_type":
            return "text in quotes"
        case "model_type" | "model_attributes_type" | "dict_type":
            return f"a table with the keys {', '.join(keys)}"
        case "list_type" | "tuple_type":
            return "a list"
        case "greater_than_equal":
            return f"{fault['ctx']['ge']} or more"
        case "less_than_equal":
            return f"{fault['ctx']['le']:.12g} or less"
        case "greater_than":
            return f"a number above {fault['ctx']['gt']:g}"
    return str(fault["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")


def _whole_number_near(value: object) -> int:
    """Return an example near a number, or 10 for anything else."""
    number = value if isinstance(value, float) and math.isfinite(value) else 10.0
    return min(max(round(number), 1), 1000)


def _as_toml(value: object) -> str:
    """Return a value as it is written in TOML: true, not True."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(_as_toml, value))}]"
    if isinstance(value, dict):
        inner = ", ".join(f"{_key(key)} = {_as_toml(held)}" for key, held in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, int) and value.bit_length() > LONGEST_WHOLE:
        return f"a whole number of {value.bit_length()} bits"  # Python refuses to print longer ones
    return repr(value)
