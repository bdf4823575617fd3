"""A figure in fewer bytes looks the same."""

from __future__ import annotations

import base64
import io
import itertools
import re
import zipfile
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from matplotlib.figure import Figure

from analysis.report.download import download_of
from analysis.report.drawing import inline, svg_of
from analysis.report.shrinking import FLAT, with_classes

X = np.geomspace(1, 100, 30)


@pytest.fixture(scope="module")
def figure() -> Figure:
    figure = Figure(figsize=(9, 4))
    left, middle, right = figure.subplots(1, 3)
    left.errorbar(X, X**2, [0.1 * X**2, 0.3 * X**2], fmt="o", color="#0072B2", label="measured")
    left.axvline(3)
    left.set(title="left", ylabel="height", xscale="log")
    middle.plot(X, np.sin(X / 8), color="#D55E00", label="wave")
    middle.plot(X, np.cos(X / 8), color="#D55E00")
    middle.set(title="waves", xscale="log")
    right.stairs([1, 2.5], [0, 1, 3], label="bars")
    right.scatter([1, 2], [3, 4], label="dots")
    right.fill_between([0, 1], [0, 0], [1, 2], label="area")
    right.plot([1, np.nan, 2], [1, 2, np.nan], label="gaps")
    return figure


def test_a_download_is_a_zip_with_one_csv_and_the_same_bytes_every_time() -> None:
    text = "a,b\n" + "1,2\n" * 500
    file = download_of("x-laws", text)
    head, _, body = file.url.partition(",")
    assert head == "data:application/zip;base64"
    archive = zipfile.ZipFile(io.BytesIO(base64.b64decode(body)))
    assert archive.namelist() == ["x-laws.csv"]
    assert archive.read("x-laws.csv").decode() == text
    assert (file.name, file.rows) == ("x-laws.csv.zip", 500)
    assert len(file.url) < len(text) / 4
    assert download_of("x-laws", text) == file


def polylines(svg: str) -> list[np.ndarray]:
    """Lines of an SVG of straight parts in absolute points, longest first."""
    lines: list[list[complex]] = []
    for data in re.findall(r' d="([^"]*)"', svg):
        if re.search(r"[^MLml\d\s.e-]", data.replace("\n", "")):
            continue
        place = 0j
        for letter, body in re.findall(r"([MLml])([^MLml]*)", data.replace("\n", " ")):
            numbers = [float(x) for x in re.findall(r"-?(?:\d+\.?\d*|\.\d+)(?:e-?\d+)?", body)]
            for at in range(0, len(numbers), 2):
                step = complex(numbers[at], numbers[at + 1])
                place = place + step if letter.islower() else step
                if letter in "Mm" and at == 0:
                    lines.append([])
                lines[-1].append(place)
    return sorted((np.array(line) for line in lines), key=lambda line: -np.ptp(line.real))


def test_a_line_keeps_its_course_to_a_fraction_of_a_pixel(figure) -> None:
    given = svg_of(figure)
    for wave in (line for line in polylines(given) if len(line) == 30):
        ends = (wave[0], wave[-1])
        found = min(
            (line for line in polylines(str(inline(given, "a", "t", "d"))) if len(line) > 9),
            key=lambda line: abs(line[0] - ends[0]) + abs(line[-1] - ends[1]),
        )
        fine = np.concatenate([np.linspace(a, b, 400) for a, b in itertools.pairwise(found)])
        off = [np.abs(fine - point).min() for point in wave]
        assert len(found) < len(wave)
        assert max(off) < FLAT + 0.1  # points that are left out, and one decimal of rounding


def test_a_curved_path_keeps_its_course_in_fewer_letters() -> None:
    absolute = "M 100 200 L 110.04 200 Q 120 210.26 130 200 C 140 190 150 190 160 200 z M 5 6 L 7 8"
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 200 300">'
        f'<path d="{absolute}" style="fill: #000000"/></svg>'
    )
    part = ET.fromstring(str(inline(svg, "a", "t", "d")))
    path = next(e.attrib["d"] for e in part.iter("path"))
    assert path == "M100 200l10 0q10 10.3 20 0c10-10 20-10 30 0zm-95-194l2 2"


def test_every_marker_of_a_series_is_drawn_at_its_place(figure) -> None:
    given = svg_of(figure)
    places = [
        (round(float(x), 1), round(float(y), 1))
        for x, y in re.findall(r'<use [^>]*x="([\d.]+)" y="([\d.]+)" style="fill: #0072b2', given)
    ]
    assert len(places) == 30
    part = ET.fromstring(str(inline(given, "a", "t", "d")))
    shapes = {e.attrib["id"] for e in part.iter("marker")}
    drawn = [e for e in part.iter("path") if "marker:url(#" in e.attrib.get("style", "")]
    assert {re.search(r"#([^)]+)", e.attrib["style"]).group(1) for e in drawn} == shapes
    ends = [[line[0] for line in polylines(f' d="{e.attrib["d"]}"')[::1]] for e in drawn]
    series = next(points for points in ends if len(points) == 30)
    assert sorted((round(p.real, 1), round(p.imag, 1)) for p in series) == sorted(places)


def test_styles_that_recur_become_classes_and_those_with_an_id_stay() -> None:
    svgs = [
        '<path style="fill:none"/>' * 3 + '<path style="marker:url(#a-1)"/>' * 3,
        '<g style="a:b"/>',
    ]
    short, sheet = with_classes(svgs)
    assert short[0].count('class="m0"') == 3
    assert short[0].count('style="marker:url(#a-1)"') == 3
    assert short[1] == svgs[1]
    assert sheet == ".m0{fill:none}"
