"""The results as a table for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from radflow.evaluation.intervals import Interval
from radflow.evaluation.notation import with_interval
from radflow.evaluation.results import Results
from radflow.metrics import METRICS

REWARD_LABELS = {
    "reward": "Reward",
    "reward/syntax": "  syntax",
    "reward/domain": "  domain",
    "reward/consistency": "  consistency",
    "reward/impression": "  impression",
}
"""What is printed for the reward and its terms, which are scored like metrics; higher is better."""


def row_label(name: str) -> str:
    """The name of a metric as printed, with the direction that is better.

    >>> row_label("radgraph_f1"), row_label("radcliq_v1"), row_label("reward")
    ('RadGraph F1 (rules) ↑', 'RadCliQ-v1 ↓', 'Reward ↑')
    """
    if name in METRICS:
        return f"{METRICS[name].label} {METRICS[name].arrow}"
    return f"{REWARD_LABELS.get(name, name)} ↑"


def results_table(results: Results) -> Table:
    """One row per metric, one column per system, the last the paired gain; means over their 95% intervals.

    Says in its title how many studies were scored and whether their images were drawn. A gain whose interval
    holds 0 is dimmed; a gain in the wrong direction is red.
    """
    images = "drawn images" if results.images == "drawn" else "real images"
    table = Table(
        title=f"{results.cases:,} test studies, {images}; mean over its 95% interval",
        box=box.SIMPLE_HEAD,
        title_justify="left",
        show_edge=False,
        padding=(0, 1, 0, 0),  # three systems and the gain fit into 80 columns
    )
    table.add_column("Metric")
    for system in results.systems:
        table.add_column(system, justify="right", no_wrap=True)
    if results.gain:
        table.add_column("RadFlow − SFT", justify="right", no_wrap=True)
    for name in _rows(results):
        cells: list[str | Text] = [_cell(scores.get(name)) for scores in results.systems.values()]
        if results.gain:
            cells.append(_gain_cell(name, results.gain.get(name)))
        table.add_row(row_label(name), *cells)
    return table


def _rows(results: Results) -> Sequence[str]:
    """Metrics that some system has: the reward and its terms first, then metrics in their table's order."""
    present = {name for scores in results.systems.values() for name in scores} | set(results.gain)
    known = [name for name in (*REWARD_LABELS, *METRICS) if name in present]
    return [*known, *sorted(present - set(known))]


def _cell(interval: Interval | None) -> str:
    return with_interval(interval, between="\n")


def _gain_cell(name: str, interval: Interval | None) -> Text:
    if interval is None:
        return Text("–")
    text = with_interval(interval, gain=True, between="\n")
    if not interval.excludes_zero:
        return Text(text, style="dim")
    higher_is_better = METRICS[name].higher_is_better if name in METRICS else True
    return Text(text, style="green" if (interval.mean > 0) == higher_is_better else "red")
