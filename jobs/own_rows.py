"""A file of one's own rows as a sweep: read, drawn, and measured around the predicted width."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError, shortened
from pipeline.experiments import EXPERIMENTS
from pipeline.input_files import UnusableFile, open_input
from pipeline.numerics.activations import ACTIVATIONS
from pipeline.numerics.data_files import Table, read_table
from pipeline.numerics.datasets import draw, file_rows
from pipeline.numerics.streams import Role, stream
from pipeline.sweep import Sweep
from pipeline.sweep_files.extents import with_extents
from pipeline.sweep_files.load import parse_sweep
from pipeline.theory.kernels import kernel_eigenvalues, kernel_matrix
from pipeline.theory.marchenko_pastur import critical_width

__all__ = ["FIRST_SEEDS", "OwnRows", "quoted"]

Array = NDArray[np.float64]

PROOF = "theorem2-proof"

FIRST_SEEDS, AROUND = 4, (0.7, 0.9, 1.15, 1.5, 2.0)
"""The first sweep: number of draws, and widths relative to the predicted one."""

NAME_LETTERS = 30
"""Letters of a file's name that the name of its sweep takes; each has at most four bytes."""

MOST_WIDTH = 2**20
"""Largest width of the first sweep; the refinement starts here if the prediction is larger."""


@dataclass(frozen=True)
class OwnRows:
    """A file of rows, the draws from it, and the sweep that measures them.

    Attributes
    ----------
    data, n, activation
        The file, the number of rows of a draw, and the activation.
    columns, drop
        Names or numbers of the columns to read, all if (); and of those to leave out.
    """

    data: Path
    n: int
    activation: str
    columns: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()

    @cached_property
    def draft(self) -> Sweep:
        """The sweep at width 1.

        Raises
        ------
        InputError
            The rows cannot be used, or the activation is unknown.
        """
        if self.n < 2:
            raise InputError(f"width: --n {self.n}: needs at least two rows; expected 2 or more")
        try:
            open_input(self.data, sys.maxsize).close()
        except UnusableFile as error:
            repair = "; give a .npy file of shape (samples, d) or a .csv" if error.missing else ""
            raise InputError(f"width {shortened(str(self.data))}: {error}{repair}") from None
        return parse_sweep(self._written([1]), f"width {self.data}")

    @cached_property
    def table(self) -> Table:
        """The rows as they are read."""
        return read_table(str(self.data), self.columns, self.drop)

    @property
    def all(self) -> Array:
        """All rows, scaled to unit norm."""
        return file_rows(self.draft.dataset[0])

    def draw(self, seed: int) -> Array:
        """Return the rows of a draw, shape (n, d)."""
        d, n = self.draft.d[0], self.n
        return draw(self.draft.dataset[0], stream(self.draft.entropy, d, n, seed, Role.DATA), n, d)

    def sweep(self, threshold: float) -> Sweep:
        """Return the sweep with widths around the predicted critical width.

        It starts around 2 n where there is no prediction, because alpha is 0 in the first draw.
        """
        eigenvalues = kernel_eigenvalues(kernel_matrix(self.draw(0), self.activation))
        predicted = critical_width(eigenvalues, level=threshold**2, finite_size=True)
        middle = predicted if math.isfinite(predicted) else 2.0 * self.n
        first = sorted({max(1, min(MOST_WIDTH, round(share * middle))) for share in AROUND})
        draft = replace(self.draft, text=self._written(first))
        return with_extents(draft, f"width {self.data}", width=[float(k) for k in first])

    def _written(self, widths: list[int]) -> str:
        """Return the sweep as TOML."""
        covered = EXPERIMENTS[PROOF].activations or ()
        proven = self.activation in covered or self.activation not in ACTIVATIONS
        return self.written(PROOF if proven else "conditioning", widths)

    def written(self, experiment: str, widths: list[int]) -> str:
        """Return a sweep of an experiment on these rows as TOML."""
        chosen = "".join(
            f", {key} = [{', '.join(map(quoted, given))}]"
            for key, given in (("columns", self.columns), ("drop", self.drop))
            if given
        )
        path = quoted(str(self.data))
        return (
            f'name = "{_name(self.data)}"\n'
            f'experiment = "{experiment}"\n'
            f"activation = {quoted(self.activation)}\n"
            f'dataset = {{ kind = "file", path = {path}, normalise = true{chosen} }}\n'
            f"n = [{self.n}]\n"
            f"width = {{ k = {widths} }}\n"
            f"seeds = {FIRST_SEEDS}\n"
        )


def _name(data: Path) -> str:
    """Return a name for the sweep, after the first letters of the file's name."""
    words = "".join(letter if letter.isalnum() else "-" for letter in data.stem[:NAME_LETTERS])
    return f"width-{words}"


def quoted(text: str) -> str:
    """Return a text as TOML writes it."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")  # as TOML demands
