"""Tables fit into a real terminal, and stay whole where a program reads them."""

from __future__ import annotations

import shutil

import pytest

from jobs.output.tables import blocks

LINES = {
    "fit": ["fit", "{complete}", "{tanh}"],
    "status": ["status", "{complete}", "{tanh}"],
    "trials": ["query", "{complete}", "--limit", "3"],
    "columns": [
        "query",
        "{complete}",
        "--limit",
        "3",
        "--columns",
        "alpha,edge,sigma_min,sigma_max,seconds,status,1/alpha",
    ],
    "statistics": ["query", "{complete}", "--by", "n", "--stat", "quantile,mean,std,sem"],
    "refine": ["refine", "{complete}", "--to", "2%", "--dry-run"],
    "sweeps": ["sweeps"],
    "profiles": ["profiles"],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LINES)
def test_no_line_of_a_table_is_longer_than_the_terminal(
    terminal, complete, tanh, tmp_path, name
) -> None:
    line = [word.format(complete=complete.name, tanh=tanh.name) for word in LINES[name]]
    for store in (complete, tanh):
        shutil.copytree(store, tmp_path / store.name)
    _, narrow = terminal(*line, cwd=tmp_path, columns=80)
    tables = [text for text in narrow.splitlines() if not text.startswith("complete.zarr: ")]
    tables = [
        text for text in tables if not text.startswith(("the terminal is", "complete: ", "tanh: "))
    ]
    assert len(tables) > 2
    assert max(map(len, tables)) <= 80
    _, wide = terminal(*line, cwd=tmp_path, columns=400)
    assert max(map(len, wide.splitlines())) > 80


def test_a_table_that_a_program_reads_stays_whole(widthlaw, complete) -> None:
    lines = widthlaw("fit", complete).stdout.splitlines()
    assert max(map(len, lines)) > 100


def test_columns_that_do_not_fit_are_named(terminal, complete) -> None:
    _, output = terminal("query", complete, "--limit", 3, columns=80)
    told = [line for line in output.splitlines() if line.startswith("the terminal is too narrow for")]
    names = "message, seconds, alpha_error"
    assert told == [f"the terminal is too narrow for {names}; --columns selects, --csv has all"]
    assert output.splitlines()[1].endswith("status")
    _, output = terminal("query", complete, "n > 1000", columns=80)
    assert output.splitlines() == ["(no trial)"]


def test_every_block_starts_with_the_columns_that_identify_a_row() -> None:
    assert blocks([3, 4, 5, 6, 7], 2, 1, 15) == [[0, 1, 2], [0, 1, 3], [0, 1, 4]]
    assert blocks([3, 4, 5, 6, 7], 2, 1, 22) == [[0, 1, 2, 3], [0, 1, 4]]
    assert blocks([3, 4, 5, 6, 7], 2, 1, 21) == [[0, 1, 2, 3], [0, 1, 4]]
    assert blocks([3, 4, 5, 6, 7], 2, 1, 20) == [[0, 1, 2], [0, 1, 3], [0, 1, 4]]
    assert blocks([3, 90, 5], 1, 1, 20) == [[0, 1], [0, 2]]
    assert blocks([3, 4, 5], 1, 1, None) == [[0, 1, 2]]
