"""From a question to rows: `selection` lists trials, `summaries` describes them by `statistics`.

Both go through a store of any size piece by piece (`walking`); the language is that of
`analysis.expressions`.
"""

from analysis.query.selection import frames, select
from analysis.query.summaries import summarise

__all__ = ["frames", "select", "summarise"]
