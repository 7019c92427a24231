"""Against a fake server on real sockets: whatever it does, a question ends with one verdict or an error."""

import asyncio
import builtins
import gzip
import json
import logging
import random
import threading
import time
import traceback

import pytest

from radflow import config
from radflow.errors import MissingDependencyError, RecipeError, RewardError
from radflow.judges.llm.endpoint import Endpoint
from radflow.judges.llm.questions import JudgeError, JudgeUnavailableError, Question
from radflow.judges.llm.retry import Retry

KEY = "sk-very-secret-0123456789"
YES, NO = '{"answer": "yes"}', '{"answer": "no"}'


@pytest.fixture(autouse=True)
def no_keys_of_the_developer(monkeypatch):
    for name in ("RADFLOW_JUDGE_KEY", "OPENAI_API_KEY", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


def questions(count):
    return [Question(kind="criticality", texts=(f"Report {index}.",)) for index in range(count)]


def endpoint(server, **knobs):
    http_client = knobs.pop("http_client", None)
    asked_for = {name: knobs.pop(name) for name in list(knobs) if name in config.Judge.model_fields}
    retry = Retry(**{"backoff": 0.002, "longest_backoff": 0.02} | knobs)
    return Endpoint("m", config.Judge(base_url=server.url, **asked_for), retry=retry, http_client=http_client)


def ask(server, count=1, **knobs):
    """The answers by index; an index twice is an error."""
    answers = {}

    def stored(index, answer):
        assert index not in answers
        assert threading.current_thread() is threading.main_thread()
        answers[index] = answer

    endpoint(server, **knobs).ask(questions(count), stored)
    return answers


def first_then_yes(fake, *first):
    """Answer each question's first requests with ``first``, every later one with yes."""
    return lambda asked: first[asked.before] if asked.before < len(first) else fake.say(YES)


def test_answers_arrive_with_their_cost(fake):
    server = fake.start(lambda asked: fake.say(YES if "Report 1." in asked.question else NO, tokens=(9, 3)))
    answers = ask(server, 3)
    assert [answers[index].verdict for index in range(3)] == [False, True, False]
    assert vars(answers[1]) == {
        "verdict": True,
        "said": YES,
        "prompt_tokens": 9,
        "completion_tokens": 3,
        "calls": 1,
    }
    body = server.asked[0].body
    assert (body["model"], body["temperature"]) == ("m", 0.0)
    assert body["response_format"]["json_schema"]["strict"] is True


def test_no_question_no_request(fake):
    server = fake.start(lambda asked: fake.say(YES))
    endpoint(server).ask([], lambda index, answer: None)
    assert not server.asked


@pytest.mark.parametrize(
    "trouble",
    ["500", "502 in HTML", "cut", "hang up", "HTML", "no choices", "no text", "wrong answer", "cut short"],
)
def test_trouble_is_asked_again_and_every_request_is_counted(fake, trouble):
    first = {
        "500": fake.status(500, {"error": {"message": "oops"}}),
        "502 in HTML": fake.status(502, "<html>Bad gateway</html>"),
        "cut": fake.cut,
        "hang up": fake.hang_up,
        "HTML": fake.status(200, "<html>Welcome</html>"),
        "no choices": fake.status(200, {"choices": []}),
        "no text": fake.say(None),
        "wrong answer": fake.say("The report is interesting."),
        "cut short": fake.say("yes", finish="length"),
    }[trouble]
    server = fake.start(first_then_yes(fake, first, first))
    answers = ask(server, 3)
    assert [(answer.verdict, answer.calls) for answer in answers.values()] == [(True, 3)] * 3
    assert len(server.asked) == 9


def test_a_slow_drip_ends_at_the_time_limit(fake):
    server = fake.start(first_then_yes(fake, fake.drip))
    assert ask(server, timeout=0.3)[0].calls == 2
    with pytest.raises(JudgeError, match=r"1 with no whole answer within 0\.3 s"):
        ask(fake.start(lambda asked: fake.drip), timeout=0.3, tries=2)


def test_a_wrong_answer_is_shown_to_the_judge_with_what_is_wanted(fake):
    server = fake.start(first_then_yes(fake, fake.say("Well, it depends.")))
    ask(server)
    roles = [(message["role"], message["content"][:17]) for message in server.asked[1].body["messages"][2:]]
    assert roles == [("assistant", "Well, it depends."), ("user", "That is not an an")]


@pytest.mark.parametrize("status", [429, 503])
def test_nobody_is_asked_before_the_time_that_the_server_names(fake, status):
    told = []

    def plan(asked):
        if len(server.asked) == 5:
            told.append(time.monotonic())
            return fake.status(status, {"error": {}}, Retry_After="0.4")
        if told:
            later.append(time.monotonic() - told[0])
        return fake.say(YES)

    later = []
    server = fake.start(plan)
    answers = ask(server, 20, concurrency=1)
    assert len(answers) == 20
    assert later
    assert min(later) >= 0.4
    assert sum(answer.calls for answer in answers.values()) == len(server.asked) == 21


def test_a_busy_server_costs_no_tries_until_patience_ends(fake):
    busy = fake.status(429, {"error": {}}, Retry_After="0.01")
    server = fake.start(first_then_yes(fake, *[busy] * 10))
    assert ask(server, tries=2)[0].calls == 11
    with pytest.raises(JudgeError, match=r"1 with HTTP 429 for 0\.1 s"):
        ask(fake.start(lambda asked: busy), patience=0.1)
    with pytest.raises(JudgeError, match=r"asked again in 3600 s; patience is 600 s"):
        ask(fake.start(lambda asked: fake.status(429, {}, Retry_After="3600")))


@pytest.mark.parametrize(
    ("code", "body"),
    [
        (401, {"error": {"code": "invalid_api_key"}}),
        (404, {"error": {"code": "model_not_found"}}),
        (429, {"error": {"code": "insufficient_quota"}}),
        (307, {}),
    ],
)
def test_what_no_waiting_mends_stops_everything_at_once(fake, code, body):
    server = fake.start(lambda asked: fake.status(code, body, Location="http://127.0.0.1:9/v1"))
    with pytest.raises(JudgeError, match=f"expected 50 answers, got 0.*Stopped: HTTP {code}"):
        ask(server, 50, concurrency=4)
    assert len(server.asked) <= 1 + 4


def test_the_others_are_stored_before_a_question_fails(fake):
    def plan(asked):
        if "Report 3." in asked.question:
            return fake.status(400, {"error": {"code": "context_length_exceeded"}})
        return fake.say("who knows" if "Report 5." in asked.question else YES)

    server, answers = fake.start(plan), {}
    with pytest.raises(RewardError, match="expected 40 answers, got 38") as raised:
        endpoint(server, tries=3).ask(questions(40), answers.__setitem__)
    assert sorted(answers) == [index for index in range(40) if index not in (3, 5)]
    assert "1 with HTTP 400 (context_length_exceeded)" in str(raised.value)
    assert "1 with an answer that is not one clear yes or no" in str(raised.value)
    assert "the first is number 3" in str(raised.value)
    assert "Report" not in str(raised.value)
    assert "who knows" not in str(raised.value)


def test_an_endpoint_that_is_not_there_is_given_up():
    nobody = Endpoint(
        "m",
        config.Judge(base_url="http://127.0.0.1:9/v1"),
        retry=Retry(backoff=0.001, tries=2, give_up_after=3),
    )
    with pytest.raises(
        JudgeUnavailableError, match=r"Stopped: no connection \(ConnectError\), and nothing ever"
    ):
        nobody.ask(questions(1000), lambda index, answer: None)
    assert nobody.spending.calls == 1


def raw(content, *, status=200, kind="application/json", extra=""):
    """Answer with these bytes."""
    head = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}\r\n{extra}\r\n"

    async def behave(writer):
        writer.write(head.encode("latin-1") + content)

    return behave


async def endless(writer):
    """A body without an end."""
    writer.write(b"HTTP/1.1 200 X\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n")
    while not writer.is_closing():
        writer.write(b" " * 2**16)
        await writer.drain()


async def endless_head(writer):
    """A block of headers without an end."""
    writer.write(b"HTTP/1.1 200 X\r\n")
    while not writer.is_closing():
        writer.write(b"x: " + b"y" * 1000 + b"\r\n")
        await writer.drain()


def completion(text=YES, tokens="3"):
    return (
        f'{{"choices": [{{"finish_reason": "stop", "message": {{"content": {json.dumps(text)}}}}}], '
        f'"usage": {{"prompt_tokens": {tokens}, "completion_tokens": 1}}}}'
    ).encode()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (endless, "an answer of more than 4,194,304 bytes"),
        (endless_head, r"no connection, or one that was cut \(RemoteProtocolError\)"),
        (
            raw(gzip.compress(completion()), extra="Content-Encoding: gzip\r\n"),
            "a compressed answer, which was not asked for",
        ),
        (raw(completion("\ud800 yes")), "an answer that is no chat completion"),
        (raw(completion(tokens="9" * 5000)), "an answer that is no chat completion"),
        (raw(completion("é").decode().encode("utf-7")[:-1]), "an answer that is no chat completion"),
        (raw(b"\xff\xfe\x00", kind="text/plain; charset=undefined"), "an answer that is no chat completion"),
        (raw(completion(), status=500, kind="application/json; charset=undefined"), "HTTP 500"),
        (raw(b'{"error": {"code": ' + b"9" * 5000 + b"}}", status=500), "HTTP 500"),
        (raw(b'{"error": ["code"]}', status=500), "HTTP 500"),
        (raw(completion("<think>" * 200_000)), "an answer that is not one clear yes or no"),
        (raw(completion("```" + " " * 100_000 + "x```")), "an answer that is not one clear yes or no"),
    ],
)
def test_whatever_a_server_sends_is_a_failed_answer(fake, answer, said):
    with pytest.raises(JudgeError, match=f"1 with {said}"):
        ask(fake.start(lambda asked: answer), tries=2)


@pytest.mark.parametrize("kind", ["application/json; charset=undefined", "text/plain; charset=utf-7", "\xff"])
def test_a_declared_charset_changes_nothing(fake, kind):
    answers = ask(fake.start(lambda asked: raw(completion("Yes, it follows."), kind=kind)))
    assert answers[0].verdict is True


@pytest.mark.parametrize("tokens", ["9" * 4000, "NaN", "1e999", "-Infinity", "true", "-1", '"3"', "[3]"])
def test_odd_numbers_of_tokens_are_none(fake, tokens):
    answers = ask(fake.start(lambda asked: raw(completion(tokens=tokens))))
    assert (answers[0].verdict, answers[0].prompt_tokens, answers[0].completion_tokens) == (True, 0, 1)


def test_a_report_with_half_a_character_is_asked_about(fake):
    server, answers = fake.start(lambda asked: fake.say(YES)), {}
    half = Question(kind="criticality", texts=("Clear \ud800.",))
    endpoint(server).ask([half], answers.__setitem__)
    assert answers[0].verdict is True


def refusing(when):
    """A client to which the server refuses the connection at the requests that ``when`` says, from 1 on."""
    import httpx2

    count = 0

    async def refuse(request):
        nonlocal count
        count += 1
        if when(count):
            raise httpx2.ConnectError("refused")

    return lambda *, timeout: httpx2.AsyncClient(timeout=timeout, event_hooks={"request": [refuse]})


def test_one_that_answered_before_is_waited_for_while_it_restarts(fake):
    server = fake.start(lambda asked: fake.say(YES))
    away = refusing(lambda number: 3 <= number < 9)
    answers = ask(server, 5, concurrency=1, http_client=away)
    assert len(answers) == 5
    assert sum(answer.calls for answer in answers.values()) == 5 + 6
    gone = refusing(lambda number: number > 2)
    with pytest.raises(
        JudgeUnavailableError, match=r"3 questions in a row.*with no connection \(ConnectError\);"
    ):
        ask(server, 50, concurrency=1, tries=2, give_up_after=3, http_client=gone)


def test_an_answer_of_any_status_is_one(fake):
    server = fake.start(lambda asked: fake.status(500))
    away = refusing(lambda number: number > 1)
    with pytest.raises(JudgeUnavailableError, match=r"1 with no connection \(ConnectError\);"):
        ask(server, tries=3, http_client=away)


def test_structured_answers_are_tried_once_and_the_refusal_is_remembered(fake):
    def plan(asked):
        return fake.status(400, {"error": {"message": "no"}}) if asked.structured else fake.say("Yes.")

    server = fake.start(plan)
    judge, answers = endpoint(server), {}
    judge.ask(questions(30), answers.__setitem__)
    judge.ask(questions(30), answers.__setitem__)
    assert sum(asked.structured for asked in server.asked) == 1
    assert len(server.asked) == 61
    assert all(answer.verdict for answer in answers.values())


def test_a_server_that_ignores_the_format_is_read_strictly(fake):
    server = fake.start(first_then_yes(fake, fake.say("No contradiction.")))
    assert ask(server)[0].verdict is True


def test_the_majority_counts_and_no_more_is_asked_than_decides(fake):
    said = {0: [YES, YES], 1: [NO, YES, NO], 2: [YES, NO, YES]}
    server = fake.start(
        lambda asked: fake.say(said[int(asked.question.split("Report ")[1][0])][asked.before])
    )
    answers = ask(server, 3, votes=3, temperature=0.7)
    assert {index: (answer.verdict, answer.calls) for index, answer in answers.items()} == {
        0: (True, 2),
        1: (False, 3),
        2: (True, 3),
    }
    assert answers[1].said == f"{NO}\n{YES}\n{NO}"


def test_the_cap_in_calls_is_never_exceeded_and_says_how_far_it_got(fake):
    server = fake.start(first_then_yes(fake, fake.status(500)))
    judge, answers = endpoint(server, max_calls=30, concurrency=8), {}
    with pytest.raises(
        JudgeError, match=r"got \d+.*the cap is reached.*Spent: 30 of 30 calls.*raise the cap"
    ):
        judge.ask(questions(40), answers.__setitem__)
    assert len(server.asked) == judge.spending.calls == 30
    assert 0 < len(answers) <= 15
    with pytest.raises(JudgeError, match="got 0"):
        judge.ask(questions(1), answers.__setitem__)
    assert len(server.asked) == 30


def test_the_cap_in_tokens_is_passed_by_no_more_than_what_is_under_way(fake):
    server, answers = fake.start(lambda asked: fake.say(YES, tokens=(90, 10))), {}
    judge = endpoint(server, max_tokens=1000, concurrency=4)
    with pytest.raises(JudgeError, match=r"tokens"):
        judge.ask(questions(100), answers.__setitem__)
    assert 1000 <= judge.spending.tokens == 100 * len(answers) <= 1000 + 3 * 100


def test_a_cap_in_tokens_that_cannot_be_kept_is_an_error(fake):
    server, answers = fake.start(lambda asked: fake.say(YES, tokens=None)), {}
    with pytest.raises(JudgeError, match="server reports no token counts"):
        endpoint(server, max_tokens=1000).ask(questions(5), answers.__setitem__)
    assert list(answers) == [0]


def test_as_many_requests_are_under_way_as_allowed_and_no_more(fake):
    async def once_seven_are_there(writer):
        while server.most_at_once < 7:
            await asyncio.sleep(0.005)
        await fake.say(YES)(writer)

    server = fake.start(lambda asked: once_seven_are_there)
    judge = endpoint(server, concurrency=7)
    judge._server.structured = True  # or the first request goes alone
    judge.ask(questions(100), lambda index, answer: None)
    assert server.most_at_once == 7


def test_an_error_of_the_store_is_not_swallowed(fake):
    def stored(index, answer):
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        endpoint(fake.start(lambda asked: fake.say(YES))).ask(questions(20), stored)


@pytest.mark.parametrize("code", [401, 400, 500, 200])
def test_the_key_appears_nowhere_when_everything_fails(fake, monkeypatch, caplog, code):
    monkeypatch.setenv("RADFLOW_JUDGE_KEY", KEY)
    monkeypatch.setenv("OPENAI_LOG", "debug")
    caplog.set_level(logging.DEBUG)
    echo = {"error": {"message": f"Incorrect key {KEY}", "code": KEY, "type": KEY}, "choices": KEY}
    server = fake.start(lambda asked: fake.status(code, echo))
    judge = endpoint(server, tries=2)
    with pytest.raises(JudgeError) as raised:
        judge.ask(questions(3), lambda index, answer: None)
    assert server.asked[0].headers["authorization"] == f"Bearer {KEY}"
    chain = [raised.value, raised.value.__cause__, raised.value.__context__]
    assert chain[1:] == [None, None]
    ours = raised.tb.tb_next  # this test's own frame knows the key
    report = traceback.TracebackException(raised.type, raised.value, ours, capture_locals=True)
    seen = [repr(judge), str(judge), repr(chain), "".join(report.format())]
    assert ours is not None
    assert KEY not in "".join(seen)
    assert KEY not in caplog.text


def test_a_key_that_the_judge_says_is_not_stored(fake, monkeypatch):
    monkeypatch.setenv("RADFLOW_JUDGE_KEY", KEY)
    assert ask(fake.start(lambda asked: fake.say(f"Yes, {KEY}")))[0].said == "Yes, [key]"


def test_the_key_of_openai_goes_to_openai_alone(fake, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    server = fake.start(lambda asked: fake.say(YES))
    ask(server)
    assert KEY not in server.asked[0].headers["authorization"]
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(JudgeError, match="expected a key in RADFLOW_JUDGE_KEY or OPENAI_API_KEY"):
        Endpoint("gpt-4o", config.Judge(base_url="https://api.openai.com/v1")).ask(questions(1), print)


def test_a_key_that_cannot_be_sent_is_refused_without_being_shown(fake, monkeypatch):
    monkeypatch.setenv("RADFLOW_JUDGE_KEY", "sk-Ω-secret")
    with pytest.raises(JudgeError, match="printable ASCII in RADFLOW_JUDGE_KEY") as raised:
        ask(fake.start(lambda asked: fake.say(YES)))
    assert "secret" not in str(raised.value)


def test_loopback_is_not_reached_through_a_proxy(fake, monkeypatch):
    proxy = fake.start(lambda asked: fake.say(NO))
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    assert ask(fake.start(lambda asked: fake.say(YES)))[0].verdict is True
    assert not proxy.asked


@pytest.mark.parametrize(
    ("knobs", "expected"),
    [
        ({"base_url": "https://user:pass@host/v1"}, "base_url"),
        ({"base_url": "api.openai.com/v1"}, "base_url"),
        ({"votes": 2}, "odd"),
        ({"votes": 3}, "temperature above 0"),
        ({"concurrency": 0}, "concurrency: expected greater than or equal to 1, got 0"),
    ],
)
def test_knobs_that_say_nothing_that_can_be_done(knobs, expected):
    with pytest.raises(RecipeError, match=expected) as raised:
        config.make_recipe({"judge": knobs})
    assert "pass@" not in str(raised.value)


def test_a_missing_client_names_the_extra(monkeypatch):
    real = builtins.__import__

    def without(name, *arguments, **named):
        if name == "httpx2":
            raise ImportError(name)
        return real(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingDependencyError, match=r"pip install 'radflow\[judge\]'"):
        Endpoint("m", config.Judge(base_url="http://localhost/v1")).ask(questions(1), print)


def faulty(fake, seed, share):
    """Fail that share of all requests, each time in another way; cut and hang up among them."""
    chance = random.Random(seed)
    ways = (
        fake.status(500),
        fake.status(429, {}, Retry_After="0.01"),
        fake.cut,
        fake.hang_up,
        fake.status(200, "<html>"),
        fake.say("who knows"),
        fake.status(200, {"choices": []}),
    )
    answered = []

    def plan(asked):
        if chance.random() < share:
            return chance.choice(ways)
        answered.append(asked.question)
        number = int(asked.question.split("Report ")[1].split(".")[0])
        return fake.say(YES if number % 3 == 0 else NO)

    return plan, answered


@pytest.mark.parametrize("count", [400, 1_000])
def test_of_many_questions_none_is_lost_and_none_asked_again_once_answered(fake, count):
    plan, answered = faulty(fake, seed=1, share=0.3)
    server = fake.start(plan)
    answers = ask(server, count, concurrency=64, tries=20)
    assert {index: answer.verdict for index, answer in answers.items()} == {
        index: index % 3 == 0 for index in range(count)
    }
    assert len(answered) == len(set(answered)) == count
    assert sum(answer.calls for answer in answers.values()) == len(server.asked) > count * 1.3
    assert server.most_at_once <= 64


def test_a_notebook_can_ask(fake):
    async def cell():
        return ask(fake.start(lambda asked: fake.say(YES)), 3)

    assert len(asyncio.run(cell())) == 3


def test_a_client_of_the_callers_own_may_refuse_and_is_not_asked_again(fake):
    import httpx2

    async def refuse(request):
        raise PermissionError("the gate is shut")

    def http_client(*, timeout):
        return httpx2.AsyncClient(timeout=timeout, event_hooks={"request": [refuse]})

    server = fake.start(lambda asked: fake.say(YES))
    with pytest.raises(PermissionError, match="gate is shut"):
        ask(server, 5, http_client=http_client)
    assert not server.asked
