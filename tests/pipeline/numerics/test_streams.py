"""Random streams: one for every set of coordinates, and a function of them alone."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.numerics.streams import Role, stream

HERE = {"entropy": 7, "d": 5, "n": 12, "seed": 3, "role": Role.WEIGHTS}
ELSEWHERE = [
    {"entropy": 8},
    {"d": 6},
    {"n": 13},
    {"seed": 4},
    {"role": Role.DATA},
    {"d": 12, "n": 5},
    {"n": 3, "seed": 12},
    {"k": 1},
    {"k": 24},
    {"k": 25},
    {"seed": 2**40},
]
coordinates = st.tuples(
    st.integers(0, 2**64),
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(0, 9),
    st.sampled_from(Role),
)


def words(count: int = 8, **coordinates: int) -> list[int]:
    """The first raw words of a stream: the bits of which every draw is made."""
    return stream(**(HERE | coordinates)).bit_generator.random_raw(count).tolist()


def test_streams_of_different_coordinates_share_no_word() -> None:
    drawn = [set(words(1000, **change)) for change in [{}, *ELSEWHERE]]
    for first, second in itertools.combinations(drawn, 2):
        assert not first & second


@given(coordinates, coordinates)
def test_streams_are_equal_where_their_coordinates_are(first, second) -> None:
    one, two = (stream(*key).bit_generator.random_raw(4).tolist() for key in (first, second))
    assert (one == two) == (first == second)


def test_a_stream_does_not_depend_on_what_was_drawn_before_or_beside_it() -> None:
    alone = [stream(**(HERE | change)).standard_normal(60) for change in ELSEWHERE]
    beside = [stream(**(HERE | change)) for change in reversed(ELSEWHERE)][::-1]
    parts = [[generator.standard_normal(20) for generator in beside] for _ in range(3)]
    for whole, pieces in zip(alone, zip(*parts, strict=True), strict=True):
        np.testing.assert_array_equal(whole, np.concatenate(pieces))


@pytest.mark.parametrize("entropy", [0, 7, 20190104, 2**100])
def test_roles_are_the_children_that_numpy_spawns_of_a_seed(entropy: int) -> None:
    children = np.random.SeedSequence(entropy, spawn_key=(5, 12, 3)).spawn(2)
    for role, child in zip((Role.DATA, Role.WEIGHTS), children, strict=True):
        expected = np.random.PCG64(child).random_raw(8).tolist()
        assert words(entropy=entropy, role=role) == expected


def test_weights_of_a_width_are_the_child_of_that_number() -> None:
    children = np.random.SeedSequence(7, spawn_key=(5, 12, 3, Role.WEIGHTS)).spawn(25)
    for k in (1, 24):
        assert words(k=k) == np.random.PCG64(children[k]).random_raw(8).tolist()


def test_the_numbers_of_roles_are_those_of_the_stores_on_disk() -> None:
    assert [role.name for role in sorted(Role)] == [
        "DATA", "WEIGHTS", "LABELS", "HIDDEN", "START", "TEACHER", "TEST", "NAMED",
        "BATCH", "NOISE", "FLIP", "OUTPUT", "BIAS",
    ]  # fmt: skip
    assert [int(role) for role in sorted(Role)] == list(range(13))
