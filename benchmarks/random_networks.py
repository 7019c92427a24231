"""Networks of the real shape with random weights, written as their publishers lay them out.

For ``reader_networks.py``. What they read means nothing; how long it takes is what real weights take. The
heads of the RadGraph network are set so that a report has about as many entities (one for three words) and
relations (three for four entities) as real ones, because the size of a graph costs time too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import BertConfig, BertModel

from radflow.readers.networks.chexbert import HEADS
from radflow.readers.networks.radgraph_archive import weight_names
from radflow.readers.networks.radgraph_model import Shape, SpanModel
from radflow.readers.networks.radgraph_words import Collator, split_words, word_pieces

LABELS = ("ANAT-DP", "OBS-DP", "OBS-U", "OBS-DA")
RELATIONS = ("modify", "located_at", "suggestive_of")
SHAPE = Shape(
    encoder_width=768,
    widths=8,
    width_features=20,
    hidden=(150, 150),
    entity_labels=len(LABELS),
    relation_labels=len(RELATIONS),
    mentions_a_word=0.5,
)
BERT = "pretrained_transformer_mismatched"


def write_radgraph(folder: Path, tokenizer: Any, sample: Sequence[str]) -> Path:
    """A folder as the radgraph package unpacks its archive."""
    home = folder / "radgraph"
    encoder, vocabulary = home / "bert", home / "vocabulary"
    vocabulary.mkdir(parents=True)
    config = BertConfig(vocab_size=len(tokenizer))
    config.save_pretrained(encoder)
    tokenizer.save_pretrained(encoder)
    (vocabulary / "non_padded_namespaces.txt").write_text("*tags\n*labels\n")
    (vocabulary / "radgraph__ner_labels.txt").write_text("\n".join(["", *LABELS, ""]))
    (vocabulary / "radgraph__relation_labels.txt").write_text("\n".join([*RELATIONS, ""]))
    bert = {"type": BERT, "model_name": str(encoder), "max_length": 512}
    model = {
        "type": "dygie",
        "embedder": {"token_embedders": {"bert": bert}},
        "initializer": {},
        "module_initializer": {},
        "loss_weights": {"ner": 0.2, "relation": 1.0, "coref": 0.0, "events": 0.0},
        "feature_size": SHAPE.width_features,
        "max_span_width": SHAPE.widths,
        "target_task": "relation",
        "feedforward_params": {"num_layers": 2, "hidden_dims": 150, "dropout": 0.4},
        "modules": {
            "coref": {"spans_per_word": 0.3, "max_antecedents": 100, "coref_prop": 0},
            "ner": {},
            "relation": {"spans_per_word": SHAPE.mentions_a_word},
            "events": {"trigger_spans_per_word": 0.3, "argument_spans_per_word": 0.8, "loss_weights": {}},
        },
    }
    reader = {"type": "dygie", "token_indexers": {"bert": bert}, "max_span_width": SHAPE.widths}
    (home / "config.json").write_text(json.dumps({"dataset_reader": reader, "model": model}))
    torch.save(archive_weights(random_radgraph(config, tokenizer, sample)), home / "weights.th")
    return home


def random_radgraph(config: BertConfig, tokenizer: Any, sample: Sequence[str]) -> SpanModel:
    """A random network whose graphs are about as large as real ones."""
    model = SpanModel(BertModel(config), SHAPE).eval()
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1 and not name.startswith("encoder."):
            torch.nn.init.normal_(parameter, 0, (2 / parameter.shape[1]) ** 0.5)
    model.mention.layers.load_state_dict(model.entity.layers.state_dict())
    reports = word_pieces(tokenizer, [split_words(text, "radgraph") for text in sample])
    batch = Collator(tokenizer, config.max_position_embeddings, torch.device("cpu"))(reports)
    with torch.inference_mode():
        words = model.words(batch)
        ends = (torch.arange(len(words))[:, None] + torch.arange(SHAPE.widths)).clamp(max=len(words) - 1)
        scores = model.span_scores(model.entity, words, ends).flatten(0, 1)
        model.entity.scorer.weight /= scores.std(dim=0)[:, None]
        model.entity.scorer.bias.copy_(-scores.mean(dim=0) / scores.std(dim=0))
        model.mention.scorer.weight.copy_(model.entity.scorer.weight.sum(dim=0, keepdim=True))

        def entities_a_word() -> float:
            return len(model.find(words, batch.sizes).entities) / len(words)

        def relations_an_entity() -> float:
            found = model.find(words, batch.sizes)
            return len(found.relations) / max(1, len(found.entities))

        settle(model.entity.scorer.bias, entities_a_word, 1 / 3)
        settle(model.relation.scorer.bias, relations_an_entity, 3 / 4)
    return model


def settle(bias: torch.Tensor, share: Callable[[], float], wanted: float) -> None:
    """Shift a bias until the share that is found is the wanted one, by bisection."""
    start, low, high = bias.clone(), -40.0, 40.0
    for _ in range(16):
        middle = (low + high) / 2
        bias.copy_(start + middle)
        low, high = (low, middle) if share() > wanted else (middle, high)


def archive_weights(model: SpanModel) -> dict[str, torch.Tensor]:
    """The weights under the archive's names, and those that no graph depends on but the package asks for."""
    weights = {}
    for theirs, ours in weight_names("radgraph").items():
        found = {name: tensor for name, tensor in model.state_dict().items() if name.startswith(ours)}
        weights |= {theirs + name.removeprefix(ours): tensor for name, tensor in found.items()}
    span = 2 * SHAPE.encoder_width + SHAPE.width_features
    layers = {
        "_linear_layers.1.weight": (150, 150),
        "_linear_layers.1.bias": (150,),
        "_linear_layers.0.bias": (150,),
    }
    pairs = 3 * span + SHAPE.width_features
    shapes = {
        "_coref._distance_embedding.weight": (10, SHAPE.width_features),
        "_events._distance_embedding.weight": (10, SHAPE.width_features),
        **{f"_coref._antecedent_feedforward._module.{name}": shape for name, shape in layers.items()},
        "_coref._antecedent_feedforward._module._linear_layers.0.weight": (150, pairs),
        **{f"_coref._mention_pruner._scorer.0._module.{name}": shape for name, shape in layers.items()},
        "_coref._mention_pruner._scorer.0._module._linear_layers.0.weight": (150, span),
        "_coref._mention_pruner._scorer.1._module.weight": (1, 150),
        "_coref._mention_pruner._scorer.1._module.bias": (1,),
        "_coref._antecedent_scorer._module.weight": (1, 150),
        "_coref._antecedent_scorer._module.bias": (1,),
        "_coref._f_network._linear_layers.0.weight": (span, 2 * span),
        "_coref._f_network._linear_layers.0.bias": (span,),
    }
    return weights | {name: torch.zeros(shape) for name, shape in shapes.items()}


def write_chexbert(folder: Path, tokenizer: Any) -> Path:
    """A folder as :class:`CheXbert` takes it."""
    home = folder / "chexbert"
    config = BertConfig(vocab_size=len(tokenizer))
    weights = {
        f"bert.{name}": tensor
        for name, tensor in BertModel(config, add_pooling_layer=False).state_dict().items()
    }
    for number in range(len(HEADS)):
        classes = 4 if number < len(HEADS) - 1 else 2
        weights[f"linear_heads.{number}.weight"] = torch.randn(classes, config.hidden_size)
        weights[f"linear_heads.{number}.bias"] = torch.zeros(classes)
    tokenizer.save_pretrained(home)
    config.save_pretrained(home)
    save_file(weights, home / "model.safetensors")
    return home


def write_embedder(folder: Path, tokenizer: Any) -> Path:
    """Six layers, the size of the network behind ReXrank's BERTScore."""
    home = folder / "embedder"
    BertModel(BertConfig(vocab_size=len(tokenizer), num_hidden_layers=6)).save_pretrained(home)
    tokenizer.save_pretrained(home)
    return home
