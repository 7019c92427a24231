import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radflow.metrics import finding_match

SENTENCES = (
    "Small left pleural effusion.",
    "No pneumothorax.",
    "The heart is mildly enlarged.",
    "Right lower lobe opacity, unchanged.",
    "Possible edema.",
    "3 cm mass in the left upper lobe.",
)
reports = st.lists(st.sampled_from(SENTENCES), min_size=1, max_size=5, unique=True).map(" ".join)


def match(text, reference):
    return finding_match([text], [reference])[0]


@pytest.mark.parametrize(
    ("reference", "better", "worse"),
    [
        ("Lungs are clear.", "No focal airspace disease.", "Lungs are not clear."),
        (
            "Small left pleural effusion.",
            "Pleural effusion on the left, small.",
            "Small right pleural effusion.",
        ),
        ("Small left pleural effusion.", "Small left pleural effusion.", "Small pleural effusion."),
        ("Small left pleural effusion.", "Moderate left pleural effusion.", "No pleural effusion."),
        ("Large right pneumothorax.", "Large pneumothorax on the right.", "Tiny right pneumothorax."),
        ("Right lower lobe pneumonia.", "Right lower lobe consolidation.", "Right lower lobe atelectasis."),
        ("Pulmonary edema.", "Possible pulmonary edema.", "No pulmonary edema."),
        ("2 cm nodule in the left lung.", "1.8 cm nodule in the left lung.", "6 cm nodule in the left lung."),
        ("Bilateral effusions.", "Bilateral effusions.", "Left effusion."),
        ("Cardiomegaly.", "Cardiomegaly.", "Cardiomegaly. Pneumothorax."),
        ("Cardiomegaly. No effusion. No edema.", "Cardiomegaly.", "No effusion. No edema."),
        ("Left effusion.", "Left effusion.", "Left effusion. No effusion."),
    ],
)
def test_what_is_nearer_to_the_reference_scores_higher(reference, better, worse):
    assert match(better, reference) > match(worse, reference)


def test_a_denial_of_what_the_reference_states_costs_as_much_as_an_invented_finding():
    reference = "Cardiomegaly. Left effusion."
    denied, unconfirmed = (
        match(f"Cardiomegaly. {said}", reference) for said in ("No effusion.", "No nodule.")
    )
    assert denied < unconfirmed


def test_saying_it_again_changes_nothing():
    reference = "Small left effusion. Cardiomegaly."
    once = match("Left effusion. Pneumothorax.", reference)
    assert match("Left effusion. Left effusion. Left effusion. Pneumothorax.", reference) == once


@settings(max_examples=30)
@given(ours=reports, theirs=reports)
def test_symmetric_bounded_and_one_for_the_reference_itself(ours, theirs):
    assert match(ours, theirs) == pytest.approx(match(theirs, ours))
    assert 0.0 <= match(ours, theirs) <= 1.0
    assert match(ours, ours) == 1.0
