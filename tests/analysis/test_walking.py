"""Pieces of a store: together they are the store, and each chunk is in one of them."""

from __future__ import annotations

import itertools
import math

import numpy as np
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from analysis.walking import pieces

DIMS = ("activation", "n", "width", "seed")


@st.composite
def stores(draw):
    """A store of some shape and chunks, whose status says which trial it is; and kept places."""
    sizes = {dim: draw(st.integers(1, 7)) for dim in DIMS}
    chunks = {"activation": 1, "n": 1} | {dim: draw(st.integers(1, 8)) for dim in ("width", "seed")}
    status = xr.DataArray(np.arange(math.prod(sizes.values())).reshape(*sizes.values()), dims=DIMS)
    status.encoding["preferred_chunks"] = chunks
    kept = {}
    for dim in draw(st.sets(st.sampled_from(DIMS))):
        kept[dim] = np.array(sorted(draw(st.sets(st.integers(0, sizes[dim] - 1)))), dtype=np.intp)
    return xr.Dataset({"status": status}), kept, chunks


@given(stores(), st.integers(1, 400), st.lists(st.sampled_from(DIMS), unique=True))
def test_pieces_have_every_kept_trial_once(case, most, slowest) -> None:
    ds, kept, _ = case
    found = [piece.status.values.ravel() for piece in pieces(ds, kept, slowest, most)]
    expected = ds.status.isel(kept).values.ravel()
    assert sorted(np.concatenate(found).tolist() if found else []) == expected.tolist()


@given(stores(), st.integers(1, 400))
def test_a_chunk_is_read_for_one_piece(case, most) -> None:
    ds, kept, chunks = case
    seen = set()
    for piece in pieces(ds, kept, most=most):
        places = np.unravel_index(piece.status.values.ravel(), ds.status.shape)
        parts = [(at // chunks[dim]).tolist() for dim, at in zip(DIMS, places, strict=True)]
        own = set(zip(*parts, strict=True))
        assert not own & seen
        seen |= own
        assert piece.status.size <= most or len(own) == 1


@given(stores(), st.integers(1, 400))
def test_pieces_come_in_the_order_of_the_dims_where_cells_fit(case, most) -> None:
    ds, kept, _ = case
    if math.prod(ds.sizes[dim] for dim in ("width", "seed")) <= most:
        found = [piece.status.values.ravel() for piece in pieces(ds, kept, most=most)]
        assert all(a.max() < b.min() for a, b in itertools.pairwise(found))


@given(stores(), st.integers(1, 400))
def test_what_changes_slowest_comes_place_after_place(case, most) -> None:
    ds, kept, _ = case
    found = [piece.status for piece in pieces(ds, kept, ["n"], most)]
    at = [np.unravel_index(values.values.ravel(), ds.status.shape)[1] for values in found]
    assert all(a.max() <= b.min() for a, b in itertools.pairwise(at))


def test_pieces_are_not_smaller_than_they_need_be() -> None:
    status = xr.DataArray(np.zeros((3, 4, 32, 40)), dims=DIMS)
    status.encoding["preferred_chunks"] = {"width": 32, "seed": 26}
    ds = xr.Dataset({"status": status})
    assert len(list(pieces(ds))) == 1
    assert [piece.sizes["n"] for piece in pieces(ds, most=2600)] == [2, 2] * 3
    assert [piece.sizes["seed"] for piece in pieces(ds, most=1000)] == [26, 14] * 12
