"""From the key `width` of a sweep file to its unit and widths."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING, Literal

from pipeline.sweep_files.checks import check_listed_widths
from pipeline.sweep_files.tables import File, Range, Width
from pipeline.sweep_files.toml import Problems

if TYPE_CHECKING:
    from pipeline.experiments import Experiment

__all__ = ["Unit", "unit_and_widths", "width_axis"]

Unit = Literal["k", "k_per_n", "kd_per_n", "k_per_d"]


def width_axis(
    file: File, experiment: Experiment, problems: Problems
) -> tuple[Unit, tuple[float, ...]]:
    """Return the unit of the widths and the widths, ascending; () after a problem."""
    if experiment.widthless:
        if file.width is not None:
            problems.add("width", f"{file.experiment} has no hidden units; remove the key")
        return "k", (1.0,)
    if file.width is None and experiment.frugal:
        return "k", (1.0,)
    if file.width is None:
        if problems.none_of("width"):
            problems.add("width", "missing, this key is needed")
        return "k", ()
    return unit_and_widths(file.width, experiment.balanced, problems)


def unit_and_widths(
    widths: Width | list[int], balanced: bool, problems: Problems
) -> tuple[Unit, tuple[float, ...]]:
    """Return the unit and the widths of a table or a list; () after a problem."""
    table = Width(k=widths) if isinstance(widths, list) else widths
    units: tuple[Unit, ...] = ("k", "k_per_n", "kd_per_n", "k_per_d")
    given = [unit for unit in units if getattr(table, unit) is not None]
    if len(given) != 1:
        got, repair = (" and ".join(given), "keep one") if given else ("none of them", "give one")
        problems.add("width", f"got {got}, expected exactly one of {', '.join(units)}; {repair}")
        return "k", ()
    unit = given[0]
    return unit, _widths(unit, getattr(table, unit), balanced, problems)


def _widths(
    unit: Unit, given: Range | list[int] | list[float], balanced: bool, problems: Problems
) -> tuple[float, ...]:
    """Return the widths of a range or a list, ascending; those in units of k are whole numbers."""
    if isinstance(given, Range):
        values = given.values()
    else:
        check_listed_widths(unit, given, balanced, problems)
        values = [float(value) for value in given]
    if unit == "k":
        step = 2 if balanced else 1
        values = [math.floor(value + 0.5) for value in values]
        values = [float(value + value % step) for value in values]
    if isinstance(given, Range) and len(set(values)) < len(values):
        problems.add(
            f"width.{unit}",
            f"the range gives {statistics.mode(values):g} twice, expected distinct widths; choose a "
            "smaller num or a wider range",
        )
    return tuple(sorted(values))
