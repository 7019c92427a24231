import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radflow.judges.llm.answers import parse_answer, read_reply


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        ('{"answer": "yes"}', True),
        ('{"answer": "No"}', False),
        ('```json\n{"answer": "no"}\n```', False),
        (' {\n "answer" : "YES" }\n', True),
        ("yes", True),
        ("**No**", False),
        ("Yes.", True),
        ("No, the conclusion is on the other side.", False),
        ("Yes: the Impression follows from the Findings.", True),
        ('<think>Is it? No. Yes, it is.</think>\n{"answer": "yes"}', True),
    ],
)
def test_clear_answers(said, verdict):
    assert parse_answer(said) is verdict


@pytest.mark.parametrize(
    "said",
    [
        "",
        "maybe",
        "No contradiction was found.",
        "Nothing abnormal.",
        "Yesterday",
        "Not consistent",
        "yes/no",
        "Yes. No.",
        "Yes, but the side differs.",
        "Yes, it does not follow.",
        "Yes, it doesn't follow.",
        "No, yes.",
        "The answer is yes.",
        '{"answer": "yes", "answer": "no"}',
        '{"answer": "yes", "reason": "but the side differs"}',
        '{"answer": true}',
        '{"answer": ["yes"]}',
        '{"answer": "yes"',
        '{"answer": "maybe"}',
        '{"verdict": "yes"}',
        '{"answer": "yes"} {"answer": "no"}',
        '["yes"]',
        "<think>yes",
        "<think>Yes</think>",
        "<html>yes</html>",
        '{"a":' * 100_000,
    ],
)
def test_what_leaves_a_doubt_is_no_answer(said):
    assert parse_answer(said) is None


@given(st.text())
def test_any_text_is_read_and_only_one_that_says_yes_is_a_yes(said):
    verdict = parse_answer(said)
    if verdict is not None:
        assert ("yes" if verdict else "no") in said.lower()


def completion(**changes):
    choice = {"finish_reason": "stop", "message": {"content": "yes"}} | changes
    return json.dumps({"choices": [choice], "usage": {"prompt_tokens": 7, "completion_tokens": 1}})


def test_a_reply_has_its_text_and_its_tokens():
    reply = read_reply(completion())
    assert (reply.text, reply.whole, reply.prompt_tokens, reply.completion_tokens) == ("yes", True, 7, 1)
    assert not read_reply(completion(finish_reason="length")).whole
    assert not read_reply(completion(finish_reason="content_filter")).whole


@pytest.mark.parametrize(
    "body",
    [
        "",
        "<html>busy</html>",
        "null",
        "[]",
        '"text"',
        "{}",
        '{"choices": []}',
        '{"choices": null}',
        '{"choices": ["yes"]}',
        completion(message={"content": None, "refusal": "I cannot."}),
        completion(message={"content": ["yes"]}),
        completion(message=None),
        "[" * 100_000,
    ],
)
def test_what_is_no_chat_completion_is_no_reply(body):
    assert read_reply(body) is None


@pytest.mark.parametrize("usage", [None, [], {}, {"prompt_tokens": None}, {"prompt_tokens": "7"}])
def test_tokens_that_are_not_reported_are_unknown(usage):
    body = json.loads(completion()) | {"usage": usage}
    assert read_reply(json.dumps(body)).prompt_tokens is None
