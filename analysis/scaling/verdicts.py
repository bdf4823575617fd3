"""Which laws the data can tell apart, which not, and which n would tell those apart, as text."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from analysis.scaling.laws import exponents_of, group_columns

__all__ = ["distinguishable"]

EQUAL, WEAK, CLEAR = 2.0, 4.0, 10.0
"""Delta AICc up to which a law is as good as the best, weakly and clearly disfavoured."""


def distinguishable(laws: pd.DataFrame) -> str:
    """Describe in a few sentences (per group) which laws the data can tell apart.

    Parameters
    ----------
    laws
        From `fit_laws`.

    Returns
    -------
    str
        The best law and how well it predicts; the laws that fit as well (delta AICc below 2), each
        with the n that would tell them apart; those weakly (below 4) and clearly disfavoured (below
        10), and those excluded; the free exponents. AICc ranks laws: the best one need not be true.
    """
    groups = group_columns(laws)
    parts = laws.groupby(groups, sort=False) if groups else [((), laws)]
    return " ".join(_verdict(t, dict(zip(groups, key, strict=True))) for key, t in parts)


def _verdict(laws: pd.DataFrame, key: dict[Any, Any]) -> str:
    group = f"For {', '.join(f'{k} {v}' for k, v in key.items())}: " if key else ""
    points = int(laws["points"].iloc[0])
    if laws["delta_aicc"].isna().all():
        return f"{group}{points} points are too few to tell any of the laws apart."
    return group + " ".join(filter(None, [_first(laws.iloc[0]), _others(laws), _exponents(laws)]))


def _first(best: pd.Series[Any]) -> str:
    same = f" (as {best['same_as']} here)" if best["same_as"] else ""
    residual = f"rms log residual {best['rms_log_residual']:.2g}"
    if best["scatter"] > 1e-3:
        residual += f", of which its intervals leave {best['scatter']:.2g} unexplained"
    text = f"{best['points']} points rank {_name(best)}{same} first ({residual})"
    return (
        f"{text}; fitted to the smaller n it {best['prediction']}."
        if best["prediction"]
        else f"{text}."
    )


def _others(laws: pd.DataFrame) -> str:
    rest, delta = laws.iloc[1:], laws["delta_aicc"].iloc[1:]
    equal = rest[delta < EQUAL]
    # A free law can follow any of the others: it is not excluded, its exponents are not needed.
    free = rest["is_free"].astype(bool)
    parts = [
        ("cannot tell it from", equal, _telling),
        ("weakly disfavour", rest[~free & (delta >= EQUAL) & (delta < WEAK)], _delta),
        ("clearly disfavour", rest[~free & (delta >= WEAK) & (delta < CLEAR)], _delta),
        ("exclude", rest[~free & (delta >= CLEAR) & np.isfinite(delta)], _delta),
        ("do not need the exponents of", rest[free & (delta >= EQUAL) & np.isfinite(delta)], _delta),
        ("are too few to judge", rest[np.isinf(delta)], _name),
    ]
    text = "; ".join(
        f"they {verb} {', '.join(write(law) for _, law in part.iterrows())}"
        for verb, part, write in parts
        if len(part)
    )
    return f"{text[0].upper()}{text[1:]} (delta AICc in brackets)." if text else ""


def _name(law: pd.Series[Any]) -> str:
    """Return the name of a law; for a free one its shape, with a letter for each exponent."""
    return str(law["formula"]).removeprefix("C ") if law["is_free"] else str(law["law"])


def _delta(law: pd.Series[Any]) -> str:
    return f"{_name(law)} ({law['delta_aicc']:.1f})"


def _telling(law: pd.Series[Any]) -> str:
    """Return a law that fits equally well, and the n that would distinguish it from the best."""
    n = law["telling_n"]
    if np.isnan(n):
        return _delta(law)
    at = f"at d = {law['telling_d']:g}"
    if np.isinf(n):
        return f"{_delta(law)[:-1]}; no larger n would tell, {at})"
    return f"{_delta(law)[:-1]}; n of {float(f'{n:.2g}'):,.0f} would tell, {at})"


def _exponents(laws: pd.DataFrame) -> str:
    """Return the exponents of the best free law with a finite AICc, as text."""
    free = laws[laws["is_free"].astype(bool) & np.isfinite(laws["delta_aicc"])]
    if free.empty:
        return ""
    fitted = [
        f"{name}^{value:.3g} [{low:.3g}, {high:.3g}]"
        for name, value, low, high in exponents_of(free.iloc[0])
    ]
    return f"Free exponents (95%): {', '.join(fitted)}." if fitted else ""
