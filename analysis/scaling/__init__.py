"""From critical widths to laws: `laws` has the candidates, `fitting` fits one, `ranking` compares.

`verdicts` says in words what the data can tell apart; `finite_size` is about the transition's own width
and whether all success curves are one.
"""

from analysis.scaling.laws import LAWS, Law
from analysis.scaling.ranking import fit_laws
from analysis.scaling.verdicts import distinguishable

__all__ = ["LAWS", "Law", "distinguishable", "fit_laws"]
