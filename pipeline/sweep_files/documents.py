"""From text to a TOML document, within bounds of time and memory.

Python's parser follows nested brackets by recursion, and takes time with the square of the number of
parts of a dotted key. So both are counted before it reads the text; how much it holds, afterwards.
"""

from __future__ import annotations

import re
import tomllib
from typing import Any

from pipeline.errors import shortened

__all__ = ["LARGEST", "BadDocument", "read_document"]

LARGEST = 2**20
"""Bytes of a sweep or a profile; the bundled ones have less than 3,000."""

MOST_DEPTH, MOST_PARTS = 16, 16
"""Tables and lists within each other, and parts of a dotted key."""

MOST_KEYS, MOST_VALUES = 1000, 200_000

MARKS = re.compile(
    r'''
      """ (?: [^\\] | \\. )*? (?: "{3,5} | \\?\Z )
    | \'\'\' .*? (?: '{3,5} | \Z )
    | " (?: [^"\\\n] | \\. )* "?
    | ' [^'\n]* '?
    | \# [^\n]*
    | (?P<open> [\[{] ) | (?P<close> [\]}] )
    | (?P<dot> \. ) | (?P<end> [,=\n] )
    ''',
    re.DOTALL | re.VERBOSE,
)
"""Strings and comments, which are skipped, and the signs that nest values or join keys."""


class BadDocument(Exception):
    """A text is not TOML, or holds far more than any sweep or profile needs."""


def read_document(text: str) -> dict[str, Any]:
    """Parse TOML.

    Raises
    ------
    BadDocument
        The message tells what was got and expected.
    """
    if len(text) > LARGEST:
        raise BadDocument(f"got {len(text)} letters of TOML, expected at most {LARGEST}; shorten it")
    _check_nesting(text)
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadDocument(f"not valid TOML: {shortened(str(error))}") from None
    except ValueError:  # the only other one comes from Python's conversion of whole numbers
        raise BadDocument(
            "not valid TOML: got a number of thousands of digits, expected at most 19; shorten it"
        ) from None
    _check_amount(document)
    return document


def _check_nesting(text: str) -> None:
    """Refuse brackets that are nested deeply, and keys of many parts."""
    depth, dots, line = 0, 0, 1
    for mark in MARKS.finditer(text):
        match mark.lastgroup:
            case "open":
                depth += 1
            case "close":
                depth -= 1
            case "dot":
                dots += 1
        if mark.lastgroup in ("open", "close", "end"):
            dots = 0
        if depth > MOST_DEPTH:
            raise BadDocument(
                f"line {line}: got lists or tables within more than {MOST_DEPTH} others, expected "
                "less; remove brackets"
            )
        if dots >= MOST_PARTS:
            raise BadDocument(
                f"line {line}: got a key of more than {MOST_PARTS} parts, expected less; remove dots"
            )
        line += mark.group().count("\n")


def _check_amount(document: dict[str, Any]) -> None:
    """Refuse more keys or values than any check, and any reader of its message, could cope with."""
    keys = values = 0
    waiting: list[Any] = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            keys += len(value)
            waiting.extend(value.values())
        elif isinstance(value, list):
            values += len(value)
            waiting.extend(value)
    if keys > MOST_KEYS:
        raise BadDocument(f"got {keys} keys, expected at most {MOST_KEYS}; remove keys")
    if values > MOST_VALUES:
        raise BadDocument(
            f"got {values} values in lists, expected at most {MOST_VALUES}; shorten the lists"
        )
