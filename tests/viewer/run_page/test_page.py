import json
import os
import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser

import pytest

from radflow.config import dump_recipe, make_recipe
from radflow.errors import DataError, MissingFileError, NotWritableError
from radflow.viewer import write_page
from radflow.viewer.run_page.page import render_page
from radflow.viewer.run_page.run_files import read_run
from radflow.viewer.templating import asset

VOID = {"meta", "link", "img", "br", "hr", "input"}
SECTIONS = ("results", "looking", "training", "exploration", "cases", "run")


class Page(HTMLParser):
    """Checks that every tag closes, and gathers ids, tags with attributes and text."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.text = [], [], []
        self.feed(text)
        self.close()
        assert self.open == [], f"left open: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open, f"closed without being open: {tag}"
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def ids(self):
        return [attributes["id"] for _, attributes in self.tags if "id" in attributes]

    def words(self):
        return " ".join(" ".join(self.text).split())


@pytest.fixture
def html(run):
    return write_page(run).read_text(encoding="utf-8")


def test_the_page_is_well_formed_with_every_section_and_no_id_twice(html):
    page = Page(html)
    assert set(SECTIONS) <= set(page.ids())
    assert len(page.ids()) == len(set(page.ids()))
    assert "not part of this run" not in html


def test_the_page_asks_for_nothing_outside_itself(html):
    assert "http://" not in html
    assert "https://" not in html
    assert "@import" not in html
    assert not re.search(r"url\((?!#)", html)
    for tag, attributes in Page(html).tags:
        assert tag not in ("link", "iframe", "object", "embed")
        assert attributes.get("src", "data:").startswith("data:")
        assert attributes.get("href", "#").startswith(("#", "data:"))


def test_the_security_policy_admits_only_the_page_s_own_script_and_style(html):
    page = Page(html)
    policy = next(a["content"] for _, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; img-src data:; ")
    assert "unsafe" not in policy
    for tag in ("style", "script"):
        (inside,) = re.findall(rf"<{tag}>(.*?)</{tag}>", html, flags=re.DOTALL)
        # The hash holds only for the exact text between the tags.
        assert b64encode(sha256(inside.encode()).digest()).decode() in policy
    assert not any("style" in attributes for _, attributes in page.tags)


def test_text_from_reports_is_escaped(html):
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;" in html
    assert [tag for tag, _ in Page(html).tags].count("script") == 1


@pytest.mark.parametrize("file", ["results.json", "exploration/summary.json", "evaluation/cases.json"])
def test_every_string_of_every_file_is_escaped(run, file):
    nasty = "<script>alert(1)</script>"

    def spoil(value, key=""):
        if isinstance(value, dict):
            return {name: spoil(item, name) for name, item in value.items()}
        if isinstance(value, list):
            return [spoil(item, key) for item in value]
        return value + nasty if isinstance(value, str) and key not in ("images", "kind") else value

    path = run / file
    path.write_text(json.dumps(spoil(json.loads(path.read_text()))))
    html = write_page(run).read_text()
    assert nasty not in html
    assert "&lt;script&gt;alert(1)" in html


def test_the_page_fits_a_phone_and_a_reader_of_any_language(html):
    tags = Page(html).tags
    viewport = next(a["content"] for _, a in tags if a.get("name") == "viewport")
    assert viewport == "width=device-width, initial-scale=1"
    assert ("html", {"lang": "en"}) in tags
    assert all(a.get("alt") for tag, a in tags if tag == "img")


def test_the_same_files_give_the_same_page(run):
    assert write_page(run).read_bytes() == write_page(run).read_bytes()


def test_drawn_images_are_called_drawn_and_real_ones_are_not(run, html):
    assert "drawn images" in Page(html).words()
    results = json.loads((run / "results.json").read_text())
    (run / "results.json").write_text(json.dumps(results | {"images": "real"}))
    words = Page(write_page(run).read_text()).words()
    assert "drawn images" not in words
    assert "were drawn by a program" not in words


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("results.json", "Results: not part of this run."),
        ("exploration/summary.json", "Target Exploration: not part of this run."),
        ("metrics.jsonl", "The log of supervised fine-tuning: not part of this run."),
        ("evaluation/cases.json", "Cases: not part of this run."),
        ("recipe.toml", "The recipe: not part of this run."),
    ],
)
def test_a_missing_file_makes_its_section_say_so(run, file, said):
    (run / file).unlink()
    page = Page(write_page(run).read_text())
    assert said in page.words()
    assert set(SECTIONS) <= set(page.ids())


def test_a_log_alone_makes_a_page(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"stage": "sft", "step": 1, "loss": 2.0}\n')
    words = Page(write_page(tmp_path).read_text()).words()
    assert "Evaluation: not part of this run." in words
    assert "loss (nats per token)" in words


def test_empty_results_make_a_page(tmp_path):
    (tmp_path / "results.json").write_text("{}")
    assert "did not compare" in Page(write_page(tmp_path).read_text()).words()


def test_step_0_chosen_is_said_plainly(run):
    (run / "rft" / "summary.json").write_text('{"best_step": 0, "steps": 14}')
    assert "RadFlow is the SFT model here" in Page(write_page(run).read_text()).words()


def test_a_resolved_recipe_is_printed_with_its_knobs(run):
    (run / "recipe.toml").write_text(dump_recipe(make_recipe({"rft": {"epsilon": 0.1}})))
    words = Page(write_page(run).read_text()).words()
    assert "0.1 normal, 0.025 critical" in words
    assert "[exploration]" in words


def test_a_missing_image_costs_its_place_and_not_the_page(run):
    (run / "images" / "0-left.png").unlink()
    assert "0-left.png: the image file is missing" in write_page(run).read_text()


def test_warnings_of_the_run_stand_on_top(html):
    words = Page(html).words()
    assert words.index("1 warning The explored set is 99% critical") < words.index("Systems by metrics")


def test_the_date_is_the_run_s_own_or_that_of_its_files(run):
    assert "2026-11-21" in render_page(read_run(run))
    results = json.loads((run / "results.json").read_text())
    del results["date"]
    (run / "results.json").write_text(json.dumps(results))
    for name in ("results.json", "metrics.jsonl"):
        os.utime(run / name, (0, 86_400))
    assert "<time>1970-01-02</time>" in render_page(read_run(run))


def test_errors_of_the_files_are_passed_on(run, tmp_path):
    with pytest.raises(MissingFileError):
        write_page(tmp_path / "nowhere")
    (run / "evaluation" / "cases.json").write_text('[{"study_id": "a"}]')
    with pytest.raises(DataError, match=r"cases\.json, at 0\.reference: field required"):
        write_page(run)


def test_a_page_that_cannot_be_written_is_one_clear_error(run):
    (run / "report.html").mkdir()
    with pytest.raises(NotWritableError, match="cannot write the page"):
        write_page(run)


def test_the_cases_are_folded_one_open_and_each_has_a_link(html):
    tags = Page(html).tags
    cases = [a for tag, a in tags if tag == "details" and a.get("class") == "case"]
    assert [("open" in a, a["name"]) for a in cases] == [(True, "case"), (False, "case"), (False, "case")]
    assert not any("hidden" in a for a in cases)  # without the script nothing is out of reach
    links = {a["href"] for tag, a in tags if tag == "a"}
    assert {f"#case-carotid-{number:05d}" for number in range(3)} <= links


def test_what_only_the_script_can_do_is_hidden_until_it_runs(html):
    tags = Page(html).tags
    for name in ("finder", "pager"):
        (found,) = (a for _, a in tags if a.get("class") == name)
        assert "hidden" in found
    sliders = [a["name"] for tag, a in tags if tag == "input" and a.get("type") == "range"]
    assert sliders == ["window", "level"]
    pictures = [a for tag, a in tags if tag == "button" and a.get("class") == "zoom"]
    assert len(pictures) == 6


def test_the_script_finds_what_it_looks_for(html):
    """Names that the script asks for are names of the page: there is no browser here to say so."""
    script = html[html.index("<script>") :]
    classes = {name for _, a in Page(html).tags for name in (a.get("class") or "").split()}
    fields = {a["name"] for tag, a in Page(html).tags if tag in ("input", "select")}
    for name in re.findall(r'querySelector(?:All)?\("[a-z#]*\s?\.([a-z]+)"', script):
        assert name in classes | {"none"}
    for name in re.findall(r'field\("([a-z]+)"\)', script):
        assert name in fields | {"observation", "relation"}


def test_marks_have_a_sign_beside_their_colour():
    css = asset("page.css")
    for kind in ("agree", "partly", "contradict", "extra"):
        assert re.search(rf"mark\.{kind}::before {{ content: ", css)
    assert "dashed" in re.search(r"mark\.missed {(.*?)}", css)[1]


def test_the_first_screen_says_what_was_trained_the_result_and_the_warnings(html):
    words = Page(html).words()
    order = [
        "was trained on carotid ultrasound",
        "RFT raised the reward",
        "0.741 [0.727, 0.755]",
        "1 warning",
        "Systems by metrics",
    ]
    places = [words.index(text) for text in order]
    assert places == sorted(places)


def test_the_table_and_the_cases_can_be_downloaded_from_the_page_itself(html):
    files = [a for tag, a in Page(html).tags if tag == "a" and "download" in a]
    assert [a["download"] for a in files] == [
        "carotid-quickstart-results.csv",
        "carotid-quickstart-cases.csv",
        "carotid-quickstart-run.json",
    ]
    assert all(a["href"].startswith("data:") for a in files)
