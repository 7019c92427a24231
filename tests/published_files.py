"""Small random checkpoints with the names and files that authors published, and the parts they stand on."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

import torch
import transformers as tf
from safetensors.torch import load_file
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from torch import Tensor

WIDTH, HEADS, LAYERS = 32, 4, 2
SWIN: dict[str, Any] = {"embed_dim": 8, "depths": [2, 1, 1], "num_heads": [1, 2, 4], "window_size": 7}
SWIN_WIDTH, EDGE, PATCH = 32, 224, 8
WORDS = (
    "Generate a comprehensive and detailed diagnosis report for this chest xray image.",
    "Human: Assistant: Can you provide a report of with findings and impression? Please write a radiology.",
    "The lungs are clear. No pleural effusion. Indication: Cough. ### <img0> </img0> <context> </context>",
)


def random(*shape: int, spread: float = 0.3) -> Tensor:
    return spread * torch.randn(shape)


def llama_folder(folder: Path) -> Path:
    """A Llama with a tokenizer of its kind: ``<s>`` begins a text, and a space before the first word."""
    raw = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True))
    raw.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=True)
    marks = ["<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256))]
    raw.train_from_iterator(
        list(WORDS) * 4, trainers.BpeTrainer(vocab_size=420, special_tokens=marks, show_progress=False)
    )
    learnt = json.loads(raw.to_str())["model"]
    tokenizer = tf.LlamaTokenizer(
        vocab=learnt["vocab"],
        merges=[tuple(m) for m in learnt["merges"]],
        add_bos_token=True,
        model_max_length=2048,
    )
    model = tf.LlamaForCausalLM(
        tf.LlamaConfig(
            hidden_size=WIDTH,
            intermediate_size=48,
            num_hidden_layers=LAYERS,
            num_attention_heads=HEADS,
            vocab_size=len(tokenizer),
            rms_norm_eps=1e-5,
            tie_word_embeddings=False,
        )
    )
    scatter(model)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def scatter(model: torch.nn.Module) -> None:
    """Weights that differ enough for a wrong name to show."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.2).add_(1.0 if parameter.dim() == 1 else 0.0)


def swin_folder(folder: Path) -> Path:
    model = tf.SwinModel(tf.SwinConfig(image_size=EDGE, patch_size=PATCH, drop_path_rate=0.0, **SWIN))
    scatter(model)
    model.save_pretrained(folder)
    return folder


def saved(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "model.safetensors")


def linear_states(name: str, outputs: int, inputs: int) -> dict[str, Tensor]:
    return {f"{name}.weight": random(outputs, inputs), f"{name}.bias": random(outputs)}


def norm_states(name: str, width: int) -> dict[str, Tensor]:
    return {f"{name}.weight": 1 + random(width), f"{name}.bias": random(width)}


def lora_states(name: str, outputs: int, inputs: int, rank: int = 4) -> dict[str, Tensor]:
    return {
        f"{name}.lora_A.default.weight": random(rank, inputs),
        f"{name}.lora_B.default.weight": random(outputs, rank),
    }


# ---- R2GenGPT --------------------------------------------------------------------------------------------


def r2gengpt_states(form: str, swin: Path) -> dict[str, Tensor]:
    states = linear_states("llama_proj", WIDTH, SWIN_WIDTH) | norm_states("layer_norm", WIDTH)
    base = saved(swin)
    if form == "deep":
        states |= {f"visual_encoder.{name}": t + random(*t.shape) for name, t in base.items()}
    if form == "delta":
        for name, tensor in base.items():
            layer, _, what = name.rpartition(".")
            if what == "weight" and layer.endswith(("self.query", "self.value")):
                states |= lora_states(f"visual_encoder.base_model.model.{layer}", *tensor.shape)
    return states


def r2gengpt_file(path: Path, states: dict[str, Any], **config: Any) -> Path:
    settings = Namespace(vis_r=4, vis_alpha=8, llama_model="llama", weights=[0.5, 0.5], **config)
    torch.save({"model": states, "config": settings, "epoch": 3, "step": 9}, path)
    return path


# ---- MedVersa --------------------------------------------------------------------------------------------

MEDVERSA_TOKENS = 5


def medversa_states(llama: Path, swin: Path) -> dict[str, Tensor]:
    """As a whole model saves itself under older PEFT, with all that no report goes through."""
    at = "llama_model.base_model.model."
    states: dict[str, Tensor] = {}
    for name, tensor in saved(llama).items():
        if name in ("model.embed_tokens.weight", "lm_head.weight"):
            tensor = torch.cat([tensor, random(MEDVERSA_TOKENS, WIDTH)])
        states[at + name.replace("lm_head.", "lm_head.0.")] = tensor
    for i in range(LAYERS):
        states[f"{at}model.layers.{i}.self_attn.rotary_emb.inv_freq"] = torch.ones(4)
        for layer in ("q_proj", "v_proj"):
            states |= lora_states(f"{at}model.layers.{i}.self_attn.{layer}", WIDTH, WIDTH, rank=16)
    states |= {f"visual_encoder_2d.{name}": t for name, t in saved(swin).items()}
    index = "visual_encoder_2d.encoder.layers.0.blocks.0.attention.self.relative_position_index"
    states[index] = torch.zeros(49, 49, dtype=torch.long)
    states |= norm_states("ln_vision_2d", SWIN_WIDTH) | linear_states("llama_proj_2d", WIDTH, SWIN_WIDTH)
    states |= norm_states("ln_vision_3d", 8) | linear_states("llama_proj_3d", WIDTH, 8)
    states |= {
        "visual_encoder_3d.down.weight": random(4, 4),
        "model_seg_2d.encoder.conv1.weight": random(4, 4),
    }
    states |= norm_states("text_det.0", WIDTH) | norm_states("text2seg_2d_gn", 8)
    return states


# ---- RadFM -----------------------------------------------------------------------------------------------

RADFM_WIDTH, RADFM_PATCH, RADFM_EDGE, RADFM_TOKENS = 24, 8, 32, 6


def radfm_states(llama: Path) -> dict[str, Tensor]:
    """As ``pytorch_model.bin`` has them, training's alone among them."""
    width, inner = RADFM_WIDTH, 8 * 64
    base = saved(llama)
    states = {f"lang_model.{name}": t for name, t in base.items()}
    states["lang_model.model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(4)
    e = "embedding_layer."
    states[f"{e}weight"] = base["model.embed_tokens.weight"]
    states[f"{e}figure_token_weight"] = random(2, WIDTH)
    v = f"{e}vision_encoder."
    numbers = 3 * RADFM_PATCH**2 * 4
    states |= norm_states(f"{v}to_patch_embedding.1", numbers) | norm_states(
        f"{v}to_patch_embedding.3", width
    )
    states |= linear_states(f"{v}to_patch_embedding.2", width, numbers)
    for name, places in (("row", 4), ("col", 4), ("dep", 3)):
        states[f"{v}pos_embedding.{name}_embed.weight"] = random(places, width // 3)
    for i in range(2):
        at = f"{v}transformer.layers.{i}"
        states |= norm_states(f"{at}.0.norm", width) | norm_states(f"{at}.1.norm", width)
        states[f"{at}.0.fn.to_qkv.weight"] = random(3 * inner, width)
        states |= linear_states(f"{at}.0.fn.to_out.0", width, inner)
        states |= linear_states(f"{at}.1.fn.net.0", 40, width) | linear_states(f"{at}.1.fn.net.3", width, 40)
    p = f"{e}perceiver."
    states[f"{p}latents"] = random(RADFM_TOKENS, width)
    for i in range(6):
        for name in ("norm_media", "norm_latents"):
            states |= norm_states(f"{p}layers.{i}.0.{name}", width)
        states[f"{p}layers.{i}.0.to_q.weight"] = random(inner, width)
        states[f"{p}layers.{i}.0.to_kv.weight"] = random(2 * inner, width)
        states[f"{p}layers.{i}.0.to_out.weight"] = random(width, inner)
        states |= norm_states(f"{p}layers.{i}.1.0", width)
        states[f"{p}layers.{i}.1.1.weight"] = random(4 * width, width)
        states[f"{p}layers.{i}.1.3.weight"] = random(width, 4 * width)
    states |= norm_states(f"{p}norm", width) | linear_states(f"{e}fc", WIDTH, width)
    states |= linear_states(f"{e}bert_projection_fc", width, 12) | linear_states(f"{e}cls_head", 1, 3)
    states |= norm_states(f"{e}transformer_decoder.norm", width) | linear_states(
        f"{e}transformer_decoder_mlp.0", 6, width
    )
    states |= {
        f"{e}bert_model.embeddings.word_embeddings.weight": random(9, 12),
        f"{e}output_upscaling.0.bias": random(6),
    }
    return states
