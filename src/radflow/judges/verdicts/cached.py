"""A judge that asks each question once: the store first, then the asker, about what is missing there.

It is a :class:`radflow.judges.Judge`. Threads, processes and later runs that share the store share its
answers. Threads ask in turn, so none asks what another asks already; two processes may. Without an asker it
repeats a run from the store alone, with no key and no network.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import Protocol, runtime_checkable

from radflow.judges.base import Pair
from radflow.judges.llm.collapse import CollapseWatch
from radflow.judges.llm.questions import Answer, JudgeError, Kind, Question
from radflow.judges.verdicts.rows import Identity, StoredVerdict, stored_verdict
from radflow.judges.verdicts.store import VerdictStore
from radflow.reports import Report, render_report


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
        self._asking, self._counting = Lock(), Lock()

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
        asked: dict[bytes, StoredVerdict] = {}
        if len(found) < len(wanted):
            with self._asking:  # what another thread has just asked is in the store now
                found |= self._store.get(wanted.keys() - found.keys())
                asked = self._ask({key: question for key, question in wanted.items() if key not in found})
        found |= asked
        hits = [found[key] for key in (Counter(keys) - Counter(asked.keys())).elements()]
        if hits:
            self._store.count_hits(hits)
        with self._counting:
            self.asked += len(asked)
            self.hits += len(hits)
        self._watch.add(kind, {key: verdict.verdict for key, verdict in found.items()})
        return [found[key].verdict for key in keys]

    def _ask(self, missing: Mapping[bytes, Question]) -> dict[bytes, StoredVerdict]:
        """Ask, in a thread at a time."""
        answered: dict[bytes, StoredVerdict] = {}
        if not missing:
            return answered
        if self._asker is None:
            raise JudgeError(
                f"judge {self.name!r}: expected a verdict on every question in {self._store.path}, got none "
                f"on {len(missing)}, and there is nobody to ask; name an endpoint, or import the verdicts of "
                "the run that is repeated"
            )
        questions = list(missing.values())

        def keep(index: int, answer: Answer) -> None:
            new = stored_verdict(self._identity, questions[index], answer, keep_texts=self._store.keep_texts)
            answered[new.key] = self._store.put(new)

        self._asker.ask(questions, keep)
        if len(answered) < len(missing):
            raise JudgeError(
                f"judge {self.name!r}: expected {len(missing)} answers, got {len(answered)}; those are "
                "stored, run again for the others"
            )
        return answered


def _as_written(report: Report) -> str:
    """The text, but for the mark that `render_report` sets where a section is missing."""
    if report.text != render_report(report.findings, report.impression):
        return report.text
    sections = {"Findings": report.findings, "Impression": report.impression}
    return " ".join(f"{name}: {text}" for name, text in sections.items() if text is not None)
