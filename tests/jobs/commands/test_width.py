"""`widthlaw width` on real data, on structured data, and on unusable files."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from sklearn.datasets import load_digits

from analysis import critical_widths, open_store
from jobs.cli import main
from pipeline.experiments.proof import sufficient_width
from pipeline.maintenance.verify import damage
from pipeline.numerics.streams import Role, stream
from pipeline.store import stored_sweep
from pipeline.theory.kernels import alpha


@pytest.fixture
def rows(tmp_path):
    """Sixty random rows of five numbers, none of unit norm."""
    path = tmp_path / "rows.npy"
    np.save(path, 3 * np.random.default_rng(0).standard_normal((60, 5)))
    return path


def answer(result) -> dict[str, dict[str, float]]:
    assert result.stdout, result.stderr
    return {record["quantity"]: record for record in json.loads(result.stdout)}


@pytest.mark.slow
def test_the_digits_get_an_answer_and_a_picture(widthlaw, tmp_path) -> None:
    path, picture, store = (tmp_path / name for name in ("digits.npy", "digits.svg", "digits.zarr"))
    X = load_digits().data
    np.save(path, X)
    result = widthlaw("width", path, "--n", 500, "-o", picture, "--store", store, "--json")
    assert result.returncode == 0, result.stderr
    assert "scaled to unit norm" in result.stderr
    found = answer(result)
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    sample = alpha(unit[np.random.default_rng(1).choice(len(unit), 500, replace=False)], "relu")
    assert found["alpha"]["low"] / 1.5 < sample < 1.5 * found["alpha"]["high"]
    measured = found["measured k*"]
    assert math.sqrt(measured["high"] / measured["low"]) - 1 <= 0.05
    assert 1.1 < measured["value"] / found["k_edge_finite"]["value"] < 1.6
    assert found["sufficient width"]["value"] > 1e6 * measured["value"]
    fitted = critical_widths(open_store(store)).squeeze()
    assert float(fitted.k50) == measured["value"]
    assert "Theorem 2" in picture.read_text()


@pytest.mark.slow
def test_a_kept_store_is_sound_and_resumes_to_the_same_answer(rows, widthlaw, tmp_path) -> None:
    line = ("width", rows, "--n", 20, "--to", "10%", "--store", tmp_path / "w.zarr", "--json")
    first = widthlaw(*line)
    assert first.returncode == 0, first.stderr
    assert damage(tmp_path / "w.zarr") == []
    again = widthlaw(*line)
    assert again.stdout == first.stdout
    assert "round" not in again.stderr
    unit = np.load(rows)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    sweep = stored_sweep(tmp_path / "w.zarr")
    assert (sweep.n, sweep.d, sweep.experiment) == ((20,), (5,), "theorem2-proof")
    found = answer(first)
    ds = open_store(tmp_path / "w.zarr")
    drawn = float(ds.alpha[0, 0, 0])
    assert found["alpha"]["low"] <= drawn <= found["alpha"]["high"]
    norm = np.linalg.norm(unit, 2)  # of all rows, so of no draw less
    assert found["sufficient width"]["low"] <= sufficient_width(20, norm, found["alpha"]["low"])
    other = widthlaw("width", rows, "--n", 30, "--store", tmp_path / "w.zarr")
    assert other.returncode == 2
    assert "was made for other rows, n or activation" in other.stderr


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (os.mkfifo, "a named pipe"),
        (os.mkdir, "a folder"),
        (lambda path: path.symlink_to("/dev/zero"), "a device"),
    ],
)
def test_what_is_no_file_of_rows_is_not_waited_for(tmp_path, refused_at_once, make, kind) -> None:
    path = tmp_path / "rows.csv"
    make(path)
    line = refused_at_once("width", path, "--n", 2)
    assert line == f"widthlaw: width {path}: got {kind}, expected a file; give the path of a file\n"


def test_a_store_in_a_bucket_is_refused(rows, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    line = ["width", str(rows), "--n", "20", "--store", "s3://bucket/w.zarr"]
    result = CliRunner().invoke(main, line)
    assert result.exit_code == 2
    assert "store s3://bucket/w.zarr: S3 cannot replace a store atomically" in result.stderr
    assert [file.name for file in tmp_path.iterdir()] == [rows.name]


@pytest.mark.slow
def test_an_activation_that_the_proof_does_not_cover_gets_the_rest(rows, widthlaw) -> None:
    result = widthlaw("width", rows, "--n", 10, "--activation", "square", "--to", "30%", "--json")
    assert result.returncode == 0, result.stderr
    found = answer(result)
    assert found["sufficient width"]["value"] is None
    assert found["measured k*"]["value"] > 10


def test_duplicate_rows_are_found_before_any_trial(tmp_path, widthlaw) -> None:
    X = np.random.default_rng(0).standard_normal((12, 4))
    np.save(tmp_path / "twice.npy", np.concatenate([X, 3 * X]))
    line = ("width", tmp_path / "twice.npy", "--n", 20, "-o", tmp_path / "a.png", "--json")
    result = widthlaw(*line, "--store", tmp_path / "w.zarr")
    assert result.returncode == 1
    assert "no critical width, and no trial was run: alpha is exactly 0 in about 100" in result.stderr
    assert (
        "12 of the rows repeat others once they are scaled (row 12 is row 0, from 0)" in result.stderr
    )
    assert "remove duplicate rows" in result.stderr
    assert answer(result)["alpha"]["value"] == 0
    assert answer(result)["measured k*"]["value"] is None
    assert [file.name for file in tmp_path.iterdir()] == ["twice.npy"]


def test_a_rank_below_n_is_the_cause_and_duplicates_are_not(rows, widthlaw) -> None:
    result = widthlaw("width", rows, "--n", 20, "--activation", "linear")
    assert result.returncode == 1
    assert "features of rows of rank 5 span at most 5 dimensions" in result.stderr
    assert "below n = 20; take n of 5 or less, or another activation" in result.stderr
    assert "duplicate" not in result.stderr
    assert "workers" not in result.stderr


@pytest.mark.slow
def test_an_index_is_read_remarked_on_and_named_as_the_reason(tmp_path, widthlaw) -> None:
    X = np.random.default_rng(0).standard_normal((200, 6))
    pd.DataFrame(X, columns=[f"f{column}" for column in range(6)]).to_csv(tmp_path / "a.csv")
    line = ("width", tmp_path / "a.csv", "--n", 12, "--to", "40%", "--json")
    result = widthlaw(*line)
    assert "read 200 samples of 7 columns; line 1 holds their names: index, f0, f1" in result.stderr
    assert "column 'index' looks like an index (named like one), and was read as an" in result.stderr
    found = answer(result)
    assert found["measured k*"]["value"] > 2 * found["k_edge_finite"]["value"]
    assert "column 'index', which looks like an index, holds 9" in result.stderr
    again = widthlaw(*line, "--drop", "index", "--store", tmp_path / "w.zarr")
    assert "read 200 samples of 6 of 7 columns" in again.stderr
    assert "looks like" not in again.stderr
    found = answer(again)
    assert 0.5 < found["measured k*"]["value"] / found["k_edge_finite"]["value"] < 2
    assert stored_sweep(tmp_path / "w.zarr").dataset[0].drop == ("index",)
    assert damage(tmp_path / "w.zarr") == []
    assert "closer than --to 40%" in again.stderr


@pytest.mark.slow
def test_without_a_store_an_interrupted_run_does_not_say_that_it_keeps_trials(
    rows, command, tmp_path
) -> None:
    line = [command, "width", rows, "--n", 40, "--to", "0.1%", "--workers", 1]
    with subprocess.Popen(list(map(str, line)), stderr=subprocess.PIPE, text=True) as process:
        told = []
        for text in process.stderr:
            told.append(text)
            if text.startswith("round 2"):  # the first round is done, and a worker is busy
                process.send_signal(signal.SIGINT)
    assert process.returncode == 130
    assert "interrupted; nothing is kept without --store; the same command starts again\n" in told
    assert "keeps" not in "".join(told)


@pytest.mark.parametrize(
    ("name", "content", "more", "message"),
    [
        ("rows.npy", None, ("--n", 61), "n: got 61, but"),
        ("rows.npy", None, ("--n", 1), "--n 1: needs at least two rows"),
        ("rows.npy", None, ("--n", 9, "--activation", "rleu"), "did you mean 'relu'"),
        ("rows.npy", None, ("--n", 9, "--drop", "5"), "has no column '5'; it has columns 0 to 4"),
        ("a.csv", "a,b\n1,2\n3,4\n", ("--n", 2, "--columns", "A"), "did you mean 'a'"),
        ("a.csv", 'a,"b,c",d\n1,2,3\n', ("--n", 2, "--drop", '"b,c",e'), "has no column 'e'; it"),
        ("rows.npy", None, ("--n", 9, "-o", "a.txt"), "expected an ending of .png, .svg, .pdf"),
        ("rows.npy", None, ("--n", 9, "--to", "5 km"), "expected a share"),
        ("nothing.npy", None, ("--n", 9), "not found"),
        ("a.txt", "1,2\n3,4\n", ("--n", 2), "expected .npy or .csv"),
        ("a.csv", "1,2\n3,four\n", ("--n", 2), "line 2: got 'four', expected a number"),
        ("a.csv", "1,2\n3,nan\n", ("--n", 2), "sample 1, column 1 is nan"),
        ("a.csv", "1,2\n0,0\n", ("--n", 2), "sample 1 is all zeros"),
    ],
)
def test_unusable_data_are_refused_in_one_line(
    rows, tmp_path, widthlaw, name, content, more, message
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    result = widthlaw("width", tmp_path / name, *more)
    assert result.returncode == 2, result.stderr
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    shutil.rmtree(tmp_path)


def steps_by_hand(W: np.ndarray, X: np.ndarray, y: np.ndarray, tolerance: float, steps: int) -> float:
    """The first step at which W, trained on plain NumPy, meets a relative loss; inf if none."""
    v = np.resize([1.0, -1.0], len(W)) / np.sqrt(len(W))
    bent = (W @ X.T > 0) * v[:, None]
    eta = 1 / np.linalg.eigvalsh((bent.T @ bent) * (X @ X.T))[-1]
    start = v @ np.maximum(W @ X.T, 0) - y
    for step in range(steps + 1):
        z = W @ X.T
        r = v @ np.maximum(z, 0) - y
        if r @ r <= tolerance * (start @ start):
            return step
        W = W - eta * (np.outer(v, r) * (z > 0)) @ X
    return np.inf


@pytest.mark.slow
def test_training_on_ones_own_labels_is_answered_beside_the_features(rows, widthlaw, tmp_path) -> None:
    numbers = np.load(rows)
    labels = np.where(numbers[:, 0] > 0, 2.0, -1.0)
    np.save(tmp_path / "y.npy", labels)
    line = ("width", rows, "--n", 12, "--to", "30%", "--labels", tmp_path / "y.npy", "--json")
    more = ("--train", "input", "--tolerance", "0.1", "--steps", "300", "--store", tmp_path / "w.zarr")
    result = widthlaw(*line, *more)
    assert result.returncode == 0, result.stderr
    found = answer(result)
    training, features = found["training k*"], found["measured k*"]
    assert training["value"] < features["value"]
    assert "a relative loss of 0.1 within 300 steps of gradient descent on W" in training["what"]
    path = tmp_path / "w-training.zarr"
    assert float(critical_widths(open_store(path)).k50.squeeze()) == training["value"]
    assert training["low"] <= training["value"] <= training["high"]
    sweep, ds = stored_sweep(path), open_store(path).load()
    for seed in range(4):
        at = (sweep.entropy, 5, 12, seed)
        drawn = stream(*at, Role.DATA).permutation(60)[:12]
        X = numbers[drawn] / np.linalg.norm(numbers[drawn], axis=1, keepdims=True)
        one = ds.sel(seed=seed).squeeze()
        k = int(one.k.where(one.status == 1, drop=True).max())
        W = stream(*at, Role.WEIGHTS).standard_normal((k, 5))
        wanted = steps_by_hand(W, X, labels[drawn], 0.1, 300)
        assert one.steps_to_tolerance.sel(width=k).item() == wanted


@pytest.mark.slow
def test_a_column_of_labels_is_no_input(rows, widthlaw, tmp_path) -> None:
    numbers = np.load(rows)
    table = np.column_stack([numbers, numbers[:, 1] ** 2])
    np.savetxt(tmp_path / "t.csv", table, delimiter=",", header="a,b,c,d,e,goal", comments="")
    line = ("width", tmp_path / "t.csv", "--n", 30, "--to", "30%", "--steps", "2000", "--json")
    result = widthlaw(*line, "--labels", "goal", "--train", "output", "--tolerance", "0.1")
    assert result.returncode == 0, result.stderr
    assert "5 of 6 columns" in result.stderr
    alone = widthlaw("width", rows, "--n", 30, "--to", "30%", "--json")
    assert answer(result)["measured k*"]["value"] == pytest.approx(
        answer(alone)["measured k*"]["value"], rel=1e-6
    )
    assert 10 < answer(result)["training k*"]["value"] < answer(result)["measured k*"]["value"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--train", "input"], "width --train, --tolerance and --steps: belong to --labels; add it"),
        (["--labels", "none.npy"], "none.npy: not found"),
        (["--labels", "goal"], "has no column 'goal'"),
        (["--labels", "3", "--activation", "abs"], "abs"),
        (["--labels", "3", "--train", "all"], "'all' is not one of 'output', 'input', 'both'"),
    ],
)
def test_training_that_cannot_be_is_refused_before_any_trial(rows, widthlaw, more, message) -> None:
    result = widthlaw("width", rows, "--n", 12, *more)
    assert result.returncode == 2
    assert message in result.stderr
    assert "round" not in result.stderr
