"""BERTScore against the paper's equations, written out as loops over a plain model's hidden states.

By hand it was also compared with bert-score 0.3.13; that package is no test dependency, because it brings
pandas and, on transformers 5, fails on empty texts and loses the space before RoBERTa's first word.
"""

import hashlib
import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModel, AutoTokenizer

from radflow.metrics import Rescaled, bertscore
from radflow.metrics.bertscore import OFFICIAL_BASELINE, TokenEmbedder, greedy_f1
from radflow.readers import load


class HashEmbedder:
    """Each word to a fixed random unit vector, between two special tokens: no context, exact expectations."""

    def __init__(self):
        self.asked = []

    def embed(self, texts):
        self.asked.extend(texts)
        return [self._tokens(["[CLS]", *text.split(), "[SEP]"]) for text in texts]

    def _tokens(self, words):
        vectors = np.array([self._vector(word) for word in words], dtype=np.float32)
        return vectors, np.array([word not in ("[CLS]", "[SEP]") for word in words])

    def _vector(self, word):
        seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big")
        vector = np.random.default_rng(seed).normal(size=16)
        return vector / np.linalg.norm(vector)


def loop_f1(ours, theirs, our_words, their_words):
    """Equations 1-3 of Zhang et al. 2020 with weight 0 on special tokens, as their package has it."""
    if not any(our_words) or not any(their_words):
        return 0.0
    best = [max(float(np.dot(x, y)) for y in theirs) for x in ours]
    precision = sum(b for b, word in zip(best, our_words, strict=True) if word) / sum(our_words)
    best = [max(float(np.dot(x, y)) for x in ours) for y in theirs]
    recall = sum(b for b, word in zip(best, their_words, strict=True) if word) / sum(their_words)
    return 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0


@given(st.lists(st.booleans(), max_size=6), st.lists(st.booleans(), max_size=6), st.integers(0, 2**16))
def test_greedy_f1_equals_the_definition(our_words, their_words, seed):
    draw = np.random.default_rng(seed)
    texts = []
    for words in (our_words, their_words):
        vectors = np.abs(draw.normal(size=(len(words), 5))) + 0.01
        texts.append((vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.array(words, dtype=bool)))
    expected = loop_f1(texts[0][0], texts[1][0], our_words, their_words)
    assert greedy_f1(*texts) == pytest.approx(expected, abs=1e-9)


def test_a_word_may_match_a_special_token_and_no_special_token_is_averaged():
    axis = np.eye(3, dtype=np.float32)
    ours = axis[[0, 1, 0]], np.array([False, True, False])
    theirs = axis[[1, 2, 1]], np.array([False, True, False])
    # Our word equals their special tokens: precision 1. Their word is like nothing of ours: recall 0.
    assert greedy_f1(ours, theirs) == 0.0
    theirs = axis[[1, 0, 1]], np.array([False, True, False])
    assert greedy_f1(ours, theirs) == 1.0


TEXTS = [
    "the heart is normal in size  and the   lungs are clear",
    "No effusion.",
    "no effusion",
    "there is a small left pleural effusion , and edema may represent opacity .",
    "",
    "unheardof",
]


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_equals_the_paper_on_a_plain_model(bert_folder, layer):
    model, tokenizer = (
        AutoModel.from_pretrained(bert_folder).eval(),
        AutoTokenizer.from_pretrained(bert_folder),
    )

    def tokens(text):
        ids = tokenizer(re.sub(" +", " ", text), return_tensors="pt")
        with torch.no_grad():
            vectors = model(**ids, output_hidden_states=True).hidden_states[layer][0].double().numpy()
        special = (tokenizer.cls_token_id, tokenizer.sep_token_id)
        words = [number not in special for number in ids["input_ids"][0].tolist()]
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), words

    reader = load(f"embeddings:{bert_folder}@{layer}", device="cpu", cache=None)
    pairs = [(a, b) for a in TEXTS for b in TEXTS]
    expected = []
    for a, b in pairs:
        (ours, our_words), (theirs, their_words) = tokens(a), tokens(b)
        expected.append(loop_f1(ours, theirs, our_words, their_words))
    scores = bertscore([a for a, _ in pairs], [b for _, b in pairs], reader)
    np.testing.assert_allclose(scores, expected, atol=1e-6)
    assert len(set(np.round(expected, 3))) > 5


def test_identical_texts_score_one_and_rescaling_keeps_it():
    embedder = HashEmbedder()
    assert bertscore(["no  edema"], ["no edema"], embedder)[0] == pytest.approx(1.0, abs=1e-6)
    assert bertscore(["no edema"], ["no edema"], embedder, OFFICIAL_BASELINE)[0] == pytest.approx(
        1.0, abs=1e-5
    )


def test_rescaling_maps_the_baseline_to_zero():
    embedder = HashEmbedder()
    plain = bertscore(["no edema"], ["small effusion today"], embedder)[0]
    assert bertscore(["no edema"], ["small effusion today"], embedder, baseline=plain)[0] == 0.0
    rescaled = Rescaled(embedder=embedder, baseline=plain)
    assert bertscore(["no edema"], ["small effusion today"], rescaled)[0] == 0.0
    assert isinstance(rescaled, TokenEmbedder)
    assert rescaled.name == "HashEmbedder, rescaled"


def test_empty_texts_are_zero_before_rescaling():
    embedder = HashEmbedder()
    assert bertscore(["", "edema", ""], ["edema", "", ""], embedder).tolist() == [0, 0, 0]
    assert bertscore([""], ["edema"], embedder, baseline=0.5).tolist() == [-1]
    assert bertscore([], [], embedder).shape == (0,)


words = st.lists(st.sampled_from(["no", "edema", "small", "effusion"]), max_size=6).map(" ".join)


@given(st.lists(st.tuples(words, words), min_size=1, max_size=5))
def test_a_score_does_not_depend_on_its_company(pairs):
    embedder = HashEmbedder()
    batch = bertscore([a for a, _ in pairs], [b for _, b in pairs], embedder).tolist()
    assert batch == [bertscore([a], [b], embedder)[0] for a, b in pairs]


def test_each_distinct_text_is_embedded_once_a_batch():
    embedder = HashEmbedder()
    bertscore(["a", "b", "c", "d"], ["x", "x", "x", "x"], embedder)
    assert sorted(embedder.asked) == ["a", "b", "c", "d", "x"]
