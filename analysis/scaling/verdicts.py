"""Which laws the data can tell apart, which not, and which n would tell those apart, as text.

The text is written for widths, whose sizes are n and d; another family of laws has its own two in their
places.

`WORDS` is the rule by which a law gets its word. AICc alone would let a handful of points at one d
"exclude" a law, though neither a larger n nor another d was ever tried. So a word needs, beside a
difference in AICc, a number of points, and of values of n and d at which they were measured. A law gets
the strongest word whose needs are met. `rule_of_words` writes the rule out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.scaling.laws import COLLINEAR, exponents_of, group_columns, sizes_of

__all__ = ["WORDS", "Word", "distinguishable", "rule_of_words"]


@dataclass(frozen=True)
class Word:
    """A word on a law, and what the points must be for it.

    Attributes
    ----------
    verb
        What the points do, as in `they exclude n log n`.
    delta
        The least difference in AICc from the best law.
    points, of_n, of_d
        The least numbers of critical widths, and of their n and d.
    """

    verb: str
    delta: float
    points: int = 0
    of_n: int = 0
    of_d: int = 0

    def suits(self, law: pd.Series[Any]) -> bool:
        """Return True if the points of a law are enough for the word, whatever its AICc."""
        return bool(
            law["points"] >= self.points
            and law[f"points_{sizes_of(law.index)[0]}"] >= self.of_n
            and law[f"points_{sizes_of(law.index)[1]}"] >= self.of_d
        )


WORDS = (
    Word("exclude", 10.0, points=8, of_n=3, of_d=2),
    Word("clearly disfavour", 4.0, points=5, of_n=2),
    Word("weakly disfavour", 2.0),
    Word("cannot tell it from", 0.0),
)
"""The words on a law that is not the best one, from the strongest."""

EQUAL = WORDS[-2].delta
"""Delta AICc below which a law is as good as the best."""


def rule_of_words(sizes: tuple[str, str] = ("n", "d")) -> str:
    """Return the rule behind the words of `distinguishable`, in one or two sentences."""
    needs = [f'"{word.verb}" needs {_needs(word, sizes)}' for word in WORDS if word.delta]
    return (
        f'Words on laws follow a rule: {"; ".join(needs)}; anything less is "cannot tell". AICc ranks '
        "laws: the best of those tried need not be true."
    )


def _needs(word: Word, sizes: tuple[str, str]) -> str:
    least = f"a delta AICc of {word.delta:g}"
    return f"{least} and {_needs_points(word, sizes)}" if word.points else least


def _needs_points(word: Word, sizes: tuple[str, str]) -> str:
    each = zip((word.of_n, word.of_d), sizes, strict=True)
    counts = [f"{count} {name}" for count, name in each if count]
    return f"{word.points} points with {' and '.join(counts)}"


def distinguishable(laws: pd.DataFrame) -> str:
    """Describe in a few sentences (per group) which laws the data can tell apart.

    Parameters
    ----------
    laws
        From `fit_laws`.

    Returns
    -------
    str
        The points, the best law and how well it predicts; a word on each other law by the rule of
        `WORDS`, and the n that would tell those apart that fit as well; the free exponents, and whether
        they can be told apart.
    """
    groups = group_columns(laws)
    parts = laws.groupby(groups, sort=False) if groups else [((), laws)]
    return " ".join(_verdict(t, dict(zip(groups, key, strict=True))) for key, t in parts)


def _verdict(laws: pd.DataFrame, key: dict[Any, Any]) -> str:
    group = f"For {', '.join(f'{k} {v}' for k, v in key.items())}: " if key else ""
    if laws["delta_aicc"].isna().all():
        return f"{group}{_points(laws.iloc[0])} are too few to tell any of the laws apart."
    sentences = [_first(laws.iloc[0]), _others(laws), _limits(laws), _exponents(laws)]
    return group + " ".join(filter(None, sentences))


def _points(law: pd.Series[Any]) -> str:
    return f"{law['points']} points ({law['points_at']})"


def _first(best: pd.Series[Any]) -> str:
    text = f"{_points(best)} rank {_name(best)} first ({_residual(best)})"
    if best["same_as"]:
        text += f"; here it differs by a constant only from {best['same_as']}, which fits as well"
    if best["prediction"]:
        text += f"; fitted to the smaller {sizes_of(best.index)[0]} it {best['prediction']}"
    return f"{text}."


def _residual(law: pd.Series[Any]) -> str:
    """Return the rms residual, and how much of it the intervals of the widths do not account for."""
    excess = float(law["excess_scatter"])
    beyond = f"{excess:.2g}" if excess > 0 else "none"
    return (
        f"rms log residual {law['rms_log_residual']:.2g}; {law['rms_error']:.2g} by the intervals, "
        f"scatter beyond them: {beyond}"
    )


def _others(laws: pd.DataFrame) -> str:
    # A free law can follow any of the others: it is not excluded, its exponents are not needed.
    parts: dict[str, list[str]] = {word.verb: [] for word in reversed(WORDS)}
    parts |= {"do not need the exponents of": [], "are too few to judge": []}
    for _, law in laws.iloc[1:].iterrows():
        if np.isinf(law["delta_aicc"]):
            parts["are too few to judge"].append(_name(law))
        elif law["is_free"] and law["delta_aicc"] >= EQUAL:
            parts["do not need the exponents of"].append(_delta(law))
        else:
            verb = _word(law).verb
            parts[verb].append(_telling(law) if law["delta_aicc"] < EQUAL else _delta(law))
    text = "; ".join(f"they {verb} {', '.join(named)}" for verb, named in parts.items() if named)
    return f"{text[0].upper()}{text[1:]} (delta AICc in brackets)." if text else ""


def _word(law: pd.Series[Any]) -> Word:
    """Return the strongest word that the points and the AICc of a law allow."""
    return next(word for word in WORDS if law["delta_aicc"] >= word.delta and word.suits(law))


def _limits(laws: pd.DataFrame) -> str:
    """Return what the points lack for the words that AICc alone would give."""
    fixed = laws.iloc[1:][~laws["is_free"].iloc[1:].astype(bool)]
    deltas = fixed["delta_aicc"][np.isfinite(fixed["delta_aicc"])]
    best = laws.iloc[0]
    lacking = [
        word
        for word in WORDS
        if not word.suits(best) and ((deltas >= word.delta) & (deltas >= EQUAL)).any()
    ]
    if not lacking:
        return ""
    sizes = sizes_of(best.index)
    values = " and ".join(f"{best[f'points_{size}']} {size}" for size in sizes)
    values = f"{_counted(best['points'], 'point')} with {values}"
    needs = "; ".join(f"to {word.verb} takes {_needs_points(word, sizes)}" for word in lacking)
    return f"Stronger words need more than {values}: {needs}."


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _name(law: pd.Series[Any]) -> str:
    """Return the name of a law; for a free one its shape, with a letter for each exponent."""
    return str(law["formula"]).removeprefix("C ") if law["is_free"] else str(law["law"])


def _delta(law: pd.Series[Any]) -> str:
    return f"{_name(law)} ({law['delta_aicc']:.1f})"


def _telling(law: pd.Series[Any]) -> str:
    """Return a law that fits equally well, and the n that would distinguish it from the best."""
    lead, other = sizes_of(law.index)
    n = law[f"telling_{lead}"]
    if np.isnan(n):
        return _delta(law)
    at = f"at {other} = {law[f'telling_{other}']:g}"
    if np.isinf(n):
        return f"{_delta(law)[:-1]}; no larger {lead} would tell, {at})"
    return f"{_delta(law)[:-1]}; {lead} of {float(f'{n:.2g}'):,.0f} would tell, {at})"


def _exponents(laws: pd.DataFrame) -> str:
    """Return the exponents of the best free law with a finite AICc, as text."""
    free = laws[laws["is_free"].astype(bool) & np.isfinite(laws["delta_aicc"])]
    if free.empty:
        return ""
    fitted = [
        f"{name}^{value:.3g} [{low:.3g}, {high:.3g}]"
        for name, value, low, high in exponents_of(free.iloc[0])
    ]
    if not fitted:
        return ""
    return f"Free exponents (95%): {', '.join(fitted)}.{_together(free.iloc[0])}"


def _together(law: pd.Series[Any]) -> str:
    """Return the warning that exponents cannot be told apart, if variables are collinear."""
    if not law["collinear"]:
        return ""
    by = f"{law['inflation']:.2g}" if np.isfinite(law["inflation"]) else "infinite"
    return (
        f" But {' and '.join(law['collinear'].rsplit(', ', 1))} are collinear here (variance inflation "
        f"{by}, from {COLLINEAR:g} on), so their exponents cannot be told apart: each of them may hold "
        "a part of another's, and its interval need not cover the exponent of the true law."
    )
