import pytest

from radflow.errors import DataError
from radflow.evaluation.decoding.headroom import measure_headroom
from radflow.metrics import corpus_f1, score
from radflow.readers import label_vector, load
from radflow.reports import parse_report
from radflow.rewards import HierarchicalReward
from radflow.studies import Study

NORMAL = "Findings: Lungs are clear. Impression: Normal chest."
SICK = "Findings: There is edema. Impression: Edema."
OTHER = "Findings: There is a rib fracture. Impression: Fracture."
TRUTH = [NORMAL, SICK, SICK, OTHER, NORMAL, SICK]
STUDIES = [
    Study(study_id=f"s{i}", patient_id=f"p{i}", images=(), reference=parse_report(text))
    for i, text in enumerate(TRUTH)
]
REWARD = HierarchicalReward(modality="chest-xray")


def measured(samples: list[list[str]]) -> dict:
    return measure_headroom(STUDIES, [NORMAL] * 6, samples, REWARD, resamples=100)


def test_every_decoding_is_scored_as_its_reports_would_be():
    samples = [[NORMAL, SICK, text, NORMAL] for text in TRUTH]
    found = measured(samples)["decodings"]
    reader = load("chexpert-rules")
    reference = label_vector(reader(TRUTH)).astype(bool)[:, :-1]  # without No Finding, the last

    def macro(texts: list[str]) -> float:
        return corpus_f1(label_vector(reader(texts)).astype(bool)[:, :-1], reference).macro

    assert found["best by labels"]["chexpert_f1"]["mean"] == 1
    assert found["best by labels"]["corpus_macro_f1"]["mean"] == 1
    assert found["best by reward"]["reward"]["mean"] >= found["best by labels"]["reward"]["mean"]
    assert (found["greedy"]["corpus_macro_f1"]["mean"], found["greedy"]["positives"]) == (0, 0)
    assert found["greedy"]["gain"]["reward"] == {"mean": 0, "low": 0, "high": 0}
    singles = [[group[i] for group in samples] for i in range(4)]
    mean = found["mean of samples"]
    assert mean["corpus_macro_f1"]["mean"] == pytest.approx(sum(map(macro, singles)) / 4)
    f1 = [score(texts, TRUTH, ["chexpert_f1"])["chexpert_f1"].mean() for texts in singles]
    assert mean["chexpert_f1"]["mean"] == pytest.approx(sum(f1) / 4)
    votes = {share: found[f"vote of {share}%"]["positives"] for share in (20, 50)}
    assert votes[20] > votes[50]


def test_the_conclusion_is_drawn_from_the_interval():
    better = measured([[NORMAL, text] for text in TRUTH])
    assert "Best of 2 by label F1 is better than greedy" in better["conclusion"]
    assert "samples of 67% of the studies differ in their labels" in better["conclusion"]
    assert better["references"] == pytest.approx(4 / 6)
    same = measured([[NORMAL, NORMAL]] * 6)
    assert "no policy optimisation can help" in same["conclusion"]
    assert same["differ"] == 0


def test_samples_that_are_not_of_the_studies_are_refused():
    with pytest.raises(DataError, match=r"got 6 studies and \[1, 2\] samples"):
        measured([[NORMAL]] * 5 + [[NORMAL, SICK]])
