"""Running the tasks of a plan, some at a time, each in a process of its own.

Everything that processes and machines have to agree on is in the ablation's folder: a task is done when its
run has the stage's marker, has failed when ``failed/<key>.json`` says why, and is worked on while there is a
live claim on it. So any number of runners may be started on one folder, killed, and started again.

Tasks are forked from a server that has imported torch once; the crash of one is its own.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, NamedTuple

from radflow.ablation.claims import claim, is_free
from radflow.ablation.plan import LAST, SHARED, Plan, Task, needed
from radflow.ablation.results import NOT_YET
from radflow.ablation.sharing import begin_with
from radflow.errors import DataError, InUseError
from radflow.files import read_json, write_json
from radflow.folders import damaged

_LOOK = 0.5
"""Seconds between looks at what other processes do."""
_BUSY, _FAILED = 75, 1
"""Exit status of a task that somebody else works on, and of one whose failure is written down."""
_READ = ("generate", LAST)
"""Stages whose files the tables are made of."""


class _Running(NamedTuple):
    task: Task
    process: Any
    since: float


def run_plan(
    plan: Plan, *, jobs: int, say: Callable[[str], None], skip: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Run every task that is not done.

    Args:
        plan: what to run.
        jobs: at most this many tasks at a time, here; 0 runs none.
        say: told of each task that ends, with the time left.
        skip: tasks that cannot be run, by key, with the reason.

    Returns:
        why a task has no result, by its key.
    """
    if jobs == 0:
        lacking = {task.key: NOT_YET for task in plan.cells.values() if not is_done(task)}
        return lacking | dict(skip or {})
    return _Runner(plan, jobs, say, skip or {}).run()


def is_done(task: Task) -> bool:
    """Whether a task is finished, and what the tables are made of is whole."""
    marker = task.folder / "stages" / f"{task.stage}.json"
    if not marker.is_file() or task.stage != LAST:
        return marker.is_file()
    try:
        files = [read_json(task.folder / "stages" / f"{stage}.json")["files"] for stage in _READ]
    except (FileNotFoundError, DataError, KeyError, TypeError):
        return False
    return not any(damaged(task.folder, _of_tables(promised)) for promised in files)


def _of_tables(files: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in files.items() if name.split("/")[0] in _READ or "/" not in name}


class _Runner:
    def __init__(self, plan: Plan, jobs: int, say: Callable[[str], None], skip: Mapping[str, str]) -> None:
        self._plan, self._jobs, self._say = plan, jobs, say
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["radflow.run.pipeline"])
        self._failures = dict(skip)
        self._before = {task.key: _stamp(_failure_file(plan.out, task)) for task in plan.tasks}
        self._finished = {task.key for task in plan.tasks if is_done(task)}
        self._waiting = needed(t for t in plan.cells.values() if t.key not in self._finished | skip.keys())
        self._waiting = [task for task in self._waiting if task.key not in self._finished]
        self._running: dict[Any, _Running] = {}
        self._total, self._took = len(self._waiting), []

    def run(self) -> dict[str, str]:
        try:
            while self._waiting or self._running:
                for task in list(self._waiting):
                    self._look_at(task)
                self._wait()
        finally:
            for one in self._running.values():
                one.process.terminate()
            for one in self._running.values():
                one.process.join()
        return self._failures

    def _look_at(self, task: Task) -> None:
        """Count a task that another process has ended, or start it if its turn has come."""
        if is_done(task):
            self._end(task, f"done elsewhere: {task.title}")
        elif (why := self._why_failed(task)) is not None:
            self._failures[task.key] = why
            self._end(task, f"failed: {task.title}: {why}")
        elif (
            len(self._running) < self._jobs
            and (task.parent is None or is_done(task.parent))
            and is_free(self._plan.out / "claims", task.key)
        ):
            self._waiting.remove(task)
            process = self._context.Process(target=_perform, args=(task, self._plan.out))
            process.start()
            self._running[process.sentinel] = _Running(task, process, time.monotonic())

    def _wait(self) -> None:
        """Until a task of ours ends, or it is time to look at what others do."""
        if not self._running:
            time.sleep(_LOOK if self._waiting else 0)
        for sentinel in wait(list(self._running), timeout=_LOOK):
            task, process, since = self._running.pop(sentinel)
            process.join()
            self._waiting.insert(0, task)
            if process.exitcode == 0 and is_done(task):
                self._took.append(time.monotonic() - since)
                self._end(task, f"done: {task.title}, {_duration(self._took[-1])}")
            elif process.exitcode not in (_BUSY, _FAILED):
                write_json(_failure_file(self._plan.out, task), {"error": _ended(process.exitcode)})

    def _why_failed(self, task: Task) -> str | None:
        """Why it failed since this runner began, or the task that it builds on."""
        if task.parent is not None and task.parent.key in self._failures:
            return self._failures[task.parent.key]
        file = _failure_file(self._plan.out, task)
        if _stamp(file) in (None, self._before[task.key]):
            return None
        try:
            return str(read_json(file)["error"])
        except (FileNotFoundError, DataError, KeyError, TypeError):
            return None

    def _end(self, task: Task, line: str) -> None:
        self._waiting.remove(task)
        left = len(self._waiting) + len(self._running)
        if left and self._took:
            seconds = sum(self._took) / len(self._took) * left / self._jobs
            line += f"; about {_duration(seconds)} left"
        self._say(f"[{self._total - left}/{self._total}] {line}")


def _failure_file(out: Path, task: Task) -> Path:
    return out / "failed" / f"{task.key}.json"


def _stamp(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return None


def _ended(exitcode: int | None) -> str:
    """How a process that wrote no failure ended, in words."""
    if exitcode is not None and exitcode < 0:
        name = signal.Signals(-exitcode).name
        hint = "; out of memory?" if name == "SIGKILL" else ""
        return f"its process was ended by {name}{hint}"
    return f"its process ended with status {exitcode} and no result"


def _duration(seconds: float) -> str:
    """Seconds in words.

    >>> _duration(7.2), _duration(200), _duration(9000)
    ('7 s', '3 min', '2.5 h')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


# ---- in the process of a task ------------------------------------------------------------------------------


def _perform(task: Task, out: Path) -> None:
    """Run one task, unless somebody else does; end with its exit status."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    held = claim(out / "claims", task.key, lost=lambda: os._exit(_BUSY))
    if held is None:
        sys.exit(_BUSY)
    with held:
        if is_done(task):
            return
        _log_to(out / "logs" / f"{task.key}.log")
        try:
            if task.parent is not None:
                begin_with(task.folder, task.parent.stage, task.parent.folder)
            _run(task)
        except InUseError:
            sys.exit(_BUSY)
        except Exception as error:  # a cell that fails must not end the others
            traceback.print_exc()
            said = (str(error).strip() or type(error).__name__).splitlines()[0]
            write_json(_failure_file(out, task), {"error": said})
            sys.exit(_FAILED)
        _failure_file(out, task).unlink(missing_ok=True)


def _run(task: Task) -> None:
    from radflow.run.pipeline import Pipeline

    p = Pipeline(task.recipe)
    if task.stage == LAST:
        p.run()
        return
    for stage, run in zip(SHARED, (p.prepare, p.sft, p.predict, p.explore, p.rft), strict=True):
        run()
        if stage == task.stage:
            return


def _end_with_parent() -> None:
    """Nobody waits for a task whose runner was killed; what it has done stays, and the next one goes on."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(_BUSY)


def _log_to(path: Path) -> None:
    """What libraries print, and tracebacks, go to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
