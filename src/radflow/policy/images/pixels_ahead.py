"""Threads that encode the next studies while the model works.

Threads are enough: Pillow decodes and resizes without the interpreter lock (`benchmarks/images.py` measures
threads beside processes). Each has a processor of its own, because a tokenizer must not be called twice at
once.
"""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

from PIL import Image


class Ahead:
    """Work begun before its result is asked for.

    Args:
        processor: copied for each thread.
        workers: threads.
    """

    def __init__(self, processor: Any, workers: int) -> None:
        self._processor = processor
        self._workers = workers
        self._idle: SimpleQueue[Any] = SimpleQueue()
        self._threads: ThreadPoolExecutor | None = None
        self._begun: dict[Hashable, Future[Any]] = {}

    def begin(self, wanted: Mapping[Hashable, Callable[[Any], Any]]) -> None:
        """Begin the work needed next, each a function of a processor; drop what is no longer needed."""
        for key in [key for key in self._begun if key not in wanted]:
            self._begun.pop(key).cancel()
        for key, work in wanted.items():
            if key not in self._begun:
                self._begun[key] = self._started().submit(self._run, work)

    def take(self, key: Hashable) -> Any | None:
        """The result of the work begun under a key, once it is done; ``None`` if none was begun.

        Raises:
            Exception: whatever the work raised.
        """
        future = self._begun.pop(key, None)
        return future.result() if future is not None else None

    def _run(self, work: Callable[[Any], Any]) -> Any:
        processor = self._idle.get()
        try:
            return work(processor)
        finally:
            self._idle.put(processor)

    def _started(self) -> ThreadPoolExecutor:
        """The threads, made when the first work is wanted."""
        if self._threads is None:
            _quieten()
            for _ in range(self._workers):
                self._idle.put(copy.deepcopy(self._processor))
            self._threads = ThreadPoolExecutor(self._workers, thread_name_prefix="images")
        return self._threads


def _quieten() -> None:
    """Set for the whole process what reading a picture sets for its own time.

    A possible decompression bomb is an error, and nothing is shown of what Pillow or pydicom say of a file,
    as it may quote tags. `warnings.catch_warnings` and a logger's switches are the process's: among
    threads, one that is done would put them back while another still reads.
    """
    warnings.filterwarnings("error", category=Image.DecompressionBombWarning)
    warnings.filterwarnings("ignore", category=UserWarning, module="PIL")
    warnings.filterwarnings("ignore", module="pydicom")
    logger = logging.getLogger("pydicom")
    logger.disabled, logger.propagate = True, False
