"""Contrast of the page's colours, in both themes, by the formula of WCAG 2.2."""

import re
from importlib import resources

import pytest

PAIRS = [
    ("ink", "paper"),
    ("soft", "paper"),
    ("better", "paper"),
    ("worse", "paper"),
    ("badge", "badge-wash"),
    ("ink", "worse-wash"),
    ("worse", "worse-wash"),
    ("ink", "extra-wash"),
    ("extra", "extra-wash"),
    ("ink", "partly-wash"),
    ("partly", "partly-wash"),
    ("worse", "partly-wash"),
    ("soft", "raised"),
    ("ink", "raised"),
    ("ink", "faint"),
    ("paper", "ink"),
    ("c0", "paper"),
]


def themes():
    css = resources.files("radflow.viewer").joinpath("templates", "page.css").read_text(encoding="utf-8")
    light, dark = re.findall(r":root \{(.*?)\}", css, flags=re.DOTALL)[:2]
    return {
        name: dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", text))
        for name, text in (("light", light), ("dark", dark))
    }


def luminance(color):
    channels = [int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first, second):
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("text", "ground"), PAIRS)
def test_text_is_readable_on_its_ground(theme, text, ground):
    colors = themes()[theme]
    assert contrast(colors[text], colors[ground]) >= 4.5


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("series", ["c0", "c1", "c2", "c3"])
def test_lines_are_visible_on_their_ground(theme, series):
    colors = themes()[theme]
    assert contrast(colors[series], colors["paper"]) >= 3.0


def test_contrast_is_the_formula_of_the_guidelines():
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)
