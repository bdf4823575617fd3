"""From a TOML file to a validated Sweep.

`load_sweep` reads a file (or a bundled sweep by its name) and refuses what cannot be computed, all
problems in one message: where, what was found, what was expected, what would do. `with_extents` is
the same sweep on other axes, checked as a file is.
"""

from __future__ import annotations

import itertools
import math
import re
import statistics
import tomllib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pipeline.datasets import KINDS, DatasetSpec, file_rows, read_rows, rows_digest
from pipeline.errors import DataError, SweepError
from pipeline.sweep import Descent, Sweep
from pipeline.sweep_tables import (
    DatasetTable,
    DescentTable,
    File,
    Range,
    Width,
    read_tables,
)
from pipeline.toml_problems import listing, nearest_name, not_one_of

if TYPE_CHECKING:
    from pipeline.experiments import Experiment

__all__ = ["bundled_sweeps", "load_sweep", "parse_sweep", "with_extents"]


def bundled_sweeps() -> dict[str, Path]:
    """Return the sweeps that come with widthlaw, name to file."""
    import importlib.resources

    folder = Path(str(importlib.resources.files("jobs") / "sweeps"))
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
        raise SweepError(listing(where, problems))
    return sweep


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
        _check_listed_widths("k", whole, experiment.balanced, problems)
    _input_dimension(changed.d, changed.n, changed.dataset, problems)
    _check_dimensions(changed.dataset, changed.d, problems)
    _check_numbers(changed.dataset, changed.n, problems)
    if not problems:
        _check_widths(changed, problems)
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
        _check_distinct(key, list(values), problems)
    return problems


def _assemble(
    file: File, document: dict[str, Any], text: str, folder: Path, problems: list[str]
) -> Sweep | None:
    """Turn the file's keys into a Sweep, adding to `problems` what does not go together.

    A check whose keys already have a problem is passed over, and the others are made.
    """
    from pipeline.experiments import EXPERIMENTS  # the numerics, not needed to read a store

    seeds = tuple(range(file.seeds)) if isinstance(file.seeds, int) else tuple(file.seeds)
    _check_values(file, seeds, problems)
    datasets, d = _samples(file, folder, problems)
    if not _sound(problems, "experiment"):
        return None
    experiment = EXPERIMENTS[file.experiment]
    _check_taken(file, experiment, problems)
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
    if _sound(problems, "d", "n", "width"):
        _check_widths(sweep, problems)
    if experiment.unit_norm and _sound(problems, "dataset"):
        _check_unit_norm(sweep, problems)
    return sweep


def _sound(problems: list[str], *keys: str) -> bool:
    """Whether none of the keys has a problem yet: a problem starts with its key."""
    return not any(re.match(rf"({'|'.join(keys)})\b", problem) for problem in problems)


def _default_activation(experiment: Experiment) -> tuple[str, ...]:
    """relu, or the one activation that the experiment can take."""
    only = experiment.activations or ()
    return only if len(only) == 1 else ("relu",)


def _check_values(file: File, seeds: tuple[int, ...], problems: list[str]) -> None:
    """What the values of one key must be to each other."""
    for key in ("activation", "trained", "depth", "d", "n"):
        _check_distinct(key, list(getattr(file, key)), problems)
    _check_distinct("seeds", list(seeds), problems)
    _check_distinct("dataset", [item.kind for item in file.dataset], problems)
    for item in file.dataset:
        _check_dataset(item, problems)
    if not seeds:
        problems.append("seeds: got an empty list, expected a count or a list of seeds")


def _check_taken(file: File, experiment: Experiment, problems: list[str]) -> None:
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


def _samples(
    file: File, folder: Path, problems: list[str]
) -> tuple[tuple[DatasetSpec, ...], tuple[int, ...]]:
    """The datasets and the d axis, with d and n such as the datasets can form."""
    if not _sound(problems, "dataset"):
        return (), tuple(file.d)
    try:
        datasets = tuple(_dataset_spec(item, folder) for item in file.dataset)
        d = _input_dimension(tuple(file.d), file.n, datasets, problems)
    except DataError as error:
        problems.append(f"dataset.path: {error}")
        return (), tuple(file.d)
    if d and _sound(problems, "d"):
        _check_dimensions(datasets, d, problems)
    if _sound(problems, "n"):
        _check_numbers(datasets, file.n, problems)
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
        _check_distinct(f"descent.{key}", list(getattr(table, key)), problems)
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
        if _sound(problems, "width"):
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
        _check_listed_widths(unit, spec, experiment.balanced, problems)
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


def _check_listed_widths(
    unit: str, values: list[int] | list[float], balanced: bool, problems: list[str]
) -> None:
    if not values:
        problems.append(f"width.{unit}: got an empty list, expected at least one width")
    _check_distinct(f"width.{unit}", list(values), problems)
    odd = [value for value in values if value % 2] if unit == "k" and balanced else []
    if odd:
        problems.append(
            f"width.k: got {odd[0]}, but the output weights are +-1/sqrt(k), as many of either "
            f"sign; expected even widths, such as {odd[0] + 1}"
        )


def _check_distinct(key: str, values: list[Any], problems: list[str]) -> None:
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
    _check_distinct("dataset.angle", list(item.angle), problems)
    if item.kind == "file" and item.path is None:
        problems.append('dataset.path: a file dataset needs one; write path = "rows.npy"')
    if item.kind != "file" and (item.path is not None or item.normalise):
        problems.append(f'dataset: path and normalise belong to kind = "file", not {item.kind!r}')


def _input_dimension(
    d: tuple[int, ...], n: Sequence[int], datasets: tuple[DatasetSpec, ...], problems: list[str]
) -> tuple[int, ...]:
    """The d axis; the rows of a data file say it where the sweep does not."""
    for spec in datasets:
        if spec.path is None:
            continue
        samples, columns = file_rows(spec).shape
        d = d or (columns,)
        if d != (columns,) and _sound(problems, "d"):
            problems.append(f"d: got {list(d)}, but the rows of {spec.path} have {columns} columns")
        if max(n) > samples and _sound(problems, "n"):
            problems.append(
                f"n: got {max(n)}, but {spec.path} has {samples} samples and they are drawn "
                f"without replacement; expected n up to {samples}"
            )
    if not d and _sound(problems, "d"):
        problems.append("d: missing, expected the input dimension; write d = [20]")
    return d


def _check_dimensions(
    datasets: tuple[DatasetSpec, ...], d: tuple[int, ...], problems: list[str]
) -> None:
    for spec in datasets:
        if min(d) < KINDS[spec.kind].least_d:
            problems.append(
                f"d: got {min(d)}, but a {spec.kind} dataset needs d of {KINDS[spec.kind].least_d} "
                "or more"
            )


def _check_numbers(
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


def _check_widths(sweep: Sweep, problems: list[str]) -> None:
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


def _check_unit_norm(sweep: Sweep, problems: list[str]) -> None:
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
