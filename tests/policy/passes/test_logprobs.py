"""Batched log-probabilities against one unpadded row at a time, and against generation's own scores."""

from typing import Any

import pytest
import torch

from radflow.policy import Policy, PromptEncoder, completion_logprobs
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


def test_a_left_over_image_token_is_read_as_padding_and_scored_as_itself(
    policy: Policy, encoder: PromptEncoder, studies: list[Study]
) -> None:
    image_id, prompts = policy.model.config.image_token_id, [encoder(studies[0])]
    with torch.no_grad():
        values, _ = completion_logprobs(policy.model, prompts, [(5, image_id, 9)], pad_id=policy.pad_id)
        batch = collate(prompts, [(5, policy.pad_id, 9)], pad_id=policy.pad_id)
        full = policy.model(**batch).logits[0].log_softmax(-1)
    start = len(prompts[0].input_ids)
    alone = torch.stack([full[start + t - 1, token] for t, token in enumerate((5, image_id, 9))])
    assert torch.allclose(values[0], alone, atol=1e-5)


def test_studies_of_one_batch_may_have_different_numbers_of_images(family: Any) -> None:
    """Idefics3 and SmolVLM keep a study's images on the second axis."""
    with torch.no_grad():
        together, _ = completion_logprobs(family.model, family.prompts, TAILS, pad_id=family.pad_id)
        for row, prompt, tail in zip(together, family.prompts, TAILS, strict=True):
            alone, _ = completion_logprobs(family.model, [prompt], [tail], pad_id=family.pad_id)
            assert torch.allclose(row[: len(tail)], alone[0], atol=1e-5)
