"""A judge that gives the same answer to everything: noticed while it answers, and reported."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from threading import Lock

AT_LEAST = 100
"""Different questions before a collapse is reported."""

_log = logging.getLogger(__name__)


class CollapseWatch:
    """Counts the answers to different questions and says when nearly all are the same.

    A constant answer carries no signal: within a group every report then has the same reward, and the same
    advantage from it, whatever it says. It need not be the judge's fault (reports that really are all
    consistent look the same from here), so it is a report and not an error.

    Args:
        judge: its name, for the report.
        share: more than this share of one answer is reported.

    >>> watch = CollapseWatch("openai:gpt-4o", share=0.9)
    >>> watch.add("consistency", {bytes([n]): True for n in range(99)})
    >>> watch.reports
    ()
    >>> watch.add("consistency", {bytes([n]): True for n in range(100)})
    >>> watch.reports[0].partition(":")[0]
    "judge 'openai"
    """

    def __init__(self, judge: str, *, share: float) -> None:
        self._judge, self._share = judge, share
        self._answers: dict[str, dict[bytes, bool]] = {}
        self._reported: set[str] = set()
        self._lock = Lock()

    def add(self, kind: str, verdicts: Mapping[bytes, bool]) -> None:
        """Count verdicts by key, each question once; a new collapse goes to the log as a warning."""
        with self._lock:
            self._answers.setdefault(kind, {}).update(verdicts)
            report = self._report(kind)
            if report is None:
                self._reported.discard(kind)
            elif kind not in self._reported:
                self._reported.add(kind)
                _log.warning(report)

    @property
    def reports(self) -> tuple[str, ...]:
        """One sentence per kind of question whose answers are nearly all the same."""
        with self._lock:
            return tuple(report for kind in self._answers if (report := self._report(kind)))

    def _report(self, kind: str) -> str | None:
        answers = self._answers[kind]
        yes = sum(answers.values())
        often, word = max((yes, "yes"), (len(answers) - yes, "no"))
        if len(answers) < AT_LEAST or often <= self._share * len(answers):
            return None
        return (
            f"judge {self._judge!r}: answered {word} to {often} of {len(answers)} different questions of "
            f"{kind} ({often / len(answers):.1%}, more than {self._share:.1%}); a judge that hardly tells "
            "reports apart gives no signal: read some of them, and compare it with the rule judge"
        )
