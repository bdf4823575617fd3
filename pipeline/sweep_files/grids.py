"""Axes that depend on each other: the tables [[grid]] and [pairs], the conditions only and exclude.

The axes of the store are the unions of all values. What is in no sub-grid, or is left out by a
condition, is not requested (`pipeline.selection`).

A key at the top of the file holds for all sub-grids that do not give it themselves. [pairs] has a list
of equal length for each of its axes; their values go together place by place, as in Python's zip.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pipeline.conditions import BadCondition, where_met
from pipeline.errors import Problem, nearest_name, shortened
from pipeline.expressions import QueryError
from pipeline.selection import Selection, named_values, requested
from pipeline.sweep import Sweep
from pipeline.sweep_files.checks import check_distinct
from pipeline.sweep_files.tables import File, GridTable, Width
from pipeline.sweep_files.toml import Problems

__all__ = ["SubGrids", "check_requests", "selections", "sub_grids", "with_unions"]

Part = dict[str, list[Any]]
"""The values of a sub-grid on the axes that it gives; those of `width` in the unit of the sweep."""

SubGrids = list[tuple[str, Part]]
"""The sub-grids of a file, each with its place there; the rows of [pairs] are some of them."""

ReadWidths = Callable[[Any, Problems], tuple[str, tuple[float, ...]]]
"""Function from a table of widths to their unit and the widths; it adds to the problems."""

INSTEAD = {
    "k": "write width = { k = [20, 40] }",
    "k_per_n": "write width = { k_per_n = [1.5, 2.0] }",
    "kd_per_n": "write width = { kd_per_n = [1.5, 2.0] }",
    "k_per_d": "write width = { k_per_d = [1.5, 2.0] }",
    "seed": "write seeds",
    "only": "a condition stands at the top of the file, above the first line such as [[grid]]",
    "exclude": "a condition stands at the top of the file, above the first line such as [[grid]]",
}
"""What a file should say instead of names that are no axes."""

MOST_PARTS = 10_000
"""Sub-grids of a file, with each row of [pairs] in each of them."""


def sub_grids(file: File, read_widths: ReadWidths, problems: Problems) -> tuple[SubGrids, str]:
    """Return the sub-grids of a file, and the unit of their widths; "" if they give none."""
    parts = [(f"grid[{i}]", _part(table)) for i, table in enumerate(file.grid)]
    unit = _read_widths(parts, read_widths, problems)
    rows = _rows(file.pairs, problems)
    _check_values([*parts, *rows], problems)
    if not rows:
        return parts, unit
    common = {axis for _, part in parts for axis in part}.intersection(rows[0][1])
    for axis in sorted(common):
        problems.add(f"pairs.{axis}", f"[[grid]] gives {axis} too; remove it from one of them")
    if any("width" in part for _, part in rows):
        unit = unit or "k"
    if len(rows) * max(1, len(parts)) > MOST_PARTS:
        problems.add(
            "pairs",
            f"got {len(rows)} rows in {len(parts)} sub-grids, expected at most {MOST_PARTS} in all; "
            "write fewer, or a condition: only = ...",
        )
        return [], unit
    both = itertools.product(parts or [("", {})], rows)
    return [
        (where if not at else f"{at}, {where}", part | row) for (at, part), (where, row) in both
    ], unit


def _part(table: GridTable) -> Part:
    """Return the values of a sub-grid, with the widths as they are written."""
    part: dict[str, Any] = {}
    for axis, value in (table.given() | table.parameters).items():
        if axis == "seeds" and isinstance(value, int):
            value = list(range(value))
        part[axis] = value if isinstance(value, list) or axis == "width" else [value]
    return part


def _check_values(parts: SubGrids, problems: Problems) -> None:
    """Check that values can stand on an axis, and that none is listed twice."""
    for where, part in parts:
        for axis, values in part.items():
            odd = [value for value in values if not isinstance(value, str | int | float)]
            if odd:
                problems.add(
                    f"{where}.{axis}",
                    f"got {shortened(str(odd[0]))}, expected numbers or words; give values by name",
                )
            else:
                check_distinct(f"{where}.{axis}", values, problems)


def _read_widths(parts: SubGrids, read: ReadWidths, problems: Problems) -> str:
    """Replace the tables of widths by their values, which all have one unit; return that."""
    found = ""
    for where, part in parts:
        if "width" in part:
            inner = Problems()
            unit, values = read(part["width"], inner)
            problems.extend(Problem(f"{where}.{one.key}", one.text) for one in inner)
            part["width"] = list(values)
            if found and unit != found:
                problems.add(
                    f"{where}.width",
                    f"got widths as {unit}, but another sub-grid gives them as {found}; write all as "
                    f"{found}, or put {unit} into a sweep of its own",
                )
            found = found or unit
    return found


def _rows(table: GridTable | None, problems: Problems) -> SubGrids:
    """Return a sub-grid of single values for each row of [pairs]."""
    if table is None:
        return []
    columns = table.given() | table.parameters
    sound = True
    for axis, values in columns.items():
        if not isinstance(values, list):
            expected = "a list of k" if axis == "width" else "a list, with one value for each pair"
            problems.add(f"pairs.{axis}", f"got {shortened(str(values))}, expected {expected}")
            sound = False
    if not sound:
        return []
    lengths = {axis: len(values) for axis, values in columns.items()}
    if len(columns) < 2 or len(set(lengths.values())) > 1:
        got = ", ".join(f"{count} of {axis}" for axis, count in lengths.items()) or "nothing"
        problems.add(
            "pairs",
            f"got {got}, expected lists of equal length on two axes or more; for example "
            "pairs = { d = [10, 20], n = [100, 400] }",
        )
        return []
    rows = zip(*columns.values(), strict=True)
    return [
        (f"pairs, place {number}", {axis: [value] for axis, value in zip(columns, row, strict=True)})
        for number, row in enumerate(rows)
    ]


# ---- the axes of the store


def with_unions(
    file: File,
    document: Mapping[str, Any],
    parts: SubGrids,
    unit: str,
    read_widths: ReadWidths,
    problems: Problems,
) -> tuple[File, dict[str, Any]]:
    """Return a file, and its document, whose axes have the values of all sub-grids.

    Parameters
    ----------
    file, document
        The file as it is written; keys at the top hold for sub-grids that do not give them.
    parts, unit, read_widths
        From and for `sub_grids`. The parts get the values of the top where they give none.
    problems
        Problems of the file, which are added to.
    """
    given = list(dict.fromkeys(axis for _, part in parts for axis in part))
    own = {axis for axis in given if axis not in type(file).model_fields}
    tabled = {axis for table in (*file.grid, file.pairs) if table for axis in table.parameters}
    changed: dict[str, Any] = {}
    parameters = dict(file.parameters)
    for axis in given:
        inside = axis in tabled or axis in file.parameters
        if axis in own and not inside:  # an axis of a setting, which `selections` checks
            continue
        if axis == "dataset":
            continue
        top = _at_top(file, document, axis)
        if axis == "width" and file.width is not None:
            top = _widths_at_top(file, unit, read_widths, problems)
        if not _complete(axis, parts, top, problems):
            continue
        union = _union(axis, parts)
        if inside:
            parameters[axis] = union
        elif axis == "width":
            whole = [int(value) for value in union] if unit == "k" else union
            changed["width"] = Width(**{unit: whole})
        else:
            changed[axis] = union
    listed = dict(document) | {axis: values for axis, values in changed.items() if axis != "width"}
    return file.model_copy(update=changed | {"parameters": parameters}), listed


def _widths_at_top(file: File, unit: str, read: ReadWidths, problems: Problems) -> list[float]:
    own, values = read(file.width, problems)
    if own != unit:
        problems.add(
            "width",
            f"got widths as {own}, but sub-grids give them as {unit}; write all in one unit",
        )
    return list(values)


def _at_top(file: File, document: Mapping[str, Any], axis: str) -> list[Any] | None:
    """Return the values that an axis has at the top of a file; None if there are none."""
    if axis in file.parameters:
        value = file.parameters[axis]
        return value if isinstance(value, list) else [value]
    if axis not in document:
        return None
    value = getattr(file, axis, None)
    if axis == "seeds" and isinstance(value, int):
        return list(range(value))
    return value if isinstance(value, list) else None


def _complete(axis: str, parts: SubGrids, top: list[Any] | None, problems: Problems) -> bool:
    """Give each sub-grid its values on an axis; return False after a problem."""
    lacking = [(where, part) for where, part in parts if axis not in part]
    if top is not None and not lacking:
        problems.add(
            axis,
            "got values at the top that are never used, because every sub-grid gives its own; remove "
            "the key at the top",
        )
        return False
    if top is None and lacking:
        where = next(where for where, part in parts if axis in part)
        problems.add(
            f"{lacking[0][0].split(',')[0]}.{axis}",
            f"missing, but {where} gives {axis}; give it here too, or at the top for all sub-grids "
            "that do not",
        )
        return False
    for _, part in lacking:
        part[axis] = list(top or ())
    return True


def _union(axis: str, parts: SubGrids) -> list[Any]:
    """Return the values of all sub-grids on an axis, each once; numbers of sizes ascend."""
    values = list(dict.fromkeys(value for _, part in parts for value in part[axis]))
    return sorted(values) if axis in ("d", "n", "width", "seeds") else values


# ---- the trials that are requested


def selections(file: File, sweep: Sweep, parts: SubGrids, problems: Problems) -> tuple[Selection, ...]:
    """Return what a sweep requests; () if it has no sub-grids and no conditions."""
    grids = [_limits(sweep, where, part, problems) for where, part in parts]
    if not all(grids):  # a sub-grid of all values
        grids = []
    if not (grids or file.only or file.exclude):
        return ()
    return (Selection(tuple(grids), tuple(file.only), tuple(file.exclude)),)


def _limits(
    sweep: Sweep, where: str, part: Part, problems: Problems
) -> tuple[tuple[str, tuple[Any, ...]], ...]:
    """Return the values of a sub-grid on the axes where it has not all values of the sweep."""
    limits = []
    for axis, values in part.items():
        known = _known(sweep, axis)
        if known is None:
            axes = (*sweep.axes, "width", "seeds")
            advice = INSTEAD.get(axis) or f"the axes of this sweep are {', '.join(axes)}"
            near = "" if axis in INSTEAD else nearest_name(axis, axes)
            problems.add(f"{where}.{axis}", f"unknown axis{near}; {advice}")
        elif odd := [value for value in values if value not in known]:
            problems.add(
                f"{where}.{axis}",
                f"got {shortened(repr(odd[0]))}, expected one of {_listed(known)}; add it to the list "
                "of that axis, or correct it here",
            )
        elif set(values) != set(known):
            limits.append((axis, tuple(dict.fromkeys(values))))
    return tuple(limits)


def _known(sweep: Sweep, axis: str) -> tuple[Any, ...] | None:
    """Return the values of a sweep on one of its axes; None if it has no such axis."""
    if axis in ("width", "seeds"):
        return tuple(getattr(sweep, axis))
    return sweep.labels(axis) if axis in sweep.axes else None


def _listed(values: Iterable[Any]) -> str:
    return shortened(", ".join(map(str, values)))


def check_requests(sweep: Sweep, problems: Problems) -> None:
    """Check that the conditions can be read, and leave a trial."""
    at = named_values(sweep)
    for selection in sweep.requests:
        for key in ("only", "exclude"):
            for text in getattr(selection, key):
                try:
                    where_met(text, at)
                except (BadCondition, QueryError) as error:
                    problems.add(key, f"got {shortened(repr(text))}: {error}")
    if problems:
        return
    wanted = requested(sweep)
    if not any(wanted[cell.index].any() for cell in sweep.cells()):
        texts = [text for one in sweep.requests for text in (*one.only, *one.exclude)]
        key = next(key for key in ("only", "exclude", "grid") if _has(sweep, key))
        problems.add(
            key,
            f"got {shortened(' and '.join(map(repr, texts)) or 'sub-grids')}, which leaves none of "
            f"{sweep.possible_trials} trials, expected at least one; loosen it",
        )


def _has(sweep: Sweep, key: str) -> bool:
    return key == "grid" or any(getattr(selection, key) for selection in sweep.requests)
