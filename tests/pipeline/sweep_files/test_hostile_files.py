"""A hostile sweep or profile is refused in one line, in seconds, and in little memory."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest

from pipeline.errors import SweepError
from pipeline.sweep_files.documents import BadDocument, read_document
from pipeline.sweep_files.extents import with_extents
from pipeline.sweep_files.load import bundled_sweeps, parse_sweep

pytestmark = pytest.mark.attack("hostile input")

NESTED = "n = " + "[" * 100_000 + "]" * 100_000


def listed(count: int) -> str:
    return str(list(range(1, count + 1)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (NESTED, "line 1: got lists or tables within more than 16 others"),
        ("# x\n" + "n = " + "{ a = " * 100_000, "line 2: got lists or tables within more than 16"),
        ("n = [" + "9" * 5000 + "]", "got a number of thousands of digits"),
        (".".join("a" * 200_000) + " = 1", "line 1: got a key of more than 16 parts"),
        (".".join(['"a"'] * 200_000) + " = 1", "line 1: got a key of more than 16 parts"),
        ("[" + " . ".join("a" * 200_000) + "]", "line 1: got a key of more than 16 parts"),
        ("".join(f"k{i}=1\n" for i in range(100_000)), "got 100000 keys, expected at most 1000"),
        ("".join(f"[k{i}]\n" for i in range(100_000)), "got 100000 keys, expected at most 1000"),
        ("n = [" + "0," * 500_000 + "]", "got 500000 values in lists, expected at most 200000"),
        ("n = [" + "[]," * 300_000 + "]", "got 300000 values in lists, expected at most 200000"),
        ('n = """' + '\\"""\n' * 200_000, "not valid TOML: Unterminated string"),
        ("a" * 500_000 + " = 1\n" + "a" * 500_000 + " = 1\n", "not valid TOML: Cannot overwrite"),
    ],
    ids=lambda value: f"{value[:12]!r}",
)
@pytest.mark.parametrize("kind", ["sweep", "profile"])
def test_a_hostile_text_is_refused_within_its_bounds(
    tmp_path, refused_at_once, text, message, kind
) -> None:
    file = tmp_path / "hostile.toml"
    file.write_text(text)
    line = refused_at_once(*command_on(file, kind))
    assert message in line
    assert "hostile.toml" in line


def command_on(file: Path, kind: str) -> list[object]:
    if kind == "sweep":
        return ["run", file, "-o", file.with_suffix(".zarr")]
    return ["run", "tiny", "-o", file.with_suffix(".zarr"), "--profile", file]


def pipe(path: Path) -> None:
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.mkdir()


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def terminal(path: Path) -> None:
    path.symlink_to("/dev/ptmx")


def four_million_keys(path: Path) -> None:
    path.write_text("".join(f"k{i}=1\n" for i in range(4_000_000)))


def a_terabyte(path: Path) -> None:
    path.touch()
    os.truncate(path, 2**40)


def loop(path: Path) -> None:
    path.symlink_to(path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (pipe, "got a named pipe, expected a file"),
        (folder, "got a folder, expected a file"),
        (endless, "got a device, expected a file"),
        (terminal, "got a device, expected a file"),
        (four_million_keys, "got 40.9 MiB, expected at most 1 MiB"),
        (a_terabyte, "got 1 TiB, expected at most 1 MiB"),
        (loop, "cannot be read (Too many levels of symbolic links)"),
    ],
)
@pytest.mark.parametrize("kind", ["sweep", "profile"])
def test_what_is_no_file_of_text_is_not_waited_for(
    tmp_path, refused_at_once, make, message, kind
) -> None:
    file = tmp_path / "hostile.toml"
    make(file)
    line = refused_at_once(*command_on(file, kind))
    assert f"{kind} {file}: {message}" in line


@pytest.mark.parametrize("file", bundled_sweeps().values(), ids=lambda file: file.stem)
def test_bounded_reading_gives_what_the_parser_gives(file: Path) -> None:
    assert read_document(file.read_text()) == tomllib.loads(file.read_text())


@pytest.mark.parametrize(
    "text",
    [
        'a = """x"""""\nb = [[1]]\nc = """"[[[[[[[[[[[[[[[[[[[[[["""\nd = \'\'\'\'\'[[[[\'\'\'\'\'\n',
        "a = '" + "[" * 50 + "'\n# " + "[" * 50 + "\n" + 'b = "\\"' + "{" * 50 + '"',
        "a = '" + "." * 50 + "'\n# " + "a." * 50 + "\nb = [" + "1.5, " * 50 + "]",
    ],
)
def test_brackets_and_dots_in_strings_and_comments_do_not_count(text: str) -> None:
    assert read_document(text) == tomllib.loads(text)


def test_a_text_that_is_too_long_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(BadDocument, match="letters of TOML, expected at most 1048576; shorten it"):
        read_document("#" * (2**20 + 1))


# ---- single values


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": f"'{'a' * 300}'"}, "expected at most 128 bytes, because the store is named after it"),
        ({"name": f"'{'é' * 100}'"}, "expected at most 128 bytes"),
        ({"name": '"a\\u001b[2J"'}, r"name: got 'a\x1b[2J', expected letters"),
        ({'"a\\nb\\u001b"': "1"}, r"'a\nb\x1b': unknown key"),
        ({"n": "[" + "9" * 4000 + "]"}, "n[0]: got a whole number of 13288 bits, expected 1000000 or"),
        ({"entropy": "0x" + "f" * 100_000}, "entropy: got a whole number of 400000 bits"),
        ({"width": "{ k_per_n = [1" + "0" * 400 + "] }"}, "expected a number of at most 308 digits"),
        ({"dataset": "{ kind = 'file', path = \"a\\u0000b\" }"}, "without control characters"),
        ({"dataset": "{ kind = 'file', path = \"a\\nb\" }"}, "without control characters"),
        ({"dataset": f"{{ kind = 'file', path = '{'a' * 300}.npy' }}"}, "(File name too long)"),
        ({"d": listed(50_000), "n": listed(50_000)}, "got 2500000000 combinations with 3 widths each"),
        ({"seeds": "10000000", "n": listed(100)}, "expected at most 1000000000 trials in all"),
        ({"d": "[" + "7," * 150_000 + "]"}, "d: 7 is listed twice"),
        ({"activation": "[" + "'relu'," * 100_000 + "]"}, "expected at most 100 values"),
        ({"activation": f"'{'x' * 900_000}'"}, "activation: got 'xxx"),
        ({"a" * 900_000: "1"}, "aaa: unknown key; known are name"),
        ({"dataset": "[" + "{ kind = 'sphere' }," * 500 + "]"}, "expected at most 100 values"),
        ({"dataset": "[{ kind = 3 }," + "{ kind = 'sphere' }," * 500 + "]"}, "[0].kind: got 3"),
        ({"n": "[1000000]"}, "n: a trial at d = 5, n = 1000000 needs 7.276 TiB of memory"),
        ({"d": "[2147483647]", "n": "[100]"}, "d = 2147483647, n = 100 needs 1.563 TiB of memory"),
        (
            {"experiment": "'output'", "n": "[1000]", "width": "[2147483646]"},
            "width: a trial at d = 5, n = 1000, k = 2147483646 needs 15.7",
        ),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_value_beyond_any_sense_is_refused(make_sweep, change, message) -> None:
    with pytest.raises(SweepError) as refused:
        make_sweep(**change)
    assert message in str(refused.value)
    assert len(str(refused.value)) < 1000


def test_of_very_many_problems_the_first_are_described_and_the_others_counted(make_sweep) -> None:
    with pytest.raises(SweepError, match="101 problems") as refused:
        make_sweep(n="[" + "0," * 100_000 + "]")
    assert [problem.key for problem in refused.value.problems[98:]] == ["n[98]", "n[99]", ""]
    assert refused.value.problems[-1].text == "and 99900 more; repair these first"


def test_extents_are_bounded_as_a_file_is(make_sweep) -> None:
    with pytest.raises(SweepError, match="n: a trial at d = 5, n = 1000000 needs"):
        with_extents(make_sweep(), n=[1_000_000])
    with pytest.raises(SweepError, match="width: got 500000 combinations with 3 widths each"):
        with_extents(make_sweep(), d=range(1, 250_001), n=[6, 12], width=[1.5, 2.0, 4.0])


def test_a_name_of_the_greatest_length_names_a_store(tmp_path, make_sweep) -> None:
    name = "é" * 64
    (tmp_path / f".{name}.zarr.{'0' * 32}.run.partial").mkdir()
    assert parse_sweep(make_sweep(name=f"'{name}'").text).name == name
