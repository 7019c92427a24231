"""What SFT trains, on every family; accumulation; learning rates of parts; what LoRA may be told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator

from radflow.config import Policy as Knobs
from radflow.config import Sft, make_recipe
from radflow.errors import RecipeError, TrainingError
from radflow.policy import Policy, load_policy
from radflow.policy.families import parts_of, tower_layers
from radflow.policy.load import add_lora
from radflow.policy.prompts import collate
from radflow.studies import Study
from radflow.training.sft import SftModel, run_sft
from radflow.training.trained_parts import (
    Trained,
    choose_trained,
    parameter_groups,
    round_back,
    set_trained,
    whole_weights,
)
from tiny_models import BUILDERS, Tokens


@pytest.mark.parametrize("family", BUILDERS)
def test_every_family_has_its_parts(family: str) -> None:
    model = BUILDERS[family](Tokens())
    set_trained(model, Trained(language="frozen", vision=1, connector=True))
    trains = {name for name, p in model.named_parameters() if p.requires_grad}
    last = next(name for name, module in model.named_modules() if module is tower_layers(model)[-1])
    layer = {name for name in trains if name.startswith(f"{last}.")}
    assert len(tower_layers(model)) == 2
    assert layer and trains - layer
    assert not [name for name in trains if "language_model" in name or "text_model" in name]
    assert all("merger" in n or "connector" in n or "projector" in n for n in trains - layer)
    assert sum(p.numel() for own in parts_of(model).values() for p in own) == sum(
        p.numel() for p in model.parameters()
    )


def chosen(policy: dict, sft: dict, source: str = "org/name") -> Trained:
    return choose_trained(make_recipe({"policy": policy, "sft": sft}), source)


def test_defaults_are_those_of_each_kind_of_policy(tmp_path: Path) -> None:
    everything = Trained(language="full", vision=None, connector=True)
    assert chosen({}, {}) == everything
    assert chosen({"tiny": {"tower": "x"}}, {}) == Trained(language="full", vision=0, connector=True)
    pretrained = {"model": "org/name"}
    assert chosen(pretrained, {}) == Trained(language="lora", vision=0, connector=False)
    assert chosen(pretrained | {"lora_rank": 0}, {}).language == "full"
    (tmp_path / "assembly.json").write_text("{}")
    assert chosen(pretrained, {}, str(tmp_path)) == Trained(language="lora", vision=0, connector=True)
    told = {"language": "frozen", "vision": "last:3", "connector": "true"}
    assert chosen(pretrained, told) == Trained(language="frozen", vision=3, connector=True)


def test_what_cannot_be_trained_is_one_line(policy: Policy) -> None:
    with pytest.raises(TrainingError, match="nothing would train"):
        chosen({"model": "org/name"}, {"language": "frozen"})
    with pytest.raises(TrainingError, match="lora_rank above 0"):
        chosen({"lora_rank": 0}, {"language": "lora"})
    with pytest.raises(RecipeError, match=r"sft\.vision"):
        make_recipe({"sft": {"vision": "last:0"}})
    with pytest.raises(RecipeError, match="bfloat16 tells apart"):
        make_recipe({"policy": {"lora_rank": 0, "dtype": "bfloat16"}})
    with pytest.raises(TrainingError, match="at most last:1, got last:2"):
        set_trained(policy.model, Trained(language="frozen", vision=2, connector=False))
    with pytest.raises(TrainingError, match=r"lora_targets: expected names of .*q_proj.*; got 'query'"):
        add_lora(policy.model, Knobs(lora_targets=("query",)))


def test_lora_as_told(policy: Policy) -> None:
    model = add_lora(policy.model, Knobs(lora_targets=("q_proj", "v_proj"), lora_rank=3, lora_dropout=0.5))
    adapters = [name for name, p in model.named_parameters() if p.requires_grad]
    assert len(adapters) == 2 * 2 * 2
    assert all("language_model" in name and ("q_proj" in name or "v_proj" in name) for name in adapters)
    assert model.peft_config["default"].lora_dropout == 0.5


def test_a_batch_in_parts_is_the_batch(
    folder: Path, dozen: list[Study], open_run: Callable, rows: Callable, accelerator: Accelerator
) -> None:
    """Reports differ in length and in the weights of their sentences, and the loss is a mean over them."""
    found = []
    for name, batch, accumulation in (("whole", 6, 1), ("parts", 2, 3)):
        knobs = {"epochs": 1, "batch_size": batch, "accumulation": accumulation, "token_rarity": 0.5}
        workspace, recipe = open_run(name, sft=knobs)
        policy = load_policy(folder, recipe.policy)
        run_sft(workspace, recipe, policy, train=dozen, validate=dozen[:3], accelerator=accelerator)
        found.append([row for row in rows(workspace) if "grad_norm" in row])
    whole, parts = found
    assert len(whole) == len(parts) == 2
    assert [row["loss"] for row in parts] == pytest.approx([row["loss"] for row in whole], rel=1e-3)
    assert parts[0]["grad_norm"] == pytest.approx(whole[0]["grad_norm"], rel=1e-4)


def test_parts_have_learning_rates_of_their_own(policy: Policy) -> None:
    knobs = Sft(learning_rate=1e-3, vision_learning_rate=1e-4, connector_learning_rate=2e-3)
    groups = parameter_groups(policy.model, policy.model, knobs)
    scales = {id(p): group["scale"] for group in groups for p in group["params"]}
    expected = {"language": 1.0, "vision": 0.1, "connector": 2.0}
    for part, scale in expected.items():
        assert all(scales[id(p)] == pytest.approx(scale) for p in parts_of(policy.model)[part])
    assert len(parameter_groups(policy.model, policy.model, Sft())) == 1


def test_whole_weights_train_in_float32_beside_sixteen_bits(folder: Path, studies: list[Study]) -> None:
    policy = load_policy(folder, Knobs(dtype="bfloat16", lora_rank=2, image_workers=0), adapter="fresh")
    set_trained(policy.model, Trained(language="lora", vision=0, connector=True))
    assert {p.dtype for p in whole_weights(policy.model)} == {torch.float32}
    prompt = policy.encoder(studies[0])
    ids = prompt.input_ids[None]
    module = SftModel(policy.model, None, 0.0)
    last = torch.tensor([2])
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), **prompt.image_fields}
    loss, _ = module(batch, ids, torch.ones(ids.shape), last, None)
    loss.backward()
    assert all(p.grad is not None and p.grad.any() for p in whole_weights(policy.model))
    round_back(policy.model)
    assert {p.dtype for p in whole_weights(policy.model)} == {torch.bfloat16}


def test_without_an_adapter_a_copy_is_the_reference(folder: Path, studies: list[Study]) -> None:
    policy = load_policy(folder, Knobs(lora_rank=0, image_workers=0), adapter="continue")
    parts = parts_of(policy.model)
    assert all(p.requires_grad for p in parts["language"])
    assert not any(p.requires_grad for p in (*parts["vision"], *parts["connector"]))
    batch = collate([policy.encoder(studies[0])], pad_id=policy.pad_id)

    def logits() -> torch.Tensor:
        with torch.no_grad():
            return policy.model(**batch).logits

    before = logits()
    optimiser = torch.optim.SGD(parts["language"], lr=1.0)
    policy.model(**batch).logits.square().mean().backward()
    optimiser.step()
    after = logits()
    assert not torch.allclose(after, before, atol=1e-3)
    with policy.as_reference():
        assert torch.equal(logits(), before)
    assert torch.equal(logits(), after)
