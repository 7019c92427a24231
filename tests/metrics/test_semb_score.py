import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radflow.errors import DataError, MissingFileError
from radflow.metrics import score, semb_score

texts = st.lists(st.text("abc ", max_size=4), max_size=6)


def embed(texts):
    """Each text to a fixed random vector."""
    seeds = [int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") for text in texts]
    return np.stack([np.random.default_rng(seed).normal(size=8) for seed in seeds])


class Reader:
    """Labels when called and embeds beside that, as CheXbert does."""

    def __call__(self, texts):
        raise AssertionError("SembScore does not ask for labels")

    def embed(self, texts):
        return embed(texts)


@given(texts, st.randoms())
def test_it_is_the_cosine(texts, random):
    others = random.sample(texts, len(texts))
    expected = [
        np.dot(a, b) / np.linalg.norm(a) / np.linalg.norm(b)
        for a, b in ((embed([one])[0], embed([other])[0]) for one, other in zip(texts, others, strict=True))
    ]
    np.testing.assert_allclose(semb_score(texts, others, embed), expected, atol=1e-12)
    np.testing.assert_allclose(semb_score(texts, others, Reader()), expected, atol=1e-12)


def test_an_exact_match_is_one_and_never_more():
    words = [str(number) for number in range(200)]
    scores = semb_score(words, words, embed)
    np.testing.assert_allclose(scores, 1.0, atol=1e-12)
    assert scores.max() <= 1.0


def test_scale_does_not_matter_and_a_zero_vector_is_like_nothing():
    length = {"one": 1.0, "ten": 10.0, "zero": 0.0}
    scores = semb_score(
        ["one", "zero"], ["ten", "one"], lambda texts: np.array([[length[t], 0.0] for t in texts])
    )
    assert scores.tolist() == [1.0, 0.0]


def test_no_pairs():
    assert semb_score([], [], embed).shape == (0,)


def test_without_weights_it_says_how_to_load_them():
    with pytest.raises(MissingFileError, match=r'load\("chexbert:<folder>"\)'):
        score(["edema"], ["edema"], ["semb_score"])
    with pytest.raises(DataError):
        semb_score(["edema"], [], embed)
