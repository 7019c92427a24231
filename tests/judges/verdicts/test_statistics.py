import math
import sqlite3
from contextlib import closing

from radflow.judges.llm.questions import Answer, Question
from radflow.judges.verdicts.rows import Identity, stored_verdict
from radflow.judges.verdicts.statistics import statistics
from radflow.judges.verdicts.store import VerdictStore


def verdict(number, yes, model="m"):
    return stored_verdict(
        Identity(judge="openai", model=model),
        Question(kind="criticality", texts=(f"Report {number}.",)),
        Answer(verdict=yes, said="yes", prompt_tokens=100, completion_tokens=4, calls=2),
        keep_texts=False,
    )


def test_an_empty_store(tmp_path):
    with VerdictStore(tmp_path / "file") as store:
        found = statistics(store)
    assert found.judges == () and found.damaged == 0 and found.size > 0


def test_what_is_kept_what_it_cost_and_what_it_saved(tmp_path):
    with VerdictStore(tmp_path / "file") as store:
        for number in range(4):
            store.put(verdict(number, yes=number > 0))
        store.count_hits([verdict(1, yes=True)] * 6)
        store.add([verdict(0, yes=True, model="n")])
        with closing(sqlite3.connect(store.path)) as db, db:
            db.execute("UPDATE verdicts SET verdict = 1 WHERE verdict = 0")
        found = statistics(store)
    assert found.damaged == 1
    first, second = found.judges
    assert (first.judge, first.model, first.prompt, first.kind) == ("openai", "m", "1", "criticality")
    assert (first.verdicts, first.yes, first.misses, first.hits) == (3, 3, 4, 6)
    assert (first.spent.calls, first.spent.prompt_tokens, first.spent.completion_tokens) == (6, 300, 12)
    assert (first.saved.calls, first.saved.prompt_tokens, first.saved.completion_tokens) == (12, 600, 24)
    assert first.yes_share == 1.0 and first.hit_share == 0.6
    assert math.isclose(first.saved.money(prompt_price=2.5, completion_price=10), (600 * 2.5 + 24 * 10) / 1e6)
    assert math.isclose(first.spent.money(prompt_price=2.5, completion_price=10), (300 * 2.5 + 12 * 10) / 1e6)
    assert (second.model, second.verdicts, second.misses, second.hits) == ("n", 1, 0, 0)
    assert math.isnan(second.hit_share)
