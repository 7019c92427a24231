"""CheXbert (Smit et al. 2020, arXiv:2004.09167): 14 labels and the [CLS] vector of a report, in one pass.

The network is BERT-base with 14 linear heads on the last layer's [CLS] vector: 13 of four classes (blank,
positive, negative, uncertain), and No Finding with two (blank, positive). Text goes in as in the reference
implementation: runs of white space become one space, and what is longer than 512 tokens keeps its first 511
and [SEP]. The [CLS] vector, without pooler and dropout, is what SembScore compares.

Its labels are a network's; a table that holds them beside those of ``chexpert-rules`` says which is which.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from radflow.errors import DataError, MissingFileError
from radflow.readers.labels import CHEXPERT_OBSERVATIONS, State
from radflow.readers.networks.inference import pad, place, run_in_batches, token_ids
from radflow.readers.networks.text_cache import TextCache, open_cache
from radflow.readers.networks.weights import (
    config_facts,
    fingerprint,
    load_weights,
    read_weights,
    tokenizer_facts,
)

Labels = dict[str, State]

HEADS: tuple[str, ...] = (
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Opacity",
    "Lung Lesion",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
    "No Finding",
)
"""The observation of each head. Not CheXpert's order: here Lung Opacity stands before Lung Lesion."""

STATES: tuple[State, ...] = (None, 1, 0, -1)
"""The state that each class of a head stands for."""

WEIGHTS = ("chexbert.pth", "model.safetensors")
"""The first of them that is there is read: a download of BERT-base brings its own ``model.safetensors``."""

_REVISION = "chexbert/1"  # raise it when the same weights would read otherwise


class CheXbert:
    """Labels and embeds reports.

    Args:
        folder: holds ``chexbert.pth`` (as published) or ``model.safetensors`` (the same weights), and from
            bert-base-uncased ``vocab.txt`` or ``tokenizer.json``; ``config.json`` where the network is not
            BERT-base.
        placement: device, dtype, batch_tokens; see :func:`~radflow.readers.networks.inference.place`.
        cache: ``"shared"``, a :class:`~radflow.readers.networks.text_cache.TextCache`, or ``None`` for none.
            With a cache a text that was labelled is embedded for nothing, and the other way round.

    Raises:
        MissingFileError: the folder or a file in it is not there.
        DataError: the weights are damaged or another network's, or the vocabulary is.
        RecipeError: the machine has no such device.
    """

    name = "CheXbert"

    def __init__(
        self,
        folder: str | Path,
        *,
        cache: TextCache | Literal["shared"] | None = "shared",
        **placement: Any,
    ) -> None:
        self._placement = place(**placement)
        self._cache = open_cache(cache)
        self._tokenizer, self._network = _load(Path(folder))
        config = self._network["bert"].config
        self._limit = int(config.max_position_embeddings)
        self._key = fingerprint(
            self._network,
            _REVISION,
            placement.get("dtype", "float32"),
            config_facts(config),
            tokenizer_facts(self._tokenizer),
        )
        self._network.to(self._placement.device, self._placement.dtype)

    @property
    def dim(self) -> int:
        """Length of a report's vector."""
        return int(self._network["bert"].config.hidden_size)

    def __call__(self, texts: Sequence[str]) -> list[Labels]:
        """Label reports.

        Returns:
            for each text the 14 observations in CheXpert's order with states 1 positive, -1 uncertain,
            0 negated, ``None`` not mentioned; No Finding is 1 or ``None``.
        """
        labels = []
        for reading in self._read(texts):
            states = dict(zip(HEADS, (STATES[number] for number in reading["classes"]), strict=True))
            labels.append({observation: states[observation] for observation in CHEXPERT_OBSERVATIONS})
        return labels

    def embed(self, texts: Sequence[str]) -> Float[np.ndarray, "N dim"]:
        """The last layer's [CLS] vectors, float32, not normalised."""
        if not texts:
            return np.empty((0, self.dim), np.float32)
        return np.stack([reading["cls"] for reading in self._read(texts)])

    def _read(self, texts: Sequence[str]) -> list[dict[str, np.ndarray]]:
        return self._cache.read(self._key, [" ".join(text.split()) for text in texts], self._compute)

    def _compute(self, texts: list[str]) -> list[dict[str, np.ndarray]]:
        ids = token_ids(self._tokenizer, texts, self._limit)
        lengths = [len(row) for row in ids]
        return run_in_batches(self._forward, ids, lengths, self._placement.batch_tokens)

    def _forward(self, ids: list[list[int]]) -> list[dict[str, np.ndarray]]:
        import torch

        padded, mask = pad(ids, self._tokenizer.pad_token_id, self._placement.device)
        with torch.inference_mode():
            cls = self._network["bert"](padded, attention_mask=mask).last_hidden_state[:, 0]
            classes = torch.stack([head(cls).argmax(-1) for head in self._network["linear_heads"]], dim=-1)
        vectors, numbers = cls.float().cpu().numpy(), classes.cpu().numpy().astype(np.int8)
        return [{"cls": vector, "classes": row} for vector, row in zip(vectors, numbers, strict=True)]


def _load(folder: Path) -> tuple[Any, Any]:
    """The tokenizer and the network, in float32 and in evaluation mode."""
    from torch import nn
    from transformers import BertConfig, BertModel, BertTokenizer

    weights, has_config = _files(folder)
    config = BertConfig.from_pretrained(folder) if has_config else BertConfig()  # its defaults are BERT-base
    tokenizer = BertTokenizer.from_pretrained(folder)
    if len(tokenizer) > config.vocab_size:
        raise DataError(
            f"Expected a vocabulary of at most {config.vocab_size} words in {folder}, got {len(tokenizer)}. "
            "CheXbert takes that of bert-base-uncased."
        )
    classes = [len(STATES)] * (len(HEADS) - 1) + [2]
    network = nn.ModuleDict(
        {
            "bert": BertModel(config, add_pooling_layer=False),
            "linear_heads": nn.ModuleList(nn.Linear(config.hidden_size, count) for count in classes),
        }
    )
    unused = ("bert.pooler.", "bert.embeddings.position_ids")  # the second: a buffer of older transformers
    load_weights(network, read_weights(weights), weights, unused=unused)
    return tokenizer, network.eval()


def _files(folder: Path) -> tuple[Path, bool]:
    """The weights, and whether there is a configuration."""
    weights = next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)
    has_words = any((folder / name).is_file() for name in ("vocab.txt", "tokenizer.json"))
    if weights is None or not has_words:
        found = "no such folder"
        if folder.is_dir():
            found = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "an empty one"
        raise MissingFileError(
            f"Expected CheXbert in {folder}: {' or '.join(WEIGHTS)}, and vocab.txt or tokenizer.json of "
            f"bert-base-uncased; got {found}. The weights are linked from "
            "https://github.com/stanfordmlgroup/CheXbert."
        )
    return weights, (folder / "config.json").is_file()
