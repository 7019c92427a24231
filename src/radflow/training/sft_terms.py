"""Two optional terms of SFT, for a policy that starts from noise on varied reports.

Most sentences of real reports are normal, so the most likely next word hardly depends on the picture, and a
tiny policy learns to write without looking.

- ``sft.label_loss`` reads the report's labels off the visual tokens, and off the language model's state at
  the end of the prompt, so that the picture must have been looked at before the first word is written. With
  ``sft.label_epochs`` it comes first, alone: a tower that starts from noise has then learnt to see before
  the language model learns to write;
- ``sft.token_rarity`` weights the words of a sentence by the inverse of how often that sentence occurs.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from radflow.errors import TrainingError
from radflow.policy import Policy
from radflow.policy.families import bare
from radflow.readers import label_vector, labeler
from radflow.studies import Study


class SentenceRarity:
    """Weights for the words of a sentence: (frequency among the training reports) ** -exponent."""

    def __init__(self, texts: Sequence[str], exponent: float) -> None:
        self._counts = Counter(sentence for text in texts for _, sentence in _sentences(text))
        self._exponent = exponent
        total = sum(c for c in self._counts.values())
        self._scale = total / sum(c * c**-exponent for c in self._counts.values())

    def __call__(self, text: str, offsets: Sequence[tuple[int, int]]) -> tuple[float, ...]:
        """One weight a token; ``offsets`` are the characters of each token in ``text``."""
        if self._exponent == 0:
            return (1.0,) * len(offsets)
        ends, values = [], []
        for end, sentence in _sentences(text):
            ends.append(end)
            values.append(self._scale * max(1, self._counts[sentence]) ** -self._exponent)
        weights, i = [], 0
        for start, _ in offsets:
            while i + 1 < len(ends) and start >= ends[i]:
                i += 1
            weights.append(values[i])
        return tuple(weights)


def _sentences(text: str) -> list[tuple[int, str]]:
    """End offset and normalised text of each sentence."""
    return [(m.end(), m.group().strip().lower()) for m in re.finditer(r".+?(?:[.](?=\s|$)|$)", text, re.S)]


def label_vectors(studies: Sequence[Study]) -> list[list[float]]:
    """Binary label vectors of the reference reports."""
    labels = labeler(studies[0].modality)([s.reference.canonical for s in studies])
    return label_vector(labels).astype(float).tolist()


class LabelProbe(nn.Module):
    """Reads the report's labels in two places, and is thrown away after training.

    - off the mean of the visual tokens as they enter the language model: what the tower sees; not of a model
      that has none, and looks at its pictures by cross-attention;
    - off the middle layer's state at the last token of the prompt: what the language model knows before its
      first word. Later layers, and so the words, can still attend to that state.
    """

    def __init__(self, width: int, labels: int, *, image_id: int | None, layer: int) -> None:
        super().__init__()
        self.seen = None if image_id is None else nn.Linear(width, labels)
        self.known = nn.Linear(width, labels)
        self.image_id = image_id
        self.layer = layer

    def forward(
        self, states: Sequence[Float[Tensor, "N L D"]], input_ids: Int[Tensor, "N L"], last: Int[Tensor, "N"]
    ) -> tuple[Float[Tensor, "N K"], ...]:
        """Logits of the labels, from the visual tokens where there are any, and from the state.

        Args:
            states: the language model's input embeddings, then the output of each layer.
            input_ids: which positions are visual tokens.
            last: position of each prompt's last token.
        """
        rows = torch.arange(len(last), device=last.device)
        known = self.known(states[self.layer][rows, last].float())
        if self.seen is None or self.image_id is None:
            return (known,)
        visual = input_ids.eq(self.image_id).unsqueeze(-1)
        mean = (states[0] * visual).sum(dim=1) / visual.sum(dim=1).clamp(min=1)
        return self.seen(mean.float()), known

    def loss(
        self,
        states: Sequence[Float[Tensor, "N L D"]],
        input_ids: Int[Tensor, "N L"],
        last: Int[Tensor, "N"],
        labels: Float[Tensor, "N K"],
    ) -> Float[Tensor, ""]:
        """Negative log-likelihood of a study's label vector, mean of the places, in nats."""
        guesses = self(states, input_ids, last)
        cost = nn.functional.binary_cross_entropy_with_logits(
            torch.cat(guesses), labels.repeat(len(guesses), 1), reduction="none"
        )
        return cost.sum(dim=1).mean()


def make_probe(policy: Policy, labels: int) -> LabelProbe:
    """A probe that fits a policy.

    Raises:
        TrainingError: the model does not say which token stands for a picture.
    """
    config: Any = bare(policy.model).config
    text = config.get_text_config()
    image_id = getattr(config, "image_token_id", None)
    if getattr(bare(policy.model), "reads_by_cross_attention", False):
        return LabelProbe(text.hidden_size, labels, image_id=None, layer=max(1, text.num_hidden_layers // 2))
    if image_id is None:
        raise TrainingError(
            "sft.label_loss: expected a model whose config names its image_token_id, got "
            f"{type(config).__name__}; set sft.label_loss to 0"
        )
    return LabelProbe(text.hidden_size, labels, image_id=image_id, layer=text.num_hidden_layers // 2)
