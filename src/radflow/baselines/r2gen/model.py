"""R2Gen as a policy: a vision tower, a Transformer encoder over its patches, a decoder with a memory.

Importing this module makes ``AutoModelForImageTextToText`` know the model; no code lies in its folder.

Where it departs from the authors': any vision tower of transformers in place of a ResNet-101; patches may be
averaged to fewer; words are those of the run's own tokenizer, with case and punctuation; all pictures of a
study are read, as theirs are on IU X-Ray. Reports are greedy or sampled, as of any policy; theirs come from
beam search with three beams.
"""

from __future__ import annotations

from typing import Any, no_type_check

import torch
from huggingface_hub.dataclasses import strict
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForImageTextToText,
    AutoProcessor,
    PretrainedConfig,
)
from transformers.modeling_outputs import CausalLMOutputWithPast

from radflow.baselines.r2gen.layers import (
    DecoderLayer,
    EncoderLayer,
    MemoryCache,
    MemoryNorm,
    Norm,
    RelationalMemory,
    sinusoids,
)
from radflow.policy.assembly.connectors import patches, pooled
from radflow.policy.cross_attention import CrossAttending, FilmProcessor


@no_type_check  # whose test would hide from transformers that any keyword is taken
@strict
class R2GenConfig(PretrainedConfig):
    """Sizes of R2Gen; the defaults are the authors' for IU X-Ray, but for the tower."""

    model_type = "radflow_r2gen"
    sub_configs = {"vision_config": AutoConfig}  # noqa: RUF012  (as transformers declares it)
    vision_config: dict | PretrainedConfig | None = None
    vision_width: int = 2048
    image_tokens: int | None = None
    vocab_size: int = 761
    hidden_size: int = 512
    intermediate_size: int = 512
    num_hidden_layers: int = 3
    num_attention_heads: int = 8
    memory_slots: int = 3
    memory_heads: int = 8
    dropout: float = 0.1
    picture_dropout: float = 0.5
    pad_token_id: int | None = 0
    bos_token_id: int | None = None
    eos_token_id: int | None = None
    tie_word_embeddings: bool = False

    def __post_init__(self, **kwargs: Any) -> None:
        if isinstance(self.vision_config, dict):
            named = dict(self.vision_config)
            self.vision_config = AutoConfig.for_model(named.pop("model_type"), **named)
        super().__post_init__(**kwargs)


class FilmEncoder(nn.Module):
    """The patches of a study's pictures, in the width of the decoder, after they have seen each other."""

    def __init__(self, config: R2GenConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.embedding = nn.Sequential(
            nn.Linear(config.vision_width, width), nn.ReLU(), nn.Dropout(config.picture_dropout)
        )
        self.layers = nn.ModuleList(
            EncoderLayer(width, config.intermediate_size, config.num_attention_heads, config.dropout)
            for _ in range(config.num_hidden_layers)
        )
        self.norm = Norm(width)

    def forward(self, states: Float[Tensor, "N M V"], mask: Bool[Tensor, "N M"]) -> Float[Tensor, "N M D"]:
        """What the decoder attends to."""
        hidden = self.embedding(states)
        for layer in self.layers:
            hidden = layer(hidden, mask[:, None, None])
        return self.norm(hidden)


class MemoryDecoder(nn.Module):
    """Words to states, steered by the relational memory."""

    def __init__(self, config: R2GenConfig) -> None:
        super().__init__()
        width, slots = config.hidden_size, config.memory_slots
        self.embedding = nn.Embedding(config.vocab_size, width)
        self.memory = RelationalMemory(width, slots, config.memory_heads)
        self.layers = nn.ModuleList(
            DecoderLayer(
                width, config.intermediate_size, config.num_attention_heads, slots, config.dropout, number
            )
            for number in range(config.num_hidden_layers)
        )
        self.norm = Norm(width)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self,
        input_ids: Int[Tensor, "N T"],
        mask: Bool[Tensor, "N K"],
        states: Float[Tensor, "N M D"],
        sight: Bool[Tensor, "N M"],
        cache: MemoryCache | None = None,
    ) -> tuple[Float[Tensor, "N T D"], list[Tensor]]:
        """The last states, and the hidden states of all layers, embeddings first.

        Args:
            input_ids: the new tokens.
            mask: false on padding, for tokens in the cache too.
            states: of the pictures.
            sight: where they are.
            cache: of earlier tokens; extended in place.
        """
        new = input_ids.shape[1]
        own = mask[:, -new:]
        places = (mask.long().cumsum(1) - 1).clamp(min=0)[:, -new:]
        words = self.embedding(input_ids) * self.embedding.embedding_dim**0.5
        words = words + sinusoids(places, words.shape[2]).to(words.dtype)
        # The authors embed the words twice, with a dropout of its own for each.
        memory = self.memory.start(words) if cache is None or cache.memory is None else cache.memory
        memories, memory = self.memory(self.dropout(words), memory, own)
        if cache is not None:
            cache.memory = memory
        total = mask.shape[1]
        causal = torch.ones(new, total, dtype=torch.bool, device=mask.device).tril(total - new)
        itself = torch.eye(new, total, dtype=torch.bool, device=mask.device).roll(total - new, 1)
        visible = (causal & mask[:, None] | itself)[:, None]  # padding sees itself, or it would see nothing
        hidden = self.dropout(words)
        kept = [hidden]
        for layer in self.layers:
            hidden = layer(hidden, memories, states, visible, sight[:, None, None], cache=cache)
            kept.append(hidden)
        return self.norm(hidden), kept


class R2GenForConditionalGeneration(CrossAttending):
    """What ``AutoModelForImageTextToText`` loads."""

    config_class = R2GenConfig
    base_model_prefix = ""
    supports_gradient_checkpointing = True

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.vision_tower = AutoModel.from_config(config.vision_config)
        self.connector = FilmEncoder(config)
        self.decoder = MemoryDecoder(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """Of the words."""
        return self.decoder.embedding

    def empty_cache(self) -> MemoryCache:
        """With room for the memory."""
        return MemoryCache()

    def see(self, pixel_values: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B S V"]:
        """The patches of pictures, averaged where the configuration says so."""
        states = patches(self.vision_tower(pixel_values).last_hidden_state)
        wanted = self.config.image_tokens
        return states if wanted is None or states.shape[1] <= wanted else pooled(states, wanted)

    def encode(
        self, states: Float[Tensor, "N P S V"], there: Bool[Tensor, "N P"]
    ) -> tuple[Float[Tensor, "N M D"], Bool[Tensor, "N M"]]:
        """All patches of a study in one row, after they have seen each other."""
        mask = there.repeat_interleave(states.shape[2], dim=1)
        return self.connector(states.flatten(1, 2).to(self.lm_head.weight.dtype), mask), mask

    def forward(
        self,
        input_ids: Int[Tensor, "N T"],
        attention_mask: Tensor | None = None,
        pixel_values: Tensor | None = None,
        tower_states: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        past_key_values: MemoryCache | None = None,
        use_cache: bool | None = None,
        output_hidden_states: bool | None = None,
        logits_to_keep: int = 0,
        **_: Any,
    ) -> CausalLMOutputWithPast:
        """Logits of what follows each token.

        Args:
            input_ids: the report so far, its begin token first; with a cache the new tokens alone.
            attention_mask: zero on padding, for tokens in the cache too.
            pixel_values: ``(N, V, 3, H, W)``; zeros are no picture.
            tower_states: in their place, what `tower_states` gives.
            encoder_hidden_states: in their place, what `encode` gives.
            encoder_attention_mask: of `encode`, too.
            past_key_values: of earlier tokens.
            use_cache: return the cache, a fresh one where none was given.
            output_hidden_states: return the states of all layers too.
            logits_to_keep: of the last positions; 0 for all.
        """
        if encoder_hidden_states is None:
            encoder_hidden_states, encoder_attention_mask = self.encoded(pixel_values, tower_states)
        assert encoder_attention_mask is not None
        if past_key_values is None and use_cache:
            past_key_values = MemoryCache()
        before = 0 if past_key_values is None else past_key_values.get_seq_length()
        if attention_mask is None:
            attention_mask = input_ids.new_ones(len(input_ids), before + input_ids.shape[1])
        hidden, states = self.decoder(
            input_ids, attention_mask.bool(), encoder_hidden_states, encoder_attention_mask, past_key_values
        )
        return CausalLMOutputWithPast(
            logits=self.lm_head(hidden[:, -logits_to_keep:]),
            past_key_values=past_key_values,
            hidden_states=tuple(states) if output_hidden_states else None,
        )


@torch.no_grad()
def initialise(model: R2GenForConditionalGeneration) -> None:
    """Fresh weights outside the tower, drawn as the authors draw theirs."""
    for part in (model.connector.layers, model.decoder):
        for weight in part.parameters():
            if weight.dim() > 1:
                nn.init.xavier_uniform_(weight)
    for module in model.decoder.modules():
        if isinstance(module, MemoryNorm):
            for layer in (*module.mlp_gamma, *module.mlp_beta):
                if isinstance(layer, nn.Linear):
                    nn.init.constant_(layer.bias, 0.1)
    for layer in (model.connector.embedding[0], model.lm_head):
        assert isinstance(layer, nn.Linear)
        nn.init.normal_(layer.weight, std=layer.in_features**-0.5)


AutoConfig.register(R2GenConfig.model_type, R2GenConfig)
AutoModelForImageTextToText.register(R2GenConfig, R2GenForConditionalGeneration)
AutoProcessor.register(R2GenConfig, FilmProcessor)
