import io

from rich.console import Console

from radflow.cli.run.summary import results_table
from radflow.evaluation import Interval, Results


def render(results):
    console = Console(width=160, file=io.StringIO())
    console.print(results_table(results))
    return console.file.getvalue()


def interval(mean, half=0.01):
    return Interval(mean=mean, low=mean - half, high=mean + half)


def table(images="drawn", gain=None):
    return Results(
        systems={
            "Template": {"bleu2": interval(0.2), "reward": interval(1.0)},
            "SFT": {"bleu2": interval(0.3), "reward": interval(2.0), "radcliq_v1": interval(1.1)},
            "RadFlow": {"bleu2": interval(0.35), "reward": interval(2.1), "radgraph_f1": interval(0.4)},
        },
        gain={"bleu2": interval(0.05)} if gain is None else gain,
        cases=1234,
        images=images,
        seconds={},
    )


def test_the_title_says_that_images_are_drawn():
    assert "1,234 test studies, drawn images" in render(table())
    assert "real images" in render(table(images="real"))


def test_rows_have_labels_and_directions():
    text = render(table())
    for label in ("Reward ↑", "BLEU-2 ↑", "RadGraph F1 (rules) ↑", "RadCliQ-v1 ↓"):
        assert label in text
    assert text.index("Reward") < text.index("BLEU-2") < text.index("RadGraph F1") < text.index("RadCliQ")


def test_cells_show_intervals_and_absence():
    text = render(table())
    for shown in ("0.350", "[0.340, 0.360]", "+0.050", "[+0.040, +0.060]"):
        assert shown in text
    radgraph = next(line for line in text.splitlines() if "RadGraph" in line)
    assert radgraph.count("–") == 3  # Template, SFT and the gain


def test_positives_per_report_stand_after_the_f1s_over_the_corpus():
    scores = {"chexpert_f1": interval(0.6), "corpus_micro_f1": interval(0.2), "radgraph_f1": interval(0.1)}
    drift = {"sft": {"positives": 0.31}, "reference": {"positives": 0.49}}
    systems = {"template": {"bleu2": interval(0.1)}, "sft": scores}
    for gain in ({}, {"chexpert_f1": interval(0.1)}):
        found = Results(systems=systems, gain=gain, cases=3, images="real", seconds={}, drift=drift)
        lines = [line for line in render(found).splitlines() if line.strip()]
        at = next(i for i, line in enumerate(lines) if "Positives per report (references 0.49)" in line)
        assert lines[at].split()[-2:] == ["–", "0.31"]
        assert "[0.190, 0.210]" in lines[at - 1]


def test_without_a_gain_there_is_no_such_column():
    assert "RadFlow − SFT" not in render(table(gain={}))


def test_a_worse_gain_is_red_also_where_lower_is_better():
    worse = results_table(table(gain={"radcliq_v1": interval(0.5), "bleu2": interval(0.0)}))
    styles = {str(cell.style) for cell in worse.columns[-1].cells if hasattr(cell, "style")}
    assert "red" in styles
    assert "dim" in styles
    assert "green" not in styles
