"""The answer in brief: the numbers on which it rests, and three sentences that state them.

They say how wide a network must be if its output layer is trained, if its input layer is, at any
budget, and how loose each bound is. All numbers are readings of the rows of claims: a median over
cells, and the range of the 95% intervals of all cells. Each says of how many cells it is, and where k*
lies above the widths in others. A sentence leaves out what no store has measured.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from analysis.claims.any_budget import ALONE, JOINTLY, SEEN
from analysis.claims.rows import Claim, Mark, Quantity
from analysis.experiments.chaos import CHAOTIC
from analysis.signs import THIN_SPACE

__all__ = ["WORST_FIRST", "Headline", "answer", "headlines", "tally", "verdict_of"]

WORST_FIRST = (Mark.DEPARTS, Mark.OPEN, Mark.LOOSE, Mark.HOLDS, Mark.FINDING)

LABELS = {
    Quantity.OUTPUT: "units k to fit n labels, v trained, over n",
    Quantity.FEATURES: "width for sigma_min >= alpha sqrt(k)/2, over n",
    Quantity.EDGE: "that width over the random-matrix prediction",
    Quantity.ANY_BUDGET: "weights kd needed at any budget, W trained, over n",
    Quantity.ANY_BUDGET_ALONE: "weights kd needed at any budget, W trained, over n",
    Quantity.EXPONENT_N: "exponent of n, W trained, where known to 0.5",
    Quantity.EXPONENT_D: "exponent of d, W trained, where known to 0.5",
    Quantity.PREDICTED: "k* as predicted from a fifth of the steps (95%)",
    Quantity.INPUT: "kd to fit n labels, W trained, over n",
    Quantity.THEOREM2: "sufficient width of Theorem 2 over the measured one",
    Quantity.INPUT_BOUND: "n^4/d^3 over the measured width, ReLU",
    Quantity.SMOOTH_BOUND: "n^2/d over the measured width, smooth",
}
"""The headline numbers, with what each of them is."""

BOUNDS = {
    Quantity.THEOREM2: "Theorem 2, output layer",
    Quantity.INPUT_BOUND: "n^4/d^3, input layer, ReLU",
    Quantity.SMOOTH_BOUND: "n^2/d, input layer, smooth activation",
}
"""The sufficient widths of the paper, with their names in the sentence on them."""

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
    ends
        The least and the largest end of the 95% intervals of the cells; None if they have none.
    total
        Number of cells or fits, also of those without a value.
    above
        Number of cells whose width lies above those of the sweep.
    """

    quantity: Quantity
    values: tuple[float, ...]
    at: str = ""
    ends: tuple[float, float] | None = None
    total: int = 0
    above: int = 0

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
        """The median with its range, and the cells: `2.11 [1.79, 2.48] in 12 cells`."""
        if self.quantity == Quantity.PREDICTED:
            return f"in {self.share}"
        return f"{self.brief()} in {self.count}"

    @property
    def count(self) -> str:
        """The cells or fits with a value, of all where others have none: `2 of 4 cells`."""
        noun = "fit" if self.quantity in (Quantity.EXPONENT_N, Quantity.EXPONENT_D) else "cell"
        known = len(self.values)
        count = f"{known} of {self.total}" if self.total > known else f"{known}"
        return f"{count} {noun}{'s' * (max(known, self.total) > 1)}"

    @property
    def where(self) -> str:
        """A note on the cells without a value, ` in 2 of 4 cells, ...`; empty where all have one."""
        if self.total <= len(self.values):
            return ""
        return f" in {self.count}{f', k* above the widths in {self.above}' * bool(self.above)}"

    def brief(self, unit: str = "") -> str:
        """Return the median and the range of the intervals: `1.05 [0.900, 1.22] n`.

        Without intervals it is the range over cells, `1.05 (1.03 to 1.16) n`.
        """
        if self.ends is not None:
            around = f"[{', '.join(map(_three, self.ends))}]"
        else:
            around = f"({' to '.join(dict.fromkeys(map(_three, (self.values[0], self.values[-1]))))})"
        return f"{_three(self.middle)} {around} {unit}".strip()

    @property
    def share(self) -> str:
        """The cells whose value is 1, of all: `8 of 10 cells`."""
        return f"{int(sum(self.values))} of {len(self.values)} cells"


def _three(value: float) -> str:
    """Return a number with three digits, in groups of three: `2.11`, `253`, `22 000`."""
    if not np.isfinite(value):
        return "no end"
    if value == 0:
        return "0"
    if not 1e-3 < abs(value) < 1e6:
        return f"{value:.2e}".replace("-", "−", 1) if value < 0 else f"{value:.2e}"
    digits = 2 - int(np.floor(np.log10(abs(value))))
    text = f"{round(value, digits):,.{max(0, digits)}f}"
    return text.replace(",", THIN_SPACE).replace("-", "−")


Known = dict[Quantity, list[Headline]]


def headlines(rows: Iterable[Claim]) -> list[Headline]:
    """Return the headline numbers that some rows have."""
    known = _known(rows)
    if Quantity.ANY_BUDGET in known:  # the rows of claims tell what each cell says alone
        known.pop(Quantity.ANY_BUDGET_ALONE, None)
    return [found for quantity in LABELS for found in known.get(quantity, [])]


def _known(rows: Iterable[Claim]) -> Known:
    """Return the numbers that the sentences state, by quantity and condition, as rows have them."""
    found = [reading for row in rows for reading in row.readings]
    known: Known = {}
    for quantity, at in dict.fromkeys((reading.quantity, reading.at) for reading in found):
        here = [r for r in found if (r.quantity, r.at) == (quantity, at)]
        ends = np.array([end for r in here for end in r.ends]).reshape(-1, 2)
        values = sorted(value for r in here for value in r.values)
        if not values:
            continue
        hull = (float(ends[:, 0].min()), float(ends[:, 1].max())) if len(ends) else None
        total = sum(r.total or len(r.values) for r in here)
        above = sum(r.above for r in here)
        known.setdefault(quantity, []).append(Headline(quantity, tuple(values), at, hull, total, above))
    return known


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
    """Return the answer in three sentences; fewer if the rows lack what a sentence states.

    Rows without any width have a sentence that counts verdicts instead.
    """
    known = _known(rows)
    told = list(filter(None, [_on_output(known), _on_input(known), _on_bounds(known)]))
    return told or list(filter(None, [_on_claims(tally(rows))]))


def _on_output(known: Known) -> str:
    parts = [
        f"training the output layer v alone fits n random labels from k* = {v.brief('n')} units on "
        f"({v.at}){v.where}"
        for v in known.get(Quantity.OUTPUT, [])
    ]
    for features in known.get(Quantity.FEATURES, []):
        text = (
            "random features are well conditioned, sigma_min >= alpha sqrt(k)/2, from "
            f"{features.brief('n')} on{features.where}"
        )
        for edge in known.get(Quantity.EDGE, []):
            text += f", {edge.brief()} times what random matrix theory predicts with nothing fitted"
        parts.append(text)
    return _sentence("Output layer", parts)


def _on_input(known: Known) -> str:
    # The exponents of d and of slowing stand in the table, what each cell says alone in the claims.
    from_all = Quantity.ANY_BUDGET in known or Quantity.UNSEEN in known
    seen, unseen = (
        (Quantity.ANY_BUDGET, Quantity.UNSEEN)
        if from_all
        else (Quantity.ANY_BUDGET_ALONE, Quantity.UNSEEN_ALONE)
    )
    limits = [
        f"{limit.brief('n')} in {limit.count} ({limit.at}{_chaos(known, limit)})"
        for limit in known.get(seen, [])
    ]
    needs = "training W alone needs, at any budget of steps, k_inf d = "
    parts = [needs + " and ".join(limits)] if limits else []
    parts += _without_threshold(known.get(unseen, []), JOINTLY if from_all else ALONE, bool(parts))
    exponents = sorted(known.get(Quantity.EXPONENT_N, []), key=lambda one: one.at != SEEN)
    parts += [
        f"{one.at} grows with n to the power {one.brief()} ({one.count})" for one in exponents[:1]
    ]
    parts += [
        f"in the steps run it fits n random labels from k* d = {w.brief('n')} on ({w.at}){w.where}"
        if parts
        else f"training W alone fits n random labels from k* d = {w.brief('n')} weights on "
        f"({w.at}){w.where}"
        for w in known.get(Quantity.INPUT, [])
    ]
    if not parts:
        tests = known.get(Quantity.PREDICTED, [])
        parts = [f"times at a fifth of the steps predict k* at all of them in {t.share}" for t in tests]
    return _sentence("Input layer", parts)


def _without_threshold(unseen: Sequence[Headline], fit: str, others: bool) -> list[str]:
    """Return a text on the cells in which times show no finite k_inf, if there are any."""
    if not unseen:
        return []
    many = sum(len(one.values) for one in unseen)
    cells = f"{many} cell{'s' * (many > 1)}{' more' * others}"
    losses = ", ".join(sorted((one.at for one in unseen), key=float, reverse=True))
    return [f"no finite threshold is seen in {cells} ({fit}, relative loss {losses})"]


def _chaos(known: Known, limit: Headline) -> str:
    """Return a word on the cells of a number whose times are chaotic, or may be."""
    edges = [edge for edge in known.get(Quantity.AT_EDGE, []) if edge.at == limit.at]
    values = np.array([value for edge in edges for value in edge.values])
    told, many = int((~np.isnan(values)).sum()), int((values > CHAOTIC).sum())
    unknown = len(limit.values) - told
    if not told:
        return ", not known whether chaotic"
    if not unknown:
        word = "all chaotic" if many == told else f"chaotic in {many} of {told}"
        return f", {word}" if many else ""
    return f", chaotic in {many} of {told}, not known in {unknown}"


def _on_bounds(known: Known) -> str:
    parts = [
        f"{bound.brief()} ({name}{bound.where})"
        for key, name in BOUNDS.items()
        for bound in known.get(key, [])
    ]
    if not parts:
        return ""
    listed = " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))
    return f"Bounds: the width that suffices in theory is the measured one times {listed}."


def _sentence(about: str, parts: Sequence[str]) -> str:
    return f"{about}: {'; '.join(parts)}." if parts else ""


def _on_claims(found: Counter[Mark]) -> str:
    if not found:
        return ""
    parts = [f"{found[mark]} {COUNTED[mark][found[mark] > 1]}" for mark in COUNTED if found[mark]]
    listed = " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))
    tested = "claim of the paper that was" if found.total() == 1 else "claims of the paper that were"
    return f"Of the {found.total()} {tested} tested, {listed}."
