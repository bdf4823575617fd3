"""From the text of an expression to its syntax tree, with advice on what other languages write.

Python's parser reads an expression. What it would refuse in its own words, or accept with another
meaning (`&` binds more tightly than `==`), is found before by a scan of the text, so that a message
says what to write instead.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable
from typing import Any

from pipeline.errors import InputError, shortened

__all__ = ["COMPARISONS", "QueryError", "conjuncts", "parse"]

COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
"""The comparisons of conditions, on stores and in sweep files."""

MAX_LENGTH = 1000
MAX_DEPTH = 40

TOKEN = re.compile(
    r"(?P<text>'[^']*'|\"[^\"]*\")|(?P<number>\d[\w.]*)|(?P<word>[^\W\d]\w*)"
    r"|(?P<sign>===|<>|=>|=<|<=|>=|==|!=|:=|&&|\|\||\*\*|//|<<|>>|\S)",
)
"""A quoted text, a number, a word, or a sign."""

INSTEAD = {
    "=": "== compares, as in 'n == 100'",
    ":=": "== compares, as in 'n == 100'",
    "===": "write ==",
    "is": "write ==, or != for 'is not'",
    "<>": "write !=",
    "≠": "write !=",
    "=>": "write >=",
    "≥": "write >=",
    "=<": "write <=",
    "≤": "write <=",
    "&": "write and, as in 'n == 100 and d == 20'",
    "&&": "write and, as in 'n == 100 and d == 20'",
    "|": "write or, as in 'n == 100 or n == 200'",
    "||": "write or, as in 'n == 100 or n == 200'",
    "!": "write not, or != to compare",
    "~": "write not, as in 'not n == 100'",
    "^": "write ** for a power, as in 'n**2'",
    ";": "join two conditions with and",
    "%": "there are no remainders; list values, as in 'n in [100, 200]'",
    "//": "write / and compare",
    **{word: f"write {word.lower()}, in small letters" for word in ("AND", "OR", "NOT", "IN")},
    **{word: f"write {word.lower()}, in small letters" for word in ("And", "Or", "Not", "In")},
}
"""Signs and words of other languages, and what this one has instead."""

PAIRS = {")": "(", "]": "[", "}": "{"}


class QueryError(InputError):
    """An expression or a list of columns is not valid for the store."""


def parse(expression: str) -> ast.expr:
    """Return the syntax tree of an expression, whose length and depth are bounded."""
    text = expression.replace("\n", " ").strip()
    if not text:
        raise QueryError("the expression is empty; write one such as 'n >= 200 and d == 20'")
    if len(text) > MAX_LENGTH:
        raise QueryError(f"the expression has {len(text)} characters; expected at most {MAX_LENGTH}")
    _check_signs(text)
    try:
        tree = ast.parse(text, mode="eval").body
    except SyntaxError as error:
        raise _misfit(text, error.offset) from None
    except (ValueError, MemoryError, RecursionError):
        raise QueryError("the expression is nested too deeply; simplify it") from None
    _check_depth(tree)
    return tree


def _check_signs(text: str) -> None:
    """Refuse signs and words of other languages, and brackets and quotes that do not match."""
    opened: list[tuple[str, int]] = []
    for found in TOKEN.finditer(text):
        token, column = found[0], found.start() + 1
        if found["text"] or found["number"]:
            continue
        if advice := INSTEAD.get(token):
            raise QueryError(f"column {column}: {token} is not part of the language; {advice}")
        if token in ("'", '"'):
            raise QueryError(f"column {column} of {shortened(text)!r}: the quote {token} is not closed")
        if token in PAIRS.values():
            opened.append((token, column))
        elif token in PAIRS and (not opened or opened.pop()[0] != PAIRS[token]):
            raise QueryError(f"column {column} of {shortened(text)!r}: the bracket {token} closes none")
    if opened:
        bracket, column = opened[-1]
        raise QueryError(f"column {column} of {shortened(text)!r}: the bracket {bracket} is not closed")


def _misfit(text: str, offset: int | None) -> QueryError:
    """Return the error for a text that is no expression from some column on."""
    column = offset or len(text) + 1  # Python has none for an incomplete expression
    rest = text[column - 1 :]
    what = f"{shortened(rest)!r} does not fit here" if rest else "the expression ends too early"
    return QueryError(f"syntax error at column {column} of {shortened(text)!r}: {what}")


def _check_depth(tree: ast.expr) -> None:
    """Refuse a deep tree, walking it level by level so that it cannot exhaust the recursion limit."""
    level: list[ast.AST] = [tree]
    depth = 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise QueryError(f"the expression is nested more than {MAX_DEPTH} deep; simplify it")
        level = [child for node in level for child in ast.iter_child_nodes(node)]


def conjuncts(expression: str | None) -> list[ast.expr]:
    """Return the conditions that are joined by `and` at the top level."""
    if expression is None:
        return []
    tree = parse(expression)
    return tree.values if isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.And) else [tree]
