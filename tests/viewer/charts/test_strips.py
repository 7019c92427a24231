import math
import xml.etree.ElementTree as ET

from radflow.viewer.charts.strips import dumbbells, whisker


def test_a_dumbbell_has_two_dots_a_row_and_the_larger_share_lies_right():
    svg = dumbbells(
        key="k",
        title="T",
        x_label="share",
        rows=[("plaque", 0.2, 0.7), ("none", math.nan, 0.1)],
        names=("a", "b"),
    )
    dots = list(ET.fromstring(svg).iter("circle"))
    assert [dot.get("class") for dot in dots] == ["dot c0", "dot c1", "dot c1"]
    assert float(dots[0].get("cx")) < float(dots[1].get("cx"))
    assert dumbbells(key="k", title="T", x_label="share", rows=[], names=("a", "b")) == ""


def test_a_whisker_is_hidden_from_screen_readers_and_left_out_when_unknown():
    svg = whisker(mean=0.5, low=0.2, high=0.8, limit=1.0, tone="better")
    root = ET.fromstring(svg)
    assert root.get("aria-hidden") == "true"
    assert float(root.find("circle").get("cx")) > 48
    assert whisker(mean=0.5, low=math.nan, high=0.8, limit=1.0, tone="") == ""
    assert whisker(mean=0.0, low=0.0, high=0.0, limit=0.0, tone="") == ""
