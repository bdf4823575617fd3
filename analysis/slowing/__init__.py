"""The width below which descent never arrives, from the times of those that do.

`infinite_budget` fits the model to every cell of a store, `threshold_laws` to all cells of one law of n
and d, and `predicted_k50` tests it on a longer budget.
"""

from analysis.slowing.cells import VERDICTS, infinite_budget
from analysis.slowing.laws import exponents_at_budgets, threshold_laws
from analysis.slowing.prediction import held_out_test, predicted_k50

__all__ = [
    "VERDICTS",
    "exponents_at_budgets",
    "held_out_test",
    "infinite_budget",
    "predicted_k50",
    "threshold_laws",
]
