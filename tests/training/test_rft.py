import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from radflow.config import Policy as PolicyKnobs
from radflow.errors import DataError, RewardError, TrainingError
from radflow.files import read_json, read_jsonl
from radflow.policy import Group, Policy, load_policy, sample_groups
from radflow.reports import parse_report
from radflow.rewards import PARTS, Reward
from radflow.studies import Study
from radflow.training import rft, validation
from radflow.training.exploration import candidates, read_picked
from radflow.training.rft import run_rft
from radflow.training.rollout import Rollout
from radflow.training.sft import run_sft
from radflow.training.validation import Validation

RFT = {
    "steps": 4,
    "studies_per_step": 4,
    "validate_every": 1,
    "checkpoint_every": 2,
    "warmup_steps": 0,
    "learning_rate": 0.01,
}
LIKED = "effusion"


class Likes:
    """Rewards a text by ``worth(text)``; the terms of the hierarchical reward are skipped."""

    weights = dict.fromkeys(PARTS, 1.0)

    def __init__(self, worth: Callable[[str], float]) -> None:
        self.worth = worth

    def score_many(self, studies: Sequence[Study], texts: Sequence[Sequence[str]]) -> list[list[Reward]]:
        nothing = dict.fromkeys(PARTS)
        return [[Reward(total=self.worth(t), parts=nothing) for t in group] for group in texts]


def frequency(text: str) -> float:
    return float(text.lower().count(LIKED))


def length(text: str) -> float:
    return float(len(text))


def constant(reward: float = 1.0, label_f1: float = 0.5) -> Callable[[Policy], Validation]:
    return lambda policy: Validation(rewards=[reward] * 3, label_f1s=[label_f1] * 3, figures={"words": 4.0})


class Rising:
    """A validation that finds each step better than the one before, until it is asked no more."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, policy: Policy) -> Validation:
        self.calls += 1
        return constant(reward=float(self.calls))(policy)


@pytest.fixture
def train(
    folder: Path,
    knobs: PolicyKnobs,
    dozen: list[Study],
    accelerator: Accelerator,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., tuple[Policy, Path]]:
    """Fine-tune a fresh adapter on the untrained model, as a process started anew would."""

    def train(
        workspace: Any,
        recipe: Any,
        source: Path = folder,
        validate: Callable[[Policy], Validation] = constant(),  # noqa: B008
        **more: Any,
    ) -> tuple[Policy, Path]:
        torch.manual_seed(0)
        policy = load_policy(source, knobs, adapter="continue")
        monkeypatch.setattr(validation, "validate_policy", lambda policy, *_: validate(policy))
        how: dict[str, Any] = {
            "studies": dozen,
            "held_out": dozen[:3],
            "reward": Likes(length),
            "accelerator": accelerator,
        }
        return policy, run_rft(workspace, recipe, policy, **how | more)

    return train


@pytest.fixture
def taught(policy: Policy, dozen: list[Study], open_run: Callable, accelerator: Accelerator) -> Path:
    """The tiny model after some supervised steps: it writes words of the three reports."""
    workspace, recipe = open_run(
        "sft", sft={"epochs": 5, "batch_size": 4, "warmup_steps": 1, "learning_rate": 0.01}
    )
    how = {"train": dozen, "validate": dozen[:3], "accelerator": accelerator}
    return run_sft(workspace, recipe, policy, **how)


# ---- what is learnt --------------------------------------------------------------------------------------


def test_a_rewarded_word_is_written_more_often(
    train: Callable, open_run: Callable, rows: Callable, taught: Path, dozen: list[Study]
) -> None:
    knobs = {"steps": 10, "studies_per_step": 6, "group_size": 8}
    workspace, recipe = open_run(rft={**RFT, **knobs})
    policy, _ = train(workspace, recipe, source=taught, reward=Likes(frequency), validate=Rising())

    def mean() -> float:
        groups = sample_groups(policy, dozen, group_size=16, max_new_tokens=12, seeds=range(12))
        return float(np.mean([frequency(text) for g in groups for text in g.texts]))

    after = mean()
    with policy.as_reference():
        before = mean()
    assert after > 1.5 * before
    kl = [row["kl"] for row in rows(workspace) if row["step"]]
    assert kl[-1] > kl[0] >= 0


def test_a_reward_that_never_differs_teaches_nothing(
    train: Callable, open_run: Callable, rows: Callable, weights: Callable
) -> None:
    workspace, recipe = open_run(rft=RFT)
    _, saved = train(workspace, recipe, reward=Likes(lambda text: 1.0), validate=Rising())
    assert all(row["dead_groups"] == 1.0 for row in rows(workspace) if row["step"])
    assert all((w == 0).all() for name, w in weights(saved).items() if "lora_B" in name)


def test_critical_cases_are_clipped_more(
    train: Callable, open_run: Callable, rows: Callable, dozen: list[Study]
) -> None:
    half = [replace(s, critical=bool(i % 2)) for i, s in enumerate(dozen)]
    knobs = {"steps": 6, "learning_rate": 0.03, "studies_per_step": 6, "shift_guard": "off"}
    workspace, recipe = open_run(rft={**RFT, **knobs})
    train(workspace, recipe, studies=half, reward=Likes(length))
    done = [row for row in rows(workspace) if row["step"]]

    def clipped(kind: str) -> float:
        return float(np.mean([row[f"clip_fraction_{kind}"] for row in done]))

    assert clipped("critical") > clipped("normal") > 0


def test_the_inner_steps_after_the_first_have_ratios_off_one(
    train: Callable, open_run: Callable, rows: Callable
) -> None:
    workspace, recipe = open_run(rft={**RFT, "steps": 1, "studies_per_step": 12})
    train(workspace, recipe, reward=Likes(length))
    row = rows(workspace)[-1]
    for kind in ("critical", "normal"):
        assert row[f"ratio_min_{kind}"] < 1 < row[f"ratio_max_{kind}"]


def test_the_shift_is_measured_over_the_vocabulary(
    train: Callable, open_run: Callable, rows: Callable
) -> None:
    knobs = {**RFT, "steps": 3, "studies_per_step": 12, "exact_shift_every": 2, "shift_guard": "off"}
    workspace, recipe = open_run(rft=knobs)
    train(workspace, recipe)
    measured, skipped, again = rows(workspace)[1:]
    assert "exact_shift_critical" not in skipped
    for row in (measured, again):
        for kind in ("critical", "normal"):
            assert 0 < row[f"exact_shift_{kind}"] < 2
            # The mean |ratio - 1| at the sampled tokens estimates it.
            assert row[f"shift_after_{kind}"] == pytest.approx(row[f"exact_shift_{kind}"], rel=0.7)


def test_the_guard_stops_groups_that_moved_too_far(
    train: Callable, open_run: Callable, rows: Callable
) -> None:
    knobs = {**RFT, "steps": 1, "inner_steps": 5, "studies_per_step": 12}
    shifts = {}
    for guard in (True, False):
        workspace, recipe = open_run(
            f"guard-{guard}", rft={**knobs, "shift_guard": "stop" if guard else "off"}
        )
        train(workspace, recipe)
        row = rows(workspace)[1]
        shifts[guard] = row["shift_critical"]
        assert (row["guard_stopped"] > 0) == guard
    assert shifts[True] < shifts[False]


def test_skipped_terms_are_logged_as_absent_not_as_nought(
    train: Callable, open_run: Callable, rows: Callable
) -> None:
    workspace, recipe = open_run(rft={**RFT, "steps": 1})
    train(workspace, recipe)
    row = rows(workspace)[-1]
    assert row["reward"] is not None
    assert [row[f"reward/{term}"] for term in PARTS] == [None] * 4


def test_a_step_logs_what_an_engineer_looks_for(train: Callable, open_run: Callable, rows: Callable) -> None:
    workspace, recipe = open_run(rft={**RFT, "steps": 1, "max_grad_norm": 1e-9})
    policy, _ = train(workspace, recipe)
    row = rows(workspace)[-1]
    assert row["grad_norm"] > 1e-3  # before clipping
    # The untrained model says nearly nothing about the next token.
    assert row["entropy"] == pytest.approx(math.log(len(policy.tokenizer)), rel=0.1)
    assert row["advantage_std"] == pytest.approx((3 / 4) ** 0.5, abs=0.02)  # of a sample of G = 4
    assert row["advantage/syntax_std"] is None
    *_, raw = read_jsonl(workspace.path("metrics.jsonl"))
    assert raw["peak_memory_gib"] > 0 < raw["tokens_per_second"]


@pytest.mark.parametrize("advantage", ["sum", "decoupled"])
def test_balanced_classes_weigh_the_same_in_a_step(
    train: Callable, open_run: Callable, dozen: list[Study], monkeypatch: pytest.MonkeyPatch, advantage: str
) -> None:
    class Terms(Likes):
        def score_many(self, studies: Any, texts: Any) -> list[list[Reward]]:
            return [
                [
                    Reward(total=len(t) / 100, parts={**dict.fromkeys(PARTS), "syntax": len(t) / 100})
                    for t in group
                ]
                for group in texts
            ]

    seen: list[Rollout] = []

    def keep(forward: Any, model: Any, rollout: Rollout, *more: Any, **options: Any) -> Any:
        seen.append(rollout)
        return update_policy(forward, model, rollout, *more, **options)

    update_policy = rft.update_policy
    monkeypatch.setattr(rft, "update_policy", keep)
    normal = [
        replace(s, reference=parse_report("Findings: Clear lungs. Impression: Normal.")) for s in dozen[:9]
    ]
    for balance in (False, True):
        knobs = {
            **RFT,
            "steps": 1,
            "studies_per_step": 12,
            "advantage": advantage,
            "balance_classes": balance,
        }
        workspace, recipe = open_run(f"balance-{balance}", rft=knobs)
        train(workspace, recipe, studies=[*normal, *dozen[9:]], reward=Terms(length))
    plain, balanced = (
        {
            g.study.study_id: row.abs().mean()
            for g, row in zip(r.groups, r.advantage.view(12, -1), strict=True)
        }
        for r in seen
    )
    of_normal = {s.study_id for s in normal}
    loud = [
        sum(float(x) for i, x in rows.items() if i in of_normal) / sum(map(float, rows.values()))
        for rows in (plain, balanced)
    ]
    assert loud[0] == pytest.approx(0.75, abs=0.1)
    assert loud[1] == pytest.approx(0.5, abs=0.1)


def test_the_base_and_the_reference_do_not_move(
    train: Callable, open_run: Callable, folder: Path, knobs: PolicyKnobs
) -> None:
    before = dict(load_policy(folder, knobs).model.named_parameters())
    policy, _ = train(*open_run(rft={**RFT, "steps": 2}))
    base = policy.model.get_base_model()
    after = {name.replace(".base_layer.", "."): p for name, p in base.named_parameters()}
    assert all(torch.equal(after[name], value) for name, value in before.items())


# ---- choosing, stopping, going on ------------------------------------------------------------------------


def test_step_0_is_kept_when_nothing_helps(
    train: Callable, open_run: Callable, rows: Callable, weights: Callable
) -> None:
    workspace, recipe = open_run(rft=RFT)
    _, saved = train(workspace, recipe)
    summary = read_json(workspace.path("rft", "summary.json"))
    assert (summary["best_step"], summary["steps"]) == (0, 4)
    assert (
        [v["step"] for v in summary["validation"]] == [r["step"] for r in rows(workspace)] == list(range(5))
    )
    assert all((w == 0).all() for name, w in weights(saved).items() if "lora_B" in name)


def test_a_step_that_pleases_the_reward_and_loses_labels_is_not_kept(
    train: Callable, open_run: Callable
) -> None:
    calls = iter(range(9))

    def pleasing(policy: Policy) -> Validation:
        call = next(calls)
        return constant(reward=float(call), label_f1=0.5 if call <= 1 else 0.1)(policy)

    workspace, recipe = open_run(rft=RFT)
    train(workspace, recipe, validate=pleasing)
    assert read_json(workspace.path("rft", "summary.json"))["best_step"] == 1


@pytest.mark.parametrize(
    ("rft", "reward", "kept"),
    [({}, {}, 1), ({"keep": "diagnosis"}, {}, 2), ({}, {"preset": "diagnosis"}, 2)],
)
def test_the_step_is_chosen_by_the_rule_of_the_recipe(
    train: Callable, open_run: Callable, rft: dict, reward: dict, kept: int
) -> None:
    seen = iter([(1.0, 0.1, 0.5), (2.0, 0.1, 0.5), (1.5, 0.2, 0.4), (1.5, 0.3, 0.0)])

    def validation(policy: Policy) -> Validation:
        worth, macro, positives = next(seen)
        labels = {"macro_f1": macro, "positives": positives, "reference_positives": 0.5}
        return Validation(rewards=[worth] * 3, label_f1s=[0.5] * 3, figures=labels)

    workspace, recipe = open_run(rft={**RFT, "steps": 3, **rft}, reward=reward)
    train(workspace, recipe, validate=validation)
    summary = read_json(workspace.path("rft", "summary.json"))
    assert summary["best_step"] == kept
    assert summary["validation"][2]["macro_f1"] == 0.2


@pytest.mark.parametrize(
    "how",
    [{}, {"dynamic_sampling": 1, "exact_shift_every": 3}, {"label_tokens": 2.0, "ratio": "sequence"}],
    ids=["plain", "replaced", "label-tokens"],
)
def test_a_stopped_run_ends_as_an_uninterrupted_one(
    train: Callable,
    open_run: Callable,
    rows: Callable,
    weights: Callable,
    stop_at: Callable,
    how: dict,
    request: pytest.FixtureRequest,
) -> None:
    knobs = {**RFT, **how}
    if "label_tokens" in how:  # it must write words that decide something
        train = partial(train, source=request.getfixturevalue("taught"))

    def by_weights(policy: Policy) -> Validation:
        """Depends on the policy alone, as a validation does."""
        size = sum(float(p.detach().square().sum()) for p in policy.model.parameters() if p.requires_grad)
        return constant(reward=size)(policy)

    whole, recipe = open_run("whole", rft=knobs)
    expected = weights(train(whole, recipe, validate=by_weights)[1])
    for step in (1, 2, 4):  # before the first checkpoint, just before it, and between two
        halted, _ = open_run("halted", rft=knobs)
        with pytest.raises(stop_at(halted, step)):
            train(halted, recipe, validate=by_weights)
    again, _ = open_run("halted", rft=knobs)
    found = weights(train(again, recipe, validate=by_weights)[1])
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert rows(again) == rows(whole)
    assert all((row.get("label_token_share", 0) > 0) == ("label_tokens" in how) for row in rows(whole)[1:])
    summaries = [read_json(w.path("rft", "summary.json")) for w in (again, whole)]
    assert summaries[0] == summaries[1]


def test_a_run_that_picks_anew_and_is_stopped_ends_as_an_uninterrupted_one(
    train: Callable,
    open_run: Callable,
    rows: Callable,
    weights: Callable,
    stop_at: Callable,
    taught: Path,
    dozen: list[Study],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    knobs = {
        "rft": {**RFT, "steps": 5, "studies_per_step": 2, "checkpoint_every": 3},
        "exploration": {"strategy": "learnable", "samples": 4, "keep_percent": 50, "refresh_every": 2},
    }
    sampled: list[Group] = []

    def counted(*arguments: Any, **more: Any) -> list[Group]:
        sampled.extend(groups := sample_groups(*arguments, **more))
        return groups

    whole, recipe = open_run("whole", **knobs)
    how = {"candidates": dozen, "source": taught, "validate": lambda policy: constant()(policy)}
    with monkeypatch.context() as patched:
        patched.setattr(candidates, "sample_groups", counted)
        policy, model = train(whole, recipe, **how)
    expected = weights(model)
    for step in (
        3,
        5,
    ):  # in a round before any checkpoint, and in the next one, after one in the round before
        halted, _ = open_run("halted", **knobs)
        with pytest.raises(stop_at(halted, step)):
            train(halted, recipe, **how)
    again, _ = open_run("halted", **knobs)
    found = weights(train(again, recipe, **how)[1])
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    picks = [[read_picked(w.path("rft", "rounds", f"{r:03d}")) for r in (1, 2)] for w in (whole, again)]
    assert picks[0] == picks[1]
    told = read_json(whole.path("rft", "summary.json"))["rounds"]
    ends = [read_json(w.path("rft", "summary.json")) for w in (whole, again)]
    assert ends[0] == ends[1]
    read = sum(len(policy.encoder(group.study).input_ids) for group in sampled)
    picking = read + sum(len(c.token_ids) for group in sampled for c in group.completions)
    assert sum(r["compute"] for r in told) == picking > 0
    assert picking < ends[0]["compute"]
    assert [(r["round"], r["step"], r["picked_size"]) for r in told] == [
        (1, 2, len(picks[0][0])),
        (2, 4, len(picks[0][1])),
    ]


def test_a_reward_that_fails_stops_the_run_at_its_checkpoint(
    train: Callable, open_run: Callable, weights: Callable
) -> None:
    class Failing(Likes):
        calls = 0

        def score_many(self, studies: Any, texts: Any) -> list[list[Reward]]:
            self.calls += 1
            if self.calls == 4:
                raise RewardError("the judge does not answer")
            return super().score_many(studies, texts)

    whole, recipe = open_run("whole", rft=RFT)
    expected = weights(train(whole, recipe, validate=Rising())[1])
    workspace, _ = open_run("failed", rft=RFT)
    rising = Rising()
    with pytest.raises(RewardError, match="the judge does not answer"):
        train(workspace, recipe, reward=Failing(length), validate=rising)
    assert read_json(workspace.path("rft", "checkpoint", "state.json"))["step"] == 2
    assert not workspace.path("rft", "model").exists()
    rising.calls = 3  # what the checkpoint has seen: steps 0, 1 and 2
    found = weights(train(workspace, recipe, validate=rising)[1])
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_a_reward_that_is_not_a_number_names_its_study(train: Callable, open_run: Callable) -> None:
    with pytest.raises(RewardError, match=r"study s\d-\d: a reward is not a finite number"):
        train(*open_run(rft=RFT), reward=Likes(lambda text: math.nan))


def test_what_cannot_be_trained_on_is_refused(
    train: Callable, open_run: Callable, dozen: list[Study]
) -> None:
    with pytest.raises(TrainingError, match="expected studies from Target Exploration, got none"):
        train(*open_run(rft=RFT), studies=[])
    unknown = [*dozen[:5], replace(dozen[5], critical=None)]
    with pytest.raises(DataError, match="study s2-1: expected it to be annotated critical or not"):
        train(*open_run(rft=RFT), studies=unknown)
