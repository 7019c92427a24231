"""A judge that asks a language model, put together as the recipe says.

The store of verdicts is asked first. What is missing there goes through the privacy gate, where the model is
on another machine, to whoever asks: ``Endpoint`` over HTTP, ``LocalModel`` in this process. Threads,
processes and later runs that share the store share its answers. Threads ask in turn, so none asks what
another asks already; two processes may.
"""

from __future__ import annotations

import logging
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Event, Lock
from typing import Any, Protocol, runtime_checkable
from urllib.parse import urlsplit

from radflow import config
from radflow.errors import RecipeError
from radflow.judges.base import Pair
from radflow.judges.llm.collapse import CollapseWatch
from radflow.judges.llm.endpoint import Endpoint
from radflow.judges.llm.questions import (
    Answer,
    Grading,
    JudgeError,
    JudgeUnavailableError,
    Question,
)
from radflow.judges.llm.retry import Retry
from radflow.judges.privacy.gate import Gate, parse_address
from radflow.judges.verdicts.rows import Identity, StoredVerdict, stored_verdict
from radflow.judges.verdicts.store import STORE, VerdictStore
from radflow.reports import Report, render_report

_FIRST_PAUSE, _LONGEST_PAUSE = 5.0, 300.0  # seconds before an unreachable judge is tried again
_TRIES, _LONG = 3, 600.0  # for one long answer: how often it is asked for, and the seconds it may take
_OPENAI = "api.openai.com"
_log = logging.getLogger(__name__)


@runtime_checkable
class Asker(Protocol):
    """Whatever can put questions to a language model: an endpoint, a local model."""

    def ask(self, questions: Sequence[Question], stored: Callable[[int, Answer], None]) -> None:
        """Ask them all; call ``stored(index, answer)`` in the calling thread as each answer arrives.

        Raises:
            RewardError: some have no answer, after all others were stored.
        """
        ...


class LLMJudge:
    """A language model as a judge: asked each question once; a failure is never a verdict.

    Made by :func:`radflow.judges.load`. It is a :class:`~radflow.judges.Judge`.

    Args:
        asker: puts the questions, unless ``knobs.offline`` says to ask nobody.
        store: keeps the verdicts. May be shared by judges.
        identity: whose verdicts these are.
        knobs: of the recipe.
        gate: lets texts out, where the model is not on this machine.
        name: as the recipe writes it; stands beside its verdicts. By default the identity's.

    Attributes:
        name: as the recipe writes it.
        identity: whose verdicts these are.
        asked: questions put to the asker so far and answered.
        hits: answers given without asking.
        say: called with a line when it begins to wait; the log, unless somebody sets another.
    """

    def __init__(
        self,
        asker: Asker,
        store: VerdictStore,
        *,
        identity: Identity,
        knobs: config.Judge | None = None,
        gate: Gate | None = None,
        name: str | None = None,
    ) -> None:
        self.name, self.identity = name or identity.name, identity
        self.say: Callable[[str], None] = _log.warning
        self.asked = self.hits = 0
        self._asker, self._store, self._gate = asker, store, gate
        self._knobs = knobs or config.Judge()
        self._watch = CollapseWatch(self.name, share=self._knobs.collapsed_share)
        self._closed, self._asking, self._counting = Event(), Lock(), Lock()

    def __call__(self, pairs: Sequence[Pair]) -> list[bool]:
        """Return whether each Impression follows from its Findings, in order.

        Raises:
            JudgeError: some questions have no verdict, now or after the longest wait. The others are kept.
            PrivacyError: a text may not leave this machine. Then none did.
            NotWritableError: the store cannot be written.
            DataError: the store is damaged.
        """
        return self._patiently("consistency", [(findings, impression) for findings, impression in pairs])

    def criticality(self, reports: Sequence[Report]) -> list[bool]:
        """Return whether each report, as written, describes anything abnormal, in order.

        A section that is missing is not written as ``None``, which a judge may take for a finding.

        Raises:
            JudgeError: as for pairs, and so for the others.
        """
        return self._patiently("criticality", [(_as_written(report),) for report in reports])

    def grade(self, grading: Grading, pairs: Sequence[Pair]) -> list[float]:
        """Return the number that the model answers about each (reference, generated), in order.

        Raises:
            JudgeError: as for pairs, and so for the others.
        """
        return self._patiently(grading.kind, [(theirs, ours) for theirs, ours in pairs], grading)

    @property
    def collapsed(self) -> tuple[str, ...]:
        """One sentence per kind of question that nearly always got the same answer."""
        return self._watch.reports

    def account(self) -> str:
        """What was asked so far, what it cost, and what the store answered."""
        parts = [f"{self.asked:,} questions asked"]
        if isinstance(self._asker, Endpoint):
            parts[0] += f" in {self._asker.spending}"
        parts.append(f"{self.hits:,} answered from the store")
        if self._gate is not None and self._knobs.identifiers != "block":
            done = {"mask": "masked", "pass": "sent"}[self._knobs.identifiers]
            found = ", ".join(f"{count} {kind}" for kind, count in sorted(self._gate.found.items()))
            parts.append(f"identifiers {done}: {found or 'none'}")
        return f"judge {self.name}: " + "; ".join(parts)

    def close(self) -> None:
        """End a wait that is under way, with its error, and close the store."""
        self._closed.set()
        self._store.close()

    def _patiently(
        self, kind: str, texts: Sequence[tuple[str, ...]], grading: Grading | None = None
    ) -> list[Any]:
        begun, pause = time.monotonic(), _FIRST_PAUSE
        while True:
            try:
                return self._answer(kind, texts, grading)
            except JudgeUnavailableError as error:
                waited = time.monotonic() - begun
                if self._knobs.on_failure == "stop" or waited + pause > 3600 * self._knobs.longest_wait:
                    raise
                self.say(f"{error} Asking again in {pause:.0f} s (judge.on_failure = wait).")
                if self._closed.wait(pause):
                    raise
                pause = min(2 * pause, _LONGEST_PAUSE)

    def _answer(self, kind: str, texts: Sequence[tuple[str, ...]], grading: Grading | None) -> list[Any]:
        questions = [Question(kind=kind, texts=each, grading=grading) for each in texts]
        keys = [self.identity.key(question) for question in questions]
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
        if grading is None:
            self._watch.add(kind, {key: bool(verdict.verdict) for key, verdict in found.items()})
        return [found[key].verdict for key in keys]

    def _ask(self, missing: Mapping[bytes, Question]) -> dict[bytes, StoredVerdict]:
        """Ask, in a thread at a time."""
        answered: dict[bytes, StoredVerdict] = {}
        if not missing:
            return answered
        if self._knobs.offline:
            raise JudgeError(
                f"judge {self.name!r}: expected a verdict on every question in {self._store.path}, got none "
                f"on {len(missing)}, and there is nobody to ask; name an endpoint, or import the verdicts of "
                "the run that is repeated"
            )
        questions = list(missing.values())
        sent = questions
        if self._gate is not None:
            sent = [replace(each, texts=tuple(self._gate.clean(each.texts))) for each in questions]

        def keep(index: int, answer: Answer) -> None:
            new = stored_verdict(self.identity, questions[index], answer, keep_texts=self._store.keep_texts)
            answered[new.key] = self._store.put(new)

        self._asker.ask(sent, keep)
        if len(answered) < len(missing):
            raise JudgeError(
                f"judge {self.name!r}: expected {len(missing)} answers, got {len(answered)}; those are "
                "stored, run again for the others"
            )
        return answered


def llm_judge(name: str, knobs: config.Judge, grading: Grading | None = None) -> LLMJudge:
    """Put together the judge ``openai:<model>`` or ``local:<folder>``. Nothing is asked yet.

    With a ``grading`` it is made for that: whole lists are written, so a request may take ten minutes unless
    the knobs say otherwise, and what cannot be read is asked for three times.

    Raises:
        PrivacyError: the endpoint is not on this machine and the recipe does not let text go there.
        RecipeError: the name or a host does not say something that can be done.
        JudgeError: the endpoint needs a key and there is none.
        MissingDependencyError: its client is not installed.
        MissingFileError: there is no such folder.
    """
    kind, _, model = name.partition(":")
    if not model:
        raise RecipeError(f"Expected {kind}:<{'model' if kind == 'openai' else 'folder'}>, got {name!r}.")
    gate, asked, retry = None, {}, None
    if grading is not None:
        asked, retry = {"prompts": {grading.kind: grading.version}}, Retry(tries=_TRIES)
        if "timeout" not in knobs.model_fields_set:
            knobs = knobs.model_copy(update={"timeout": _LONG})
    if kind == "openai":
        gate = Gate(knobs)
        asker: Asker = Endpoint(model, knobs, retry=retry, http_client=gate.http_client)
        if not knobs.offline:
            gate.check(knobs.base_url)
            asker.check()
        gate = None if parse_address(knobs.base_url).loopback else gate
        identity = Identity(judge=_way_of_asking(knobs, masked=gate is not None), model=model, **asked)
    else:
        if grading is not None:
            from radflow.judges.llm.local_writer import LocalWriter as Local
        else:
            from radflow.judges.llm.local import LocalModel as Local

        asker = Local(model)
        identity = Identity(judge=kind, model=asker.name_of_model, **asked)
    path = knobs.store or Path(tempfile.mkdtemp(prefix="radflow-verdicts-")) / STORE
    return LLMJudge(asker, VerdictStore(path), identity=identity, knobs=knobs, gate=gate, name=name)


def _as_written(report: Report) -> str:
    """The text, but for the mark that `render_report` sets where a section is missing."""
    if report.text != render_report(report.findings, report.impression):
        return report.text
    sections = {"Findings": report.findings, "Impression": report.impression}
    return " ".join(f"{name}: {text}" for name, text in sections.items() if text is not None)


def _way_of_asking(knobs: config.Judge, *, masked: bool) -> str:
    """All but the model that changes an answer, as the first part of an identity.

    >>> _way_of_asking(config.Judge(), masked=False)
    'openai'
    >>> knobs = config.Judge(base_url="http://localhost:8000/v1", votes=3, temperature=0.7)
    >>> _way_of_asking(knobs, masked=False)
    'openai/localhost:8000/3 votes/temperature 0.7'
    """
    url = urlsplit(knobs.base_url)
    parts = ["openai"]
    if url.hostname != _OPENAI:
        parts.append(url.netloc.lower())
    if knobs.votes > 1:
        parts.append(f"{knobs.votes} votes")
    if knobs.temperature:
        parts.append(f"temperature {knobs.temperature:g}")
    if masked and knobs.identifiers == "mask":
        parts.append("masked")
    return "/".join(parts)
