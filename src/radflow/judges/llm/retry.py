"""What a failed request means (ask again, wait as long as the server says, give up), and how often to try.

A failure is a value, never an exception with a cause: the client's exceptions hold the request with the key
in its headers. What it says is a status or a kind of trouble; neither a report nor what a judge wrote is
quoted.
"""

from __future__ import annotations

import math
import random
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal

_ANOTHER_WAY = (400, 415, 422, 501)
"""What servers answer to a ``response_format`` that they do not know."""

_UNREADABLE_QUESTION = (400, 413, 422)
_TRANSIENT = (408, 409, 425)
_QUOTA = "insufficient_quota"  # OpenAI's code for a 429 that no waiting ends
_CODE = re.compile(r"[\w.-]{1,60}")


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why a request brought no answer.

    Attributes:
        what: in words.
        scope: what it spoils. ``"call"``: ask again; ``"busy"``: ask again later, it does not count as a try;
            ``"question"``: asking this again is of no use; ``"endpoint"``: asking anything is of no use.
        lasting: whether asking later is of no use either, until somebody mends something.
        wait: seconds that the server asked for.
        status: of HTTP, where there was an answer.
    """

    what: str
    scope: Literal["call", "busy", "question", "endpoint"]
    lasting: bool = False
    wait: float | None = None
    status: int | None = None

    @property
    def may_be_the_format(self) -> bool:
        """Whether it may mean that the server does not know structured answers."""
        return self.status in _ANOTHER_WAY


@dataclass(frozen=True, kw_only=True)
class Retry:
    """How persistently an endpoint is asked.

    Attributes:
        tries: requests for one vote, before the question counts as failed.
        backoff: seconds; before try n + 1 the wait is uniform in [0, ``backoff`` * 2**n].
        longest_backoff: bound of that, seconds.
        patience: seconds that a question may be put off by a busy server (429, 503) without any answer; also
            the longest Retry-After that is waited for.
        give_up_after: so many questions in a row without an answer, and no more are asked.
        connect_timeout: seconds to a connection.
    """

    tries: int = 10
    backoff: float = 0.25
    longest_backoff: float = 30.0
    patience: float = 600.0
    give_up_after: int = 16
    connect_timeout: float = 10.0

    def pause(self, attempt: int) -> float:
        """Seconds before the next try: exponential with full jitter.

        Source: M. Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015.

        >>> 0 <= Retry(backoff=0.5).pause(3) <= 4
        True
        """
        return random.uniform(0, min(self.longest_backoff, self.backoff * 2.0 ** min(attempt, 60)))


class Tries:
    """How often one vote has been asked for, and how long it has been put off."""

    def __init__(self, retry: Retry) -> None:
        self._retry = retry
        self._tried = self._put_off = 0
        self._put_off_since: float | None = None

    def after(self, failure: Failure) -> float | Failure:
        """Seconds until the next try, or why there is none."""
        retry = self._retry
        if failure.scope in ("question", "endpoint"):
            return failure
        if failure.scope == "call":
            self._put_off_since, self._put_off = None, 0
            self._tried += 1
            return failure if self._tried >= retry.tries else retry.pause(self._tried - 1)
        if failure.wait is not None and failure.wait > retry.patience:
            longer = (
                f"{failure.what}, to be asked again in {failure.wait:.0f} s; patience is {retry.patience:g} s"
            )
            return replace(failure, what=longer, scope="endpoint")
        now = time.monotonic()
        self._put_off_since = self._put_off_since or now
        if now - self._put_off_since > retry.patience:
            return replace(failure, what=f"{failure.what} for {retry.patience:g} s", scope="question")
        self._put_off += 1
        return retry.pause(self._put_off - 1) + (failure.wait or 0.0)


def failure_of_status(status: int, headers: Mapping[str, str], body: object) -> Failure:
    """Read an HTTP answer that is not a success.

    >>> failure_of_status(429, {"retry-after": "2"}, None)
    Failure(what='HTTP 429', scope='busy', lasting=False, wait=2.0, status=429)
    >>> failure_of_status(401, {}, {"code": "invalid_api_key"}).what
    'HTTP 401 (invalid_api_key)'
    """
    code = body.get("code") if isinstance(body, Mapping) else None
    named = isinstance(code, str) and _CODE.fullmatch(code)
    what = f"HTTP {status} ({code})" if named else f"HTTP {status}"
    wait = retry_after(headers)
    if (status == 429 and code != _QUOTA) or (status == 503 and wait is not None):
        return Failure(what=what, scope="busy", wait=wait, status=status)
    if status in _TRANSIENT or (status >= 500 and status != 501):
        return Failure(what=what, scope="call", status=status)
    scope = "question" if status in _UNREADABLE_QUESTION else "endpoint"
    return Failure(what=what, scope=scope, lasting=True, status=status)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds until the server wants to be asked again (RFC 9110, 10.2.3: a number or a date).

    >>> retry_after({"retry-after": "1.5"}), retry_after({"retry-after-ms": "250"}), retry_after({})
    (1.5, 0.25, None)
    >>> retry_after({"retry-after": "Sun, 06 Nov 1994 08:49:37 GMT"})
    0.0
    """
    exact = _seconds(headers.get("retry-after-ms"))
    if exact is not None:
        return exact / 1000
    said = headers.get("retry-after")
    seconds = _seconds(said)
    if seconds is not None or said is None:
        return seconds
    try:
        date = parsedate_to_datetime(said)
    except (ValueError, OverflowError):
        return None
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (date - datetime.now(UTC)).total_seconds())


def _seconds(said: str | None) -> float | None:
    try:
        seconds = float(said or "")
    except ValueError:
        return None
    return seconds if 0 <= seconds < math.inf else None
