from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from radflow.policy import Completion, Policy, greedy_reports, sample_groups
from radflow.policy.families import KNOWN
from radflow.policy.images.features import FeatureStore
from radflow.policy.passes.logprobs import completion_logprobs
from radflow.studies import Study

Unknown = Callable[[], None]


@pytest.fixture
def make_unknown(monkeypatch: pytest.MonkeyPatch) -> Unknown:
    """Makes the policy's family one that no parity test covers."""
    return lambda: monkeypatch.setattr("radflow.policy.families.KNOWN", KNOWN - {"llava"})


@pytest.fixture(params=["engine", "generate"])
def way(request: pytest.FixtureRequest, make_unknown: Unknown) -> str:
    """Through the decoding engine, and through transformers' ``generate``."""
    if request.param == "generate":
        make_unknown()
    return request.param


def ids(completions: tuple[Completion, ...]) -> list[tuple[int, ...]]:
    return [c.token_ids for c in completions]


@pytest.mark.usefixtures("way")
def test_a_seed_repeats_and_another_differs(policy: Policy, studies: list[Study]) -> None:
    def texts(seed: int) -> list[list[str]]:
        seeds = [seed, seed + 1, seed + 2]
        groups = sample_groups(policy, studies, group_size=3, max_new_tokens=8, seeds=seeds)
        return [g.texts for g in groups]

    assert texts(1) == texts(1) != texts(2)


@pytest.mark.usefixtures("way")
def test_a_study_gets_the_same_reports_alone_among_others_and_in_another_order(
    policy: Policy, studies: list[Study]
) -> None:
    def sampled(order: list[int], rows_at_once: int = 256) -> list[list[tuple[int, ...]]]:
        groups = sample_groups(
            policy,
            [studies[i % 3] for i in order],
            group_size=2,
            max_new_tokens=10,
            seeds=[100 + i for i in order],
            temperature=1.2,
            top_p=0.95,
            rows_at_once=rows_at_once,
        )
        return [ids(g.completions) for g in groups]

    seven = sampled([0, 1, 2, 3, 4, 5, 6])
    assert len({tuple(rows) for rows in seven}) == 7
    assert sampled([0, 1, 2, 3, 4, 5, 6], rows_at_once=4) == seven
    assert sampled([6, 2, 5]) == [seven[6], seven[2], seven[5]]
    assert [sampled([i])[0] for i in range(7)] == seven


@pytest.mark.usefixtures("way")
def test_the_global_generator_is_left_alone(policy: Policy, studies: list[Study]) -> None:
    before = torch.get_rng_state()
    sample_groups(policy, studies, group_size=2, max_new_tokens=6, seeds=[0, 1, 2])
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.usefixtures("way")
def test_groups_belong_to_their_study(policy: Policy, studies: list[Study]) -> None:
    groups = sample_groups(policy, studies, group_size=3, max_new_tokens=8, seeds=[0, 0, 0])
    assert [g.study.study_id for g in groups] == [s.study_id for s in studies]
    assert {len(g.completions) for g in groups} == {3}


def test_one_seed_a_study(policy: Policy, studies: list[Study]) -> None:
    with pytest.raises(ValueError, match="got 2 for 3 studies"):
        sample_groups(policy, studies, group_size=3, max_new_tokens=8, seeds=[0, 0])


@pytest.mark.usefixtures("way")
def test_a_completion_ends_at_its_end_token_or_says_it_did_not(policy: Policy, studies: list[Study]) -> None:
    policy.model.generation_config.eos_token_id = list(range(40, 60))
    groups = sample_groups(policy, studies, group_size=8, max_new_tokens=8, seeds=[0, 1, 2])
    finished = set()
    for completion in (c for g in groups for c in g.completions):
        ends = [i for i, t in enumerate(completion.token_ids) if t in policy.end_ids]
        assert completion.finished == bool(ends)
        assert ends in ([], [len(completion.token_ids) - 1])
        assert completion.finished or len(completion.token_ids) == 8
        finished.add(completion.finished)
    assert finished == {True, False}


@pytest.mark.usefixtures("way")
def test_image_tokens_are_never_sampled(policy: Policy, studies: list[Study]) -> None:
    groups = sample_groups(
        policy, studies, group_size=16, max_new_tokens=12, seeds=[0, 1, 2], temperature=50.0
    )
    image_id = policy.model.config.image_token_id
    assert all(image_id not in c.token_ids for g in groups for c in g.completions)


def test_logprobs_are_what_a_pass_over_the_reports_gives(policy: Policy, studies: list[Study]) -> None:
    [group] = sample_groups(policy, studies[1:2], group_size=4, max_new_tokens=9, seeds=[0], temperature=0.8)
    wanted, mask = completion_logprobs(
        policy.model,
        [policy.encoder(studies[1])] * 4,
        ids(group.completions),
        pad_id=policy.pad_id,
        temperature=0.8,
    )
    for completion, row, real in zip(group.completions, wanted.detach(), mask, strict=True):
        assert completion.logprobs is not None
        torch.testing.assert_close(torch.tensor(completion.logprobs), row[real], atol=1e-4, rtol=0)


def test_generate_gives_no_logprobs(policy: Policy, studies: list[Study], make_unknown: Unknown) -> None:
    make_unknown()
    [group] = sample_groups(policy, studies[:1], group_size=2, max_new_tokens=4, seeds=[0])
    assert [(c.logprobs, c.entropy) for c in group.completions] == [(None, None)] * 2


@pytest.mark.usefixtures("way")
def test_greedy_does_not_depend_on_the_batch(policy: Policy, studies: list[Study]) -> None:
    def texts(size: int) -> list[str]:
        return [c.text for _, c in greedy_reports(policy, studies, max_new_tokens=8, batch_size=size)]

    assert texts(1) == texts(2) == texts(3)


def test_greedy_is_the_same_on_both_ways(policy: Policy, studies: list[Study], make_unknown: Unknown) -> None:
    def tokens() -> list[tuple[int, ...]]:
        return [c.token_ids for _, c in greedy_reports(policy, studies, max_new_tokens=12)]

    ours = tokens()
    make_unknown()
    assert tokens() == ours


def test_features_that_are_known_are_used(policy: Policy, studies: list[Study]) -> None:
    policy.model.requires_grad_(False)
    calls: list[int] = []
    policy.model.model.vision_tower.register_forward_hook(lambda *_: calls.append(1))
    policy = replace(policy, features=None)
    wanted = [c for _, c in greedy_reports(policy, studies, max_new_tokens=8)]
    assert len(calls) == 1, "one batch"
    knowing = replace(policy, features=FeatureStore(policy.model, max_bytes=10**9))
    for _ in range(2):
        found = list(greedy_reports(knowing, studies, max_new_tokens=8))
        assert [c for _, c in found] == wanted
        sample_groups(knowing, studies, group_size=2, max_new_tokens=4, seeds=[0, 1, 2])
    assert len(calls) == 1 + len(studies)
