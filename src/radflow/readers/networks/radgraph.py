"""RadGraph by its networks: the official weights on plain transformers, many reports at a time.

The package that publishes them reads one report at a time inside a vendored AllenNLP. Here the same model
(``radgraph_model.py``) reads batches, with the same graphs: words, labels, entities, relations and their
order are those of ``radgraph.RadGraph`` 0.1.18, for ``radgraph``, ``radgraph-xl`` and ``modern-radgraph-xl``
(ModernBERT below). Reports of like length
go together and no report meets another, so a graph depends on its own text alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from radflow.readers.networks.inference import place, run_in_batches
from radflow.readers.networks.radgraph_archive import Archive, load_encoder, read_archive
from radflow.readers.networks.text_cache import TextCache, open_cache
from radflow.readers.networks.weights import config_facts, fingerprint, load_weights, tokenizer_facts

if TYPE_CHECKING:
    from radflow.readers.networks.radgraph_model import SpanModel
    from radflow.readers.networks.radgraph_words import Pieces

Graph = dict[str, Any]

_NAMES = {
    "radgraph": "RadGraph",
    "None": "RadGraph",
    "radgraph-xl": "RadGraph-XL",
    "modern-radgraph-xl": "Modern RadGraph-XL",
}
_REVISION = "radgraph/1"  # raise it when the same weights would read otherwise


class RadGraph:
    """Texts to graphs.

    Args:
        folder: the unpacked archive, see ``radgraph_archive.py``.
        cache: keeps graphs by model and text: the cache all readers share, one of your own, or none.
        placement: device, dtype, batch_tokens; see :func:`~radflow.readers.networks.inference.place`. The
            heads stay in float32.

    Attributes:
        name: for tables, such as ``RadGraph-XL``.
        dataset: what the model was trained on, such as ``radgraph-xl``.
        entity_labels, relation_labels: all that a graph may have.
        fingerprint: names the model in a cache.

    Raises:
        MissingFileError: the folder or one of its files is missing.
        DataError: a file is damaged, or weights and configuration do not belong together.
        RecipeError: no such device or number type.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        cache: TextCache | Literal["shared"] | None = "shared",
        **placement: Any,
    ) -> None:
        from radflow.readers.networks.radgraph_words import Collator

        placed, self._cache = place(**placement), open_cache(cache)
        archive = read_archive(folder)
        config, tokenizer = load_encoder(archive)
        model = _model(archive, config)
        load_weights(model, *archive.weights())
        max_length = min(archive.max_length or config.max_position_embeddings, config.max_position_embeddings)
        self.dataset = archive.dataset
        self.name = _NAMES.get(archive.dataset, f"RadGraph ({archive.dataset})")
        self.entity_labels, self.relation_labels = archive.entity_labels, archive.relation_labels
        self.fingerprint = fingerprint(
            model,
            _REVISION,
            [self.dataset, self.entity_labels, self.relation_labels, archive.mentions_a_word, max_length],
            str(placed.dtype),
            config_facts(config),
            tokenizer_facts(tokenizer),
        )
        self._model = model.to(placed.device)
        self._model.encoder.to(placed.dtype)
        self._tokenizer, self._batch_tokens = tokenizer, placed.batch_tokens
        self._collate = Collator(tokenizer, max_length, placed.device)

    def __call__(self, texts: Sequence[str]) -> list[Graph]:
        """Read reports as graphs in the RadGraph JSON schema.

        Returns:
            for each text ``{"text": words joined by spaces, "entities": {"1": {"tokens", "label", "start_ix",
            "end_ix", "relations": [[type, id], ...]}, ...}, "data_source", "data_split"}``; ``start_ix`` and
            ``end_ix`` count the words of ``text``, both inclusive. A text without words is read as
            ``"None"``, as the package does it.
        """
        return self._cache.read(self.fingerprint, texts, self._compute)

    def _compute(self, texts: list[str]) -> list[Graph]:
        from radflow.readers.networks.radgraph_words import split_words, word_pieces

        words = [split_words(text, self.dataset) for text in texts]
        pieces = word_pieces(self._tokenizer, words)
        reports = list(zip(words, pieces, strict=True))
        lengths = [self._collate.cost(report) for report in pieces]
        return run_in_batches(self._forward, reports, lengths, self._batch_tokens)

    def _forward(self, reports: Sequence[tuple[list[str], Pieces]]) -> list[Graph]:
        import torch

        with torch.inference_mode():
            found = self._model(self._collate([pieces for _, pieces in reports]))
        words = [words for words, _ in reports]
        return self._graphs(words, found.entities.tolist(), found.relations.tolist())

    def _graphs(
        self, reports: Sequence[Sequence[str]], entities: list[list[int]], relations: list[list[int]]
    ) -> list[Graph]:
        """Put what was found in a batch into one graph per report."""
        found: list[dict[str, Any]] = [{} for _ in reports]
        made: list[tuple[str, dict[str, Any]]] = []  # of the whole batch: number in its report, entity
        for report, start, end, label in entities:
            entity = {
                "tokens": " ".join(reports[report][start : end + 1]),
                "label": self.entity_labels[label],
                "start_ix": start,
                "end_ix": end,
                "relations": [],
            }
            number = str(len(found[report]) + 1)
            found[report][number] = entity
            made.append((number, entity))
        for source, target, label in relations:
            made[source][1]["relations"].append([self.relation_labels[label], made[target][0]])
        return [
            {"text": " ".join(words), "entities": entities, "data_source": None, "data_split": "inference"}
            for words, entities in zip(reports, found, strict=True)
        ]


def _model(archive: Archive, config: Any) -> SpanModel:
    from transformers import AutoModel

    from radflow.readers.networks.radgraph_model import Shape, SpanModel

    encoder: Any = AutoModel.from_config(config)
    encoder.pooler = None  # nothing here reads it
    shape = Shape(
        encoder_width=config.hidden_size,
        widths=archive.max_span_width,
        width_features=archive.width_features,
        hidden=archive.hidden,
        entity_labels=len(archive.entity_labels),
        relation_labels=len(archive.relation_labels),
        mentions_a_word=archive.mentions_a_word,
    )
    return SpanModel(encoder, shape).eval()
