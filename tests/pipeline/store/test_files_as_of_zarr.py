"""The files of a store are those that Zarr would write; their parts are read as by Zarr."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import zarr
from zarr.core.buffer import default_buffer_prototype

import pipeline
from pipeline import store
from pipeline.store.arrays import open_array
from pipeline.store.location import locate

from ..maintenance.test_verify import KEYS


@pytest.fixture(scope="module")
def filled(tmp_path_factory, make_sweep) -> Path:
    """A store whose last chunks along the seeds stand out of their arrays."""
    path, sweep = tmp_path_factory.mktemp("filled") / "a.zarr", make_sweep(**KEYS | {"seeds": 5})
    store.create(path, sweep, seeds_per_chunk=2)
    pipeline.run(sweep, path)
    return path


def names(path: Path) -> list[str]:
    return sorted(file.parent.name for file in path.glob("*/zarr.json"))


@pytest.mark.filterwarnings("ignore:Object at .digests:UserWarning")
def test_metadata_are_those_that_zarr_writes(filled, tmp_path) -> None:
    group = zarr.open_group(str(filled), mode="r", use_consolidated=False)
    copy = zarr.create_group(str(tmp_path / "b.zarr"), attributes=dict(group.attrs))
    for name, array in group.arrays():
        files = array.metadata.to_buffer_dict(default_buffer_prototype())
        assert files["zarr.json"].to_bytes() == (filled / name / "zarr.json").read_bytes(), name
        (tmp_path / "b.zarr" / name).mkdir()
        (tmp_path / "b.zarr" / name / "zarr.json").write_bytes(files["zarr.json"].to_bytes())
    with pytest.warns(match="Consolidated metadata"):
        zarr.consolidate_metadata(copy.store)
    assert (tmp_path / "b.zarr" / "zarr.json").read_bytes() == (filled / "zarr.json").read_bytes()


def test_chunks_are_those_that_zarr_writes(filled, tmp_path) -> None:
    kept = {"array.write_empty_chunks": True}
    for name in names(filled):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "zarr.json").write_bytes((filled / name / "zarr.json").read_bytes())
        with zarr.config.set(kept):
            zarr.open_array(folder, mode="r+")[...] = zarr.open_array(filled / name, mode="r")[...]
        for file in (filled / name / "c").rglob("*"):
            if file.is_file():
                again = folder / file.relative_to(filled / name)
                assert again.read_bytes() == file.read_bytes(), file


def test_parts_of_an_array_are_those_that_zarr_reads(filled) -> None:
    for name in names(filled):
        ours, theirs = open_array(locate(filled), name), zarr.open_array(filled / name, mode="r")
        some = [(..., slice(1, None)), (0, ...), (..., 0), (..., slice(0, 0))]
        whole = [slice(None)] * theirs.ndim
        some += [(*whole[:-1], slice(*ends)) for ends in itertools.pairwise((0, 1, 3))]
        for part in some:
            found, expected = np.asarray(ours[part]), np.asarray(theirs[part])
            assert found.shape == expected.shape
            np.testing.assert_array_equal(found, expected.astype(found.dtype))


def test_an_array_of_many_chunks_is_read_as_a_whole(filled) -> None:
    status = open_array(locate(filled), "status")[...]
    assert status.size > 8 * 6
    np.testing.assert_array_equal(status, zarr.open_array(filled / "status", mode="r")[...])
