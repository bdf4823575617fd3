"""Success of a trial, by its `rules`, a user's `conditions`, and `budgets` of steps.

`Success` is what a user chooses; `rules.rule_for` turns it into the rule of one store.
"""

from analysis.success.rules import THRESHOLD, Success

__all__ = ["THRESHOLD", "Success"]
