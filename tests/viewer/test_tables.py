import math

from radflow.viewer.records import Interval, Results, ShuffledImages
from radflow.viewer.run_page.run_files import read_run
from radflow.viewer.tables import drift_table, in_order, result_table, shuffled_table, unmoved


def rows(table):
    return {row.name: row for _, group in table.groups for row in group}


def test_the_result_table_holds_every_system_metric_and_gain(run):
    table = result_table(read_run(run).results)
    assert table.columns == ("Template (most frequent report)", "SFT", "RadFlow", "Gain, RadFlow − SFT")
    assert [title for title, _ in table.groups] == ["Clinical content", "Reward", "Language"]
    row = rows(table)["RadGraph F1 (rules)"]
    assert [cell.mean for cell in row.cells] == ["0.412", "0.588", "0.629", "+0.041"]
    assert row.cells[-1].ends == "[+0.029, +0.053]"
    assert row.arrow == "↑"


def test_a_gain_is_coloured_only_when_its_interval_excludes_zero(run):
    tones = {name: row.cells[-1].tone for name, row in rows(result_table(read_run(run).results)).items()}
    assert tones["Total reward"] == "better"
    assert tones["BLEU-2"] == "unclear"


def test_positives_per_report_stand_after_the_f1s_over_the_corpus():
    one = Interval(mean=0.5)
    scores = {"carotid_f1": one, "corpus_micro_f1": one, "corpus_macro_f1": one, "keyword_match": one}
    drift = {"sft": {"positives": 0.31}, "reference": {"positives": 0.49}}
    table = result_table(Results(systems={"sft": scores}, gain={"carotid_f1": one}, drift=drift))
    assert [name.partition(" (")[0] for name in rows(table)] == [
        "Carotid F1",
        "Corpus macro F1",
        "Corpus micro F1",
        "Positives per report",
        "KeyWordMatch",
    ]
    assert [cell.mean for cell in rows(table)["Positives per report (references 0.49)"].cells] == [
        "0.31",
        "–",
    ]


def test_a_metric_that_a_system_lacks_is_a_dash():
    one = Interval(mean=0.5)
    table = result_table(Results(systems={"sft": {"bleu2": one}, "radflow": {"bleu2": one, "mine": one}}))
    assert [cell.mean for cell in rows(table)["mine"].cells] == ["–", "0.500"]
    assert "Gain, RadFlow − SFT" not in table.columns


def test_a_lower_is_better_metric_points_down():
    table = result_table(Results(systems={"sft": {"radcliq_v1": Interval(mean=1.0)}}))
    assert rows(table)["RadCliQ-v1"].arrow == "↓"


def test_a_fall_that_is_not_significant_is_named(run):
    results = read_run(run).results
    assert unmoved(results) == ["BLEU-2"]
    table = rows(shuffled_table(results))
    assert table["BLEU-2"].cells[-1].tone == "worse"
    assert table["Total reward"].cells[-1].mean == "+1.178"


def test_a_fall_without_an_interval_counts_as_not_shown():
    nothing = Interval(mean=0.3)
    results = Results(shuffled={"reward": ShuffledImages(true=nothing, shuffled=nothing, fall=nothing)})
    assert unmoved(results) == ["Total reward"]


def test_drift_prints_shares_as_percentages_and_counts_as_counts():
    drift = {
        "sft": {"words": 55.21, "distinct": 0.5},
        "radflow": {"words": 50.0, "distinct": math.nan},
        "reference": {"words": 58.0, "distinct": 1.0},
    }
    table = drift_table(Results(drift=drift))
    assert table.columns == ("Reference", "SFT", "RadFlow")
    assert [cell.mean for cell in rows(table)["distinct reports"].cells] == ["100.0%", "50.0%", "–"]
    counted = drift_table(Results(drift={"sft": {"distinct": 12.0}, "radflow": {"distinct": 1.0}}))
    assert [cell.mean for cell in rows(counted)["distinct reports"].cells] == ["12.0", "1.0"]


def test_systems_keep_the_reader_s_order_and_none_is_lost():
    assert in_order(["radflow-shuffled", "radflow", "b", "reference", "sft", "a", "template"]) == [
        "reference",
        "template",
        "b",
        "a",
        "sft",
        "radflow",
        "radflow-shuffled",
    ]
