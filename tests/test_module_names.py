"""Names of modules that stand in strings lead somewhere, and folders do not hide functions."""

from __future__ import annotations

import importlib.resources
import pkgutil
import re
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

import analysis
import jobs
import pipeline
from jobs.cluster import job_scripts
from pipeline.execution import local
from pipeline.numerics import activations, compiled
from pipeline.store.provenance import provenance

from .waiting import PATIENCE

ROOT = Path(__file__).parents[1]

SUPERVISE_040 = """
while :; do
  "$1" -m jobs.controller "$2" &
  child=$!
  wait "$child"
  code=$?
  if [ "$code" -le 128 ] && [ "$code" -ne 75 ]; then exit "$code"; fi
  sleep 2
done
"""
"""The loop of a controller's job as 0.4.0 wrote it into run folders."""


def _modules() -> list[str]:
    return [
        found.name
        for package in (pipeline, analysis, jobs)
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    ]


def test_documented_names_are_functions_after_every_module_was_imported() -> None:
    for name in _modules():
        import_module(name)
    assert callable(pipeline.run)
    assert callable(pipeline.load_sweep)
    assert callable(pipeline.local_client)
    assert isinstance(pipeline.Sweep, type)
    assert all(callable(getattr(analysis, name)) for name in analysis.__all__)


@pytest.mark.parametrize(
    ("package", "names"),
    [
        ("pipeline", ["Sweep", "load_sweep", "local_client", "run", "descent", "numerics", "theory"]),
        ("pipeline.theory", ["alpha", "critical_width", "kernel_matrix", "left_edge"]),
        ("pipeline.numerics", ["singular_values"]),
        ("pipeline.descent", ["residual_norm", "train"]),
        ("analysis", ["critical_widths", "fit_laws", "open_store"]),
    ],
)
def test_packages_list_and_have_their_documented_names(package, names) -> None:
    module = import_module(package)
    assert set(names) <= set(dir(module))
    assert all(getattr(module, name) is not None for name in names)


@pytest.mark.parametrize("package", [pipeline, analysis])
def test_what_a_package_lists_is_public_and_there(package) -> None:
    public = [name for name in dir(package) if not name.startswith("__")]
    assert public == sorted({*package.__all__, *package.PACKAGES})
    assert all(getattr(package, name) is not None for name in public)


def test_modules_that_dask_preloads_can_be_imported() -> None:
    named = re.findall(r'"((?:pipeline|jobs)\.[\w.]+)"', Path(local.__file__).read_text())
    named += re.findall(r'"((?:pipeline|jobs)\.[\w.]+)"', Path(job_scripts.__file__).read_text())
    assert len(named) >= 3
    for name in named:
        assert hasattr(import_module(name), "dask_setup")


def test_the_supervisor_starts_a_module_that_is_there() -> None:
    script = (importlib.resources.files("jobs.cluster") / "supervise.sh").read_text()
    (name,) = re.findall(r"-m (jobs[\w.]+)", script)
    assert find_spec(name) is not None


def test_a_controller_of_an_older_version_ends_at_once_and_is_not_started_again(tmp_path) -> None:
    script = tmp_path / "supervise.sh"
    script.write_text(SUPERVISE_040)
    line = ["bash", str(script), sys.executable, str(tmp_path)]
    ended = subprocess.run(line, capture_output=True, text=True, timeout=PATIENCE, cwd=tmp_path)
    assert ended.returncode == 1
    assert ended.stderr.count("No module named jobs.controller") == 1


def test_the_cache_of_compiled_code_depends_on_compiled_sources_of_every_folder() -> None:
    sources = compiled.compiled_sources()
    folders = {path.parent.name for path in sources}
    assert {"descent", "theory", "numerics", "activations"} <= folders
    register = Path(activations.__file__)  # its order decides the numbers of compiled functions
    assert register in sources
    for path in ROOT.joinpath("pipeline").rglob("*.py"):
        uses = re.search(r"^from pipeline\.numerics\.compiled import", path.read_text(), re.MULTILINE)
        assert (path in sources) == bool(uses) or path in {Path(compiled.__file__), register}


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a checkout")
def test_the_commit_of_a_checkout_is_known() -> None:
    head = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    )
    assert provenance()["commit"] == head.stdout.strip()
