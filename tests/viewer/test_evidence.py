from hypothesis import given
from hypothesis import strategies as st

from radflow.viewer import render_labels
from radflow.viewer.evidence import by_study, evidence_view
from radflow.viewer.records import Evidence, ReadReport

TEXT = "Heart is normal. Edema. No edema."
STATED = Evidence(name="Edema", state=1, spans=((17, 22),), rule="named")
OVERRULED = Evidence(name="Edema", state=0, spans=((27, 32),), cue=(24, 26), rule="denied", decisive=False)
LINKED = Evidence(name="Cardiomegaly", state=0, spans=((0, 5), (9, 15)), rule="linked")
spans = st.tuples(st.integers(0, 30), st.integers(1, 6)).map(lambda pair: (pair[0], sum(pair)))
said = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["Edema", "Fracture"]),
        "state": st.sampled_from([1, 0, -1, None]),
        "spans": st.tuples(spans),
        "cue": st.none() | spans,
        "rule": st.just("rule"),
        "decisive": st.booleans(),
    }
)


def read(*evidence: Evidence, **labels: int) -> ReadReport:
    return ReadReport(study_id="s", text=TEXT, labels=labels, evidence=evidence)


@given(st.lists(said, max_size=6))
def test_the_highlighted_text_is_the_text(evidence: list[dict]) -> None:
    view = evidence_view(read(*(Evidence(**one) for one in evidence)))
    assert "".join(segment.text for segment in view.segments) == TEXT


def test_what_is_stated_comes_first_and_what_is_overruled_last() -> None:
    rows = evidence_view(read(OVERRULED, LINKED, STATED, Edema=1, Cardiomegaly=0)).rows
    assert [(row.state, row.names, row.phrase) for row in rows] == [
        ("stated", ("Edema",), "Edema"),
        ("denied", ("Cardiomegaly",), ""),  # its rule quotes both words
        ("denied, overruled", ("Edema",), "edema"),
    ]


def test_labels_that_share_words_and_rule_share_a_row() -> None:
    other = Evidence(name="Consolidation", state=1, spans=((17, 22),), rule="named")
    assert evidence_view(read(STATED, other)).rows[0].names == ("Edema", "Consolidation")


def test_words_are_coloured_by_the_strongest_statement_they_carry() -> None:
    weaker = Evidence(name="Pneumonia", state=0, spans=STATED.spans, rule="r")
    [mark] = [s for s in evidence_view(read(weaker, STATED)).segments if s.text == "Edema"]
    assert (mark.kind, mark.note) == ("stated", "Edema: stated (named); Pneumonia: denied (r)")


def test_no_finding_rests_on_the_report_as_a_whole() -> None:
    [row] = evidence_view(ReadReport(study_id="s", text="Fine.", labels={"No Finding": 1})).rows
    assert (row.names, row.rule) == (("No Finding",), "from the report as a whole")


def test_reports_of_one_study_stay_together() -> None:
    views = by_study([ReadReport(study_id=s, system=y, text="x") for s, y in ("ar", "br", "ag")])
    assert {study: [view.system for view in found] for study, found in views.items()} == {
        "a": ["r", "g"],
        "b": ["r"],
    }


def test_a_page_of_labels_escapes_everything() -> None:
    nasty = "<script>x</script>"
    report = ReadReport(
        study_id=nasty,
        text=nasty,
        labels={nasty: 1},
        evidence=(Evidence(name=nasty, state=1, spans=((0, 8),), rule=nasty),),
    )
    page = render_labels([report], title=nasty, note=nasty)
    assert "<script" not in page
    assert "script-src" not in page  # so default-src 'none' forbids every script
