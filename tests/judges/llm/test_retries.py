from radflow.judges.llm.failures import Failure
from radflow.judges.llm.retries import Knobs, Tries

TROUBLE = Failure(what="HTTP 500", scope="call")
BUSY = Failure(what="HTTP 429", scope="busy", wait=2.0)


def test_so_many_tries_and_no_more():
    tries = Tries(Knobs(tries=3))
    assert [isinstance(tries.after(TROUBLE), float) for _ in range(3)] == [True, True, False]


def test_the_pause_grows_and_is_jittered():
    pauses = [Tries(Knobs(backoff=1.0)) for _ in range(200)]
    first = [tries.after(TROUBLE) for tries in pauses]
    fourth = [[tries.after(TROUBLE) for _ in range(3)][-1] for tries in pauses]
    assert max(first) <= 1.0 < max(fourth) <= 8.0
    assert len(set(first)) > 100


def test_being_put_off_is_no_try_and_waits_at_least_as_long_as_asked():
    tries = Tries(Knobs(tries=1))
    assert all(tries.after(BUSY) >= 2.0 for _ in range(50))
    assert tries.after(TROUBLE) is TROUBLE


def test_a_wait_beyond_patience_ends_everything():
    end = Tries(Knobs(patience=1.0)).after(BUSY)
    assert isinstance(end, Failure)
    assert (end.scope, end.what) == ("endpoint", "HTTP 429, to be asked again in 2 s; patience is 1 s")


def test_what_asking_again_cannot_mend_is_not_tried_again():
    for scope in ("question", "endpoint"):
        failure = Failure(what="HTTP 400", scope=scope)
        assert Tries(Knobs()).after(failure) is failure
