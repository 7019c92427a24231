from dataclasses import replace

import pytest
import torch

from radflow.config import Policy as PolicyKnobs
from radflow.errors import DataError
from radflow.policy import Policy, PromptEncoder
from radflow.policy.prompts import collate, join_images, prompt_text
from radflow.studies import Study


def test_context_stands_before_the_instruction(studies: list[Study]) -> None:
    study = replace(studies[1], comparison="None.")
    assert prompt_text(study, "Write.") == "Indication: Cough.\nComparison: None.\nWrite."
    assert prompt_text(study, "Write.", context=False) == "Write."
    assert prompt_text(studies[0], "Write.") == "Write."
    followed = replace(study, prior_study="s0", prior_report="Findings: Clear. Impression: Normal.")
    assert prompt_text(followed, "Write.", context=False) == "Write."
    assert prompt_text(followed, "Write.", context=False, prior=True) == (
        "Prior report: Findings: Clear. Impression: Normal.\nWrite."
    )
    assert prompt_text(study, "Write.", context=False, prior=True) == "Write."


def test_every_picture_gets_its_tokens(policy: Policy, encoder: PromptEncoder, studies: list[Study]) -> None:
    image_id = policy.model.config.image_token_id
    per_picture = (32 // 16) ** 2
    for study in studies:
        encoded = encoder(study)
        assert int((encoded.input_ids == image_id).sum()) == per_picture * len(study.images)
        assert len(encoded.image_fields["pixel_values"]) == len(study.images)


def test_a_study_is_encoded_once_while_memory_lasts(
    policy: Policy, knobs: PolicyKnobs, studies: list[Study]
) -> None:
    roomy = PromptEncoder(policy.processor, knobs)
    assert roomy(studies[0]) is roomy(studies[0])
    tight = PromptEncoder(policy.processor, knobs, max_bytes=1)
    first = tight(studies[0])
    tight(studies[1])
    assert tight(studies[0]) is not first


def test_errors_name_the_study(policy: Policy, knobs: PolicyKnobs, studies: list[Study]) -> None:
    with pytest.raises(DataError, match=r"study s0: the prompt has .* more than the 3"):
        PromptEncoder(policy.processor, knobs.model_copy(update={"max_prompt_tokens": 3}))(studies[0])
    with pytest.raises(DataError, match="study s1: expected at least one image"):
        PromptEncoder(policy.processor, knobs)(replace(studies[1], images=()))


@pytest.mark.parametrize("left", [True, False])
def test_collate_pads_on_the_side_asked_for(
    encoder: PromptEncoder, policy: Policy, studies: list[Study], left: bool
) -> None:
    prompts = [encoder(s) for s in studies[:2]]
    batch = collate(prompts, [(5, 6, 7), (8,)], pad_id=policy.pad_id, left=left)
    mask = batch["attention_mask"]
    assert mask.sum(1).tolist() == [len(p.input_ids) + n for p, n in zip(prompts, (3, 1), strict=True)]
    for row, (prompt, tail) in enumerate(zip(prompts, ((5, 6, 7), (8,)), strict=True)):
        kept = batch["input_ids"][row][mask[row].bool()]
        assert kept.tolist() == [*prompt.input_ids.tolist(), *tail]
    assert torch.equal(mask[0, -1:], mask.new_ones(1)) or not left
    assert len(batch["pixel_values"]) == 3


def test_studies_with_fewer_images_are_filled_up_with_black(build_family) -> None:
    one, two, _ = build_family("idefics3").prompts
    joined = join_images([one, two])["pixel_values"]
    assert joined.shape[:2] == (2, 2)
    assert torch.equal(joined[0, 0], one.image_fields["pixel_values"][0, 0])
    assert joined[0, 1].abs().sum() == 0
