"""The tables and keys of a sweep file, and one line for each way of getting them wrong.

pydantic checks what a single value can tell; what values must be to each other is looked at by
`pipeline.sweep_file`.
"""

from __future__ import annotations

import difflib
import re
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

__all__ = [
    "DatasetTable",
    "DescentTable",
    "File",
    "Range",
    "Width",
    "nearest_name",
    "not_one_of",
    "problem",
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


def _variant(name: str) -> str:
    """How pydantic names a branch of a union in its path; no key of a file looks like it."""
    return f"|{name}|"


_Size = Annotated[StrictInt, Field(ge=1, le=2**31 - 1)]
_Samples = Annotated[StrictInt, Field(ge=1, le=10**6)]
_Seed = Annotated[StrictInt, Field(ge=0, lt=2**32)]
_Count = Annotated[StrictInt, Field(ge=1, le=10**7)]
_Positive = Annotated[float, BeforeValidator(_number), Field(gt=0, le=1e6, allow_inf_nan=False)]
_Depth = Annotated[StrictInt, Field(ge=1, le=16)]
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
    kind: str
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
    experiment: str
    entropy: Annotated[StrictInt, Field(ge=0)] = 0
    activation: Annotated[list[str], BeforeValidator(_listed), Field(min_length=1)] = ["relu"]
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


def not_one_of(key: str, name: str, names: Any) -> str:
    return f"{key}: got {name!r}{nearest_name(name, names)}, expected one of {', '.join(names)}"


def nearest_name(name: str, names: Any) -> str:
    close = difflib.get_close_matches(name, list(names), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def problem(detail: Any, document: dict[str, Any]) -> str:
    """One line for one of pydantic's findings: where, what was found, what was expected."""
    place = [part for part in detail["loc"] if not str(part).startswith("|")]
    if place[1:2] == [0] and not isinstance(document.get(place[0]), list):
        del place[1]  # a single value was read as a list of one
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).lstrip(".")
    if detail["type"] == "extra_forbidden":
        known = _known_keys(place[:-1])
        return (
            f"{where}: unknown key{nearest_name(str(place[-1]), known)}; known are {', '.join(known)}"
        )
    if detail["type"] == "missing":
        return f"{where}: missing, this key is needed"
    said = detail["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if detail["type"] == "too_short":
        said = "at least one value"
    if detail["type"] in ("model_type", "model_attributes_type", "dict_type"):
        known = _known_keys([*place, ""] if place[0] == "width" and len(place) > 1 else place)
        said = f"a table with keys of {', '.join(known)}"
    if detail["type"] == "list_type":
        said = "a list, such as [1.5, 2, 4], or a table with start, stop and num"
        said = said if place[0] == "width" else "a list"
    return f"{where}: got {detail['input']!r}, expected {said}"


def _known_keys(place: list[Any]) -> list[str]:
    tables: dict[str, type[BaseModel]] = {
        "dataset": DatasetTable,
        "width": Width,
        "descent": DescentTable,
    }
    names = [part for part in place if isinstance(part, str)]
    table = File if not names else Range if len(names) > 1 else tables.get(names[0], File)
    return list(table.model_fields)
