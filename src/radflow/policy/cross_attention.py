"""What models need that read their pictures by cross-attention: encoder-decoders as policies.

Such a model is asked nothing: its prompt is the one token that begins a text, no token stands for a picture,
and the pictures of a study lie along an axis of their own, so that each row of a batch keeps its own. A study
with fewer pictures than another is filled up with zeros, as Idefics3's are.

Axes: ``N`` rows, ``V`` pictures of a study, ``S`` states of a picture, ``M = V*S``, ``D`` their width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, no_type_check

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers import BatchFeature, GenerationMixin, PreTrainedModel, ProcessorMixin

BEGIN = "<begin>"
"""The token that begins a text, for tokenizers that have none."""


class FilmProcessor(ProcessorMixin):
    """Pictures to ``pixel_values`` ``(studies, V, 3, H, W)``, and the token that begins a text.

    Args:
        image_processor: gives pictures of one size.
        tokenizer: knows a token that begins a text.
        chat_template: gives that token, whatever is asked.
        most_images: pictures of a study that the model takes, the first ones; all when not given.
    """

    @no_type_check  # transformers reads the names of the parameters, which a test of types hides
    def __init__(
        self,
        image_processor: Any = None,
        tokenizer: Any = None,
        chat_template: str | None = None,
        most_images: int | None = None,
    ) -> None:
        super().__init__(image_processor, tokenizer, chat_template=chat_template)
        self.most_images = most_images

    def __call__(
        self, images: Sequence[Any], text: Sequence[str], return_tensors: str = "pt", **_: Any
    ) -> BatchFeature:
        """Inputs of a model.

        Args:
            images: the pictures of each study.
            text: what begins each report.
            return_tensors: ``pt``, and nothing else.
        """
        studies = [own if isinstance(own, (list, tuple)) else [own] for own in images]
        if len(text) == 1 and len(studies) > 1:  # all of one study, without a list around them
            studies = [[picture for own in studies for picture in own]]
        pixels = [
            self.image_processor(s[: self.most_images], return_tensors="pt").pixel_values for s in studies
        ]
        words = self.tokenizer(list(text), add_special_tokens=False, return_tensors="pt")
        return BatchFeature(
            {
                "input_ids": words.input_ids,
                "attention_mask": words.attention_mask,
                "pixel_values": nn.utils.rnn.pad_sequence(pixels, batch_first=True),
            }
        )


def begin_template(tokenizer: Any) -> str:
    """The chat template of a `FilmProcessor`: the token that begins a text, added if there is none."""
    if tokenizer.bos_token is None:
        tokenizer.add_special_tokens({"bos_token": tokenizer.cls_token or BEGIN})
    return tokenizer.bos_token


def present(pictures: Float[Tensor, "N V ..."]) -> Bool[Tensor, "N V"]:
    """Which pictures are there, and not zeros that fill a row up; the first always is."""
    there = pictures.flatten(2).ne(0).any(dim=2)
    there[:, 0] = True
    return there


def distinct(
    pictures: Float[Tensor, "N 3 H W"],
) -> tuple[Float[Tensor, "P 3 H W"], Int[Tensor, "N"]]:
    """Pictures without those that repeat the one before, as in a group; and which of them each row has."""
    other = (pictures[1:] != pictures[:-1]).flatten(1).any(dim=1)
    new = torch.cat([other.new_ones(1), other])
    return pictures[new], new.long().cumsum(0) - 1


class CrossAttending(PreTrainedModel, GenerationMixin):
    """A causal language model that looks at pictures by cross-attention; a base class.

    ``forward`` takes ``pixel_values``, or what the tower made of them (``tower_states``), or what `encode`
    made of either (``encoder_hidden_states`` with ``encoder_attention_mask``). A batch is encoded once,
    however many tokens follow.

    A child has a ``vision_tower``, and defines `see`, `encode` and, if it needs its own, `empty_cache`.
    """

    main_input_name = "input_ids"
    reads_by_cross_attention = True
    vision_tower: nn.Module

    def see(self, pixel_values: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B S D"]:
        """What the tower makes of single pictures, as far as no other weight is needed."""
        raise NotImplementedError

    def encode(
        self, states: Float[Tensor, "N V S D"], there: Bool[Tensor, "N V"]
    ) -> tuple[Float[Tensor, "N M E"], Bool[Tensor, "N M"]]:
        """What the decoder attends to, and where it may, from `tower_states`."""
        raise NotImplementedError

    def tower_states(self, pixel_values: Float[Tensor, "N V 3 H W"]) -> Float[Tensor, "N V S D"]:
        """What the tower makes of the pictures of studies; zeros stay zeros."""
        there = present(pixel_values)
        seen = self.see(pixel_values[there].to(next(self.vision_tower.parameters()).dtype))
        states = seen.new_zeros(*there.shape, *seen.shape[1:])
        states[there] = seen
        return states

    def encoded(
        self,
        pixel_values: Float[Tensor, "N V 3 H W"] | None = None,
        tower_states: Float[Tensor, "N V S D"] | None = None,
    ) -> tuple[Float[Tensor, "N M E"], Bool[Tensor, "N M"]]:
        """`encode` of pictures or of `tower_states`."""
        if tower_states is None:
            assert pixel_values is not None, "expected pixel_values or tower_states"
            tower_states = self.tower_states(pixel_values)
        return self.encode(tower_states, present(tower_states))

    def empty_cache(self) -> Any:
        """The cache that ``generate`` begins with; ``None`` for transformers' own."""
        return None

    @torch.no_grad()
    def generate(  # ty: ignore[incompatible-method-override]
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        tower_states: Tensor | None = None,
        **how: Any,
    ) -> Any:
        """As of any causal language model, with the pictures encoded once."""
        states, seen = self.encoded(pixel_values, tower_states)
        if (cache := self.empty_cache()) is not None and how.get("use_cache", True):
            how["past_key_values"] = cache
        how |= {"encoder_hidden_states": states, "encoder_attention_mask": seen}
        return super().generate(input_ids, **how)  # ty: ignore[invalid-argument-type]

    def train(self, mode: bool = True) -> CrossAttending:
        """As of any module, but a frozen tower drops nothing out, and no tower counts in its batch norms."""
        super().train(mode)
        if not any(p.requires_grad for p in self.vision_tower.parameters()):
            self.vision_tower.eval()
        for module in self.vision_tower.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        return self
