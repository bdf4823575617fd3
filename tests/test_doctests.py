"""Every public name has an example, and the examples are true."""

from __future__ import annotations

import doctest
import inspect
import sys
from importlib import import_module

import pytest

PACKAGES = ("pipeline", "pipeline.theory", "pipeline.numerics", "pipeline.descent", "analysis")

PUBLIC = [(package, name) for package in PACKAGES for name in import_module(package).__all__]


@pytest.mark.slow
@pytest.mark.parametrize(("package", "name"), PUBLIC)
def test_a_public_name_has_an_example_that_is_true(package: str, name: str) -> None:
    public = inspect.unwrap(getattr(import_module(package), name))
    module = sys.modules[public.__module__]
    found = doctest.DocTestFinder(recurse=False).find(public, name, module)
    examples = [test for test in found if test.examples]
    assert examples, f"{package}.{name} has no example"
    runner = doctest.DocTestRunner(optionflags=doctest.REPORT_ONLY_FIRST_FAILURE)
    report: list[str] = []
    for test in examples:
        runner.run(test, out=report.append)
    assert not runner.failures, "".join(report)
