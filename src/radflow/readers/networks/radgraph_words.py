"""Report text to words and word pieces, as the RadGraph models were given them, and batches of them.

A report is one sequence of words; each word is cut into word pieces by itself. More pieces than the encoder
takes are cut into segments, wherever that falls, which are encoded apart. A batch is a rectangle of segments,
plus where each word's pieces lie in it.

Axes: ``S`` segments, ``T`` pieces of the longest segment, ``N`` pieces and ``W`` words of all reports of the
batch, one report after another.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from radflow.readers.networks.inference import affixes, pad, valid_unicode

ORIGINAL = frozenset({"radgraph", "None"})
"""Data sets whose models read the first RadGraph's words; ``None`` is what the first release called it."""

_PUNCTUATION = re.compile(r"([/,:.!?()])")
_RUN = re.compile(r"\w+|[^\w\s]+")
_XL_REPLACED = (("\\n", "  "), ("\\f", "  "), ("\\u2122", "      "), ('\\"', "``"))
_XL_SPLIT = ((").", ") ."), ("%.", "% ."), (".'", ". '"), ("%,", "% ,"), ("%)", "% )"))
_EMPTY = ["None"]
_ESCAPED_STOPS = {"/.": ".", "/?": "?"}  # DyGIE++ reads these two words so; the graph shows them as written


def split_words(text: str, dataset: str) -> list[str]:
    """Cut a report into the words that indices of its graph count.

    A text without words is read as the word ``None``, which is what the radgraph package puts for ``""``.

    Args:
        text: a report.
        dataset: what the model was trained on: ``radgraph`` sets marks of punctuation apart, later models
            (``radgraph-xl``) every run of them.

    >>> split_words("Heart size: 2.5 cm (normal).", "radgraph")
    ['Heart', 'size', ':', '2', '.', '5', 'cm', '(', 'normal', ')', '.']
    >>> split_words("Heart size: 2.5 cm (normal).", "radgraph-xl")
    ['Heart', 'size', ':', '2', '.', '5', 'cm', '(', 'normal', ')', '.']
    >>> split_words("No change, well-aerated...", "radgraph"), split_words("well-aerated...", "radgraph-xl")
    (['No', 'change', ',', 'well-aerated', '.', '.', '.'], ['well', '-', 'aerated', '...'])
    >>> split_words(" ", "radgraph")
    ['None']
    """
    if dataset in ORIGINAL:
        return _PUNCTUATION.sub(r" \1 ", text).split() or list(_EMPTY)
    for written, meant in _XL_REPLACED:
        text = text.replace(written, meant)
    text = " ".join(_RUN.findall(text))
    for together, apart in _XL_SPLIT:
        text = text.replace(together, apart)
    return text.split() or list(_EMPTY)


@dataclass(frozen=True, kw_only=True)
class Pieces:
    """The word pieces of one report: their ids, and how many each word has (0 for one that is only control
    characters)."""

    ids: list[int]
    counts: list[int]


def word_pieces(tokenizer: Any, reports: Sequence[Sequence[str]]) -> list[Pieces]:
    """Cut the words of each report into word pieces; each different word is cut once."""
    words = list(dict.fromkeys(chain.from_iterable(reports)))
    if not words:
        return []
    written = [valid_unicode(_ESCAPED_STOPS.get(word, word)) for word in words]
    ids = tokenizer(written, add_special_tokens=False, return_attention_mask=False, verbose=False)
    of_word = dict(zip(words, ids["input_ids"], strict=True))
    return [
        Pieces(
            ids=list(chain.from_iterable(of_word[word] for word in report)),
            counts=[len(of_word[word]) for word in report],
        )
        for report in reports
    ]


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Reports in the encoder's form.

    Attributes:
        ids: word pieces, special tokens around each segment.
        mask: 1 on pieces and special tokens, 0 on padding.
        pieces: for every piece its place in the flattened rectangle.
        firsts: for every word its first piece in ``pieces``; its last is before the next word's first.
        sizes: words of each report.
    """

    ids: Int[Tensor, "S T"]
    mask: Int[Tensor, "S T"]
    pieces: Int[Tensor, "N"]
    firsts: Int[Tensor, "W"]
    sizes: Int[Tensor, "R"]


class Collator:
    """Puts reports into batches.

    Args:
        tokenizer: the encoder's.
        max_length: pieces in a segment, its special tokens included.
        device: where the batches go.
    """

    def __init__(self, tokenizer: Any, max_length: int, device: torch.device) -> None:
        self._before, self._after = affixes(tokenizer)
        self._pad_id: int = tokenizer.pad_token_id or 0
        self._room = max_length - len(self._before) - len(self._after)
        self._device = device

    def segments(self, report: Pieces) -> int:
        """Into how many segments a report is cut; one at least."""
        return max(1, -(-len(report.ids) // self._room))

    def cost(self, report: Pieces) -> int:
        """Padded tokens that a report takes in a batch of its own."""
        longest = min(len(report.ids), self._room) + len(self._before) + len(self._after)
        return self.segments(report) * longest

    def __call__(self, reports: Sequence[Pieces]) -> Batch:
        """Make a batch of at least one report."""
        rows: list[list[int]] = []
        places = []
        for report in reports:
            places.append(_places(len(report.ids), self._room) + np.array([len(rows), len(self._before)]))
            rows += [
                [*self._before, *report.ids[start : start + self._room], *self._after]
                for start in range(0, max(1, len(report.ids)), self._room)
            ]
        ids, mask = pad(rows, self._pad_id, self._device)
        row, column = np.concatenate(places).T
        counts = np.concatenate([report.counts for report in reports])
        sizes = np.array([len(report.counts) for report in reports])
        return Batch(
            ids=ids,
            mask=mask,
            pieces=self._tensor(row * ids.shape[1] + column),
            firsts=self._tensor(np.cumsum(counts) - counts),
            sizes=self._tensor(sizes),
        )

    def _tensor(self, numbers: np.ndarray) -> Tensor:
        return torch.from_numpy(numbers.astype(np.int64)).to(self._device)


def _places(length: int, room: int) -> np.ndarray:
    """Segment and place in it of each piece of a report.

    >>> _places(5, 3).tolist()
    [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1]]
    """
    return np.stack(np.divmod(np.arange(length), room), axis=1)
