"""The bootstrap of F1s over a corpus, against resampling study by study."""

import numpy as np
import pytest

from radflow.errors import DataError
from radflow.evaluation.corpus import counts_of, label_counts, resample_corpus
from radflow.evaluation.intervals import drawn_units
from radflow.metrics import corpus_f1

RESAMPLES = 40


def tables(seed: int = 0, size: int = 30) -> tuple[np.ndarray, np.ndarray]:
    dice = np.random.default_rng(seed)
    return dice.random((size, 4)) < 0.2, dice.random((size, 4)) < [0.3, 0.2, 0.1, 0.03]


@pytest.mark.parametrize("patients", [None, [f"p{i // 4}" for i in range(30)]])
def test_each_resample_is_what_its_studies_give_one_by_one(patients):
    written, support = tables()
    found = resample_corpus(
        {"a": counts_of(written, support)}, clusters=patients, resamples=RESAMPLES, seed=3
    )["a"]
    names = list(range(30)) if patients is None else patients
    units = list(dict.fromkeys(names))
    (drawn,) = drawn_units(len(units), RESAMPLES, 3)
    for row, resample in zip(found.resampled, drawn, strict=True):
        studies = [i for unit in resample for i, name in enumerate(names) if name == units[unit]]
        expected = corpus_f1(written[studies], support[studies])
        np.testing.assert_allclose(row, [expected.macro, expected.micro])
    whole = corpus_f1(written, support)
    assert found.figures.tolist() == pytest.approx([whole.macro, whole.micro])
    low, high = np.percentile(found.resampled[:, 0], [2.5, 97.5])
    interval = found.intervals()["corpus_macro_f1"]
    assert (interval.low, interval.high) == (low, high)


def test_a_difference_is_of_the_same_resamples():
    written, support = tables()
    better = written | support
    counts = {"a": counts_of(written, support), "b": counts_of(better, support)}
    found = resample_corpus(counts, resamples=RESAMPLES)
    gain = (found["b"] - found["a"]).intervals()["corpus_micro_f1"]
    assert gain.low > 0  # on every resample, though the intervals of the two overlap
    assert (found["a"] - found["a"]).intervals()["corpus_micro_f1"].high == 0
    alone = resample_corpus({"b": counts["b"]}, resamples=RESAMPLES)["b"]
    assert alone.resampled.tolist() == found["b"].resampled.tolist()


def test_uncertain_is_asserted_and_what_sums_up_a_report_is_left_out():
    columns = {
        "generated:Edema": np.array([1.0, 0.0, np.nan]),
        "generated:No Finding": np.array([0.0, 1.0, 1.0]),
        "reference:Edema": np.array([-1.0, 1.0, 0.0]),
        "reference:No Finding": np.array([0.0, 0.0, 1.0]),
    }
    right, written, support = label_counts(columns).sum(axis=0)
    assert (right.tolist(), written.tolist(), support.tolist()) == ([1], [1], [2])


def test_what_no_reference_asserts_has_no_macro_f1_and_nothing_at_all_no_figure():
    nothing = np.zeros((3, 2), dtype=bool)
    assert resample_corpus({"a": counts_of(nothing, nothing)}, resamples=5)["a"].intervals() == {}
    false_alarms = resample_corpus({"a": counts_of(~nothing, nothing)}, resamples=5)["a"].intervals()
    assert list(false_alarms) == ["corpus_micro_f1"]
    with pytest.raises(DataError, match="at least one study to resample"):
        resample_corpus({"a": np.zeros((0, 3, 2))})
