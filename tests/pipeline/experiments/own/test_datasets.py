"""A dataset of one's own is drawn like the others, with its labels, and each draw is checked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import pipeline
from pipeline.errors import SweepError
from pipeline.numerics.streams import Role, stream
from pipeline.trial_status import Status

Write = Callable[..., Path]

SPHERE = """
import numpy as np

def rows(rng, n, d):
    X = rng.standard_normal((n, d))
    return X / np.linalg.norm(X, axis=1, keepdims=True)
"""

SWEEP = """
name = "r"
experiment = "{experiment}"
dataset = {{ kind = "{kind}"{keys} }}
d = [4]
n = [10, 15]
width = {width}
seeds = 3
{more}
"""


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a sweep with a file of datasets beside it."""

    def written(code: str, kind: str = "r.py:rows", **more: str) -> Path:
        (tmp_path / "r.py").write_text(code)
        given = {
            "experiment": "conditioning",
            "keys": "",
            "width": "{ k_per_n = [1.2, 3.0] }",
            "more": "",
        }
        (tmp_path / "r.toml").write_text(SWEEP.format(kind=kind, **given | more))
        return tmp_path / "r.toml"

    return written


def filled(sweep: Path, name: str = "r.zarr") -> xr.Dataset:
    pipeline.run(pipeline.load_sweep(sweep), sweep.with_name(name), bar=False)
    return xr.open_zarr(sweep.with_name(name)).load()


def refusal(sweep: Path) -> str:
    with pytest.raises(SweepError) as refused:
        pipeline.load_sweep(sweep)
    (problem,) = refused.value.problems
    return str(problem.text)


def test_rows_of_ones_own_give_what_the_built_in_ones_give(write: Write) -> None:
    ours = filled(write(SPHERE))
    theirs = filled(write("", "sphere"), "s.zarr")
    for name in ("sigma_min", "sigma_max", "alpha", "edge"):
        np.testing.assert_array_equal(ours[name], theirs[name])
    assert ours.attrs["dataset"] == "r.py:rows" or ours.attrs["dataset"] == ["r.py:rows"]


@pytest.mark.slow
def test_several_datasets_are_an_axis_with_built_in_ones_among_them(write: Write) -> None:
    sweep = write(SPHERE)
    text = sweep.read_text().replace(
        'dataset = { kind = "r.py:rows" }', 'dataset = [{ kind = "sphere" }, { kind = "r.py:rows" }]'
    )
    sweep.write_text(text)
    ds = filled(sweep)
    assert ds.dataset.values.tolist() == ["sphere", "r.py:rows"]
    np.testing.assert_array_equal(ds.alpha.isel(dataset=0), ds.alpha.isel(dataset=1))


def test_labels_of_ones_own_are_those_that_descent_fits(write: Write) -> None:
    code = SPHERE + "\ndef labelled(rng, n, d):\n    X = rows(rng, n, d)\n    return X, 2 * X[:, 0]\n"
    keys = {"experiment": "output", "width": "[400]", "more": "[descent]\nsteps = 10\n"}
    ds = filled(write(code, "r.py:labelled", **keys))
    for n in (10, 15):
        rng = stream(0, 4, n, 1, Role.DATA)
        X = rng.standard_normal((n, 4))
        y = 2 * X[:, 0] / np.linalg.norm(X, axis=1)
        assert ds.loss_initial.sel(n=n, seed=1).item() == pytest.approx(y @ y)


def test_a_trial_of_ones_own_gets_its_inputs_and_labels(write: Write) -> None:
    code = (
        SPHERE
        + """
from pipeline import experiment, variable

def labelled(rng, n, d):
    X = rows(rng, n, d)
    return X, X[:, 0]

@experiment(apart=variable("largest distance of a label from its row"))
def look(trial):
    return {"apart": np.abs(trial.inputs()[:, 0] - trial.labels()).max()}
"""
    )
    ds = filled(write(code, "r.py:labelled", experiment="r.py:look"))
    assert (ds.status == Status.DONE).all()
    assert (ds.apart == 0).all()


TEACHER = """
import numpy as np

def teacher(rng, X):
    return X @ rng.standard_normal(X.shape[1])

def broken(rng, X):
    return X
"""


@pytest.mark.slow
def test_labels_alone_can_be_ones_own_and_an_axis_with_built_in_laws(write: Write) -> None:
    more = '[labels]\nkind = ["signs", "r.py:teacher"]\n[descent]\nsteps = 10\ntest_samples = 50\n'
    ds = filled(write(TEACHER, "sphere", experiment="input", width="[40]", more=more))
    assert (ds.status == Status.DONE).all()
    assert ds.labels.values.tolist() == ["signs", "r.py:teacher"]
    X = stream(0, 4, 10, 2, Role.DATA).standard_normal((10, 4))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    y = X @ stream(0, 4, 10, 2, Role.LABELS).standard_normal(4)
    W = stream(0, 4, 10, 2, Role.WEIGHTS).standard_normal((40, 4))
    f = np.resize([1.0, -1.0], 40) @ np.maximum(W @ X.T, 0) / np.sqrt(40)
    at = {"labels": "r.py:teacher", "n": 10, "seed": 2}
    assert ds.loss_initial.sel(at).item() == pytest.approx(np.sum((f - y) ** 2))


@pytest.mark.parametrize(
    ("kind", "more", "message"),
    [
        (
            "sphere",
            '[labels]\nkind = "r.py:broken"',
            "labels of shape (10, 4), expected (10,)",
        ),
        ("sphere", '[labels]\nkind = "/tmp/r.py:teacher"', "expected a file beside the sweep"),
        ("sphere", '[labels]\nkind = "r.py:none"', "has no function 'none'"),
        (
            "r.py:labelled",
            '[labels]\nkind = "linear"',
            "but r.py:labelled returns labels",
        ),
        ("r.py:labelled", '[descent]\nloss = "logistic"', "may return any numbers; add classes = true"),
        ("sphere", '[labels]\nkind = "s.py:teacher"', "s.py: not found"),
    ],
)
def test_labels_that_cannot_be_used_are_refused(
    write: Write, kind: str, more: str, message: str
) -> None:
    code = TEACHER + "\ndef labelled(rng, n, d):\n    X = rng.random((n, d))\n    return X, X[:, 0]\n"
    assert message in refusal(write(code, kind, experiment="input", width="[6, 14]", more=more))


def test_a_test_set_has_the_labels_that_come_with_its_rows(write: Write) -> None:
    code = SPHERE + "\ndef labelled(rng, n, d):\n    X = rows(rng, n, d)\n    return X, 2 * X[:, 0]\n"
    more = "[labels]\nclasses = true\n[descent]\nsteps = 2000\ntest_samples = 400\ndiagnostics = true"
    keys = {"experiment": "input", "width": "[100]", "more": more}
    ds = filled(write(code, "r.py:labelled", **keys))
    assert (ds.status == Status.DONE).all()
    assert 0.6 < float(ds.test_accuracy.mean()) < 1  # far better than by chance


def test_normalise_scales_rows_to_the_norm_that_theorem_2_needs(write: Write) -> None:
    code = "import numpy as np\ndef rows(rng, n, d):\n    return 1e200 * rng.standard_normal((n, d))\n"
    told = refusal(write(code, experiment="theorem2-proof"))
    assert "requires rows of unit norm, which a r.py:rows dataset does not have" in told
    assert "set normalise = true" in told
    ours = filled(write(code, keys=", normalise = true"))
    np.testing.assert_allclose(ours.alpha, filled(write("", "sphere"), "s.zarr").alpha, rtol=1e-9)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return rng.standard_normal((d, n))", "it returned rows of shape (4, 10), expected (10, 4)"),
        ("return rng.standard_normal(n)", "it returned rows of shape (10,), expected (10, 4)"),
        ("return None", "its rows are None, expected real numbers of shape (10, 4)"),
        ("return [['a'] * d] * n", "expected real numbers of shape (10, 4)"),
        ("return [[1] * d, [2]]", "its rows are list, expected rows of shape (10, 4)"),
        ("return np.full((n, d), np.inf)", "its rows have inf at sample 0, column 0"),
        ("return rows(rng, n, d) + 1j", "expected real numbers of shape (10, 4)"),
        ("return rows(rng, n, d), np.ones(3)", "it returned labels of shape (3,), expected (10,)"),
        ("return rows(rng, n, d), [np.nan] * n", "its labels have nan at sample 0"),
        ("raise OSError('no disk')", "it raises OSError: no disk"),
        ("raise SystemExit(2)", "it ended with SystemExit: 2"),
        ("return np.random.default_rng().random((n, d))", "returns other rows from the same stream"),
    ],
)
def test_what_is_no_dataset_is_refused_in_one_line(write: Write, body: str, message: str) -> None:
    told = refusal(write(SPHERE + f"\ndef own(rng, n, d):\n    {body}\n", "r.py:own"))
    assert message in told
    assert "r.py:own" in told
    assert "\n" not in told


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return rows(rng, n, d)[: 10]", "it returned rows of shape (10, 4), expected (15, 4)"),
        ("return rows(rng, n, d) * (n / 10)", "has norm 1.5 at n = 15, d = 4, expected 1"),
        (
            "X = rows(rng, n, d)\n    return X if n == 10 else (X, X[:, 0])",
            "returned rows and labels at n = 15, d = 4, unlike when the sweep was read",
        ),
    ],
)
def test_each_draw_is_checked_and_fails_its_trials_alone(write: Write, body: str, message: str) -> None:
    ds = filled(write(SPHERE + f"\ndef own(rng, n, d):\n    {body}\n", "r.py:own"))
    assert (ds.status.sel(n=10) == Status.DONE).all()
    assert (ds.status.sel(n=15) == Status.FAILED).all()
    assert message in ds.message.sel(n=15).values.flat[0]


@pytest.mark.parametrize(
    ("kind", "more", "message"),
    [
        ("r.py:labelled", {"experiment": "theorem1"}, "but theorem1 makes labels by itself"),
        ("r.py:fixed", {"experiment": "generalisation"}, "returns the same rows from every stream"),
        ("r.py:rows", {"keys": ', path = "x.npy"'}, "are no keys of r.py:rows"),
        ("../r.py:rows", {}, "expected a file beside the sweep and a function in it"),
        ("/tmp/r.py:rows", {}, "expected a file beside the sweep and a function in it"),
        ("r.py:none", {}, "has no function 'none'"),
    ],
)
def test_what_does_not_fit_the_experiment_or_the_folder_is_refused(
    write: Write, kind: str, more: dict[str, str], message: str
) -> None:
    code = SPHERE + (
        "\ndef labelled(rng, n, d):\n    X = rows(rng, n, d)\n    return X, X[:, 0]\n"
        "\ndef fixed(rng, n, d):\n    return rows(np.random.default_rng(1), n, d)\n"
    )
    width = "[6, 14]" if more else "{ k_per_n = [1.2, 3.0] }"
    assert message in refusal(write(code, kind, **{"width": width} | more))


def test_a_dataset_is_drawn_at_sizes_that_the_sweep_gives(write: Write) -> None:
    sweep = write(SPHERE)
    sweep.write_text(sweep.read_text().replace("d = [4]\n", ""))
    assert "missing, a dataset of one's own is drawn at it; add the key" in refusal(sweep)
