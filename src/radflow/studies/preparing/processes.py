"""Work on many items in processes, in their order, with few of them in memory."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import chain, islice
from typing import TypeVar

from radflow.errors import DataError, at_least

Item = TypeVar("Item")
Result = TypeVar("Result")

CHUNK = 32  # items per job: a job's overhead is small beside it, and a kill loses little
_FEWER_THAN_PAY = 128  # items for which starting processes takes longer than the work
_IN_FLIGHT = 4  # jobs per worker: enough that none waits, few enough that memory stays flat


def in_order(
    work: Callable[[list[Item]], list[Result]],
    items: Iterable[Item],
    *,
    workers: int | None = None,
    chunk: int = CHUNK,
) -> Iterator[list[Result]]:
    """The results of ``work`` on all items, a chunk at a time; few items happen in this process.

    Args:
        work: takes and gives a list; importable by name, since processes are spawned. So a script that gets
            here must guard its top level with ``if __name__ == "__main__":``.
        items: taken as they are needed; they and the results must pickle.
        workers: processes; ``None`` for one per usable core.
        chunk: items per call.

    Raises:
        DataError: ``workers`` is below 1, or a process died. What ``work`` raises is passed on.
    """
    workers = _usable_cores() if workers is None else at_least("workers", workers, 1)
    items = iter(items)
    first = list(islice(items, _FEWER_THAN_PAY))
    chunks = _chunks(chain(first, items), chunk)
    if workers == 1 or len(first) < _FEWER_THAN_PAY:
        yield from map(work, chunks)
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker)
    waiting: deque[Future[list[Result]]] = deque()
    try:
        for some in chunks:
            waiting.append(pool.submit(work, some))
            if len(waiting) == _IN_FLIGHT * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool:
        raise DataError(
            f"one of {workers} processes died: out of memory, or a script without "
            "'if __name__ == \"__main__\":'; run again (what is done is kept), or use one worker"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _chunks(items: Iterator[Item], size: int) -> Iterator[list[Item]]:
    while some := list(islice(items, size)):
        yield some


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _start_worker() -> None:
    """Leave Ctrl-C to the parent; end when the parent is killed, instead of waiting for ever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()
