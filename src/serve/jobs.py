"""Measurements in a thread, one at a time in this process; those that wait are told their place in line."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from src.assistant.county import Progress

# How often a waiting measurement looks for its place in line, seconds.
_LOOK_S = 0.25


class StoppedError(Exception):
    """Raised inside a measurement whose asker left, at its next step."""


@dataclass(frozen=True)
class Waiting:
    """So many measurements come first."""

    before: int


@dataclass(frozen=True)
class Step:
    """A step of the measurement (key of STEPS) and the share of the whole that is done, 0..1."""

    key: str
    share: float


@dataclass(frozen=True)
class Done:
    """What the measurement returned."""

    value: Any


class Jobs:
    """One line of measurements for all users."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="measure")
        self._line: list[Future[Any]] = []

    async def run(self, work: Callable[[Progress], Any]) -> AsyncGenerator[Waiting | Step | Done, None]:
        """Run ``work(progress)`` and tell how it goes; the last item is Done.

        Closing the iterator takes a waiting job out of the line, and ends a running one at its next step.

        Raises:
            Exception: whatever the work raises.
        """
        loop, left = asyncio.get_running_loop(), threading.Event()
        steps: asyncio.Queue[Step | None] = asyncio.Queue()

        def progress(key: str, share: float) -> None:
            if left.is_set():
                raise StoppedError
            loop.call_soon_threadsafe(steps.put_nowait, Step(key, share))

        future = self._thread.submit(work, progress)
        self._line.append(future)
        future.add_done_callback(self._line.remove)
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(steps.put_nowait, None))
        try:
            before = 0
            while not (future.running() or future.done()):
                line = list(self._line)
                if future in line and (now := line.index(future)) != before:
                    before = now
                    yield Waiting(before)
                await asyncio.sleep(_LOOK_S)
            while (step := await steps.get()) is not None:
                yield step
            yield Done(future.result())
        finally:
            left.set()
            future.cancel()
