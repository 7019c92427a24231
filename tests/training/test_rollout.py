"""Rollouts: what is sampled, what is replaced, and what fails."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from radflow.config import Recipe, make_recipe
from radflow.errors import RewardError
from radflow.policy import Completion, Group, Policy
from radflow.rewards import PARTS, Reward
from radflow.studies import Study
from radflow.training.rollout import RolloutSampler
from radflow.workspace import derive_seed

Worth = Callable[[Study, str], float]


class Worthy:
    """Rewards a text by ``worth(study, text)``; the terms are skipped but for the first."""

    weights = dict.fromkeys(PARTS, 1.0)

    def __init__(self, worth: Worth) -> None:
        self.worth = worth

    def score_many(self, studies: Sequence[Study], texts: Sequence[Sequence[str]]) -> list[list[Reward]]:
        return [
            [Reward(total=self.worth(study, t), parts=dict.fromkeys(PARTS) | {"syntax": 0.5}) for t in group]
            for study, group in zip(studies, texts, strict=True)
        ]


def by_length(study: Study, text: str) -> float:
    return float(len(text))


@pytest.fixture
def roller(policy: Policy, dozen: list[Study], knobs: Any) -> Any:
    made = []

    def roller(worth: Worth = by_length, share: tuple[int, int] = (0, 1), **rft: Any) -> RolloutSampler:
        recipe: Recipe = make_recipe(
            {"rft": {"studies_per_step": 4, "group_size": 3, **rft}, "policy": knobs.model_dump()}
        )
        order = [[0, 1, 2, 3], [4, 5, 6, 7]]
        made.append(
            RolloutSampler(
                policy,
                dozen,
                order,
                Worthy(worth),
                recipe,
                lambda *names: derive_seed(7, *names),
                share=share,
            )
        )
        return made[-1]

    yield roller
    for one in made:
        one.close()


def test_a_step_samples_its_studies_and_is_the_same_again(roller: Any, dozen: list[Study]) -> None:
    first, again = roller().start(1), roller().start(1)
    assert [g.study.study_id for g in first.groups] == [s.study_id for s in dozen[4:8]]
    assert [g.texts for g in first.groups] == [g.texts for g in again.groups]


def test_how_many_processes_share_the_work_does_not_change_the_reports(roller: Any) -> None:
    alone = roller().start(0).groups
    halves = [roller(share=(rank, 2)).start(0).groups for rank in range(2)]
    assert [g.texts for g in alone[0::2]] == [g.texts for g in halves[0]]
    assert [g.texts for g in alone[1::2]] == [g.texts for g in halves[1]]


def test_advantages_and_ranges_stand_row_by_row(roller: Any, dozen: list[Study]) -> None:
    rolling = roller(epsilon=0.2, divisor=4, epsilon_high=0.28)
    rollout = rolling.finish(rolling.start(0))
    critical = np.repeat([bool(s.critical) for s in dozen[:4]], 3)
    assert rollout.critical.tolist() == critical.tolist()
    assert rollout.clip.numpy() == pytest.approx(np.where(critical, 0.05, 0.2))
    assert rollout.clip_high.numpy() == pytest.approx(np.where(critical, 0.07, 0.28))
    assert rollout.rewards.shape == (4, 3)
    assert rollout.advantage.view(4, 3).sum(-1).tolist() == pytest.approx([0.0] * 4, abs=1e-5)
    assert (rollout.parts["syntax"] == 0.5).all()
    assert np.isnan(rollout.parts["impression"]).all()


def test_the_words_of_labels_weigh_more_also_in_mended_reports(
    roller: Any, policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert roller().finish(roller().start(0)).weights is None
    wrong = "Findings: Seen. Impression: Seen."
    ids = (*policy.tokenizer(wrong, add_special_tokens=False)["input_ids"], policy.end_ids[0])
    one = Completion(text=wrong, token_ids=ids, finished=True)
    groups = lambda _, studies, **how: [Group(study=s, completions=(one,) * 3) for s in studies]  # noqa: E731
    monkeypatch.setattr("radflow.training.rollout.sample_groups", groups)
    rolling = roller(label_tokens=2.0, edited=0.7)
    rolling._max_new_tokens = 60
    rollout = rolling.finish(rolling.start(0))
    completions = [c for g in rollout.groups for c in g.completions]
    assert {c.edited for c in completions} == {True, False}
    for completion, row in zip(completions, rollout.weights, strict=True):
        assert len(row) == len(completion.token_ids)
        assert float(row.mean()) == pytest.approx(1.0)
        says = completion.edited and any(word in completion.text for word in ("effusion", "Heart", "clear"))
        assert float(row.max() / row.min()) == pytest.approx(3.0 if says else 1.0)


def test_dead_groups_are_replaced_by_other_studies(roller: Any, dozen: list[Study]) -> None:
    dead = {dozen[1].study_id, dozen[2].study_id}

    def worth(study: Study, text: str) -> float:
        return 1.0 if study.study_id in dead else float(sum(map(ord, text)))

    kept = roller(worth=worth)
    assert kept.finish(kept.start(0)).replaced == []
    rolling = roller(worth=worth, dynamic_sampling=3)
    rollout = rolling.finish(rolling.start(0))
    assert list(rollout.replaced) == [1, 2]
    drawn = [rollout.groups[slot].study.study_id for slot in (1, 2)]
    assert not set(drawn) & {s.study_id for s in dozen[:4]}
    assert rollout.groups[0].study.study_id == dozen[0].study_id
    assert all(len(set(row)) > 1 for row in rollout.rewards.tolist())


def test_replacing_ends_where_nothing_teaches(roller: Any) -> None:
    rolling = roller(worth=lambda study, text: 1.0, dynamic_sampling=2)
    rollout = rolling.finish(rolling.start(0))
    assert list(rollout.replaced) == [0, 1, 2, 3]
    assert (rollout.advantage == 0).all()


@pytest.mark.parametrize("worth", [math.nan, math.inf])
def test_a_reward_that_is_not_finite_names_its_study(roller: Any, dozen: list[Study], worth: float) -> None:
    rolling = roller(worth=lambda study, text: worth if study is dozen[2] else 1.0)
    with pytest.raises(RewardError, match=f"study {dozen[2].study_id}: a reward is not a finite number"):
        rolling.finish(rolling.start(0))


def test_a_reward_that_fails_fails_the_step(roller: Any) -> None:
    def broken(study: Study, text: str) -> float:
        raise RewardError("the judge does not answer")

    rolling = roller(worth=broken)
    pending = rolling.start(0)  # the failure is in the background
    with pytest.raises(RewardError, match="the judge does not answer"):
        rolling.finish(pending)
