import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
from rouge_score.rouge_scorer import RougeScorer

from radflow.errors import DataError
from radflow.metrics.lexical import bleu2, bleu4, lcs_length, rexrank_tokens, rouge_l

WORDS = ["no", "effusion", "effusion.", "the", "heart", "is", "normal", ".", "No", "edema,", "\n", "3.5", "ä"]
reports = st.lists(st.sampled_from(WORDS), max_size=25).map(" ".join)
texts = st.one_of(reports, st.text(max_size=60))


def nltk_bleu(generated: str, reference: str, order: int) -> float:
    # The protocol's own smoothing: NLTK's method1 with its default epsilon of 0.1.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return sentence_bleu(
            [rexrank_tokens(reference)],
            rexrank_tokens(generated),
            weights=(1 / order,) * order,
            smoothing_function=SmoothingFunction(epsilon=0.1).method1,
        )


@given(texts, texts)
@settings(max_examples=150)
def test_bleu_equals_nltk(generated, reference):
    assert bleu2([generated], [reference])[0] == pytest.approx(nltk_bleu(generated, reference, 2), abs=1e-12)
    assert bleu4([generated], [reference])[0] == pytest.approx(nltk_bleu(generated, reference, 4), abs=1e-12)


@given(texts, texts)
@settings(max_examples=150)
def test_rouge_l_equals_rouge_score(generated, reference):
    oracle = RougeScorer(["rougeL"], use_stemmer=False).score(reference, generated)["rougeL"].fmeasure
    assert rouge_l([generated], [reference])[0] == pytest.approx(oracle, abs=1e-12)


@given(st.lists(st.sampled_from("abcd"), max_size=80), st.lists(st.sampled_from("abcd"), max_size=80))
def test_lcs_equals_the_table(first, second):
    table = np.zeros((len(first) + 1, len(second) + 1), dtype=int)
    for i, x in enumerate(first, start=1):
        for j, y in enumerate(second, start=1):
            table[i, j] = table[i - 1, j - 1] + 1 if x == y else max(table[i - 1, j], table[i, j - 1])
    assert lcs_length(first, second) == table[-1, -1]


def test_tokens_are_those_of_the_reference_script():
    assert rexrank_tokens("A  B.C\nd, e.") == ["a", "b", ".c\nd,", "e", "."]


@pytest.mark.parametrize("metric", [bleu2, bleu4, rouge_l])
def test_empty_texts_score_zero(metric):
    assert metric(["", "", "clear", "..."], ["", "clear", "", " "]).tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("metric", [bleu2, bleu4, rouge_l])
def test_no_pairs_is_an_empty_array(metric):
    assert metric([], []).shape == (0,)


@given(st.lists(st.tuples(reports, reports), min_size=1, max_size=6), st.randoms())
def test_a_score_does_not_depend_on_its_company(pairs, random):
    shuffled = random.sample(pairs, len(pairs))
    for metric in (bleu2, bleu4, rouge_l):
        together = dict(zip(shuffled, metric(*map(list, zip(*shuffled, strict=True))).tolist(), strict=True))
        assert all(together[pair] == metric([pair[0]], [pair[1]])[0] for pair in pairs)


def test_unpaired_lists_are_refused():
    with pytest.raises(DataError, match="2 generated and 1 references"):
        bleu2(["a", "b"], ["a"])
    with pytest.raises(DataError, match="single string"):
        rouge_l("a", "b")
