"""Sections of MIMIC-CXR reports: hand-made reports in the shapes that the real ones have, and properties."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from radflow.reports.mimic import MimicSections, parse_mimic

RULE = " " + "_" * 78
FINAL = " " * 33 + "FINAL REPORT"


def said(text: str) -> dict[str, str]:
    """The sections that are there."""
    return {name: value for name, value in dataclasses.asdict(parse_mimic(text)).items() if value is not None}


SHAPES = {
    "modern, every section": (
        f"""{FINAL}
 EXAMINATION:  CHEST (PA AND LAT)
 
 INDICATION:  History: ___F with shortness of breath  // eval for pneumonia
 
 TECHNIQUE:  Chest PA and lateral
 
 COMPARISON:  Chest radiograph ___.
 
 FINDINGS: 
 
 The cardiac, mediastinal and hilar contours are normal.  Lungs are clear.
 No pleural effusion or
 pneumothorax.
 
 IMPRESSION: 
 
 No acute cardiopulmonary abnormality.
 
 RECOMMENDATION(S):  None.
 
 NOTIFICATION:  Discussed with Dr. ___ by phone at 9:41 pm on ___.
""",
        {
            "examination": "CHEST (PA AND LAT)",
            "indication": "History: ___F with shortness of breath // eval for pneumonia",
            "technique": "Chest PA and lateral",
            "comparison": "Chest radiograph ___.",
            "findings": "The cardiac, mediastinal and hilar contours are normal. Lungs are clear. "
            "No pleural effusion or pneumothorax.",
            "impression": "No acute cardiopulmonary abnormality.",
            "recommendations": "None.",
            "notification": "Discussed with Dr. ___ by phone at 9:41 pm on ___.",
        },
    ),
    "the impression of a wet read is not the report's": (
        f""" WET READ: ___ ___ ___ 9:38 PM
  Right lower lobe pneumonia.
  IMPRESSION:  Pneumonia.
{RULE}
{FINAL}
 HISTORY:  Cough.
 
 FINDINGS:  Clear lungs.
 
 IMPRESSION:  No pneumonia.
""",
        {
            "history": "Cough.",
            "findings": "Clear lungs.",
            "impression": "No pneumonia.",
            "wet_read": "___ ___ ___ 9:38 PM Right lower lobe pneumonia. IMPRESSION: Pneumonia.",
        },
    ),
    "a wet read and nothing else": (
        " WET READ: ___ ___ 9:38 PM\n \n Pneumonia.\n",
        {"wet_read": "___ ___ 9:38 PM Pneumonia."},
    ),
    "two versions of a wet read, and a report without findings": (
        " WET READ VERSION #1 ___ 8:15 AM\n  Clear.\n WET READ VERSION #2 ___ 9:00 AM\n  Edema.\n"
        f"{RULE}\n{FINAL}\n"
        " IMPRESSION:  Mild edema.\n",
        {"impression": "Mild edema.", "wet_read": "VERSION #2 ___ 9:00 AM Edema."},
    ),
    "an addendum above the report": (
        f"""                                 FINAL ADDENDUM
 ADDENDUM:  The tube was moved. 
 IMPRESSION:  Tube in place.
{RULE}
{FINAL}
 FINDINGS:  Tube high.
 IMPRESSION:  Advance the tube.
""",
        {
            "findings": "Tube high.",
            "impression": "Advance the tube.",
            "addendum": "The tube was moved. IMPRESSION: Tube in place.",
        },
    ),
    "an addendum below the report": (
        f"{FINAL}\n FINDINGS:  Clear.\n IMPRESSION:  Normal.\n \n ADDENDUM:  Reviewed with Dr. ___.\n",
        {"findings": "Clear.", "impression": "Normal.", "addendum": "Reviewed with Dr. ___."},
    ),
    "a title with a time in it, history, impression that names its comparison": (
        f"""{FINAL}
 AP CHEST, 9:41 A.M. ON ___
 
 HISTORY:  ___-year-old man after CABG.
 
 IMPRESSION:  AP chest compared to ___ through ___:
 
 Mild pulmonary edema has improved.
""",
        {
            "history": "___-year-old man after CABG.",
            "impression": "AP chest compared to ___ through ___: Mild pulmonary edema has improved.",
        },
    ),
    "the name of the picture stands for findings": (
        f"{FINAL}\n CHEST, TWO VIEWS:  The lungs are clear.\n \n CONCLUSION:  Normal chest.\n",
        {"findings": "The lungs are clear.", "impression": "Normal chest."},
    ),
    "the name of the picture with a date alone, and findings": (
        f"{FINAL}\n CHEST, PA AND LATERAL:  ___\n \n HISTORY:  Fall.\n \n FINDINGS:  Clear.\n",
        {"history": "Fall.", "findings": "Clear."},
    ),
    "findings without a header, as a paragraph of the history": (
        f"{FINAL}\n HISTORY:  Cough.\n \n Lungs are\n clear.\n \n IMPRESSION:  Normal.\n",
        {"history": "Cough.", "findings": "Lungs are clear.", "impression": "Normal."},
    ),
    "findings without a header, first": (
        f"{FINAL}\n AP CHEST, 9:41 A.M. ON ___\n \n Lungs are clear.\n \n CONCLUSION:  Normal.\n",
        {"findings": "Lungs are clear.", "impression": "Normal."},
    ),
    "headings inside the findings": (
        f"{FINAL}\n FINDINGS: \n \n LUNGS:  Clear.\n HEART:  Normal size.\n PORTABLE CHEST:  As above.\n"
        " IMPRESSION:  Normal.\n",
        {
            "findings": "LUNGS: Clear. HEART: Normal size. PORTABLE CHEST: As above.",
            "impression": "Normal.",
        },
    ),
    "neither header: the last paragraph": (
        f"{FINAL}\n PORTABLE CHEST, ___\n \n COMPARISON:  ___.\n \n Lungs are clear.\n \n No effusion.\n",
        {"comparison": "___.", "last_paragraph": "Lungs are clear. No effusion."},
    ),
    "no header at all": (
        " CHEST ___\n \n Lungs are clear.\n",
        {"last_paragraph": "Lungs are clear."},
    ),
    "slips of the pen, ordinary capitals, a colon without a blank": (
        f"{FINAL}\n REASON FOR EXAM:  Fever.\n COMPARSION:  None.\n"
        " Findings:The lungs are clear.\n IMPRESSON:  Normal.\n",
        {
            "indication": "Fever.",
            "comparison": "None.",
            "findings": "The lungs are clear.",
            "impression": "Normal.",
        },
    ),
    "both in one": (
        f"{FINAL}\n INDICATION:  Pain.\n FINDINGS AND IMPRESSION:  No fracture.\n",
        {"indication": "Pain.", "impression": "No fracture."},
    ),
    "an empty header, then the same one with text; the last that says something counts": (
        f"{FINAL}\n FINDINGS:\n \n FINDINGS:  First.\n FINDINGS:  Second.\n IMPRESSION:\n",
        {"findings": "Second."},
    ),
    "headers without colons, Windows line ends": (
        "FINDINGS\r\n\r\nLungs clear.\r\n\r\nIMPRESSION\r\n\r\nNormal.\r\n",
        {"findings": "Lungs clear.", "impression": "Normal."},
    ),
    "one line": (
        "INDICATION: Cough. FINDINGS: Clear. IMPRESSION: Normal.",
        {"indication": "Cough.", "findings": "Clear.", "impression": "Normal."},
    ),
    "nothing": ("\n \n", {}),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes(shape: str) -> None:
    text, expected = SHAPES[shape]
    assert said(text) == expected


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"findings": "a", "impression": "b"}, "findings and impression"),
        ({"findings": "a"}, "findings only"),
        ({"impression": "b"}, "impression only"),
        ({"last_paragraph": "c"}, "a last paragraph only"),
        ({"wet_read": "c"}, "neither section"),
    ],
)
def test_what_is_present(sections: dict[str, str], words: str) -> None:
    assert MimicSections(**sections).present == words


def test_words_in_the_middle_of_a_sentence_are_no_headers() -> None:
    text = f"{FINAL}\n FINDINGS:  As for the\n comparison: unchanged.  There are no other findings: clear.\n"
    assert said(text) == {"findings": "As for the comparison: unchanged. There are no other findings: clear."}


HEADERS = ("FINDINGS:", "IMPRESSION:", "WET READ:", "FINAL REPORT", "ADDENDUM", "CHEST:", "Impression")
OTHERS = ("___", "_" * 20, "clear.", "\n", "\n \n", " ", "9:41", "\r\n", "a" * 80, "A" * 80, "\x00", "é")
PIECES = st.sampled_from((*HEADERS, *OTHERS))


@example(f"{'_' * 20}\nIMPRESSION:FINDINGS:")
@given(st.lists(PIECES | st.text(max_size=5), max_size=40).map("".join))
def test_any_text_is_read_and_nothing_is_made_up(text: str) -> None:
    collapsed = "".join(text.split()).replace("_", "")
    for section in said(text).values():
        assert section == " ".join(section.split()) != ""
        assert "".join(section.split()).replace("_", "") in collapsed


@given(
    findings=st.from_regex(r"[a-z]{3,8}( [a-z]{1,8}){0,5}\.", fullmatch=True),
    impression=st.from_regex(r"[a-z]{3,8}( [a-z]{1,8}){0,5}\.", fullmatch=True),
    wet_read=st.booleans(),
    gap=st.sampled_from(["  ", " \n \n ", "\n "]),
)
def test_what_is_written_under_headers_is_found(
    findings: str, impression: str, wet_read: bool, gap: str
) -> None:
    head = f" WET READ: ___\n  IMPRESSION: preliminary.\n{RULE}\n" if wet_read else ""
    text = (
        f"{head}{FINAL}\n INDICATION:  ___\n \n FINDINGS:{gap}{findings}\n \n IMPRESSION:{gap}{impression}\n"
    )
    sections = parse_mimic(text)
    assert (sections.indication, sections.findings, sections.impression) == ("___", findings, impression)
