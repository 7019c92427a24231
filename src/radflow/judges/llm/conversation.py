"""Many questions put to one endpoint at once: votes, tries, waits, caps, and when to give up.

Nothing here knows HTTP. ``send`` takes a request and gives a :class:`Reply` or a :class:`Failure`.
Every request is one call of ``send``, taken from the spending before; there is no other way out.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from radflow import config
from radflow.judges.llm.answers import Reply
from radflow.judges.llm.questions import (
    Answer,
    Grading,
    JudgeError,
    JudgeUnavailableError,
    Message,
    Prompt,
    Question,
)
from radflow.judges.llm.retry import Failure, Retry, Tries

Send = Callable[[dict[str, Any]], Awaitable[Reply | Failure]]
Stored = Callable[[int, Answer], None]
Cost = Counter[str]
"""Of one question so far: ``calls``, ``prompt_tokens``, ``completion_tokens``."""

_UNREADABLE = Failure(what="an answer that is not one clear yes or no", scope="call")
_NO_NUMBER = Failure(what="an answer that is not in the form that was asked for", scope="call")
_SHOWN = 2_000  # characters of an unreadable answer that the judge is shown again
_CUT = Failure(what="an answer that was cut short by a limit or a filter", scope="call")


@dataclass(kw_only=True)
class Spending:
    """Requests and tokens so far, beside their caps. Threads may share it.

    Attributes:
        max_calls: requests that may be sent, failed ones included; ``None`` is no cap. Never exceeded.
        max_tokens: tokens of prompts and completions after which nothing more is sent. Requests that are
            under way then still count, so at most ``concurrency`` of them may lie above it.
        calls: requests sent.
        tokens: as the server reports them.

    >>> spending = Spending(max_calls=1)
    >>> spending.take(), spending.take(), str(spending)
    (True, False, '1 of 1 calls, 0 tokens')
    """

    max_calls: int | None = None
    max_tokens: int | None = None
    calls: int = 0
    tokens: int = 0
    _lock: Lock = field(default_factory=Lock, repr=False, compare=False)

    def take(self) -> bool:
        """Count one request, if there is room for it."""
        with self._lock:
            if self.max_calls is not None and self.calls >= self.max_calls:
                return False
            if self.max_tokens is not None and self.tokens >= self.max_tokens:
                return False
            self.calls += 1
            return True

    def add(self, reply: Reply) -> None:
        """Count the tokens of a reply."""
        with self._lock:
            self.tokens += (reply.prompt_tokens or 0) + (reply.completion_tokens or 0)

    def __str__(self) -> str:
        calls = f"{self.calls} of {self.max_calls}" if self.max_calls is not None else f"{self.calls}"
        tokens = f"{self.tokens} of {self.max_tokens}" if self.max_tokens is not None else f"{self.tokens}"
        return f"{calls} calls, {tokens} tokens"


@dataclass(kw_only=True)
class Server:
    """What is known of a server so far.

    Attributes:
        structured: whether it gives structured answers; ``None`` until that is known.
        answered: whether it ever did, with whatever status.
    """

    structured: bool | None = None
    answered: bool = False


class Conversation:
    """One :meth:`run` over many questions.

    Args:
        knobs: what is asked for, and how many requests are under way at once.
        retry: how persistently.
        spending: what every request is taken from.
        server: what is known of it, and where what is found out is remembered.
        send: one request, to its end.
    """

    def __init__(
        self, knobs: config.Judge, retry: Retry, spending: Spending, server: Server, send: Send
    ) -> None:
        self._knobs, self._retry, self._spending = knobs, retry, spending
        self._server, self._send = server, send
        self._slots = asyncio.Semaphore(knobs.concurrency)
        self._resume_at = 0.0
        self._first_call: asyncio.Event | None = None
        self._stop = asyncio.Event()
        self._stopped_by: Failure | None = None
        self._answered = 0
        self._failed: list[tuple[int, Failure]] = []
        self._failed_in_a_row = 0

    async def run(self, questions: Sequence[Question], stored: Stored) -> None:
        """Ask all; more workers than slots, so that a question in its pause holds up no other."""
        queue = iter(enumerate(questions))
        workers = min(len(questions), 2 * self._knobs.concurrency)
        await asyncio.gather(*(self._work(queue, stored) for _ in range(workers)))

    def raise_for_missing(self, asked: int, judge: str) -> None:
        """Say what has no answer and how to go on.

        Raises:
            JudgeUnavailableError: there is such a question, and asking later may help.
            JudgeError: there is, and it will not.
        """
        if self._answered == asked:
            return
        told = [f"judge {judge}: expected {asked} answers, got {self._answered}; those were handed on."]
        if self._stopped_by:
            told.append(f"Stopped: {self._stopped_by.what}.")
        if self._failed:
            reasons = Counter(failure.what for _, failure in self._failed).most_common(5)
            told.append("Failed: " + "; ".join(f"{count} with {what}" for what, count in reasons))
            told[-1] += f"; the first is number {min(index for index, _ in self._failed)}."
        told.append(f"Spent: {self._spending}. Mend what is named or raise the cap, then start again: ")
        failures = [failure for _, failure in self._failed] + ([self._stopped_by] if self._stopped_by else [])
        lasting = any(failure.lasting for failure in failures)
        raise (JudgeError if lasting else JudgeUnavailableError)(
            " ".join(told) + "with a cache of verdicts only what is missing is asked."
        )

    async def _work(self, queue: Iterator[tuple[int, Question]], stored: Stored) -> None:
        for index, question in queue:
            outcome = await self._ask(question)
            if self._stopped_by is not None and isinstance(outcome, Failure):
                return
            if isinstance(outcome, Answer):
                stored(index, outcome)
                self._answered += 1
                self._failed_in_a_row = 0
            else:
                self._failed.append((index, outcome))
                self._failed_in_a_row += 1
                if self._failed_in_a_row >= self._retry.give_up_after:
                    many = f"{self._failed_in_a_row} questions in a row without an answer"
                    self._stop_all(Failure(what=many, scope="endpoint"))

    async def _ask(self, question: Question) -> Answer | Failure:
        """Votes until one side has the majority; a number needs one."""
        prompt = question.prompt
        wanted = 1 if question.grading else self._knobs.votes
        cost: Cost = Counter(calls=0, prompt_tokens=0, completion_tokens=0)
        said: list[str] = []
        votes: Counter[bool | float] = Counter()
        while not votes or max(votes.values()) <= wanted // 2:
            vote = await self._vote(prompt, question, cost)
            if isinstance(vote, Failure):
                return vote
            votes[vote[0]] += 1
            said.append(vote[1])
        return Answer(verdict=votes.most_common(1)[0][0], said="\n".join(said), **cost)

    async def _vote(
        self, prompt: Prompt | Grading, question: Question, cost: Cost
    ) -> tuple[bool | float, str] | Failure:
        """One verdict and its words, asking again as often as allowed."""
        chat, reminder = prompt.messages(question), []
        tries = Tries(self._retry)
        while True:
            reply = await self._call(prompt, [*chat, *reminder], cost)
            if isinstance(reply, Reply):
                verdict = prompt.read(reply.text) if reply.whole else None
                if verdict is not None:
                    return verdict, reply.text
                reminder = prompt.reminder(reply.text[:_SHOWN]) if reply.text.strip() else []
                unreadable = _NO_NUMBER if question.grading else _UNREADABLE
                reply = unreadable if reply.whole else _CUT
            pause = tries.after(reply)
            if isinstance(pause, Failure):
                return self._stop_all(pause) if pause.scope == "endpoint" else pause
            if reply.wait is not None:
                self._resume_at = max(self._resume_at, time.monotonic() + reply.wait)
            await self._sleep(pause)

    async def _call(self, prompt: Prompt | Grading, chat: list[Message], cost: Cost) -> Reply | Failure:
        """One request; the first goes alone where it is to find out about structured answers."""
        if "response_format" not in prompt.request:
            return await self._request(prompt, chat, cost, structured=False)
        if self._server.structured is None and self._first_call is None:
            self._first_call = asyncio.Event()
            try:
                return await self._find_out(prompt, chat, cost)
            finally:
                self._first_call.set()
        if self._first_call is not None:
            await self._first_call.wait()
        return await self._find_out(prompt, chat, cost)

    async def _find_out(self, prompt: Prompt | Grading, chat: list[Message], cost: Cost) -> Reply | Failure:
        """Ask for a structured answer; where that is refused and a plain one is not, remember it."""
        if self._server.structured is not None:
            return await self._request(prompt, chat, cost, structured=self._server.structured)
        reply = await self._request(prompt, chat, cost, structured=True)
        if isinstance(reply, Reply):
            self._server.structured = True
        elif reply.may_be_the_format:
            reply = await self._request(prompt, chat, cost, structured=False)
            if isinstance(reply, Reply):
                self._server.structured = False
        return reply

    async def _request(
        self, prompt: Prompt | Grading, chat: list[Message], cost: Cost, *, structured: bool
    ) -> Reply | Failure:
        request = {"messages": chat, "temperature": self._knobs.temperature, **prompt.request}
        if isinstance(prompt, Prompt) or "max_answer_tokens" in self._knobs.model_fields_set:
            request["max_tokens"] = self._knobs.max_answer_tokens  # a bound for a word, not for a list
        if not structured:
            request.pop("response_format", None)
        async with self._slots:
            while (rest := self._resume_at - time.monotonic()) > 0 and not self._stop.is_set():
                await self._sleep(rest + random.uniform(0, self._retry.backoff))
            if self._stopped_by is not None:
                return self._stopped_by
            if not self._spending.take():
                return self._stop_all(Failure(what="the cap is reached", scope="endpoint", lasting=True))
            cost["calls"] += 1
            reply = await self._send(request)
        if isinstance(reply, Reply):
            self._spending.add(reply)
            if self._spending.max_tokens is not None and reply.prompt_tokens is None:
                uncounted = "max_tokens is set and the server reports no token counts; set max_calls"
                self._stop_all(Failure(what=uncounted, scope="endpoint", lasting=True))
            cost["prompt_tokens"] += reply.prompt_tokens or 0
            cost["completion_tokens"] += reply.completion_tokens or 0
        return reply

    def _stop_all(self, failure: Failure) -> Failure:
        """Send nothing more; what is under way ends by itself and is kept."""
        self._stopped_by = self._stopped_by or failure
        self._stop.set()
        return self._stopped_by

    async def _sleep(self, seconds: float) -> None:
        """Sleep, unless everything is stopped before."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)
