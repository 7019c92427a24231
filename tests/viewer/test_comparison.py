import dataclasses
import math
import re

import pytest

from radflow.evaluation import Interval
from radflow.evaluation.comparing.comparison import ComparedMetric, Comparison
from radflow.viewer.comparison import comparison_table, render_comparison

NASTY = "<script>alert('x')</script>"


def metric(name, mean, half, *, p_holm=0.01, higher=True, **changed):
    row = ComparedMetric(
        name=name,
        label=name.upper(),
        higher_is_better=higher,
        pairs=100,
        dropped=0,
        mean_a=0.5,
        mean_b=0.5 + mean,
        difference=Interval(mean=mean, low=mean - half, high=mean + half),
        spread=0.4,
        p=p_holm / 2,
        p_holm=p_holm,
    )
    return dataclasses.replace(row, **changed)


@pytest.fixture
def comparison():
    return Comparison(
        a="SFT",
        b="RadFlow",
        studies=100,
        patients=60,
        resamples=10_000,
        exact=False,
        seed=0,
        metrics=(
            metric("bleu2", 0.1, 0.05),
            metric("radcliq_v1", 0.2, 0.05, higher=False, p_holm=0.0002),
            metric("rouge_l", 0.01, 0.05, p_holm=0.6, dropped=7, pairs=93),
        ),
        warnings=("SembScore: nothing",),
    )


def test_the_table_gives_numbers_and_the_better_system(comparison):
    table = comparison_table(comparison)
    rows = {row.name: row for _, rows in table.groups for row in rows}
    assert table.columns[:3] == ("SFT", "RadFlow", "RadFlow − SFT")
    assert [cell.mean for cell in rows["BLEU2"].cells] == ["0.500", "0.600", "+0.100", "0.010", "RadFlow"]
    assert rows["BLEU2"].cells[2].ends == "[+0.050, +0.150]"
    assert rows["RADCLIQ_V1"].arrow == "↓"
    assert [cell.mean for cell in rows["RADCLIQ_V1"].cells[3:]] == ["< 0.001", "SFT"]
    assert (rows["ROUGE_L"].cells[4].mean, rows["ROUGE_L"].cells[4].ends) == (
        "no evidence",
        "93 pairs, 7 dropped",
    )


def test_colour_marks_evidence_only(comparison):
    tones = {row.name: row.cells[2].tone for _, rows in comparison_table(comparison).groups for row in rows}
    assert tones == {"BLEU2": "second", "RADCLIQ_V1": "first", "ROUGE_L": "unclear"}


def test_the_plot_turns_lower_is_better_to_the_side_of_the_better_system(comparison):
    places = re.findall(r'<g class="(\w+)">.*?<circle cx="([\d.]+)%"', render_comparison(comparison))
    assert [(tone, float(place) > 50) for tone, place in places] == [
        ("second", True),
        ("first", False),
        ("unclear", True),
    ]


def test_the_page_says_how_it_was_counted(comparison):
    page = render_comparison(comparison)
    for said in (
        comparison.verdict,
        "100 studies of 60 patients, scored by both.",
        "SembScore: nothing",
        "10,000 random exchanges of the two systems within patients",
        "corrected for 3 metrics",
        "← SFT better",
        "RadFlow better →",
    ):
        assert said in page
    exact = render_comparison(dataclasses.replace(comparison, exact=True, patients=None))
    assert "every possible exchange of the two systems within studies" in exact
    assert "100 studies, scored by both." in exact


def test_the_page_loads_nothing_and_lets_no_text_through(comparison):
    page = render_comparison(dataclasses.replace(comparison, a=NASTY, warnings=(NASTY,)))
    assert "<script" not in page
    assert not re.search(r'(src|href)="|url\(|@import', page)
    assert "default-src 'none'; style-src 'sha256-" in page
    assert 'style="' not in page


def test_differences_without_spread_are_told_not_drawn(comparison):
    flat = metric("bleu2", 0.0, 0.0, p_holm=1.0, spread=0.0)
    page = render_comparison(dataclasses.replace(comparison, metrics=(flat,)))
    assert "No difference has a spread that could be drawn." in page
    assert 'class="forest"' not in page


def test_a_metric_without_numbers_is_dashes(comparison):
    nothing = math.nan
    empty = metric(
        "bleu2", nothing, 0.0, p_holm=nothing, mean_a=nothing, pairs=0, dropped=100, spread=nothing
    )
    [(_, [row])] = comparison_table(dataclasses.replace(comparison, metrics=(empty,))).groups
    assert [cell.mean for cell in row.cells] == ["–", "–", "–", "–", "no evidence"]
