"""Work on rasters block by block, on threads or on a Dask cluster, with the same functions.

Memory stays that of a few blocks whatever the scene's size. Results come back in
the order of the blocks, and sums are taken in that order, so threads, one core
and a cluster give the same bits.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import threadpoolctl

from src.errors import InputError

BLOCK_PX = 1024
# Of blocks that are read with a margin: the tiles around must be decoded too, 1.25 as many here, 3 at BLOCK_PX.
WIDE_PX = 2048
# Blocks in work or waiting per worker: enough that no worker idles, few enough that results do not pile up.
_AHEAD = 2

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Block:
    """A window of pixels: first row, first column, rows, columns."""

    row: int
    col: int
    height: int
    width: int

    @property
    def window(self) -> tuple[int, int, int, int]:
        """(row, col, height, width), as ``read_raster`` takes it."""
        return self.row, self.col, self.height, self.width

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns in an array of the whole raster."""
        return slice(self.row, self.row + self.height), slice(self.col, self.col + self.width)

    def grown(self, halo: int, shape_hw: tuple[int, int]) -> "Block":
        """This block with up to ``halo`` more pixels on each side, inside a raster of that shape."""
        top, left = max(0, self.row - halo), max(0, self.col - halo)
        bottom, right = min(shape_hw[0], self.row + self.height + halo), min(shape_hw[1], self.col + self.width + halo)
        return Block(top, left, bottom - top, right - left)

    def inside(self, outer: "Block") -> tuple[slice, slice]:
        """Rows and columns of this block in an array that holds the outer block."""
        row, col = self.row - outer.row, self.col - outer.col
        return slice(row, row + self.height), slice(col, col + self.width)


def blocks_of(shape_hw: tuple[int, int], side: int = BLOCK_PX) -> list[Block]:
    """Blocks that cover a raster without overlap, row by row; those at the far edges are smaller.

    Args:
        shape_hw: rows and columns.
        side: pixels a side; a multiple of 512 keeps reads aligned with the tiles of our files.
    """
    height, width = shape_hw
    return [
        Block(row, col, min(side, height - row), min(side, width - col))
        for row in range(0, height, side)
        for col in range(0, width, side)
    ]


def strips_of(block: Block, height: int) -> list[Block]:
    """A block cut into strips of whole rows, the last one lower: work on one stays in the processor's cache."""
    ends = range(0, block.height, height)
    return [Block(block.row + row, block.col, min(height, block.height - row), block.width) for row in ends]


class Runner(Protocol):
    """Something that applies a function to many items."""

    def map(self, func: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        """Results in the order of the items. For a cluster, function and items must pickle."""
        ...


class ThreadRunner:
    """Threads of this process; rasterio and numpy release the interpreter lock where it counts.

    Matrix products then run on one thread each, in the whole process and for good: OpenBLAS's own threads wait for each
    other spinning, and beside ours, or another program, small products took 12 to 20 times as long.

    Args:
        workers: threads; default one per core.
    """

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or os.cpu_count() or 1
        threadpoolctl.threadpool_limits(1, user_api="blas")

    def map(self, func: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """See ``Runner``; at most twice as many items as workers are in memory."""
        if self.workers == 1:
            yield from map(func, items)
            return
        with ThreadPoolExecutor(self.workers) as pool:
            waiting: deque[Future[R]] = deque()
            for item in items:
                waiting.append(pool.submit(func, item))
                if len(waiting) >= _AHEAD * self.workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()


class DaskRunner:
    """Workers of a Dask cluster that see the same files under the same paths.

    Args:
        client: a connected ``dask.distributed.Client``.
    """

    def __init__(self, client: Any) -> None:
        self.client = client

    def map(self, func: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """See ``Runner``."""
        client = self.client
        ahead = _AHEAD * max(1, sum(client.nthreads().values()))
        waiting: deque[Any] = deque()
        for item in items:
            # Equal calls must run again: the function reads files, which Dask cannot see change.
            waiting.append(client.submit(func, item, pure=False))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


@contextmanager
def open_runner(dask: str | None = None, workers: int | None = None) -> Iterator[Runner]:
    """Threads, or the Dask cluster at an address such as "tcp://10.0.0.5:8786".

    Raises:
        InputError: no cluster answers at the address.
    """
    if dask is None:
        yield ThreadRunner(workers)
        return
    from dask.distributed import Client

    try:
        client = Client(dask, timeout="10s")
    except (OSError, ValueError) as error:
        raise InputError(
            f"--dask {dask}: no Dask scheduler answers there ({error}); start one, or leave it out"
        ) from error
    with client:
        yield DaskRunner(client)
