"""Columns of a data file: their names, which of them are read, which look like an index or a label."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipeline.errors import DataError, SweepError
from pipeline.numerics.columns import names_of, suspects
from pipeline.numerics.data_files import read_rows, read_table

X = np.random.default_rng(0).standard_normal((30, 4))


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("a,b,c", ("a", "b", "c")),
        (" a , b ", ("a", "b")),
        (",a,b", ("index", "a", "b")),
        ("0,1,2", ("0", "1", "2")),
        (",0,1,2", ("index", "0", "1", "2")),
        ("0,1", ()),
        ("1,2,3", ()),
        (",2,3", ()),
        ("a,2,3", ()),
        ("1.5", ()),
    ],
)
def test_a_first_line_is_names_or_a_sample(line, names) -> None:
    assert names_of(line.split(",")) == names


def frame() -> pd.DataFrame:
    return pd.DataFrame(X, columns=["a", "b", "c", "d"])


def test_what_pandas_writes_is_read_with_its_index_as_a_column(tmp_path) -> None:
    frame().to_csv(tmp_path / "a.csv")
    table = read_table(str(tmp_path / "a.csv"))
    assert table.names == ("index", "a", "b", "c", "d")
    assert [(one.column, one.what) for one in suspects(table.rows, table.names)] == [("index", "index")]
    without = read_table(str(tmp_path / "a.csv"), drop=("index",))
    assert (without.names, without.columns) == (("a", "b", "c", "d"), 5)
    np.testing.assert_array_equal(without.rows, X)


@pytest.mark.parametrize(
    ("columns", "drop", "kept"),
    [
        ((), (), [0, 1, 2, 3]),
        (("c", "a"), (), [0, 2]),
        ((), ("b",), [0, 2, 3]),
        (("0", "3"), (), [0, 3]),
        (("a", "b"), ("b",), [0]),
    ],
)
def test_columns_are_chosen_by_name_or_number(tmp_path, columns, drop, kept) -> None:
    frame().to_csv(tmp_path / "a.csv", index=False)
    np.save(tmp_path / "a.npy", X)
    np.testing.assert_array_equal(read_rows(str(tmp_path / "a.csv"), columns, drop), X[:, kept])
    numbers = [tuple(str("abcd".find(name)) if name in "abcd" else name for name in given)
               for given in (columns, drop)]  # fmt: skip
    np.testing.assert_array_equal(read_rows(str(tmp_path / "a.npy"), *numbers), X[:, kept])


def test_a_column_of_words_is_no_obstacle_once_it_is_left_out(tmp_path) -> None:
    frame().assign(species="setosa").to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(DataError, match=r"line 2: got 'setosa', .* column 'species'; .* leave the col"):
        read_rows(str(tmp_path / "a.csv"))
    np.testing.assert_array_equal(read_rows(str(tmp_path / "a.csv"), drop=("species",)), X)


@pytest.mark.parametrize(
    ("columns", "drop", "message"),
    [
        (("e",), (), "has no column 'e'; it has columns 0 to 3, named a, b, c, d"),
        ((), ("4",), "has no column '4'"),
        ((), ("-1",), "has no column '-1'"),
        ((), ("a", "b", "c", "d"), "no column is left"),
    ],
)
def test_a_column_that_is_not_there_is_refused(tmp_path, columns, drop, message) -> None:
    frame().to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(DataError, match=message):
        read_rows(str(tmp_path / "a.csv"), columns, drop)


def test_a_name_that_two_columns_have_is_refused_with_their_numbers(tmp_path) -> None:
    (tmp_path / "a.csv").write_text("x,y,x\n1,2,3\n")
    with pytest.raises(DataError, match="2 columns are named 'x'; give their numbers"):
        read_rows(str(tmp_path / "a.csv"), ("x",))
    assert read_rows(str(tmp_path / "a.csv"), ("2",)).tolist() == [[3.0]]


LABELS = np.arange(30)[:, None] % 3
COUNTED = np.arange(7, 37)[:, None]


@pytest.mark.parametrize(
    ("rows", "names", "found"),
    [
        (X, (), []),
        (np.hstack([X, LABELS]), (), [("4", "label")]),
        (np.hstack([LABELS, X]), (), [("0", "label")]),
        (np.hstack([X[:, :2], LABELS, X[:, 2:]]), (), []),  # neither first nor last
        (np.hstack([COUNTED, X, LABELS]), (), [("0", "index"), ("5", "label")]),
        (np.hstack([X, COUNTED]), (), [("4", "index")]),
        (np.hstack([X, LABELS, LABELS]), (), []),  # not the only one of whole numbers
        (np.rint(9 * X), (), []),  # all are whole, as the pixels of an image
        (X, ("a", "b", "Target", "d"), [("Target", "label")]),
        (X, ("ID", "b", "c", "d"), [("ID", "index")]),
        (COUNTED, (), []),  # the only column there is
    ],
)
def test_an_index_and_a_label_are_recognised(rows, names, found) -> None:
    assert [(one.column, one.what) for one in suspects(rows, names)] == found


def test_a_sweep_takes_columns_likewise_and_they_decide_its_identity(tmp_path, make_sweep) -> None:
    frame().assign(label=1).to_csv(tmp_path / "a.csv", index=False)
    np.save(tmp_path / "b.npy", X)

    def sweep(keys: str):
        dataset = f"{{ kind = 'file', normalise = true, {keys} }}"
        return make_sweep(tmp_path, dataset=dataset, d="[4]")

    dropped = sweep("path = 'a.csv', drop = ['label']")
    assert dropped.identity == sweep("path = 'a.csv', columns = [0, 1, 'c', 'd']").identity
    assert dropped.identity == sweep("path = 'b.npy'").identity
    with pytest.raises(SweepError, match="have 5 columns"):
        sweep("path = 'a.csv'")
    with pytest.raises(SweepError, match=r"drop\[0\]: got 1.5, expected the name of a column"):
        sweep("path = 'a.csv', drop = [1.5]")
    with pytest.raises(SweepError, match='columns and drop are keys of kind = "file"'):
        make_sweep(dataset="{ kind = 'sphere', drop = ['label'] }")
