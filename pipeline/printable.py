"""Text from elsewhere, made safe to show: control characters are written as escapes, such as \\x1b.

A store, a sweep, a lease or the name of a file may come from somebody else. A terminal obeys control
characters in it: they move the cursor, recolour what follows, or rename the window; marks of text
direction make a line read as another one. `printable` is applied by the streams that commands write
to. `one_line` also escapes line ends, for a value that must not pose as a line of its own.
"""

from __future__ import annotations

import re

__all__ = ["one_line", "printable"]

_DIRECTIONS = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_SEPARATORS = "\u2028\u2029"
_SURROGATES = "\ud800-\udfff"  # bytes of a file name that are no UTF-8; no stream can encode them
_UNSAFE = re.compile(f"[\x00-\x09\x0b-\x1f\x7f-\x9f{_DIRECTIONS}{_SEPARATORS}{_SURROGATES}]")


def printable(text: str) -> str:
    r"""Return text with its control characters escaped, except for line ends.

    Examples
    --------
    >>> print(printable("a\x1b[31mb\x07"))
    a\x1b[31mb\x07
    """
    return _UNSAFE.sub(_escape, text)


def one_line(text: str) -> str:
    r"""Return text with its control characters escaped, and its line ends too.

    Examples
    --------
    >>> print(one_line("a\nb"))
    a\nb
    """
    return printable(text).replace("\n", "\\n")


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")
