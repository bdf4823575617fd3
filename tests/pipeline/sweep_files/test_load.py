"""A sweep file loads completely, or is refused with every problem named."""

from __future__ import annotations

from decimal import ROUND_FLOOR, Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import SweepError
from pipeline.sweep_files.load import bundled_sweeps, load_sweep, parse_sweep


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seedz": "3"}, ["seedz: unknown key", "did you mean 'seeds'"]),
        ({"n": "[-5]"}, ["n[0]: got -5", "expected 1 or more"]),
        ({"n": "[0]"}, ["n[0]: got 0"]),
        ({"n": "[100.0]"}, ["n[0]: got 100.0, expected a whole number, such as 100"]),
        ({"n": "[true]"}, ["n[0]: got true, expected a whole number"]),
        ({"n": "['100']"}, ["n[0]: got '100', expected a whole number"]),
        ({"n": "[6, 6]"}, ["n: 6 is listed twice", "remove one"]),
        ({"n": "[]"}, ["n: got []", "at least one value"]),
        ({"d": "[2.5]"}, ["d[0]: got 2.5"]),
        ({"seeds": "0"}, ["seeds: got 0"]),
        ({"seeds": "[1, 1]"}, ["seeds: 1 is listed twice"]),
        ({"seeds": "[]"}, ["seeds: got an empty list"]),
        ({"entropy": "-1"}, ["entropy: got -1"]),
        ({"width": "{ k = [10], k_per_n = [2.0] }"}, ["width: got k and k_per_n", "exactly one of"]),
        ({"width": "{ }"}, ["width: got none of them, expected exactly one of", "; give one"]),
        (
            {"width": "4"},
            ["width: got 4, expected a list of widths, such as [20, 40], or a table with"],
        ),
        ({"width": "{ k = [3, 3] }"}, ["width.k: 3 is listed twice"]),
        ({"width": "{ k = { start = 3, stop = 4, num = 9 } }"}, ["width.k: the range gives 3 twice"]),
        ({"d": "1e3"}, ["d: got 1000.0, expected a whole number, such as 1000"]),
        ({"name": "{ a = [true] }"}, ["name: got { a = [true] }, expected text in quotes"]),
        ({"width": "{ k_per_n = [] }"}, ["width.k_per_n: got an empty list"]),
        ({"width": "{ k_per_n = [nan] }"}, ["width.k_per_n"]),
        ({"width": "{ k_per_n = [-1.0] }"}, ["width.k_per_n", "expected a number above 0"]),
        ({"width": "{ k_per_n = [2.0, 2.01] }"}, ["2 and 2.01 both give k = 12", "distinct widths"]),
        ({"width": "{ k_per_n = [0.01] }"}, ["gives k = 0", "expected 1 <= k"]),
        ({"activation": "'rellu'"}, ["activation: got 'rellu'", "did you mean 'relu'"]),
        ({"experiment": "'spectrun'"}, ["experiment: got 'spectrun'", "did you mean 'spectrum'"]),
        ({"dataset": "{ kind = 'spere' }"}, ["dataset.kind: got 'spere'", "did you mean 'sphere'"]),
        (
            {"experiment": "'theorem2-proof'", "dataset": "{ kind = 'gaussian' }"},
            ["Theorem 2", "unit norm", "sphere"],
        ),
        ({"dataset": "{ kind = 'pairs' }"}, ["dataset.angle: missing, but a pairs dataset needs it"]),
        ({"dataset": "{ kind = 'pairs', angle = [0.1] }", "n": "[7]"}, ["n: got 7", "change it to 8"]),
        (
            {"dataset": "{ kind = 'triples', angle = [0.1] }", "n": "[7]"},
            ["n: got 7", "change it to 9"],
        ),
        ({"dataset": "{ kind = 'sphere', angle = [0.1] }"}, ["a sphere dataset has no angle"]),
        ({"dataset": "{ kind = 'circle' }", "d": "[1]"}, ["d: got 1", "needs d of 2 or more"]),
        ({"dataset": "{ kind = 'pairs', angle = ['x'] }"}, ["angle[0]: got 'x', expected a number"]),
        (
            {"dataset": "'sphere'"},
            ["dataset: got 'sphere', expected a table with the keys kind, angle"],
        ),
        ({"_foo": "1"}, ["_foo: unknown key"]),
        ({"int": "1"}, ["int: unknown key"]),
        ({"name": "'../up'"}, ["name: got '../up'", "the store is named after it"]),
        ({"nested": "'no'"}, ["nested: got 'no', expected true or false"]),
        ({"seeds": "1000000000000"}, ["seeds: got 1000000000000, expected 10000000 or less"]),
        ({"seeds": "[4294967296]"}, ["seeds[0]: got 4294967296", "expected 4294967295 or less"]),
        ({"n": "[10000000000]"}, ["n[0]: got 10000000000"]),
        ({"d": "[1000000000000000000000]"}, ["d[0]: got 1000000000000000000000"]),
        ({"width": "{ k_per_n = [1e300] }"}, ["width.k_per_n[0]: got 1e+300"]),
        ({"width": "{ k_per_n = { start = 1, stop = 2, num = 10000000000 } }"}, ["k_per_n.num: got"]),
        ({"width": "{ k_per_n = 2.0 }"}, ["width.k_per_n: got 2.0, expected a list"]),
        ({"width": "{ k_per_n = [1e6] }", "n": "[100000]"}, ["gives k = 100000000000", "k < 2^31"]),
        (
            {
                "dataset": "[{ kind = 'pairs', angle = 0.1 }, { kind = 'triples', angle = 0.1 }]",
                "n": "[7, 6]",
            },
            ["n: got 7, which none of the datasets can form"],
        ),
        ({"dataset": "{ kind = 'file' }"}, ["dataset.path: missing, but a file dataset needs it"]),
        ({"dataset": "{ kind = 'file', path = 'none.npy' }"}, ["none.npy: not found"]),
    ],
)
def test_a_sweep_that_cannot_be_computed_is_refused(make_sweep, change, words) -> None:
    with pytest.raises(SweepError) as refused:
        make_sweep(**change)
    for part in words:
        assert part in str(refused.value)


def test_all_problems_are_reported_together(make_sweep) -> None:
    with pytest.raises(SweepError, match="2 problems") as refused:
        make_sweep(n="[-1]", seedz="3")
    assert [problem.key for problem in refused.value.problems] == ["n[0]", "seedz"]


def test_a_wrong_type_does_not_hide_a_wrong_name(make_sweep) -> None:
    with pytest.raises(SweepError, match="4 problems") as refused:
        make_sweep(d="[0]", n="[-1]", seeds="true", activation="'relux'")
    keys = [problem.key for problem in refused.value.problems]
    assert keys == ["activation", "d[0]", "n[0]", "seeds"]
    text = refused.value.problems[0].text
    assert text.startswith("got 'relux' (did you mean 'relu'?), expected one of relu, ")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"activation": "[1, 'relux']", "experiment": "'cond'"},
            ["experiment", "activation[0]", "[1]"],
        ),
        (
            {"dataset": "[{ kind = 'spere', angle = 'x' }, { kind = 'pairs' }]"},
            ["angle", "kind", "needs"],
        ),
        ({"experiment": "'joint'", "trained": "'bth'", "seeds": "0"}, ["trained: got 'bth'", "seeds"]),
        (
            {"experiment": "'input'", "activation": "'cos'", "n": "0"},
            ["input does not support", "n: got 0"],
        ),
        (
            {"experiment": "'theorem2-proof'", "dataset": "{ kind = 'gaussian' }", "n": "[0]"},
            ["Theorem 2", "n[0]: got 0"],
        ),
        (
            {"dataset": "{ kind = 'pairs', angle = 1 }", "n": "7", "seeds": "0"},
            ["change it to 8", "seeds"],
        ),
        ({"dataset": "{ kind = 'circle' }", "d": "1", "n": "0"}, ["needs d of 2", "n: got 0"]),
        ({"width": "{ k_per_n = [0.01] }", "seeds": "[1, 1]"}, ["gives k = 0", "1 is listed twice"]),
        ({"experiment": "'output'", "descent": "{ steps = -1, tolerances = 2 }"}, ["steps", "below 1"]),
        ({"depth": "1", "descent": "{ steps = -1 }"}, ["depth", "descent.steps", "does not descend"]),
    ],
)
def test_one_problem_does_not_hide_another(make_sweep, change, words) -> None:
    with pytest.raises(SweepError) as refused:
        make_sweep(**change)
    assert f"{len(words)} problems" in str(refused.value)
    assert all(part in str(refused.value) for part in words), str(refused.value)


@pytest.mark.parametrize(
    "change",
    [
        {"width": "{ k_per_n = ['x'] }"},
        {"width": "[0]"},
        {"dataset": "{ kind = 'pairs', angle = 'x' }"},
        {"dataset": "{ kind = 'file', path = 3 }"},
        {"dataset": "[]"},
        {"n": "[-1]"},
        {"d": "[]"},
        {"name": "3"},
        {"experiment": "3"},
        {"experiment": "'input'", "descent": "{ tolerances = 'x' }", "width": "[4]"},
        {"'|table|'": "1"},
    ],
)
def test_one_mistake_is_one_problem(make_sweep, change) -> None:
    with pytest.raises(SweepError) as refused:
        make_sweep(**change)
    assert len(refused.value.problems) == 1, str(refused.value)


def test_a_byte_order_mark_is_skipped(tmp_path, make_sweep) -> None:
    file = tmp_path / "windows.toml"
    file.write_text(make_sweep().text, encoding="utf-8-sig")
    assert load_sweep(file).text == make_sweep().text


def test_a_missing_key_is_named() -> None:
    with pytest.raises(SweepError, match="experiment: missing"):
        parse_sweep('name = "x"\n')


def test_a_syntax_error_is_reported_with_its_line() -> None:
    with pytest.raises(SweepError, match="line 4"):
        parse_sweep('name = "x"\nn = [1,\n\n= 3')


def test_an_unknown_name_is_refused_with_the_nearest_bundled_sweep() -> None:
    with pytest.raises(SweepError, match="did you mean 'theorem2'"):
        load_sweep("teorem2")


@pytest.mark.parametrize("name", list(bundled_sweeps()))
def test_bundled_sweeps_are_valid(name: str) -> None:
    sweep = load_sweep(name)
    assert sweep.name == name
    assert sweep.text.startswith("# ")
    assert sweep.trials > 0


def test_one_point_one_times_two_hundred_is_two_hundred_and_twenty(make_sweep) -> None:
    sweep = make_sweep(n="[200]", d="[20]", width="{ k_per_n = [1.1] }")
    assert sweep.k(20, 200) == (220,)


@given(hundredths=st.integers(10, 2000), n=st.integers(50, 5000))
def test_widths_round_half_up(hundredths: int, n: int) -> None:
    text = f"{hundredths // 100}.{hundredths % 100:02d}"
    sweep = parse_sweep(
        f'name="x"\nexperiment="conditioning"\ndataset={{kind="sphere"}}\nd=[3]\nn=[{n}]\n'
        f"width={{k_per_n=[{text}]}}\nseeds=1"
    )
    exact = Decimal(text) * n + Decimal("0.5")
    assert sweep.k(3, n) == (int(exact.to_integral_value(ROUND_FLOOR)),)


def test_widths_as_kd_per_n_and_as_a_plain_list(make_sweep) -> None:
    assert make_sweep(width="{ kd_per_n = [10.0] }").k(5, 12) == (24,)
    plain = make_sweep(width="[30, 20]")
    assert plain.width_unit == "k"
    assert plain.k(5, 12) == (20, 30)


def test_a_range_has_its_ends() -> None:
    assert load_sweep("theorem2").width[0] == 1.1
    assert load_sweep("theorem2").width[-1] == 6.0


def test_a_list_is_an_axis_and_a_single_name_is_not(make_sweep) -> None:
    assert make_sweep(activation="'tanh'").axes == ("d", "n")
    assert make_sweep(activation="['tanh']").axes == ("activation", "d", "n")


def test_combinations_that_a_dataset_cannot_form_are_excluded(make_sweep) -> None:
    sweep = make_sweep(
        dataset="[{ kind = 'circle' }, { kind = 'pairs', angle = [0.1, 0.2] }]", n="[6, 7]", d="[3]"
    )
    assert sweep.axes == ("dataset", "angle", "d", "n")
    assert sweep.angle == (0.0, 0.1, 0.2)
    cells = {(cell.dataset.kind, cell.angle, cell.n) for cell in sweep.cells()}
    assert cells == {("circle", None, 6), ("circle", None, 7), ("pairs", 0.1, 6), ("pairs", 0.2, 6)}
    assert len(list(sweep.excluded())) + len(cells) == np.prod(sweep.shape[:-2])


@pytest.mark.parametrize(
    "change", [{"name": "'other'"}, {"n": "[7]"}, {"d": "[9]"}, {"seeds": "3"}, {"width": "[40]"}]
)
def test_identity_does_not_depend_on_name_and_extents(make_sweep, change) -> None:
    assert make_sweep(**change).identity == make_sweep().identity


@pytest.mark.parametrize(
    "change",
    [
        {"entropy": "8"},
        {"experiment": "'spectrum'"},
        {"nested": "false"},
        {"activation": "'tanh'"},
        {"dataset": "{ kind = 'circle' }"},
    ],
)
def test_identity_depends_on_what_decides_a_value(make_sweep, change) -> None:
    assert make_sweep(**change).identity != make_sweep().identity


def test_the_identity_of_a_data_file_depends_on_its_numbers_only(make_sweep, tmp_path) -> None:
    rows = np.random.default_rng(0).standard_normal((20, 5))
    identities = []
    for name, values in (("a", rows), ("b", rows), ("c", rows + 1)):
        np.save(tmp_path / f"{name}.npy", values)
        table = f"{{ kind = 'file', path = '{name}.npy', normalise = true }}"
        identities.append(make_sweep(folder=tmp_path, dataset=table, d="[5]").identity)
    assert identities[0] == identities[1] != identities[2]


def test_a_data_file_gives_dimension_and_number_of_samples(make_sweep, tmp_path) -> None:
    np.save(tmp_path / "rows.npy", np.random.default_rng(0).standard_normal((10, 5)))
    table = "{ kind = 'file', path = 'rows.npy', normalise = true }"
    assert make_sweep(folder=tmp_path, dataset=table, n="[6]", d="[5]").d == (5,)
    with pytest.raises(SweepError, match="has 10 samples"):
        make_sweep(folder=tmp_path, dataset=table, d="[5]")
    with pytest.raises(SweepError, match="have 5 columns"):
        make_sweep(folder=tmp_path, dataset=table, n="[6]", d="[4]")
    with pytest.raises(SweepError, match="normalise = true"):
        make_sweep(
            folder=tmp_path,
            experiment="'theorem2-proof'",
            dataset="{ kind = 'file', path = 'rows.npy' }",
            n="[6]",
            d="[5]",
        )


def test_each_mistake_is_one_line(make_sweep) -> None:
    """A value that can have several types is reported once, not once per type."""
    for change in ({"width": "{ k_per_n = [-1.0] }"}, {"seeds": "0"}, {"width": "'wide'"}):
        with pytest.raises(SweepError) as refused:
            make_sweep(**change)
        assert "\n" not in str(refused.value), str(refused.value)
        assert "_Width" not in str(refused.value)


def test_a_range_of_k_has_whole_labels(make_sweep) -> None:
    sweep = make_sweep(width="{ k = { start = 11, stop = 40, num = 9 } }")
    assert sweep.width == sweep.k(3, 6) == (11, 13, 15, 18, 21, 25, 29, 34, 40)


def test_widths_in_units_of_d_do_not_depend_on_n(make_sweep) -> None:
    sweep = make_sweep(width="{ k_per_d = [1.1, 2.5] }")
    assert [sweep.k(d, n) for d in (10, 20) for n in (6, 12)] == [(11, 25)] * 2 + [(22, 50)] * 2
    even = make_sweep(experiment="'input'", width="{ k_per_d = [1.1] }")
    assert even.k(10, 6) == (12,)
