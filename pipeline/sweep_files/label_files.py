"""Labels of one's own, `[labels] kind = "file"`: a column of the data file, or a file beside it.

A column of the data file is no input then. Labels have an order of rows, so they belong to a `file`
dataset and are kept with it.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline.errors import DataError
from pipeline.numerics.data_files import read_labels, rows_digest
from pipeline.numerics.datasets import DatasetSpec, LabelFile, file_rows
from pipeline.sweep_files.tables import LabelsTable
from pipeline.sweep_files.toml import Problems

__all__ = ["column_of_labels", "with_labels"]


def column_of_labels(table: LabelsTable | None) -> tuple[str, ...]:
    """Return the column of the data file that holds the labels, which is no input; () if none does."""
    if table is None or not table.of_file or table.path is not None or table.column is None:
        return ()
    return (table.column,)


def with_labels(
    spec: DatasetSpec, table: LabelsTable | None, folder: Path, problems: Problems
) -> DatasetSpec:
    """Return a dataset with the labels of a file if the table asks for them.

    Parameters
    ----------
    spec, table
        The dataset, and the table [labels].
    folder
        The folder that paths are relative to.
    problems
        Problems of the sweep file, which are added to.
    """
    if table is None:
        return spec
    if not table.of_file:
        for key in ("path", "column"):
            if getattr(table, key) is not None:
                problems.add(f"labels.{key}", 'belongs to kind = "file"; add it, or remove the key')
        return spec
    if spec.path is None:
        problems.add(
            "labels.kind",
            f"got 'file', but the rows of a {spec.kind} dataset are random; labels of a file belong to "
            'the rows of a file: dataset = { kind = "file", path = "rows.npy" }',
        )
        return spec
    if table.path is None and table.column is None:
        problems.add(
            "labels.column",
            "missing; add the column of the data file that holds them, or the path of another file",
        )
        return spec
    path = os.path.realpath(folder / table.path) if table.path is not None else spec.path
    try:
        values = read_labels(path, table.column or "")
    except DataError as error:
        problems.add("labels.path", str(error))
        return spec
    samples = len(file_rows(spec))
    if len(values) != samples:
        problems.add(
            "labels.path",
            f"got {len(values)} labels in {path}, but {spec.path} has {samples} samples; give "
            "one label for each row, in their order",
        )
    different = len(np.unique(values))
    if True in np.ravel(table.classes) and different != 2:
        problems.add(
            "labels.classes", f"got {different} different labels in {path}, expected two classes"
        )
    return replace(spec, labels=LabelFile(path, table.column or "", rows_digest(values)))
