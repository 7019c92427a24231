"""RaTEScore's networks, tiny and random, against the published steps written out as loops."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    BertConfig,
    BertModel,
    BertTokenizerFast,
    DebertaV2Config,
    DebertaV2ForTokenClassification,
)

from radflow import readers
from radflow.errors import DataError, MissingFileError
from radflow.metrics import metric_label, score
from radflow.readers.networks.rate import TYPES, entity_spans
from radflow.readers.networks.rate_sentences import sentences
from radflow.readers.networks.text_cache import TextCache

WORDS = (
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    ".",
    "no",
    "the",
    "heart",
    "is",
    "normal",
    "edema",
    "##s",
)
LABELS = [f"{side}-{kind}" for kind in TYPES for side in "BI"] + ["O"]
SHAPE = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "vocab_size": len(WORDS),
}
TEXTS = ["No edema. The heart is normal.", "", "The edemas. " * 30, "heart normal edema no is the edemas"]


def save(model, folder: Path) -> Path:
    torch.manual_seed(1)
    for parameter in model.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.5)
    model.save_pretrained(folder)
    BertTokenizerFast(vocab={word: i for i, word in enumerate(WORDS)}, model_max_length=512).save_pretrained(
        folder
    )
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> tuple[Path, Path]:
    home = tmp_path_factory.mktemp("rate")
    labels = {"id2label": dict(enumerate(LABELS)), "label2id": {label: i for i, label in enumerate(LABELS)}}
    ner = DebertaV2ForTokenClassification(
        DebertaV2Config(**SHAPE, **labels, relative_attention=True, pos_att_type=["p2c", "c2p"])
    )
    return save(ner, home / "tiny-ner"), save(BertModel(BertConfig(**SHAPE)), home / "tiny-encoder")


@pytest.fixture(scope="module")
def reader(folders):
    return readers.load("ratescore:{}+{}".format(*folders), cache=None, device="cpu")


def test_entities_are_those_of_the_published_steps(reader, folders):
    tokenizer = BertTokenizerFast.from_pretrained(folders[0])
    ner = DebertaV2ForTokenClassification.from_pretrained(folders[0]).eval()
    encoder = BertModel.from_pretrained(folders[1]).eval()
    count = 0
    for text, found in zip(TEXTS, reader(TEXTS), strict=True):
        terms, types = [], []
        for sentence in sentences(text):
            one = tokenizer(sentence, max_length=512, truncation=True, return_tensors="pt")
            tokens = tokenizer.convert_ids_to_tokens(one["input_ids"][0])
            with torch.no_grad():
                labels = [LABELS[label] for label in ner(**one).logits.argmax(dim=2)[0].tolist()]
            for start, end, kind in entity_spans(labels, [token in ("[CLS]", "[SEP]") for token in tokens]):
                terms.append(tokenizer.convert_tokens_to_string(tokens[start : end + 1]))
                types.append(kind)
        assert found.types == tuple(types)
        for term, vector in zip(terms, found.vectors, strict=True):
            encoded = tokenizer(term, truncation=True, max_length=30, return_tensors="pt")
            with torch.no_grad():
                cls = encoder(**encoded).last_hidden_state[0, 0]
            np.testing.assert_allclose(vector, torch.nn.functional.normalize(cls, dim=0), atol=1e-5)
        count += len(types)
    assert count > 20


def test_a_text_is_read_once_and_the_same_in_any_batch(folders):
    cache = TextCache()
    reader = readers.load("ratescore:{}+{}".format(*folders), cache=cache, device="cpu", batch_tokens=8)
    together = reader(TEXTS)
    reader._find = lambda texts: pytest.fail("read again")
    for text, found in zip(TEXTS, together, strict=True):
        (alone,) = reader([text])
        assert alone.types == found.types
        np.testing.assert_array_equal(alone.vectors, found.vectors)


def test_the_metric_reads_with_it(reader):
    values = score(TEXTS, TEXTS[::-1], ["ratescore"], readers={"ratescore": reader})["ratescore"]
    same = score(TEXTS, TEXTS, ["ratescore"], readers={"ratescore": reader})["ratescore"]
    assert np.isfinite(values).all()
    assert same == pytest.approx([1.0, 0.5, 1.0, 1.0])  # nothing against nothing is 0.5
    assert metric_label("ratescore", reader) == "RaTEScore (tiny-ner and tiny-encoder)"


@pytest.mark.parametrize("labels", list(itertools.product(["O", "B-ANATOMY", "I-ANATOMY"], repeat=3)))
def test_spans_lie_in_the_sentence(labels):
    spans = entity_spans(["O", *labels, "O"], [True, False, False, False, True])
    assert all(1 <= start <= end <= 3 and kind == "ANATOMY" for start, end, kind in spans)
    assert bool(spans) == ("B-ANATOMY" in labels)


def test_bad_folders(folders, tmp_path):
    ner, encoder = folders
    with pytest.raises(DataError, match=r"NER\+ENCODER"):
        readers.load(f"ratescore:{ner}")
    with pytest.raises(MissingFileError, match="model folder at"):
        readers.load(f"ratescore:{ner}+{tmp_path / 'none'}")
    with pytest.raises(DataError, match="token classifier of RaTEScore"):
        readers.load(f"ratescore:{encoder}+{encoder}")
    half = tmp_path / "half"
    half.mkdir()
    (half / "config.json").write_bytes((ner / "config.json").read_bytes())
    with pytest.raises(MissingFileError, match=r"token classifier in .*half"):
        readers.load(f"ratescore:{half}+{encoder}")
