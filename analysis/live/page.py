"""The page of `widthlaw watch`: its files, and its parts as HTML.

The page itself never changes. Its script asks for the state: the HTML of each part of each store, in
which whatever a store contains has been escaped.
"""

from __future__ import annotations

import hashlib
import html
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.metadata import version
from importlib.resources import files

from jinja2 import Environment

from analysis.live.view import View
from analysis.report import environment_of

__all__ = ["FILES", "digest_of", "file_of", "frame_of", "heading_of", "page", "parts_of", "state_of"]

FILES = {
    "style.css": ("analysis.report", "text/css"),
    "watch.css": ("analysis.live", "text/css"),
    "watch.js": ("analysis.live", "text/javascript"),
    "icon.svg": ("analysis.live", "image/svg+xml"),
}
"""Files of the page: the package that has each of them, and its media type."""


QUESTION, OWN_QUESTION = "How wide must a network be?", "Where do the trials succeed?"

FRAME, FRAME_WITHOUT_DIAGRAM = 720, 240
"""Height of a frame in a notebook, in pixels; what is longer gets a scroll bar."""


@cache
def file_of(name: str) -> bytes:
    """Return the content of one of `FILES`."""
    return files(FILES[name][0]).joinpath("templates", name).read_bytes()


def page() -> str:
    """Return the page, which is empty until its script has asked for the state."""
    return _page("", ())


def frame_of(view: View) -> str:
    """Return a frame with the progress and the phase diagram, for a notebook: it runs no script."""
    style = "\n".join(file_of(name).decode() for name in ("style.css", "watch.css"))
    found = parts_of(view, "s1")
    source = _page(style, [found[f"s1-{name}"] for name in ("head", "phase", "failures")])
    height = FRAME if view.diagram else FRAME_WITHOUT_DIAGRAM
    return (
        f'<iframe sandbox srcdoc="{html.escape(source, quote=True)}" width="100%" height="{height}" '
        'style="border:0"></iframe>'
    )


def _page(style: str, parts: Iterable[str]) -> str:
    whole = _templates().get_template("watch.html")
    return whole.render(version=version("widthlaw"), style=style, parts=parts)


def state_of(views: Sequence[View]) -> dict[str, str]:
    """Return the HTML of all parts by their id, in the order of the page."""
    found: dict[str, str] = {}
    for index, view in enumerate(views, start=1):
        found |= parts_of(view, f"s{index}")
    return found


def parts_of(view: View, anchor: str) -> dict[str, str]:
    """Return the parts of one store by their id; an empty one is shown as nothing."""
    names = ("head", "phase", "curves", "laws", "cells", "failures")
    template = _templates().get_template("store.html")
    macros = template.make_module({})
    shown = names if not view.sentence else names[:1]
    return {
        f"{anchor}-{name}": str(getattr(macros, name)(view, anchor)).strip() if name in shown else ""
        for name in names
    }


def heading_of(views: Sequence[View]) -> str:
    """Return the heading of the page: the question on networks, or one on trials of one's own."""
    return QUESTION if any(view.is_on_networks for view in views) else OWN_QUESTION


def digest_of(state: dict[str, str]) -> str:
    """Return a short digest of a state, by which a page tells which one it shows."""
    return hashlib.sha256("\0".join(state.values()).encode()).hexdigest()[:16]


def _templates() -> Environment:
    return environment_of("analysis.live", "analysis.report")
