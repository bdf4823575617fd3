"""CSV that a spreadsheet shows and does not run."""

from __future__ import annotations

import csv
import io

import pandas as pd
import pytest

from jobs.output.spreadsheet import cell, write_frame, write_rows

pytestmark = pytest.mark.attack("terminal escapes")


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("=HYPERLINK(\"http://x\")", "'=HYPERLINK(\"http://x\")"),
        ("+1+cmd|' /C calc'!A0", "'+1+cmd|' /C calc'!A0"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1+1", r"'\t=1+1"),
        ("\r=1+1", r"'\r=1+1"),
        (" =1+1", "' =1+1"),
        ("＝1+1", "'＝1+1"),
        ("a\x1b[31m\nb", r"a\x1b[31m\nb"),
        ("-1.5", "-1.5"),
        ("-inf", "-inf"),
        ("-", "-"),
        ("sigma_min", "sigma_min"),
        ("", ""),
        (-1.5, -1.5),
        (True, True),
        (None, None),
    ],
)  # fmt: skip
def test_text_never_runs_and_numbers_stay(value, written) -> None:
    assert cell(value) == written


def test_cells_and_headers_of_rows_and_frames_are_safe_and_numbers_exact() -> None:
    frame = pd.DataFrame({"=a": ["=b", "c"], "x": [-0.1, 1 / 3], "mixed": ["-2+3", None]})
    expected = "'=a,x,mixed\n'=b,-0.1,'-2+3\nc,0.3333333333333333,\n"
    text = io.StringIO()
    write_frame(frame, text)
    assert text.getvalue() == expected
    text = io.StringIO()
    write_rows(list(frame), [["=b", -0.1, "-2+3"], ["c", 1 / 3, None]], text)
    assert text.getvalue() == expected
    assert list(frame) == ["=a", "x", "mixed"]
    assert frame["=a"][0] == "=b"


@pytest.mark.parametrize("given", [["--csv"], ["-o", "q.csv"]])
def test_a_message_of_a_store_is_no_formula(tmp_path, make_sweep, widthlaw, monkeypatch, given) -> None:
    import zarr

    import pipeline
    from pipeline.trial_status import Status

    monkeypatch.chdir(tmp_path)
    pipeline.run(make_sweep(), "a.zarr")
    group = zarr.open_group("a.zarr", mode="r+")
    group["status"][:], group["message"][:] = Status.FAILED, "=1+1\nnext"
    line = ["a.zarr", "status == 'failed'", "--columns", "message", "--limit", 1, *given]
    told = widthlaw("query", *line)
    text = (tmp_path / "q.csv").read_text() if "-o" in given else told.stdout
    assert [row[-1] for row in csv.reader(text.splitlines())] == ["message", r"'=1+1\nnext"]
