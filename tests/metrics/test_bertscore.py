import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radflow.metrics import bertscore
from radflow.metrics.bertscore import OFFICIAL_BASELINE, greedy_f1


class HashEmbedder:
    """Each word to a fixed random unit vector: an embedder without context, for exact expectations."""

    def __init__(self):
        self.asked = []

    def embed(self, texts):
        self.asked.extend(texts)
        return [
            np.array([self._vector(w) for w in t.split()], dtype=np.float32).reshape(-1, 16) for t in texts
        ]

    def _vector(self, word):
        seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big")
        vector = np.random.default_rng(seed).normal(size=16)
        return vector / np.linalg.norm(vector)


def loop_f1(ours, theirs):
    """Equations 1-3 of Zhang et al. 2020, written out as loops."""
    if len(ours) == 0 or len(theirs) == 0:
        return 0.0
    precision = sum(max(float(np.dot(x, y)) for y in theirs) for x in ours) / len(ours)
    recall = sum(max(float(np.dot(x, y)) for x in ours) for y in theirs) / len(theirs)
    return 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0


@given(st.integers(0, 6), st.integers(0, 6), st.integers(0, 2**16))
def test_greedy_f1_equals_the_definition(n, m, seed):
    draw = np.random.default_rng(seed)
    ours, theirs = (np.abs(draw.normal(size=(k, 5))) + 0.01 for k in (n, m))
    ours, theirs = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (ours, theirs))
    assert greedy_f1(ours, theirs) == pytest.approx(loop_f1(ours, theirs), abs=1e-9)


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
    embedder.baseline = plain
    assert bertscore(["no edema"], ["small effusion today"], embedder)[0] == 0.0


def test_empty_texts_are_zero_before_rescaling():
    embedder = HashEmbedder()
    assert bertscore(["", "edema", ""], ["edema", "", ""], embedder).tolist() == [0, 0, 0]
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
