from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from radflow.reports import Report, parse_report
from radflow.reports.draft import Draft, passages_of, printable, stretches


def spelled(text: str) -> list[tuple[str, str]]:
    return [(p.title, text[p.start : p.end]) for p in passages_of(parse_report(text))]


def test_a_section_stands_where_its_header_leads_to_and_not_where_its_words_stand_first() -> None:
    assert spelled("Findings: No change. Clear. Impression: No change.") == [
        ("Findings", "No change. Clear."),
        ("Impression", "No change."),
    ]
    text = "## Findings\nStable.\n\n## Impression\nStable."
    assert [p.start for p in passages_of(parse_report(text))] == [text.index("Stable"), text.rindex("Stable")]
    assert spelled("INDICATION: Cough. FINDINGS: Cough. IMPRESSION: I.") == [
        ("Findings", "Cough."),
        ("Impression", "I."),
    ]
    before = passages_of(parse_report("INDICATION: Cough. FINDINGS: Cough. IMPRESSION: I."))
    assert [p.start for p in before] == [29, 48]


def test_a_text_without_sections_is_one_passage_without_a_title() -> None:
    assert spelled("Clear lungs.") == [("", "Clear lungs.")]
    assert spelled("") == [("", "")]


@given(st.text(max_size=40), st.text(max_size=40))
def test_sections_are_found_in_any_text(findings: str, impression: str) -> None:
    report = parse_report(f"Findings: {findings} Impression: {impression}")
    if report.sectioned:
        passages = passages_of(report)
        assert [report.text[p.start : p.end] for p in passages] == [report.findings, report.impression]
        assert passages[0].end <= passages[1].start


def test_only_words_of_sections_below_the_threshold_are_uncertain(draft: Draft) -> None:
    text = draft.report.text
    assert [text[w.start : w.end] for w in draft.uncertain] == ["normal", "Left"]
    assert replace(draft, uncertain_below=0.3).uncertain == draft.words[2:3]
    assert len(replace(draft, uncertain_below=1.0).uncertain) == 4


def test_stretches_spell_the_section(draft: Draft) -> None:
    findings, impression = passages_of(draft.report)
    pieces = list(stretches(draft, findings))
    assert "".join(text for text, _ in pieces) == draft.report.findings
    assert [text for text, word in pieces if word is not None] == ["normal"]
    assert [text for text, _ in stretches(draft, impression)] == ["Left", " effusion."]


def test_what_a_reader_must_know_is_said(draft: Draft) -> None:
    assert draft.remarks == ()
    cut = replace(draft, finished=False, drawn=True, report=Report(text="x", findings=None, impression=None))
    assert [remark.split()[:3] for remark in cut.remarks] == [
        ["The", "report", "was"],
        ["No", "Findings", "and"],
        ["The", "pictures", "were"],
    ]
    assert draft.verdict == "The impression does not follow from the findings (rules)."
    assert draft.flag == "Critical: effusion (rules)."


@given(st.text())
def test_printable_text_keeps_its_length_and_loses_control_characters(text: str) -> None:
    cleaned = printable(text)
    assert len(cleaned) == len(text)
    cleaned.encode()  # no half of a character
    assert not any(ord(c) < 32 and c not in "\n\t" for c in cleaned)
