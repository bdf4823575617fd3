"""Sub-grids, pairs and conditions of a sweep file: which trials they request, and what is refused."""

from __future__ import annotations

import itertools
import pickle
import subprocess
import sys

import numpy as np
import pytest

from pipeline.blocks import chunk_extents, cut_to_requests, estimated_seconds, tiles
from pipeline.errors import SweepError
from pipeline.selection import from_json, requested
from pipeline.sweep_files.extents import with_extents

GRIDS = "[{ d = [3], n = [6, 12] }, { d = [5, 8], n = [12, 20] }]"

NO_TOP = {"d": None, "n": None}


@pytest.fixture
def sweep_of(make_sweep):
    """A small sweep; keys that are None are left out."""

    def make(**keys):
        text = {key: "" if value is None else value for key, value in keys.items()}
        sweep = {key: value for key, value in text.items() if value}
        left_out = [key for key, value in keys.items() if value is None]
        return _parsed(make_sweep, sweep, left_out)

    return make


def _parsed(make_sweep, keys, left_out):
    from pipeline.sweep_files.load import parse_sweep

    from ...conftest import replaced

    lines = replaced(keys).split("\n")
    return parse_sweep("\n".join(line for line in lines if line.split(" = ")[0] not in left_out))


def points(sweep):
    """The requested trials as a set of (d, n, k, seed)."""
    wanted = requested(sweep)
    return {
        (cell.d, cell.n, cell.widths[w], sweep.seeds[s])
        for cell in sweep.cells()
        for w, s in np.argwhere(wanted[cell.index]).tolist()
    }


def all_points(d, n, ratios, seeds):
    return {(a, b, round(r * b), s) for a, b, r, s in itertools.product(d, n, ratios, range(seeds))}


RATIOS = (1.5, 2.0, 4.0)


def test_the_axes_are_the_unions_and_the_trials_those_of_the_sub_grids(sweep_of) -> None:
    sweep = sweep_of(grid=GRIDS, **NO_TOP)
    assert (sweep.d, sweep.n, sweep.axes) == ((3, 5, 8), (6, 12, 20), ("d", "n"))
    expected = all_points([3], [6, 12], RATIOS, 8) | all_points([5, 8], [12, 20], RATIOS, 8)
    assert points(sweep) == expected
    assert (sweep.trials, sweep.possible_trials) == (len(expected), 3 * 3 * 3 * 8)


def test_sub_grids_that_overlap_count_once(sweep_of) -> None:
    sweep = sweep_of(grid="[{ d = [3, 5], n = [6] }, { d = [3], n = [6, 12] }]", **NO_TOP)
    assert points(sweep) == all_points([3, 5], [6], RATIOS, 8) | all_points([3], [12], RATIOS, 8)


def test_a_key_at_the_top_holds_for_sub_grids_without_it(sweep_of) -> None:
    sweep = sweep_of(n="[6, 12]", d="[3]", grid="[{}, { n = [20], seeds = 2 }]")
    assert points(sweep) == all_points([3], [6, 12], RATIOS, 8) | all_points([3], [20], RATIOS, 2)


def test_sub_grids_have_widths_and_seeds_of_their_own(sweep_of) -> None:
    grids = (
        "[{ n = [6], width = { k_per_n = { start = 1.5, stop = 6.0, num = 3 } }, seeds = [0, 4] },"
        " { n = [12], width = { k_per_n = [2.0] }, seeds = 3 }]"
    )
    sweep = sweep_of(d="[3]", n=None, width=None, seeds=None, grid=grids)
    assert (sweep.width, sweep.seeds) == ((1.5, 2.0, 3.0, 6.0), (0, 1, 2, 4))
    first = {(3, 6, k, s) for k in (9, 18, 36) for s in (0, 4)}
    assert points(sweep) == first | {(3, 12, 24, s) for s in range(3)}


def test_pairs_go_together_place_by_place(sweep_of) -> None:
    sweep = sweep_of(pairs="{ d = [3, 5, 3], n = [6, 12, 20] }", **NO_TOP)
    expected = [all_points([d], [n], RATIOS, 8) for d, n in ((3, 6), (5, 12), (3, 20))]
    assert points(sweep) == set().union(*expected)


def test_pairs_can_name_k(sweep_of) -> None:
    sweep = sweep_of(pairs="{ n = [6, 12], width = [30, 20] }", d="[3]", n=None, width=None, seeds=1)
    assert points(sweep) == {(3, 6, 30, 0), (3, 12, 20, 0)}
    assert sweep.width_unit == "k"


def test_pairs_stand_in_every_sub_grid(sweep_of) -> None:
    sweep = sweep_of(
        pairs="{ d = [3, 5], n = [6, 12] }",
        grid="[{ width = { k_per_n = [2.0] } }, { width = { k_per_n = [3.0] }, seeds = 1 }]",
        **NO_TOP,
        width=None,
    )
    expected = {(d, n, 2 * n, s) for d, n in ((3, 6), (5, 12)) for s in range(8)}
    assert points(sweep) == expected | {(d, n, 3 * n, 0) for d, n in ((3, 6), (5, 12))}


def test_other_axes_than_sizes_stand_in_sub_grids_and_conditions(sweep_of) -> None:
    grids = "[{ activation = 'relu', n = [6] }, { activation = ['tanh', 'relu'], n = [12] }]"
    sweep = sweep_of(d="[3]", n=None, grid=grids, activation=None, seeds=1)
    assert sweep.activation == ("relu", "tanh")
    assert requested(sweep)[:, 0, :, 0, 0].tolist() == [[True, True], [False, True]]
    data = "[{ kind = 'gaussian' }, { kind = 'pairs', angle = [0.1, 0.2] }]"
    limited = sweep_of(dataset=data, experiment="'spectrum'", exclude='"angle == 0.2 and n > 6"')
    mask = requested(limited)
    at = dict(zip(limited.dims, range(mask.ndim), strict=True))
    assert limited.axes == ("dataset", "angle", "d", "n")
    late = np.take(np.take(mask, limited.angle.index(0.2), at["angle"]), 1, at["n"] - 1)
    assert not late.any()
    assert mask.sum() == mask.size * 5 // 6


@pytest.mark.parametrize(
    ("keys", "kept"),
    [
        ({"exclude": '"n > 3*d"'}, lambda d, n, k, s: n <= 3 * d),
        ({"only": '"k <= 2*n"'}, lambda d, n, k, s: k <= 2 * n),
        ({"only": '"k_per_n < 4"'}, lambda d, n, k, s: k < 4 * n),
        ({"only": '["n > 6", "k < 40"]'}, lambda d, n, k, s: n > 6 and k < 40),
        ({"exclude": '["d == 5", "seed >= 2"]'}, lambda d, n, k, s: d != 5 and s < 2),
        (
            {"only": '"seed < 4 or n == 6"', "exclude": '"d == 5 and k > 20"'},
            lambda d, n, k, s: (s < 4 or n == 6) and not (d == 5 and k > 20),
        ),
        ({"exclude": "\"activation == 'tanh' or n > 1e9\""}, lambda d, n, k, s: True),
    ],
)
def test_conditions_keep_the_trials_at_which_they_hold(sweep_of, keys, kept) -> None:
    sweep = sweep_of(**keys)
    everything = all_points([3, 5], [6, 12], RATIOS, 8)
    assert points(sweep) == {point for point in everything if kept(*point)}
    assert sweep.identity == sweep_of().identity


def test_what_is_excluded_has_no_block_no_time_and_no_cell(sweep_of) -> None:
    whole, part = sweep_of(), sweep_of(exclude='"n > 3*d"', only='"k <= 2*n"')
    assert estimated_seconds(part) < estimated_seconds(whole)
    smaller = with_extents(whole, n=[6], width=[1.5, 2.0])
    cells = [cell for cell in part.requested_cells() if cell.n == 6]
    assert [(c.d, c.widths) for c in cells] == [(c.d, c.widths) for c in smaller.cells()]
    assert {(cell.d, cell.n) for cell in part.requested_cells()} == {(3, 6), (5, 6), (5, 12)}
    one_cell = dict.fromkeys(part.axes, 1) | {"width": 3, "seed": 4}
    cut = list(cut_to_requests(part, tiles(part, one_cell)))
    assert len(cut) == 3 * 2
    assert len(list(tiles(part, one_cell))) == 4 * 2
    total = sum(tile.seconds for tile in cut)
    assert total == pytest.approx(estimated_seconds(part))


def test_a_long_diagonal_costs_what_its_trials_cost(sweep_of) -> None:
    d, n = list(range(2, 42)), list(range(20, 60))
    diagonal = sweep_of(pairs=f"{{ d = {d}, n = {n} }}", **NO_TOP, width="{ k_per_n = [2.0] }")
    alone = sweep_of(d="[41]", n=f"{n}", width="{ k_per_n = [2.0] }")
    assert (diagonal.trials, diagonal.possible_trials) == (40 * 8, 1600 * 8)
    assert estimated_seconds(diagonal) <= estimated_seconds(alone)
    made = chunk_extents(diagonal)
    assert len(list(cut_to_requests(diagonal, tiles(diagonal, made)))) <= 40


def test_a_condition_may_admit_sizes_that_no_machine_could_hold(sweep_of) -> None:
    huge = {"d": "[3, 1000000000]", "n": "[6, 1000000]", "width": "{ k = [20] }"}
    with pytest.raises(SweepError, match=r"needs .* of memory"):
        sweep_of(**huge)
    assert sweep_of(**huge, only='"n + d < 1e6"').trials == 8


def test_selections_survive_json_and_do_not_depend_on_the_process(sweep_of) -> None:
    sweep = sweep_of(grid=GRIDS, only='"k < 70"', **NO_TOP)
    again = from_json([selection.as_json() for selection in sweep.requests])
    assert again == sweep.requests
    code = (
        "import pickle, sys\n"
        "from pipeline.sweep_files.load import parse_sweep\n"
        "sys.stdout.buffer.write(pickle.dumps(parse_sweep(pickle.load(sys.stdin.buffer)).requests))"
    )
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            input=pickle.dumps(sweep.text),
            capture_output=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "PATH": "/usr/bin:/bin"},
        )
        assert pickle.loads(done.stdout) == sweep.requests


# ---- what is refused, in one line each


PLACES = ("{ d = [5], n = [20]%s }", "{ d = [10], n = [80]%s }")
"""Two sub-grids, for widths of their own."""

CLOSE = "{ kd_per_n = [1.0, 1.25] }"
"""Widths that differ at both, and are the same k at d = 10, n = 20."""


@pytest.mark.parametrize(
    "keys",
    [
        NO_TOP | {"grid": f"[{PLACES[0] % ''}, {PLACES[1] % ''}]", "width": CLOSE},
        {"d": "[5, 10]", "n": "[20, 80]", "only": "['n == 4 * d or n == 8 * d']", "width": CLOSE},
        NO_TOP
        | {
            "grid": f"[{PLACES[0] % ', width = { kd_per_n = [2.0, 4.0] }'}, "
            f"{PLACES[1] % ', width = { kd_per_n = [2.1, 3.0] }'}]",
            "width": None,
        },
    ],
)
def test_widths_must_differ_only_where_they_are_requested(sweep_of, keys) -> None:
    sweep = sweep_of(experiment='"input"', **keys)
    assert {(cell.d, cell.n) for cell in sweep.requested_cells()} == {(5, 20), (10, 80)}


def test_two_requested_widths_that_give_the_same_k_are_refused(sweep_of) -> None:
    with pytest.raises(
        SweepError, match=r"1 and 1\.1 both give k = 4 at d = 5, n = 20; expected distinct"
    ):
        sweep_of(
            **NO_TOP,
            experiment='"input"',
            grid=f"[{PLACES[0] % ''}, {PLACES[1] % ''}]",
            width="{ kd_per_n = [1.0, 1.1] }",
        )


@pytest.mark.parametrize(
    ("keys", "key", "words"),
    [
        ({"exclude": '"m > 3"'}, "exclude", "unknown name 'm'; known are activation, dataset, d, n, k"),
        ({"exclude": '"depth > 1"'}, "exclude", "unknown name 'depth'"),
        ({"only": '"n => 3"'}, "only", "column 3: => is not part of the language; write >="),
        ({"only": '"n"'}, "only", "'n' is not a condition; compare it with something"),
        ({"only": "3"}, "only", "got 3, expected text in quotes"),
        ({"only": '""'}, "only", "the expression is empty"),
        ({"exclude": '"n > 0"'}, "exclude", "leaves none of 96 trials, expected at least one"),
        ({"only": '"n < 0"', "exclude": '"d > 9"'}, "only", "leaves none of 96 trials"),
        ({"except": '"n > 3"'}, "except", "unknown key (did you mean 'exclude'?)"),
    ],
)
def test_a_bad_condition_is_refused(sweep_of, keys, key, words) -> None:
    refused(lambda: sweep_of(**keys), key, words)


@pytest.mark.parametrize(
    ("keys", "key", "words"),
    [
        (
            {"grid": "[{ d = [3], n = [6] }, { d = [5] }]", **NO_TOP},
            "grid[1].n",
            "missing, but grid[0] gives n; give it here too, or at the top",
        ),
        (
            {"grid": "[{ n = [6] }, { n = [12] }]", "n": "[9]"},
            "n",
            "never used, because every sub-grid gives its own; remove the key at the top",
        ),
        ({"grid": "[{ nn = [6] }]"}, "grid[0].nn", "unknown axis (did you mean 'n'?)"),
        ({"grid": "[{ k = [6] }]"}, "grid[0].k", "write width = { k = [20, 40] }"),
        ({"grid": "[{ only = 'n > 6' }]"}, "grid[0].only", "stands at the top of the file"),
        (
            {"grid": "[{ n = [6, 6] }]", "n": None},
            "grid[0].n",
            "6 is listed twice",
        ),
        ({"grid": "[{ parameters = { a = [[1]] } }]"}, "grid[0].a", "expected numbers or words"),
        ({"grid": "[{ parameters = { a = [1] } }]"}, "parameters", "conditioning takes no parameters"),
        ({"grid": "[{ n = [0] }]", "n": None}, "grid[0].n[0]", "got 0, expected 1 or more"),
        ({"grid": "[{ n = [] }]", "n": None}, "grid[0].n", "expected at least one value"),
        ({"grid": "{ n = [6] }", "n": None}, "grid", "expected tables [[grid]], in double brackets"),
        ({"grid": "[{ dataset = 'gauss' }]"}, "grid[0].dataset", "unknown axis"),
        (
            {"grid": "[{ width = { q = [1] } }]", "width": None},
            "grid[0].width.q",
            "unknown key; known are k, k_per_n, kd_per_n, k_per_d",
        ),
        (
            {"grid": "[{ width = { k_per_n = [2] } }, { width = [20] }]", "width": None},
            "grid[1].width",
            "got widths as k, but another sub-grid gives them as k_per_n",
        ),
        (
            {"grid": "[{ width = { k = [20] } }, {}]"},
            "width",
            "got widths as k_per_n, but sub-grids give them as k",
        ),
        (
            {"grid": "[{ width = { k_per_n = [2], k = [9] } }]", "width": None},
            "grid[0].width",
            "got k and k_per_n, expected exactly one",
        ),
        (
            {"pairs": "{ d = [3], n = [6, 12] }", **NO_TOP},
            "pairs",
            "got 1 of d, 2 of n, expected lists",
        ),
        ({"pairs": "{ d = [3] }", "d": None}, "pairs", "on two axes or more"),
        ({"pairs": "[[3, 6], [5, 12]]"}, "pairs", "expected a table such as"),
        (
            {"pairs": "{ n = [6], width = { k_per_n = [2] } }", "n": None, "width": None},
            "pairs.width",
            "expected a list of k",
        ),
        (
            {"pairs": "{ d = [3], n = [6] }", "grid": "[{ n = [6] }]", **NO_TOP},
            "pairs.n",
            "[[grid]] gives n too; remove it from one of them",
        ),
        ({"pairs": "{ d = [3, 5], n = [6, 12] }", "n": None}, "d", "never used"),
    ],
)
def test_bad_sub_grids_and_pairs_are_refused(sweep_of, keys, key, words) -> None:
    refused(lambda: sweep_of(**keys), key, words)


def refused(make, key, words) -> None:
    with pytest.raises(SweepError) as caught:
        make()
    problems = caught.value.problems
    assert [problem.key for problem in problems] == [key], problems
    assert words in problems[0].text
    assert len(str(caught.value).splitlines()) == 1
