"""From outcomes to critical widths: `widths` goes through the cells of a store, `cells` answers one.

`separation` names what needs no curve, `curves` fits the others, `intervals` says how well the answer
is known, `isotonic` and `goodness` check the curve.
"""

from analysis.transitions.widths import OUTCOMES, critical_widths, success_counts

__all__ = ["OUTCOMES", "critical_widths", "success_counts"]
