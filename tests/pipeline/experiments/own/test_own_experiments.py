"""A function of one's own fills a store that plain xarray reads, like any other experiment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import pipeline
from pipeline.errors import SweepError
from pipeline.maintenance.recompute import sample
from pipeline.numerics.streams import Role, stream

Write = Callable[..., Path]


def filled(sweep: Path) -> xr.Dataset:
    store = sweep.with_suffix(".zarr")
    pipeline.run(pipeline.load_sweep(sweep), store)
    return xr.open_zarr(store).load()


def test_a_store_of_ones_own_has_the_axes_names_and_units_that_were_declared(mine: Path) -> None:
    ds = filled(mine)
    assert ds.gap.dims == ("noise", "d", "n", "width", "seed")
    assert ds.loss.dims == ("noise", "d", "n", "width", "seed", "step")
    assert ds.gap.attrs["long_name"] == "largest minus least singular value"
    assert ds.loss.attrs["units"] == "nat"
    assert ds.noise.values.tolist() == [0.0, 0.1]
    assert ds.step.values.tolist() == [1, 10, 100]
    assert (ds.status == 1).all()
    assert (ds.loss.isel(step=2) == 2).all()  # the constant depth
    assert ds.k.sel(n=4).values.tolist() == [6, 8, 16]


def test_its_values_are_those_of_the_formula(mine: Path) -> None:
    ds = filled(mine)
    n, d, seed, k = 6, 3, 2, 12
    X = stream(1, d, n, seed, Role.DATA).standard_normal((n, d))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    W = stream(1, d, n, seed, Role.WEIGHTS).standard_normal((k, d))
    s = np.linalg.svd(np.maximum(W @ X.T, 0), compute_uv=False)
    assert ds.gap.sel(noise=0.0, d=d, n=n, width=2.0, seed=seed).item() == pytest.approx(s[0] - s[-1])


def test_the_same_command_again_computes_nothing(mine: Path) -> None:
    filled(mine)
    again = pipeline.run(pipeline.load_sweep(mine), mine.with_suffix(".zarr"))
    assert again.trials == 0


def test_sizes_width_and_dataset_may_be_left_out(one: Write) -> None:
    sweep = one(
        'return {"value": trial.rng("x").random() + trial.n + trial.d + trial.k}',
        'name = "one"\nexperiment = "one.py:one"\nseeds = 3\n[parameters]\nmode = ["cold", "hot"]\n',
    )
    ds = filled(sweep)
    assert ds.value.dims == ("mode", "d", "n", "width", "seed")
    assert ds.mode.values.tolist() == ["cold", "hot"]
    assert np.unique(ds.value).size == 3  # one draw a seed, the same in both modes
    assert ((ds.value > 3) & (ds.value < 4)).all()


def test_a_failure_is_the_outcome_of_its_trial_alone(one: Write) -> None:
    ds = filled(
        one(
            """
if trial.k == 2 and trial.seed == 3:
    raise ValueError("no luck\\nat all")
if trial.k == 3:
    raise Diverged("at step 7")
return {"value": float("nan")}
"""
        )
    )
    status = ds.status.isel(d=0, n=0)
    assert status.sel(width=1).values.tolist() == [1, 1, 1, 1]  # NaN is a value
    assert status.sel(width=2).values.tolist() == [1, 1, 1, 2]
    assert status.sel(width=3).values.tolist() == [3, 3, 3, 3]
    assert ds.message.sel(width=2, seed=3).item() == "ValueError: no luck"
    assert ds.message.sel(width=3, seed=0).item() == "Diverged: at step 7"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return {'other': 1.0}", "returned 'other', which is not declared; expected value; rename it"),
        ("return {}", "did not return 'value', which is declared; add it"),
        ("return 1.0", "got 'float', expected a dict of value"),
        ("return {'value': [1, 2]}", "value has the shape (2,), expected () as declared; return "),
        ("return {'value': 1j}", "value is 1j, expected real numbers; NaN is one"),
        ("return {'value': 'x'}", "value is 'x', expected real numbers; NaN is one"),
        ("return {'value': None}", "value is None, expected real numbers; NaN is one"),
        ("import sys; sys.exit(3)", "it ended with SystemExit: 3"),
        ("class Odd(BaseException): pass\nraise Odd('x')", "it ended with Odd: x"),
        ("yield 1", "got 'generator', expected a dict of value"),
        ("return {'value': trial.inputs()}", "the sweep has no dataset"),
    ],
)
def test_what_cannot_be_stored_fails_its_trial_by_name(one: Write, body: str, message: str) -> None:
    ds = filled(one(body))
    assert (ds.status == 2).all()
    assert message in ds.message.values.flat[0]


@pytest.mark.slow
def test_one_call_can_serve_all_widths_of_a_seed(mine: Path) -> None:
    code = mine.with_name("mine.py")
    alone = filled(mine)
    code.write_text(
        """
import numpy as np
from pipeline import Trial, experiment, variable

@experiment(gap=variable("largest minus least singular value"), widths="together")
def gap(trial: Trial):
    X, W, found = trial.inputs(), trial.weights(), []
    E = trial.rng("noise").standard_normal((trial.k, trial.n))
    features = np.maximum(W @ X.T, 0) + trial.parameters["noise"] * E
    for k in trial.widths:
        s = np.linalg.svd(features[:k], compute_uv=False)
        found.append(s[0] - s[-1])
    return {"gap": found}
"""
    )
    store = mine.with_name("together.zarr")
    pipeline.run(pipeline.load_sweep(mine), store)
    together = xr.open_zarr(store).load()
    assert together.gap.dims == alone.gap.dims
    np.testing.assert_allclose(together.gap, alone.gap, rtol=1e-12)
    assert together.seconds.dims == ("noise", "d", "n", "seed")
    again = sample(store, 60, code=code)  # with all widths of a seed, as they ran
    assert (again.trials, again.differences) == (60, ())


def test_a_range_of_a_parameter_is_the_list_that_a_range_of_widths_would_be(one: Write) -> None:
    sweep = one(
        'return {"value": trial.parameters["snr"] + trial.parameters["shift"]["start"]}',
        'name = "one"\nexperiment = "one.py:one"\nseeds = 2\n[parameters]\n'
        "snr = { start = 0.5, stop = 8.0, num = 5 }\n"
        'mean = { start = -1, stop = 1, num = 3, spacing = "linear" }\n'
        "shift = { start = 1 }  # a constant as any other table\n",
    )
    ds = filled(sweep)
    assert ds.snr.values.tolist() == [0.5, 1.0, 2.0, 4.0, 8.0]
    assert ds["mean"].values.tolist() == [-1.0, 0.0, 1.0]
    assert ds.value.isel(d=0, n=0, width=0, seed=0, mean=0).values.tolist() == [1.5, 2.0, 3.0, 5.0, 9.0]


def test_a_range_may_stand_in_a_sub_grid(one: Write) -> None:
    sweep = one(
        'return {"value": trial.parameters["snr"]}',
        'name = "one"\nexperiment = "one.py:one"\nseeds = 2\n[[grid]]\nn = [1]\n[grid.parameters]\n'
        "snr = { start = 0.5, stop = 2.0, num = 3 }\n"
        "[[grid]]\nn = [2]\n[grid.parameters]\nsnr = [4.0]\n",
    )
    ds = filled(sweep)
    assert (ds.status == 1).sum(("seed", "d", "width")).sel(n=1).values.tolist() == [2, 2, 2, 0]


def test_keys_of_the_sweep_below_its_parameters_are_to_move_and_nothing_else_is_wrong(
    one: Write,
) -> None:
    sweep = one(
        'return {"value": trial.k}',
        'name = "one"\nexperiment = "one.py:one"\n[parameters]\nnoise = 1\nseeds = 3\nn = [4]\n',
    )
    with pytest.raises(SweepError) as refused:
        pipeline.load_sweep(sweep)
    assert [problem.key for problem in refused.value.problems] == ["parameters.n", "parameters.seeds"]
    assert "move it above [parameters]" in str(refused.value)


def test_streams_of_a_trial_depend_on_the_name_and_not_on_parameters(one: Write) -> None:
    sweep = one(
        'return {"value": trial.rng("x").random()}',
        'name = "one"\nexperiment = "one.py:one"\nwidth = [1, 2]\nseeds = 2\nnested = NESTED\n'
        "[parameters]\nnoise = [0, 1]\n",
    )
    text = sweep.read_text()
    sweep.write_text(text.replace("NESTED", "true"))
    nested = filled(sweep).value.squeeze()
    assert np.unique(nested).size == 2  # one for each seed
    other = sweep.with_name("other.toml")
    other.write_text(text.replace("NESTED", "false"))
    redrawn = filled(other).value.squeeze()
    assert np.unique(redrawn).size == 4  # one for each seed and width


def test_draws_from_global_generators_depend_on_the_trial_alone(one: Write) -> None:
    sweep = one(
        "import random\nimport numpy as np\n"
        'return {"value": np.random.random() + random.random()}  # as libraries do'
    )
    first = filled(sweep)
    store = sweep.with_name("again.zarr")
    np.random.seed(5)  # noqa: NPY002  # what ran before
    pipeline.run(pipeline.load_sweep(sweep), store)
    np.testing.assert_array_equal(first.value, xr.open_zarr(store).value)


def test_a_trial_may_change_its_draws_in_place(one: Write) -> None:
    ds = filled(
        one(
            'W = trial.weights()\nfirst = W[0, 0]\nW *= 0\nreturn {"value": first}',
            'name = "one"\nexperiment = "one.py:one"\nwidth = [1, 2, 3]\nseeds = 4\n',
        )
    )
    assert (ds.value == ds.value.isel(width=0)).all()
    assert (ds.value != 0).all()


def test_a_dataset_needs_the_sizes_of_its_rows(one: Write) -> None:
    sweep = one(
        'return {"value": 1}',
        'name = "one"\nexperiment = "one.py:one"\nseeds = 3\ndataset = { kind = "sphere" }\n',
    )
    with pytest.raises(SweepError) as refused:
        pipeline.load_sweep(sweep)
    assert {problem.key for problem in refused.value.problems} == {"d", "n"}


def test_a_large_n_is_no_claim_on_memory_as_it_counts_what_the_author_likes(one: Write) -> None:
    sweep = one(
        'return {"value": trial.n}',
        'name = "one"\nexperiment = "one.py:one"\nseeds = 2\nn = [1000000]\nwidth = [100000]\n',
    )
    assert (filled(sweep).value == 10**6).all()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("width = [1, 2]", "parameters.width: is a key of the sweep"),
        ("entropy = 7", "above [parameters]"),
        ("k = [1, 2]", "parameters.k: is the name of an axis or an array of stores"),
        ("noise = { start = 0.1, stop = 1.0 }", "parameters.noise.num: missing"),
        ("noise = { start = 0, stop = 1.0, num = 3 }", 'is geometric; add spacing = "linear"'),
        ("noise = { start = 1.0, stop = 1.0, num = 3 }", "parameters.noise: a list is an axis: 1.0 is"),
        ("noise = { start = 'a', stop = 1.0, num = 3 }", "parameters.noise.start: got 'a', expected"),
        ("status = 1", "parameters.status: is the name of an axis or an array of stores"),
        ("value = [1]", "parameters.value: is also the name of a variable"),
        ("noise = []", "parameters.noise: a list is an axis: got an empty list"),
        ("noise = [1, 1]", "1 is listed twice"),
        ("noise = [1, 'a']", "expected all numbers or all words"),
        ("noise = [true, false]", "expected all numbers or all words"),
        ("noise = [[1], [2]]", "a list that a trial needs as a whole stands in its Python file"),
        ("noise = [2020-01-01]", "expected all numbers or all words"),
        ("noise = [1.0, inf]", "expected finite numbers of at most 64 bits"),
        ("noise = nan", "expected text, true, false, a finite number"),
        ("start = 2020-01-01", "write a date as text"),
        ('"a b" = 1', "got the name 'a b', expected letters, digits and _"),
        ("tolerance = [0.1]", "an axis that success by descent adds"),
        ("lambda = [0.1]", "is a word of Python, which no condition of query or fit can name; rename "),
    ],
)
def test_a_parameter_that_no_store_can_hold_is_refused(one: Write, line: str, message: str) -> None:
    sweep = one(
        'return {"value": 1}',
        f'name = "one"\nexperiment = "one.py:one"\nseeds = 3\n[parameters]\n{line}\n',
    )
    with pytest.raises(SweepError) as refused:
        pipeline.load_sweep(sweep)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("@experiment(status=variable('x'))", "the variable 'status' is an array of every store"),
        ("@experiment(value=3)", "value is 3, expected variable(...)"),
        ("@experiment()", "got no variables"),
        ("@experiment", "got no variables, expected what the function returns"),
        ("@experiment(value=variable(''))", "its long name is '', expected a line of text"),
        ("@experiment(value=variable('x', dims=('step',)))", "expected the same names once in both"),
        ("@experiment(value=variable('x', dims=('n',), coords={'n': [1]}))", "'n' is an axis"),
        ("@experiment(a=variable('x', dims=('b',), coords={'b': [True]}))", "all numbers or all words"),
        ("@experiment(value=variable('x'), widths='some')", "widths is 'some'"),
        ("@staticmethod", "is not decorated, expected @experiment(...) above it"),
        ("raise SystemExit(4)\n@experiment", "one.py: line 2: SystemExit: 4"),
        (
            "import no_such_module\n",
            "one.py: line 2: ModuleNotFoundError: No module named 'no_such_module'",
        ),
        ("x = (\n", "one.py: line 2: '(' was never closed"),
    ],
)
def test_a_file_that_declares_no_experiment_is_refused_in_one_line(
    one: Write, code: str, message: str
) -> None:
    sweep = one("return {}")
    sweep.with_name("one.py").write_text(
        f"from pipeline import experiment, variable\n{code}\ndef one(trial):\n    return {{}}\n"
    )
    with pytest.raises(SweepError) as refused:
        pipeline.load_sweep(sweep)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
