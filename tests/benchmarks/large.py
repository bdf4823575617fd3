"""Stores of a million trials in seconds: some seeds of a tile are computed and stand for the others.

What reads a store takes as long over equal outcomes as over different ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.blocks import Block, BlockResult, Tile
from pipeline.execution.compute import compute_block
from pipeline.store import Store

__all__ = ["fill_with_repeated_seeds"]

COMPUTED = 50
"""Seeds of a block that are computed."""


def fill_with_repeated_seeds(store: Store, tiles: Sequence[Tile]) -> None:
    """Fill tiles of which nothing is done."""
    for tile in tiles:
        store.write(tile, [_repeated(store, block) for block in tile.blocks])


def _repeated(store: Store, block: Block) -> BlockResult:
    wanted = np.zeros(block.shape, bool)
    wanted[:, :COMPUTED] = True
    found = compute_block(store.sweep, block, wanted)
    of_seeds = np.arange(block.shape[1]) % COMPUTED

    def all_seeds(array: NDArray[Any]) -> NDArray[Any]:
        return array.take(of_seeds, axis=1)

    values = {name: all_seeds(array) for name, array in found.values.items()}
    return BlockResult(values, all_seeds(found.status), all_seeds(found.message))
