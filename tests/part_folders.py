"""Tiny random vision towers and causal language models, saved as folders: the parts of a policy."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
import transformers as tf
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

LAYERS: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}
VIT: dict[str, Any] = {**LAYERS, "image_size": 32, "patch_size": 8}
STAGES: dict[str, Any] = {"depths": [1, 1], "image_size": 32}
TOWERS: dict[str, Any] = {
    "clip": lambda: tf.CLIPVisionModel(tf.CLIPVisionConfig(**VIT)),
    "siglip": lambda: tf.SiglipVisionModel(tf.SiglipVisionConfig(**VIT)),
    "dinov2": lambda: tf.Dinov2Model(tf.Dinov2Config(**VIT)),
    "dinov2_with_registers": lambda: tf.Dinov2WithRegistersModel(tf.Dinov2WithRegistersConfig(**VIT)),
    "swin": lambda: tf.SwinModel(
        tf.SwinConfig(**STAGES, embed_dim=8, num_heads=[1, 2], window_size=4, patch_size=4)
    ),
    "convnext": lambda: tf.ConvNextModel(tf.ConvNextConfig(**STAGES, hidden_sizes=[8, 16], num_stages=2)),
    "resnet": lambda: tf.ResNetModel(
        tf.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
    ),
}
LANGUAGES: dict[str, Any] = {
    "llama": lambda v: tf.LlamaForCausalLM(tf.LlamaConfig(**LAYERS, vocab_size=v)),
    "qwen3": lambda v: tf.Qwen3ForCausalLM(
        tf.Qwen3Config(**LAYERS, vocab_size=v, head_dim=8, num_key_value_heads=1, tie_word_embeddings=True)
    ),
    "gpt2": lambda v: tf.GPT2LMHeadModel(
        tf.GPT2Config(n_embd=16, n_layer=2, n_head=2, vocab_size=v, bos_token_id=0, eos_token_id=0)
    ),
}
CHAT = "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] + '\n' }}{% endfor %}<|assistant|>"


def write_tower(kind: str, folder: Path, *, seed: int = 0) -> Path:
    """A tower without an image processor, as some are on the hub."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        TOWERS[kind]().save_pretrained(folder)
    return folder


def write_language(
    kind: str,
    folder: Path,
    *,
    texts: Iterable[str] = ("no words",),
    end: str | None = "<end>",
    chat: str = "",
) -> Path:
    """A causal language model with a tokenizer of its own, which has no padding token."""
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    raw.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=400,
            special_tokens=["<end>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokenizer = tf.PreTrainedTokenizerFast(tokenizer_object=raw, eos_token=end, model_max_length=512)
    if chat:
        tokenizer.chat_template = chat
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        LANGUAGES[kind](len(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
