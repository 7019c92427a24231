"""Many questions put to one endpoint at once: votes, tries, waits, and when to give up.

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
from dataclasses import dataclass
from typing import Any

from radflow.judges.llm.answers import RESPONSE_FORMAT, Reply, parse_answer
from radflow.judges.llm.failures import Failure
from radflow.judges.llm.questions import (
    Answer,
    JudgeError,
    JudgeUnavailableError,
    Message,
    Prompt,
    Question,
    load_prompt,
)
from radflow.judges.llm.retries import Knobs, Tries
from radflow.judges.llm.spending import Spending

Send = Callable[[dict[str, Any]], Awaitable[Reply | Failure]]
Stored = Callable[[int, Answer], None]

_UNREADABLE = Failure(what="an answer that is not one clear yes or no", scope="call")
_SHOWN = 2_000  # characters of an unreadable answer that the judge is shown again
_CUT = Failure(what="an answer that was cut short by a limit or a filter", scope="call")


@dataclass(kw_only=True)
class Server:
    """What is known of a server so far.

    Attributes:
        structured: whether it gives structured answers; ``None`` until that is known.
        answered: whether it ever did, with whatever status.
    """

    structured: bool | None = None
    answered: bool = False


@dataclass(kw_only=True)
class _Tally:
    """What one question has cost so far."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0


class Conversation:
    """One :meth:`run` over many questions.

    Args:
        server: what is known of it, and where what is found out is remembered.
        send: one request, to its end.
    """

    def __init__(self, knobs: Knobs, spending: Spending, server: Server, send: Send) -> None:
        self._knobs, self._spending, self._server, self._send = knobs, spending, server, send
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
                if self._failed_in_a_row >= self._knobs.give_up_after:
                    many = f"{self._failed_in_a_row} questions in a row without an answer"
                    self._stop_all(Failure(what=many, scope="endpoint"))

    async def _ask(self, question: Question) -> Answer | Failure:
        """Votes until one side has the majority."""
        prompt, tally = load_prompt(question.kind), _Tally()
        said: list[str] = []
        votes: Counter[bool] = Counter()
        while not votes or max(votes.values()) <= self._knobs.votes // 2:
            vote = await self._vote(prompt, question, tally)
            if isinstance(vote, Failure):
                return vote
            votes[vote[0]] += 1
            said.append(vote[1])
        return Answer(verdict=votes[True] > votes[False], said="\n".join(said), **vars(tally))

    async def _vote(self, prompt: Prompt, question: Question, tally: _Tally) -> tuple[bool, str] | Failure:
        """One verdict and its words, asking again as often as the knobs allow."""
        chat, reminder = prompt.messages(question), []
        tries = Tries(self._knobs)
        while True:
            reply = await self._call([*chat, *reminder], tally)
            if isinstance(reply, Reply):
                verdict = parse_answer(reply.text) if reply.whole else None
                if verdict is not None:
                    return verdict, reply.text
                reminder = prompt.reminder(reply.text[:_SHOWN]) if reply.text.strip() else []
                reply = _UNREADABLE if reply.whole else _CUT
            pause = tries.after(reply)
            if isinstance(pause, Failure):
                return self._final(pause)
            if reply.wait is not None:
                self._resume_at = max(self._resume_at, time.monotonic() + reply.wait)
            await self._sleep(pause)

    async def _call(self, chat: list[Message], tally: _Tally) -> Reply | Failure:
        """One request; the first goes alone where it is to find out about structured answers."""
        if self._server.structured is not None:
            return await self._request(chat, tally, structured=self._server.structured)
        if self._first_call is not None:
            await self._first_call.wait()
            return await self._find_out(chat, tally)
        self._first_call = asyncio.Event()
        try:
            return await self._find_out(chat, tally)
        finally:
            self._first_call.set()

    async def _find_out(self, chat: list[Message], tally: _Tally) -> Reply | Failure:
        """Ask for a structured answer; where that is refused and a plain one is not, remember it."""
        if self._server.structured is not None:
            return await self._request(chat, tally, structured=self._server.structured)
        reply = await self._request(chat, tally, structured=True)
        if isinstance(reply, Reply):
            self._server.structured = True
        elif reply.may_be_the_format:
            reply = await self._request(chat, tally, structured=False)
            if isinstance(reply, Reply):
                self._server.structured = False
        return reply

    async def _request(self, chat: list[Message], tally: _Tally, *, structured: bool) -> Reply | Failure:
        request: dict[str, Any] = {"messages": chat}
        if self._knobs.temperature is not None:
            request["temperature"] = self._knobs.temperature
        if self._knobs.max_answer_tokens is not None:
            request["max_tokens"] = self._knobs.max_answer_tokens
        if structured:
            request["response_format"] = RESPONSE_FORMAT
        async with self._slots:
            while (rest := self._resume_at - time.monotonic()) > 0 and not self._stop.is_set():
                await self._sleep(rest + random.uniform(0, self._knobs.backoff))
            if self._stopped_by is not None:
                return self._stopped_by
            if not self._spending.take():
                return self._stop_all(Failure(what="the cap is reached", scope="endpoint", lasting=True))
            tally.calls += 1
            reply = await self._send(request)
        if isinstance(reply, Reply):
            self._spending.add(reply)
            if self._spending.max_tokens is not None and reply.prompt_tokens is None:
                uncounted = "max_tokens is set and the server reports no token counts; set max_calls"
                self._stop_all(Failure(what=uncounted, scope="endpoint", lasting=True))
            tally.prompt_tokens += reply.prompt_tokens or 0
            tally.completion_tokens += reply.completion_tokens or 0
        return reply

    def _final(self, failure: Failure) -> Failure:
        return self._stop_all(failure) if failure.scope == "endpoint" else failure

    def _stop_all(self, failure: Failure) -> Failure:
        """Send nothing more; what is under way ends by itself and is kept."""
        if self._stopped_by is None:
            self._stopped_by = failure
        self._stop.set()
        return self._stopped_by

    async def _sleep(self, seconds: float) -> None:
        """Sleep, unless everything is stopped before."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)
