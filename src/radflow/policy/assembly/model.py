"""A LLaVA-type model of any vision tower, a connector and any causal language model of transformers.

It is `LlavaForConditionalGeneration` with two changes: the connector is one of `connectors`, and the pictures
may come as what the tower made of them (``tower_states`` instead of ``pixel_values``), since a frozen tower
says the same in every step of every run.

Importing this module makes ``AutoModelForImageTextToText`` know the model; no code lies in its folder.
"""

from __future__ import annotations

from typing import Any, cast, no_type_check

from huggingface_hub.dataclasses import strict
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForImageTextToText,
    LlavaConfig,
    LlavaForConditionalGeneration,
)
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.models.llava.modeling_llava import LlavaModel

from radflow.policy.assembly.connectors import Connector, make_connector, patches


@no_type_check  # whose test would hide from transformers that any keyword is taken
@strict
class AssembledConfig(LlavaConfig):
    """LLaVA's configuration, with the connector, its visual tokens per picture and the tower's width."""

    model_type = "radflow_llava"
    connector: str = "mlp"
    image_tokens: int = 64
    vision_width: int | None = None

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

    def tower_states(self, pixel_values: Float[Tensor, "B C H W"]) -> Float[Tensor, "B _ D"]:
        """What the tower makes of pictures, as far as no weight of the connector is needed."""
        dtype = next(self.vision_tower.parameters()).dtype
        return self.connector.reduce(patches(self.vision_tower(pixel_values.to(dtype)).last_hidden_state))

    def get_image_features(
        self,
        pixel_values: Float[Tensor, "B C H W"] | None = None,
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


class AssembledForConditionalGeneration(LlavaForConditionalGeneration):
    """What ``AutoModelForImageTextToText`` loads."""

    config_class = AssembledConfig

    def __init__(self, config: Any) -> None:
        super(LlavaForConditionalGeneration, self).__init__(config)
        self.model = AssembledModel(config)
        text = config.text_config
        self.lm_head = nn.Linear(text.hidden_size, text.vocab_size, bias=False)
        words = self.model.language_model.get_input_embeddings()
        name = next(name for name, module in self.model.language_model.named_modules() if module is words)
        self._tied_weights_keys = {"lm_head.weight": f"model.language_model.{name}.weight"}
        self.post_init()

    def get_image_features(self, *args: Any, **kwargs: Any) -> BaseModelOutputWithPooling:
        """Visual tokens, ``(N, E)`` for each picture."""
        return self.model.get_image_features(*args, **kwargs)


AutoConfig.register(AssembledConfig.model_type, AssembledConfig)
AutoModelForImageTextToText.register(AssembledConfig, AssembledForConditionalGeneration)
