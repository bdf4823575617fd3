"""A file of one's own rows becomes a sweep around the predicted width, whatever its name."""

from __future__ import annotations

import numpy as np
import pytest

from jobs.own_rows import OwnRows
from pipeline.errors import InputError
from pipeline.sweep_files.load import parse_sweep


@pytest.fixture
def rows(tmp_path):
    """Sixty random rows of five numbers, none of unit norm."""
    path = tmp_path / "rows.npy"
    np.save(path, 3 * np.random.default_rng(0).standard_normal((60, 5)))
    return path


def test_the_first_widths_are_around_the_prediction(rows) -> None:
    sweep = OwnRows(rows, 20, "relu").sweep(0.5)
    low, high = sweep.width[0], sweep.width[-1]
    assert 20 < low < 80 < high * 2
    assert sweep.k(5, 20) == sweep.width


def test_any_name_of_the_file_is_kept(rows, tmp_path) -> None:
    other = rows.rename(tmp_path / "rows[1].npy")
    assert OwnRows(other, 20, "relu").sweep(0.5).dataset[0].path == str(other)


def test_a_long_name_of_the_file_gives_a_short_name(rows, tmp_path) -> None:
    other = rows.rename(tmp_path / f"{'é' * 120}.npy")
    assert OwnRows(other, 20, "relu").sweep(0.5).name == f"width-{'é' * 30}"


@pytest.mark.parametrize("name", ["a\nb.npy", "a\x7fb.npy", "a\udce9b.npy"])
def test_a_name_that_is_no_text_is_refused(rows, tmp_path, name) -> None:
    with pytest.raises(InputError, match="in UTF-8 and without control characters"):
        OwnRows(rows.rename(tmp_path / name), 20, "relu").sweep(0.5)


def test_a_csv_file_gives_the_same_widths(rows, tmp_path) -> None:
    np.savetxt(tmp_path / "rows.csv", np.load(rows), delimiter=",", header="a,b,c,d,e", comments="")
    npy, csv = (OwnRows(tmp_path / name, 20, "tanh").sweep(0.5) for name in ("rows.npy", "rows.csv"))
    assert npy.width == csv.width


def test_the_text_of_the_sweep_is_the_sweep(rows) -> None:
    for own in (OwnRows(rows, 20, "relu"), OwnRows(rows, 20, "square", ("0", "3", "4"), ("4",))):
        sweep = own.sweep(0.5)
        assert parse_sweep(sweep.text) == sweep


def test_a_draw_is_that_of_the_trials_with_the_same_seed(rows) -> None:
    own = OwnRows(rows, 20, "relu", drop=("2",))
    assert own.draw(3).shape == (20, 4)
    np.testing.assert_allclose(np.linalg.norm(own.draw(3), axis=1), 1)
    assert not np.array_equal(own.draw(3), own.draw(4))
