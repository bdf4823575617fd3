"""What the page shows of one store: waiting, a sentence on what is wrong, or its progress and answers.

A `View` looks again at each `update`. It reads what has changed, counts it, and fits cells for a part
of a second; cells that are left are fitted at the next update. Every number comes from the analysis:
counts and Wilson's intervals, `critical_widths`, `fit_laws`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.live.costs import Costs
from analysis.live.curves import Curves, curves_of
from analysis.live.fits import Fits
from analysis.live.kept import Kept
from analysis.report.diagram import Diagram, plain_diagram
from analysis.report.numbers import axis_value, number, whole, with_interval
from analysis.report.sections import law_table
from analysis.study import Study
from analysis.success import Success
from analysis.transitions.scales import WIDTH, other_axes
from pipeline.errors import InputError
from pipeline.printable import one_line
from pipeline.store.location import StorePath, locate
from pipeline.trial_status import Status

__all__ = ["View"]

FIT_SECONDS = 0.2
"""Time for fits in one update, which shall take half a second at most."""

NOT_THERE = "This store is not there yet. The page waits for it."
ONCE_FITTED = "Laws follow once all cells are fitted."
FITTED_AGAIN = "Trials have arrived since the laws were fitted: they are fitted again."
"""Sentences on what a later update has."""

MOST_ROWS = 200
MOST_MESSAGES = 20
"""The most cells and messages that are listed."""


class View:
    """One store as a page shows it, as of the last `update`.

    Parameters
    ----------
    path
        The store; it need not exist yet.
    success
        The success of a trial.

    Attributes
    ----------
    costs
        What the trials took and what is left; None if there is nothing to show.
    sentence
        Why there is nothing to show, "" if there is.
    """

    def __init__(self, path: StorePath, success: Success) -> None:
        self.path, self._success = path, success
        self._kept: Kept | None = None
        self._fits: Fits | None = None
        self.costs: Costs | None = None
        self._diagram: Diagram | None = None
        self.sentence, self._outage = NOT_THERE, ""

    @property
    def name(self) -> str:
        return str(self._kept.attributes.get("name", "")) if self._kept else str(self.path)

    @property
    def is_on_networks(self) -> bool:
        """True once there are trials that are not of one's own, which need not have a network."""
        return self._kept is not None and "own" not in self._kept.attributes

    @property
    def study(self) -> Study:
        """The store with its counts and critical widths so far, as figures and the report take it."""
        assert self._fits is not None
        return self._fits.study

    @property
    def is_behind(self) -> bool:
        """True if the next update fits more of what was read."""
        return self._fits is not None and self._fits.is_behind

    @property
    def is_complete(self) -> bool:
        """True if no trial is pending and all cells are fitted."""
        if self._kept is None or self.sentence:
            return False
        return not self.counts["pending"] and not self.is_behind

    # ---- looking

    def update(self, seconds: float = FIT_SECONDS) -> bool:
        """Look at the store again; return whether anything to show has changed.

        Parameters
        ----------
        seconds
            Time for fits. One cell at least is fitted.
        """
        before, changed = (self.sentence, self._outage), False
        try:
            changed = self._look(seconds)
            self.sentence = self._outage = ""
        except InputError as error:
            self._kept, self._outage = None, ""
            self.sentence = NOT_THERE if self._is_missing() else str(error)
        except OSError as error:  # a mount or a network that may come back
            self._outage = f"store {self.path}: cannot be read now ({error.strerror or error})"
            if self._kept is None:
                self.sentence = self._outage
        return changed or (self.sentence, self._outage) != before

    def _is_missing(self) -> bool:
        try:
            return not locate(self.path).exists()
        except (InputError, OSError):
            return False

    def _look(self, seconds: float) -> bool:
        is_new = self._kept is None
        if self._kept is None:
            self._open()
        assert self._kept is not None
        assert self.costs is not None
        regions = self._kept.look()
        for where in regions:
            self.costs.update(self._kept.ds, where)
            if self._fits:
                self._fits.count(where)
        self.costs.observe()
        was_behind = self.is_behind
        if self._fits:
            self._fits.fit(seconds)
        changed = bool(regions) or was_behind or is_new
        if self._fits and changed:
            self._diagram = plain_diagram(self._fits.study)
        return changed

    def _open(self) -> None:
        kept = Kept(self.path, self._success)
        estimated = float(kept.attributes.get("estimated_seconds", 0.0))
        self.costs = Costs(self.path, kept.ds, estimated)
        self._fits = Fits(kept, kept.success) if kept.rule else None
        self._diagram, self._kept = None, kept

    # ---- showing

    @property
    def counts(self) -> dict[str, int]:
        """Number of trials by the word of their status, those that are requested."""
        assert self._kept is not None
        found = self._kept.counts
        last = Status.PENDING
        shown = [status for status in Status if status.is_requested and status is not last]
        return {status.word: found[status.word] for status in (*shown, last)}

    @property
    def trials(self) -> int:
        return sum(self.counts.values())

    @property
    def line(self) -> str:
        """Return the progress as a line of text."""
        if self.sentence:
            return self.sentence
        parts = [f"{number} {word}" for word, number in self.counts.items() if number]
        name, share = one_line(self.name), f"{100 * self.share:.1f}%"
        return f"{name}: {share} of {self.trials} trials: {', '.join(parts)}"

    @property
    def share(self) -> float:
        """Share of the requested trials that have run."""
        return 1 - self.counts["pending"] / self.trials if self.trials else 1.0

    @property
    def is_new(self) -> bool:
        """True if no trial has run yet."""
        return self.counts["pending"] == self.trials > 0

    @property
    def left(self) -> str:
        """Sentence on the time that is left."""
        assert self.costs is not None
        if not self.counts["pending"]:
            return "Nothing is left to run."
        wall = self.costs.wall_left
        cores = f"about {duration(float(self.costs.left.sum()))} on one core"
        present = f", {duration(wall)} at the present rate" if wall is not None else ""
        return f"Time left: {cores}{present}."

    @property
    def notes(self) -> list[str]:
        """Sentences on what is missing or wrong."""
        assert self._kept is not None
        lost = self._kept.unreadable
        part = f"A part of the store cannot be read: {lost}" if lost else ""
        return [note for note in (self._outage, part, self._kept.no_rule, self._along) if note]

    @property
    def _along(self) -> str:
        """Sentence on a store of one width, in which no width is critical; "" for others."""
        if self._kept is None or self._fits is None or self._kept.ds.sizes[WIDTH] > 1:
            return ""
        axes = other_axes(self._kept.ds)
        where = f"; `widthlaw fit {self.path} --along {axes[0]}` looks along {axes[0]}" if axes else ""
        return f"All trials have one width, so none is critical{where}."

    @property
    def messages(self) -> list[tuple[str, int]]:
        """Messages of failed trials with their numbers, most frequent first."""
        assert self._kept is not None
        return sorted(self._kept.messages.items(), key=lambda item: (-item[1], item[0]))[:MOST_MESSAGES]

    @property
    def diagram(self) -> Diagram | None:
        return self._diagram if self._diagram and self._diagram.panels else None

    @property
    def curves(self) -> list[Curves]:
        return [c for c in curves_of(self.diagram) if not c.is_empty] if self.diagram else []

    @property
    def laws(self) -> list[dict[str, str]]:
        """Rows of the table of laws."""
        return law_table(self._fits.laws)[0] if self._fits and self._fits.laws is not None else []

    @property
    def words(self) -> list[str]:
        """Sentences on the rule that the words on laws follow."""
        return law_table(self._fits.laws)[2] if self._fits and self._fits.laws is not None else []

    @property
    def verdict(self) -> list[str]:
        """Sentences on which laws fit, or on why there is none."""
        if self._fits is None or self._along:
            return []
        if self._fits.laws is not None:
            found = law_table(self._fits.laws)[1]
        elif self._fits.no_laws:
            found = [f"No law is fitted: {self._fits.no_laws}."]
        else:
            return [ONCE_FITTED if self.is_behind else "A law needs critical widths of three cells."]
        return [*found, FITTED_AGAIN] if self.is_behind else found

    @property
    def axes(self) -> list[str]:
        """Names of the axes that tell the cells apart."""
        assert self._kept is not None
        sizes = self._kept.ds.sizes
        return [name for name in self._kept.axes if sizes[name] > 1] or list(self._kept.axes[-1:])

    @property
    def left_out(self) -> int:
        """Number of cells that are not listed."""
        assert self.costs is not None
        return max(0, self.costs.ran.size - MOST_ROWS)

    @property
    def cells(self) -> list[list[str]]:
        """Rows of the table of cells: axes, trials, failed, k*, outcome, time spent, time left."""
        assert self._kept is not None
        assert self.costs is not None
        costs, left = self.costs, self.costs.left
        return [
            [
                *(self._value(name, at[self._kept.axes.index(name)]) for name in self.axes),
                f"{whole(costs.requested[at] - costs.pending[at])} of {whole(costs.requested[at])}",
                whole(costs.failed[at]),
                *self._answer(at),
                duration(float(costs.spent[at])),
                duration(float(left[at])) if costs.pending[at] else "–",
            ]
            for at in list(np.ndindex(*costs.ran.shape))[:MOST_ROWS]
        ]

    def _value(self, name: str, at: int) -> str:
        assert self._kept is not None
        value = self._kept.ds[name].values[at]
        return axis_value(value) if isinstance(value, (int, float, np.number)) else str(value)

    def _answer(self, at: tuple[int, ...]) -> tuple[str, str]:
        """Return the critical width and outcome of a cell, at the finest tolerance."""
        assert self.costs is not None
        if self._fits is None or self._along or not self.costs.ran[at]:
            return "–", "–"
        cell: Any = self._fits.widths[["k50", "k50_low", "k50_high", "outcome"]]
        ends = [np.ravel(cell[name].values[at])[-1] for name in ("k50", "k50_low", "k50_high")]
        outcome = str(np.ravel(cell.outcome.values[at])[-1])
        is_first = outcome == "empty" and self._fits.waits(at)
        return with_interval(*map(float, ends)), "to be fitted" if is_first else outcome


def duration(seconds: float) -> str:
    """Return a time with its unit: `0.93 ms`, `0.4 s`, `12 min`, `3.1 h`."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{number(seconds / size, 2)} {unit}"
    if 0 < seconds < 0.1:
        return f"{number(1000 * seconds, 2)} ms"
    return f"{number(seconds, 2)} s"
