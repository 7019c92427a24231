import json
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radflow.judges.llm.questions import Answer, Question
from radflow.judges.verdicts.leases import new_owner
from radflow.judges.verdicts.rows import Identity, StoredVerdict, stored_verdict
from radflow.judges.verdicts.store import Used, VerdictStore

SECRET = "Zyxwvutson"
GPT = Identity(judge="openai", model="gpt-4o")


def key(number):
    return number.to_bytes(32, "big")


def verdict(number, yes=True, **changes):
    made = StoredVerdict(
        key=key(number),
        judge="openai",
        model="m",
        prompt="1",
        kind="consistency",
        verdict=yes,
        said="",
        prompt_tokens=10,
        completion_tokens=2,
        calls=1,
        at="2026-01-01T00:00:00+00:00",
    )
    return replace(made, **changes)


@pytest.fixture
def store(tmp_path):
    with VerdictStore(tmp_path / "verdicts.sqlite3") as store:
        yield store


def change(store, statement):
    """Change the file behind the store's back."""
    with closing(sqlite3.connect(store.path)) as db, db:
        db.execute(statement)


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=20))
def test_the_first_verdict_on_a_question_stands(tmp_path_factory, answers):
    first = {}
    with VerdictStore(tmp_path_factory.mktemp("store") / "file") as store:
        for number, yes in answers:
            stands = store.put(verdict(number, yes))
            assert stands.verdict is first.setdefault(number, yes)
        kept = store.get(key(number) for number in range(10))
    assert {k: v.verdict for k, v in kept.items()} == {key(number): yes for number, yes in first.items()}


def test_many_at_once(store):
    many = [verdict(number, number % 3 == 0) for number in range(1200)]
    assert store.add(many) == []
    assert store.get(v.key for v in many) == {v.key: v for v in many}
    assert store.scan() == many
    assert store.claim([v.key for v in many], new_owner()).mine == []


def test_a_question_is_claimed_by_one(store):
    one, two = new_owner(), new_owner()
    store.put(verdict(0))
    first = store.claim([key(n) for n in (0, 1, 2, 2)], one)
    assert (list(first.found), first.mine, first.busy) == ([key(0)], [key(1), key(2)], [])
    second = store.claim([key(n) for n in (0, 2, 3)], two)
    assert (list(second.found), second.mine, second.busy) == ([key(0)], [key(3)], [key(2)])
    assert store.claim([key(1)], one).mine == [key(1)]


def test_a_verdict_ends_the_claim_and_release_gives_the_rest_back(store):
    one, two = new_owner(), new_owner()
    store.claim([key(1), key(2)], one)
    store.put(verdict(1))
    store.release(two)
    assert store.claim([key(1), key(2)], two).busy == [key(2)]
    store.release(one)
    assert store.claim([key(1), key(2)], two).mine == [key(2)]


def test_a_claim_that_is_not_renewed_runs_out(tmp_path):
    one, two, three = new_owner(), new_owner(), new_owner()
    with VerdictStore(tmp_path / "file", lease_seconds=0.0) as short, VerdictStore(tmp_path / "file") as long:
        short.claim([key(1)], one)
        long.renew(one)
        assert long.claim([key(1)], two).busy == [key(1)]
        short.renew(one)
        assert long.claim([key(1)], two).mine == [key(1)]
        assert long.claim([key(1)], three).busy == [key(1)]
        long.renew(one)  # too late: it is another's now
        long.release(one)
        assert long.claim([key(1)], three).busy == [key(1)]


def test_a_dead_asker_s_claim_passes_on_at_once(store, monkeypatch):
    dead = new_owner()
    store.claim([key(1)], dead)
    monkeypatch.setattr("radflow.judges.verdicts.store.is_dead", lambda owner: owner == dead)
    assert store.claim([key(1)], new_owner()).mine == [key(1)]


DAMAGE = """
verdict = 0; verdict = 'true'; verdict = 2; verdict = NULL; said = x'ff'; judge = CAST(x'ff' AS TEXT);
calls = 9; hash = x'00'; hash = NULL; key = x'6b32'; texts = '['
"""


@pytest.mark.parametrize("damage", [part.strip() for part in DAMAGE.split(";")])
def test_a_damaged_row_is_a_question_not_asked_yet(store, damage):
    store.put(verdict(1, yes=True))
    store.put(verdict(2, yes=True))
    change(store, f"UPDATE verdicts SET {damage} WHERE key = x'{key(1).hex()}'")
    assert list(store.get([key(1), key(2), b"k2"])) == [key(2)]
    assert store.scan().count(None) == 1
    assert store.claim([key(1)], new_owner()).mine == [key(1)]
    assert store.put(verdict(1, yes=False)).verdict is False
    assert store.get([key(1)])[key(1)].verdict is False


def test_misses_and_hits_are_counted_with_what_they_cost(store):
    store.put(verdict(1))
    store.put(verdict(2, model="n"))
    store.add([verdict(3)])
    store.count_hits([verdict(1), verdict(1), verdict(3, prompt_tokens=30, calls=4)])
    assert store.used() == [
        Used(
            of=("openai", "m", "1", "consistency"),
            misses=1,
            hits=3,
            prompt_tokens=50,
            completion_tokens=6,
            calls=6,
        ),
        Used(of=("openai", "n", "1", "consistency"), misses=1),
    ]


def test_imported_verdicts_come_all_or_not_at_all(store):
    change(
        store,
        "CREATE TRIGGER stop BEFORE INSERT ON verdicts WHEN NEW.calls = 77"
        " BEGIN SELECT RAISE(ABORT, 'no'); END",
    )
    with pytest.raises(Exception, match="no"):
        store.add([verdict(1), verdict(2, calls=77)])
    assert store.scan() == []


def test_it_says_how_it_is_kept(store):
    assert store.journal == "wal"
    assert store.size > 0
    before = store.size
    store.add([verdict(n) for n in range(500)])
    assert store.size > before


@pytest.mark.parametrize("keep_texts", [False, True])
def test_no_text_in_any_file_unless_it_is_kept(tmp_path, keep_texts):
    question = Question(kind="consistency", texts=(f"{SECRET}: left effusion.", "Effusion."))
    answer = Answer(
        verdict=False, said=f"No, {SECRET} is fine.", prompt_tokens=1, completion_tokens=1, calls=1
    )
    with VerdictStore(tmp_path / "file", keep_texts=keep_texts) as store:
        made = stored_verdict(GPT, question, answer, keep_texts=store.keep_texts)
        store.claim([made.key], new_owner())
        store.put(made)
        store.count_hits([made])
        files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    files |= {f"{path.name} closed": path.read_bytes() for path in tmp_path.iterdir()}
    assert len(files["file-wal"]) > 0
    written = b"".join(files.values())
    assert made.key in written
    assert (SECRET.encode() in written) is keep_texts
    assert (json.dumps(SECRET)[1:-1].encode() in files["file closed"]) is keep_texts
