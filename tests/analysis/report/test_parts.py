"""Numbers as they are written, intervals of shares, and figures as parts of a page."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given as any_of
from hypothesis import strategies as st
from matplotlib.figure import Figure
from scipy import stats

from analysis.report.drawing import inline, svg_of
from analysis.report.numbers import axis_value, number, whole, wilson, with_interval
from analysis.signs import signs, typeset


@any_of(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_of_a_share_is_wilsons(counts) -> None:
    successes, trials = counts
    expected = stats.binomtest(successes, trials).proportion_ci(method="wilson")
    assert wilson(successes, trials) == pytest.approx((expected.low, expected.high), abs=1e-12)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (213.4, "213"),
        (21.34, "21.3"),
        (0.01234, "0.0123"),
        (980, "980"),
        (12345, "12\u202f345"),
        (2.1e5, "2.10×10⁵"),
        (3e-7, "3.00×10⁻⁷"),
        (-1.5, "−1.50"),
        (0.9996, "1.00"),
        (0, "0"),
        (np.nan, "–"),
        (np.inf, "∞"),
    ],
)
def test_numbers_have_three_digits(value, words) -> None:
    assert number(value) == words


@any_of(st.floats(1e-12, 1e12))
def test_a_number_that_is_read_again_is_the_same_to_its_digits(value) -> None:
    words = number(value).replace("\u202f", "")
    mantissa, _, power = words.partition("×10")
    digits = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
    read = float(mantissa) * 10.0 ** int(power.translate(digits) or 0)
    assert read == pytest.approx(value, rel=5.1e-3)


def test_intervals_counts_and_values_of_an_axis() -> None:
    assert with_interval(213, 207, 219) == "213 [207, 219]"
    assert with_interval(11, 0, np.inf) == "11.0 [0, ∞]"
    assert with_interval(np.nan, np.nan, np.nan) == "–"
    assert whole(15360) == "15\u202f360"
    assert [axis_value(value) for value in (0.001, 20000, 1e-8)] == ["0.001", "20\u202f000", "10⁻⁸"]


@pytest.mark.parametrize(
    ("words", "html"),
    [
        ("sigma_min >= alpha sqrt(k)/2", "σ<sub>min</sub> ≥ α √k/2"),
        ("k* = 2e+05 n^2/d", "k<sup>*</sup> = 2×10<sup>5</sup> n<sup>2</sup>/d"),
        ("n^(-0.39)", "n<sup>−0.39</sup>"),
        ("n^1.12 [1.04, 1.2]", "n<sup>1.12</sup> [1.04, 1.2]"),
        ("alpha^-0.547, d^10.", "α<sup>−0.547</sup>, d<sup>10</sup>."),
        ("Phi^T Phi / k", "Φ<sup>T</sup> Φ / k"),
        ("(1000000 steps)", "(1\u202f000\u202f000 steps)"),
        ("log k50", "log k<sup>*</sup>"),
        ("alphabet <b>", "alphabet &lt;b&gt;"),
    ],
)
def test_formulas_get_their_signs_and_all_else_stays_text(words, html) -> None:
    assert typeset(words) == html


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("sigma_min / sqrt(k) >= 0.5 alpha", "σ_min / √k ≥ 0.5 α"),
        ("relative loss <= 0.01 (1000000 steps)", "relative loss ≤ 0.01 (1,000,000 steps)"),
        ("2.5 n^4/d^3 & n^2.5 'a' <b>", "2.5 n⁴/d³ & n^2.5 'a' <b>"),
    ],
)
def test_figures_take_their_signs_from_the_same_table(text, shown) -> None:
    assert signs(text) == shown


@any_of(st.text("<>&\"'=/ absigma_min^(2)-e5k*", max_size=40))
def test_no_text_becomes_an_element_that_typesetting_does_not_know(words) -> None:
    tags = re.findall(r"<[^>]*>", str(typeset(words)))
    assert set(tags) <= {"<sub>", "</sub>", "<sup>", "</sup>"}


@pytest.fixture(scope="module")
def svg() -> str:
    figure = Figure(figsize=(4, 3))
    axes = figure.subplots()
    axes.plot([1, 10, 100], [1, 2, 4], "o-", color="#440154", label="<dark>")
    axes.plot([1, 10, 100], [2, 3, 5], color="0.35")
    axes.plot([1, 10, 100], [3, 4, 6], color="#0072B2")
    axes.set(xscale="log", title="σ & <b>bold</b>")
    axes.legend()
    return svg_of(figure)


def test_a_figure_in_the_page_has_the_words_of_its_file(svg) -> None:
    def words(text: str) -> list[str]:
        return [e.text for e in ET.fromstring(text).iter() if e.tag.endswith(("}text", "}tspan"))]

    part = str(inline(svg, "a", "t", "d")).replace(
        "<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1
    )
    clean = [(word or "").strip() for word in words(svg)]
    assert [word or "" for word in words(part)] == clean
    assert "<dark>" in clean


def test_a_figure_in_the_page_follows_its_theme_and_keeps_its_names_to_itself(svg) -> None:
    one, two = str(inline(svg, "one", "t", "d")), str(inline(svg, "two", "t", "d"))
    ids = re.findall(r' id="([^"]+)"', one)
    assert ids
    assert all(name.startswith("one-") for name in ids)
    assert not set(ids) & set(re.findall(r' id="([^"]+)"', two))
    assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', one)) <= set(ids)
    style = " ".join(re.findall(r'style="([^"]*)"', one))
    assert "currentColor" in style
    assert "var(--paper)" in style
    assert "color-mix(in srgb, currentColor 65%, var(--paper))" in style  # 0.35
    assert "color-mix(in srgb, #440154 var(--data), white)" in style
    assert "color-mix(in srgb, #0072b2 var(--data), white)" in style
    assert not re.search(r"#000000|#ffffff", style)
    assert "<style" not in one  # it would reach the whole page
    assert len(one) < len(svg)


def test_fits_at_any_budget_have_a_row_for_each_cell_and_tolerance(studies) -> None:
    from analysis.report.limits import limits_of

    found, table = limits_of(studies["descent.zarr"]), studies["descent.zarr"].thresholds
    assert [row["verdict"] for row in found.rows] == table.verdict.tolist()
    assert any(note.startswith("Held-out test: fitted to 600 steps") for note in found.notes)
    assert limits_of(studies["theorem2.zarr"]) is None


def test_a_gamma_that_may_be_0_is_told_below_the_fits_at_any_budget(studies) -> None:
    from analysis.report.limits import limits_of
    from analysis.study import Study

    said = "The interval of gamma reaches 0 in 1 of 1 rows with a threshold"
    study = studies["descent.zarr"]
    other, table = Study(study.ds), study.thresholds.copy()
    table["verdict"], table["gamma_low"] = "none seen", np.nan
    table.loc[0, ["verdict", "k_inf", "gamma", "gamma_low"]] = "threshold", 9.0, 0.3, 0.0
    other.__dict__.update(thresholds=table, held_out=study.held_out)
    assert any(note.startswith(said) for note in limits_of(other).notes)
    other.__dict__["thresholds"] = table.assign(gamma_low=0.1)
    assert not any(note.startswith(said) for note in limits_of(other).notes)
