"""The files around the code agree with it and with each other."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
README = (ROOT / "README.md").read_text()
MODULES = [
    file for folder in ("pipeline", "analysis", "jobs") for file in (ROOT / folder).rglob("*.py")
]


def test_environment_and_package_ask_for_the_same_ranges() -> None:
    lines = (ROOT / "environment.yml").read_text().splitlines()
    conda = {line.strip("- ").strip() for line in lines if line.startswith("  - ") and ">=" in line}
    extras = PROJECT["optional-dependencies"]
    asked = {*PROJECT["dependencies"], *extras["cluster"], *extras["s3"], *extras["parquet"]}
    assert conda == {*asked, f"python{PROJECT['requires-python']}"}


def test_the_readme_has_one_command_to_run_and_one_to_test() -> None:
    commands = [line for line in README.splitlines() if line.startswith("python3 -m venv")]
    assert len(commands) == 2
    assert commands[0].endswith("widthlaw reproduce")
    assert "pytest" in commands[1]


def test_pictures_and_sweeps_that_the_readme_names_exist() -> None:
    for name in re.findall(r"\]\(([^)]+)\)", README):
        assert (ROOT / name).is_file(), name


def test_the_readme_sweep_is_valid() -> None:
    from pipeline.sweep_files.load import parse_sweep

    block = re.search(r"```toml\n(.*?)```", README, re.DOTALL)
    assert block is not None
    assert parse_sweep(block.group(1)).activation == ("relu", "tanh")


def test_the_changelog_has_this_version() -> None:
    assert f"## {PROJECT['version']}" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("module", MODULES, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_module_opens_with_prose(module: Path) -> None:
    assert ast.get_docstring(ast.parse(module.read_text()))


def test_no_file_asks_a_public_index_for_our_name() -> None:
    asking = re.compile(r"install (-\S+ )*['\"]?widthlaw\b")  # an index may give the name to anybody
    texts = [*MODULES, ROOT / "README.md", ROOT / "jobs" / "README.md", ROOT / "environment.yml"]
    assert [str(file) for file in texts if asking.search(file.read_text())] == []
