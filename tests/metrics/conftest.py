"""Tiny networks of the real classes with random weights: what they read means nothing, how does."""

import json
from pathlib import Path

import pytest

WORDS = (
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", ",", ":", "findings", "impression"),
    *("no", "the", "heart", "lungs", "are", "clear", "is", "normal", "in", "size", "and", "there"),
    *("effusion", "left", "small", "pleural", "opacity", "may", "represent", "edema", "##s"),
)
WIDTH = 16


def bert_config():
    from transformers import BertConfig

    return BertConfig(
        vocab_size=len(WORDS),
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
    )


def tokenizer():
    from transformers import BertTokenizerFast

    return BertTokenizerFast(vocab={word: number for number, word in enumerate(WORDS)}, model_max_length=512)


def lively(model, std):
    """Weights far from their small beginnings, so that vectors differ by word."""
    import torch

    torch.manual_seed(0)
    for parameter in model.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=std)
    return model.eval()


@pytest.fixture(scope="session")
def bert_folder(tmp_path_factory) -> Path:
    """A BERT as ``embeddings:<folder>`` takes it."""
    from transformers import BertModel

    folder = tmp_path_factory.mktemp("tiny-bert")
    lively(BertModel(bert_config()), 0.4).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tokens(bert_folder):
    """A token embedder."""
    from radflow.readers import load

    return load(f"embeddings:{bert_folder}@1", device="cpu", cache=None)


@pytest.fixture(scope="session")
def chexbert(tmp_path_factory):
    """CheXbert, in the layout that ``chexbert:<folder>`` reads."""
    import torch
    from safetensors.torch import save_file
    from transformers import BertModel

    from radflow.readers import load
    from radflow.readers.networks.chexbert import HEADS

    folder = tmp_path_factory.mktemp("chexbert")
    bert = lively(BertModel(bert_config(), add_pooling_layer=False), 0.6)
    weights = {f"bert.{name}": value for name, value in bert.state_dict().items()}
    for number in range(len(HEADS)):
        classes = 4 if number < len(HEADS) - 1 else 2
        weights[f"linear_heads.{number}.weight"] = torch.randn(classes, WIDTH)
        weights[f"linear_heads.{number}.bias"] = torch.zeros(classes)
    save_file(weights, folder / "model.safetensors")
    bert_config().save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return load(f"chexbert:{folder}", device="cpu", cache=None)


@pytest.fixture(scope="session")
def radgraph(tmp_path_factory):
    """RadGraph, in the layout that ``radgraph:<folder>`` reads, with many entities and relations."""
    import torch
    from safetensors.torch import save_file
    from transformers import BertModel

    from radflow.readers import load
    from radflow.readers.networks.radgraph_archive import weight_names
    from radflow.readers.networks.radgraph_model import Shape, SpanModel

    folder = tmp_path_factory.mktemp("radgraph")
    (folder / "vocabulary").mkdir()
    labels, relations = ("ANAT-DP", "OBS-DP", "OBS-U", "OBS-DA"), ("modify", "located_at", "suggestive_of")
    (folder / "vocabulary" / "radgraph__ner_labels.txt").write_text("\n".join(["", *labels, ""]))
    (folder / "vocabulary" / "radgraph__relation_labels.txt").write_text("\n".join([*relations, ""]))
    bert = {"type": "pretrained_transformer_mismatched", "model_name": "bert", "max_length": 512}
    model = {
        "embedder": {"token_embedders": {"bert": bert}},
        "feature_size": 4,
        "feedforward_params": {"num_layers": 1, "hidden_dims": WIDTH},
        "modules": {"relation": {"spans_per_word": 0.5}},
    }
    reader = {"token_indexers": {"bert": bert}, "max_span_width": 3}
    (folder / "config.json").write_text(json.dumps({"dataset_reader": reader, "model": model}))
    bert_config().save_pretrained(folder / "bert")
    tokenizer().save_pretrained(folder / "bert")
    shape = Shape(
        encoder_width=WIDTH,
        widths=3,
        width_features=4,
        hidden=(WIDTH,),
        entity_labels=len(labels),
        relation_labels=len(relations),
        mentions_a_word=0.5,
    )
    network = lively(SpanModel(BertModel(bert_config(), add_pooling_layer=False), shape), 0.4)
    for scorer in (network.entity.scorer, network.relation.scorer):
        torch.nn.init.constant_(scorer.bias, 2.0)
    names = {ours: theirs for theirs, ours in weight_names("radgraph").items()}
    weights = {
        next(
            theirs + name.removeprefix(ours) for ours, theirs in names.items() if name.startswith(ours)
        ): value
        for name, value in network.state_dict().items()
    }
    save_file(weights, folder / "weights.safetensors")
    return load(f"radgraph:{folder}", device="cpu", cache=None)
