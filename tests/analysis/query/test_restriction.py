"""A restricted store has the trials that meet a condition, and no others were requested."""

from __future__ import annotations

import numpy as np
import pytest

import pipeline
from analysis import critical_widths, open_store, select
from analysis.expressions import QueryError
from analysis.query.restriction import restrict
from pipeline.trial_status import Status


@pytest.fixture(scope="module")
def ds(tmp_path_factory, make_sweep):
    path = tmp_path_factory.mktemp("restricted") / "a.zarr"
    width = "{ k_per_n = { start = 1.1, stop = 8.0, num = 6 } }"
    pipeline.run(make_sweep(d="[4, 6]", n="[8, 12]", seeds=8, width=width), path)
    return open_store(path).load()


def test_values_of_an_axis_without_such_a_trial_are_left_out(ds) -> None:
    part = restrict(ds, "d == 4 and seed < 3")
    assert dict(part.sizes) == dict(ds.sizes) | {"d": 1, "seed": 3}
    assert (part.status == Status.DONE).all()


def test_the_trials_are_those_that_select_lists(ds) -> None:
    for condition in ("sigma_min > 1.5", "k < 20 and n == 12", "n == 8 or k > 30"):
        part = restrict(ds, condition)
        assert int((part.status == Status.DONE).sum()) == len(select(ds, condition)) > 0
        others = part.status.values[part.status.values != Status.DONE]
        assert set(np.unique(others)) <= {Status.NOT_REQUESTED}


def test_critical_widths_of_a_part_are_those_of_the_whole_there(ds) -> None:
    whole = critical_widths(ds).sel(d=[6])
    np.testing.assert_array_equal(critical_widths(restrict(ds, "d == 6")).k50, whole.k50)


def test_no_condition_keeps_the_store(ds) -> None:
    assert restrict(ds, None).status.identical(ds.status)


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("n == 7", "'n == 7' holds for no trial; n has 8, 12"),
        ("sigma_min < 0", "'sigma_min < 0' holds for no trial"),
        ("q == 1", "unknown name 'q'"),
        ("n + 1", "is not a condition"),
    ],
)
def test_a_condition_that_selects_nothing_is_refused(ds, condition, words) -> None:
    with pytest.raises(QueryError) as refused:
        restrict(ds, condition)
    assert words in str(refused.value)
