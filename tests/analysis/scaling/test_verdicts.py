"""Words on laws go no further than the points: how many there are, and what was varied among them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.scaling import distinguishable, fit_laws, rule_of_words
from analysis.scaling.laws import collinear
from analysis.scaling.verdicts import WORDS

from .test_ranking import ALPHA, D, N, fitted, noisy, widths

# ---- the rule


def judged(delta: float, points: int, of_n: int, of_d: int) -> str:
    """What is said of the second law of two with these numbers."""
    laws = fitted("n log n").iloc[:2].reset_index(drop=True)
    laws = laws.assign(points=points, points_n=of_n, points_d=of_d)
    laws.loc[1, ["law", "is_free", "delta_aicc"]] = ["n", False, delta]
    (verb,) = (word.verb for word in WORDS if f"They {word.verb} n (" in distinguishable(laws))
    return verb


@pytest.mark.slow
@pytest.mark.parametrize("word", WORDS)
def test_a_word_needs_its_delta_its_points_and_what_they_vary(word) -> None:
    enough = (word.delta, word.points, word.of_n, word.of_d)
    assert judged(*enough) == word.verb
    for at, least in enumerate(enough):
        if least:
            less = list(enough)
            less[at] = np.nextafter(least, 0) if at == 0 else least - 1
            weaker = judged(*less)
            verbs = [other.verb for other in WORDS]
            assert verbs.index(weaker) > verbs.index(word.verb)


def test_the_rule_is_written_from_the_same_data() -> None:
    rule = rule_of_words()
    for word in WORDS[:-1]:
        assert re.search(rf'"{word.verb}" needs a delta AICc of {word.delta:g}\b', rule)
    assert "8 points with 3 n and 2 d" in rule


def test_readme_states_the_rule_as_the_program_does() -> None:
    readme = " ".join((Path(__file__).parents[3] / "README.md").read_text().split())
    assert rule_of_words().partition(": ")[2].partition(". ")[0] in readme


def test_four_points_at_one_d_exclude_no_law_however_precise_they_are() -> None:
    given = widths(noisy("n", 0.0005), error=0.001).isel(d=[1], n=slice(0, 4))
    laws = fit_laws(given)
    by_name = laws.set_index("law")
    assert by_name.loc["n log n", "delta_aicc"] > 10
    words = distinguishable(laws)
    assert words.startswith("4 points (n = 50, 100, 200, 400; d = 20) rank n first")
    assert re.search(r"[Tt]hey weakly disfavour [^;]*n log n", words)
    assert "They exclude" not in words
    assert "they exclude" not in words
    assert "Stronger words need more than 4 points with 4 n and 1 d" in words
    assert "to exclude takes 8 points with 3 n and 2 d" in words


def test_enough_points_need_no_such_remark() -> None:
    assert "Stronger words" not in distinguishable(fitted("n log n"))


# ---- the scatter


@pytest.mark.parametrize(("noise", "error"), [(0.07, 0.011), (0.01, 0.05), (0.03, 0.03)])
def test_scatter_beyond_the_intervals_is_never_larger_than_the_residual(noise, error) -> None:
    laws = fit_laws(widths(noisy("n", noise), error=error))
    assert (laws["excess_scatter"] <= laws["rms_log_residual"]).all()
    square = laws["rms_log_residual"] ** 2 - laws["rms_error"] ** 2
    np.testing.assert_allclose(laws["excess_scatter"] ** 2, np.maximum(square, 0), atol=1e-12)
    assert laws["rms_error"].to_numpy() == pytest.approx(error, rel=1e-3)


def test_scatter_is_said_in_numbers_or_as_none() -> None:
    """The residuals of widths that depart by more than, and by less than, their intervals."""
    for noise, error, none in ((0.07, 0.011, False), (0.005, 0.05, True)):
        words = distinguishable(fit_laws(widths(noisy("n", noise), error=error)))
        rms, given, beyond = re.search(
            r"rms log residual ([\d.e-]+); ([\d.e-]+) by the intervals, scatter beyond them: (\S+?)\)",
            words,
        ).groups()
        assert (beyond == "none") == none
        if not none:
            assert float(beyond) <= float(rms)
        assert float(given) == pytest.approx(error, rel=0.05)


# ---- exponents that cannot be told apart

SAYS = "so their exponents cannot be told apart"


def structural(alpha: np.ndarray, rng: np.random.Generator) -> tuple[pd.Series, str]:
    """The best free law of widths that follow k* = 2 n / alpha^2, and the words."""
    k50 = 2 * N[None, :] / alpha**2 * np.exp(0.02 * rng.standard_normal(alpha.shape))
    given = widths(k50, error=0.02)
    given["alpha"] = (("d", "n"), alpha)
    laws = fit_laws(given)
    return laws[laws["is_free"]].iloc[0], distinguishable(laws)


@pytest.mark.slow
def test_where_alpha_follows_n_and_d_the_words_say_that_exponents_cannot_be_told_apart() -> None:
    """n holds the part of alpha here: the true exponent 1 lies in hardly any interval of n."""
    covered = []
    for entropy in range(24):
        rng = np.random.default_rng(entropy)
        power = N[None, :] ** -0.2 * D[:, None] ** 0.1
        free, words = structural(power * np.exp(0.005 * rng.standard_normal(power.shape)), rng)
        covered.append(free["exponent_n_low"] <= 1 <= free["exponent_n_high"])
        assert free["inflation"] > 10
        assert SAYS in words
        assert "n, d and alpha are collinear here" in words
    assert np.mean(covered) < 0.4


@pytest.mark.slow
def test_where_alpha_varies_by_itself_exponents_are_true_and_the_words_do_not_warn() -> None:
    covered = []
    for entropy in range(24):
        rng = np.random.default_rng(entropy)
        free, words = structural(0.5 * np.exp(0.5 * rng.standard_normal((len(D), len(N)))), rng)
        covered.append(free["exponent_n_low"] <= 1 <= free["exponent_n_high"])
        assert free["inflation"] < 10
        assert SAYS not in words
    assert np.mean(covered) > 0.85


def test_the_inflation_is_that_of_a_regression_on_the_other_variables() -> None:
    n, d = (axis.ravel().astype(float) for axis in np.meshgrid(N, D))
    rng = np.random.default_rng(5)
    table = pd.DataFrame({"n": n, "d": d, "alpha": ALPHA.ravel() * np.exp(0.1 * rng.random(n.size))})
    logs = np.log(table.to_numpy())
    correlation = np.corrcoef(logs, rowvar=False)
    _, inflation = collinear(table)
    assert inflation == pytest.approx(np.diag(np.linalg.inv(correlation)).max(), rel=1e-9)


def test_a_variable_that_does_not_vary_or_is_not_known_is_not_collinear() -> None:
    table = pd.DataFrame({"n": [50.0, 100, 200, 400], "d": 20.0, "alpha": np.nan})
    assert collinear(table) == ((), 1.0)
    assert collinear(table.assign(alpha=table["n"] ** -0.5)) == (("n", "alpha"), np.inf)


def test_words_read_the_numbers_of_the_table() -> None:
    laws = fitted("n^2/d")
    assert SAYS not in distinguishable(laws.assign(collinear=""))
    warned = distinguishable(laws.assign(collinear="n, alpha", inflation=31.0))
    assert "n and alpha are collinear here (variance inflation 31, from 10 on)" in warned
