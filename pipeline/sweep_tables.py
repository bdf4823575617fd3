"""The tables and keys of a sweep file, and one line for each way of getting them wrong.

pydantic checks what a single value can tell; what values must be to each other is looked at by
`pipeline.sweep_file`, also where some of them are faulty: `read_tables` puts others in their place.
"""

from __future__ import annotations

import datetime
import difflib
import math
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StrictBool,
    StrictInt,
    Tag,
)
from pydantic import ValidationError as PydanticError
from pydantic_core import PydanticCustomError

from pipeline.activations import ACTIVATIONS
from pipeline.datasets import KINDS

__all__ = [
    "DatasetTable",
    "DescentTable",
    "File",
    "Range",
    "Width",
    "nearest_name",
    "not_one_of",
    "read_tables",
]


def _listed(value: object) -> object:
    return value if isinstance(value, list) else [value]


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("a number")
    return float(value)


def _file_name(value: str) -> str:
    if not re.fullmatch(r"\w[\w .-]*", value):
        raise ValueError("letters, digits, dots and dashes: the store is named after it")
    return value


def _name_of(names: Callable[[], Mapping[str, Any]]) -> AfterValidator:
    """Take the keys of a register alone."""

    def check(value: str) -> str:
        if value not in names():
            raise PydanticCustomError("not_one_of", "not one of the names", {"names": list(names())})
        return value

    return AfterValidator(check)


def _experiments() -> Mapping[str, Any]:
    from pipeline.experiments import EXPERIMENTS  # the numerics, not needed to read a store

    return EXPERIMENTS


def _variant(name: str) -> str:
    """How pydantic names a branch of a union in its path; no key of a file looks like it."""
    return f"|{name}|"


_Size = Annotated[StrictInt, Field(ge=1, le=2**31 - 1)]
_Samples = Annotated[StrictInt, Field(ge=1, le=10**6)]
_Seed = Annotated[StrictInt, Field(ge=0, lt=2**32)]
_Count = Annotated[StrictInt, Field(ge=1, le=10**7)]
_Positive = Annotated[float, BeforeValidator(_number), Field(gt=0, le=1e6, allow_inf_nan=False)]
_Depth = Annotated[StrictInt, Field(ge=1, le=16)]
_Activation = Annotated[str, _name_of(lambda: ACTIVATIONS)]
_Axis = Annotated[list[_Size], BeforeValidator(_listed), Field(min_length=1)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Range(_Table):
    """Evenly or geometrically spaced widths, ends included."""

    start: _Positive
    stop: _Positive
    num: Annotated[StrictInt, Field(ge=2, le=10**4)]
    spacing: Literal["geometric", "linear"] = "geometric"

    def values(self) -> list[float]:
        space = np.geomspace if self.spacing == "geometric" else np.linspace
        # Twelve digits: a label that a person can type, the same on every platform.
        return [float(f"{value:.12g}") for value in space(self.start, self.stop, self.num)]


_Widths = Annotated[
    Annotated[Range, Tag(_variant("range"))] | Annotated[list[_Positive], Tag(_variant("list"))],
    Discriminator(lambda value: _variant("range" if isinstance(value, dict | Range) else "list")),
]
_WholeWidths = Annotated[
    Annotated[Range, Tag(_variant("range"))] | Annotated[list[_Size], Tag(_variant("list"))],
    Discriminator(lambda value: _variant("range" if isinstance(value, dict | Range) else "list")),
]


class Width(_Table):
    k: _WholeWidths | None = None
    k_per_n: _Widths | None = None
    kd_per_n: _Widths | None = None


class DatasetTable(_Table):
    kind: Annotated[str, _name_of(lambda: KINDS)]
    angle: Annotated[list[_Positive], BeforeValidator(_listed)] = []
    path: str | None = None
    normalise: StrictBool = False


class DescentTable(_Table):
    steps: Annotated[StrictInt, Field(ge=0, le=10**9)] = 20_000
    tolerances: Annotated[list[_Positive], BeforeValidator(_listed), Field(min_length=1)] = [1e-2, 1e-4]
    step_size: _Positive = 1.0
    multiples: Annotated[list[_Positive], BeforeValidator(_listed), Field(min_length=1)] = [1.0]


class File(_Table):
    """The keys of a sweep file."""

    name: Annotated[str, AfterValidator(_file_name)]
    experiment: Annotated[str, _name_of(_experiments)]
    entropy: Annotated[StrictInt, Field(ge=0)] = 0
    activation: Annotated[list[_Activation], BeforeValidator(_listed), Field(min_length=1)] = []
    dataset: Annotated[list[DatasetTable], BeforeValidator(_listed), Field(min_length=1)]
    d: _Axis = []
    n: Annotated[list[_Samples], BeforeValidator(_listed), Field(min_length=1)]
    width: (
        Annotated[
            Annotated[Width, Tag(_variant("table"))] | Annotated[list[_Size], Tag(_variant("list"))],
            Discriminator(lambda value: _variant("list" if isinstance(value, list) else "table")),
        ]
        | None
    ) = None
    seeds: Annotated[
        Annotated[_Count, Tag(_variant("count"))] | Annotated[list[_Seed], Tag(_variant("list"))],
        Discriminator(lambda value: _variant("list" if isinstance(value, list) else "count")),
    ]
    nested: StrictBool = True
    trained: Annotated[list[str], BeforeValidator(_listed)] = []
    depth: Annotated[list[_Depth], BeforeValidator(_listed)] = []
    descent: DescentTable | None = None


def read_tables(document: dict[str, Any]) -> tuple[File, list[str]]:
    """Return the keys of a file, and one line for each that is faulty.

    A faulty key is as if it were not written; one that is needed has a value with which nothing is
    wrong. So what the other keys must be to each other can be looked at as well.
    """
    try:
        return File.model_validate(document), []
    except PydanticError as error:
        faults = error.errors()
    places = [_place(fault, document) for fault in faults]
    problems = [_problem(*found) for found in zip(faults, places, strict=True)]
    return File.model_validate(_without(document, places)), problems


def _without(document: dict[str, Any], places: list[list[Any]]) -> dict[str, Any]:
    """Leave out faulty keys, of [descent] the faulty ones alone, of several datasets likewise."""
    faulty = {place[0] for place in places}
    needed = {"name": "x", "experiment": "spectrum", "dataset": {"kind": "sphere"}, "n": 1, "seeds": 1}
    left = needed | {key: value for key, value in document.items() if key not in faulty}
    descent, datasets = document.get("descent"), document.get("dataset")
    inner = {tuple(place[:2]) for place in places}
    if isinstance(descent, dict):
        left["descent"] = {key: descent[key] for key in descent if ("descent", key) not in inner}
    if isinstance(datasets, list):
        sound = [item for i, item in enumerate(datasets) if ("dataset", i) not in inner]
        left["dataset"] = sound or needed["dataset"]
    return left


def _place(fault: Any, document: dict[str, Any]) -> list[Any]:
    """The keys and indices that lead to a fault; a single value was read as a list of one."""
    place: list[Any] = []
    at: Any = document
    for part in fault["loc"]:
        branch = str(part).startswith("|") and not (isinstance(at, dict) and part in at)
        if branch or (isinstance(part, int) and not isinstance(at, list)):
            continue
        place.append(part)
        at = at[part] if isinstance(part, int) or (isinstance(at, dict) and part in at) else None
    return place


def not_one_of(key: str, name: str, names: Any) -> str:
    return f"{key}: got {name!r}{nearest_name(name, names)}, expected one of {', '.join(names)}"


def nearest_name(name: str, names: Any) -> str:
    close = difflib.get_close_matches(name.lower(), list(names), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _problem(fault: Any, place: list[Any]) -> str:
    """One line for one of pydantic's findings: where, what was found, what was expected."""
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).lstrip(".")
    if fault["type"] == "extra_forbidden":
        known = _known_keys(place[:-1])
        return (
            f"{where}: unknown key{nearest_name(str(place[-1]), known)}; known are {', '.join(known)}"
        )
    if fault["type"] == "missing":
        return f"{where}: missing, this key is needed"
    if fault["type"] == "not_one_of":
        return not_one_of(where, fault["input"], fault["ctx"]["names"])
    return f"{where}: got {_as_toml(fault['input'])}, expected {_expected(fault, place)}"


def _expected(fault: Any, place: list[Any]) -> str:
    match fault["type"]:
        case "too_short":
            return "at least one value"
        case "int_type":
            return f"a whole number, such as {_whole(fault['input'])}"
        case "bool_type":
            return "true or false"
        case "string_type":
            return "text in quotes"
        case "model_type" | "model_attributes_type" | "dict_type" if place == ["width"]:
            keys = ", ".join(_known_keys(place))
            return f"a list of widths, such as [20, 40], or a table with one of {keys}"
        case "model_type" | "model_attributes_type" | "dict_type":
            return f"a table with keys of {', '.join(_known_keys(place))}"
        case "list_type" if place[0] == "width":
            return "a list, such as [1.5, 2, 4], or a table with start, stop and num"
        case "list_type":
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


def _known_keys(place: list[Any]) -> list[str]:
    tables: dict[str, type[BaseModel]] = {
        "dataset": DatasetTable,
        "width": Width,
        "descent": DescentTable,
    }
    names = [part for part in place if isinstance(part, str)]
    table = File if not names else Range if len(names) > 1 else tables.get(names[0], File)
    return list(table.model_fields)
