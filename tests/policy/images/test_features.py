"""Image features in place of pixels, on every family; the memory and the folder that keep them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers import LlavaForConditionalGeneration

from radflow.policy.images.features import (
    FeatureStore,
    ImageFeatures,
    encode_images,
    join_features,
)
from radflow.policy.prompts import EncodedPrompt, collate

PLENTY = 10**9


def frozen(family: Any) -> Any:
    family.model.requires_grad_(False)
    return family


def count_tower(model: nn.Module) -> list[int]:
    """Grows by one whenever the tower runs."""
    calls: list[int] = []
    names = {"vision_tower", "visual", "vision_model"}
    tower = next(module for name, module in model.named_modules() if name.split(".")[-1] in names)
    tower.register_forward_hook(lambda *_: calls.append(1))
    return calls


def same(a: ImageFeatures | None, b: ImageFeatures | None) -> bool:
    assert a is not None
    assert b is not None
    pairs = zip((*a.tokens, *a.deepstack), (*b.tokens, *b.deepstack), strict=True)
    return a.stacked == b.stacked and all(x.dtype == y.dtype and torch.equal(x, y) for x, y in pairs)


def test_features_stand_in_for_pixels(family: Any) -> None:
    one, two, other = family.prompts
    for prompts in ([one], [two], [one, other], [other, one]):
        batch = collate(prompts, pad_id=0)
        wanted = family.model(**batch).logits
        without = {k: v for k, v in batch.items() if k not in one.image_fields}
        if "image_grid_thw" in batch:  # Qwen's rotary positions come from it
            without["image_grid_thw"] = batch["image_grid_thw"]
        features = join_features([encode_images(family.model, p) for p in prompts])
        found = family.model(**without, mm_encoder_outputs={"image": features}).logits
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)


def test_the_tower_runs_once_a_study(family: Any) -> None:
    store = FeatureStore(frozen(family).model, max_bytes=PLENTY)
    calls = count_tower(family.model)
    for _ in range(3):
        for prompt in family.prompts:
            features = store(prompt)
            assert features is not None
            assert not any(t.requires_grad for t in (*features.tokens, *features.deepstack))
    assert len(calls) == len(family.prompts)


def test_the_same_pictures_under_other_words_are_known(build_family: Callable[..., Any]) -> None:
    family = frozen(build_family("llava"))
    store = FeatureStore(family.model, max_bytes=PLENTY)
    prompt = family.prompts[0]
    longer = EncodedPrompt(
        input_ids=prompt.input_ids.repeat(2), token_fields={}, image_fields=dict(prompt.image_fields)
    )
    assert store(prompt) is store(longer)


def test_memory_is_bounded_and_the_least_recently_used_goes(build_family: Callable[..., Any]) -> None:
    family = frozen(build_family("llava"))
    a, two_images, c = family.prompts
    size = encode_images(family.model, a).bytes
    assert size == 16 * 32 * 4
    store = FeatureStore(family.model, max_bytes=3 * size)
    calls = count_tower(family.model)
    for prompt in (a, two_images, a, c, a):  # 1, 3, 3, then c pushes the two images out
        store(prompt)
    assert len(calls) == 3
    store(two_images)
    assert len(calls) == 4


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_comes_from_disk_is_what_went_there(
    build_family: Callable[..., Any], family_name: str, dtype: torch.dtype, tmp_path: Path
) -> None:
    family = frozen(build_family(family_name))
    family.model.to(dtype)
    first = FeatureStore(family.model, max_bytes=PLENTY, folder=tmp_path / "features")
    made = [first(p) for p in family.prompts]
    calls = count_tower(family.model)
    second = FeatureStore(family.model, max_bytes=PLENTY, folder=tmp_path / "features")
    assert all(same(second(p), m) for p, m in zip(family.prompts, made, strict=True))
    assert not calls


def test_another_tower_does_not_meet_its_files(build_family: Callable[..., Any], tmp_path: Path) -> None:
    family = frozen(build_family("llava"))
    FeatureStore(family.model, max_bytes=PLENTY, folder=tmp_path)(family.prompts[0])
    with torch.no_grad():
        family.model.model.multi_modal_projector.linear_2.bias += 1.0
    found = FeatureStore(family.model, max_bytes=PLENTY, folder=tmp_path)(family.prompts[0])
    assert same(found, encode_images(family.model, family.prompts[0]))


def test_another_language_model_on_the_same_tower_does(
    build_family: Callable[..., Any], tmp_path: Path
) -> None:
    family = frozen(build_family("llava"))
    FeatureStore(family.model, max_bytes=PLENTY, folder=tmp_path)(family.prompts[0])
    with torch.no_grad():
        family.model.get_decoder().norm.weight += 1.0
    calls = count_tower(family.model)
    FeatureStore(family.model, max_bytes=PLENTY, folder=tmp_path)(family.prompts[0])
    assert not calls


def test_a_tower_that_trains_is_not_kept(build_family: Callable[..., Any], tmp_path: Path) -> None:
    family = build_family("llava")
    whole = family.model
    assert FeatureStore(whole, max_bytes=PLENTY, folder=tmp_path)(family.prompts[0]) is None

    whole.requires_grad_(False)
    assert FeatureStore(whole, max_bytes=PLENTY)(family.prompts[0]) is not None
    whole.model.multi_modal_projector.linear_1.weight.requires_grad_(True)
    assert FeatureStore(whole, max_bytes=PLENTY)(family.prompts[0]) is None
    assert list(tmp_path.iterdir()) == []


def test_lora_freezes_the_tower_unless_it_is_in_it(build_family: Callable[..., Any]) -> None:
    family = build_family("llava", lora=True)
    assert FeatureStore(family.model, max_bytes=PLENTY)(family.prompts[0]) is not None
    astray = get_peft_model(build_family("llava").model, LoraConfig(r=2, target_modules=["q_proj"]))
    assert FeatureStore(astray, max_bytes=PLENTY)(family.prompts[0]) is None


class PixelsOnly(LlavaForConditionalGeneration):
    """A family that takes nothing in place of pixels."""

    def forward(self, input_ids: Any = None, pixel_values: Any = None, **others: Any) -> Any:
        return super().forward(input_ids=input_ids, pixel_values=pixel_values, **others)


def test_a_model_that_takes_no_features_gets_none(build_family: Callable[..., Any]) -> None:
    family = build_family("llava")
    model = PixelsOnly(family.model.config).requires_grad_(False)
    assert FeatureStore(model, max_bytes=PLENTY)(family.prompts[0]) is None


def test_pictures_are_encoded_without_dropout(build_family: Callable[..., Any]) -> None:
    family = frozen(build_family("llava"))
    wanted = encode_images(family.model, family.prompts[0])
    for layer in family.model.model.vision_tower.encoder.layers:
        layer.self_attn.dropout = 0.9
    family.model.train()
    assert same(encode_images(family.model, family.prompts[0]), wanted)
    assert all(module.training for module in family.model.modules())


@pytest.mark.parametrize("on_disk", [False, True])
def test_a_connector_trains_on_what_the_tower_said_once(
    build_family: Callable[..., Any], tmp_path: Path, on_disk: bool
) -> None:
    family = build_family("radflow_llava")
    model, prompt = family.model, family.prompts[1]
    model.model.vision_tower.requires_grad_(False)
    wanted = model(**collate([prompt], pad_id=0)).logits
    calls = count_tower(model)
    for _ in range(2):
        store = FeatureStore(model, max_bytes=PLENTY, folder=tmp_path if on_disk else None)
        for _ in range(2):
            seen = store.prompt(prompt)
            found = model(**collate([seen], pad_id=0)).logits
            assert torch.equal(found, wanted)
        assert store(prompt) is None  # behind a connector that trains nothing stays the same
    assert len(calls) == (1 if on_disk else 2)
    found.sum().backward()
    assert model.model.multi_modal_projector.last.weight.grad.any()

    with torch.no_grad():
        next(model.model.vision_tower.parameters()).add_(1.0)
    store = FeatureStore(model, max_bytes=PLENTY, folder=tmp_path if on_disk else None)
    assert torch.equal(
        model(**collate([store.prompt(prompt)], pad_id=0)).logits,
        model(**collate([prompt], pad_id=0)).logits,
    )
    model.model.vision_tower.requires_grad_(True)
    assert store.prompt(prompt) is prompt
