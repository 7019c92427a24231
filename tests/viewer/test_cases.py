import json

from hypothesis import given
from hypothesis import strategies as st

from radflow.reports import render_report
from radflow.viewer.cases import blocks, case_views, counts, observed, template_report
from radflow.viewer.highlight import segments
from radflow.viewer.records import Case, Mark, ReferenceReport, SystemReport
from radflow.viewer.run_page.run_files import read_run

kinds = st.sampled_from(["agree", "contradict", "extra"])
marks = st.lists(st.builds(Mark, start=st.integers(-3, 40), end=st.integers(-3, 40), kind=kinds), max_size=6)


@given(st.text(max_size=30), marks)
def test_segments_always_spell_the_text(text, found):
    assert "".join(segment.text for segment in segments(text, found)) == text


@given(st.text(max_size=30), marks)
def test_blocks_lose_nothing_but_the_headers(text, found):
    report = render_report(text, "Normal.")
    spelt = ["".join(segment.text for segment in block.segments) for block in blocks(report, found)]
    assert spelt in ([text, "Normal."], [report])


def test_a_mark_that_crosses_the_sections_is_kept_in_both():
    text = "Findings: Clear. Impression: Normal."
    first, second = blocks(text, [Mark(start=10, end=len(text), kind="agree")])
    assert [(segment.text, segment.kind) for segment in first.segments] == [("Clear.", "agree")]
    assert [(segment.text, segment.kind) for segment in second.segments] == [("Normal.", "agree")]


def test_of_two_marks_that_overlap_the_first_wins():
    found = [Mark(start=2, end=6, kind="extra"), Mark(start=0, end=4, kind="agree")]
    assert [(s.text, s.kind) for s in segments("abcdef", found)] == [("abcd", "agree"), ("ef", "extra")]


def test_two_impressions_are_ambiguous_and_shown_as_one_text():
    assert [block.title for block in blocks("Findings: a Impression: b Impression: c")] == [""]


def report(reward):
    return SystemReport(text="x", reward=reward)


def view(folder, **systems):
    case = Case(study_id="s", reference=ReferenceReport(text="r"), systems=systems, critical=True)
    return case_views([case], folder)[0]


def test_tags_follow_the_change_of_the_reward(tmp_path):
    assert view(tmp_path, sft=report(1.0), radflow=report(1.2)).tags == ("critical", "improved")
    assert view(tmp_path, sft=report(1.2), radflow=report(1.0)).tags == ("critical", "worsened")
    assert view(tmp_path, sft=report(1.0), radflow=report(1.001)).tags == ("critical",)
    alone = view(tmp_path, sft=report(1.0))
    assert alone.tags == ("critical",)
    assert alone.change == ""


def test_a_run_s_cases_are_shown_with_images_rewards_and_parts(run):
    files = read_run(run)
    views = case_views(files.cases, files.folder)
    assert counts(views) == [("all", 3), ("critical", 1), ("normal", 1), ("improved", 2), ("worsened", 1)]
    first = views[0]
    assert [caption for caption, _ in first.pictures] == ["right", "left"]
    assert all(picture.uri for _, picture in first.pictures)
    assert [column.name for column in first.columns] == ["SFT", "RadFlow"]
    assert first.columns[0].parts == (
        ("syntax", "0.61"),
        ("domain", "0.72"),
        ("consistency", "−1.00"),
        ("impression", "–"),
    )


def test_absolute_image_paths_work_too(run):
    image = (run / "images" / "0-left.png").resolve()
    case = Case(study_id="s", reference=ReferenceReport(text="r"), systems={}, images=(str(image),))
    assert case_views([case], run)[0].pictures[0][1].uri


def test_the_template_s_report_is_printed_once_and_not_beside_every_case(tmp_path):
    systems = {"template": SystemReport(text="Clear lungs."), "sft": report(1.0)}
    case = Case(study_id="s", reference=ReferenceReport(text="r"), systems=systems)
    assert [column.name for column in case_views([case], tmp_path)[0].columns] == ["SFT"]
    assert template_report([case])[0].segments[0].text == "Clear lungs."
    assert template_report([]) == ()


def test_a_reference_is_shown_by_its_sections_however_it_was_written(tmp_path):
    written = "FINDINGS:\nClear lungs.\n\nIMPRESSION:\nNormal."
    known = ReferenceReport(text=written, findings="Clear lungs.", impression="Normal.")
    unknown = ReferenceReport(text=written)
    first, second = case_views(
        [Case(study_id="s", reference=reference, systems={}) for reference in (known, unknown)], tmp_path
    )
    assert [(block.title, block.segments[0].text) for block in first.reference] == [
        ("Findings", "Clear lungs."),
        ("Impression", "Normal."),
    ]
    assert [(block.title, block.segments[0].text) for block in second.reference] == [("", written)]


def mark(start, end, kind="missed", **more):
    return Mark(start=start, end=end, kind=kind, **more)


def judged(**systems):
    return Case(
        study_id="a b/c",
        reference=ReferenceReport(text="r", canonical="Small left effusion.", labels={"Edema": 1, "Mass": 0}),
        systems=systems,
    )


def test_what_systems_missed_is_marked_in_the_reference_with_their_names(tmp_path):
    sft = SystemReport(text="x", missed=(mark(0, 10, note="missed: Small left"),))
    radflow = SystemReport(text="x", missed=(mark(6, 19, note="missed: effusion"),))
    (block,) = case_views([judged(sft=sft, radflow=radflow)], tmp_path)[0].reference
    assert [(segment.text, segment.kind, segment.tag) for segment in block.segments] == [
        ("Small ", "missed", "SFT"),
        ("left", "missed", "both"),
        (" effusion", "missed", "RadFlow"),
        (".", "", ""),
    ]


def test_the_words_at_fault_stand_inside_their_sentence_and_below_it_in_words(tmp_path):
    fault = mark(0, 5, "contradict", note="Large: the reference says Small")
    report = SystemReport(
        text="Large left effusion.",
        marks=(mark(0, 20, "partly", words=(fault,)),),
        missed=(mark(0, 5, note="missed: Small"),),
    )
    (column,) = case_views([judged(radflow=report)], tmp_path)[0].columns
    (sentence,) = column.blocks[0].segments
    assert [(part.text, part.kind) for part in sentence.parts] == [
        ("Large", "contradict"),
        (" left effusion.", ""),
    ]
    assert sentence.note == "partly right: Large: the reference says Small"
    assert column.faults == ("Large: the reference says Small", "missed: Small")


def test_the_filter_knows_what_was_missed_and_what_was_invented(tmp_path):
    case = judged(radflow=SystemReport(text="x", labels={"Mass": -1, "normal": 0}))
    assert json.loads(case_views([case], tmp_path)[0].observations) == [["Edema"], ["Edema"], ["Mass"]]
    assert observed([case]) == [("Edema", 1), ("Mass", 0)]


def test_every_case_has_a_link_of_its_own(tmp_path):
    views = case_views([judged(), judged()], tmp_path)
    assert [view.anchor for view in views] == ["case-a-b-c", "case-a-b-c-2"]
