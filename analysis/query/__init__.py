"""From a query to rows: `selection` lists trials, `table` all of them with their variables, and
`summaries` summarises them by `statistics`.

All read a store of any size piece by piece (`analysis.walking`); the language of conditions is that of
`analysis.expressions`.
"""

from analysis.query.selection import frames, select
from analysis.query.summaries import summarise
from analysis.query.table import frame

__all__ = ["frame", "frames", "select", "summarise"]
