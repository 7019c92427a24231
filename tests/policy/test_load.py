import json
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import (
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    LlamaConfig,
    SiglipVisionConfig,
)

from radflow.config import Policy as PolicyKnobs
from radflow.errors import MissingFileError, TrainingError
from radflow.policy import Policy, completion_logprobs, load_policy, save_policy
from radflow.policy.load import add_lora, language_layers, save_merged
from radflow.studies import Study

SIZES = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2}
TEXT = {**SIZES, "num_hidden_layers": 2, "vocab_size": 99}
VISION = {**SIZES, "num_hidden_layers": 1, "patch_size": 4, "image_size": 16}


def nudge(policy: Policy) -> None:
    """Move the trainable weights, so that adapters do something."""
    with torch.no_grad():
        for parameter in policy.model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05)


def logprobs(policy: Policy, study: Study) -> torch.Tensor:
    policy.model.eval()
    with torch.no_grad():
        values, _ = completion_logprobs(
            policy.model, [policy.encoder(study)], [(5, 6, 7)], pad_id=policy.pad_id
        )
    return values


@pytest.mark.parametrize(
    "model",
    [
        lambda: Idefics3ForConditionalGeneration(
            Idefics3Config(text_config=LlamaConfig(**TEXT), vision_config={**VISION}, scale_factor=2)
        ),
        lambda: Gemma3ForConditionalGeneration(
            Gemma3Config(text_config={**TEXT, "head_dim": 16}, vision_config=SiglipVisionConfig(**VISION))
        ),
    ],
    ids=["idefics3", "gemma3"],
)
def test_lora_never_lands_on_the_vision_tower(model) -> None:
    names = language_layers(model())
    assert names
    assert not [n for n in names if "vision" in n or "lm_head" in n]
    assert {n.rsplit(".", 1)[-1] for n in names} >= {"q_proj", "v_proj", "up_proj"}


def test_fresh_lora_trains_only_adapters(folder: Path, knobs: PolicyKnobs) -> None:
    policy = load_policy(folder, knobs, adapter="fresh")
    trainable = [n for n, p in policy.model.named_parameters() if p.requires_grad]
    assert trainable
    assert all("lora_" in name and "language_model" in name for name in trainable)


def test_reference_of_a_fresh_adapter_is_the_base(
    folder: Path, knobs: PolicyKnobs, policy: Policy, studies: list[Study]
) -> None:
    tuned = load_policy(folder, knobs, adapter="continue")  # no adapter there: a fresh one
    nudge(tuned)
    base = logprobs(policy, studies[0])
    assert not torch.allclose(logprobs(tuned, studies[0]), base, atol=1e-3)
    with tuned.as_reference():
        assert torch.allclose(logprobs(tuned, studies[0]), base, atol=1e-6)
    assert [p for p in tuned.model.parameters() if p.requires_grad]


def test_continue_keeps_a_frozen_copy_as_reference(
    folder: Path, knobs: PolicyKnobs, studies: list[Study], tmp_path: Path
) -> None:
    sft = load_policy(folder, knobs, adapter="fresh")
    nudge(sft)
    save_policy(sft, tmp_path / "sft")
    layers = json.loads((tmp_path / "sft" / "adapter_config.json").read_text())["target_modules"]
    assert layers == sorted(layers), "the same bytes in every process"
    before = logprobs(sft, studies[0])
    policy = load_policy(tmp_path / "sft", knobs, adapter="continue")
    assert torch.allclose(logprobs(policy, studies[0]), before, atol=1e-6)
    trainable = {n for n, p in policy.model.named_parameters() if p.requires_grad}
    nudge(policy)
    with policy.as_reference():
        assert torch.allclose(logprobs(policy, studies[0]), before, atol=1e-6)
    assert {n for n, p in policy.model.named_parameters() if p.requires_grad} == trainable
    assert not any("reference" in name for name in trainable)
    assert not torch.allclose(logprobs(policy, studies[0]), before, atol=1e-3)
    save_policy(policy, tmp_path / "rft")
    again = load_policy(tmp_path / "rft", knobs)
    assert isinstance(again.model, PeftModel)
    assert torch.allclose(logprobs(again, studies[0]), logprobs(policy, studies[0]), atol=1e-6)


def test_merged_model_is_the_same_policy(
    folder: Path, knobs: PolicyKnobs, studies: list[Study], tmp_path: Path
) -> None:
    policy = load_policy(folder, knobs, adapter="fresh")
    nudge(policy)
    before = logprobs(policy, studies[0])
    save_merged(policy, tmp_path / "merged")
    assert torch.allclose(logprobs(policy, studies[0]), before, atol=1e-5)
    merged = load_policy(tmp_path / "merged", knobs)
    assert not isinstance(merged.model, PeftModel)
    assert torch.allclose(logprobs(merged, studies[0]), before, atol=1e-5)


def test_a_policy_without_an_adapter_has_no_reference(policy: Policy) -> None:
    with pytest.raises(TrainingError, match="no reference policy"), policy.as_reference():
        pass


def test_a_missing_model_is_named(tmp_path: Path, knobs: PolicyKnobs) -> None:
    with pytest.raises(MissingFileError, match="expected the name or folder of an image-text-to-text model"):
        load_policy(tmp_path / "nowhere", knobs)


def test_lora_needs_a_language_model_it_can_name(policy: Policy, knobs: PolicyKnobs) -> None:
    wrapped = add_lora(policy.model, knobs)
    assert wrapped.peft_config["default"].r == knobs.lora_rank
