"""The inputs X, shape (n, d): random models, the stress families for alpha, and the user's own rows.

A dataset is drawn anew for every seed from the seed's own stream. `sphere` has uniform rows of unit
norm, `gaussian` the N(0, 1/d) entries of the paper's Figure 1. `circle`, `pairs` and `triples` are
the families on which alpha falls by orders of magnitude. `file` draws n of the user's rows without
replacement.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError

__all__ = ["KINDS", "DatasetSpec", "Kind", "draw", "file_rows", "read_rows", "rows_digest"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class DatasetSpec:
    """A dataset as a sweep names it.

    Attributes
    ----------
    kind
        A key of `KINDS`.
    angle
        Rotation angles in radians, for kinds that have one; an axis of the store.
    path, normalise
        The user's file of rows, and whether each row is scaled to unit norm.
    digest
        SHA-256 of the numbers in the file (`rows_digest`), by which a change of it is noticed.
    """

    kind: str
    angle: tuple[float, ...] = ()
    path: str | None = None
    normalise: bool = False
    digest: str = ""


def _sphere(rng: np.random.Generator, n: int, d: int) -> Array:
    rows = rng.standard_normal((n, d))
    return _unit(rows)


def _gaussian(rng: np.random.Generator, n: int, d: int) -> Array:
    return rng.standard_normal((n, d)) / np.sqrt(d)


def _circle(rng: np.random.Generator, n: int, d: int) -> Array:
    angle = 2 * np.pi * np.arange(n) / n
    rows = np.zeros((n, d))
    rows[:, 0], rows[:, 1] = np.cos(angle), np.sin(angle)
    return rows


def _rotations(rng: np.random.Generator, n: int, d: int, angles: tuple[float, ...]) -> Array:
    """Random points, each once for every angle, rotated in a random plane of its own."""
    base = _sphere(rng, n // len(angles), d)
    aside = rng.standard_normal(base.shape)
    aside = _unit(aside - np.sum(aside * base, axis=1, keepdims=True) * base)
    rotated = [np.cos(angle) * base + np.sin(angle) * aside for angle in angles]
    return np.stack(rotated, axis=1).reshape(n, d)


def _unit(rows: Array) -> Array:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


@dataclass(frozen=True)
class Kind:
    """What a sweep must know of a kind of dataset before it draws one."""

    rotations: tuple[int, ...] = ()  # of each base point, in units of the sweep's angle
    unit_norm: bool = True
    fresh: bool = True  # another draw has other samples
    spread: bool = True  # no rows are nearly parallel, and none in line
    least_d: int = 1
    rows: Callable[[np.random.Generator, int, int], Array] | None = None

    @property
    def multiple(self) -> int:
        """n must be a multiple of this."""
        return max(1, len(self.rotations))


KINDS = {
    "sphere": Kind(rows=_sphere),
    "gaussian": Kind(rows=_gaussian, unit_norm=False),
    "circle": Kind(rows=_circle, fresh=False, spread=False, least_d=2),
    "pairs": Kind(rotations=(0, 1), spread=False, least_d=2),
    "triples": Kind(rotations=(-1, 0, 1), spread=False, least_d=2),
    "file": Kind(unit_norm=False, fresh=False),
}


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
        The rotation angle in radians, for `pairs` and `triples`.

    Returns
    -------
    ndarray, shape (n, d)
    """
    kind = KINDS[spec.kind]
    if spec.kind == "file":
        rows = file_rows(spec)
        return rows[rng.permutation(len(rows))[:n]]
    if kind.rows is not None:
        return kind.rows(rng, n, d)
    assert angle is not None
    return _rotations(rng, n, d, tuple(turns * angle for turns in kind.rotations))


@lru_cache(maxsize=4)
def file_rows(spec: DatasetSpec) -> Array:
    """Return all rows of a `file` dataset, read once per process.

    Returns
    -------
    ndarray, shape (samples, d), not writable

    Raises
    ------
    DataError
        As `read_rows`; or the file is not what it was when the sweep was read, or it has a row of
        zeros that cannot be normalised.
    """
    assert spec.path is not None
    rows = read_rows(spec.path)
    if rows_digest(rows) != spec.digest:
        raise DataError(
            f"data file {spec.path}: changed since the sweep was read; restore it and run again with "
            "--retry-failed, or run the sweep into a new store"
        )
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


def rows_digest(rows: Array) -> str:
    """Return the SHA-256 of rows: the identity of a data file, wherever it lies."""
    return hashlib.sha256(repr(rows.shape).encode() + rows.tobytes()).hexdigest()


def read_rows(path: str) -> Array:
    """Read the user's rows from a .npy or .csv file.

    Parameters
    ----------
    path
        The file; .npy holds one 2-D array of numbers, .csv one sample per line (a first line of
        column names is passed over).

    Returns
    -------
    ndarray, shape (samples, d)

    Raises
    ------
    DataError
        The file is missing, of another kind, ragged, not numeric, not finite or empty.
    """
    file = Path(path)
    if not file.is_file():
        raise DataError(f"data file {path}: not found; dataset.path is taken from the sweep's folder")
    if file.suffix not in _READERS:
        raise DataError(f"data file {path}: got the ending {file.suffix!r}, expected .npy or .csv")
    rows = _READERS[file.suffix](file)
    if not np.isfinite(rows).all():
        sample, column = np.argwhere(~np.isfinite(rows))[0]
        raise DataError(
            f"data file {path}: sample {sample}, column {column} is {rows[sample, column]}, "
            "expected finite numbers; drop or fill that sample"
        )
    return rows


def _read_npy(file: Path) -> Array:
    try:
        array = np.load(file, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise DataError(f"data file {file}: not a .npy array of numbers ({error})") from None
    if not isinstance(array, np.ndarray):
        raise DataError(f"data file {file}: got an archive of arrays, expected one array of numbers")
    if array.dtype.kind not in "iufb":
        raise DataError(f"data file {file}: got {array.dtype} values, expected real numbers")
    if array.ndim != 2 or array.size == 0:
        raise DataError(
            f"data file {file}: got an array of shape {array.shape}, expected (samples, d), "
            "one sample per row"
        )
    return np.array(array, dtype=np.float64, order="C")


def _read_csv(file: Path) -> Array:
    try:
        with file.open(newline="", encoding="utf-8-sig") as lines:
            reader = csv.reader(lines)
            records = [(reader.line_num, record) for record in reader if record]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"data file {file}: not readable as text ({error})") from None
    if records and not any(_is_number(field) for field in records[0][1]):
        records = records[1:]
    if not records:
        raise DataError(f"data file {file}: holds no samples, expected one per line")
    columns = len(records[0][1])
    for line, record in records:
        if len(record) != columns:
            raise DataError(
                f"data file {file}, line {line}: got {len(record)} columns, expected {columns} "
                "as on the lines above"
            )
        for field in record:
            if not _is_number(field):
                raise DataError(f"data file {file}, line {line}: got {field!r}, expected a number")
    return np.array([[float(field) for field in record] for _, record in records])


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return "_" not in field  # Python reads 1_0 as 10


_READERS: dict[str, Callable[[Path], Array]] = {".npy": _read_npy, ".csv": _read_csv}
