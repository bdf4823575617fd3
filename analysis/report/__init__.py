"""The report: one HTML file that holds everything, from one store or many.

A reader who has nothing else learns from it what was claimed, what was measured, and where each
number comes from. The file asks the network for nothing. Its numbers and figures stand in it as they
are; a small script of its own moves the phase diagrams to another tolerance or budget, and without
it they show the finest tolerance at the longest budget. For the same stores it has the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import os
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from analysis.report.numbers import number, typeset, whole
from analysis.report.sections import Section, section_of
from analysis.report.summary import EXPLAINED, MARKS, Summary
from analysis.study import Study

__all__ = ["report_page", "write_report"]


def report_page(
    stores: Mapping[str, Study], drawn: Mapping[str, Mapping[str, str]] | None = None
) -> str:
    """Return the page of some stores.

    Parameters
    ----------
    stores
        Studies by the path of their store, in the order of the page. Where a study says what success
        is, its section is judged by that; the claims always by the paper's own.
    drawn
        SVG texts of figures that were drawn already, by path and kind; the others are drawn here.

    Returns
    -------
    str
        HTML.

    Raises
    ------
    InputError
        Where what success is does not suit a store.
    """
    known = drawn or {}
    sections = [
        section_of(study, store, f"s{place}", known.get(store))
        for place, (store, study) in enumerate(stores.items(), start=1)
    ]
    return _render(sections)


def _render(sections: Sequence[Section]) -> str:
    environment = _environment()
    style, script = (Markup(_source(environment, name)) for name in ("style.css", "report.js"))
    digest = hashlib.sha256(script.encode()).digest()
    return environment.get_template("page.html").render(
        sections=sections,
        summary=Summary(sections),
        marks=MARKS,
        explained=EXPLAINED,
        style=style,
        script=script,
        # No other script runs, whatever a store brings along.
        script_hash=f"sha256-{base64.b64encode(digest).decode()}",
        version=version("widthlaw"),
    )


def _source(environment: Environment, name: str) -> str:
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("analysis.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": number,
        "typeset": typeset,
        "whole": whole,
    }
    return environment


def write_report(page: str, path: Path) -> None:
    """Write a page: it appears whole, or what was there stays.

    Parameters
    ----------
    page
        From `report_page`.
    path
        The file; its folder is made if need be.

    Raises
    ------
    OSError
        Where it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
    try:
        with open(handle, "w", encoding="utf-8") as file:
            file.write(page)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(draft, 0o666 & ~umask)  # mkstemp's is for its owner alone
        os.replace(draft, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(draft)
        raise
