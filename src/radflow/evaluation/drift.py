"""What a system's reports are like as a set, so that a drifting or collapsing policy shows.

A reward can rise because every report became the same safe one, or longer, or full of findings. None of that
shows in the reward; all of it shows here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from radflow.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Drift:
    """Four figures of a set of reports.

    Attributes:
        positives: mean number of positive observations per report, "No Finding" aside.
        words: mean length in words.
        distinct: number of different texts over the number of reports, in (0, 1].
        most_frequent: share of the most frequent report, in (0, 1]; 1 is total collapse.
    """

    positives: float
    words: float
    distinct: float
    most_frequent: float

    def as_dict(self) -> dict[str, float]:
        """The figures by name, for ``results.json``."""
        return asdict(self)


def measure_drift(reports: Sequence[str], labels: Sequence[Mapping[str, int | None]]) -> Drift:
    """Measure a system's reports.

    Args:
        reports: what the system wrote.
        labels: what a labeler read in each; the states 1 and -1 count as positive.

    Raises:
        DataError: no reports, or not one set of labels per report.

    >>> measure_drift(["clear lungs", "clear lungs"], [{"No Finding": 1}, {"No Finding": 1}])
    Drift(positives=0.0, words=2.0, distinct=0.5, most_frequent=1.0)
    """
    if not reports or len(reports) != len(labels):
        raise DataError(f"Expected reports with labels each, got {len(reports)} and {len(labels)}.")
    size = len(reports)
    texts = Counter(" ".join(report.split()) for report in reports)
    return Drift(
        positives=sum(_positives(states) for states in labels) / size,
        words=sum(len(report.split()) for report in reports) / size,
        distinct=len(texts) / size,
        most_frequent=max(texts.values()) / size,
    )


def _positives(states: Mapping[str, int | None]) -> int:
    return sum(state in (1, -1) for name, state in states.items() if name != "No Finding")
