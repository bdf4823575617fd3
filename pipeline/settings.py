"""The settings of training beyond the paper's: one table of their keys, meanings, defaults and limits.

Sweep files take the keys of [descent], [labels] and [start] from this table, with their checks. A
setting with a list is an axis of the store; with one value it is a constant. A sweep that gives none
of them is the paper's: full-batch gradient descent on the squared loss and random signs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from pipeline.formulas import BadFormula, check_formula, formula_value
from pipeline.numerics.own_names import is_entry

__all__ = ["LOSSES", "MOST_STEPS", "SETTINGS", "SIZES", "Setting", "budget", "in_table"]

SIZES = ("n", "k", "d")
"""Names that a formula may use."""

MOST_STEPS = 10**9
"""Largest budget of a trial."""


LOSSES = MappingProxyType(
    {
        "squared": "squared residual ||r||^2",
        "logistic": "logistic loss, the sum of log(1 + exp(-y f))",
        "squared_hinge": "squared hinge loss, the sum of max(0, 1 - y f)^2",
    }
)
"""The losses by name, with what is stored of them."""


@dataclass(frozen=True)
class Setting:
    """One setting of training.

    Attributes
    ----------
    name
        The axis of the store, and the name in the identity: no argument of xarray's `sel`, no
        attribute of its arrays, and no variable of a store.
    table, key
        Its place in a sweep file. `steps` and `step_size` of [descent] have no table here: these keys
        have other forms as well.
    long_name
        Its meaning.
    default
        The value of sweeps that do not give it.
    words
        The values, where they are words.
    own
        True if a function of one's own may stand in the place of a word.
    least, most
        Limits, where they are numbers; `least` itself is allowed unless `above`.
    whole, above, formula
        True if only whole numbers are allowed; numbers above `least` only; a formula of n, k and d
        as well.
    """

    name: str
    table: str
    key: str
    long_name: str
    default: Any
    words: tuple[str, ...] = ()
    own: bool = False
    least: float = 0.0
    most: float = 1e6
    whole: bool = False
    above: bool = False
    formula: bool = False

    @property
    def expected(self) -> str:
        """The words for a value that is allowed."""
        if isinstance(self.default, bool):
            return "true or false"
        if self.words:
            return f"one of {', '.join(self.words)}" + ', or a function such as "mine.py:f"' * self.own
        kind = "a whole number" if self.whole else "a number"
        limits = f"above {self.least:g}, up to {self.most:g}" if self.above else (
            f"from {self.least:g} to {self.most:g}"
        )  # fmt: skip
        return f"{kind} {limits}" + (', or a formula such as "1 / sqrt(d)"' * self.formula)

    def read(self, value: Any) -> Any:
        """Return a value as it is stored.

        Raises
        ------
        ValueError
            It is not allowed. The message says what is.
        """
        if isinstance(self.default, bool):
            valid = isinstance(value, bool)
        elif self.words:
            valid = value in self.words or (self.own and isinstance(value, str) and is_entry(value))
        elif self.formula and isinstance(value, str):
            check_formula(value, SIZES)
            valid = True
        elif isinstance(value, bool) or not isinstance(value, int if self.whole else int | float):
            valid = False
        else:
            valid = self.least < value <= self.most or (value == self.least and not self.above)
        if not valid:
            raise ValueError(self.expected)
        plain = isinstance(value, bool | str) or self.whole
        return value if plain else float(value)


def _descent(key: str, long_name: str, default: Any, name: str = "", **more: Any) -> Setting:
    return Setting(name or key, "descent", key, long_name, default, **more)


_TABLE = (
    _descent(
        "method", "how a gradient becomes a step", "gd", name="descent_method",
        words=("gd", "momentum", "nesterov", "adam"),
    ),
    _descent("momentum", "share of the last step that goes on", 0.9, most=0.999999),
    _descent("beta1", "decay of Adam's mean of gradients", 0.9, most=0.999999),
    _descent("beta2", "decay of Adam's mean of their squares", 0.999, most=0.999999),
    _descent("adam_epsilon", "number that Adam adds to a root", 1e-8, most=1.0),
    _descent("batch", "samples of a step", 10**6, least=1, whole=True),
    _descent(
        "schedule", "course of the step size", "constant", words=("constant", "cosine", "1/t")
    ),
    _descent("decay", "steps after which 1/t halves the step size", 1000, least=1, whole=True),
    _descent("hidden_step", "step size of later hidden layers in units of eta", 1.0, formula=True),
    _descent("v_step", "step size of v in units of eta", 1.0, formula=True),
    _descent("loss", "loss that is minimised", "squared",
             words=tuple(LOSSES)),
    _descent("dtype", "numbers of the descent", "float64", name="precision",
             words=("float64", "float32")),
    _descent("target_accuracy", "training accuracy that ends a trial", 0.0, most=1.0),
    _descent("target_loss", "loss that a trial goes on to", 0.0, most=1e12),
    _descent("test_samples", "samples of the test set", 0, whole=True),
    _descent("diagnostics", "whether accuracy, rises and sharpness are stored", False),
    Setting(
        "labels", "labels", "kind", "law of the labels", "signs",
        words=("signs", "shell", "gaussian", "linear", "network", "file"), own=True,
    ),
    Setting("teacher_units", "labels", "units", "hidden units of the teacher", 8, least=1, most=1e5,
            whole=True),
    Setting("classes", "labels", "classes", "whether labels are the signs of values", False),
    Setting("noise", "labels", "noise", "standard deviation of noise on the labels", 0.0),
    Setting("flip", "labels", "flip", "probability that a label changes its sign", 0.0, most=1.0),
    Setting(
        "W_law", "start", "W", "law of W at the start", "gaussian",
        words=("gaussian", "uniform", "sphere", "orthogonal"),
    ),
    Setting("W_scale", "start", "W_scale", "scale of W at the start", 1.0, formula=True),
    Setting("bias_scale", "start", "bias", "scale of the biases of the first layer; 0: none", 0.0,
            formula=True),
    Setting("hidden_scale", "start", "hidden_scale",
            "scale of later hidden layers at the start, in units of sqrt(2 / k)", 1.0, formula=True),
    Setting(
        "v_law", "start", "v", "law of v at the start", "signs",
        words=("signs", "gaussian", "norm", "zero"),
    ),
    Setting("v_scale", "start", "v_scale", "scale of v at the start", 1.0, formula=True),
    Setting(
        "output_scale", "start", "output", "factor before v^T phi(W x)", "1",
        words=("1", "1/sqrt(k)", "1/k"),
    ),
    Setting("most_steps", "", "steps", "budget of steps", 0, most=MOST_STEPS, whole=True, formula=True),
    Setting(
        "relative_step", "", "step_size", "step size in units of 1 / lambda_max(J0 J0^T)", 0.0,
        above=True,
    ),
    Setting("absolute_step", "", "step_size", "step size eta", 0.0, above=True, formula=True),
)  # fmt: skip

SETTINGS: Mapping[str, Setting] = MappingProxyType({one.name: one for one in _TABLE})
"""All settings by name, in the order in which a store has their axes."""


def in_table(table: str) -> dict[str, Setting]:
    """Return the settings of one table of a sweep file, by key."""
    return {one.key: one for one in _TABLE if one.table == table}


def budget(formula: str, n: int, k: int, d: int) -> int:
    """Return the number of steps that a formula allows a trial, rounded up.

    Raises
    ------
    BadFormula
        It has no value from 0 to `MOST_STEPS`.
    """
    value = formula_value(formula, {"n": n, "k": k, "d": d})
    if not 0 <= value <= MOST_STEPS:
        raise BadFormula(
            f"a number from 0 to {MOST_STEPS:g}, which is {value:g} at n = {n}, k = {k}, d = {d}"
        )
    return int(-(-value // 1))
