"""From tokens to words: how probable the model found each word that it wrote.

A word's probability is the product of its tokens': the chance that the model, having written all before it,
writes exactly this word in exactly these tokens. So a word of four tokens and a word of one stand on one
scale. A product can only fall with every token, so rare, long words score low more often; it does not include
the chance of writing the same word in other tokens, nor that of ending the word there.

It is the model's own belief. Nothing makes it agree with how often the word is right.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import takewhile
from typing import Any

import torch

from radflow.policy.groups import Completion, Group
from radflow.policy.images.features import evaluating
from radflow.policy.load import Policy
from radflow.policy.passes.forward import GroupForward
from radflow.reports.draft import Word
from radflow.studies import Study

_WORD = re.compile(r"\w+(?:[-.,'’/%]\w+)*%?")
"""Letters and digits with what joins them: ``T1-weighted``, ``3.5``, ``70%``. A full stop is no word."""


def token_spans(tokenizer: Any, ids: Sequence[int]) -> list[tuple[int, int] | None]:
    """The characters of the decoded text that each token wrote; ``None`` for special tokens.

    Each prefix is decoded, which asks nothing of the kind of tokenizer: what a token adds to the text is its
    own. A token that holds a part of a character (byte-level) gets the whole character.

    Args:
        tokenizer: of transformers.
        ids: a completion's tokens.

    Returns:
        Spans in ``tokenizer.decode(ids, skip_special_tokens=True)``.
    """
    special = set(tokenizer.all_special_ids)
    whole = tokenizer.decode(ids, skip_special_tokens=True)
    spans: list[tuple[int, int] | None] = []
    written = 0
    for count, token in enumerate(ids, start=1):
        so_far = (
            written
            if token in special
            else _shared(whole, tokenizer.decode(ids[:count], skip_special_tokens=True))
        )
        spans.append(None if token in special else (written, max(so_far, written + 1)))
        written = max(so_far, written)
    return spans


def words_of(tokenizer: Any, completion: Completion, logprobs: Sequence[float]) -> tuple[Word, ...]:
    """The words of a completion's text with their probabilities.

    Args:
        tokenizer: that decoded the completion.
        completion: whose ``text`` is the decoded text without the white space around it.
        logprobs: of its tokens, in nats.
    """
    return tuple(
        Word(start=start, end=end, probability=math.exp(min(sum(values), 0.0)))
        for start, end, values in token_logprobs_by_word(tokenizer, completion, logprobs)
    )


def token_logprobs_by_word(
    tokenizer: Any, completion: Completion, logprobs: Sequence[float]
) -> list[tuple[int, int, list[float]]]:
    """The place of each word in a completion's text, and the log-probabilities of the tokens that wrote it.

    A token across two words counts for both. Arguments are those of `words_of`.
    """
    whole = tokenizer.decode(completion.token_ids, skip_special_tokens=True)
    lead = len(whole) - len(whole.lstrip())
    spans = token_spans(tokenizer, completion.token_ids)
    pieces = [(*span, value) for span, value in zip(spans, logprobs, strict=True) if span is not None]
    words, first = [], 0
    for match in _WORD.finditer(completion.text):
        start, end = match.start() + lead, match.end() + lead
        while first < len(pieces) and pieces[first][1] <= start:
            first += 1
        within = takewhile(lambda piece: piece[0] < end, pieces[first:])  # noqa: B023 - used up at once
        words.append((match.start(), match.end(), [value for _, _, value in within]))
    return words


def greedy_logprobs(
    forward: GroupForward, policy: Policy, written: Sequence[tuple[Study, Completion]]
) -> list[list[float]]:
    """Log-probabilities in nats of the tokens of finished reports: one more pass, without gradients.

    Decoding does not give them: a token is taken for its logit alone, and the logits of a step are rounded
    by the shape of its batch.
    """
    groups = [Group(study=study, completions=(completion,)) for study, completion in written]
    with torch.no_grad(), evaluating(policy.model):
        values, mask = forward(groups)
    return [row[kept].tolist() for row, kept in zip(values.cpu(), mask.cpu(), strict=True)]


def _shared(whole: str, part: str) -> int:
    """How many characters two texts have in common from their start.

    >>> _shared("effusion", "effu\\ufffd")
    4
    """
    if whole.startswith(part):
        return len(part)
    return next(
        (i for i, (a, b) in enumerate(zip(whole, part, strict=False)) if a != b), min(len(whole), len(part))
    )
