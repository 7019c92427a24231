import base64
import hashlib
import re
from dataclasses import replace
from pathlib import Path

from PIL import Image

from radflow.reports import Report
from radflow.reports.draft import NOTICE, Draft
from radflow.viewer.draft import render_draft


def test_the_page_begins_and_ends_with_the_notice(draft: Draft) -> None:
    body = render_draft(draft).partition("<body>")[2]
    first, last = body.index(NOTICE), body.rindex(NOTICE)
    assert first < body.index("<h1>") < last
    assert "<footer>" in body[:last]


def test_uncertain_words_are_underlined_with_their_probability(draft: Draft) -> None:
    page = render_draft(draft)
    assert re.findall(r'<u title="p = ([\d.]+)">(\w+)</u>', page) == [("0.25", "normal"), ("0.40", "Left")]
    assert draft.uncertainty in page.replace("&#39;", "'")


def test_verdict_reasons_and_flag_are_there(draft: Draft) -> None:
    page = render_draft(draft)
    assert f'<p class="bad">{draft.verdict}</p>' in page
    assert "Pleural Effusion: denied in the Findings" in page
    assert f'<p class="bad">{draft.flag}</p>' in page
    fine = render_draft(replace(draft, consistent=True, critical=False, reasons=(), because=()))
    assert 'class="bad"' not in fine


def test_text_is_escaped_and_no_script_can_run(draft: Draft) -> None:
    page = render_draft(draft)
    assert "Heart &lt; 50% &amp; " in page
    assert "Pain &lt;b&gt;" in page
    assert "<script" not in page
    style = re.search(r"<style>(.*)</style>", page, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'" in page


def test_pictures_are_in_the_page_and_their_names_are_not(draft: Draft, tmp_path: Path) -> None:
    paths = [tmp_path / "Smith^John.png", tmp_path / "Smith^John-lost.png"]
    Image.new("L", (40, 20), 128).save(paths[0])
    page = render_draft(draft, paths, ("frontal", "lateral"))
    assert page.count("data:image/") == 1
    assert "frontal</figcaption>" in page and "lateral</figcaption>" in page
    assert "Smith" not in page
    assert "This picture cannot be shown here." in page
    assert "image 2 of 2</figcaption>" in render_draft(draft, paths)


def test_a_text_without_sections_is_shown_whole(draft: Draft) -> None:
    page = render_draft(
        replace(draft, report=Report(text="Clear.", findings=None, impression=None), words=())
    )
    assert "<h2>Report</h2>" in page
    assert "No Findings and Impression could be told apart" in page
