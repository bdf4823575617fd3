"""The width below which descent never arrives, from the times of those that do.

`infinite_budget` fits the model to every cell of a store and `predicted_k50` tests it on a longer
budget.
"""

from analysis.slowing.cells import VERDICTS, infinite_budget
from analysis.slowing.prediction import predicted_k50

__all__ = ["HELD_OUT", "VERDICTS", "infinite_budget", "predicted_k50"]

HELD_OUT = (
    "prediction test: in 28 of 30 real cells the k50 at five times the budget lay in the interval "
    "predicted (6 of 8 where no part of the model had seen the cell)"
)
"""How the model did on real descents, told wherever it gives numbers; README tells which."""
