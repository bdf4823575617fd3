"""A hostile data file is refused in one line, in seconds, and in little memory; others are read."""

from __future__ import annotations

import hashlib
import os
import struct
import warnings
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import DataError, SweepError
from pipeline.numerics.data_files import LONGEST_LINE, read_rows, rows_digest


def npy(path: Path, header: str, content: bytes = b"", version: int = 1) -> None:
    """Write a .npy file with a header of one's own."""
    text = header.encode() + b" " * (-len(header) % 64) + b"\n"
    size = struct.pack("<H" if version == 1 else "<I", len(text))
    path.write_bytes(b"\x93NUMPY" + bytes([version, 0]) + size + text + content)


def header(shape: str, descr: str = "<f8") -> str:
    return f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}"


def claims_petabytes(path: Path) -> None:
    npy(path, header("(1000000000, 1000000)"))


def claims_petabytes_in_version_2(path: Path) -> None:
    npy(path, header("(1000000000, 1000000)"), version=2)


def negative(path: Path) -> None:
    npy(path, header("(-1, -5)"), bytes(40))


def truth_values(path: Path) -> None:
    npy(path, header("(True, True)"), bytes(8))


def without_size(path: Path) -> None:
    npy(path, header("(1000000000, 1000000)", "|V0"))


def unknown_version(path: Path) -> None:
    npy(path, header("(1, 1)"), version=9)


def a_thousand_signs(path: Path) -> None:
    npy(path, "-" * 9000 + "1")


def brackets(path: Path) -> None:
    npy(path, "(" * 9000)


def unfinished(path: Path) -> None:
    npy(path, "{'descr': '<f8', 'x")


def with_a_hole(path: Path) -> None:
    """A file of few blocks on the disk, and of 8 TiB to its readers."""
    npy(path, header("(1000000, 1000000)"))
    os.truncate(path, 2**43)


def more_than_memory(path: Path) -> None:
    """A gigabyte of bytes, which are eight of numbers."""
    npy(path, header("(1024, 1048576)", "|u1"))
    os.truncate(path, 2**30 + 512)


def one_line(path: Path) -> None:
    path.write_bytes(b"1," * 2**26)


def one_quote(path: Path) -> None:
    path.write_text('"' + "1,1\n" * 10**6)


def one_sample_on_many_lines(path: Path) -> None:
    path.write_text('"\n",' * 2 * 10**6)


def many_lines(path: Path) -> None:
    path.write_text("0\n" * (10**7 + 1))


def many_lines_of_old(path: Path) -> None:
    path.write_text("0\r" * (10**7 + 1), newline="")


def a_long_word(path: Path) -> None:
    path.write_text("1,2\n3," + "x" * 10**5 + "\n")


def a_terabyte(path: Path) -> None:
    path.touch()
    os.truncate(path, 2**40)


def pipe(path: Path) -> None:
    os.mkfifo(path)


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def folder(path: Path) -> None:
    path.mkdir()


HOSTILE = [
    (claims_petabytes, "npy", "in 7.105 PiB, but 0 bytes follow"),
    (claims_petabytes_in_version_2, "npy", "in 7.105 PiB, but 0 bytes follow"),
    (negative, "npy", "got an array of shape (-1, -5), expected (samples, d)"),
    (truth_values, "npy", "got an array of shape (True, True), expected (samples, d)"),
    (without_size, "npy", "got |V0 values, expected real numbers"),
    (unknown_version, "npy", "its header cannot be read"),
    (a_thousand_signs, "npy", "its header cannot be read"),
    (brackets, "npy", "its header cannot be read"),
    (unfinished, "npy", "its header cannot be read"),
    (with_a_hole, "npy", "got 8 TiB, expected at most 16 GiB"),
    (more_than_memory, "npy", "got more numbers than this process has memory for"),
    (one_line, "csv", f"line 1: got a sample of more than {LONGEST_LINE} letters"),
    (one_quote, "csv", "field larger than field limit"),
    (one_sample_on_many_lines, "csv", "got a sample of more than"),
    (many_lines, "csv", "got more than 10000000 lines"),
    (many_lines_of_old, "csv", "got more than 10000000 lines"),
    (a_long_word, "csv", "line 2: got 'xxx"),
    (a_terabyte, "csv", "got 1 TiB, expected at most 256 MiB"),
    (pipe, "csv", "got a named pipe, expected a file"),
    (pipe, "npy", "got a named pipe, expected a file"),
    (endless, "npy", "got a device, expected a file"),
    (folder, "csv", "got a folder, expected a file"),
]


@pytest.mark.attack("hostile input")
@pytest.mark.parametrize(("make", "ending", "message"), HOSTILE)
def test_a_hostile_data_file_is_refused_within_its_bounds(
    tmp_path, write_sweep, refused_at_once, make, ending, message
) -> None:
    data = tmp_path / f"rows.{ending}"
    make(data)
    file = write_sweep(dataset=f"{{ kind = 'file', path = '{data.name}' }}", d="[5]")
    line = refused_at_once("run", file, "-o", tmp_path / "a.zarr")
    assert f"dataset.path: data file {data.resolve()}" in line
    assert message in line


@pytest.mark.attack("hostile input")
@pytest.mark.parametrize(("make", "ending", "message"), HOSTILE)
def test_a_hostile_file_of_labels_is_refused_within_its_bounds(
    tmp_path, write_sweep, refused_at_once, make, ending, message
) -> None:
    labels = tmp_path / f"labels.{ending}"
    make(labels)
    np.save(tmp_path / "rows.npy", np.eye(8, 3))
    file = write_sweep(
        experiment="'input'",
        dataset="{ kind = 'file', path = 'rows.npy' }",
        d="[3]",
        n="[4]",
        labels=f"{{ kind = 'file', path = '{labels.name}' }}",
    )
    line = refused_at_once("run", file, "-o", tmp_path / "a.zarr")
    assert f"labels.path: data file {labels.resolve()}" in line
    assert message in line


def test_squares_that_overflow_leak_no_warning(tmp_path, make_sweep) -> None:
    (tmp_path / "rows.csv").write_text("1e308,1e308\n-1e308,1e308\n")
    data = {"dataset": "{ kind = 'file', path = 'rows.csv' }", "d": "[2]", "n": "[2]"}
    data["experiment"] = "'theorem2-proof'"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(SweepError, match="requires rows of unit norm"):
            make_sweep(tmp_path, **data)
        normalised = data | {"dataset": "{ kind = 'file', path = 'rows.csv', normalise = true }"}
        assert make_sweep(tmp_path, **normalised).d == (2,)


def test_a_line_just_within_the_bound_is_read(tmp_path) -> None:
    path = tmp_path / "rows.csv"
    numbers = LONGEST_LINE // 2 - 1
    path.write_text(",".join("7" * numbers) + "\n")
    rows = read_rows(str(path))
    assert rows.shape == (1, numbers)
    assert (rows == 7).all()


def test_every_line_of_a_file_longer_than_the_bound_of_a_sample_is_read(tmp_path) -> None:
    path = tmp_path / "rows.csv"
    rows = np.arange(600_000.0).reshape(-1, 2)
    np.savetxt(path, rows, delimiter=",", fmt="%.17g")
    with path.open("a") as file:
        file.write("\n" * 10)
    assert path.stat().st_size < LONGEST_LINE
    with path.open("a") as file:
        np.savetxt(file, rows, delimiter=",", fmt="%.17g")
    assert path.stat().st_size > LONGEST_LINE
    np.testing.assert_array_equal(read_rows(str(path)), np.vstack([rows, rows]))


@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_both_versions_of_the_format_are_read(tmp_path, version, order) -> None:
    rows = np.asarray(np.random.default_rng(0).standard_normal((7, 3)), order=order)
    with (tmp_path / "rows.npy").open("wb") as file:
        np.lib.format.write_array(file, rows, version=version)
    found = read_rows(str(tmp_path / "rows.npy"))
    np.testing.assert_array_equal(found, rows)
    assert found.flags.c_contiguous


def test_the_digest_of_rows_is_the_hash_of_their_shape_and_bytes() -> None:
    """Stores keep it: it must stay what it was when they were made."""
    rows = np.arange(6.0).reshape(2, 3)
    assert rows_digest(rows) == hashlib.sha256(b"(2, 3)" + rows.tobytes()).hexdigest()


def test_the_first_number_that_is_not_finite_is_named(tmp_path) -> None:
    rows = np.ones((4, 3))
    rows[1, 2] = rows[3, 0] = np.nan
    np.save(tmp_path / "rows.npy", rows)
    with pytest.raises(DataError, match="sample 1, column 2 is nan"):
        read_rows(str(tmp_path / "rows.npy"))
