"""The controller of a submitted run: what its scheduler tells other users of its host."""

from __future__ import annotations

from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from jobs.cluster import controller, credentials
from jobs.cluster.profile import Profile
from jobs.cluster.run_folder import Run
from pipeline.store.location import normal


@pytest.mark.parametrize(("wanted", "answer"), [(False, 404), (True, 200)])
def test_a_controller_has_a_dashboard_only_if_it_is_wanted(
    make_sweep, tmp_path, wanted, answer
) -> None:
    profile = Profile(system="slurm", workers=1, memory="1 GB", walltime="01:00:00", host="127.0.0.1")
    run = Run.new(
        normal(tmp_path / "a.zarr"),
        data_folder=tmp_path,
        profile=profile,
        retry_failed=False,
        allocation=True,
        dashboard=wanted,
    )
    run.folder.mkdir()
    credentials.save(credentials.fresh(), run.tls)
    with controller._workers(run, make_sweep(), profile) as workers:
        port = workers.client.scheduler_info()["services"]["dashboard"]
        for page in ("status", "info/main/workers.html"):
            assert asked(f"http://127.0.0.1:{port}/{page}") == answer


def asked(url: str) -> int:
    try:
        with urlopen(url, timeout=10) as found:
            return found.status
    except HTTPError as error:
        return error.code
