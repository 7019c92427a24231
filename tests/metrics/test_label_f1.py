import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from radflow.errors import DataError
from radflow.metrics import chexpert_f1, corpus_chexpert_f1, corpus_label_f1, label_f1
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
    for average in ("micro", "macro", "weighted"):
        oracle = f1_score(truth, guess, average=average, zero_division=0.0)
        assert getattr(result, average) == pytest.approx(oracle, abs=1e-12)
    per_class = f1_score(truth, guess, average=None, zero_division=0.0)
    np.testing.assert_allclose([result.per_class[name] for name in OBSERVATIONS], per_class, atol=1e-12)


def reader(texts):
    return [{name: 1 if name.lower() in text.lower() else None for name in OBSERVATIONS} for text in texts]


def test_chexpert_f1_reads_texts():
    generated, reference = ["Edema. Fracture.", "", "Edema."], ["Edema.", "", "Pneumonia."]
    assert chexpert_f1(generated, reference, reader).round(3).tolist() == [0.667, 1.0, 0.0]


@given(corpora)
@settings(max_examples=20)
def test_corpus_chexpert_f1_equals_scikit_learn_in_all_its_forms(pairs):
    readings = {f"{side} {i}": labels for i, pair in enumerate(pairs) for side, labels in enumerate(pair)}
    generated, reference = ([f"{side} {i}" for i in range(len(pairs))] for side in (0, 1))
    scores = dict(corpus_chexpert_f1(generated, reference, lambda texts: [readings[text] for text in texts]))
    for count, names in (("14", OBSERVATIONS), ("5", FIVE)):
        columns = [OBSERVATIONS.index(name) for name in names]
        for uncertain in ("positive", "negative"):
            truth = np.array([vector(b, uncertain) for _, b in pairs])[:, columns]
            guess = np.array([vector(a, uncertain) for a, _ in pairs])[:, columns]
            for name, average, undefined in (
                ("micro", "micro", 0.0),
                ("macro", "macro", 0.0),
                ("weighted", "weighted", 0.0),
                ("per_report", "samples", 1.0),
            ):
                oracle = f1_score(truth, guess, average=average, zero_division=undefined)
                value = scores.pop(f"{name}_f1_{count}_uncertain_{uncertain}")
                assert value == pytest.approx(oracle, abs=1e-12)
    assert not scores


def test_per_report_over_all_observations_is_the_mean_of_chexpert_f1():
    texts = ["Edema. Fracture.", "", "Edema."], ["Edema.", "", "Pneumonia."]
    corpus = corpus_chexpert_f1(*texts, reader)
    assert corpus["per_report_f1_14_uncertain_positive"] == pytest.approx(
        chexpert_f1(*texts, reader).mean(), abs=1e-12
    )
    assert corpus["micro_f1_5_uncertain_positive"] == pytest.approx(2 / 3)


def test_no_reports_have_no_mean():
    empty = corpus_chexpert_f1([], [], reader)
    assert np.isnan(empty["per_report_f1_14_uncertain_positive"])
    assert empty["micro_f1_14_uncertain_positive"] == 0.0


def test_unknown_choices_are_refused():
    with pytest.raises(DataError, match="uncertain"):
        label_f1([{"Edema": 1}], [{}], uncertain="blank")
    with pytest.raises(DataError, match="at least one observation"):
        corpus_label_f1([{}], [{}], [])
