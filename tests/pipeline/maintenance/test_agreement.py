"""When two stores were computed on one platform, as their provenance tells it."""

from __future__ import annotations

import pytest

from pipeline.maintenance.agreement import one_platform
from pipeline.store.provenance import provenance

DEBIAN = "Linux-6.1.0-18-amd64-x86_64-with-glibc2.36"


@pytest.fixture
def here():
    return provenance() | {"platform": DEBIAN}


def test_a_process_has_one_platform_with_itself(here) -> None:
    assert here["processor"]
    assert one_platform([here, here])


@pytest.mark.parametrize(
    "change",
    [
        {"processor": "vendor_id AuthenticAMD, cpu family 23, model 49, stepping 0"},
        {"platform": "Linux-6.1.0-18-arm64-aarch64-with-glibc2.36"},
        {"platform": "Linux-6.1.0-18-amd64-x86_64-with-glibc2.31"},
        {"platform": "macOS-14.5-arm64-arm-64bit"},
        {"packages": {"numpy": "1.26.4"}},
        {"blas": [{"internal_api": "mkl", "version": "2024.0", "architecture": "Haswell"}]},
    ],
)
def test_another_processor_system_library_or_version_is_another_platform(here, change) -> None:
    assert not one_platform([here, here | change])
    assert not one_platform([here | change, here])


@pytest.mark.parametrize("release", ["6.1.0-21-amd64", "6.18.44-fc-v657", "6.8.0"])
def test_a_release_of_linux_changes_no_bit(here, release) -> None:
    assert one_platform([here, here | {"platform": f"Linux-{release}-x86_64-with-glibc2.36"}])


def test_a_store_that_does_not_tell_its_processor_may_have_had_another_one(here) -> None:
    older = {key: value for key, value in here.items() if key != "processor"}
    assert not one_platform([older, here])
    assert not one_platform([here, older])
    assert not one_platform([older, older])


def test_the_sources_of_a_store_count(here) -> None:
    other = here | {"processor": "another"}
    assert not one_platform([here | {"sources": [other]}])
    assert one_platform([here | {"sources": [here]}, here])
