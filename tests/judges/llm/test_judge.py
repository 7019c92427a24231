import logging
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Lock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radflow import config
from radflow.errors import NotWritableError
from radflow.judges import Judge
from radflow.judges.llm.judge import LLMJudge
from radflow.judges.llm.questions import Answer, JudgeError
from radflow.judges.verdicts.files import export_verdicts, import_verdicts
from radflow.judges.verdicts.rows import Identity, stored_verdict
from radflow.judges.verdicts.statistics import statistics
from radflow.judges.verdicts.store import VerdictStore
from radflow.reports import Report

GPT = Identity(judge="openai", model="gpt-4o")


def answer(question):
    """Yes where the first text has an even number of characters: any rule that a test can know."""
    return Answer(
        verdict=len(question.texts[0]) % 2 == 0, said="yes", prompt_tokens=10, completion_tokens=1, calls=1
    )


class Counting:
    """Answers everything and counts what it was asked; fails on what it is told to."""

    def __init__(self, fails=()):
        self.asked = Counter()
        self.fails = set(fails)
        self._lock = Lock()

    def ask(self, questions, stored):
        with self._lock:
            self.asked.update(question.texts for question in questions)
        for index in reversed(range(len(questions))):
            if questions[index].texts[0] not in self.fails:
                stored(index, answer(questions[index]))
        if self.fails.intersection(question.texts[0] for question in questions):
            raise JudgeError("the judge said nothing")


@pytest.fixture
def store(tmp_path):
    with VerdictStore(tmp_path / "verdicts.sqlite3") as store:
        yield store


def pairs(*findings):
    return [(text, "Normal.") for text in findings]


def judged(asker, store, **knobs):
    return LLMJudge(asker, store, identity=GPT, knobs=config.Judge(**knobs))


def test_it_is_a_judge_that_says_who_it_is(store):
    judge = judged(Counting(), store)
    assert isinstance(judge, Judge)
    assert judge.name == "openai:gpt-4o"


@settings(max_examples=30)
@given(st.lists(st.lists(st.text("ab \n", max_size=4), max_size=8), max_size=4))
def test_every_call_is_answered_in_order_and_nothing_is_asked_twice(tmp_path_factory, calls):
    asker = Counting()
    with VerdictStore(tmp_path_factory.mktemp("store") / "file") as store:
        judge = judged(asker, store)
        said = {}
        for call in calls:
            for text, verdict in zip(call, judge(pairs(*call)), strict=True):
                assert said.setdefault(" ".join(text.split()), verdict) is verdict
    asked = Counter(" ".join(texts[0].split()) for texts in asker.asked.elements())
    assert asked == Counter(dict.fromkeys(said, 1))


def test_the_answers_are_the_asker_s(store):
    assert judged(Counting(), store)(pairs("a", "bb", "ccc", "bb")) == [False, True, False, True]


def test_another_run_asks_nothing(store, tmp_path):
    judged(Counting(), store)(pairs("a", "bb"))
    asker = Counting()
    with VerdictStore(tmp_path / "verdicts.sqlite3") as again:
        assert judged(asker, again)(pairs("bb", "a")) == [True, False]
    assert not asker.asked


def test_criticality_is_asked_about_the_report_as_written(store):
    asker = Counting()
    reports = [Report(text=text, findings="f", impression="i") for text in ("FINDINGS: a", "FINDINGS: bb")]
    assert judged(asker, store).criticality(reports) == [False, True]
    assert set(asker.asked) == {("FINDINGS: a",), ("FINDINGS: bb",)}


@pytest.mark.parametrize(
    "other",
    [replace(GPT, model="gpt-5"), replace(GPT, judge="local"), replace(GPT, prompts={"consistency": "2"})],
)
def test_another_judge_s_verdicts_are_not_taken(store, other):
    judged(Counting(), store)(pairs("a"))
    asker = Counting()
    LLMJudge(asker, store, identity=other)(pairs("a"))
    assert asker.asked.total() == 1


def test_hits_and_misses_are_counted(store):
    judge = judged(Counting(), store)
    judge(pairs("a", "a", "bb"))  # the second "a" is saved
    judge(pairs("a", "ccc"))
    (found,) = statistics(store).judges
    assert (found.misses, found.hits, found.saved.prompt_tokens, found.saved.calls) == (3, 2, 20, 2)


def test_a_failure_keeps_what_was_answered_and_is_asked_again(store):
    asker = Counting(fails={"bb"})
    judge = judged(asker, store)
    with pytest.raises(JudgeError, match="said nothing"):
        judge(pairs("a", "bb", "ccc"))
    assert statistics(store).judges[0].misses == 2
    asker.fails.clear()
    assert judge(pairs("a", "bb", "ccc")) == [False, True, False]
    assert asker.asked == {("a", "Normal."): 1, ("bb", "Normal."): 2, ("ccc", "Normal."): 1}


def test_an_asker_that_leaves_questions_out_is_an_error(store):
    class Silent:
        def ask(self, questions, stored):
            stored(0, answer(questions[0]))

    with pytest.raises(JudgeError, match="expected 3 answers, got 1"):
        judged(Silent(), store)(pairs("a", "bb", "ccc"))


def test_a_store_that_cannot_be_written_is_an_error_and_no_verdict(store, monkeypatch):
    def full(verdict):
        raise NotWritableError("disk full")

    monkeypatch.setattr(store, "put", full)
    with pytest.raises(NotWritableError, match="disk full"):
        judged(Counting(), store)(pairs("a"))
    assert store.scan() == []


def test_without_an_asker_a_run_is_repeated_from_an_export(store, tmp_path):
    first = judged(Counting(), store)(pairs("a", "bb", "ccc"))
    export_verdicts(store, tmp_path / "export.jsonl")
    with VerdictStore(tmp_path / "elsewhere") as elsewhere:
        import_verdicts(elsewhere, tmp_path / "export.jsonl")
        judge = judged(Counting(), elsewhere, offline=True)
        assert judge(pairs("a", "bb", "ccc")) == first
        with pytest.raises(JudgeError, match="got none on 2"):
            judge(pairs("a", "new", "newer", "new"))


def test_a_collapsed_judge_is_reported(store, caplog, monkeypatch):
    monkeypatch.setattr("radflow.judges.llm.collapse.AT_LEAST", 20)
    judge = judged(Counting(), store, collapsed_share=0.9)
    judge(pairs(*("x" * (2 * n) for n in range(1, 20))))
    assert judge.collapsed == ()
    with caplog.at_level(logging.WARNING):
        judge(pairs("y" * 100))
    assert "yes to 20 of 20" in judge.collapsed[0]
    assert [record.message for record in caplog.records] == list(judge.collapsed)


def test_threads_ask_each_question_once(store):
    asker = Counting()
    judge = judged(asker, store)
    calls = [pairs(*("x" * ((start + n) % 60) for n in range(40))) for start in range(0, 80, 5)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(judge, calls))
    assert set(asker.asked.values()) == {1} and len(asker.asked) == 60
    assert answers == [[len(text) % 2 == 0 for text, _ in call] for call in calls]


def test_the_verdict_that_another_process_stored_first_stands(store):
    class Overtaken(Counting):
        def ask(self, questions, stored):
            for question in questions:
                first = replace(answer(question), verdict=True)
                store.put(stored_verdict(GPT, question, first, keep_texts=False))
            super().ask(questions, stored)

    assert judged(Overtaken(), store)(pairs("a", "bb", "ccc")) == [True, True, True]


WORKER = """
import os, sys, time
from radflow.judges.llm.judge import LLMJudge
from radflow.judges.llm.questions import Answer
from radflow.judges.verdicts.rows import Identity
from radflow.judges.verdicts.store import VerdictStore

path, log, start, count, hang_after = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])

class Logging:
    def ask(self, questions, stored):
        with open(log, "a") as file:
            for index, question in enumerate(questions):
                if index == hang_after:
                    print("hanging", flush=True)
                    time.sleep(600)
                file.write(question.texts[0] + "\\n")
                file.flush()
                verdict = len(question.texts[0]) % 2 == 0
                stored(index, Answer(verdict=verdict, said="", prompt_tokens=1, completion_tokens=1, calls=1))

judge = LLMJudge(Logging(), VerdictStore(path), identity=Identity(judge="openai", model="gpt-4o"))
numbers = [(start + n) % 400 for n in range(count)]
for first in range(0, count, 50):
    some = numbers[first : first + 50] if hang_after < 0 else numbers
    answers = judge([("x" * number, "Normal.") for number in some])
    assert answers == [number % 2 == 0 for number in some]
"""


def start_worker(folder, start, count, hang_after=-1):
    arguments = [str(folder / "file"), str(folder / "log"), str(start), str(count), str(hang_after)]
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def asked_in(folder):
    return Counter((folder / "log").read_text().splitlines())


def test_eight_processes_answer_every_question_and_lose_no_verdict(tmp_path):
    """Two that ask the same at the same time both ask; what one of them has stored is not asked again."""
    workers = [start_worker(tmp_path, 25 * n, 200) for n in range(8)]
    for worker in workers:
        _, errors = worker.communicate()
        assert worker.returncode == 0, errors
    asked = asked_in(tmp_path)
    assert len(asked) == 375
    with VerdictStore(tmp_path / "file") as store:
        (found,) = statistics(store).judges
    assert (found.verdicts, found.misses, found.hits) == (375, asked.total(), 8 * 200 - asked.total())


def test_after_a_kill_only_what_is_missing_is_asked(tmp_path):
    worker = start_worker(tmp_path, 0, 200, hang_after=77)
    with worker:
        assert worker.stdout.readline() == "hanging\n"
        worker.kill()
    before = asked_in(tmp_path)
    assert before.total() == 77
    asker = Counting()
    with VerdictStore(tmp_path / "file") as store:
        numbers = range(200)
        assert judged(asker, store)(pairs(*("x" * n for n in numbers))) == [n % 2 == 0 for n in numbers]
    assert asker.asked.total() == 123
    assert not {text for text, _ in asker.asked} & set(before)
