"""From a TOML file to a validated Sweep.

`load_sweep` finds and reads a file, or a bundled sweep by its name. `parse_sweep` makes a Sweep from
the text. A file that cannot be computed is refused with all its problems in one message: key, what was
found, what was expected, how to fix it.
"""

from __future__ import annotations

import math
import os
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pipeline.axes import Kind, names, optional
from pipeline.errors import DataError, Problem, SweepError, listing, nearest_name, shortened
from pipeline.input_files import UnusableFile, read_input
from pipeline.numerics.data_files import read_rows, rows_digest
from pipeline.numerics.datasets import DatasetSpec, file_rows
from pipeline.sweep import Descent, Sweep
from pipeline.sweep_files.checks import (
    check_amount,
    check_data_files,
    check_descent,
    check_dimensions,
    check_experiment,
    check_listed_widths,
    check_memory,
    check_samples,
    check_unit_norm,
    check_values,
    check_widths,
)
from pipeline.sweep_files.documents import LARGEST, BadDocument, read_document
from pipeline.sweep_files.tables import DatasetTable, DescentTable, File, Range, Width, read_tables
from pipeline.sweep_files.toml import Problems

if TYPE_CHECKING:
    from pipeline.experiments import Experiment

__all__ = ["bundled_sweeps", "load_sweep", "parse_sweep"]

Unit = Literal["k", "k_per_n", "kd_per_n"]


# ---- finding and reading


def bundled_sweeps() -> dict[str, Path]:
    """Return the files of the sweeps that come with widthlaw, by name."""
    import importlib.resources

    folder = Path(str(importlib.resources.files("pipeline.sweep_files") / "bundled"))
    return {file.stem: file for file in sorted(folder.glob("*.toml"))}


def load_sweep(path_or_name: str | Path) -> Sweep:
    """Read a sweep from a TOML file, or a bundled sweep by its name.

    Parameters
    ----------
    path_or_name
        A file, or the name of a bundled sweep such as ``theorem2``.

    Returns
    -------
    Sweep

    Raises
    ------
    SweepError
        The file is missing or cannot be computed. The message lists every problem, and the attribute
        `problems` has them one by one.

    Examples
    --------
    >>> import pipeline
    >>> sweep = pipeline.load_sweep("theorem2")
    >>> sweep.experiment, sweep.activation, sweep.width_unit
    ('conditioning', ('relu',), 'k_per_n')
    """
    path, name = Path(path_or_name), shortened(str(path_or_name))
    bundled = bundled_sweeps()
    if name in bundled and not path.is_file():
        path = bundled[name]
    try:
        text = read_input(path, LARGEST)
    except UnusableFile as error:
        if not error.missing:
            raise SweepError(f"sweep {name}: {error}") from None
        raise SweepError(
            f"sweep {name}: neither a file nor a bundled sweep{nearest_name(name, bundled)}; "
            f"bundled are {', '.join(bundled)}"
        ) from None
    return parse_sweep(text, str(path), folder=path.parent)


def parse_sweep(text: str, where: str = "sweep", folder: Path | None = None) -> Sweep:
    """Make a Sweep from the text of a TOML file.

    Parameters
    ----------
    text
        The sweep, as TOML.
    where
        The name of the file in messages.
    folder
        The folder that paths of data files are relative to; the working folder if None.

    Returns
    -------
    Sweep

    Raises
    ------
    SweepError
        The text cannot be computed. The message lists every problem, and the attribute `problems` has
        them one by one.
    """
    try:
        document = read_document(text)
    except BadDocument as error:
        problem = Problem("", str(error))
        raise SweepError(listing(where, [problem]), [problem]) from None
    file, problems = read_tables(document)
    sweep = _assemble(file, document, text, folder or Path(), problems)
    if problems or sweep is None:
        raise SweepError(listing(where, problems), problems)
    return sweep


# ---- assembling


def _assemble(
    file: File, document: dict[str, Any], text: str, folder: Path, problems: Problems
) -> Sweep | None:
    """Make a Sweep from the keys of a file, and record the problems of keys that do not fit together.

    A check is skipped if one of its keys already has a problem; the others still run.
    """
    from pipeline.experiments import EXPERIMENTS  # the numerics, not needed to read a store

    seeds = tuple(range(file.seeds)) if isinstance(file.seeds, int) else tuple(file.seeds)
    check_values(file, seeds, problems)
    datasets, d = _samples(file, folder, problems)
    if not problems.none_of("experiment"):
        return None
    experiment = EXPERIMENTS[file.experiment]
    check_experiment(file, experiment, problems)
    check_descent(file, experiment, problems)
    unit, width = _width_axis(file, experiment, problems)
    sweep = Sweep(
        name=file.name,
        experiment=file.experiment,
        entropy=file.entropy,
        activation=tuple(file.activation) or _default_activation(experiment),
        dataset=datasets,
        d=d,
        n=tuple(file.n),
        width_unit=unit,
        width=width,
        seeds=seeds,
        nested=file.nested,
        axes=_axes(document, datasets),
        text=text,
        even=experiment.balanced,
        options=_options(file, experiment),
        descent=_descent(file) if experiment.descends else None,
    )
    if check_amount(sweep, problems) and problems.none_of("d", "n", "width"):
        check_widths(sweep, problems)
    if problems.none_of("dataset", "d", "n", "width"):
        check_memory(sweep, experiment, problems)
    if experiment.unit_norm and problems.none_of("dataset"):
        check_unit_norm(sweep, problems)
    return sweep


def _default_activation(experiment: Experiment) -> tuple[str, ...]:
    """Return relu, or the only activation that the experiment supports."""
    only = experiment.activations or ()
    return only if len(only) == 1 else ("relu",)


def _options(file: File, experiment: Experiment) -> tuple[tuple[str, tuple[Any, ...]], ...]:
    """Return the optional axes of the experiment, with the values of the file or the default."""
    return tuple(
        (axis.name, tuple(file.values(axis.name)) or known[:1] or (axis.default,))
        for axis in optional()
        if (known := experiment.options.get(axis.name)) is not None
    )


def _axes(document: dict[str, Any], datasets: tuple[DatasetSpec, ...]) -> tuple[str, ...]:
    """Return the leading dimensions: a key that may also be a single value is one if it is a list."""
    varied = {key for key in names(Kind.MODEL) if isinstance(document.get(key), list)}
    if any(spec.angle for spec in datasets):
        varied.add("angle")
    return (*(axis for axis in names(Kind.MODEL) if axis in varied), *names(Kind.SIZE))


def _samples(
    file: File, folder: Path, problems: Problems
) -> tuple[tuple[DatasetSpec, ...], tuple[int, ...]]:
    """Return the datasets and the d axis; check d and n against the datasets."""
    d = tuple(file.d)
    if not problems.none_of("dataset"):
        return (), d
    try:
        datasets = tuple(_dataset_spec(item, folder) for item in file.dataset)
        d = d or _columns(datasets)
        check_data_files(d, file.n, datasets, problems)
    except DataError as error:
        problems.add("dataset.path", str(error))
        return (), d
    if not d and problems.none_of("d"):
        problems.add("d", "missing, expected the input dimension; add d = [20]")
    if d and problems.none_of("d"):
        check_dimensions(datasets, d, problems)
    if problems.none_of("n"):
        check_samples(datasets, file.n, problems)
    return datasets, d


def _columns(datasets: tuple[DatasetSpec, ...]) -> tuple[int, ...]:
    """Return the input dimension of the first data file, () if there is none."""
    return next(((file_rows(spec).shape[1],) for spec in datasets if spec.path is not None), ())


def _dataset_spec(item: DatasetTable, folder: Path) -> DatasetSpec:
    angles = tuple(sorted(float(angle) for angle in item.angle))
    if item.path is None:
        return DatasetSpec(item.kind, angles)
    path = os.path.realpath(folder / item.path)
    digest = rows_digest(read_rows(path, item.columns, item.drop))
    chosen = {"columns": tuple(item.columns), "drop": tuple(item.drop)}
    return DatasetSpec(item.kind, angles, path, item.normalise, digest, **chosen)


def _descent(file: File) -> Descent:
    """Return the settings of the [descent] table, tolerances from coarse to fine."""
    table = file.descent or DescentTable()
    tolerances = tuple(sorted(table.tolerances, reverse=True))
    return Descent(table.steps, tolerances, table.step_size, tuple(sorted(table.multiples)))


def _width_axis(
    file: File, experiment: Experiment, problems: Problems
) -> tuple[Unit, tuple[float, ...]]:
    """Return the unit of the widths and the widths, ascending; () after a problem."""
    if experiment.widthless:
        if file.width is not None:
            problems.add("width", f"{file.experiment} has no hidden units; remove the key")
        return "k", (1.0,)
    if file.width is None:
        if problems.none_of("width"):
            problems.add("width", "missing, this key is needed")
        return "k", ()
    table = Width(k=file.width) if isinstance(file.width, list) else file.width
    units: tuple[Unit, ...] = ("k", "k_per_n", "kd_per_n")
    given = [unit for unit in units if getattr(table, unit) is not None]
    if len(given) != 1:
        got, repair = (" and ".join(given), "keep one") if given else ("none of them", "give one")
        problems.add("width", f"got {got}, expected exactly one of {', '.join(units)}; {repair}")
        return "k", ()
    unit = given[0]
    return unit, _widths(unit, getattr(table, unit), experiment.balanced, problems)


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
