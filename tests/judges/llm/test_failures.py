import math
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from radflow.judges.llm.failures import backoff, failure_of_status, retry_after


@pytest.mark.parametrize(
    ("status", "headers", "code", "scope"),
    [
        (500, {}, None, "call"),
        (502, {}, None, "call"),
        (503, {}, None, "call"),
        (408, {}, None, "call"),
        (503, {"retry-after": "1"}, None, "busy"),
        (429, {}, "rate_limit_exceeded", "busy"),
        (429, {}, "insufficient_quota", "endpoint"),
        (400, {}, "context_length_exceeded", "question"),
        (413, {}, None, "question"),
        (422, {}, None, "question"),
        (301, {}, None, "endpoint"),
        (401, {}, None, "endpoint"),
        (403, {}, None, "endpoint"),
        (404, {}, None, "endpoint"),
    ],
)
def test_what_each_status_spoils(status, headers, code, scope):
    failure = failure_of_status(status, headers, {"code": code})
    assert (failure.scope, failure.status) == (scope, status)


def test_a_code_that_is_no_name_is_not_told():
    assert failure_of_status(400, {}, {"code": "Report of John Doe"}).what == "HTTP 400"


def test_retry_after_may_be_a_date():
    then = datetime.now(UTC) + timedelta(seconds=90)
    assert 80 < retry_after({"retry-after": format_datetime(then, usegmt=True)}) <= 90
    assert 80 < retry_after({"retry-after": then.strftime("%a, %d %b %Y %H:%M:%S -0000")}) <= 90


@given(st.one_of(st.text(), st.floats().map(str), st.integers().map(str)))
@example("Wed, 99 Foo 99999 99:99:99 +9999")
@example("Sun, 06 Nov 99999999999999999999 08:49:37 GMT")
@example("1 Jan 2030 00:00:00 +99999999999")
@example("-1")
def test_whatever_a_server_writes_is_a_time_or_nothing(said):
    seconds = retry_after({"retry-after": said})
    assert seconds is None or 0 <= seconds < math.inf


@given(st.integers(0, 10_000), st.floats(0, 10), st.floats(0, 100))
def test_a_backoff_stays_within_its_bounds(attempt, base, longest):
    assert 0 <= backoff(attempt, base=base, longest=longest) <= min(longest, base * 2.0 ** min(attempt, 60))
