"""The table [functionals] of a sweep of conditioning: its checks, and what it asks for."""

from __future__ import annotations

from pipeline.functionals import RANDOM_LABELS, Functionals
from pipeline.numerics.datasets import KINDS, DatasetSpec
from pipeline.sweep_files.checks import check_distinct
from pipeline.sweep_files.tables import File, FunctionalsTable
from pipeline.sweep_files.toml import Problems

__all__ = ["read_functionals"]

OF_RIDGE = ("labels", "units", "noise", "test_samples")


def read_functionals(
    file: File, datasets: tuple[DatasetSpec, ...], problems: Problems
) -> Functionals | None:
    """Return the functionals that a file asks for, and record its problems; None if it has none."""
    table = file.functionals
    if table is None:
        return None
    if file.experiment != "conditioning":
        problems.add(
            "functionals",
            f"{file.experiment} stores no functionals of features; remove the table, or choose "
            'experiment = "conditioning"',
        )
        return None
    check_distinct("functionals.ridge", list(table.ridge), problems)
    _check_labels(table, problems)
    _check_test(table, datasets, problems)
    return Functionals(
        tuple(sorted(table.ridge)), table.labels, table.units, table.noise, table.test_samples
    )


def _check_labels(table: FunctionalsTable, problems: Problems) -> None:
    given = table.model_fields_set
    for key in OF_RIDGE:
        if key in given and not table.ridge:
            problems.add(
                f"functionals.{key}", "has no effect without ridge regression; add ridge = [1e-3]"
            )
    if "units" in given and table.labels != "network":
        problems.add(
            "functionals.units",
            f"got {table.units}, but labels are {table.labels}; remove the key, or choose "
            'labels = "network"',
        )


def _check_test(table: FunctionalsTable, datasets: tuple[DatasetSpec, ...], problems: Problems) -> None:
    """Check that a test set can be drawn, and that its labels have a law that training can learn."""
    if not table.test_samples:
        return
    key = "functionals.test_samples"
    if table.labels in RANDOM_LABELS:
        problems.add(
            key,
            "got a test set, but random labels tell nothing of fresh samples; choose the labels of a "
            'teacher, labels = "linear"',
        )
    for spec in datasets:
        kind = KINDS[spec.kind]
        if not kind.fresh:
            problems.add(
                key, f"a {spec.kind} dataset has no fresh samples; remove the key, or choose another"
            )
        elif table.test_samples % kind.multiple:
            problems.add(
                key,
                f"got {table.test_samples}, but a {spec.kind} dataset needs a multiple of "
                f"{kind.multiple}",
            )
