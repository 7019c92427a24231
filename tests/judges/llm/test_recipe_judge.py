"""The judge as a recipe makes it, against a server on real sockets."""

import socket
from threading import Thread

import pytest

from radflow import config, judges
from radflow.errors import RecipeError, RewardError
from radflow.judges import Judge
from radflow.judges.llm.judge import LLMJudge
from radflow.judges.llm.questions import JudgeError, JudgeUnavailableError
from radflow.judges.llm.retry import Retry
from radflow.judges.privacy.gate import PrivacyError
from radflow.reports import parse_report
from radflow.rewards.consistency import consistency_reward

PAIRS = [("Small left pleural effusion.", "Left pleural effusion."), ("Clear lungs.", "Pneumonia.")]
DATED = [("Compared to 3/14/2019, no change.", "No change.")]


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """``asked(url, **knobs)`` is a judge of the model m there, with a store of its own."""
    monkeypatch.setattr("radflow.judges.llm.judge._FIRST_PAUSE", 0.01)
    monkeypatch.setattr("radflow.judges.llm.judge._LONGEST_PAUSE", 0.02)
    made = []

    def asked(url, **knobs) -> LLMJudge:
        knobs = {"store": tmp_path / "verdicts.sqlite3", **knobs}
        judge = judges.load("openai:m", config.Judge(base_url=url, **knobs))
        assert isinstance(judge, LLMJudge)
        judge._asker.retry = Retry(backoff=0.0, tries=2)  # a server that fails is no long wait
        made.append(judge)
        return judge

    yield asked
    for judge in made:
        judge.close()


def yes_to_effusion(fake):
    """Yes where the word is in the question; ``fake.say`` as a plan."""
    return lambda asked: fake.say('{"answer": "%s"}' % ("yes" if "effusion" in asked.question else "no"))


def test_it_is_a_judge_that_answers_both_questions(fake, asked, loopback_only):
    server = fake.start(yes_to_effusion(fake))
    judge = asked(server.url)
    assert isinstance(judge, Judge)
    assert judge.name == "openai:m"
    assert judge(PAIRS) == [True, False]
    assert judge.criticality([parse_report("Findings: Effusion. Impression: A small effusion.")]) == [True]
    assert judge(PAIRS + PAIRS) == [True, False] * 2
    assert len(server.asked) == 3
    assert judge.account() == (
        "judge openai:m: 3 questions asked in 3 calls, 36 tokens; 4 answered from the store"
    )


def test_a_later_run_asks_nothing_and_needs_no_server(fake, asked):
    server = fake.start(yes_to_effusion(fake))
    asked(server.url)(PAIRS)
    assert asked(server.url)(PAIRS) == [True, False]
    assert len(server.asked) == 2
    alone = asked(server.url, offline=True)
    assert alone(PAIRS) == [True, False]
    with pytest.raises(JudgeError, match="there is nobody to ask"):
        alone([("Clear.", "Normal.")])


@pytest.mark.parametrize("change", [{"votes": 3, "temperature": 0.5}, {"temperature": 0.5}])
def test_another_way_of_asking_is_another_verdict(fake, asked, change):
    server = fake.start(yes_to_effusion(fake))
    asked(server.url)(PAIRS)
    before = len(server.asked)
    asked(server.url, **change)(PAIRS)
    assert len(server.asked) == before + 2 * (2 if "votes" in change else 1)


def test_stop_raises_at_once_and_keeps_what_was_answered(fake, asked):
    server = fake.start(lambda a: fake.say("yes") if "effusion" in a.question else fake.status(500))
    judge = asked(server.url)
    with pytest.raises(JudgeUnavailableError, match=r"expected 2 answers, got 1.*HTTP 500"):
        judge(PAIRS)
    server.plan = lambda _: fake.say("no")
    assert judge(PAIRS) == [True, False]


def test_wait_asks_until_there_is_an_answer(fake, asked):
    server = fake.start(lambda a: fake.status(500) if a.before < 20 else fake.say("yes"))
    judge = asked(server.url, on_failure="wait")
    lines: list[str] = []
    judge.say = lines.append
    assert judge(PAIRS) == [True, True]
    assert lines
    assert all("HTTP 500" in line and "Asking again in 0 s" in line for line in lines)


def test_waiting_ends_with_the_longest_wait(fake, asked):
    server = fake.start(lambda _: fake.status(500))
    judge = asked(server.url, on_failure="wait", longest_wait=0.02 / 3600)
    with pytest.raises(JudgeUnavailableError):
        judge(PAIRS)


def test_closing_ends_a_wait(fake, asked, monkeypatch):
    monkeypatch.setattr("radflow.judges.llm.judge._FIRST_PAUSE", 60.0)
    server = fake.start(lambda _: fake.status(500))
    judge = asked(server.url, on_failure="wait")
    judge.say = lambda _: Thread(target=judge.close).start()
    with pytest.raises(JudgeUnavailableError):
        judge(PAIRS)


@pytest.mark.parametrize(
    ("status", "body", "match"),
    [(401, {"error": {"code": "invalid_api_key"}}, "401"), (404, {}, "404"), (400, {}, "400")],
)
def test_what_no_waiting_mends_stops_although_the_recipe_waits(fake, asked, status, body, match):
    server = fake.start(lambda _: fake.status(status, body))
    judge = asked(server.url, on_failure="wait")
    judge.say = pytest.fail
    with pytest.raises(JudgeError, match=match) as error:
        judge(PAIRS)
    assert not isinstance(error.value, JudgeUnavailableError)


def test_a_cap_stops_although_the_recipe_waits(fake, asked):
    server = fake.start(yes_to_effusion(fake))
    judge = asked(server.url, on_failure="wait", max_calls=1)
    judge.say = pytest.fail
    with pytest.raises(JudgeError, match="the cap is reached"):
        judge(PAIRS)
    assert len(server.asked) == 1


def test_the_gate_is_shut_before_anything_is_looked_up(asked, loopback_only, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    with pytest.raises(PrivacyError, match="Set allow_remote_text = true and name the host"):
        asked("https://api.openai.com/v1")
    with pytest.raises(PrivacyError, match="Expected a host among none at all"):
        asked("https://api.openai.com/v1", allow_remote_text=True)
    asked("https://api.openai.com/v1", allow_remote_text=True, hosts=("api.openai.com",))
    assert not loopback_only


def test_a_missing_key_is_told_before_anything_is_asked(asked, monkeypatch):
    for name in ("OPENAI_API_KEY", "RADFLOW_JUDGE_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(JudgeError, match="expected a key in RADFLOW_JUDGE_KEY or OPENAI_API_KEY, got none"):
        asked("https://api.openai.com/v1", allow_remote_text=True, hosts=("api.openai.com",))


@pytest.fixture
def elsewhere(fake, monkeypatch):
    """A server under a name that is not loopback's: the name is looked up as 127.0.0.1."""
    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *rest, **more: real("127.0.0.1" if host in (b"ward", "ward") else host, *rest, **more),
    )
    server = fake.start(lambda _: fake.say("yes"))
    return server, server.url.replace("127.0.0.1", "ward")


def test_identifiers_are_blocked_masked_or_passed_on_the_way_to_another_machine(elsewhere, asked):
    server, url = elsewhere
    knobs = {"allow_remote_text": True, "hosts": (url.removesuffix("/v1"),)}
    with pytest.raises(PrivacyError, match=r"date 1\); nothing was sent"):
        asked(url, **knobs)(DATED)
    assert not server.asked
    masking = asked(url, identifiers="mask", **knobs)
    assert masking(DATED) == [True]
    assert "Compared to [DATE]" in server.asked[0].question
    assert masking.account().endswith("identifiers masked: 1 date")
    passing = asked(url, identifiers="pass", **knobs)
    assert passing(DATED) == [True]
    assert "3/14/2019" in server.asked[1].question
    assert passing.account().endswith("identifiers sent: 1 date")


def test_texts_for_this_machine_are_not_searched(fake, asked):
    server = fake.start(lambda _: fake.say("yes"))
    assert asked(server.url)(DATED) == [True]
    assert "3/14/2019" in server.asked[0].question


def test_a_gate_that_shuts_meanwhile_is_told_as_such(fake, asked):
    """The HTTP client asks the gate about each request; the OpenAI client hides what is raised there."""
    server = fake.start(lambda _: fake.say("yes"))
    judge = asked(server.url)
    judge._asker.knobs = config.Judge(base_url="http://ward.example:1/v1")
    with pytest.raises(PrivacyError, match="got the host 'ward"):
        judge(PAIRS)


def test_neither_an_error_nor_the_account_nor_the_store_holds_the_key(fake, asked, monkeypatch, tmp_path):
    monkeypatch.setenv("RADFLOW_JUDGE_KEY", "sk-very-secret")
    server = fake.start(lambda a: fake.status(401, {"error": {"message": a.headers["authorization"]}}))
    judge = asked(server.url)
    with pytest.raises(JudgeError) as error:
        judge(PAIRS)
    judge.close()
    kept = b"".join(p.read_bytes() for p in tmp_path.iterdir())
    assert server.asked[0].headers["authorization"] == "Bearer sk-very-secret"
    assert "sk-very" not in f"{error.value!r}{error.value.__cause__!r}{judge.account()}"
    assert b"sk-very" not in kept


def test_a_collapsed_judge_is_reported(fake, asked, caplog):
    server = fake.start(lambda _: fake.say("yes"))
    judge = asked(server.url, collapsed_share=0.9)
    judge([(f"Clear lungs {n}.", "Normal.") for n in range(100)])
    assert "answered yes to 100 of 100 different questions" in judge.collapsed[0]


def test_as_a_reward_a_shut_gate_and_a_failure_are_never_a_value(elsewhere, fake, asked):
    _, url = elsewhere
    reports = [parse_report("Findings: Seen on 3/14/2019. Impression: Normal.")]
    with pytest.raises(PrivacyError):
        consistency_reward(reports, asked(url, allow_remote_text=True, hosts=(url.removesuffix("/v1"),)))
    server = fake.start(lambda _: fake.say("Perhaps."))
    judge = asked(server.url)
    with pytest.raises(RewardError, match="not one clear yes or no"):
        consistency_reward(reports, judge)


@pytest.mark.parametrize("name", ["openai", "openai:", "gpt-4o", "rules:x", "openia:gpt-4o"])
def test_names_that_are_none(name):
    with pytest.raises(RecipeError, match=r"[Ee]xpected"):
        judges.load(name, config.Judge(base_url="http://localhost:1/v1"))
