"""The tables and keys of a sweep file, and one line for each way of getting them wrong.

pydantic checks what a single value can tell; what values must be to each other is looked at by
`load`, also where some of them are faulty: `read_tables` puts others in their place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Discriminator,
    Field,
    StrictBool,
    StrictInt,
    Tag,
)
from pydantic import ValidationError as PydanticError

from pipeline.numerics.activations import ACTIVATIONS
from pipeline.numerics.datasets import KINDS
from pipeline.sweep_files.toml import CLOSED, Place, known_keys, name_of, problems_of, variant

__all__ = [
    "DatasetTable",
    "DescentTable",
    "File",
    "Range",
    "Width",
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


def _experiments() -> Mapping[str, Any]:
    from pipeline.experiments import EXPERIMENTS  # the numerics, not needed to read a store

    return EXPERIMENTS


_Size = Annotated[StrictInt, Field(ge=1, le=2**31 - 1)]
_Samples = Annotated[StrictInt, Field(ge=1, le=10**6)]
_Seed = Annotated[StrictInt, Field(ge=0, lt=2**32)]
_Count = Annotated[StrictInt, Field(ge=1, le=10**7)]
_Positive = Annotated[float, BeforeValidator(_number), Field(gt=0, le=1e6, allow_inf_nan=False)]
_Depth = Annotated[StrictInt, Field(ge=1, le=16)]
_Activation = Annotated[str, name_of(lambda: ACTIVATIONS)]
_Axis = Annotated[list[_Size], BeforeValidator(_listed), Field(min_length=1)]


class _Table(BaseModel):
    model_config = CLOSED


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
    Annotated[Range, Tag(variant("range"))] | Annotated[list[_Positive], Tag(variant("list"))],
    Discriminator(lambda value: variant("range" if isinstance(value, dict | Range) else "list")),
]
_WholeWidths = Annotated[
    Annotated[Range, Tag(variant("range"))] | Annotated[list[_Size], Tag(variant("list"))],
    Discriminator(lambda value: variant("range" if isinstance(value, dict | Range) else "list")),
]


class Width(_Table):
    k: _WholeWidths | None = None
    k_per_n: _Widths | None = None
    kd_per_n: _Widths | None = None


class DatasetTable(_Table):
    kind: Annotated[str, name_of(lambda: KINDS)]
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
    experiment: Annotated[str, name_of(_experiments)]
    entropy: Annotated[StrictInt, Field(ge=0)] = 0
    activation: Annotated[list[_Activation], BeforeValidator(_listed), Field(min_length=1)] = []
    dataset: Annotated[list[DatasetTable], BeforeValidator(_listed), Field(min_length=1)]
    d: _Axis = []
    n: Annotated[list[_Samples], BeforeValidator(_listed), Field(min_length=1)]
    width: (
        Annotated[
            Annotated[Width, Tag(variant("table"))] | Annotated[list[_Size], Tag(variant("list"))],
            Discriminator(lambda value: variant("list" if isinstance(value, list) else "table")),
        ]
        | None
    ) = None
    seeds: Annotated[
        Annotated[_Count, Tag(variant("count"))] | Annotated[list[_Seed], Tag(variant("list"))],
        Discriminator(lambda value: variant("list" if isinstance(value, list) else "count")),
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
        places, problems = problems_of(error, File, document, _expected)
    return File.model_validate(_without(document, places)), problems


def _without(document: dict[str, Any], places: list[Place]) -> dict[str, Any]:
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


def _expected(fault: Any, place: Place) -> str | None:
    """What the widths should have been: they can be written in several ways."""
    if place[0] == "width" and fault["type"] == "list_type":
        return "a list, such as [1.5, 2, 4], or a table with start, stop and num"
    tables = ("model_type", "model_attributes_type", "dict_type")
    if place == ["width"] and fault["type"] in tables:
        keys = ", ".join(known_keys(File, place))
        return f"a list of widths, such as [20, 40], or a table with one of {keys}"
    return None
