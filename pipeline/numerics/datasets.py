"""The inputs X, shape (n, d): random models, the stress families for alpha, and the user's own rows.

A dataset is drawn anew for every seed from the seed's own stream. `sphere` has uniform rows of unit
norm, `shell` uniform directions and norms uniform on [1, 2], `gaussian` the N(0, 1/d) entries of the
paper's Figure 1. `circle`, `pairs` and `triples` are the families on which alpha falls by orders of
magnitude. `file` draws n of the user's rows without replacement.

To add a kind, write its record and a line in `KINDS`. Sweep files, their checks and cost estimates
follow from the record.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.numerics.data_files import read_labels, read_rows, rows_digest
from pipeline.numerics.own_names import OwnName

__all__ = ["KINDS", "DatasetSpec", "Kind", "LabelFile", "draw", "draw_rows", "file_labels", "file_rows"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class LabelFile:
    """Labels of one's own, one for each row of a data file.

    Attributes
    ----------
    path, column
        The file, and the name or the number of its column; "" if it has no other.
    digest
        SHA-256 of the numbers (`rows_digest`), to notice changes of them.
    """

    path: str
    column: str
    digest: str


@dataclass(frozen=True)
class DatasetSpec:
    """A dataset as a sweep file describes it.

    Attributes
    ----------
    kind
        A key of `KINDS`, or the name of a dataset of one's own.
    angle
        Rotation angles in radians, for kinds that have one; an axis of the store.
    path, normalise
        The user's file of rows; True to scale each row to unit norm, also of a dataset of one's own.
    columns, drop
        Names or numbers of the columns of the file that are read, all if (); and of those left out.
    digest
        SHA-256 of the numbers in the file (`rows_digest`), to notice changes of it.
    labels
        The labels of its rows, where they come from a file.
    """

    kind: str
    angle: tuple[float, ...] = ()
    path: str | None = None
    normalise: bool = False
    digest: str = ""
    columns: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    labels: LabelFile | None = None


@dataclass(frozen=True)
class Kind:
    """A kind of dataset: its draw, and the properties that sweeps and estimates depend on.

    Attributes
    ----------
    draw
        Function of (spec, rng, n, d, angle) that returns X, shape (n, d).
    unit_norm
        True if all rows have norm 1.
    fresh
        True if a further draw has other samples, such as a test set.
    general
        True if rows are in general position: no two are nearly parallel or lie regularly.
    least_d
        Smallest input dimension.
    multiple
        n must be a multiple of it.
    has_angle, has_file
        True if the keys `angle`, or `path`, `normalise`, `columns` and `drop`, belong to it.
    labels
        Function of (spec, rng, n, d) that returns the labels of the rows that `draw` returns from an
        equal stream; None if they are drawn by themselves.
    """

    draw: Callable[[DatasetSpec, np.random.Generator, int, int, float | None], Array]
    unit_norm: bool = True
    fresh: bool = True
    general: bool = True
    least_d: int = 1
    multiple: int = 1
    has_angle: bool = False
    has_file: bool = False
    labels: Callable[[DatasetSpec, np.random.Generator, int, int], Array] | None = None


def _sphere(spec: DatasetSpec, rng: np.random.Generator, n: int, d: int, angle: float | None) -> Array:
    return _uniform(rng, n, d)


def _shell(spec: DatasetSpec, rng: np.random.Generator, n: int, d: int, angle: float | None) -> Array:
    return np.asarray(_uniform(rng, n, d) * rng.uniform(1, 2, (n, 1)))


def _gaussian(
    spec: DatasetSpec, rng: np.random.Generator, n: int, d: int, angle: float | None
) -> Array:
    return rng.standard_normal((n, d)) / np.sqrt(d)


def _circle(spec: DatasetSpec, rng: np.random.Generator, n: int, d: int, angle: float | None) -> Array:
    angles = 2 * np.pi * np.arange(n) / n
    rows = np.zeros((n, d))
    rows[:, 0], rows[:, 1] = np.cos(angles), np.sin(angles)
    return rows


def _rotated(*turns: int) -> Kind:
    """Return the kind of random points, each once for every number of turns by the sweep's angle.

    Each point is rotated in a random plane of its own.
    """

    def rows(spec: DatasetSpec, rng: np.random.Generator, n: int, d: int, angle: float | None) -> Array:
        assert angle is not None
        base = _uniform(rng, n // len(turns), d)
        aside = rng.standard_normal(base.shape)
        aside = _unit(aside - np.sum(aside * base, axis=1, keepdims=True) * base)
        angles = [turn * angle for turn in turns]
        rotated = [np.cos(one) * base + np.sin(one) * aside for one in angles]
        return np.stack(rotated, axis=1).reshape(n, d)

    return Kind(rows, general=False, least_d=2, multiple=len(turns), has_angle=True)


def _sampled(spec: DatasetSpec, rng: np.random.Generator, n: int, d: int, angle: float | None) -> Array:
    return file_rows(spec)[draw_rows(spec, rng)[:n]]


def draw_rows(spec: DatasetSpec, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the order in which a seed draws the rows of a data file, shape (samples,)."""
    return rng.permutation(len(file_rows(spec)))


def _uniform(rng: np.random.Generator, n: int, d: int) -> Array:
    """Draw points from the unit sphere, shape (n, d)."""
    return _unit(rng.standard_normal((n, d)))


def _unit(rows: Array) -> Array:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


class _Kinds(dict[str, Kind]):
    """Kinds by the names that sweep files use; one of one's own brings its record."""

    def __missing__(self, name: str) -> Kind:
        if isinstance(name, OwnName):
            own: Kind = name.record
            return own
        raise KeyError(name)


KINDS = _Kinds(
    sphere=Kind(_sphere),
    shell=Kind(_shell, unit_norm=False),
    gaussian=Kind(_gaussian, unit_norm=False),
    circle=Kind(_circle, fresh=False, general=False, least_d=2),
    pairs=_rotated(0, 1),
    triples=_rotated(-1, 0, 1),
    file=Kind(_sampled, unit_norm=False, fresh=False, has_file=True),
)


def draw(
    spec: DatasetSpec, rng: np.random.Generator, n: int, d: int, angle: float | None = None
) -> Array:
    """Draw the inputs of one seed.

    Parameters
    ----------
    spec
        The dataset.
    rng
        The seed's own stream.
    n, d
        Samples and input dimension.
    angle
        The rotation angle in radians, for kinds that have one.

    Returns
    -------
    ndarray, shape (n, d)
    """
    return KINDS[spec.kind].draw(spec, rng, n, d, angle)


@lru_cache(maxsize=4)
def file_rows(spec: DatasetSpec) -> Array:
    """Return all rows of a `file` dataset, read once per process.

    Returns
    -------
    ndarray, shape (samples, d), not writable

    Raises
    ------
    DataError
        As for `read_rows`; also if the file has changed since the sweep was read, or has a row of
        zeros that cannot be normalised.
    """
    assert spec.path is not None
    rows = read_rows(spec.path, spec.columns, spec.drop)
    _require_unchanged(rows, spec.digest, spec.path)
    if spec.normalise:
        largest = np.abs(rows).max(axis=1, keepdims=True)
        if not largest.all():
            raise DataError(
                f"data file {spec.path}: sample {int(np.argmin(largest))} is all zeros and cannot be "
                "normalised; drop that sample"
            )
        rows = _unit(rows / largest)  # squares of huge or tiny numbers leave the range of floats
    rows.flags.writeable = False
    return rows


@lru_cache(maxsize=4)
def file_labels(labels: LabelFile) -> Array:
    """Return the labels of all rows of a `file` dataset, read once per process.

    Returns
    -------
    ndarray, shape (samples,), not writable

    Raises
    ------
    DataError
        As for `read_labels`; also if they have changed since the sweep was read.
    """
    values = read_labels(labels.path, labels.column)
    _require_unchanged(values, labels.digest, labels.path)
    values.flags.writeable = False
    return values


def _require_unchanged(numbers: Array, digest: str, path: str) -> None:
    if rows_digest(numbers) != digest:
        raise DataError(
            f"data file {path}: changed since the sweep was read; restore it and run again with "
            "--retry-failed, or run the sweep into a new store"
        )
