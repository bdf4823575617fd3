"""SVG of matplotlib in fewer bytes, with the same look.

Matplotlib writes an element with its own style for each marker of a series, a group around each
element, and coordinates with six decimals. Here a series becomes one path whose vertices carry an SVG
marker; groups without attributes and ids that nothing refers to are removed; coordinates keep one
decimal, a tenth of a point, and lines lose the points without which they look the same. Styles that
recur in a page become classes.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Sequence
from xml.etree import ElementTree as ET

__all__ = ["shrink", "with_classes"]

NUMBER = re.compile(r"-?\d+\.\d{2,}(?:e-?\d+)?")
GEOMETRY = ("d", "x", "y", "width", "height", "points", "transform")
PATH_PART = re.compile(r"([A-Za-z])([^A-Za-z]*)")
FLAT = 0.12
"""Distance in points from a line up to which a point of it is not seen to be missing."""

FEWEST = 3
"""Number of equal markers in a row from which they become one path."""


def shrink(root: ET.Element) -> None:
    """Shrink an SVG in place; its tags and attributes have no namespaces."""
    definitions = _gathered(root)
    used = _references(root)
    for element in root.iter():
        if element.attrib.get("id") not in used:
            element.attrib.pop("id", None)
    _unwrap(root)
    _merge_clipped(root)
    _merge_markers(root)
    _merge_lines(root)
    inside = {id(element) for element in definitions.iter()}
    for element in root.iter():
        for name, value in list(element.attrib.items()):
            element.attrib[name] = _shorter(name, value, 2 if id(element) in inside else 1)
        if not element.attrib.get("transform", "-"):
            del element.attrib["transform"]
    _rename(root)


def _gathered(root: ET.Element) -> ET.Element:
    """Move all definitions into one element at the start, where they part no series; return it."""
    definitions = ET.Element("defs")
    for parent in list(root.iter()):
        for child in [child for child in parent if child.tag == "defs"]:
            definitions.extend(list(child))
            parent.remove(child)
    root.insert(0, definitions)
    return definitions


def _references(root: ET.Element) -> set[str]:
    """Return the ids that attributes refer to."""
    texts = [value for e in root.iter() for value in e.attrib.values() if "#" in value]
    return {
        name
        for text in texts
        for name in re.findall(r"^#(.+)$|url\(#([^)]+)\)", text)
        for name in name
        if name
    }


def _merge_clipped(root: ET.Element) -> None:
    """Join neighbouring groups, and lines, that are clipped by the same panel."""
    for parent in [root, *root.iter("g")]:
        children: list[ET.Element] = []
        for clip, run in itertools.groupby(list(parent), key=lambda e: e.attrib.get("clip-path", "")):
            parts = list(run)
            if not clip or len(parts) < 2:
                children += parts
                continue
            group = ET.Element("g", {"clip-path": clip})
            for part in parts:
                del part.attrib["clip-path"]
                group.extend(list(part) if part.tag == "g" and not part.attrib else [part])
            children.append(group)
        parent[:] = children


def _merge_markers(root: ET.Element) -> None:
    """Replace equal `use` elements that only texts part by one path with markers at its vertices."""
    count = itertools.count()
    for parent in list(root.iter()):
        runs: list[tuple[tuple[str, str], list[ET.Element]]] = []
        for child in list(parent):
            look = _look_of_marker(child)
            if look and runs and runs[-1][0] == look:
                runs[-1][1].append(child)
            elif any(part.tag not in ("g", "text", "tspan") for part in child.iter()):
                runs.append((look or ("", ""), [child]))
        for look, run in runs:
            if look[0] and len(run) >= FEWEST:
                at = list(parent).index(run[0])
                for child in run:
                    parent.remove(child)
                for part in reversed(_path_of(look, run, f"run{next(count)}")):
                    parent.insert(at, part)


def _look_of_marker(element: ET.Element) -> tuple[str, str] | None:
    """Return the shape and the style of a marker; None for any other element."""
    known = set(element.attrib) <= {"href", "x", "y", "style"}
    if element.tag != "use" or not known or not {"x", "y"} <= set(element.attrib):
        return None
    return element.attrib["href"], element.attrib.get("style", "")


def _path_of(look: tuple[str, str], run: list[ET.Element], name: str) -> list[ET.Element]:
    """Return a marker, and a path with that marker at the place of each element."""
    shape, style = look
    marker = ET.Element(
        "marker", id=name, markerUnits="userSpaceOnUse", style=f"{style}; overflow: visible"
    )
    ET.SubElement(marker, "use", href=shape)
    places = " ".join(f"M {use.attrib['x']} {use.attrib['y']}" for use in run)
    return [
        marker,
        ET.Element("path", d=places, style=f"fill: none; stroke: none; marker: url(#{name})"),
    ]


def _merge_lines(root: ET.Element) -> None:
    """Join neighbouring lines of one look, such as the arms of intervals, and drop empty lines.

    Lines that are filled or transparent stay apart, because they look different where they overlap.
    """
    for parent in list(root.iter()):
        children: list[ET.Element] = []
        for child in list(parent):
            if child.tag == "path" and not child.attrib.get("d", "").strip():
                continue
            before = children[-1] if children else None
            if before is not None and _is_line(child) and _look(child) == _look(before):
                before.attrib["d"] += child.attrib["d"]
            else:
                children.append(child)
        if parent.tag != "defs":
            parent[:] = children


def _is_line(element: ET.Element) -> bool:
    style = element.attrib.get("style", "")
    is_plain = "fill: none" in style and "opacity" not in style and "marker" not in style
    return element.tag == "path" and is_plain


def _look(element: ET.Element) -> tuple[str, dict[str, str]]:
    """Return all of an element but its course."""
    return element.tag, {name: value for name, value in element.attrib.items() if name != "d"}


def _shorter(name: str, value: str, decimals: int) -> str:
    """Return an attribute without needless digits, spaces and fonts."""
    if name == "style":
        parts = [part for part in value.split("; ") if part and not part.startswith("font-family")]
        return ";".join(part.replace(": ", ":") for part in parts)
    if name not in GEOMETRY:
        return value
    if name == "transform" and value.startswith("rotate(-0 "):
        return ""
    value = NUMBER.sub(lambda found: _rounded(found.group(), decimals), value)
    return _compact(value) if name == "d" else value.replace("\n", "")


def _rounded(text: str, decimals: int) -> str:
    """Return a number with some decimals, and without trailing zeros."""
    short = f"{float(text):.{decimals}f}".rstrip("0").rstrip(".")
    return "0" if short in ("-0", "") else re.sub(r"^(-?)0\.", r"\1.", short)


def _compact(path: str) -> str:
    """Return path data without needless spaces; points become relative, lines lose needless ones."""
    parts = PATH_PART.findall(path)
    letters = {letter for letter, _ in parts}
    if not letters <= set("MLQCz"):
        return "".join(f"{letter}{' '.join(numbers.split())}" for letter, numbers in parts)
    segments = [(letter, _points(numbers)) for letter, numbers in parts]
    if letters <= {"M", "L"}:
        segments = _thinned(segments)
    text: list[str] = []
    place = start = 0j
    before = ""
    for letter, points in segments:
        command = letter.lower() if text else letter
        text.append(" " if command == before and command not in "mz" else command)
        text.append(" ".join(_coordinates(point - place) for point in points))
        place = points[-1] if points else start
        start = place if letter == "M" else start
        before = command
    return "".join(text).replace(" -", "-")


def _points(numbers: str) -> list[complex]:
    """Return the points of a part of a path."""
    values = map(float, numbers.split())
    return [complex(x, y) for x, y in zip(values, values, strict=True)]


def _coordinates(point: complex) -> str:
    return f"{_rounded(f'{point.real:.3f}', 2)} {_rounded(f'{point.imag:.3f}', 2)}"


def _thinned(segments: list[tuple[str, list[complex]]]) -> list[tuple[str, list[complex]]]:
    """Return lines without their needless points."""
    lines: list[list[complex]] = []
    for letter, points in segments:
        if letter == "M":
            lines.append([])
        lines[-1] += points
    return [
        ("L" if index else "M", [point])
        for line in lines
        for index, point in enumerate(_without_needless(line))
    ]


def _without_needless(line: list[complex]) -> list[complex]:
    """Return a line without the points that lie within `FLAT` of the line that is left."""
    if len(line) < 3:
        return line
    kept, start = [line[0]], 0
    for end in range(2, len(line)):
        if max(_distance(point, line[start], line[end]) for point in line[start + 1 : end]) > FLAT:
            start = end - 1
            kept.append(line[start])
    return [*kept, line[-1]]


def _distance(point: complex, start: complex, end: complex) -> float:
    """Return the distance of a point from the segment between two others."""
    along, to = end - start, point - start
    if not along:
        return abs(to)
    share = (to * along.conjugate()).real / abs(along) ** 2
    return abs(to - along * min(1.0, max(0.0, share)))


def _unwrap(parent: ET.Element) -> None:
    """Replace groups without attributes by what they hold, and remove empty ones."""
    children: list[ET.Element] = []
    for child in list(parent):
        _unwrap(child)
        if child.tag == "g" and (not child.attrib or not len(child)):
            children += list(child)
        else:
            children.append(child)
    parent[:] = children


def _rename(root: ET.Element) -> None:
    """Give the elements that are referred to short ids."""
    named = [e for e in root.iter() if "id" in e.attrib]
    short = {e.attrib["id"]: str(index) for index, e in enumerate(named)}
    for element in root.iter():
        for name, value in element.attrib.items():
            if name == "id":
                element.attrib[name] = short[value]
            elif name == "href" and value[1:] in short:
                element.attrib[name] = f"#{short[value[1:]]}"
            elif "url(#" in value:
                element.attrib[name] = re.sub(
                    r"url\(#([^)]+)\)", lambda found: f"url(#{short[found.group(1)]})", value
                )


def with_classes(svgs: Sequence[str]) -> tuple[list[str], str]:
    """Return SVGs in which recurring styles are classes, and the style sheet of those classes.

    A style that refers to an id is of one figure, and stays where it is.
    """
    attribute = re.compile(r' style="((?:(?!url\()[^"])*)"')
    counts = Counter(found for svg in svgs for found in attribute.findall(svg))
    names = {
        style: f"m{index}"
        for index, (style, count) in enumerate(counts.most_common())
        if count >= FEWEST
    }

    def named(found: re.Match[str]) -> str:
        name = names.get(found.group(1))
        return f' class="{name}"' if name else found.group()

    sheet = "\n".join(f".{name}{{{style}}}" for style, name in names.items())
    return [attribute.sub(named, svg) for svg in svgs], sheet
