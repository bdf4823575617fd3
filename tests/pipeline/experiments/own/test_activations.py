"""An activation of one's own runs wherever a built-in one does, and gives what that gives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import pipeline
from pipeline.errors import SweepError
from pipeline.experiments.own.rows import row_of
from pipeline.trial_status import Status

Write = Callable[..., Path]

HEAD = """
import numpy as np
from scipy import special
from pipeline import activation
"""

TWINS = """
def relu(z):
    return np.maximum(z, 0)

def softplus(z):
    return np.log1p(np.exp(-np.abs(z))) + np.maximum(z, 0)

@activation(kinks=[0.0], derivative=lambda z: np.where(z > 0, 1.0, 0.01))
def leaky(z):
    return np.where(z > 0, z, 0.01 * z)

def gelu(z):
    return z * special.ndtr(z)
"""

DESCENT = """
name = "a"
experiment = "{experiment}"
activation = {activations}
dataset = {{ kind = "sphere" }}
d = [4]
n = [12]
width = [6, 14]
seeds = 3
{more}
[descent]
steps = 300
"""

CONDITIONING = """
name = "a"
experiment = "{experiment}"
activation = {activations}
dataset = {{ kind = "sphere" }}
d = [4]
n = [10, 15]
width = {{ k_per_n = [1.2, 3.0] }}
seeds = 3
"""


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a sweep with a file of activations beside it."""

    def written(code: str, names: list[str], form: str = DESCENT, **more: str) -> Path:
        (tmp_path / "a.py").write_text(HEAD + code)
        given = {"experiment": "input", "more": ""} | more
        (tmp_path / "a.toml").write_text(form.format(activations=names, **given))
        return tmp_path / "a.toml"

    return written


def filled(sweep: Path, name: str = "a.zarr") -> xr.Dataset:
    pipeline.run(pipeline.load_sweep(sweep), sweep.with_name(name), bar=False)
    return xr.open_zarr(sweep.with_name(name)).load()


def refusal(sweep: Path) -> str:
    with pytest.raises(SweepError) as refused:
        pipeline.load_sweep(sweep)
    (problem,) = refused.value.problems
    return str(problem.text)


PAIRS = {
    "a.py:relu": "relu",
    "a.py:softplus": "softplus",
    "a.py:leaky": "leaky_relu",
    "a.py:gelu": "gelu",
}


@pytest.mark.parametrize("experiment", ["conditioning", "spectrum"])
def test_features_and_kernels_are_those_of_the_built_in_twins(write: Write, experiment: str) -> None:
    names = [*PAIRS, *PAIRS.values()]
    ds = filled(write(TWINS, names, CONDITIONING, experiment=experiment))
    assert (ds.status == Status.DONE).all()
    for ours, theirs in PAIRS.items():
        one, other = ds.sel(activation=ours), ds.sel(activation=theirs)
        for array in ("alpha", "edge", "sigma_max"):
            np.testing.assert_allclose(one[array], other[array], rtol=1e-9)


def test_tangent_kernels_are_those_of_the_built_in_twins(write: Write) -> None:
    names = ["softplus", "a.py:softplus", "leaky_relu", "a.py:leaky"]
    ds = filled(write(TWINS, names, CONDITIONING, experiment="tangent"))
    assert (ds.status == Status.DONE).all()
    for name in ("ntk_min", "ntk_population"):
        for built_in, own in (names[:2], names[2:]):
            one, other = (ds[name].sel(activation=which).values for which in (built_in, own))
            np.testing.assert_allclose(other, one, rtol=1e-6, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("experiment", "more"),
    [("input", ""), ("joint", 'trained = ["both", "output"]'), ("deep", "depth = [1, 2]")],
)
def test_descent_goes_as_that_of_the_built_in_twins(write: Write, experiment: str, more: str) -> None:
    names = [*PAIRS, *PAIRS.values()]
    ds = filled(write(TWINS, names, experiment=experiment, more=more))
    assert (ds.status == Status.DONE).all()
    for ours, theirs in PAIRS.items():
        one, other = ds.sel(activation=ours), ds.sel(activation=theirs)
        np.testing.assert_allclose(one.ntk_max, other.ntk_max, rtol=1e-9)
        early = one.step <= 10
        np.testing.assert_allclose(one.loss_curve[..., early], other.loss_curve[..., early], rtol=1e-6)


@pytest.mark.slow
def test_mini_batches_in_float32_go_as_those_of_the_built_in_twins(write: Write) -> None:
    sweep = write(TWINS, ["a.py:softplus", "softplus", "a.py:gelu", "gelu"])
    more = 'method = ["momentum", "adam"]\nbatch = 4\ndtype = ["float32", "float64"]\n'
    sweep.write_text(sweep.read_text() + more + "step_size = { absolute = 0.01 }\n")
    ds = filled(sweep)
    assert (ds.status == Status.DONE).all()
    for name in ("softplus", "gelu"):
        one, other = ds.sel(activation=f"a.py:{name}"), ds.sel(activation=name)
        np.testing.assert_allclose(one.loss_final, other.loss_final, rtol=1e-3)
        assert (one.loss_final < one.loss_initial).all()


def test_the_compiled_loop_calls_what_numba_compiles_and_numpy_for_the_rest(write: Write) -> None:
    sweep = pipeline.load_sweep(write(TWINS, list(PAIRS)))
    compiled = {str(name): row_of(name).is_compiled for name in sweep.activation}
    assert compiled == {name: name != "a.py:gelu" for name in PAIRS}
    derived = {str(name): name.facts.derivative for name in sweep.activation}
    assert derived["a.py:leaky"] == "given"
    assert derived["a.py:softplus"] == "finite difference"  # |z| has no complex step
    assert derived["a.py:gelu"] == "complex step"


def test_an_exception_in_the_loop_fails_its_trials_and_no_others(write: Write) -> None:
    code = TWINS + (
        "\ndef fragile(z):\n    if np.abs(z).max() > 6.5 and z.size == 12:\n"
        '        raise ArithmeticError("too far")\n    return special.erf(z)\n'
    )
    ds = filled(write(code, ["a.py:fragile", "a.py:relu"]))
    assert (ds.status.sel(activation="a.py:relu") == Status.DONE).all()
    broken = ds.status.sel(activation="a.py:fragile") == Status.FAILED
    assert ds.message.sel(activation="a.py:fragile").values[broken].tolist() == [
        "ArithmeticError: too far"
    ] * int(broken.sum())


def test_two_versions_of_a_file_never_mix_in_one_process(write: Write) -> None:
    first = pipeline.load_sweep(write("def f(z):\n    return np.tanh(z)\n", ["a.py:f"]))
    sweep = write("def f(z):\n    return 2 * np.tanh(z)\n", ["a.py:f"])
    later = filled(sweep, "later.zarr")
    pipeline.run(first, sweep.with_name("first.zarr"), bar=False)
    before = xr.open_zarr(sweep.with_name("first.zarr"))
    tanh = filled(write("", ["tanh"]), "tanh.zarr")
    np.testing.assert_allclose(before.ntk_max.values, tanh.ntk_max.values, rtol=1e-9)
    assert (before.loss_initial != later.loss_initial).all()


def test_code_decides_the_identity_and_built_in_names_stay_as_they_were(write: Write) -> None:
    ours = pipeline.load_sweep(write(TWINS, ["a.py:relu"]))
    other = pipeline.load_sweep(write(TWINS + "\n# changed\n", ["a.py:relu"]))
    assert ours.identity != other.identity
    assert set(ours.identity_fields) - set(
        pipeline.load_sweep(write("", ["relu"])).identity_fields
    ) == {"functions"}


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def f(z):\n    return np.sum(z)", "expected a real number for each"),
        ("def f(z):\n    return z + 1j", "expected a real number for each"),
        ("def f(z):\n    return z / np.mean(z)", "expected the same value whenever it is called"),
        ("def f(z):\n    return z + np.random.rand()", "expected the same value whenever it is called"),
        ("def f(z):\n    return np.log(z)", "is nan at z = -5.99877, expected finite numbers"),
        ("def f(z):\n    raise OSError('no disk')", "raises OSError: no disk for an array of numbers"),
        ("def f():\n    return 1", "raises TypeError"),
        ("f = 3", "is 3, expected a function of one array"),
        ("def g(z):\n    return z", "has no function 'f'"),
        ("import no_such_module", "line 5: ModuleNotFoundError"),
        ("import sys\nsys.exit(3)", "line 6: SystemExit: 3"),
        ("def f(z):\n    import sys; sys.exit(3)", "it ended with SystemExit: 3"),
        (
            "@activation(derivative=lambda z: 3 * z)\ndef f(z):\n    return z**2",
            "its derivative is 18.0037 at z = 6.00123, expected 12.0025 as its values rise there",
        ),
        (
            "@activation(derivative=lambda z: 0 * z)\ndef f(z):\n    return np.sign(z)",
            "jumps at z = 0, so it has no derivative; remove it",
        ),
        ("@activation(kinks=['a'])\ndef f(z):\n    return z", "kinks has 'a', expected finite numbers"),
        ("@activation(derivative=3)\ndef f(z):\n    return z", "derivative is 3, expected a function"),
        ("def f(z):\n    return np.modf(z * 1e6)[0]", "is not smooth at more than 32 points"),
        ("def f(z):\n    return np.sign(z)", "which jumps, and input descends along its derivative"),
    ],
)
def test_what_is_no_activation_is_refused_in_one_line(write: Write, code: str, message: str) -> None:
    told = refusal(write(code, ["a.py:f"]))
    assert message in told
    assert "a.py" in told
    assert "\n" not in told


def test_a_step_is_no_activation_of_descent_but_one_of_conditioning(write: Write) -> None:
    code = "def f(z):\n    return (z > 0) * 1.0"
    ds = filled(write(code, ["a.py:f", "step"], CONDITIONING, experiment="conditioning"))
    one, other = ds.sel(activation="a.py:f"), ds.sel(activation="step")
    np.testing.assert_allclose(one.alpha, other.alpha, rtol=1e-9)
    np.testing.assert_array_equal(one.sigma_max, other.sigma_max)


@pytest.mark.parametrize(
    ("experiment", "message"),
    [
        ("theorem1", "it certifies activations whose bounds of phi' and phi'' are proven"),
        ("theorem2-proof", "covers activations whose bound (6) is proven"),
    ],
)
def test_what_is_proven_for_some_is_refused_for_ones_own(
    write: Write, experiment: str, message: str
) -> None:
    sweep = write(TWINS, ["a.py:relu"], experiment=experiment)
    if experiment == "theorem2-proof":
        sweep.write_text(sweep.read_text().partition("[descent]")[0])
    assert message in refusal(sweep)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("/tmp/a.py:relu", "expected a file beside the sweep and a function in it"),
        ("../a.py:relu", "expected a file beside the sweep and a function in it"),
        ("no.py:relu", "no.py: not found"),
        ("relu:", "expected a file beside the sweep and a function in it"),
    ],
)
def test_only_files_beside_the_sweep_are_run(write: Write, name: str, message: str) -> None:
    assert message in refusal(write(TWINS, [name]))


def test_all_functions_of_a_sweep_are_in_one_file(write: Write) -> None:
    sweep = write(TWINS, ["a.py:relu", "b.py:relu"])
    sweep.with_name("b.py").write_text(HEAD + TWINS)
    assert "expected functions of one file; name all in one" in refusal(sweep)


def test_a_link_out_of_the_folder_is_refused(write: Write, tmp_path: Path) -> None:
    sweep = write(TWINS, ["b.py:relu"])
    outside = tmp_path / "elsewhere"
    outside.mkdir()
    (outside / "b.py").write_text(HEAD + TWINS)
    home = tmp_path / "home"
    home.mkdir()
    (home / "a.toml").write_text(sweep.read_text())
    (home / "b.py").symlink_to(outside / "b.py")
    assert "only code beside the sweep runs" in refusal(home / "a.toml")
