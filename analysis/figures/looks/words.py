"""Labels of an SVG as words: Matplotlib places each letter of a label with a formula by itself.

Such a label cannot be searched, and its letters stand apart where the reader's font is narrower. Here
the letters that follow each other on a line become one run of text, and only the first has a place.
"""

from __future__ import annotations

import itertools
import re

__all__ = ["with_words"]

_LABEL = re.compile(r"<text>\s*((?:<tspan [^>]*>[^<]*</tspan>\s*)+)</text>")
_LETTER = re.compile(r'<tspan x="([-\d. ]+)" y="([-\d.]+)" style="([^"]*)">([^<]*)</tspan>')


def with_words(svg: str) -> str:
    """Return an SVG of Matplotlib whose labels with formulas are runs of text."""
    return _LABEL.sub(_joined, svg)


def _joined(label: re.Match[str]) -> str:
    letters = _LETTER.findall(label[1])
    if len(letters) != label[1].count("<tspan "):
        return label[0]  # a version of Matplotlib that writes labels otherwise
    letters.sort(key=lambda letter: float(letter[0].split()[0]))
    runs: list[str] = []
    height = 0.0
    for (y, style), run in itertools.groupby(letters, key=lambda letter: (letter[1], letter[2])):
        first, *_ = parts = list(run)
        place = f'x="{first[0].split()[0]}" y="{y}"'
        if runs:
            place = f'dy="{float(y) - height:.2f}"'
        words = "".join(part[3] for part in parts).replace("\u00a0", " ")  # mathtext has no other blank
        runs.append(f'<tspan {place} style="{style}">{words}</tspan>')
        height = float(y)
    return f'<text xml:space="preserve">{"".join(runs)}</text>'
