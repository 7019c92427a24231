"""CheXbert against a reimplementation of its authors' forward pass, with random weights in their layout."""

import re
import shutil

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from transformers import BertConfig, BertModel, BertTokenizer

from radflow.errors import DataError, MissingFileError, RecipeError
from radflow.metrics import chexpert_f1, score, semb_score
from radflow.readers import CHEXPERT_OBSERVATIONS, load
from radflow.readers.networks.chexbert import HEADS, CheXbert
from radflow.readers.networks.text_cache import TextCache

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PIECES = ["ed", "##ema", "cardio", "##me", "##gal", "##y", "##s", ".", ","]
WORDS = [
    "no",
    "small",
    "left",
    "pleural",
    "effusion",
    "heart",
    "size",
    "is",
    "normal",
    "lungs",
    "clear",
    "the",
]
VOCABULARY = [*SPECIAL, *PIECES, *WORDS]
REPORTS = [
    "No pleural effusion.",
    "There is a small  left\npleural effusion, and edema.\r\n\n  The heart size is normal. ",
    "",
    "   \n",
    "Cardiomegaly",
    "lungs clear " * 400,
    "\x1cclear\x85lungs\u3000",
    "naïve [SEP] ##ema 漢字",
]


class Reference(torch.nn.Module):
    """The authors' ``bert_labeler`` and their tokenizing, written again: one report at a time."""

    def __init__(self, config):
        super().__init__()
        self.bert = BertModel(config)
        self.dropout = torch.nn.Dropout(0.1)
        self.linear_heads = torch.nn.ModuleList(
            [
                *(torch.nn.Linear(config.hidden_size, 4) for _ in range(13)),
                torch.nn.Linear(config.hidden_size, 2),
            ]
        )

    @torch.no_grad()
    def read(self, text, tokenizer):
        text = re.sub(r"\s+", " ", text.strip().replace("\n", " ")).strip()
        words = tokenizer.convert_tokens_to_ids(tokenizer.tokenize(text))
        ids = [tokenizer.cls_token_id, *words, tokenizer.sep_token_id]
        if len(ids) > 512:
            ids = [*ids[:511], tokenizer.sep_token_id]
        cls = self.bert(torch.tensor([ids]), attention_mask=torch.ones(1, len(ids)))[0][:, 0]
        return cls[0].numpy(), [int(head(self.dropout(cls)).argmax(1)) for head in self.linear_heads]


@pytest.fixture(scope="module")
def reference():
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
    )
    model = Reference(config).eval()
    for parameter in model.parameters():  # far from their small beginnings, so that labels differ by report
        torch.nn.init.normal_(parameter, std=0.6)
    return model


@pytest.fixture(scope="module")
def folder(reference, tmp_path_factory):
    path = tmp_path_factory.mktemp("chexbert")
    save_checkpoint(reference, path)
    return path


def save_checkpoint(reference, path):
    (path / "vocab.txt").write_text("\n".join(VOCABULARY))
    reference.bert.config.save_pretrained(path)
    weights = {f"module.{name}": value for name, value in reference.state_dict().items()}
    weights["module.bert.embeddings.position_ids"] = torch.arange(512)[None]  # as older transformers saved it
    optimizer = torch.optim.Adam(reference.parameters()).state_dict()
    torch.save(
        {"epoch": 8, "model_state_dict": weights, "optimizer_state_dict": optimizer},
        path / "chexbert.pth",
        _use_new_zipfile_serialization=False,  # the published file is as old as that
    )


@pytest.fixture(scope="module")
def tokenizer(folder):
    return BertTokenizer(vocab=str(folder / "vocab.txt"))


def chexbert(folder, **options):
    return CheXbert(folder, **{"device": "cpu", "cache": None, **options})


def labels_of(classes):
    names = "Blank", 1, 0, -1
    states = {
        name: None if number == 0 else names[number] for name, number in zip(HEADS, classes, strict=True)
    }
    return {name: states[name] for name in CHEXPERT_OBSERVATIONS}


@pytest.mark.parametrize("batch_tokens", [1, 60, 100_000])
@pytest.mark.parametrize("order", [1, -1])
def test_equals_the_reference_in_any_batch_and_order(folder, reference, tokenizer, batch_tokens, order):
    reader = chexbert(folder, batch_tokens=batch_tokens)
    texts = REPORTS[::order]
    embedded = reader.embed(texts)
    for text, vector, labels in zip(texts, embedded, reader(texts), strict=True):
        cls, classes = reference.read(text, tokenizer)
        np.testing.assert_allclose(vector, cls, atol=1e-5)
        assert labels == labels_of(classes)
        assert list(labels) == list(CHEXPERT_OBSERVATIONS)


def test_the_reports_above_tell_states_apart(folder):
    labels = chexbert(folder)(REPORTS)
    assert {state for row in labels for state in row.values()} == {None, 1, 0, -1}
    assert {row["No Finding"] for row in labels} <= {None, 1}
    assert any(row["Lung Lesion"] != row["Lung Opacity"] for row in labels)


@settings(max_examples=25)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_equals_the_reference_on_any_text(shared, reference, tokenizer, text):
    np.testing.assert_allclose(shared.embed([text])[0], reference.read(text, tokenizer)[0], atol=1e-5)


@pytest.fixture(scope="module")
def shared(folder):
    return chexbert(folder)


def test_heads_are_observations():
    assert sorted(HEADS) == sorted(CHEXPERT_OBSERVATIONS)
    assert HEADS.index("Lung Opacity") < HEADS.index("Lung Lesion")


def test_labels_and_vectors_come_from_one_pass(folder, monkeypatch):
    reader = chexbert(folder, cache=TextCache())
    labels = reader(REPORTS)
    monkeypatch.setattr(reader, "_forward", lambda ids: pytest.fail("read again"))
    assert reader.embed(REPORTS).shape == (len(REPORTS), reader.dim)
    assert reader([f" {text}\n" for text in REPORTS]) == labels  # white space is no other report


def test_no_reports_and_surrogates(folder):
    reader = chexbert(folder)
    assert reader([]) == []
    assert reader.embed([]).shape == (0, 24)
    assert len(reader(["\ud800 clear"])) == 1


def test_a_conversion_is_the_same_reader(folder, tmp_path):
    cache = TextCache()
    labels = chexbert(folder, cache=cache)(REPORTS)
    copy = shutil.copytree(folder, tmp_path / "new", ignore=shutil.ignore_patterns("*.pth"))
    save_file(chexbert(folder)._network.state_dict(), copy / "model.safetensors")
    converted = CheXbert(copy, device="cpu", cache=cache)
    converted._forward = lambda ids: pytest.fail("another fingerprint than the checkpoint's")
    assert converted(REPORTS) == labels


def test_the_metrics_take_it_as_their_reader(folder):
    reader = load(f"chexbert:{folder}", device="cpu", cache=TextCache())
    assert reader.name == "CheXbert"
    pairs = ["no pleural effusion", "edema"], ["no  pleural effusion", "lungs clear"]
    semb = semb_score(*pairs, reader)
    one, other = reader.embed(["edema", "lungs clear"]).astype(float)
    assert semb[0] == pytest.approx(1.0, abs=1e-12)
    assert semb[1] == pytest.approx(one @ other / np.linalg.norm(one) / np.linalg.norm(other), abs=1e-9)
    scores = score(
        *pairs, ["semb_score", "chexpert_f1"], readers={"semb_score": reader, "chexpert_f1": reader}
    )
    assert scores["semb_score"].tolist() == semb.tolist()
    assert scores["chexpert_f1"].tolist() == chexpert_f1(*pairs, reader).tolist()
    assert scores["chexpert_f1"][0] == 1.0


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_runs_and_is_kept_apart(folder, dtype):
    cache = TextCache()
    exact = chexbert(folder, cache=cache).embed(REPORTS)
    half = chexbert(folder, cache=cache, dtype=dtype).embed(REPORTS)
    assert half.dtype == np.float32
    cosine = (exact * half).sum(1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(half, axis=1)
    assert (cosine > 0.98).all()
    assert not np.array_equal(exact, half)


@pytest.mark.parametrize("gone", ["chexbert.pth", "vocab.txt"])
def test_a_folder_that_lacks_a_file_says_what_belongs_there(reference, tmp_path, gone):
    save_checkpoint(reference, tmp_path)
    (tmp_path / gone).unlink()
    with pytest.raises(MissingFileError, match=r"chexbert\.pth or model\.safetensors, and vocab\.txt or tok"):
        chexbert(tmp_path)
    with pytest.raises(MissingFileError, match="got no such folder"):
        chexbert(tmp_path / "none")


def test_weights_of_another_network_are_refused(folder, reference, tmp_path):
    save_checkpoint(reference, tmp_path)
    torch.save({"model_state_dict": reference.bert.state_dict()}, tmp_path / "chexbert.pth")
    with pytest.raises(DataError, match=r"missing: bert\.embeddings.*unexpected: embeddings"):
        chexbert(tmp_path)


def test_a_vocabulary_that_is_too_large_is_refused(reference, tmp_path):
    save_checkpoint(reference, tmp_path)
    (tmp_path / "vocab.txt").write_text("\n".join([*VOCABULARY, "more"]))
    with pytest.raises(DataError, match=f"at most {len(VOCABULARY)} words"):
        chexbert(tmp_path)


def test_bert_base_is_meant_where_no_configuration_says_otherwise(reference, tmp_path):
    save_checkpoint(reference, tmp_path)
    (tmp_path / "config.json").unlink()
    with pytest.raises(DataError, match=r"\(32, 24\) for \(30522, 768\)".replace("32", str(len(VOCABULARY)))):
        chexbert(tmp_path)


def test_nonsense_options_are_refused(folder):
    with pytest.raises(RecipeError, match="Expected dtype"):
        load(f"chexbert:{folder}", dtype="half")
