"""A judge that asks a language model, put together as the recipe says.

A tower, from the outside in: ``AskedJudge`` waits, or stops, when the judge cannot be reached;
``CachedJudge`` asks each question once; ``Gated`` lets texts out, where the model is on another machine;
``Endpoint`` asks over HTTP, or ``LocalModel`` in this process.
"""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from radflow import config
from radflow.errors import RecipeError
from radflow.judges.base import Pair
from radflow.judges.llm.collapse import CollapseWatch
from radflow.judges.llm.endpoint import Endpoint
from radflow.judges.llm.questions import Answer, JudgeUnavailableError, Question
from radflow.judges.privacy.gate import Gate, parse_address
from radflow.judges.verdicts.cached import Asker, CachedJudge
from radflow.judges.verdicts.rows import Identity
from radflow.judges.verdicts.store import VerdictStore
from radflow.reports import Report

if TYPE_CHECKING:
    from radflow.judges.llm.local import LocalModel

_FIRST_PAUSE, _LONGEST_PAUSE = 5.0, 300.0  # seconds before an unreachable judge is tried again
_OPENAI = "api.openai.com"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Gated:
    """Asks what the gate lets out, as the gate lets it out."""

    asker: Asker
    gate: Gate

    def ask(self, questions: Sequence[Question], stored: Callable[[int, Answer], None]) -> None:
        """Ask them all.

        Raises:
            PrivacyError: one of them may not leave the machine. Then none did.
            RewardError: some have no answer, after all others were stored.
        """
        clean = [replace(question, texts=tuple(self.gate.clean(question.texts))) for question in questions]
        self.asker.ask(clean, stored)


class AskedJudge:
    """A language model as a judge: behind the privacy gate, cached and counted; a failure is never a verdict.

    Made by :func:`radflow.judges.load`. It is a :class:`~radflow.judges.Judge`.

    Args:
        name: as the recipe writes it; stands beside its verdicts.
        cached: asks each question once.
        knobs: of the recipe.
        endpoint: who is asked over HTTP, if so.
        gate: in front of it.

    Attributes:
        name: as the recipe writes it.
        store: of verdicts.
        say: called with a line when it begins to wait; the log, unless somebody sets another.
    """

    def __init__(
        self,
        name: str,
        cached: CachedJudge,
        store: VerdictStore,
        *,
        knobs: config.Judge,
        endpoint: Endpoint | None = None,
        gate: Gate | None = None,
    ) -> None:
        self.name = name
        self.store = store
        self.say: Callable[[str], None] = _log.warning
        self._cached = cached
        self._knobs = knobs
        self._endpoint = endpoint
        self._gate = gate
        self._closed = Event()

    def __call__(self, pairs: Sequence[Pair]) -> list[bool]:
        """Return whether each Impression follows from its Findings, in order.

        Raises:
            JudgeError: some questions have no verdict, now or after the longest wait. The others are kept.
            PrivacyError: a text may not leave this machine.
            NotWritableError: the store cannot be written.
        """
        return self._patiently(lambda: self._cached(pairs))

    def criticality(self, reports: Sequence[Report]) -> list[bool]:
        """Return whether each report describes anything abnormal, in order.

        Raises:
            JudgeError: as for pairs, and so for the others.
        """
        return self._patiently(lambda: self._cached.criticality(reports))

    @property
    def collapsed(self) -> tuple[str, ...]:
        """One sentence per kind of question that nearly always got the same answer."""
        return self._cached.collapsed

    def account(self) -> str:
        """What was asked so far, what it cost, and what the store answered."""
        parts = [f"{self._cached.asked:,} questions asked"]
        if self._endpoint is not None:
            parts[0] += f" in {self._endpoint.spending}"
        parts.append(f"{self._cached.hits:,} answered from the store")
        if self._gate is not None and self._gate.identifiers != "block":
            done = {"mask": "masked", "pass": "sent"}[self._gate.identifiers]
            found = ", ".join(f"{count} {kind}" for kind, count in sorted(self._gate.found.items()))
            parts.append(f"identifiers {done}: {found or 'none'}")
        return f"judge {self.name}: " + "; ".join(parts)

    def close(self) -> None:
        """End a wait that is under way, with its error, and close the store."""
        self._closed.set()
        self.store.close()

    def _patiently(self, ask: Callable[[], list[bool]]) -> list[bool]:
        begun, pause = time.monotonic(), _FIRST_PAUSE
        while True:
            try:
                return ask()
            except JudgeUnavailableError as error:
                waited = time.monotonic() - begun
                if self._knobs.on_failure == "stop" or waited + pause > 3600 * self._knobs.longest_wait:
                    raise
                self.say(f"{error} Asking again in {pause:.0f} s (judge.on_failure = wait).")
                if self._closed.wait(pause):
                    raise
                pause = min(2 * pause, _LONGEST_PAUSE)


def asked_judge(name: str, knobs: config.Judge) -> AskedJudge:
    """Put together the judge ``openai:<model>`` or ``local:<folder>``. Nothing is asked yet.

    Raises:
        PrivacyError: the endpoint is not on this machine and the recipe does not let text go there.
        RecipeError: the name or a knob does not say something that can be done.
        JudgeError: the endpoint needs a key and there is none.
        MissingDependencyError: its client is not installed.
        MissingFileError: there is no such folder.
    """
    kind, _, model = name.partition(":")
    if not model:
        raise RecipeError(f"Expected {kind}:<{'model' if kind == 'openai' else 'folder'}>, got {name!r}.")
    endpoint = gate = None
    if kind == "openai":
        endpoint, gate = _endpoint(model, knobs)
        asker: Asker = endpoint if gate is None else Gated(asker=endpoint, gate=gate)
        identity = Identity(judge=_way_of_asking(knobs, masked=gate is not None), model=model)
    else:
        asker = _local(model)
        identity = Identity(judge=kind, model=asker.name_of_model)
    store = VerdictStore(knobs.store or _nameless_store())
    watch = CollapseWatch(name, share=knobs.collapsed_share)
    cached = CachedJudge(None if knobs.offline else asker, store, identity=identity, watch=watch)
    return AskedJudge(name, cached, store, knobs=knobs, endpoint=endpoint, gate=gate)


def _endpoint(model: str, knobs: config.Judge) -> tuple[Endpoint, Gate | None]:
    """The endpoint, with its gate where it is not on this machine."""
    gate = Gate(allow_remote_text=knobs.allow_remote_text, hosts=knobs.hosts, identifiers=knobs.identifiers)
    endpoint = Endpoint(
        base_url=knobs.base_url,
        model=model,
        http_client=gate.http_client,
        concurrency=knobs.concurrency,
        votes=knobs.votes,
        temperature=knobs.temperature,
        timeout=knobs.timeout,
        max_calls=knobs.max_calls,
        max_tokens=knobs.max_tokens,
        max_answer_tokens=knobs.max_answer_tokens,
    )
    if not knobs.offline:
        gate.check(knobs.base_url)
        endpoint.check()
    return endpoint, None if parse_address(knobs.base_url).loopback else gate


def _local(folder: str) -> LocalModel:
    from radflow.judges.llm.local import LocalModel

    return LocalModel(folder)


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


def _nameless_store() -> Path:
    """Where nobody names a store: one for this process."""
    return Path(tempfile.mkdtemp(prefix="radflow-verdicts-")) / "verdicts.sqlite3"
