from xml.etree import ElementTree

import pytest

from radflow.viewer.cases import blocks
from radflow.viewer.charts.side_by_side import Column, side_by_side
from radflow.viewer.highlight import Highlight
from radflow.viewer.pictures import Picture
from radflow.viewer.records import Mark

SVG = "{http://www.w3.org/2000/svg}"
TEXT = "Findings: No plaque < 50% & normal flow on the left side of the neck. Impression: Normal."
LONG = "Findings: " + "a plaque of the bulb " * 40 + "Impression: Plaque."


def lines(figure: str) -> list[str]:
    return ["".join(element.itertext()) for element in ElementTree.fromstring(figure).iter(f"{SVG}text")]


def test_every_word_is_there_once_and_in_order() -> None:
    start = TEXT.index("normal flow")
    flow = Mark(start=start + 7, end=start + 11, kind="contradict")
    marks = [Mark(start=start, end=start + 18, kind="partly", words=(flow,))]
    missed = [Highlight(start=start, end=start + 6, kind="missed")]
    for given, expected in ((marks, TEXT.replace("normal flow", "≈ normal flow")), (missed, TEXT)):
        figure = side_by_side("s1", [], [Column(heading="(1) SFT", blocks=blocks(TEXT, given))])
        assert " ".join(lines(figure)[1:-1]).split() == expected.split()
        assert "&lt; 50%" in figure and "&amp;" in figure
    figure = side_by_side("s1", [], [Column(heading="(1) SFT", blocks=blocks(TEXT, marks))])
    assert (
        '<tspan fill="#8a5a00" font-weight="bold">≈</tspan> <tspan fill="#8a5a00">normal</tspan> '
        '<tspan fill="#8a5a00" font-weight="bold">flow</tspan>' in figure
    )


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("text", [LONG, "plaque." * 100])
def test_lines_stay_in_their_column_and_columns_do_not_overlap(count: int, text: str) -> None:
    columns = [Column(heading=f"({i})", blocks=blocks(text)) for i in range(count)]
    root = ElementTree.fromstring(side_by_side("s1", [], columns))
    rules = [path.attrib["d"] for path in root.iter(f"{SVG}path")]
    boxes = [(float(d[1:].split()[0]), float(d.split("h")[1])) for d in rules]
    assert max(x + width for x, width in boxes) <= 1000.1
    longest = max(
        len("".join(t.itertext())) for t in root.iter(f"{SVG}text") if t.attrib.get("font-size") is None
    )
    assert longest * 13 * 0.5 < 1.2 * boxes[0][1]  # half an em a letter, on average
    heights = [float(text.attrib["y"]) for text in root.iter(f"{SVG}text")]
    assert max(heights) < float(root.attrib["height"])
    starts = {(text.attrib["x"], text.attrib["y"]) for text in root.iter(f"{SVG}text")}
    assert len(starts) == len(heights)


def test_what_systems_missed_is_tagged_and_a_broken_picture_says_so() -> None:
    missed = [Highlight(start=10, end=19, kind="missed", tag="1 · 3")]
    pictures = [("PA", Picture(problem="x.png: missing")), ("L", Picture(uri="data:x", width=2, height=1))]
    figure = side_by_side("s1", pictures, [Column(heading="Reference", blocks=blocks(TEXT, missed))])
    assert "[1 · 3]" in figure
    assert "x.png: missing" in lines(figure)
    assert '<image x="0" y="22.0" width="220" height="110.0" href="data:x"/>' in figure


def test_a_sign_and_a_tag_stand_on_the_line_of_their_word() -> None:
    marks = [Mark(start=at, end=at + 8, kind="extra") for at in range(10, 170, 21)]
    missed = [Highlight(start=mark.start, end=mark.end, kind="missed", tag="1") for mark in marks]
    for given in (marks, missed):
        columns = [Column(heading="(1)", blocks=blocks(LONG, given))] * 3
        found = lines(side_by_side("s1", [], columns))[:-1]
        assert not any(line.endswith("+") or line.startswith("[1]") for line in found)
        assert sum(line.count("+ a") + line.count("plaque [1]") for line in found) == 3 * len(marks)
