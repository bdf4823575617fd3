"""Keys that people try are answered with what the program does, not with a wrong nearest name."""

from __future__ import annotations

import pytest

from pipeline.errors import SweepError
from pipeline.sweep_files.answers import ANSWERS
from pipeline.sweep_files.load import parse_sweep
from pipeline.sweep_files.tables import DatasetTable, DescentTable, File, Range, Width

DESCENT = (
    'name = "a"\nexperiment = "input"\ndataset = { kind = "sphere" }\nd = 3\nn = 6\nwidth = [4]\n'
    "seeds = 2\n"
)


def refused(text: str) -> dict[str, str]:
    with pytest.raises(SweepError) as error:
        parse_sweep(text)
    return {problem.key: problem.text for problem in error.value.problems}


@pytest.mark.parametrize("place", ["", "[descent]\n"])
@pytest.mark.parametrize(
    ("key", "answer"),
    [
        ("batch_size", "write batch = 32"),
        ("optimizer", "write method ="),
        ("Adam", "write method ="),
        ("Learning-Rate", "write step_size in the table [descent]"),
        ("epochs", "write steps in the table [descent]"),
        ("criterion", "write loss ="),
        ("targets", "write a table: [labels]"),
        ("init", "write a table: [start]"),
        ("optimzer", "write method ="),
        ("seed", "entropy = 1 starts all random streams"),
    ],
)
def test_a_key_that_people_try_is_answered_with_what_the_program_does(place, key, answer) -> None:
    text = refused(f"{DESCENT}{place}{key} = 1\n")[f"descent.{key}" if place else key]
    assert text.startswith("unknown key: ")
    assert answer in text
    assert "did you mean" not in text


@pytest.mark.parametrize(
    ("lines", "key", "answer"),
    [
        ("steps = 5\n", "steps", "write it in the table [descent]"),
        ("k_per_n = [2.0]\n", "k_per_n", "write it in the table of the widths"),
        ("angle = 0.1\n", "angle", "write it in the table of a dataset"),
        ("[descent]\nnested = true\n", "descent.nested", "write it at the top of the file"),
        ("noise = 0.1\n", "noise", "write it in the table [labels]"),
        ("batch = 2\n", "batch", "write it in the table [descent]"),
        ("[descent]\ndepth = 2\n", "descent.depth", "write it at the top of the file"),
    ],
)
def test_a_key_of_another_table_is_answered_with_its_place(lines, key, answer) -> None:
    assert answer in refused(DESCENT + lines)[key]


@pytest.mark.parametrize(
    ("lines", "key", "nearest"),
    [("Seeds = 5\n", "Seeds", "seeds"), ("[descent]\nstepps = 5\n", "descent.stepps", "steps")],
)
def test_a_misspelt_key_still_gets_the_nearest_name(lines, key, nearest) -> None:
    assert f"did you mean {nearest!r}" in refused(DESCENT + lines)[key]


def test_a_range_without_its_unit_is_told_to_have_one() -> None:
    text = refused(DESCENT.replace("[4]", "{ start = 4, stop = 8, num = 2 }"))["width.start"]
    assert "write a range with its unit" in text


def test_a_key_within_a_range_gets_the_keys_of_a_range() -> None:
    text = DESCENT.replace("[4]", "{ k = { start = 4, stop = 8, num = 2, spacng = 'linear' } }")
    assert "did you mean 'spacing'" in refused(text)["width.k.spacng"]


def test_no_key_that_there_is_has_an_answer_and_every_answer_is_one_line() -> None:
    known = {*File.model_fields, *DescentTable.model_fields, *DatasetTable.model_fields}
    assert known & ANSWERS.keys() == {"start"}  # a table, and the start of a range without its unit
    assert set(Width.model_fields).isdisjoint(ANSWERS)
    assert set(Range.model_fields) <= set(ANSWERS)  # without a unit
    assert all("\n" not in text and len(text) < 100 for text in ANSWERS.values())
