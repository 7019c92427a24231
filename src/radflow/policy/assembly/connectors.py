"""From the patches of a vision tower to the visual tokens of a language model (paper, section 3.1).

    linear      patches pooled to a grid of N cells, one linear layer          MedVersa (2405.07988)
    mlp         the same pooling, two layers with GELU between them            LLaVA 1.5 (2310.03744)
    perceiver   N learned queries look at all patches, three layers            Idefics2 (2405.02246)
    qformer     N learned queries look at all patches, BERT's layers           BLIP-2 (2301.12597)
    r2gengpt    every patch through one linear layer, then a LayerNorm         R2GenGPT (2309.09812)
    radfm       N learned queries, RadFM's six layers                          RadFM (2308.02463)

The first two pool before they project, so what a frozen tower gives is small enough to keep. The last two
have the layouts of published weights and no others (docs/baselines.md); ``radflow assemble`` offers the rest.
Axes: ``B`` pictures, ``S`` patches, ``N`` visual tokens, ``D`` and ``E`` widths of tower and language model.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from transformers import Blip2QFormerConfig, Blip2QFormerModel
from transformers.models.idefics2.configuration_idefics2 import Idefics2PerceiverConfig
from transformers.models.idefics2.modeling_idefics2 import Idefics2PerceiverResampler

CONNECTORS = ("linear", "mlp", "perceiver", "qformer")
ON_A_GRID = frozenset({"linear", "mlp"})
"""Connectors whose visual tokens are cells of a square grid."""
HEAD_WIDTH = 64
QUERY_SPREAD = 0.1


def patches(hidden: Float[Tensor, "B T D"] | Float[Tensor, "B D H W"]) -> Float[Tensor, "B S D"]:
    """The patches of a square picture among a tower's outputs, row by row.

    What stands before the largest square number of tokens is no patch: class and register tokens.

    >>> import torch
    >>> patches(torch.zeros(1, 1 + 4 + 16 * 16, 8)).shape, patches(torch.zeros(1, 8, 7, 7)).shape
    (torch.Size([1, 256, 8]), torch.Size([1, 49, 8]))
    """
    if hidden.dim() == 4:  # a convolutional tower
        return hidden.flatten(2).transpose(1, 2)
    return hidden[:, -(math.isqrt(hidden.shape[1]) ** 2) :]


def pooled(tokens: Float[Tensor, "B S D"], count: int) -> Float[Tensor, "B N D"]:
    """Patches on a square grid, averaged to ``count`` cells.

    >>> import torch
    >>> pooled(torch.arange(16.0).view(1, 16, 1), 4).flatten()
    tensor([ 2.5000,  4.5000, 10.5000, 12.5000])
    """
    side, cells = math.isqrt(tokens.shape[1]), math.isqrt(count)
    grid = tokens.transpose(1, 2).unflatten(2, (side, side))
    return F.adaptive_avg_pool2d(grid, (cells, cells)).flatten(2).transpose(1, 2)


@torch.no_grad()
def keep_scale(module: nn.Module) -> None:
    """Fresh linear layers that give numbers of the spread of those they are given."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=layer.in_features**-0.5)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


class Connector(nn.Module, ABC):
    """What all connectors have.

    Args:
        tokens: N.
    """

    def __init__(self, tokens: int) -> None:
        super().__init__()
        self.tokens = tokens

    def reduce(self, states: Float[Tensor, "B S D"]) -> Float[Tensor, "B _ D"]:
        """What needs no weights, and so need be done once per picture."""
        return states

    @abstractmethod
    def forward(self, states: Float[Tensor, "B S D"]) -> Float[Tensor, "B N E"]:
        """Visual tokens from reduced patches."""

    @property
    @abstractmethod
    def last(self) -> nn.Linear:
        """The layer that gives the visual tokens."""

    @torch.no_grad()
    def initialise(self, spread: float, *, width: int) -> None:
        """Fresh weights, with which pictures differ, and visual tokens have this standard deviation on noise.

        With the initialisation of the classes (0.02 throughout) what queries see drowns in the queries
        themselves, and the visual tokens of all pictures are the same to a hundredth of their spread.

        Args:
            spread: that of the words they stand among.
            width: D.
        """
        keep_scale(self)
        found = self.eval()(torch.randn(8, max(self.tokens, 16), width)[:, : self.tokens])
        self.last.weight.mul_(spread / float(found.std()))
        self.train()


class GridConnector(Connector):
    """``linear`` and ``mlp``: one visual token per cell of a grid.

    Args:
        layers: 1 or 2.
        vision_width: D.
        text_width: E.
        tokens: N, a square number.
    """

    def __init__(self, layers: int, vision_width: int, text_width: int, tokens: int) -> None:
        super().__init__(tokens)
        self.norm = nn.LayerNorm(vision_width)
        widths = [vision_width, *[text_width] * layers]
        self.layers = nn.ModuleList(nn.Linear(i, o) for i, o in pairwise(widths))

    def reduce(self, states: Float[Tensor, "B S D"]) -> Float[Tensor, "B N D"]:
        """The mean of each cell's patches."""
        return pooled(states, self.tokens) if states.shape[1] != self.tokens else states

    def forward(self, states: Float[Tensor, "B N D"]) -> Float[Tensor, "B N E"]:
        """Visual tokens from the cells' means."""
        hidden = self.norm(states)
        for i, layer in enumerate(self.layers):
            hidden = layer(F.gelu(hidden) if i else hidden)
        return hidden

    @property
    def last(self) -> nn.Linear:
        """The second layer of ``mlp``, the one of ``linear``."""
        layer = self.layers[-1]
        assert isinstance(layer, nn.Linear)
        return layer


class PerceiverConnector(Connector):
    """``perceiver``: Idefics2's resampler at the width of the tower, then one linear layer."""

    def __init__(self, vision_width: int, text_width: int, tokens: int) -> None:
        super().__init__(tokens)
        heads = max(1, vision_width // HEAD_WIDTH)
        config = Idefics2PerceiverConfig(
            hidden_size=vision_width,
            resampler_n_latents=tokens,
            resampler_n_heads=heads,
            resampler_head_dim=max(vision_width // heads, 1),
            num_key_value_heads=heads,
        )
        self.norm = nn.LayerNorm(vision_width)
        self.resampler = Idefics2PerceiverResampler(config)
        self.resampler.latents.data.normal_(std=QUERY_SPREAD)  # of the classes they are all alike
        self.output = nn.Linear(vision_width, text_width)

    def forward(self, states: Float[Tensor, "B S D"]) -> Float[Tensor, "B N E"]:
        """Visual tokens from all patches."""
        seen = states.new_ones(states.shape[:2], dtype=torch.long)
        return self.output(self.resampler(context=self.norm(states), attention_mask=seen))

    @property
    def last(self) -> nn.Linear:
        """The layer behind the resampler."""
        return self.output


class QFormerConnector(Connector):
    """``qformer``: BLIP-2's at the width of the tower, six layers, then one linear layer."""

    LAYERS = 6

    def __init__(self, vision_width: int, text_width: int, tokens: int) -> None:
        super().__init__(tokens)
        config = Blip2QFormerConfig(
            hidden_size=vision_width,
            num_hidden_layers=self.LAYERS,
            num_attention_heads=max(1, vision_width // HEAD_WIDTH),
            intermediate_size=4 * vision_width,
            encoder_hidden_size=vision_width,
        )
        self.norm = nn.LayerNorm(vision_width)
        self.queries = nn.Parameter(QUERY_SPREAD * torch.randn(1, tokens, vision_width))
        self.qformer = Blip2QFormerModel(config)
        self.output = nn.Linear(vision_width, text_width)

    def forward(self, states: Float[Tensor, "B S D"]) -> Float[Tensor, "B N E"]:
        """Visual tokens from all patches."""
        queries = self.queries.expand(len(states), -1, -1)
        found = self.qformer(query_embeds=queries, encoder_hidden_states=self.norm(states))
        return self.output(found.last_hidden_state)

    @property
    def last(self) -> nn.Linear:
        """The layer behind the Q-Former."""
        return self.output


class NormedConnector(Connector):
    """``r2gengpt``: one visual token per patch, brought to one scale behind the projection."""

    def __init__(self, vision_width: int, text_width: int, tokens: int) -> None:
        super().__init__(tokens)
        self.projection = nn.Linear(vision_width, text_width)
        self.norm = nn.LayerNorm(text_width)

    def forward(self, states: Float[Tensor, "B N D"]) -> Float[Tensor, "B N E"]:
        """Visual tokens from patches."""
        return self.norm(self.projection(states))

    @property
    def last(self) -> nn.Linear:
        """The projection."""
        return self.projection

    @torch.no_grad()
    def initialise(self, spread: float, *, width: int) -> None:
        """As of any connector; here the norm sets the spread."""
        super().initialise(1.0, width=width)
        self.norm.weight.fill_(spread)


def make_connector(name: str, vision_width: int, text_width: int, tokens: int) -> Connector:
    """A connector by its name, with fresh weights.

    Raises:
        ValueError: no connector has this name.
    """
    if name == "perceiver":
        return PerceiverConnector(vision_width, text_width, tokens)
    if name == "qformer":
        return QFormerConnector(vision_width, text_width, tokens)
    if name == "r2gengpt":
        return NormedConnector(vision_width, text_width, tokens)
    if name == "radfm":
        from radflow.policy.assembly.radfm import RadFMConnector

        return RadFMConnector(vision_width, text_width, tokens)
    if name not in ON_A_GRID:
        raise ValueError(f"expected one of {', '.join(CONNECTORS)}, got {name!r}")
    return GridConnector(1 if name == "linear" else 2, vision_width, text_width, tokens)
