"""The template baseline: the most frequent training report, written for every study.

It looks at nothing. On real chest reports, which are mostly normal, it scores surprisingly well, and a system
that does not clearly beat it has not learnt to look.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from radflow.errors import DataError


def most_frequent_report(texts: Sequence[str]) -> str:
    """The report that occurs most often; the first such in the order given.

    Raises:
        DataError: no reports.

    >>> most_frequent_report(["Small effusion.", "Normal.", "Normal."])
    'Normal.'
    """
    if not texts:
        raise DataError("template baseline: expected training reports, got none")
    return Counter(texts).most_common(1)[0][0]
