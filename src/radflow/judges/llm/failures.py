"""What a failed request means: ask again, wait as long as the server says, or give up.

A failure is a value, never an exception with a cause: the client's exceptions hold the request with the key
in its headers. What it says is a status or a kind of trouble; neither a report nor what a judge wrote is
quoted.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
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
    if status in _UNREADABLE_QUESTION:
        return Failure(what=what, scope="question", lasting=True, status=status)
    return Failure(what=what, scope="endpoint", lasting=True, status=status)


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


def backoff(attempt: int, *, base: float, longest: float) -> float:
    """Seconds before the next try: exponential with full jitter, uniform in [0, min(longest, base *
    2**attempt)].

    Source: M. Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015.

    >>> 0 <= backoff(3, base=0.5, longest=30) <= 4
    True
    """
    return random.uniform(0, min(longest, base * 2.0 ** min(attempt, 60)))


def _seconds(said: str | None) -> float | None:
    try:
        seconds = float(said or "")
    except ValueError:
        return None
    return seconds if 0 <= seconds < math.inf else None
