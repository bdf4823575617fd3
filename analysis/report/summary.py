"""What the page says first: the verdicts by part of the paper, what is loose by how much, what is open.

Claims of one subject, at several sizes or on several data, are one line here; the sections have them
all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from analysis.claims import PARTS, Claim, Mark
from analysis.report.numbers import number
from analysis.report.sections import Section

__all__ = ["EXPLAINED", "MARKS", "Group", "Summary", "split_verdict"]

MARKS = {
    Mark.HOLDS: ("✓", "holds"),
    Mark.LOOSE: ("≫", "holds, loose"),
    Mark.DEPARTS: ("≠", "departs"),
    Mark.FINDING: ("◦", "finding"),
    Mark.OPEN: ("?", "not located"),
}
"""A sign and a word for every verdict: neither needs colour."""

EXPLAINED = {
    Mark.HOLDS: "hold",
    Mark.LOOSE: "are bounds or sufficient conditions that hold, and are loose",
    Mark.DEPARTS: "depart from what was measured",
    Mark.FINDING: "are findings on what the paper leaves open",
    Mark.OPEN: "are not located by the data",
}

PLURAL = {
    Mark.HOLDS: "hold",
    Mark.LOOSE: "hold but are loose",
    Mark.DEPARTS: "depart",
    Mark.FINDING: "are findings",
    Mark.OPEN: "are not located",
}

WORST_FIRST = (Mark.DEPARTS, Mark.OPEN, Mark.LOOSE, Mark.HOLDS, Mark.FINDING)

QUESTIONS = {
    "input-layer": "The input layer has kd weights: is kd ≈ n enough, or n²/d, or n⁴/d³?",
    "budget": "How far does the answer depend on when training counts as done?",
    "joint": "Bounds are better for the output layer, of fewer weights. Which needs fewer units?",
    "depth": "Bounds say that depth costs width. Is that so, or is it the analysis?",
    "spectrum-evolution": "How does the spectrum of the features evolve in n, k and d?",
    "alpha-stress": "The theorem takes α as a constant. What does structure in the data do?",
    "generalisation": "Does the gap of test and training loss fall as Γ/√n?",
}
"""What the paper leaves open, and the sweep that has data on it."""


@dataclass(frozen=True)
class Group:
    """Claims of one subject."""

    subject: str
    anchor: str
    claims: list[Claim]

    @property
    def mark(self) -> Mark:
        """The mark that a reader must not miss."""
        there = {claim.mark for claim in self.claims}
        return next(mark for mark in WORST_FIRST if mark in there)

    @property
    def factors(self) -> list[float]:
        """Those that are known, in order."""
        known = [claim.factor for claim in self.claims if claim.factor is not None]
        return sorted(factor for factor in known if np.isfinite(factor))

    @property
    def measured(self) -> str:
        """Of one claim its words, of several the range of their factors."""
        if len(self.claims) == 1:
            return self.claims[0].measured
        words = f"{len(self.claims)} cases"
        if not self.factors:
            return words
        ends = dict.fromkeys(number(end) for end in (self.factors[0], self.factors[-1]))
        return f"{words}: {' to '.join(ends)}"

    @property
    def verdict(self) -> str:
        """Of one claim its words, of several how often which."""
        if len(self.claims) == 1:
            return self.claims[0].verdict
        found = Counter(claim.mark for claim in self.claims)
        total = len(self.claims)
        words = {Mark.OPEN: "not located", Mark.FINDING: "finding", Mark.LOOSE: "sufficient, loose"}
        return ", ".join(
            f"{words.get(mark, mark.value)} in {found[mark]} of {total}"
            for mark in WORST_FIRST
            if found[mark]
        )


@dataclass(frozen=True)
class Summary:
    """The head of the page."""

    sections: Sequence[Section]

    @cached_property
    def parts(self) -> list[tuple[str, list[Group]]]:
        """Parts of the paper that the stores speak of, with their lines."""
        found = [(part, list(self._groups(names))) for part, names in PARTS.items()]
        return [(part, groups) for part, groups in found if groups]

    def told(self, groups: Iterable[Group]) -> str:
        """How many claims of a part have which mark, in words."""
        found = Counter(claim.mark for group in groups for claim in group.claims)
        return "; ".join(f"{found[mark]} {PLURAL[mark]}" for mark in MARKS if found[mark])

    def _groups(self, names: Iterable[str]) -> Iterator[Group]:
        for name in names:
            for section in self.sections:
                if section.name == name:
                    yield from groups_of(section)

    @cached_property
    def tally(self) -> Counter[Mark]:
        """How many claims have which mark."""
        return Counter(claim.mark for section in self.sections for claim in section.claims)

    @cached_property
    def loose(self) -> list[tuple[Group, float]]:
        """What holds but is loose, with the median factor; the loosest first."""
        groups = [group for _, groups in self.parts for group in groups]
        rows = [
            (group, float(np.median(group.factors)))
            for group in groups
            if group.mark == Mark.LOOSE and group.factors
        ]
        return sorted(rows, key=lambda row: -row[1])

    def length(self, factor: float) -> float:
        """Per cent of the longest bar, in logarithms."""
        longest = max(median for _, median in self.loose)
        return round(100 * float(np.log(max(factor, 1)) / np.log(max(longest, 2))), 1)

    @cached_property
    def questions(self) -> list[tuple[str, str, list[Group]]]:
        """What the paper leaves open: the question, the section, and what the data say."""
        return [
            (QUESTIONS[section.name], section.anchor, groups_of(section))
            for name in QUESTIONS
            for section in self.sections
            if section.name == name and section.claims
        ]

    @cached_property
    def created(self) -> list[str]:
        """First and last day of the stores."""
        days = sorted(section.created[:10] for section in self.sections if section.created)
        return list(dict.fromkeys([*days[:1], *days[-1:]]))

    @property
    def asked(self) -> int:
        """Trials that all sweeps ask for."""
        return self.counts.total()

    @property
    def makers(self) -> list[str]:
        """What computed the stores: version and commit."""
        return sorted({section.maker for section in self.sections if section.maker})

    @property
    def intervals(self) -> list[str]:
        """How the intervals of k* were made, where a section has any."""
        return sorted({section.diagram.interval for section in self.sections if section.diagram})

    @cached_property
    def counts(self) -> Counter[str]:
        """Trials of all stores by status."""
        total: Counter[str] = Counter()
        for section in self.sections:
            total.update(section.counts)
        return total


def split_verdict(verdict: str, mark: Mark) -> tuple[str, str]:
    """The word that stands out, and the rest of a verdict without it."""
    if mark == Mark.LOOSE and verdict.startswith("holds"):
        return "holds, loose", verdict.removeprefix("holds").replace(", loose by", ", by").strip()
    word = "sufficient, loose" if verdict.startswith("sufficient") else MARKS[mark][1]
    return word, verdict.removeprefix(word).lstrip(" ,:")


def groups_of(section: Section) -> list[Group]:
    """The claims of a section by subject, in their order."""
    by_subject: dict[str, list[Claim]] = {}
    for claim in section.claims:
        by_subject.setdefault(claim.subject, []).append(claim)
    return [Group(subject, section.anchor, claims) for subject, claims in by_subject.items()]
