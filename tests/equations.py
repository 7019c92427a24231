"""Llama, Swin and RadFM's vision from their equations, in plain torch, over published names."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

Weights = Mapping[str, Tensor]


def under(weights: Weights, prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): t for name, t in weights.items() if name.startswith(prefix)}


def linear(w: Weights, name: str, x: Tensor) -> Tensor:
    bias = w.get(f"{name}.bias")
    y = x @ w[f"{name}.weight"].T
    return y if bias is None else y + bias


def layer_norm(w: Weights, name: str, x: Tensor, eps: float = 1e-5) -> Tensor:
    mean, spread = x.mean(-1, keepdim=True), x.var(-1, unbiased=False, keepdim=True)
    return (x - mean) / (spread + eps).sqrt() * w[f"{name}.weight"] + w[f"{name}.bias"]


def attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | float = 0.0) -> Tensor:
    return ((q @ k.transpose(-1, -2)) * q.shape[-1] ** -0.5 + bias).softmax(-1) @ v


def split(x: Tensor, heads: int) -> Tensor:
    return x.unflatten(-1, (heads, -1)).transpose(-2, -3)


def merge(x: Tensor) -> Tensor:
    return x.transpose(-2, -3).flatten(-2)


# ---- Llama (2302.13971) ----------------------------------------------------------------------------------


def llama_logits(
    w: Weights, head: Tensor, x: Tensor, *, heads: int, eps: float, theta: float = 1e4
) -> Tensor:
    """Logits ``(T, V)`` of embedded tokens ``(T, D)``."""

    def rms(name: str, x: Tensor) -> Tensor:
        return x * (x.square().mean(-1, keepdim=True) + eps).rsqrt() * w[f"{name}.weight"]

    width = x.shape[-1] // heads
    angles = torch.arange(len(x))[:, None] * theta ** (-torch.arange(0, width, 2) / width)
    cos, sin = (torch.cat([f(angles)] * 2, -1) for f in (torch.cos, torch.sin))

    def turn(x: Tensor) -> Tensor:
        a, b = x.chunk(2, -1)
        return x * cos + torch.cat([-b, a], -1) * sin

    causal = torch.full((len(x), len(x)), float("-inf")).triu(1)
    for i in range(sum(name.endswith("input_layernorm.weight") for name in w)):
        at = f"layers.{i}"
        h = rms(f"{at}.input_layernorm", x)
        q, k, v = (split(linear(w, f"{at}.self_attn.{n}_proj", h), heads) for n in "qkv")
        x = x + linear(w, f"{at}.self_attn.o_proj", merge(attend(turn(q), turn(k), v, causal)))
        h = rms(f"{at}.post_attention_layernorm", x)
        gated = F.silu(linear(w, f"{at}.mlp.gate_proj", h)) * linear(w, f"{at}.mlp.up_proj", h)
        x = x + linear(w, f"{at}.mlp.down_proj", gated)
    return rms("norm", x) @ head.T


# ---- Swin (2103.14030) -----------------------------------------------------------------------------------


def swin(w: Weights, pixels: Tensor, *, heads: tuple[int, ...], window: int) -> Tensor:
    """Patches ``(S, D)`` of one picture ``(3, H, W)``; every grid is a multiple of the window."""
    kernel = w["embeddings.patch_embeddings.projection.weight"]
    x = F.conv2d(pixels[None], kernel, w["embeddings.patch_embeddings.projection.bias"], kernel.shape[-1])[0]
    x = layer_norm(w, "embeddings.norm", x.permute(1, 2, 0))
    for stage, count in enumerate(heads):
        at = f"encoder.layers.{stage}"
        for block in range(sum(n.startswith(f"{at}.blocks.") and n.endswith("norm_before.bias") for n in w)):
            shift = window // 2 if block % 2 and len(x) > window else 0
            x = swin_block(under(w, f"{at}.blocks.{block}."), x, count, window, shift)
        if f"{at}.downsample.norm.weight" in w:
            four = torch.cat([x[0::2, 0::2], x[1::2, 0::2], x[0::2, 1::2], x[1::2, 1::2]], -1)
            x = linear(w, f"{at}.downsample.reduction", layer_norm(w, f"{at}.downsample.norm", four))
    return layer_norm(w, "layernorm", x).flatten(0, 1)


def swin_block(w: Weights, x: Tensor, heads: int, window: int, shift: int) -> Tensor:
    h = layer_norm(w, "layernorm_before", x).roll((-shift, -shift), (0, 1))
    size = len(h)
    band = torch.arange(size)
    region = (
        (band >= size - window).long() + (band >= size - shift).long() if shift else torch.zeros_like(band)
    )
    region = region[:, None] * 3 + region[None, :]
    place = torch.stack(torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij"), -1).view(
        -1, 2
    )
    apart = place[:, None] - place[None] + window - 1
    bias = w["attention.self.relative_position_bias_table"][apart[..., 0] * (2 * window - 1) + apart[..., 1]]
    out = torch.empty_like(h)
    for r in range(0, size, window):
        for c in range(0, size, window):
            cell = h[r : r + window, c : c + window].flatten(0, 1)
            whose = region[r : r + window, c : c + window].flatten()
            apart_by = torch.where(whose[:, None] == whose[None], 0.0, -100.0)
            q, k, v = (
                split(linear(w, f"attention.self.{n}", cell), heads) for n in ("query", "key", "value")
            )
            seen = merge(attend(q, k, v, bias.permute(2, 0, 1) + apart_by))
            out[r : r + window, c : c + window] = linear(w, "attention.output.dense", seen).unflatten(
                0, (window, window)
            )
    x = x + out.roll((shift, shift), (0, 1))
    h = F.gelu(linear(w, "intermediate.dense", layer_norm(w, "layernorm_after", x)))
    return x + linear(w, "output.dense", h)


# ---- RadFM's vision (2308.02463) -------------------------------------------------------------------------


def radfm_tokens(w: Weights, pixels: Tensor, *, patch: int) -> Tensor:
    """Visual tokens ``(N, E)`` of one film ``(3, H, W)`` between 0 and 1, shown as four equal slices."""
    v, p = under(w, "vision_encoder."), under(w, "perceiver.")
    volume = torch.stack([pixels] * 4, -1)
    edge = pixels.shape[-1] // patch
    rows = [
        volume[:, r * patch : (r + 1) * patch, c * patch : (c + 1) * patch].permute(1, 2, 3, 0).flatten()
        for r in range(edge)
        for c in range(edge)
    ]
    x = layer_norm(v, "to_patch_embedding.1", torch.stack(rows))
    x = layer_norm(v, "to_patch_embedding.3", linear(v, "to_patch_embedding.2", x))
    row, column, depth = (v[f"pos_embedding.{n}_embed.weight"] for n in ("row", "col", "dep"))
    x = x + torch.stack([torch.cat([row[r], column[c], depth[-1]]) for r in range(edge) for c in range(edge)])
    for i in range(sum(name.endswith("to_qkv.weight") for name in v)):
        a, f = f"transformer.layers.{i}.0", f"transformer.layers.{i}.1"
        q, k, value = (
            split(t, 8) for t in linear(v, f"{a}.fn.to_qkv", layer_norm(v, f"{a}.norm", x)).chunk(3, -1)
        )
        x = x + linear(v, f"{a}.fn.to_out.0", merge(attend(q, k, value)))
        x = x + linear(v, f"{f}.fn.net.3", F.gelu(linear(v, f"{f}.fn.net.0", layer_norm(v, f"{f}.norm", x))))
    latents = p["latents"]
    for i in range(6):
        a, f = f"layers.{i}.0", f"layers.{i}.1"
        query = layer_norm(p, f"{a}.norm_latents", latents)
        both = torch.cat([layer_norm(p, f"{a}.norm_media", x), query])
        k, value = (split(t, 8) for t in linear(p, f"{a}.to_kv", both).chunk(2, -1))
        latents = latents + linear(
            p, f"{a}.to_out", merge(attend(split(linear(p, f"{a}.to_q", query), 8), k, value))
        )
        latents = latents + linear(p, f"{f}.3", F.gelu(linear(p, f"{f}.1", layer_norm(p, f"{f}.0", latents))))
    return linear(w, "fc", layer_norm(p, "norm", latents))
