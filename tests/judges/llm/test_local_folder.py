"""What must be in a judge's folder, and what it is called."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from radflow.errors import DataError, MissingFileError, RadflowError
from radflow.judges.llm.local_folder import check_folder, content_name, load_model

TINY = {"n_embd": 8, "n_head": 2, "n_layer": 1, "vocab_size": 16, "bos_token_id": 0, "eos_token_id": 1}


def save(folder: Path, family: str, words: int = 16) -> Path:
    """A model with random weights, and a tokenizer of so many words."""
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **TINY)).save_pretrained(folder)
    known = Tokenizer(models.WordLevel({f"word{i}": i for i in range(words)}, unk_token="word0"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=known)
    tokenizer.chat_template = "{{ messages[0].content }}"
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save(tmp_path / "tiny-judge", "gpt2")


def load(folder: Path) -> Any:
    check_folder(folder)
    return load_model(folder, torch.device("cpu"), torch.float32)


def test_a_whole_folder_loads_as_it_was_saved(folder: Path) -> None:
    tokenizer, model = load(folder)
    saved = load_file(folder / "model.safetensors")
    assert len(tokenizer) == 16
    assert not model.training
    torch.testing.assert_close(model.transformer.wte.weight, saved["transformer.wte.weight"], atol=0, rtol=0)


def rewrite(file: str, change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        content = json.loads((folder / file).read_text())
        change(content)
        (folder / file).write_text(json.dumps(content))

    return spoil


def only_bin(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def lost_shard(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))


def no_tokenizer(folder: Path) -> None:
    for path in folder.glob("*to[k]en*"):
        path.unlink()
    (folder / "chat_template.jinja").unlink()


def architecture(name: str, **more: Any) -> Callable[[Path], None]:
    return rewrite("config.json", lambda config: config.update(architectures=[name], **more))


AT_ONCE: dict[str, tuple[Callable[[Path], Any], type[RadflowError], str]] = {
    "no folder": (shutil.rmtree, MissingFileError, "folder of a causal language model at .*, found none"),
    "no config": (lambda f: (f / "config.json").unlink(), MissingFileError, "config.json, found no file"),
    "config": (lambda f: (f / "config.json").write_text("{"), DataError, "Expected JSON in .*config.json"),
    "list": (lambda f: (f / "config.json").write_text("[]"), DataError, "Expected a JSON object in"),
    "bin": (only_bin, MissingFileError, "got pytorch_model.bin, which can hold code.*save_pretrained"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), MissingFileError, "Expected weights in"),
    "shard": (lost_shard, MissingFileError, "Expected model-00002-of-00002.safetensors"),
    "no tokenizer": (no_tokenizer, MissingFileError, "Expected a tokenizer in"),
    "adapter": (lambda f: (f / "adapter_config.json").write_text("{}"), DataError, "Merge it first"),
    "encoder": (architecture("BertForMaskedLM"), DataError, "got BertForMaskedLM"),
    "head": (architecture("LlamaForSequenceClassification"), DataError, "causal language model in"),
    "VLM": (architecture("Qwen3_5ForCausalLM", vision_config={}), DataError, "with vision_config"),
    "seq2seq": (architecture("BartForCausalLM", is_encoder_decoder=True), DataError, "text alone"),
    "unnamed": (rewrite("config.json", lambda c: c.pop("architectures")), DataError, "got none"),
}


@pytest.mark.parametrize("spoil", AT_ONCE)
def test_a_folder_that_is_no_judge_is_refused_at_once(spoil: str, folder: Path) -> None:
    change, error, message = AT_ONCE[spoil]
    change(folder)
    with pytest.raises(error, match=message):
        check_folder(folder)


def cut_weights(folder: Path) -> None:
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[: len(weights) // 2])


def fewer_weights(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights["transformer.h.0.attn.c_attn.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


AT_LOADING: dict[str, tuple[Callable[[Path], Any], str]] = {
    "cut": (cut_weights, "Expected a causal language model in .*tiny-judge"),
    "fewer": (fewer_weights, r"missing: transformer\.h\.0\.attn\.c_attn\.weight"),
    "other size": (rewrite("config.json", lambda c: c.update(n_embd=16)), "Expected a causal language model"),
    "unknown": (rewrite("config.json", lambda c: c.update(model_type="xyz")), "Expected a causal language"),
    "words": (lambda f: save(f, "gpt2", 17), "Expected a tokenizer of at most 16 tokens in .*, got 17"),
    "no cache": (lambda f: save(f, "openai-gpt"), "OpenAIGPTLMHeadModel does not"),
}


@pytest.mark.parametrize("spoil", AT_LOADING)
def test_a_folder_that_does_not_load_is_refused(spoil: str, folder: Path) -> None:
    change, message = AT_LOADING[spoil]
    change(folder)
    with pytest.raises(DataError, match=message):
        load(folder)


def test_weights_in_shards_load(folder: Path) -> None:
    whole = load(folder)[1]
    (folder / "model.safetensors").unlink()
    whole.save_pretrained(folder, max_shard_size="1KB")
    assert len(list(folder.glob("model-*.safetensors"))) > 1
    for name, tensor in load(folder)[1].state_dict().items():
        torch.testing.assert_close(tensor, whole.state_dict()[name], atol=0, rtol=0)


def test_the_name_goes_by_content(folder: Path, tmp_path: Path) -> None:
    name = content_name(folder)
    assert name.startswith("tiny-judge@") and len(name) == len("tiny-judge@") + 12

    copy = shutil.copytree(folder, tmp_path / "elsewhere" / "tiny-judge")
    (copy / "README.md").write_text("not part of the judge")
    assert content_name(copy) == name

    names = {name, content_name(copy, "bfloat16")}
    for file in ("model.safetensors", "config.json", "tokenizer.json", "chat_template.jinja"):
        content = (copy / file).read_bytes()
        (copy / file).write_bytes(content + b" ")
        names.add(content_name(copy))
        (copy / file).write_bytes(content)
    assert len(names) == 6
