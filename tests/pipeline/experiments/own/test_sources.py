"""Only code beside the sweep runs, under a private name, and its digest is that of all it imports."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import xarray as xr

import pipeline
from pipeline.errors import CodeError, StoreError, SweepError
from pipeline.experiments.own.sources import gather
from pipeline.store import stored_sweep
from pipeline.sweep import Sweep

Write = Callable[..., Path]


def named(sweep: Path, entry: str) -> Sweep:
    """Load the sweep with another entry."""
    text = sweep.read_text().replace('"one.py:one"', f'"{entry}"')
    sweep.write_text(text)
    return pipeline.load_sweep(sweep)


@pytest.mark.parametrize(
    "entry",
    [
        "/tmp/one.py:one",
        "../one.py:one",
        "sub/one.py:one",
        "sub/../one.py:one",
        "one.py",
        "one.py:",
        "one.py:one.two",
        "one:one",
        "os:system",
        ".one.py:one",
        "C:one.py:one",
    ],
)
def test_an_entry_that_is_no_file_beside_the_sweep_is_refused(one: Write, entry: str) -> None:
    sweep = one("return {}")
    with pytest.raises(SweepError, match="expected a file beside the sweep and a function in it"):
        named(sweep, entry)


@pytest.mark.parametrize("linked", ["one.py", "helper.py"])
def test_a_link_that_leaves_the_folder_is_refused(
    one: Write, tmp_path_factory: pytest.TempPathFactory, linked: str
) -> None:
    sweep = one("import helper\nreturn {'value': helper.x}")
    sweep.with_name("helper.py").write_text("x = 1")
    outside = tmp_path_factory.mktemp("outside") / "evil.py"
    outside.write_text(sweep.with_name(linked).read_text())
    sweep.with_name(linked).unlink()
    sweep.with_name(linked).symlink_to(outside)
    with pytest.raises(SweepError, match=f"{linked}: is a link to .*only code beside the sweep runs"):
        pipeline.load_sweep(sweep)


def test_a_missing_file_or_function_is_told(one: Write) -> None:
    sweep = one("return {}")
    with pytest.raises(SweepError, match=r"experiment: one\.py: has no function 'two'"):
        named(sweep, "one.py:two")
    sweep.with_name("one.py").unlink()
    with pytest.raises(SweepError, match=r"experiment: one\.py: not found in "):
        pipeline.load_sweep(sweep)


def test_modules_beside_the_file_run_with_it_and_belong_to_its_digest(one: Write) -> None:
    sweep = one(
        "import helper\nfrom tools import deep\nfrom tools.deep import twice as f\n"
        "import tools.flat as flat\n"
        "return {'value': helper.x + deep.twice(1) + f(10) + flat.z}"
    )
    sweep.with_name("helper.py").write_text("from math import floor\nx = floor(100.5)")
    tools = sweep.with_name("tools")
    tools.mkdir()
    (tools / "__init__.py").write_text("")
    (tools / "deep.py").write_text(
        "from . import flat\nfrom .flat import z\ndef twice(x): return 2 * x"
    )
    (tools / "flat.py").write_text("z = 1000")
    (tools / "unused.py").write_text("raise RuntimeError('never imported')")
    loaded = pipeline.load_sweep(sweep)
    assert loaded.own is not None
    assert [path for path, _ in loaded.own.sources] == [
        "helper.py", "one.py", "tools/__init__.py", "tools/deep.py", "tools/flat.py"
    ]  # fmt: skip
    pipeline.run(loaded, sweep.with_suffix(".zarr"))
    assert (xr.open_zarr(sweep.with_suffix(".zarr")).value == 1122).all()
    (tools / "unused.py").write_text("")
    assert pipeline.load_sweep(sweep).identity == loaded.identity
    (tools / "flat.py").write_text("z = 1001")
    assert pipeline.load_sweep(sweep).identity != loaded.identity


def test_no_module_of_the_folder_hides_one_for_others(one: Write) -> None:
    sweep = one("import json\nreturn {'value': json.x}")
    sweep.with_name("json.py").write_text("x = 5")
    sweep.with_name("pipeline.py").write_text("raise RuntimeError('not ours')")
    before = set(sys.path), sys.modules["json"]
    pipeline.run(pipeline.load_sweep(sweep), sweep.with_suffix(".zarr"))
    assert (xr.open_zarr(sweep.with_suffix(".zarr")).value == 5).all()
    assert (set(sys.path), sys.modules["json"]) == before


def test_workers_get_the_code_with_the_tasks(one: Write) -> None:
    sweep = one("import helper\nreturn {'value': helper.x}")
    sweep.with_name("helper.py").write_text("x = 7")
    loaded = pipeline.load_sweep(sweep)
    for file in ("one.py", "helper.py"):
        sweep.with_name(file).unlink()
    with pipeline.local_client(1) as client:
        pipeline.run(loaded, sweep.with_suffix(".zarr"), client)
    assert (xr.open_zarr(sweep.with_suffix(".zarr")).value == 7).all()


def test_an_import_that_fails_on_a_worker_fails_the_trials_with_the_reason(one: Write) -> None:
    sweep = one("return {'value': 1}")
    file = sweep.with_name("one.py")
    only_here = (
        "import multiprocessing\nif multiprocessing.parent_process():\n    import no_torch_here\n"
    )
    file.write_text(only_here + file.read_text())
    with pipeline.local_client(1) as client:
        outcome = pipeline.run(pipeline.load_sweep(sweep), sweep.with_suffix(".zarr"), client)
    assert outcome.failed == 12
    messages = set(xr.open_zarr(sweep.with_suffix(".zarr")).message.values.flat)
    assert messages == {
        "CodeError: one.py: line 3: ModuleNotFoundError: No module named 'no_torch_here'; repair it, "
        "or install what it needs"
    }


def test_what_a_file_prints_goes_to_stderr(one: Write, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = one("print('from a trial')\nreturn {'value': 1}")
    sweep.with_name("one.py").write_text(
        sweep.with_name("one.py").read_text() + "\nprint('at import')\n"
    )
    pipeline.run(pipeline.load_sweep(sweep), sweep.with_suffix(".zarr"))
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "at import" in printed.err
    assert "from a trial" in printed.err


def test_a_process_that_a_trial_forks_writes_nothing(one: Write) -> None:
    sweep = one(
        "import os\nfork = os.fork()\nif fork:\n    os.waitpid(fork, 0)\n"
        "return {'value': 0.0 if fork else 1.0}"
    )
    outcome = pipeline.run(pipeline.load_sweep(sweep), sweep.with_suffix(".zarr"))
    assert outcome.trials == 12
    assert (xr.open_zarr(sweep.with_suffix(".zarr")).value == 0).all()


@pytest.mark.parametrize(
    "own",
    [3, {}, {"entry": "one.py:one"}, {"variables": [{"name": "n"}]}, {"cost": {"seconds": -1}}, []],
    ids=str,
)
def test_a_store_that_describes_its_experiment_wrongly_is_refused(one: Write, own: Any) -> None:
    sweep = one("return {'value': 1}")
    path = sweep.with_suffix(".zarr")
    pipeline.run(pipeline.load_sweep(sweep), path)
    root = json.loads((path / "zarr.json").read_text())
    stored = root["attributes"]["own"]
    root["attributes"]["own"] = stored | own if isinstance(own, dict) and own else own
    (path / "zarr.json").write_text(json.dumps(root))
    if own == {"entry": "one.py:one"}:  # the control: this changes nothing
        assert stored_sweep(path).own is not None
        return
    with pytest.raises(StoreError, match="cannot use its attribute own: the store is damaged"):
        stored_sweep(path)


@pytest.mark.parametrize(
    "line", ["import numpy as np", "from numpy import linalg", "import numpy.linalg"]
)
def test_a_file_that_hides_the_module_it_imports_is_refused_by_name(tmp_path: Path, line: str) -> None:
    (tmp_path / "numpy.py").write_text(line)
    with pytest.raises(CodeError, match=r"numpy.py: imports numpy, which is this file itself"):
        gather(tmp_path, "numpy.py")
