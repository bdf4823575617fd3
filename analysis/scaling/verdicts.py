"""In words: which laws the data can tell apart, which not, and what would tell those apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

__all__ = ["distinguishable"]

EQUAL, WEAK, CLEAR = 2.0, 4.0, 10.0
"""Delta AICc below which a law cannot be told from the best, is weakly and is clearly disfavoured."""


def distinguishable(laws: pd.DataFrame) -> str:
    """Say in a few sentences (for each group) which laws the data can tell apart.

    Parameters
    ----------
    laws
        From `fit_laws`.

    Returns
    -------
    str
        The best law and what it predicts; those it cannot be told from (delta AICc below 2), each
        with the n that would tell; those weakly (below 4) and clearly disfavoured (below 10), and
        those excluded; the free exponents. AICc ranks laws: it does not say that the best is true.
    """
    groups = list(laws.columns[: laws.columns.get_loc("law")])
    parts = laws.groupby(groups, sort=False) if groups else [((), laws)]
    return " ".join(_verdict(t, dict(zip(groups, key, strict=True))) for key, t in parts)


def _verdict(laws: pd.DataFrame, key: dict[Any, Any]) -> str:
    where = f"For {', '.join(f'{k} {v}' for k, v in key.items())}: " if key else ""
    points = int(laws["points"].iloc[0])
    if laws["delta_aicc"].isna().all():
        return f"{where}{points} points are too few to tell any of the laws apart."
    best = laws.iloc[0]
    return where + " ".join(filter(None, [_first(best), _others(laws), _exponents(laws, best)]))


def _first(best: pd.Series[Any]) -> str:
    twins = f" ({best['note']})" if best["note"].startswith("as ") else ""
    said = f"{best['points']} points rank {_name(best)}{twins} first (rms log residual "
    said += f"{best['rms_log_residual']:.2g}"
    if best["scatter"] > 1e-3:
        said += f", of which its intervals leave {best['scatter']:.2g} unexplained"
    return (
        said
        + ")"
        + (f"; fitted to the smaller n it {best['prediction']}." if best["prediction"] else ".")
    )


def _others(laws: pd.DataFrame) -> str:
    rest, delta = laws.iloc[1:], laws["delta_aicc"].iloc[1:]
    equal = rest[delta < EQUAL]
    # A free law can follow whatever a law can: it is not excluded, its exponents are not needed.
    free = rest["law"].str.startswith("free")
    parts = [
        ("cannot tell it from", equal, _telling),
        ("weakly disfavour", rest[~free & (delta >= EQUAL) & (delta < WEAK)], _delta),
        ("clearly disfavour", rest[~free & (delta >= WEAK) & (delta < CLEAR)], _delta),
        ("exclude", rest[~free & (delta >= CLEAR) & np.isfinite(delta)], _delta),
        ("do not need the exponents of", rest[free & (delta >= EQUAL) & np.isfinite(delta)], _delta),
        ("are too few to judge", rest[np.isinf(delta)], _name),
    ]
    said = "; ".join(
        f"they {verb} {', '.join(say(law) for _, law in part.iterrows())}"
        for verb, part, say in parts
        if len(part)
    )
    return f"{said[0].upper()}{said[1:]} (delta AICc in brackets)." if said else ""


def _name(law: pd.Series[Any]) -> str:
    """A law by its shape, a free one with its exponents by their letters."""
    name = str(law["law"])
    return str(law["formula"]).removeprefix("C ") if name.startswith("free") else name


def _delta(law: pd.Series[Any]) -> str:
    return f"{_name(law)} ({law['delta_aicc']:.1f})"


def _telling(law: pd.Series[Any]) -> str:
    """A law that is as good, and the n that would tell it from the best."""
    n = law["telling_n"]
    if np.isnan(n):
        return _delta(law)
    at = f"at d = {law['telling_d']:g}"
    if np.isinf(n):
        return f"{_delta(law)[:-1]}; no larger n would tell, {at})"
    return f"{_delta(law)[:-1]}; n of {float(f'{n:.2g}'):,.0f} would tell, {at})"


def _exponents(laws: pd.DataFrame, best: pd.Series[Any]) -> str:
    """The exponents of the best free law that the points can judge."""
    free = laws[laws["law"].str.startswith("free") & np.isfinite(laws["delta_aicc"])]
    if free.empty:
        return ""
    law = free.iloc[0]
    words = [
        f"{name}^{law[f'exponent_{name}']:.3g} [{law[f'exponent_{name}_low']:.3g}, "
        f"{law[f'exponent_{name}_high']:.3g}]"
        for name in ("n", "d", "alpha")
        if np.isfinite(law[f"exponent_{name}"])
    ]
    return f"Free exponents (95%): {', '.join(words)}." if words else ""
