"""A judge that asks each question once: the store first, then the asker, about what nobody asks already.

It is a :class:`radflow.judges.Judge`. Threads, processes and later runs that share the store share its
answers, also those under way: one of them asks, the others wait for its verdict. Without an asker it repeats
a run from the store alone, with no key and no network.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from threading import Event, Lock, Thread
from typing import Protocol, runtime_checkable

from radflow.errors import RadflowError
from radflow.judges.base import Pair
from radflow.judges.llm.collapse import CollapseWatch
from radflow.judges.llm.questions import Answer, JudgeError, Kind, Question
from radflow.judges.verdicts.leases import new_owner
from radflow.judges.verdicts.rows import Identity, StoredVerdict, stored_verdict
from radflow.judges.verdicts.store import VerdictStore
from radflow.reports import Report, render_report

_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 0.25  # seconds between looks at what others are asking
_log = logging.getLogger(__name__)


@runtime_checkable
class Asker(Protocol):
    """Whatever can put questions to a judge: an endpoint, a local model."""

    def ask(self, questions: Sequence[Question], stored: Callable[[int, Answer], None]) -> None:
        """Ask them all; call ``stored(index, answer)`` in the calling thread as each answer arrives.

        Raises:
            RewardError: some have no answer, after all others were stored.
        """
        ...


class CachedJudge:
    """Answers from the store, and asks for what is missing there.

    Args:
        asker: puts the questions; ``None`` asks nobody.
        store: keeps the verdicts. May be shared by judges.
        identity: whose verdicts these are.
        watch: counts the answers; by default one that reports more than 98% of the same answer to at least
            100 different questions.

    Attributes:
        name: judge and model.
        asked: questions put to the asker so far and answered.
        hits: answers given without asking.
    """

    def __init__(
        self,
        asker: Asker | None,
        store: VerdictStore,
        *,
        identity: Identity,
        watch: CollapseWatch | None = None,
    ) -> None:
        self.name = identity.name
        self._asker = asker
        self._store = store
        self._identity = identity
        self._watch = CollapseWatch(self.name) if watch is None else watch
        self.asked = self.hits = 0
        self._counting = Lock()

    def __call__(self, pairs: Sequence[Pair]) -> list[bool]:
        """Return whether each Impression follows from its Findings, in order.

        Raises:
            JudgeError: some questions have no verdict. Those that were answered are stored.
            NotWritableError: the store cannot be written.
            DataError: the store is damaged.
        """
        return self._answer("consistency", [(findings, impression) for findings, impression in pairs])

    def criticality(self, reports: Sequence[Report]) -> list[bool]:
        """Return whether each report, as written, describes anything abnormal, in order.

        A section that is missing is not written as ``None``, which a judge may take for a finding.

        Raises:
            JudgeError: as for pairs, and so for the others.
        """
        return self._answer("criticality", [(_as_written(report),) for report in reports])

    @property
    def collapsed(self) -> tuple[str, ...]:
        """One sentence for each kind of question that nearly always got the same answer; see the watch."""
        return self._watch.reports

    def _answer(self, kind: Kind, texts: Sequence[tuple[str, ...]]) -> list[bool]:
        questions = [Question(kind=kind, texts=each) for each in texts]
        keys = [self._identity.key(question) for question in questions]
        wanted = dict(zip(reversed(keys), reversed(questions), strict=True))  # the first spelling is asked
        found = self._store.get(wanted)
        missing = {key: question for key, question in wanted.items() if key not in found}
        asked: set[bytes] = set()
        if missing:
            found |= self._resolve(missing, asked)
        self._count(keys, found, asked)
        self._watch.add(kind, {key: verdict.verdict for key, verdict in found.items()})
        return [found[key].verdict for key in keys]

    def _count(self, keys: Sequence[bytes], found: Mapping[bytes, StoredVerdict], asked: set[bytes]) -> None:
        """Every answer is a hit but the first to each question that was asked for it."""
        paid = set(asked)
        hits = []
        for key in keys:
            if key in paid:
                paid.remove(key)
            else:
                hits.append(found[key])
        if hits:
            self._store.count_hits(hits)
        with self._counting:
            self.asked += len(asked)
            self.hits += len(hits)

    def _resolve(self, missing: Mapping[bytes, Question], asked: set[bytes]) -> dict[bytes, StoredVerdict]:
        """Ask what nobody asks, wait for what others ask, and take over what they leave."""
        if self._asker is None:
            raise JudgeError(
                f"judge {self.name!r}: expected a verdict on every question in {self._store.path}, got none "
                f"on {len(missing)}, and there is nobody to ask; name an endpoint, or import the verdicts of "
                "the run that is repeated"
            )
        owner, pending, pause = new_owner(), dict(missing), _FIRST_PAUSE
        found: dict[bytes, StoredVerdict] = {}
        while pending:
            claim = self._store.claim(pending, owner)
            found |= claim.found
            mine = {key: pending[key] for key in claim.mine}
            pending = {key: pending[key] for key in claim.busy}
            if mine:
                found |= self._ask(self._asker, mine, owner)
                asked.update(mine)
                pause = _FIRST_PAUSE
            elif pending:
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
        return found

    def _ask(self, asker: Asker, mine: Mapping[bytes, Question], owner: str) -> dict[bytes, StoredVerdict]:
        questions = list(mine.values())
        answered: dict[bytes, StoredVerdict] = {}
        try:
            with self._renewing(owner):
                asker.ask(questions, partial(self._keep, questions, answered))
        finally:
            self._store.release(owner)
        if len(answered) < len(mine):
            raise JudgeError(
                f"judge {self.name!r}: expected {len(mine)} answers, got {len(answered)}; those are stored, "
                "run again for the others"
            )
        return answered

    def _keep(
        self, questions: Sequence[Question], answered: dict[bytes, StoredVerdict], index: int, answer: Answer
    ) -> None:
        new = stored_verdict(self._identity, questions[index], answer, keep_texts=self._store.keep_texts)
        answered[new.key] = self._store.put(new)

    @contextmanager
    def _renewing(self, owner: str) -> Generator[None]:
        """Hold an owner's claims while the block runs, however long the judge takes."""
        done = Event()
        thread = Thread(target=self._renew, args=(owner, done), name="renew-leases", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _renew(self, owner: str, done: Event) -> None:
        while not done.wait(self._store.lease_seconds / 3):
            try:
                self._store.renew(owner)
            except RadflowError as error:  # the claims may run out; then a question may be asked twice
                _log.warning("judge %r: claims were not renewed: %s", self.name, error)


def _as_written(report: Report) -> str:
    """The text, but for the mark that `render_report` sets where a section is missing."""
    if report.text != render_report(report.findings, report.impression):
        return report.text
    sections = {"Findings": report.findings, "Impression": report.impression}
    return " ".join(f"{name}: {text}" for name, text in sections.items() if text is not None)
