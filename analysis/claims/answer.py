"""The answer in brief: the numbers on which it rests, and three sentences that state them.

All numbers are readings of the rows of claims. A sentence leaves out what no store has measured.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from analysis.claims.rows import Claim, Mark, Quantity

__all__ = ["WORST_FIRST", "Headline", "answer", "headlines", "tally", "verdict_of"]

WORST_FIRST = (Mark.DEPARTS, Mark.OPEN, Mark.LOOSE, Mark.HOLDS, Mark.FINDING)

LABELS = {
    Quantity.FEATURES: "width for sigma_min >= alpha sqrt(k)/2, over n",
    Quantity.EDGE: "that width over the random-matrix prediction",
    Quantity.THEOREM2: "sufficient width of Theorem 2 over that width",
    Quantity.INPUT: "weights kd to fit n labels if W is trained, over n",
    Quantity.ANY_BUDGET: "weights kd below which no budget suffices, over n",
    Quantity.OUTPUT: "units k to fit n labels if v is trained, over n",
}
"""The headline numbers, with what each of them is."""

COUNTED = {
    Mark.HOLDS: ("holds", "hold"),
    Mark.LOOSE: ("holds but is loose", "hold but are loose"),
    Mark.DEPARTS: ("departs", "depart"),
    Mark.FINDING: ("has no constant that could be tested", "have no constant that could be tested"),
    Mark.OPEN: ("is not located", "are not located"),
}
"""The predicate of one claim of the paper, and of several."""


@dataclass(frozen=True)
class Headline:
    """A number of the answer.

    Attributes
    ----------
    quantity
        Its quantity.
    values
        One value for each located cell, ascending.
    at
        The condition under which they hold, as text; empty if there is none.
    """

    quantity: Quantity
    values: tuple[float, ...]
    at: str = ""

    @property
    def label(self) -> str:
        """The name of the number, with its condition."""
        label = LABELS[self.quantity]
        return f"{label} ({self.at})" if self.at else label

    @property
    def middle(self) -> float:
        """The median over cells."""
        return float(np.median(self.values))

    @property
    def text(self) -> str:
        """The median and the range over cells: `2.11 (1.86 to 2.45) in 12 cells`."""
        cells = f"in {len(self.values)} cell{'s' * (len(self.values) > 1)}"
        return f"{_three(self.middle)} ({self.extremes}) {cells}"

    @property
    def extremes(self) -> str:
        """The range over cells: `1.86 to 2.45`, or the only value."""
        return self.range_in("")

    def range_in(self, unit: str) -> str:
        """Return the range over cells in a unit: `1.86 n to 2.45 n`."""
        ends = (f"{_three(value)} {unit}".strip() for value in (self.values[0], self.values[-1]))
        return " to ".join(dict.fromkeys(ends))


def _three(value: float) -> str:
    """Return a number with three digits: `2.11`, `253`, `22,000`."""
    if not 1e-3 < abs(value) < 1e6:
        return f"{value:.2e}"
    digits = 2 - int(np.floor(np.log10(abs(value))))
    return f"{round(value, digits):,.{max(0, digits)}f}"


def headlines(rows: Iterable[Claim]) -> list[Headline]:
    """Return the headline numbers that some rows have."""
    return [found for quantity, found in _known(rows).items() if quantity in LABELS]


def _known(rows: Iterable[Claim]) -> dict[Quantity, Headline]:
    """Return the numbers that the sentences state, by quantity, as far as rows have them."""
    found = [reading for row in rows for reading in row.readings if reading.values]
    return {
        quantity: Headline(
            quantity,
            tuple(sorted(v for r in found if r.quantity == quantity for v in r.values)),
            ", ".join(dict.fromkeys(r.at for r in found if r.quantity == quantity and r.at)),
        )
        for quantity in Quantity
        if any(reading.quantity == quantity for reading in found)
    }


def verdict_of(cases: Sequence[Claim]) -> Mark:
    """Return the mark of a claim that has several cases: the one that a reader must not miss."""
    marks = {case.mark for case in cases}
    return next(mark for mark in WORST_FIRST if mark in marks)


def tally(rows: Iterable[Claim]) -> Counter[Mark]:
    """Return the number of claims of the paper with each mark; cases of one claim count once."""
    own = [row for row in rows if row.of_paper]
    by_subject = groupby(sorted(own, key=lambda row: row.subject), key=lambda row: row.subject)
    return Counter(verdict_of(list(cases)) for _, cases in by_subject)


def answer(rows: Sequence[Claim]) -> list[str]:
    """Return the answer in three sentences; fewer if the rows lack what a sentence states."""
    known = _known(rows)
    return list(filter(None, [_on_features(known), _on_training(known), _on_claims(tally(rows))]))


def _on_features(known: dict[Quantity, Headline]) -> str:
    if Quantity.FEATURES not in known:
        return ""
    text = (
        f"Random features of unit-norm data are well conditioned, sigma_min >= alpha sqrt(k)/2, "
        f"from k* = {known[Quantity.FEATURES].range_in('n')} hidden units on"
    )
    if Quantity.EDGE in known:
        text += (
            f", which is {known[Quantity.EDGE].extremes} times what random matrix theory predicts "
            "with nothing fitted"
        )
    if Quantity.THEOREM2 in known:
        text += (
            f"; the sufficient width of Theorem 2 is {known[Quantity.THEOREM2].extremes} times as large"
        )
    return f"{text}."


def _on_training(known: dict[Quantity, Headline]) -> str:
    parts = []
    if Quantity.OUTPUT in known:
        v = known[Quantity.OUTPUT]
        parts.append(f"k* = {v.range_in('n')} units if it trains v alone ({v.at})")
    if Quantity.INPUT in known:
        w = known[Quantity.INPUT]
        parts.append(f"k* d = {w.range_in('n')} weights if it trains W alone ({w.at})")
    if not parts:
        return ""
    text = f"Gradient descent fits n random labels from {' and from '.join(parts)}"
    if Quantity.ANY_BUDGET in known:
        limit = known[Quantity.ANY_BUDGET]
        text += f"; no budget of steps suffices below k d = {limit.range_in('n')} ({limit.at})"
    if Quantity.INPUT_BOUND in known:
        wide = known[Quantity.INPUT_BOUND].extremes
        text += f"; the width n^4/d^3 that suffices for W in theory is {wide} times as large"
    return f"{text}."


def _on_claims(found: Counter[Mark]) -> str:
    if not found:
        return ""
    parts = [f"{found[mark]} {COUNTED[mark][found[mark] > 1]}" for mark in COUNTED if found[mark]]
    listed = " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))
    tested = "claim of the paper that was" if found.total() == 1 else "claims of the paper that were"
    return f"Of the {found.total()} {tested} tested, {listed}."
