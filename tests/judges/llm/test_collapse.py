import logging

import pytest

from radflow.judges.llm.collapse import CollapseWatch


def answers(yes, no, start=0):
    return {(start + n).to_bytes(4, "big"): n < yes for n in range(yes + no)}


@pytest.mark.parametrize(
    ("yes", "no", "reported"),
    [(99, 0, False), (100, 0, True), (99, 1, True), (98, 2, False), (0, 100, True), (50, 50, False)],
)
def test_more_than_the_share_of_enough_questions_is_reported(yes, no, reported):
    watch = CollapseWatch("openai:m", share=0.98)
    watch.add("consistency", answers(yes, no))
    assert bool(watch.reports) is reported


def test_the_report_says_who_what_and_how_often():
    watch = CollapseWatch("openai:m", share=0.98)
    watch.add("criticality", answers(1, 199))
    (report,) = watch.reports
    assert "'openai:m'" in report and "no to 199 of 200 different questions of criticality (99.5%" in report


def test_the_same_question_counts_once():
    watch = CollapseWatch("openai:m", share=0.98)
    for _ in range(50):
        watch.add("consistency", answers(20, 0))
    assert watch.reports == ()


def test_kinds_are_counted_apart():
    watch = CollapseWatch("openai:m", share=0.98)
    watch.add("consistency", answers(60, 0))
    watch.add("criticality", answers(60, 0, start=100))
    assert watch.reports == ()


def test_each_collapse_is_logged_once(caplog):
    watch = CollapseWatch("openai:m", share=0.98)
    with caplog.at_level(logging.WARNING):
        watch.add("consistency", answers(100, 0))
        watch.add("consistency", answers(120, 0))
        assert len(caplog.records) == 1
        watch.add("consistency", answers(0, 200, start=1000))
        watch.add("consistency", answers(0, 20_000, start=2000))
        assert len(caplog.records) == 2
