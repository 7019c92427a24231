from concurrent.futures import ThreadPoolExecutor

from radflow.judges.llm.answers import Reply
from radflow.judges.llm.conversation import Spending


def test_threads_together_do_not_exceed_the_cap():
    spending = Spending(max_calls=1000)
    with ThreadPoolExecutor(8) as threads:
        taken = list(threads.map(lambda _: spending.take(), range(3000)))
    assert sum(taken) == spending.calls == 1000


def test_tokens_are_added_and_close_the_purse():
    spending = Spending(max_tokens=20)
    reply = Reply(text="yes", whole=True, prompt_tokens=9, completion_tokens=1)
    for _ in range(2):
        assert spending.take()
        spending.add(reply)
    assert not spending.take()
    assert str(spending) == "2 calls, 20 of 20 tokens"
