"""Who works on what, among processes and machines that see one folder.

A claim is a file ``<name>.<n>`` that its owner makes (``O_EXCL``, which is atomic on network file systems
too), locks, and touches every few seconds. The one with the highest ``n`` counts. It is dead if the kernel of
the same machine has released its lock, or if nobody has touched it for `LEASE` seconds by the clock of the
file system. A dead claim is never removed by others: who takes over makes ``<name>.<n+1>``, which only one of
them can. So nothing depends on the clocks of two machines agreeing, or on locks that reach beyond one.
"""

from __future__ import annotations

import os
import platform
import threading
from collections.abc import Callable
from pathlib import Path

from radflow.files import try_lock, writing

LEASE = 180.0
"""Seconds without a touch after which an owner on another machine is taken for dead."""
BEAT = 1.0
"""Seconds between touches."""


class Claim:
    """A claim that this process holds, until it is released or the process ends.

    Args:
        path: its file.
        handle: open and locked.
        lost: called from another thread if somebody has taken over, since this process stood still.
    """

    def __init__(self, path: Path, handle: int, lost: Callable[[], None]) -> None:
        self._path, self._handle, self._lost = path, handle, lost
        self._ended = threading.Event()
        threading.Thread(target=self._beat, daemon=True).start()

    def _beat(self) -> None:
        while not self._ended.wait(BEAT):
            try:
                os.utime(self._path)
                if _highest(self._path.parent, self._path.stem) != self._path:
                    self._lost()
            except OSError:  # the folder is gone for a moment, or for good
                continue

    def release(self) -> None:
        """Let others claim it, and remove the dead claims below."""
        self._ended.set()
        for path in sorted(_all(self._path.parent, self._path.stem), key=_number, reverse=True):
            if _number(path) <= _number(self._path):
                path.unlink(missing_ok=True)
        os.close(self._handle)

    def __enter__(self) -> Claim:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def claim(folder: Path, name: str, *, lost: Callable[[], None]) -> Claim | None:
    """Claim something, or nothing where somebody else works on it.

    Raises:
        NotWritableError: the folder cannot be written.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        last = _highest(folder, name)
        if last is not None and not _is_dead(last):
            return None
        path = folder / f"{name}.{1 if last is None else _number(last) + 1}"
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            return None
        try_lock(handle)
        os.write(handle, _machine().encode())  # only now: who reads it may trust the lock
        return Claim(path, handle, lost)


def is_free(folder: Path, name: str) -> bool:
    """Whether nobody works on it."""
    last = _highest(folder, name)
    return last is None or _is_dead(last)


def _highest(folder: Path, name: str) -> Path | None:
    return max(_all(folder, name), key=_number, default=None)


def _all(folder: Path, name: str) -> list[Path]:
    return list(folder.glob(f"{name}.[0-9]*"))


def _number(path: Path) -> int:
    return int(path.suffix[1:])


def _is_dead(path: Path) -> bool:
    try:
        handle = os.open(path, os.O_RDWR)
    except FileNotFoundError:  # released
        return True
    try:
        if os.read(handle, 4096).decode(errors="replace") == _machine() and try_lock(handle) is True:
            return True
        return _now(path.parent) - os.fstat(handle).st_mtime > LEASE
    finally:
        os.close(handle)


def _now(folder: Path) -> float:
    """The time by the clock that stamps the files of a folder."""
    probe = folder / f".clock-{platform.node()}-{os.getpid()}"
    probe.touch()
    try:
        return probe.stat().st_mtime
    finally:
        probe.unlink(missing_ok=True)


def _machine() -> str:
    """A name for whatever shares this kernel's locks."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return platform.node()
