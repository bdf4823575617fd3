"""From a TOML file to a validated Sweep.

`load_sweep` finds and reads a file, or a bundled sweep by its name. `parse_sweep` makes a Sweep from
the text. A file that cannot be computed is refused with all its problems in one message: key, what was
found, what was expected, how to fix it.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.axes import Kind, names, optional
from pipeline.errors import CodeError, DataError, Problem, SweepError, listing, nearest_name, shortened
from pipeline.input_files import UnusableFile, read_input
from pipeline.numerics.data_files import read_rows, rows_digest
from pipeline.numerics.datasets import DatasetSpec, file_rows
from pipeline.numerics.own_names import is_entry
from pipeline.settings import MOST_STEPS
from pipeline.sweep import Descent, Sweep
from pipeline.sweep_files.checks import (
    check_amount,
    check_checkpoints,
    check_data_files,
    check_descent,
    check_dimensions,
    check_experiment,
    check_functions,
    check_memory,
    check_samples,
    check_unit_norm,
    check_values,
    check_widths,
)
from pipeline.sweep_files.documents import LARGEST, BadDocument, read_document
from pipeline.sweep_files.functionals import read_functionals
from pipeline.sweep_files.grids import SubGrids, check_requests, selections, sub_grids, with_unions
from pipeline.sweep_files.label_files import column_of_labels, with_labels
from pipeline.sweep_files.parameters import read_parameters
from pipeline.sweep_files.tables import (
    DatasetTable,
    DescentTable,
    File,
    Width,
    read_tables,
)
from pipeline.sweep_files.toml import Problems
from pipeline.sweep_files.training import read_settings
from pipeline.sweep_files.training_sizes import check_training_sizes
from pipeline.sweep_files.width_axis import Unit, unit_and_widths, width_axis

if TYPE_CHECKING:
    from pipeline.experiments import Experiment
    from pipeline.experiments.own.provider import Provider
    from pipeline.experiments.own.record import Own

__all__ = ["bundled_sweeps", "gives_width", "load_sweep", "parse_sweep"]

Parameters = tuple[tuple[str, tuple[Any, ...]], ...]
"""Pairs of a parameter that is an axis, and its values."""


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
    from pipeline.experiments.own.provider import FromFile

    return parse_sweep(text, str(path), path.parent, FromFile(path.parent))


def parse_sweep(
    text: str,
    where: str = "sweep",
    folder: Path | None = None,
    own: Provider | None = None,
) -> Sweep:
    """Make a Sweep from the text of a TOML file.

    Parameters
    ----------
    text
        The sweep, as TOML.
    where
        The name of the file in messages.
    folder
        The folder that paths of data files are relative to; the working folder if None.
    own
        Where the functions of one's own come from that the text names; None if it may name none.

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
    sweep = _assemble(file, document, text, folder or Path(), problems, own)
    if problems or sweep is None:
        raise SweepError(listing(where, problems), problems)
    return sweep


def gives_width(sweep: Sweep) -> bool:
    """Return True if the trials of a sweep have a width that its text, or an extension, gives.

    Trials of one's own, and linear regression, have the width 1 where they have none.
    """
    if (sweep.width_unit, sweep.width) != ("k", (1.0,)):
        return True
    document = read_document(sweep.text)
    grids = document.get("grid", [])
    return any("width" in table for table in (document, document.get("pairs", {}), *grids))


# ---- assembling


def _assemble(
    file: File,
    document: dict[str, Any],
    text: str,
    folder: Path,
    problems: Problems,
    own: Provider | None,
) -> Sweep | None:
    """Make a Sweep from the keys of a file, and record the problems of keys that do not fit together.

    A check is skipped if one of its keys already has a problem; the others still run.
    """
    before = len(problems)
    file, document, parts = _with_sub_grids(file, document, problems)
    if len(problems) > before or not problems.none_of("grid", "pairs"):
        return None  # what is missing or too much elsewhere may be theirs
    seeds = tuple(range(file.seeds)) if isinstance(file.seeds, int) else tuple(file.seeds)
    check_values(file, seeds, problems)
    if not problems.none_of("experiment"):
        _samples(file, folder, problems, own)
        return None
    chosen = _experiment(file, own, problems)
    if chosen is None:
        return None
    record, experiment, parameters, constants = chosen
    _require(file, problems, () if experiment.frugal and not file.dataset else ("dataset", "n"))
    datasets, d = _samples(file, folder, problems, own, experiment.frugal)
    activations = _activations(file, own, problems)
    check_experiment(file, experiment, problems)
    check_functions(activations, datasets, file, experiment, problems)
    check_descent(file, experiment, problems)
    settings = _with_own_labels(read_settings(file, experiment, problems), file, own, problems)
    parameters += tuple((name, value) for name, value in settings if isinstance(value, tuple))
    functionals = read_functionals(file, datasets, problems)
    unit, width = width_axis(file, experiment, problems)
    sweep = Sweep(
        name=file.name,
        experiment=file.experiment,
        entropy=file.entropy,
        activation=activations or _default_activation(experiment),
        dataset=datasets,
        d=d,
        n=tuple(file.n) or (1,) * (experiment.frugal and not datasets),
        width_unit=unit,
        width=width,
        seeds=seeds,
        nested=file.nested,
        axes=_axes(document, datasets, parameters),
        text=text,
        even=experiment.balanced,
        options=_options(file, experiment),
        descent=_descent(file, settings) if experiment.descends else None,
        own=record,
        parameters=parameters,
        constants=constants,
        functionals=functionals,
    )
    if not problems:
        sweep = replace(sweep, requests=selections(file, sweep, parts, problems))
    _check_whole(sweep, experiment, problems)
    return sweep


def _check_whole(sweep: Sweep, experiment: Experiment, problems: Problems) -> None:
    """Record the problems that only the keys of a sweep together have: its amount, sizes and memory."""
    is_small = check_amount(sweep, problems)
    if is_small and not problems and sweep.requests:
        check_requests(sweep, problems)
    sized = problems.none_of("only", "exclude", "grid", "pairs")
    if is_small and sized and problems.none_of("d", "n", "width"):
        check_widths(sweep, problems)
        if not problems:
            check_training_sizes(sweep, problems)
    if not problems:
        check_checkpoints(sweep, experiment, problems)
    if sweep.n and sized and not experiment.frugal and problems.none_of("dataset", "d", "n", "width"):
        check_memory(sweep, experiment, problems)
    if experiment.unit_norm and problems.none_of("dataset"):
        check_unit_norm(sweep, problems)


def _with_sub_grids(
    file: File, document: dict[str, Any], problems: Problems
) -> tuple[File, dict[str, Any], SubGrids]:
    """Return a file with the unions of its sub-grids, its document, and the sub-grids."""
    if not (file.grid or file.pairs is not None):
        return file, document, []
    from pipeline.experiments import EXPERIMENTS  # the numerics, not needed to read a store

    built_in = EXPERIMENTS.get(file.experiment)
    balanced = built_in is not None and built_in.balanced

    def read(widths: Width | list[int], problems: Problems) -> tuple[Unit, tuple[float, ...]]:
        return unit_and_widths(widths, balanced, problems)

    before = len(problems)
    parts, unit = sub_grids(file, read, problems)
    if len(problems) > before:
        return file, document, []
    file, document = with_unions(file, document, parts, unit, read, problems)
    return file, document, parts


def _experiment(
    file: File, own: Provider | None, problems: Problems
) -> tuple[Own | None, Experiment, Parameters, str] | None:
    """Return the experiment that a file names, with its parameters; None after a problem.

    For one's own: its record, the experiment, the parameters that are axes, and the others as JSON.
    """
    from pipeline.experiments import EXPERIMENTS  # the numerics, not needed to read a store

    if file.experiment in EXPERIMENTS:
        if file.parameters:
            problems.add("parameters", f"{file.experiment} takes no parameters; remove the table")
        return None, EXPERIMENTS[file.experiment], (), "{}"
    from pipeline.experiments.own.build import built

    if own is None:
        problems.add("experiment", f"{file.experiment} is code, which only a sweep file can name")
        return None
    try:
        record = own.experiment(file.experiment)
    except CodeError as error:
        problems.add("experiment", str(error))
        return None
    parameters, constants = read_parameters(file, record.declaration, problems)
    if record.declaration.together and not file.nested:
        problems.add(
            "nested",
            'got false, but widths="together" serves all widths of a seed at once; remove the key',
        )
    return record, built(record, constants), parameters, constants


def _require(file: File, problems: Problems, keys: tuple[str, ...]) -> None:
    """Record missing keys; an experiment of one's own that draws its data itself needs none of them."""
    for key in keys:
        if not getattr(file, key) and problems.none_of(key):
            problems.add(key, "missing, this key is needed")


def _default_activation(experiment: Experiment) -> tuple[str, ...]:
    """Return relu, or the only activation that the experiment supports; () if it needs none."""
    if experiment.frugal:
        return ()
    only = experiment.activations or ()
    return only if len(only) == 1 else ("relu",)


def _options(file: File, experiment: Experiment) -> tuple[tuple[str, tuple[Any, ...]], ...]:
    """Return the optional axes of the experiment, with the values of the file or the default."""
    return tuple(
        (axis.name, tuple(file.values(axis.name)) or known[:1] or (axis.default,))
        for axis in optional()
        if (known := experiment.options.get(axis.name)) is not None
    )


def _axes(
    document: dict[str, Any], datasets: tuple[DatasetSpec, ...], parameters: Parameters
) -> tuple[str, ...]:
    """Return the leading dimensions: a key that may also be a single value is one if it is a list."""
    varied = {key for key in names(Kind.MODEL) if isinstance(document.get(key), list)}
    if any(spec.angle for spec in datasets):
        varied.add("angle")
    own = (name for name, _ in parameters)
    return (*(axis for axis in names(Kind.MODEL) if axis in varied), *own, *names(Kind.SIZE))


def _activations(file: File, own: Provider | None, problems: Problems) -> tuple[str, ...]:
    """Return the activations of a file; those of one's own bring their code."""
    found: list[str] = []
    for name in file.activation:
        if not is_entry(name):
            found.append(name)
        elif own is None:
            problems.add("activation", f"{name} is code, which only a sweep file can name")
        else:
            try:
                found.append(own.activation(name))
            except CodeError as error:
                problems.add("activation", str(error))
    return tuple(found)


def _with_own_labels(
    settings: tuple[tuple[str, Any], ...], file: File, own: Provider | None, problems: Problems
) -> tuple[tuple[str, Any], ...]:
    """Return settings of training in which labels of one's own bring their code."""

    def found(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(found, value))
        if own is None:
            raise CodeError(f"{value} is code, which only a sweep file can name")
        return own.labels(value, min(file.n), min(file.d or [1])) if is_entry(value) else value

    given = dict(settings)
    if any(map(is_entry, _as_tuple(given.get("labels", ())))):
        try:
            given["labels"] = found(given["labels"])
        except CodeError as error:
            problems.add("labels.kind", str(error))
    return tuple(given.items())


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def _samples(
    file: File, folder: Path, problems: Problems, own: Provider | None, frugal: bool = False
) -> tuple[tuple[DatasetSpec, ...], tuple[int, ...]]:
    """Return the datasets and the d axis; check d and n against the datasets."""
    d = tuple(file.d)
    if not problems.none_of("dataset"):
        return (), d
    ours = any(is_entry(item.kind) for item in file.dataset)
    if ours and not (file.d and file.n):
        for key in ("d", "n"):
            if not getattr(file, key) and problems.none_of(key):
                problems.add(key, "missing, a dataset of one's own is drawn at it; add the key")
        return (), d
    try:
        datasets = tuple(_dataset_spec(item, folder, file, own) for item in file.dataset)
        datasets = tuple(with_labels(spec, file.labels, folder, problems) for spec in datasets)
        d = d or _columns(datasets) or (1,) * (frugal and not datasets)
        check_data_files(d, file.n, datasets, problems)
    except DataError as error:
        problems.add("dataset.path", str(error))
        return (), d
    except CodeError as error:
        problems.add("dataset.kind", str(error))
        return (), d
    if not d and problems.none_of("d"):
        problems.add("d", "missing, expected the input dimension; add d = [20]")
    if d and problems.none_of("d"):
        check_dimensions(datasets, d, problems)
    if file.n and problems.none_of("n"):
        check_samples(datasets, file.n, problems)
    return datasets, d


def _columns(datasets: tuple[DatasetSpec, ...]) -> tuple[int, ...]:
    """Return the input dimension of the first data file, () if there is none."""
    return next(((file_rows(spec).shape[1],) for spec in datasets if spec.path is not None), ())


def _dataset_spec(item: DatasetTable, folder: Path, file: File, own: Provider | None) -> DatasetSpec:
    angles = tuple(sorted(float(angle) for angle in item.angle))
    if is_entry(item.kind):
        if own is None:
            raise CodeError(f"{item.kind} is code, which only a sweep file can name")
        kind = own.dataset(item.kind, min(file.n), min(file.d), item.normalise, file.entropy)
        return DatasetSpec(kind, normalise=item.normalise)
    if item.path is None:
        return DatasetSpec(item.kind, angles)
    path = os.path.realpath(folder / item.path)
    drop = (*item.drop, *column_of_labels(file.labels))
    digest = rows_digest(read_rows(path, item.columns, drop))
    return DatasetSpec(item.kind, angles, path, item.normalise, digest, tuple(item.columns), drop)


def _descent(file: File, settings: tuple[tuple[str, Any], ...]) -> Descent:
    """Return the settings of the [descent] table, tolerances from coarse to fine."""
    table = file.descent or DescentTable()
    formula = table.steps if isinstance(table.steps, str) else ""
    listed = table.steps if isinstance(table.steps, list) else [table.steps]
    return Descent(
        max(MOST_STEPS if isinstance(steps, str) else steps for steps in listed),
        tuple(sorted(table.tolerances, reverse=True)),
        table.step_size if isinstance(table.step_size, float) else 1.0,
        tuple(sorted(table.multiples)),
        formula,
        settings,
        table.checkpoints,
    )
