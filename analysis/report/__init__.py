"""The report: one self-contained HTML file on one or more stores.

It shows the answer, the claims, the measurements, and the origin of each number to a reader who has
nothing else. It loads nothing from the network. All numbers, figures and their data are in the HTML
itself; a small script switches the phase diagrams to another tolerance or budget. Without scripts they
show the finest tolerance at the longest budget. The same stores give the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache
from importlib.metadata import version
from pathlib import Path

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from analysis.claims import CRITERIA
from analysis.report.copies import without_copies
from analysis.report.notation import NOTATION, NOTATION_OF_OWN
from analysis.report.numbers import number, short, whole
from analysis.report.published import Published
from analysis.report.sections import Section, section_of
from analysis.report.shrinking import with_classes
from analysis.report.summary import MARKS, Summary
from analysis.signs import typeset
from analysis.study import Study
from pipeline.printable import printable

__all__ = ["environment_of", "page_of", "report_page", "section_of", "without_copies", "write_report"]


def report_page(
    stores: Mapping[str, Study],
    published: Iterable[Published] = (),
    notes: Sequence[str] = (),
) -> str:
    """Return the report on some stores.

    Parameters
    ----------
    stores
        Studies by the path of their store, in the order of the page. The section of a store uses the
        success of its study; the claims always use the paper's own.
    published
        Published numbers on other people's experiments; the page compares those that it has stores of.
    notes
        Sentences on the choice of the stores, which the page has at its top.

    Returns
    -------
    str
        HTML.

    Raises
    ------
    InputError
        If the success of a study does not suit its store.
    """
    published = tuple(published)
    return page_of(
        [
            section_of(study, store, f"s{index}", published=published)
            for index, (store, study) in enumerate(stores.items(), start=1)
        ],
        notes=notes,
    )


def page_of(sections: Sequence[Section], coming: Sequence[str] = (), notes: Sequence[str] = ()) -> str:
    """Return the report that consists of some sections.

    Parameters
    ----------
    sections
        From `section_of`, in the order of the page.
    coming
        Names of sweeps that have no section yet, which the page lists.
    notes
        Sentences on the choice of the stores.
    """
    return _render(*_with_style_sheet(sections), coming, notes)


def _with_style_sheet(sections: Sequence[Section]) -> tuple[list[Section], str]:
    """Return the sections with pictures whose recurring styles are classes, and their style sheet."""
    svgs, sheet = with_classes([p.svg for section in sections for p in section.pictures])
    shorter = iter(svgs)
    changed = [
        replace(section, pictures=[replace(p, svg=Markup(next(shorter))) for p in section.pictures])
        for section in sections
    ]
    return changed, sheet


def _render(
    sections: Sequence[Section], sheet: str, coming: Sequence[str], notes: Sequence[str]
) -> str:
    environment = environment_of("analysis.report")
    style, script = (Markup(_source(environment, name)) for name in ("style.css", "report.js"))
    digest = hashlib.sha256(script.encode()).digest()
    is_own = all(section.is_own for section in sections)
    return environment.get_template("page.html").render(
        sections=sections,
        coming=coming,
        notes=notes,
        summary=Summary(sections),
        marks=MARKS,
        criteria=CRITERIA,
        is_own=is_own,
        question="Where do the trials succeed?" if is_own else "How wide must a network be?",
        notation=NOTATION_OF_OWN if is_own else NOTATION,
        style=style + Markup(sheet),
        script=script,
        # The browser refuses any other script, whatever a store contains.
        script_hash=f"sha256-{base64.b64encode(digest).decode()}",
        version=version("widthlaw"),
    )


def _source(environment: Environment, name: str) -> str:
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


class _Unindented(PackageLoader):
    """Templates without the indentation of their lines, which a page would hold thousands of times."""

    def get_source(
        self, environment: Environment, template: str
    ) -> tuple[str, str, Callable[[], bool] | None]:
        source, file, is_current = super().get_source(environment, template)
        return re.sub(r"(?m)^[ \t]+", "", source), file, is_current


@cache
def environment_of(*packages: str) -> Environment:
    """Return the templates of some packages, in which whatever a store contains stays text."""
    environment = Environment(
        loader=ChoiceLoader([_Unindented(package) for package in packages]),
        autoescape=True,
        finalize=_visible,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    environment.filters |= {
        "number": number,
        "short": short,
        "typeset": typeset,
        "whole": whole,
    }
    return environment


def _visible(value: object) -> object:
    """Escape control characters in whatever a template shows; HTML keeps line ends."""
    return type(value)(printable(value.expandtabs(4))) if isinstance(value, str) else value


def write_report(page: str, path: Path) -> None:
    """Write a page atomically: a failure leaves an existing file unchanged.

    Parameters
    ----------
    page
        From `report_page`.
    path
        The file; its folder is created if needed.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
    try:
        with open(handle, "w", encoding="utf-8") as file:
            file.write(page)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(draft, 0o666 & ~umask)  # mkstemp lets only the owner read
        os.replace(draft, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(draft)
        raise
