"""The success of a trial, and the trials that count.

`Success` is what a user chooses, `Rule` what it means for one store, and `rule_for` leads from one to
the other. By default the rule follows from what the store holds:

- `steps_to_tolerance`, of experiments that descend: the relative loss ||r||^2 / ||r0||^2 reaches the
  tolerance within a budget of steps. The critical width depends on both, so tolerance and budget are
  axes of the answer.
- `ntk_population`: the least eigenvalue of the empirical NTK reaches half of the population value.
- `sigma_min` and `alpha`: the features are as well conditioned as Theorem 2 requires.

A store that holds both uses its descent. Another rule needs no code here: the condition of a `Success`
is any condition in the language of `expressions`, or booleans. It must name something that a trial
measured. A trial that diverged is a failure whatever its condition says, and so is a trial whose
condition compares a missing value. A rule for everybody is a function and a line of `rule_for`.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import Any

import numpy as np
import xarray as xr

from analysis.expressions import evaluate, names_in, parse
from analysis.expressions.evaluation import index_of
from analysis.success.budgets import budget_of, budget_words
from analysis.success.conditions import largest_value, surely, theorem2_threshold, with_flags_compared
from analysis.walking import places
from pipeline.errors import InputError, ParameterError
from pipeline.trial_status import Status, among

__all__ = ["STEPS", "THRESHOLD", "Rule", "Success", "outcomes", "resolved", "rule_for", "undefined"]

STEPS = "steps_to_tolerance"
"""The variable by which descents succeed within a budget."""

POPULATION = "ntk_population"
"""The variable with the least eigenvalue of the population NTK."""

EXTENDED = "steps"
"""The attribute of stores whose budget was made larger than that of their sweep."""

THRESHOLD = 0.5
"""The default threshold of sigma_min / sqrt(k) over alpha: what Theorem 2 guarantees."""


@dataclass(frozen=True)
class Success:
    """The success of a trial as the user defines it; by default the rule of the store.

    Attributes
    ----------
    threshold
        A trial of conditioning succeeds if sigma_min / sqrt(k) >= threshold * alpha, one of tangent if
        ntk_min >= threshold * ntk_population; None means 1/2, as in Theorem 2.
    budgets
        A descent succeeds if it reaches the tolerance within so many steps; None means all its steps.
    condition
        A condition on the stored variables, or booleans over the trials; it replaces both.
    """

    threshold: float | None = None
    budgets: tuple[int, ...] | None = None
    condition: xr.DataArray | str | None = None

    @classmethod
    def of(
        cls,
        threshold: float | None = None,
        budgets: Sequence[int] | None = None,
        success: Success | xr.DataArray | str | None = None,
    ) -> Success:
        """Return the Success that the keywords of `analysis.critical_widths` describe.

        Parameters
        ----------
        threshold, budgets
            As the attributes.
        success
            A condition; or a Success, which is returned as it is.

        Raises
        ------
        ParameterError
            A Success comes with a threshold or budgets.
        """
        if not isinstance(success, Success):
            return cls(threshold, None if budgets is None else tuple(np.ravel(budgets)), success)
        if threshold is not None or budgets is not None:
            raise ParameterError(
                "success", "got a Success with threshold or budgets; give one or the other"
            )
        return success

    @property
    def is_default(self) -> bool:
        """True if nothing was chosen."""
        return self.threshold is None and self.budgets is None and self.condition is None


@dataclass(frozen=True)
class Rule:
    """The success of the trials of one store.

    Attributes
    ----------
    words
        The rule as text.
    reads
        Names of the variables that it reads.
    succeeds
        Maps the store to booleans over its trials; dims beyond those of `status` become cells.
    threshold
        The threshold of Theorem 2's rule, sigma_min / sqrt(k) over alpha, which the limiting spectrum
        predicts; also set if a condition says just that. Likewise ntk_min over ntk_population, by
        default. None for any other rule.
    against_alpha
        Success is undefined for an alpha of 0.
    against_population
        Success is undefined for a population NTK whose least eigenvalue is 0.
    within_budget
        Success is that of descent within a budget of steps: it can only rise with the budget and with
        the tolerance.
    taken
        For success within a budget: the numbers of steps that a trial must have taken to have failed,
        where some trials were left before; the others count as neither. None if all took theirs.
    limit, tolerance
        For a condition that says just that: the number of steps, and the index of the tolerance if it
        names one.
    more
        Further attributes of the answer.
    """

    words: str
    reads: tuple[str, ...]
    succeeds: Callable[[xr.Dataset], xr.DataArray]
    threshold: float | None = None
    against_alpha: bool = False
    against_population: bool = False
    within_budget: bool = False
    taken: xr.DataArray | int | None = None
    limit: float = np.inf
    tolerance: int | None = None
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def attrs(self) -> dict[str, Any]:
        """Attributes by which an answer describes its rule."""
        known = {} if self.threshold is None else {"threshold": self.threshold}
        return {"rule": self.words, **known, **self.more}


def rule_for(ds: xr.Dataset, success: Success = Success(), along: str = "width") -> Rule:
    """Return the rule by which the trials of a store succeed.

    Parameters
    ----------
    ds
        An opened store.
    success
        The user's choice.
    along
        The axis along which success changes.

    Raises
    ------
    InputError
        The store holds nothing that success could be read from.
    ParameterError
        A part of the choice does not fit the store.
    TypeError
        `ds` is no Dataset, or the condition is not boolean.
    """
    if not isinstance(ds, xr.Dataset):
        raise TypeError(f"got {type(ds).__name__}, expected a Dataset; analysis.open_store gives one")
    _require(ds, ("status", "k"))
    condition = success.condition
    descends = condition is None and STEPS in ds
    if success.threshold is not None and (descends or condition is not None):
        other = f"{STEPS} within a budget" if descends else "success as given"
        raise ParameterError(
            "threshold",
            f"it is a share of alpha or of ntk_population, but the rule of {_source(ds)} is {other}; "
            "remove it",
        )
    if descends:
        if along == "width" and (ds.k == 1).all():  # linear regression
            raise InputError(f"{_source(ds)} has no width to vary: k is 1 throughout")
        return _within_budget(ds, success.budgets)
    if success.budgets is not None:
        raise ParameterError(
            "budgets",
            f"they limit the steps of descent, but the rule of {_source(ds)} does not use {STEPS}; "
            "remove them",
        )
    if isinstance(condition, str):
        return _expressed(ds, condition)
    if condition is not None:
        if condition.dtype != bool:
            raise TypeError(f"success: got dtype {condition.dtype}; expected booleans, one per trial")
        return Rule("success as given", (), lambda _: condition)
    threshold = THRESHOLD if success.threshold is None else success.threshold
    if not 0 < threshold < 1:
        raise ParameterError("threshold", f"got {threshold}; expected between 0 and 1, such as 0.5")
    if POPULATION in ds:
        return _near_population(threshold)
    _require(ds, ("sigma_min", "alpha"), f", nor {STEPS} of a sweep that descends")
    return _well_conditioned(threshold)


def _near_population(threshold: float) -> Rule:
    return Rule(
        f"ntk_min >= {threshold:g} {POPULATION}",
        ("ntk_min", POPULATION),
        lambda ds: ds.ntk_min >= threshold * ds[POPULATION],
        threshold,
        against_population=True,
    )


def _well_conditioned(threshold: float) -> Rule:
    return Rule(
        f"sigma_min/sqrt(k) >= {threshold:g} alpha",
        ("sigma_min", "alpha"),
        lambda ds: ds.sigma_min / np.sqrt(ds.k) >= threshold * ds.alpha,
        threshold,
        against_alpha=True,
    )


def _expressed(ds: xr.Dataset, text: str) -> Rule:
    """Return the rule of a condition that the user wrote, after checking it."""
    tree = parse(text)
    compared_flags = with_flags_compared(ds, tree)
    text = text if compared_flags is tree else ast.unparse(compared_flags)
    # Evaluated as in a query, so that errors are the same.
    if evaluate(ds, text).dtype != bool:
        raise ParameterError(
            "success", f"{text!r} is a value and not a condition; compare it with something"
        )
    names, tree = names_in(text), parse(text)
    if not any({"width", "seed"} <= set(ds[name].dims) for name in names if name in ds):
        raise ParameterError(
            "success",
            f"{text!r} uses nothing that a trial measured, so it cannot locate a transition; "
            f"use one of {', '.join(_measured(ds))}",
        )
    rule = Rule(
        text,
        tuple(n for n in names if n in ds),
        lambda ds: surely(ds, tree),
        theorem2_threshold(tree),
        against_alpha="alpha" in names,
        against_population=POPULATION in names,
    )
    if (form := largest_value(tree, STEPS)) is None:
        return rule
    compared, limit = form
    at = index_of(ds, compared)[2] if isinstance(compared, ast.Subscript | ast.Call) else None
    return replace(rule, within_budget=True, limit=limit, tolerance=at)


def _measured(ds: xr.Dataset) -> list[str]:
    """Return the variables with a value for every trial."""
    return sorted(str(name) for name in ds.data_vars if {"width", "seed"} <= set(ds[name].dims))


def _within_budget(ds: xr.Dataset, budgets: Sequence[int] | None) -> Rule:
    descent = ds.attrs.get("identity_fields", {}).get("descent") or {}
    words = f"relative {_loss(descent)}loss <= tolerance within budget"
    whole = budget_of(ds) if "steps" in descent else None
    if budgets is None:
        # The steps beyond the store's own budget were never taken: they are stored as inf.
        varies = "formula" in descent or "most_steps" in descent.get("settings", {})
        known = {} if whole is None or varies else {"budget": whole}
        words += "" if whole is None else f" ({budget_words(ds)})"
        rule = Rule(words, (STEPS,), lambda ds: ds[STEPS] < np.inf, within_budget=True, more=known)
        return _censoring(ds, rule, whole)
    limits = _checked(budgets, whole)
    about = {"long_name": "steps in which the tolerance is to be reached", "units": "steps"}
    axis = xr.DataArray(limits, dims="budget", coords={"budget": ("budget", limits, about)})
    rule = Rule(words, (STEPS,), lambda ds: ds[STEPS] <= axis, within_budget=True)
    return _censoring(ds, rule, axis)


def _censoring(ds: xr.Dataset, rule: Rule, taken: xr.DataArray | int | None) -> Rule:
    """Return a rule that leaves out trials that were left before their budget ended.

    Only a store whose budget was made larger has such trials.
    """
    if EXTENDED not in ds.attrs or "steps" not in ds:
        return rule
    return replace(rule, reads=(STEPS, "steps"), taken=taken)


def _loss(descent: Mapping[str, Any]) -> str:
    """Return the adjective of the loss that trials minimise; "" for the squared one, or several."""
    loss = descent.get("settings", {}).get("loss")
    return f"{loss.replace('_', ' ')} " if isinstance(loss, str) else ""


def _checked(budgets: Sequence[int], whole: int | None) -> list[int]:
    """Return budgets as whole numbers of steps, none beyond the steps of the store."""
    given = np.ravel(np.array(budgets, dtype=object)).tolist()
    if whole is None:
        raise ParameterError(
            "budgets",
            "the data lack the number of steps of their trials "
            "(attrs['identity_fields']['descent']['steps']); open them with analysis.open_store",
        )
    if not given or not all(map(_is_whole, given)):
        raise ParameterError(
            "budgets", f"got {given}; expected whole numbers of steps, such as [{whole}]"
        )
    numbers = [int(steps) for steps in given]
    if len(set(numbers)) < len(numbers):
        raise ParameterError("budgets", f"got {numbers}; expected each of them once")
    if max(numbers) > whole:
        raise ParameterError(
            "budgets",
            f"got {max(numbers)}, but the trials stopped after {whole} steps. "
            f"Expected at most {whole}, or a sweep with more `steps`",
        )
    return numbers


def _is_whole(steps: object) -> bool:
    if isinstance(steps, bool) or not isinstance(steps, Real):
        return False
    return float(steps).is_integer() and float(steps) >= 0


def _source(ds: xr.Dataset) -> str:
    return f"a store of {ds.attrs['experiment']}" if "experiment" in ds.attrs else "this Dataset"


def _require(ds: xr.Dataset, names: tuple[str, ...], beside: str = "") -> None:
    missing = [name for name in names if name not in ds]
    if missing:
        raise InputError(
            f"the data have no {', '.join(missing)}{beside}; they have "
            f"{sorted(map(str, ds.variables))}. Open a store of a conditioning sweep or of one that "
            "descends, or pass `success` for another experiment"
        )


def outcomes(ds: xr.Dataset, rule: Rule) -> tuple[xr.DataArray, xr.DataArray]:
    """Return the trials that succeeded and those that count: booleans (cells..., width, seed), loaded.

    The store is read piece by piece, and two bytes are kept of each trial. A diverged trial counts as a
    failure, even if it met a tolerance before it diverged. Trials whose
    alpha is 0 do not count if success is measured against alpha.
    """
    found = list(places(ds)) if rule.reads else []
    if len(found) < 2:
        return _outcomes(ds, rule)
    every = dict.fromkeys([*rule.reads, "status", "k", "alpha", POPULATION])
    names = [name for name in every if name in ds]
    whole: tuple[xr.DataArray, ...] = ()
    for place in found:
        parts = _outcomes(ds[names].isel(place).load(), rule)
        whole = whole or tuple(_enlarged(part, ds) for part in parts)
        for array, part in zip(whole, parts, strict=True):
            array[place] = part.values
    return whole[0], whole[1]


def resolved(ds: xr.Dataset, success: Success) -> Success:
    """Return a success that says the same of any part of a store: its flags are compared with 1.

    A part may have no value that shows a variable to be a flag.
    """
    if not isinstance(success.condition, str):
        return success
    return replace(success, condition=rule_for(ds, success).words)


def undecided(ds: xr.Dataset, success: Success) -> int:
    """Return how many done trials count as failures because a condition compares a missing number."""
    if not isinstance(success.condition, str):
        return 0
    rule = rule_for(ds, success)
    tree = parse(rule.words)
    neither = replace(rule, succeeds=lambda part: ~surely(part, tree) & ~surely(part, tree, False))
    found, _ = outcomes(ds, neither)
    more = [dim for dim in found.dims if dim not in ds.status.dims]
    return int(found.any(more).sum())


def _enlarged(part: xr.DataArray, ds: xr.Dataset) -> xr.DataArray:
    """Return booleans over all trials of a store, with the dims of those of a piece of it."""
    sizes = {dim: ds.sizes[dim] if dim in ds.status.dims else size for dim, size in part.sizes.items()}
    coords = {dim: (ds if dim in ds.status.dims else part)[dim] for dim in sizes if dim in part.coords}
    bare = {dim: values.variable for dim, values in coords.items()}
    return xr.DataArray(np.zeros(tuple(sizes.values()), dtype=bool), bare, tuple(sizes))


def _outcomes(ds: xr.Dataset, rule: Rule) -> tuple[xr.DataArray, xr.DataArray]:
    counted = among(ds.status, [Status.DONE, Status.DIVERGED])
    if rule.against_alpha:
        counted = counted & (ds.alpha != 0)
    if rule.against_population:
        counted = counted & (ds[POPULATION] != 0)
    if rule.taken is not None:
        ended = (ds[STEPS] < np.inf) | (ds["steps"] >= rule.taken) | (ds.status == Status.DIVERGED)
        counted = counted & ended
    success, counted = xr.broadcast(rule.succeeds(ds) & (ds.status == Status.DONE), counted)
    own = [dim for dim in ds.status.dims if dim not in ("width", "seed")]
    more = [dim for dim in success.dims if dim not in ds.status.dims]
    dims = (*own, *more, "width", "seed")
    # `k` is a coordinate of the grid, not of the outcomes.
    ready = [a.transpose(*dims).reset_coords(drop=True).compute() for a in (success, counted)]
    return ready[0], ready[1]


def undefined(ds: xr.Dataset, rule: Rule, succeeded: xr.DataArray) -> xr.DataArray:
    """Return the cells in which a trial that has run is measured against an exact 0."""
    ran = among(ds.status, [Status.DONE, Status.DIVERGED])
    zero = xr.zeros_like(ran)
    if rule.against_alpha:
        zero = zero | (ds.alpha == 0)
    if rule.against_population:
        zero = zero | (ds[POPULATION] == 0)
    zero = (zero & ran).any(list(succeeded.dims[-2:]))
    return zero.transpose(*succeeded.dims[:-2]).reset_coords(drop=True).compute()
