"""The head of the page: the answer, the claims of the paper by part, and what else was found.

Claims of one subject, at several sizes or on several data, are one numbered row with its cases; each
claim stands on the page once, and the sections refer to it by its number. Figures have numbers too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from analysis.claims import BEYOND, PARTS, WORDS, Claim, Mark
from analysis.claims.answer import COUNTED, WORST_FIRST, Headline, answer, headlines, verdict_of
from analysis.report.numbers import number
from analysis.report.published import Compared
from analysis.report.sections import Section

__all__ = ["MARKS", "Summary"]

_SIGNS = {
    Mark.HOLDS: "✓",
    Mark.LOOSE: "≫",
    Mark.DEPARTS: "≠",
    Mark.FINDING: "◦",
    Mark.OPEN: "?",
}

MARKS = {mark: (sign, WORDS[mark]) for mark, sign in _SIGNS.items()}
"""A sign and a word for every kind of verdict, so that neither needs colour."""

OPEN_QUESTIONS = {
    "theorem2": "Which width suffices in truth? The random-matrix edge predicts one without a fit.",
    "alpha-stress": "The theorem takes α as a constant. What does structure in the data do?",
    "spectrum-evolution": "How does the spectrum of the features evolve in n, k and d?",
    "theorem1": "Do the bounds of Theorem 1 hold where they are not certified?",
    "generalisation": "Does the gap of test and training loss fall as Γ/√n?",
    "input-layer": "Proofs ask for n⁴/d³ units, the count of weights for n/d. Which is it?",
    "budget": "How far does the width for training depend on when training counts as done?",
    "input-scaling": "How does the width for training W grow with n and d, at any budget?",
    "input-scaling-small": "How does the width for training W grow with n and d, at any budget?",
    "output-layer": "How far does training v reduce the loss with fewer than n units?",
    "depth": "Bounds say that depth costs width. Is that so, or is it the analysis?",
}
"""Questions that the paper leaves open, by the sweep that has data on them."""


@dataclass(frozen=True)
class Group:
    """A numbered row: the claims of one subject."""

    number: int
    subject: str
    anchor: str
    claims: list[Claim]

    @property
    def mark(self) -> Mark:
        """The mark that a reader must not miss."""
        return verdict_of(self.claims)

    @property
    def figure(self) -> str:
        """The kind of the figure that shows it, or empty."""
        return self.claims[0].figure

    @property
    def criteria(self) -> list[str]:
        """The criteria of its claims."""
        return list(dict.fromkeys(claim.criterion for claim in self.claims if claim.criterion))

    @property
    def factors(self) -> list[float]:
        """The known factors, ascending."""
        known = [claim.factor for claim in self.claims if claim.factor is not None]
        return sorted(factor for factor in known if np.isfinite(factor))

    @property
    def looseness(self) -> float | None:
        """The median factor of a bound that holds but is loose; None for anything else."""
        is_loose = self.mark == Mark.LOOSE and self.factors
        return float(np.median(self.factors)) if is_loose else None

    @property
    def looseness_text(self) -> str:
        """The same with two digits; empty for anything else."""
        return number(float(f"{self.looseness:.1e}"), 2) if self.looseness else ""

    @property
    def measured(self) -> str:
        """The text of a single claim, or the range of the factors of several."""
        if len(self.claims) == 1:
            return self.claims[0].measured
        cases = f"{len(self.claims)} cases"
        if not self.factors:
            return cases
        ends = dict.fromkeys(number(end) for end in (self.factors[0], self.factors[-1]))
        return f"{cases}: {' to '.join(ends)}"

    @property
    def word(self) -> str:
        """The word of the first claim with the group's mark."""
        return next(claim.word for claim in self.claims if claim.mark == self.mark)

    @property
    def detail(self) -> str:
        """The detail of a single claim, or the number of claims with each verdict."""
        if len(self.claims) == 1:
            return self.claims[0].detail
        total = len(self.claims)
        found = Counter((claim.mark, claim.word) for claim in self.claims)
        ranked = sorted(found.items(), key=lambda item: WORST_FIRST.index(item[0][0]))
        (_, first), *others = ranked
        return ", ".join(
            [
                f"in {first} of {total}",
                *(f"{word} in {count} of {total}" for (_, word), count in others),
            ]
        )


@dataclass(frozen=True)
class Summary:
    """The head of the page."""

    sections: Sequence[Section]

    @cached_property
    def rows(self) -> list[Claim]:
        """All rows of all stores."""
        return [claim for section in self.sections for claim in section.claims]

    @property
    def published(self) -> list[tuple[Section, Compared]]:
        """Published numbers on other people's experiments, with the section of ours."""
        return [(section, row) for section in self.sections for row in section.published]

    @property
    def answer(self) -> list[str]:
        """The answer in up to three sentences; without claims, where the stores' trials succeed."""
        if self.rows:
            return answer(self.rows)
        return [sentence for section in self.sections if (sentence := self._lead(section))][:3]

    def _lead(self, section: Section) -> str:
        """Return where the trials of a store succeed, or beside its widths; "" if neither is known."""
        if section.diagram is None:
            return ""
        name = self.title(section)
        if located := section.diagram.range_text("" if section.is_own else " hidden units"):
            return f"{name}: half of the trials succeed from {located}."
        missed = section.diagram.missed_text()
        return f"{name}: no critical width is located: {missed}." if missed else ""

    def title(self, section: Section) -> str:
        """Return the name of a section, with the path of its store if another has the same name."""
        names = [other.name for other in self.sections]
        return section.name if names.count(section.name) == 1 else f"{section.name} ({section.store})"

    @property
    def headlines(self) -> list[Headline]:
        """The numbers of the answer."""
        return headlines(self.rows)

    @cached_property
    def parts(self) -> list[tuple[str, list[Group]]]:
        """Parts of the paper that the stores have data on, with the claims of the paper."""
        count = iter(range(1, 1 + len(self.rows)))
        found = [
            (part, [group for s in self._named(names) for group in groups_of(s, True, count)])
            for part, names in PARTS.items()
        ]
        return [(part, groups) for part, groups in found if groups]

    @cached_property
    def findings(self) -> list[tuple[str, list[Group]]]:
        """Questions that the paper leaves open, with what was found."""
        first = 1 + sum(len(groups) for _, groups in self.parts)
        count = iter(range(first, first + len(self.rows)))
        found = [
            (OPEN_QUESTIONS.get(s.name, s.question), list(groups_of(s, False, count)))
            for names in (*PARTS.values(), BEYOND)
            for s in self._named(names)
        ]
        return [(question, groups) for question, groups in found if groups]

    def rows_of(self, section: Section) -> list[Group]:
        """Return the numbered rows that a store decides."""
        every = [group for _, groups in (*self.parts, *self.findings) for group in groups]
        return [group for group in every if group.anchor == section.anchor]

    def _named(self, names: Iterable[str]) -> Iterator[Section]:
        for name in names:
            yield from (section for section in self.sections if section.name == name)

    @cached_property
    def figures(self) -> dict[tuple[str, str], int]:
        """Numbers of the figures, by section and kind."""
        every = [(section.anchor, kind) for section in self.sections for kind in section.figures]
        return {key: index for index, key in enumerate(every, start=1)}

    @cached_property
    def tally(self) -> Counter[Mark]:
        """Number of claims of the paper with each mark."""
        return Counter(group.mark for _, groups in self.parts for group in groups)

    @property
    def tally_text(self) -> str:
        """The same as text."""
        return self.counts_of(group for _, groups in self.parts for group in groups)

    def counts_of(self, groups: Iterable[Group]) -> str:
        """Return the number of claims of a part with each mark, as text."""
        found = Counter(group.mark for group in groups)
        return ", ".join(
            f"{found[mark]} {COUNTED[mark][found[mark] > 1]}" for mark in MARKS if found[mark]
        )

    def length(self, factor: float) -> float:
        """Return the length of a bar in per cent of the longest one, on a logarithmic scale."""
        known = [group.looseness or 1 for _, groups in self.parts for group in groups]
        return round(100 * float(np.log(max(factor, 1)) / np.log(max(*known, 2))), 1)

    @cached_property
    def created(self) -> list[str]:
        """First and last day of the stores."""
        days = sorted(section.created[:10] for section in self.sections if section.created)
        return list(dict.fromkeys([*days[:1], *days[-1:]]))

    @property
    def requested(self) -> int:
        """Number of trials of all sweeps."""
        return self.counts.total()

    @property
    def makers(self) -> list[str]:
        """Versions and commits that computed the stores."""
        return sorted({section.maker for section in self.sections if section.maker})

    @property
    def intervals(self) -> list[str]:
        """Methods by which the intervals of k* were computed."""
        return sorted({section.diagram.interval for section in self.sections if section.diagram})

    @cached_property
    def counts(self) -> Counter[str]:
        """Number of trials of all stores by status."""
        total: Counter[str] = Counter()
        for section in self.sections:
            total.update(section.counts)
        return total


def groups_of(section: Section, of_paper: bool, count: Iterator[int]) -> Iterator[Group]:
    """Yield the claims of the paper, or the findings, of a section by subject, in their order."""
    by_subject: dict[str, list[Claim]] = {}
    for claim in section.claims:
        if claim.of_paper == of_paper:
            by_subject.setdefault(claim.subject, []).append(claim)
    for subject, claims in by_subject.items():
        yield Group(next(count), subject, section.anchor, claims)
