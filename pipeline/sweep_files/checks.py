"""Checks that need more than one key of a sweep file, or more than its type.

Each adds a line to a list of problems: where, what was found, what was expected, what would do.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.errors import SweepError
from pipeline.numerics.datasets import KINDS, DatasetSpec, file_rows
from pipeline.sweep import Sweep
from pipeline.sweep_files.tables import DatasetTable, File
from pipeline.sweep_files.toml import listing

if TYPE_CHECKING:
    from pipeline.experiments import Experiment

__all__ = [
    "check_dimensions",
    "check_distinct",
    "check_listed_widths",
    "check_numbers",
    "check_taken",
    "check_unit_norm",
    "check_values",
    "check_widths",
    "has_no_problem",
    "input_dimension",
    "with_extents",
]


def with_extents(
    sweep: Sweep,
    where: str = "sweep",
    *,
    d: Sequence[int] | None = None,
    n: Sequence[int] | None = None,
    width: Sequence[float] | None = None,
    seeds: Sequence[int] | None = None,
) -> Sweep:
    """Return a sweep with other extents, and all else as it is.

    Parameters
    ----------
    sweep
        What is computed.
    where
        How messages name it.
    d, n, width, seeds
        Distinct values in the order of the store, widths ascending and in the sweep's own unit; those
        of the sweep if None.

    Raises
    ------
    SweepError
        The sweep cannot be computed there; with every problem.
    """
    from pipeline.experiments import EXPERIMENTS

    given = {"d": d, "n": n, "width": width, "seeds": seeds}
    asked: dict[str, Any] = {key: tuple(values) for key, values in given.items() if values is not None}
    problems = [line for key, values in asked.items() for line in _extent_problems(key, values)]
    if problems:
        raise SweepError(listing(where, problems))
    changed = replace(sweep, **asked)
    experiment = EXPERIMENTS[sweep.experiment]
    if experiment.widthless and changed.width != sweep.width:
        problems.append(f"width: {sweep.experiment} has no hidden units; leave the key out")
    elif changed.width_unit == "k" and not experiment.widthless:
        whole = [int(value) for value in changed.width]
        check_listed_widths("k", whole, experiment.balanced, problems)
    input_dimension(changed.d, changed.n, changed.dataset, problems)
    check_dimensions(changed.dataset, changed.d, problems)
    check_numbers(changed.dataset, changed.n, problems)
    if not problems:
        check_widths(changed, problems)
    if problems:
        raise SweepError(listing(where, problems))
    return changed


_LIMITS = {"d": (1, 2**31 - 1), "n": (1, 10**6), "width": (0, 2**31 - 1), "seeds": (0, 2**32 - 1)}
"""Of the values of an axis, as `sweep_tables` has them for a file; a width is above 0."""


def _extent_problems(key: str, values: tuple[Any, ...]) -> list[str]:
    """What is wrong with the values of an axis by themselves."""
    if not values:
        return [f"{key}: got no value, expected at least one"]
    least, most = _LIMITS[key]
    kinds = (int, float) if key == "width" else (int,)
    problems = [
        f"{key}: got {value!r}, expected {'a number' if key == 'width' else 'a whole number'} "
        f"from {least} to {most}"
        for value in values
        if type(value) not in kinds or not least <= value <= most or (key == "width" and not value)
    ][:1]
    if not problems:
        check_distinct(key, list(values), problems)
    return problems


def has_no_problem(problems: list[str], *keys: str) -> bool:
    """Whether none of the keys has a problem yet: a problem starts with its key."""
    return not any(re.match(rf"({'|'.join(keys)})\b", problem) for problem in problems)


def check_values(file: File, seeds: tuple[int, ...], problems: list[str]) -> None:
    """What the values of one key must be to each other."""
    for key in ("activation", "trained", "depth", "d", "n"):
        check_distinct(key, list(getattr(file, key)), problems)
    check_distinct("seeds", list(seeds), problems)
    check_distinct("dataset", [item.kind for item in file.dataset], problems)
    for item in file.dataset:
        _check_dataset(item, problems)
    if not seeds:
        problems.append("seeds: got an empty list, expected a count or a list of seeds")


def check_taken(file: File, experiment: Experiment, problems: list[str]) -> None:
    """What the experiment can take."""
    if file.depth and not experiment.deep:
        problems.append(f"depth: {file.experiment} has one hidden layer; leave the key out")
    for name in file.activation:
        if experiment.activations is not None and name not in experiment.activations:
            problems.append(
                f"activation: got {name!r}, which {file.experiment} cannot take; expected one "
                f"of {', '.join(experiment.activations)}"
            )
    for item in file.dataset:
        if experiment.tests and not KINDS[item.kind].fresh:
            problems.append(
                f"dataset.kind: got {item.kind!r}, which has no fresh samples for {file.experiment} to "
                f"test on; expected one of {', '.join(name for name in KINDS if KINDS[name].fresh)}"
            )


def check_listed_widths(
    unit: str, values: list[int] | list[float], balanced: bool, problems: list[str]
) -> None:
    if not values:
        problems.append(f"width.{unit}: got an empty list, expected at least one width")
    check_distinct(f"width.{unit}", list(values), problems)
    odd = [value for value in values if value % 2] if unit == "k" and balanced else []
    if odd:
        problems.append(
            f"width.k: got {odd[0]}, but the output weights are +-1/sqrt(k), as many of either "
            f"sign; expected even widths, such as {odd[0] + 1}"
        )


def check_distinct(key: str, values: list[Any], problems: list[str]) -> None:
    twice = (
        sorted({value for value in values if values.count(value) > 1})
        if len(set(values)) < len(values)
        else []
    )
    if twice:
        problems.append(f"{key}: {twice[0]!r} stands twice, expected distinct values; leave one out")


def _check_dataset(item: DatasetTable, problems: list[str]) -> None:
    kind = KINDS[item.kind]
    if kind.rotations and not item.angle:
        problems.append(
            f"dataset.angle: missing, a {item.kind} dataset needs one, in radians; write angle = [0.1]"
        )
    if item.angle and not kind.rotations:
        problems.append(f"dataset.angle: a {item.kind} dataset has no angle; leave the key out")
    if any(angle > math.pi for angle in item.angle):
        problems.append(f"dataset.angle: got {max(item.angle):g}, expected radians between 0 and pi")
    check_distinct("dataset.angle", list(item.angle), problems)
    if item.kind == "file" and item.path is None:
        problems.append('dataset.path: a file dataset needs one; write path = "rows.npy"')
    if item.kind != "file" and (item.path is not None or item.normalise):
        problems.append(f'dataset: path and normalise belong to kind = "file", not {item.kind!r}')


def input_dimension(
    d: tuple[int, ...], n: Sequence[int], datasets: tuple[DatasetSpec, ...], problems: list[str]
) -> tuple[int, ...]:
    """The d axis; the rows of a data file say it where the sweep does not."""
    for spec in datasets:
        if spec.path is None:
            continue
        samples, columns = file_rows(spec).shape
        d = d or (columns,)
        if d != (columns,) and has_no_problem(problems, "d"):
            problems.append(f"d: got {list(d)}, but the rows of {spec.path} have {columns} columns")
        if max(n) > samples and has_no_problem(problems, "n"):
            problems.append(
                f"n: got {max(n)}, but {spec.path} has {samples} samples and they are drawn "
                f"without replacement; expected n up to {samples}"
            )
    if not d and has_no_problem(problems, "d"):
        problems.append("d: missing, expected the input dimension; write d = [20]")
    return d


def check_dimensions(
    datasets: tuple[DatasetSpec, ...], d: tuple[int, ...], problems: list[str]
) -> None:
    for spec in datasets:
        if min(d) < KINDS[spec.kind].least_d:
            problems.append(
                f"d: got {min(d)}, but a {spec.kind} dataset needs d of {KINDS[spec.kind].least_d} "
                "or more"
            )


def check_numbers(
    datasets: tuple[DatasetSpec, ...], numbers: Sequence[int], problems: list[str]
) -> None:
    """Numbers of samples that a dataset cannot form; of several datasets one may do."""
    for spec in datasets:
        multiple = KINDS[spec.kind].multiple
        odd = [n for n in numbers if n % multiple]
        if odd and (len(datasets) == 1 or len(odd) == len(numbers)):
            problems.append(
                f"n: got {odd[0]}, but a {spec.kind} dataset needs a multiple of {multiple}; "
                f"{odd[0] - odd[0] % multiple + multiple} would do"
            )
    lost = [n for n in numbers if all(n % KINDS[spec.kind].multiple for spec in datasets)]
    if lost and len(datasets) > 1:
        problems.append(f"n: got {lost[0]}, which none of the datasets can form; leave it out")


def check_widths(sweep: Sweep, problems: list[str]) -> None:
    """Widths that are none, or coincide, at some place of the grid."""
    for d, n in itertools.product(sweep.d, sweep.n):
        widths = sweep.k(d, n)
        at = f"at d = {d}, n = {n}"
        if widths[0] < 1 or widths[-1] >= 2**31:
            wrong = 0 if widths[0] < 1 else -1
            problems.append(
                f"width: {sweep.width[wrong]:g} gives k = {widths[wrong]} {at}; expected 1 <= k < 2^31"
            )
            break
        for (first, k), (second, next_k) in itertools.pairwise(zip(sweep.width, widths, strict=True)):
            if k == next_k:
                problems.append(
                    f"width: {first:g} and {second:g} both give k = {k} {at}; expected distinct "
                    "widths, take fewer or wider apart"
                )
                return


def check_unit_norm(sweep: Sweep, problems: list[str]) -> None:
    for spec in sweep.dataset:
        if not _has_unit_norm(spec):
            problems.append(
                f"dataset: {sweep.experiment} (Theorem 2) is about rows of unit norm, and those of "
                f"a {spec.kind} dataset are not; "
                + ("set normalise = true" if spec.path else 'take kind = "sphere"')
            )


def _has_unit_norm(spec: DatasetSpec) -> bool:
    if spec.path is None:
        return KINDS[spec.kind].unit_norm
    norms = np.linalg.norm(file_rows(spec), axis=1)
    return bool(np.allclose(norms, 1, rtol=0, atol=1e-6))
