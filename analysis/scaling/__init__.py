"""From critical widths to laws: `laws` has the candidates, `fitting` fits one, `ranking` compares.

`verdicts` describes which laws the data can tell apart; `finite_size` has the width of the transition
itself and the test that all success curves are one.
"""

from analysis.scaling.ranking import fit_laws
from analysis.scaling.verdicts import distinguishable, rule_of_words

__all__ = ["distinguishable", "fit_laws", "rule_of_words"]
