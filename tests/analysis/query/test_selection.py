"""Expressions over a store: what they select, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

import pipeline
from analysis import open_store, select
from analysis.expressions import QueryError, evaluate
from pipeline.trial_status import Status


@pytest.fixture(scope="module")
def store(tmp_path_factory, make_sweep):
    path = tmp_path_factory.mktemp("query") / "small.zarr"
    pipeline.run(make_sweep(), path)
    return open_store(path)


def test_every_trial_is_a_row(store) -> None:
    frame = select(store)
    assert len(frame) == store.status.size
    assert {"d", "n", "width", "seed", "k", "status"} <= set(frame.columns)
    assert set(frame["status"]) == {"done"}


def test_conditions_on_axes_and_values_join(store) -> None:
    frame = select(
        store, "n == 12 and d >= 5 and sigma_min / sqrt(k) < 0.5 * alpha", ["sigma_min", "alpha"]
    )
    part = store.sel(n=12, d=5)
    expected = (part.sigma_min / np.sqrt(part.k) < 0.5 * part.alpha).sum()
    assert len(frame) == int(expected)
    assert set(frame["n"]) <= {12}


def test_a_limit_keeps_the_first_rows(store) -> None:
    assert select(store, "n == 6", ["sigma_min"], 3).equals(
        select(store, "n == 6", ["sigma_min"]).head(3)
    )


def test_arithmetic_follows_xarray(store) -> None:
    found = evaluate(store, "log10(sigma_max ** 2 / k) - -1")
    expected = np.log10(store.sigma_max**2 / store.k) + 1
    np.testing.assert_allclose(found, expected)


def test_a_misspelt_name_is_told_the_nearest(store) -> None:
    with pytest.raises(QueryError, match="sigma_min"):
        select(store, "sigma_mim > 0")


def test_what_is_the_same_throughout_is_no_axis(store) -> None:
    with pytest.raises(
        QueryError, match="'activation' is not an axis of this store: it is always relu"
    ):
        select(store, "activation == 'tanh'")


@pytest.mark.parametrize(
    "hostile",
    [
        "__import__('os').system('true')",
        "n.__class__",
        "(lambda: 1)()",
        "[x for x in [1]]",
        "sigma_min[0]",
        "9 ** 9 ** 9",
        "n == ",
        "(n)[0]",
        "n[d]",
        "abs(n)[1]",
        "open('x')",
        "f'{n}'",
        "n if d else k",
        "(" * 500 + "n" + ")" * 500,
        "n := 3",
        "",
    ],
)
def test_anything_but_an_expression_is_refused(store, hostile: str) -> None:
    with pytest.raises(QueryError):
        select(store, hostile)


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("n = 6", "column 3: = is not part of the language; == compares, as in 'n == 100'"),
        ("n := 6", "column 3: := is not .* == compares"),
        ("n == 6 & d == 3", "column 8: & is not .* write and"),
        ("n == 6 && d == 3", "column 8: && is not .* write and"),
        ("n == 6 | d == 3", "column 8: .* write or"),
        ("n^2 > 3", r"column 2: .* write \*\* for a power"),
        ("n == 6 AND d == 3", "column 8: AND is not .* write and, in small letters"),
        ("NOT n == 6", "column 1: NOT is not .* write not"),
        ("!(n == 6)", "column 1: ! is not .* write not"),
        ("~(n == 6)", "column 1: ~ is not .* write not"),
        ("n is 6", "column 3: is is not .* write =="),
        ("n <> 6", "column 3: <> is not .* write !="),
        ("n => 6", "column 3: => is not .* write >="),
        ("n ≥ 6", "column 3: ≥ is not .* write >="),
        ("n % 2 == 0", "column 3: % is not .* there are no remainders"),
        ("n == 6;", "column 7: ; is not .* with and"),
        ("(n == 6", r"column 1 of .*: the bracket \( is not closed"),
        ("n == 6)", r"column 7 of .*: the bracket \) closes none"),
        ("status == 'done", "column 11 of .*: the quote ' is not closed"),
        ("n 6", "column 3 of 'n 6': '6' does not fit here"),
        ("n in 6", r"column 6: '6' is not a list of values; write one as in 'n in \[100, 200\]'"),
        ("sum(n) > 3", "unknown function 'sum'; the functions are abs, .* --stat"),
        ("n if d else k", "'n if d else k' is not part of the query language"),
        ("a.b > 1", "'a.b' is not part of the query language"),
    ],
)
def test_words_of_other_languages_are_told_what_to_write_instead(store, text, advice) -> None:
    with pytest.raises(QueryError, match=advice):
        select(store, text)


def test_signs_of_other_languages_are_text_between_quotes(store) -> None:
    assert len(select(store, "message == 'a & b = c | (AND ^'")) == 0


def test_a_value_may_be_one_of_a_list(store) -> None:
    either = select(store, "k == 9 or k == 12")
    assert select(store, "n in [6, 12] and k in (9, 12)").equals(either)
    assert set(select(store, "d not in [3]")["d"]) == {5}
    assert len(select(store, "status in ['done', 'failed']")) == store.status.size
    with pytest.raises(QueryError, match=r"never 'failled' \(did you mean 'failed'"):
        select(store, "status in ['done', 'failled']")
    with pytest.raises(QueryError, match="compares text with a number"):
        select(store, "n in ['6']")


@pytest.mark.parametrize("status", [Status.EXCLUDED, Status.NOT_REQUESTED])
def test_trials_that_were_not_requested_are_listed_by_their_status_only(store, status) -> None:
    some = store.status.where(store.seed < 6, int(status)).astype("int8")
    marked = store.assign(status=some.assign_attrs(store.status.attrs))
    hidden = int((some == status).sum())
    assert len(select(marked)) == store.status.size - hidden
    assert len(select(marked, f"status == '{status.word}'")) == hidden
    assert len(select(marked, f"n == 6 and status in ['{status.word}']")) == hidden // 2
    assert len(select(marked, "status != 'done'")) == 0


@pytest.mark.parametrize("text", ["n ==", "n >= 6 and", "not", "n ==\n", "(n\n== 6) and"])
def test_an_expression_that_breaks_off_does_so_behind_its_last_character(store, text) -> None:
    with pytest.raises(QueryError, match=rf"column {len(text.strip()) + 1} of"):
        select(store, text)


def test_a_condition_may_run_over_several_lines(store) -> None:
    assert len(select(store, "n == 6\nand d == 3")) == len(select(store, "n == 6 and d == 3")) > 0


def test_a_further_axis_is_written_with_either_bracket(store) -> None:
    sets = store.assign(
        steps_to_tolerance=(store.sigma_min * 100).expand_dims(tolerance=[1e-2, 1e-4]),
    )
    round_ = evaluate(sets, "steps_to_tolerance(1e-4) <= 20")
    assert round_.identical(evaluate(sets, "steps_to_tolerance[0.0001] <= 20"))
    assert round_.any()
    assert not round_.all()
    with pytest.raises(QueryError, match="needs one number"):
        evaluate(sets, "steps_to_tolerance(1e-4, 2) <= 20")
    with pytest.raises(QueryError, match="did you mean 'steps_to_tolerance'"):
        evaluate(sets, "steps_to_tolernce(1e-4) <= 20")
    with pytest.raises(QueryError, match="did you mean 'sqrt'"):
        evaluate(sets, "sqr(k) <= 20")


# ---- words


def test_a_word_that_is_no_status_is_told_the_nearest(store) -> None:
    for text in ("status == 'failled'", "'failled' != status", "n == 6 and not status == 'failled'"):
        with pytest.raises(QueryError, match=r"never 'failled' \(did you mean 'failed'"):
            select(store, text)
    with pytest.raises(QueryError, match="never 1; status is one of 'pending', 'done'"):
        select(store, "status == 1")
    assert len(select(store, "status == 'failed'")) == 0


def test_a_coordinate_of_words_knows_its_own(store) -> None:
    both = store.expand_dims(activation=["relu", "tanh"])
    with pytest.raises(QueryError, match=r"never 'relux' \(did you mean 'relu'"):
        evaluate(both, "activation == 'relux'")
    assert len(select(both, "activation == 'relu' and activation == 'tanh'")) == 0
    assert set(select(both, "activation != 'relu'")["activation"]) == {"tanh"}


def test_a_bare_word_is_told_of_quotes(store) -> None:
    with pytest.raises(QueryError, match=r"unknown name 'failed'; quote text. .*'failed'"):
        select(store, "status == failed")
    with pytest.raises(QueryError, match=r"unknown name 'relu'; quote text. .*'relu'"):
        select(store.expand_dims(activation=["relu", "tanh"]), "activation == relu")


def test_free_text_is_compared_with_anything(store) -> None:
    assert len(select(store, "message == 'nothing of this kind'")) == 0


# ---- variables with several values a trial


@pytest.fixture(scope="module")
def descent(tmp_path_factory, make_sweep):
    descent = "{ steps = 2000, tolerances = [1e-1, 1e-8] }"
    path = tmp_path_factory.mktemp("query") / "descent.zarr"
    pipeline.run(make_sweep(experiment="'output'", descent=descent), path)
    return open_store(path)


@pytest.fixture(scope="module")
def theorem1(tmp_path_factory, make_sweep):
    keys = {"n": "[5]", "d": "[6]", "seeds": 2, "width": "{ k = [20, 40] }"}
    descent = "{ steps = 100, multiples = [1, 1e3] }"
    path = tmp_path_factory.mktemp("query") / "theorem1.zarr"
    pipeline.run(make_sweep(experiment="'theorem1'", descent=descent, **keys), path)
    return open_store(path)


def test_every_tolerance_is_a_column(descent) -> None:
    columns = ["steps_to_tolerance[0.1]", "steps_to_tolerance[1e-08]"]
    asked = select(descent, "n == 12", ["steps_to_tolerance"])
    assert list(asked.columns[-2:]) == columns
    assert set(columns) < set(select(descent).columns)
    for place, column in enumerate(columns):
        truth = descent.steps_to_tolerance.sel(n=12).isel({"tolerance": place})
        np.testing.assert_array_equal(asked[column], truth.values.ravel())
        assert list(select(descent, None, [column]).columns[-1:]) == [column]


def test_a_condition_reaches_one_tolerance(descent) -> None:
    steps = descent.steps_to_tolerance.isel({"tolerance": 0}).values
    fast = select(descent, "steps_to_tolerance[1e-1] <= 40")
    assert len(fast) == (steps <= 40).sum() > 0
    assert (fast["steps_to_tolerance[0.1]"] <= 40).all()
    both = "steps_to_tolerance[0.1] <= 40 and not steps_to_tolerance[1e-8] < 2000"
    assert 0 < len(select(descent, both)) < len(fast)


def test_an_index_is_a_value_and_not_a_place(descent, store) -> None:
    with pytest.raises(QueryError, match=r"has no tolerance 0.2; it has 0.1, 1e-08"):
        evaluate(descent, "steps_to_tolerance[0.2] < 1")
    with pytest.raises(QueryError, match="has no tolerance 0"):
        evaluate(descent, "steps_to_tolerance[0] < 1")
    last = evaluate(store, "kernel_eigenvalues[5]")
    np.testing.assert_array_equal(last, store.kernel_eigenvalues.isel(index=5))
    with pytest.raises(QueryError, match="has no index -1"):
        evaluate(store, "kernel_eigenvalues[-1]")


def test_multiples_are_columns_where_they_are_asked_for(theorem1) -> None:
    columns = ["rate_ratio[1]", "rate_ratio[1000]"]
    found = select(theorem1, "rate_ratio[1] <= 1.000001", ["rate_ratio"])
    assert list(found.columns[-2:]) == columns
    truth = theorem1.rate_ratio.values.reshape(-1, 2)
    np.testing.assert_array_equal(found[columns], truth[truth[:, 0] <= 1.000001])
    assert not set(columns) & set(select(theorem1).columns)


def test_what_has_several_values_a_trial_says_how_one_is_meant(store, descent) -> None:
    with pytest.raises(QueryError, match=r"as in steps_to_tolerance\[0.1\]; tolerance has 0.1, 1e-08"):
        select(descent, "n == 6 and steps_to_tolerance < 10")
    with pytest.raises(QueryError, match=r"as in steps_to_tolerance\[0.1\]"):
        select(descent, "tolerance < 1")
    with pytest.raises(QueryError, match=r"along index; select one, as in kernel_eigenvalues\[0\]"):
        select(store, None, ["kernel_eigenvalues"])
    with pytest.raises(QueryError, match=r"write it without"):
        select(store, "sigma_min[0] > 1")
