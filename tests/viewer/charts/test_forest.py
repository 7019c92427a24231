import math
import re
import xml.etree.ElementTree as ET

import pytest

from radflow.viewer.charts.forest import ForestRow, forest

SVG = "{http://www.w3.org/2000/svg}"


def row(mean=0.2, half=0.1, label="BLEU-2 ↑", tone="second"):
    return ForestRow(label=label, text="+0.2", mean=mean, low=mean - half, high=mean + half, tone=tone)


def draw(*rows):
    drawn = forest(rows, key="k", title="T", x_label="x", left="A better", right="B better")
    return (
        ET.fromstring(drawn.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1)) if drawn else None
    )


def places(svg):
    return [float(circle.get("cx").rstrip("%")) for circle in svg.iter(f"{SVG}circle")]


def test_0_is_in_the_middle_and_signs_are_at_its_sides():
    svg = draw(row(0.5), row(-0.25), row(0.0))
    right, left, middle = places(svg)
    assert left < middle == 50.0 < right
    assert right - 50 == pytest.approx(2 * (50 - left), abs=0.05)
    [zero] = [line for line in svg.iter(f"{SVG}line") if line.get("class") == "zero"]
    assert zero.get("x1") == "50.0%"


def test_everything_stays_on_the_paper():
    svg = draw(row(3.0, 2.0), row(-0.01, 0.3), row(0.0, 1e-9))
    for line in svg.iter(f"{SVG}line"):
        for end in ("x1", "x2"):
            assert 0 <= float(line.get(end).rstrip("%")) <= 100
        assert float(line.get("y2")) <= float(svg.get("height"))


def test_a_row_without_numbers_keeps_its_words():
    svg = draw(row(), row(math.nan, label="Unknown"))
    assert len(places(svg)) == 1
    assert "Unknown" in [text.text for text in svg.iter(f"{SVG}text")]


def test_nothing_to_draw_is_no_chart():
    assert draw(row(math.nan)) is None
    assert draw() is None


def test_a_long_label_has_a_line_of_its_own():
    short, long = draw(row(), row()), draw(row(), row(label="BERTScore (distilroberta-base, rescaled) ↑"))
    assert float(long.get("height")) > float(short.get("height"))
    label, raw = list(long.iter(f"{SVG}text"))[-2:]
    assert float(raw.get("y")) > float(label.get("y"))


def test_differences_of_0_can_be_drawn():
    assert places(draw(row(0.0, 0.0))) == [50.0]


def test_names_are_escaped_and_read_out():
    drawn = forest([row(label="<b>")], key="k", title="<i>", x_label="x", left="<u>", right="&")
    assert not re.search("<[biu]>", drawn)
    assert "&lt;b&gt;: +0.2" in drawn
