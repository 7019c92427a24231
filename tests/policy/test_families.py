from __future__ import annotations

import torch
import transformers as tf
from torch import nn

from radflow.policy.families import bare, is_known, prompt_positions, reserved_tokens


def test_every_family_is_known_and_reserves_its_image_token(family) -> None:
    assert is_known(family.model)
    assert family.image_id in reserved_tokens(family.model)
    assert set(reserved_tokens(family.model)) <= {90, 91}


def test_a_family_without_a_parity_test_is_not_known() -> None:
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = tf.PaliGemmaConfig(
        text_config=tf.GemmaConfig(**sizes, head_dim=8, vocab_size=20),
        vision_config=tf.SiglipVisionConfig(**sizes, patch_size=4, image_size=8),
        image_token_index=19,
    )
    assert not is_known(tf.PaliGemmaForConditionalGeneration(config))


def test_wrappers_come_off(build_family) -> None:
    family = build_family("llava", lora=True)
    wrapper = nn.Module()
    wrapper.module = family.model
    assert bare(wrapper) is bare(family.model) is family.model.get_base_model()


def test_positions_are_those_the_model_would_take(family) -> None:
    """The rotary embedding tells what positions a plain forward of the prompt uses."""
    seen = []
    decoder = family.model.get_decoder()
    decoder.rotary_emb.register_forward_pre_hook(
        lambda _, args, kwargs: seen.append(kwargs["position_ids"] if kwargs else args[1]), with_kwargs=True
    )
    for prompt in family.prompts:
        seen.clear()
        ids = prompt.input_ids[None]
        fields = {name: field[None] for name, field in prompt.token_fields.items()}
        with torch.no_grad():
            family.model(input_ids=ids, attention_mask=torch.ones_like(ids), **fields, **prompt.image_fields)
        ours = prompt_positions(family.model, prompt)
        assert torch.equal(seen[0].reshape(ours.shape), ours)
