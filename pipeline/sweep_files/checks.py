"""Checks of a sweep that concern several keys, or a key and the experiment.

Each adds its findings to the problems of the file. Callers skip a check whose keys already have one.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.axes import leading, optional
from pipeline.errors import not_one_of
from pipeline.input_files import in_bytes
from pipeline.numerics.datasets import KINDS, DatasetSpec, file_rows
from pipeline.numerics.own_names import OwnName, is_entry
from pipeline.selection import requested
from pipeline.sweep import Sweep
from pipeline.sweep_files.tables import AbsoluteStep, DatasetTable, DescentTable, File
from pipeline.sweep_files.toml import Problems

if TYPE_CHECKING:
    from pipeline.experiments import Experiment

__all__ = [
    "check_amount",
    "check_checkpoints",
    "check_data_files",
    "check_descent",
    "check_dimensions",
    "check_distinct",
    "check_experiment",
    "check_functions",
    "check_listed_widths",
    "check_memory",
    "check_samples",
    "check_unit_norm",
    "check_values",
    "check_widths",
]

MOST_WIDTHS, MOST_TRIALS = 10**6, 10**9
"""Combinations of the leading axes and a width, each of which is visited by loops; and trials."""

MOST_MEMORY = 2**40
"""Bytes of the arrays of one trial."""


def check_values(file: File, seeds: tuple[int, ...], problems: Problems) -> None:
    """Check the lists and the datasets of a file on their own."""
    for axis in leading():
        if axis not in ("angle", "dataset"):  # part of the datasets
            check_distinct(axis, file.values(axis), problems)
    if not isinstance(file.seeds, int):  # a count gives distinct seeds
        check_distinct("seeds", list(seeds), problems)
    check_distinct("dataset", [item.kind for item in file.dataset], problems)
    for item in file.dataset:
        _check_dataset(item, problems)
    if not seeds:
        problems.add("seeds", "got an empty list, expected a count or a list of seeds")


def check_distinct(key: str, values: list[Any], problems: Problems) -> None:
    """Check that no value is listed twice."""
    if len(set(values)) < len(values):
        twice = min(value for value, times in Counter(values).items() if times > 1)
        text = f"{twice:g}" if isinstance(twice, float) else repr(twice)
        problems.add(key, f"{text} is listed twice; remove one")


def _check_dataset(item: DatasetTable, problems: Problems) -> None:
    if is_entry(item.kind):
        if item.angle or item.path is not None or item.columns or item.drop:
            problems.add(
                "dataset",
                f"angle, path, columns and drop are no keys of {item.kind}; remove them, and let the "
                "function do it",
            )
        return
    kind = KINDS[item.kind]
    if kind.has_angle and not item.angle:
        problems.add(
            "dataset.angle",
            f"missing, but a {item.kind} dataset needs it, in radians; add angle = [0.1]",
        )
    if item.angle and not kind.has_angle:
        problems.add("dataset.angle", f"a {item.kind} dataset has no angle; remove the key")
    if any(angle > math.pi for angle in item.angle):
        problems.add("dataset.angle", f"got {max(item.angle):g}, expected radians between 0 and pi")
    check_distinct("dataset.angle", list(item.angle), problems)
    if kind.has_file and item.path is None:
        problems.add("dataset.path", 'missing, but a file dataset needs it; add path = "rows.npy"')
    if not kind.has_file and (item.path is not None or item.normalise or item.columns or item.drop):
        problems.add(
            "dataset",
            f'path, normalise, columns and drop are keys of kind = "file", not of {item.kind!r}; '
            "remove them",
        )


def check_experiment(file: File, experiment: Experiment, problems: Problems) -> None:
    """Check the activations, the datasets and the optional axes against the experiment."""
    for name in file.activation:
        if is_entry(name):
            continue  # `check_functions`
        if experiment.activations is not None and name not in experiment.activations:
            problems.add(
                "activation",
                f"got {name!r}, which {file.experiment} does not support; expected one of "
                f"{', '.join(experiment.activations)}",
            )
    for item in file.dataset:
        if experiment.tests and not is_entry(item.kind) and not KINDS[item.kind].fresh:
            problems.add(
                "dataset.kind",
                f"got {item.kind!r}, which has no fresh samples for {file.experiment} to test on; "
                f"expected one of {', '.join(name for name in KINDS if KINDS[name].fresh)}",
            )
    for axis in optional():
        given, known = file.values(axis.name), experiment.options.get(axis.name)
        if known is None and given:
            problems.add(axis.name, f"{file.experiment} does not take this key; remove it")
        for value in given if known else ():  # () knows all values within the axis's limits
            if known and value not in known:
                problems.add(axis.name, not_one_of(str(value), map(str, known)))


def check_functions(
    activations: Sequence[str],
    datasets: Sequence[DatasetSpec],
    file: File,
    experiment: Experiment,
    problems: Problems,
) -> None:
    """Check the functions of one's own against the experiment, and that they are in one file."""
    ours = [name for name in activations if isinstance(name, OwnName)]
    entries: list[str] = [*ours]
    for name in ours:
        if experiment.why_not_own:
            problems.add(
                "activation",
                f"got {name}, but {file.experiment} takes none of one's own: {experiment.why_not_own}",
            )
        elif experiment.descends and name.record.derivative is None:
            problems.add(
                "activation",
                f"got {name}, which jumps, and {file.experiment} descends along its derivative; choose "
                'experiment = "conditioning", or an activation that is continuous',
            )
    for spec in datasets:
        if not isinstance(spec.kind, OwnName):
            continue
        entries.append(spec.kind)
        if experiment.draws_labels and KINDS[spec.kind].labels is not None:
            problems.add(
                "dataset.kind",
                f"{spec.kind} returns labels, but {file.experiment} makes labels by itself; return the "
                "rows alone",
            )
        if KINDS[spec.kind].labels is not None:
            _check_labelled(spec, file, problems)
        if experiment.tests and not KINDS[spec.kind].fresh:
            problems.add(
                "dataset.kind",
                f"{spec.kind} returns the same rows from every stream, but {file.experiment} needs "
                "fresh samples to test on; draw them from the generator",
            )
    kinds = file.labels.kind if file.labels is not None else None
    entries += kinds if isinstance(kinds, list) else [kinds or ""]
    files = {name.partition(":")[0]: name for name in (*entries, file.experiment) if is_entry(name)}
    if len(files) > 1:
        problems.add(
            "" if file.experiment in files.values() else "activation",
            f"got {' and '.join(files.values())}, expected functions of one file; name all in one, "
            "which may import the others",
        )


def _check_labelled(spec: DatasetSpec, file: File, problems: Problems) -> None:
    """Check the settings of training against a dataset that returns rows and labels."""
    given, table = file.labels, file.descent or DescentTable()
    if given is not None and given.kind is not None:
        problems.add(
            "labels.kind",
            f"got {given.kind!r}, but {spec.kind} returns labels; remove the key, or return "
            "the rows alone",
        )
    if table.loss not in (None, "squared") and (given is None or given.classes is not True):
        problems.add(
            "descent.loss",
            f"got {table.loss!r}, which needs labels of +1 and -1, but {spec.kind} may return any "
            "numbers; add classes = true to the table [labels]",
        )


def check_descent(file: File, experiment: Experiment, problems: Problems) -> None:
    """Check the [descent] table against the experiment, and its values against each other."""
    if not experiment.descends:
        for name in ("descent", "labels", "start"):
            if getattr(file, name) is not None:
                problems.add(name, f"{file.experiment} does not descend; remove the table")
        return
    table = file.descent or DescentTable()
    if experiment.certifies and "step_size" in table.model_fields_set:
        problems.add(
            "descent.step_size",
            f"got {_step(table)}, but {file.experiment} takes the theorem's step size, 1/beta^2; "
            "remove the key",
        )
    if not experiment.certifies and "multiples" in table.model_fields_set:
        problems.add(
            "descent.multiples",
            f"got {table.multiples}, but {file.experiment} certifies no residual; remove the key, or "
            'choose experiment = "theorem1"',
        )
    for key in ("tolerances", "multiples"):
        check_distinct(f"descent.{key}", list(getattr(table, key)), problems)
    _check_tolerances(table, problems)


def check_checkpoints(sweep: Sweep, experiment: Experiment, problems: Problems) -> None:
    """Check that the checkpoints that a sweep is to keep can be of use."""
    if sweep.descent is None or not sweep.descent.checkpoints:
        return
    key = "descent.checkpoints"
    if not experiment.continues:
        problems.add(
            key,
            f"got true, but trials of {sweep.experiment} cannot go on from one: `widthlaw extend STORE "
            "--steps` computes them anew; remove the key",
        )
    elif why := sweep.descent.why_no_longer:
        problems.add(key, f"got true, but trials could not go on from one: {why}; remove the key")


def _step(table: DescentTable) -> str:
    """Return the step size of a table as it is written."""
    if isinstance(table.step_size, AbsoluteStep):
        return f"absolute = {table.step_size.absolute}"
    return f"{table.step_size:g}" if isinstance(table.step_size, float) else str(table.step_size)


def _check_tolerances(table: DescentTable, problems: Problems) -> None:
    from pipeline.descent.loop import LEAST_TOLERANCE  # numba, not needed to read a store

    for tolerance in table.tolerances:
        if tolerance >= 1:
            problems.add(
                "descent.tolerances",
                f"got {tolerance:g}, but the relative loss starts at 1; expected values below 1, such "
                "as 1e-2",
            )
        if tolerance < LEAST_TOLERANCE:
            problems.add(
                "descent.tolerances",
                f"got {tolerance:g}, which float64 cannot reach; expected {LEAST_TOLERANCE:g} or more "
                f"(a relative residual of {LEAST_TOLERANCE**0.5:g})",
            )


def check_data_files(
    d: tuple[int, ...], n: Sequence[int], datasets: Sequence[DatasetSpec], problems: Problems
) -> None:
    """Check d and n against the rows of data files."""
    for spec in datasets:
        if spec.path is None:
            continue
        samples, columns = file_rows(spec).shape
        if d != (columns,) and problems.none_of("d"):
            problems.add("d", f"got {list(d)}, but the rows of {spec.path} have {columns} columns")
        if max(n, default=0) > samples and problems.none_of("n"):
            problems.add(
                "n",
                f"got {max(n)}, but {spec.path} has {samples} samples and they are drawn without "
                f"replacement; expected n up to {samples}",
            )


def check_dimensions(datasets: Sequence[DatasetSpec], d: Sequence[int], problems: Problems) -> None:
    """Check that every dataset exists in every input dimension."""
    for spec in datasets:
        least = KINDS[spec.kind].least_d
        if min(d) < least:
            problems.add("d", f"got {min(d)}, but a {spec.kind} dataset needs d of {least} or more")


def check_samples(datasets: Sequence[DatasetSpec], n: Sequence[int], problems: Problems) -> None:
    """Check that every n suits a dataset, and every dataset suits an n."""
    for spec in datasets:
        multiple = KINDS[spec.kind].multiple
        odd = [value for value in n if value % multiple]
        if odd and (len(datasets) == 1 or len(odd) == len(n)):
            problems.add(
                "n",
                f"got {odd[0]}, but a {spec.kind} dataset needs a multiple of {multiple}; change it to "
                f"{odd[0] - odd[0] % multiple + multiple}",
            )
    unused = [value for value in n if all(value % KINDS[spec.kind].multiple for spec in datasets)]
    if unused and len(datasets) > 1:
        problems.add("n", f"got {unused[0]}, which none of the datasets can form; remove it")


def check_listed_widths(
    unit: str, values: list[int] | list[float], balanced: bool, problems: Problems
) -> None:
    """Check widths that are listed one by one."""
    key = f"width.{unit}"
    if not values:
        problems.add(key, "got an empty list, expected at least one width")
    check_distinct(key, list(values), problems)
    odd = [value for value in values if value % 2] if unit == "k" and balanced else []
    if odd:
        problems.add(
            key,
            f"got {odd[0]}, but half of the output weights are +1/sqrt(k) and half -1/sqrt(k); "
            f"expected even widths, such as {odd[0] + 1}",
        )


def check_amount(sweep: Sweep, problems: Problems) -> bool:
    """Check that a sweep's cells, widths and trials can be listed and stored; return True if so."""
    cells = math.prod(len(sweep.values(axis)) for axis in sweep.axes)
    widths = cells * len(sweep.width)
    trials = widths * len(sweep.seeds)
    if widths > MOST_WIDTHS:
        problems.add(
            "width",
            f"got {cells} combinations with {len(sweep.width)} widths each, expected at most "
            f"{MOST_WIDTHS} in all; list fewer values, or split the sweep",
        )
    elif trials > MOST_TRIALS:
        problems.add(
            "seeds",
            f"got {widths} combinations with {len(sweep.seeds)} seeds each, expected at most "
            f"{MOST_TRIALS} trials in all; list fewer values, or split the sweep",
        )
    return widths <= MOST_WIDTHS and trials <= MOST_TRIALS


def check_memory(sweep: Sweep, experiment: Experiment, problems: Problems) -> None:
    """Check that the arrays of the largest trial fit any machine: inputs, kernel, and its network."""
    d, n, k = _largest(sweep)
    arrays = {"n": n * (n + d)}
    if experiment.descends and not experiment.widthless:
        arrays["width"] = arrays["n"] + k * (n + d)
    for key, numbers in arrays.items():
        if 8 * numbers > MOST_MEMORY:
            problems.add(
                key,
                f"a trial at d = {d}, n = {n}"
                + (f", k = {k}" if key == "width" else "")
                + f" needs {in_bytes(8 * numbers)} of memory, expected at most "
                f"{in_bytes(MOST_MEMORY)}; choose smaller values",
            )
            return


def _largest(sweep: Sweep) -> tuple[int, int, int]:
    """Return d, n and k of the largest trial that is requested."""
    d, n = max(sweep.d), max(sweep.n)
    if not sweep.requests:
        return d, n, max(sweep.k(least, n)[-1] for least in (min(sweep.d), d))
    sizes = ((cell.d, cell.n, cell.widths[-1]) for cell in sweep.requested_cells())
    return max(sizes, key=lambda size: (size[1] + size[2]) * (size[0] + size[1]), default=(1, 1, 1))


def check_widths(sweep: Sweep, problems: Problems) -> None:
    """Check that the widths k of every (d, n) are in range and distinct; report the first fault.

    Only widths that the sweep requests at a (d, n) count, where it has sub-grids or conditions.
    """
    for d, n, values, widths in _widths_of(sweep):
        where = f"at d = {d}, n = {n}"
        if widths[0] < 1 or widths[-1] >= 2**31:
            wrong = 0 if widths[0] < 1 else -1
            problems.add(
                "width",
                f"{values[wrong]:g} gives k = {widths[wrong]} {where}; expected 1 <= k < 2^31",
            )
            return
        for (first, k), (second, next_k) in itertools.pairwise(zip(values, widths, strict=True)):
            if k == next_k:
                problems.add(
                    "width",
                    f"{first:g} and {second:g} both give k = {k} {where}; expected distinct widths: "
                    "list fewer, or space them wider",
                )
                return


def _widths_of(sweep: Sweep) -> Iterator[tuple[int, int, Sequence[float], Sequence[int]]]:
    """Yield (d, n, values on the width axis, widths k), where at least one width is requested."""
    if all(one.single for one in sweep.requests):
        for d, n in itertools.product(sweep.d, sweep.n):
            yield d, n, sweep.width, sweep.k(d, n)
        return
    wanted = np.asarray(requested(sweep).any(axis=-1))
    refined = any(one.single for one in sweep.requests)
    elsewhere = np.any(wanted, axis=tuple(range(wanted.ndim - 1)))
    added = refined & ~elsewhere  # by a refinement of some cell
    for cell in sweep.cells():
        if wanted[cell.index].any():
            rows = (wanted[cell.index] | added).tolist()
            values = tuple(itertools.compress(sweep.width, rows))
            yield cell.d, cell.n, values, tuple(itertools.compress(cell.widths, rows))


def check_unit_norm(sweep: Sweep, problems: Problems) -> None:
    """Check that the rows of every dataset have norm 1."""
    for spec in sweep.dataset:
        if not _has_unit_norm(spec):
            own = spec.path or isinstance(spec.kind, OwnName)
            repair = "set normalise = true" if own else 'choose kind = "sphere"'
            problems.add(
                "dataset",
                f"{sweep.experiment} (Theorem 2) requires rows of unit norm, which a {spec.kind} "
                f"dataset does not have; {repair}",
            )


def _has_unit_norm(spec: DatasetSpec) -> bool:
    if spec.path is None:
        return KINDS[spec.kind].unit_norm
    with np.errstate(over="ignore"):  # the norm of huge numbers is infinite, and not 1
        norms = np.linalg.norm(file_rows(spec), axis=1)
    return bool(np.allclose(norms, 1, rtol=0, atol=1e-6))
