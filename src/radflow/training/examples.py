"""Image-report pairs as what supervised fine-tuning eats: tokens with weights, then padded tensors.

Axes: ``N`` pairs, ``L`` tokens of the longest prompt with its report, ``K`` labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from radflow.policy import Policy
from radflow.policy.prompts import EncodedPrompt, collate
from radflow.studies import Study
from radflow.training.sft_terms import SentenceRarity

IGNORED = -100
"""The target of positions that are not part of a report."""


@dataclass(frozen=True, kw_only=True)
class Example:
    """One training pair.

    Attributes:
        study: whose picture and prompt.
        tokens: the report, with its end token.
        weights: one weight a token, mean about 1.
        labels: binary label vector of the report, or ``None`` without the auxiliary loss.
    """

    study: Study
    tokens: tuple[int, ...]
    weights: tuple[float, ...]
    labels: tuple[float, ...] | None


def make_examples(
    policy: Policy,
    studies: Sequence[Study],
    *,
    rarity: SentenceRarity,
    labels: Sequence[Sequence[float]] | None = None,
) -> list[Example]:
    """Tokenise the reports once."""
    end = policy.end_ids[0]
    examples = []
    for i, study in enumerate(studies):
        text = study.reference.canonical
        coded = policy.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        weights = rarity(text, coded["offset_mapping"])
        examples.append(
            Example(
                study=study,
                tokens=(*coded["input_ids"], end),
                weights=(*weights, 1.0),
                labels=tuple(labels[i]) if labels is not None else None,
            )
        )
    return examples


def to_tensors(
    policy: Policy, examples: Sequence[Example], device: torch.device, *, words: bool = True
) -> tuple[dict[str, Tensor], Tensor, Tensor, Tensor, Tensor | None]:
    """Model inputs, targets and weights ``(N, L)``, the position of each prompt's last token, labels.

    Without ``words`` the reports are left out.
    """
    if not words:
        examples = [replace(e, tokens=(), weights=()) for e in examples]
    prompts: list[EncodedPrompt] = [policy.prompt(e.study) for e in examples]
    batch = collate(prompts, [e.tokens for e in examples], pad_id=policy.pad_id, device=device)
    targets = torch.full_like(batch["input_ids"], IGNORED)
    weights = torch.zeros(targets.shape, device=device)
    for row, (prompt, example) in enumerate(zip(prompts, examples, strict=True)):
        start = len(prompt.input_ids)
        stop = start + len(example.tokens)
        targets[row, start:stop] = batch["input_ids"][row, start:stop]
        weights[row, start:stop] = torch.tensor(example.weights)
    last = torch.tensor([len(p.input_ids) - 1 for p in prompts], device=device)
    has_labels = examples[0].labels is not None
    labels = torch.tensor([e.labels for e in examples], device=device) if has_labels else None
    return batch, targets, weights, last, labels
