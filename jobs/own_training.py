"""Training on one's own rows and labels as a sweep: how wide until it reaches a tolerance.

Its answer, "training k*", depends on the labels, the tolerance and the budget of steps. The width of
`own_rows` is another one: it concerns the features alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from jobs.own_rows import OwnRows, quoted
from pipeline.sweep import Sweep
from pipeline.sweep_files.extents import with_extents
from pipeline.sweep_files.load import parse_sweep

__all__ = ["LABEL_FILES", "OwnTraining"]

AROUND = (0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
"""Widths of the first sweep, relative to that with one trained weight for each sample."""

LABEL_FILES = (".npy", ".csv")
"""Endings of files of labels; anything else is the name or the number of a column."""

WEIGHTS = {"output": "v", "input": "W", "both": "W and v"}


@dataclass(frozen=True)
class OwnTraining:
    """One's own rows with labels, and the way in which networks are trained on them.

    Attributes
    ----------
    rows
        The rows, without a column of labels.
    labels
        A file of `LABEL_FILES`, or a column of the file of rows.
    trained
        One of `pipeline.descent.architecture.TRAINED`.
    tolerance, steps
        The relative loss ||r||^2 / ||r0||^2 to be reached, and the budget for it.
    """

    rows: OwnRows
    labels: str
    trained: str
    tolerance: float
    steps: int

    @cached_property
    def sweep(self) -> Sweep:
        """The sweep, with even widths around that with one trained weight for each sample.

        Raises
        ------
        InputError
            The labels cannot be used, or networks are not trained through the activation.
        """
        n, d = self.rows.n, self.rows.draft.d[0]
        per_unit = {"output": 1, "input": d, "both": d + 1}[self.trained]
        widths = sorted({max(2, 2 * round(share * n / per_unit / 2)) for share in AROUND})
        return with_extents(
            parse_sweep(self._written(widths), f"width {self.rows.data}"),
            width=[float(k) for k in widths],
        )

    @property
    def words(self) -> str:
        """The answer in words, without its numbers."""
        return (
            f"half of the draws reach a relative loss of {self.tolerance:g} within {self.steps} steps "
            f"of gradient descent on {WEIGHTS[self.trained]}, on the labels of {self.labels}"
        )

    def _written(self, widths: list[int]) -> str:
        """Return the sweep as TOML."""
        of_file = Path(self.labels).suffix in LABEL_FILES
        place = f"{'path' if of_file else 'column'} = {quoted(self.labels)}"
        return (
            self.rows.written("joint", widths)
            + f'trained = "{self.trained}"\n'
            + f"[descent]\nsteps = {self.steps}\ntolerances = [{self.tolerance!r}]\n"
            + f'[labels]\nkind = "file"\n{place}\n'
        )
