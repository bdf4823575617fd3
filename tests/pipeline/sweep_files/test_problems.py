"""Problems are found by their keys: no check depends on the wording of another one's message."""

from __future__ import annotations

import pickle

import pytest

from pipeline.errors import Problem, SweepError
from pipeline.sweep_files import load, toml
from pipeline.sweep_files.extents import with_extents
from pipeline.sweep_files.load import bundled_sweeps, load_sweep

FAULTY = [
    (
        {"activation": "[1, 'relux']", "experiment": "'cond'"},
        ["activation[0]", "activation[1]", "experiment"],
    ),
    ({"experiment": "'output'", "depth": "2", "trained": "'bth'"}, ["depth", "trained"]),
    ({"experiment": "'joint'", "trained": "'bth'", "seeds": "0"}, ["seeds", "trained"]),
    ({"experiment": "'input'", "activation": "'cos'", "n": "0"}, ["activation", "n"]),
    (
        {"experiment": "'theorem2-proof'", "dataset": "{ kind = 'gaussian' }", "n": "[0]"},
        ["dataset", "n[0]"],
    ),
    ({"dataset": "{ kind = 'pairs', angle = 1 }", "n": "7", "seeds": "0"}, ["n", "seeds"]),
    ({"dataset": "{ kind = 'pairs', angle = [4, 4] }"}, ["dataset.angle"]),
    ({"dataset": "{ kind = 'circle' }", "d": "1", "n": "0"}, ["d", "n"]),
    ({"dataset": "{ kind = 'file', path = 'none.npy' }", "d": "[0]"}, ["d[0]", "dataset.path"]),
    ({"width": "{ k_per_n = [0.01] }", "seeds": "[1, 1]"}, ["seeds", "width"]),
    ({"width": "{ k_per_n = [2.0, 2.01] }", "d": "[3, 3]"}, ["d"]),
    ({"width": "{ k = [3, 3] }", "n": "[6, 6]"}, ["n", "width.k"]),
    (
        {"experiment": "'output'", "descent": "{ steps = -1, tolerances = 2 }"},
        ["descent.steps", "descent.tolerances"],
    ),
    ({"descent": "{ steps = -1 }", "_foo": "1"}, ["_foo", "descent", "descent.steps"]),
]


@pytest.fixture
def reworded(monkeypatch) -> None:
    """Replace the text of every problem."""
    for module in (toml, load):
        monkeypatch.setattr(module, "Problem", lambda key, text: Problem(key, "x"))


def keys_of(make_sweep, change) -> list[str]:
    with pytest.raises(SweepError) as refused:
        make_sweep(**change)
    return sorted({problem.key for problem in refused.value.problems})


@pytest.mark.parametrize(("change", "keys"), FAULTY)
def test_a_faulty_file_is_refused_with_these_keys(make_sweep, change, keys) -> None:
    assert keys_of(make_sweep, change) == keys


@pytest.mark.parametrize(("change", "keys"), FAULTY)
@pytest.mark.usefixtures("reworded")
def test_the_keys_do_not_depend_on_the_texts(make_sweep, change, keys) -> None:
    assert keys_of(make_sweep, change) == keys


@pytest.mark.usefixtures("reworded")
def test_the_message_is_made_of_the_texts(make_sweep) -> None:
    with pytest.raises(SweepError) as refused:
        make_sweep(seeds="0", n="[-1]")
    assert str(refused.value) == "sweep: 2 problems\n  n[0]: x\n  seeds: x"


def test_sound_files_load_whatever_the_texts(request) -> None:
    sweeps = [load_sweep(name) for name in bundled_sweeps()]
    request.getfixturevalue("reworded")
    assert [load_sweep(name) for name in bundled_sweeps()] == sweeps


@pytest.mark.parametrize(
    ("extents", "keys"),
    [
        ({"n": [0], "seeds": [-1]}, ["n", "seeds"]),
        ({"d": []}, ["d"]),
        ({"width": [0]}, ["width"]),
        ({"width": [2.0, 2.01]}, ["width"]),
        ({"n": [1.5]}, ["n"]),
    ],
)
def test_extents_are_checked_as_a_file_is(make_sweep, extents, keys) -> None:
    with pytest.raises(SweepError) as refused:
        with_extents(make_sweep(width="{ k_per_n = [2.0, 3.0] }"), **extents)
    assert [problem.key for problem in refused.value.problems] == keys


def test_a_syntax_error_is_a_problem_of_the_whole_file() -> None:
    with pytest.raises(SweepError) as refused:
        load.parse_sweep("n = [1,")
    assert [problem.key for problem in refused.value.problems] == [""]


def test_problems_survive_the_way_to_a_worker(make_sweep) -> None:
    with pytest.raises(SweepError) as refused:
        make_sweep(n="[-1]")
    there = pickle.loads(pickle.dumps(refused.value))
    assert str(there) == str(refused.value)
    assert there.problems == refused.value.problems
