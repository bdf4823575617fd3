"""A sweep on other extents: more or fewer values of d, n, width and seed, checked as in a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pipeline.axes import AXES
from pipeline.errors import SweepError, listing
from pipeline.sweep import Sweep
from pipeline.sweep_files.checks import (
    check_amount,
    check_data_files,
    check_dimensions,
    check_distinct,
    check_listed_widths,
    check_memory,
    check_samples,
    check_widths,
)
from pipeline.sweep_files.toml import Problems
from pipeline.sweep_files.training_sizes import check_training_sizes

__all__ = ["with_extents"]


def with_extents(
    sweep: Sweep,
    where: str = "sweep",
    *,
    d: Sequence[int] | None = None,
    n: Sequence[int] | None = None,
    width: Sequence[float] | None = None,
    seeds: Sequence[int] | None = None,
) -> Sweep:
    """Return a sweep with other extents and everything else unchanged.

    Parameters
    ----------
    sweep
        The sweep to start from.
    where
        The name of the sweep in messages.
    d, n, width, seeds
        Distinct values in the order of the store, widths ascending and in the sweep's own unit; None
        keeps those of the sweep.

    Raises
    ------
    SweepError
        The sweep cannot be computed on these extents. The message lists every problem.
    """
    given = {"d": d, "n": n, "width": width, "seeds": seeds}
    extents: dict[str, Any] = {
        key: tuple(values) for key, values in given.items() if values is not None
    }
    problems = Problems()
    for key, values in extents.items():
        _check_extent(key, values, problems)
    if not problems:
        changed = replace(sweep, **extents)
        _check_together(sweep, changed, problems)
    if problems:
        raise SweepError(listing(where, problems), problems)
    return changed


def _check_extent(key: str, values: tuple[Any, ...], problems: Problems) -> None:
    """Check the values of one axis on their own."""
    least, most = AXES["seed" if key == "seeds" else key].limits or (0, 0)
    if key == "width":  # a ratio may be below 1
        kinds: tuple[type, ...] = (int, float)
        expected = f"a number above 0, up to {most}"
        valid = [type(value) in kinds and 0 < value <= most for value in values]
    else:
        expected = f"a whole number from {least} to {most}"
        valid = [type(value) is int and least <= value <= most for value in values]
    if not values:
        problems.add(key, "got no value, expected at least one")
    elif not all(valid):
        problems.add(key, f"got {values[valid.index(False)]!r}, expected {expected}")
    else:
        check_distinct(key, list(values), problems)


def _check_together(sweep: Sweep, changed: Sweep, problems: Problems) -> None:
    """Check the extents against each other, the datasets and the experiment."""
    from pipeline.experiments import experiment_of  # the numerics, not needed to read a store

    experiment = experiment_of(sweep)
    if experiment.widthless and changed.width != sweep.width:
        problems.add("width", f"{sweep.experiment} has no hidden units; remove the key")
    elif changed.width_unit == "k" and not experiment.widthless:
        whole = [int(value) for value in changed.width]
        check_listed_widths("k", whole, experiment.balanced, problems)
    check_data_files(changed.d, changed.n, changed.dataset, problems)
    check_dimensions(changed.dataset, changed.d, problems)
    check_samples(changed.dataset, changed.n, problems)
    if check_amount(changed, problems) and not problems:
        check_widths(changed, problems)
        check_training_sizes(changed, problems)
    if not problems and not experiment.frugal:
        check_memory(changed, experiment, problems)
