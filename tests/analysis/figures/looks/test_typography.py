"""Labels are typeset where they have indices, exponents or powers of ten, and stay words in an SVG."""

from __future__ import annotations

import io

import pytest
from matplotlib.mathtext import MathTextParser

from analysis.figures.looks.chart import Chart, styled
from analysis.figures.looks.typography import formula, mathtext, number, plain


@pytest.mark.parametrize(
    ("label", "typeset"),
    [
        ("σ_min", "$σ_{min}$"),
        ("‖θ_T − θ_∞‖ / ‖θ_∞ − θ₀‖", "‖$θ_{T}$ − $θ_{∞}$‖ / ‖$θ_{∞}$ − $θ_{0}$‖"),
        ("relative loss ≤ 1e-08", "relative loss ≤ $10^{−8}$"),
        ("loss ≤ 2.5e-05", "loss ≤ $2.5×10^{−5}$"),
        ("w ∝ n⁻ᵇ", "w ∝ $n^{−b}$"),
        ("critical width k*", "critical width $k^{*}$"),
        ("‖X†(y − Xθ₀)‖", "‖$X^{†}$(y − X$θ_{0}$)‖"),
        ("η σ_min²", "η $σ_{min}^{2}$"),
        ("‖r_{T−1}‖", "‖$r_{T−1}$‖"),
        ("7 × 10¹²", "7 × $10^{12}$"),
        ("steps_to_tolerance of data_set.npy, k50_low", "steps_to_tolerance of data_set.npy, k50_low"),
        ("loss ≤ 0.01, 20,000 steps, d = 4", "loss ≤ 0.01, 20,000 steps, d = 4"),
    ],
)
def test_indices_and_powers_are_typeset_and_all_else_is_left(label, typeset) -> None:
    assert mathtext(label) == typeset
    MathTextParser("path").parse(typeset)  # a formula that Matplotlib does not know would raise


def test_the_plain_form_of_a_label_has_no_marks() -> None:
    assert plain(mathtext("σ_min ≥ 1e-08, k* of \\$x")) == "σ_min ≥ 10^−8, k* of $x"


def test_a_rule_in_letters_of_the_keyboard_is_typeset() -> None:
    assert formula("sigma_min / sqrt(k) >= 0.5 alpha") == "$σ_{min}$ / √k ≥ 0.5 α"
    assert formula("loss <= 1e-06 (1000000 steps)") == "loss ≤ $10^{−6}$ (1,000,000 steps)"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.001, "0.001"),
        (20000, "20,000"),
        (1.25, "1.25"),
        (-0.05, "−0.05"),
        (1e-8, "$10^{−8}$"),
        (1e6, "$10^{6}$"),
        (2.34e7, "$2.34×10^{7}$"),
    ],
)
def test_a_number_is_short_and_a_power_of_ten_where_that_is_shorter(value, text) -> None:
    assert number(value) == text


def test_a_label_with_a_formula_stays_words_in_an_svg() -> None:
    with styled():
        figure = Chart(4, 2)
        axes = figure.subplots()
        axes.set(xlabel="critical width $k^{*}$ of <all> trials", title="no formula")
        written = io.StringIO()
        figure.savefig(written, format="svg")
    svg = written.getvalue()
    assert ">critical width k</tspan>" in svg
    assert "> of &lt;all&gt; trials</tspan>" in svg
    assert ">no formula</text>" in svg
