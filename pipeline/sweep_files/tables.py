"""The tables and keys of a sweep file, with the checks that concern a single value.

pydantic makes these checks. Those that concern several values are in `checks`; `read_tables` makes
them possible also for a file with faulty keys.
"""

from __future__ import annotations

import re
from functools import lru_cache
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
    StrictStr,
    Tag,
    create_model,
    model_validator,
)
from pydantic import ValidationError as PydanticError
from pydantic_core import PydanticCustomError

from pipeline.axes import AXES, Axis, optional
from pipeline.expressions import QueryError, parse
from pipeline.formulas import check_formula
from pipeline.numerics.activations import ACTIVATIONS
from pipeline.numerics.datasets import KINDS
from pipeline.numerics.own_names import is_entry
from pipeline.settings import MOST_STEPS, SETTINGS, SIZES
from pipeline.sweep_files.answers import answer_to
from pipeline.sweep_files.toml import (
    CLOSED,
    KeyPath,
    Problems,
    known_keys,
    name_of,
    problems_of,
    variant,
)

__all__ = [
    "AbsoluteStep",
    "DatasetTable",
    "DescentTable",
    "File",
    "GridTable",
    "LabelsTable",
    "Range",
    "StartTable",
    "Width",
    "read_tables",
]


LONGEST_NAME = 128
"""Bytes of a name; file systems allow 255, of which drafts and run folders add some."""

LARGEST_ENTROPY = 2**256 - 1

MOST_SETTINGS = 100
"""Largest number of activations, datasets, tolerances and multiples."""


MOST_GRIDS = 1000
"""Sub-grids of a file."""

MOST_COLUMNS = 10_000
"""Names of columns of a data file."""


def _as_list(value: object) -> object:
    return value if isinstance(value, list) else [value]


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("a number")
    try:
        return float(value)
    except OverflowError:  # a whole number of hundreds of digits
        raise ValueError("a number of at most 308 digits") from None


def _file_name(value: str) -> str:
    if not re.fullmatch(r"\w[\w .-]*", value):
        raise ValueError("letters, digits, dots and dashes, because the store is named after it")
    if len(value.encode()) > LONGEST_NAME:
        raise ValueError(f"at most {LONGEST_NAME} bytes, because the store is named after it")
    return value


def _condition(value: str) -> str:
    """Accept the text of a condition; its names are checked against the axes later."""
    try:
        parse(value)
    except QueryError as error:
        raise ValueError(f"a condition such as 'n <= 10*d' ({error})") from None
    return value


def _path(value: str) -> str:
    if not value or re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]", value):
        raise ValueError("the path of a file, in UTF-8 and without control characters")
    return value


def _column(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError("the name of a column in quotes, or its number from 0")
    return str(value)


def _formula(value: str) -> str:
    """Accept a number of steps that depends on the sizes."""
    check_formula(value, SIZES)
    return value


def _experiment(value: str) -> str:
    """Accept the name of an experiment, or of a function in a file, which is read later."""
    from pipeline.experiments import EXPERIMENTS  # the numerics, not needed to read a store
    from pipeline.experiments.own.installed import registered
    from pipeline.experiments.own.sources import is_file_entry

    if is_file_entry(value) or value in EXPERIMENTS or value in registered():
        return value
    known = [*EXPERIMENTS, *registered()]
    raise PydanticCustomError("not_one_of", "not one of the names", {"names": known})


def _within(axis: str) -> Any:
    """Return the limits of an axis as a constraint."""
    limits = AXES[axis].limits
    assert limits is not None
    return Field(ge=limits[0], le=limits[1])


_Dimension = Annotated[StrictInt, _within("d")]
_Samples = Annotated[StrictInt, _within("n")]
_WholeWidth = Annotated[StrictInt, _within("width")]
_Seed = Annotated[StrictInt, _within("seed")]
_Count = Annotated[StrictInt, Field(ge=1, le=10**7)]
_Number = Annotated[float, BeforeValidator(_number), Field(allow_inf_nan=False)]
_Positive = Annotated[float, BeforeValidator(_number), Field(gt=0, le=1e6, allow_inf_nan=False)]
_Tolerance = Annotated[float, BeforeValidator(_number), Field(gt=0)]  # `checks` have the upper end
_SETTINGS = Field(min_length=1, max_length=MOST_SETTINGS)
_Column = Annotated[str, BeforeValidator(_column)]
_Activation = Annotated[str, name_of(lambda: ACTIVATIONS, is_entry)]


TOP_KEYS = (
    "name",
    "experiment",
    "entropy",
    "activation",
    "dataset",
    "d",
    "n",
    "width",
    "seeds",
    "nested",
    "only",
    "exclude",
)
"""Keys of a sweep that no parameter can be meant by, as long as they are not given at the top too."""


class _Table(BaseModel):
    model_config = CLOSED


def _spaced(start: float, stop: float, num: int, spacing: str) -> list[float]:
    space = np.geomspace if spacing == "geometric" else np.linspace
    # Rounded to twelve digits, so that a person can type them and platforms agree.
    return [float(f"{value:.12g}") for value in space(start, stop, num)]


class Range(_Table):
    """Evenly or geometrically spaced widths, ends included."""

    start: _Positive
    stop: _Positive
    num: Annotated[StrictInt, Field(ge=2, le=10**4)]
    spacing: Literal["geometric", "linear"] = "geometric"

    def values(self) -> list[float]:
        """Return the widths, ascending if `start` is below `stop`."""
        return _spaced(self.start, self.stop, self.num, self.spacing)


_Widths = Annotated[
    Annotated[Range, Tag(variant("range"))] | Annotated[list[_Positive], Tag(variant("list"))],
    Discriminator(lambda value: variant("range" if isinstance(value, dict | Range) else "list")),
]
_WholeWidths = Annotated[
    Annotated[Range, Tag(variant("range"))] | Annotated[list[_WholeWidth], Tag(variant("list"))],
    Discriminator(lambda value: variant("range" if isinstance(value, dict | Range) else "list")),
]


class ParameterRange(_Table):
    """Evenly or geometrically spaced values of a parameter, ends included, written as for widths."""

    start: _Number
    stop: _Number
    num: Annotated[StrictInt, Field(ge=2, le=10**4)]
    spacing: Literal["geometric", "linear"] = "geometric"

    @model_validator(mode="after")
    def _check(self) -> ParameterRange:
        if self.spacing == "geometric" and not (self.start > 0 and self.stop > 0):
            raise ValueError(
                'start and stop above 0 where the spacing is geometric; add spacing = "linear"'
            )
        return self

    def values(self) -> list[float]:
        """Return the values in the order from `start` to `stop`."""
        return _spaced(self.start, self.stop, self.num, self.spacing)


def _form_of_parameter(value: Any) -> str:
    """Return the tag of a form in which a parameter is given: tables with start and stop are ranges."""
    keys = {*value} if isinstance(value, dict) else set()
    is_range = {"start", "stop"} <= keys <= {*ParameterRange.model_fields}
    return variant("range" if is_range else "value")


_Parameter = Annotated[
    Annotated[ParameterRange, AfterValidator(ParameterRange.values), Tag(variant("range"))]
    | Annotated[Any, Tag(variant("value"))],
    Discriminator(_form_of_parameter),
]
"""A parameter of one's own: a range becomes the list of its values, anything else stays as it is."""


class Width(_Table):
    """The widths in one of four units."""

    k: _WholeWidths | None = None
    k_per_n: _Widths | None = None
    kd_per_n: _Widths | None = None
    k_per_d: _Widths | None = None


class DatasetTable(_Table):
    """One dataset."""

    kind: Annotated[str, name_of(lambda: KINDS, is_entry)]
    angle: Annotated[list[_Positive], BeforeValidator(_as_list)] = []
    path: Annotated[str, AfterValidator(_path)] | None = None
    normalise: StrictBool = False
    columns: Annotated[list[_Column], BeforeValidator(_as_list), Field(max_length=MOST_COLUMNS)] = []
    drop: Annotated[list[_Column], BeforeValidator(_as_list), Field(max_length=MOST_COLUMNS)] = []


def _setting(name: str) -> AfterValidator:
    """Return a validator of a setting: one value, or a list, which is an axis."""
    setting = SETTINGS[name]

    def read(value: Any) -> Any:
        if not isinstance(value, list):
            return setting.read(value)
        if not 1 <= len(value) <= MOST_SETTINGS:
            raise ValueError(f"a list of 1 to {MOST_SETTINGS} values")
        return [setting.read(one) for one in value]

    return AfterValidator(read)


class AbsoluteStep(_Table):
    """A step size that is eta itself."""

    absolute: Annotated[Any, BeforeValidator(_as_list), _setting("absolute_step")]


def _form_of_steps(value: Any) -> str:
    """Return the tag of a form in which the budget is given."""
    return variant(
        "formula" if isinstance(value, str) else "list" if isinstance(value, list) else "number"
    )


def _form_of_step(value: Any) -> str:
    """Return the tag of a form in which the step size is given."""
    if isinstance(value, dict | AbsoluteStep):
        return variant("table")
    return variant("list" if isinstance(value, list) else "number")


class DescentTable(_Table):
    """The settings of gradient descent; those that may be left out are None."""

    steps: Annotated[
        Annotated[StrictInt, Field(ge=0, le=MOST_STEPS), Tag(variant("number"))]
        | Annotated[str, AfterValidator(_formula), Tag(variant("formula"))]
        | Annotated[list[Any], _setting("most_steps"), Tag(variant("list"))],
        Discriminator(_form_of_steps),
    ] = 20_000
    tolerances: Annotated[list[_Tolerance], BeforeValidator(_as_list), _SETTINGS] = [1e-2, 1e-4]
    step_size: Annotated[
        Annotated[_Positive, Tag(variant("number"))]
        | Annotated[list[_Positive], _SETTINGS, Tag(variant("list"))]
        | Annotated[AbsoluteStep, Tag(variant("table"))],
        Discriminator(_form_of_step),
    ] = 1.0
    multiples: Annotated[list[_Positive], BeforeValidator(_as_list), _SETTINGS] = [1.0]
    checkpoints: StrictBool = False
    method: Annotated[Any, _setting("descent_method")] = None
    momentum: Annotated[Any, _setting("momentum")] = None
    beta1: Annotated[Any, _setting("beta1")] = None
    beta2: Annotated[Any, _setting("beta2")] = None
    adam_epsilon: Annotated[Any, _setting("adam_epsilon")] = None
    batch: Annotated[Any, _setting("batch")] = None
    schedule: Annotated[Any, _setting("schedule")] = None
    decay: Annotated[Any, _setting("decay")] = None
    hidden_step: Annotated[Any, _setting("hidden_step")] = None
    v_step: Annotated[Any, _setting("v_step")] = None
    loss: Annotated[Any, _setting("loss")] = None
    dtype: Annotated[Any, _setting("precision")] = None
    target_accuracy: Annotated[Any, _setting("target_accuracy")] = None
    target_loss: Annotated[Any, _setting("target_loss")] = None
    test_samples: Annotated[Any, _setting("test_samples")] = None
    diagnostics: Annotated[Any, _setting("diagnostics")] = None


class LabelsTable(_Table):
    """The law of the labels."""

    kind: Annotated[Any, _setting("labels")] = None
    units: Annotated[Any, _setting("teacher_units")] = None
    classes: Annotated[Any, _setting("classes")] = None
    noise: Annotated[Any, _setting("noise")] = None
    flip: Annotated[Any, _setting("flip")] = None
    path: Annotated[str, AfterValidator(_path)] | None = None
    column: _Column | None = None

    @property
    def of_file(self) -> bool:
        """True if labels come from a file."""
        return "file" in _as_list(self.kind)  # type: ignore[operator]


class StartTable(_Table):
    """The network at the start."""

    W: Annotated[Any, _setting("W_law")] = None
    W_scale: Annotated[Any, _setting("W_scale")] = None
    bias: Annotated[Any, _setting("bias_scale")] = None
    hidden_scale: Annotated[Any, _setting("hidden_scale")] = None
    v: Annotated[Any, _setting("v_law")] = None
    v_scale: Annotated[Any, _setting("v_scale")] = None
    output: Annotated[Any, _setting("output_scale")] = None


class FunctionalsTable(_Table):
    """The functionals of the features that conditioning stores as well."""

    ridge: Annotated[list[_Positive], BeforeValidator(_as_list), Field(max_length=MOST_SETTINGS)] = []
    labels: Literal["signs", "gaussian", "linear", "network"] = "signs"
    units: Annotated[StrictInt, Field(ge=1, le=10**5)] = 8
    noise: Annotated[float, BeforeValidator(_number), Field(ge=0, le=1e6, allow_inf_nan=False)] = 0.0
    test_samples: Annotated[StrictInt, Field(ge=0, le=10**6)] = 0


_Dimensions = Annotated[list[_Dimension], BeforeValidator(_as_list), Field(min_length=1)]
_Sizes = Annotated[list[_Samples], BeforeValidator(_as_list), Field(min_length=1)]
_WidthAxis = Annotated[
    Annotated[Width, Tag(variant("table"))] | Annotated[list[_WholeWidth], Tag(variant("list"))],
    Discriminator(lambda value: variant("list" if isinstance(value, list) else "table")),
]
_Seeds = Annotated[
    Annotated[_Count, Tag(variant("count"))] | Annotated[list[_Seed], Tag(variant("list"))],
    Discriminator(lambda value: variant("list" if isinstance(value, list) else "count")),
]
_Conditions = Annotated[
    list[Annotated[StrictStr, AfterValidator(_condition)]],
    BeforeValidator(_as_list),
    Field(max_length=MOST_SETTINGS),
]


class GridTable(BaseModel):
    """One sub-grid, or the table of pairs: values of some axes, of which any may be left out.

    Axes that are no keys of their own here, such as `depth` or a parameter, go by their names.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    d: _Dimensions | None = None
    n: _Sizes | None = None
    width: _WidthAxis | None = None
    seeds: _Seeds | None = None
    activation: Annotated[list[_Activation], BeforeValidator(_as_list), _SETTINGS] | None = None
    parameters: dict[str, _Parameter] = {}

    def given(self) -> dict[str, Any]:
        """Return the values by axis, without those of the table of parameters."""
        keys = (*type(self).model_fields, *(self.model_extra or {}))
        return {
            key: getattr(self, key)
            for key in keys
            if key in self.model_fields_set and key != "parameters"
        }


class File(_Table):
    """The keys of a sweep file, without those of optional axes, which `_file_table` adds."""

    name: Annotated[str, AfterValidator(_file_name)]
    experiment: Annotated[str, AfterValidator(_experiment)]
    entropy: Annotated[StrictInt, Field(ge=0, le=LARGEST_ENTROPY)] = 0
    activation: Annotated[list[_Activation], BeforeValidator(_as_list), _SETTINGS] = []
    dataset: Annotated[list[DatasetTable], BeforeValidator(_as_list), _SETTINGS] = []
    d: _Dimensions = []
    n: _Sizes = []
    width: _WidthAxis | None = None
    seeds: _Seeds
    nested: StrictBool = True
    descent: DescentTable | None = None
    labels: LabelsTable | None = None
    start: StartTable | None = None
    functionals: FunctionalsTable | None = None
    parameters: dict[str, _Parameter] = {}
    grid: Annotated[list[GridTable], Field(max_length=MOST_GRIDS)] = []
    pairs: GridTable | None = None
    only: _Conditions = []
    exclude: _Conditions = []

    def values(self, axis: str) -> list[Any]:
        """Return the values of a leading axis that is a key of the file."""
        values: list[Any] = getattr(self, axis)
        return values


_TABLES: dict[str, type[BaseModel]] = {
    "descent": DescentTable,
    "labels": LabelsTable,
    "start": StartTable,
    "dataset": DatasetTable,
    "width": Width,
    "functionals": FunctionalsTable,
}


@lru_cache(maxsize=4)
def _file_table(options: tuple[Axis, ...]) -> type[File]:
    """Return the table of a sweep file with the keys of optional axes."""
    keys: dict[str, Any] = {axis.name: (_list_on(axis), []) for axis in options}
    return create_model("File", __base__=File, **keys)


def _list_on(axis: Axis) -> Any:
    """Return the type of a list of values on an optional axis; its default has the type of one."""
    if isinstance(axis.default, str):
        return Annotated[list[str], BeforeValidator(_as_list)]
    if isinstance(axis.default, float):
        return Annotated[list[_Number], BeforeValidator(_as_list)]
    return Annotated[list[Annotated[StrictInt, _within(axis.name)]], BeforeValidator(_as_list)]


def read_tables(document: dict[str, Any]) -> tuple[File, Problems]:
    """Return the keys of a file, and the problems of single values.

    Invalid keys are dropped (required ones get a valid placeholder) so that the remaining checks still
    run.
    """
    table = _file_table(optional())
    document, misplaced = _with_parameters_apart(document)
    if any(isinstance(item, dict) and "seeds" in item for item in _sub_grids(document)):
        document = {"seeds": 1} | document  # the sub-grids give them
    try:
        return table.model_validate(document), misplaced
    except PydanticError as error:
        paths, problems = problems_of(error, table, document, _expected)
    return table.model_validate(_without(document, paths)), Problems([*misplaced, *problems])


def _with_parameters_apart(document: dict[str, Any]) -> tuple[dict[str, Any], Problems]:
    """Return a document whose keys of the sweep are not among the parameters, and a problem for each.

    In TOML all that follows the line [parameters] belongs to that table, whatever was meant.
    """
    problems, given = Problems(), document.get("parameters")
    moved = [
        key for key in TOP_KEYS if key not in document and isinstance(given, dict) and key in given
    ]
    for key in moved:
        problems.add(
            f"parameters.{key}",
            "is a key of the sweep, but all that follows the line [parameters] belongs to that table; "
            "move it above [parameters]",
        )
    if not moved:
        return document, problems
    rest = {key: value for key, value in given.items() if key not in moved} if given else {}
    return document | {key: given[key] for key in moved if given} | {"parameters": rest}, problems


def _sub_grids(document: dict[str, Any]) -> list[Any]:
    grids, pairs = document.get("grid"), document.get("pairs")
    return [*(grids if isinstance(grids, list) else ()), pairs]


def _without(document: dict[str, Any], faulty: list[KeyPath]) -> dict[str, Any]:
    """Drop faulty keys; within [descent] and within a list of datasets, only the faulty parts."""
    keys = {path[0] for path in faulty}
    placeholder = {"kind": "sphere"}
    required = {
        "name": "x",
        "experiment": "spectrum",
        "dataset": placeholder,
        "n": 1,
        "seeds": 1,
    }
    for key in ("dataset", "n"):  # an experiment of one's own may leave them out
        if key not in keys:
            del required[key]
    valid = required | {key: value for key, value in document.items() if key not in keys}
    descent, datasets = document.get("descent"), document.get("dataset")
    parts = {tuple(path[:2]) for path in faulty}
    if isinstance(descent, dict):
        valid["descent"] = {key: descent[key] for key in descent if ("descent", key) not in parts}
    if isinstance(datasets, list):
        kept = [item for i, item in enumerate(datasets) if ("dataset", i) not in parts]
        sound = kept and len(datasets) <= MOST_SETTINGS
        valid["dataset"] = kept if sound else placeholder
    return valid


def _expected(fault: Any, path: KeyPath) -> str | None:
    """Return the answer to a key that people try, and the text for the several forms of widths."""
    if path[0] in ("grid", "pairs"):
        inner = path[2:] if path[0] == "grid" else path[1:]
        if not inner:
            return (
                "tables [[grid]], in double brackets"
                if path == ["grid"]
                else "a table such as { d = [..], n = [..] }"
            )
        path = inner
    if fault["type"] == "extra_forbidden":
        return answer_to(path, _TABLES | {"": _file_table(optional())})
    if path[0] == "width" and fault["type"] == "list_type":
        return "a list, such as [1.5, 2, 4], or a table with start, stop and num"
    tables = ("model_type", "model_attributes_type", "dict_type")
    if path == ["width"] and fault["type"] in tables:
        keys = ", ".join(known_keys(File, path))
        return f"a list of widths, such as [20, 40], or a table with one of {keys}"
    return None
