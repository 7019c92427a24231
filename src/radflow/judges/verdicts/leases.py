"""Who is asking a question right now, and whether that asker is still alive.

A lease ends when its verdict is stored, when its holder gives it back, when it was not renewed in time, or
when its holder is seen to be dead. The last needs Linux and a holder that runs beside us: same boot, same
process namespace. Elsewhere a dead asker's lease simply runs out.
"""

from __future__ import annotations

import os
import re
import uuid
from functools import cache
from pathlib import Path

LEASE_SECONDS = 60.0
"""How long a lease holds without being renewed; a live asker renews it three times in that time."""

_OWNER = re.compile(r"(\S+) (\d{1,9}) (\S+) \S+")
_UNKNOWN, _GONE = "?", "gone"


def new_owner() -> str:
    """Name a new asker: the place where processes can see each other, process, its start, a random token."""
    pid = os.getpid()
    return f"{_place()} {pid} {_started(pid)} {uuid.uuid4().hex}"


def is_dead(owner: str) -> bool:
    """Whether an asker is known to be dead; ``False`` where it cannot be known.

    A name that :func:`new_owner` never gave (a damaged one) is nobody's, and dead.

    >>> is_dead(new_owner()), is_dead("another-machine 12 34 token")
    (False, False)
    """
    named = _OWNER.fullmatch(owner)
    if not named:
        return True
    place, pid, started = named.groups()
    return place == _place() and _started(int(pid)) not in (started, _UNKNOWN)


@cache
def _place() -> str:
    """Where a process number means what it means here: this boot, this process namespace."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return f"unknown/{uuid.uuid4().hex}"


def _started(pid: int) -> str:
    """When a process started, in ticks since boot, which tells apart two that had the same number."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:  # there is none, or other users' processes are hidden
        return _GONE if Path("/proc/self").exists() and _is_gone(pid) else _UNKNOWN
    fields = stat.rpartition(")")[2].split()  # the name before it may hold anything
    state, started = fields[0], fields[19]
    return _GONE if state in "ZX" else started


def _is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
