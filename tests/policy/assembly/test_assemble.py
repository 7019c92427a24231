"""Towers and language models of several kinds become a policy that loads, sees its picture and writes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForImageTextToText, LlavaForConditionalGeneration

from part_folders import CHAT, write_language, write_tower
from radflow.config import Policy as Knobs
from radflow.config import make_recipe
from radflow.errors import DataError, MissingFileError
from radflow.policy import greedy_reports, greedy_texts, load_policy, sample_groups
from radflow.policy.assembly.assemble import NOTE, Assembled, assemble
from radflow.policy.assembly.model import AssembledForConditionalGeneration
from radflow.policy.assembly.parts import load_language, load_tower
from radflow.policy.families import bare
from radflow.policy.prompts import collate
from radflow.studies import Study

KNOBS = Knobs(max_new_tokens=4, lora_rank=2, image_workers=0)


def put_together(
    tmp_path: Path,
    tower: str,
    language: str,
    connector: str = "mlp",
    tokens: int | None = None,
    chat: str = "",
) -> tuple[Assembled, Path]:
    torch.manual_seed(0)
    model, tokenizer = load_language(str(write_language(language, tmp_path / "language", chat=chat)))
    seen = load_tower(str(write_tower(tower, tmp_path / "tower")))
    made = assemble(seen, model, tokenizer, tmp_path / "model", connector=connector, tokens=tokens)
    return made, tmp_path / "model"


@pytest.mark.parametrize(
    ("tower", "language", "connector", "tokens", "plain", "vllm"),
    [
        ("clip", "llama", "mlp", None, True, True),
        ("siglip", "qwen3", "mlp", None, True, True),
        ("dinov2", "llama", "mlp", None, True, False),
        ("dinov2", "gpt2", "mlp", None, False, False),  # its embeddings are called otherwise
        ("dinov2_with_registers", "llama", "mlp", None, False, False),
        ("clip", "llama", "mlp", 4, False, False),
        ("swin", "llama", "linear", None, False, False),
        ("convnext", "qwen3", "qformer", 5, False, False),
        ("resnet", "gpt2", "perceiver", 3, False, False),
    ],
)
def test_any_tower_with_any_language_model(
    tower: str,
    language: str,
    connector: str,
    tokens: int | None,
    plain: bool,
    vllm: bool,
    tmp_path: Path,
    studies: list[Study],
) -> None:
    made, folder = put_together(tmp_path, tower, language, connector, tokens)
    assert (made.plain, made.vllm, made.tokens) == (plain, vllm, tokens or 16)
    assert not list(folder.glob("*.py"))
    assert json.loads((folder / NOTE).read_text())["tower"] == "tower"
    model = AutoModelForImageTextToText.from_pretrained(folder)
    kind = LlavaForConditionalGeneration if plain else AssembledForConditionalGeneration
    assert type(model) is kind
    for name, weight in made.model.state_dict().items():
        assert torch.equal(weight, model.state_dict()[name]), name

    policy = load_policy(folder, KNOBS, adapter="fresh")
    assert policy.features is not None
    prompts = [policy.encoder(study) for study in studies[:2]]
    batch = collate(prompts, pad_id=policy.pad_id)
    assert (batch["input_ids"] == policy.model.config.image_token_id).sum() == 3 * made.tokens
    with torch.no_grad():
        a = policy.model(**batch).logits[0, -1]
        b = policy.model(**(batch | {"pixel_values": -batch["pixel_values"]})).logits[0, -1]
    assert not torch.allclose(a, b, atol=1e-6)
    features = policy.features(prompts[0])
    assert features is not None
    words = policy.model.get_input_embeddings().weight  # ty: ignore[call-non-callable]
    assert 0.3 < torch.cat(features.tokens).std() / words.std() < 3
    assert len(list(greedy_texts(policy, make_recipe({"policy": KNOBS.model_dump()}), studies))) == 3


def test_a_language_model_is_asked_in_its_own_form(tmp_path: Path, studies: list[Study]) -> None:
    _, folder = put_together(tmp_path, "dinov2", "llama", "linear", 1, chat=CHAT)
    policy = load_policy(folder, KNOBS)
    text = policy.tokenizer.decode(policy.encoder(studies[1]).input_ids)
    assert text == f"<|user|><image>\n<image>\nIndication: Cough.\n{KNOBS.prompt}\n<|assistant|>"


def test_the_image_processor_of_the_tower_is_used(tmp_path: Path) -> None:
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    folder = write_tower("dinov2", tmp_path / "tower")
    assert list(load_tower(str(folder)).image_processor.image_mean) == [0.485, 0.456, 0.406]
    CLIPImageProcessorPil(
        size={"shortest_edge": 28}, crop_size={"height": 24, "width": 24}, image_mean=[0.5] * 3
    ).save_pretrained(folder)
    own, other = load_tower(str(folder)), load_tower(str(folder), 48)
    assert (own.image_size, own.patches, own.others) == (24, 9, 1)
    assert (other.image_size, other.patches, *other.image_processor.image_mean) == (48, 36, 0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    ("connector", "tokens", "said"),
    [
        ("mlp", 5, "mlp: expected a square number of visual tokens, got 5; take 4 or 9"),
        ("linear", 25, "tower: expected at most as many visual tokens as patches, 16 at 32 pixels, got 25"),
        ("qformer", 17, "tower: expected at most as many"),
        ("conv", 4, "connector: expected one of linear, mlp, perceiver, qformer, got 'conv'"),
    ],
)
def test_visual_tokens_that_do_not_fit(connector: str, tokens: int, said: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=said):
        put_together(tmp_path, "dinov2", "llama", connector, tokens)


def test_parts_of_another_kind(tmp_path: Path) -> None:
    tower = str(write_tower("dinov2", tmp_path / "tower"))
    language = str(write_language("llama", tmp_path / "language"))
    endless = str(write_language("llama", tmp_path / "endless", end=None))
    with pytest.raises(DataError, match="expected a vision tower, which takes pixel_values, got LlamaModel"):
        load_tower(language)
    with pytest.raises(DataError, match="expected a causal language model, got Dinov2Model"):
        load_language(tower)
    with pytest.raises(DataError, match="a token that ends a text"):
        load_language(endless)
    with pytest.raises(DataError, match="takes no picture of 3 x 4 x 4 pixels"):
        load_tower(tower, 4)
    with pytest.raises(MissingFileError, match="expected the name or folder of a model"):
        load_tower(str(tmp_path / "none"))
    for file in Path(language).glob("tokenizer*"):
        file.unlink()
    with pytest.raises(MissingFileError, match="expected a tokenizer beside the model"):
        load_language(language)
    weights = Path(tower) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(DataError, match="tower: expected a model that transformers"):
        load_tower(tower)


@pytest.mark.parametrize("language", ["llama", "gpt2"])
def test_a_frozen_tower_runs_once_per_study_while_the_connector_trains(
    language: str, tmp_path: Path, studies: list[Study]
) -> None:
    """In greedy reports of validations and in samples too, word for word as from the pixels."""
    _, folder = put_together(tmp_path, "clip", language, "mlp", 4)
    policy, plain = (load_policy(folder, KNOBS) for _ in range(2))
    plain = replace(plain, features=None)
    core = bare(policy.model).model
    core.vision_tower.requires_grad_(False)
    core.multi_modal_projector.requires_grad_(True)
    calls: list[int] = []
    core.vision_tower.register_forward_hook(lambda *_: calls.append(1))
    how: dict[str, Any] = {"group_size": 2, "max_new_tokens": 4, "seeds": [1, 2, 3]}
    for _ in range(2):
        found, wanted = (
            [
                [one.token_ids for _, one in greedy_reports(of, studies, max_new_tokens=4, batch_size=2)],
                [one.token_ids for group in sample_groups(of, studies, **how) for one in group.completions],
            ]
            for of in (policy, plain)
        )
        assert found == wanted
    assert len(calls) == len(studies)
