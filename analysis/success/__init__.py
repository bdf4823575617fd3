"""Success of a trial: `rules` decide it, `conditions` are a user's own, `budgets` limit descents."""

from analysis.success.rules import THRESHOLD, Success

__all__ = ["THRESHOLD", "Success"]
