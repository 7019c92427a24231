from radflow.policy import Policy, PromptEncoder, greedy_reports, sample_groups
from radflow.studies import Study


def test_a_seed_repeats_and_another_differs(
    policy: Policy, encoder: PromptEncoder, studies: list[Study]
) -> None:
    def texts(seed: int) -> list[list[str]]:
        groups = sample_groups(policy, encoder, studies, group_size=3, max_new_tokens=8, seed=seed)
        return [g.texts for g in groups]

    assert texts(1) == texts(1) != texts(2)


def test_groups_belong_to_their_study(policy: Policy, encoder: PromptEncoder, studies: list[Study]) -> None:
    groups = sample_groups(policy, encoder, studies, group_size=3, max_new_tokens=8, seed=0)
    assert [g.study.study_id for g in groups] == [s.study_id for s in studies]
    assert {len(g.completions) for g in groups} == {3}


def test_a_completion_ends_at_its_end_token_or_says_it_did_not(
    policy: Policy, encoder: PromptEncoder, studies: list[Study]
) -> None:
    groups = sample_groups(policy, encoder, studies, group_size=8, max_new_tokens=8, seed=0)
    for completion in (c for g in groups for c in g.completions):
        ends = [i for i, t in enumerate(completion.token_ids) if t in policy.end_ids]
        assert completion.finished == bool(ends)
        assert ends in ([], [len(completion.token_ids) - 1])
        assert completion.finished or len(completion.token_ids) == 8


def test_image_tokens_are_never_sampled(policy: Policy, encoder: PromptEncoder, studies: list[Study]) -> None:
    groups = sample_groups(
        policy, encoder, studies, group_size=16, max_new_tokens=12, seed=0, temperature=50.0
    )
    image_id = policy.model.config.image_token_id
    assert all(image_id not in c.token_ids for g in groups for c in g.completions)


def test_greedy_does_not_depend_on_the_batch(
    policy: Policy, encoder: PromptEncoder, studies: list[Study]
) -> None:
    def texts(size: int) -> list[str]:
        return [
            c.text for _, c in greedy_reports(policy, encoder, studies, max_new_tokens=8, batch_size=size)
        ]

    assert texts(1) == texts(2) == texts(3)
