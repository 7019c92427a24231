"""A LLaVA-type model of any vision tower, a connector and any causal language model of transformers.

It is `LlavaForConditionalGeneration` with two changes: the connector is one of `connectors`, and the pictures
may come as what the tower made of them (``tower_states`` instead of ``pixel_values``), since a frozen tower
says the same in every step of every run. Two more are for published models alone (docs/baselines.md): a
study's pictures may be averaged before the connector, and the output head may know fewer tokens than the
input.

Importing this module makes ``AutoModelForImageTextToText`` know the model; no code lies in its folder.
"""

from __future__ import annotations

from typing import Any, cast, no_type_check

import torch.nn.functional as F
from huggingface_hub.dataclasses import strict
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForImageTextToText,
    AutoProcessor,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
)
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.models.llava.modeling_llava import LlavaModel

from radflow.policy.assembly.connectors import Connector, make_connector, patches
from radflow.policy.assembly.radfm import RadFMVisionConfig, RadFMVisionModel


@no_type_check  # whose test would hide from transformers that any keyword is taken
@strict
class AssembledConfig(LlavaConfig):
    """LLaVA's configuration, with the connector, its visual tokens per picture and the tower's width.

    ``average_views``: a study's pictures come as ``(P, V, C, H, W)``, filled up with zeros, and become one.
    ``head_tokens``: tokens of the output head where they are the first of a larger vocabulary.
    """

    model_type = "radflow_llava"
    connector: str = "mlp"
    image_tokens: int = 64
    vision_width: int | None = None
    average_views: bool = False
    head_tokens: int | None = None

    def fresh_connector(self) -> Connector:
        """A connector of this configuration."""
        vision: Any = self.vision_config
        text: Any = self.text_config
        width = self.vision_width or vision.hidden_size
        return make_connector(self.connector, width, text.hidden_size, self.image_tokens)


class AssembledModel(LlavaModel):
    """Tower, connector and language model, without the output head."""

    config_class = AssembledConfig

    def __init__(self, config: Any) -> None:
        super(LlavaModel, self).__init__(config)  # LLaVA's own would build its connector
        self.vision_tower = AutoModel.from_config(config.vision_config)
        self.multi_modal_projector = config.fresh_connector()
        self.language_model = AutoModel.from_config(config.text_config)
        self.post_init()

    @property
    def connector(self) -> Connector:
        """From the tower's states to visual tokens."""
        return cast(Connector, self.multi_modal_projector)

    def train(self, mode: bool = True) -> AssembledModel:
        """As of any module, but a frozen tower drops nothing out, and no tower counts in its batch norms."""
        super().train(mode)
        if not any(p.requires_grad for p in self.vision_tower.parameters()):
            self.vision_tower.eval()
        for module in self.vision_tower.modules():
            if isinstance(module, _BatchNorm):
                module.eval()
        return self

    def tower_states(self, pixel_values: Float[Tensor, "B *views C H W"]) -> Float[Tensor, "B _ D"]:
        """What the tower makes of pictures, as far as no weight of the connector is needed."""
        if self.config.average_views:
            return self._averaged(pixel_values)
        dtype = next(self.vision_tower.parameters()).dtype
        return self.connector.reduce(patches(self.vision_tower(pixel_values.to(dtype)).last_hidden_state))

    def _averaged(self, views: Float[Tensor, "P V C H W"]) -> Float[Tensor, "P S D"]:
        """The mean over each study's views; what is all zero is no view, but fills a study up."""
        there = views.flatten(2).any(-1)
        dtype = next(self.vision_tower.parameters()).dtype
        states = patches(self.vision_tower(views[there].to(dtype)).last_hidden_state)
        sums = states.new_zeros(len(views), *states.shape[1:])
        sums = sums.index_add(0, there.nonzero()[:, 0], states)
        return self.connector.reduce(sums / there.sum(1)[:, None, None])

    def get_image_features(
        self,
        pixel_values: Float[Tensor, "B *views C H W"] | None = None,
        tower_states: Float[Tensor, "B S D"] | None = None,
        **_: Any,
    ) -> BaseModelOutputWithPooling:
        """Visual tokens, ``(N, E)`` for each picture, from pictures or from `tower_states` of them."""
        if tower_states is None:
            assert pixel_values is not None
            tower_states = self.tower_states(pixel_values)
        tokens: Any = tuple(self.connector(tower_states.to(self.connector.last.weight.dtype)))
        return BaseModelOutputWithPooling(pooler_output=tokens)

    def forward(self, *args: Any, tower_states: Float[Tensor, "B S D"] | None = None, **kwargs: Any) -> Any:
        """As LLaVA's; ``tower_states`` stand for ``pixel_values``."""
        if tower_states is not None:
            kwargs["mm_encoder_outputs"] = {"image": self.get_image_features(tower_states=tower_states)}
        return super().forward(*args, **kwargs)


def make_head(config: AssembledConfig) -> nn.Linear:
    """The output head of a configuration, with fresh weights."""
    text: Any = config.text_config
    if config.head_tokens is None:
        return nn.Linear(text.hidden_size, text.vocab_size, bias=False)
    return ShorterHead(text.hidden_size, config.head_tokens, text.vocab_size)


class ShorterHead(nn.Linear):
    """An output head for the first tokens of a vocabulary; the input alone knows the others.

    Args:
        width: of the states.
        tokens: it knows.
        vocabulary: of the input.
    """

    NEVER = -1e4
    """The logit of the others: no probability at any temperature, and finite in every number type."""

    def __init__(self, width: int, tokens: int, vocabulary: int) -> None:
        super().__init__(width, tokens, bias=False)
        self.others = vocabulary - tokens

    def forward(self, input: Float[Tensor, "*rows D"]) -> Float[Tensor, "*rows V"]:
        """Logits of the whole vocabulary."""
        return F.pad(super().forward(input), (0, self.others), value=self.NEVER)


class AssembledForConditionalGeneration(LlavaForConditionalGeneration):
    """What ``AutoModelForImageTextToText`` loads."""

    config_class = AssembledConfig

    def __init__(self, config: Any) -> None:
        super(LlavaForConditionalGeneration, self).__init__(config)
        self.model = AssembledModel(config)
        self.lm_head = make_head(config)
        words = self.model.language_model.get_input_embeddings()
        name = next(name for name, module in self.model.language_model.named_modules() if module is words)
        self._tied_weights_keys = {"lm_head.weight": f"model.language_model.{name}.weight"}
        self.post_init()

    def get_image_features(self, *args: Any, **kwargs: Any) -> BaseModelOutputWithPooling:
        """Visual tokens, ``(N, E)`` for each picture."""
        return self.model.get_image_features(*args, **kwargs)


class ViewsProcessor(LlavaProcessor):
    """For ``average_views``: the pictures of a prompt take the visual tokens of one, and go along together.

    It takes one prompt at a time.
    """

    def replace_image_token(self, image_inputs: Any, image_idx: int, **kwargs: Any) -> str:
        """The visual tokens where the first picture stands; nothing for the others."""
        return "" if image_idx else super().replace_image_token(image_inputs, image_idx, **kwargs)

    def __call__(self, images: Any = None, text: Any = None, **kwargs: Any) -> Any:
        """As LLaVA's; ``pixel_values`` are ``(1, V, C, H, W)``."""
        if not isinstance(text, str) and len(text) != 1:
            raise ValueError(f"expected one prompt at a time, got {len(text)}: views are averaged by prompt")
        fields = super().__call__(images=images, text=text, **kwargs)
        fields["pixel_values"] = fields["pixel_values"][None]
        return fields


AutoConfig.register(RadFMVisionConfig.model_type, RadFMVisionConfig)
AutoModel.register(RadFMVisionConfig, RadFMVisionModel)
AutoConfig.register(AssembledConfig.model_type, AssembledConfig)
AutoModelForImageTextToText.register(AssembledConfig, AssembledForConditionalGeneration)
AutoProcessor.register(AssembledConfig, ViewsProcessor)
