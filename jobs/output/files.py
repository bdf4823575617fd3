"""Files that a command writes for its user: where one may be made, and which one may be replaced.

One rule holds for every command. The folder of a file must exist already. A file that exists is
refused, unless it carries the mark of widthlaw, as figures and reports do, or --overwrite is given.
A caption (.txt) ends in a line that is its mark. Tables (.csv, .json, .parquet) carry no mark: they
are for other programs.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import fill

import click

from pipeline.errors import CommandError, InputError

__all__ = ["check_outputs", "draft_of", "make_folder", "overwrite_option", "write_text"]

MARKS = {
    ".png": b"Creator\0widthlaw",
    ".svg": b"<dc:title>widthlaw</dc:title>",
    ".pdf": b"/Creator (widthlaw)",
    ".txt": b"\nDrawn by widthlaw ",
    ".html": b'<meta name="generator" content="widthlaw ',
    ".htm": b'<meta name="generator" content="widthlaw ',
}
"""Bytes by which a file of widthlaw is known, near its start or its end, by the file's ending."""

LINE = 78
"""Letters of a line of a caption."""

NEAR = 4096
"""Number of bytes from the start and from the end of a file among which a mark lies."""


def overwrite_option(command: Callable[..., None]) -> Callable[..., None]:
    """Add --overwrite; the command gets `overwrite`."""
    return click.option(
        "--overwrite",
        is_flag=True,
        help="Replace an existing file, even one that widthlaw did not make.",
    )(command)


def check_outputs(where: str, files: Iterable[Path], overwrite: bool) -> None:
    """Refuse files that a command may not write, before it computes anything.

    Parameters
    ----------
    where
        The command and its option, for messages, such as `plot -o`.
    files
        The files.
    overwrite
        Whether files of others may be replaced.

    Raises
    ------
    CommandError
        The folder of a file does not exist, or a file exists that widthlaw did not make.
    """
    for file in files:
        if not file.parent.exists():
            raise CommandError(
                f"{where} {file}: the folder {file.parent} does not exist; make it, or give "
                "a file in another folder"
            )
        if not overwrite and file.exists() and not _is_marked(file):
            raise CommandError(
                f"{where} {file}: the file exists already{_unmarked(file)}; give another name, or "
                "replace it with --overwrite"
            )


def make_folder(where: str, folder: Path) -> None:
    """Make a folder in one that exists, unless it is there; no other folder is made.

    Raises
    ------
    CommandError
        The folder around it does not exist, or takes no folder.
    """
    if folder.exists():
        return
    if not folder.parent.exists():
        raise CommandError(
            f"{where} {folder}: the folder {folder.parent} does not exist; make it, or give "
            "another folder"
        )
    try:
        folder.mkdir()
    except OSError as error:
        raise CommandError(
            f"{where} {folder}: cannot be made ({error.strerror}); give a writable folder"
        ) from None


def _unmarked(file: Path) -> str:
    return ", and widthlaw did not make it" if file.suffix.lower() in MARKS else ""


def _is_marked(file: Path) -> bool:
    """Return True if a regular file has the mark of widthlaw."""
    mark = MARKS.get(file.suffix.lower())
    if mark is None or not file.is_file():
        return False
    try:
        with file.open("rb") as stream:
            start = stream.read(NEAR)
            stream.seek(max(0, file.stat().st_size - NEAR))
            return mark in start or mark in stream.read(NEAR)
    except OSError:
        return False


@contextmanager
def draft_of(where: str, file: Path) -> Iterator[Path]:
    """Yield a temporary path; its file replaces `file` on success, and is removed otherwise."""
    draft = file.with_name(f".{file.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        draft.touch()
    except OSError as error:
        raise InputError(
            f"{where} {file}: cannot be written ({error.strerror or error}); "
            "give a file in a writable folder"
        ) from None
    try:
        yield draft
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)


def write_text(file: Path, text: str) -> None:
    """Write a caption in lines of a page, with the mark of widthlaw as its last line."""
    from importlib.metadata import version

    lines = fill(text, LINE, break_long_words=False, break_on_hyphens=False)
    with draft_of("plot --caption", file) as draft:
        draft.write_text(f"{lines}\n\nDrawn by widthlaw {version('widthlaw')}.\n", encoding="utf-8")
