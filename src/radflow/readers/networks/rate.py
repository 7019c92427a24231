"""The two networks of RaTEScore (Zhao et al. 2024, arXiv:2406.16845): entities of a report, with vectors.

A token classifier (the published one is ``RaTE-NER-Deberta``) marks findings, diseases, both in the negative,
and anatomy; an encoder of medical terms (``BioLORD-2023-C``) gives each the vector of its [CLS]. What becomes
an entity follows RaTEScore's ``post_process`` (MAGIC-AI4Med/RaTEScore, ``a970406``), oddities included.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from radflow.errors import DataError, MissingFileError
from radflow.readers.networks.embeddings import TokenEmbedder
from radflow.readers.networks.inference import pad, place, run_in_batches, token_ids
from radflow.readers.networks.rate_sentences import sentences
from radflow.readers.networks.text_cache import TextCache, open_cache
from radflow.readers.networks.weights import config_facts, fingerprint, quietly, tokenizer_facts

TYPES = ("ABNORMALITY", "NON-ABNORMALITY", "DISEASE", "NON-DISEASE", "ANATOMY")
_SENTENCE, _TERM = 512, 30  # most tokens, as published
_REVISION = "rate/1"  # raise it when the same weights would read otherwise


class Entities(NamedTuple):
    """What a report mentions, in order: unit vectors, and one of :data:`TYPES` for each."""

    vectors: Float[np.ndarray, "entities dim"]
    types: tuple[str, ...]


class RateReader:
    """Reads reports as entities.

    Args:
        folders: ``NER+ENCODER``, two folders in transformers' layout with safetensors weights.
        cache: keeps readings by model and text.
        placement: device, dtype, batch_tokens; see :func:`~radflow.readers.networks.inference.place`.

    Attributes:
        name: both folders' names, for tables.
        fingerprint: of both networks.

    Raises:
        MissingFileError: a folder is not there, or holds no such model.
        DataError: not two folders, or another kind of token classifier.
    """

    def __init__(
        self, folders: str, *, cache: TextCache | Literal["shared"] | None = "shared", **placement: Any
    ) -> None:
        paths = [Path(folder) for folder in folders.split("+")]
        if len(paths) != 2:
            raise DataError(f"Expected ratescore:NER+ENCODER, the folders of two networks; got {folders!r}.")
        for path in paths:
            if not path.is_dir():
                raise MissingFileError(f"Expected a model folder at {path}, found none.")
        self._placed, self._cache = place(**placement), open_cache(cache)
        self._tokenizer, model = _classifier(paths[0])
        self._labels: dict[int, str] = model.config.id2label
        self._encoder = TokenEmbedder(paths[1], cache=cache, longest=_TERM, **placement)
        self._key = fingerprint(
            model,
            _REVISION,
            placement.get("dtype", "float32"),
            config_facts(model.config),
            tokenizer_facts(self._tokenizer),
        )
        self.name = " and ".join(path.resolve().name for path in paths)
        self.fingerprint = f"{self._key}+{self._encoder.fingerprint}"
        self._model = model.to(self._placed.device, self._placed.dtype)

    def __call__(self, texts: Sequence[str]) -> list[Entities]:
        """Read reports; one without entities has no vectors."""
        found = self._cache.read(self._key, texts, self._find)
        terms = list(dict.fromkeys(term for pairs in found for term, _ in pairs))
        read = zip(terms, self._encoder(terms), strict=True)
        vectors = {term: tokens.vectors[0] for term, tokens in read}
        nothing = np.empty((0, self._encoder.dim), np.float32)
        return [
            Entities(
                vectors=np.stack([vectors[term] for term, _ in pairs]) if pairs else nothing,
                types=tuple(kind for _, kind in pairs),
            )
            for pairs in found
        ]

    def _find(self, texts: list[str]) -> list[list[list[str]]]:
        """Entity and type, in order, for each text."""
        cut = [sentences(text) for text in texts]
        ids = token_ids(self._tokenizer, [one for pieces in cut for one in pieces], _SENTENCE)
        lengths = [len(row) for row in ids]
        labels = iter(run_in_batches(self._forward, ids, lengths, self._placed.batch_tokens))
        rows = iter(ids)
        return [[pair for _ in pieces for pair in self._pairs(next(rows), next(labels))] for pieces in cut]

    def _forward(self, ids: list[list[int]]) -> list[list[str]]:
        import torch

        padded, mask = pad(ids, self._tokenizer.pad_token_id or 0, self._placed.device)
        with torch.inference_mode():
            best = self._model(input_ids=padded, attention_mask=mask).logits.argmax(dim=-1).tolist()
        return [
            [self._labels[label] for label in row[: len(one)]] for row, one in zip(best, ids, strict=True)
        ]

    def _pairs(self, ids: list[int], labels: list[str]) -> list[list[str]]:
        tokens = self._tokenizer.convert_ids_to_tokens(ids)
        special = (self._tokenizer.cls_token, self._tokenizer.sep_token)
        spans = entity_spans(labels, [token in special for token in tokens])
        return [
            [self._tokenizer.convert_tokens_to_string(tokens[start : end + 1]), kind]
            for start, end, kind in spans
        ]


def entity_spans(labels: Sequence[str], special: Sequence[bool]) -> list[tuple[int, int, str]]:
    """First and last token and type of each entity of a sentence.

    Args:
        labels: of every token.
        special: whether a token is one that the tokenizer puts around a text.

    >>> labels = ["O", "B-NON-DISEASE", "I-NON-DISEASE", "O", "B-ANATOMY", "B-DISEASE", "O"]
    >>> entity_spans(labels, [True, *[False] * 5, True])
    [(1, 2, 'NON-DISEASE'), (4, 4, 'ANATOMY'), (5, 5, 'DISEASE')]
    """
    spans: list[tuple[int, int, str]] = []
    start = end = kind = None
    for at, (label, following) in enumerate(pairwise(labels)):
        if special[at] or label == "O":
            continue
        begins, nothing = label.startswith("B-"), following.startswith("O")
        if begins and following.startswith("I-"):
            start, kind = at, label[2:]
        elif begins or not following.startswith("I-"):  # it ends here
            end = at
            first = at if begins else start
            if first is not None:
                spans.append((first, at, label[2:] if begins else str(kind)))
            start, kind = (None, None) if nothing else (at, label[2:])
            end = None if nothing else end
    if start is not None and end is None:
        spans.append((start, len(labels) - 2, str(kind)))
    return spans


def _classifier(folder: Path) -> tuple[Any, Any]:
    """The tokenizer, and the token classifier in float32."""
    import torch
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    try:
        with quietly():
            tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
            model, account = AutoModelForTokenClassification.from_pretrained(
                str(folder),
                dtype=torch.float32,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
            )
    except (OSError, ValueError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise MissingFileError(f"Expected a token classifier in {folder}, got: {reason}") from error
    known = {f"{side}-{kind}" for kind in TYPES for side in "BI"} | {"O"}
    found = set(model.config.id2label.values())
    if account["missing_keys"] or not found <= known:
        wrong = sorted(account["missing_keys"] or found - known)
        raise DataError(
            f"Expected a token classifier of RaTEScore in {folder}, with the labels O and B- or I- before "
            f"{', '.join(TYPES)}; missing or unknown: {', '.join(wrong[:5])}."
        )
    return tokenizer, model.eval()
