"""Matplotlib figures as inline SVG that follows the theme of the page.

Black becomes the colour of the text and white that of the paper; greys are mixed from the two, and
dark colours of data are lightened on dark paper. Every `id` gets a prefix, because ids must be unique
within a page. Matplotlib writes one element for each marker; `analysis.report.shrinking` merges them.
"""

from __future__ import annotations

import io
import re
from xml.etree import ElementTree as ET

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from analysis.figures.looks.style import STYLE
from analysis.report.shrinking import shrink

__all__ = ["inline", "svg_of", "width_of"]

DARK = 0.19
"""Luminance below which a colour has too little contrast with dark paper."""

HEX = re.compile(r"#[0-9a-fA-F]{6}\b")


def svg_of(figure: Figure) -> str:
    """Return a figure as SVG; the same figure gives the same text."""
    text = io.StringIO()
    with mpl.rc_context(STYLE):
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()


def width_of(svg: str) -> float:
    """Return the width of an SVG of matplotlib in pixels of a page."""
    found = re.search(r'viewBox="[\d.]+ [\d.]+ ([\d.]+)', svg)
    return float(found.group(1)) * 4 / 3 if found else 0.0


def inline(svg: str, prefix: str, title: str, description: str) -> Markup:
    """Return an SVG of matplotlib as an element of a page.

    Parameters
    ----------
    svg
        Text of the file.
    prefix
        Put before every `id`; no other figure of the page may have it.
    title, description
        Short and long text for screen readers.
    """
    root = ET.fromstring(svg)
    for parent in list(root.iter()):
        for child in list(parent):
            if _local(child.tag) in ("metadata", "style"):
                parent.remove(child)
    for element in root.iter():
        element.tag = _local(element.tag)
        element.attrib = {_local(name): value for name, value in element.attrib.items()}
        element.text = element.text if (element.text or "").strip() else None  # its blanks part words
        element.tail = None
    shrink(root)
    for element in root.iter():
        element.attrib = {name: _value(name, value, prefix) for name, value in element.attrib.items()}
    width = float(root.attrib["viewBox"].split()[2])
    inside = "".join(ET.tostring(child, encoding="unicode") for child in root).replace(" />", "/>")
    return Markup(
        f'<svg role="img" aria-labelledby="{prefix}-title {prefix}-about" '
        f'viewBox="{root.attrib["viewBox"]}" width="{width * 4 / 3:.0f}" '
        f'style="min-width: {min(width, 800):.0f}px">'
        f'<title id="{prefix}-title">{escape(title)}</title>'
        f'<desc id="{prefix}-about">{escape(description)}</desc>{inside}</svg>'
    )


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _value(name: str, value: str, prefix: str) -> str:
    """Return an attribute with prefixed ids and with colours of the theme."""
    if name == "id":
        return f"{prefix}-{value}"
    if name == "href" and value.startswith("#"):
        return f"#{prefix}-{value[1:]}"
    if name == "style":
        value = HEX.sub(lambda found: _themed(found.group()), value)
    return value.replace("url(#", f"url(#{prefix}-")


def _themed(colour: str) -> str:
    """Return a colour as CSS that depends on the theme."""
    red, green, blue = to_rgb(colour)
    if red == green == blue:
        ends = {0.0: "currentColor", 1.0: "var(--paper)"}
        mixed = f"color-mix(in srgb, currentColor {100 * (1 - red):.0f}%, var(--paper))"
        return ends.get(red, mixed)
    if _luminance(red, green, blue) < DARK:
        return f"color-mix(in srgb, {colour} var(--data), white)"
    return colour


def _luminance(*rgb: float) -> float:
    """Return the relative luminance of an sRGB colour, 0 to 1 (WCAG 2)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
