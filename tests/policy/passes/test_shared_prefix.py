"""The packed row against the plain forward: log-probabilities and gradients, family by family."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from radflow.policy.families import bare
from radflow.policy.images.features import encode_images
from radflow.policy.passes import shared_prefix
from radflow.policy.passes.attention import NAME
from radflow.policy.passes.logprobs import completion_logprobs
from radflow.policy.passes.shared_prefix import group_logits, shared_prefix_logprobs

LENGTHS = ((17, 1, 30, 9), (5, 24), (1, 1, 2))
"""Of the completions of three groups: ragged, alone, longer than a window, all but empty."""


def completions(family) -> list[list[list[int]]]:
    """Random ones of those lengths; two hold an image token that was left over, one at its end."""
    generator = torch.Generator().manual_seed(5)
    groups = [
        [torch.randint(3, 80, (n,), generator=generator).tolist() for n in lengths] for lengths in LENGTHS
    ]
    groups[0][0][4] = groups[1][0][-1] = family.image_id
    return groups


def plain(family, groups, **how) -> Tensor:
    """The plain forward, one study at a time."""
    longest = max(map(max, LENGTHS))
    parts = [
        completion_logprobs(family.model, [prompt] * len(own), own, pad_id=family.pad_id, **how)[0]
        for prompt, own in zip(family.prompts, groups, strict=True)
    ]
    return torch.cat([nn.functional.pad(part, (0, longest - part.shape[1])) for part in parts])


def shared(family, groups, *, features: bool = False, **how) -> Tensor:
    known = [encode_images(family.model, prompt) for prompt in family.prompts] if features else None
    values, mask = shared_prefix_logprobs(
        family.model, family.prompts, groups, features=known, pad_id=family.pad_id, **how
    )
    assert mask.sum(1).tolist() == [n for lengths in LENGTHS for n in lengths]
    return values


def gradients(model: nn.Module, values: Tensor) -> Tensor:
    """Of a weighted sum, so that no two tokens cancel, with regard to everything that trains."""
    weights = torch.randn(values.shape, generator=torch.Generator().manual_seed(7))
    trained = [p for p in model.parameters() if p.requires_grad]
    found = torch.autograd.grad((values * weights).sum(), trained, allow_unused=True)
    return torch.cat([g.flatten() for g in found if g is not None])


def off(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).norm() / theirs.norm())


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("features", [False, True])
def test_equal_to_the_plain_forward(
    family_name: str, build_family, features: bool, checkpointing: bool
) -> None:
    family = build_family(family_name, lora=True, checkpointing=checkpointing)
    family.model.train(checkpointing)
    groups = completions(family)
    theirs = plain(family, groups)
    ours = shared(family, groups, features=features)
    assert theirs[theirs != 0].std() > 0.5
    assert (ours - theirs).abs().max() < 1e-5
    assert off(gradients(family.model, ours), gradients(family.model, theirs)) < 1e-5


@pytest.mark.parametrize("name", ["llava", "qwen2_5_vl", "qwen3_vl", "idefics3", "gemma3"])
def test_a_tower_that_trains_gets_its_gradient(name: str, build_family) -> None:
    family = build_family(name)
    language = {id(p) for p in family.model.get_decoder().parameters()}
    for parameter in family.model.parameters():
        parameter.requires_grad_(id(parameter) not in language)
    groups = completions(family)
    ours = gradients(family.model, shared(family, groups))
    assert off(ours, gradients(family.model, plain(family, groups))) < 1e-5


def test_the_order_of_groups_does_not_matter(family, build_family) -> None:
    """Gemma3 would show it: the second group's image would be looked up among the first one's words."""
    groups = completions(family)
    ours = shared(family, groups)
    with torch.no_grad():
        values, _ = shared_prefix_logprobs(
            family.model, family.prompts[::-1], groups[::-1], pad_id=family.pad_id
        )
    rows = torch.arange(len(ours)).split([len(own) for own in groups])
    assert torch.allclose(values, ours[torch.cat(rows[::-1])], atol=1e-5)


def test_sixteen_bits_stay_close(family) -> None:
    groups = completions(family)
    exact = plain(family, groups).detach()
    family.model.to(torch.bfloat16)
    with torch.no_grad():
        ours, theirs = shared(family, groups), plain(family, groups)
    assert (ours - exact).abs().mean() < 1.5 * (theirs - exact).abs().mean()


def test_generation_between_forwards_changes_nothing(family) -> None:
    """The attention stays registered, and Qwen-VL models remember the positions of what they generated."""
    groups, prompt = completions(family), family.prompts[0]
    fields = {name: field[None] for name, field in prompt.token_fields.items()}

    def generated() -> Tensor:
        ids = prompt.input_ids[None]
        return family.model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            **fields,
            **prompt.image_fields,
            max_new_tokens=8,
            do_sample=False,
        )

    with torch.no_grad():
        first, before = generated(), shared(family, groups)
        assert bare(family.model).config.get_text_config()._attn_implementation == NAME
        again, after = generated(), shared(family, groups)
    assert torch.equal(first, again)
    assert torch.equal(before, after)


def test_logits_a_few_at_a_time_are_the_same(build_family, monkeypatch: pytest.MonkeyPatch) -> None:
    family = build_family("llava", lora=True)
    groups = completions(family)
    whole = shared(family, groups, temperature=0.7)
    expected = gradients(family.model, whole)
    seen = []
    bare(family.model).lm_head.register_forward_hook(lambda _, inputs, __: seen.append(len(inputs[0])))
    monkeypatch.setattr(shared_prefix, "LOGITS_AT_ONCE", 7 * 100)
    parts = shared(family, groups, temperature=0.7)
    assert max(seen) == 7
    assert torch.allclose(parts, whole, atol=1e-6)
    assert off(gradients(family.model, parts), expected) < 1e-5


def test_temperature_divides_the_logits(build_family) -> None:
    family = build_family("llava")
    groups = completions(family)
    with torch.no_grad():
        ours, theirs = shared(family, groups, temperature=0.5), plain(family, groups, temperature=0.5)
    assert torch.allclose(ours, theirs, atol=1e-5)
    assert not torch.allclose(ours, shared(family, groups), atol=1e-2)


def test_logits_of_a_group_stand_in_the_order_of_its_tokens(family) -> None:
    groups = completions(family)
    own = groups[0]
    with torch.no_grad():
        logits = group_logits(family.model, family.prompts[0], own, pad_id=family.pad_id, temperature=0.7)
        values, mask = shared_prefix_logprobs(
            family.model, family.prompts[:1], [own], pad_id=family.pad_id, temperature=0.7
        )
    tokens = torch.tensor([token for tokens in own for token in tokens])
    picked = logits.log_softmax(-1)[torch.arange(len(tokens)), tokens]
    assert torch.allclose(picked, values[mask], atol=1e-5)
    starts = [0, *torch.tensor(LENGTHS[0]).cumsum(0)[:-1].tolist()]
    assert all(torch.equal(logits[a], logits[b]) for a, b in pairwise(starts))


def test_an_error_leaves_no_hook_behind(build_family, monkeypatch: pytest.MonkeyPatch) -> None:
    family = build_family("llava")
    family.model.config.get_text_config()._attn_implementation = "eager"
    with pytest.raises(RuntimeError, match="sdpa"):
        shared(family, completions(family))
    assert not family.model.lm_head._forward_pre_hooks
