import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from radflow.errors import DataError
from radflow.metrics import chexpert_corpus_f1, chexpert_f1, corpus_label_f1, label_f1
from radflow.metrics.chexpert_f1 import FIVE
from radflow.readers.labels import CHEXPERT_OBSERVATIONS as OBSERVATIONS

labels = st.fixed_dictionaries({name: st.sampled_from([1, 0, -1, None]) for name in OBSERVATIONS})
corpora = st.lists(st.tuples(labels, labels), min_size=1, max_size=5)


def vector(report, uncertain):
    wanted = (1, -1) if uncertain == "positive" else (1,)
    return [int(report[name] in wanted) for name in OBSERVATIONS]


@given(corpora, st.sampled_from(["positive", "negative"]))
@settings(max_examples=50)
def test_per_report_f1_equals_scikit_learn(pairs, uncertain):
    ours, theirs = map(list, zip(*pairs, strict=True))
    oracle = [f1_score(vector(b, uncertain), vector(a, uncertain), zero_division=1.0) for a, b in pairs]
    np.testing.assert_allclose(label_f1(ours, theirs, uncertain), oracle, atol=1e-12)


@given(corpora, st.sampled_from(["positive", "negative"]))
@settings(max_examples=50)
def test_corpus_f1_equals_scikit_learn(pairs, uncertain):
    ours, theirs = map(list, zip(*pairs, strict=True))
    truth = np.array([vector(b, uncertain) for b in theirs])
    guess = np.array([vector(a, uncertain) for a in ours])
    result = corpus_label_f1(ours, theirs, OBSERVATIONS, uncertain)
    for average in ("micro", "macro"):
        oracle = f1_score(truth, guess, average=average, zero_division=0.0)
        assert getattr(result, average) == pytest.approx(oracle, abs=1e-12)
    per_class = f1_score(truth, guess, average=None, zero_division=0.0)
    np.testing.assert_allclose([result.per_class[name] for name in OBSERVATIONS], per_class, atol=1e-12)


def reader(texts):
    return [{name: 1 if name.lower() in text.lower() else None for name in OBSERVATIONS} for text in texts]


def test_chexpert_f1_reads_texts():
    generated, reference = ["Edema. Fracture.", "", "Edema."], ["Edema.", "", "Pneumonia."]
    assert chexpert_f1(generated, reference, reader).round(3).tolist() == [0.667, 1.0, 0.0]
    five = chexpert_corpus_f1(generated, reference, reader, observations=FIVE)
    assert set(five.per_class) == set(FIVE)
    assert five.micro == pytest.approx(2 / 3)


def test_unknown_choices_are_refused():
    with pytest.raises(DataError, match="uncertain"):
        label_f1([{"Edema": 1}], [{}], uncertain="blank")
    with pytest.raises(DataError, match="at least one observation"):
        corpus_label_f1([{}], [{}], [])
