"""From a query to rows: `selection` lists trials, `summaries` summarises them by `statistics`.

Both read a store of any size piece by piece (`walking`); the language of conditions is that of
`analysis.expressions`.
"""

from analysis.query.selection import frames, select
from analysis.query.summaries import summarise

__all__ = ["frames", "select", "summarise"]
