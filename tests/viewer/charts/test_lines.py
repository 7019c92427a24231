import math
import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radflow.viewer.charts.frame import Flag
from radflow.viewer.charts.lines import Band, Line, histogram, line_chart, thin

NASTY = "<b>&\"'"


def draw(*lines, **options):
    return line_chart(key="k", title="T", x_label="step", y_label="loss (nats)", lines=lines, **options)


def classes(svg, tag):
    return [element.get("class") for element in ET.fromstring(svg).iter(tag)]


def texts(svg):
    return ["".join(element.itertext()) for element in ET.fromstring(svg).iter("text")]


def test_a_chart_names_its_axes_its_series_and_itself():
    svg = draw(Line(label="train", points=[(0, 1.0), (10, 2.0)]), flag=Flag(x=5, label="chosen: step 5"))
    root = ET.fromstring(svg)
    assert root.get("role") == "img"
    assert root.get("aria-labelledby") == "k-title k-desc"
    assert root.find("title").text == "T"
    assert "train" in root.find("desc").text
    assert {"step", "loss (nats)", "train", "chosen: step 5"} <= set(texts(svg))


def test_a_nan_breaks_the_line():
    svg = draw(Line(label="a", points=[(0, 1.0), (1, 2.0), (2, math.nan), (3, 1.0), (4, 2.0)]))
    paths = [
        element.get("d") for element in ET.fromstring(svg).iter("path") if element.get("class") == "line c0"
    ]
    assert sorted(path.count("M") for path in paths) == [
        1,
        2,
    ]  # the legend's stroke, and the line in two pieces


def test_nothing_to_draw_gives_no_chart():
    assert draw() == ""
    assert draw(Line(label="a", points=[(0, math.nan)])) == ""


def test_a_single_point_is_drawn_as_a_dot():
    assert classes(draw(Line(label="a", points=[(3, 1.0)])), "circle") == ["dot c0"]


def test_a_band_is_a_closed_area_with_its_two_edges():
    band = Band(label="ratio", low=[(0, 0.8), (1, math.nan), (2, 0.9)], high=[(0, 1.2), (1, 1.1), (2, 1.1)])
    svg = line_chart(key="k", title="T", x_label="x", y_label="y", bands=[band])
    area = next(e.get("d") for e in ET.fromstring(svg).iter("path") if e.get("class") == "band c0")
    assert area.endswith("Z")
    assert len(re.findall("[ML]", area)) == 4


def test_text_from_outside_is_escaped():
    svg = draw(Line(label=NASTY, points=[(0, 1.0), (1, 2.0)], dots=True), flag=Flag(x=0, label=NASTY))
    assert "<b>" not in svg
    assert NASTY in texts(svg)


@given(
    st.lists(
        st.tuples(st.integers(0, 10_000), st.one_of(st.just(math.nan), st.floats(-1e9, 1e9, width=32))),
        max_size=40,
    )
)
def test_any_series_gives_well_formed_svg_inside_its_frame(points):
    svg = draw(Line(label="a", points=sorted(points, key=lambda point: point[0]), dots=True))
    if not svg:
        assert all(math.isnan(y) for _, y in points)
        return
    for dot in ET.fromstring(svg).iter("circle"):
        assert 0 <= float(dot.get("cx")) <= 360
        assert 0 <= float(dot.get("cy")) <= 232


def test_a_histogram_draws_a_bar_for_each_count_that_is_not_zero():
    svg = histogram(
        key="k",
        title="T",
        x_label="score",
        y_label="studies",
        edges=[0.0, 0.5, 1.0],
        series=[("split", [3, 4]), ("picked", [3, 0])],
        flag=Flag(x=0.5, label="kept below 0.5"),
    )
    bars = [element for element in ET.fromstring(svg).iter("rect") if "bar" in element.get("class")]
    assert [bar.get("class") for bar in bars] == ["bar c0", "bar c0", "bar c1"]
    assert float(bars[1].get("height")) > float(bars[0].get("height"))
    assert bars[0].get("height") == bars[2].get("height")


def test_a_histogram_refuses_counts_that_do_not_fit_its_edges():
    with pytest.raises(ValueError, match="expected 1 counts of a for 2 edges, got 2"):
        histogram(key="k", title="T", x_label="x", y_label="y", edges=[0, 1], series=[("a", [1, 2])])


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=1000), st.integers(1, 50))
def test_thinning_keeps_the_range_and_the_limit(values, most):
    points, size = thin(list(enumerate(values)), most)
    assert len(points) <= most
    assert size * most >= len(values)
    assert min(values) - 1e-9 <= min(y for _, y in points) <= max(y for _, y in points) <= max(values) + 1e-9
