"""When a trial succeeds, and which trials count.

The rule follows from what a store holds:

- `steps_to_tolerance`, kept by experiments that descend: the relative loss ||r||^2 / ||r0||^2 came
  to the tolerance within a budget of steps. The threshold of width moves with both, so tolerance and
  budget are axes of the answer.
- `sigma_min` and `alpha`: the features are as well conditioned as Theorem 2 asks for.

A store that holds both is judged by its descent. Another rule for one's own question needs no code
here: `success` takes any condition in the language of `expressions`, or booleans. It must name
something that a trial measured. A trial that diverged is a failure whatever the condition says of it,
and so is one of which the condition compares something missing. A rule for everybody is a function and
a line of `rule_for`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

import numpy as np
import xarray as xr

from analysis.expressions import evaluate, names_in, parse
from analysis.success.conditions import surely, theorem2_threshold
from pipeline.errors import InputError
from pipeline.trial_status import Status

__all__ = ["THRESHOLD", "Rule", "Success", "outcomes", "rule_for", "zero_alpha"]

_STEPS = "steps_to_tolerance"

THRESHOLD = 0.5
"""Of sigma_min / sqrt(k) over alpha: what Theorem 2 guarantees."""


@dataclass(frozen=True)
class Success:
    """The success of a trial, as a user defines it; by default the store's own measure.

    Attributes
    ----------
    threshold
        Success is sigma_min / sqrt(k) >= threshold * alpha; None for 1/2, as in Theorem 2.
    budgets
        Numbers of steps within which a descent must reach its tolerances; None for all its steps.
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
        """Return the Success that the keywords of `analysis.critical_widths` describe."""
        if not isinstance(success, Success):
            return cls(threshold, None if budgets is None else tuple(np.ravel(budgets)), success)
        if threshold is not None or budgets is not None:
            raise InputError("success: got a Success and threshold or budgets beside it; give one")
        return success

    @property
    def is_default(self) -> bool:
        """True where nothing was chosen."""
        return self.threshold is None and self.budgets is None and self.condition is None


@dataclass(frozen=True)
class Rule:
    """What makes a trial a success.

    `judge` maps a store to booleans over its trials; dims beyond those of `status` become cells.
    `against_alpha` where success has no meaning for an alpha of 0; `threshold` is set where it is
    Theorem 2's, sigma_min / sqrt(k) over alpha, which the limiting spectrum predicts, also where an
    expression says just that.
    """

    words: str
    reads: tuple[str, ...]
    judge: Callable[[xr.Dataset], xr.DataArray]
    threshold: float | None = None
    against_alpha: bool = False
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def attrs(self) -> dict[str, Any]:
        """What an answer says of the rule behind it."""
        known = {} if self.threshold is None else {"threshold": self.threshold}
        return {"rule": self.words, **known, **self.more}


def rule_for(
    ds: xr.Dataset,
    chosen: Success = Success(),
) -> Rule:
    """Return the rule that decides which trials of a store succeed.

    Parameters
    ----------
    ds
        An opened store.
    chosen
        The success that the user defined.

    Raises
    ------
    InputError
        Where the store holds nothing to judge by, or a parameter does not fit it.
    TypeError
        For a `ds` that is no Dataset, or a `success` that is not boolean.
    """
    threshold, budgets, success = chosen.threshold, chosen.budgets, chosen.condition
    if not isinstance(ds, xr.Dataset):
        raise TypeError(f"got {type(ds).__name__}, expected a Dataset; analysis.open_store gives one")
    _require(ds, ("status", "k"))
    descends = success is None and _STEPS in ds
    if threshold is not None and (descends or success is not None):
        raise InputError(
            f"threshold: it measures sigma_min against alpha, and {_source(ds)} is judged by "
            f"{f'{_STEPS} within a budget' if descends else 'success as given'}; leave it out"
        )
    if descends:
        return _within_budget(ds, budgets)
    if budgets is not None:
        raise InputError(
            f"budgets: they limit the steps of descent, and {_source(ds)} is not judged by "
            f"{_STEPS}; leave them out"
        )
    if isinstance(success, str):
        return _expressed(ds, success)
    if success is not None:
        if success.dtype != bool:
            raise TypeError(f"success: got dtype {success.dtype}; expected booleans, one for a trial")
        return Rule("success as given", (), lambda _: success)
    _require(ds, ("sigma_min", "alpha"), f", nor {_STEPS} of a sweep that descends")
    return _well_conditioned(THRESHOLD if threshold is None else threshold)


def _well_conditioned(threshold: float) -> Rule:
    if not 0 < threshold < 1:
        raise InputError(f"threshold: got {threshold}; expected between 0 and 1, such as 0.5")
    return Rule(
        f"sigma_min/sqrt(k) >= {threshold:g} alpha",
        ("sigma_min", "alpha"),
        lambda ds: ds.sigma_min / np.sqrt(ds.k) >= threshold * ds.alpha,
        threshold,
        against_alpha=True,
    )


def _expressed(ds: xr.Dataset, text: str) -> Rule:
    """A condition that the user wrote; it is tried at once, so that its errors come first."""
    # As it would be of a query, so that errors are the same.
    if evaluate(ds, text).dtype != bool:
        raise InputError(f"success: {text!r} is a value and no condition; compare it with something")
    names, tree = names_in(text), parse(text)
    if not any({"width", "seed"} <= set(ds[name].dims) for name in names if name in ds):
        raise InputError(
            f"success: {text!r} speaks of nothing that a trial measured, so that no width could be "
            f"found by it; name one of {', '.join(_measured(ds))}"
        )
    return Rule(
        text,
        tuple(n for n in names if n in ds),
        lambda ds: surely(ds, tree),
        theorem2_threshold(tree),
        against_alpha="alpha" in names,
    )


def _measured(ds: xr.Dataset) -> list[str]:
    """Variables of which every trial has its own."""
    return sorted(str(name) for name in ds.data_vars if {"width", "seed"} <= set(ds[name].dims))


def _within_budget(ds: xr.Dataset, budgets: Sequence[int] | None) -> Rule:
    if (ds.k == 1).all():  # linear regression: one unit, and nothing that could be wider
        raise InputError(f"{_source(ds)} has no width to vary: k is 1 throughout")
    words = "relative loss <= tolerance within budget"
    whole = (ds.attrs.get("identity_fields", {}).get("descent") or {}).get("steps")
    if budgets is None:
        # The steps beyond the store's own budget were never taken: they are stored as inf.
        known = {} if whole is None else {"budget": int(whole)}
        words += "" if whole is None else f" ({whole} steps)"
        return Rule(words, (_STEPS,), lambda ds: ds[_STEPS] < np.inf, more=known)
    limits = _checked(budgets, whole)
    about = {"long_name": "steps in which the tolerance is to be reached", "units": "steps"}
    axis = xr.DataArray(limits, dims="budget", coords={"budget": ("budget", limits, about)})
    return Rule(words, (_STEPS,), lambda ds: ds[_STEPS] <= axis)


def _checked(budgets: Sequence[int], whole: int | None) -> list[int]:
    """Budgets as whole numbers that the trials of a store can answer for."""
    asked = np.ravel(np.array(budgets, dtype=object)).tolist()
    if whole is None:
        raise InputError(
            "budgets: the data do not say how many steps their trials were given "
            "(attrs['identity_fields']['descent']['steps']); open them with analysis.open_store"
        )
    if not asked or not all(map(_is_whole, asked)):
        raise InputError(f"budgets: got {asked}; expected whole numbers of steps, such as [{whole}]")
    numbers = [int(steps) for steps in asked]
    if len(set(numbers)) < len(numbers):
        raise InputError(f"budgets: got {numbers}; expected each of them once")
    if max(numbers) > whole:
        raise InputError(
            f"budgets: got {max(numbers)}; the trials were given {whole} steps, and what comes later "
            f"is not known. Expected at most {whole}, or a sweep with more `steps`"
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
    """Which trials succeeded and which count: booleans (cells..., width, seed), loaded.

    A diverged trial counts, as a failure: also where it met a tolerance before it diverged. Of
    trials judged against alpha, those whose alpha is 0 do not count.
    """
    counted = ds.status.isin([Status.DONE, Status.DIVERGED])
    if rule.against_alpha:
        counted = counted & (ds.alpha != 0)
    success, counted = xr.broadcast(rule.judge(ds) & (ds.status == Status.DONE), counted)
    own = [dim for dim in ds.status.dims if dim not in ("width", "seed")]
    more = [dim for dim in success.dims if dim not in ds.status.dims]
    dims = (*own, *more, "width", "seed")
    # `k` is known for every trial but belongs to the cells' grid, not to the outcomes.
    ready = [a.transpose(*dims).reset_coords(drop=True).compute() for a in (success, counted)]
    return ready[0], ready[1]


def zero_alpha(ds: xr.Dataset, succeeded: xr.DataArray) -> xr.DataArray:
    """Cells in which a trial that has run met an alpha of exactly 0."""
    ran = ds.status.isin([Status.DONE, Status.DIVERGED])
    zero = ((ds.alpha == 0) & ran).any(["width", "seed"])
    return zero.transpose(*succeeded.dims[:-2]).reset_coords(drop=True).compute()
