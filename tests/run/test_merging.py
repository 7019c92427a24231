"""`radflow merge` on two families, and every way in which it refuses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoProcessor,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3Processor,
    LlamaConfig,
    LlamaForCausalLM,
)
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil

from radflow.config import Policy as PolicyKnobs
from radflow.policy import load_policy, save_policy
from radflow.policy.tiny import train_tokenizer
from radflow.run.merging import find_adapter

Command = Callable[..., tuple[int, str, str]]
CHAT = (
    "{% for part in messages[0]['content'] %}{% if part['type'] == 'image' %}<image>{% endif %}{% endfor %}Go"
)
PICTURE = Image.effect_noise((40, 40), 90).convert("RGB")


def shake(model: torch.nn.Module) -> None:
    """Move the adapter away from zero."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))


def logits(model: Any, processor: Any) -> torch.Tensor:
    content = [{"type": "image"}, {"type": "text", "text": "Go"}]
    chat = processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
    )
    inputs = processor(text=[chat], images=[PICTURE], return_tensors="pt")
    with torch.no_grad():
        return model.eval()(**inputs).logits.float()


def build_idefics(folder: Path) -> None:
    words = ["<fake_token_around_image>", "<end_of_utterance>", "<global-img>"]
    tokenizer = train_tokenizer(["The lungs are clear. Go"] * 4, 400)
    tokenizer.add_special_tokens({"extra_special_tokens": ["<image>", *words]})
    size = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2}
    text = LlamaConfig(**size, num_hidden_layers=2, vocab_size=len(tokenizer), pad_token_id=0)
    vision = {**size, "num_hidden_layers": 1, "patch_size": 4, "image_size": 16}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Idefics3ForConditionalGeneration(
            Idefics3Config(
                text_config=text,
                vision_config=vision,
                scale_factor=2,
                image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
            )
        )
        for parameter in model.parameters():
            if parameter.dim() > 1:
                torch.nn.init.normal_(parameter, std=0.15)
    model.to(torch.bfloat16).save_pretrained(folder)
    pictures = Idefics3ImageProcessorPil(
        size={"longest_edge": 16}, max_image_size={"longest_edge": 16}, do_image_splitting=False
    )
    Idefics3Processor(pictures, tokenizer, image_seq_len=4, chat_template=CHAT).save_pretrained(folder)


@pytest.fixture(scope="session")
def idefics(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("idefics") / "base"
    build_idefics(folder)
    return folder


@pytest.fixture
def bases(folder: Path, idefics: Path) -> dict[str, Path]:
    return {"llava": folder, "idefics3": idefics}


def make_adapter(base: Path, out: Path, knobs: PolicyKnobs) -> Path:
    policy = load_policy(base, knobs, adapter="fresh")
    shake(policy.model)
    save_policy(policy, out)
    return out


@pytest.fixture
def adapter(folder: Path, knobs: PolicyKnobs, tmp_path: Path) -> Path:
    return make_adapter(folder, tmp_path / "adapter", knobs)


@pytest.mark.parametrize("family", ["llava", "idefics3"])
def test_the_merged_model_says_what_adapter_and_base_say(
    family: str, bases: dict[str, Path], knobs: PolicyKnobs, command: Command, tmp_path: Path
) -> None:
    base = bases[family]
    make_adapter(base, tmp_path / "adapter", knobs)
    status, said, wrong = command("merge", "adapter", "--out", "merged", "--dtype", "float32")
    assert (status, wrong) == (0, "")
    assert "merged adapter with" in said

    processor = AutoProcessor.from_pretrained(tmp_path / "adapter", backend="pil")
    alone = AutoModelForImageTextToText.from_pretrained(base, dtype=torch.float32)
    before = logits(alone, processor)
    expected = logits(PeftModel.from_pretrained(alone, str(tmp_path / "adapter")), processor)
    merged = AutoModelForImageTextToText.from_pretrained(tmp_path / "merged")
    found = logits(merged, AutoProcessor.from_pretrained(tmp_path / "merged", backend="pil"))
    assert torch.allclose(found, expected, atol=1e-4)
    assert not torch.allclose(before, expected, atol=1e-2)
    names = {path.name for path in (tmp_path / "merged").iterdir()}
    assert {"config.json", "model.safetensors", "processor_config.json", "README.md"} <= names
    assert "adapter_config.json" not in names


def test_the_number_type_is_the_base_models_unless_told(
    idefics: Path, knobs: PolicyKnobs, command: Command, tmp_path: Path
) -> None:
    make_adapter(idefics, tmp_path / "adapter", knobs)
    assert command("merge", "adapter", "--out", "merged")[0] == 0
    weights, base = (load_file(f / "model.safetensors") for f in (tmp_path / "merged", idefics))
    assert {tensor.dtype for tensor in weights.values()} == {torch.bfloat16}
    changed = {name for name in base if not torch.equal(base[name], weights[name])}
    assert changed
    assert all("text_model" in name for name in changed)  # all the rest is bit for bit the base model's


def test_the_merged_model_drafts(adapter: Path, command: Command, tmp_path: Path) -> None:
    assert command("merge", adapter, "--out", "merged")[0] == 0
    PICTURE.save(tmp_path / "study.png")
    status, said, _ = command("draft", "study.png", "--model", "merged")
    assert status == 0
    assert "not for diagnosis" in said.lower()


def test_an_adapter_of_a_language_model_is_merged_for_the_local_judge(
    command: Command, folder: Path, tmp_path: Path
) -> None:
    config = LlamaConfig(
        vocab_size=60, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2
    )
    LlamaForCausalLM(config).save_pretrained(tmp_path / "base")
    AutoProcessor.from_pretrained(folder, backend="pil").tokenizer.save_pretrained(tmp_path / "base")
    wrapped = get_peft_model(
        AutoModelForCausalLM.from_pretrained(tmp_path / "base"), LoraConfig(r=2, target_modules=["q_proj"])
    )
    shake(wrapped)
    wrapped.save_pretrained(tmp_path / "adapter")
    assert command("merge", "adapter", "--out", "merged")[0] == 0
    ids = torch.arange(6)[None]
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    with torch.no_grad():
        assert torch.allclose(merged(ids).logits, wrapped.eval()(ids).logits, atol=1e-5)
    assert (tmp_path / "merged" / "tokenizer.json").is_file()


def test_a_folder_that_holds_something_is_not_touched(
    adapter: Path, command: Command, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    status, _, wrong = command("merge", adapter, "--out", "out")
    assert status == 1
    assert "expected a new or an empty folder" in wrong
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["notes.txt"]
    (tmp_path / "empty").mkdir()
    assert command("merge", adapter, "--out", "empty")[0] == 0


def test_a_missing_base_model_is_named_and_another_may_be_given(
    adapter: Path, folder: Path, command: Command, tmp_path: Path
) -> None:
    shutil.copytree(folder, tmp_path / "moved")
    rename_base(adapter, str(tmp_path / "gone"))
    status, _, wrong = command("merge", adapter, "--out", "merged")
    assert status == 1
    assert f"expected its base model at {tmp_path / 'gone'}, found none" in wrong
    assert "--base" in wrong
    assert wrong.count("\n") == 1
    assert not (tmp_path / "merged").exists()
    assert command("merge", adapter, "--out", "merged", "--base", "moved")[0] == 0


def rename_base(adapter: Path, base: str | None) -> None:
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": base}))


def test_an_adapter_of_another_base_names_the_layer(
    adapter: Path, idefics: Path, command: Command, tmp_path: Path
) -> None:
    weights = load_file(adapter / "adapter_model.safetensors")
    name = next(n for n in sorted(weights) if n.endswith("down_proj.lora_A.weight"))
    save_file({**weights, name: torch.zeros(2, 7)}, adapter / "adapter_model.safetensors")
    status, _, wrong = command("merge", adapter, "--out", "merged")
    assert status == 1
    assert "is not of this base model: model.language_model.layers.0.mlp.down_proj is 32 x 96" in wrong
    assert "the adapter's is 32 x 7" in wrong

    more = {n.replace("layers.1", "layers.9"): t for n, t in weights.items()}
    save_file(more, adapter / "adapter_model.safetensors")
    status, _, wrong = command("merge", adapter, "--out", "merged")
    assert status == 1
    assert "7 of its 14 layers are not there, such as model.language_model.layers.9" in wrong

    status, _, wrong = command("merge", adapter, "--out", "merged", "--base", idefics)
    assert status == 1
    assert "cannot be put on Idefics3ForConditionalGeneration" in wrong
    assert not (tmp_path / "merged").exists()


def test_weights_that_are_not_numbers_are_refused(adapter: Path, command: Command, tmp_path: Path) -> None:
    weights = load_file(adapter / "adapter_model.safetensors")
    save_file({n: t * torch.nan for n, t in weights.items()}, adapter / "adapter_model.safetensors")
    status, _, wrong = command("merge", adapter, "--out", "merged")
    assert status == 1
    assert "NaNs detected" in wrong
    assert not (tmp_path / "merged").exists()


def test_what_is_no_adapter_is_said(adapter: Path, folder: Path, command: Command, tmp_path: Path) -> None:
    assert "got a whole model: it is merged already" in command("merge", folder, "--out", "merged")[2]
    assert "expected a run's folder, or a PEFT folder" in command("merge", tmp_path, "--out", "merged")[2]
    assert "got an adapter" in command("merge", adapter, "--out", "merged", "--base", adapter)[2]
    (adapter / "adapter_model.safetensors").unlink()
    assert "expected adapter_model.safetensors" in command("merge", adapter, "--out", "merged")[2]
    assert not (tmp_path / "merged").exists()


def test_a_merge_that_fails_leaves_nothing(
    adapter: Path, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("radflow.run.merging.write_merged_card", full)
    status, _, wrong = command("merge", adapter, "--out", "merged")
    assert status == 1
    assert "cannot be written (No space left on device)" in wrong
    assert [path.name for path in tmp_path.iterdir() if "merged" in path.name] == []


def test_a_run_stands_for_its_last_adapter(adapter: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / "sft").mkdir(parents=True)
    (run / "recipe.toml").write_text("")
    shutil.copytree(adapter, run / "sft" / "model")
    assert find_adapter(run).stage == "sft"
    (run / "rft").mkdir()
    shutil.copytree(adapter, run / "rft" / "model")
    found = find_adapter(run)
    assert (found.folder, found.run, found.stage) == (run / "rft" / "model", run, "rft")
    assert find_adapter(adapter).run is None
