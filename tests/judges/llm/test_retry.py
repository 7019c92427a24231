import math
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from radflow.judges.llm.retry import Failure, Retry, Tries, failure_of_status, retry_after

TROUBLE = Failure(what="HTTP 500", scope="call")
BUSY = Failure(what="HTTP 429", scope="busy", wait=2.0)


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
    pause = Retry(backoff=base, longest_backoff=longest).pause(attempt)
    assert 0 <= pause <= min(longest, base * 2.0 ** min(attempt, 60))


def test_so_many_tries_and_no_more():
    tries = Tries(Retry(tries=3))
    assert [isinstance(tries.after(TROUBLE), float) for _ in range(3)] == [True, True, False]


def test_the_pause_grows_and_is_jittered():
    pauses = [Tries(Retry(backoff=1.0)) for _ in range(200)]
    first = [tries.after(TROUBLE) for tries in pauses]
    fourth = [[tries.after(TROUBLE) for _ in range(3)][-1] for tries in pauses]
    assert max(first) <= 1.0 < max(fourth) <= 8.0
    assert len(set(first)) > 100


def test_being_put_off_is_no_try_and_waits_at_least_as_long_as_asked():
    tries = Tries(Retry(tries=1))
    assert all(tries.after(BUSY) >= 2.0 for _ in range(50))
    assert tries.after(TROUBLE) is TROUBLE


def test_a_wait_beyond_patience_ends_everything():
    end = Tries(Retry(patience=1.0)).after(BUSY)
    assert isinstance(end, Failure)
    assert (end.scope, end.what) == ("endpoint", "HTTP 429, to be asked again in 2 s; patience is 1 s")


def test_what_asking_again_cannot_mend_is_not_tried_again():
    for scope in ("question", "endpoint"):
        failure = Failure(what="HTTP 400", scope=scope)
        assert Tries(Retry()).after(failure) is failure
