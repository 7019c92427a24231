import json
import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radflow.judges.llm.questions import Answer, Question
from radflow.judges.verdicts.rows import Identity, StoredVerdict, stored_verdict, to_row
from radflow.judges.verdicts.store import VerdictStore

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


def test_a_store_that_kept_leases_opens(tmp_path):
    """As radflow made it before its first release."""
    statements = (
        "CREATE TABLE verdicts (key BLOB PRIMARY KEY, judge, model, prompt, kind, verdict, said,"
        " prompt_tokens, completion_tokens, calls, at, texts, hash) WITHOUT ROWID",
        "CREATE TABLE leases (key BLOB PRIMARY KEY, owner TEXT NOT NULL, expires REAL NOT NULL)"
        " WITHOUT ROWID",
        "CREATE TABLE used (judge, model, prompt, kind, misses INTEGER DEFAULT 0, hits INTEGER DEFAULT 0,"
        " prompt_tokens INTEGER DEFAULT 0, completion_tokens INTEGER DEFAULT 0, calls INTEGER DEFAULT 0,"
        " PRIMARY KEY (judge, model, prompt, kind)) WITHOUT ROWID",
        "INSERT INTO leases VALUES (x'00', 'somebody', 9e9)",
        "INSERT INTO used (judge, model, prompt, kind, misses) VALUES ('openai', 'm', '1', 'consistency', 1)",
        f"PRAGMA application_id = {int.from_bytes(b'rdjv', 'big')}",
        "PRAGMA user_version = 1",
    )
    with closing(sqlite3.connect(tmp_path / "file")) as db, db:
        for statement in statements:
            db.execute(statement)
        db.execute(f"INSERT INTO verdicts VALUES ({','.join('?' * 13)})", to_row(verdict(1)))
    with VerdictStore(tmp_path / "file") as store:
        store.put(verdict(2))
        assert store.get([key(1), key(2)]) == {key(1): verdict(1), key(2): verdict(2)}
        assert store.used()["openai", "m", "1", "consistency"][0] == 2


def test_it_opens_again_after_it_was_closed(store):
    store.put(verdict(1))
    store.close()
    store.close()
    assert list(store.get([key(1)])) == [key(1)]


def test_its_files_are_the_user_s_alone_and_have_a_write_ahead_log(store):
    store.put(verdict(1))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in store.path.parent.iterdir()}
    assert modes == {f"verdicts.sqlite3{end}": 0o600 for end in ("", "-wal", "-shm")}


FORK = """
import os, sys
from threading import Thread, Event
from radflow.judges.verdicts.rows import StoredVerdict
from radflow.judges.verdicts.store import VerdictStore

store = VerdictStore(sys.argv[1])

def insert(number):
    store.put(StoredVerdict(
        key=bytes([number] * 32), judge="j", model="m", prompt="1", kind="consistency", verdict=True, said="",
        prompt_tokens=1, completion_tokens=1, calls=1, at="",
    ))

held, leave = Event(), Event()
def hold():
    with store._connection():
        held.set()
        leave.wait()

insert(1)
thread = Thread(target=hold)
thread.start()
held.wait()
child = os.fork()  # while a thread of the parent holds the lock
if child == 0:
    insert(2)
    os._exit(0)
leave.set()
thread.join()
insert(3)
assert os.waitpid(child, 0)[1] == 0
insert(4)
print(",".join(str(verdict.key[0]) for verdict in store.scan()))
with store._connection() as db:
    print(db.execute("PRAGMA integrity_check").fetchone()[0])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_parent_and_child_both_go_on_after_a_fork(tmp_path):
    ran = subprocess.run(
        [sys.executable, "-c", FORK, str(tmp_path / "file")], capture_output=True, text=True, timeout=50
    )
    assert ran.stdout.split() == ["1,2,3,4", "ok"], ran.stderr


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
    assert store.put(verdict(1, yes=False)).verdict is False
    assert store.get([key(1)])[key(1)].verdict is False


def test_misses_and_hits_are_counted_with_what_they_cost(store):
    store.put(verdict(1))
    store.put(verdict(2, model="n"))
    store.add([verdict(3)])
    store.count_hits([verdict(1), verdict(1), verdict(3, prompt_tokens=30, calls=4)])
    assert store.used() == {
        ("openai", "m", "1", "consistency"): (1, 3, 50, 6, 6),
        ("openai", "n", "1", "consistency"): (1, 0, 0, 0, 0),
    }


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
        store.put(made)
        store.count_hits([made])
        files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    files |= {f"{path.name} closed": path.read_bytes() for path in tmp_path.iterdir()}
    assert len(files["file-wal"]) > 0
    written = b"".join(files.values())
    assert made.key in written
    assert (SECRET.encode() in written) is keep_texts
    assert (json.dumps(SECRET)[1:-1].encode() in files["file closed"]) is keep_texts
