"""How persistently an endpoint is asked: the knobs, and how often and how long one vote is tried."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from radflow.errors import RecipeError
from radflow.judges.llm.failures import Failure, backoff


@dataclass(frozen=True, kw_only=True)
class Knobs:
    """How an endpoint is asked.

    Attributes:
        concurrency: requests under way at once.
        votes: 1, or an odd number of answers of which the majority counts; no more are asked than decide it.
        temperature: 0 by default; with more than one vote above 0, or every vote is the same. ``None`` is not
            sent.
        max_answer_tokens: length of an answer; ``None`` is not sent. Models that think aloud need some
            thousands.
        structured: ask for JSON by a schema; ``None`` finds out whether the server can and remembers it.
        tries: requests for one vote, before the question counts as failed.
        backoff: seconds; before try n + 1 the wait is uniform in [0, ``backoff`` * 2**n].
        longest_backoff: bound of that, seconds.
        patience: seconds that a question may be put off by a busy server (429, 503) without any answer; also
            the longest Retry-After that is waited for.
        give_up_after: so many questions in a row without an answer, and no more are asked.
        connect_timeout: seconds to a connection.
        timeout: seconds to a whole answer, the connection included.
    """

    concurrency: int = 16
    votes: int = 1
    temperature: float | None = 0.0
    max_answer_tokens: int | None = 64
    structured: bool | None = None
    tries: int = 10
    backoff: float = 0.25
    longest_backoff: float = 30.0
    patience: float = 600.0
    give_up_after: int = 16
    connect_timeout: float = 10.0
    timeout: float = 60.0

    def __post_init__(self) -> None:
        for name in ("concurrency", "votes", "tries", "give_up_after", "connect_timeout", "timeout"):
            if getattr(self, name) <= 0:
                raise RecipeError(f"{name}: expected a number above 0, got {getattr(self, name)}.")
        if self.votes % 2 == 0:
            raise RecipeError(
                f"votes: expected an odd number, so that there is a majority; got {self.votes}."
            )
        if self.votes > 1 and self.temperature == 0:
            raise RecipeError(
                f"votes = {self.votes} with temperature 0 would ask for the same answer {self.votes} times: "
                "expected a temperature above 0 (0.7, say), or votes = 1."
            )


class Tries:
    """How often one vote has been asked for, and how long it has been put off."""

    def __init__(self, knobs: Knobs) -> None:
        self._knobs = knobs
        self._tried = 0
        self._put_off = 0
        self._put_off_since: float | None = None

    def after(self, failure: Failure) -> float | Failure:
        """Seconds until the next try, or why there is none."""
        knobs = self._knobs
        if failure.scope in ("question", "endpoint"):
            return failure
        if failure.scope == "call":
            self._put_off_since, self._put_off = None, 0
            self._tried += 1
            if self._tried >= knobs.tries:
                return failure
            return backoff(self._tried - 1, base=knobs.backoff, longest=knobs.longest_backoff)
        if failure.wait is not None and failure.wait > knobs.patience:
            longer = (
                f"{failure.what}, to be asked again in {failure.wait:.0f} s; patience is {knobs.patience:g} s"
            )
            return replace(failure, what=longer, scope="endpoint")
        now = time.monotonic()
        self._put_off_since = self._put_off_since or now
        if now - self._put_off_since > knobs.patience:
            return replace(failure, what=f"{failure.what} for {knobs.patience:g} s", scope="question")
        self._put_off += 1
        pause = backoff(self._put_off - 1, base=knobs.backoff, longest=knobs.longest_backoff)
        return pause + (failure.wait or 0.0)
