import socket
import threading
import time
import uuid
from dataclasses import dataclass
from functools import partial

import dask.distributed
import numpy as np
import pytest
import threadpoolctl
from hypothesis import given, settings
from hypothesis import strategies as st

from src.errors import InputError
from src.geo.blocks import Block, DaskRunner, ThreadRunner, blocks_of, open_runner


@dataclass(frozen=True)
class Scale:
    factor: float


def block_sum(scale: Scale, block: Block) -> float:
    """Floating-point sum that depends on the order of its terms; later blocks finish first."""
    time.sleep(0.002 * (block.row == 0))
    return float(np.random.default_rng(block.row * 100 + block.col).random(block.height * block.width).sum()) * (
        scale.factor
    )


def refuse_seven(number: int) -> int:
    if number == 7:
        raise InputError("seven is not wanted")
    return number


# --- blocks ---


def test_blocks_cover_a_raster_row_by_row_and_shrink_at_the_far_edges():
    assert blocks_of((5, 7), 4) == [Block(0, 0, 4, 4), Block(0, 4, 4, 3), Block(4, 0, 1, 4), Block(4, 4, 1, 3)]
    assert [block.window for block in blocks_of((1024, 1025))] == [(0, 0, 1024, 1024), (0, 1024, 1024, 1)]
    assert blocks_of((2, 3), 1024) == [Block(0, 0, 2, 3)]


@settings(max_examples=30, deadline=None)
@given(height=st.integers(1, 40), width=st.integers(1, 40), side=st.integers(1, 45), halo=st.integers(0, 5))
def test_every_pixel_is_in_one_block_and_the_halo_stays_inside(height, width, side, halo):
    count, places = np.zeros((height, width), int), np.arange(height * width).reshape(height, width)
    for block in blocks_of((height, width), side):
        count[block.slices] += 1
        outer = block.grown(halo, (height, width))
        assert (places[outer.slices][block.inside(outer)] == places[block.slices]).all()
        assert outer.row >= max(0, block.row - halo) and outer.row + outer.height <= height
        assert outer.col >= max(0, block.col - halo) and outer.col + outer.width <= width
    assert (count == 1).all()


def test_grown_and_inside_by_hand():
    middle = Block(4, 4, 4, 4)
    assert middle.grown(2, (20, 20)) == Block(2, 2, 8, 8)
    assert middle.inside(Block(2, 2, 8, 8)) == (slice(2, 6), slice(2, 6))
    # Cut off above and on the right.
    corner = Block(0, 8, 4, 2)
    assert corner.grown(3, (20, 10)) == Block(0, 5, 7, 5)
    assert corner.inside(Block(0, 5, 7, 5)) == (slice(0, 4), slice(3, 5))
    assert corner.grown(0, (20, 10)) == corner


# --- threads ---


@pytest.mark.parametrize("workers", [1, 3])
def test_results_come_in_the_order_of_the_items(workers):
    def slow_first(number: int) -> int:
        time.sleep(0.03 if number == 0 else 0)
        return number * number

    assert list(ThreadRunner(workers).map(slow_first, range(20))) == [number * number for number in range(20)]
    assert list(ThreadRunner(workers).map(slow_first, [])) == []


def test_matrix_products_take_one_thread_each():
    with threadpoolctl.threadpool_limits(4, user_api="blas"):
        ThreadRunner(2)
        libraries = [row for row in threadpoolctl.threadpool_info() if row["user_api"] == "blas"]
        assert libraries and all(row["num_threads"] == 1 for row in libraries)


def test_threads_really_run_side_by_side():
    meeting = threading.Barrier(2, timeout=5)
    assert len({*ThreadRunner(2).map(lambda _: meeting.wait(), range(2))}) == 2


@pytest.mark.parametrize(("workers", "ahead"), [(1, 1), (2, 4), (3, 6)])
def test_no_more_than_two_items_per_worker_are_taken_ahead(workers, ahead):
    taken = 0

    def items():
        nonlocal taken
        for number in range(50):
            taken += 1
            yield number

    for used, _ in enumerate(ThreadRunner(workers).map(abs, items())):
        assert taken <= used + ahead
    assert taken == 50


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_of_the_function_reaches_the_caller_at_its_place(workers):
    results = ThreadRunner(workers).map(refuse_seven, range(50))
    assert [next(results) for _ in range(7)] == list(range(7))
    with pytest.raises(InputError, match="seven"):
        next(results)


# --- cluster ---


@pytest.fixture(scope="module")
def cluster():
    """One worker of two threads in this process, reached over TCP, so that functions and items are pickled."""
    with dask.distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, protocol="tcp://", dashboard_address=None
    ) as running:
        yield running


def test_a_cluster_gives_the_same_bits_as_threads(cluster):
    blocks, work = blocks_of((50, 70), 16), partial(block_sum, Scale(1 / 3))
    expected = [block_sum(Scale(1 / 3), block) for block in blocks]
    assert list(ThreadRunner(2).map(work, blocks)) == expected
    with open_runner(cluster.scheduler_address) as runner:
        assert isinstance(runner, DaskRunner)
        assert list(runner.map(work, blocks)) == expected
        # Equal calls run again: the files behind them may have changed.
        assert len(set(runner.map(_draw, [0] * 10))) == 10


def test_a_cluster_hands_errors_back_and_takes_little_ahead(cluster):
    taken = 0

    def items():
        nonlocal taken
        for number in range(20):
            taken += 1
            yield number

    with open_runner(cluster.scheduler_address) as runner:
        results = runner.map(refuse_seven, items())
        assert next(results) == 0 and taken <= 4
        assert [next(results) for _ in range(6)] == list(range(1, 7))
        with pytest.raises(InputError, match="seven"):
            next(results)


def test_without_an_address_threads_are_used():
    with open_runner(workers=3) as runner:
        assert isinstance(runner, ThreadRunner) and runner.workers == 3
    with open_runner() as runner:
        assert isinstance(runner, ThreadRunner) and runner.workers >= 1


@pytest.mark.parametrize("address", ["10.0.0.5", "http://10.0.0.5:8786"])
def test_an_address_of_another_kind_is_refused(address):
    with pytest.raises(InputError, match=f"--dask {address}: no Dask scheduler answers"), open_runner(address):
        pass


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_dead_address_is_refused(monkeypatch):
    """A port that nobody listens on; the wait for it is cut short here."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    client = dask.distributed.Client
    monkeypatch.setattr(dask.distributed, "Client", lambda where, timeout: client(where, timeout="0.2s"))
    with pytest.raises(InputError, match="start one, or leave it out"), open_runner(address):
        pass


def _draw(_: int) -> str:
    return uuid.uuid4().hex
