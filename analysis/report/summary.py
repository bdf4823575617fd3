"""The head of the page: verdicts by part of the paper, how loose bounds are, and what is open.

Claims of one subject, at several sizes or on several data, share a line here; the sections list them
all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from analysis.claims import PARTS, WORDS, Claim, Mark
from analysis.report.numbers import number
from analysis.report.sections import Section

__all__ = [
    "EXPLAINED",
    "MARKS",
    "Summary",
]

_SIGNS = {
    Mark.HOLDS: "✓",
    Mark.LOOSE: "≫",
    Mark.DEPARTS: "≠",
    Mark.FINDING: "◦",
    Mark.OPEN: "?",
}

MARKS = {mark: (sign, WORDS[mark]) for mark, sign in _SIGNS.items()}
"""A sign and a word for every kind of verdict, so that neither needs colour."""

EXPLAINED = {
    Mark.HOLDS: "hold",
    Mark.LOOSE: "are bounds or sufficient conditions that hold, and are loose",
    Mark.DEPARTS: "differ from what was measured",
    Mark.FINDING: "are findings on what the paper leaves open",
    Mark.OPEN: "are not located by the data",
}

COUNTED = {
    Mark.HOLDS: ("holds", "hold"),
    Mark.LOOSE: ("holds but is loose", "hold but are loose"),
    Mark.DEPARTS: ("departs", "depart"),
    Mark.FINDING: ("is a finding", "are findings"),
    Mark.OPEN: ("is not located", "are not located"),
}
"""The predicate of one claim, and of several."""

WORST_FIRST = (Mark.DEPARTS, Mark.OPEN, Mark.LOOSE, Mark.HOLDS, Mark.FINDING)

OPEN_QUESTIONS = {
    "input-layer": "The input layer has kd weights: is kd ≈ n enough, or n²/d, or n⁴/d³?",
    "budget": "How far does the answer depend on when training counts as done?",
    "joint": "Bounds are better for the output layer, of fewer weights. Which needs fewer units?",
    "depth": "Bounds say that depth costs width. Is that so, or is it the analysis?",
    "spectrum-evolution": "How does the spectrum of the features evolve in n, k and d?",
    "alpha-stress": "The theorem takes α as a constant. What does structure in the data do?",
    "generalisation": "Does the gap of test and training loss fall as Γ/√n?",
}
"""Questions that the paper leaves open, by the sweep that has data on them."""


@dataclass(frozen=True)
class Group:
    """Claims of one subject."""

    subject: str
    anchor: str
    claims: list[Claim]

    @property
    def mark(self) -> Mark:
        """The mark that a reader must not miss."""
        marks = {claim.mark for claim in self.claims}
        return next(mark for mark in WORST_FIRST if mark in marks)

    @property
    def factors(self) -> list[float]:
        """The known factors, ascending."""
        known = [claim.factor for claim in self.claims if claim.factor is not None]
        return sorted(factor for factor in known if np.isfinite(factor))

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
    def parts(self) -> list[tuple[str, list[Group]]]:
        """Parts of the paper that the stores have data on, with their lines."""
        found = [(part, list(self._groups(names))) for part, names in PARTS.items()]
        return [(part, groups) for part, groups in found if groups]

    def counts_of(self, groups: Iterable[Group]) -> str:
        """Return the number of claims of a part with each mark, as text."""
        found = Counter(claim.mark for group in groups for claim in group.claims)
        return "; ".join(
            f"{found[mark]} {COUNTED[mark][found[mark] > 1]}" for mark in MARKS if found[mark]
        )

    def _groups(self, names: Iterable[str]) -> Iterator[Group]:
        for name in names:
            for section in self.sections:
                if section.name == name:
                    yield from groups_of(section)

    @cached_property
    def tally(self) -> Counter[Mark]:
        """Number of claims with each mark."""
        return Counter(claim.mark for section in self.sections for claim in section.claims)

    @cached_property
    def loose(self) -> list[tuple[Group, float]]:
        """Bounds that hold but are loose, with the median factor; the loosest first."""
        groups = [group for _, groups in self.parts for group in groups]
        rows = [
            (group, float(np.median(group.factors)))
            for group in groups
            if group.mark == Mark.LOOSE and group.factors
        ]
        return sorted(rows, key=lambda row: -row[1])

    def length(self, factor: float) -> float:
        """Return the length of a bar in per cent of the longest one, on a logarithmic scale."""
        longest = max(median for _, median in self.loose)
        return round(100 * float(np.log(max(factor, 1)) / np.log(max(longest, 2))), 1)

    @cached_property
    def questions(self) -> list[tuple[str, str, list[Group]]]:
        """Open questions: the question, the section, and the claims."""
        return [
            (OPEN_QUESTIONS[section.name], section.anchor, groups_of(section))
            for name in OPEN_QUESTIONS
            for section in self.sections
            if section.name == name and section.claims
        ]

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


def groups_of(section: Section) -> list[Group]:
    """Return the claims of a section by subject, in their order."""
    by_subject: dict[str, list[Claim]] = {}
    for claim in section.claims:
        by_subject.setdefault(claim.subject, []).append(claim)
    return [Group(subject, section.anchor, claims) for subject, claims in by_subject.items()]
