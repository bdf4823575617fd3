"""The small language of queries: conditions and values over the trials of a store.

`pipeline.expressions` turns a text into a syntax tree, as it does for the conditions of sweep files,
and `evaluation` computes its value over a store.
"""

from analysis.expressions.evaluation import (
    check_words,
    condition,
    evaluate,
    extra_axes,
    index_of,
    listed,
    named,
    names_in,
    value_of,
    words_in,
)
from pipeline.expressions import QueryError, conjuncts, parse

__all__ = [
    "QueryError",
    "check_words",
    "condition",
    "conjuncts",
    "evaluate",
    "extra_axes",
    "index_of",
    "listed",
    "named",
    "names_in",
    "parse",
    "value_of",
    "words_in",
]
