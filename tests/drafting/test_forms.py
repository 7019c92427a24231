import base64
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from radflow.drafting.forms import (
    SUFFIXES,
    Drafted,
    destinations,
    plain_text,
    record,
    render,
    screen_text,
)
from radflow.errors import DataError
from radflow.reports.draft import NOTICE, Draft


@pytest.mark.parametrize("form", SUFFIXES)
def test_the_notice_stands_in_every_form(form: str, draft: Draft) -> None:
    content = render(form, Drafted(draft=draft))
    if form == "fhir":
        resource = json.loads(content)
        page = base64.b64decode(resource["presentedForm"][0]["data"]).decode()
        assert all(NOTICE in text for text in (resource["text"]["div"], resource["conclusion"], page))
    elif form == "sr":
        assert (
            isinstance(content, bytes) and content.count(NOTICE.encode()) == 2
        )  # a flag's words, and the tree
    else:
        assert isinstance(content, str) and NOTICE in content


def test_text_has_the_notice_at_both_ends_and_marks_uncertain_words(draft: Draft) -> None:
    lines = plain_text(draft).splitlines()
    assert lines[0] == lines[-1] == NOTICE
    assert "Findings    Heart < 50% & _normal_. No effusion." in lines
    assert "Impression  _Left_ effusion." in lines
    assert draft.verdict in lines and draft.flag in lines and f"  {draft.reasons[0]}" in lines
    assert draft.uncertainty in lines
    assert draft.uncertainty not in plain_text(replace(draft, uncertain_below=0.0))


def test_a_terminal_gets_real_underlines(draft: Draft) -> None:
    text = screen_text(draft)
    marked = [text.plain[span.start : span.end] for span in text.spans if "underline" in str(span.style)]
    assert marked == ["normal", "Left"]
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    console.print(text)
    assert "\x1b[4;33mnormal" in console.file.getvalue()  # ty: ignore[unresolved-attribute]
    assert text.plain == plain_text(draft).replace("_normal_", "normal").replace("_Left_", "Left").rstrip(
        "\n"
    )


def test_json_has_every_word_with_its_place(draft: Draft) -> None:
    made = record(draft)
    assert made["uncertain"] == ["normal", "Left"]
    for word in made["words"]:
        assert made["text"][word["start"] : word["end"]] == word["word"]
    assert made["words"][2] == {"word": "normal", "start": 24, "end": 30, "p": 0.25}
    assert json.loads(render("json", Drafted(draft=draft))) == made


def test_a_file_of_one_form_by_name_needs_no_known_ending(tmp_path: Path) -> None:
    assert destinations(["fhir"], [Path("a.json")]) == [("fhir", Path("a.json"))]
    assert destinations([], [Path("A.HTML"), Path("b.txt"), Path("c.dcm"), Path("d.json")]) == [
        ("html", Path("A.HTML")),
        ("text", Path("b.txt")),
        ("sr", Path("c.dcm")),
        ("json", Path("d.json")),
    ]
    dotted = tmp_path / "v1.0"
    dotted.mkdir()
    assert destinations(["text"], [dotted]) == [("text", dotted / "draft.txt")]
    assert destinations([], [dotted]) == [("json", dotted / "draft.json")]


@pytest.mark.parametrize(
    ("forms", "outs", "message"),
    [
        (["html", "json"], [], "expected --out too"),
        (["sr"], [], "expected --out too"),
        ([], ["a.pdf"], "expected an ending among"),
        (["html", "json"], ["a.html"], "expected a folder for several forms"),
        (["html"], ["a.html", "b.html"], "expected a folder for several forms"),
    ],
)
def test_places_that_cannot_be(forms: list, outs: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        destinations(forms, [Path(out) for out in outs])
