import pytest
from hypothesis import given
from hypothesis import strategies as st

from radflow.errors import DataError
from radflow.evaluation.files.predictions import Prediction
from radflow.evaluation.files.store import ReportStore, Unpaired


def record(study: str, text: str = "x", reference: str | None = None, **known: str) -> Prediction:
    return Prediction(study_id=study, text=text, reference=reference, **known)


ids = st.lists(st.sampled_from("abcdefgh"), unique=True, min_size=1)


@given(ids, ids, st.integers(1, 5))
def test_reports_meet_by_study_in_the_order_of_the_predictions(ours, theirs, size) -> None:
    predictions, references = [record(i, f"our {i}") for i in ours], [record(i, f"their {i}") for i in theirs]
    if not set(ours) & set(theirs):
        with pytest.raises(DataError, match="no prediction has a reference"):
            ReportStore(predictions, references)
        return
    both = [study for study in ours if study in theirs]
    with ReportStore(predictions, references) as store:
        rows = [one for start in range(0, len(store), size) for one in store[start : start + size]]
        assert [p.study_id for p in rows] == both == store.ids()[0]
        assert [p.generated for p in rows] == [f"our {study}" for study in both]
        assert [p.reference for p in rows] == [f"their {study}" for study in both]
        left_out = list(store.unpaired())
        assert [u.study_id for u in left_out if u.side == "prediction"] == [i for i in ours if i not in both]
        assert [u.study_id for u in left_out if u.side == "reference"] == [i for i in theirs if i not in both]


def test_a_reference_file_counts_its_reference_column_first() -> None:
    with ReportStore([record("a")], [record("a", "generated", "true")]) as store:
        assert [p.reference for p in store[0:9]] == ["true"]


def test_no_reference_at_all_is_an_error() -> None:
    with pytest.raises(DataError, match="no prediction has a reference"):
        ReportStore([record("a")])


def test_a_patient_and_an_indication_are_taken_from_either_file() -> None:
    predictions = [record("a", patient_id="p"), record("b", context="ours")]
    references = [record("b", "y", patient_id="q"), record("a", "z", context="theirs")]
    with ReportStore(predictions, references) as store:
        assert [(p.patient_id, p.context) for p in store[0:9]] == [("p", "theirs"), ("q", "ours")]


def test_what_the_track_leaves_nothing_of_is_said() -> None:
    predictions = [record("a", "Clear.", "Impression: Normal."), record("b", "Mass.", "Findings: Mass.")]
    with ReportStore(predictions, track="findings") as store:
        assert [p.reference for p in store[0:9]] == ["Mass."]
        assert list(store.unpaired()) == [
            Unpaired("a", "prediction", "the reference is empty on the track findings")
        ]
    with pytest.raises(DataError, match="no reference has anything on the track 'findings'"):
        ReportStore(predictions[:1], track="findings")


def test_ids_that_do_not_meet_are_shown() -> None:
    with pytest.raises(DataError, match="got ids such as 's1' and 'CXR1'"):
        ReportStore([record("s1")], [record("CXR1")])


def test_texts_that_differ_in_spaces_alone_are_one() -> None:
    with ReportStore([record("a", "No  edema.", "x"), record("b", "No edema.", "y")]) as store:
        assert store.texts("generated") == (2, 1, 2)
        assert store.texts("reference") == (2, 2, 1)


def test_the_pool_is_the_training_reports_or_the_paired_references() -> None:
    predictions = [
        record("a", "x", "A"),
        record("b", "x", None),
        record("c", "x", "C"),
        record("d", "x", "C"),
    ]
    with ReportStore(predictions) as store:
        assert (store.pool_size(), store.most_frequent()) == (3, ("C", 2))
        assert [store.pool(place).study_id for place in range(3)] == ["a", "c", "d"]
    train = [record("t", "T"), record("u", ""), record("v", "V")]
    with ReportStore(predictions, train=train) as store:
        assert (store.pool_size(), store.most_frequent()) == (2, ("T", 1))
        assert [store.pool(place).text for place in range(2)] == ["T", "V"]


def test_the_reports_stay_as_they_were_written() -> None:
    with ReportStore([record("a", "FINDINGS:\nx\nIMPRESSION:\ny", "r")]) as store:
        assert store.generated("a") == "FINDINGS:\nx\nIMPRESSION:\ny"
        assert store.generated("b") is None
        assert store[0:1][0].generated == "Findings: x Impression: y"


def test_training_reports_without_text_are_an_error() -> None:
    with pytest.raises(DataError, match="expected training reports with text"):
        ReportStore([record("a", "x", "A")], train=[record("t", "")])
