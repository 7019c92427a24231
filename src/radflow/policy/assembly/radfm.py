"""RadFM's vision tower and connector (2308.02463), with the names and shapes of its published weights.

    tower        a ViT over volumes in patches of 32 x 32 pixels x 4 slices. A film is shown as four equal
                 slices, as its authors do
    connector    32 learned queries look at all patches through six layers of Flamingo's resampler
                 (2204.14198), then one linear layer

Written from the published layout; no code of its authors is in it. Axes as in `connectors`; ``F`` slices.
"""

from __future__ import annotations

from typing import Any, no_type_check

import torch
from huggingface_hub.dataclasses import strict
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

from radflow.policy.assembly.connectors import QUERY_SPREAD, Connector

HEADS, HEAD_WIDTH = 8, 64
"""Of tower and connector alike, whatever their width."""
RESAMPLER_LAYERS = 6


@no_type_check
@strict
class RadFMVisionConfig(PreTrainedConfig):
    """Sizes of the tower; the defaults are the published ones."""

    model_type = "radfm_vision"
    hidden_size: int = 768
    num_hidden_layers: int = 12
    intermediate_size: int = 2048
    num_channels: int = 3
    image_size: int = 512
    patch_size: int = 32
    slices: int = 512
    slice_patch: int = 4
    dropout: float = 0.1

    @property
    def grid(self) -> tuple[int, int, int]:
        """Places along height, width and depth that have an embedding."""
        edge = self.image_size // self.patch_size
        return edge, edge, self.slices // self.slice_patch


class _Patches(nn.Module):
    """A volume as rows of numbers, a patch each: its pixels row by row, of each all slices, channels last."""

    def __init__(self, edge: int, depth: int) -> None:
        super().__init__()
        self.edge, self.depth = edge, depth

    def forward(self, volume: Float[Tensor, "B C H W F"]) -> Float[Tensor, "B S P"]:
        cut = (
            volume.unflatten(4, (-1, self.depth)).unflatten(3, (-1, self.edge)).unflatten(2, (-1, self.edge))
        )
        # B C h p1 w p2 f pf -> B (h w f) (p1 p2 pf C)
        return cut.permute(0, 2, 4, 6, 3, 5, 7, 1).flatten(4).flatten(1, 3)


class _Places(nn.Module):
    """Learned embeddings of row, column and depth, a third of the width each."""

    def __init__(self, width: int, grid: tuple[int, int, int]) -> None:
        super().__init__()
        self.row_embed, self.col_embed, self.dep_embed = (nn.Embedding(n, width // 3) for n in grid)

    def forward(self, rows: int, columns: int, depth: int) -> Float[Tensor, "S D"]:
        """Of a grid that is coarser than the largest, each place has the last embedding that it covers."""
        size = (rows, columns, depth)
        found = []
        for axis, embedding in enumerate((self.row_embed, self.col_embed, self.dep_embed)):
            places = torch.arange(1, size[axis] + 1, device=embedding.weight.device)
            along = [1, 1, 1, -1]
            along[axis] = size[axis]
            found.append(embedding(places * (embedding.num_embeddings // size[axis]) - 1).view(along))
        return torch.cat([each.expand(*size, -1) for each in found], dim=-1).flatten(0, 2)


class _Attention(nn.Module):
    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        inner = HEADS * HEAD_WIDTH
        self.to_qkv = nn.Linear(width, 3 * inner, bias=False)
        self.to_out = nn.Sequential(nn.Linear(inner, width), nn.Dropout(dropout))
        self.dropout = dropout

    def forward(self, x: Float[Tensor, "B S D"]) -> Float[Tensor, "B S D"]:
        q, k, v = (_heads(t) for t in self.to_qkv(x).chunk(3, -1))
        seen = scaled_dot_product_attention(q, k, v, dropout_p=self.dropout if self.training else 0.0)
        return self.to_out(seen.transpose(1, 2).flatten(2))


class _FeedForward(nn.Module):
    def __init__(self, width: int, inner: int, dropout: float) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(width, inner),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(inner, width),
            nn.Dropout(dropout),
        )

    def forward(self, x: Float[Tensor, "B S D"]) -> Float[Tensor, "B S D"]:
        return self.net(x)


class _Residual(nn.Module):
    """The input and what a layer makes of it after a norm."""

    def __init__(self, width: int, layer: nn.Module) -> None:
        super().__init__()
        self.norm, self.fn = nn.LayerNorm(width), layer

    def forward(self, x: Float[Tensor, "B S D"]) -> Float[Tensor, "B S D"]:
        return x + self.fn(self.norm(x))


class _Layers(nn.Module):
    def __init__(self, config: Any) -> None:
        super().__init__()
        width, dropout = config.hidden_size, config.dropout
        self.layers = nn.ModuleList(
            nn.ModuleList(
                [
                    _Residual(width, _Attention(width, dropout)),
                    _Residual(width, _FeedForward(width, config.intermediate_size, dropout)),
                ]
            )
            for _ in range(config.num_hidden_layers)
        )


class RadFMVisionModel(PreTrainedModel):
    """The tower."""

    config_class = RadFMVisionConfig
    main_input_name = "pixel_values"
    base_model_prefix = "vision_encoder"

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        width = config.hidden_size
        numbers = config.num_channels * config.patch_size**2 * config.slice_patch
        self.to_patch_embedding = nn.Sequential(
            _Patches(config.patch_size, config.slice_patch),
            nn.LayerNorm(numbers),
            nn.Linear(numbers, width),
            nn.LayerNorm(width),
        )
        self.pos_embedding = _Places(width, config.grid)
        self.dropout = nn.Dropout(config.dropout)
        self.transformer = _Layers(config)
        self.post_init()

    def forward(self, pixel_values: Float[Tensor, "B C H W *F"], **_: Any) -> BaseModelOutput:
        """Patches of films, ``(B, C, H, W)``, each shown as equal slices, or of volumes."""
        if pixel_values.dim() == 4:
            pixel_values = pixel_values[..., None].expand(*pixel_values.shape, self.config.slice_patch)
        height, width, depth = pixel_values.shape[2:]
        edge = self.config.patch_size
        places = self.pos_embedding(height // edge, width // edge, depth // self.config.slice_patch)
        x = self.dropout(self.to_patch_embedding(pixel_values) + places)
        for attention, feed_forward in self.transformer.layers:  # ty: ignore[not-iterable]
            x = feed_forward(attention(x))
        return BaseModelOutput(last_hidden_state=x)


class _Queries(nn.Module):
    """A layer of the resampler: queries attend to patches and to each other."""

    def __init__(self, width: int) -> None:
        super().__init__()
        inner = HEADS * HEAD_WIDTH
        self.norm_media, self.norm_latents = nn.LayerNorm(width), nn.LayerNorm(width)
        self.to_q = nn.Linear(width, inner, bias=False)
        self.to_kv = nn.Linear(width, 2 * inner, bias=False)
        self.to_out = nn.Linear(inner, width, bias=False)

    def forward(
        self, latents: Float[Tensor, "B N D"], seen: Float[Tensor, "B S D"]
    ) -> Float[Tensor, "B N D"]:
        latents = self.norm_latents(latents)
        k, v = self.to_kv(torch.cat([self.norm_media(seen), latents], 1)).chunk(2, -1)
        found = scaled_dot_product_attention(_heads(self.to_q(latents)), _heads(k), _heads(v))
        return self.to_out(found.transpose(1, 2).flatten(2))


class _Resampler(nn.Module):
    def __init__(self, width: int, tokens: int) -> None:
        super().__init__()
        self.latents = nn.Parameter(torch.randn(tokens, width))
        self.layers = nn.ModuleList(
            nn.ModuleList(
                [
                    _Queries(width),
                    nn.Sequential(
                        nn.LayerNorm(width),
                        nn.Linear(width, 4 * width, bias=False),
                        nn.GELU(),
                        nn.Linear(4 * width, width, bias=False),
                    ),
                ]
            )
            for _ in range(RESAMPLER_LAYERS)
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, seen: Float[Tensor, "B S D"]) -> Float[Tensor, "B N D"]:
        latents = self.latents.expand(len(seen), -1, -1)
        for queries, feed_forward in self.layers:  # ty: ignore[not-iterable]
            latents = latents + queries(latents, seen)
            latents = latents + feed_forward(latents)
        return self.norm(latents)


class RadFMConnector(Connector):
    """``radfm``: the resampler at the width of the tower, then one linear layer."""

    def __init__(self, vision_width: int, text_width: int, tokens: int) -> None:
        super().__init__(tokens)
        self.perceiver = _Resampler(vision_width, tokens)
        self.fc = nn.Linear(vision_width, text_width)

    def forward(self, states: Float[Tensor, "B S D"]) -> Float[Tensor, "B N E"]:
        """Visual tokens from all patches."""
        return self.fc(self.perceiver(states))

    @property
    def last(self) -> nn.Linear:
        """The layer behind the resampler."""
        return self.fc

    @torch.no_grad()
    def initialise(self, spread: float, *, width: int) -> None:
        """As of any connector, with queries in which what they see does not drown."""
        self.perceiver.latents.normal_(std=QUERY_SPREAD)
        super().initialise(spread, width=width)


def _heads(x: Float[Tensor, "B S I"]) -> Float[Tensor, "B A S K"]:
    return x.unflatten(-1, (HEADS, HEAD_WIDTH)).transpose(1, 2)
