"""From a TOML file to a validated Sweep.

`load_sweep` reads a file (or a bundled sweep by its name) and refuses what cannot be computed, all
problems in one message: where, what was found, what was expected, what would do. `with_extents` is
the same sweep on other axes, checked as a file is.
"""

from __future__ import annotations

import math
import statistics
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pipeline.errors import DataError, Problem, SweepError
from pipeline.numerics.datasets import DatasetSpec, read_rows, rows_digest
from pipeline.sweep import Descent, Sweep
from pipeline.sweep_files.tables import DatasetTable, DescentTable, File, Range, Width, read_tables
from pipeline.sweep_files.toml import listing, nearest_name, not_one_of

if TYPE_CHECKING:
    from pipeline.experiments import Experiment
from pipeline.sweep_files.checks import (
    check_dimensions,
    check_distinct,
    check_listed_widths,
    check_numbers,
    check_taken,
    check_unit_norm,
    check_values,
    check_widths,
    has_no_problem,
    input_dimension,
)

__all__ = ["bundled_sweeps", "load_sweep", "parse_sweep"]


def bundled_sweeps() -> dict[str, Path]:
    """Return the sweeps that come with widthlaw, name to file."""
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
        With every problem of the file: where, what was found, what was expected, what would do.
    """
    path = Path(path_or_name)
    bundled = bundled_sweeps()
    if not path.is_file() and str(path_or_name) in bundled:
        path = bundled[str(path_or_name)]
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        meant = nearest_name(str(path_or_name), bundled)
        raise SweepError(
            f"sweep {path_or_name}: neither a file nor a bundled sweep{meant}"
            f"; bundled are {', '.join(bundled)}"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SweepError(f"sweep {path_or_name}: cannot be read ({error})") from None
    return parse_sweep(text, str(path), folder=path.parent)


def parse_sweep(text: str, where: str = "sweep", folder: Path | None = None) -> Sweep:
    """Make a Sweep of the text of a TOML file.

    Parameters
    ----------
    text
        The sweep, as TOML.
    where
        How messages name the file.
    folder
        Where relative paths of data files start; the working folder if None.

    Returns
    -------
    Sweep

    Raises
    ------
    SweepError
        With every problem of the text.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SweepError(f"{where}: not valid TOML: {error}") from None
    file, problems = read_tables(document)
    sweep = _assemble(file, document, text, folder or Path(), problems)
    if problems or sweep is None:
        by_key = [Problem(text.partition(":")[0], text) for text in problems]
        raise SweepError(listing(where, problems), by_key)
    return sweep


def _assemble(
    file: File, document: dict[str, Any], text: str, folder: Path, problems: list[str]
) -> Sweep | None:
    """Turn the file's keys into a Sweep, adding to `problems` what does not go together.

    A check whose keys already have a problem is passed over, and the others are made.
    """
    from pipeline.experiments import EXPERIMENTS  # the numerics, not needed to read a store

    seeds = tuple(range(file.seeds)) if isinstance(file.seeds, int) else tuple(file.seeds)
    check_values(file, seeds, problems)
    datasets, d = _samples(file, folder, problems)
    if not has_no_problem(problems, "experiment"):
        return None
    experiment = EXPERIMENTS[file.experiment]
    check_taken(file, experiment, problems)
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
        trained=_choices("trained", file.trained, experiment.trained, file.experiment, problems),
        depth=tuple(file.depth) or ((1,) if experiment.deep else ()),
        descent=_descent(file, experiment, problems),
    )
    if has_no_problem(problems, "d", "n", "width"):
        check_widths(sweep, problems)
    if experiment.unit_norm and has_no_problem(problems, "dataset"):
        check_unit_norm(sweep, problems)
    return sweep


def _default_activation(experiment: Experiment) -> tuple[str, ...]:
    """relu, or the one activation that the experiment can take."""
    only = experiment.activations or ()
    return only if len(only) == 1 else ("relu",)


def _samples(
    file: File, folder: Path, problems: list[str]
) -> tuple[tuple[DatasetSpec, ...], tuple[int, ...]]:
    """The datasets and the d axis, with d and n such as the datasets can form."""
    if not has_no_problem(problems, "dataset"):
        return (), tuple(file.d)
    try:
        datasets = tuple(_dataset_spec(item, folder) for item in file.dataset)
        d = input_dimension(tuple(file.d), file.n, datasets, problems)
    except DataError as error:
        problems.append(f"dataset.path: {error}")
        return (), tuple(file.d)
    if d and has_no_problem(problems, "d"):
        check_dimensions(datasets, d, problems)
    if has_no_problem(problems, "n"):
        check_numbers(datasets, file.n, problems)
    return datasets, d


def _axes(document: dict[str, Any], datasets: tuple[DatasetSpec, ...]) -> tuple[str, ...]:
    """The leading dimensions: a list makes an axis of what may also be a single value."""
    return (
        *(key for key in ("activation", "dataset") if isinstance(document.get(key), list)),
        *(["angle"] if any(spec.angle for spec in datasets) else []),
        *(key for key in ("trained", "depth") if isinstance(document.get(key), list)),
        *("d", "n"),
    )


def _choices(
    key: str, given: list[str], known: tuple[str, ...], experiment: str, problems: list[str]
) -> tuple[str, ...]:
    """The values of a key that only some experiments have; the first known one if none is given."""
    if given and not known:
        problems.append(f"{key}: {experiment} has no such choice; leave the key out")
    for value in given if known else ():
        if value not in known:
            problems.append(not_one_of(key, value, known))
    return tuple(given) or known[:1]


def _descent(file: File, experiment: Experiment, problems: list[str]) -> Descent | None:
    """The [descent] table, its tolerances from coarse to fine."""
    from pipeline.descent.loop import LEAST_TOLERANCE

    if not experiment.descends:
        if file.descent is not None:
            problems.append(f"descent: {file.experiment} does not descend; leave the table out")
        return None
    table = file.descent or DescentTable()
    if experiment.certifies and "step_size" in table.model_fields_set:
        problems.append(
            f"descent.step_size: got {table.step_size:g}, but the steps of {file.experiment} are those "
            "of the theorem, 1/beta^2; expected no such key, leave it out"
        )
    if not experiment.certifies and "multiples" in table.model_fields_set:
        problems.append(
            f"descent.multiples: got {table.multiples}, but {file.experiment} certifies no residual; "
            'expected no such key, leave it out or take experiment = "theorem1"'
        )
    for key in ("tolerances", "multiples"):
        check_distinct(f"descent.{key}", list(getattr(table, key)), problems)
    for tolerance in table.tolerances:
        if tolerance >= 1:
            problems.append(
                f"descent.tolerances: got {tolerance:g}, but the relative loss starts at 1; "
                "expected values below 1, such as 1e-2"
            )
        if tolerance < LEAST_TOLERANCE:
            problems.append(
                f"descent.tolerances: got {tolerance:g}, which float64 cannot reach; expected "
                f"{LEAST_TOLERANCE:g} or more (a relative residual of {LEAST_TOLERANCE**0.5:g})"
            )
    tolerances = tuple(sorted(table.tolerances, reverse=True))
    return Descent(table.steps, tolerances, table.step_size, tuple(sorted(table.multiples)))


def _dataset_spec(item: DatasetTable, folder: Path) -> DatasetSpec:
    angles = tuple(sorted(float(angle) for angle in item.angle))
    if item.path is None:
        return DatasetSpec(item.kind, angles)
    path = str((folder / item.path).resolve())
    return DatasetSpec(item.kind, angles, path, item.normalise, rows_digest(read_rows(path)))


def _width_axis(
    file: File, experiment: Experiment, problems: list[str]
) -> tuple[Literal["k", "k_per_n", "kd_per_n"], tuple[float, ...]]:
    if experiment.widthless:
        if file.width is not None:
            problems.append(f"width: {file.experiment} has no hidden units; leave the key out")
        return "k", (1.0,)
    if file.width is None:
        if has_no_problem(problems, "width"):
            problems.append("width: missing, this key is needed")
        return "k", ()
    table = Width(k=file.width) if isinstance(file.width, list) else file.width
    given = [key for key in ("k", "k_per_n", "kd_per_n") if getattr(table, key) is not None]
    if len(given) != 1:
        got, do = (" and ".join(given), "keep one") if given else ("none of them", "give one")
        problems.append(f"width: got {got}, expected exactly one of k, k_per_n, kd_per_n; {do}")
        return "k", ()
    unit: Any = given[0]
    spec = getattr(table, unit)
    if not isinstance(spec, Range):
        check_listed_widths(unit, spec, experiment.balanced, problems)
    values = spec.values() if isinstance(spec, Range) else [float(value) for value in spec]
    if unit == "k":  # a range of k is a range of whole numbers
        step = 2 if experiment.balanced else 1
        values = [math.floor(value + 0.5) for value in values]
        values = [float(value + value % step) for value in values]
    if isinstance(spec, Range) and len(set(values)) < len(values):
        problems.append(
            f"width.{unit}: the range gives {statistics.mode(values):g} twice, expected distinct "
            "widths; take fewer or wider apart"
        )
    return unit, tuple(sorted(values))
