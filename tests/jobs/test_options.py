"""Options that several commands share."""

from __future__ import annotations

import click
import pytest

from jobs.options import WholeRange


@pytest.mark.parametrize(
    ("text", "number"), [("1e5", 100_000), ("2.5E+3", 2500), ("7", 7), (" 1e2 ", 100), (12, 12)]
)
def test_a_whole_number_may_be_written_with_an_exponent(text, number) -> None:
    assert WholeRange(min=0).convert(text, None, None) == number


@pytest.mark.parametrize(
    "text", ["1e-2", "1.5e0", "1e400", "1e999", "1e17", "1.5", "e5", "1..2e3", "nan", "-1e2"]
)
def test_what_is_no_whole_number_of_the_range_is_refused(text) -> None:
    with pytest.raises(click.BadParameter):
        WholeRange(min=0).convert(text, None, None)
