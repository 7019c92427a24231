import json
import unicodedata
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from radflow.errors import DataError
from radflow.judges.llm.questions import Answer, Question, load_prompt
from radflow.judges.verdicts.rows import (
    COLUMNS,
    Identity,
    StoredVerdict,
    bare_answer,
    from_line,
    from_row,
    normalise,
    stored_verdict,
    to_line,
    to_row,
    verdict_key,
)

GPT = Identity(judge="openai", model="gpt-4o")
QUESTION = Question(kind="consistency", texts=("Mr Doe: small left effusion.", "Left effusion."))
ANSWER = Answer(verdict=True, said='{"answer": "yes"}', prompt_tokens=120, completion_tokens=5, calls=1)
texts = st.text(st.characters())


fields = st.fixed_dictionaries(
    {name: st.text() for name in ("judge", "model", "prompt", "kind", "said")}
    | {name: st.integers(0, 2**40) for name in ("prompt_tokens", "completion_tokens", "calls")}
    | {"verdict": st.booleans(), "asked": st.lists(texts, min_size=1, max_size=2), "keep": st.booleans()}
)


def verdict_of(fields):
    """Made in the test and not in the strategy: beartype draws random numbers, strategies may not."""
    asked, keep = fields["asked"], fields["keep"]
    of = {name: fields[name] for name in ("judge", "model", "prompt", "kind")}
    rest = {name: value for name, value in fields.items() if name not in ("asked", "keep")}
    return StoredVerdict(
        key=verdict_key(**of, texts=asked),
        at="2026-01-01T00:00:00+00:00",
        texts=tuple(asked) if keep else None,
        **rest,
    )


@given(texts)
def test_normalising_twice_changes_nothing_and_keeps_every_letter(text):
    once = normalise(text)
    assert normalise(once) == once
    assert "".join(once.split()) == "".join(unicodedata.normalize("NFC", text).split())


@given(texts, st.sampled_from([" ", "\n", "\t ", "\u00a0", "\r\n\r\n"]))
def test_white_space_and_the_encoding_of_accents_do_not_make_another_question(text, space):
    spaced = space + space.join(unicodedata.normalize("NFD", text).split(" ")) + space
    assert verdict_key("j", "m", "1", "criticality", [text]) == verdict_key(
        "j", "m", "1", "criticality", [spaced]
    )


@pytest.mark.parametrize(
    "other",
    [
        ("local", "m", "1", "consistency", ["a", "b"]),
        ("j", "n", "1", "consistency", ["a", "b"]),
        ("j", "m", "2", "consistency", ["a", "b"]),
        ("j", "m", "1", "criticality", ["a", "b"]),
        ("j", "m", "1", "consistency", ["b", "a"]),
        ("j", "m", "1", "consistency", ["A", "b"]),
        ("j", "m", "1", "consistency", ["a.", "b"]),
        ("j", "m", "1", "consistency", ["a b"]),
        ("jm", "", "1", "consistency", ["a", "b"]),
    ],
)
def test_everything_else_makes_another_question(other):
    assert verdict_key("j", "m", "1", "consistency", ["a", "b"]) != verdict_key(*other)


def test_the_key_is_the_same_tomorrow():
    """A store and an export live longer than a version of radflow: this key may never change."""
    key = verdict_key("openai", "gpt-4o", "1", "consistency", ["No effusion.", "Caf\u00e9 \u6b63\u5e38"])
    assert key.hex() == "68bae38661e527711769e0610979446e15dfb75e65276d81151c5e4955158321"


def test_an_identity_knows_the_prompts_that_come_with_radflow():
    version = load_prompt("consistency").version
    assert GPT.key(QUESTION) == verdict_key("openai", "gpt-4o", version, "consistency", QUESTION.texts)
    with pytest.raises(DataError, match="expected a prompt"):
        replace(GPT, prompts={"criticality": "1"}).key(QUESTION)


def test_texts_are_kept_only_when_asked_to():
    quoting = replace(ANSWER, said="Yes, Mr Doe has an effusion.")
    bare = stored_verdict(GPT, QUESTION, quoting, keep_texts=False)
    assert bare.texts is None and bare.said == ""
    kept = stored_verdict(GPT, QUESTION, quoting, keep_texts=True)
    assert kept.texts == QUESTION.texts and kept.said == quoting.said
    assert kept.key == bare.key == GPT.key(QUESTION)
    assert stored_verdict(GPT, QUESTION, ANSWER, keep_texts=False).said == ANSWER.said


names = st.text(st.characters(categories=["L"]), min_size=1, max_size=20)


@given(names, st.text(" .,:\n", max_size=3), st.sampled_from(["NFC", "NFD"]))
def test_what_repeats_a_word_of_the_texts_is_not_kept(name, after, form):
    assume(name.casefold() not in ("yes", "no", "answer"))
    said = f"Yes: {unicodedata.normalize(form, name)}{after}"
    assert bare_answer(said, [f"{unicodedata.normalize('NFD', name)} has an effusion."]) == ""


def test_nor_in_another_case():
    assert bare_answer("Yes: DOE", ["Mr Doe has an effusion."]) == ""


@given(st.text())
def test_a_long_answer_is_not_kept(said):
    assert bare_answer(said.ljust(121, "y"), []) == ""


def test_what_cannot_be_written_as_utf_8_is_replaced():
    odd = replace(ANSWER, said="yes \ud800")
    verdict = stored_verdict(GPT, QUESTION, odd, keep_texts=True)
    assert verdict.said == "yes ?"


@given(fields)
def test_a_row_gives_back_the_verdict(fields):
    verdict = verdict_of(fields)
    assert from_row(to_row(verdict)) == verdict


@given(fields, st.data())
def test_a_row_that_was_changed_is_none(fields, data):
    verdict = verdict_of(fields)
    row = list(to_row(verdict))
    column = data.draw(st.integers(0, len(row) - 1))
    row[column] = data.draw(
        st.one_of(st.none(), st.integers(), st.text(max_size=3), st.binary(max_size=3), st.floats()).filter(
            lambda value: repr(value) != repr(row[column]) and value != row[column]
        )
    )
    assert from_row(row) is None


def test_a_flipped_verdict_is_none():
    row = list(to_row(stored_verdict(GPT, QUESTION, ANSWER, keep_texts=False)))
    row[COLUMNS.index("verdict")] = 0
    assert from_row(row) is None


@given(fields)
def test_a_line_gives_back_the_verdict(fields):
    verdict = verdict_of(fields)
    assert from_line(to_line(verdict)) == verdict


@pytest.mark.parametrize("number", [0.0, 1.0, -0.6667, 0.5])
def test_the_number_of_a_grading_stays_a_number(number):
    verdict = stored_verdict(GPT, QUESTION, replace(ANSWER, verdict=number), keep_texts=False)
    for again in (from_line(to_line(verdict)), from_row(to_row(verdict))):
        assert again == verdict
        assert type(again.verdict) is float


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"verdict": 1}, "expected verdict"),
        ({"verdict": "yes"}, "expected verdict"),
        ({"key": "00"}, "expected key"),
        ({"calls": -1}, "expected calls"),
        ({"calls": True}, "expected calls"),
        ({"texts": "no list"}, "expected texts"),
        ({"texts": ["other", "texts"]}, "belongs to the texts"),
        ({"reason": "new"}, "unknown"),
    ],
)
def test_a_line_that_is_not_a_verdict_is_refused(change, message):
    line = json.loads(to_line(stored_verdict(GPT, QUESTION, ANSWER, keep_texts=True))) | change
    with pytest.raises(DataError, match=message):
        from_line(json.dumps(line))


@pytest.mark.parametrize("line", [[], "verdict", None, {}, {"key": "0" * 64}])
def test_a_line_of_another_shape_is_refused(line):
    with pytest.raises(DataError, match="expected"):
        from_line(json.dumps(line))
