"""From outcomes to critical widths: `widths` goes through the cells of a store, `estimates` does one.

`tables` counts the outcomes of a cell, `separation` finds the cells that need no curve, `curves` fits
the others, `intervals` has the uncertainty, and `isotonic` and `goodness` check the curve.
"""

from analysis.transitions.widths import critical_widths, success_counts

__all__ = ["critical_widths", "success_counts"]
