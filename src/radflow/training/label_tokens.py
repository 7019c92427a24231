"""Which tokens of a completion decide its labels, for ``rft.label_tokens``.

The readers by rules say which words a label rests on (`radflow.readers.evidence`): a finding, what is said of
it, the word that denies or hedges it. A token decides if it wrote any character of these. The rules are asked
also where a network gives the labels of the reward, as a network cannot say why.

What they do not name has the weight of filler: on ultrasound the side, and the number behind "IMT".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from radflow.capo import token_weights
from radflow.errors import TrainingError
from radflow.modality import modality_of
from radflow.policy import Completion, Group
from radflow.policy.sampling.words import token_spans
from radflow.readers.evidence import deciding_spans


def check_evidence(modality: str) -> None:
    """Raise `TrainingError` unless the modality's record names who says what a label rests on."""
    if modality_of(modality).evidence is None:
        raise TrainingError(
            f"rft.label_tokens: expected a modality whose record names its evidence, got {modality}, where "
            "nobody says which words a label rests on; set rft.label_tokens to 0"
        )


def label_weights(tokenizer: Any, groups: Sequence[Group], extra: float) -> list[Float[Tensor, "_"]]:
    """The weight of each token of each completion, in order of the rows; each row has mean 1.

    Args:
        tokenizer: that decoded the completions.
        groups: sampled, or mended.
        extra: how much more a deciding token weighs (`radflow.capo.token_weights`).
    """
    return [
        token_weights(deciding_tokens(tokenizer, completion, group.study.modality), extra)
        for group in groups
        for completion in group.completions
    ]


def deciding_tokens(tokenizer: Any, completion: Completion, modality: str) -> Bool[Tensor, "T"]:
    """Which tokens of a completion wrote a word that a label rests on; special tokens did not."""
    whole = tokenizer.decode(completion.token_ids, skip_special_tokens=True)
    lead = len(whole) - len(whole.lstrip())
    words = [(start + lead, end + lead) for start, end in deciding_spans(completion.text, modality)]
    return torch.tensor(
        [
            span is not None and any(span[0] < end and start < span[1] for start, end in words)
            for span in token_spans(tokenizer, completion.token_ids)
        ]
    )
