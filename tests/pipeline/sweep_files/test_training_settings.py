"""The tables [descent], [labels] and [start]: what they accept, what they leave in the identity."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from pipeline.axes import AXES
from pipeline.errors import SweepError
from pipeline.experiments import EXPERIMENTS
from pipeline.experiments.training import MEASURED
from pipeline.settings import SETTINGS
from pipeline.sweep_files.load import parse_sweep

HEAD = 'name = "a"\nentropy = 1\ndataset = { kind = "sphere" }\nd = 3\nn = [6, 8]\nseeds = 2\n'
INPUT = HEAD + 'experiment = "input"\nwidth = [4, 8]\n'


def refused(text: str, folder: Path | None = None) -> dict[str, str]:
    with pytest.raises(SweepError) as error:
        parse_sweep(text, folder=folder)
    return {problem.key: problem.text for problem in error.value.problems}


def test_the_identity_of_a_sweep_without_settings_is_that_of_earlier_versions() -> None:
    sweep = parse_sweep(INPUT + "[descent]\nsteps = 50\n")
    assert sweep.identity_fields["descent"] == {
        "steps": 50,
        "tolerances": [1e-2, 1e-4],
        "step_size": 1.0,
        "multiples": [1.0],
    }


def test_defaults_that_are_written_leave_no_trace_in_the_identity() -> None:
    plain = parse_sweep(INPUT + "[descent]\nsteps = 50\n")
    lines = {"descent": "steps = 50\n", "labels": "", "start": ""}
    for setting in SETTINGS.values():
        if setting.table:
            default = setting.default
            text = str(default).lower() if isinstance(default, bool) else repr(default)
            lines[setting.table] += f"{setting.key} = {text}\n"
    written = parse_sweep(INPUT + "".join(f"[{table}]\n{text}" for table, text in lines.items()))
    assert written.identity == plain.identity
    assert written.descent.is_paper


@pytest.mark.parametrize(
    ("lines", "axis", "values"),
    [
        ('[descent]\nmethod = ["gd", "momentum"]\n', "descent_method", ("gd", "momentum")),
        ("[descent]\nbatch = [2, 4]\n", "batch", (2, 4)),
        ("[descent]\nsteps = [200, 300]\n", "most_steps", (200, 300)),
        ('[descent]\nsteps = ["n * k", "4 * n * k"]\n', "most_steps", ("n * k", "4 * n * k")),
        ("[descent]\nstep_size = [0.5, 1.0]\n", "relative_step", (0.5, 1.0)),
        ("[descent]\nstep_size = { absolute = [0.1, 0.2] }\n", "absolute_step", (0.1, 0.2)),
        ("[labels]\nnoise = [0.0, 0.1]\n", "noise", (0.0, 0.1)),
        ('[start]\noutput = ["1", "1/k"]\n', "output_scale", ("1", "1/k")),
    ],
)
def test_a_list_is_an_axis_of_the_store(lines, axis, values) -> None:
    sweep = parse_sweep(INPUT + lines)
    assert sweep.axes == (axis, "d", "n")
    assert sweep.values(axis) == values
    assert sweep.axis(axis).long_name == SETTINGS[axis].long_name
    assert {cell[axis] for cell in sweep.cells()} == set(values)
    assert sweep.identity_fields["descent"]["settings"] == {axis: list(values)}


def test_no_axis_of_a_setting_collides_with_a_variable_or_with_xarray() -> None:
    taken = {*dir(xr.DataArray), *inspect.signature(xr.Dataset.sel).parameters}
    stored = {one.name for name in EXPERIMENTS for one in (*EXPERIMENTS[name].variables, *MEASURED)}
    assert not SETTINGS.keys() & (taken | stored | AXES.keys())


def test_the_budget_may_be_a_formula_of_the_sizes() -> None:
    sweep = parse_sweep(INPUT + '[descent]\nsteps = "1.5 * sqrt(n * k) * log(n * k) / 4 + d"\n')
    found = {cell.n: [sweep.descent.budget(cell, k) for k in (4, 8)] for cell in sweep.cells()}
    assert found == {6: [9, 14], 8: [11, 16]}  # 1.5 sqrt(32) log(32) / 4 + 3 = 10.35, rounded up
    assert sweep.identity != parse_sweep(INPUT).identity


@pytest.mark.parametrize(
    ("lines", "key", "words"),
    [
        ('[descent]\nmethod = "sgd"\n', "descent.method", "gd, momentum, nesterov, adam"),
        ("[descent]\nsteps = [10, -1]\n", "descent.steps", "a whole number from 0 to 1e+09"),
        ('[descent]\nsteps = ["n", "n ** 99"]\n', "descent.steps", "a number from 0 to 1e+09"),
        ("[descent]\nsteps = [10, 10]\n", "descent.steps", "listed twice"),
        ("[descent]\nv_step = 2.0\n", "descent.v_step", "has no effect"),
        ("[descent]\nhidden_step = 2.0\n", "descent.hidden_step", "has no effect"),
        ("[descent]\nbatch = 0\n", "descent.batch", "a whole number from 1"),
        ("[descent]\nmomentum = 0.5\n", "descent.momentum", "has no effect"),
        ('[descent]\nmethod = "adam"\n', "descent.step_size", "absolute = 0.001"),
        ("[descent]\nstep_size = { absolute = -1 }\n", "descent.step_size.absolute", "above 0"),
        ("[descent]\nstep_size = { relative = 1 }\n", "descent.step_size.relative", "unknown key"),
        ('[descent]\nstep_size = { absolute = "d - 3" }\n', "descent.step_size", "a number above 0"),
        ('[descent]\nsteps = "open(1)"\n', "descent.steps", "a formula of numbers, n, k, d"),
        ('[descent]\nsteps = "n ** 99"\n', "descent.steps", "a number from 0 to 1e+09"),
        ('[descent]\nsteps = "1 / (n - 8) ** 2"\n', "descent.steps", "n = 8"),
        ('[descent]\nloss = "logistic"\n[labels]\nkind = "linear"\n', "descent.loss", "classes = true"),
        ('[descent]\nloss = "logistic"\n[labels]\nnoise = 0.1\n', "descent.loss", "classes = true"),
        ('[descent]\ndtype = "float32"\ntolerances = [1e-14]\n', "descent.tolerances", "float32"),
        ("[descent]\ntest_samples = 10\n", "descent.test_samples", "random labels tell nothing"),
        ("[descent]\ntest_samples = -1\n", "descent.test_samples", "a whole number from 0"),
        ("[labels]\nnoise = [0.1, 0.1]\n", "labels.noise", "listed twice"),
        ("[labels]\nflip = 1.5\n", "labels.flip", "from 0 to 1"),
        ('[start]\nv = "zero"\n', "start.v", "all outputs stay 0"),
        ('[start]\nW_scale = "1 / (d - 3)"\n', "start.W_scale", "finite value"),
        ("[start]\nv_scale = -1.0\n", "start.v_scale", "from 0 to 1e+06"),
        ("[start]\nbias = -1.0\n", "start.bias", "from 0 to 1e+06"),
        ('[start]\nbias = "1 / (n - n)"\n', "start.bias", "finite value"),
        ("[start]\nbias = [0.1, 0.1]\n", "start.bias", "listed twice"),
        ("[start]\nhidden_scale = 2.0\n", "start.hidden_scale", "has no effect on method"),
        ('[start]\nW = "orthonormal"\n', "start.W", "gaussian, uniform, sphere, orthogonal"),
        ("[start]\nx = 1\n", "start.x", "unknown key"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_with_its_key(lines, key, words) -> None:
    assert words in refused(INPUT + lines)[key]


@pytest.mark.parametrize(
    ("dataset", "words"),
    [
        ('{ kind = "circle" }', "a circle dataset has no fresh samples"),
        ('{ kind = "pairs", angle = 0.1 }', "a pairs dataset needs a multiple of 2"),
        ('{ kind = "file", path = "PATH" }', "only 12 rows of PATH are left for a test"),
    ],
)
def test_a_test_set_that_a_dataset_cannot_draw_is_refused(tmp_path, dataset, words) -> None:
    path = str(tmp_path / "rows.npy")
    np.save(path, np.eye(20, 3) + 1)
    text = INPUT.replace('{ kind = "sphere" }', dataset.replace("PATH", path))
    text += '[descent]\ntest_samples = 13\n[labels]\nkind = "linear"\n'
    assert words.replace("PATH", path) in refused(text)["descent.test_samples"]


@pytest.mark.parametrize(
    ("lines", "key", "words"),
    [
        ("", "labels.column", "add the column of the data file that holds them"),
        ('column = "b"', "dataset.path", "has no column 'b'"),
        ('path = "none.npy"', "labels.path", "none.npy: not found; paths are relative to the sweep's"),
        ('path = "rows.npy"', "labels.path", "got 3 columns, expected one of labels; add column"),
        ('path = "short.npy"', "labels.path", "got 4 labels in"),
        ('path = "hole.npy"', "labels.path", "sample 1, column 0 is nan"),
        ('path = "y.npy"\nclasses = true', "labels.classes", "got 20 different labels in"),
        ('path = "."', "labels.path", "got a folder, expected a file"),
    ],
)
def test_labels_that_are_none_are_refused(tmp_path, lines, key, words) -> None:
    np.save(tmp_path / "rows.npy", np.eye(20, 3) + 1)
    np.save(tmp_path / "y.npy", np.arange(20))
    np.save(tmp_path / "short.npy", np.arange(4))
    np.save(tmp_path / "hole.npy", np.where(np.arange(20) == 1, np.nan, 1))
    text = INPUT.replace('{ kind = "sphere" }', '{ kind = "file", path = "rows.npy" }')
    found = refused(text.replace("d = 3\n", "") + f'[labels]\nkind = "file"\n{lines}\n', tmp_path)
    assert words in found[key]


def test_labels_of_a_file_belong_to_rows_of_a_file() -> None:
    assert "random" in refused(INPUT + '[labels]\nkind = "file"\ncolumn = "y"\n')["labels.kind"]
    for line in ('column = "y"', 'path = "y.npy"'):
        key = f"labels.{line.split()[0]}"
        assert 'belongs to kind = "file"' in refused(INPUT + f"[labels]\n{line}\n")[key]


@pytest.mark.parametrize(
    ("experiment", "reason"),
    [
        ("theorem1", "the theorem is about full-batch gradient descent"),
        ("output", "closed form"),
        ("linear", "linear regression"),
        ("generalisation", "its teacher"),
    ],
)
@pytest.mark.parametrize(
    ("lines", "key"),
    [
        ('[descent]\nmethod = "momentum"\n', "descent.method"),
        ('[descent]\nsteps = "10 * n"\n', "descent.steps"),
        ("[labels]\nnoise = 0.1\n", "labels.noise"),
        ('[start]\nW = "uniform"\n', "start.W"),
    ],
)
def test_experiments_refuse_what_their_mathematics_does_not_cover(
    experiment, reason, lines, key
) -> None:
    width = "" if experiment == "linear" else "width = [4, 8]\n"
    assert reason in refused(HEAD + f'experiment = "{experiment}"\n' + width + lines)[key]


def test_an_experiment_that_does_not_descend_has_no_labels_and_no_start() -> None:
    found = refused(HEAD + 'experiment = "conditioning"\nwidth = [4, 8]\n[labels]\n[start]\n')
    assert "does not descend" in found["labels"]
    assert "does not descend" in found["start"]


def test_the_settings_that_readme_shows_are_accepted() -> None:
    readme = (Path(__file__).parents[3] / "README.md").read_text()
    shown = next(
        block for block in re.findall(r"```toml\n(.*?)```", readme, re.DOTALL) if "[start]" in block
    )
    sweep = parse_sweep(INPUT + shown.replace("[descent]\n", "[descent]\ntolerances = [1e-2]\n"))
    assert sweep.axes == ("descent_method", "flip", "output_scale", "d", "n")
    written = {setting.key for setting in SETTINGS.values() if f"\n{setting.key} = " in shown}
    named = {
        key for key in ("momentum", "beta1", "beta2", "adam_epsilon", "decay", "units") if key in shown
    }
    named |= {key for key in ("v_scale", "v_step", "hidden_step", "hidden_scale") if key in shown}
    assert written | named == {one.key for one in SETTINGS.values()}
