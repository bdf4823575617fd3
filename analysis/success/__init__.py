"""Success of a trial: the rules, the conditions that a user writes, and the budgets of descent."""

from analysis.success.rules import THRESHOLD, Rule, Success, outcomes, rule_for, zero_alpha

__all__ = ["THRESHOLD", "Rule", "Success", "outcomes", "rule_for", "zero_alpha"]
