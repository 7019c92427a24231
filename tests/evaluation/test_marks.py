import pytest
from hypothesis import given
from hypothesis import strategies as st

from radflow.evaluation.marks import compare_reports

CHEST, CAROTID = "chest-xray", "carotid-us"
PHRASES = st.sampled_from(
    [
        "Findings: ",
        "Impression: ",
        "No effusion",
        "Large left effusion",
        "Possible pneumonia",
        "Heart size is normal",
        "Old fracture of the right 5th rib",
        ". ",
        ".",
        " ",
        "\n",
        "2.5 cm mass",
        "Right: soft plaque in the bulb, PSV 90 cm/s",
    ]
)
reports = st.lists(PHRASES, max_size=12).map("".join) | st.text(max_size=60)
modalities = st.sampled_from([CHEST, CAROTID])


def kinds(text: str, reference: str, modality: str = CHEST) -> dict[str, str]:
    found = compare_reports(text, reference, modality)["marks"]
    return {text[m["start"] : m["end"]]: m["kind"] for m in found}


def at_fault(text: str, reference: str, modality: str = CHEST) -> list[str]:
    found = compare_reports(text, reference, modality)["marks"]
    return [text[word["start"] : word["end"]] for mark in found for word in mark["words"]]


def missed(text: str, reference: str, modality: str = CHEST) -> list[str]:
    return [reference[w["start"] : w["end"]] for w in compare_reports(text, reference, modality)["missed"]]


@given(reports, reports, modalities)
def test_marks_lie_inside_their_text_in_order_and_apart(text: str, reference: str, modality: str) -> None:
    found = compare_reports(text, reference, modality)
    place = 0
    for mark in found["marks"]:
        assert place <= mark["start"] < mark["end"] <= len(text)
        assert text[mark["start"] : mark["end"]].strip()
        place = mark["end"]
        inner = mark["start"]
        for word in mark["words"]:
            assert inner <= word["start"] < word["end"]
            inner = word["end"]
    place = 0
    for word in found["missed"]:
        assert place <= word["start"] < word["end"] <= len(reference)
        place = word["end"]


@given(reports, modalities)
def test_a_report_agrees_with_itself_and_misses_nothing(text: str, modality: str) -> None:
    assert set(kinds(text, text, modality).values()) <= {"agree"}
    assert missed(text, text, modality) == []


@pytest.mark.parametrize(
    ("sentence", "kind"),
    [
        ("Small pleural effusion.", "contradict"),
        ("No cardiomegaly.", "contradict"),
        ("The heart is enlarged.", "agree"),
        ("There is pneumonia.", "extra"),
    ],
)
def test_what_a_sentence_is(sentence: str, kind: str) -> None:
    assert kinds(sentence, "No pleural effusion. The heart is enlarged.") == {sentence: kind}


CHEST_REPORT = (
    "Small left pleural effusion. Mild cardiomegaly. Patchy opacity in the right upper lobe. "
    "A 2.5 cm nodule in the left lower lobe. Old fracture of the right 5th rib. "
    "Degenerative changes of the thoracic spine. Possible pneumonia. No pneumothorax."
)
CAROTID_REPORT = (
    "Right: IMT 0.5 mm, normal. Hard plaque with irregular surface on the posterior wall of the bulb, "
    "12.4 mm long. 50% stenosis of the right ICA. PSV 150 cm/s, accelerated flow. "
    "Left: no plaque. PSV 70 cm/s."
)


@pytest.mark.parametrize(
    ("modality", "report", "right", "wrong", "kind"),
    [
        (CHEST, CHEST_REPORT, "left pleural", "right pleural", "partly"),
        (CHEST, CHEST_REPORT, "Small", "Large", "partly"),
        (CHEST, CHEST_REPORT, "Mild", "Severe", "partly"),
        (CHEST, CHEST_REPORT, "Patchy", "Hazy", "partly"),
        (CHEST, CHEST_REPORT, "upper", "lower", "partly"),
        (CHEST, CHEST_REPORT, "2.5 cm", "3.5 cm", "partly"),
        (CHEST, CHEST_REPORT, "nodule", "mass", "partly"),
        (CHEST, CHEST_REPORT, "Old", "Acute", "partly"),
        (CHEST, CHEST_REPORT, "5th", "7th", "partly"),
        (CHEST, CHEST_REPORT, "rib", "clavicle", "partly"),
        (CHEST, CHEST_REPORT, "thoracic", "lumbar", "partly"),
        (CHEST, CHEST_REPORT, "Possible pneumonia", "Pneumonia", "partly"),
        (CHEST, CHEST_REPORT, "No pneumothorax", "Small pneumothorax", "contradict"),
        (CAROTID, CAROTID_REPORT, "posterior", "anterior", "partly"),
        (CAROTID, CAROTID_REPORT, "irregular", "ulcerated", "partly"),
        (CAROTID, CAROTID_REPORT, "Hard", "Soft", "partly"),
        (CAROTID, CAROTID_REPORT, "bulb", "ICA", "partly"),
        (CAROTID, CAROTID_REPORT, "12.4 mm", "14.2 mm", "partly"),
        (CAROTID, CAROTID_REPORT, "50%", "70%", "partly"),
        (CAROTID, CAROTID_REPORT, "the right ICA", "the left ICA", "partly"),
        (CAROTID, CAROTID_REPORT, "150 cm/s", "180 cm/s", "partly"),
        (CAROTID, CAROTID_REPORT, "no plaque", "soft plaque", "contradict"),
        (CAROTID, CAROTID_REPORT, "accelerated", "normal", "contradict"),
    ],
)
def test_a_sentence_with_one_wrong_detail_does_not_agree(
    modality: str, report: str, right: str, wrong: str, kind: str
) -> None:
    assert report.count(right) == 1
    text = report.replace(right, wrong)
    place = report.index(right)
    found = compare_reports(text, report, modality)["marks"]
    (mark,) = [m for m in found if m["start"] <= place < m["end"]]
    assert mark["kind"] == kind
    assert any(word["start"] < place + len(wrong) and place < word["end"] for word in mark["words"])
    assert {m["kind"] for m in found if m is not mark} == {"agree"}


def test_the_word_at_fault_says_what_the_reference_says() -> None:
    (mark,) = compare_reports("Large left effusion.", "Small left effusion.", CHEST)["marks"]
    assert [(word["kind"], word["note"]) for word in mark["words"]] == [
        ("contradict", "Large: the reference says Small")
    ]
    assert missed("Large left effusion.", "Small left effusion.") == ["Small"]


def test_a_detail_that_the_reference_does_not_give_is_at_fault_too() -> None:
    assert kinds("Small left effusion.", "Left effusion.") == {"Small left effusion.": "partly"}
    assert at_fault("Small left effusion.", "Left effusion.") == ["Small"]


def test_details_belong_to_their_own_finding() -> None:
    reference = "Small left effusion and large right pneumothorax."
    swapped = "Large left effusion and small right pneumothorax."
    assert kinds(reference, reference) == {reference: "agree"}
    assert at_fault(swapped, reference) == ["Large", "small"]


@pytest.mark.parametrize(
    ("text", "reference", "modality"),
    [
        ("Cardiomegaly.", "The heart is enlarged.", CHEST),
        ("Bilateral effusions.", "Left effusion. Right effusion.", CHEST),
        ("No effusion.", "No pleural effusion or pneumothorax.", CHEST),
        ("A 25 mm nodule.", "A 2.5 cm nodule.", CHEST),
        ("Left: normal.", "Left: no plaque, no stenosis.", CAROTID),
        ("Left: no plaque.", "Left: normal.", CAROTID),
        ("Right: moderate stenosis.", "Right: 50-69% stenosis.", CAROTID),
    ],
)
def test_other_words_for_the_same_agree(text: str, reference: str, modality: str) -> None:
    assert kinds(text, reference, modality) == {text: "agree"}


def test_what_the_reference_leaves_out_may_be_denied() -> None:
    assert kinds("No pneumonia.", "The heart is enlarged.") == {}


def test_a_denial_that_the_reference_does_not_have_is_not_marked_as_agreeing() -> None:
    assert kinds("No effusion or pneumonia.", "No effusion.") == {"No effusion or": "agree"}


def test_the_normal_structure_that_the_reference_does_not_name_is_not_marked() -> None:
    found = kinds("The heart and mediastinal contours are normal.", "The heart is normal.")
    assert set(found.values()) == {"agree"}
    assert not any("mediastinal" in words for words in found)


def test_a_denial_of_less_contradicts_less() -> None:
    assert kinds("No large effusion.", "Small effusion.") == {}
    assert kinds("No acute fracture.", "Old rib fracture.") == {}
    assert kinds("No effusion.", "Small effusion.") == {"No effusion.": "contradict"}


def test_a_normal_sentence_is_not_a_normal_report() -> None:
    """The labelers also sum up: a lone normal sentence reads as "No Finding", which it does not say."""
    assert kinds("Heart size is normal.", "Large effusion.") == {}
    assert kinds("Right: no plaque.", "Left: soft plaque in the bulb.", CAROTID) == {}


def test_a_sentence_is_read_in_its_context() -> None:
    reference = "Left: soft plaque in the bulb. Right: no plaque."
    text = "Left: IMT is normal. Soft plaque in the bulb. Right: IMT is normal. Soft plaque in the bulb."
    marks = compare_reports(text, reference, CAROTID)["marks"]
    plaques = {m["start"]: m["kind"] for m in marks if text[m["start"] :].startswith("Soft")}
    assert list(plaques.values()) == ["agree", "contradict"]


def test_headers_are_not_part_of_a_sentence() -> None:
    text = "Findings: Small pleural effusion. Impression: Pleural effusion."
    assert kinds(text, "Small pleural effusion.") == {
        "Small pleural effusion.": "agree",
        "Pleural effusion.": "agree",
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The heart is normal.", ["Small left effusion"]),
        ("No effusion.", ["Small left effusion"]),
        ("Small effusion.", ["left"]),
        ("Small left effusion.", []),
    ],
)
def test_what_the_report_misses_is_marked_in_the_reference(text: str, words: list[str]) -> None:
    assert missed(text, "Small left effusion. No pneumothorax.") == words
