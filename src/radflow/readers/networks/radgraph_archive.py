"""A RadGraph model's folder, as the radgraph package unpacks ``radgraph.tar.gz`` and ``radgraph-xl.tar.gz``.

    config.json                               AllenNLP's configuration of DyGIE++
    vocabulary/<data set>__ner_labels.txt     the labels, one per line; the first line is empty: no entity
    vocabulary/<data set>__relation_labels.txt
    weights.th                                everything, the encoder included; or weights.safetensors
    bert/                                     optional: the encoder's config.json and tokenizer files

The archives hold no tokenizer and no configuration of their encoder, only its name on the Hugging Face hub.
Where no hub can be reached, those small files lie in ``bert/``; weights are not needed there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from radflow.errors import DataError, MissingFileError
from radflow.readers.networks.weights import read_weights

if TYPE_CHECKING:
    from torch import Tensor

ENCODER_FOLDER = "bert"
WEIGHTS = ("weights.safetensors", "weights.th")
_LABELS = {"entity": "__ner_labels.txt", "relation": "__relation_labels.txt"}
_NOT_READ = ("pooler.", "embeddings.position_ids")  # made with the encoder, used by no head


@dataclass(frozen=True, kw_only=True)
class Archive:
    """What the folder says about the model, weights aside.

    Attributes:
        folder: where it lies.
        dataset: what the model was trained on: ``radgraph``, ``radgraph-xl``.
        encoder: folder or hub name of the encoder's configuration and tokenizer.
        max_length: word pieces in a segment, special tokens included; ``None`` is what the encoder takes.
        max_span_width: the longest span in words.
        width_features: length of the vector of a span's width.
        hidden: units of each hidden layer of the heads.
        mentions_a_word: share of mentions that are kept for relations.
        entity_labels, relation_labels: as the weights number them, from 0, without the empty label.
    """

    folder: Path
    dataset: str
    encoder: str
    max_length: int | None
    max_span_width: int
    width_features: int
    hidden: tuple[int, ...]
    mentions_a_word: float
    entity_labels: tuple[str, ...]
    relation_labels: tuple[str, ...]

    def weights(self) -> tuple[dict[str, Tensor], Path]:
        """The weights under the names of ``radgraph_model.SpanModel``, and their file.

        Raises:
            MissingFileError: there is no weights file.
            DataError: it is damaged or holds other things than tensors.
        """
        file = next((self.folder / name for name in WEIGHTS if (self.folder / name).is_file()), None)
        if file is None:
            raise MissingFileError(f"Expected {' or '.join(WEIGHTS)} in {self.folder}, found neither.")
        return rename(read_weights(file), self.dataset), file


def read_archive(folder: str | Path) -> Archive:
    """Read configuration and vocabulary.

    Raises:
        MissingFileError: the folder or one of its files is missing.
        DataError: the configuration is not one of a DyGIE++ model for entities and relations.
    """
    folder = Path(folder)
    if not folder.is_dir():
        unpack = f" Unpack it first: tar -xzf {folder} -C FOLDER." if folder.is_file() else ""
        raise MissingFileError(f"Expected the folder of a RadGraph model at {folder}, found none.{unpack}")
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text("utf-8"))
        reader, model = config["dataset_reader"], config["model"]
        embedder = model["embedder"]["token_embedders"]["bert"]
        layers = model["feedforward_params"]
        units = layers["hidden_dims"]
        dataset, labels = _vocabulary(folder / "vocabulary")
        archive = Archive(
            folder=folder,
            dataset=dataset,
            encoder=str(bert) if (bert := folder / ENCODER_FOLDER).is_dir() else embedder["model_name"],
            max_length=reader["token_indexers"]["bert"].get("max_length"),
            max_span_width=int(reader["max_span_width"]),
            width_features=int(model["feature_size"]),
            hidden=tuple(units) if isinstance(units, list) else (units,) * layers["num_layers"],
            mentions_a_word=float(model["modules"]["relation"]["spans_per_word"]),
            entity_labels=labels["entity"],
            relation_labels=labels["relation"],
        )
        propagated = model["modules"].get("coref", {}).get("coref_prop", 0)
    except FileNotFoundError as error:
        if isinstance(error, MissingFileError):
            raise
        raise MissingFileError(f"Expected {path} of a RadGraph model, found no file.") from error
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise DataError(
            f"Expected the configuration of a RadGraph model (DyGIE++) in {path}, got one failing at "
            f"{error!r}. Unpack the archive again."
        ) from error
    if propagated:
        raise DataError(
            f"Expected a model without coreference propagation (coref_prop 0) in {path}, got {propagated}; "
            "RadGraph's models have none, and this reader does not compute it."
        )
    return archive


def rename(weights: Mapping[str, Tensor], dataset: str) -> dict[str, Tensor]:
    """Give the archive's weights the names of ``SpanModel`` and leave out what no graph depends on.

    Left out are the heads for coreference and events, those of other data sets and the encoder's pooler.

    >>> rename({"_endpoint_span_extractor._span_width_embedding.weight": 1, "_coref.a": 2}, "radgraph")
    {'width.weight': 1}
    """
    prefixes = weight_names(dataset)
    renamed = {}
    for name, tensor in weights.items():
        for theirs, ours in prefixes.items():
            rest = name.removeprefix(theirs)
            if rest != name and not (ours == "encoder." and rest.startswith(_NOT_READ)):
                renamed[ours + rest] = tensor
    return renamed


def weight_names(dataset: str) -> dict[str, str]:
    """How names begin in the archive -> how they begin in ``SpanModel``."""
    entity = f"_ner._ner_scorers.{dataset}__ner_labels."
    mention = f"_relation._mention_pruners.{dataset}__relation_labels._scorer."
    relation = f"{dataset}__relation_labels."
    return {
        "_embedder.token_embedder_bert._matched_embedder.transformer_model.": "encoder.",
        "_endpoint_span_extractor._span_width_embedding.": "width.",
        f"{entity}0._module._linear_layers.": "entity.layers.",
        f"{entity}1._module.": "entity.scorer.",
        f"{mention}0._module._linear_layers.": "mention.layers.",
        f"{mention}1._module.": "mention.scorer.",
        f"_relation._relation_feedforwards.{relation}_linear_layers.": "relation.layers.",
        f"_relation._relation_scorers.{relation}": "relation.scorer.",
    }


def _vocabulary(folder: Path) -> tuple[str, dict[str, tuple[str, ...]]]:
    """The data set's name and its labels."""
    suffix = _LABELS["entity"]
    datasets = sorted(path.name.removesuffix(suffix) for path in folder.glob(f"*{suffix}"))
    if len(datasets) != 1:
        found = ", ".join(datasets) or "none"
        raise DataError(f"Expected one file <data set>{suffix} in {folder}, found {found}.")
    dataset = datasets[0]
    labels = {}
    for kind, ending in _LABELS.items():
        path = folder / f"{dataset}{ending}"
        if not path.is_file():
            raise MissingFileError(f"Expected {path}, found no file.")
        labels[kind] = tuple(path.read_text("utf-8").removesuffix("\n").split("\n"))
    if labels["entity"][0]:
        raise DataError(
            f"Expected an empty first line (no entity) in {folder / (dataset + suffix)}, "
            f"got {labels['entity'][0]!r}."
        )
    return dataset, {"entity": labels["entity"][1:], "relation": labels["relation"]}


def load_encoder(archive: Archive) -> tuple[Any, Any]:
    """The encoder's configuration and tokenizer.

    Raises:
        MissingFileError: they are neither in ``bert/`` nor on the hub or in its cache.
    """
    from transformers import AutoConfig, AutoTokenizer

    try:
        return AutoConfig.from_pretrained(archive.encoder), AutoTokenizer.from_pretrained(archive.encoder)
    except (OSError, ValueError) as error:
        raise MissingFileError(
            f"Expected configuration and tokenizer of the encoder {archive.encoder}, got: "
            f"{(str(error).splitlines() or ['nothing'])[0]} Put its config.json, vocab.txt and "
            f"tokenizer_config.json into {archive.folder / ENCODER_FOLDER}."
        ) from error
