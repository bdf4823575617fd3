"""The settings of training of a sweep: from the tables [descent], [labels] and [start] to pairs.

A list is an axis of the store; one value that is the default leaves no trace. What an experiment, a
method or a loss does not cover is refused with the reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.errors import CodeError
from pipeline.numerics.own_names import is_entry
from pipeline.settings import SETTINGS, in_table
from pipeline.sweep_files.tables import AbsoluteStep, DescentTable, File
from pipeline.sweep_files.toml import Problems

if TYPE_CHECKING:
    from pipeline.experiments import Experiment

__all__ = ["read_settings"]

Pairs = tuple[tuple[str, Any], ...]

TABLES = ("descent", "labels", "start")

RANDOM = frozenset(("signs", "shell", "gaussian"))
"""Laws of labels that do not depend on the inputs."""

LEAST_TOLERANCE_32 = 1e-11
"""Least relative loss in float32, whose residuals are rounded at about 1e-6."""


def read_settings(file: File, experiment: Experiment, problems: Problems) -> Pairs:
    """Return the settings that are not at their defaults, in the order of their axes."""
    from pipeline.experiments.own.declaration import coordinate  # numpy, not needed to read a store

    given, keys = _given(file)
    found: dict[str, Any] = {}
    for name in (one for one in SETTINGS if one in given):
        value = given[name]
        if isinstance(value, list):
            try:
                found[name] = coordinate("a list is an axis", value)
            except CodeError as error:
                problems.add(keys[name], str(error))
        elif value != SETTINGS[name].default:
            found[name] = value
    if given and experiment.why_fixed:
        problems.add(
            keys[next(iter(given))],
            f"{file.experiment} takes no settings of training: {experiment.why_fixed}; remove the key, "
            'or choose experiment = "input"',
        )
        return ()
    if experiment.why_fixed and isinstance((file.descent or DescentTable()).steps, str):
        problems.add(
            "descent.steps",
            f"got a formula, but {file.experiment} takes no settings of training: "
            f"{experiment.why_fixed}; write a number",
        )
    if not problems:
        _check_together(file, found, keys, problems)
    return tuple(found.items())


def _given(file: File) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the settings that a file gives, and the key of each."""
    given: dict[str, Any] = {}
    keys: dict[str, str] = {}
    for table in TABLES:
        values = getattr(file, table)
        for key, setting in in_table(table).items():
            if values is not None and getattr(values, key) is not None:
                given[setting.name], keys[setting.name] = getattr(values, key), f"{table}.{key}"
    budget = (file.descent or DescentTable()).steps
    if isinstance(budget, list):
        given["most_steps"], keys["most_steps"] = budget, "descent.steps"
    step = (file.descent or DescentTable()).step_size
    if isinstance(step, AbsoluteStep):
        one = len(step.absolute) == 1
        given["absolute_step"] = step.absolute[0] if one else step.absolute
    elif isinstance(step, list):
        given["relative_step"] = step
    keys |= dict.fromkeys(("absolute_step", "relative_step"), "descent.step_size")
    return given, keys


def _values(found: dict[str, Any], name: str) -> tuple[Any, ...]:
    value = found.get(name, SETTINGS[name].default)
    return value if isinstance(value, tuple) else (value,)


def _trained(file: File) -> set[str]:
    """Return what the networks of a sweep train."""
    return set(file.values("trained")) or {"both" if file.experiment != "input" else "input"}


def _check_together(
    file: File, found: dict[str, Any], keys: dict[str, str], problems: Problems
) -> None:
    """Check settings against each other."""
    methods, losses = _values(found, "descent_method"), _values(found, "loss")
    needs = {
        "momentum": {"momentum", "nesterov"}.intersection(methods),
        "beta1": "adam" in methods,
        "beta2": "adam" in methods,
        "adam_epsilon": "adam" in methods,
        "decay": "1/t" in _values(found, "schedule"),
        "teacher_units": "network" in _values(found, "labels"),
        "v_step": _trained(file) != {"input"},
        "hidden_step": max(file.values("depth"), default=1) > 1 and _trained(file) != {"output"},
        "hidden_scale": max(file.values("depth"), default=1) > 1,
    }
    for name, used in needs.items():
        if name in found and not used:
            problems.add(
                keys[name], "has no effect on method, schedule, labels or layers; remove the key"
            )
    if "adam" in methods and "absolute_step" not in found:
        problems.add(
            "descent.step_size",
            "missing, but a step of Adam has the size of eta itself, whatever the Jacobian; add "
            "step_size = { absolute = 0.001 }",
        )
    real = [name for name in _values(found, "labels") if name != "signs"]
    if (real or max(_values(found, "noise")) > 0) and not all(_values(found, "classes")):
        for loss in losses:
            if loss != "squared":
                law = real[0] if real else "noisy"
                problems.add(
                    keys["loss"],
                    f"got {loss!r}, which needs labels of +1 and -1, but {law} labels are numbers; add "
                    "classes = true to the table [labels]",
                )
    drawn = any(is_entry(item.kind) for item in file.dataset)  # perhaps with labels
    if (
        max(_values(found, "test_samples"))
        and RANDOM.issuperset(_values(found, "labels"))
        and not drawn
    ):
        problems.add(
            "descent.test_samples",
            "got a test set, but random labels tell nothing of fresh samples; choose the labels of a "
            'teacher, [labels] kind = "linear"',
        )
    least = min((file.descent or DescentTable()).tolerances)
    if "float32" in _values(found, "precision") and least < LEAST_TOLERANCE_32:
        problems.add(
            "descent.tolerances",
            f"got {least:g}, which float32 cannot reach; expected {LEAST_TOLERANCE_32:g} or more",
        )
    if set(_values(found, "v_law")) != {"zero"}:
        return
    if "input" in _trained(file):
        problems.add("start.v", "got 'zero', but where v is not trained all outputs stay 0")
