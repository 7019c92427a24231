"""Batched log-probabilities against one unpadded row at a time, and against generation's own scores."""

import pytest
import torch

from radflow.policy import Policy, PromptEncoder, completion_logprobs, group_logprobs, sample_groups
from radflow.policy.prompts import collate
from radflow.studies import Study

TAILS = [(5, 9, 4), (7,), (6, 6, 8, 5, 1)]


def test_padding_changes_nothing(policy: Policy, encoder: PromptEncoder, studies: list[Study]) -> None:
    policy.model.eval()
    prompts = [encoder(s) for s in studies]
    logprobs, mask = completion_logprobs(policy.model, prompts, TAILS, pad_id=policy.pad_id)
    assert mask.sum(1).tolist() == [3, 1, 5]
    for row, (prompt, tail) in enumerate(zip(prompts, TAILS, strict=True)):
        batch = collate([prompt], [tail], pad_id=policy.pad_id)
        with torch.no_grad():
            full = policy.model(**batch).logits[0].log_softmax(-1)
        start = len(prompt.input_ids)
        alone = torch.stack([full[start + t - 1, token] for t, token in enumerate(tail)])
        assert torch.allclose(logprobs[row, : len(tail)], alone, atol=1e-5)
        assert logprobs[row, len(tail) :].abs().sum() == 0


def test_temperature_divides_the_logits(policy: Policy, encoder: PromptEncoder, studies: list[Study]) -> None:
    prompts = [encoder(studies[0])]
    batch = collate(prompts, [(5, 9)], pad_id=policy.pad_id)
    with torch.no_grad():
        cold, _ = completion_logprobs(policy.model, prompts, [(5, 9)], pad_id=policy.pad_id, temperature=0.5)
        logits = policy.model(**batch).logits[0, len(prompts[0].input_ids) - 1]
    assert float(cold[0, 0]) == pytest.approx(float((logits / 0.5).log_softmax(-1)[5]), abs=1e-5)


def test_an_empty_completion_is_refused(policy: Policy, encoder: PromptEncoder, studies: list[Study]) -> None:
    with pytest.raises(ValueError, match="at least one token"):
        completion_logprobs(policy.model, [encoder(studies[0])], [()], pad_id=policy.pad_id)


def test_groups_come_in_order(policy: Policy, encoder: PromptEncoder, studies: list[Study]) -> None:
    groups = sample_groups(policy, encoder, studies, group_size=2, max_new_tokens=6, seed=3)
    logprobs, mask = group_logprobs(policy.model, groups, encoder, pad_id=policy.pad_id)
    sizes = [len(c.token_ids) for g in groups for c in g.completions]
    assert mask.sum(1).tolist() == sizes
    assert torch.isfinite(logprobs).all()
