"""Checks of the settings of training against the sizes of a sweep: formulas, and test sets.

They run for a sweep file, and again where a sweep grows.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from pipeline.formulas import BadFormula, formula_value
from pipeline.numerics.datasets import KINDS, file_rows
from pipeline.settings import SETTINGS, budget
from pipeline.sweep import Descent, Sweep
from pipeline.sweep_files.toml import Problems

__all__ = ["check_training_sizes"]


def check_training_sizes(sweep: Sweep, problems: Problems) -> None:
    """Check that formulas have valid values at all sizes, and that datasets can draw the test sets."""
    if sweep.descent is not None:
        _check_formulas(sweep, sweep.descent, problems)
        _check_test_sets(sweep, sweep.descent, problems)


def _values(descent: Descent, name: str) -> tuple[Any, ...]:
    value = dict(descent.settings).get(name, SETTINGS[name].default)
    return value if isinstance(value, tuple) else (value,)


def _formulas(descent: Descent) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each formula among the settings."""
    for name, setting in SETTINGS.items():
        if setting.formula:
            for value in _values(descent, name):
                if isinstance(value, str):
                    yield name, value


def _check_formulas(sweep: Sweep, descent: Descent, problems: Problems) -> None:
    formulas = list(_formulas(descent))
    if descent.formula:
        formulas.append(("most_steps", descent.formula))
    for d, n in itertools.product(sweep.d, sweep.n) if formulas else ():
        for k in sweep.k(d, n):
            for name, text in formulas:
                if trouble := _trouble_with(name, text, n, k, d):
                    setting = SETTINGS[name]
                    key = f"{setting.table or 'descent'}.{setting.key}"
                    problems.add(key, f"got {text!r}, expected {trouble}")
                    return


def _trouble_with(name: str, text: str, n: int, k: int, d: int) -> str:
    """Return what is expected instead of a formula, or ""."""
    try:
        if name == "most_steps":
            budget(text, n, k, d)
        value = formula_value(text, {"n": n, "k": k, "d": d})
    except BadFormula as error:
        return str(error)
    above = SETTINGS[name].above
    if value > 0 or (value == 0 and not above):
        return ""
    least = "above 0" if above else "0 or more"
    return f"a number {least}, which is {value:g} at n = {n}, k = {k}, d = {d}"


def _check_test_sets(sweep: Sweep, descent: Descent, problems: Problems) -> None:
    wanted = [count for count in _values(descent, "test_samples") if count]
    for spec in sweep.dataset if wanted else ():
        kind, key = KINDS[spec.kind], "descent.test_samples"
        odd = [count for count in wanted if count % kind.multiple]
        if not (kind.fresh or kind.has_file):
            problems.add(key, f"got {wanted[0]}, but a {spec.kind} dataset has no fresh samples")
        elif odd:
            problems.add(
                key, f"got {odd[0]}, but a {spec.kind} dataset needs a multiple of {kind.multiple}"
            )
        elif kind.has_file and max(sweep.n) + max(wanted) > len(file_rows(spec)):
            problems.add(
                key,
                f"got {max(wanted)}, but beside n = {max(sweep.n)} only "
                f"{len(file_rows(spec)) - max(sweep.n)} rows of {spec.path} are left for a test",
            )
